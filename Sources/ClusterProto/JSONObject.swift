// The members of a JSON object, sorted by key, and the byte order of keys.
// It must not know about text, paths or what a key means.

/// Object members with keys kept in bytewise UTF-8 order, so iteration is deterministic and equality is by value.
/// Lookup is a binary search; each key occurs once.
package struct JSONObject: Sendable {
  private(set) var entries: [(key: String, value: JSON)]

  /// An empty object.
  package init() { entries = [] }

  /// An object of these members in any order; of equal keys the last wins.
  package init(entries: [(String, JSON)]) {
    self.entries = entries.map { (key: $0.0, value: $0.1) }
    _ = Self.normalize(&self.entries)
  }

  /// An object of members whose keys are in order, each once, as the caller has written them down.
  package init(ascending members: [(key: String, value: JSON)]) {
    assert(zip(members, members.dropFirst()).allSatisfy { orderUTF8($0.key, $1.key) < 0 })
    entries = members
  }

  /// The parser's way in: takes the members over, sorts them and says which keys occurred more than once.
  init(normalizing members: consuming [(key: String, value: JSON)], duplicates: inout [String]) {
    entries = members
    duplicates = Self.normalize(&entries)
  }

  /// The value of `key`, nil when absent. Setting nil removes the key.
  package subscript(key: String) -> JSON? {
    get {
      let (index, found) = position(of: key)
      // Not `found ? … : nil`: there nil would be read as JSON's null, and no member would ever be absent.
      guard found else { return nil }
      return entries[index].value
    }
    set {
      let (index, found) = position(of: key)
      switch (newValue, found) {
      case (let value?, true): entries[index].value = value
      case (let value?, false): entries.insert((key: key, value: value), at: index)
      case (nil, true): entries.remove(at: index)
      case (nil, false): break
      }
    }
  }

  /// The keys in order.
  package var keys: [String] { entries.map(\.key) }

  /// Whether `key` is a member, be it null.
  package func contains(_ key: String) -> Bool { position(of: key).found }

  /// Removes `key` and returns its value, nil when it was absent.
  @discardableResult
  package mutating func removeValue(forKey key: String) -> JSON? {
    let (index, found) = position(of: key)
    guard found else { return nil }
    return entries.remove(at: index).value
  }

  /// These members with the other's laid over them: `combine` gets each of the other's, with the own one of that key,
  /// and gives what is kept of it. One pass over both, however many there are.
  package func merging<Failure: Error>(
    _ other: JSONObject, _ combine: (_ key: String, _ old: JSON?, _ new: JSON) throws(Failure) -> JSON?
  ) throws(Failure) -> JSONObject {
    var result = JSONObject()
    result.entries.reserveCapacity(entries.count + other.entries.count)
    var left = 0
    for (key, value) in other.entries {
      var order = -1
      while left < entries.count {
        order = orderUTF8(entries[left].key, key)
        if order >= 0 { break }
        result.entries.append(entries[left])
        left += 1
      }
      let isShared = left < entries.count && order == 0
      let old: JSON? = if isShared { entries[left].value } else { nil }
      if let combined = try combine(key, old, value) { result.entries.append((key: key, value: combined)) }
      if isShared { left += 1 }
    }
    result.entries.append(contentsOf: entries[left...])
    return result
  }

  /// The members whose keys are to stay.
  package func keeping(_ stays: (String) -> Bool) -> JSONObject {
    JSONObject(ascending: entries.filter { stays($0.key) })
  }

  private func position(of key: String) -> (index: Int, found: Bool) {
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      let order = orderUTF8(entries[middle].key, key)
      if order == 0 { return (middle, true) }
      if order < 0 { low = middle + 1 } else { high = middle }
    }
    return (low, false)
  }

  /// Sorts by key, keeps the last of equal keys, returns the keys that were dropped at least once.
  private static func normalize(_ entries: inout [(key: String, value: JSON)]) -> [String] {
    var ascending = true
    for index in entries.indices.dropFirst() where orderUTF8(entries[index - 1].key, entries[index].key) >= 0 {
      ascending = false
      break
    }
    if ascending { return [] }
    if entries.count <= 16 {
      insertionSort(&entries)
    } else {
      // Equal keys must stay in the order of the text, and the library does not promise a stable sort.
      let original = entries
      let order = original.indices.sorted { first, second in
        let order = orderUTF8(original[first].key, original[second].key)
        return order == 0 ? first < second : order < 0
      }
      entries = order.map { original[$0] }
    }
    return dropEarlierDuplicates(&entries)
  }

  private static func insertionSort(_ entries: inout [(key: String, value: JSON)]) {
    for index in entries.indices.dropFirst() {
      var hole = index
      while hole > 0, orderUTF8(entries[hole - 1].key, entries[hole].key) > 0 {
        entries.swapAt(hole, hole - 1)
        hole -= 1
      }
    }
  }

  private static func dropEarlierDuplicates(_ entries: inout [(key: String, value: JSON)]) -> [String] {
    var duplicates: [String] = []
    var kept = 0
    for index in entries.indices {
      if kept > 0, orderUTF8(entries[kept - 1].key, entries[index].key) == 0 {
        let key = entries[index].key
        if duplicates.last.map({ orderUTF8($0, key) != 0 }) ?? true { duplicates.append(key) }
        entries[kept - 1] = entries[index]
      } else {
        if kept != index { entries[kept] = entries[index] }
        kept += 1
      }
    }
    entries.removeLast(entries.count - kept)
    return duplicates
  }
}

extension JSONObject: Equatable, Hashable {
  package static func == (left: JSONObject, right: JSONObject) -> Bool {
    guard left.entries.count == right.entries.count else { return false }
    for index in left.entries.indices {
      guard orderUTF8(left.entries[index].key, right.entries[index].key) == 0,
        left.entries[index].value == right.entries[index].value
      else { return false }
    }
    return true
  }

  package func hash(into hasher: inout Hasher) {
    hasher.combine(entries.count)
    for entry in entries {
      hashUTF8(entry.key, into: &hasher)
      hasher.combine(entry.value)
    }
  }
}

extension JSONObject: RandomAccessCollection {
  package var startIndex: Int { 0 }
  package var endIndex: Int { entries.count }
  package subscript(position: Int) -> (key: String, value: JSON) { entries[position] }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
  package init(dictionaryLiteral elements: (String, JSON)...) { self.init(entries: elements) }
}

/// Bytewise order of two strings' UTF-8: negative, zero or positive. Swift's own `<` and `==` compare canonical
/// equivalents as equal, Go's and JSON's do not.
func orderUTF8(_ left: String, _ right: String) -> Int {
  let order = left.utf8.withContiguousStorageIfAvailable { first in
    right.utf8.withContiguousStorageIfAvailable { second in orderBytes(first, second) }
  }
  if let order, let order { return order }
  return Array(left.utf8).withUnsafeBufferPointer { first in
    Array(right.utf8).withUnsafeBufferPointer { second in orderBytes(first, second) }
  }
}

/// Hashes a string as it is compared: by its bytes. Swift's own hash is alike for all spellings of one text, so that
/// many different strings would have one hash.
func hashUTF8(_ text: String, into hasher: inout Hasher) {
  hasher.combine(text.utf8.count)
  var text = text
  text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
}

@inline(__always)
private func orderBytes(_ left: UnsafeBufferPointer<UInt8>, _ right: UnsafeBufferPointer<UInt8>) -> Int {
  let shared = min(left.count, right.count)
  var index = 0
  while index < shared {
    let first = left[index]
    let second = right[index]
    if first != second { return first < second ? -1 : 1 }
    index += 1
  }
  return left.count - right.count
}
