// Owns: the roots of images' containers, DATA/roots: an overlay each, mounted where nobody but this keeper sees it,
// that one container uses after another as long as none has changed it. To make and mount one costs more than all else
// of a container's start, and some disks look at every file that was lately removed before they make one. It must not
// know pods' states.
//
// A root goes on to containers of the same namespace alone: a process of another container may have been passed a
// directory of it.

import AgentCore
import CLinux
import ClusterIO
import ClusterProto
import Glibc
import Synchronization

/// Gives containers their roots and takes them back. Any thread may ask; the work is done on a thread of its own.
final class RootPool: Sendable {
  /// What a root is made of: containers that want the same may have the same.
  struct Wanted: Hashable, Sendable {
    var heirs: String
    var layers: [String]
    var points: [MountOperation]
    var shared: [MountOperation]
  }

  /// The layer of mount points that roots of the same layers share, so that no container has to make them.
  private struct PointsKey: Hashable {
    var layers: [String]
    var points: [MountOperation]
  }

  private struct Points {
    var path: String
    var users = 0
  }

  private struct Root {
    var path: String
    var wanted: Wanted
    /// The directories of its layers when it was mounted: it holds these, whatever has their names now.
    var layers: [FileIdentity]
    var fresh: Traces
  }

  /// Of the thread alone.
  private final class State: @unchecked Sendable {
    var made = 0
    /// The disk takes no overlay's changes: nothing that is mounted can be kept for others.
    var isOff = false
    var points: [PointsKey: Points] = [:]
    /// Those that nobody has; the last was given back last.
    var free: [Root] = []
  }

  /// Kept for the next containers.
  private static let freeLimit = 128

  private let paths: NodePaths
  private let mountPoint: String
  private let mounts: OwnMounts
  private let state = State()
  private let taken = Mutex<[ContainerRun: Root]>([:])
  private let remove: @Sendable (String) -> Void

  /// `mountPoint`: an empty directory that a container's root may be mounted on, privately. `remove` gets directories
  /// that are not needed any more.
  init(paths: NodePaths, mountPoint: String, remove: @escaping @Sendable (String) -> Void) throws(IOError) {
    self.paths = paths
    self.mountPoint = mountPoint
    self.remove = remove
    mounts = try OwnMounts(name: "stint-roots")
  }

  /// A root for a container of `root`; nil: it must have one of its own. One that takes no changes costs no disk.
  func wanted(_ root: ContainerRoot, _ parts: RootPlan.Parts) -> Wanted? {
    guard mounts.namespace != nil, !root.heirs.isEmpty, !root.isReadOnly, geteuid() == 0 else { return nil }
    return Wanted(heirs: root.heirs, layers: root.layers, points: parts.points, shared: parts.shared)
  }

  /// Gives the run a root; `then` is told, on a thread, how its plan begins with it, or nil: there is none to be had.
  func take(_ run: ContainerRun, _ wanted: Wanted, then: @escaping @Sendable (MountOperation?) -> Void) {
    mounts.post { [self] in
      guard !state.isOff, let namespace = mounts.namespace, let root = (try? reuse(wanted)) ?? make(wanted) else {
        return then(nil)
      }
      taken.withLock { $0[run] = root }
      then(.root(path: "\(root.path)/root", namespace: namespace, on: mountPoint))
    }
  }

  /// Where a run's changes are; nil: it has no root from here.
  func place(of run: ContainerRun) -> String? { taken.withLock { $0[run]?.path } }

  /// No process of the run is left. Whether it had a root from here.
  func giveBack(_ run: ContainerRun) -> Bool {
    guard let root = taken.withLock({ $0.removeValue(forKey: run) }) else { return false }
    mounts.post { [self] in
      guard Traces(of: root.path) == root.fresh, RootLayers.rest(root.path) else { return drop(root) }
      state.free.append(root)
      if state.free.count > Self.freeLimit { drop(state.free.removeFirst()) }
    }
    return true
  }

  /// Drops what nobody has.
  func dropFree() {
    mounts.post { [self] in
      for root in state.free { drop(root) }
      state.free = []
      for (key, points) in state.points where points.users == 0 {
        OwnMounts.unmount(points.path)
        remove(points.path)
        state.points[key] = nil
      }
    }
  }

