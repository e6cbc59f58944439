// A client of exec and port-forward over HTTPS for tests, as kubectl is one: it changes protocols, then speaks SPDY or
// WebSocket by hand.

import ClusterIO
import ClusterProto
import HTTPTestSupport
import Testing

@testable import Coordinator

/// One connection that has asked for another protocol.
final class EnteringClient {
  let http: HTTPTestClient
  private let live: LiveServer
  private var bytes: [UInt8] = []
  private var reader = SPDYReader()
  private let compressor: HeaderCompressor
  private var nextStream: UInt32 = 1

  static let spdyCommand = ["Connection: Upgrade", "Upgrade: SPDY/3.1", "X-Stream-Protocol-Version: v4.channel.k8s.io"]
  static let spdyPorts = ["Connection: Upgrade", "Upgrade: SPDY/3.1", "X-Stream-Protocol-Version: portforward.k8s.io"]

  static func webSocket(_ name: String) -> [String] {
    [
      "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: \(name)",
    ]
  }

  static func path(_ subresource: String, _ query: String = "", pod: String = "p") -> String {
    "\(APIFixture.path(.pods, pod))/\(subresource)\(query.isEmpty ? "" : "?\(query)")"
  }

  init(_ api: LiveAPI, _ method: String, _ target: String, _ headers: [String]) throws {
    live = api.live
    compressor = try #require(HeaderCompressor())
    http = try api.connect()
    http.connection.send(HTTPTestClient.request(method, target, headers: headers))
  }

  /// The head of the answer, which changes protocols; what comes from here on is that protocol's.
  func switched() throws -> String {
    let end = Array("\r\n\r\n".utf8)
    var head = ""
    try live.wait("the protocol is changed") { self.http.text.contains("\r\n\r\n") || self.http.isClosed }
    let all = Array(http.text.utf8)
    let position = try #require(all.indices.first { all[$0...].starts(with: end) })
    head = String(decoding: all[..<position], as: UTF8.self)
    #expect(all.count == position + 4, "nothing is sent before the client has spoken")
    http.connection.onBytes = { [unowned self] more in bytes += more }
    return head
  }

  func takeBytes() -> [UInt8] {
    defer { bytes = [] }
    return bytes
  }

  var byteCount: Int { bytes.count }

  // WebSocket.

  func tell(_ payload: [UInt8], code: UInt8 = 2) { http.connection.send(WebSocketTestFrame.bytes(code, payload)) }

  /// The payloads of a server's frames, each behind its first byte; what has come so far.
  func messages() -> [(code: UInt8, payload: [UInt8])] {
    var rest = bytes[...]
    var result: [(UInt8, [UInt8])] = []
    while rest.count >= 2 {
      let first = rest.startIndex
      let short = Int(rest[first + 1])
      let extra = short == 126 ? 2 : short == 127 ? 8 : 0
      guard rest.count >= 2 + extra else { break }
      let length = extra == 0 ? short : rest[(first + 2)..<(first + 2 + extra)].reduce(0) { $0 << 8 | Int($1) }
      guard rest.count >= 2 + extra + length else { break }
      let start = first + 2 + extra
      result.append((rest[first] & 0x0F, Array(rest[start..<start + length])))
      rest = rest[(start + length)...]
    }
    return result
  }

  // SPDY.

  /// Bytes of a stream's opening; its number.
  func opening(_ headers: [(String, String)]) -> (UInt32, [UInt8]) {
    defer { nextStream += 2 }
    let block = compressor.compress(SPDYHeaders.block(headers.map { (name: $0.0, value: $0.1) }))
    return (
      nextStream,
      SPDYFrame.synStream(stream: nextStream, block: block, isLast: false, isUnidirectional: false).bytes
    )
  }

  func open(_ headers: [(String, String)]) -> UInt32 {
    let (id, bytes) = opening(headers)
    http.connection.send(bytes)
    return id
  }

  func say(_ frame: SPDYFrame) { http.connection.send(frame.bytes) }

  /// The frames that have come since the last call.
  func takeSPDY() throws -> [SPDYFrame] { try takeSPDY(takeBytes()) }

  func takeSPDY(_ bytes: [UInt8]) throws -> [SPDYFrame] {
    reader.append(bytes)
    var frames: [SPDYFrame] = []
    while let frame = try reader.next() { frames.append(frame) }
    return frames
  }
}

/// What streams of data have said.
struct StreamTexts {
  private(set) var texts: [UInt32: [UInt8]] = [:]
  private(set) var finished: Set<UInt32> = []

  mutating func add(_ frames: [SPDYFrame]) {
    for case .data(let id, let bytes, let isLast) in frames {
      texts[id, default: []] += bytes
      if isLast { finished.insert(id) }
    }
  }

  func text(_ id: UInt32) -> String { String(decoding: texts[id] ?? [], as: UTF8.self) }
}
