// Owns: tests of pods with users of their own (`hostUsers: false`), on a real keeper: what they are from inside and
// from the host, what is theirs and what is not, and what is started in them later.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import NodeAgent

@Suite("pods with users of their own", .enabled(if: isRoot, "needs root")) struct OwnUsersTests {
  private static let own: JSON = ["hostUsers": false]

  private static func with(_ more: JSON) -> JSON {
    var result = own
    for (key, value) in more.objectValue ?? JSONObject() { result[key] = value }
    return result
  }

  /// Who runs the process, and its user namespace, as the host sees it.
  private func host(_ mark: String) -> (user: UInt32, namespace: String)? {
    var status = stat()
    guard let pid = processes(with: "sleep\0\(mark)").first, stat("/proc/\(pid)", &status) == 0 else { return nil }
    var buffer = [CChar](repeating: 0, count: 64)
    readlink("/proc/\(pid)/ns/user", &buffer, buffer.count - 1)
    return (status.st_uid, String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self))
  }

  private func running(
    _ node: ImageKeeper, _ container: JSON = [:], pod: JSON = [:], mark: String, tolerationMilliseconds: Int64? = nil
  ) throws -> Assignment {
    let script = "echo secret >/tmp/note; sleep \(mark); true"
    var whole: JSON = ["name": "main", "image": "box", "command": ["/bin/sh", "-c", .string(script)]]
    for (key, value) in container.objectValue ?? JSONObject() { whole[key] = value }
    var body = node.assignment(whole, Self.with(pod))
    if let tolerationMilliseconds { body.tolerationMilliseconds = tolerationMilliseconds }
    try node.start(body, leaseMilliseconds: tolerationMilliseconds == nil ? 60_000 : 1_000)
    let keeper = node.keeper
    #expect(
      keeper.wait { !processes(with: "sleep\0\(mark)").isEmpty },
      "\(keeper.status(body.attempt)?.containers.first?.state.termination.debugDescription ?? "")")
    return body
  }

  @Test("root inside is root of 65,536 ids that are nobody's outside, and of no two pods") func ids() throws {
    let node = try ImageKeeper()
    let show = "id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map"
    let (end, said) = try node.run(show, pod: Self.own)
    #expect(end?.exitCode == 0, "\(end.debugDescription)")
    let words = said.split { $0 == " " || $0 == "\n" }.map(String.init)
    #expect(words.count == 8 && words.prefix(2) == ["0", "0"] && words[2] == "0" && words[4] == "65536", "\(said)")
    #expect(words.count == 8 && words[3] == words[6] && (Int(words[3]) ?? 0) >= 0x7000_0000, "\(said)")
    let mark = "51\(getpid())"
    _ = try running(node, mark: "\(mark)1")
    _ = try running(node, ["securityContext": ["runAsUser": 1000]], mark: "\(mark)2")
    let (first, second) = (try #require(host("\(mark)1")), try #require(host("\(mark)2")))
    #expect(first.user % 65_536 == 0 && second.user % 65_536 == 1000 && first.user / 65_536 != second.user / 65_536)
    #expect(first.user >= 0x7000_0000 && second.user >= 0x7000_0000 && first.namespace != second.namespace)
    var mine = [CChar](repeating: 0, count: 64)
    readlink("/proc/self/ns/user", &mine, mine.count - 1)
    #expect(first.namespace != String(decoding: mine.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self))
    // Who does not ask for it stays with the host's.
    #expect(try node.run("cat /proc/self/uid_map").1.split(separator: " ").last == "4294967295\n")
  }

  @Test("files of the image, of volumes and of what the node writes are the pod's own; on the disk they are as ever")
  func files() throws {
    let node = try ImageKeeper()
    let layer = "\(node.keeper.paths.layers)/high"
    try Files.writeAtomically("\(layer)/etc/app", Array("app\n".utf8), mode: 0o600)
    chown("\(layer)/etc/app", 1000, 2000)
    let shared = "\(node.keeper.scratch.path)/shared"
    try Files.makeDirectory(shared, mode: 0o755)
    try Files.writeAtomically("\(shared)/old", Array("old\n".utf8), mode: 0o600)
    let written: JSON = ["items": [["path": "name", "mode": 0o400, "fieldRef": ["fieldPath": "metadata.name"]]]]
    let pod: JSON = [
      "securityContext": ["fsGroup": 777],
      "volumes": [
        ["name": "disk", "emptyDir": [:]], ["name": "memory", "emptyDir": ["medium": "Memory"]],
        ["name": "name", "downwardAPI": written], ["name": "host", "hostPath": ["path": .string(shared)]],
      ],
    ]
    let container: JSON = [
      "volumeMounts": [
        ["name": "disk", "mountPath": "/made/disk"], ["name": "memory", "mountPath": "/memory"],
        ["name": "name", "mountPath": "/name"], ["name": "host", "mountPath": "/shared"],
      ], "workingDir": "/made/for/me", "terminationMessagePath": "/end",
    ]
    let script = """
      cat /name/name /shared/old /etc/app >/dev/null && echo read
      touch /made/disk/new /memory/new /shared/new /etc/new /made/for/me/new; echo more >>/etc/app; echo bye >/end
      echo x >>/etc/hosts; busybox chown 1000:2000 /shared/new
      busybox stat -c '%n %u:%g' / /etc/motd /etc/app /etc/new /made /made/disk/new /memory/new /name/name /shared/old \
        /shared/new /made/for/me/new /etc/hosts /dev /dev/shm
      """
    let (end, said) = try node.run(script, container, pod: Self.with(pod))
    #expect(end?.exitCode == 0 && end?.message == "bye\n", "\(said) \(end.debugDescription)")
    let expected = [
      "/ 0:0", "/etc/motd 0:0", "/etc/app 1000:2000", "/etc/new 0:0", "/made 0:0", "/made/disk/new 0:777",
      "/memory/new 0:777", "/name/name 0:777", "/shared/old 0:0", "/shared/new 1000:2000", "/made/for/me/new 0:0",
      "/etc/hosts 0:0", "/dev 0:0", "/dev/shm 0:0",
    ]
    #expect(said == "read\n" + expected.joined(separator: "\n") + "\n")
    #expect(text("\(layer)/etc/app") == "app\n")
    var facts = stat()
    #expect(stat("\(shared)/new", &facts) == 0 && facts.st_uid == 1000 && facts.st_gid == 2000)
    #expect(eventually { ((try? Files.list(node.keeper.paths.roots)) ?? []).isEmpty })
  }

  @Test(
    "what is the host's is refused to root inside, whatever it is capable of",
    arguments: [
      ("echo 1 >/proc/sys/kernel/panic", "ermission denied"), ("touch /sys/x", "ermission denied"),
      ("busybox mknod /tmp/disk b 254 0", "Operation not permitted"), ("echo x >/dev/kmsg", "ermission denied"),
      ("busybox chmod 0600 /dev/null", "Operation not permitted"), ("busybox date -s 2030-01-01", "not permitted"),
      ("busybox umount /sys", "Invalid argument"), ("busybox dmesg -c", "Operation not permitted"),
      ("echo -900 >/proc/self/oom_score_adj", "ermission denied"),
    ])
  func forbidden(script: String, message: String) throws {
    let node = try ImageKeeper()
    let (_, said) = try node.run("(\(script)) 2>&1", ["securityContext": ["privileged": true]], pod: Self.own)
    #expect(said.contains(message), "\(said)")
  }

  @Test("what is the pod's own it may change with the capabilities for it, and what hides the host stays where it is")
  func allowed() throws {
    let node = try ImageKeeper()
    let script = "hostname mine && hostname; mount -t tmpfs none /tmp && touch /tmp/x && echo mounted"
    let privileged: JSON = ["securityContext": ["privileged": true]]
    #expect(try node.run(script, privileged, pod: Self.own).1 == "mine\nmounted\n")
    let admin: JSON = ["securityContext": ["capabilities": ["add": ["SYS_ADMIN"]]]]
    let uncover = "busybox umount /proc/keys 2>&1; cat /proc/keys | wc -c"
    #expect(try node.run(uncover, admin, pod: Self.own).1 == "umount: can't unmount /proc/keys: Invalid argument\n0\n")
    // Less than the usual ones are less in here too.
    let script2 = "hostname other 2>&1; busybox chown 5 /etc/motd 2>&1 && echo owned"
    let said = try node.run(script2, pod: Self.own).1
    #expect(said.contains("Operation not permitted") && said.hasSuffix("owned\n"), "\(said)")
    let dropped: JSON = ["securityContext": ["capabilities": ["drop": ["ALL"]]]]
    #expect(try node.run("busybox chown 5 /etc/motd 2>&1", dropped, pod: Self.own).1.contains("not permitted"))
    // Nothing of /proc is hidden where it says so.
    let unmasked: JSON = ["securityContext": ["procMount": "Unmasked"]]
    let kept = "busybox mount | busybox grep -c ' /proc/'; (echo 1 >/proc/sys/kernel/panic) 2>&1"
    let free = try node.run(kept, unmasked, pod: Self.own).1
    #expect(free.hasPrefix("0\n") && free.contains("ermission denied"), "\(free)")
  }

  @Test("containers of a pod have the same users; streams and memory are theirs, with shared processes too")
  func shared() throws {
    let node = try ImageKeeper()
    let first: JSON = [
      "name": "first", "image": "box", "command": ["sh", "-c", "readlink /proc/self/ns/user >/dev/shm/word"],
    ]
    let script = """
      cat /dev/shm/word; readlink /proc/self/ns/user; echo out >/dev/stdout; echo err >/dev/stderr; id -u
      busybox kill -0 1 && echo sees; exec sleep 0
      """
    for user in [0, 1000] {
      let (end, said) = try node.run(
        script, ["securityContext": ["runAsUser": .int(Int64(user))]],
        pod: Self.with(["initContainers": [first], "shareProcessNamespace": .bool(user == 0)]))
      let lines = said.split(separator: "\n").map(String.init)
      #expect(end?.exitCode == 0 && lines.count >= 5 && lines.first?.hasPrefix("user:[") == true, "\(said)")
      #expect(lines.first == lines.dropFirst().first && lines.contains("out") && lines.contains("err"), "\(said)")
      #expect(lines.contains("\(user)"), "\(said)")
    }
    // Its process 1 is the node's: nobody in there may stop it or look into it.
    let script2 = "kill -9 1; ls /proc/1/root/; cat /proc/1/environ; ls /proc/1/fd/; cat /proc/1/maps; echo on"
    let said = try node.run(
      "(\(script2)) 2>&1", ["securityContext": ["privileged": true]], pod: Self.with(["shareProcessNamespace": true])
    ).1
    let lines = said.split(separator: "\n")
    #expect(lines.count == 6 && lines.last == "on", "\(said)")
    #expect(lines.dropLast().allSatisfy { $0.contains("not permitted") || $0.contains("ermission denied") }, "\(said)")
  }

  @Test("streams of users that are not root can be opened by name") func streams() throws {
    let node = try ImageKeeper()
    let said = try node.run("echo err >/dev/stderr", ["securityContext": ["runAsUser": 1000]]).1
    #expect(said == "err\n")
  }

  @Test("what is started in a container later is one of its users too, with a terminal of theirs") func exec() throws {
    let node = try ImageKeeper()
    let mark = "52\(getpid())"
    let body = try running(node, ["securityContext": ["runAsUser": 1000]], mark: mark)
    let keeper = node.keeper
    let script = "id -u; readlink /proc/self/ns/user; cat /tmp/note; echo err >/dev/stderr"
    let first = try Running(keeper, ["/bin/sh", "-c", script], attempt: body.attempt)
    #expect(first.finish() == .exited(code: 0))
    let facts = try #require(host(mark))
    #expect(first.output == "1000\n\(facts.namespace)\nsecret\n" && first.errors == "err\n", "\(first.output)")
    let terminal = try Running(
      keeper, ["/bin/sh", "-c", "busybox stat -c %u $(busybox tty); echo x >$(busybox tty)"], attempt: body.attempt,
      terminal: TerminalSize(columns: 80, rows: 24))
    #expect(terminal.finish() == .exited(code: 0) && terminal.output == "1000\r\nx\r\n", "\(terminal.output)")
    let none = try Running(keeper, ["/bin/none"], attempt: body.attempt)
    guard case .failed = none.finish() else { return #expect(Bool(false), "\(none.end.debugDescription)") }
  }

  @Test("a container that is added has the pod's users, and sees into its target") func added() throws {
    let node = try ImageKeeper()
    let mark = "53\(getpid())"
    let body = try running(node, mark: mark)
    let keeper = node.keeper
    let look = "cat /proc/1/root/tmp/note; readlink /proc/self/ns/user; readlink /proc/1/ns/user; id -u"
    let container: JSON = [
      "name": "dbg", "image": "box", "command": ["/bin/sh", "-c", .string(look)], "targetContainerName": "main",
    ]
    try keeper.add(container, to: body, images: ["box": node.image])
    let space = try #require(host(mark)).namespace
    // A disk that is slow to take the log does not hold up the word of the end.
    let wanted = "secret\n\(space)\n\(space)\n0\n"
    let said = keeper.said(body.attempt)
    #expect(keeper.wait { keeper.log(body.attempt, "dbg") == wanted }, "\(said)")
  }

  @Test(
    "it is frozen at its deadline, thawed and stopped like any other, and everything in it ends with its keeper",
    arguments: [[], ["--no-cgroups"]])
  func ends(freezer: [String]) throws {
    let node = try ImageKeeper(KeeperSetting(arguments: freezer))
    let keeper = node.keeper
    let mark = "5\(4 + freezer.count)\(getpid())"
    let stopped = try running(node, mark: "\(mark)1", tolerationMilliseconds: 300)
    #expect(keeper.wait { keeper.reports[stopped.attempt]?.frozen == true })
    if !freezer.isEmpty {
      let states = processes(with: "sleep\0\(mark)1").map { text("/proc/\($0)/stat") }
      #expect(!states.isEmpty && states.allSatisfy { $0.contains(") T ") }, "\(states)")
    }
    keeper.send(.renew(leaseEnd: keeper.leaseEnd(in: 60_000), attempts: [stopped.attempt]))
    keeper.send(.thaw(stopped.attempt))
    #expect(keeper.wait { keeper.reports[stopped.attempt]?.frozen == false })
    keeper.send(.stop(stopped.attempt, graceMilliseconds: 0))
    #expect(keeper.waitForEnd(stopped.attempt)?.containers.first?.state.termination?.exitCode == 137)
    #expect(processes(with: "sleep\0\(mark)1").isEmpty)
    _ = try running(node, pod: ["shareProcessNamespace": true], mark: "\(mark)2")
    _ = try running(node, mark: "\(mark)3")
    keeper.child.signal(SIGKILL)
    #expect(eventually { processes(with: "sleep\0\(mark)").isEmpty })
  }

  @Test("an id that the pod does not have, or a node that has none to give, is an error that says so")
  func refused() throws {
    let node = try ImageKeeper()
    let (end, _) = try node.run("id", ["securityContext": ["runAsUser": 65_536]], pod: Self.own)
    #expect(end?.message.contains("user or group 65536 is none of the pod's 65536") == true, "\(end.debugDescription)")
    let one = try ImageKeeper(KeeperSetting(podUser: "nobody"))
    #expect(try one.run("id", pod: Self.own).0?.message.contains("--pod-user") == true)
    let plain = try ImageKeeper(KeeperSetting(asNobody: true))
    #expect(try NodeAgentTests.run("/bin/chown", "-R", "65534:65534", plain.keeper.data))
    let none = try plain.run("id", pod: Self.own).0?.message ?? ""
    #expect(none.contains("the agent of this node is not root"), "\(none)")
  }
}
