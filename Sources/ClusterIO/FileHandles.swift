// Owns: files that stay open: the lock of a data directory, and a file that only grows.
// They must not know what they guard or hold.

import CLinux
import Glibc

/// An exclusive lock (flock) on a file, held until `release` or the end of the process, however it ends.
package final class FileLock {
  private let path: String
  private var descriptor: Int32

  /// Takes the lock and writes this process' id into the file, which holds nothing else. Never waits: a held lock
  /// throws EWOULDBLOCK with the holder's pid in the message.
  package convenience init(path: String) throws(IOError) {
    try self.init(path: path, holder: { (try? Files.readLine(path)) ?? "" })
    ftruncate(descriptor, 0)
    let text = Array("\(getpid())\n".utf8)
    // The id serves an error message only: a full disk must not keep the lock from being taken.
    _ = pwrite(descriptor, text, text.count, 0)
  }

  /// Takes the lock of a file whose content is somebody else's; it is made where there is none. `holder`: the pid to
  /// tell where it is held.
  package init(path: String, holder: () -> String) throws(IOError) {
    self.path = path
    // Where it is there already: to make a file is what waits for a disk that hangs, and then nobody would be told by
    // whom it is held.
    descriptor = open(path, O_RDWR | O_CLOEXEC)
    if descriptor < 0, errno == ENOENT { descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600) }
    guard descriptor >= 0 else { throw IOError.last("open", path) }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      let code = errno
      guard code == EWOULDBLOCK else { throw IOError(code: code, operation: "lock", subject: path) }
      let holder = holder()
      throw IOError(
        operation: "lock", subject: path,
        message: holder.isEmpty ? "held by another process" : "held by process \(holder)\(Self.trouble(holder))",
        code: code)
    }
  }

  deinit { release() }

  /// Of a holder that was killed and cannot end: why, and what to do. One that lives needs no such words.
  private static func trouble(_ holder: String) -> String {
    guard let pid = Int32(holder), let trouble = ProcessTrouble.read(pid: pid), trouble.isDying else { return "" }
    return ", which \(trouble.words). It gives the lock up when it is gone: \(ProcessTrouble.advice)"
  }

  /// Whether the path it was taken at still leads to this file. May wait for a disk.
  package var isInPlace: Bool {
    var own = stat()
    guard descriptor >= 0, fstat(descriptor, &own) == 0 else { return false }
    do throws(IOError) {
      let status = try Files.status(path)
      return status.device == UInt64(own.st_dev) && status.inode == UInt64(own.st_ino)
    } catch {
      // Another error says nothing.
      return error.code != ENOENT && error.code != ENOTDIR
    }
  }

  /// Whether another descriptor holds the lock of that file now. Makes and changes nothing.
  package static func isHeld(_ path: String) -> Bool {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    if flock(descriptor, LOCK_SH | LOCK_NB) != 0 { return errno == EWOULDBLOCK }
    flock(descriptor, LOCK_UN)
    return false
  }

  /// Gives the lock up. A second call does nothing.
  package func release() {
    guard descriptor >= 0 else { return }
    // Closing alone leaves the lock to a child that has been forked and has not executed its program yet.
    flock(descriptor, LOCK_UN)
    close(descriptor)
    descriptor = -1
  }
}

/// A file that is appended to.
package final class AppendFile {
  /// Where it is.
  package let path: String
  /// Its size in bytes, counting what was there when it was opened.
  package private(set) var size: Int64
  private var descriptor: Int32

  /// Opens or makes the file.
  package init(path: String, mode: UInt32 = 0o600) throws(IOError) {
    self.path = path
    descriptor = try Files.openToWrite(path, O_WRONLY | O_CREAT | O_APPEND, mode: mode)
    size = Int64(lseek(descriptor, 0, SEEK_END))
  }

  deinit { close() }

  /// Appends all of `bytes`; on an error (a full disk) part of them may be in the file, and `size` counts that part.
  package func append(_ bytes: [UInt8]) throws(IOError) {
    do throws(IOError) {
      try Files.writeAll(descriptor, bytes, path: path)
      size += Int64(bytes.count)
    } catch {
      size = Int64(lseek(descriptor, 0, SEEK_END))
      throw error
    }
  }

  /// Makes what was appended durable.
  package func sync() throws(IOError) {
    guard fdatasync(descriptor) == 0 else { throw IOError.last("fdatasync", path) }
  }

  /// Closes it. A second call does nothing.
  package func close() {
    guard descriptor >= 0 else { return }
    Glibc.close(descriptor)
    descriptor = -1
  }
}
