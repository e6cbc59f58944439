// The JSON tree: the one value that manifests, API objects, patches and messages have in common, with its accessors.
// It must not know what any key means, nor how text is read or written (JSONParser, JSONWriter, YAMLText).

/// A JSON value. Whole numbers that fit are `int`, every other number is `double`; objects keep their keys sorted.
///
/// Strings are equal when their bytes are, unlike Swift's canonical equivalence: a patch that changes only the
/// composition of an accent is still a change.
package enum JSON: Sendable {
  case null
  case bool(Bool)
  case int(Int64)
  case double(Double)
  case string(String)
  case array([JSON])
  case object(JSONObject)
}

extension JSON: Equatable {
  package static func == (left: JSON, right: JSON) -> Bool {
    switch (left, right) {
    case (.null, .null): true
    case (.bool(let first), .bool(let second)): first == second
    case (.int(let first), .int(let second)): first == second
    case (.double(let first), .double(let second)): first == second
    case (.string(let first), .string(let second)): orderUTF8(first, second) == 0
    case (.array(let first), .array(let second)): first == second
    case (.object(let first), .object(let second)): first == second
    default: false
    }
  }
}

extension JSON: Hashable {
  package func hash(into hasher: inout Hasher) {
    switch self {
    case .null: hasher.combine(0)
    case .bool(let value): hasher.combine(value)
    case .int(let value): hasher.combine(value)
    case .double(let value): hasher.combine(value)
    case .string(let value): hashUTF8(value, into: &hasher)
    case .array(let values): hasher.combine(values)
    case .object(let object): hasher.combine(object)
    }
  }
}

extension JSON {
  /// About how many bytes its text has, without writing it: what would be escaped counts once.
  package var roughBytes: Int {
    switch self {
    case .null, .bool, .int, .double: 8
    case .string(let text): text.utf8.count + 3
    case .array(let values): values.reduce(2) { $0 + $1.roughBytes }
    case .object(let members): members.reduce(2) { $0 + $1.key.utf8.count + 4 + $1.value.roughBytes }
    }
  }

  /// The text of a string, else nil.
  package var stringValue: String? {
    if case .string(let value) = self { value } else { nil }
  }

  /// A whole number: an `int`, or a `double` that is integral and within 2^53, else nil: beyond that a double stands
  /// for several whole numbers, and so -2^63 for what is less than any Int64.
  package var intValue: Int64? {
    switch self {
    case .int(let value): value
    case .double(let value): value.magnitude <= 9_007_199_254_740_992 ? Int64(exactly: value) : nil
    default: nil
    }
  }

  /// The value of a boolean, else nil.
  package var boolValue: Bool? {
    if case .bool(let value) = self { value } else { nil }
  }

  /// Any number as a double (large whole numbers lose precision), else nil.
  package var doubleValue: Double? {
    switch self {
    case .int(let value): Double(value)
    case .double(let value): value
    default: nil
    }
  }

  /// The elements of an array, else nil.
  package var arrayValue: [JSON]? {
    if case .array(let values) = self { values } else { nil }
  }

  /// The members of an object, else nil.
  package var objectValue: JSONObject? {
    if case .object(let object) = self { object } else { nil }
  }

  /// True for `null` only.
  package var isNull: Bool {
    if case .null = self { true } else { false }
  }

  /// What Kubernetes' messages call the type: string, number, bool, array, object or null.
  package var typeName: String {
    switch self {
    case .null: "null"
    case .bool: "bool"
    case .int, .double: "number"
    case .string: "string"
    case .array: "array"
    case .object: "object"
    }
  }

  /// The member `key`: nil when this is no object or has none. Setting nil removes it (a non-object stays as it is);
  /// setting a value on anything but an object makes an object of it.
  package subscript(key: String) -> JSON? {
    get {
      if case .object(let object) = self { object[key] } else { nil }
    }
    set {
      guard case .object(var object) = self else {
        if let newValue { self = .object([key: newValue]) }
        return
      }
      self = .null  // Leaves `object` the only owner, so that the change happens in place.
      object[key] = newValue
      self = .object(object)
    }
  }

  /// The element at `index`: nil when this is no array or the index is outside it.
  package subscript(index: Int) -> JSON? {
    guard case .array(let values) = self, values.indices.contains(index) else { return nil }
    return values[index]
  }

  /// The value behind nested object keys; the empty path is the value itself. Setting creates the objects on the way,
  /// setting nil removes the last key and creates nothing.
  package subscript(path path: [String]) -> JSON? {
    get { value(at: path[...]) }
    set { set(newValue, at: path[...]) }
  }

  private func value(at path: ArraySlice<String>) -> JSON? {
    guard let key = path.first else { return self }
    return self[key]?.value(at: path.dropFirst())
  }

  private mutating func set(_ newValue: JSON?, at path: ArraySlice<String>) {
    guard let key = path.first else {
      self = newValue ?? .null
      return
    }
    let rest = path.dropFirst()
    if rest.isEmpty {
      self[key] = newValue
      return
    }
    var object = objectValue ?? JSONObject()
    if newValue == nil, object[key] == nil { return }
    self = .null
    var child = object.removeValue(forKey: key) ?? .object(JSONObject())
    child.set(newValue, at: rest)
    object[key] = child
    self = .object(object)
  }
}

// There is no nil literal on purpose: with one, `tree["key"] = nil` would store null instead of removing the key.
extension JSON: ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
  ExpressibleByStringLiteral, ExpressibleByStringInterpolation, ExpressibleByArrayLiteral,
  ExpressibleByDictionaryLiteral
{
  package init(booleanLiteral value: Bool) { self = .bool(value) }
  package init(integerLiteral value: Int64) { self = .int(value) }
  package init(floatLiteral value: Double) { self = .double(value) }
  package init(stringLiteral value: String) { self = .string(value) }
  package init(arrayLiteral elements: JSON...) { self = .array(elements) }
  package init(dictionaryLiteral elements: (String, JSON)...) { self = .object(JSONObject(entries: elements)) }
}
