// Owns: all HTTP connections: who may ask, what a path names, and the requests for the core that come of it.
// It must not know what verbs mean: the core answers both doors alike.

import ClusterIO
import ClusterProto
import CoordinatorCore

/// The Kubernetes API's side of the server.
final class HTTPDoor {
  /// Connections that have not proven who they are, where the process may have enough files open.
  static let unprovenLimit = 512
  /// Of one name, those for which there is no place and which wait to be told so.
  static let surplusLimit = 8

  /// Most bytes of watch events that wait, over all watchers: beyond it the one that is furthest behind is cut off.
  var watchBacklogLimit = Int.max

  /// The core's answer to questions about that.
  var review: HTTPReviews.Review = { _, _, _, _ throws(APIFailure) in .null }
  /// Lets the listener let nobody in, or go on.
  var setAccepting: (Bool) -> Void = { _ in }

  private let loop: EventLoop
  let door: Door
  private var context: TLSContext
  private var hosts: Set<String>
  private let output: HTTPOutput
  private var connections: [ObjectIdentifier: HTTPConnection] = [:]
  private var unproven: UnprovenPlaces
  /// Those that wait to be told why there is no place for them, and what.
  private var surplus: [ObjectIdentifier: (name: String, why: String)] = [:]
  private var bodies = BodyLedger()
  private var lastNumber: Int64 = 0
  /// Connections that came or went since memory was given back, and at the last look: they leave heap behind.
  private var changes = (count: 0, seen: 0)
  private static let changesBeforeRelease = 64
  private var forms: [String: HTTPForm] = [:]
  private static let formLimit = 64
  private lazy var sweeper = loop.makeTimer { [unowned self] in sweep() }
  private static let sweepNanoseconds: Int64 = 1_000_000_000

  /// `names`: the names and addresses of the server's certificate, which a request's Host may have.
  init(loop: EventLoop, door: Door, pki: PKI, names: [String]) throws(IOError) {
    self.loop = loop
    self.door = door
    unproven = UnprovenPlaces(limit: door.places.budget.unproven)
    output = HTTPOutput(answers: door.backlog, turns: door.turns)
    hosts = Set(names)
    context = try HTTPDoor.context(pki)
  }

  private static func context(_ pki: PKI) throws(IOError) -> TLSContext {
    let context = try TLSContext(server: pki.shownServer, authority: pki.authorities.bundle)
    context.plainTextAnswer = HTTPAnswer.plainText
    return context
  }

  /// New connections get this certificate; those that are there go on.
  func renew(_ pki: PKI, names: [String]) {
    do throws(IOError) {
      context = try HTTPDoor.context(pki)
      hosts = Set(names)
    } catch {
      ServerLog.error("the server's new certificate cannot be used", ("reason", error.description))
    }
  }

  var connectionCount: Int { connections.count }

  /// Bytes that wait: of all answers, and the memory of watch events among them.
  var waitingBytes: (answers: Int, events: Int) {
    (connections.values.reduce(0) { $0 + $1.waitingBytes }, output.backlog)
  }

  /// Clients for which answers wait; watchers have a bound of their own. In any order.
  var slowTakers: [any SlowTaker] { connections.values.filter { $0.waitingBytes > 0 && $0.watchBacklog == nil } }

  /// Bytes of answers that no socket has taken yet.
  var unsentBytes: Int { connections.values.reduce(0) { $0 + $1.connection.pendingOutput } }

  func accept(_ connection: Connection) {
    let origin = SocketAddress(parsing: connection.peer)?.origin
    guard unproven.hasRoom(for: origin) else { return connection.close() }
    do throws(IOError) {
      try connection.startTLS(context)
    } catch {
      return connection.close()
    }
    let client = HTTPConnection(connection: connection, output: output, handler: handler)
    connections[ObjectIdentifier(client)] = client
    changes.count += 1
    unproven.add(client, from: origin, at: Clocks.boot())
    setAccepting(!unproven.isFull)
    if sweeper.deadline == Int64.max { sweeper.arm(at: Clocks.boot() + HTTPDoor.sweepNanoseconds) }
  }

