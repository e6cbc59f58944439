// Reads members of a message's JSON object with errors that name the message, the member and what it should have been.
// Unknown members are not looked at. Knows no message.

/// Why a message could not be read. The text names message and member.
package struct MessageError: Error, Equatable, CustomStringConvertible {
  package var description: String

  /// Takes each value as it stands.
  package init(_ description: String) { self.description = description }
}

/// The members of one message or of one object in it.
package struct MessageReader {
  private let members: JSONObject
  private let what: String

  /// `what` is the object's name in errors. Throws when `json` is no object.
  package init(_ json: JSON, _ what: String) throws(MessageError) {
    guard let members = json.objectValue else {
      throw MessageError("\(what): expected object, got \(json.typeName)")
    }
    self.members = members
    self.what = what
  }

  /// The member when it is there and not null.
  package func optional(_ name: String) -> JSON? {
    guard let value = members[name], !value.isNull else { return nil }
    return value
  }

  /// The member's value. Throws when it is missing.
  package func required(_ name: String) throws(MessageError) -> JSON {
    guard let value = optional(name) else { throw MessageError("\(what).\(name): missing") }
    return value
  }

  /// The text of a member or value. Throws when it is none.
  package func string(_ name: String) throws(MessageError) -> String {
    let value = try required(name)
    guard let text = value.stringValue else { throw mistyped(name, "string", value) }
    return text
  }

  /// The member as an integer. Throws when it is missing or none.
  package func integer(_ name: String) throws(MessageError) -> Int64 {
    let value = try required(name)
    guard let number = value.intValue else { throw mistyped(name, "whole number", value) }
    return number
  }

  /// The member as a boolean. Throws when it is missing or none.
  package func boolean(_ name: String) throws(MessageError) -> Bool {
    let value = try required(name)
    guard let flag = value.boolValue else { throw mistyped(name, "bool", value) }
    return flag
  }

  /// The member as a text, nil when it is missing. Throws when it is something else.
  package func optionalString(_ name: String) throws(MessageError) -> String? {
    optional(name) == nil ? nil : try string(name)
  }

  /// The member as an integer, nil when it is missing. Throws when it is something else.
  package func optionalInteger(_ name: String) throws(MessageError) -> Int64? {
    optional(name) == nil ? nil : try integer(name)
  }

  /// A flag whose absence means false.
  package func flag(_ name: String) throws(MessageError) -> Bool {
    optional(name) == nil ? false : try boolean(name)
  }

  /// 64 hexadecimal digits.
  package func digest(_ name: String) throws(MessageError) -> SetDigest {
    let value = try required(name)
    guard let text = value.stringValue, let digest = SetDigest(hex: text) else {
      throw mistyped(name, "64 hexadecimal digits", value)
    }
    return digest
  }

  /// The member as an object. Throws when it is missing or none.
  package func object(_ name: String) throws(MessageError) -> JSONObject {
    let value = try required(name)
    guard let object = value.objectValue else { throw mistyped(name, "object", value) }
    return object
  }

  /// Reads an array element by element; each element's name in errors is `what.name[i]`.
  package func list<Element>(
    _ name: String, _ read: (JSON, String) throws(MessageError) -> Element
  ) throws(MessageError) -> [Element] {
    let value = try required(name)
    guard let elements = value.arrayValue else { throw mistyped(name, "array", value) }
    var result: [Element] = []
    result.reserveCapacity(elements.count)
    for (position, element) in elements.enumerated() {
      result.append(try read(element, "\(what).\(name)[\(position)]"))
    }
    return result
  }

  /// An array whose absence means empty.
  package func optionalList<Element>(
    _ name: String, _ read: (JSON, String) throws(MessageError) -> Element
  ) throws(MessageError) -> [Element] {
    optional(name) == nil ? [] : try list(name, read)
  }

  /// Reads a member with its own reader; its name in errors is `what.name`.
  package func member<Value>(
    _ name: String, _ read: (JSON, String) throws(MessageError) -> Value
  ) throws(MessageError) -> Value {
    try read(try required(name), "\(what).\(name)")
  }

  private func mistyped(_ name: String, _ expected: String, _ value: JSON) -> MessageError {
    MessageError("\(what).\(name): expected \(expected), got \(value.typeName)")
  }

  /// Element readers for `list`.
  package static func integer(_ json: JSON, _ what: String) throws(MessageError) -> Int64 {
    guard let number = json.intValue else { throw MessageError("\(what): expected whole number, got \(json.typeName)") }
    return number
  }

  /// The text of a member or value. Throws when it is none.
  package static func string(_ json: JSON, _ what: String) throws(MessageError) -> String {
    guard let text = json.stringValue else { throw MessageError("\(what): expected string, got \(json.typeName)") }
    return text
  }
}

extension JSON {
  /// As `MessageReader.digest` reads it.
  package static func digest(_ value: SetDigest) -> JSON { .string(value.hex) }

  /// An array of integers.
  package static func integers(_ values: [Int64]) -> JSON { .array(values.map { .int($0) }) }
  /// An array of texts.
  package static func strings(_ values: [String]) -> JSON { .array(values.map { .string($0) }) }
}
