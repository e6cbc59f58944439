// Owns: the volumes behind claims on this node: directories that outlive their pods, paths of the host, shares. Makes
// and finds them, and removes what the coordinator says is to go. Slow work. It must not decide which claims there are.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc

struct ClaimVolumes {
  let paths: NodePaths
  /// Whose rights count for the host's own paths; nil: this process'.
  let user: PodUser?

  /// The host's path of a claim's files.
  func find(_ volume: VolumeSpec, of assignment: Assignment) throws(VolumeError) -> String {
    guard let source = ClaimSource(assignment, volume: volume.name) else {
      throw Volumes.setUpFailure(volume.name, "its PersistentVolumeClaim is not bound")
    }
    switch source {
    case .stored(let name, let isNew):
      let group = user == nil ? assignment.spec.security.fsGroup : nil
      return try directory(name, isNew: isNew, volume.name, group.map { UInt32(truncatingIfNeeded: $0) })
    case .hostPath(let path, let type):
      try Volumes.findHostPath(path, type: type, volume: volume.name, user, paths)
      return path
    case .share(let share): return try Shares(paths: paths).mount(share, volume.name, for: assignment.attempt)
    }
  }

  private func directory(_ name: String, isNew: Bool, _ volume: String, _ group: UInt32?) throws(VolumeError) -> String
  {
    let path = "\(paths.claims)/\(name)"
    if !Files.exists(path) {
      guard isNew else {
        throw Volumes.setUpFailure(
          volume, "the directory of PersistentVolume \(name), \(path), is not on this node any more")
      }
      do throws(IOError) {
        // Nobody but the node looks in here; a pod sees its own alone.
        try Files.makeDirectory(paths.claims, mode: 0o700)
        try Files.makeDirectory(path, mode: 0o777)
      } catch {
        throw Volumes.setUpFailure(volume, "\(error)")
      }
      chmod(path, 0o777)
    }
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    guard descriptor >= 0 else { throw Volumes.setUpFailure(volume, "\(IOError.last("open", path))") }
    defer { close(descriptor) }
    guard let group else { return path }
    // The directory alone: other pods may be at work in it. What is made in it is the group's too.
    var facts = stat()
    guard fstat(descriptor, &facts) == 0, fchown(descriptor, uid_t.max, group) == 0,
      fchmod(descriptor, facts.st_mode & 0o7777 | 0o2770) == 0
    else { throw Volumes.setUpFailure(volume, "applyFSGroup failed for vol \(volume): \(IOError.last("chown", path))") }
    return path
  }

  /// Removes directories that no pod uses any more; returns those that are gone, and why others are not.
  func remove(_ names: [String]) -> (gone: [String], failed: [VolumeProblem]) {
    var gone: [String] = []
    var failed: [VolumeProblem] = []
    for name in names {
      guard Names.subdomainErrors(name).isEmpty else {
        failed.append(VolumeProblem(volume: name, message: "this is no name of a volume"))
        continue
      }
      do throws(IOError) {
        // Away at once: a pod of whoever takes the volume back meanwhile finds nothing, and not a part of it.
        let dying = "\(paths.claims)/.gone-\(name)"
        try Files.removeTree(dying)
        try Self.rename("\(paths.claims)/\(name)", dying)
        try Files.removeTree(dying)
        gone.append(name)
      } catch {
        failed.append(VolumeProblem(volume: name, message: "\(error)"))
      }
    }
    return (gone, failed)
  }

  /// One that is absent is fine; a pod may have marked the directory as immutable.
  private static func rename(_ path: String, _ other: String) throws(IOError) {
    if Glibc.rename(path, other) == 0 || errno == ENOENT { return }
    if errno == EPERM, Files.unmark(path), Glibc.rename(path, other) == 0 { return }
    throw IOError.last("rename", path)
  }
}
