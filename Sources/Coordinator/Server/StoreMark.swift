// Owns: the file beside the store that knows which commit the store must hold at least. What is deleted, emptied or
// put back from an older day cannot take this knowledge along. It must not know rows.

import ClusterIO
import ClusterProto
import Glibc

/// `DIRECTORY/store.mark`: the store's name and the number of a commit that was acknowledged, in one sector, with a
/// checksum.
///
/// It is written after each commit and before anybody hears of that, but not synced: a killed process loses nothing of
/// it, and after a power failure it may lag by what the kernel had not written yet. It is synced with the first commit
/// after each checkpoint, so that whenever something acknowledged is in the write-ahead log alone, the mark on the disk
/// is above what the database file alone holds: a lost log is always noticed.
final class StoreMark {
  /// What the file says.
  struct Content: Equatable {
    /// The name that the store was given when it was made.
    var store: String
    /// Its commit of this number was acknowledged.
    var commits: Int64
  }

  static func path(_ directory: String) -> String { "\(directory)/store.mark" }

  private let descriptor: Int32
  private let path: String

  /// Makes the file, or takes the one that is there, and keeps it open; what it says is durable on return. One that is
  /// there is written in place: a start with a full disk must not fail for it.
  init(directory: String, _ content: Content) throws(IOError) {
    path = StoreMark.path(directory)
    let bytes = StoreMark.bytes(content)
    if (try? Files.status(path).size) != Int64(bytes.count) { try Files.writeAtomically(path, bytes) }
    descriptor = try Files.openToWrite(path, O_WRONLY | O_NOFOLLOW)
    try write(content, isDurable: true)
  }

  deinit { close(descriptor) }

  /// Writes in place, so that a full disk is no obstacle; `isDurable`: and waits for the disk.
  func write(_ content: Content, isDurable: Bool) throws(IOError) {
    let bytes = StoreMark.bytes(content)
    guard pwrite(descriptor, bytes, bytes.count, 0) == bytes.count else { throw IOError.last("write", path) }
    guard !isDurable || fdatasync(descriptor) == 0 else { throw IOError.last("fdatasync", path) }
  }

  /// What the directory's mark says; nil: there is none.
  static func read(_ directory: String) throws(StoreError) -> Content? {
    let path = path(directory)
    guard Files.exists(path) else { return nil }
    guard let bytes = try? Files.read(path, limit: 4_096), let content = content(bytes) else {
      throw StoreError(
        "\(path) is damaged (it says what the store must hold at least): put it back from where it went, or move "
          + "the directory away and restore a backup (stint restore FILE --data \(directory)), or start the "
          + "coordinator once with --accept-loss to go on with what the store holds")
    }
    return content
  }

  /// Fixed width, so that one text replaces another in place.
  private static func bytes(_ content: Content) -> [UInt8] {
    let text = "stint store \(content.store) commit \(StableHash.hex(UInt64(bitPattern: content.commits)))"
    return Array("\(text) \(checksum(text))\n".utf8)
  }

  private static func content(_ bytes: [UInt8]) -> Content? {
    let words = String(decoding: bytes, as: UTF8.self).split(separator: " ", omittingEmptySubsequences: false)
    guard words.count == 6, let commits = UInt64(words[4], radix: 16) else { return nil }
    let content = Content(store: String(words[2]), commits: Int64(bitPattern: commits))
    return self.bytes(content) == bytes ? content : nil
  }

  private static func checksum(_ text: String) -> String { String(SHA256.hex(of: Array(text.utf8)).prefix(16)) }
}