  /// Ends it, for a keeper without pods: nothing is left of what nobody has.
  func stop() {
    dropFree()
    _ = mounts.stop(milliseconds: 2_000)
  }

  // MARK: - On the thread

  private func reuse(_ wanted: Wanted) throws(IOError) -> Root? {
    let store = ImageStore(directory: paths.images)
    while let position = state.free.lastIndex(where: { $0.wanted == wanted }) {
      let root = state.free.remove(at: position)
      if try RootLayers.resume(wanted.layers, root.layers, for: root.path, in: store) { return root }
      drop(root)
    }
    return nil
  }

  /// nil: what stands in the way shows where the container makes its own.
  private func make(_ wanted: Wanted) -> Root? {
    let path = next()
    let key = PointsKey(layers: wanted.layers, points: wanted.points)
    do throws(IOError) {
      try Files.makeDirectory(path)
      try RootLayers.claim(wanted.layers, for: path, in: ImageStore(directory: paths.images))
      let layers = try RootLayers.identities(wanted.layers, in: ImageStore(directory: paths.images))
      let points = try points(key)
      // By way of the layers' directory, where names are looked up; a path may hold what parts names from each other.
      let names = ["../../\(Files.split(paths.roots).name)/\(Files.split(points).name)/upper"] + wanted.layers
      let image = MountOperation.image(layers: paths.layers, names: names, place: path, inMemory: false)
      try OwnMounts.make([image] + wanted.shared)
      guard let fresh = Traces(of: path) else { throw IOError(code: EIO, operation: "look at", subject: path) }
      state.points[key]?.users += 1
      return Root(path: path, wanted: wanted, layers: layers, fresh: fresh)
    } catch {
      unmountAndRemove(path)
      return nil
    }
  }

  private func points(_ key: PointsKey) throws(IOError) -> String {
    if let known = state.points[key] { return known.path }
    let path = next()
    do throws(IOError) {
      try Files.makeDirectory(path)
      try RootLayers.claim(key.layers, for: path, in: ImageStore(directory: paths.images))
      let image = MountOperation.image(layers: paths.layers, names: key.layers, place: path, inMemory: false)
      try OwnMounts.make([image] + key.points)
      OwnMounts.unmount("\(path)/root")
      // What it needs of the layers it has. Its changes are in memory where what was written before is not there now.
      guard RootLayers.rest(path) else {
        state.isOff = errno == ENOENT
        throw IOError.last("release layers", path)
      }
    } catch {
      unmountAndRemove(path)
      throw error
    }
    state.points[key] = Points(path: path)
    return path
  }

  private func next() -> String {
    state.made += 1
    return "\(paths.roots)/\(state.made)"
  }

  private func drop(_ root: Root) {
    state.points[PointsKey(layers: root.wanted.layers, points: root.wanted.points)]?.users -= 1
    unmountAndRemove(root.path)
  }

  private func unmountAndRemove(_ path: String) {
    OwnMounts.unmount("\(path)/root")
    // Where its changes are in memory.
    OwnMounts.unmount(path)
    remove(path)
  }

  /// What a container that changes something in its root cannot but leave in the directory of its changes.
  private struct Traces: Equatable {
    private var numbers: [Int64]
    private var attributes: [CChar]

    /// nil: something is in it, or it cannot be read.
    init?(of root: String) {
      let descriptor = open("\(root)/upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
      guard descriptor >= 0 else { return nil }
      defer { close(descriptor) }
      var facts = stat()
      guard fstat(descriptor, &facts) == 0, stint_is_empty_directory(descriptor) == 1 else { return nil }
      numbers = [
        Int64(facts.st_mode), Int64(facts.st_uid), Int64(facts.st_gid), Int64(facts.st_mtim.tv_sec),
        Int64(facts.st_mtim.tv_nsec), Int64(facts.st_ctim.tv_sec), Int64(facts.st_ctim.tv_nsec),
      ]
      attributes = [CChar](repeating: 0, count: 4_096)
      let size = stint_attribute_names(descriptor, &attributes, attributes.count)
      // A file system without any says so.
      guard size >= 0 || errno == ENOTSUP else { return nil }
      attributes.removeLast(attributes.count - max(size, 0))
    }
  }
}

/// Which file it is, as long as it is open or mounted: its number is nobody else's.
struct FileIdentity: Equatable, Sendable {
  var device: UInt64
  var inode: UInt64
}
