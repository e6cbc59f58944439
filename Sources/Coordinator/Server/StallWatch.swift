// Owns: how long the store's transaction in flight has been on its way, which the core is told when it is too long for
// silence to mean anything. It must not know what follows from that.

import ClusterIO
import CoordinatorCore

/// Watches one transaction at a time.
final class StallWatch {
  private let limit: Int64
  private let tell: (CoordinatorEvent) -> Void
  private var timer: LoopTimer?
  /// Nanoseconds of the boot clock; nil: none is in flight.
  private var began: Int64?
  private var isTold = false

  /// `milliseconds`: what takes longer stalls. `tell`: gets the events, in order.
  init(loop: EventLoop, milliseconds: Int64, tell: @escaping (CoordinatorEvent) -> Void) {
    limit = milliseconds * 1_000_000
    self.tell = tell
    timer = loop.makeTimer { [unowned self] in stalls() }
  }

  /// A transaction was handed to the store.
  func commitBegins() {
    let now = Clocks.boot()
    began = now
    timer?.arm(at: now + limit)
  }

  /// It is durable.
  func commitEnds() {
    if isTold { tell(.storeAnswered(milliseconds: milliseconds)) }
    isTold = false
    began = nil
    timer?.arm(at: nil)
  }

  private func stalls() {
    guard began != nil, !isTold else { return }
    isTold = true
    tell(.storeStalls(milliseconds: milliseconds))
  }

  private var milliseconds: Int64 { began.map { (Clocks.boot() - $0) / 1_000_000 } ?? 0 }
}
