// Owns: bytes of HTTP/1.1 requests (RFC 9112) under bounds: one request at a time, what follows it stays in the buffer.
// It must not know what is asked for, nor who asks.

import ClusterProto

/// One request with its whole body.
struct HTTPRequest: Equatable, Sendable {
  var method: String
  /// As sent: path and query.
  var target: String
  /// Names in lower case, in order.
  var headers: [(name: String, value: String)]
  var body: [UInt8] = []

  /// The first value of a header; `name` in lower case.
  func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }

  /// Whether the client wants the connection closed behind the answer.
  var isLast: Bool {
    (header("connection") ?? "").lowercased().split(separator: ",").contains { $0.trimmingSpaces == "close" }
  }

  static func == (left: HTTPRequest, right: HTTPRequest) -> Bool {
    left.method == right.method && left.target == right.target && left.body == right.body
      && left.headers.elementsEqual(right.headers) { $0.name == $1.name && $0.value == $1.value }
  }
}

/// A request that cannot be served; the connection closes behind the answer.
struct HTTPFailure: Error, Equatable, Sendable {
  var code: Int
  var message: String

  init(_ code: Int, _ message: String) {
    self.code = code
    self.message = message
  }
}

/// What the parser has to say next.
enum HTTPEvent: Equatable, Sendable {
  /// The client waits for `100 Continue` before it sends the body.
  case continueExpected
  case request(HTTPRequest)
}

/// Reads requests from bytes as they come.
struct HTTPParser {
  static let headerLimit = 64 * 1024
  static let bodyLimit = 3 << 20
  /// Chunk sizes, their extensions and the trailer lines of one body, which are not part of it.
  private static let chunkLineLimit = 4 * 1024

  private enum Stage {
    case head
    case sized(HTTPRequest, left: Int)
    case chunkSize(HTTPRequest)
    case chunk(HTTPRequest, left: Int)
    case chunkEnd(HTTPRequest)
    case trailer(HTTPRequest, bytes: Int)
  }

  private var buffer: [UInt8] = []
  private var start = 0
  /// Where the search for the head's end goes on.
  private var scanned = 0
  private var stage = Stage.head

  /// Bytes that are not part of a request yet.
  var buffered: Int { buffer.count - start }
  /// Whether a request has begun and is not complete.
  var isInRequest: Bool { if case .head = stage { buffered > 0 } else { true } }

  mutating func append(_ bytes: [UInt8]) {
    if start > 0, start == buffer.count || start > 64 * 1024 {
      buffer.removeFirst(start)
      scanned -= start
      start = 0
    }
    buffer += bytes
  }

  /// The next event; nil when more bytes are needed.
  mutating func next() throws(HTTPFailure) -> HTTPEvent? {
    while true {
      switch stage {
      case .head:
        guard let head = try takeHead() else { return nil }
        if let event = try begin(try HTTPHead.parse(head)) { return event }
      case .sized(var request, let left):
        let taken = take(left)
        request.body += taken
        if taken.count == left { return finish(request) }
        stage = .sized(request, left: left - taken.count)
        return nil
      case .chunkSize(let request):
        guard let line = try takeLine() else { return nil }
        guard let size = HTTPHead.chunkSize(line) else { throw HTTPFailure(400, "malformed chunk size") }
        guard request.body.count + size <= Self.bodyLimit else { throw Self.tooLarge }
        stage = size == 0 ? .trailer(request, bytes: 0) : .chunk(request, left: size)
      case .chunk(var request, let left):
        let taken = take(left)
        request.body += taken
        guard taken.count == left else {
          stage = .chunk(request, left: left - taken.count)
          return nil
        }
        stage = .chunkEnd(request)
      case .chunkEnd(let request):
        guard let line = try takeLine() else { return nil }
        guard line.isEmpty else { throw HTTPFailure(400, "malformed chunk") }
        stage = .chunkSize(request)
      case .trailer(let request, let bytes):
        guard let line = try takeLine() else { return nil }
        if line.isEmpty { return finish(request) }
        guard bytes + line.count <= Self.chunkLineLimit else { throw HTTPFailure(431, "trailer too large") }
        stage = .trailer(request, bytes: bytes + line.count)
      }
    }
  }

  private static let tooLarge = HTTPFailure(413, "Request entity too large: limit is \(bodyLimit)")

  private mutating func finish(_ request: HTTPRequest) -> HTTPEvent {
    stage = .head
    scanned = start
    return .request(request)
  }

