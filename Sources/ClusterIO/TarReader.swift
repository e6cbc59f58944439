// Owns: reading a tar archive, plain or compressed by gzip or zstd, by libarchive, from the first entry to the last,
// with the SHA-256 of the file and of what it expands to. It must not know what the entries are for: names are bytes as
// they stand in the archive, and lead nowhere.

import CArchive
import Glibc

/// One entry of a tar archive.
package struct TarEntry: Sendable {
  /// What it makes.
  package enum Kind: Equatable, Sendable {
    case file, directory, symbolicLink, hardLink, fifo, device, other
  }

  /// Where; not checked in any way.
  package var path: [UInt8]
  /// What.
  package var kind: Kind
  /// Where a link leads; else empty.
  package var link: [UInt8]
  /// The permissions with set-uid, set-gid and sticky bits.
  package var mode: UInt32
  /// Owner and group, as the archive has them.
  package var user: Int64
  /// See `user`.
  package var group: Int64
  /// Bytes of a file, holes counted.
  package var size: Int64
  /// Last change of its content, seconds since 1970.
  package var modified: Int64
  /// The part of `modified` below a second.
  package var modifiedNanoseconds: Int
  /// Its extended attributes, in the archive's order.
  package var attributes: [(name: String, value: [UInt8])]
}

/// An archive that is being read. Used on one thread.
package final class TarReader {
  private let path: String
  private let file: FileSource
  private let content: ContentSource
  private let archive: OpaquePointer?
  private var entry: OpaquePointer?

  /// Opens an archive. `contentLimit`: bytes that it may expand to. `isCancelled` is asked often, on this thread.
  package init(
    path: String, contentLimit: Int64, isCancelled: @escaping () -> Bool = { false }
  ) throws(IOError) {
    self.path = path
    file = try FileSource(path: path)
    content = ContentSource(file: file, limit: contentLimit, isCancelled: isCancelled)
    archive = archive_read_new()
    guard archive != nil else { throw IOError(code: ENOMEM, operation: "read", subject: path) }
    archive_read_support_format_tar(archive)
    let opened = archive_read_open(
      archive, Unmanaged.passUnretained(content).toOpaque(), nil,
      { _, client, buffer in TarReader.source(client, ContentSource.self).next(buffer) }, nil)
    guard opened == ARCHIVE_OK else { throw failure() }
  }

  deinit { archive_read_free(archive) }

  fileprivate static func source<Source: AnyObject>(_ client: UnsafeMutableRawPointer?, _: Source.Type) -> Source {
    // The archive is handed this very object and lives no longer than its owner.
    Unmanaged<Source>.fromOpaque(client.unsafelyUnwrapped).takeUnretainedValue()
  }

  /// The next entry; nil after the last one.
  package func next() throws(IOError) -> TarEntry? {
    let result = archive_read_next_header(archive, &entry)
    if result == ARCHIVE_EOF {
      if let error = content.error { throw error }
      return nil
    }
    guard result == ARCHIVE_OK || result == ARCHIVE_WARN, let entry else { throw failure() }
    return Self.describe(entry)
  }

  /// The content of the entry that came last, piece by piece with the offset of each; what is left out is a hole.
  package func read(_ body: (UnsafeRawBufferPointer, Int64) throws(IOError) -> Void) throws(IOError) {
    while true {
      var buffer: UnsafeRawPointer?
      var count = 0
      var offset: Int64 = 0
      let result = archive_read_data_block(archive, &buffer, &count, &offset)
      if result == ARCHIVE_EOF { return }
      guard result == ARCHIVE_OK || result == ARCHIVE_WARN else { throw failure() }
      try body(UnsafeRawBufferPointer(start: buffer, count: count), offset)
    }
  }

  /// Reads what is behind the last entry too. SHA-256 of the file and of what it expanded to, as hexadecimal digits.
  package func finish() throws(IOError) -> (file: String, content: String) {
    try content.drain()
    try file.drain()
    return (file.hash.hex(), content.hash.hex())
  }

  private func failure() -> IOError {
    if let error = file.error ?? content.error { return error }
    let text = archive_error_string(archive).map { String(cString: $0) } ?? "it is damaged"
    return IOError(operation: "unpack", subject: path, message: text)
  }

  private static func describe(_ entry: OpaquePointer) -> TarEntry {
    let hard = archive_entry_hardlink(entry)
    let link = hard ?? archive_entry_symlink(entry)
    return TarEntry(
      path: bytes(archive_entry_pathname(entry)), kind: hard != nil ? .hardLink : kind(archive_entry_filetype(entry)),
      link: bytes(link), mode: UInt32(archive_entry_perm(entry)), user: archive_entry_uid(entry),
      group: archive_entry_gid(entry), size: archive_entry_size(entry), modified: Int64(archive_entry_mtime(entry)),
      modifiedNanoseconds: Int(archive_entry_mtime_nsec(entry)), attributes: attributes(entry))
  }

  private static func kind(_ type: mode_t) -> TarEntry.Kind {
    switch type {
    case S_IFREG: .file
    case S_IFDIR: .directory
    case S_IFLNK: .symbolicLink
    case S_IFIFO: .fifo
    case S_IFCHR, S_IFBLK: .device
    default: .other
    }
  }

  private static func bytes(_ text: UnsafePointer<CChar>?) -> [UInt8] {
    guard let text else { return [] }
    return Array(UnsafeRawBufferPointer(start: text, count: strlen(text)))
  }

  private static func attributes(_ entry: OpaquePointer) -> [(name: String, value: [UInt8])] {
    guard archive_entry_xattr_reset(entry) > 0 else { return [] }
    var result: [(name: String, value: [UInt8])] = []
    var name: UnsafePointer<CChar>?
    var value: UnsafeRawPointer?
    var size = 0
    while archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK {
      guard let name else { continue }
      result.append((String(cString: name), Array(UnsafeRawBufferPointer(start: value, count: size))))
    }
    return result
  }
}

