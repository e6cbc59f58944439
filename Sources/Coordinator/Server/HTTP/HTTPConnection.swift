// Owns: one HTTP connection: its requests one after the other, and the answer that is being written, as far as the
// client takes it. It must not know the core or what paths mean: whole requests go to its handler.

import ClusterIO
import ClusterProto
import CoordinatorCore

/// One connection, from accept to close. Used on the loop's thread only.
final class HTTPConnection: ReplyTaker, SlowTaker, TurnTaker, ByteSink {
  /// What a connection tells the door. All calls come from within a turn.
  struct Handler {
    var request: (HTTPConnection, HTTPRequest) -> Void
    /// A body of at most so many bytes is to come with this head; what is thrown refuses it unread.
    var body: (HTTPConnection, HTTPRequest, Int) throws(HTTPFailure) -> Void
    /// The handshake is over.
    var secured: (HTTPConnection) -> Void
    /// The answer has begun, or none will: the body's room is free.
    var bodyServed: (HTTPConnection) -> Void
    /// The client has gone, or its answer is cut off: `requests` are of no more use.
    var abandoned: (HTTPConnection) -> Void
    var closed: (HTTPConnection) -> Void
    var drained: (HTTPConnection) -> Void
    /// The client takes its list more slowly than it is made (true), or has caught up (false).
    var held: (HTTPConnection, Bool) -> Void
  }

  enum Stage {
    /// Waits for a request, or reads one.
    case reading
    /// The core has it; nothing was sent yet. `first`: list pieces that wait for the frame.
    case asked(HTTPStyle, first: [JSON])
    /// The head of a chunked answer was sent.
    case streaming(HTTPStyle)
    /// The answer is whole, and in the outbox as far as it was not sent.
    case sending
    /// Another protocol is spoken, which `session` knows.
    case upgraded
    /// Nothing more is read: the rest is sent, then it closes.
    case ending
  }

  let connection: Connection
  var requests: [Int64: RequestID] = [:]
  /// Who asks: whom the handshake has proven, else whom the token of the request that is being served has.
  private(set) var subject = Subject.anonymous
  /// The handshake has proven who asks.
  private(set) var isCertified = false
  /// The present request's token proves nothing, or there is none where the one before had one.
  private(set) var hasLostProof = false
  /// What is wrong where a certificate was shown whose time is not now.
  var clockProblem: String? { connection.tls?.clockProblem }
  /// There is no place for it: it may be told so, and no more.
  private(set) var isSurplus = false
  /// Bytes of room that the door has given to the request's body.
  var bodyRoom = 0
  /// Boot nanoseconds by which the client must have done something, `Int64.max` while it owes nothing.
  var deadline = Int64.max
  /// Boot nanoseconds by which the core must have begun to answer.
  var answerBy = Int64.max

  var parser = HTTPParser()
  var stage = Stage.reading
  var isLast = false
  /// A HEAD request: its answer has no body.
  private(set) var isHead = false
  /// Whether whole answers of objects are indented. Answers that stream never are.
  var isPretty = false
  /// Whether answers are YAML. A list that streams has its items first, then its other members.
  var isYAML = false
  /// What the connection is to speak once its request has been answered so, or speaks already.
  var session: (any UpgradedSession)?
  /// Lays the answer's parts out for another group than that of the stored kind.
  private var shape: HTTPShape?
  private var isPumping = false
  private var acceptsGzip = false
  private var gzip: GzipStream?
  private var outbox = Outbox()
  private var isScheduled = false
  var isWaitingToRead = false
  private var isHeld = false
  /// A log is being sent: the client may take its time.
  private var isPatient = false
  let output: HTTPOutput
  private let handler: Handler
  /// Bodies from here on are compressed for who accepts it, as Kubernetes does.
  static let gzipMinimum = 128 * 1024
  /// A list is made no further while more of it waits.
  private static let holdMark = 1 << 20
  /// A request that has begun must be whole by then; a handshake, too.
  private static let requestNanoseconds: Int64 = 30_000_000_000
  private static let idleNanoseconds: Int64 = 300_000_000_000
  /// The same two of a client that has not proven who it is.
  private static let unprovenRequestNanoseconds: Int64 = 10_000_000_000
  private static let unprovenIdleNanoseconds: Int64 = 30_000_000_000
  private static let answerNanoseconds: Int64 = 60_000_000_000
  private static let refusedNanoseconds: Int64 = 1_000_000_000
  private static let surplusNanoseconds: Int64 = 2_000_000_000
  /// How long a client may leave what was sent untaken.
  private static let stallNanoseconds: Int64 = 120_000_000_000
  /// The same for a log, whose reader may be a person with a pager: what it does not take waits on its node.
  private static let logStallNanoseconds: Int64 = 3_600_000_000_000
  /// The kernel gives a connection up whose client has not made room for so long; 0 for a log: as long as it answers.
  private static let userTimeoutMilliseconds: UInt32 = 60_000

