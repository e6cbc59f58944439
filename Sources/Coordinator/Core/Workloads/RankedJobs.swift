// Jobs that wait, in the order of their creation, each with a weight: the first, any one's place, and how many come
// before a sum of weights, each without a walk over all of them. Knows nothing of what they wait for.

import ClusterProto

struct RankedJobs: Sendable {
  struct Item: Sendable {
    /// Rises with each Job that is created.
    var order: Int64
    var key: ObjectKey
    var weight: Int64
  }

  private struct Chunk: Sendable {
    var items: [Item]
    var weight: Int128
  }

  private static let most = 512
  private var chunks: [Chunk] = []
  private(set) var count = 0
  private var weight: Int128 = 0
  /// Items and chunks that were walked over: what tests of cost count.
  private(set) var walked = 0

  var isEmpty: Bool { count == 0 }
  var first: Item? { chunks.first?.items.first }

  /// Every key, in order.
  var keys: [ObjectKey] { chunks.flatMap { $0.items.map(\.key) } }

  mutating func insert(_ item: Item) {
    count += 1
    weight += Int128(item.weight)
    guard !chunks.isEmpty else {
      chunks.append(Chunk(items: [item], weight: Int128(item.weight)))
      return
    }
    let position = min(chunk(of: item.order), chunks.count - 1)
    chunks[position].items.insert(item, at: Self.position(of: item.order, in: chunks[position].items))
    chunks[position].weight += Int128(item.weight)
    if chunks[position].items.count > Self.most { split(position) }
  }

  /// The one that was there.
  @discardableResult
  mutating func remove(_ order: Int64) -> Item? {
    let position = chunk(of: order)
    guard position < chunks.count else { return nil }
    let inner = Self.position(of: order, in: chunks[position].items)
    guard inner < chunks[position].items.count, chunks[position].items[inner].order == order else { return nil }
    let item = chunks[position].items.remove(at: inner)
    chunks[position].weight -= Int128(item.weight)
    if chunks[position].items.isEmpty { chunks.remove(at: position) }
    count -= 1
    weight -= Int128(item.weight)
    return item
  }

  /// How many stand before that place in the order, and their weights.
  mutating func ahead(of order: Int64) -> (count: Int, weight: Int128) {
    let position = chunk(of: order)
    var count = 0
    var sum: Int128 = 0
    // From the end that is nearer: most come at the end.
    if position * 2 < chunks.count {
      for chunk in chunks[..<position] {
        count += chunk.items.count
        sum += chunk.weight
      }
      walked += position
    } else {
      (count, sum) = (self.count, weight)
      for chunk in chunks[position...] {
        count -= chunk.items.count
        sum -= chunk.weight
      }
      walked += chunks.count - position
    }
    guard position < chunks.count else { return (count, sum) }
    let items = chunks[position].items
    let inner = Self.position(of: order, in: items)
    if inner * 2 < items.count {
      for item in items[..<inner] { sum += Int128(item.weight) }
      walked += inner
    } else {
      sum += chunks[position].weight
      for item in items[inner...] { sum -= Int128(item.weight) }
      walked += items.count - inner
    }
    return (count + inner, sum)
  }

  /// How many there are, from the first on, of which each has less than `limit` of weights before it, or just so much
  /// and a place before `order`.
  mutating func count(below limit: Int128, orAt order: Int64) -> Int {
    var sum: Int128 = 0
    var found = 0
    for chunk in chunks {
      walked += 1
      // The last one of the chunk is in, so all of it is.
      if let last = chunk.items.last, sum + chunk.weight - Int128(last.weight) < limit {
        sum += chunk.weight
        found += chunk.items.count
        continue
      }
      for item in chunk.items {
        walked += 1
        guard sum < limit || (sum == limit && item.order < order) else { return found }
        sum += Int128(item.weight)
        found += 1
      }
    }
    return found
  }

  private mutating func split(_ position: Int) {
    let items = chunks[position].items
    // At the end, where most come, the old chunk stays full.
    let cut = position == chunks.count - 1 ? Self.most : items.count / 2
    let halves = [Array(items[..<cut]), Array(items[cut...])]
    chunks.replaceSubrange(
      position...position,
      with: halves.map { half in Chunk(items: half, weight: half.reduce(0) { $0 + Int128($1.weight) }) })
  }

  /// The first chunk whose last item is at that place or behind it.
  private func chunk(of order: Int64) -> Int {
    Self.search(chunks.count) { (chunks[$0].items.last?.order ?? Int64.max) < order }
  }

  private static func position(of order: Int64, in items: [Item]) -> Int {
    search(items.count) { items[$0].order < order }
  }

  /// The first number that is not before; those that are come first.
  private static func search(_ count: Int, isBefore: (Int) -> Bool) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if isBefore(middle) { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
