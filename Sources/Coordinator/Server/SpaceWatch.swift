// Owns: looking how much room the store's disk has, on a thread of its own: a file system that hangs must hold up
// neither the loop nor the transactions. It must not know what follows from it.

import ClusterIO
import Synchronization

/// Room of a file system, in bytes.
package struct DiskSpace: Sendable {
  /// What may still be written.
  package var available: UInt64
  /// All of it.
  package var total: UInt64
  /// The store's reserve is set aside.
  package var hasReserve = false

  /// Looks. The file system may hold the caller up.
  static func look(_ directory: String) -> DiskSpace? {
    (try? Files.space(directory)).map {
      DiskSpace(
        available: $0.available, total: $0.total, hasReserve: Files.exists(StoreReserve.path(directory)))
    }
  }

  /// What the store may still write, with `reusable` bytes free within its own file, which never gets shorter: without
  /// them a store that was filled once would stay full, whatever is deleted. Once the reserve is gone they do not
  /// count: the log, which needs room of its own, has found none.
  func writable(reusable: UInt64) -> UInt64 { available + (hasReserve ? min(reusable, .max - available) : 0) }
}

/// The free space of one directory's file system while nothing is committed: each commit looks by itself.
final class SpaceWatch: Sendable {
  /// Answers to `measure`.
  let spaces: Mailbox<DiskSpace>
  private let directory: String
  private let thread: WorkerThread
  private let isMeasuring = Mutex(false)

  init(directory: String) throws(IOError) {
    self.directory = directory
    spaces = try Mailbox()
    thread = try WorkerThread(name: "stint-space")
  }

  /// Looks, unless a look is under way; the answer is posted to `spaces`, if there is one.
  func measure() {
    let isFree = isMeasuring.withLock { isMeasuring in
      defer { isMeasuring = true }
      return !isMeasuring
    }
    guard isFree else { return }
    thread.post { [self] in
      if let space = DiskSpace.look(directory) { spaces.post(space) }
      isMeasuring.withLock { $0 = false }
    }
  }
}
