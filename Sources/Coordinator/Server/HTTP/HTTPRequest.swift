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
    guard let connection = header("connection") else { return false }
    return connection.lowercased().split(separator: ",").contains { $0.trimmingSpaces == "close" }
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
  /// The Status that says more than code and message do.
  var status: JSON?

  init(_ code: Int, _ message: String, status: JSON? = nil) {
    self.code = code
    self.message = message
    self.status = status
  }
}

/// What the parser has to say next.
enum HTTPEvent: Equatable, Sendable {
  /// A request's head has come, and a body of at most `most` bytes will: whoever wants none of it refuses it now.
  /// `isAwaited`: the client waits for `100 Continue` before it sends the body.
  case body(of: HTTPRequest, most: Int, isAwaited: Bool)
  case request(HTTPRequest)
}

/// Reads requests from bytes as they come.
struct HTTPParser {
  static let headerLimit = 64 * 1024
  /// The same of a client that has not proven who it is.
  static let unprovenHeaderLimit = 8 * 1024
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

  /// Most bytes of a head.
  var headLimit = HTTPParser.headerLimit
  private var buffer: [UInt8] = []
  private var start = 0
  /// Where the search for the head's end goes on.
  private var scanned = 0
  private var stage = Stage.head

  /// Bytes that are not part of a request yet.
  var buffered: Int { buffer.count - start }
  /// Whether a request has begun and is not complete.
  var isInRequest: Bool { if case .head = stage { buffered > 0 } else { true } }

  /// What came behind the last request: another protocol's bytes.
  mutating func takeRest() -> [UInt8] {
    defer { (buffer, start, scanned) = ([], 0, 0) }
    return Array(buffer[start...])
  }

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
        // The body grows in place: nobody else may hold it meanwhile.
        stage = .head
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
        stage = .head
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
    if request.method == "GET", request.header("content-length") == nil, request.header("transfer-encoding") == nil {
      return finish(request)
    }
    let lengths = request.headers.filter { $0.name == "content-length" }
    let codings = request.headers.filter { $0.name == "transfer-encoding" }
    let most: Int
    if !codings.isEmpty {
      // Both at once is how requests are smuggled past a proxy.
      guard lengths.isEmpty else { throw HTTPFailure(400, "both Transfer-Encoding and Content-Length") }
      guard codings.count == 1, codings[0].value.lowercased() == "chunked" else {
        throw HTTPFailure(501, "unsupported Transfer-Encoding")
      }
      stage = .chunkSize(request)
      most = Self.bodyLimit
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
      most = size
    }
    let expected = request.header("expect")
    guard expected == nil || expected?.lowercased() == "100-continue" else {
      throw HTTPFailure(417, "unknown expectation")
    }
    return .body(of: request, most: most, isAwaited: expected != nil && buffered == 0)
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
        guard index - start <= headLimit else { break }
        defer { start = index + 4 }
        return buffer[start..<index + 2]
      }
      index += 1
    }
    scanned = max(start, index)
    if buffered > headLimit { throw HTTPFailure(431, "request header fields too large") }
    return nil
  }

  private mutating func takeLine() throws(HTTPFailure) -> ArraySlice<UInt8>? {
    var index = start
    while index + 1 < buffer.count {
      if buffer[index] == 0x0D {
        // Where others see a line's end that is none here, a second request can hide.
        guard buffer[index + 1] == 0x0A else { throw HTTPFailure(400, "a stray CR") }
        defer { start = index + 2 }
        return buffer[start..<index]
      }
      if buffer[index] == 0x0A { throw HTTPFailure(400, "a line ends without CR LF") }
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
    let result = bytes.withUnsafeBufferPointer { bytes -> Result<HTTPRequest, HTTPFailure> in
      do throws(HTTPFailure) { return .success(try parse(bytes)) } catch { return .failure(error) }
    }
    return try result.get()
  }

  private static func parse(_ bytes: UnsafeBufferPointer<UInt8>) throws(HTTPFailure) -> HTTPRequest {
    var start = 0
    guard let first = try line(of: bytes, &start) else { throw HTTPFailure(400, "empty request") }
    var request = try requestLine(first)
    request.headers.reserveCapacity(8)
    var hosts = 0
    while let line = try line(of: bytes, &start) {
      guard let colon = line.firstIndex(of: 0x3A), isToken(line[..<colon]) else {
        throw HTTPFailure(400, "malformed header field")
      }
      var value = line[(colon + 1)...]
      guard value.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
        throw HTTPFailure(400, "malformed header value")
      }
      while let byte = value.first, byte == 0x20 || byte == 0x09 { value.removeFirst() }
      while let byte = value.last, byte == 0x20 || byte == 0x09 { value.removeLast() }
      let name = lowercased(line[..<colon])
      if name == "host" { hosts += 1 }
      request.headers.append((name, text(value)))
    }
    guard hosts == 1 else { throw HTTPFailure(400, "a request has exactly one Host") }
    return request
  }

  private static func requestLine(_ line: Slice<UnsafeBufferPointer<UInt8>>) throws(HTTPFailure) -> HTTPRequest {
    let words = line.split(separator: 0x20, omittingEmptySubsequences: false)
    guard words.count == 3, isToken(words[0]), !words[1].isEmpty, words[1].allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
      throw HTTPFailure(400, "malformed request line")
    }
    guard words[2].elementsEqual("HTTP/1.1".utf8) else { throw HTTPFailure(505, "HTTP/1.1 is spoken here") }
    return HTTPRequest(method: text(words[0]), target: text(words[1]), headers: [])
  }

  /// The line at `start`, without its end; moves `start` behind it.
  private static func line(
    of bytes: UnsafeBufferPointer<UInt8>, _ start: inout Int
  ) throws(HTTPFailure) -> Slice<UnsafeBufferPointer<UInt8>>? {
    let first = start
    while start < bytes.count {
      let byte = bytes[start]
      start += 1
      if byte == 0x0A { throw HTTPFailure(400, "a line ends without CR LF") }
      guard byte == 0x0D else { continue }
      guard start < bytes.count, bytes[start] == 0x0A else { throw HTTPFailure(400, "a stray CR") }
      start += 1
      return bytes[first..<start - 2]
    }
    return nil
  }

  /// A chunk's size in hexadecimal; what follows a semicolon is ignored, as RFC 9112 asks, where it is text.
  static func chunkSize(_ line: ArraySlice<UInt8>) -> Int? {
    let digits = line.prefix { $0 != 0x3B }
    guard line.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else { return nil }
    guard (1...8).contains(digits.count) else { return nil }
    return digits.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || (0x61...0x66).contains($0 | 0x20) }
      ? Int(text(digits), radix: 16) : nil
  }

  private static func text(_ bytes: some Collection<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

  /// The name of a header field, which is ASCII.
  private static func lowercased(_ bytes: Slice<UnsafeBufferPointer<UInt8>>) -> String {
    String(unsafeUninitializedCapacity: bytes.count) { buffer in
      for (index, byte) in bytes.enumerated() { buffer[index] = (0x41...0x5A).contains(byte) ? byte | 0x20 : byte }
      return bytes.count
    }
  }

  /// RFC 9110's tchar, by byte.
  private static let isTokenByte: [Bool] = (UInt8.min...UInt8.max).map { byte in
    (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20) || "!#$%&'*+-.^_`|~".utf8.contains(byte)
  }

  private static func isToken(_ bytes: Slice<UnsafeBufferPointer<UInt8>>) -> Bool {
    !bytes.isEmpty && bytes.allSatisfy { isTokenByte[Int($0)] }
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
