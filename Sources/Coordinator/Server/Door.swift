// Owns: all connections to the coordinator: who they are (sessions, requests, log streams), what each role may say,
// and limits on those that have not proven anything yet. It must not know the core: events go out by `post`.

import ClusterIO
import ClusterProto
import CoordinatorCore

/// The native protocol's side of the server.
final class Door {
  /// Hands an event to the core's queue.
  /// With whose request it is, where it is one.
  var post: (Peer?, CoordinatorEvent, String?) -> Void = { _, _, _ in }

  /// The core's answer to who may do what.
  var authorize: (Subject, AccessAttributes) -> AccessDecision = { _, _ in .denied(reason: "") }
  /// The core's word on whose certificate does not count, and why.
  var revocation: (Subject) -> String? = { _ in nil }
  /// Whose a token is, for any of these audiences.
  var verdict: (String, [String]) -> TokenVerdict = { _, _ in .invalid("") }

  /// How long a hello may take.
  var helloMilliseconds = Handshake.timeoutMilliseconds

  private struct OpenRequest {
    var client: any ReplyTaker
    var clientID: Int64
  }

  /// Answers that wait on either door.
  let backlog: AnswerBacklog
  /// What clients of either door read and write in a turn.
  let turns = WorkTurns()
  /// Of connections of either door that have proven who they are.
  let places: ConnectionPlaces
  /// Of the certificates that connections of either door were opened by.
  let ends: CertificateEnds

  private let loop: EventLoop
  private let cluster: String
  private let incarnation: Int64
  private var tls: TLSContext
  private let program: String
  private(set) var peers: [ObjectIdentifier: Peer] = [:]
  /// When connections in the hello, or refused ones, are closed: boot nanoseconds.
  private var deadlines: [ObjectIdentifier: Int64] = [:]
  private var unproven: UnprovenPlaces
  /// Refused connections that may still read why, the first refused first.
  private var lingering: [ObjectIdentifier] = []
  private var sessions: [SessionID: Peer] = [:]
  private var requests: [RequestID: OpenRequest] = [:]
  private var streams: [ObjectIdentifier: String] = [:]
  private var lastRequest: RequestID = 0
  /// When the crowd was last looked through: boot nanoseconds.
  private var crowdLook: Int64 = 0
  private lazy var relays = LogRelays(loop: loop, places: places) { [unowned self] request in forget(request) }
  private lazy var podStreams = PodStreamRelays(loop: loop, places: places) { [unowned self] request in
    forget(request)
  }
  private lazy var deadlineTimer = loop.makeTimer { [unowned self] in expire() }

  /// Connections that may be in their hello at once, where the process may have enough files open.
  static let helloLimit = 256
  private static let crowdLookNanoseconds: Int64 = 100_000_000
  /// Open requests of one client connection.
  static let requestLimit = 256
  /// How long a refused connection may stay to read why.
  private static let refusedNanoseconds: Int64 = 1_000_000_000

  /// `tls`: the coordinator's own, of the authority whose certificates tell who others are.
  init(
    loop: EventLoop, cluster: String, incarnation: Int64, tls: TLSContext, budget: DescriptorBudget,
    program: String = ""
  ) {
    places = ConnectionPlaces(budget)
    unproven = UnprovenPlaces(limit: budget.hellos)
    self.program = program
    self.tls = tls
    self.loop = loop
    backlog = AnswerBacklog(loop: loop)
    ends = CertificateEnds(loop: loop)
    self.cluster = cluster
    self.incarnation = incarnation
  }

  /// What connections of this door are secured by.
  static func context(_ pki: PKI) throws(IOError) -> TLSContext {
    let context = try TLSContext(server: pki.shownServer, authority: pki.authorities.bundle, newest: true)
    context.plainTextAnswer = Array(
      "HTTP/1.0 400 Bad Request\r\n\r\nThis port speaks stint's own protocol over TLS.\n".utf8)
    return context
  }

