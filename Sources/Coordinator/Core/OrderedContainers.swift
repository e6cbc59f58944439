// Containers whose order is the same in every process: insertion-ordered set, work queue. They own no
// behaviour.

import ClusterProto

/// Hashable members in insertion order; insert, remove and contains in amortised O(1).
struct InsertionSet<Member: Hashable & Sendable>: Sendable, Sequence, Equatable {
  private var positions: [Member: Int] = [:]
  private var slots: [Member?] = []
  /// No member stands before this slot: whoever takes the oldest again and again must not walk over the holes.
  private var head = 0

  var count: Int { positions.count }
  var isEmpty: Bool { positions.isEmpty }
  func contains(_ member: Member) -> Bool { positions[member] != nil }

  /// True when the member was not there.
  @discardableResult
  mutating func insert(_ member: Member) -> Bool {
    guard positions[member] == nil else { return false }
    positions[member] = slots.count
    slots.append(member)
    return true
  }

  @discardableResult
  mutating func remove(_ member: Member) -> Bool {
    guard let position = positions.removeValue(forKey: member) else { return false }
    slots[position] = nil
    if position == head { while head < slots.count, slots[head] == nil { head += 1 } }
    if slots.count > 32, positions.count * 2 < slots.count { compact() }
    return true
  }

  /// The oldest member.
  var first: Member? { head < slots.count ? slots[head] : nil }

  /// Removes and returns the oldest member.
  mutating func popFirst() -> Member? {
    guard let first else { return nil }
    remove(first)
    return first
  }

  /// Moves the oldest member behind all others and returns it.
  mutating func rotate() -> Member? {
    guard let first else { return nil }
    if count > 1 {
      remove(first)
      insert(first)
    }
    return first
  }

  mutating func removeAll() {
    positions.removeAll()
    slots.removeAll()
    head = 0
  }

  func makeIterator() -> AnyIterator<Member> {
    var iterator = slots[head...].makeIterator()
    return AnyIterator {
      while let slot = iterator.next() {
        if let member = slot { return member }
      }
      return nil
    }
  }

  static func == (left: InsertionSet, right: InsertionSet) -> Bool { left.positions.keys == right.positions.keys }

  private mutating func compact() {
    slots = slots.filter { $0 != nil }
    head = 0
    for (position, member) in slots.enumerated() {
      if let member { positions[member] = position }
    }
  }
}

/// A queue of distinct members that is fair among lanes. Enqueueing a member that waits already changes nothing.
struct FairWorkQueue<Member: Hashable & Sendable>: Sendable {
  private var queue = FairQueue<Member>()
  private var waiting: Set<Member> = []

  var isEmpty: Bool { waiting.isEmpty }
  var count: Int { waiting.count }

  mutating func add(_ member: Member, lane: String) {
    if waiting.insert(member).inserted { queue.append(member, lane: lane) }
  }

  mutating func next() -> Member? {
    while let member = queue.next() {
      if waiting.remove(member) != nil { return member }
    }
    return nil
  }

  mutating func remove(_ member: Member) {
    waiting.remove(member)
    if waiting.isEmpty, !queue.isEmpty { queue = FairQueue() }
  }
}

/// A queue of distinct members, oldest first: work that is due. Enqueueing a member that waits already changes nothing.
struct WorkQueue<Member: Hashable & Sendable>: Sendable {
  private var members: [Member] = []
  private var head = 0
  private var waiting: Set<Member> = []

  var isEmpty: Bool { waiting.isEmpty }
  var count: Int { waiting.count }

  mutating func add(_ member: Member) {
    if waiting.insert(member).inserted { members.append(member) }
  }

  mutating func next() -> Member? {
    while head < members.count {
      let member = members[head]
      head += 1
      if head > 1024, head * 2 > members.count {
        members.removeFirst(head)
        head = 0
      }
      if waiting.remove(member) != nil { return member }
    }
    members.removeAll(keepingCapacity: true)
    head = 0
    return nil
  }

  /// The member that `next` would give; it stays.
  mutating func peek() -> Member? {
    while head < members.count {
      if waiting.contains(members[head]) { return members[head] }
      head += 1
    }
    return nil
  }

  /// The first that wait, at most `limit`; they stay.
  func prefix(_ limit: Int) -> [Member] {
    var found: [Member] = []
    for member in members[head...] where found.count < limit && waiting.contains(member) { found.append(member) }
    return found
  }

  mutating func remove(_ member: Member) { waiting.remove(member) }
}
