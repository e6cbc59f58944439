// The framing of the native protocol: 4-byte big-endian length, then that many bytes of UTF-8 JSON. Knows no message.

/// A frame that is empty or over its limit.
package struct FrameError: Error, Equatable, Sendable {
  /// What is wrong with the frame.
  package var message: String
  /// Takes each value as it stands.
  package init(message: String) { self.message = message }
}

/// One frame as bytes.
package enum Frame {
  /// Most bytes of one frame's payload.
  package static let maximumLength = 1_048_576

  /// The frame of this payload. Throws when the payload is over the maximum length.
  package static func encode(_ payload: JSON) throws(FrameError) -> [UInt8] {
    var bytes: [UInt8] = [0, 0, 0, 0]
    payload.write(into: &bytes)
    return try finish(bytes)
  }

  /// The frame of this payload. Throws when the payload is over the maximum length.
  package static func encode(_ payload: [UInt8]) throws(FrameError) -> [UInt8] {
    try finish([0, 0, 0, 0] + payload)
  }

  private static func finish(_ framed: [UInt8]) throws(FrameError) -> [UInt8] {
    let length = framed.count - 4
    guard length > 0 else { throw FrameError(message: "a frame needs at least one byte") }
    guard length <= maximumLength else {
      throw FrameError(message: "a frame of \(length) bytes is over the limit of \(maximumLength)")
    }
    var bytes = framed
    for position in 0..<4 { bytes[position] = UInt8(truncatingIfNeeded: length >> (24 - 8 * position)) }
    return bytes
  }
}

/// Cuts a stream of bytes into frames, in any pieces they come.
package struct FrameDecoder: Sendable {
  /// Most bytes of a frame from here on; the native protocol raises it after the hello.
  package var maximumLength: Int
  private var buffer: [UInt8] = []
  private var start = 0

  /// Takes each value as it stands.
  package init(maximumLength: Int = Frame.maximumLength) { self.maximumLength = maximumLength }

  /// Takes bytes as they came from the connection.
  package mutating func append(_ bytes: [UInt8]) { buffer.append(contentsOf: bytes) }

  /// The next whole frame's payload; nil until it is there. After an error the stream is of no more use.
  package mutating func next() throws(FrameError) -> [UInt8]? {
    guard buffer.count - start >= 4 else { return nil }
    var length = 0
    for position in 0..<4 { length = length << 8 | Int(buffer[start + position]) }
    guard length > 0 else { throw FrameError(message: "a frame of 0 bytes") }
    guard length <= maximumLength else {
      throw FrameError(message: "a frame of \(length) bytes is over the limit of \(maximumLength)")
    }
    guard buffer.count - start >= 4 + length else { return nil }
    let payload = Array(buffer[(start + 4)..<(start + 4 + length)])
    start += 4 + length
    if start == buffer.count {
      buffer.removeAll(keepingCapacity: buffer.count < 65_536)
      start = 0
    } else if start > 65_536, start * 2 > buffer.count {
      buffer.removeFirst(start)
      start = 0
    }
    return payload
  }
}
