// From a container's mounts to mount operations: which paths the host has, which must be made inside the pod's own root.
// Nothing is ever made on the host: a missing top-level path gets a mirrored root, a deeper one an overlay of the nearest directory.

import ClusterIO
import ClusterProto

/// One container's mount operations, in order.
struct MountPlan {
  private(set) var operations: [MountOperation] = []
  private var overlaid: [String] = []
  /// Mounts made so far: path inside and path of the host behind it.
  private var placed: [(path: String, source: String, writable: Bool)] = []
  private var hasOwnRoot = false

  /// `rootDirectory`: an empty directory of the host that a mirrored root may be mounted on (privately).
  /// `podDirectory`: sources below it are the pod's own volumes, in which missing mount points may be made.
  static func operations(
    for container: PodPlan.Container, podDirectory: String, rootDirectory: String
  ) -> [MountOperation] {
    guard !container.mounts.isEmpty else { return [] }
    var plan = MountPlan()
    let mounts = container.mounts.map { mount in
      var normal = mount
      normal.path = normalized(mount.path)
      return normal
    }.sorted { $0.path < $1.path }
    if mounts.contains(where: { nearestDirectory(of: $0.path) == "/" && !Files.exists($0.path) }) {
      plan.operations.append(.mirror(source: "/", destination: rootDirectory))
      plan.operations.append(.newRoot(path: rootDirectory))
      plan.hasOwnRoot = true
    }
    for mount in mounts { plan.place(mount, podDirectory: podDirectory) }
    if plan.hasOwnRoot { plan.operations.append(.pivot) }
    return plan.operations
  }

  private mutating func place(_ mount: PodPlan.Mount, podDirectory: String) {
    let source = mount.subPath.map { mount.source + "/" + $0 } ?? mount.source
    let isDirectory = (try? Files.status(source))?.isDirectory ?? true
    // The host path that is seen at the mount point, through the mounts placed before.
    let outer = placed.last { mount.path.hasPrefix($0.path + "/") }
    let seen = outer.map { $0.source + mount.path.dropFirst($0.path.count) } ?? mount.path
    let status = try? Files.status(seen)
    if status == nil || status?.isDirectory != isDirectory {
      prepare(mount.path, seen: seen, outer: outer, isDirectory: isDirectory, podDirectory: podDirectory)
    }
    operations.append(
      .bind(source: mount.source, below: mount.subPath ?? "", destination: mount.path, readOnly: mount.readOnly))
    placed.append((mount.path, source, !mount.readOnly))
  }

  /// Makes the mount point, after covering the nearest directory that is there with something of the pod's own.
  private mutating func prepare(
    _ path: String, seen: String, outer: (path: String, source: String, writable: Bool)?, isDirectory: Bool,
    podDirectory: String
  ) {
    if let outer, outer.source.hasPrefix(podDirectory + "/"), outer.writable {
      // A volume of the pod itself: the mount point is made in it, as Kubernetes' runtimes do.
      try? Files.makeDirectory(isDirectory ? seen : Files.split(seen).parent, mode: 0o755)
      if !isDirectory, !Files.exists(seen) { try? Files.writeAtomically(seen, [], mode: 0o644) }
      return
    }
    let nearest = outer.map { nearestInside($0, path) } ?? Self.nearestDirectory(of: path)
    let isOwn = nearest == "/" && hasOwnRoot
    if !isOwn, !overlaid.contains(where: { nearest == $0 || nearest.hasPrefix($0 + "/") }) {
      operations.append(.overlay(destination: nearest))
      overlaid.append(nearest)
    }
    operations.append(isDirectory ? .makeDirectory(path: path) : .makeFile(path: path))
  }

  private func nearestInside(_ outer: (path: String, source: String, writable: Bool), _ path: String) -> String {
    var candidate = Files.split(path).parent
    while candidate.count > outer.path.count {
      if (try? Files.status(outer.source + candidate.dropFirst(outer.path.count)))?.isDirectory == true { return candidate }
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
    "/" + path.split(separator: "/").filter { $0 != "." && $0 != ".." }.joined(separator: "/")
  }
}
