// Sets of a Job's completion indexes as intervals, with the text form that the API shows (`0,2-4`): an index costs the
// intervals that are there, not the indexes. Must not know what an index stands for.

/// A set of indexes from 0 on, kept as sorted, disjoint intervals that do not touch.
package struct IndexIntervals: Equatable, Sendable {
  private struct Interval: Equatable, Sendable {
    var lower: Int64
    var upper: Int64
  }

  private var intervals: [Interval] = []
  /// How many indexes are in the set.
  package private(set) var count: Int64 = 0

  /// An empty set.
  package init() {}

  /// Reads `0,2-4`; stops at the first index that is not below `limit`, and at what is no rising list of numbers.
  package init(text: String, below limit: Int64 = Int64(Int32.max)) {
    var next: Int64 = 0
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let ends = part.split(separator: "-", omittingEmptySubsequences: false)
      guard let first = ends.first, ends.count <= 2, let lower = Int64(first), lower >= next, lower < limit,
        let last = ends.last, let end = Int64(last), end >= lower
      else { return }
      let upper = min(end, limit - 1)
      append(lower, upper)
      if end >= limit { return }
      next = upper + 1
    }
  }

  /// True when nothing is in it.
  package var isEmpty: Bool { intervals.isEmpty }
  /// The greatest index.
  package var last: Int64? { intervals.last?.upper }

  /// As the API shows it: two neighbours are written `1,2`, three or more `1-3`.
  package var text: String {
    intervals.map { interval in
      switch interval.upper - interval.lower {
      case 0: "\(interval.lower)"
      case 1: "\(interval.lower),\(interval.upper)"
      default: "\(interval.lower)-\(interval.upper)"
      }
    }.joined(separator: ",")
  }

  /// Whether the index is in it.
  package func contains(_ index: Int64) -> Bool { end(around: index) != nil }

  /// The last index of the unbroken run that the index is in; nil: it is not in the set.
  package func end(around index: Int64) -> Int64? {
    let position = position(of: index)
    guard position < intervals.count, intervals[position].lower <= index else { return nil }
    return intervals[position].upper
  }

  /// The lowest index of the set that is not below `index`.
  package func next(from index: Int64) -> Int64? {
    let position = position(of: index)
    return position < intervals.count ? max(index, intervals[position].lower) : nil
  }

  /// How many indexes of the set are below `index`.
  package func count(below index: Int64) -> Int64 {
    let position = position(of: index)
    // From the end that has fewer intervals before it.
    if position * 2 < intervals.count {
      var below: Int64 = 0
      for interval in intervals[..<position] { below += interval.upper - interval.lower + 1 }
      return position < intervals.count ? below + max(0, index - intervals[position].lower) : below
    }
    var above: Int64 = 0
    for interval in intervals[position...] { above += interval.upper - max(interval.lower, index) + 1 }
    return count - above
  }

  /// Adds an index that is 0 or more; false when it was there.
  @discardableResult
  package mutating func insert(_ index: Int64) -> Bool {
    let position = position(of: index)
    if position < intervals.count, intervals[position].lower <= index { return false }
    let joinsLeft = position > 0 && intervals[position - 1].upper == index - 1
    let joinsRight = position < intervals.count && intervals[position].lower == index + 1
    switch (joinsLeft, joinsRight) {
    case (true, true):
      intervals[position - 1].upper = intervals[position].upper
      intervals.remove(at: position)
    case (true, false): intervals[position - 1].upper = index
    case (false, true): intervals[position].lower = index
    case (false, false): intervals.insert(Interval(lower: index, upper: index), at: position)
    }
    count += 1
    return true
  }

  /// Takes an index away; false when it was not there.
  @discardableResult
  package mutating func remove(_ index: Int64) -> Bool {
    let position = position(of: index)
    guard position < intervals.count, intervals[position].lower <= index else { return false }
    let interval = intervals[position]
    count -= 1
    if interval.lower == interval.upper {
      intervals.remove(at: position)
    } else if interval.lower == index {
      intervals[position].lower = index + 1
    } else if interval.upper == index {
      intervals[position].upper = index - 1
    } else {
      intervals[position].upper = index - 1
      intervals.insert(Interval(lower: index + 1, upper: interval.upper), at: position + 1)
    }
    return true
  }

  /// Takes away every index that is not below `limit`.
  package mutating func trim(below limit: Int64) {
    while let interval = intervals.last, interval.upper >= limit {
      intervals.removeLast()
      count -= interval.upper - interval.lower + 1
      if interval.lower < limit { append(interval.lower, limit - 1) }
    }
  }

  /// The indexes below the limit that are not in it.
  package func inverted(below limit: Int64) -> IndexIntervals {
    var result = IndexIntervals()
    var lower: Int64 = 0
    for interval in intervals where interval.lower < limit {
      if lower < interval.lower { result.append(lower, interval.lower - 1) }
      lower = interval.upper + 1
    }
    if lower < limit { result.append(lower, limit - 1) }
    return result
  }

  /// The indexes that are not in the other set.
  package func subtracting(_ other: IndexIntervals) -> IndexIntervals {
    if isEmpty || other.isEmpty { return self }
    let limit = (last ?? -1) + 1
    var rest = inverted(below: limit)
    rest.formUnion(other)
    return rest.inverted(below: limit)
  }

  /// Adds all indexes of another set.
  package mutating func formUnion(_ other: IndexIntervals) {
    let all = (intervals + other.intervals).sorted { $0.lower < $1.lower }
    self = IndexIntervals()
    for interval in all {
      let lower = max(interval.lower, (last ?? -1) + 1)
      if lower <= interval.upper { append(lower, interval.upper) }
    }
  }

  /// How many indexes are in both.
  package func countShared(with other: IndexIntervals) -> Int64 {
    var shared: Int64 = 0
    var mine = 0
    var theirs = 0
    while mine < intervals.count, theirs < other.intervals.count {
      let lower = max(intervals[mine].lower, other.intervals[theirs].lower)
      let upper = min(intervals[mine].upper, other.intervals[theirs].upper)
      if lower <= upper { shared += upper - lower + 1 }
      if intervals[mine].upper < other.intervals[theirs].upper { mine += 1 } else { theirs += 1 }
    }
    return shared
  }

  /// The lowest index that both have; nil without one.
  package func firstShared(with other: IndexIntervals) -> Int64? {
    intervals.lazy.compactMap { interval -> Int64? in
      let position = other.position(of: interval.lower)
      guard position < other.intervals.count, other.intervals[position].lower <= interval.upper else { return nil }
      return max(interval.lower, other.intervals[position].lower)
    }.first
  }

  private mutating func append(_ lower: Int64, _ upper: Int64) {
    if let last = intervals.last, last.upper + 1 == lower {
      intervals[intervals.count - 1].upper = upper
    } else {
      intervals.append(Interval(lower: lower, upper: upper))
    }
    count += upper - lower + 1
  }

  /// The first interval that ends at the index or behind it.
  private func position(of index: Int64) -> Int {
    var low = 0
    var high = intervals.count
    while low < high {
      let middle = (low + high) / 2
      if intervals[middle].upper < index { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
