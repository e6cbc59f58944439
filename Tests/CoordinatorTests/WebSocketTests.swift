// WebSocket messages of clients in any pieces, and bytes that are none; what a request to change protocols is answered.

import ClusterIO
import ClusterProto
import Testing

@testable import Coordinator

/// A client's frames.
enum WebSocketTestFrame {
  static func bytes(_ code: UInt8, _ payload: [UInt8], isFinal: Bool = true, isMasked: Bool = true) -> [UInt8] {
    var bytes: [UInt8] = [code | (isFinal ? 0x80 : 0)]
    let mask: UInt8 = isMasked ? 0x80 : 0
    switch payload.count {
    case ..<126: bytes.append(mask | UInt8(payload.count))
    case ..<65_536: bytes += [mask | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
    default: bytes += [mask | 127, 0, 0, 0, 0] + [24, 16, 8, 0].map { UInt8(payload.count >> $0 & 0xFF) }
    }
    guard isMasked else { return bytes + payload }
    let key: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]
    return bytes + key + payload.enumerated().map { $1 ^ key[$0 & 3] }
  }
}

@Suite("WebSocket")
struct WebSocketTests {
  private typealias Frame = WebSocketTestFrame

  private func read(_ bytes: [UInt8], pieces: Int = .max) throws -> [WebSocketEvent] {
    var reader = WebSocketReader()
    var events: [WebSocketEvent] = []
    for start in stride(from: 0, to: bytes.count, by: min(pieces, bytes.count)) {
      reader.append(Array(bytes[start..<min(start + min(pieces, bytes.count), bytes.count)]))
      while let event = try reader.next() { events.append(event) }
    }
    return events
  }

  @Test("messages of all lengths, in one frame or several, with pings between them, however they are cut")
  func messages() throws {
    let long = [UInt8](repeating: 9, count: 70_000)
    let bytes =
      Frame.bytes(2, [0, 1, 2]) + Frame.bytes(2, [UInt8](repeating: 3, count: 200)) + Frame.bytes(2, long)
      + Frame.bytes(1, Array("hé".utf8), isFinal: false) + Frame.bytes(9, [7]) + Frame.bytes(0, Array("llo".utf8))
      + Frame.bytes(10, []) + Frame.bytes(8, [0x03, 0xE8])
    let expected: [WebSocketEvent] = [
      .message([0, 1, 2], isText: false), .message([UInt8](repeating: 3, count: 200), isText: false),
      .message(long, isText: false), .ping([7]), .message(Array("héllo".utf8), isText: true), .pong,
      .close(code: 1000),
    ]
    for pieces in [1, 3, 1_000, .max] { #expect(try read(bytes, pieces: pieces) == expected, "\(pieces)") }
  }

  @Test(
    "what breaks the rules has a code to close with",
    arguments: [
      (Frame.bytes(2, [1], isMasked: false), 1002), (Frame.bytes(3, [1]), 1002), (Frame.bytes(0, [1]), 1002),
      (Frame.bytes(2, [1], isFinal: false) + Frame.bytes(2, [1]), 1002), (Frame.bytes(0x42, [1]), 1002),
      (Frame.bytes(9, [UInt8](repeating: 0, count: 126)), 1002), (Frame.bytes(8, [1]), 1002),
      (Frame.bytes(9, [], isFinal: false), 1002), ([0x82, 0xFF] + [UInt8](repeating: 0xFF, count: 12), 1009),
      (
        Frame.bytes(2, [UInt8](repeating: 0, count: 600_000), isFinal: false)
          + Frame.bytes(0, [UInt8](repeating: 0, count: 600_000)), 1009
      ),
    ] as [([UInt8], UInt16)])
  func broken(_ bytes: [UInt8], _ code: UInt16) {
    #expect { try read(bytes) } throws: { ($0 as? WebSocketError)?.code == code }
  }

  @Test("a server's frames have the lengths that RFC 6455 gives them, and no mask")
  func written() {
    #expect(WebSocketFrame.binary([1, 2]) == [0x82, 2, 1, 2])
    #expect(Array(WebSocketFrame.binary([UInt8](repeating: 0, count: 300)).prefix(4)) == [0x82, 126, 1, 44])
    let large = WebSocketFrame.binary([UInt8](repeating: 0, count: 65_536))
    #expect(Array(large.prefix(10)) == [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0])
    #expect(WebSocketFrame.close(1000, "bye") == [0x88, 5, 3, 0xE8] + Array("bye".utf8))
    #expect(WebSocketFrame.close(1000, String(repeating: "x", count: 500)).count == 127)
  }

  @Test("5,000 mutated streams end in an error or go on")
  func fuzz() throws {
    var random = SplitMix64(seed: 8)
    let whole =
      Frame.bytes(2, [0, 65]) + Frame.bytes(2, [4] + Array("{\"Width\":80,\"Height\":24}".utf8))
      + Frame.bytes(1, [1, 2], isFinal: false) + Frame.bytes(0, [3]) + Frame.bytes(8, [])
    for _ in 0..<5_000 {
      var bytes = whole
      for _ in 0...Int(random.next() % 3) {
        bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
      }
      var reader = WebSocketReader()
      reader.append(bytes)
      var count = 0
      while let event = try? reader.next(), count < 100 {
        _ = event
        count += 1
      }
      #expect(count < 20)
    }
  }
}

@Suite("Requests to change protocols")
struct HTTPUpgradeTests {
  private func request(_ method: String, _ headers: [(String, String)], body: [UInt8] = []) -> HTTPRequest {
    HTTPRequest(
      method: method, target: "/", headers: [("host", "h:1")] + headers.map { (name: $0.0, value: $0.1) }, body: body)
  }

