// The connecting side of HTTPS for tests: requests out as bytes, answers in, whole or as far as they have come.

import ClusterIO
import ClusterProto

/// One answer, its body decoded.
package struct HTTPTestAnswer {
  package var code: Int
  package var headers: [(name: String, value: String)]
  package var body: [UInt8]
  /// False while a chunked body goes on.
  package var isWhole: Bool

  package func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
  package var text: String { String(decoding: body, as: UTF8.self) }
  package var json: JSON { (try? JSON(parsing: body)) ?? .null }
  /// The events of a watch.
  package var events: [JSON] { text.split(separator: "\n").compactMap { try? JSON(parsing: String($0)) } }
}

/// One HTTPS connection on a loop that the test turns.
package final class HTTPTestClient {
  package let connection: Connection
  package private(set) var closeReason: Connection.CloseReason?
  private var received: [UInt8] = []
  /// Whether the answer that `takeEvents` reads has come to its end.
  package private(set) var isStreamOver = false
  private var streamed: HTTPTestAnswer?
  /// Of a watch: bytes that are no whole event yet.
  private var lines: [UInt8] = []

  package init(_ loop: EventLoop, _ address: SocketAddress, _ context: TLSContext?) throws {
    connection = try Connection.connect(loop: loop, to: address, outputLimit: 64 << 20)
    if let context { try connection.startTLS(context) }
    connection.onBytes = { [unowned self] bytes in received += bytes }
    connection.onClose = { [self] reason in closeReason = reason }
  }

  package var isClosed: Bool { closeReason != nil }
  package var hasBytes: Bool { !received.isEmpty }
  /// All that has come and was not taken.
  package var text: String { String(decoding: received, as: UTF8.self) }

  package static func request(
    _ method: String, _ target: String, headers: [String] = [], type: String = "application/json",
    body: [UInt8] = [], host: String = "127.0.0.1"
  ) -> [UInt8] {
    var lines = ["\(method) \(target) HTTP/1.1", "Host: \(host)"] + headers
    if !body.isEmpty { lines += ["Content-Type: \(type)", "Content-Length: \(body.count)"] }
    return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + body
  }

  /// The end of what has come and was not taken.
  package func tail(_ count: Int) -> String { String(decoding: received.suffix(count), as: UTF8.self) }

  /// The next answer, whole; nil while it has not all come.
  package func takeAnswer() -> HTTPTestAnswer? {
    guard let (answer, end) = parse(), answer.isWhole else { return nil }
    received.removeFirst(end)
    return answer
  }

  /// The events of a watch that have come since the last call; empty before its head has come. Not to be mixed with
  /// the other ways to read.
  package func takeEvents() -> [JSON] {
    lines += takeBody()
    guard let end = lines.lastIndex(of: 10) else { return [] }
    defer { lines.removeFirst(end + 1) }
    return lines[...end].split(separator: 10).compactMap { try? JSON(parsing: Array($0)) }
  }

  /// Bytes of a chunked body that have come since the last call, as whole chunks. Not to be mixed with the other ways
  /// to read.
  package func takeBody() -> [UInt8] {
    guard !isStreamOver, let (answer, end) = streamed.map({ dechunk($0, 0) }) ?? parse() else { return [] }
    streamed = answer
    isStreamOver = answer.isWhole
    received.removeFirst(end)
    return answer.body
  }

  /// Takes what has come up to the last whole line, and says how often `line` is in it.
  package func countTaken(_ line: String) -> Int {
    guard let end = received.lastIndex(of: 10) else { return 0 }
    defer { received.removeFirst(end + 1) }
    let wanted = Array("\(line)\r".utf8)
    return received[...end].split(separator: 10).reduce(0) { $0 + ($1.elementsEqual(wanted) ? 1 : 0) }
  }

  /// What has come of the answer that goes on.
  package func peekAnswer() -> HTTPTestAnswer? { parse()?.0 }

  private func parse() -> (HTTPTestAnswer, Int)? {
    var end = 0
    while end + 3 < received.count, received[end..<end + 4] != [13, 10, 13, 10] { end += 1 }
    guard end + 3 < received.count else { return nil }
    let lines = String(decoding: received[..<end], as: UTF8.self).split(separator: "\r\n")
    let words = lines.first?.split(separator: " ") ?? []
    guard words.count > 1, let code = Int(words[1]) else { return nil }
    let headers = lines.dropFirst().map { line in
      let sides = line.split(separator: ":", maxSplits: 1)
      return (name: sides[0].lowercased(), value: sides.count == 2 ? String(sides[1].drop { $0 == " " }) : "")
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
    answer.body = []
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
