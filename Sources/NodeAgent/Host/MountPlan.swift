// From a container's mounts to mount operations: which paths the host has, which must be made inside the pod's own
// root. Nothing is made on the host outside of volumes: a missing top-level path gets a mirrored root, a deeper one an
// overlay of the nearest directory. In volumes, the host's too, missing mount points and subPaths are made, as kubelet
// and runtimes do, but in a hostPath that is mounted read-only: an overlay there would swallow what the pod writes, and
// hide what the host has mounted in it. A missing working directory is made like a mount point, as runtimes do. What
// lies outside the node's own directory is looked up and made with the pod user's rights. Whatever covers others is
// mounted before them, so no volume is hidden.

import CLinux
import ClusterIO
import ClusterProto
import Glibc

/// One container's mount operations, in order.
struct MountPlan {
  private struct Placed {
    var path: String
    /// The volume, and what of it is mounted (empty: all).
    var volume: String
    var below: String
    /// Not the node's: a path of the host's that the manifest names.
    var isHost: Bool
    var isReadOnly: Bool
    /// Makes its mount point, where that is in something that covers.
    var point: MountOperation?

    var source: String { below.isEmpty ? volume : volume + "/" + below }
  }

  /// Directories of the host that an overlay covers, before any volume is mounted.
  private var covered: [String] = []
  private var placed: [Placed] = []
  /// Makes the working directory.
  private var last: MountOperation?
  private let hasOwnRoot: Bool
  private let data: String
  private let user: PodUser?
  /// Mount points of the host, for an overlay that would hide them; read only when there is one.
  private let hostMounts: [String]

  /// `rootDirectory`: an empty directory of the host that a mirrored root may be mounted on (privately).
  /// `data`: the node's own directory, from which preparing takes no hostPath of a `user`, since it is closed to all
  /// but root. Call it just before the container starts: it looks at what earlier containers left in the volumes.
  static func operations(
    for container: PodPlan.Container, data: String, user: PodUser?, rootDirectory: String
  ) -> [MountOperation] {
    let directory = normalized(container.workingDirectory)
    guard !container.mounts.isEmpty || !isDirectory(directory) else { return [] }
    let mounts = container.mounts.map { mount in
      var normal = mount
      normal.path = normalized(mount.path)
      return normal
    }.sorted { $0.path < $1.path }
    let lacksTop = (mounts.map { $0.path } + [directory]).contains {
      nearestDirectory(of: $0) == "/" && !Files.exists($0)
    }
    func made(ownRoot: Bool, _ hostMounts: [String]) -> MountPlan {
      MountPlan(mounts, directory, ownRoot: ownRoot, data: data, user: user, hostMounts: hostMounts)
    }
    let plan = made(ownRoot: lacksTop, [])
    let hidden = plan.covered.isEmpty ? [] : mountPoints(below: plan.covered)
    let needsRoot = lacksTop || !hidden.isEmpty
    let result = hidden.isEmpty ? plan : made(ownRoot: true, hidden)
    guard needsRoot else { return result.operations }
    return [.mirror(source: "/", destination: rootDirectory), .newRoot(path: rootDirectory)] + result.operations
      + [.pivot]
  }

  private init(
    _ mounts: [PodPlan.Mount], _ directory: String, ownRoot: Bool, data: String, user: PodUser?, hostMounts: [String]
  ) {
    hasOwnRoot = ownRoot
    self.data = data
    self.user = user
    self.hostMounts = hostMounts
    for mount in mounts { place(mount) }
    makeWorkingDirectory(directory)
  }

  private var operations: [MountOperation] {
    var result: [MountOperation] = []
    for directory in covered.sorted() {
      result.append(.overlay(destination: directory))
      // An overlay shows one file system: what the host has mounted below it is put back.
      let below = Self.resolved(directory) + "/"
      for point in hostMounts where point.hasPrefix(below) { result.append(.bind(source: point, destination: point)) }
    }
    for mount in placed {
      if let point = mount.point { result.append(point) }
      result.append(
        .bind(
          source: mount.volume, below: mount.below, destination: mount.path, readOnly: mount.isReadOnly,
          asUser: mount.isHost))
    }
    if let last { result.append(last) }
    return result
  }

  /// What is there and no directory is the start's to refuse, by name.
  private mutating func makeWorkingDirectory(_ directory: String) {
    let (outer, seen) = lookUp(directory)
    guard !Files.exists(seen) else { return }
    // One that is missing in a volume that cannot be written is the start's to refuse as well.
    if outer.map({ placed[$0].isReadOnly }) != true { last = prepare(directory, outer: outer, isDirectory: true) }
  }