  /// New connections get these certificates; one that cannot be used changes nothing.
  func renew(_ pki: PKI) {
    do throws(IOError) {
      tls = try Door.context(pki)
    } catch {
      ServerLog.error("the server's certificate cannot be used", ("reason", error.description))
    }
  }

  /// Clients for which answers wait. In any order.
  var slowTakers: [any SlowTaker] { peers.values.filter { $0.waitingBytes > 0 && $0.isClient } }

  /// Connections in any stage.
  var connectionCount: Int { peers.count }

  func accept(_ connection: Connection) {
    // A handshake costs far more than a connection: who is one too many gets none.
    // No machine has all the places, and none keeps one for long while others wait.
    let origin = SocketAddress(parsing: connection.peer)?.origin
    if unproven.isFull { thinCrowd() }
    guard !unproven.isFull, unproven.hasRoom(for: origin), let name = try? Crypto.randomBytes(16),
      (try? connection.startTLS(tls)) != nil
    else {
      connection.close()
      return
    }
    let session = Hexadecimal.text(name)
    let handshake = HandshakeServer(
      cluster: cluster, incarnation: incarnation, session: session, program: program)
    let peer = Peer(
      connection: connection, handshake: handshake, session: session, handler: handler, backlog: backlog,
      turns: turns)
    peers[ObjectIdentifier(peer)] = peer
    unproven.add(peer, from: origin, at: Clocks.boot())
    setDeadline(peer, helloMilliseconds * 1_000_000)
  }

  /// While all places are taken, whoever has had one for seconds gives it up.
  private func thinCrowd() {
    let now = Clocks.boot()
    guard now - crowdLook >= Self.crowdLookNanoseconds else { return }
    crowdLook = now
    // In any order: each concerns one connection alone.
    for peer in peers.values where unproven.mustLeave(peer, at: now) {
      peer.refuse(ProtocolError(.busy, "all places for a hello are taken, and others wait: try again"))
    }
  }

  // What the core sends.

  func send(_ message: CoordinatorMessage, to session: SessionID) { sessions[session]?.send(message.json) }

  func send(_ notice: JSON, to session: SessionID) { sessions[session]?.send(notice) }

  func close(_ session: SessionID, reason: String) {
    guard let peer = sessions[session] else { return }
    ServerLog.info("session closed", ("session", session), ("peer", peer.connection.peer), ("reason", reason))
    peer.connection.close(afterFlush: true)
  }

  /// Whoever has proven one of these keys is told why and goes, whatever its role.
  func close(holdersOf keys: [String], reason: String) {
    // In any order: each concerns one connection alone.
    for peer in peers.values where keys.contains(peer.subject.key) {
      peer.refuse(ProtocolError(.unauthorized, reason))
    }
  }

  /// The same for whom that authority has vouched for.
  func close(authority: String, reason: String) {
    for peer in peers.values where peer.subject.authority == authority {
      peer.refuse(ProtocolError(.unauthorized, reason))
    }
  }

  func reply(_ reply: APIReply, to request: RequestID) {
    guard let open = requests[request] else { return }
    if case .done = reply { forget(request) }
    open.client.take(reply, of: open.clientID)
  }

  /// To who asked for a certificate; a joiner's connection has served its purpose then.
  func answer(_ answer: JoinAnswer, to target: IssueTarget) {
    switch target {
    case .session(let session):
      let renewal: RenewAnswer =
        switch answer {
        case .joined(let certificate, let authority, _): .renewed(certificate: certificate, authority: authority)
        case .refused(let reason, _): .refused(reason: reason)
        }
      sessions[session]?.send(renewal.json)
    case .joiner(let request):
      guard let peer = requests[request]?.client as? Peer else { return }
      forget(request)
      peer.send(answer.json)
      peer.connection.close(afterFlush: true)
      setDeadline(peer, Self.refusedNanoseconds)
    }
  }

