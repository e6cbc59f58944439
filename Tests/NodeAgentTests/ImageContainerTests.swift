// Owns: tests of containers that run in an image's root, on a real keeper: each looks from inside the container, and
// those of what is forbidden try it there.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import NodeAgent

/// A keeper whose node has one image, `box`: busybox in two layers.
final class ImageKeeper {
  let keeper: TestKeeper
  var configuration = ImageConfiguration(environment: ["PATH=/bin:/usr/bin", "FROM=image"])
  private var attempt: AttemptNumber = 0

  init(_ setting: KeeperSetting = KeeperSetting()) throws {
    keeper = try TestKeeper(setting)
    let layers = keeper.paths.layers
    for name in ["low", "low/bin", "low/etc", "low/tmp", "high", "high/etc"] {
      try Files.makeDirectory("\(layers)/\(name)", mode: 0o755)
      chmod("\(layers)/\(name)", 0o755)
    }
    chmod("\(layers)/low/tmp", 0o1777)
    try NodeAgentTests.run("/bin/cp", "/bin/busybox", "\(layers)/low/bin/busybox")
    for name in [
      "sh", "cat", "ls", "id", "sleep", "touch", "mknod", "mount", "unshare", "hostname", "kill", "ps", "wc", "grep",
      "readlink",
    ] {
      symlink("busybox", "\(layers)/low/bin/\(name)")
    }
    try Files.writeAtomically("\(layers)/low/etc/motd", Array("low\n".utf8), mode: 0o644)
    try Files.writeAtomically("\(layers)/high/etc/motd", Array("high\n".utf8), mode: 0o644)
    try Files.writeAtomically("\(layers)/low/etc/gone", Array("low\n".utf8), mode: 0o644)
    mknod("\(layers)/high/etc/gone", mode_t(S_IFCHR), 0)
  }

  var image: PlacedImage {
    let record = ImageRecord(
      id: "sha256:box", layers: ["sha256:low", "sha256:high"], configuration: configuration,
      passwd: "root:x:0:0::/root:/bin/sh\napp:x:1000:2000::/home/app:/bin/sh\n",
      group: "root:x:0:\nstaff:x:2000:\nextra:x:3000:app\n")
    return PlacedImage(record: record, directories: ["low", "high"])
  }

  func assignment(_ container: JSON, _ more: JSON = [:]) -> Assignment {
    attempt += 1
    var spec: JSON = ["restartPolicy": "Never", "containers": [container]]
    for (key, value) in more.objectValue ?? JSONObject() { spec[key] = value }
    return keeper.assignment(attempt, spec)
  }

  func start(_ assignment: Assignment, leaseMilliseconds: Int64 = 60_000) throws {
    try keeper.start(assignment, leaseMilliseconds: leaseMilliseconds, images: ["box": image])
  }

  /// Runs a script in the image; its end and what it said.
  func run(_ script: String, _ container: JSON = [:], pod: JSON = [:]) throws -> (ContainerState.Termination?, String) {
    var whole: JSON = ["name": "main", "image": "box", "command": ["/bin/sh", "-c", .string(script)]]
    for (key, value) in container.objectValue ?? JSONObject() { whole[key] = value }
    return try finish(assignment(whole, pod))
  }

  func finish(_ assignment: Assignment) throws -> (ContainerState.Termination?, String) {
    try start(assignment)
    let end = keeper.waitForEnd(assignment.attempt)?.containers.first?.state.termination
    return (end, keeper.log(assignment.attempt))
  }
}

