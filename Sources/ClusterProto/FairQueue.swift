// A queue that is fair among lanes: the lanes take turns, within a lane the oldest comes first. So whoever asks for
// much waits behind his own questions and not others behind his. It must not know who has a lane, nor what waits in it.

/// First in, first out within a lane, one of each lane in turn. Public and inlinable, so that other modules' compilers
/// know what it holds: both doors put each request through it, and else that takes five times as long.
public struct FairQueue<Member> {
  @usableFromInline
  struct Lane {
    @usableFromInline var name = ""
    @usableFromInline var members: [Member?] = []
    @usableFromInline var head = 0

    @inlinable
    init() {}

    @inlinable
    mutating func pop() -> Member? {
      guard head < members.count else { return nil }
      let member = members[head]
      members[head] = nil
      head += 1
      if head == members.count || head > 64 && head * 2 > members.count {
        members.removeFirst(head)
        head = 0
      }
      return member
    }
  }

  /// Places of lanes. One that is empty has no name, and keeps its room for the next.
  @usableFromInline var lanes: [Lane] = []
  @usableFromInline var free: [Int] = []
  /// Where the lanes are that are not empty.
  @usableFromInline var places: [String: Int] = [:]
  /// The same in the order of their turns.
  @usableFromInline var ring: [Int] = []
  @usableFromInline var ringHead = 0
  @usableFromInline var size = 0

  /// Members of all lanes.
  @inlinable public var count: Int { size }

  /// An empty queue.
  @inlinable public init() {}

  /// Whether nothing waits.
  @inlinable public var isEmpty: Bool { size == 0 }

  /// Adds a member behind those of its lane.
  @inlinable
  public mutating func append(_ member: Member, lane: String) {
    lanes[place(of: lane)].members.append(member)
    size += 1
  }

  @inlinable
  mutating func place(of lane: String) -> Int {
    if let place = places[lane] { return place }
    let place = free.popLast() ?? lanes.count
    if place == lanes.count { lanes.append(Lane()) }
    lanes[place].name = lane
    places[lane] = place
    ring.append(place)
    return place
  }

  /// The oldest member of the lane whose turn it is.
  @inlinable
  public mutating func next() -> Member? {
    guard ringHead < ring.count else { return nil }
    let place = ring[ringHead]
    ringHead += 1
    if ringHead == ring.count || ringHead > 64 && ringHead * 2 > ring.count {
      ring.removeFirst(ringHead)
      ringHead = 0
    }
    guard let member = lanes[place].pop() else { return nil }
    size -= 1
    if lanes[place].members.isEmpty { leave(place) } else { ring.append(place) }
    return member
  }

  @inlinable
  mutating func leave(_ place: Int) {
    places[lanes[place].name] = nil
    // The crowd of an hour ago must not cost memory for ever.
    if lanes[place].members.capacity > 64 { lanes[place].members = [] }
    lanes[place].name = ""
    free.append(place)
    if places.isEmpty, lanes.count > 64 {
      lanes = []
      free = []
    }
  }
}

extension FairQueue: Sendable where Member: Sendable {}
extension FairQueue.Lane: Sendable where Member: Sendable {}
