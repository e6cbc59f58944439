// What a keeper takes for evidence: pod inits that nobody can fake, directories that no copy imitates, control groups
// whose maker is gone.

import CLinux
import ClusterIO
import Glibc
import Testing

@Suite("Evidence", .enabled(if: isRoot, "the host's evidence is root's")) struct EvidenceTests {
  /// A program with the pod init's name that sleeps, run by `front` (nothing: root) with these descriptors.
  private func impostor(_ scratch: Scratch, _ front: [String] = [], _ descriptors: [Int32: Int32] = [:]) throws -> Child
  {
    let program = "\(scratch.path)/stint-pod"
    if !Files.exists(program) { try Files.writeAtomically(program, try Files.read("/bin/sleep"), mode: 0o755) }
    let line = front + [program, "1000"]
    var options = Child.Options(path: line[0], arguments: line, environment: ["PATH=/usr/bin:/bin"])
    options.descriptors = descriptors
    return try Child(options)
  }

  @Test(
    "processes that bear the pod init's name cost a keeper's start nothing, whatever user and descriptors they have")
  func impostors() throws {
    let scratch = try Scratch()
    chmod(scratch.path, 0o755)
    let data = "\(scratch.path)/data"
    try Files.makeDirectory(data)
    let marker = stint_open_directory(data)
    defer { close(marker) }
    let pid = ["/usr/bin/unshare", "--user", "--pid", "--fork"]
    let fronts = [[], nobody, nobody + pid, nobody + pid + ["--map-root-user"]]
    var children: [Child] = []
    defer {
      for child in children { child.signal(SIGKILL) }
      for child in children { _ = eventually { child.reap() != nil } }
      for process in named() { kill(process, SIGKILL) }
      _ = eventually { named().isEmpty }
    }
    let before = named().count
    for front in fronts {
      children.append(try impostor(scratch, front))
      children.append(try impostor(scratch, front, [Int32(STINT_POD_MARKER): marker]))
    }
    // Where user namespaces are forbidden those that need one end at once.
    let expected = before + (hasRootless ? 8 : 4)
    #expect(eventually { named().count == expected })
    let began = Clocks.boot()
    #expect(try PodSweep.run(directory: data, timeoutMilliseconds: 10_000) == .init())
    #expect(Clocks.boot() - began < 5_000_000_000)
    #expect(named().count == expected)
  }

  private func named() -> [Int32] {
    ((try? Files.list("/proc")) ?? []).compactMap { Int32($0) }.filter {
      (try? Files.readLine("/proc/\($0)/comm")) == "stint-pod"
        && (try? Files.readLine("/proc/\($0)/cmdline"))?.contains("stint-pod\u{0}1000") == true
    }
  }

  @Test("a pod init bears a name that tells its directory from others, also when its descriptors are gone")
  func names() throws {
    let scratch = try Scratch()
    let other = try Scratch()
    let marker = try PodMarker(directory: scratch.path)
    defer { close(marker.descriptor) }
    let again = try PodMarker(directory: "\(scratch.path)/.")
    defer { close(again.descriptor) }
    let foreign = try PodMarker(directory: other.path)
    defer { close(foreign.descriptor) }
    #expect(marker.name == again.name && marker.name != foreign.name && marker.name.utf8.count <= 15)
    for isolation in isolations {
      let pod = try TestPod(isolation: isolation, marker: marker)
      try pod.start("echo up; sleep 1000")
      #expect(try pod.waitFor("up"))
      let identity = try #require(pod.pod.identity)
      #expect(try Files.readLine("/proc/\(identity.pid)/comm") == marker.name)
      try pod.end()
    }
  }

  @Test("a directory keeps its identity when it is renamed or bound elsewhere, and no copy or later one has it")
  func directories() throws {
    let scratch = try Scratch()
    let first = "\(scratch.path)/first"
    try Files.makeDirectory(first)
    let identity = try DirectoryIdentity(path: first)
    #expect(identity.isLasting)
    try Files.writeAtomically("\(first)/file", [1])
    #expect(rename(first, "\(scratch.path)/second") == 0)
    #expect(try DirectoryIdentity(path: "\(scratch.path)/second") == identity)
    #expect(symlink("second", "\(scratch.path)/link") == 0)
    #expect(try DirectoryIdentity(path: "\(scratch.path)/link") == identity)

    #expect(try succeeds("/bin/cp", "-a", "\(scratch.path)/second", "\(scratch.path)/copy"))
    #expect(try DirectoryIdentity(path: "\(scratch.path)/copy") != identity)

    // The inode's number comes again at once on many file systems.
    var seen: Set<String> = []
    for _ in 0..<20 {
      try Files.makeDirectory(first)
      #expect(seen.insert(try DirectoryIdentity(path: first).text).inserted)
      try Files.removeTree(first)
    }
  }

  @Test("a directory bound elsewhere is the same, its copy on another file system is not")
  func mounts() throws {
    let scratch = try Scratch()
    for name in ["data", "bound", "other"] { try Files.makeDirectory("\(scratch.path)/\(name)") }
    let script = """
      mount --bind data bound && mount -t tmpfs none other && cp -a data other/data || exit 9
      stat -c %d:%i data bound; stat -c %d:%i other/data; umount bound other
      """
    let identity = try DirectoryIdentity(path: "\(scratch.path)/data")
    let output = try Scratch()
    let file = open("\(output.path)/text", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    defer { close(file) }
    var options = Child.Options(
      path: "/usr/bin/unshare", arguments: ["unshare", "-m", "sh", "-c", "cd \(scratch.path); \(script)"],
      environment: ["PATH=/usr/bin:/bin"])
    options.descriptors = [1: file]
    let child = try Child(options)
    #expect(eventually { child.reap() != nil } && child.status == .exited(code: 0))
    let lines = try Files.readLine("\(output.path)/text").split(separator: "\n").map(String.init)
    try #require(lines.count == 3)
    #expect(identity.text.hasPrefix("\(lines[0]):") && lines[0] == lines[1])
    #expect(!identity.text.hasPrefix("\(lines[2]):"))
  }

  private func succeeds(_ line: String...) throws -> Bool {
    let child = try Child(Child.Options(path: line[0], arguments: line, environment: ["PATH=/usr/bin:/bin"]))
    return eventually { child.reap() != nil } && child.status == .exited(code: 0)
  }

  @Test("control groups of a maker that is gone go, those of a living one and of another PID namespace stay")
  func groups() throws {
    let living: CgroupPool
    do {
      living = try CgroupPool(name: "stint-evidence")
    } catch {
      try Test.cancel("no cgroup v2 to write to: \(error)")
    }
    defer { living.remove() }
    let kept = try living.take()
    let gone = try Child(Child.Options(path: "/bin/true", arguments: ["true"], environment: []))
    let pid = gone.pid
    #expect(eventually { gone.reap() != nil })
    let directory = Files.split(living.path).parent
    let namespace = try ProcessIdentity.namespace()
    let dead = "\(directory)/stint-evidence.\(pid).1.\(namespace)"
    // The process has this id, but began at another time: the maker is gone.
    let reused = "\(directory)/stint-evidence.\(getpid()).1.\(namespace)"
    let foreign = "\(directory)/stint-evidence.\(pid).1.7"
    for path in [dead, reused, foreign] {
      #expect(mkdir(path, 0o755) == 0 && mkdir("\(path)/pod-1", 0o755) == 0)
    }
    defer {
      rmdir("\(foreign)/pod-1")
      rmdir(foreign)
    }
    CgroupPool.removeRemains()
    #expect(!Files.exists(dead) && !Files.exists(reused))
    #expect(Files.exists("\(foreign)/pod-1"))
    #expect(Files.exists(kept.path))
  }
}
