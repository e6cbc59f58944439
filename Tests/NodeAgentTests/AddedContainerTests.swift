// Owns: tests of containers that are added to pods that run, on a real keeper: each looks from inside, and those of
// what may not be left count processes.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import NodeAgent

extension TestKeeper {
  /// Plans a container that is added to that attempt, as the agent's worker does, and hands it over.
  func add(
    _ container: JSON, to assignment: Assignment, images: [String: PlacedImage] = [:]
  ) throws {
    var grown = assignment
    var spec = assignment.spec.json
    spec["ephemeralContainers"] = [container]
    grown.spec = PodSpec(json: spec)
    var place = testPlace(grown, paths)
    place.images = images
    let name = container["name"]?.stringValue ?? ""
    for mount in grown.spec.ephemeralContainers.first?.mounts ?? [] {
      place.volumes[mount.name] = try Volumes.find(
        mount.name, of: grown, paths: paths, slots: try TokenSlots(directory: paths.tokens), user: nil)
    }
    if !images.isEmpty { try NetworkFileWriter.write(grown, address: place.address, paths: paths) }
    send(.add(assignment.attempt, try PodPlanner.addition(name, to: grown, place: place)))
  }

  func added(_ attempt: AttemptNumber, _ name: String = "dbg") -> ContainerState? {
    status(attempt)?.ephemeralContainers.first { $0.name == name }?.state
  }

  /// Waits for the end of one; what it said.
  func said(_ attempt: AttemptNumber, _ name: String = "dbg") -> String {
    #expect(wait { added(attempt, name)?.termination != nil }, "\(added(attempt, name).debugDescription)")
    return log(attempt, name)
  }
}

