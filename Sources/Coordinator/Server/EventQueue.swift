// Owns: events on their way to the core, with the connections that brought them, and the bounds of a turn.
// It must not know what events mean.

import ClusterProto
import CoordinatorCore

/// What agents and this process say comes first, in its order; clients' requests follow, each user's in a lane of its
/// own. What does not fit one turn waits for the next.
struct EventQueue {
  /// Most events in a turn (the design's bound).
  static let turnLimit = 256
  /// A turn that has taken so long takes no more events.
  static let turnNanoseconds: Int64 = 5_000_000
  /// Events of one step: the clock is looked at between steps.
  static let batchLimit = 64
  /// What requests of one step may weigh together, a last one aside: so many everyday ones, or 512 KiB of objects.
  static let weightLimit = 64

  /// Rows of the shell's own, for the first commit.
  var firstWrites: [StoreWrite] = []
  private var events: [CoordinatorEvent] = []
  private var peers: [Peer?] = []
  private var start = 0
  private var requests = FairQueue<(event: CoordinatorEvent, peer: Peer?)>()

  var isEmpty: Bool { start == events.count && requests.isEmpty }

  /// Adds an event; `peer`'s reading is held back while too many of its events wait. `lane`: of whose request it is;
  /// nil: it is none.
  mutating func append(_ event: CoordinatorEvent, from peer: Peer?, lane: String? = nil) {
    if let lane {
      requests.append((event, peer), lane: lane)
    } else {
      events.append(event)
      peers.append(peer)
    }
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

  /// Takes up to `count` events and the peers that brought them; of requests so many as `weight` allows, at least one.
  /// `judge`: who weighs, handed on as it is: a closure that had caught the core would copy it for each request.
  mutating func take<Judge>(
    _ count: Int, by judge: inout Judge, weight: (inout Judge, CoordinatorEvent) -> Int
  ) -> (events: [CoordinatorEvent], peers: [Peer]) {
    // Agents that talk without end leave a place to clients.
    let end = min(start + (requests.isEmpty ? count : max(1, count - count / 4)), events.count)
    var taken = Array(events[start..<end])
    var owners = peers[start..<end].compactMap { $0 }
    start = end
    var room = Self.weightLimit
    while taken.count < count, room > 0, let (event, peer) = requests.next() {
      room -= weight(&judge, event)
      taken.append(event)
      if let peer { owners.append(peer) }
    }
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
