// Owns: the count of all answers that wait here because their clients do not take them, and giving their memory back
// when they have gone. It must not know connections: who is closed for it is the doors' choice.

import ClusterIO

/// Bytes of answers over both doors, of each connection's outbox: written ones, and trees as they will be written.
final class AnswerBacklog {
  private(set) var bytes = 0 {
    didSet { peak = max(peak, bytes) }
  }
  /// Most bytes since memory was given back.
  private var peak = 0
  private let loop: EventLoop
  private lazy var timer = loop.makeTimer { [unowned self] in giveBack() }
  /// A backlog that is worth it.
  private static let releaseMark = 32 << 20
  private static let quietNanoseconds: Int64 = 1_000_000_000

  init(loop: EventLoop) { self.loop = loop }

  func add(_ count: Int) {
    bytes += count
    if bytes > Self.releaseMark, timer.deadline == Int64.max { arm() }
  }

  func remove(_ count: Int) { bytes -= count }

  private func arm() { timer.arm(at: Clocks.boot() + Self.quietNanoseconds) }

  /// The heap keeps what was freed until it is told.
  private func giveBack() {
    if bytes <= peak / 2 {
      ProcessMemory.release()
      peak = bytes
    }
    if peak > Self.releaseMark { arm() }
  }
}

/// A connection that does not take its answers.
protocol SlowTaker: AnyObject {
  /// Bytes of answers that wait for it.
  var waitingBytes: Int { get }
  /// Boot nanoseconds since which it has taken nothing.
  var waitsSince: Int64 { get }
  /// Ends it, with a reason where one can still be said.
  func closeForRoom()
}

enum FurthestBehind {
  /// Of those that have at least half of what the worst has, the one that has taken nothing for longest: who reads, if
  /// slowly, is not taken for who does not.
  static func among(_ takers: [any SlowTaker]) -> (any SlowTaker)? {
    let worst = takers.reduce(0) { max($0, $1.waitingBytes) }
    if worst == 0 { return nil }
    return takers.filter { $0.waitingBytes * 2 >= worst }.min { $0.waitsSince < $1.waitsSince }
  }
}
