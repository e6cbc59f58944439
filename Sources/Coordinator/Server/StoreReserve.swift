// Owns: the space that is kept back for a full disk: two files of zeros beside the store. One is given up when a
// transaction finds no room, the other only when a start finds none. So deletes, which are what frees space, still
// commit, also in a process that starts on a disk that was full before it. It must not know rows.

import ClusterIO
import Glibc

/// The reserve of one data directory. The store's thread uses it, or the loop's before that thread has work.
struct StoreReserve: Sendable {
  /// Bytes kept back where the disk is large: some thousand deletes of large objects, with the log of them.
  static let fullBytes: UInt64 = 16 << 20
  /// The part of it that a start may use: a log of some hundred deletes.
  static let startShare: UInt64 = 4

  let path: String
  private let startPath: String
  private let directory: String

  init(directory: String) {
    self.directory = directory
    path = "\(directory)/reserve"
    startPath = "\(directory)/reserve.start"
  }

  /// Sets space aside, if it is not yet and the disk has four times as much. Failing is no error: there is no reserve.
  func make() {
    guard let space = try? Files.space(directory) else { return }
    let size = min(StoreReserve.fullBytes, space.total / 16)
    guard size > 0, space.available / 4 >= size else { return }
    StoreReserve.make(startPath, size / StoreReserve.startShare)
    StoreReserve.make(path, size)
  }

  private static func make(_ path: String, _ size: UInt64) {
    guard size > 0, !Files.exists(path) else { return }
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { return }
    let result = posix_fallocate(descriptor, 0, off_t(size))
    close(descriptor)
    if result != 0 { unlink(path) }
  }

  /// Gives space back to the disk: `atStart`, the start's own, if that is all there is. False: there was none.
  func giveUp(atStart: Bool) -> Bool { unlink(path) == 0 || atStart && unlink(startPath) == 0 }
}
