// Owns: one HTTP connection: its requests one after the other, and the answer that is being written, as far as the
// client takes it. It must not know the core or what paths mean: whole requests go to its handler.

import ClusterIO
import ClusterProto
import CoordinatorCore

/// How the parts of an answer are laid out.
enum HTTPStyle: Equatable, Sendable {
  /// One object, or the pieces of a list and then its frame; `member` holds the pieces: `items` or `rows`.
  case object(member: String)
  case watch
  case log
}

/// One connection, from accept to close. Used on the loop's thread only.
final class HTTPConnection: ReplyTaker {
  /// What a connection tells the door. All calls come from within a turn.
  struct Handler {
    var request: (HTTPConnection, HTTPRequest) -> Void
    /// The client has gone, or its answer is cut off: `requests` are of no more use.
    var abandoned: (HTTPConnection) -> Void
    var closed: (HTTPConnection) -> Void
    var drained: (HTTPConnection) -> Void
  }

  private enum Stage {
    /// Waits for a request, or reads one.
    case reading
    /// The core has it; nothing was sent yet. `first`: list pieces that wait for the frame.
    case asked(HTTPStyle, first: [JSON])
    /// The head of a chunked answer was sent.
    case streaming(HTTPStyle)
    /// Nothing more is read: the rest is sent, then it closes.
    case ending
  }

  /// A part of an answer that waits until the client has taken what is before it.
  private enum Part {
    case event(type: String, object: JSON)
    /// List elements; `isFirst`: no comma before.
    case items([JSON], isFirst: Bool)
    case bytes([UInt8])
    case end(last: Bool)
  }

  let connection: Connection
  var requests: [Int64: RequestID] = [:]
  /// Boot nanoseconds by which the client must have done something, `Int64.max` while it owes nothing.
  private(set) var deadline = Int64.max
  /// Boot nanoseconds by which the core must have begun to answer.
  private(set) var answerBy = Int64.max

  private var parser = HTTPParser()
  private var stage = Stage.reading
  private var isLast = false
  /// A HEAD request: its answer has no body.
  private var isHead = false
  private var isPretty = false
  /// Lays the answer's parts out for another group than that of the stored kind.
  private var shape: ((APIReply) -> APIReply)?
  private var isPumping = false
  private var outbox: [Part] = []
  private var outboxStart = 0
  private let handler: Handler
  private static let outputMark = Peer.outputMark
  /// A request that has begun must be whole by then; a handshake, too.
  private static let requestNanoseconds: Int64 = 30_000_000_000
  private static let idleNanoseconds: Int64 = 300_000_000_000
  private static let answerNanoseconds: Int64 = 60_000_000_000
  private static let refusedNanoseconds: Int64 = 1_000_000_000
  /// How long a client may leave what was sent untaken.
  private static let stallNanoseconds: Int64 = 120_000_000_000

  init(connection: Connection, handler: Handler) {
    self.connection = connection
    self.handler = handler
    connection.outputLimit = HTTPConnection.outputMark + MessageLimits.fromCoordinator
    deadline = Clocks.boot() + HTTPConnection.requestNanoseconds
    connection.onBytes = { [unowned self] bytes in
      if case .ending = stage { return }
      parser.append(bytes)
      pump()
    }
    connection.onDrained = { [unowned self] in
      fill()
      if case .streaming = stage { deadline = Int64.max }
      if connection.isOpen { handler.drained(self) }
    }
    // The loop holds the connection and this closure holds the client: until the connection closes.
    connection.onClose = { [self] _ in
      stage = .ending
      outbox = []
      outboxStart = 0
      handler.abandoned(self)
      handler.closed(self)
    }
  }

  var isBehind: Bool { connection.pendingOutput > HTTPConnection.outputMark / 4 || outbox.count > outboxStart }
  /// Whether a request is open in the core and nothing of its answer has been sent.
  var isUnanswered: Bool { if case .asked = stage { true } else { false } }

  /// The request goes to the core: its answer comes by `take`.
  func expect(_ style: HTTPStyle, shape: ((APIReply) -> APIReply)? = nil) {
    self.shape = shape
    stage = .asked(style, first: [])
    if style == .object(member: "items") || style == .object(member: "rows") {
      answerBy = Clocks.boot() + HTTPConnection.answerNanoseconds
    }
  }

  /// Answers at once with a whole body.
  func answer(_ code: Int, _ json: JSON, warnings: [String] = [], close: Bool = false) {
    let bytes = isPretty ? Array(json.pretty(indent: 2).utf8) : json.bytes + [0x0A]
    answer(code, bytes: bytes, type: "application/json", warnings: warnings, close: close)
  }

  /// Answers at once with a whole body of any type.
  func answer(_ code: Int, bytes: [UInt8], type: String, warnings: [String] = [], close: Bool = false) {
    guard connection.isOpen else { return }
    let ends = close || isLast
    let head = HTTPAnswer.head(code, type: type, length: bytes.count, warnings: warnings, close: ends)
    connection.send(isHead ? head : head + bytes)
    done(ends)
  }

  private func done(_ ends: Bool) {
    answerBy = Int64.max
    if ends {
      stage = .ending
      deadline = Clocks.boot() + HTTPConnection.stallNanoseconds
      connection.close(afterFlush: true)
    } else {
      stage = .reading
      connection.setReading(true)
      deadline = Clocks.boot() + HTTPConnection.idleNanoseconds
      pump()
    }
  }

