// From a container's mounts to mount operations: which paths the host has, which must be made inside the pod's own
// root. Nothing is ever made on the host: a missing top-level path gets a mirrored root, a deeper one an overlay of
// the nearest directory. Only in the pod's own volumes are missing mount points made, and in any volume a missing
// subPath, as kubelet does. A missing working directory is made like a mount point, as runtimes do. What lies outside
// the node's own directory is looked up and made with the pod user's rights.

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
    var isOwn: Bool
    /// Not the node's: a path of the host's that the manifest names.
    var isHost: Bool
    var isReadOnly: Bool

    var source: String { below.isEmpty ? volume : volume + "/" + below }
  }

  private(set) var operations: [MountOperation] = []
  private var overlaid: [String] = []
  private var placed: [Placed] = []
  private let hasOwnRoot: Bool
  private let podDirectory: String
  private let data: String
  private let user: PodUser?
  /// Mount points of the host, for an overlay that would hide them; read only when there is one.
  private let hostMounts: [String]

  /// `rootDirectory`: an empty directory of the host that a mirrored root may be mounted on (privately).
  /// `podDirectory`: sources below it are the pod's own volumes. `data`: the node's own directory, from which
  /// preparing takes no hostPath of a `user`, since it is closed to all but root. Call it just before the container
  /// starts: it looks at what earlier containers left in the volumes.
  static func operations(
    for container: PodPlan.Container, podDirectory: String, data: String, user: PodUser?, rootDirectory: String
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
      MountPlan(
        mounts, directory, ownRoot: ownRoot, podDirectory: podDirectory, data: data, user: user, hostMounts: hostMounts)
    }
    let plan = made(ownRoot: lacksTop, [])
    let hidden = plan.overlaid.isEmpty ? [] : mountPoints(below: plan.overlaid)
    let needsRoot = lacksTop || !hidden.isEmpty
    let result = hidden.isEmpty ? plan : made(ownRoot: true, hidden)
    guard needsRoot else { return result.operations }
    return [.mirror(source: "/", destination: rootDirectory), .newRoot(path: rootDirectory)] + result.operations
      + [.pivot]
  }

  private init(
    _ mounts: [PodPlan.Mount], _ directory: String, ownRoot: Bool, podDirectory: String, data: String, user: PodUser?,
    hostMounts: [String]
  ) {
    hasOwnRoot = ownRoot
    self.podDirectory = podDirectory
    self.data = data
    self.user = user
    self.hostMounts = hostMounts
    for mount in mounts { place(mount) }
    makeWorkingDirectory(directory)
  }

  /// What is there and no directory is the start's to refuse, by name.
  private mutating func makeWorkingDirectory(_ directory: String) {
    let (outer, seen) = lookUp(directory)
    guard !Files.exists(seen) else { return }
    guard let outer else { return prepare(directory, outer: nil, isDirectory: true) }
    // In a volume, also one of the host's: covering it would keep the container's writes from it.
    if !outer.isReadOnly {
      make(outer.below + directory.dropFirst(outer.path.count), in: outer, mode: 0o755)
    }
  }

  /// Makes a directory in a volume. A failure shows as the mount's own, which names the path.
  private func make(_ path: String, in volume: Placed, mode: UInt32) {
    _ = asUser(of: volume) { stint_make_below(volume.volume, path, 1, mode) }
  }

  /// With the rights that count in this volume; nil: they cannot be had, and nothing was done.
  private func asUser<Result>(of volume: Placed, _ body: () -> Result) -> Result? {
    guard let user, volume.isHost else { return body() }
    return user.acting(body)
  }

  /// The mount that holds a path of the container's, and what the host calls it, through the mounts placed so far.
  private func lookUp(_ path: String) -> (outer: Placed?, seen: String) {
    if let exact = placed.last(where: { $0.path == path }) { return (exact, exact.source) }
    let outer = placed.last { PathText.isBelow(path, $0.path) }
    return (outer, outer.map { $0.source + path.dropFirst($0.path.count) } ?? path)
  }

  private static func isDirectory(_ path: String) -> Bool { (try? Files.status(path))?.isDirectory == true }

  private mutating func place(_ mount: PodPlan.Mount) {
    let below = mount.subPath ?? ""
    let isOwn = PathText.isBelow(mount.source, podDirectory)
    let new = Placed(
      path: mount.path, volume: mount.source, below: below, isOwn: isOwn && !mount.readOnly,
      isHost: !PathText.isBelow(mount.source, data), isReadOnly: mount.readOnly)
    let isDirectory =
      asUser(of: new) {
        if !below.isEmpty, !Files.exists(new.source), let volume = try? Files.status(mount.source), volume.isDirectory {
          _ = stint_make_below(mount.source, below, 1, volume.mode & 0o7777)
        }
        return (try? Files.status(new.source))?.isDirectory ?? true
      } ?? true
    let (outer, seen) = lookUp(mount.path)
    if (try? Files.status(seen))?.isDirectory != isDirectory {
      prepare(mount.path, outer: outer, isDirectory: isDirectory)
    }
    operations.append(
      .bind(
        source: mount.source, below: below, destination: mount.path, readOnly: mount.readOnly, asUser: new.isHost))
    placed.append(new)
  }

  /// Makes the mount point, after covering the nearest directory that is there with something of the pod's own.
  private mutating func prepare(_ path: String, outer: Placed?, isDirectory: Bool) {
    if let outer, outer.isOwn {
      // A failure shows as the mount's own, which names the path.
      _ = stint_make_below(outer.volume, outer.below + path.dropFirst(outer.path.count), isDirectory ? 1 : 0, 0o755)
      return
    }
    let nearest = outer.map { nearestInside($0, path) } ?? Self.nearestDirectory(of: path)
    let isOwn = nearest == "/" && hasOwnRoot
    if !isOwn, !overlaid.contains(where: { nearest == $0 || PathText.isBelow(nearest, $0) }) {
      operations.append(.overlay(destination: nearest))
      overlaid.append(nearest)
      // An overlay shows one file system: what the host has mounted below is put back.
      for point in hostMounts where outer == nil && point.hasPrefix(Self.resolved(nearest) + "/") {
        operations.append(.bind(source: point, destination: point))
      }
    }
    operations.append(isDirectory ? .makeDirectory(path: path) : .makeFile(path: path))
  }

  private func nearestInside(_ outer: Placed, _ path: String) -> String {
    var candidate = Files.split(path).parent
    while candidate.utf8.count > outer.path.utf8.count {
      let seen = outer.source + candidate.dropFirst(outer.path.count)
      if (try? Files.status(seen))?.isDirectory == true { return candidate }
      candidate = Files.split(candidate).parent
    }
    return outer.path
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
