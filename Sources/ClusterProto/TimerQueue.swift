// Times with names, the earliest at hand: for timers of the cores. It must not know what falls due.

/// Named timers by boot time: a binary heap with lazy deletion; one time a name. Inlinable as its heap is.
@usableFromInline
package struct TimerQueue<Name: Hashable & Comparable & Sendable>: Sendable {
  @usableFromInline
  struct Entry: Comparable, Sendable {
    @usableFromInline var at: BootTime
    @usableFromInline var name: Name

    @inlinable
    init(at: BootTime, name: Name) {
      self.at = at
      self.name = name
    }

    @inlinable
    static func < (left: Entry, right: Entry) -> Bool {
      left.at == right.at ? left.name < right.name : left.at < right.at
    }
  }
  @usableFromInline var heap = MinHeap<Entry>()
  @usableFromInline var times: [Name: BootTime] = [:]

  /// Begins without timers.
  @inlinable
  package init() {}

  /// Sets or moves a timer.
  @inlinable
  package mutating func set(_ name: Name, at time: BootTime) {
    if times[name] == time { return }
    times[name] = time
    heap.insert(Entry(at: time, name: name))
    // Timers that move often would leave their old entries behind until those are due.
    if heap.count > 64, heap.count > times.count * 4 {
      var seen: Set<Name> = []
      heap.keep { times[$0.name] == $0.at && seen.insert($0.name).inserted }
    }
  }

  /// Forgets a timer, if it is set.
  @inlinable
  package mutating func cancel(_ name: Name) { times[name] = nil }

  /// When the timer is due; nil when it is not set.
  @inlinable
  package func time(of name: Name) -> BootTime? { times[name] }

  /// The earliest time set.
  @inlinable
  package mutating func earliest() -> BootTime? {
    dropStale()
    return heap.first?.at
  }

  /// Removes and returns one timer due at `now`, earliest first.
  @inlinable
  package mutating func popDue(at now: BootTime) -> Name? {
    dropStale()
    guard let first = heap.first, first.at <= now else { return nil }
    heap.removeFirst()
    times[first.name] = nil
    return first.name
  }

  @inlinable
  mutating func dropStale() {
    while let first = heap.first, times[first.name] != first.at { heap.removeFirst() }
  }
}
