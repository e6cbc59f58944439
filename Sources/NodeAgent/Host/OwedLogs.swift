// Owns: logs that ended while the disk took nothing, until it takes the note of what is lost: who looks for the output
// later is not to find silence. It must not know what is in them.

import ClusterIO
import Synchronization

/// Tried again every few seconds, on the thread that writes logs.
final class OwedLogs: Sendable {
  private let logs = Mutex<[LogQueue]>([])
  private let signs: Mailbox<Bool>
  private let thread: WorkerThread
  private static let pauseNanoseconds: Int64 = 2_000_000_000
  /// Beyond it the oldest are forgotten.
  private static let most = 4_096

  init(thread: WorkerThread) throws(IOError) {
    self.thread = thread
    signs = try Mailbox()
  }

  func attach(to loop: EventLoop) throws(IOError) {
    let timer = loop.makeTimer { [self] in thread.post { [self] in retry() } }
    try loop.attach(signs) { _ in timer.arm(at: Clocks.boot() + Self.pauseNanoseconds) }
  }

  /// On the thread.
  func add(_ log: LogQueue) {
    logs.withLock { logs in
      if logs.count == Self.most { logs.removeFirst() }
      logs.append(log)
    }
    signs.post(true)
  }

  private func retry() {
    let all = logs.withLock { logs in
      defer { logs = [] }
      return logs
    }
    // The first one that the disk does not take says enough of the others.
    let taken = all.firstIndex { !$0.settle() } ?? all.count
    guard taken < all.count else { return }
    logs.withLock { $0 = all[taken...] + $0 }
    signs.post(true)
  }
}