  init(connection: Connection, output: HTTPOutput, handler: Handler) {
    self.connection = connection
    self.output = output
    self.handler = handler
    connection.outputLimit = HTTPOutput.outputMark + MessageLimits.fromCoordinator
    connection.setUserTimeout(milliseconds: HTTPConnection.userTimeoutMilliseconds)
    deadline = Clocks.boot() + HTTPConnection.unprovenRequestNanoseconds
    parser.headLimit = HTTPParser.unprovenHeaderLimit
    connection.onSecured = { [unowned self] in
      if let peer = connection.tls?.peer {
        subject =
          Subject(
            commonName: peer.commonName, organizations: peer.organizations, key: peer.keyDigest,
            authority: peer.authority, from: connection.peer)
          ?? .anonymous
      }
      isCertified = subject.isAuthenticated
      if isCertified {
        parser.headLimit = HTTPParser.headerLimit
        deadline = Clocks.boot() + HTTPConnection.requestNanoseconds
      }
      handler.secured(self)
    }
    connection.onBytes = { [unowned self] bytes in
      if case .ending = stage { return }
      if case .upgraded = stage { session?.receive(bytes); return }
      parser.append(bytes)
      pump()
    }
    connection.onDrained = { [unowned self] in
      if !outbox.isEmpty {
        deadline = stallDeadline
        schedule()
      } else if case .streaming = stage {
        deadline = Int64.max
      }
      handler.drained(self)
      if case .upgraded = stage { session?.drained(); return }
      // Requests that waited until their answers would be taken.
      pump()
    }
    // The loop holds the connection and this closure holds the client: until the connection closes.
    connection.onClose = { [self] _ in
      stage = .ending
      dropOutbox()
      giveBackRoom()
      handler.abandoned(self)
      handler.closed(self)
      session = nil
    }
  }

  var isBehind: Bool { outbox.bytes + connection.pendingOutput > HTTPOutput.outputMark / 2 }
  private var stallDeadline: Int64 {
    Clocks.boot() + (isPatient ? HTTPConnection.logStallNanoseconds : HTTPConnection.stallNanoseconds)
  }
  /// Bytes that wait here because the client does not take them; nil unless it watches.
  var watchBacklog: Int? { if case .streaming(.watch) = stage { outbox.bytes } else { nil } }
  var waitingBytes: Int { outbox.bytes }
  var lane: String { subject.name }
  var isHeldBack: Bool { isHeld }
  private(set) var waitsSince = Int64.max
  /// Whether a request is open in the core and nothing of its answer has been sent.
  var isUnanswered: Bool { if case .asked = stage { true } else { false } }

  /// Takes who the present request's token has proven; nil: nobody. `triedToken`: it has one.
  func bear(_ owner: Subject?, triedToken: Bool) {
    hasLostProof = owner == nil && (triedToken || subject.isAuthenticated)
    subject = owner ?? .anonymous
    if owner != nil { parser.headLimit = HTTPParser.headerLimit }
  }

  /// Nothing is done for it but to tell it why; it has a moment to ask.
  func makeSurplus() {
    isSurplus = true
    deadline = min(deadline, Clocks.boot() + HTTPConnection.surplusNanoseconds)
  }

