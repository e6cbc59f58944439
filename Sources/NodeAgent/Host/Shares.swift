// Owns: shares of NFS that are mounted for pods, once for a volume however many pods use it, by the system's own mount
// program; and their end with the last of these pods. Slow work: a server that is away holds up whoever waits for it.
// It must not know NFS.

import AgentCore
import CLinux
import ClusterIO
import ClusterProto
import Glibc

struct Shares {
  let paths: NodePaths
  /// The program that mounts NFS, as Debian's nfs-common has it.
  var program = "/sbin/mount.nfs"
  /// Whether this process may mount.
  var mayMount = geteuid() == 0
  /// The most that a mount may take.
  var patienceMilliseconds: Int32 = 60_000

  private func place(_ volume: String) -> String { "\(paths.shares)/\(volume)" }
  /// An empty file for each attempt that uses the volume.
  private func users(_ volume: String) -> String { "\(paths.shares)/.users/\(volume)" }

  /// Mounts the share where it is not mounted, and notes who uses it.
  func mount(_ share: NetworkShare, _ volume: String, for attempt: AttemptNumber) throws(VolumeError) -> String {
    guard mayMount else {
      throw Volumes.setUpFailure(
        volume, "mount failed: \(share.source) is a share of NFS, and this node's agent does not run as root")
    }
    guard Files.exists(program) else {
      throw Volumes.setUpFailure(
        volume, "mount failed: there is no \(program) on this node to mount \(share.source); install nfs-common")
    }
    let place = place(share.volume)
    do throws(IOError) {
      try Files.makeDirectory("\(paths.shares)/.users", mode: 0o700)
      let lock = try held(share.volume)
      defer { close(lock) }
      try Files.makeDirectory(users(share.volume), mode: 0o700)
      try Files.makeDirectory(place, mode: 0o755)
      try Files.writeAtomically("\(users(share.volume))/\(attempt)", [])
      if isMounted(place) { return place }
      try run(share, at: place)
      return place
    } catch {
      release(attempt)
      throw Volumes.setUpFailure(volume, "mount failed: \(error)")
    }
  }

  /// The attempt is over; a share that nobody else uses is unmounted.
  func release(_ attempt: AttemptNumber) {
    guard let volumes = try? Files.list("\(paths.shares)/.users") else { return }
    for volume in volumes where !volume.hasSuffix(".lock") {
      guard unlink("\(users(volume))/\(attempt)") == 0 else { continue }
      unmountIfFree(volume)
    }
  }

  /// The same for every attempt but these.
  func releaseExcept(_ attempts: Set<AttemptNumber>) {
    guard let volumes = try? Files.list("\(paths.shares)/.users") else { return }
    for volume in volumes where !volume.hasSuffix(".lock") {
      for name in (try? Files.list(users(volume))) ?? [] {
        guard let attempt = AttemptNumber(name), !attempts.contains(attempt) else { continue }
        unlink("\(users(volume))/\(name)")
      }
      unmountIfFree(volume)
    }
  }

  private func unmountIfFree(_ volume: String) {
    guard let lock = try? held(volume) else { return }
    defer { close(lock) }
    guard (try? Files.list(users(volume)))?.isEmpty == true else { return }
    // Pods that end have it in namespaces of their own, where it goes with them. Nobody waits for its server here.
    if isMounted(place(volume)), umount2(place(volume), Int32(MNT_DETACH) | Int32(UMOUNT_NOFOLLOW)) != 0 {
      return HostLog.line("agent: \(IOError.last("umount", place(volume)))")
    }
    rmdir(place(volume))
    rmdir(users(volume))
  }

  /// One at a time for each volume: the descriptor of a lock that is held until it is closed. Whoever holds it has a
  /// mount's patience, so nobody waits for longer.
  private func held(_ volume: String) throws(IOError) -> Int32 {
    let path = "\(users(volume)).lock"
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { throw IOError.last("open", path) }
    var left = patienceMilliseconds + 2_000
    while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
      guard errno == EWOULDBLOCK || errno == EINTR, left > 0 else {
        defer { close(descriptor) }
        throw left > 0
          ? IOError.last("lock", path)
          : IOError(operation: "lock", subject: path, message: "a mount of this volume does not end")
      }
      poll(nil, 0, 50)
      left -= 50
    }
    return descriptor
  }

  /// By the list of mounts: to look at the place itself would wait for its server.
  private func isMounted(_ place: String) -> Bool {
    guard let real = realpath(paths.shares, nil) else { return false }
    defer { free(real) }
    let point = String(cString: real) + place.dropFirst(paths.shares.count)
    let text = String(decoding: (try? Files.read("/proc/self/mountinfo")) ?? [], as: UTF8.self)
    return text.split(separator: "\n").contains { line in
      let fields = line.split(separator: " ", maxSplits: 5)
      return fields.count > 4 && fields[4] == point
    }
  }

  private func run(_ share: NetworkShare, at place: String) throws(IOError) {
    var pipes: [Int32] = [0, 0]
    guard stint_output_pipe(&pipes) == 0 else { throw IOError.last("pipe", program) }
    let (reader, writer) = (pipes[0], pipes[1])
    defer { close(reader) }
    var options = Child.Options(
      path: program, arguments: ["mount.nfs", share.source, place], environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"])
    if !share.options.isEmpty { options.arguments += ["-o", share.options.joined(separator: ",")] }
    options.descriptors = [2: writer]
    let child: Child
    do throws(IOError) {
      child = try Child(options)
    } catch {
      close(writer)
      throw error
    }
    close(writer)
    var wait = pollfd(fd: child.descriptor, events: Int16(POLLIN), revents: 0)
    if poll(&wait, 1, patienceMilliseconds) == 0 { child.signal(SIGKILL) }
    // One that hangs in the kernel takes no signal until its server answers.
    guard poll(&wait, 1, 1_000) > 0, let end = child.reap() else {
      throw IOError(operation: "mount", subject: share.source, message: "its server does not answer")
    }
    if case .exited(code: 0) = end { return }
    var bytes = [UInt8](repeating: 0, count: 1_024)
    let count = max(0, fcntl(reader, F_SETFL, O_NONBLOCK) == 0 ? read(reader, &bytes, bytes.count) : 0)
    let words = String(decoding: bytes.prefix(count), as: UTF8.self).split(separator: "\n").joined(separator: "; ")
    throw IOError(operation: "mount", subject: share.source, message: words.isEmpty ? "\(end)" : words)
  }
}