@Suite("containers that are added to pods", .enabled(if: isRoot, "needs root")) struct AddedContainerTests {
  private func running(_ more: JSON = [:], pod: JSON = [:], script: String = "exec sleep 1000") throws -> (
    keeper: TestKeeper, body: Assignment
  ) {
    let keeper = try TestKeeper()
    var spec: JSON = ["restartPolicy": "Never", "containers": [shell("main", script, more: more)]]
    for (key, value) in pod.objectValue ?? JSONObject() { spec[key] = value }
    let body = keeper.assignment(1, spec)
    try keeper.start(body)
    #expect(keeper.wait { keeper.status(1)?.containers.first?.state.isRunning == true })
    return (keeper, body)
  }

  @Test("a program of the host sees the pod's processes and volumes; its log, its end and its exec are its own")
  func hostProgram() throws {
    let mounts: JSON = [["name": "work", "mountPath": "/work"]]
    let (keeper, body) = try running(
      ["volumeMounts": mounts], pod: ["volumes": [["name": "work", "emptyDir": [:]]]],
      script: "echo shared >/work/file; exec sleep 1000")
    let script = "pgrep -c -x sleep; cat /work/file; exit 3"
    try keeper.add(shell("dbg", script, mounts: mounts), to: body)
    #expect(keeper.said(1) == "1\nshared\n")
    #expect(keeper.added(1)?.termination?.exitCode == 3)
    #expect(keeper.status(1)?.phase == .running)
    try keeper.add(shell("dbg", script), to: body)
    try keeper.add(shell("two", "exec sleep 2000"), to: body)
    #expect(keeper.wait { keeper.added(1, "two")?.isRunning == true })
    let request = ExecRequest(attempt: 1, container: "two", arguments: ["true"], terminal: nil)
    let exec = try ContainerExec(loop: keeper.loop, paths: keeper.paths, request: request, streams: .init())
    var end: ExecEnd?
    exec.onEnd = { end = $0 }
    #expect(keeper.wait { end == .exited(code: 0) })
    #expect(keeper.added(1)?.termination?.exitCode == 3)
  }

  @Test("it has an input and a terminal as any container, among its target's processes too") func input() throws {
    let node = try ImageKeeper()
    let body = node.assignment(["name": "main", "image": "box", "command": ["/bin/sh", "-c", "sleep 1000; true"]])
    try node.start(body)
    let keeper = node.keeper
    #expect(keeper.wait { keeper.status(1)?.containers.first?.state.isRunning == true })
    let container: JSON = [
      "name": "dbg", "image": "box", "command": ["/bin/sh", "-c", "read line; echo \"got $line $TERM\"; ps"],
      "stdin": true, "tty": true, "targetContainerName": "main",
    ]
    try keeper.add(container, to: body, images: ["box": node.image])
    #expect(keeper.wait { keeper.added(1)?.isRunning == true })
    let input = try AttachedInput(
      loop: keeper.loop, paths: keeper.paths, request: InputRequest(attempt: 1, container: "dbg"))
    defer { input.close() }
    var answer: ExecReply?
    input.onAnswer = { answer = $0 }
    #expect(keeper.wait { answer == .input(ContainerInput(json: container)) })
    #expect(input.write(Array("it\r".utf8)))
    let said = keeper.said(1)
    #expect(said.hasPrefix("it\r\ngot it xterm\r\n") && said.contains("sleep 1000"), "\(said)")
  }

  @Test("with a target an image's container sees that one's processes and its files, without one its own alone")
  func target() throws {
    let node = try ImageKeeper()
    let body = node.assignment([
      "name": "main", "image": "box", "command": ["/bin/sh", "-c", "echo secret >/tmp/note; sleep 1000; true"],
    ])
    try node.start(body)
    let keeper = node.keeper
    #expect(keeper.wait { keeper.status(1)?.containers.first?.state.isRunning == true })
    func container(_ name: String, _ script: String, target: String? = nil) -> JSON {
      var json: JSON = ["name": .string(name), "image": "box", "command": ["/bin/sh", "-c", .string(script)]]
      if let target { json["targetContainerName"] = .string(target) }
      return json
    }
    let look = "while [ ! -s /proc/1/root/tmp/note ]; do sleep 0.01; done; cat /proc/1/root/tmp/note; ps; hostname"
    try keeper.add(container("dbg", look, target: "main"), to: body, images: ["box": node.image])
    let said = keeper.said(1)
    #expect(said.hasPrefix("secret\n") && said.contains("sleep 1000") && said.hasSuffix("pod-1\n"), "\(said)")
    #expect(!said.contains("stint") && !said.contains("NodeHarness"), "\(said)")
    try keeper.add(container("own", "ps"), to: body, images: ["box": node.image])
    #expect(!keeper.said(1, "own").contains("sleep 1000"))
    // What is started in it later is among the same processes, and none of them holds what is the node's.
    try keeper.add(container("stays", "exec sleep 2000", target: "main"), to: body, images: ["box": node.image])
    #expect(keeper.wait { keeper.added(1, "stays")?.isRunning == true })
    let request = ExecRequest(
      attempt: 1, container: "stays", arguments: ["/bin/sh", "-c", "ps; ls /proc/self/fd | wc -l"], terminal: nil)
    let exec = try ContainerExec(loop: keeper.loop, paths: keeper.paths, request: request, streams: .init())
    var (end, output): (ExecEnd?, String) = (nil, "")
    exec.onBytes = { output += String(decoding: $1, as: UTF8.self) }
    exec.onEnd = { end = $0 }
    #expect(keeper.wait { end != nil })
    #expect(output.contains("sleep 1000") && output.contains("sleep 2000"), "\(output)")
    let mark = processes(with: "sleep\0" + "2000")
    #expect(mark.count == 1)
    if let pid = mark.first {
      let open = ((try? Files.list("/proc/\(pid)/fd")) ?? []).compactMap { Int($0) }
      #expect(open.sorted() == [0, 1, 2])
    }
    // Its target's first process takes it along: the namespace is that one's.
    keeper.send(.stop(1, graceMilliseconds: 0))
    #expect(keeper.waitForEnd(1) != nil)
    #expect(processes(with: "sleep\0" + "2000").isEmpty)
  }

  @Test("the end of its target is the end of it, and the pod's other containers go on") func targetEnds() throws {
    let node = try ImageKeeper()
    let keeper = node.keeper
    let stop = "\(keeper.scratch.path)/stop"
    let body = node.assignment(
      [
        "name": "main", "image": "box", "command": ["/bin/sh", "-c", "while [ ! -e /host/stop ]; do sleep 0.02; done"],
        "volumeMounts": [["name": "host", "mountPath": "/host"]],
      ],
      [
        "volumes": [["name": "host", "hostPath": ["path": .string(keeper.scratch.path)]]],
        "terminationGracePeriodSeconds": 1,
        "initContainers": [
          ["name": "side", "image": "box", "restartPolicy": "Always", "command": ["/bin/sh", "-c", "sleep 1000"]]
        ],
      ])
    try node.start(body)
    #expect(keeper.wait { keeper.status(1)?.containers.first?.state.isRunning == true })
    let container: JSON = [
      "name": "dbg", "image": "box", "command": ["/bin/sh", "-c", "exec sleep 3000"], "targetContainerName": "main",
    ]
    try keeper.add(container, to: body, images: ["box": node.image])
    #expect(keeper.wait { keeper.added(1)?.isRunning == true })
    try Files.writeAtomically(stop, [], mode: 0o644)
    #expect(keeper.waitForEnd(1)?.phase == .succeeded)
    #expect(keeper.added(1)?.termination != nil)
    #expect(processes(with: "sleep\0" + "3000").isEmpty)
  }

  @Test("it holds up no end of its pod, and nothing of it outlives the pod, its keeper's death included") func ends()
    throws
  {
    let mark = "\(9_000_000 + Int(getpid()))"
    let (keeper, body) = try running(script: "until [ -e /tmp/\(mark) ]; do sleep 0.02; done; exit 0")
    try keeper.add(
      shell("dbg", "trap '' TERM; (setsid sleep \(mark) &); while :; do sleep \(mark); done"), to: body)
    #expect(keeper.wait { processes(with: "sleep\0\(mark)").count == 2 })
    defer { unlink("/tmp/\(mark)") }
    try Files.writeAtomically("/tmp/\(mark)", [], mode: 0o644)
    let status = keeper.waitForEnd(1, seconds: 10)
    #expect(status?.phase == .succeeded && status?.ephemeralContainers.first?.state.termination?.exitCode == 137)
    #expect(processes(with: "sleep\0\(mark)").isEmpty)
    let again = keeper.assignment(2, ["restartPolicy": "Never", "containers": [shell("main", "exec sleep 1000")]])
    try keeper.start(again)
    #expect(keeper.wait { keeper.status(2)?.containers.first?.state.isRunning == true })
    try keeper.add(shell("dbg", "exec sleep \(mark)"), to: again)
    #expect(keeper.wait { keeper.added(2)?.isRunning == true })
    keeper.child.signal(SIGKILL)
    #expect(eventually { processes(with: "sleep\0\(mark)").isEmpty })
  }

  @Test("it counts in the pod's limits: its cgroup is below the pod's own") func limits() throws {
    let (keeper, body) = try running(["resources": ["limits": ["memory": "64Mi"]]])
    guard keeper.limits?.memory == true else { return }
    try keeper.add(shell("dbg", "grep -E '^(0:|.*memory)' /proc/self/cgroup"), to: body)
    let own = keeper.said(1)
    #expect(own.contains("/pod-"), "\(own)")
  }

  @Test("under a frozen pod it stands still, and one that comes then begins once the pod goes on") func frozen() throws
  {
    let keeper = try TestKeeper()
    let body = keeper.assignment(
      1, ["restartPolicy": "Never", "containers": [shell("main", "exec sleep 1000")]], tolerationMilliseconds: 500)
    try keeper.start(body, leaseMilliseconds: 1_500)
    #expect(keeper.wait { keeper.status(1)?.containers.first?.state.isRunning == true })
    #expect(keeper.wait { keeper.reports[1]?.frozen == true })
    try keeper.add(shell("dbg", "echo after"), to: body)
    #expect(keeper.wait { keeper.added(1) != nil })
    if case .waiting = keeper.added(1) {} else { Issue.record("\(keeper.added(1).debugDescription)") }
    keeper.send(.renew(leaseEnd: keeper.leaseEnd(in: 60_000), attempts: [1]))
    keeper.send(.thaw(1))
    #expect(keeper.said(1) == "after\n")
  }
}

@Suite("containers that are added to pods of an agent without root", .enabled(if: isRoot, "changes its user"))
struct RootlessAdditionTests {
  @Test("bubblewrap's pods take them too") func rootless() throws {
    let keeper = try TestKeeper(KeeperSetting(asNobody: true))
    guard keeper.fencesFully else { return }
    let body = keeper.assignment(1, ["restartPolicy": "Never", "containers": [shell("main", "exec sleep 1000")]])
    try keeper.start(body)
    #expect(keeper.wait { keeper.status(1)?.containers.first?.state.isRunning == true })
    var container = shell("dbg", "id -u; pgrep -c -x sleep")
    container["targetContainerName"] = "main"
    try keeper.add(container, to: body)
    #expect(keeper.said(1) == "65534\n1\n")
  }
}
