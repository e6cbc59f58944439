// Owns: whole-file reads and durable writes, directories, free space. It must not know what the files hold.

import CLinux
import ClusterProto
import Glibc

/// File operations; every failure is an `IOError` that names the path.
package enum Files {
  /// What `status` tells of a path.
  package struct Status: Equatable, Sendable {
    /// The `S_IF…` bits and the permissions.
    package let mode: UInt32
    /// Bytes.
    package let size: Int64
    /// Device and inode: the file's identity on this machine.
    package let device: UInt64
    /// See `device`.
    package let inode: UInt64
    /// Owner.
    package let userID: UInt32
    /// Last change of content, wall nanoseconds.
    package let modified: Int64
    /// Whether it is a directory.
    package var isDirectory: Bool { mode & UInt32(S_IFMT) == UInt32(S_IFDIR) }
    /// Whether it is a symbolic link (only with `followLinks: false`).
    package var isSymbolicLink: Bool { mode & UInt32(S_IFMT) == UInt32(S_IFLNK) }
  }

  /// What `read` takes.
  package enum Source: Equatable, Sendable {
    /// A plain file: nothing else is read, and no other end is waited for.
    case file
    /// Also what somebody is writing to, `<(…)` or a terminal, and /dev/null. An empty pipe that nobody has open for
    /// writing is refused.
    case fileOrPipe
    /// Whatever a user has named to be read to its end; waits for its other end.
    case anything
  }

  /// The whole content of a file; fails with EFBIG over `limit` bytes.
  package static func read(
    _ path: String, limit: Int = 1 << 30, from source: Source = .file
  ) throws(IOError) -> [UInt8] {
    // To open a pipe would wait for who writes to it.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | (source == .anything ? 0 : O_NONBLOCK))
    guard descriptor >= 0 else { throw IOError.last("open", path) }
    defer { close(descriptor) }
    guard source != .anything else { return try read(descriptor: descriptor, path, limit: limit) }
    var facts = stat()
    guard fstat(descriptor, &facts) == 0 else { throw IOError.last("stat", path) }
    guard facts.st_mode & S_IFMT != S_IFREG else { return try read(descriptor: descriptor, path, limit: limit) }
    guard source == .fileOrPipe, isStream(descriptor, facts) else { throw noFile("read", path, facts.st_mode) }
    let flags = fcntl(descriptor, F_GETFL)
    guard flags >= 0, fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK) == 0 else { throw IOError.last("open", path) }
    let bytes = try read(descriptor: descriptor, path, limit: limit)
    guard !bytes.isEmpty || facts.st_mode & S_IFMT != S_IFIFO else {
      throw IOError(operation: "read", subject: path, message: "is a pipe, and nobody writes to it")
    }
    return bytes
  }

  /// Pipes, terminals, /dev/null: what ends, or is ended by who writes.
  private static func isStream(_ descriptor: Int32, _ facts: stat) -> Bool {
    switch facts.st_mode & S_IFMT {
    case S_IFIFO: true
    case S_IFCHR: isatty(descriptor) == 1 || facts.st_rdev == 1 << 8 | 3
    default: false
    }
  }

  /// The error of a path at which something else than a file is.
  private static func noFile(_ operation: String, _ path: String, _ mode: mode_t) -> IOError {
    if mode & S_IFMT == S_IFDIR { return IOError(code: EISDIR, operation: operation, subject: path) }
    return IOError(operation: operation, subject: path, message: "is no file, but \(kind(mode))")
  }

  /// What is no file, in words.
  static func kind(_ mode: mode_t) -> String {
    switch mode & S_IFMT {
    case S_IFDIR: "a directory"
    case S_IFIFO: "a pipe"
    case S_IFSOCK: "a socket"
    default: "a device"
    }
  }

  /// Opens for writing what must be a plain file: nothing waits for a pipe's other end. `flags` without O_CLOEXEC.
  package static func openToWrite(_ path: String, _ flags: Int32, mode: mode_t = 0o600) throws(IOError) -> Int32 {
    let operation = flags & O_TRUNC != 0 ? "create" : "open"
    let descriptor = open(path, flags | O_CLOEXEC | O_NONBLOCK, mode)
    guard descriptor >= 0 else {
      // A pipe that nobody reads.
      let code = errno
      if code == ENXIO, let found = try? status(path) { throw noFile(operation, path, found.mode) }
      throw IOError(code: code, operation: operation, subject: path)
    }
    var facts = stat()
    guard fstat(descriptor, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw noFile(operation, path, facts.st_mode)
    }
    return descriptor
  }

  /// The same of an open file; `path` names it in errors.
  static func read(descriptor: Int32, _ path: String, limit: Int) throws(IOError) -> [UInt8] {
    var bytes: [UInt8] = []
    var size = 4096
    var facts = stat()
    if fstat(descriptor, &facts) == 0, facts.st_size > 0 { size = min(Int(facts.st_size) + 1, limit + 1) }
    while true {
      var count = 0
      let chunk = [UInt8](unsafeUninitializedCapacity: size) { buffer, filled in
        count = retryingInterrupts { Glibc.read(descriptor, buffer.baseAddress, buffer.count) }
        filled = max(count, 0)
      }
      if count < 0 { throw IOError.last("read", path) }
      if count == 0 { return bytes }
      bytes += chunk
      if bytes.count > limit { throw IOError(code: EFBIG, operation: "read", subject: path) }
      size = max(4096, min(bytes.count, 1 << 20))
    }
  }

  /// The last bytes of a plain file that somebody else may have put there, at most `limit`; nil when it is something
  /// else or not to be read. Follows no link in its last place, waits for no pipe's other end, opens no device.
  package static func readEnd(_ path: String, limit: Int) -> [UInt8]? {
    let handle = stint_open_handle(AT_FDCWD, path)
    guard handle >= 0 else { return nil }
    defer { close(handle) }
    var facts = stat()
    guard fstat(handle, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG else { return nil }
    // By the handle: the name may be another file's by now.
    let descriptor = open("/proc/self/fd/\(handle)", O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var count = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: limit) { buffer, filled in
      count = retryingInterrupts {
        pread(descriptor, buffer.baseAddress, buffer.count, max(0, Int(facts.st_size) - limit))
      }
      filled = max(0, count)
    }
    return count < 0 ? nil : bytes
  }

  /// A file's content as text with the white space at its end removed; broken UTF-8 is repaired.
  package static func readLine(_ path: String) throws(IOError) -> String {
    var text = String(decoding: try read(path, limit: 1 << 20), as: UTF8.self)[...]
    while let last = text.last, last.isWhitespace { text.removeLast() }
    return String(text)
  }

  /// Replaces `path` so that a crash leaves the old or the new content, never a mix; the new one is durable on return:
  /// a temporary file in the same directory, fsync, rename, fsync of the directory.
  package static func writeAtomically(_ path: String, _ bytes: [UInt8], mode: UInt32 = 0o600) throws(IOError) {
    let temporary = "\(path).new"
    let descriptor = try openToWrite(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: mode)
    do throws(IOError) {
      // The mode as asked for, whatever the umask, also where a crash left the file behind.
      guard fchmod(descriptor, mode) == 0 else { throw IOError.last("chmod", temporary) }
      try writeAll(descriptor, bytes, path: temporary)
      guard fsync(descriptor) == 0 else { throw IOError.last("fsync", temporary) }
      guard rename(temporary, path) == 0 else { throw IOError.last("rename", temporary) }
    } catch {
      close(descriptor)
      unlink(temporary)
      throw error
    }
    close(descriptor)
    try syncDirectory(split(path).parent)
  }

  /// Writes all of `bytes` to a blocking descriptor; `path` names it in errors.
  package static func writeAll(_ descriptor: Int32, _ bytes: [UInt8], path: String) throws(IOError) {
    var start = 0
    while start < bytes.count {
      let count = bytes.withUnsafeBytes { buffer in
        retryingInterrupts { write(descriptor, buffer.baseAddress?.advanced(by: start), buffer.count - start) }
      }
      guard count >= 0 else { throw IOError.last("write", path) }
      start += count
    }
  }

  /// Makes names in a directory durable.
  package static func syncDirectory(_ path: String) throws(IOError) {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw IOError.last("open", path) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw IOError.last("fsync", path) }
  }

  /// Makes a directory, with its parents if `intermediate`; one that exists already is fine and keeps its mode.
  package static func makeDirectory(_ path: String, mode: UInt32 = 0o700, intermediate: Bool = true) throws(IOError) {
    if mkdir(path, mode) == 0 { return }
    let code = errno
    if code == EEXIST, let status = try? status(path), status.isDirectory { return }
    guard code == ENOENT, intermediate, split(path).parent != path else {
      throw IOError(code: code, operation: "make directory", subject: path)
    }
    try makeDirectory(split(path).parent, mode: mode, intermediate: true)
    try makeDirectory(path, mode: mode, intermediate: false)
  }

  /// The names in a directory, sorted, without `.` and `..`; broken UTF-8 is repaired, so such a name finds no file.
  package static func list(_ path: String) throws(IOError) -> [String] {
    guard let directory = opendir(path) else { throw IOError.last("open directory", path) }
    defer { closedir(directory) }
    var names: [String] = []
    errno = 0
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
      errno = 0
    }
    guard errno == 0 else { throw IOError.last("read directory", path) }
    return names.sorted()
  }

  /// What a path is.
  package static func status(_ path: String, followLinks: Bool = true) throws(IOError) -> Status {
    var facts = stat()
    let result = followLinks ? stat(path, &facts) : lstat(path, &facts)
    guard result == 0 else { throw IOError.last("stat", path) }
    return Status(
      mode: facts.st_mode, size: Int64(facts.st_size), device: UInt64(facts.st_dev), inode: UInt64(facts.st_ino),
      userID: facts.st_uid,
      modified: min(max(Int64(facts.st_mtim.tv_sec), -9_000_000_000), 9_000_000_000) * 1_000_000_000
        + Int64(facts.st_mtim.tv_nsec))
  }

  /// Whether a path exists (links followed).
  package static func exists(_ path: String) -> Bool { (try? status(path)) != nil }

  /// Bytes that unprivileged users may still write, and all bytes, of the file system that holds `path`.
  package static func space(_ path: String) throws(IOError) -> (available: UInt64, total: UInt64) {
    var available: UInt64 = 0
    var total: UInt64 = 0
    guard stint_filesystem_space(path, &available, &total) == 0 else { throw IOError.last("statvfs", path) }
    return (available, total)
  }

  /// Inodes that unprivileged users may still make, and all inodes, of the file system that holds `path`; a total of 0:
  /// it makes them as it needs them.
  package static func inodes(_ path: String) throws(IOError) -> (available: UInt64, total: UInt64) {
    var available: UInt64 = 0
    var total: UInt64 = 0
    guard stint_filesystem_inodes(path, &available, &total) == 0 else { throw IOError.last("statvfs", path) }
    return (available, total)
  }

  /// The most bytes and inodes that unprivileged users could ever find free on the file system that holds `path`. Of
  /// inodes 0: as above.
  package static func most(_ path: String) throws(IOError) -> (bytes: UInt64, inodes: UInt64) {
    var bytes: UInt64 = 0
    var inodes: UInt64 = 0
    guard stint_filesystem_most(path, &bytes, &inodes) == 0 else { throw IOError.last("statvfs", path) }
    return (bytes, inodes)
  }

  /// Gives a file that is there blocks for its first `bytes`, its size left as it is. False: it could not.
  @discardableResult
  package static func keepBlocks(_ path: String, _ bytes: UInt64) -> Bool {
    guard let descriptor = try? openToWrite(path, O_WRONLY | O_NOFOLLOW) else { return false }
    defer { close(descriptor) }
    return stint_keep_blocks(descriptor, bytes) == 0
  }

  /// A path's directory and last name, as `PathText` has them.
  package static func split(_ path: String) -> (parent: String, name: String) { PathText.split(path) }

  /// Text up to the first NUL of a C buffer; broken UTF-8 is repaired.
  static func string(_ buffer: [CChar]) -> String {
    String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