  /// Who has proven one of these keys goes.
  func close(holdersOf keys: [String]) {
    // In any order: each concerns one connection alone.
    for client in connections.values where keys.contains(client.subject.key) { client.connection.close() }
  }

  /// The same for whom that authority has vouched for.
  func close(authority: String) {
    for client in connections.values where client.subject.authority == authority { client.connection.close() }
  }

  func closeAfterFlush() { for client in connections.values { client.end() } }

  func closeAll() { for client in connections.values { client.connection.close() } }

  private lazy var handler = HTTPConnection.Handler(
    request: { [unowned self] client, request in receive(request, from: client) },
    body: { [unowned self] (client, request, most) throws(HTTPFailure) in try admit(request, most, from: client) },
    secured: { [unowned self] client in secured(client) },
    bodyServed: { [unowned self] client in
      // The subject is still the one of the body's own request.
      bodies.giveBack(client.bodyRoom, of: client.subject.name)
      client.bodyRoom = 0
    },
    abandoned: { [unowned self] client in door.abandon(client) },
    closed: { [unowned self] client in
      connections[ObjectIdentifier(client)] = nil
      door.ends.remove(client)
      door.places.remove(client)
      surplus[ObjectIdentifier(client)] = nil
      changes.count += 1
      leavePlace(client)
    },
    drained: { [unowned self] client in door.drained(client) },
    held: { [unowned self] client, isHeld in door.hold(client, isHeld) })

  /// Watchers that hold too much back are cut off. Called once a turn.
  func cutOffSlow() {
    while output.backlog > watchBacklogLimit, let slowest = furthestBehind() { slowest.cutOff() }
  }

  private func secured(_ client: HTTPConnection) {
    guard client.subject.isAuthenticated else { return }
    if let why = takePlace(client) {
      // A client asks as soon as it may, and is told why then.
      let own = surplus.values.count { $0.name == client.subject.name }
      guard own < HTTPDoor.surplusLimit else { return client.connection.close() }
      surplus[ObjectIdentifier(client)] = (client.subject.name, why)
      client.makeSurplus()
    }
    guard let end = client.connection.tls?.peer?.end else { return }
    door.ends.add(client, of: client.subject, end: end) { [unowned client] reason in
      let from = client.connection.peer
      ServerLog.audit(.refusal, "connection closed: \(reason)", who: client.subject.name, from: from)
      client.connection.close()
    }
  }

  /// Its owner's place instead of one among the unproven; the answer is why there is none.
  private func takePlace(_ client: HTTPConnection) -> String? {
    let refusal = door.places.take(client, for: client.subject) { [unowned client] _ in client.connection.close() }
    if refusal == nil { leavePlace(client) }
    return refusal
  }

  private func leavePlace(_ client: HTTPConnection) {
    unproven.remove(client)
    setAccepting(!unproven.isFull)
  }

  private func furthestBehind() -> HTTPConnection? {
    var slowest: (client: HTTPConnection, bytes: Int)?
    // In any order: whom it is among equals does not matter.
    for client in connections.values {
      if let bytes = client.watchBacklog, bytes > slowest?.bytes ?? 0 { slowest = (client, bytes) }
    }
    return slowest?.client
  }

  /// Closes clients that owe something; answers for a core that does not.
  private func sweep() {
    let now = Clocks.boot()
    // In any order: each concerns one connection alone.
    for client in connections.values {
      if client.deadline <= now || unproven.mustLeave(client, at: now) {
        client.connection.close()
      } else if client.answerBy <= now, client.isUnanswered {
        door.abandon(client)
        client.answer(504, HTTPAnswer.status(504, "the request did not complete within the allotted timeout"))
      }
    }
    // After a crowd has come or gone, once no more are coming or going.
    if changes.count >= Self.changesBeforeRelease, changes.count == changes.seen {
      ProcessMemory.release()
      changes.count = 0
    }
    changes.seen = changes.count
    let isQuiet = connections.isEmpty && changes.count < Self.changesBeforeRelease
    sweeper.arm(at: isQuiet ? nil : now + HTTPDoor.sweepNanoseconds)
  }

