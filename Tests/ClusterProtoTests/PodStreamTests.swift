// Frames of streams into pods and the requests for them, there and back; what is no such frame.

import ClusterProto
import Testing

@Suite("Frames of streams into pods")
struct PodStreamFrameTests {
  private static let frames: [PodStreamFrame] = [
    .started, .output([]), .output(Array(0...255)), .errors([0xFF]), .input([1]), .inputEnd,
    .resize(columns: 80, rows: 24), .resize(columns: .max, rows: 0), .end(PodStreamEnd(code: 200)),
    .end(PodStreamEnd(code: 200, exitCode: 137)), .end(PodStreamEnd(code: 500, message: "why \"not\"")),
  ]

  @Test("every frame survives the wire", arguments: frames)
  func roundTrip(_ frame: PodStreamFrame) throws {
    #expect(try PodStreamFrame(payload: frame.payload) == frame)
  }

  @Test("each is said by one side only")
  func sides() {
    #expect(Self.frames.filter(\.isOfAgent).count == 7)
    #expect(PodStreamFrame.started.isOfAgent && !PodStreamFrame.input([]).isOfAgent)
  }

  @Test(
    "what is no frame is refused",
    arguments: [
      [], Array("z".utf8), Array("s1".utf8), Array("q ".utf8), Array("c0".utf8), Array("r123".utf8),
      Array("r12345".utf8), Array("x".utf8), Array("x{}".utf8), Array("x{\"code\":\"200\"}".utf8),
      [UInt8(ascii: "o")] + [UInt8](repeating: 0, count: PodStreamFrame.largestPiece + 1),
    ] as [[UInt8]])
  func refused(_ payload: [UInt8]) {
    #expect(throws: ProtocolError.self) { try PodStreamFrame(payload: payload) }
  }

  @Test("an exit code that none can be is none", arguments: [-1, 256, 1 << 40])
  func exitCodes(_ code: Int64) throws {
    let json: JSON = ["code": 200, "message": "", "exitCode": .int(code)]
    let frame = try PodStreamFrame(payload: [UInt8(ascii: "x")] + json.bytes)
    #expect(frame == .end(PodStreamEnd(code: 200)))
  }

  @Test("bytes become frames of at most the largest piece, in order, and nothing becomes none")
  func pieces() throws {
    let bytes = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 / 1_000) }
    let frames = PodStreamFrame.pieces(bytes) { .output($0) }
    #expect(frames.count == 4)
    var joined: [UInt8] = []
    for case .output(let piece) in frames {
      #expect(piece.count <= PodStreamFrame.largestPiece)
      joined += piece
    }
    #expect(joined == bytes)
    #expect(PodStreamFrame.pieces([]) { .input($0) }.isEmpty)
  }

  @Test("a request survives the wire, whatever it is of", arguments: PodStreamPurpose.allCases)
  func requests(_ purpose: PodStreamPurpose) throws {
    var options = PodStreamOptions()
    (options.container, options.command, options.port) = ("c", ["sh", "-c", "ü", ""], 8_080)
    (options.stdin, options.tty) = (true, true)
    let request = PodStreamRequest(stream: "9", attempt: 7, purpose: purpose, options: options)
    let message = CoordinatorMessage.stream(request)
    #expect(try CoordinatorMessage(json: try JSON(parsing: message.json.text)) == message)
  }

  @Test(
    "a request that is none is refused by name",
    arguments: [
      ["type": "stream"], ["type": "stream", "stream": "1", "attempt": 1, "purpose": "debug", "options": [:]],
      ["type": "stream", "stream": "1", "attempt": 1, "purpose": "exec", "options": ["command": "sh"]],
      ["type": "stream", "stream": "1", "attempt": 1, "purpose": "exec", "options": ["port": "80"]],
    ] as [JSON])
  func strange(_ json: JSON) { #expect(throws: MessageError.self) { try CoordinatorMessage(json: json) } }

  @Test("who opens a stream names it in the hello; a hello without one is refused")
  func hello() throws {
    let server = HandshakeServer(cluster: "c", incarnation: 1, session: "s")
    let result = try server.receive(HandshakeClient(role: .stream, stream: "12").hello).result
    #expect(result.role == .stream && result.stream == "12")
    #expect(throws: ProtocolError.self) { try server.receive(HandshakeClient(role: .stream).hello) }
  }
}
