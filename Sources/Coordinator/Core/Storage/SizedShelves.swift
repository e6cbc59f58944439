// Owns: things of a size, by class, access modes and host, the smallest first: volumes that are free, and claims that
// wait for one. Finding a pair looks at as many as a selector turns down, however many there are. Data and its order;
// it must not know what is bound to what.

import ClusterProto

/// What decides which claims and volumes can be for each other at all.
struct StorageShelf: Hashable, Sendable {
  var className: String
  var modes: AccessModes
  /// The one host that reaches it; nil: it is not of one host, or nobody asks.
  var host: String?
}

/// In blocks would be faster above some 100,000 of one shelf; an insertion moves what is larger.
struct SizedShelves<Name: Comparable & Hashable & Sendable>: Sendable {
  private struct Place: Comparable, Sendable {
    var bytes: Int64
    var name: Name

    static func < (left: Place, right: Place) -> Bool {
      left.bytes == right.bytes ? left.name < right.name : left.bytes < right.bytes
    }
  }

  private var shelves: [StorageShelf: [Place]] = [:]
  private var known: [Name: (shelf: StorageShelf, bytes: Int64)] = [:]

  var count: Int { known.count }

  func contains(_ name: Name) -> Bool { known[name] != nil }

  /// Puts it where it belongs now.
  mutating func set(_ name: Name, on shelf: StorageShelf, bytes: Int64) {
    if let there = known[name], there.shelf == shelf, there.bytes == bytes { return }
    remove(name)
    known[name] = (shelf, bytes)
    let place = Place(bytes: bytes, name: name)
    let at = Self.index(of: place, in: shelves[shelf] ?? [])
    shelves[shelf, default: []].insert(place, at: at)
  }

  mutating func remove(_ name: Name) {
    guard let there = known.removeValue(forKey: name) else { return }
    let at = Self.index(of: Place(bytes: there.bytes, name: name), in: shelves[there.shelf] ?? [])
    shelves[there.shelf]?.remove(at: at)
    if shelves[there.shelf]?.isEmpty == true { shelves[there.shelf] = nil }
  }

  /// The smallest of at least so many bytes, with at least these modes, of one of these hosts, that suits.
  func smallest(
    _ className: String, _ modes: AccessModes, bytes: Int64, hosts: [String?] = [nil], where suits: (Name) -> Bool
  ) -> Name? {
    var best: Place?
    for shelf in hosts.flatMap({ Self.shelves(of: className, host: $0) }) where modes.isSubset(of: shelf.modes) {
      guard let places = shelves[shelf] else { continue }
      for place in places[Self.index(atLeast: bytes, in: places)...] {
        if let best, best < place { break }
        if suits(place.name) {
          best = place
          break
        }
      }
    }
    return best?.name
  }

  /// The largest of at most so many bytes, with at most these modes, that suits; of several the first by name.
  func largest(_ className: String, _ modes: AccessModes, bytes: Int64, where suits: (Name) -> Bool) -> Name? {
    var best: Place?
    for shelf in Self.shelves(of: className) where shelf.modes.isSubset(of: modes) {
      guard let places = shelves[shelf] else { continue }
      var end = bytes == Int64.max ? places.count : Self.index(atLeast: bytes + 1, in: places)
      while end > 0 {
        let size = places[end - 1].bytes
        if let best, size < best.bytes { break }
        let begin = Self.index(atLeast: size, in: places)
        if let found = places[begin..<end].first(where: { suits($0.name) }) {
          if best.map({ found.bytes > $0.bytes || found.name < $0.name }) ?? true { best = found }
          break
        }
        end = begin
      }
    }
    return best?.name
  }

  private static func shelves(of className: String, host: String? = nil) -> [StorageShelf] {
    (1...15).map { StorageShelf(className: className, modes: AccessModes(rawValue: $0), host: host) }
  }

  private static func index(of place: Place, in places: [Place]) -> Int { first(places.count) { places[$0] >= place } }

  private static func index(atLeast bytes: Int64, in places: [Place]) -> Int {
    first(places.count) { places[$0].bytes >= bytes }
  }

  /// The first index from which on the condition holds.
  private static func first(_ count: Int, _ holds: (Int) -> Bool) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if holds(middle) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