  /// Before a body is read: who brings it is known, and there is room for all of it. What is refused here ends the
  /// connection, as its body is not read.
  private func admit(_ request: HTTPRequest, _ most: Int, from client: HTTPConnection) throws(HTTPFailure) {
    try checkPlace(client)
    try checkHost(request)
    try checkCredentials(client, request)
    let room = HTTPMedia.isGzip(request) ? HTTPParser.bodyLimit + most : most
    guard bodies.take(room, for: client.subject.name) else {
      throw HTTPFailure(429, "too many bytes of request bodies are being served, please try again later")
    }
    client.bodyRoom = room
  }

  private func receive(_ request: HTTPRequest, from client: HTTPConnection) {
    do throws(HTTPFailure) {
      try checkPlace(client)
      try checkHost(request)
      if let page = PageFiles.answer(request) { return client.answer(page: page) }
      let target = try HTTPTarget(request.target)
      client.isPretty = HTTPMedia.isPretty(request, target)
      client.isYAML = form(request)?.isYAML ?? false
      if let answer = HTTPFacts.open(target) { return try answerFacts(answer, request, client) }
      // Who brought a body was asked before it was read.
      if client.bodyRoom == 0 { try checkCredentials(client, request) }
      if !(target.flag("watch") ?? false), target.parts.last != "log" { try target.checkTimeout() }
      if let answer = HTTPFacts.closed(target, request) {
        let path = "/" + target.parts.joined(separator: "/")
        try check(
          AccessAttributes(verb: request.method.lowercased(), path: path), try subject(request, client))
        return try answerFacts(answer, request, client)
      }
      try serve(request, target, client)
    } catch {
      // The request was read whole: the connection goes on.
      client.answer(
        error.code, error.status ?? HTTPAnswer.status(error), close: client.hasLostProof || client.isSurplus)
    }
  }

  private func checkPlace(_ client: HTTPConnection) throws(HTTPFailure) {
    if let (_, why) = surplus[ObjectIdentifier(client)] { throw HTTPFailure(429, why) }
  }

  /// Asks the core early, so that whoever may not is told that before what else is wrong. It asks itself again.
  func check(_ access: AccessAttributes, _ subject: Subject) throws(HTTPFailure) {
    guard case .denied(let reason) = door.authorize(subject, access) else { return }
    let failure = APIFailure.denied(subject, access, reason)
    ServerLog.audit(.refusal, failure.message, who: subject.audited, from: subject.from)
    throw HTTPFailure(403, failure.message, status: failure.status)
  }

  /// Who a request counts as: the client, or whom it may act for.
  private func subject(_ request: HTTPRequest, _ client: HTTPConnection) throws(HTTPFailure) -> Subject {
    try HTTPImpersonation.subject(request, of: client.subject) { (access) throws(HTTPFailure) in
      try check(access, client.subject)
    }
  }

  private func answerFacts(
    _ answer: HTTPFacts.Answer, _ request: HTTPRequest, _ client: HTTPConnection
  ) throws(HTTPFailure) {
    guard request.method == "GET" || request.method == "HEAD" else { throw HTTPDoor.methodNotAllowed }
    if client.isYAML, answer.type == HTTPAnswer.jsonType, let json = try? JSON(parsing: answer.bytes) {
      return client.answer(answer.code, json)
    }
    client.answer(answer.code, bytes: answer.bytes, type: answer.type)
  }

  static let methodNotAllowed = HTTPFailure(
    405, "the server does not allow this method on the requested resource")

  private static func notFound(_ parts: [String]) -> HTTPFailure {
    let name = HTTPResource.unservedName(parts).map { " (\($0) is not served by this version)" } ?? ""
    return HTTPFailure(404, "the server could not find the requested resource\(name)")
  }

  /// A page of another site that resolves its own name to this machine would send that name.
  private func checkHost(_ request: HTTPRequest) throws(HTTPFailure) {
    var host = request.header("host") ?? ""
    if hosts.contains(host) { return }
    let port: Substring
    if host.hasPrefix("[") {
      let name = host.dropFirst().prefix { $0 != "]" }
      port = host.dropFirst(name.count + 2)
      host = String(name)
    } else {
      let name = host.utf8.prefix { $0 != 0x3A }
      port = host[name.endIndex...]
      host = String(Substring(name))
    }
    // RFC 9110: nothing, or a colon and a number that may be missing.
    guard
      port.isEmpty || port == ":"
        || port.hasPrefix(":") && UInt16(port.dropFirst()).map({ "\($0)" == port.dropFirst() }) == true
    else { throw HTTPFailure(400, "malformed Host") }
    guard hosts.contains(SocketAddress.canonicalAddress(host) ?? host.lowercased()) else {
      throw HTTPFailure(
        403, "this server answers only to the names of its certificate; the coordinator's --advertise adds one")
    }
  }

