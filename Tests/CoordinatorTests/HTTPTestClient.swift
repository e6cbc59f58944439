// The connecting side of HTTPS for tests: requests out as bytes, answers in, whole or as far as they have come.

import ClusterIO
import ClusterProto
import Testing

@testable import Coordinator

/// One answer, its body decoded.
struct HTTPTestAnswer {
  var code: Int
  var headers: [(name: String, value: String)]
  var body: [UInt8]
  /// False while a chunked body goes on.
  var isWhole: Bool

  func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
  var text: String { String(decoding: body, as: UTF8.self) }
  var json: JSON { (try? JSON(parsing: body)) ?? .null }
  /// The events of a watch.
  var events: [JSON] { text.split(separator: "\n").compactMap { try? JSON(parsing: String($0)) } }
}

/// One HTTPS connection on a loop that the test turns.
final class HTTPTestClient {
  let connection: Connection
  private(set) var closeReason: Connection.CloseReason?
  private var received: [UInt8] = []

  init(_ loop: EventLoop, _ address: SocketAddress, _ context: TLSContext?) throws {
    connection = try Connection.connect(loop: loop, to: address, outputLimit: 64 << 20)
    if let context { try connection.startTLS(context) }
    connection.onBytes = { [unowned self] bytes in received += bytes }
    connection.onClose = { [self] reason in closeReason = reason }
  }

  var isClosed: Bool { closeReason != nil }
  var hasBytes: Bool { !received.isEmpty }

  static func request(
    _ method: String, _ target: String, headers: [String] = [], type: String = "application/json",
    body: [UInt8] = [], host: String = "127.0.0.1"
  ) -> [UInt8] {
    var lines = ["\(method) \(target) HTTP/1.1", "Host: \(host)"] + headers
    if !body.isEmpty { lines += ["Content-Type: \(type)", "Content-Length: \(body.count)"] }
    return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + body
  }

  /// The next answer, whole; nil while it has not all come.
  func takeAnswer() -> HTTPTestAnswer? {
    guard let (answer, end) = parse(), answer.isWhole else { return nil }
    received.removeFirst(end)
    return answer
  }

  /// What has come of the answer that goes on.
  func peekAnswer() -> HTTPTestAnswer? { parse()?.0 }

  private func parse() -> (HTTPTestAnswer, Int)? {
    var end = 0
    while end + 3 < received.count, received[end..<end + 4] != [13, 10, 13, 10] { end += 1 }
    guard end + 3 < received.count else { return nil }
    let lines = String(decoding: received[..<end], as: UTF8.self).split(separator: "\r\n")
    let words = lines.first?.split(separator: " ") ?? []
    guard words.count > 1, let code = Int(words[1]) else { return nil }
    let headers = lines.dropFirst().map { line in
      let sides = line.split(separator: ":", maxSplits: 1)
      return (name: sides[0].lowercased(), value: sides.count == 2 ? sides[1].trimmingSpaces : "")
    }
    var answer = HTTPTestAnswer(code: code, headers: headers, body: [], isWhole: true)
    let start = end + 4
    if let length = answer.header("content-length").flatMap({ Int($0) }) {
      guard received.count >= start + length else { return nil }
      answer.body = Array(received[start..<start + length])
      return (answer, start + length)
    }
    return dechunk(answer, start)
  }

  private func dechunk(_ head: HTTPTestAnswer, _ start: Int) -> (HTTPTestAnswer, Int) {
    var answer = head
    answer.isWhole = false
    var position = start
    while let line = received[position...].firstIndex(of: 13), line + 1 < received.count,
      let size = Int(String(decoding: received[position..<line], as: UTF8.self), radix: 16)
    {
      let body = line + 2
      guard body + size + 2 <= received.count else { break }
      answer.body += received[body..<body + size]
      position = body + size + 2
      if size == 0 {
        answer.isWhole = true
        break
      }
    }
    return (answer, position)
  }
}

/// A live server with the Kubernetes API, and clients of it.
final class LiveAPI {
  let live: LiveServer
  let pki: PKI
  let admin: TLSContext
  let stranger: TLSContext
  private var client: HTTPTestClient?

  init(_ directory: TemporaryDirectory, change: (inout ServerOptions) -> Void = { _ in }) throws {
    live = try LiveServer(directory) { options in
      options.api = .tcp(host: "127.0.0.1", port: 0)
      change(&options)
    }
    pki = try PKI(directory: directory.path, host: "127.0.0.1")
    admin = try TLSContext(client: pki.administrator, authority: pki.authority.certificate)
    stranger = try TLSContext(client: nil, authority: pki.authority.certificate)
  }

  func connect(_ context: TLSContext? = nil) throws -> HTTPTestClient {
    guard let address = live.server.apiAddress else { throw IOError(operation: "connect", subject: "", message: "") }
    return try HTTPTestClient(live.loop, address, context ?? admin)
  }

  /// One request on the kept connection and its whole answer.
  func ask(
    _ method: String, _ target: String, headers: [String] = [], type: String = "application/json",
    body: JSON? = nil, host: String = "127.0.0.1"
  ) throws -> HTTPTestAnswer {
    try send(
      HTTPTestClient.request(method, target, headers: headers, type: type, body: body?.bytes ?? [], host: host))
  }

  func send(_ bytes: [UInt8]) throws -> HTTPTestAnswer {
    let used = if let client, !client.isClosed { client } else { try connect() }
    client = used
    used.connection.send(bytes)
    var answer: HTTPTestAnswer?
    try live.wait("an answer comes to \(String(decoding: bytes.prefix(200), as: UTF8.self))") {
      answer = used.takeAnswer()
      return answer != nil || used.isClosed
    }
    if answer?.header("connection") == "close" {
      client = nil
      try live.wait("the server closes") { used.isClosed }
    }
    guard let answer else {
      throw IOError(operation: "ask", subject: "", message: "closed: \(used.closeReason as Any)")
    }
    return answer
  }
}
