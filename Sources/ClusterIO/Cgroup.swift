// Owns: cgroup v2 directories for pods: finding a place for them, freezing, and reuse, as making one is costly.
// It must not know why a pod is frozen. No resource controllers are used, so the host's own layout stays as it is.

import CLinux
import Glibc

/// One pod's cgroup.
package final class PodCgroup {
  /// Its directory.
  package let path: String
  /// A descriptor of the directory, to start the pod in.
  let descriptor: Int32
  /// Its event file, kept open: it is read for every pod.
  private let eventFile: Int32
  /// Whether it was asked to freeze since it was last thawed.
  private(set) var mayBeFrozen = false

  fileprivate init(path: String) throws(IOError) {
    self.path = path
    guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw IOError.last("make cgroup", path) }
    descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw IOError.last("open", path) }
    eventFile = openat(descriptor, "cgroup.events", O_RDONLY | O_CLOEXEC)
    guard eventFile >= 0 else { throw IOError.last("open", "\(path)/cgroup.events") }
  }

  deinit {
    close(descriptor)
    if eventFile >= 0 { close(eventFile) }
  }

  /// Asks the kernel to freeze or thaw all its processes; `isFrozen` says when they are.
  package func setFrozen(_ frozen: Bool) throws(IOError) {
    if frozen { mayBeFrozen = true }
    try write("cgroup.freeze", frozen ? "1" : "0")
    mayBeFrozen = frozen
  }

  /// Whether every process in it stands still.
  package var isFrozen: Bool { events().contains("frozen 1") }

  /// Whether a process is in it.
  package var isPopulated: Bool { !events().contains("populated 0") }

  /// Its event file, for `EventLoop.Interest.priority`; -1 on failure.
  func openEvents() -> Int32 { openat(descriptor, "cgroup.events", O_RDONLY | O_CLOEXEC) }

  private func events() -> [Substring] {
    let bytes = [UInt8](unsafeUninitializedCapacity: 256) { buffer, count in
      count = max(0, pread(eventFile, buffer.baseAddress, buffer.count, 0))
    }
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n")
  }

  private func write(_ name: String, _ text: String) throws(IOError) {
    let file = openat(descriptor, name, O_WRONLY | O_CLOEXEC)
    guard file >= 0 else { throw IOError.last("open", "\(path)/\(name)") }
    defer { close(file) }
    try Files.writeAll(file, Array(text.utf8), path: "\(path)/\(name)")
  }
}

/// The cgroups of one keeper's pods, below a directory of their own.
package final class CgroupPool {
  /// The directory that holds them.
  package let path: String
  private var free: [PodCgroup] = []
  private var made = 0

  /// Makes the directory of the pool `name` below this process' own cgroup. The directory's name says who made it.
  /// Fails with ENOENT where no cgroup v2 is mounted, with EACCES or EROFS where it is not ours to write: then pods are
  /// frozen by SIGSTOP.
  package init(name: String) throws(IOError) {
    path = "\(try CgroupPool.ownDirectory())/\(try Self.directoryName(name))"
    guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw IOError.last("make cgroup", path) }
    // The root's children have it from kernel 5.2 on.
    guard Files.exists("\(path)/cgroup.freeze") else {
      rmdir(path)
      throw IOError(code: ENOENT, operation: "freeze cgroup", subject: path)
    }
  }

  /// A cgroup with nothing in it, thawed.
  package func take() throws(IOError) -> PodCgroup {
    if let cgroup = free.popLast() { return cgroup }
    made += 1
    let cgroup = try PodCgroup(path: "\(path)/pod-\(made)")
    if cgroup.isPopulated { return try take() }
    return cgroup
  }

  /// Takes a gone pod's cgroup back for reuse. One that is not empty is left alone.
  package func giveBack(_ cgroup: PodCgroup) {
    guard !cgroup.isPopulated else { return }
    if cgroup.mayBeFrozen, (try? cgroup.setFrozen(false)) == nil { return }
    free.append(cgroup)
  }

  /// Removes all empty cgroups of the pool, at the end of the keeper.
  package func remove() {
    free = []
    CgroupPool.removeEmpty(path)
  }

  /// Removes what killed owners of pools left beside this process' own cgroup: any pool whose maker is proven gone, as
  /// far as it is empty. A pool that was made in another PID namespace is left alone: its maker cannot be seen here.
  package static func removeRemains() {
    guard let directory = try? ownDirectory(), let namespace = try? ProcessIdentity.namespace() else { return }
    for name in (try? Files.list(directory)) ?? [] where name.hasPrefix("stint-") {
      let parts = name.split(separator: ".")
      guard parts.count == 4, parts[3] == namespace, let pid = Int32(parts[1]), let start = UInt64(parts[2]),
        !ProcessIdentity(pid: pid, startTime: start).isAlive
      else { continue }
      removeEmpty("\(directory)/\(name)")
    }
  }

  /// `name.PID.START.NAMESPACE`: cgroups do not outlive the kernel, so no boot id is needed.
  private static func directoryName(_ name: String) throws(IOError) -> String {
    guard let own = ProcessIdentity.read(pid: getpid()) else {
      throw IOError(code: ESRCH, operation: "read", subject: "/proc/self")
    }
    return "\(name).\(own.pid).\(own.startTime).\(try ProcessIdentity.namespace())"
  }

  private static func removeEmpty(_ path: String) {
    for child in (try? Files.list(path)) ?? [] where child.hasPrefix("pod-") { rmdir("\(path)/\(child)") }
    rmdir(path)
  }

  /// The directory of this process' cgroup in the v2 hierarchy, also where v1 is mounted beside it.
  private static func ownDirectory() throws(IOError) -> String {
    let mounts = String(decoding: try Files.read("/proc/self/mountinfo"), as: UTF8.self)
    var mount: (root: String, point: String)?
    for line in mounts.split(separator: "\n") where line.contains(" - cgroup2 ") {
      let fields = line.split(separator: " ")
      if fields.count > 4 { mount = (String(fields[3]), String(fields[4])) }
    }
    guard let mount else { throw IOError(code: ENOENT, operation: "cgroup", subject: "no cgroup v2 is mounted") }
    var own = "/"
    for line in try Files.readLine("/proc/self/cgroup").split(separator: "\n") where line.hasPrefix("0::") {
      own = String(line.dropFirst(3))
    }
    if mount.root != "/", own.hasPrefix(mount.root) { own = String(own.dropFirst(mount.root.count)) }
    return own == "/" || own.isEmpty ? mount.point : mount.point + own
  }
}