/// The file's own bytes.
private final class FileSource {
  let hash = HashStream()
  private(set) var error: IOError?
  private let path: String
  private let descriptor: Int32
  private let buffer: UnsafeMutableRawBufferPointer
  private static let room = 256 * 1024

  init(path: String) throws(IOError) {
    self.path = path
    descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw IOError.last("open", path) }
    buffer = .allocate(byteCount: Self.room, alignment: 16)
    var facts = stat()
    guard fstat(descriptor, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG else {
      throw IOError(operation: "read", subject: path, message: "it is no file")
    }
  }

  deinit {
    buffer.deallocate()
    close(descriptor)
  }

  /// As libarchive's reading callback: how many bytes there are at `result`; 0 at the end, -1 on an error.
  func next(_ result: UnsafeMutablePointer<UnsafeRawPointer?>?) -> Int {
    let count = retryingInterrupts { read(descriptor, buffer.baseAddress, buffer.count) }
    guard count >= 0 else {
      error = IOError.last("read", path)
      return -1
    }
    hash.add(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
    result?.pointee = UnsafeRawPointer(buffer.baseAddress)
    return count
  }

  func drain() throws(IOError) {
    while next(nil) > 0 {}
    if let error { throw error }
  }
}

/// What the file expands to.
private final class ContentSource {
  let hash = HashStream()
  private(set) var error: IOError?
  private let file: FileSource
  private let limit: Int64
  private let isCancelled: () -> Bool
  private let archive: OpaquePointer?
  private var entry: OpaquePointer?
  private var isOpen = false
  private var total: Int64 = 0
  private var isPadded = false
  private let zeros = UnsafeMutableRawPointer.allocate(byteCount: Int(ContentSource.block), alignment: 16)
  private static let block: Int64 = 512

  init(file: FileSource, limit: Int64, isCancelled: @escaping () -> Bool) {
    self.file = file
    self.limit = limit
    self.isCancelled = isCancelled
    zeros.initializeMemory(as: UInt8.self, repeating: 0, count: Int(Self.block))
    archive = archive_read_new()
    archive_read_support_filter_gzip(archive)
    archive_read_support_filter_zstd(archive)
    archive_read_support_format_raw(archive)
  }

  deinit {
    archive_read_free(archive)
    zeros.deallocate()
  }

  /// See `FileSource.next`.
  func next(_ result: UnsafeMutablePointer<UnsafeRawPointer?>?) -> Int {
    guard error == nil, !isCancelled() else {
      error = error ?? IOError(code: ECANCELED, operation: "unpack", subject: "")
      return -1
    }
    if !isOpen {
      isOpen = true
      let opened = archive_read_open(
        archive, Unmanaged.passUnretained(file).toOpaque(), nil,
        { _, client, buffer in TarReader.source(client, FileSource.self).next(buffer) }, nil)
      guard opened == ARCHIVE_OK, archive_read_next_header(archive, &entry) == ARCHIVE_OK else { return fail() }
    }
    var count = 0
    var offset: Int64 = 0
    var buffer: UnsafeRawPointer?
    let got = archive_read_data_block(archive, &buffer, &count, &offset)
    if got == ARCHIVE_EOF { return pad(result) }
    guard got == ARCHIVE_OK || got == ARCHIVE_WARN else { return fail() }
    total += Int64(count)
    guard total <= limit else {
      error = IOError(
        operation: "unpack", subject: "", message: "it expands to more than \(limit >> 20) MiB", code: EFBIG)
      return -1
    }
    hash.add(UnsafeRawBufferPointer(start: buffer, count: count))
    result?.pointee = buffer
    return count
  }

  func drain() throws(IOError) {
    while next(nil) > 0 {}
    if let error { throw error }
  }

  /// The zeros up to a whole block that some programs leave out at the end; Go's reader does without them too. They are
  /// not hashed.
  private func pad(_ result: UnsafeMutablePointer<UnsafeRawPointer?>?) -> Int {
    let missing = isPadded ? 0 : Int((Self.block - total % Self.block) % Self.block)
    isPadded = true
    result?.pointee = UnsafeRawPointer(zeros)
    return missing
  }

  private func fail() -> Int {
    let text = archive_error_string(archive).map { String(cString: $0) } ?? "it is damaged"
    error = file.error ?? IOError(operation: "unpack", subject: "", message: text)
    return -1
  }
}
