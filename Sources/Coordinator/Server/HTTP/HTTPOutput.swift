// Owns: what all HTTP connections share on the way out: bytes that several of them wait for, the bounds of what waits,
// the head of the usual answer. It must not know requests.

import ClusterIO
import ClusterProto
import CoordinatorCore

/// Bytes that wait to be sent, perhaps on many connections.
final class OutgoingBytes {
  let bytes: [UInt8]
  private let ledger: OutgoingLedger?
  private let backlog: AnswerBacklog?

  /// Of a watch event; `ledger` counts them while anybody waits for them.
  init(_ bytes: [UInt8], ledger: OutgoingLedger) {
    self.bytes = bytes
    self.ledger = ledger
    backlog = nil
    ledger.bytes += bytes.count
  }

  /// Of any other answer, counted in `backlog`.
  init(_ bytes: [UInt8], backlog: AnswerBacklog) {
    self.bytes = bytes
    self.backlog = backlog
    ledger = nil
    backlog.add(bytes.count)
  }

  deinit {
    ledger?.bytes -= bytes.count
    backlog?.remove(bytes.count)
  }
}

/// Bytes of watch events that wait for slow clients, those that are shared counted once.
final class OutgoingLedger { var bytes = 0 }

/// One watch event on its way to any number of clients: written once for all that read it over HTTP.
final class WatchEvent {
  let type: String
  let object: JSON
  private var chunk: OutgoingBytes?
  /// The same in other forms, by their names.
  private var shaped: [String: OutgoingBytes] = [:]
  /// What the object has as text.
  private(set) lazy var bytes = object.extent(upTo: MessageLimits.fromCoordinator).bytes

  init(_ type: String, _ object: JSON) {
    self.type = type
    self.object = object
  }

  func chunk(_ ledger: OutgoingLedger) -> OutgoingBytes {
    if let chunk { return chunk }
    let made = OutgoingBytes(HTTPAnswer.chunk(HTTPAnswer.event(type, object)), ledger: ledger)
    chunk = made
    return made
  }

  /// The event in another form, written once for all that read it so. nil: that form has none.
  func chunk(_ shape: HTTPShape, _ ledger: OutgoingLedger) -> OutgoingBytes? {
    if let known = shaped[shape.name] { return known }
    guard case .event(let type, let object) = shape.apply(.event(type: type, object: object)) else { return nil }
    let made = OutgoingBytes(HTTPAnswer.chunk(HTTPAnswer.event(type, object)), ledger: ledger)
    shaped[shape.name] = made
    return made
  }
}

/// How the parts of an answer are laid out.
enum HTTPStyle: Equatable, Sendable {
  /// One object, or the pieces of a list and then its frame; `member` holds the pieces: `items` or `rows`. `isBare`:
  /// the pieces are objects of the list's kind, which they do not say again.
  case object(member: String, isBare: Bool)
  case watch
  case log
}

/// A way to lay replies of the core out.
struct HTTPShape {
  /// Ways of one name are one.
  var name: String
  var apply: (APIReply) -> APIReply
}

/// Parts of answers in order, of one connection.
struct Outbox {
  private var parts: [OutgoingBytes?] = []
  private var start = 0
  /// Bytes of all parts.
  private(set) var bytes = 0
  /// Parts are sent together up to this size.
  private static let pieceSize = 16 * 1024

  var count: Int { parts.count - start }
  var isEmpty: Bool { start == parts.count }

  mutating func append(_ part: OutgoingBytes) {
    parts.append(part)
    bytes += part.bytes.count
  }

  /// Takes the first part, and with it what follows as long as that is small.
  mutating func takeSome() -> [UInt8] {
    guard !isEmpty else { return [] }
    var piece: [UInt8] = []
    // Each part is let go as soon as it is taken: the queue itself is tidied later.
    while start < parts.count, let part = parts[start] {
      if !piece.isEmpty, piece.count + part.bytes.count > Outbox.pieceSize { break }
      if piece.isEmpty { piece = part.bytes } else { piece.append(contentsOf: part.bytes) }
      parts[start] = nil
      start += 1
    }
    bytes -= piece.count
    if start == parts.count {
      parts.removeAll(keepingCapacity: parts.capacity <= 64)
      start = 0
    } else if start > 1_024 {
      parts.removeFirst(start)
      start = 0
    }
    return piece
  }
}

/// What connections may keep waiting together, and the head that their answers have.
final class HTTPOutput {
  /// Bytes that wait in a socket's own buffer here before the rest waits as parts.
  static let outputMark = 32 * 1024
  let ledger = OutgoingLedger()
  /// What waits beside watch events, here and on the other door.
  let answers: AnswerBacklog
  /// Parts that wait, over all connections: each costs its place in a queue.
  private var parts = 0
  private static let placeBytes = 16
  /// In which connections read and write.
  let turns: WorkTurns

  init(answers: AnswerBacklog, turns: WorkTurns) {
    self.answers = answers
    self.turns = turns
  }

  /// Bytes of memory that watch events hold which clients have not taken.
  var backlog: Int { ledger.bytes + parts * HTTPOutput.placeBytes }

  func count(parts count: Int) { parts += count }

  // The usual head: the Date changes once a second, the rest never.

  private var second: Int64 = -1
  private var date = ""
  private var usual: [UInt8] = []

  /// The head of an answer; without a length its body is chunked, but for 304, which has none. `retries`: the client
  /// shall come again by itself. `lines`: other fields, whole.
  func head(
    _ code: Int, type: String, length: Int?, warnings: [String] = [], close: Bool = false, isGzip: Bool = false,
    retries: Bool = false, lines: String = ""
  ) -> [UInt8] {
    let now = Clocks.now().wall
    if now / 1_000_000_000 != second {
      second = now / 1_000_000_000
      date = "\(WallTime(nanoseconds: now).rfc1123Z.dropLast(5))GMT"
      usual = Array("\(start(200, HTTPAnswer.jsonType))Content-Length: ".utf8)
    }
    if code == 200, let length, warnings.isEmpty, lines.isEmpty, !close, !isGzip, type == HTTPAnswer.jsonType {
      var bytes: [UInt8] = []
      bytes.reserveCapacity(usual.count + 16 + min(length, HTTPOutput.outputMark))
      bytes += usual
      JSON.int(Int64(length)).write(into: &bytes)
      bytes.append(contentsOf: [0x0D, 0x0A, 0x0D, 0x0A])
      return bytes
    }
    var text = start(code, type)
    if isGzip { text += "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n" }
    text += lines
    if let length {
      text += "Content-Length: \(length)\r\n"
    } else if code != 304 {
      text += "Transfer-Encoding: chunked\r\n"
    }
    for warning in warnings { text += "Warning: 299 - \(HTTPAnswer.quoted(warning))\r\n" }
    if retries { text += "Retry-After: 1\r\n" }
    if close { text += "Connection: close\r\n" }
    return Array("\(text)\r\n".utf8)
  }

  private func start(_ code: Int, _ type: String) -> String {
    "HTTP/1.1 \(code) \(HTTPAnswer.phrase(code))\r\nCache-Control: no-cache, private\r\n"
      + (type.isEmpty ? "" : "Content-Type: \(type)\r\n") + "Date: \(date)\r\n"
  }
}
