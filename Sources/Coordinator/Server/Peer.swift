// Owns: one connection to the coordinator: its stage (hello, agent, client, logs), the messages it brings, and the
// replies that wait until it takes them. It must not know the core: what it reads goes to its handler.

import ClusterIO
import ClusterProto
import CoordinatorCore

/// Who waits for answers of the core: a connection of the native protocol, or of HTTP.
protocol ReplyTaker: AnyObject {
  /// Open requests, by the taker's own number.
  var requests: [Int64: RequestID] { get set }
  /// More is waiting than the other side takes.
  var isBehind: Bool { get }
  /// So far behind that the core was asked to make no more.
  var isHeldBack: Bool { get }
  /// Whose requests these are, where users take turns.
  var lane: String { get }
  /// Who that is.
  var subject: Subject { get }
  /// A part of the answer to the request with the taker's number `id`.
  func take(_ reply: APIReply, of id: Int64)
  /// An event of the watch with the taker's number `id`, which others may be told, too.
  func take(_ event: WatchEvent, of id: Int64)
  /// The end of the stream that the request with the taker's number `id` asks for.
  func streamClient(of id: Int64) -> (any PodStreamClient)?
}

/// One connection, from accept to close. Used on the loop's thread only.
final class Peer: ReplyTaker, SlowTaker, TurnTaker {
  enum Stage {
    case hello(HandshakeServer)
    case agent
    case client
    case logs
    /// One stream into a pod, of its agent or of a client.
    case stream
    /// Has proven nothing, and may say one thing.
    case joiner
    /// An error was sent; what still comes is dropped, so that the other side can read it before the socket closes.
    case refused
  }

  /// What a peer tells the server. All calls come from within a turn.
  struct Handler {
    /// Who a peer is that has said its hello; throwing refuses the connection.
    var admit: (Peer, HandshakeResult) throws(ProtocolError) -> Subject
    /// The hello is over.
    var opened: (Peer, HandshakeResult) -> Void
    /// A message after the hello; throwing refuses the connection.
    var message: (Peer, JSON) throws(ProtocolError) -> Void
    /// A frame of a log stream, or of a stream into a pod.
    var logFrame: (Peer, [UInt8]) throws(ProtocolError) -> Void
    var refused: (Peer, ProtocolError) -> Void
    var closed: (Peer, Connection.CloseReason) -> Void
    /// All output has gone.
    var drained: (Peer) -> Void
    /// The client takes its answers more slowly than they are made (true), or has caught up (false).
    var held: (Peer, Bool) -> Void
  }

  let connection: Connection
  private(set) var stage: Stage
  /// Names the connection; an agent's session.
  let session: String
  /// Who is on the other end, after the hello.
  var subject = Subject.anonymous
  /// The token by which it has proven that; empty: a certificate.
  private(set) var token = ""
  /// What it is, after the hello.
  private(set) var role: ProtocolRole?
  /// Why its token is nobody's, for the audit, where that is more than its holder is told.
  var problem = ""
  /// Refused because its name, or all together, have too many connections.
  var isSurplus = false
  /// Events of this connection that wait for the core.
  var unprocessed = 0 {
    didSet {
      if unprocessed == 0 { bytesInFlight = 0 }
      resumeIfPossible()
    }
  }
  /// A log relay's client is behind: read no more until it has caught up.
  var isHeld = false { didSet { resumeIfPossible() } }
  /// Client: its open requests, by its own number.
  var requests: [Int64: RequestID] = [:]

  private var reader = MessageStream()
  private var outbox: [(message: JSON, bytes: Int)] = []
  private var outboxStart = 0
  /// Bytes that the outbox's messages have as text.
  private(set) var waitingBytes = 0
  private(set) var waitsSince = Int64.max
  /// More answers wait than may: its requests are not read, its lists not made further.
  private var isWaitingForClient = false
  /// Bytes that came since none of its events waited for the core.
  private var bytesInFlight = 0
  private var isPaused = false
  private var isPumping = false
  var isWaitingToRead = false
  private var isScheduled = false
  private let handler: Handler
  private let backlog: AnswerBacklog
  private let turns: WorkTurns

  /// Bytes that wait in the socket before replies wait as values instead.
  static let outputMark = 1 << 20
  /// Bytes of answers that wait which are written in one go, a last message aside.
  private static let pieceBytes = 64 << 10
  /// Replies that may wait; a watcher that is further behind is cut off and lists again, as Kubernetes does it.
  static let outboxLimit = 20_000
  /// A client whose outbox has more bytes is asked nothing and made nothing more until it has taken half of them.
  static let holdMark = 1 << 20
  /// Events of one connection that wait for the core before reading stops.
  static let eventLimit = 64
  /// Bytes that such events may have come in: as trees they are several times as large.
  static let byteLimit = 8 << 20
  private static let itemsInFrame = 64

