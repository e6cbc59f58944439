// Owns: HTTPS connections that measure the Kubernetes API: requests out as bytes, answers counted as they come.
// It must not know what is measured, nor keep what it reads.

import ClusterIO
import Coordinator
import Glibc

/// Counts the answers of one connection, whole or chunked, and the lines (a watch's events) of their bodies.
struct AnswerCounter {
  /// Whole answers so far.
  private(set) var answers = 0
  /// Code of the answer that came last, or comes.
  private(set) var code = 0
  /// Lines of the bodies so far.
  private(set) var lines = 0
  /// Bytes of the bodies so far, as the wire had them without chunk marks.
  private(set) var bodyBytes = 0

  private enum Stage {
    case head, chunkSize
    case body(left: Int)
    case chunk(left: Int)
    case mark(left: Int, isLast: Bool)
  }

  private var stage = Stage.head
  /// The head or the chunk's size, as far as it has come.
  private var text: [UInt8] = []
  private static let headEnd: [UInt8] = [13, 10, 13, 10]

  mutating func take(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { buffer in
      var rest = buffer[...]
      while !rest.isEmpty { take(&rest) }
    }
  }

  private mutating func take(_ rest: inout Slice<UnsafeRawBufferPointer>) {
    switch stage {
    case .head:
      while let byte = rest.popFirst() {
        text.append(byte)
        if byte == 10, text.count >= 4, text.suffix(4).elementsEqual(Self.headEnd) { return readHead() }
      }
    case .chunkSize:
      while let byte = rest.popFirst() {
        if byte == 10 {
          let size = Int(String(decoding: text.dropLast(), as: UTF8.self), radix: 16) ?? 0
          text.removeAll(keepingCapacity: true)
          stage = size == 0 ? .mark(left: 2, isLast: true) : .chunk(left: size)
          return
        }
        text.append(byte)
      }
    case .body(let left):
      let taken = count(&rest, left)
      stage = .body(left: left - taken)
      if taken == left { finish() }
    case .chunk(let left):
      let taken = count(&rest, left)
      stage = taken == left ? .mark(left: 2, isLast: false) : .chunk(left: left - taken)
    case .mark(let left, let isLast):
      rest.removeFirst()
      if left > 1 {
        stage = .mark(left: left - 1, isLast: isLast)
      } else if isLast {
        finish()
      } else {
        stage = .chunkSize
      }
    }
  }

  private mutating func count(_ rest: inout Slice<UnsafeRawBufferPointer>, _ most: Int) -> Int {
    let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(most))
    rest = rest.dropFirst(piece.count)
    bodyBytes += piece.count
    guard var position = piece.baseAddress else { return 0 }
    let end = position + piece.count
    while position < end, let found = memchr(position, 10, end - position) {
      lines += 1
      position = UnsafeRawPointer(found) + 1
    }
    return piece.count
  }

  private mutating func readHead() {
    let head = String(decoding: text, as: UTF8.self)
    text.removeAll(keepingCapacity: true)
    code = Int(head.dropFirst(9).prefix(3)) ?? 0
    if head.utf8.count > 17, let length = Self.length(head) {
      stage = .body(left: length)
      if length == 0 { finish() }
    } else {
      stage = .chunkSize
    }
  }

  private static func length(_ head: String) -> Int? {
    for line in head.split(separator: "\r\n") where line.hasPrefix("Content-Length: ") {
      return Int(line.dropFirst("Content-Length: ".utf8.count))
    }
    return nil
  }

  private mutating func finish() {
    answers += 1
    stage = .head
  }
}

/// One kept-alive connection. Made and used on its loop's thread.
final class APIClient {
  let connection: Connection
  private(set) var counter = AnswerCounter()
  private(set) var closeReason: Connection.CloseReason?
  /// Called when an answer has come whole.
  var onAnswer: (() -> Void)?
  /// Called when bytes of an answer have come.
  var onProgress: (() -> Void)?
  /// The bytes themselves, where somebody wants them.
  var onBytes: (([UInt8]) -> Void)?

  init(_ loop: EventLoop, _ address: SocketAddress, _ context: TLSContext) throws {
    connection = try Connection.connect(loop: loop, to: address)
    try connection.startTLS(context)
    connection.onBytes = { [unowned self] bytes in
      let before = counter.answers
      counter.take(bytes)
      onBytes?(bytes)
      onProgress?()
      for _ in before..<counter.answers { onAnswer?() }
    }
    connection.onClose = { [weak self] reason in self?.closeReason = reason }
  }

  deinit { connection.close() }

  func send(_ bytes: [UInt8]) { connection.send(bytes) }

  /// A request's bytes.
  static func request(_ method: String, _ target: String, body: [UInt8] = [], headers: [String] = []) -> [UInt8] {
    // What Kubernetes' client libraries send with a GET.
    var lines = [
      "\(method) \(target) HTTP/1.1", "Host: 127.0.0.1", "User-Agent: stint-bench", "Accept: application/json",
    ]
    lines += headers
    if !body.isEmpty { lines += ["Content-Type: application/json", "Content-Length: \(body.count)"] }
    return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + body
  }
}

/// How fast one request is answered over and over.
struct APIRate {
  let perSecond: Double
  /// Bytes of bodies a second.
  let bytesPerSecond: Double
  /// Processor seconds of the server for each answer.
  let cpuSeconds: Double

  /// Answers a second that a whole processor would give.
  var perCore: Double { cpuSeconds > 0 ? 1 / cpuSeconds : 0 }

  /// Keeps `clients` asking `request` for so many seconds after half a second to get going. `cpu`: processor seconds
  /// of the server so far.
  init(
    _ loop: EventLoop, _ clients: [APIClient], request: [UInt8], seconds: Double, cpu: () -> Double
  ) throws {
    for client in clients {
      client.onAnswer = { [unowned client] in client.send(request) }
      client.send(request)
    }
    defer { for client in clients { client.onAnswer = nil } }
    try APIRate.turn(loop, seconds: 0.5)
    func sum(_ count: (AnswerCounter) -> Int) -> Int { clients.reduce(0) { $0 + count($1.counter) } }
    let (answers, bytes, used, begun) = (sum(\.answers), sum(\.bodyBytes), cpu(), Clocks.boot())
    try APIRate.turn(loop, seconds: seconds)
    let time = Double(Clocks.boot() - begun) / 1e9
    let count = sum(\.answers) - answers
    guard clients.allSatisfy({ $0.closeReason == nil && $0.counter.code == 200 }), count > 0 else {
      let codes = Set(clients.map { $0.closeReason.map(\.description) ?? "by \($0.counter.code)" }).sorted()
      throw CommandError(
        "error: the API does not answer the bench's requests by 200: \(codes.joined(separator: ", "))")
    }
    perSecond = Double(count) / time
    bytesPerSecond = Double(sum(\.bodyBytes) - bytes) / time
    cpuSeconds = (cpu() - used) / Double(count)
  }

  static func turn(_ loop: EventLoop, seconds: Double) throws {
    let end = Clocks.boot() + Int64(seconds * 1e9)
    while Clocks.boot() < end { try loop.runOnce(timeoutMilliseconds: 20) }
  }
}
