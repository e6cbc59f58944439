// Owns: messages as frames: one JSON value a frame, one that is longer than a frame as several `part` frames in a row.
// It must not know what the messages mean.

/// Limits of the native protocol.
package enum MessageLimits {
  /// Largest manifest or patch that a client may send, as JSON text; Kubernetes' own limit.
  package static let body = 3 * 1024 * 1024
  /// Largest message to the coordinator: a body and what stands around it.
  package static let toCoordinator = body + 64 * 1024
  /// Largest message from the coordinator: an assignment brings all its ConfigMaps.
  package static let fromCoordinator = 32 * 1024 * 1024
  /// Most text in one `part`; as a JSON string it can grow to twice its bytes.
  static let part = 480 * 1024
}

/// Makes frames of messages.
package enum MessageWriter {
  /// The frame of `message`, or the frames of its parts. The bytes go out as they are.
  package static func frames(_ message: JSON) -> [UInt8] {
    if let frame = try? Frame.encode(message) { return frame }
    let text = message.bytes
    var frames: [UInt8] = []
    var start = 0
    while start < text.count {
      var end = min(start + MessageLimits.part, text.count)
      // A part is a JSON string and must hold whole characters.
      while end < text.count, text[end] & 0xc0 == 0x80 { end -= 1 }
      let piece = String(decoding: text[start..<end], as: UTF8.self)
      let part: JSON = ["type": "part", "text": .string(piece), "last": .bool(end == text.count)]
      // Cannot fail: the text is shorter than half a frame.
      frames.append(contentsOf: (try? Frame.encode(part)) ?? [])
      start = end
    }
    return frames
  }
}

/// Cuts a stream of bytes into messages. After an error the stream is of no more use.
package struct MessageStream: Sendable {
  private var decoder: FrameDecoder
  private var parts: [UInt8] = []
  private var hasParts = false
  private var messageLimit: Int

  /// A reader with the limits that hold until the hello is over.
  package init() {
    decoder = FrameDecoder(maximumLength: Handshake.frameLimit)
    messageLimit = Handshake.frameLimit
  }

  /// A reader for a side that is trusted from the start: full frames, messages up to `messageLimit` bytes.
  package init(messageLimit: Int) {
    decoder = FrameDecoder()
    self.messageLimit = messageLimit
  }

  /// From now on frames may be full size and messages have up to `messageLimit` bytes (`MessageLimits`).
  package mutating func finishHello(messageLimit: Int) {
    decoder.maximumLength = Frame.maximumLength
    self.messageLimit = messageLimit
  }

  /// Takes what was received, in any pieces.
  package mutating func append(_ bytes: [UInt8]) { decoder.append(bytes) }

  /// The next frame as it came, for log streams; nil until it is whole.
  package mutating func nextFrame() throws(ProtocolError) -> [UInt8]? {
    do {
      return try decoder.next()
    } catch {
      throw ProtocolError(.tooLarge, error.message)
    }
  }

  /// The next message; nil until it is whole.
  package mutating func next() throws(ProtocolError) -> JSON? {
    while let frame = try nextFrame() {
      let message = try Self.parse(frame)
      guard message["type"]?.stringValue == "part" else {
        if hasParts { throw ProtocolError(.unexpected, "a message in parts was not finished") }
        return message
      }
      guard let text = message["text"]?.stringValue else { throw .missing("text", in: "part") }
      guard parts.count + text.utf8.count <= messageLimit else {
        throw ProtocolError(.tooLarge, "Request entity too large: limit is \(MessageLimits.body)")
      }
      hasParts = true
      parts.append(contentsOf: text.utf8)
      if message["last"]?.boolValue == true {
        defer {
          parts = []
          hasParts = false
        }
        return try Self.parse(parts)
      }
    }
    return nil
  }

  private static func parse(_ bytes: [UInt8]) throws(ProtocolError) -> JSON {
    do {
      return try JSON(parsing: bytes)
    } catch {
      throw ProtocolError(.malformed, "not a JSON message: \(error)")
    }
  }
}