  init(
    connection: Connection, handshake: HandshakeServer, session: String, handler: Handler, backlog: AnswerBacklog,
    turns: WorkTurns
  ) {
    self.turns = turns
    self.connection = connection
    self.session = session
    self.handler = handler
    self.backlog = backlog
    stage = .hello(handshake)
    // One message more than the mark, and room for what agents are sent without a queue.
    connection.outputLimit = Peer.outputMark + MessageLimits.fromCoordinator
    connection.onBytes = { [unowned self] bytes in
      if case .refused = stage { return }
      if case .hello = stage, WrongPort.isHTTP(bytes) { return refuse(WrongPort.error, saying: WrongPort.answer) }
      bytesInFlight += bytes.count
      reader.append(bytes)
      pump()
    }
    connection.onDrained = { [unowned self] in
      if outbox.count == outboxStart {
        handler.drained(self)
      } else if isClient {
        schedule()
      } else {
        fill(.max)
      }
    }
    // The loop holds the connection and this closure holds the peer: until the connection closes.
    connection.onClose = { [self] reason in
      takeRestOfLog()
      dropOutbox()
      stage = .refused
      handler.closed(self, reason)
    }
  }

  /// Has proven nothing yet.
  var isInHello: Bool {
    switch stage {
    case .hello, .joiner: true
    case .agent, .client, .logs, .stream, .refused: false
    }
  }
  var isClient: Bool { if case .client = stage { true } else { false } }
  var isRefused: Bool { if case .refused = stage { true } else { false } }
  var lane: String { subject.name }
  var isHeldBack: Bool { isWaitingForClient }
  /// The client has more waiting than it takes.
  var isBehind: Bool { connection.pendingOutput > Peer.outputMark / 4 || outbox.count > outboxStart }

  /// Sends a message, or keeps it until the other side has taken what is before it, or a turn has room for it. `bytes`:
  /// of its text, where that is known.
  func send(_ message: JSON, bytes known: @autoclosure () -> Int? = nil) {
    guard connection.isOpen, !isRefused else { return }
    let isFree = connection.pendingOutput <= Peer.outputMark && outbox.count == outboxStart
    if isFree, !isClient || turns.mayWriteAtOnce {
      let frames = MessageWriter.frames(message)
      if isClient { turns.spend(frames.count) }
      connection.send(frames)
    } else if outbox.count - outboxStart >= Peer.outboxLimit {
      refuse(ProtocolError(.busy, "too slow: \(Peer.outboxLimit) messages wait for you"))
    } else {
      let bytes = known() ?? message.extent(upTo: MessageLimits.fromCoordinator).bytes
      if outbox.count == outboxStart { waitsSince = Clocks.boot() }
      outbox.append((message, bytes))
      count(bytes)
      if isFree { schedule() }
    }
  }

  /// Its streams have connections of their own.
  func streamClient(of id: Int64) -> (any PodStreamClient)? { nil }

  /// Sends a frame of a stream.
  func send(payload: [UInt8]) {
    guard connection.isOpen, !isRefused, let frame = try? Frame.encode(payload) else { return }
    connection.send(frame)
  }

  private func schedule() {
    guard !isScheduled else { return }
    isScheduled = true
    turns.schedule(self)
  }

  func writeSome() {
    isScheduled = false
    guard connection.isOpen, !isRefused else { return }
    fill(Self.pieceBytes)
    if outboxStart < outbox.count, connection.pendingOutput <= Peer.outputMark { schedule() }
  }

  func readOn() { resumeIfPossible() }

  private func count(_ bytes: Int) {
    waitingBytes += bytes
    if case .client = stage { backlog.add(bytes) }
    guard !isWaitingForClient, waitingBytes > Self.holdMark, case .client = stage else { return }
    isWaitingForClient = true
    handler.held(self, true)
  }

  private func dropOutbox() {
    if case .client = stage { backlog.remove(waitingBytes) }
    outbox = []
    outboxStart = 0
    waitingBytes = 0
    waitsSince = Int64.max
  }

  /// Others need the room that its answers take.
  func closeForRoom() {
    refuse(ProtocolError(.busy, "too slow: \(waitingBytes) bytes of answers wait for you, and others need their room"))
  }

  func take(_ reply: APIReply, of id: Int64) {
    guard case .items(let items) = reply else { return send(ClientReply(id: id, reply: reply).json) }
    // Small frames: each is written only when the one before has been taken.
    for start in stride(from: 0, to: items.count, by: Self.itemsInFrame) {
      let piece = Array(items[start..<min(start + Self.itemsInFrame, items.count)])
      send(ClientReply(id: id, reply: .items(piece)).json)
    }
  }

