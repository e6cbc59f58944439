// Owns: tests of a container's mounts: what it sees, what it cannot reach, and that the host stays untouched.

import CLinux
import ClusterIO
import Glibc
import Testing

/// Each test runs with the shim's own namespaces (as root) and inside those that bubblewrap makes (where it can).
@Suite(.enabled(if: !isolations.isEmpty, "neither root nor bubblewrap with user namespaces")) struct MountTests {
  /// The steps that give a container a root of its own with the host's top level in it.
  private func ownRoot(_ pod: TestPod, _ steps: [MountOperation]) throws -> [MountOperation] {
    let root = "\(pod.scratch.path)/root"
    try Files.makeDirectory(root)
    return [.mirror(source: "/", destination: root), .newRoot(path: root)] + steps + [.pivot]
  }

  @Test("a file is mounted at /questions.json, which the host has neither before nor after", arguments: isolations)
  func questions(isolation: PodProcess.Isolation) throws {
    let pod = try TestPod(isolation: isolation)
    let file = "\(pod.scratch.path)/questions"
    try Files.writeAtomically(file, Array("[1]\n".utf8), mode: 0o644)
    let mounts = try ownRoot(
      pod, [.makeFile(path: "/questions.json"), .bind(source: file, destination: "/questions.json", readOnly: true)])
    let script =
      "cat /questions.json; echo x >/new && cat /new; ls -d /usr/bin/env; sh -c 'echo $PPID' ; echo $$ | grep -c ."
    let (exit, output) = try pod.run(script, mounts: mounts)
    #expect(exit == .exited(code: 0), "\(pod.failures)")
    #expect(output.hasPrefix("[1]\nx\n/usr/bin/env\n"))
    #expect(!Files.exists("/questions.json"))
    #expect(!Files.exists("/new"))
    #expect(try Files.list("\(pod.scratch.path)/root") == [])
  }

  @Test("a read-only bind refuses writes, a plain one takes them to the host", arguments: isolations)
  func readOnly(isolation: PodProcess.Isolation) throws {
    let pod = try TestPod(isolation: isolation)
    let volume = "\(pod.scratch.path)/volume"
    try Files.makeDirectory("\(volume)/deep")
    let mounts: [MountOperation] = [
      .bind(source: volume, destination: "/mnt", readOnly: true), .bind(source: volume, destination: "/srv"),
    ]
    let (exit, output) = try pod.run(
      "echo no >/mnt/deep/file; echo yes >/srv/deep/file; cat /mnt/deep/file", mounts: mounts)
    #expect(exit == .exited(code: 0), "\(pod.failures)")
    #expect(output.contains("Read-only file system"))
    #expect(output.hasSuffix("yes\n"))
    #expect(try Files.readLine("\(volume)/deep/file") == "yes")
  }

  @Test(
    "what the host unmounts is unmounted in a running container too, where the host's mounts are shared",
    .enabled(if: isRoot, "mounts need root"), arguments: [false, true])
  func hostUnmounts(ownRoot: Bool) throws {
    let scratch = try Scratch()
    let disk = "\(scratch.path)/disk"
    let go = "\(scratch.path)/go"
    try Files.makeDirectory(disk)
    let host = """
      mount --make-rshared / && mount -t tmpfs stint-test \(disk) || exit 9
      { until [ -e \(go) ]; do sleep 0.05; done; umount \(disk) && echo unmounted; } &
      exec "$@"
      """
    let look = "grep -q ' \(disk) ' /proc/self/mountinfo"
    let keeper = try HarnessKeeper(
      scratch: scratch.path, asNobody: false,
      arguments: [
        ownRoot ? "hold-mirrored" : "hold", "clone", scratch.path, "0", "sh", "-c",
        "\(look) && echo seen; while \(look); do sleep 0.05; done; echo released; sleep 1000",
      ], front: ["/usr/bin/unshare", "-m", "--propagation", "private", "/bin/sh", "-c", host, "sh"])
    #expect(keeper.says("seen"), "\(keeper.text)")
    try Files.writeAtomically(go, [])
    #expect(keeper.says("released") && keeper.says("unmounted"), "\(keeper.text)")
  }

  @Test("a subPath may follow links inside its volume, never out of it", arguments: isolations)
  func subPath(isolation: PodProcess.Isolation) throws {
    let pod = try TestPod(isolation: isolation)
    let volume = "\(pod.scratch.path)/volume"
    try Files.makeDirectory("\(volume)/data")
    try Files.writeAtomically("\(volume)/data/key", Array("value\n".utf8), mode: 0o644)
    symlink("data", "\(volume)/inside")
    symlink("/etc", "\(volume)/absolute")
    symlink("../../../../etc", "\(volume)/relative")
    func mount(_ below: String) -> [MountOperation] { [.bind(source: volume, below: below, destination: "/mnt")] }
    #expect(try pod.run("cat /mnt/key", mounts: mount("inside")).1 == "value\n")
    for escape in ["absolute", "relative", "../volume", "relative/ssl"] {
      pod.failures = [:]
      #expect(try pod.run("ls /mnt", mounts: mount(escape)).0 == nil)
      #expect(pod.failures[0]?.stage == "mount")
      #expect(pod.failures[0]?.error.code == EXDEV, "\(escape): \(pod.failures)")
    }
  }

  @Test("a deep path that the host lacks is made in an overlay, and the host still lacks it", arguments: isolations)
  func deepPath(isolation: PodProcess.Isolation) throws {
    let pod = try TestPod(isolation: isolation)
    let volume = "\(pod.scratch.path)/volume"
    try Files.makeDirectory(volume)
    try Files.writeAtomically("\(volume)/key", Array("value\n".utf8), mode: 0o644)
    let mounts: [MountOperation] = [
      .overlay(destination: "/etc"), .makeDirectory(path: "/etc/stint-test/deep"),
      .bind(source: volume, destination: "/etc/stint-test/deep"),
    ]
    let (exit, output) = try pod.run("cat /etc/stint-test/deep/key; grep -c ^root: /etc/passwd", mounts: mounts)
    #expect(exit == .exited(code: 0), "\(pod.failures)")
    #expect(output == "value\n1\n")
    #expect(!Files.exists("/etc/stint-test"))
  }

  @Test("nothing is made on the host's own file systems, links to them included", arguments: isolations)
  func hostIsProtected(isolation: PodProcess.Isolation) throws {
    let pod = try TestPod(isolation: isolation)
    for operation: MountOperation in [
      .makeDirectory(path: "\(pod.scratch.path)/new/deep"), .makeFile(path: "\(pod.scratch.path)/new"),
      .symbolicLink(path: "\(pod.scratch.path)/new", target: "x"),
    ] {
      pod.failures = [:]
      #expect(try pod.run("true", mounts: [operation]).0 == nil)
      #expect(pod.failures[0]?.error.code == EROFS)
      let inRoot = try ownRoot(pod, [operation])
      pod.failures = [:]
      #expect(try pod.run("true", mounts: inRoot).0 == nil)
      #expect(pod.failures[0]?.error.code == EROFS)
    }
    #expect(!Files.exists("\(pod.scratch.path)/new"))
  }

  @Test("a tmpfs is empty, the container's own, and gone afterwards; /proc shows the pod only", arguments: isolations)
  func tmpfs(isolation: PodProcess.Isolation) throws {
    let pod = try TestPod(isolation: isolation)
    let script =
      "echo x >/mnt/file; ls /mnt; ls -d /proc/[0-9]* | head -1; [ $(ls -d /proc/[0-9]* | wc -l) -lt 8 ] && echo few"
    let (exit, output) = try pod.run(script, mounts: [.tmpfs(destination: "/mnt", options: "size=1m")])
    #expect(exit == .exited(code: 0), "\(pod.failures)")
    #expect(output == "file\n/proc/1\nfew\n")
    #expect(!Files.exists("/mnt/file"))
  }
}