  /// The request goes to the core: its answer comes by `take`.
  func expect(_ style: HTTPStyle, shape: HTTPShape? = nil) {
    self.shape = shape
    stage = .asked(style, first: [])
    if case .object = style {
      answerBy = Clocks.boot() + HTTPConnection.answerNanoseconds
    }
  }

  /// Answers at once with a whole body.
  func answer(_ code: Int, _ json: JSON, warnings: [String] = [], close: Bool = false) {
    let retries = json["details"]?["retryAfterSeconds"] != nil
    if isYAML {
      return answer(
        code, bytes: json.yamlBytes, type: HTTPAnswer.yamlType, warnings: warnings, close: close,
        retries: retries)
    }
    var bytes = isPretty ? Array(json.pretty(indent: 2).utf8) : json.bytes
    if !isPretty { bytes.append(0x0A) }
    answer(code, bytes: bytes, type: HTTPAnswer.jsonType, warnings: warnings, close: close, retries: retries)
  }

  /// Answers at once with a whole body of any type.
  func answer(
    _ code: Int, bytes: [UInt8], type: String, warnings: [String] = [], close: Bool = false, retries: Bool = false
  ) {
    guard connection.isOpen else { return }
    giveBackRoom()
    output.turns.spend(bytes.count)
    isLast = isLast || close
    var body = bytes
    var isGzip = false
    if acceptsGzip, code < 300, body.count >= HTTPConnection.gzipMinimum, let gzip = GzipStream() {
      body = gzip.write(body, isLast: true)
      isGzip = true
    }
    var whole = output.head(
      code, type: type, length: body.count, warnings: warnings, close: isLast, isGzip: isGzip, retries: retries)
    if isHead { body = [] }
    if body.count <= HTTPOutput.outputMark {
      whole.append(contentsOf: body)
      connection.send(whole)
      return done()
    }
    stage = .sending
    put(OutgoingBytes(whole, backlog: output.answers))
    for start in stride(from: 0, to: body.count, by: HTTPOutput.outputMark) {
      put(OutgoingBytes(Array(body[start..<min(start + HTTPOutput.outputMark, body.count)]), backlog: output.answers))
    }
  }

  func done() {
    answerBy = Int64.max
    gzip = nil
    session = nil
    release()
    if isLast {
      stage = .ending
      let wait = isSurplus ? HTTPConnection.surplusNanoseconds : HTTPConnection.stallNanoseconds
      deadline = Clocks.boot() + wait
      connection.close(afterFlush: true)
    } else {
      stage = .reading
      if isPatient { connection.setUserTimeout(milliseconds: HTTPConnection.userTimeoutMilliseconds) }
      isPatient = false
      let idle = subject.isAuthenticated ? HTTPConnection.idleNanoseconds : HTTPConnection.unprovenIdleNanoseconds
      deadline = Clocks.boot() + idle
      pump()
    }
  }

  /// Answers what cannot be read on. The client may still be sending: what comes is dropped for a second, since closing
  /// at once would take the answer away from it.
  private func refuse(_ failure: HTTPFailure) {
    let body = HTTPAnswer.status(failure).bytes + [0x0A]
    connection.send(
      output.head(
        failure.code, type: HTTPAnswer.jsonType, length: body.count, close: true, retries: failure.code == 429)
        + body)
    giveBackRoom()
    parser = HTTPParser()
    stage = .ending
    deadline = Clocks.boot() + HTTPConnection.refusedNanoseconds
  }

  /// Closes when what was sent has gone.
  func end() {
    writeSome()
    stage = .ending
    connection.close(afterFlush: true)
  }

  // Requests.

