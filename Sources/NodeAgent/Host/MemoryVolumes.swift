// emptyDir volumes of the medium Memory: file systems in memory, mounted below the pod's own directory, so that all its
// containers have the same one; what is in them counts as memory of whoever wrote it. It must not know what else is a
// volume.

import ClusterIO
import ClusterProto
import Glibc

enum MemoryVolumes {
  /// Whether this process may mount at all; a node that may not keeps such volumes on its disk.
  static var isPossible: Bool { geteuid() == 0 }

  /// Mounts one on `directory`, which is there; one that an earlier try has mounted stays.
  static func mount(on directory: String, bytes: Int64, mode: UInt32) throws(IOError) {
    if isMounted(directory) { return }
    let options = "size=\(max(1, bytes)),mode=\(String(mode, radix: 8))"
    guard Glibc.mount("tmpfs", directory, "tmpfs", UInt(MS_NOSUID | MS_NODEV), options) == 0 else {
      throw IOError.last("mount", directory)
    }
  }

  /// As the kubelet bounds it: by the volume's own limit, by what the pod's containers may have together, and by the
  /// node's memory. In bytes.
  static func size(limit: Int64?, of spec: PodSpec, capacity: NodeCapacity) -> Int64 {
    var size = capacity.memoryBytes > 0 ? capacity.memoryBytes : Int64.max
    let limits = (spec.initContainers.filter(\.isSidecar) + spec.containers).map(\.limits.memoryBytes)
    let isBound = !limits.isEmpty && !limits.contains(nil)
    let together = limits.reduce(Int64(0)) { $0.addingSaturated($1 ?? 0) }
    if isBound, together > 0 { size = min(size, together) }
    if let limit, limit > 0 { size = min(size, limit) }
    return size
  }

  /// Takes off what is mounted as volumes below a pod's directory, whoever still has files of it open.
  static func unmount(below pod: String) {
    let directory = "\(pod)/volumes"
    for name in (try? Files.list(directory)) ?? [] {
      umount2("\(directory)/\(name)", Int32(MNT_DETACH) | Int32(UMOUNT_NOFOLLOW))
    }
  }

  private static func isMounted(_ directory: String) -> Bool {
    var own = stat()
    var above = stat()
    guard lstat(directory, &own) == 0, lstat(Files.split(directory).parent, &above) == 0 else { return false }
    return own.st_dev != above.st_dev
  }
}
