// Owns: events on their way to the core, with the connections that brought them, and the bounds of a turn.
// It must not know what events mean.

import ClusterProto
import CoordinatorCore

/// First in, first out. What does not fit one turn waits for the next.
struct EventQueue {
  /// Most events in a turn (the design's bound).
  static let turnLimit = 256
  /// A turn that has taken so long takes no more events.
  static let turnNanoseconds: Int64 = 5_000_000
  /// Events of one step: the clock is looked at between steps.
  static let batchLimit = 64

  /// Rows of the shell's own, for the first commit.
  var firstWrites: [StoreWrite] = []
  private var events: [CoordinatorEvent] = []
  private var peers: [Peer?] = []
  private var start = 0

  var isEmpty: Bool { start == events.count }

  /// Adds an event; `peer`'s reading is held back while too many of its events wait.
  mutating func append(_ event: CoordinatorEvent, from peer: Peer?) {
    events.append(event)
    peers.append(peer)
    peer?.unprocessed += 1
  }

  /// Adds an event of the shell's own ahead of all that wait.
  mutating func putFirst(_ event: CoordinatorEvent) {
    if start > 0 {
      start -= 1
      events[start] = event
      peers[start] = nil
    } else {
      events.insert(event, at: 0)
      peers.insert(nil, at: 0)
    }
  }

  /// Takes up to `count` events and the peers that brought them.
  mutating func take(_ count: Int) -> (events: [CoordinatorEvent], peers: [Peer]) {
    let end = min(start + count, events.count)
    let taken = Array(events[start..<end])
    let owners = peers[start..<end].compactMap { $0 }
    start = end
    if start == events.count || start > 1_024 {
      events.removeFirst(start)
      peers.removeFirst(start)
      start = 0
    }
    return (taken, owners)
  }

  /// A core's time as the loop's, in nanoseconds; far ones stay in range.
  static func nanoseconds(_ time: BootTime) -> Int64 {
    let (product, overflow) = time.milliseconds.multipliedReportingOverflow(by: 1_000_000)
    return overflow ? Int64.max - 1 : product
  }
}
