// Owns: what an agent sends on a connection with role logs after the welcome: frames of raw bytes, not JSON.
// It must not know where logs are kept.

/// One frame of a log stream: a tag byte, then bytes.
package enum LogFrame: Equatable, Sendable {
  /// A piece of the log.
  case bytes([UInt8])
  /// The log is over: code as HTTP's (200: all of it was sent), with a message for the reader when it is not 200.
  case end(code: Int, message: String)

  /// Most bytes of a log in one frame. Text in JSON can take six times its bytes, and a client's frame holds it too.
  package static let largestPiece = 64 * 1024

  /// The frame's payload.
  package var payload: [UInt8] {
    switch self {
    case .bytes(let bytes): return [UInt8(ascii: "b")] + bytes
    case .end(let code, let message):
      let json: JSON = ["code": .int(Int64(code)), "message": .string(message)]
      return [UInt8(ascii: "e")] + json.bytes
    }
  }

  /// Reads a frame's payload.
  package init(payload: [UInt8]) throws(ProtocolError) {
    switch payload.first {
    case UInt8(ascii: "b"):
      guard payload.count <= Self.largestPiece + 1 else {
        throw ProtocolError(.tooLarge, "a piece of a log has more than \(Self.largestPiece) bytes")
      }
      self = .bytes(Array(payload.dropFirst()))
    case UInt8(ascii: "e"):
      guard let json = try? JSON(parsing: payload.dropFirst()), let code = json["code"]?.intValue,
        let small = Int(exactly: code)
      else { throw .missing("code", in: "end of log") }
      self = .end(code: small, message: json["message"]?.stringValue ?? "")
    default: throw ProtocolError(.unknownType, "a log frame begins with b or e")
    }
  }
}
