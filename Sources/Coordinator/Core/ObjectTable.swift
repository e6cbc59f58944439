// One kind's objects by key, with lists in key order. Knows nothing of what the objects mean.

import ClusterProto

/// Objects by namespace and name. `keys` are sorted lazily: a create appends, the first list after it merges.
struct ObjectTable<Object: Sendable>: Sendable {
  /// Objects stand apart from the hash table, of which up to two thirds are empty places.
  private final class Box: Sendable {
    let object: Object
    let created: Int64
    init(_ object: Object, created: Int64) {
      self.object = object
      self.created = created
    }
  }

  private var objects: [ObjectKey: Box] = [:]
  private var sorted: [ObjectKey] = []
  private var fresh: [ObjectKey] = []
  private var removedSinceSort = 0

  var count: Int { objects.count }

  subscript(key: ObjectKey) -> Object? { objects[key]?.object }

  /// Makes room for so many objects, so that filling the table does not move it again and again.
  mutating func reserve(_ count: Int) { objects.reserveCapacity(count) }

  /// Sets an object. `created` is kept with a new one; one that is there keeps its own.
  mutating func set(_ object: Object, for key: ObjectKey, created: Int64) {
    if let position = objects.index(forKey: key) {
      objects.values[position] = Box(object, created: objects.values[position].created)
    } else {
      objects[key] = Box(object, created: created)
      fresh.append(key)
    }
  }

  /// The change number at which an object came.
  func created(_ key: ObjectKey) -> Int64? { objects[key]?.created }

  @discardableResult
  mutating func remove(_ key: ObjectKey) -> Object? {
    guard let box = objects.removeValue(forKey: key) else { return nil }
    removedSinceSort += 1
    return box.object
  }

  /// All keys in order, or those of one namespace. Merges what came since the last call.
  mutating func keys(in namespace: String = "") -> ArraySlice<ObjectKey> {
    mergeFresh()
    guard !namespace.isEmpty else { return sorted[...] }
    let low = lowerBound(ObjectKey(namespace: namespace, name: ""))
    var high = low
    // The end of the namespace by doubling steps and then bisection, so that small namespaces stay cheap.
    var step = 1
    while high + step < sorted.count, sorted[high + step].namespace == namespace { step *= 2 }
    high = min(sorted.count, high + step)
    var bottom = low
    while bottom < high {
      let middle = (bottom + high) / 2
      if sorted[middle].namespace == namespace { bottom = middle + 1 } else { high = middle }
    }
    return sorted[low..<bottom]
  }

  /// The first position at or after `key` in the order of `keys()`.
  private func lowerBound(_ key: ObjectKey) -> Int {
    var low = 0
    var high = sorted.count
    while low < high {
      let middle = (low + high) / 2
      if sorted[middle] < key { low = middle + 1 } else { high = middle }
    }
    return low
  }

  private mutating func mergeFresh() {
    if removedSinceSort > 0 {
      // A key that was removed and created again stands in both lists: keep it in `fresh` only.
      let again = Set(fresh)
      sorted.removeAll { objects[$0] == nil || again.contains($0) }
      removedSinceSort = 0
    }
    guard !fresh.isEmpty else { return }
    var seen: Set<ObjectKey> = []
    let added = fresh.filter { objects[$0] != nil && seen.insert($0).inserted }.sorted()
    fresh.removeAll()
    var merged: [ObjectKey] = []
    merged.reserveCapacity(sorted.count + added.count)
    var left = 0
    var right = 0
    while left < sorted.count || right < added.count {
      if right == added.count || (left < sorted.count && sorted[left] < added[right]) {
        merged.append(sorted[left])
        left += 1
      } else {
        merged.append(added[right])
        right += 1
      }
    }
    sorted = merged
  }
}
