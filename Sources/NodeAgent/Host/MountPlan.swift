// From a container's mounts to mount operations: which paths the host has, which must be made inside the pod's own
// root. Nothing is ever made on the host: a missing top-level path gets a mirrored root, a deeper one an overlay of
// the nearest directory. Only in the pod's own volumes are missing mount points and subPaths made, as kubelet does.

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

    var source: String { below.isEmpty ? volume : volume + "/" + below }
  }

  private(set) var operations: [MountOperation] = []
  private var overlaid: [String] = []
  private var placed: [Placed] = []
  private let hasOwnRoot: Bool
  private let podDirectory: String
  /// Mount points of the host, for an overlay that would hide them; read only when there is one.
  private let hostMounts: [String]

  /// `rootDirectory`: an empty directory of the host that a mirrored root may be mounted on (privately).
  /// `podDirectory`: sources below it are the pod's own volumes. Call it just before the container starts: it looks at
  /// what earlier containers left in the volumes.
  static func operations(
    for container: PodPlan.Container, podDirectory: String, rootDirectory: String
  ) -> [MountOperation] {
    guard !container.mounts.isEmpty else { return [] }
    let mounts = container.mounts.map { mount in
      var normal = mount
      normal.path = normalized(mount.path)
      return normal
    }.sorted { $0.path < $1.path }
    let lacksTop = mounts.contains { nearestDirectory(of: $0.path) == "/" && !Files.exists($0.path) }
    let plan = MountPlan(mounts, ownRoot: lacksTop, podDirectory: podDirectory, hostMounts: [])
    let hidden = plan.overlaid.isEmpty ? [] : mountPoints(below: plan.overlaid)
    let needsRoot = lacksTop || !hidden.isEmpty
    let result =
      hidden.isEmpty ? plan : MountPlan(mounts, ownRoot: true, podDirectory: podDirectory, hostMounts: hidden)
    guard needsRoot else { return result.operations }
    return [.mirror(source: "/", destination: rootDirectory), .newRoot(path: rootDirectory)] + result.operations
      + [.pivot]
  }

  private init(_ mounts: [PodPlan.Mount], ownRoot: Bool, podDirectory: String, hostMounts: [String]) {
    hasOwnRoot = ownRoot
    self.podDirectory = podDirectory
    self.hostMounts = hostMounts
    for mount in mounts { place(mount) }
  }

  private mutating func place(_ mount: PodPlan.Mount) {
    let below = mount.subPath ?? ""
    let isOwn = PathText.isBelow(mount.source, podDirectory)
    let new = Placed(path: mount.path, volume: mount.source, below: below, isOwn: isOwn && !mount.readOnly)
    if isOwn, !below.isEmpty, !Files.exists(new.source) { _ = stint_make_below(mount.source, below, 1) }
    let isDirectory = (try? Files.status(new.source))?.isDirectory ?? true
    // The host path that is seen at the mount point, through the mounts placed before.
    let outer = placed.last { PathText.isBelow(mount.path, $0.path) }
    let seen = outer.map { $0.source + mount.path.dropFirst($0.path.count) } ?? mount.path
    if (try? Files.status(seen))?.isDirectory != isDirectory {
      prepare(mount.path, outer: outer, isDirectory: isDirectory)
    }
    operations.append(.bind(source: mount.source, below: below, destination: mount.path, readOnly: mount.readOnly))
    placed.append(new)
  }

  /// Makes the mount point, after covering the nearest directory that is there with something of the pod's own.
  private mutating func prepare(_ path: String, outer: Placed?, isDirectory: Bool) {
    if let outer, outer.isOwn {
      // A failure shows as the mount's own, which names the path.
      _ = stint_make_below(outer.volume, outer.below + path.dropFirst(outer.path.count), isDirectory ? 1 : 0)
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
