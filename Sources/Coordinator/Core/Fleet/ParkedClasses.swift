// Classes of waiting pods that fit nowhere, in the order in which they are tried when a node has room again; and the
// first of them that asks for no more cpu and memory than there is, found without a look at each. Data; what else a
// class asks for is the WaitingClasses' to see.

import ClusterProto

/// A parked class: its place in the order, and what it asks for.
struct ParkedPlace: Comparable, Sendable {
  var rank: WaitingRank
  var id: WaitingClassID
  var cpu: Int64
  var memory: Int64

  static func == (left: ParkedPlace, right: ParkedPlace) -> Bool { left.rank == right.rank && left.id == right.id }
  static func < (left: ParkedPlace, right: ParkedPlace) -> Bool {
    left.rank == right.rank ? left.id < right.id : left.rank < right.rank
  }
}

/// In blocks, each with the least that one of its classes asks for: those where that is too much are passed over.
struct ParkedClasses: Sendable {
  private struct Block: Sendable {
    var places: [ParkedPlace]
    var leastCPU = Int64.max
    var leastMemory = Int64.max

    init(_ places: [ParkedPlace]) {
      self.places = places
      measure()
    }

    mutating func measure() {
      leastCPU = places.reduce(Int64.max) { min($0, $1.cpu) }
      leastMemory = places.reduce(Int64.max) { min($0, $1.memory) }
    }
  }

  private static let blockSize = 128
  /// None is empty.
  private var blocks: [Block] = []

  var isEmpty: Bool { blocks.isEmpty }

  mutating func insert(_ place: ParkedPlace) {
    guard !blocks.isEmpty else {
      blocks = [Block([place])]
      return
    }
    let at = min(block(of: place), blocks.count - 1)
    blocks[at].places.insert(place, at: Self.position(of: place, in: blocks[at].places))
    blocks[at].leastCPU = min(blocks[at].leastCPU, place.cpu)
    blocks[at].leastMemory = min(blocks[at].leastMemory, place.memory)
    guard blocks[at].places.count > Self.blockSize else { return }
    let upper = Block(Array(blocks[at].places.suffix(Self.blockSize / 2)))
    blocks[at].places.removeLast(Self.blockSize / 2)
    blocks[at].measure()
    blocks.insert(upper, at: at + 1)
  }

  mutating func remove(_ place: ParkedPlace) {
    let at = block(of: place)
    guard at < blocks.count else { return }
    let position = Self.position(of: place, in: blocks[at].places)
    guard position < blocks[at].places.count, blocks[at].places[position] == place else { return }
    blocks[at].places.remove(at: position)
    if blocks[at].places.isEmpty { blocks.remove(at: at) } else { blocks[at].measure() }
  }

  /// The first behind `last` that asks for no more than that.
  func first(after last: ParkedPlace?, cpu: Int128, memory: Int128) -> ParkedPlace? {
    var at = last.map(block(of:)) ?? 0
    while at < blocks.count {
      if Int128(blocks[at].leastCPU) <= cpu, Int128(blocks[at].leastMemory) <= memory {
        for place in blocks[at].places where Int128(place.cpu) <= cpu && Int128(place.memory) <= memory {
          if last.map({ $0 < place }) ?? true { return place }
        }
      }
      at += 1
    }
    return nil
  }

  /// The first block whose last place is not before it.
  private func block(of place: ParkedPlace) -> Int {
    Self.firstIndex(below: blocks.count) { blocks[$0].places.last.map { $0 >= place } ?? true }
  }

  private static func position(of place: ParkedPlace, in places: [ParkedPlace]) -> Int {
    firstIndex(below: places.count) { places[$0] >= place }
  }

  /// The first index from which on the condition holds.
  private static func firstIndex(below count: Int, _ holds: (Int) -> Bool) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if holds(middle) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