  /// Who asks: whom the connection's certificate names, else whom the request's own token does. A token that proves
  /// nothing ends the connection: each costs a signature's check, and so a handshake for who tries.
  private func checkCredentials(_ client: HTTPConnection, _ request: HTTPRequest) throws(HTTPFailure) {
    if !client.isCertified { try checkToken(client, request) }
    let problem = client.subject.isAuthenticated ? door.revocation(client.subject) : client.clockProblem ?? ""
    guard let problem else { return }
    let message = problem.isEmpty ? "Unauthorized" : "Unauthorized: \(problem)"
    ServerLog.audit(.refusal, message, who: client.subject.name, from: client.connection.peer)
    throw HTTPFailure(401, message)
  }

  /// Makes the owner of the request's token its subject. Why a token is nobody's is for the audit, not for who tries.
  private func checkToken(_ client: HTTPConnection, _ request: HTTPRequest) throws(HTTPFailure) {
    guard let token = HTTPTokens.bearer(request) else { return client.bear(nil, triedToken: false) }
    switch door.verdict(token, [TokenClaims.issuer]) {
    case .valid(let claims, _):
      client.bear(Subject(claims, door: .https, from: client.connection.peer), triedToken: true)
      guard let refusal = takePlace(client) else { return }
      client.makeSurplus()
      throw HTTPFailure(429, refusal)
    case .invalid(let why, _):
      client.bear(nil, triedToken: true)
      ServerLog.audit(.refusal, "Unauthorized: \(why)", who: client.subject.name, from: client.connection.peer)
      throw HTTPFailure(401, "Unauthorized")
    }
  }

  private func serve(
    _ request: HTTPRequest, _ target: HTTPTarget, _ client: HTTPConnection
  ) throws(HTTPFailure) {
    let subject = try self.subject(request, client)
    guard let path = HTTPResource.Path(target.parts) else { throw HTTPDoor.notFound(target.parts) }
    if let kind = HTTPReviews.kind(path) {
      let access = AccessAttributes(
        verb: "create", group: kind.group, resource: kind.plural, namespace: path.namespace)
      try check(access, subject)
      guard HTTPForm(accept: request.header("accept"), isPlain: true) != nil else {
        throw HTTPDoor.notAcceptable(isPlain: true)
      }
      if kind.kind == HTTPTokens.review { return client.answer(201, try HTTPTokens.answer(request, door.verdict)) }
      return client.answer(201, try HTTPReviews.answer(kind, request, subject, namespace: path.namespace, review))
    }
    if let (resource, access) = HTTPEmptyLists.access(path, method: request.method) {
      try check(access, subject)
      guard let form = form(request) else { throw HTTPDoor.notAcceptable(isPlain: false) }
      let list = try HTTPEmptyLists.answer(resource, access, form.form, isWatch: target.flag("watch") ?? false)
      guard case .done(let code, let object, _) = form.shape?(.done(code: 200, object: list, warnings: [])) else {
        return client.answer(200, list)
      }
      return client.answer(code, object)
    }
    guard let resource = HTTPResource(path) else { throw HTTPDoor.notFound(target.parts) }
    if let purpose = resource.entrance { return try enter(purpose, resource, request, target, subject, client) }
    // Before the body, which may be of a kind that is not served either.
    if let why = ServedResource.refusal(resource.kind, subresource: resource.subresource) {
      throw HTTPFailure(405, why)
    }
    let verb = try HTTPDoor.verb(request.method, resource, isWatch: target.flag("watch") ?? false)
    var asked = APIRequest(
      verb: verb, kind: resource.kind, namespace: resource.namespace, name: resource.name,
      subresource: resource.subresource)
    asked.subject = subject
    asked.group = resource.isModernEvents ? EventsGroup.name : resource.isUsage ? MetricsGroup.name : nil
    // Who may not is told that before what else is wrong. The core asks itself; so a read, which has no body to
    // be looked at before that, is asked for here only when something else is wrong.
    let isRead = request.method == "GET"
    if !isRead { try check(AccessAttributes(asked), subject) }
    let form: HTTPForm
    do throws(HTTPFailure) {
      form = try self.form(of: verb, request)
      asked.options = try target.options()
    } catch {
      if isRead { try check(AccessAttributes(asked), subject) }
      throw error
    }
    asked.form = verb == .deletecollection ? .object : form.form
    if !isRead {
      let (json, patch, strictErrors) = try HTTPMedia.body(request)
      asked.body = json
      asked.options.patchKind = patch
      asked.options.strictErrors = strictErrors
      if asked.options.fieldManager?.isEmpty ?? true, patch != .apply {
        asked.options.fieldManager = ManagedFieldsEntry.manager(userAgent: request.header("user-agent") ?? "")
      }
    }
    if resource.isModernEvents {
      do throws(EventsGroup.Refusal) {
        asked = try EventsGroup.stored(asked)
      } catch {
        if isRead { try check(AccessAttributes(asked), subject) }
        return client.answer(error.code, error.status)
      }
    }
    client.expect(HTTPDoor.style(verb, form.form), shape: HTTPDoor.shape(form, resource.isModernEvents))
    door.open(asked, id: nextNumber(), from: client)
  }

