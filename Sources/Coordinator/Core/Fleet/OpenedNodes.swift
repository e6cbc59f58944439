// Nodes that have room again, and how far each has been offered to the parked classes: one after another in their
// order, until nothing of it is left. Data; whether a class fits is the WaitingClasses' to see.

import ClusterProto

/// A node that has room, and a rank before which no parked class fits it.
struct OpenedNode: Comparable, Sendable {
  var rank: WaitingRank
  var name: String
  /// Rises with each change of the node's place: older entries of it count for nothing.
  var serial: Int

  static func < (left: OpenedNode, right: OpenedNode) -> Bool {
    left.rank == right.rank ? left.serial < right.serial : left.rank < right.rank
  }
}

struct OpenedNodes: Sendable {
  private var queue = MinHeap<OpenedNode>()
  private var entries: [String: OpenedNode] = [:]
  /// The last class that each was offered to.
  private(set) var offered: [String: ParkedPlace] = [:]
  /// In the order in which they opened.
  private(set) var names = InsertionSet<String>()
  private var lastSerial = 0

  /// It has more room than before, or is another: it is offered to all anew.
  mutating func open(_ name: String) {
    names.insert(name)
    offered[name] = nil
    if entries[name]?.rank != .first { enter(name, .first) }
  }

  /// All that it might suit have been asked.
  mutating func close(_ name: String) {
    names.remove(name)
    offered[name] = nil
    entries[name] = nil
  }

  /// The next class that it suits has that rank.
  mutating func enter(_ name: String, _ rank: WaitingRank) {
    lastSerial += 1
    let entry = OpenedNode(rank: rank, name: name, serial: lastSerial)
    entries[name] = entry
    queue.insert(entry)
  }

  mutating func offer(_ name: String, to place: ParkedPlace) { offered[name] = place }

  /// The node whose next class comes first.
  mutating func first() -> OpenedNode? {
    while let found = queue.first {
      if entries[found.name]?.serial == found.serial { return found }
      queue.removeFirst()
    }
    return nil
  }
}