  /// The same event to many.
  func tell(_ ids: [RequestID], _ event: WatchEvent) {
    for id in ids { if let open = requests[id] { open.client.take(event, of: open.clientID) } }
  }

  func startLogs(_ logs: LogRequest, of session: SessionID, for request: RequestID) {
    guard let open = requests[request] else { return }
    guard let agent = sessions[session] else {
      let message = "the node's agent is not connected"
      let status = ReplyStatus.failure(code: 500, message: message)
      return reply(.done(code: 500, object: status, warnings: []), to: request)
    }
    let isExpected = relays.expect(
      stream: logs.stream, of: agent.subject, client: open.client, clientID: open.clientID, request: request)
    if isExpected { agent.send(CoordinatorMessage.logs(logs).json) }
  }

  func startStream(_ wanted: PodStreamRequest, of session: SessionID, for request: RequestID) {
    guard let open = requests[request] else { return }
    guard let agent = sessions[session] else {
      let status = ReplyStatus.failure(code: 500, message: "the node's agent is not connected")
      return reply(.done(code: 500, object: status, warnings: []), to: request)
    }
    let client: any PodStreamClient
    if let known = open.client.streamClient(of: open.clientID) {
      client = known
    } else if open.client is Peer {
      client = NativeStreamClient(loop: loop, asker: open.client, clientID: open.clientID, stream: wanted.stream)
    } else {
      // Whoever asked has given it up since.
      return forget(request)
    }
    let isExpected = podStreams.expect(
      stream: wanted.stream, of: agent.subject, for: open.client.subject, client: client, request: request)
    if isExpected { agent.send(CoordinatorMessage.stream(wanted).json) }
  }

  /// Every connection closes when its output has gone.
  func closeAfterFlush() { for peer in peers.values { peer.connection.close(afterFlush: true) } }

  /// Every connection closes now.
  func closeAll() { for peer in peers.values { peer.connection.close() } }

  // What connections bring.

  private lazy var handler = Peer.Handler(
    admit: { [unowned self] (peer, result) throws(ProtocolError) in
      let subject = try subject(of: peer, result)
      try takePlace(peer, subject, result.role)
      return subject
    },
    opened: { [unowned self] peer, result in opened(peer, result) },
    message: { [unowned self] (peer, message) throws(ProtocolError) in try receive(message, from: peer) },
    logFrame: { [unowned self] (peer, frame) throws(ProtocolError) in
      guard let stream = streams[ObjectIdentifier(peer)] else { return }
      guard peer.role == .stream else { return try relays.receive(frame, stream: stream) }
      try podStreams.receive(frame, stream: stream, from: peer)
    },
    refused: { [unowned self] peer, error in
      logRefusal(peer, error)
      leave(peer)
      linger(peer)
    },
    closed: { [unowned self] peer, _ in
      leave(peer)
      lingering.removeAll { $0 == ObjectIdentifier(peer) }
      peers[ObjectIdentifier(peer)] = nil
      deadlines[ObjectIdentifier(peer)] = nil
    },
    drained: { [unowned self] peer in
      if peer.role == .stream, let stream = streams[ObjectIdentifier(peer)] {
        return podStreams.drained(peer, stream: stream)
      }
      relays.drained(peer)
    },
    held: { [unowned self] peer, isHeld in hold(peer, isHeld) })

  /// Who bears a token. Asked again for each request: the token may have died since.
  func bearer(of token: String, _ peer: Peer) throws(ProtocolError) -> Subject {
    switch verdict(token, [TokenClaims.issuer]) {
    case .valid(let claims, _): return Subject(claims, door: .native, from: peer.connection.peer)
    case .invalid(let why, let told):
      peer.problem = why
      throw ProtocolError(.unauthorized, told ?? why)
    }
  }