  /// Of a request, among all of this door's.
  func nextNumber() -> Int64 {
    lastNumber += 1
    return lastNumber
  }

  private static func notAcceptable(isPlain: Bool) -> HTTPFailure {
    HTTPFailure(406, "only the following media types are accepted: \(HTTPForm.served(isPlain: isPlain))")
  }

  /// Both ways to lay a reply out, one after the other.
  private static func shape(_ form: HTTPForm, _ isModernEvents: Bool) -> HTTPShape? {
    let shape = form.shape
    guard isModernEvents else { return shape.map { HTTPShape(name: "beta", apply: $0) } }
    return HTTPShape(name: shape == nil ? "modern" : "modern beta") { reply in
      let view = EventsGroup.view(reply)
      return shape?(view) ?? view
    }
  }

  /// A log is text, whatever is asked for.
  private func form(of verb: APIVerb, _ request: HTTPRequest) throws(HTTPFailure) -> HTTPForm {
    let wanted = verb == .log ? HTTPForm(accept: nil) : form(request)
    guard let form = wanted, verb != .watch || !form.isYAML else {
      throw HTTPDoor.notAcceptable(isPlain: false)
    }
    return form
  }

  /// The form that Accept asks for. A client asks alike again and again: the last few are known by heart.
  private func form(_ request: HTTPRequest) -> HTTPForm? {
    let accept = request.header("accept") ?? ""
    if let known = forms[accept] { return known }
    let form = HTTPForm(accept: accept)
    if forms.count >= Self.formLimit { forms.removeAll() }
    if let form, accept.utf8.count <= 1_024 { forms[accept] = form }
    return form
  }

  private static func style(_ verb: APIVerb, _ form: AnswerForm) -> HTTPStyle {
    switch verb {
    case .watch: .watch
    case .log: .log
    // A collection's deletion answers with a plain list whatever was asked for.
    case .deletecollection: .object(member: "items", isBare: true)
    default: form == .table ? .object(member: "rows", isBare: false) : .object(member: "items", isBare: form == .object)
    }
  }

  private static func verb(
    _ method: String, _ resource: HTTPResource, isWatch: Bool
  ) throws(HTTPFailure) -> APIVerb {
    switch method {
    case "GET":
      if resource.kind == .pods, resource.subresource == "log" { return .log }
      if isWatch { return .watch }
      return resource.name.isEmpty ? .list : .get
    case "POST": return .create
    case "PUT" where !resource.name.isEmpty: return .update
    case "PATCH" where !resource.name.isEmpty: return .patch
    case "DELETE": return resource.name.isEmpty ? .deletecollection : .delete
    default: throw methodNotAllowed
    }
  }
}
