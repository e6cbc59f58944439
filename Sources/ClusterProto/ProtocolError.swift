// Owns: the error frame of the native protocol: its codes and its form. It must not know who sends it or why.

/// Why a side of a connection gives it up, as it tells the other: `{"type":"error","code":…,"message":…}`.
package struct ProtocolError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What went wrong, for programs. Raw values stand in the frame.
  package enum Code: String, Sendable, CaseIterable {
    /// No protocol version in common.
    case version
    /// The other side belongs to another cluster than the one asked for.
    case cluster
    /// The other side does not know the token.
    case unauthorized
    /// A hello, or its proof, came too late.
    case timeout
    /// Too many connections or requests at once; trying again later may help.
    case busy
    /// A frame or message over its limit.
    case tooLarge = "too-large"
    /// No JSON, nested too deep, or a member that is missing or of the wrong type.
    case malformed
    /// A message type that nobody knows.
    case unknownType = "unknown-type"
    /// A message that this role may not send, or not now.
    case unexpected
  }

  /// What kind of error, for programs.
  package var code: Code
  /// For people.
  package var message: String

  /// Takes each value as it stands.
  package init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  /// The frame's message.
  package var json: JSON { ["type": "error", "code": .string(code.rawValue), "message": .string(message)] }

  /// Reads an error message; nil when `json` is of another type. An unknown code reads as `unexpected`.
  package init?(json: JSON) {
    guard json["type"]?.stringValue == "error" else { return nil }
    code = json["code"]?.stringValue.flatMap { Code(rawValue: $0) } ?? .unexpected
    message = json["message"]?.stringValue ?? ""
  }

  package var description: String { message }

  /// A missing or mistyped member of a message.
  package static func missing(_ member: String, in type: String) -> ProtocolError {
    ProtocolError(.malformed, "the message \(type) has no valid member \(member)")
  }
}
