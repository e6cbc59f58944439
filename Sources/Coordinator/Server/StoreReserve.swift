// Owns: the space that is kept back for a full disk. `reserve` is given up when a transaction or a fold finds no room,
// `reserve.start` only when a start finds none, and the log's file has its blocks before it needs them. So deletes,
// which are what frees space, still commit, also in a process that starts on a disk that was full before it. It must
// not know rows.

import ClusterIO
import Glibc

/// The reserve of one data directory. The store's thread uses it, or the loop's before that thread has work.
struct StoreReserve: Sendable {
  /// Bytes of `reserve` where the disk is large: some thousand deletes of large objects, with the log of them.
  static let fullBytes: UInt64 = 16 << 20
  /// A page in the log, with its header.
  private static let pageBytes: UInt64 = 4_096 + 24
  /// The log is folded when it has so many pages, where the disk is large and where it is tiny.
  private static let mostPages: UInt64 = 1_000
  private static let fewestPages: UInt64 = 32

  let path: String
  private let startPath: String
  private let logPath: String
  private let directory: String
  /// Bytes of the whole disk; nil: not known, nothing is kept back.
  private let total: UInt64?

  static func path(_ directory: String) -> String { "\(directory)/reserve" }

  init(directory: String) {
    self.directory = directory
    path = StoreReserve.path(directory)
    startPath = "\(directory)/reserve.start"
    logPath = "\(directory)/stint.db-wal"
    total = DiskSpace.look(directory)?.total
  }

  /// The log is folded when it has so many pages: at most a 64th of the disk.
  var logPages: Int32 {
    guard let total else { return Int32(StoreReserve.mostPages) }
    return Int32(min(StoreReserve.mostPages, max(StoreReserve.fewestPages, total / 64 / StoreReserve.pageBytes)))
  }

  /// The longest log that is reckoned with: one that was about to be folded, and a transaction as long.
  private var logBytes: UInt64 { 2 * UInt64(logPages) * StoreReserve.pageBytes }

  /// Sets space aside, where it is not yet and the disk has four times as much. Failing is no error: there is no
  /// reserve. `reserve.start` is as large as folding the longest log needs, with the log's index.
  func make() {
    guard let total else { return }
    keepLog()
    make(startPath, logBytes + (64 << 10))
    make(path, min(StoreReserve.fullBytes, total / 16))
  }

  private func make(_ path: String, _ size: UInt64) {
    guard size > 0, !Files.exists(path), let space = DiskSpace.look(directory), space.available / 4 >= size else {
      return
    }
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { return }
    let result = posix_fallocate(descriptor, 0, off_t(size))
    close(descriptor)
    if result != 0 { unlink(path) }
  }

  /// Gives the log's file its blocks, beyond its end: whoever takes all space later does not take these. To call
  /// whenever the log was cut, at once: what the cut has freed may be all that there is.
  func keepLog() {
    guard let total, total / 16 >= logBytes else { return }
    Files.keepBlocks(logPath, logBytes)
  }

  /// Has what an earlier process wrote to the log, and perhaps did not sync, on the disk on return.
  func syncLog() -> Bool {
    let descriptor = open(logPath, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    return fsync(descriptor) == 0
  }

  /// Gives space back to the disk: `atStart`, the start's own, if that is all there is. False: there was none.
  func giveUp(atStart: Bool) -> Bool { unlink(path) == 0 || atStart && unlink(startPath) == 0 }
}
