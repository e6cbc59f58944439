// Owns: bytes ↔ messages of WebSocket (RFC 6455), the server's side, under bounds. It must not know what messages say.

import ClusterIO
import ClusterProto

/// Why a connection cannot go on, with the code that its close frame has.
struct WebSocketError: Error, Equatable {
  var code: UInt16
  var reason: String

  static func protocolError(_ reason: String) -> WebSocketError { WebSocketError(code: 1002, reason: reason) }
}

/// What a client says.
enum WebSocketEvent: Equatable {
  /// A whole message; of text, its bytes.
  case message([UInt8], isText: Bool)
  case ping([UInt8])
  case pong
  /// `code` nil: it says none.
  case close(code: UInt16?)
}

/// Reads a client's frames and puts messages together. After an error it is of no more use.
struct WebSocketReader {
  /// Most bytes of a message; a client's are at most 32 KiB.
  static let messageLimit = 1 << 20
  private static let controlLimit = 125

  private var buffer: [UInt8] = []
  private var start = 0
  /// Of a message in several frames: what has come, and whether it is text.
  private var parts: (bytes: [UInt8], isText: Bool)?

  mutating func append(_ bytes: [UInt8]) {
    if start > 0, start == buffer.count || start > 64 * 1024 {
      buffer.removeFirst(start)
      start = 0
    }
    buffer += bytes
  }

  /// The next event; nil when more bytes are needed.
  mutating func next() throws(WebSocketError) -> WebSocketEvent? {
    while let (head, payload) = try frame() {
      let isFinal = head & 0x80 != 0
      let code = head & 0x0F
      if code >= 8 {
        guard isFinal, payload.count <= Self.controlLimit else {
          throw .protocolError("a control frame that is too long")
        }
        return try Self.control(code, payload)
      }
      switch (code, parts) {
      case (0, var known?):
        parts = nil
        guard known.bytes.count + payload.count <= Self.messageLimit else { throw Self.tooLarge }
        known.bytes += payload
        if isFinal { return .message(known.bytes, isText: known.isText) }
        parts = known
      case (1, nil), (2, nil):
        if isFinal { return .message(payload, isText: code == 1) }
        parts = (payload, code == 1)
      default: throw .protocolError("a frame that fits no message")
      }
    }
    return nil
  }

  private static let tooLarge = WebSocketError(code: 1009, reason: "a message of more than \(messageLimit) bytes")

  private static func control(_ code: UInt8, _ payload: [UInt8]) throws(WebSocketError) -> WebSocketEvent {
    switch code {
    case 8:
      guard payload.count != 1 else { throw .protocolError("a close frame of one byte") }
      return .close(code: payload.count >= 2 ? UInt16(payload[0]) << 8 | UInt16(payload[1]) : nil)
    case 9: return .ping(payload)
    case 10: return .pong
    default: throw .protocolError("a frame of a kind that nobody knows")
    }
  }

  /// The next whole frame: its first byte, and its payload unmasked.
  private mutating func frame() throws(WebSocketError) -> (UInt8, [UInt8])? {
    let bytes = buffer[start...]
    guard bytes.count >= 2 else { return nil }
    let head = bytes[start]
    guard head & 0x70 == 0 else { throw .protocolError("a frame with bits of an extension") }
    let second = bytes[start + 1]
    guard second & 0x80 != 0 else { throw .protocolError("a client's frame that is not masked") }
    let extra = [126: 2, 127: 8][second & 0x7F] ?? 0
    guard bytes.count >= 2 + extra + 4 else { return nil }
    let length =
      extra == 0
      ? UInt64(second & 0x7F) : bytes[(start + 2)..<(start + 2 + extra)].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    guard length <= Self.messageLimit else { throw Self.tooLarge }
    let from = start + 2 + extra + 4
    guard bytes.endIndex - from >= Int(length) else { return nil }
    let mask = Array(bytes[(from - 4)..<from])
    var payload = Array(bytes[from..<(from + Int(length))])
    for index in payload.indices { payload[index] ^= mask[index & 3] }
    start = from + Int(length)
    return (head, payload)
  }
}

/// Makes a server's frames.
enum WebSocketFrame {
  static func binary(_ payload: some Collection<UInt8>) -> [UInt8] { frame(2, payload) }

  static func pong(_ payload: [UInt8]) -> [UInt8] { frame(10, payload) }

  static func close(_ code: UInt16, _ reason: String = "") -> [UInt8] {
    frame(8, [UInt8(code >> 8), UInt8(code & 0xFF)] + Array(reason.utf8.prefix(123)))
  }

  private static func frame(_ code: UInt8, _ payload: some Collection<UInt8>) -> [UInt8] {
    var bytes: [UInt8] = [0x80 | code]
    switch payload.count {
    case ..<126: bytes.append(UInt8(payload.count))
    case ..<65_536: bytes += [126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
    default: bytes += [127] + (0..<8).map { UInt8(truncatingIfNeeded: payload.count >> (56 - 8 * $0)) }
    }
    return bytes + payload
  }
}