  /// Takes whole requests while none is open; the rest stays in the parser and the socket.
  private func pump() {
    guard !isPumping else { return }
    isPumping = true
    defer {
      isPumping = false
      adjustReading()
    }
    // One that does not take its answers gets no more: they would wait here without bound.
    while connection.isOpen, connection.pendingOutput <= HTTPOutput.outputMark, case .reading = stage,
      parser.buffered == 0 || output.turns.mayRead(self)
    {
      do throws(HTTPFailure) {
        let event = try parser.next()
        switch event {
        case nil:
          if parser.isInRequest {
            let limit = Clocks.boot() + requestNanoseconds
            if deadline > limit { deadline = limit }
          }
          return
        case .body(let request, let most, let isAwaited):
          try handler.body(self, request, most)
          if isAwaited { connection.send(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)) }
        case .request(let request):
          isLast = request.isLast
          isHead = request.method == "HEAD"
          isPretty = false
          isYAML = false
          acceptsGzip = HTTPAnswer.acceptsGzip(request.header("accept-encoding"))
          deadline = Int64.max
          handler.request(self, request)
        }
      } catch {
        refuse(error)
      }
    }
  }

  func readOn() { pump() }

  /// Pipelined requests wait in the parser, but not without bound.
  private func adjustReading() {
    guard connection.isOpen else { return }
    switch stage {
    case .ending, .upgraded: return
    case .reading, .asked, .streaming, .sending: break
    }
    let isReading = if case .reading = stage { true } else { false }
    let isReady = isReading && !isWaitingToRead && connection.pendingOutput <= HTTPOutput.outputMark
    if isReady || parser.buffered > parser.headLimit { connection.setReading(isReady) }
  }

  private var requestNanoseconds: Int64 {
    subject.isAuthenticated ? HTTPConnection.requestNanoseconds : HTTPConnection.unprovenRequestNanoseconds
  }

  func giveBackRoom() { if bodyRoom > 0 { handler.bodyServed(self) } }

  // Answers.

  func take(_ reply: APIReply, of id: Int64) {
    guard connection.isOpen else { return }
    if let session, session.take(reply, of: id) { return }
    take(shape?.apply(reply) ?? reply)
  }

  private func take(_ reply: APIReply) {
    switch (stage, reply) {
    case (.asked(let style, let first), .items(var items)):
      if case .object(_, isBare: true) = style { items = items.map { HTTPAnswer.bare($0) } }
      if first.isEmpty, style != .watch {
        stage = .asked(style, first: first + items)
      } else {
        begin(style, first)
        stream(.items(items), style)
      }
    case (.asked(let style, _), .event), (.asked(let style, _), .bytes):
      begin(style, [])
      stream(reply, style)
    case (.asked(let style, let first), .done(let code, var object, let warnings)):
      if case .object(let member, _) = style, code == 200, HTTPAnswer.isFrame(object) { object[member] = .array(first) }
      if case .log = style, code == 200 {
        answer(200, bytes: [], type: HTTPAnswer.logType, warnings: warnings)
      } else {
        answer(code, object, warnings: warnings)
      }
    case (.streaming(let style), .items(let items)):
      if case .object(_, isBare: true) = style { return stream(.items(items.map { HTTPAnswer.bare($0) }), style) }
      stream(reply, style)
    case (.streaming(let style), _): stream(reply, style)
    case (.reading, _), (.sending, _), (.upgraded, _), (.ending, _): return
    }
  }

  func take(_ event: WatchEvent, of id: Int64) {
    guard connection.isOpen else { return }
    // Another group's form of it is this connection's own.
    if let shape {
      guard let chunk = event.chunk(shape, output.ledger) else { return }
      return put(event: chunk)
    }
    put(event: event.chunk(output.ledger))
  }

  private func put(event chunk: OutgoingBytes) {
    if case .asked(let style, _) = stage { begin(style, []) }
    if case .streaming(.watch) = stage { put(chunk) }
  }

  private func stream(_ reply: APIReply, _ style: HTTPStyle) {
    switch reply {
    case .items(let items):
      if style == .watch { return }
      for piece in HTTPAnswer.elements(items, after: isYAML ? [] : [0x2C], isYAML: isYAML) { emit(piece) }
    case .event(let type, let object): put(WatchEvent(type, object).chunk(output.ledger))
    case .bytes(let bytes): emit(bytes)
    case .done(let code, let object, _):
      if code != 200 {
        // Too late for a code: the missing end tells the client that this is not all, once it has what there is.
        isLast = true
        stage = .sending
        if outbox.isEmpty { done() }
        return
      }
      if case .object = style { emit(HTTPAnswer.end(ofList: object, isYAML: isYAML)) }
      if let gzip { put(OutgoingBytes(HTTPAnswer.chunk(gzip.write([], isLast: true)), backlog: output.answers)) }
      put(OutgoingBytes(HTTPAnswer.lastChunk, backlog: output.answers))
      stage = .sending
    }
  }

  /// Sends the head of a chunked answer, and of a list what came first.
  private func begin(_ style: HTTPStyle, _ first: [JSON]) {
    giveBackRoom()
    answerBy = Int64.max
    stage = .streaming(style)
    var pieces: [[UInt8]] = []
    if case .object(let member, _) = style {
      let opening = isYAML ? "\(member):\n" : "{\"\(member)\":["
      pieces = HTTPAnswer.elements(first, after: Array(opening.utf8), isYAML: isYAML)
      let size = pieces.reduce(0) { $0 + $1.count }
      if acceptsGzip, size >= HTTPConnection.gzipMinimum { gzip = GzipStream() }
    }
    if style == .log {
      isPatient = true
      connection.setUserTimeout(milliseconds: 0)
    }
    let type = style == .log ? HTTPAnswer.logType : isYAML ? HTTPAnswer.yamlType : HTTPAnswer.jsonType
    connection.send(output.head(200, type: type, length: nil, close: isLast, isGzip: gzip != nil))
    for piece in pieces { emit(piece) }
  }

  /// Adds to a chunked body.
  private func emit(_ bytes: [UInt8]) {
    output.turns.spend(bytes.count)
    put(OutgoingBytes(HTTPAnswer.chunk(gzip.map { $0.write(bytes) } ?? bytes), backlog: output.answers))
  }

  // What waits until the other side takes it.

  private func put(_ part: OutgoingBytes) {
    if part.bytes.isEmpty { return }
    if case .streaming(.watch) = stage, outbox.count >= Peer.outboxLimit { return cutOff() }
    if outbox.isEmpty { waitsSince = Clocks.boot() }
    outbox.append(part)
    output.count(parts: 1)
    if deadline == Int64.max { deadline = stallDeadline }
    if !isHeld, outbox.bytes > HTTPConnection.holdMark, !requests.isEmpty {
      isHeld = true
      handler.held(self, true)
    }
    schedule()
  }

  private func schedule() {
    guard !isScheduled else { return }
    isScheduled = true
    output.turns.schedule(self)
  }

  private func release() {
    guard isHeld else { return }
    isHeld = false
    handler.held(self, false)
  }

  /// Sends what waits, as far as the socket's own buffer here has room. Its turn comes by `HTTPOutput`.
  func writeSome() {
    isScheduled = false
    guard connection.isOpen else { return }
    let count = outbox.count
    while !outbox.isEmpty, connection.pendingOutput <= HTTPOutput.outputMark { connection.send(outbox.takeSome()) }
    output.count(parts: outbox.count - count)
    if outbox.count != count { waitsSince = Clocks.boot() }
    if outbox.bytes <= HTTPConnection.holdMark / 2 { release() }
    if outbox.isEmpty, case .sending = stage { done() }
  }

  private func dropOutbox() {
    output.count(parts: -outbox.count)
    outbox = Outbox()
  }

  /// Others need the room that its answer takes. A watcher is told; an answer that has begun only ends too early.
  func closeForRoom() {
    if case .streaming(.watch) = stage { return cutOff() }
    let waiting = "\(waitingBytes) bytes of answers wait for it, and others need their room"
    ServerLog.info("slow client closed", ("peer", connection.peer), ("reason", waiting))
    dropOutbox()
    connection.close()
  }

  /// A watcher that is too far behind lists again, as Kubernetes has it: 410.
  func cutOff() {
    dropOutbox()
    stage = .sending
    isLast = true
    let status = HTTPAnswer.status(410, "too old resource version: the watcher did not keep up")
    put(WatchEvent("ERROR", status).chunk(output.ledger))
    put(OutgoingBytes(HTTPAnswer.lastChunk, backlog: output.answers))
    handler.abandoned(self)
  }
}