  /// Who is on the other end: what its certificate says, which has to fit what it wants to be; else a client's token.
  private func subject(of peer: Peer, _ result: HandshakeResult) throws(ProtocolError) -> Subject {
    if result.role == .join { return .joiner(from: peer.connection.peer) }
    let tls = peer.connection.tls
    let isClient = result.role == .client || result.role == .stream
    if tls?.peer == nil, isClient, !result.token.isEmpty { return try bearer(of: result.token, peer) }
    guard let proven = tls?.peer,
      let subject = Subject(
        commonName: proven.commonName, organizations: proven.organizations, key: proven.keyDigest,
        authority: proven.authority, door: .native, from: peer.connection.peer)
    else {
      throw ProtocolError(
        .unauthorized,
        tls?.clockProblem
          ?? "no certificate of this cluster's authority and no token was shown: use a kubeconfig or an identity of "
          + "this cluster")
    }
    if let reason = revocation(subject) { throw ProtocolError(.unauthorized, reason) }
    guard isClient || subject.node != nil else {
      throw ProtocolError(
        .unauthorized, "\(JSON.string(subject.name).text) is no agent: an agent's certificate names its node")
    }
    return subject
  }

  private func opened(_ peer: Peer, _ result: HandshakeResult) {
    // A joiner has proven nothing: its place among the hellos and its deadline stay.
    if result.role == .join { return }
    deadlines[ObjectIdentifier(peer)] = nil
    unproven.remove(peer)
    if let end = peer.connection.tls?.peer?.end {
      ends.add(peer, of: peer.subject, end: end) { [unowned peer] reason in
        peer.refuse(ProtocolError(.unauthorized, reason))
      }
    }
    switch result.role {
    case .client, .join: break
    case .agent:
      sessions[peer.session] = peer
      peer.connection.setUserTimeout(milliseconds: 10_000)
      post(peer, .sessionOpened(peer.session, by: peer.subject), nil)
    case .logs:
      do throws(ProtocolError) {
        try relays.attach(peer, stream: result.stream)
        streams[ObjectIdentifier(peer)] = result.stream
      } catch {
        peer.refuse(error)
      }
    case .stream:
      do throws(ProtocolError) {
        try podStreams.attach(peer, stream: result.stream)
        streams[ObjectIdentifier(peer)] = result.stream
        peer.connection.setKeepAlive(seconds: 60)
        // What an agent has said is read to its end; a client that closes has gone.
        peer.connection.endsUnread = peer.subject.node == nil
      } catch {
        peer.refuse(error)
      }
    }
  }

  /// Takes a request of an HTTP connection, which has one at a time, and says in it who asks.
  func open(_ request: APIRequest, id: Int64, from client: HTTPConnection) {
    post(nil, .request(register(client, id: id), request), client.lane)
  }

  /// The client of these requests has gone.
  func abandon(_ client: any ReplyTaker) { for request in client.requests.values.sorted() { cancel(request) } }

  /// A client takes its answers more slowly than they are made, or has caught up.
  func hold(_ client: any ReplyTaker, _ isHeld: Bool) {
    for request in client.requests.values.sorted() { post(nil, .requestHeld(request, isHeld), nil) }
  }

  /// A client has taken all that was sent: logs that were held back go on.
  func drained(_ client: any ReplyTaker) { relays.drained(client) }

  func register(_ client: any ReplyTaker, id: Int64) -> RequestID {
    lastRequest += 1
    client.requests[id] = lastRequest
    requests[lastRequest] = OpenRequest(client: client, clientID: id)
    return lastRequest
  }

  func cancel(_ request: RequestID) {
    relays.cancel(request)
    podStreams.cancel(request)
    forget(request)
    post(nil, .requestCancelled(request), nil)
  }

