// Field errors as Kubernetes' validation prints them: path, type, value, detail. Collected in order, never thrown one
// by one. Whatever was given, what is said of it is bounded: a piece of each value, and so many errors.

import ClusterProto

/// A value within a message: from so many bytes on only its beginning.
enum Excerpt {
  /// Bytes of one value.
  static let limit = 1_024

  static func of(_ text: String, limit: Int = Excerpt.limit) -> String {
    if text.utf8.count <= limit { return text }
    return String(decoding: text.utf8.prefix(limit), as: UTF8.self) + "…"
  }

  /// As JSON. A value that is longer by far is not written down before it is cut.
  static func of(_ value: JSON) -> String { of(cut(value, 2 * limit).text) }

  private static func cut(_ value: JSON, _ room: Int) -> JSON {
    if value.extent(upTo: room).bytes <= room { return value }
    switch value {
    case .string(let text): return .string(String(decoding: text.utf8.prefix(room), as: UTF8.self))
    case .array(let values): return .array(values.prefix(room).map { cut($0, room / 16) })
    case .object(let members):
      return .object(JSONObject(ascending: members.prefix(room).map { ($0.key, cut($0.value, room / 16)) }))
    default: return value
    }
  }
}

/// One broken rule about one field.
struct FieldError: Equatable, Sendable {
  enum Category: String, Sendable {
    case required = "FieldValueRequired"
    case invalid = "FieldValueInvalid"
    case unsupported = "FieldValueNotSupported"
    case forbidden = "FieldValueForbidden"
    case duplicate = "FieldValueDuplicate"
    case notFound = "FieldValueNotFound"
    case tooLong = "FieldValueTooLong"
    case tooMany = "FieldValueTooMany"
  }

  var category: Category
  var field: String
  /// The message without its field: `Invalid value: -1: must be …`.
  var message: String

  var text: String { field.isEmpty ? message : "\(field): \(message)" }
  var cause: JSON {
    ["reason": .string(category.rawValue), "message": .string(message), "field": .string(field)]
  }
}

struct FieldErrors: Sendable {
  /// Errors that are told one by one.
  static let limit = 200

  private var told: [FieldError] = []
  private var count = 0

  var isEmpty: Bool { count == 0 }

  /// The errors, and behind them how many more there are.
  var all: [FieldError] {
    if count <= told.count { return told }
    return told + [
      FieldError(category: .tooMany, field: "", message: "\(count - told.count) more errors are not shown")
    ]
  }

  /// The same errors about fields that lie elsewhere.
  func moved(from old: String, to new: String) -> FieldErrors {
    var moved = self
    for index in moved.told.indices where moved.told[index].field.hasPrefix(old) {
      moved.told[index].field = new + moved.told[index].field.dropFirst(old.count)
    }
    return moved
  }

  /// Adds errors where they would stand: before those of these fields.
  mutating func insert(_ others: FieldErrors, before fields: [String]) {
    let place = told.firstIndex { error in fields.contains { error.field.hasPrefix($0) } } ?? told.count
    told.insert(contentsOf: others.told, at: place)
    count += others.count
    told.removeLast(max(0, told.count - Self.limit))
  }

  mutating func required(_ field: String, _ detail: String = "") {
    add(.required, field, detail.isEmpty ? "Required value" : "Required value: \(detail)")
  }

  mutating func invalid(_ field: String, _ value: JSON, _ detail: String) {
    add(.invalid, field, "Invalid value: \(Excerpt.of(value)): \(detail)")
  }

  mutating func invalid(_ field: String, _ value: String, _ detail: String) {
    invalid(field, JSON.string(value), detail)
  }

  /// With a value that is no JSON as we write it: members in another order.
  mutating func invalid(_ field: String, shown: String, _ detail: String) {
    add(.invalid, field, "Invalid value: \(Excerpt.of(shown)): \(detail)")
  }

  /// Without the value, as for a whole rule.
  mutating func invalid(_ field: String, _ detail: String) { add(.invalid, field, "Invalid value: \(detail)") }

  /// Supported values print in the order given.
  mutating func unsupported(_ field: String, _ value: String, _ supported: [String]) {
    let list = supported.map { "\"\($0)\"" }.joined(separator: ", ")
    add(.unsupported, field, "Unsupported value: \(Excerpt.of(.string(value))): supported values: \(list)")
  }

  /// With a value that is no JSON as we write it.
  mutating func unsupported(_ field: String, shown: String, _ supported: [String]) {
    let list = supported.map { "\"\($0)\"" }.joined(separator: ", ")
    add(.unsupported, field, "Unsupported value: \(Excerpt.of(shown)): supported values: \(list)")
  }

  mutating func forbidden(_ field: String, _ detail: String) { add(.forbidden, field, "Forbidden: \(detail)") }

  mutating func duplicate(_ field: String, _ value: String) { duplicate(field, JSON.string(value)) }

  mutating func duplicate(_ field: String, _ value: JSON) {
    add(.duplicate, field, "Duplicate value: \(Excerpt.of(value))")
  }

  mutating func notFound(_ field: String, _ value: String) {
    add(.notFound, field, "Not found: \(Excerpt.of(.string(value)))")
  }

  mutating func tooLong(_ field: String, bytes: Int) {
    add(.tooLong, field, "Too long: may not be more than \(bytes) bytes")
  }

  mutating func tooMany(_ field: String, _ count: Int, limit: Int) {
    add(.tooMany, field, "Too many: \(count): must have at most \(limit) items")
  }

  mutating func append(_ others: FieldErrors) {
    told.append(contentsOf: others.told.prefix(Self.limit - told.count))
    count += others.count
  }

  private mutating func add(_ category: FieldError.Category, _ field: String, _ message: @autoclosure () -> String) {
    count += 1
    if told.count >= Self.limit { return }
    told.append(FieldError(category: category, field: Excerpt.of(field), message: Excerpt.of(message(), limit: 4_096)))
  }
}
