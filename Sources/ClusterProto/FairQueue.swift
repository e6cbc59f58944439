// A queue that is fair among lanes: the lanes take turns, within a lane the oldest comes first. So whoever asks for
// much waits behind his own questions and not others behind his. It must not know who has a lane, nor what waits in it.

/// First in, first out within a lane, one of each lane in turn.
package struct FairQueue<Member> {
  fileprivate struct Lane {
    var members: [Member?] = []
    var head = 0

    mutating func pop() -> Member? {
      guard head < members.count, let member = members[head] else { return nil }
      members[head] = nil
      head += 1
      if head > 64, head * 2 > members.count {
        members.removeFirst(head)
        head = 0
      }
      return member
    }
  }

  private var lanes: [String: Lane] = [:]
  /// Lanes that are not empty, in the order of their turns.
  private var ring: [String] = []
  private var ringHead = 0
  /// Members of all lanes.
  package private(set) var count = 0

  /// An empty queue.
  package init() {}

  /// Whether nothing waits.
  package var isEmpty: Bool { count == 0 }

  /// Adds a member behind those of its lane.
  package mutating func append(_ member: Member, lane: String) {
    if lanes[lane] == nil { ring.append(lane) }
    lanes[lane, default: Lane()].members.append(member)
    count += 1
  }

  /// The oldest member of the lane whose turn it is.
  package mutating func next() -> Member? {
    guard ringHead < ring.count else { return nil }
    let lane = ring[ringHead]
    ringHead += 1
    if ringHead > 64, ringHead * 2 > ring.count {
      ring.removeFirst(ringHead)
      ringHead = 0
    }
    guard let member = lanes[lane]?.pop() else { return nil }
    count -= 1
    if let rest = lanes[lane], rest.head < rest.members.count {
      ring.append(lane)
    } else {
      lanes[lane] = nil
    }
    return member
  }
}

extension FairQueue: Sendable where Member: Sendable {}
extension FairQueue.Lane: Sendable where Member: Sendable {}
