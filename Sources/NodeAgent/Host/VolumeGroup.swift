// Gives what a node has made as a pod's volume to the pod's fsGroup, as the kubelet's SetVolumeOwnership does: emptyDir
// and what is written of ConfigMaps, Secrets and the downward API; what lies on the host itself stays whose it is.

import ClusterIO
import ClusterProto
import Glibc

extension VolumeSpec {
  /// The node makes it for the pod.
  var isOfNode: Bool {
    switch source {
    case .emptyDirectory, .files: true
    case .hostPath, .claim, .ephemeral, .unsupported: false
    }
  }

  /// Its files are the node's, to be read alone.
  var isWritten: Bool {
    if case .files = source { true } else { false }
  }
}

/// The group of a pod's volumes.
struct VolumeGroup {
  let group: UInt32
  /// Members may read it alone.
  let isReadOnly: Bool

  /// No process of the pod runs yet, so nothing in there changes meanwhile.
  func own(_ directory: String, _ volume: String) throws(VolumeError) {
    do throws(IOError) {
      try take(directory)
    } catch {
      throw Volumes.setUpFailure(volume, "applyFSGroup failed for vol \(volume): \(error)")
    }
  }

  private func take(_ path: String) throws(IOError) {
    var facts = stat()
    guard lstat(path, &facts) == 0 else { throw IOError.last("lstat", path) }
    guard lchown(path, uid_t.max, group) == 0 else { throw IOError.last("lchown", path) }
    let kind = facts.st_mode & S_IFMT
    if kind == S_IFLNK { return }
    var mode = facts.st_mode & 0o7777 | (isReadOnly ? 0o440 : 0o660)
    // New files in there are the group's too.
    if kind == S_IFDIR { mode |= 0o2110 }
    guard chmod(path, mode) == 0 else { throw IOError.last("chmod", path) }
    guard kind == S_IFDIR else { return }
    for name in try Files.list(path) { try take("\(path)/\(name)") }
  }
}
