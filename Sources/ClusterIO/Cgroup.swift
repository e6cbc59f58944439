// Owns: cgroup v2 directories for pods: freezing, and reuse, as making one is costly. It must not know why a pod is
// frozen. No resource controllers are used here, so the host's own layout stays as it is: those are LimitPool's.

import CLinux
import Glibc

/// One pod's cgroup.
package final class PodCgroup {
  /// Its directory.
  package let path: String
  /// A descriptor of the directory to start the pod in: its own, or a leaf of it.
  let descriptor: Int32
  /// Its event file, kept open: it is read for every pod.
  private let eventFile: Int32
  /// Whether it was asked to freeze since it was last thawed.
  private(set) var mayBeFrozen = false

  /// `leaf`: the pod is started in a directory of this name below it, since a cgroup that hands controllers on may have
  /// no processes of its own.
  init(path: String, leaf: String? = nil, handing controllers: Set<CgroupController> = []) throws(IOError) {
    self.path = path
    guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw IOError.last("make cgroup", path) }
    var start = path
    if let leaf {
      start = "\(path)/\(leaf)"
      guard mkdir(start, 0o755) == 0 || errno == EEXIST else { throw IOError.last("make cgroup", start) }
      guard CgroupPlaces.hands(controllers, onFrom: path) else { throw IOError.last("hand controllers on", path) }
    }
    descriptor = open(start, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw IOError.last("open", start) }
    eventFile = open("\(path)/cgroup.events", O_RDONLY | O_CLOEXEC)
    guard eventFile >= 0 else { throw IOError.last("open", "\(path)/cgroup.events") }
  }

  deinit {
    close(descriptor)
    if eventFile >= 0 { close(eventFile) }
  }

  /// Asks the kernel to freeze or thaw all its processes; `isFrozen` says when they are.
  package func setFrozen(_ frozen: Bool) throws(IOError) {
    if frozen { mayBeFrozen = true }
    try CgroupFiles.write("\(path)/cgroup.freeze", frozen ? "1" : "0")
    mayBeFrozen = frozen
  }

  /// Whether every process in it stands still.
  package var isFrozen: Bool { events().contains("frozen 1") }

  /// Whether a process is in it.
  package var isPopulated: Bool { !events().contains("populated 0") }

  /// Its event file, for `EventLoop.Interest.priority`; -1 on failure.
  func openEvents() -> Int32 { open("\(path)/cgroup.events", O_RDONLY | O_CLOEXEC) }

  private func events() -> [Substring] {
    let bytes = [UInt8](unsafeUninitializedCapacity: 256) { buffer, count in
      count = max(0, pread(eventFile, buffer.baseAddress, buffer.count, 0))
    }
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n")
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
    path = "\(try CgroupPlaces.unified())/\(try Self.directoryName(name))"
    guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw IOError.last("make cgroup", path) }
    // The root's children have it from kernel 5.2 on.
    guard Files.exists("\(path)/cgroup.freeze") else {
      rmdir(path)
      throw IOError(code: ENOENT, operation: "freeze cgroup", subject: path)
    }
  }

  /// A cgroup with nothing in it, thawed. Its name is none that a LimitPool in the same directory gives.
  package func take() throws(IOError) -> PodCgroup {
    if let cgroup = free.popLast() { return cgroup }
    made += 1
    let cgroup = try PodCgroup(path: "\(path)/pod-f\(made)")
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
    if let directory = try? CgroupPlaces.unified() { removeRemains(in: directory) }
  }

  static func removeRemains(in directory: String) {
    guard let namespace = try? ProcessIdentity.namespace() else { return }
    for name in (try? Files.list(directory)) ?? [] where name.hasPrefix("stint-") {
      let parts = name.split(separator: ".")
      guard parts.count == 4, parts[3] == namespace, let pid = Int32(parts[1]), let start = UInt64(parts[2]),
        !ProcessIdentity(pid: pid, startTime: start).isAlive
      else { continue }
      removeEmpty("\(directory)/\(name)")
    }
  }

  /// `name.PID.START.NAMESPACE`: cgroups do not outlive the kernel, so no boot id is needed.
  static func directoryName(_ name: String) throws(IOError) -> String {
    guard let own = ProcessIdentity.read(pid: getpid()) else {
      throw IOError(code: ESRCH, operation: "read", subject: "/proc/self")
    }
    return "\(name).\(own.pid).\(own.startTime).\(try ProcessIdentity.namespace())"
  }

  /// The pool's directory with those of its pods and their containers, as far as no process is in them.
  static func removeEmpty(_ path: String) {
    for pod in (try? Files.list(path)) ?? [] where pod.hasPrefix("pod-") {
      for container in (try? Files.list("\(path)/\(pod)")) ?? [] { rmdir("\(path)/\(pod)/\(container)") }
      rmdir("\(path)/\(pod)")
    }
    rmdir(path)
  }
}
