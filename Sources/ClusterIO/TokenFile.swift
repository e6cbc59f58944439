// Owns: a file that remembers the highest fencing token that came by, and its lock, which counts on every machine that
// shares the file. It must not know what is guarded.

import Glibc

/// A file of one decimal number. Who holds its lock may compare and raise the number; the lock is the open file's: the
/// programs that this process starts have it too, and it is held until nobody has that open file any more. Closed with
/// the last reference, so keep one until then.
package final class TokenFile {
  /// F_OFD_SETLK and F_OFD_SETLKW, which the C library's module does not show.
  private static let trySetting: Int32 = 37
  private static let setWaiting: Int32 = 38
  /// More digits than any token has.
  private static let longest = 32

  private let path: String
  private let descriptor: Int32

  /// Opens the file, or makes it. Never waits for the other end of a pipe; anything but a plain file is refused.
  package init(path: String) throws(IOError) {
    self.path = path
    // Without O_CLOEXEC: who is started under the lock keeps it where this process is killed.
    descriptor = open(path, O_RDWR | O_CREAT | O_NONBLOCK | O_NOCTTY, 0o666)
    guard descriptor >= 0 else { throw IOError.last("open", path) }
    var facts = stat()
    guard fstat(descriptor, &facts) == 0 else { throw IOError.last("stat", path) }
    guard facts.st_mode & S_IFMT == S_IFREG else {
      throw IOError(operation: "guard by", subject: path, message: "it is no plain file")
    }
  }

  deinit { close(descriptor) }

  /// Takes the lock, waiting for as long as somebody holds it.
  package func lock() throws(IOError) {
    guard set(Self.setWaiting) == 0 else { throw IOError.last("lock", path) }
  }

  /// Takes the lock if nobody holds it; false: somebody does.
  package func tryLock() throws(IOError) -> Bool {
    if set(Self.trySetting) == 0 { return true }
    guard errno == EAGAIN || errno == EACCES else { throw IOError.last("lock", path) }
    return false
  }

  private func set(_ command: Int32) -> Int32 {
    var range = flock()
    range.l_type = Int16(F_WRLCK)
    range.l_whence = Int16(SEEK_SET)
    return retryingInterrupts { Int(fcntl(descriptor, command, &range)) } == 0 ? 0 : -1
  }

  /// Whether the path still leads to the file that was opened: who waited for the lock may have waited for one that was
  /// renamed, replaced or removed meanwhile, whose lock says nothing of the one that is there now.
  package var isInPlace: Bool {
    var own = stat()
    guard fstat(descriptor, &own) == 0, let there = try? Files.status(path) else { return false }
    return there.device == UInt64(own.st_dev) && there.inode == UInt64(own.st_ino)
  }

  /// The number in the file; nil: none yet. Throws where something else is in it.
  package func read() throws(IOError) -> Int64? {
    var count = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: Self.longest + 1) { buffer, filled in
      count = retryingInterrupts { pread(descriptor, buffer.baseAddress, buffer.count, 0) }
      filled = max(0, count)
    }
    guard count >= 0 else { throw IOError.last("read", path) }
    let text = String(decoding: bytes, as: UTF8.self)
    if text.isEmpty { return nil }
    guard text.last == "\n", let number = Int64(text.dropLast()), number >= 0 else {
      throw IOError(
        operation: "read", subject: path,
        message: "it holds something else than a fencing token; name a file that is used for nothing else")
    }
    return number
  }

  /// Writes the number, durably: when this returns no crash takes it back. Tokens rise, so only longer or equally long
  /// texts follow each other, and nobody ever reads half of one behind half of another.
  package func write(_ token: Int64) throws(IOError) {
    let text = Array("\(token)\n".utf8)
    let count = retryingInterrupts { pwrite(descriptor, text, text.count, 0) }
    guard count == text.count else {
      throw count < 0 ? IOError.last("write", path) : IOError(code: ENOSPC, operation: "write", subject: path)
    }
    guard fsync(descriptor) == 0 else { throw IOError.last("sync", path) }
    let (parent, _) = Files.split(path)
    try Files.syncDirectory(parent.isEmpty ? "." : parent)
  }
}
