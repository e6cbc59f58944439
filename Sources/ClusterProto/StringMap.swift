// Labels, annotations and ConfigMap data: a small map kept sorted by key.
// Sorted so that iteration is the same in every process; an array so that pods of one Job share it copy-on-write.

/// A string-to-string map whose iteration order is bytewise key order.
package struct StringMap: Equatable, Hashable, Sendable, ExpressibleByDictionaryLiteral, RandomAccessCollection {
  /// One key with its value.
  package struct Entry: Equatable, Hashable, Sendable {
    /// The key.
    package var key: String
    /// The value.
    package var value: String
  }

  private var entries: [Entry] = []

  /// The entries, sorted by key; none for an empty map.
  package init() {}

  package init(dictionaryLiteral elements: (String, String)...) {
    for (key, value) in elements { self[key] = value }
  }

  /// Takes the string members of `json`; anything else is left out (validation has refused it before).
  package init(json: JSON?) {
    for (key, value) in json?.objectValue ?? JSONObject() {
      if let text = value.stringValue { self[key] = text }
    }
  }

  package var startIndex: Int { 0 }
  package var endIndex: Int { entries.count }
  package subscript(position: Int) -> Entry { entries[position] }

  /// The entry at a position, or the value of a key; nil: not there.
  package subscript(key: String) -> String? {
    get {
      let position = lowerBound(of: key)
      return position < entries.count && entries[position].key == key ? entries[position].value : nil
    }
    set {
      let position = lowerBound(of: key)
      let found = position < entries.count && entries[position].key == key
      switch (newValue, found) {
      case (let value?, true): entries[position].value = value
      case (let value?, false): entries.insert(Entry(key: key, value: value), at: position)
      case (nil, true): entries.remove(at: position)
      case (nil, false): break
      }
    }
  }

  /// The map as a JSON object.
  package var json: JSON { .object(JSONObject(entries: entries.map { ($0.key, .string($0.value)) })) }

  /// The map with `other`'s entries laid over it.
  package func merging(_ other: StringMap) -> StringMap {
    var result = self
    for entry in other { result[entry.key] = entry.value }
    return result
  }

  private func lowerBound(of key: String) -> Int {
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].key < key { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