  func take(_ event: WatchEvent, of id: Int64) {
    let reply = APIReply.event(type: event.type, object: event.object)
    send(ClientReply(id: id, reply: reply).json, bytes: event.bytes)
  }

  /// Tells the other side why, in the protocol's words or in `bytes`, and closes soon.
  func refuse(_ error: ProtocolError, saying bytes: [UInt8]? = nil) {
    guard connection.isOpen, !isRefused else { return }
    connection.send(bytes ?? words(error))
    dropOutbox()
    stage = .refused
    connection.setReading(true)
    handler.refused(self, error)
  }

  /// As the other side reads it where it is: a stream's frames are no JSON.
  private func words(_ error: ProtocolError) -> [UInt8] {
    let end = PodStreamFrame.end(PodStreamEnd(code: 500, message: error.message))
    if case .stream = stage, let frame = try? Frame.encode(end.payload) { return frame }
    return MessageWriter.frames(error.json)
  }

  private func fill(_ limit: Int) {
    var left = limit
    while left > 0, outboxStart < outbox.count, connection.pendingOutput <= Peer.outputMark {
      let (message, bytes) = outbox[outboxStart]
      outbox[outboxStart].message = .null
      outboxStart += 1
      waitingBytes -= bytes
      if case .client = stage { backlog.remove(bytes) }
      waitsSince = Clocks.boot()
      let frames = MessageWriter.frames(message)
      left -= frames.count
      turns.spend(frames.count)
      connection.send(frames)
    }
    if outboxStart == outbox.count || outboxStart > 1_024 {
      outbox.removeFirst(outboxStart)
      outboxStart = 0
    }
    if outbox.isEmpty { waitsSince = Int64.max }
    if isWaitingForClient, waitingBytes <= Self.holdMark / 2 {
      isWaitingForClient = false
      handler.held(self, false)
      resumeIfPossible()
    }
  }

  private func resumeIfPossible() {
    guard isPaused, !isHeld, !isWaitingForClient, unprocessed <= Peer.eventLimit / 2,
      unprocessed == 0 || bytesInFlight < Peer.byteLimit,
      connection.isOpen, !isRefused
    else { return }
    isPaused = false
    connection.setReading(true)
    pump()
  }

  /// Takes whole messages while the core keeps up; the rest stays in the reader and the socket.
  private func pump() {
    guard !isPumping else { return }
    isPumping = true
    defer { isPumping = false }
    do throws(ProtocolError) {
      while connection.isOpen {
        if isHeld || isWaitingForClient || unprocessed >= Peer.eventLimit
          || unprocessed > 0 && bytesInFlight >= Peer.byteLimit || isClient && !turns.mayRead(self)
        {
          isPaused = true
          connection.setReading(false)
          return
        }
        switch stage {
        case .refused: return
        case .logs, .stream:
          guard let frame = try reader.nextFrame() else { return }
          try handler.logFrame(self, frame)
        case .hello(let handshake):
          guard let message = try hello() else { return }
          let (result, welcome) = try handshake.receive(message)
          subject = try handler.admit(self, result)
          if connection.tls?.peer == nil { token = result.token }
          open(result, welcome)
        case .agent, .client, .joiner:
          guard let message = try reader.next() else { return }
          do throws(ProtocolError) {
            try handler.message(self, message)
          } catch {
            guard error.code == .unknownType else { throw error }
            send(error.json)
          }
        }
      }
    } catch {
      refuse(error)
    }
  }

  /// A log that was held back may have come whole with its end, and the connection's: at most what one read brings.
  private func takeRestOfLog() {
    switch stage {
    case .logs, .stream: break
    case .hello, .agent, .client, .joiner, .refused: return
    }
    // What is cut in the middle is no frame: its end was not said.
    while let frame = try? reader.nextFrame(), (try? handler.logFrame(self, frame)) != nil {}
  }

  /// What makes a hello too long is its token, most likely.
  private func hello() throws(ProtocolError) -> JSON? {
    do throws(ProtocolError) {
      return try reader.next()
    } catch {
      guard error.code == .tooLarge else { throw error }
      throw ProtocolError(
        .tooLarge,
        "\(error.message) for a hello; a token in it has at most \(JSONWebToken.limit) bytes: is it an account's?"
      )
    }
  }

  private func open(_ result: HandshakeResult, _ welcome: JSON) {
    role = result.role
    if result.role != .join { reader.finishHello(messageLimit: MessageLimits.toCoordinator) }
    switch result.role {
    case .agent: stage = .agent
    case .client: stage = .client
    case .logs: stage = .logs
    case .stream: stage = .stream
    case .join: stage = .joiner
    }
    send(welcome)
    handler.opened(self, result)
  }
}
