// Which pods' containers have one /dev/shm together, and where it is on the node. Names and a rule only; it must not
// know how it is made.

import ClusterProto

/// The memory that containers of a pod share by name.
package enum SharedMemory {
  /// Where containers have it.
  package static let path = "/dev/shm"
  /// What it is called among the volumes of a pod, none of which can have that name.
  package static let name = ".shm"
  /// Container runtimes' usual size.
  package static let bytes: Int64 = 64 << 20

  /// Whether it is made for the pod: a container that is alone has its own anyway, and one of the host's programs sees
  /// the host's.
  package static func isMade(for spec: PodSpec) -> Bool {
    !spec.hostIPC && spec.initContainers.count + spec.containers.count > 1
  }

  /// What a container of an image has there; nil: one of its own.
  static func mount(_ spec: PodSpec, _ place: PodPlace, beside mounts: [PodPlan.Mount]) -> [PodPlan.Mount] {
    guard !mounts.contains(where: { $0.path == path }) else { return [] }
    if spec.hostIPC { return [PodPlan.Mount(source: path, subPath: nil, path: path, readOnly: false)] }
    guard isMade(for: spec), place.hasMemoryVolumes else { return [] }
    return [
      PodPlan.Mount(source: "\(place.podDirectory)/volumes/\(name)", subPath: nil, path: path, readOnly: false)
    ]
  }
}