  /// Answers what cannot be read on. The client may still be sending: what comes is dropped for a second, since closing
  /// at once would take the answer away from it.
  private func refuse(_ failure: HTTPFailure) {
    let body = HTTPAnswer.status(failure).bytes + [0x0A]
    let head = HTTPAnswer.head(
      failure.code, type: "application/json", length: body.count, warnings: [], close: true)
    connection.send(head + body)
    stage = .ending
    deadline = Clocks.boot() + HTTPConnection.refusedNanoseconds
  }

  /// Closes when what was sent has gone.
  func end() {
    stage = .ending
    connection.close(afterFlush: true)
  }

  // Requests.

  /// Takes whole requests while none is open; the rest stays in the parser and the socket.
  private func pump() {
    guard !isPumping else { return }
    isPumping = true
    defer { isPumping = false }
    while connection.isOpen, case .reading = stage {
      do throws(HTTPFailure) {
        let event = try parser.next()
        switch event {
        case nil:
          if parser.isInRequest {
            let limit = Clocks.boot() + HTTPConnection.requestNanoseconds
            if deadline > limit { deadline = limit }
          }
          return
        case .continueExpected: connection.send(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8))
        case .request(let request):
          isLast = request.isLast
          isHead = request.method == "HEAD"
          isPretty = HTTPMedia.isPretty(request)
          deadline = Int64.max
          handler.request(self, request)
        }
      } catch {
        refuse(error)
      }
    }
    // Pipelined requests wait in the parser, but not without bound.
    if connection.isOpen, parser.buffered > HTTPParser.headerLimit { connection.setReading(false) }
  }

  // Answers.

  func take(_ reply: APIReply, of id: Int64) {
    guard connection.isOpen else { return }
    take(shape?(reply) ?? reply)
  }

  private func take(_ reply: APIReply) {
    switch (stage, reply) {
    case (.asked(let style, let first), .items(let items)):
      if case .watch = style { return begin(style) }
      if first.isEmpty {
        stage = .asked(style, first: items)
      } else {
        begin(style)
        put(.items(first, isFirst: true))
        put(.items(items, isFirst: false))
      }
    case (.asked(let style, _), .event), (.asked(let style, _), .bytes):
      begin(style)
      take(reply)
    case (.asked(let style, let first), .done(let code, var object, let warnings)):
      if case .object(let member) = style, code == 200, HTTPAnswer.isFrame(object) { object[member] = .array(first) }
      if case .log = style, code == 200 {
        answer(200, bytes: [], type: HTTPAnswer.logType, warnings: warnings)
      } else {
        answer(code, object, warnings: warnings)
      }
    case (.streaming(let style), _): stream(reply, style)
    case (.reading, _), (.ending, _): return
    }
  }

  private func stream(_ reply: APIReply, _ style: HTTPStyle) {
    switch reply {
    case .items(let items): if !items.isEmpty { put(.items(items, isFirst: false)) }
    case .event(let type, let object): put(.event(type: type, object: object))
    case .bytes(let bytes): put(.bytes(bytes))
    case .done(let code, let object, _):
      if code != 200 {
        // Too late for a code: the missing end tells the client that this is not all.
        connection.close(afterFlush: true)
        stage = .ending
        return
      }
      if case .object = style {
        // The list's other members follow its elements; an object without members would leave a comma.
        var rest = object.bytes
        rest[0] = rest.count > 2 ? 0x2C : 0x20
        put(.bytes([0x5D] + rest + [0x0A]))
      }
      put(.end(last: isLast))
    }
  }

  private func begin(_ style: HTTPStyle) {
    answerBy = Int64.max
    stage = .streaming(style)
    let type = style == .log ? HTTPAnswer.logType : "application/json"
    connection.send(HTTPAnswer.head(200, type: type, length: nil, warnings: [], close: isLast))
    if case .object(let member) = style { put(.bytes(Array("{\"\(member)\":[".utf8))) }
  }

  /// Sends a part, or keeps it until the other side has taken what is before it.
  private func put(_ part: Part) {
    if connection.pendingOutput <= HTTPConnection.outputMark, outbox.count == outboxStart {
      return write(part)
    }
    if case .end = part {
    } else if outbox.count - outboxStart >= Peer.outboxLimit {
      return cutOff()
    }
    outbox.append(part)
    if deadline == Int64.max { deadline = Clocks.boot() + HTTPConnection.stallNanoseconds }
  }

  /// A watcher that is too far behind lists again, as Kubernetes has it: 410.
  private func cutOff() {
    outbox = []
    outboxStart = 0
    if case .streaming(.watch) = stage {
      let status = HTTPAnswer.status(410, "too old resource version: the watcher did not keep up")
      outbox = [.event(type: "ERROR", object: status), .end(last: true)]
    } else {
      connection.close(afterFlush: true)
    }
    stage = .ending
    handler.abandoned(self)
  }

  private func fill() {
    while outboxStart < outbox.count, connection.pendingOutput <= HTTPConnection.outputMark {
      let part = outbox[outboxStart]
      outboxStart += 1
      write(part)
    }
    if outboxStart == outbox.count || outboxStart > 1_024 {
      outbox.removeFirst(outboxStart)
      outboxStart = 0
    }
  }

  private func write(_ part: Part) {
    switch part {
    case .bytes(let bytes): connection.send(HTTPAnswer.chunk(bytes))
    case .event(let type, let object): connection.send(HTTPAnswer.chunk(HTTPAnswer.event(type, object)))
    case .items(let items, let isFirst): connection.send(HTTPAnswer.chunk(HTTPAnswer.elements(items, isFirst: isFirst)))
    case .end(let last):
      connection.send(Array("0\r\n\r\n".utf8))
      done(last)
    }
  }
}
