// Owns: looking how much room the store's disk has, on a thread of its own: a file system that hangs must hold up
// neither the loop nor the transactions. It must not know what follows from it.

import ClusterIO
import Synchronization

/// The free space of one directory's file system.
final class SpaceWatch: Sendable {
  /// Bytes.
  struct Space: Sendable {
    var available: UInt64
    var total: UInt64
  }

  /// Answers to `measure`.
  let spaces: Mailbox<Space>
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
      if let space = try? Files.space(directory) {
        spaces.post(Space(available: space.available, total: space.total))
      }
      isMeasuring.withLock { $0 = false }
    }
  }
}
