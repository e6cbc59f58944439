// From a container of an image to mount operations: its layers as the root, the kernel's file systems in it as
// container runtimes give them (what is hidden and read-only too), the files that kubelet writes, and the pod's
// volumes. Missing mount points are made in the container's own layer, or, inside a volume, in that volume, as runtimes
// do.

import CLinux
import ClusterIO
import ClusterProto
import Glibc

/// Mount operations of containers that have an image.
enum RootPlan {
  /// The host's device files that every container has.
  private static let devices = ["null", "zero", "full", "random", "urandom", "tty"]
  private static let links = [
    "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx", "core": "/proc/kcore",
  ]
  /// What tells a container of its host, or lets it change it.
  private static let masked = [
    "/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/proc/interrupts", "/sys/firmware",
    "/sys/devices/virtual/powercap",
  ]
  private static let sealed = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]

  private struct Placed {
    var path: String
    var source: String
    var isReadOnly: Bool
  }

  /// A root's operations, in three parts that follow on each other. The first two are the same for all containers of a
  /// template, and can be made for them beforehand (`RootPool`).
  struct Parts {
    /// Mount points in the root itself.
    var points: [MountOperation]
    /// What is mounted in it that all can share.
    var shared: [MountOperation]
    /// What is this container's.
    var own: [MountOperation]

    /// All of them, for a root of its own. `place`: where its changes are kept; in memory for a root that takes none.
    func operations(_ root: ContainerRoot, layers: String, place: String) -> [MountOperation] {
      [.image(layers: layers, names: root.layers, place: place, inMemory: root.isReadOnly)] + points + shared + own
    }
  }

  /// Throws where a volume's subPath cannot be made.
  static func parts(
    for container: PodPlan.Container, _ root: ContainerRoot, hostname: String, data: String, user: PodUser?
  ) throws(IOError) -> Parts {
    var parts = Parts(
      points: ["/proc", "/dev", "/sys"].map { .makeDirectory(path: $0) },
      shared: [.sysfs(destination: "/sys", readOnly: !root.isPrivileged)], own: [.proc(destination: "/proc")])
    parts.own += root.isPrivileged ? [.bind(source: "/dev", destination: "/dev")] : ownDevices(root)
    if !root.isPrivileged, !root.unmasksProc {
      // The container's are of the same kernel: what that does not have costs each start a look into a new /proc.
      let hidden = masked.filter(isThere)
      parts.shared += hidden.filter { PathText.isBelow($0, "/sys") }.map { .mask(path: $0) }
      parts.own += hidden.filter { PathText.isBelow($0, "/proc") }.map { .mask(path: $0) }
      parts.own += sealed.filter(isThere).map { .seal(path: $0) }
    }
    for operation in try volumes(container, root, data: data, user: user) {
      if isPoint(operation) { parts.points.append(operation) } else { parts.own.append(operation) }
    }
    if container.workingDirectory != "/" {
      let directory = MountOperation.makeDirectory(path: container.workingDirectory)
      // In a volume, it is to be made there, once that is mounted.
      let outside = !container.mounts.contains {
        let path = MountPlan.normalized($0.path)
        return path == container.workingDirectory || PathText.isBelow(container.workingDirectory, path)
      }
      if outside, isPoint(directory) { parts.points.append(directory) } else { parts.own.append(directory) }
    }
    if root.isReadOnly { parts.own.append(.seal(path: "/")) }
    parts.own += [.hostName(hostname), .pivot]
    return parts
  }

  private static func isThere(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// Whether it makes something in the root itself, and not in what is mounted there.
  private static func isPoint(_ operation: MountOperation) -> Bool {
    let path: String
    switch operation {
    case .makeDirectory(let made, _), .makeFile(let made, _): path = made
    default: return false
    }
    return !["/proc", "/dev", "/sys"].contains { path == $0 || PathText.isBelow(path, $0) }
  }

  private static func ownDevices(_ root: ContainerRoot) -> [MountOperation] {
    var result: [MountOperation] = [.tmpfs(destination: "/dev", options: "mode=755,size=65536k")]
    // Nodes made in a container's own file system would open whatever device the container likes: none of its file
    // systems has any, and these are the host's: read-only, so that their modes and owners stay. What a device takes is
    // no change of its file.
    for name in devices {
      result += [
        .makeFile(path: "/dev/\(name)", mode: 0o666),
        .bind(source: "/dev/\(name)", destination: "/dev/\(name)", readOnly: true),
      ]
    }
    for name in links.keys.sorted() {
      if let target = links[name] { result.append(.symbolicLink(path: "/dev/\(name)", target: target)) }
    }
    result += [
      .makeDirectory(path: "/dev/pts"), .terminals(destination: "/dev/pts"), .makeDirectory(path: "/dev/shm"),
      .tmpfs(destination: "/dev/shm", options: "mode=1777,size=65536k"),
    ]
    if root.podIPC { result += [.makeDirectory(path: "/dev/mqueue"), .queues(destination: "/dev/mqueue")] }
    return result
  }

  private static func volumes(_ container: PodPlan.Container, _ root: ContainerRoot, data: String, user: PodUser?)
    throws(IOError) -> [MountOperation]
  {
    var placed: [Placed] = []
    var result: [MountOperation] = []
    let mounts = container.mounts.map { mount in
      var normal = mount
      normal.path = MountPlan.normalized(mount.path)
      return normal
    }
    for mount in mounts.sorted(by: { $0.path < $1.path }) {
      let below = mount.subPath ?? ""
      let source = below.isEmpty ? mount.source : "\(mount.source)/\(below)"
      let isHost = !PathText.isBelow(mount.source, data)
      if !below.isEmpty, !Files.exists(source), !isHost || user == nil { try makeSubPath(mount.source, below) }
      let isDirectory = (try? Files.status(source))?.isDirectory ?? true
      if let outer = placed.last(where: { PathText.isBelow(mount.path, $0.path) }) {
        // What fails here shows as the mount's own failure, which names the path.
        let inside = String(mount.path.dropFirst(outer.path.count))
        if !outer.isReadOnly { _ = stint_make_below(outer.source, inside, isDirectory ? 1 : 0, 0o755) }
      } else {
        result.append(isDirectory ? .makeDirectory(path: mount.path) : .makeFile(path: mount.path))
      }
      result.append(
        .bind(
          source: mount.source, below: below, destination: mount.path, readOnly: mount.readOnly,
          asUser: isHost && user != nil, noDevices: !root.isPrivileged || root.ownUsers, shifted: root.ownUsers))
      placed.append(Placed(path: mount.path, source: source, isReadOnly: mount.readOnly))
    }
    return result
  }

  private static func makeSubPath(_ volume: String, _ below: String) throws(IOError) {
    guard let status = try? Files.status(volume), status.isDirectory else { return }
    guard stint_make_below(volume, below, 1, status.mode & 0o7777) == 0 else {
      throw IOError.last("make subPath \"\(below)\" in", volume)
    }
  }
}
