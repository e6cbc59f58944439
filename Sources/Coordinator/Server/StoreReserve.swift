// Owns: the space that is kept back for a full disk: a file of zeros beside the store, given up when a transaction
// finds no room. So deletes, which are what frees space, still commit. It must not know rows.

import ClusterIO
import Glibc

/// The reserve of one data directory. The store's thread uses it, or the loop's before that thread has work.
struct StoreReserve: Sendable {
  /// Bytes kept back where the disk is large: some thousand deletes of large objects, with the log of them.
  static let fullBytes: UInt64 = 16 << 20

  let path: String
  private let directory: String

  init(directory: String) {
    self.directory = directory
    path = "\(directory)/reserve"
  }

  /// Sets space aside, if it is not yet and the disk has four times as much. Failing is no error: there is no reserve.
  func make() {
    guard !Files.exists(path), let space = try? Files.space(directory) else { return }
    let size = min(StoreReserve.fullBytes, space.total / 16)
    guard size > 0, space.available / 4 >= size else { return }
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { return }
    let result = posix_fallocate(descriptor, 0, off_t(size))
    close(descriptor)
    if result != 0 { unlink(path) }
  }

  /// Gives the space back to the disk. False: there was none.
  func giveUp() -> Bool { unlink(path) == 0 }
}
