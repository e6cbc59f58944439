// Field errors as Kubernetes' validation prints them: path, type, value, detail. Collected in order, never thrown one
// by one.

import ClusterProto

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

  var text: String { "\(field): \(message)" }
  var cause: JSON {
    ["reason": .string(category.rawValue), "message": .string(message), "field": .string(field)]
  }
}

struct FieldErrors: Sendable {
  private(set) var all: [FieldError] = []

  var isEmpty: Bool { all.isEmpty }

  mutating func required(_ field: String, _ detail: String = "") {
    add(.required, field, detail.isEmpty ? "Required value" : "Required value: \(detail)")
  }

  mutating func invalid(_ field: String, _ value: JSON, _ detail: String) {
    add(.invalid, field, "Invalid value: \(Self.shown(value)): \(detail)")
  }

  mutating func invalid(_ field: String, _ value: String, _ detail: String) {
    invalid(field, JSON.string(value), detail)
  }

  /// With a value that is no JSON as we write it: members in another order.
  mutating func invalid(_ field: String, shown: String, _ detail: String) {
    add(.invalid, field, "Invalid value: \(shown): \(detail)")
  }

  /// Without the value, as for a whole rule.
  mutating func invalid(_ field: String, _ detail: String) { add(.invalid, field, "Invalid value: \(detail)") }

  /// Supported values print in the order given.
  mutating func unsupported(_ field: String, _ value: String, _ supported: [String]) {
    let list = supported.map { "\"\($0)\"" }.joined(separator: ", ")
    add(.unsupported, field, "Unsupported value: \(Self.shown(.string(value))): supported values: \(list)")
  }

  mutating func forbidden(_ field: String, _ detail: String) { add(.forbidden, field, "Forbidden: \(detail)") }

  mutating func duplicate(_ field: String, _ value: String) { duplicate(field, JSON.string(value)) }

  mutating func duplicate(_ field: String, _ value: JSON) {
    add(.duplicate, field, "Duplicate value: \(Self.shown(value))")
  }

  mutating func notFound(_ field: String, _ value: String) {
    add(.notFound, field, "Not found: \(Self.shown(.string(value)))")
  }

  mutating func tooLong(_ field: String, bytes: Int) {
    add(.tooLong, field, "Too long: may not be more than \(bytes) bytes")
  }

  mutating func tooMany(_ field: String, _ count: Int, limit: Int) {
    add(.tooMany, field, "Too many: \(count): must have at most \(limit) items")
  }

  mutating func append(_ others: [FieldError]) { all.append(contentsOf: others) }

  private mutating func add(_ category: FieldError.Category, _ field: String, _ message: String) {
    all.append(FieldError(category: category, field: field, message: message))
  }

  /// A value in a message: JSON, cut so that one huge field cannot make a huge answer.
  private static func shown(_ value: JSON) -> String {
    let text = value.text
    return text.utf8.count <= 20_000 ? text : String(decoding: text.utf8.prefix(20_000), as: UTF8.self) + "…"
  }
}