@Suite("containers of images", .enabled(if: isRoot, "needs root")) struct ImageContainerTests {
  @Test("the root is the image's, upper layers over lower ones; what is changed in it is gone with the run")
  func root() throws {
    let node = try ImageKeeper()
    let (end, said) = try node.run("cat /etc/motd; ls -a / /etc; echo changed >/etc/motd; touch /new; cat /etc/motd")
    #expect(end?.exitCode == 0, "\(end.debugDescription)")
    #expect(said.hasPrefix("high\n"))
    #expect(said.hasSuffix("changed\n"))
    #expect(!said.contains("gone") && !said.contains("home") && !said.contains("usr"), "\(said)")
    #expect(try node.run("cat /etc/motd; ls /").1.hasPrefix("high\nbin\ndev\netc\nproc\nsys\ntmp\n"))
    #expect(text("\(node.keeper.paths.layers)/high/etc/motd") == "high\n")
    #expect(!Files.exists("\(node.keeper.paths.layers)/high/proc"))
    #expect(eventually { ((try? Files.list(node.keeper.paths.roots)) ?? []).isEmpty })
  }

  /// The number of the file system that is its root, which no other has while it lives.
  private static let device =
    "while read -r a b dev c point rest; do [ \"$point\" = / ] && echo $dev; done </proc/self/mountinfo"

  @Test("a root that was not changed goes on to the next container, but not to one of another namespace or image")
  func reuse() throws {
    let node = try ImageKeeper()
    func device(_ namespace: String, _ more: JSON = [:]) throws -> String {
      var container: JSON = ["name": "main", "image": "box", "command": ["/bin/sh", "-c", .string(Self.device)]]
      for (key, value) in more.objectValue ?? JSONObject() { container[key] = value }
      var assignment = node.assignment(container)
      assignment.namespace = namespace
      return try node.finish(assignment).1
    }
    let first = try device("one")
    #expect(!first.isEmpty)
    #expect(try device("one") == first)
    let others = [
      try device("two"), try device("one", ["securityContext": ["privileged": true]]),
      try device("one", ["securityContext": ["capabilities": ["add": ["LINUX_IMMUTABLE"]]]]),
      try device("one", ["securityContext": ["readOnlyRootFilesystem": true]]),
      try device("one", ["workingDir": "/made"]),
    ]
    #expect(!others.contains(first), "\(others)")
    #expect(try device("one") == first)
    // An image that was removed and fetched again has other directories of the same names.
    let layers = node.keeper.paths.layers
    try NodeAgentTests.run("/bin/cp", "-a", "\(layers)/high", "\(layers)/again")
    try Files.removeTree("\(layers)/high")
    rename("\(layers)/again", "\(layers)/high")
    try Files.writeAtomically("\(layers)/high/etc/motd", Array("new\n".utf8), mode: 0o644)
    #expect(try node.run("cat /etc/motd").1 == "new\n")
  }

  @Test(
    "nothing that a container does to its root is there for the next one",
    arguments: [
      "touch /new", "rm /etc/motd", "chmod 700 /", "chown 7 /", "touch /new; rm /new", "chmod 777 /etc",
      "echo x >>/etc/hosts.equiv", "mv /tmp /pmt",
    ])
  func changes(script: String) throws {
    let node = try ImageKeeper()
    let look = "ls -ldn / /etc; ls -a / /etc; cat /etc/motd; cat /etc/hosts.equiv; echo ok"
    let before = try node.run(look).1
    #expect(before.hasSuffix("ok\n"))
    let (end, said) = try node.run(script)
    #expect(end?.exitCode == 0, "\(said)")
    #expect(try node.run(look).1 == before)
  }

  @Test("two containers at once have a root each") func sharing() throws {
    let node = try ImageKeeper()
    let assignments = (0..<3).map { _ in
      node.assignment([
        "name": "main", "image": "box",
        "command": ["/bin/sh", "-c", "touch /mine; sleep 1000"],
      ])
    }
    for assignment in assignments { try node.start(assignment) }
    for assignment in assignments {
      #expect(node.keeper.wait { node.keeper.status(assignment.attempt)?.containers.first?.state.isRunning == true })
    }
    #expect(try node.run("ls / | grep -c mine").1 == "0\n")
  }

  @Test("it is process 1 and sees no other; with shareProcessNamespace it sees the pod's") func processes() throws {
    let node = try ImageKeeper()
    let own = try node.run("echo $$$$; echo /proc/[0-9]*").1
    #expect(own == "1\n/proc/1\n")
    let shared = try node.run("echo $$$$; ls -d /proc/1; sleep 0", pod: ["shareProcessNamespace": true]).1
    #expect(!shared.hasPrefix("1\n") && shared.hasSuffix("/proc/1\n"), "\(shared)")
  }

  @Test("what a container leaves running ends with its first process") func leftovers() throws {
    let node = try ImageKeeper()
    let mark = "\(4_000_000 + Int(getpid()))"
    let (end, said) = try node.run("(sleep \(mark) &); (setsid sleep \(mark) &) ; echo done")
    #expect(end?.exitCode == 0)
    #expect(said == "done\n")
    #expect(eventually { NodeAgentTests.processes(with: mark).isEmpty })
  }

  @Test("host name, /etc/hosts and /etc/resolv.conf are the pod's, as kubelet writes them") func network() throws {
    let node = try ImageKeeper()
    let aliases: JSON = [
      "hostname": "worker", "hostAliases": [["ip": "10.1.2.3", "hostnames": ["db", "db.local"]]],
      "dnsPolicy": "None",
      "dnsConfig": ["nameservers": ["9.9.9.9"], "searches": ["x.y"], "options": [["name": "ndots", "value": "2"]]],
    ]
    let (_, said) = try node.run(
      "hostname; cat /etc/hostname /etc/hosts /etc/resolv.conf; echo x >>/etc/hosts", pod: aliases)
    #expect(said.hasPrefix("worker\nworker\n# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"))
    #expect(said.contains("127.0.0.1\tworker\n\n# Entries added by HostAliases.\n10.1.2.3\tdb\tdb.local\n"))
    #expect(said.hasSuffix("search x.y\nnameserver 9.9.9.9\noptions ndots:2\n"))
    #expect(text("/proc/sys/kernel/hostname") != "worker\n")
  }

  @Test("the image's user runs it, with its groups; the manifest's numbers go before") func users() throws {
    let node = try ImageKeeper()
    #expect(try node.run("id -u; id -g; echo $HOME").1 == "0\n0\n/root\n")
    node.configuration.user = "app"
    #expect(try node.run("id -u; id -g; id -G; echo $HOME").1 == "1000\n2000\n2000 3000\n/home/app\n")
    node.configuration.user = "app:extra"
    #expect(try node.run("id -g").1 == "3000\n")
    node.configuration.user = "1234"
    #expect(try node.run("id -u; id -g; echo $HOME").1 == "1234\n0\n/\n")
    let asked: JSON = ["securityContext": ["runAsUser": 1000, "runAsGroup": 7]]
    #expect(
      try node.run("id -u; id -g; id -G", asked, pod: ["securityContext": ["runAsUser": 5, "supplementalGroups": [9]]])
        .1
        == "1000\n7\n7 9 3000\n")
  }

  @Test("capabilities are the usual ones, less and more as the manifest says") func capabilities() throws {
    let node = try ImageKeeper()
    let show = "while read a b; do case $a in CapBnd:|CapEff:) echo $b;; esac; done </proc/self/status"
    func both(_ mask: String) -> String { "\(mask)\n\(mask)\n" }
    #expect(try node.run(show).1 == both("00000000a80425fb"))
    #expect(
      try node.run(show, ["securityContext": ["capabilities": ["drop": ["ALL"], "add": ["NET_BIND_SERVICE"]]]]).1
        == both("0000000000000400"))
    #expect(
      try node.run(show, ["securityContext": ["capabilities": ["add": ["SYS_TIME"], "drop": ["MKNOD"]]]]).1
        == both("00000000a20425fb"))
    // Another user than root has none, whatever is bounded.
    #expect(try node.run(show, ["securityContext": ["runAsUser": 1000]]).1 == "0000000000000000\n00000000a80425fb\n")
    let privileged = try node.run(show, ["securityContext": ["privileged": true]]).1
    // As much as this machine gives to anybody.
    let own = text("/proc/self/status").split(separator: "\n").first { $0.hasPrefix("CapBnd:") }
    #expect(own?.hasSuffix(privileged.prefix(16)) == true, "\(privileged)")
  }

  @Test(
    "what is forbidden is refused from inside",
    arguments: [
      ("unshare -m true", "Operation not permitted"), ("mount -t tmpfs none /tmp", "ermission denied"),
      ("hostname other", "Operation not permitted"), ("echo 1 >/proc/sys/kernel/panic", "Read-only file system"),
      ("touch /sys/x", "Read-only file system"),
      ("cat /proc/keys | wc -c", "0"), ("mknod /tmp/disk b 254 0 && cat /tmp/disk", "ermission denied"),
      ("mknod /dev/disk b 254 0 && cat /dev/disk", "ermission denied"),
      ("cat /proc/1/root/../../etc/shadow", "No such"),
    ])
  func forbidden(script: String, message: String) throws {
    let node = try ImageKeeper()
    let (_, said) = try node.run("(\(script)) 2>&1")
    #expect(said.contains(message), "\(said)")
  }

  @Test("system calls are filtered by the usual profile unless the manifest says Unconfined; no_new_privs is as asked")
  func filters() throws {
    let node = try ImageKeeper()
    let show = "while read a b; do case $a in Seccomp:|NoNewPrivs:) echo $b;; esac; done </proc/self/status"
    #expect(try node.run(show).1 == "0\n2\n")
    #expect(try node.run(show, ["securityContext": ["allowPrivilegeEscalation": false]]).1 == "1\n2\n")
    #expect(try node.run(show, ["securityContext": ["seccompProfile": ["type": "Unconfined"]]]).1 == "0\n0\n")
    #expect(
      try node.run(
        show, ["securityContext": ["seccompProfile": ["type": "RuntimeDefault"]]],
        pod: ["securityContext": ["seccompProfile": ["type": "Unconfined"]]]
      ).1 == "0\n2\n")
  }

  private static let profile = """
    {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], "syscalls": [
      {"names": ["mkdir", "mkdirat", "no_such_call"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
      {"names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 1, "value": 7, "op": "SCMP_CMP_EQ"}]}]}
    """

  @Test("a profile of the node's filters what it says, for a process that is started in the container as well")
  func localProfile() throws {
    let node = try ImageKeeper()
    try Files.makeDirectory(node.keeper.paths.seccomp)
    try Files.writeAtomically("\(node.keeper.paths.seccomp)/own.json", Array(Self.profile.utf8))
    let context: JSON = ["seccompProfile": ["type": "Localhost", "localhostProfile": "own.json"]]
    let script = "mkdir /tmp/x; kill -7 999999; kill -15 999999; touch /tmp/y && echo touched"
    let (end, said) = try node.run(script, ["securityContext": context])
    #expect(end?.exitCode == 0)
    for words in ["No space left on device", "not permitted", "No such process"] {
      #expect(said.contains(words), "\(said)")
    }
    #expect(said.contains("touched"))
    #expect(try node.run("mkdir /tmp/x && echo made", pod: ["securityContext": context]).1.contains("No space left"))
  }

  /// More than the kernel takes of one filter.
  private static let long: String = {
    let rules = (0..<9_000).map { number in
      let argument = #"{"index": 0, "value": \#(number), "op": "SCMP_CMP_EQ"}"#
      return #"{"names": ["kill"], "action": "SCMP_ACT_LOG", "args": [\#(argument)]}"#
    }
    return #"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [\#(rules.joined(separator: ","))]}"#
  }()

  @Test(
    "a profile that is not there, or says what is not understood, starts nothing and is named",
    arguments: [
      (nil, "No such file or directory"), ("{", "it is no JSON"), ("[]", "it is no object"), ("{}", "no defaultAction"),
      (#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#, "the action SCMP_ACT_NOTIFY is not one of this version's"),
      (#"{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x"}"#, "the member listenerPath"),
      (
        #"{"defaultAction": "SCMP_ACT_LOG", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_LOG", "includes": 1}]}"#,
        "the member includes"
      ),
      (#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [], "action": "SCMP_ACT_ALLOW"}]}"#, "no names"),
      (#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_PDP11"]}"#, "SCMP_ARCH_PDP11"),
      (ImageContainerTests.long, "Argument list too long"),
    ] as [(String?, String)])
  func badProfile(text: String?, message: String) throws {
    let node = try ImageKeeper()
    try Files.makeDirectory(node.keeper.paths.seccomp)
    if let text { try Files.writeAtomically("\(node.keeper.paths.seccomp)/own.json", Array(text.utf8)) }
    let context: JSON = ["seccompProfile": ["type": "Localhost", "localhostProfile": "own.json"]]
    let (end, said) = try node.run("echo started", ["securityContext": context])
    #expect(!said.contains("started"))
    let why = end?.message ?? ""
    #expect(why.contains(message) && why.contains("own.json"), "\(why)")
  }

  @Test("volumes are the fsGroup's, which the container is in: what it makes there too, what the node wrote to be read")
  func volumeGroup() throws {
    let node = try ImageKeeper()
    let container: JSON = [
      "securityContext": ["runAsUser": 1234, "runAsGroup": 5],
      "volumeMounts": [["name": "v", "mountPath": "/v"], ["name": "w", "mountPath": "/w"]],
    ]
    let written: JSON = ["items": [["path": "sub/name", "mode": 0o400, "fieldRef": ["fieldPath": "metadata.name"]]]]
    let (end, said) = try node.run(
      "id -G; touch /v/own; ls -lnd /v /v/own /w /w/sub /w/sub/name; cat /w/sub/name >/dev/null && echo read",
      container,
      pod: [
        "securityContext": ["fsGroup": 777, "supplementalGroups": [8]],
        "volumes": [["name": "v", "emptyDir": [:]], ["name": "w", "downwardAPI": written]],
      ])
    #expect(end?.exitCode == 0, "\(said)")
    let lines = said.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
    #expect(lines.first?.sorted() == ["5", "777", "8"], "\(said)")
    let facts = Dictionary(uniqueKeysWithValues: lines.filter { $0.count > 7 }.map { ($0[$0.count - 1], $0) })
    #expect(facts["/v"]?[0] == "drwxrwsrwx" && facts["/v"]?[3] == "777", "\(said)")
    #expect(facts["/v/own"]?[2] == "1234" && facts["/v/own"]?[3] == "777", "\(said)")
    #expect(facts["/w/sub"]?[0].hasPrefix("drwxr-s") == true && facts["/w/sub"]?[3] == "777", "\(said)")
    #expect(facts["/w/sub/name"]?[0] == "-r--r-----" && facts["/w/sub/name"]?[3] == "777", "\(said)")
    #expect(said.hasSuffix("read\n"))
  }

  @Test("with hostIPC it shares the host's System V IPC, else only the pod's") func interprocess() throws {
    let node = try ImageKeeper()
    let show = "ls -l /proc/self/ns/ipc | while read line; do echo ${line##*-> }; done"
    var own = [CChar](repeating: 0, count: 64)
    readlink("/proc/self/ns/ipc", &own, own.count - 1)
    let host = String(decoding: own.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self)
    #expect(try node.run(show, pod: ["hostIPC": true]).1 == "\(host)\n")
    let apart = try node.run(show).1
    #expect(apart.hasPrefix("ipc:") && apart != "\(host)\n")
  }

  @Test("containers of a pod share their memory by name, which goes with the pod; one with hostIPC has the host's")
  func sharedMemory() throws {
    let node = try ImageKeeper()
    let first: JSON = ["name": "first", "image": "box", "command": ["sh", "-c", "echo for the next >/dev/shm/word"]]
    let said = try node.run("cat /dev/shm/word; ls -ld /dev/shm", pod: ["initContainers": [first]]).1
    #expect(said.hasPrefix("for the next\ndrwxrwxrwt"), "\(said)")
    let name = "stint-shm-\(getpid())"
    try Files.writeAtomically("/dev/shm/\(name)", Array("of the host".utf8), mode: 0o644)
    defer { unlink("/dev/shm/\(name)") }
    #expect(try node.run("cat /dev/shm/\(name)", pod: ["hostIPC": true]).1 == "of the host")
    #expect(try node.run("ls /dev/shm").1 == "")
  }

  @Test("devices, terminals and shared memory are there") func devices() throws {
    let node = try ImageKeeper()
    let (end, said) = try node.run(
      "echo x >/dev/null; ls /dev; ls /dev/pts; echo y >/dev/shm/y; cat /dev/shm/y; cat /dev/stdin | wc -c")
    #expect(end?.exitCode == 0)
    for name in ["core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "tty", "urandom", "zero"] {
      #expect(said.contains("\(name)\n"), "\(name): \(said)")
    }
    #expect(said.hasSuffix("ptmx\ny\n0\n"))
  }

  @Test("the host's devices and what hides the host take what is written, and no other mode or owner")
  func hostDevices() throws {
    let node = try ImageKeeper()
    let (end, said) = try node.run(
      """
      for file in /dev/null /dev/full /dev/tty /proc/timer_list /proc/interrupts; do
        busybox chmod 0600 $file && echo $file has another mode
        busybox chown 12:34 $file && echo $file has another owner
      done
      echo x >/dev/null && echo written
      """)
    #expect(end?.exitCode == 0 && !said.contains("another") && said.hasSuffix("written\n"), "\(said)")
    #expect(try Files.status("/dev/null").mode & 0o7777 == 0o666)
  }

  @Test("the program of which a container is a clone cannot be changed by anybody") func program() throws {
    let node = try ImageKeeper()
    let program = "/proc/\(node.keeper.child.pid)/exe"
    #expect(chmod(program, 0o4755) != 0 && errno == EROFS)
    #expect(chown(program, 12, 34) != 0 && errno == EROFS)
    // What is on its own path can be, by whoever may: an upgrade.
    #expect(try node.run("true").0?.exitCode == 0)
  }

  @Test("links of an image that lead to nothing are made good inside of it, as other runtimes do") func dangling()
    throws
  {
    let node = try ImageKeeper()
    let layer = "\(node.keeper.paths.layers)/high"
    for (path, target) in [
      ("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf"), ("etc/hosts", "/a/b/hosts"),
      ("work", "/nowhere/at/all"), ("data", "deep/down"), ("circle", "circle"),
    ] { symlink(target, "\(layer)/\(path)") }
    node.configuration.workingDirectory = "/work"
    let pod: JSON = ["volumes": [["name": "v", "emptyDir": [:]]]]
    let (end, said) = try node.run(
      "pwd; cat /etc/hosts /run/systemd/resolve/stub-resolv.conf >/dev/null && touch /data/x && ls /deep/down",
      ["volumeMounts": [["name": "v", "mountPath": "/data"]]], pod: pod)
    #expect(end?.exitCode == 0 && said.hasSuffix("/nowhere/at/all\nx\n"), "\(said) \(end?.message ?? "")")
    let (refused, _) = try node.run("true", ["volumeMounts": [["name": "v", "mountPath": "/circle"]]], pod: pod)
    #expect(refused?.message.contains("Too many levels of symbolic links") == true, "\(refused?.message ?? "")")
  }

  @Test("a read-only root takes nothing but in its volumes") func readOnlyRoot() throws {
    let node = try ImageKeeper()
    let mounts: JSON = ["volumeMounts": [["name": "v", "mountPath": "/data/deep"]]]
    var container = mounts
    container["securityContext"] = ["readOnlyRootFilesystem": true]
    let (end, said) = try node.run(
      "touch /x; echo kept >/data/deep/x && cat /data/deep/x; touch /data/y; echo z >/dev/shm/z", container,
      pod: ["volumes": [["name": "v", "emptyDir": [:]]]])
    #expect(end?.exitCode == 0)
    #expect(said.contains("/x: Read-only file system") && said.contains("/data/y: Read-only file system"), "\(said)")
    #expect(said.contains("kept\n"))
  }

  @Test("volumes lie where the manifest says, one inside another too, and a link of the image leads nowhere else")
  func volumes() throws {
    let node = try ImageKeeper()
    symlink("/etc", "\(node.keeper.paths.layers)/high/link")
    let container: JSON = [
      "volumeMounts": [
        ["name": "v", "mountPath": "/data"], ["name": "w", "mountPath": "/data/in/side"],
        ["name": "v", "mountPath": "/link/sub", "subPath": "made/here"],
        ["name": "w", "mountPath": "/quiet", "readOnly": true],
      ], "terminationMessagePath": "/end/message", "workingDir": "/made/for/me",
    ]
    let script = """
      pwd; echo one >/data/in/side/f; cat /quiet/f; echo two >/link/sub/g; cat /data/made/here/g /etc/sub/g
      echo no >/quiet/x; echo bye >/end/message
      """
    let (end, said) = try node.run(
      script, container, pod: ["volumes": [["name": "v", "emptyDir": [:]], ["name": "w", "emptyDir": [:]]]])
    #expect(end?.message == "bye\n")
    #expect(said.hasPrefix("/made/for/me\none\ntwo\ntwo\n"), "\(said)")
    #expect(said.contains("/quiet/x: Read-only file system"))
    #expect(!Files.exists("/etc/sub"))
  }

  @Test("entry point, arguments and variables are merged as Kubernetes merges them") func merge() throws {
    let node = try ImageKeeper()
    node.configuration.entrypoint = ["/bin/sh", "-c", "echo $0 $1 $FROM $OWN; pwd"]
    node.configuration.command = ["a", "b"]
    node.configuration.workingDirectory = "/srv"
    let plain: JSON = ["name": "main", "image": "box", "env": [["name": "OWN", "value": "$(FROM)"]]]
    #expect(try node.finish(node.assignment(plain)).1 == "a b image $(FROM)\n/srv\n")
    var other = plain
    other["args"] = ["c"]
    other["env"] = [["name": "FROM", "value": "pod"]]
    other["workingDir"] = "/tmp"
    #expect(try node.finish(node.assignment(other)).1 == "c pod\n/tmp\n")
  }

  @Test("everything in an image's pod ends with its keeper") func keeperDies() throws {
    let node = try ImageKeeper()
    let mark = "\(4_100_000 + Int(getpid()))"
    let script = "(setsid sleep \(mark) &); echo ready; sleep \(mark)"
    let assignment = node.assignment(["name": "main", "image": "box", "command": ["/bin/sh", "-c", .string(script)]])
    try node.start(assignment)
    #expect(node.keeper.wait { node.keeper.log(assignment.attempt).contains("ready") })
    #expect(eventually { NodeAgentTests.processes(with: mark).count >= 2 })
    node.keeper.child.signal(SIGKILL)
    #expect(eventually { NodeAgentTests.processes(with: mark).isEmpty })
  }

  @Test("the image's stop signal asks it to end") func stopSignal() throws {
    let node = try ImageKeeper()
    node.configuration.stopSignal = "SIGUSR1"
    let script = "trap 'echo asked; exit 4' USR1; echo ready; while true; do sleep 0.05; done"
    let assignment = node.assignment(["name": "main", "image": "box", "command": ["/bin/sh", "-c", .string(script)]])
    try node.start(assignment)
    #expect(node.keeper.wait { node.keeper.log(assignment.attempt).contains("ready") })
    node.keeper.send(.stop(assignment.attempt, graceMilliseconds: 10_000))
    let end = node.keeper.waitForEnd(assignment.attempt)?.containers.first?.state.termination
    #expect(end?.exitCode == 4)
    #expect(node.keeper.log(assignment.attempt) == "ready\nasked\n")
  }
}
