// What a node's disk does not give or take: a start says so, a removal is tried again.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import NodeAgent

@Suite("A disk's refusals are told and tried again")
struct DiskTroubleTests {
  @Test("a termination message's file that cannot be made fails the container's start, and names the path")
  func terminationFile() throws {
    let scratch = try Scratch()
    let paths = NodePaths(data: scratch.path)
    let files = try TerminationFiles(paths)
    let container = PodPlan.Container(
      name: "main", image: "", arguments: ["true"], environment: [], workingDirectory: "/", mounts: [],
      isSidecar: false, terminationMessagePath: "/usr/message", fallsBackToLogs: false)
    try Files.removeTree(paths.messages)
    while files.spare(for: container) != nil {}
    #expect {
      try files.take(for: container)
    } throws: { error in
      let text = (error as? IOError)?.description ?? ""
      return text.hasPrefix("make the termination message's file \(paths.messages)/") && text.contains("No such file")
    }
    var unwanted = container
    unwanted.terminationMessagePath = ""
    #expect(try files.take(for: unwanted) == nil)
  }

  @Test("a termination message's file that its container has marked is no hindrance for the next", .enabled(if: isRoot))
  func markedTerminationFile() throws {
    let scratch = try Scratch()
    let files = try TerminationFiles(NodePaths(data: scratch.path))
    let container = PodPlan.Container(
      name: "main", image: "", arguments: ["true"], environment: [], workingDirectory: "/", mounts: [],
      isSidecar: false, terminationMessagePath: "/usr/message", fallsBackToLogs: false)
    for isEmpty in [true, false] {
      let path = try #require(try files.take(for: container))
      _ = try run("/usr/bin/env", "chattr", "+i", path)
      files.giveBack(path, isEmpty: isEmpty)
      #expect(Files.exists(path) == isEmpty)
      let descriptor = open(path, O_WRONLY | O_CLOEXEC)
      #expect((descriptor >= 0) == isEmpty, "it can be written")
      close(descriptor)
    }
  }

  @Test(
    "a disk that became read-only takes no writes, one that is full or has lost the directory still answers",
    .enabled(if: isRoot))
  func readOnly() throws {
    let scratch = try Scratch()
    let path = "\(scratch.path)/probe"
    #expect(try run("/bin/mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", scratch.path))
    defer { _ = try? run("/bin/umount", "-l", scratch.path) }
    #expect(DiskProbe.takesWrites(path))
    try? Files.writeAtomically("\(scratch.path)/filler", Array(repeating: 7, count: 1 << 20))
    #expect(DiskProbe.takesWrites(path) && DiskProbe.takesWrites("\(scratch.path)/nowhere/probe"))
    #expect(try run("/bin/mount", "-o", "remount,ro", scratch.path))
    #expect(!DiskProbe.takesWrites(path) && !DiskProbe.takesWrites("\(scratch.path)/another"))
    #expect(try run("/bin/mount", "-o", "remount,rw", scratch.path))
    #expect(DiskProbe.takesWrites(path))
  }

  @Test("what a node is short of is kept for the next agent of the same boot, until it is over")
  func pressures() throws {
    let scratch = try Scratch()
    let path = "\(scratch.path)/agent.json"
    let boot = try Files.readLine("/proc/sys/kernel/random/boot_id")
    var memory = try AgentMemory(path: path)
    memory.remember(pressures: [.disk, .memory])
    memory.remember(incarnation: 7, mark: "m", cluster: "c")
    #expect(try AgentMemory(path: path).pressures(inBoot: boot) == [.disk, .memory])
    #expect(try AgentMemory(path: path).pressures(inBoot: "another") == [])
    #expect(try AgentMemory(path: path).highestIncarnation == 7)
    memory.remember(pressures: [])
    #expect(try AgentMemory(path: path).pressures(inBoot: boot) == [])
  }

  @Test("nothing is made at the path of a data directory that was moved away; moved back, all goes on")
  func movedAway() throws {
    let scratch = try Scratch()
    let paths = NodePaths(data: "\(scratch.path)/data")
    for path in [paths.pods, paths.tokens, paths.logs] { try Files.makeDirectory(path) }
    let worker = try PreparationWorker(
      paths: paths, node: "n", address: "127.0.0.1",
      capacity: NodeCapacity(cpuMillicores: 1_000, memoryBytes: 1 << 30, pods: 1))
    let loop = try EventLoop()
    var events: [AgentEvent] = []
    try worker.attach(to: loop) { events.append($0) }
    func prepared(_ number: Int64) throws -> AgentEvent? {
      let spec = PodSpec(json: [
        "volumes": [["name": "v", "emptyDir": [:]]],
        "containers": [["name": "main", "command": ["true"], "volumeMounts": [["name": "v", "mountPath": "/v"]]]],
      ])
      let assignment = Assignment(
        attempt: number, keeper: "k", session: "s", namespace: "default", podName: "p", podUID: "u", labels: [:],
        annotations: [:], spec: spec, references: JSONObject(), tolerationMilliseconds: nil)
      if let event = worker.prepare(assignment, number: number, images: [:]) { return event }
      events = []
      let end = Clocks.boot() + 20_000_000_000
      while events.isEmpty, Clocks.boot() < end { try loop.runOnce(timeoutMilliseconds: 100) }
      return events.first
    }
    #expect(rename(paths.data, "\(scratch.path)/elsewhere") == 0)
    for isNoticed in [false, true] {
      worker.isDisplaced = isNoticed
      guard case .preparationFailed(_, _, _, _, let message, let isRetryable)? = try prepared(1) else {
        Issue.record("it was prepared")
        return
      }
      #expect(isRetryable && message.contains("\(paths.data) was moved away, deleted or replaced: nothing new is made"))
    }
    let log = LogFile(directory: paths.logs(1, container: "main"), restart: 0)
    var batch = LogBatch()
    Array("lost\n".utf8).withUnsafeBytes { batch.add($0, wall: 0) }
    log.write(batch)
    #expect(!Files.exists(paths.data), "a directory was made at the old path")
    #expect(rename("\(scratch.path)/elsewhere", paths.data) == 0)
    worker.isDisplaced = false
    guard case .prepared? = try prepared(2) else {
      Issue.record("it was not prepared")
      return
    }
    worker.stop()
  }

  @Test("volumes that could not be removed are told, and removed with the next ones", .enabled(if: isRoot))
  func cleanUp() throws {
    let scratch = try Scratch()
    let paths = NodePaths(data: scratch.path)
    let busy = "\(paths.pod(1))/volumes/v/busy"
    for path in [busy, "\(paths.pod(2))/volumes", "\(paths.pod(3))/volumes"] { try Files.makeDirectory(path) }
    guard try run("/bin/mount", "-t", "tmpfs", "tmpfs", busy) else { return }
    defer { umount(busy) }
    let worker = try PreparationWorker(
      paths: paths, node: "n", address: "127.0.0.1",
      capacity: NodeCapacity(cpuMillicores: 1_000, memoryBytes: 1 << 30, pods: 1))
    let loop = try EventLoop()
    var told: [String] = []
    try worker.attach(to: loop) { if case .leftBehind(let words) = $0 { told.append(words) } }
    func wait(_ what: String, until isTrue: () -> Bool) throws {
      let end = Clocks.boot() + 20_000_000_000
      while !isTrue(), Clocks.boot() < end { try loop.runOnce(timeoutMilliseconds: 100) }
      #expect(isTrue(), "\(what)")
    }
    worker.cleanUp(1)
    try wait("it is told") { told.count == 1 }
    #expect(told.first?.hasPrefix("1 directory of ended pods could not be removed: remove \(paths.pod(1))/") == true)
    worker.cleanUp(2)
    try wait("the next goes") { !Files.exists(paths.pod(2)) }
    #expect(Files.exists(busy))
    umount(busy)
    worker.cleanUp(3)
    try wait("both go") { !Files.exists(paths.pod(3)) && !Files.exists(paths.pod(1)) }
    try wait("that is told too") { told.count == 2 }
    #expect(told.last == "")
    worker.stop()
  }
}