  private mutating func begin(_ request: HTTPRequest) throws(HTTPFailure) -> HTTPEvent? {
    let lengths = request.headers.filter { $0.name == "content-length" }
    let codings = request.headers.filter { $0.name == "transfer-encoding" }
    let hasBody: Bool
    if !codings.isEmpty {
      // Both at once is how requests are smuggled past a proxy.
      guard lengths.isEmpty else { throw HTTPFailure(400, "both Transfer-Encoding and Content-Length") }
      guard codings.count == 1, codings[0].value.lowercased() == "chunked" else {
        throw HTTPFailure(501, "unsupported Transfer-Encoding")
      }
      stage = .chunkSize(request)
      hasBody = true
    } else {
      var size = 0
      if let first = lengths.first {
        let isNumber = !first.value.isEmpty && first.value.utf8.allSatisfy { (0x30...0x39).contains($0) }
        guard isNumber, lengths.allSatisfy({ $0.value == first.value }) else {
          throw HTTPFailure(400, "malformed Content-Length")
        }
        guard let value = Int(first.value), value <= Self.bodyLimit else { throw Self.tooLarge }
        size = value
      }
      if size == 0 { return finish(request) }
      stage = .sized(request, left: size)
      hasBody = true
    }
    guard let expected = request.header("expect") else { return nil }
    guard expected.lowercased() == "100-continue" else { throw HTTPFailure(417, "unknown expectation") }
    return hasBody && buffered == 0 ? .continueExpected : nil
  }

  private mutating func take(_ count: Int) -> ArraySlice<UInt8> {
    let end = min(start + count, buffer.count)
    defer { start = end }
    return buffer[start..<end]
  }

  /// The bytes up to the empty line that ends a head. Empty lines before a request are skipped, as RFC 9112 asks.
  private mutating func takeHead() throws(HTTPFailure) -> ArraySlice<UInt8>? {
    while buffered >= 2, buffer[start] == 0x0D, buffer[start + 1] == 0x0A { start += 2 }
    var index = max(scanned, start)
    while index + 3 < buffer.count {
      if buffer[index] == 0x0D, buffer[index + 1] == 0x0A, buffer[index + 2] == 0x0D, buffer[index + 3] == 0x0A {
        guard index - start <= Self.headerLimit else { break }
        defer { start = index + 4 }
        return buffer[start..<index + 2]
      }
      index += 1
    }
    scanned = max(start, index)
    if buffered > Self.headerLimit { throw HTTPFailure(431, "request header fields too large") }
    return nil
  }

  private mutating func takeLine() throws(HTTPFailure) -> ArraySlice<UInt8>? {
    var index = start
    while index + 1 < buffer.count {
      if buffer[index] == 0x0D, buffer[index + 1] == 0x0A {
        defer { start = index + 2 }
        return buffer[start..<index]
      }
      index += 1
      if index - start > Self.chunkLineLimit { throw HTTPFailure(400, "chunk line too long") }
    }
    return nil
  }
}

/// The request line and the header lines.
enum HTTPHead {
  /// `bytes`: whole lines, each with its CR LF.
  static func parse(_ bytes: ArraySlice<UInt8>) throws(HTTPFailure) -> HTTPRequest {
    var lines: [ArraySlice<UInt8>] = []
    var rest = bytes
    while let end = rest.firstIndex(of: 0x0A) {
      guard end > rest.startIndex, rest[end - 1] == 0x0D else { throw HTTPFailure(400, "a line ends without CR LF") }
      let line = rest[rest.startIndex..<end - 1]
      guard !line.contains(0x0D) else { throw HTTPFailure(400, "a stray CR") }
      lines.append(line)
      rest = rest[(end + 1)...]
    }
    guard let first = lines.first else { throw HTTPFailure(400, "empty request") }
    let words = first.split(separator: 0x20, omittingEmptySubsequences: false)
    guard words.count == 3, isToken(words[0]), !words[1].isEmpty, words[1].allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
      throw HTTPFailure(400, "malformed request line")
    }
    guard words[2].elementsEqual("HTTP/1.1".utf8) else { throw HTTPFailure(505, "HTTP/1.1 is spoken here") }
    var request = HTTPRequest(method: text(words[0]), target: text(words[1]), headers: [])
    for line in lines.dropFirst() {
      guard let colon = line.firstIndex(of: 0x3A), isToken(line[line.startIndex..<colon]) else {
        throw HTTPFailure(400, "malformed header field")
      }
      let value = line[(colon + 1)...]
      guard value.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
        throw HTTPFailure(400, "malformed header value")
      }
      request.headers.append((text(line[line.startIndex..<colon]).lowercased(), text(value).trimmingSpaces))
    }
    guard request.headers.count(where: { $0.name == "host" }) == 1 else {
      throw HTTPFailure(400, "a request has exactly one Host")
    }
    return request
  }

  /// A chunk's size in hexadecimal; what follows a semicolon is ignored, as RFC 9112 asks.
  static func chunkSize(_ line: ArraySlice<UInt8>) -> Int? {
    let digits = line.prefix { $0 != 0x3B }
    guard (1...8).contains(digits.count) else { return nil }
    return digits.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || (0x61...0x66).contains($0 | 0x20) }
      ? Int(text(digits), radix: 16) : nil
  }

  private static func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

  private static let tokenMarks = Set("!#$%&'*+-.^_`|~".utf8)

  private static func isToken(_ bytes: ArraySlice<UInt8>) -> Bool {
    !bytes.isEmpty
      && bytes.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x7A).contains($0 | 0x20) || tokenMarks.contains($0) }
  }
}

extension StringProtocol {
  /// Without spaces and tabs at both ends.
  var trimmingSpaces: String {
    let front = drop { $0 == " " || $0 == "\t" }
    guard let end = front.lastIndex(where: { $0 != " " && $0 != "\t" }) else { return "" }
    return String(front[...end])
  }
}
