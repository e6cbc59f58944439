// Messages in frames and parts, and the JSON of client requests and answers.

import ClusterProto
import Testing

@Suite("Messages of the native protocol")
struct MessageTests {
  private func stream() -> MessageStream {
    var stream = MessageStream()
    stream.finishHello(messageLimit: MessageLimits.toCoordinator)
    return stream
  }

  @Test("a message over a frame's size travels in parts, byte for byte, whatever pieces the bytes come in")
  func parts() throws {
    let text = String(repeating: "ü\"\\\u{1}😀x", count: 150_000)
    let message: JSON = ["type": "request", "body": .string(text)]
    let bytes = MessageWriter.frames(message)
    #expect(bytes.count > 2 * Frame.maximumLength)
    var stream = stream()
    var received: [JSON] = []
    for start in stride(from: 0, to: bytes.count, by: 65_521) {
      stream.append(Array(bytes[start..<min(start + 65_521, bytes.count)]))
      while let next = try stream.next() { received.append(next) }
    }
    #expect(received == [message])
  }

  @Test("a message over the limit, a foreign message between parts, big frames and broken JSON are errors")
  func refusals() {
    func code(_ bytes: [UInt8], helloDone: Bool = true) -> ProtocolError.Code? {
      var stream = helloDone ? stream() : MessageStream()
      stream.append(bytes)
      do throws(ProtocolError) {
        while try stream.next() != nil {}
        return nil
      } catch {
        return error.code
      }
    }
    let big: JSON = ["type": "request", "body": .string(String(repeating: "x", count: 3_300_000))]
    #expect(code(MessageWriter.frames(big)) == .tooLarge)
    let part: JSON = ["type": "part", "text": "{", "last": false]
    #expect(code(MessageWriter.frames(part) + MessageWriter.frames(["type": "cancel"])) == .unexpected)
    #expect(code(MessageWriter.frames(["type": "part"])) == .malformed)
    #expect(code([0, 16, 0, 1]) == .tooLarge)
    #expect(code([0, 0, 40, 1], helloDone: false) == .tooLarge)
    #expect(code([0, 0, 0, 0]) == .tooLarge)
    #expect(code([0, 0, 0, 1, 0x7b]) == .malformed)
    let deep = Array(String(repeating: "[", count: 5_000).utf8)
    #expect(code([0, 0, 0x13, 0x88] + deep) == .malformed)
  }

  @Test("a request survives the wire with every option")
  func request() throws {
    var options = APIOptions()
    options.labelSelector = "a=b"
    options.limit = 500
    options.dryRun = true
    options.force = false
    options.sendInitialEvents = true
    options.patchKind = .merge
    options.sinceTime = WallTime(rfc3339: "2025-01-02T03:04:05Z")
    options.tailLines = 10
    options.follow = true
    let request = APIRequest(
      verb: .patch, kind: .jobs, namespace: "default", name: "pi", subresource: "status", options: options,
      form: .table, body: ["spec": ["suspend": true]])
    for message in [
      ClientMessage.request(id: 9, request), .cancel(id: 4), .request(id: 1, APIRequest(verb: .list, kind: .pods)),
    ] {
      #expect(try ClientMessage(json: message.json) == message)
    }
  }

  @Test("unknown members of a request are ignored, wrong ones are named")
  func requestErrors() throws {
    func error(_ json: JSON) -> String? {
      do throws(MessageError) {
        _ = try ClientMessage(json: json)
        return nil
      } catch {
        return error.description
      }
    }
    let good: JSON = ["type": "request", "id": 1, "verb": "get", "kind": "pods", "x": 1, "options": ["y": 2]]
    #expect(error(good) == nil)
    var bad = good
    bad["verb"] = "destroy"
    #expect(error(bad) == "request.verb: unknown value destroy")
    bad = good
    bad["options"] = ["limit": "many"]
    #expect(error(bad) == "options.limit: expected whole number, got string")
    #expect(error(["type": "request"]) == "message.id: missing")
    #expect(error(["type": "sing", "id": 1]) == "unknown message type sing from a client")
    #expect(error([]) == "message: expected object, got array")
  }

  @Test("replies survive the wire, logs that are no UTF-8 too")
  func replies() throws {
    let replies: [APIReply] = [
      .items([["a": 1], ["b": 2]]), .event(type: "ADDED", object: ["kind": "Pod"]),
      .done(code: 201, object: ["kind": "Job"], warnings: ["w"]), .bytes(Array("line\n".utf8)), .bytes([0xff, 0, 1]),
      .bytes(Array("é".utf8.prefix(1))),
    ]
    for reply in replies {
      let message = ClientReply(id: 3, reply: reply)
      #expect(try ClientReply(json: try JSON(parsing: message.json.bytes)) == message)
    }
  }

  @Test("log frames")
  func logFrames() throws {
    for frame in [LogFrame.bytes([1, 2, 255]), .bytes([]), .end(code: 404, message: "no such log")] {
      #expect(try LogFrame(payload: frame.payload) == frame)
    }
    #expect(throws: ProtocolError.self) { try LogFrame(payload: [0x7a]) }
    #expect(throws: ProtocolError.self) { try LogFrame(payload: []) }
    #expect(throws: ProtocolError.self) { try LogFrame(payload: Array("e{}".utf8)) }
  }

  @Test("base64 both ways, and what is none")
  func base64() {
    var random = SplitMix64(seed: 3)
    for length in 0..<40 {
      let bytes = (0..<length).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      #expect(Base64.decode(Base64.encode(bytes)) == bytes)
    }
    #expect(Base64.encode(Array("Man".utf8)) == "TWFu")
    #expect(Base64.encode(Array("Ma".utf8)) == "TWE=")
    #expect(Base64.decode("TW\nFu") == Array("Man".utf8))
    for text in ["T", "TWF", "TWE=TWFu", "====", "T===", "TW*u"] { #expect(Base64.decode(text) == nil, "\(text)") }
  }
}