  /// The events that still concern somebody: a request whose client has gone has not begun and never will. Word of a
  /// cancelled or held request comes ahead of requests that wait, so those learn here that their client is behind.
  func current(_ events: [CoordinatorEvent]) -> [CoordinatorEvent] {
    var result: [CoordinatorEvent] = []
    result.reserveCapacity(events.count)
    for event in events {
      guard let id = event.openedRequest else {
        result.append(event)
        continue
      }
      guard let open = requests[id] else { continue }
      result.append(event)
      if open.client.isHeldBack { result.append(.requestHeld(id, true)) }
    }
    return result
  }

  private func forget(_ request: RequestID) {
    guard let open = requests.removeValue(forKey: request) else { return }
    open.client.requests[open.clientID] = nil
  }

  /// Whatever the connection was, it is no longer; happens once for a refusal and again when it closes.
  private func leave(_ peer: Peer) {
    let identity = ObjectIdentifier(peer)
    if sessions[peer.session] === peer {
      sessions[peer.session] = nil
      post(nil, .sessionClosed(peer.session), nil)
    }
    abandon(peer)
    ends.remove(peer)
    if let stream = streams.removeValue(forKey: identity) {
      if peer.role == .stream { podStreams.closed(peer, stream: stream) } else { relays.sourceClosed(stream: stream) }
    }
    unproven.remove(peer)
    places.remove(peer)
  }

  /// A log connection counts for whose log it is, a joiner among the hellos.
  private func takePlace(_ peer: Peer, _ subject: Subject, _ role: ProtocolRole) throws(ProtocolError) {
    guard role == .client || role == .agent else { return }
    let refusal = places.take(peer, for: subject, isSession: role == .agent) { [unowned peer] reason in
      peer.isSurplus = true
      peer.refuse(ProtocolError(.busy, reason))
    }
    guard let refusal else { return }
    peer.isSurplus = true
    throw ProtocolError(.busy, refusal)
  }

  /// It stays a moment, so that the other side can read why. Who was refused before all others makes room.
  private func linger(_ peer: Peer) {
    if lingering.count >= places.budget.refused { peers[lingering.removeFirst()]?.connection.close() }
    lingering.append(ObjectIdentifier(peer))
    setDeadline(peer, Self.refusedNanoseconds)
  }

  private func logRefusal(_ peer: Peer, _ error: ProtocolError) {
    // Told by the places, once a minute a name.
    if peer.isSurplus { return }
    let proven = peer.connection.tls?.peer?.commonName ?? ""
    let why = peer.problem.isEmpty ? error.message : peer.problem
    ServerLog.audit(
      .refusal, "connection refused: \(error.code.rawValue): \(why)",
      who: proven.isEmpty ? Subject.anonymous.name : proven, from: peer.connection.peer)
  }

  /// Writes a line of the core's, whose connection is one of these where it says so.
  func audit(_ entry: AuditEntry) {
    var from = ""
    switch entry.from {
    case .address(let address): from = address
    case .request(let id): from = (requests[id]?.client as? Peer)?.connection.peer ?? ""
    case .session(let session): from = sessions[session]?.connection.peer ?? ""
    }
    ServerLog.audit(entry.deed, entry.what, who: entry.who, from: from)
  }

  // Deadlines of connections that have proven nothing.

  private func setDeadline(_ peer: Peer, _ nanoseconds: Int64) {
    let time = Clocks.boot() + nanoseconds
    deadlines[ObjectIdentifier(peer)] = time
    if time < deadlineTimer.deadline { deadlineTimer.arm(at: time) }
  }

  private func expire() {
    let now = Clocks.boot()
    // In any order: each concerns one connection alone.
    for (identity, time) in deadlines where time <= now {
      deadlines[identity] = nil
      guard let peer = peers[identity] else { continue }
      if peer.isInHello {
        peer.refuse(ProtocolError(.timeout, "no complete hello within \(helloMilliseconds) ms"))
      } else {
        peer.connection.close()
      }
    }
    deadlineTimer.arm(at: deadlines.values.min())
  }
}