  private func upgrade(_ request: HTTPRequest) throws -> HTTPUpgrade {
    try HTTPUpgrade(request, spdy: HTTPUpgrade.commandOverSPDY, webSocket: HTTPUpgrade.commandOverWebSocket)
  }

  private static let webSocket = [
    ("connection", "keep-alive, Upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
  ]

  @Test("the oldest kubectl's SPDY and the newest one's WebSocket are answered in their protocols")
  func answered() throws {
    let spdy = try upgrade(
      request(
        "POST",
        [
          ("connection", "Upgrade"), ("upgrade", "SPDY/3.1"), ("x-stream-protocol-version", "v4.channel.k8s.io"),
          ("x-stream-protocol-version", "v3.channel.k8s.io"),
        ]))
    #expect(spdy.carrier == .spdy)
    #expect(String(decoding: spdy.head, as: UTF8.self).contains("X-Stream-Protocol-Version: v4.channel.k8s.io\r\n"))
    let socket = try upgrade(request("GET", Self.webSocket + [("sec-websocket-protocol", "v5.channel.k8s.io")]))
    #expect(socket.carrier == .webSocket)
    #expect(socket.name == "v5.channel.k8s.io")
    // RFC 6455's own example.
    #expect(
      String(decoding: socket.head, as: UTF8.self).contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"))
  }

  @Test("of several protocols the best is taken")
  func best() throws {
    let offer = [("sec-websocket-protocol", "v4.channel.k8s.io, v5.channel.k8s.io")]
    #expect(try upgrade(request("GET", Self.webSocket + offer)).name == "v5.channel.k8s.io")
  }

  @Test("what is no such request, or speaks what nobody does here, is refused with Kubernetes' words")
  func refused() {
    let v5 = [("sec-websocket-protocol", "v5.channel.k8s.io")]
    let cases: [(HTTPRequest, Int, String)] = [
      (request("POST", []), 400, "Upgrade request required"),
      (request("GET", [("upgrade", "websocket")]), 400, "Upgrade request required"),
      (request("GET", [("connection", "upgrade"), ("upgrade", "h2c")]), 400, "unable to upgrade"),
      (request("POST", [("connection", "upgrade"), ("upgrade", "SPDY/3.1")]), 403, "unable to negotiate protocol"),
      (request("GET", Self.webSocket), 403, "unable to negotiate protocol"),
      (request("GET", Self.webSocket + [("sec-websocket-protocol", "v1")]), 403, "client supports [v1]"),
      (request("POST", Self.webSocket + v5), 400, "no WebSocket handshake"),
      (request("GET", Array(Self.webSocket.prefix(2)) + v5), 400, "no WebSocket handshake"),
      (request("GET", Self.webSocket + v5, body: [1]), 400, "has no body"),
      (request("GET", Self.webSocket + v5 + [("origin", "https://evil.example")]), 403, "another site"),
    ]
    for (request, code, words) in cases {
      #expect { try upgrade(request) } throws: { error in
        guard let failure = error as? HTTPFailure else { return false }
        return failure.code == code && failure.message.contains(words)
      }
    }
    #expect(throws: Never.self) { try upgrade(request("GET", Self.webSocket + v5 + [("origin", "https://h:1")])) }
  }
}
