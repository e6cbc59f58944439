// Owns: extended attributes of open files, and the sync of a whole file system. It must not know what they mean.

import CArchive
import Glibc

extension Files {
  /// Sets an extended attribute of an open file or directory; 0, or the `errno` of the refusal.
  package static func setAttribute(_ descriptor: Int32, _ name: String, _ value: [UInt8]) -> Int32 {
    fsetxattr(descriptor, name, value, value.count, 0) == 0 ? 0 : errno
  }

  /// The value of an extended attribute, at most 64 KiB of it; nil: it has none of that name, or none can be read.
  package static func attribute(_ descriptor: Int32, _ name: String) -> [UInt8]? {
    var value = [UInt8](repeating: 0, count: 1 << 16)
    let count = fgetxattr(descriptor, name, &value, value.count)
    return count < 0 ? nil : Array(value[..<count])
  }

  /// Waits until all that was written to the file system of an open file is on its disk; `path` names it in errors.
  package static func syncFileSystem(_ descriptor: Int32, _ path: String) throws(IOError) {
    guard syncfs(descriptor) == 0 else { throw IOError.last("sync", path) }
  }
}