  /// With the rights that count in this volume; nil: they cannot be had, and nothing was done.
  private func asUser<Result>(of volume: Placed, _ body: () -> Result) -> Result? {
    guard let user, volume.isHost else { return body() }
    return user.acting(body)
  }

  /// The place of the mount that holds a path of the container's, and what the host calls the path, through the mounts
  /// placed so far.
  private func lookUp(_ path: String) -> (outer: Int?, seen: String) {
    if let exact = placed.lastIndex(where: { $0.path == path }) { return (exact, placed[exact].source) }
    let outer = placed.lastIndex { PathText.isBelow(path, $0.path) }
    return (outer, outer.map { placed[$0].source + path.dropFirst(placed[$0].path.count) } ?? path)
  }

  private static func isDirectory(_ path: String) -> Bool { (try? Files.status(path))?.isDirectory == true }

  private mutating func place(_ mount: PodPlan.Mount) {
    let below = mount.subPath ?? ""
    var new = Placed(
      path: mount.path, volume: mount.source, below: below, isHost: !PathText.isBelow(mount.source, data),
      isReadOnly: mount.readOnly)
    let isDirectory =
      asUser(of: new) {
        if !below.isEmpty, !Files.exists(new.source), let volume = try? Files.status(mount.source), volume.isDirectory {
          _ = stint_make_below(mount.source, below, 1, volume.mode & 0o7777)
        }
        return (try? Files.status(new.source))?.isDirectory ?? true
      } ?? true
    let (outer, seen) = lookUp(mount.path)
    if (try? Files.status(seen))?.isDirectory != isDirectory {
      new.point = prepare(mount.path, outer: outer, isDirectory: isDirectory)
    }
    placed.append(new)
  }

  /// Makes the path in the volume that it lies in; where it lies in none, covers the nearest directory that is there
  /// with something of the pod's own, and says how the path is made in it. In a hostPath that is read-only nothing is
  /// made: that the operation says.
  private mutating func prepare(_ path: String, outer: Int?, isDirectory: Bool) -> MountOperation? {
    if let volume = outer.map({ placed[$0] }), !volume.isReadOnly || !volume.isHost {
      // A failure shows as the mount's own, which names the path.
      _ = asUser(of: volume) {
        stint_make_below(
          volume.volume, volume.below + path.dropFirst(volume.path.count), isDirectory ? 1 : 0, 0o755)
      }
      return nil
    }
    if outer == nil {
      let nearest = Self.nearestDirectory(of: path)
      if nearest != "/" || !hasOwnRoot { cover(nearest) }
    }
    return isDirectory ? .makeDirectory(path: path) : .makeFile(path: path)
  }

  /// One overlay covers all directories below it.
  private mutating func cover(_ directory: String) {
    guard !covered.contains(where: { directory == $0 || PathText.isBelow(directory, $0) }) else { return }
    covered.removeAll { PathText.isBelow($0, directory) }
    covered.append(directory)
  }

  /// The deepest directory on the way to `path` that the host has.
  static func nearestDirectory(of path: String) -> String {
    var candidate = Files.split(path).parent
    while candidate != "/", (try? Files.status(candidate))?.isDirectory != true {
      candidate = Files.split(candidate).parent
    }
    return candidate
  }

  /// Without double slashes, `.` and a slash at the end; `..` was refused at submission and is dropped here.
  static func normalized(_ path: String) -> String {
    "/" + PathText.names(path).filter { $0 != "." && $0 != ".." }.joined(separator: "/")
  }

  private static func resolved(_ path: String) -> String {
    guard let real = realpath(path, nil) else { return path }
    defer { free(real) }
    return String(cString: real)
  }

  /// Our mount points below any of these directories, outer ones first.
  private static func mountPoints(below directories: [String]) -> [String] {
    let roots = directories.map { resolved($0) + "/" }
    let text = String(decoding: (try? Files.read("/proc/self/mountinfo")) ?? [], as: UTF8.self)
    // proc(5): the fifth field is the mount point; blanks in it stand as octal, which no mount of interest here has.
    let points = text.split(separator: "\n").compactMap { line -> String? in
      let fields = line.split(separator: " ", maxSplits: 5)
      return fields.count > 4 && !fields[4].contains("\\") ? String(fields[4]) : nil
    }
    return Set(points.filter { point in roots.contains { point.hasPrefix($0) } }).sorted()
  }
}
