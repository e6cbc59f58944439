// What overlay file systems take for "this is gone" and "nothing of what is below shows through", and the owner, mode,
// times and attributes of one file. Knows no archive's order and no layer's bounds.

import CLinux
import ClusterIO
import Glibc

/// The marks and attributes of one thing in a layer.
enum LayerEntry {
  /// The kernel takes the marks of an overlay that root mounts from here, of one mounted in a user namespace from the
  /// other.
  private static var opaqueName: String { geteuid() == 0 ? "trusted.overlay.opaque" : "user.overlay.opaque" }
  private static let capability = "security.capability"

  /// Whether `name` says that what is below of that name is gone.
  static func isWhiteout(_ directory: Int32, _ name: [CChar]) -> Bool {
    var facts = stat()
    return fstatat(directory, name, &facts, AT_SYMLINK_NOFOLLOW) == 0 && isWhiteout(facts)
  }

  /// The same of what was looked at.
  static func isWhiteout(_ facts: stat) -> Bool { facts.st_mode & S_IFMT == S_IFCHR && facts.st_rdev == 0 }

  /// Has nothing below a directory show through it.
  static func setOpaque(_ directory: Int32) throws(IOError) {
    let code = Files.setAttribute(directory, opaqueName, [UInt8(ascii: "y")])
    guard code == 0 else { throw IOError(code: code, operation: "mark", subject: opaqueName) }
  }

  /// Whether nothing below shows through a directory.
  static func isOpaque(_ directory: Int32) -> Bool {
    Files.attribute(directory, opaqueName) == [UInt8(ascii: "y")]
  }

  /// Makes `name` say that what is below of that name is gone.
  static func makeWhiteout(_ directory: Int32, _ name: [CChar]) -> Bool {
    mknodat(directory, name, S_IFCHR, 0) == 0
  }

  /// What an attribute of an image becomes: those that steer overlay file systems or belong to the host's own security
  /// modules are never taken over.
  static func isKept(_ attribute: String) -> Bool {
    attribute == capability || (attribute.hasPrefix("user.") && !attribute.hasPrefix("user.overlay."))
  }

  /// Sets attributes of an open file or directory. Names of those that this machine does not take.
  static func setAttributes(_ descriptor: Int32, _ entry: borrowing TarEntry) throws(IOError) -> [String] {
    var refused: [String] = []
    for (name, value) in entry.attributes {
      guard isKept(name) else {
        refused.append(name)
        continue
      }
      let code = Files.setAttribute(descriptor, name, value)
      if code == EPERM || code == EOPNOTSUPP {
        refused.append(name)
      } else if code != 0 {
        throw IOError(code: code, operation: "set", subject: name)
      }
    }
    return refused
  }

  /// Last change of its content, as system calls take it: the time of access first.
  static func times(_ seconds: Int64, _ nanoseconds: Int) -> [timespec] {
    // What file systems can keep.
    let time = timespec(
      tv_sec: Int(min(max(seconds, -(1 << 31)), 1 << 33)), tv_nsec: min(max(nanoseconds, 0), 999_999_999))
    return [time, time]
  }
}
