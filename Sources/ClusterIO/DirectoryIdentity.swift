// Owns: what tells a directory from every copy of it. It must not know what the directory is for.

import CLinux
import ClusterProto
import Glibc

/// One directory (or file) of one file system. What keeps it: rename within the file system, bind mounts. What does
/// not: a move to another file system, every copy (cp -a, rsync, tar), a snapshot that has another device,
/// another device number after a boot. A copy of a whole disk keeps it, on another machine too.
package struct DirectoryIdentity: Equatable, Sendable {
  /// Equal texts: the same directory.
  package var text: String { "\(device):\(file)" }
  /// The number of its file system's device, which a boot may change.
  package let device: String
  /// What it is within its file system: inode, birth and handle.
  package let file: String
  /// Whether no later directory can have the same text: the file system keeps birth times, which nobody can set, or
  /// generations of its inodes.
  package let isLasting: Bool

  /// Identifies the directory that `path` leads to.
  package init(path: String) throws(IOError) {
    var facts = stint_identity()
    guard stint_identify(path, &facts) == 0 else { throw IOError.last("identify", path) }
    let length = Int(facts.handle_length)
    let handle = withUnsafeBytes(of: &facts.handle) { Hexadecimal.text(Array($0.prefix(length))) }
    device = String(facts.device)
    file = "\(facts.inode):\(facts.birth):\(handle)"
    isLasting = facts.birth != 0 || length > 0
  }
}
