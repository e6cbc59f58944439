// Owns: what is asked of files that hold keys and of the directories that they lie in: nobody but their owner reads the
// ones or writes into the others. It must not know which files those are, nor what is in them.

import Glibc

/// Files and directories that are their owner's alone.
package enum PrivateFiles {
  /// The code of a refusal by `read` and `refuseShared`, whose words say already what to do.
  package static let refusal = EPERM
  /// Of a file that holds a key and of a certificate beside it.
  package static let limit = 64 * 1024

  /// The content of a file that holds a key. Refused, as ssh does it, where others than its owner may use it; and what
  /// is no file of bytes. Who owns it does not count here: root may read the keys of another user's coordinator.
  package static func read(_ path: String, limit: Int = PrivateFiles.limit) throws(IOError) -> [UInt8] {
    // Without waiting for the other end of a pipe.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw IOError.last("open", path) }
    defer { close(descriptor) }
    var facts = stat()
    guard fstat(descriptor, &facts) == 0 else { throw IOError.last("stat", path) }
    guard facts.st_mode & S_IFMT == S_IFREG else {
      throw IOError(operation: "read", subject: path, message: "is no file, but \(Files.kind(facts.st_mode))")
    }
    guard facts.st_mode & 0o077 == 0 else {
      throw refused(
        path,
        "it holds a key, and others than its owner may use it (mode \(text(facts.st_mode))): chmod 600 \(path). If "
          + "somebody may have read it, have another one made")
    }
    guard Int(facts.st_size) <= limit else { throw IOError(code: EFBIG, operation: "read", subject: path) }
    return try Files.read(descriptor: descriptor, path, limit: limit)
  }

  /// Refuses a directory, where it is there, into which others than its owner may write, or whose owner is neither this
  /// process' user nor root; `withContent`: and one with such a file in it. `isForeign`: its owner does not count.
  package static func refuseShared(
    _ directory: String, withContent: Bool, isForeign: Bool = false
  ) throws(IOError) {
    guard let found = try status(directory) else { return }
    try refuseWritable(found, directory, isForeign)
    guard withContent, found.st_mode & S_IFMT == S_IFDIR else { return }
    for name in try Files.list(directory) {
      let path = "\(directory)/\(name)"
      // A link that leads nowhere is for whoever reads it.
      if let file = try status(path), file.st_mode & S_IFMT == S_IFREG {
        try refuseWritable(file, path, isForeign)
      }
    }
  }

  /// That others may look into a directory of secrets, and what to do; nil: they may not.
  package static func exposure(of directory: String) -> String? {
    guard let found = try? status(directory), found.st_mode & 0o077 != 0 else { return nil }
    return "others than its owner may look into \(directory) (mode \(text(found.st_mode))): chmod 700 \(directory)"
  }

  /// That others may read a file that holds `secret`, and what to do; nil: they may not.
  package static func exposure(of secret: String, in path: String) -> String? {
    guard let found = try? status(path), found.st_mode & S_IFMT == S_IFREG, found.st_mode & 0o077 != 0 else {
      return nil
    }
    return
      "\(path) holds \(secret), and others than its owner may use it (mode \(text(found.st_mode))): chmod 600 \(path)"
  }

  private static func status(_ path: String) throws(IOError) -> stat? {
    var facts = stat()
    if stat(path, &facts) == 0 { return facts }
    guard errno != ENOENT, errno != ELOOP, errno != ENOTDIR else { return nil }
    throw IOError.last("stat", path)
  }

  private static func refuseWritable(_ facts: stat, _ path: String, _ isForeign: Bool) throws(IOError) {
    if !isForeign { try refuseForeign(facts, path) }
    guard facts.st_mode & 0o022 != 0 else { return }
    throw refused(
      path,
      "others than its owner may write to it (mode \(text(facts.st_mode))), and so may put in their own keys: "
        + "chmod go-w \(path), once you know that what is there is yours")
  }

  /// Root can read and write everything anyway.
  private static func refuseForeign(_ facts: stat, _ path: String) throws(IOError) {
    guard facts.st_uid != geteuid(), facts.st_uid != 0 else { return }
    throw refused(
      path,
      "it belongs to the user with the number \(facts.st_uid), and this process runs as \(geteuid()): "
        + "chown \(geteuid()) \(path), or run as that user")
  }

  private static func refused(_ path: String, _ message: String) -> IOError {
    IOError(operation: "refusing to use", subject: path, message: message, code: refusal)
  }

  private static func text(_ mode: mode_t) -> String {
    let digits = String(mode & 0o7777, radix: 8)
    return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
  }
}
