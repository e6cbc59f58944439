// Owns: the coordinator process: start, the turn (events → core → store → sockets) and the polite stop.
// It must not know what messages mean: bytes are Peers', meaning is the core's, order is the TurnQueue's.

import ClusterIO
import ClusterProto
import CoordinatorCore
import Glibc

/// Why the coordinator stopped or never started, for the operator.
package struct ServerError: Error, Equatable, Sendable, CustomStringConvertible {
  package var description: String

  /// Takes each value as it stands.
  package init(_ description: String) { self.description = description }
}

/// A coordinator. Made, run and ended on one thread.
package final class CoordinatorServer {
  private enum Phase {
    case starting, serving
    /// The core was told; nothing new is accepted.
    case stopping
    /// Waits for the last bytes to leave.
    case draining
    case ended(ServerError?)
  }

  /// Where it listens.
  package var address: SocketAddress { listener?.address ?? options.listen }
  /// Where the Kubernetes API is served; nil: nowhere.
  package var apiAddress: SocketAddress? { apiListener?.address }
  /// Connections in any stage, refused ones that still read why included.
  package var connectionCount: Int { door.connectionCount + (httpDoor?.connectionCount ?? 0) }
  /// Bytes that wait for slow clients of the Kubernetes API: of all answers, and the memory that watch events among
  /// them hold, which clients share.
  package var waitingBytes: (answers: Int, events: Int) { httpDoor?.waitingBytes ?? (0, 0) }
  /// Bytes of answers that the connections of the Kubernetes API have taken and their sockets have not.
  package var unsentBytes: Int { httpDoor?.unsentBytes ?? 0 }
  /// The cluster's identity.
  package let cluster: String

  let options: ServerOptions
  /// By which it can be reached.
  var names: ServerNames
  var certificates: CertificateWatch?
  let loop: EventLoop
  private let store: Store
  private let space: SpaceWatch
  private var core: CoordinatorCore
  private var turns = TurnQueue()
  private var phase = Phase.starting
  var queue = EventQueue()
  let door: Door
  private var listener: Listener?
  var pki: PKI
  var httpDoor: HTTPDoor?
  let tokens: TokenAuthority
  private var apiListener: Listener?
  private var signals: Signals?
  private var wakeTimer: LoopTimer?
  private var spaceTimer: LoopTimer?
  private var isDiskLow = false
  private var isDiskScarce = false
  /// Objects at the most since free memory was given back, and at the last look.
  private var objects = (peak: 0, last: 0)
  private static let objectsBeforeRelease = 2_000
  private static let spaceCheckNanoseconds: Int64 = 5_000_000_000
  private var stopTimer: LoopTimer?
  private var stall: StallWatch?
  /// The polite stop is over by then, all of it.
  private var stopEnd: Int64?

  /// Opens the store, rebuilds the core, makes its new incarnation durable, and listens. Messages of errors are for
  /// the operator.
  package init(_ options: ServerOptions) throws(ServerError) {
    self.options = options
    names = try ServerNames(listen: options.listeners, advertise: options.advertise)
    do {
      Signals.ignoreBrokenPipes()
      loop = try EventLoop()
      // Before the store's thread starts, which must inherit the block.
      let stop = StopFlag()
      if options.handlesSignals {
        signals = try Signals(loop: loop, [SIGTERM, SIGINT, SIGHUP]) { _ in stop.handler?() }
      }
      let directory = DataDirectory(path: options.directory)
      try directory.checkOwnership()
      store = try Store(
        directory: options.directory, hasIdentity: directory.hasIdentity, acceptsLoss: options.acceptsLoss,
        isMoved: options.isMoved, beforeCommit: options.beforeCommit)
      directory.removeRemains()
      space = try SpaceWatch(directory: options.directory)
      for loss in store.losses { ServerLog.error("started with less than was acknowledged", ("lost", loss)) }
      tokens = try TokenAuthority(directory: options.directory)
      var configuration = options.configuration
      configuration.opensEpoch = options.isMoved
      let restored = try CoordinatorServer.restore(store, configuration, &queue)
      core = restored.core
      pki = try PKI(
        directory: options.directory, host: "localhost", others: names.all,
        known: options.acceptsNewAuthority ? nil : restored.known)
      queue.firstWrites += [store.originRow, AuthorityRecord(pki.authorities).row]
      cluster = core.configuration.clusterID
      door = Door(
        loop: loop, cluster: cluster, incarnation: core.incarnation, tls: try Door.context(pki),
        budget: DescriptorBudget(limit: options.descriptorLimit ?? DescriptorLimit.raise()),
        program: options.configuration.version)
      door.helloMilliseconds = options.helloMilliseconds
      door.post = { [unowned self] peer, event, lane in queue.append(event, from: peer, lane: lane) }
      door.authorize = { [unowned self] subject, access in ask { $0.authorize(subject, access) } }
      door.revocation = { [unowned self] subject in ask { $0.revocation(of: subject) } }
      door.ends.renewedUntil = { [unowned self] in core.certificateEnd(of: $0) }
      tokens.verdict = { [unowned self] claims, audiences in
        ask { $0.verdict(on: claims, audiences: audiences, wall: Self.now().wall) }
      }
      door.verdict = { [tokens] in tokens.verdict(on: $0, audiences: $1) }
      stop.handler = { [unowned self] in requestStop() }
      try attach()
      try start(directory)
    } catch let error as ServerError {
      throw error
    } catch let error as CoordinatorStartError {
      throw ServerError(error.message)
    } catch {
      throw ServerError("\(error)")
    }
  }

  /// Serves until it is stopped politely (returns) or must stop (throws).
  package func run() throws(ServerError) {
    while try serveOnce(timeoutMilliseconds: -1) {}
  }

  /// One turn of the loop, after at most that wait; false once the polite stop is over. Throws when the process must
  /// stop; connections are closed then and nothing more is sent.
  package func serveOnce(timeoutMilliseconds: Int32) throws(ServerError) -> Bool {
    if !isEnded {
      do throws(IOError) {
        try loop.runOnce(timeoutMilliseconds: timeoutMilliseconds)
      } catch {
        phase = .ended(ServerError("\(error)"))
      }
    }
    guard case .ended(let failure) = phase else { return true }
    listener?.close()
    apiListener?.close()
    door.closeAll()
    httpDoor?.closeAll()
    // The closing happens in a turn; the phase keeps that turn from doing anything else.
    try? loop.runOnce(timeoutMilliseconds: 0)
    if let failure {
      ServerLog.error("stopped", ("reason", failure.description))
      ServerLog.flush()
      throw failure
    }
    try closeStore()
    ServerLog.info("stopped")
    ServerLog.flush()
    return false
  }

  /// A disk that hangs must not keep a process that is to stop: the next start finds the log as a crash leaves it.
  private func closeStore() throws(ServerError) {
    // A client that took none of its last bytes may have used up the time: the disk still gets its share.
    let left = stopEnd.map { max(options.stopMilliseconds / 5, ($0 - Clocks.boot()) / 1_000_000) }
    guard !store.close(milliseconds: left ?? options.stopMilliseconds) else { return }
    let failure = ServerError("the store's disk did not answer within the polite stop: it is left as a crash leaves it")
    ServerLog.error("stopped", ("reason", failure.description))
    ServerLog.flush()
    throw failure
  }

  /// Begins the polite stop, as SIGTERM does. A second call stops without waiting for agents or clients.
  package func requestStop() {
    switch phase {
    case .starting, .serving:
      phase = .stopping
      stopEnd = Clocks.boot() + options.stopMilliseconds * 1_000_000
      stopTimer?.arm(at: stopEnd)
      listener?.close()
      apiListener?.close()
      queue.append(.stopRequested, from: nil)
    case .stopping, .draining:
      phase = .ended(nil)
      loop.requestTurn()
    case .ended: break
    }
  }

  private final class StopFlag { var handler: (() -> Void)? }

  private func attach() throws(IOError) {
    loop.onTurnEnd = { [unowned self] in turn() }
    loop.hasWork = { [unowned self] in !queue.isEmpty || turns.hasReleased || door.turns.hasWork }
    try loop.attach(store.outcomes) { [unowned self] outcomes in
      for outcome in outcomes {
        switch outcome {
        case .success(let space):
          // First, so that no client's write is taken before it is known.
          if let space { take(space) }
          turns.committed()
          stall?.commitEnds()
        case .failure(let error): phase = .ended(ServerError(error.description))
        }
      }
    }
    try loop.attach(store.reserveUses) { [unowned self] _ in take(DiskSpace(available: 0, total: .max)) }
    try loop.attach(space.spaces) { [unowned self] spaces in for space in spaces { take(space) } }
    wakeTimer = loop.makeTimer { [unowned self] in queue.append(.timer, from: nil) }
    spaceTimer = loop.makeTimer { [unowned self] in checkSpace() }
    stopTimer = loop.makeTimer { [unowned self] in stopIsOver() }
    stall = StallWatch(loop: loop, milliseconds: core.configuration.pauseMilliseconds) { [unowned self] event in
      queue.putFirst(event)
    }
  }

  /// The time of the polite stop is up.
  private func stopIsOver() {
    if case .draining = phase {
      // Leases are extended, durably; who has not taken its last bytes by now learns of it after the restart.
      ServerLog.error("connections did not take their last bytes")
      phase = .ended(nil)
    } else {
      phase = .ended(
        ServerError(
          "the polite stop took longer than \(options.stopMilliseconds) ms, mostly because the store's disk does not "
            + "answer: leases were not extended, the store is left as a crash leaves it"))
    }
  }

  /// The first step, whose writes (the new incarnation) must be durable before anybody hears of it.
  private func start(_ directory: DataDirectory) throws {
    // Before anybody is served; later looks may take as long as they like.
    if let found = DiskSpace.look(options.directory) { take(found) }
    spaceTimer?.arm(at: Clocks.boot() + Self.spaceCheckNanoseconds)
    queue.append(.timer, from: nil)
    repeat {
      try loop.runOnce(timeoutMilliseconds: -1)
      if case .ended(let error?) = phase { throw error }
    } while !turns.isEmpty || !queue.isEmpty
    ProcessMemory.release()
    ProcessMemory.releaseAfterStart(of: loop)
    listener = try Listener(loop: loop, at: options.listen) { [unowned self] connection in door.accept(connection) }
    let (own, cluster) = (address, cluster)
    try tellOfNative()
    try startAPI()
    let api = apiAddress
    let announce: @Sendable (ServerNames) throws(IOError) -> Void = { (names) throws(IOError) in
      try directory.announce(
        address: names.reached(at: own), api: api.map { names.reached(at: $0) }, pid: getpid(), cluster: cluster)
      try directory.writeKubeconfig(
        cluster: cluster, native: ServerNames.local(own), server: api.map { "https://\(ServerNames.local($0))" } ?? "")
    }
    try announce(names)
    try watchCertificates(announce)
    warnOfAuthority()
    warnOfUnreached(core.nodeAddresses())
    if case .starting = phase { phase = .serving }
    ServerLog.info(
      "coordinator serves", ("address", address.description), ("cluster", cluster),
      ("incarnation", String(core.incarnation)), ("data", options.directory))
    door.places.tellBudget()
    ServerLog.info(
      address.isLoopback
        ? "only agents of this machine can join: --listen 0.0.0.0 lets others"
        : "another machine joins by the line that this command prints",
      ("command", "stint token create --kubeconfig \(directory.kubeconfigPath)"))
  }

  /// The core and the authorities as the store has them. The rows are gone when this returns: as text they are larger
  /// than the state.
  private static func restore(
    _ store: Store, _ configuration: CoordinatorConfiguration, _ queue: inout EventQueue
  ) throws -> (core: CoordinatorCore, known: AuthorityRecord?) {
    var rows = try store.load()
    let isNew = !rows.contains { $0.table == .facts && $0.key == "cluster" }
    let known = AuthorityRecord(takenFrom: &rows, isNew: isNew)
    var configuration = configuration
    configuration.clusterID = try clusterID(&rows, &queue)
    configuration.bootID = (try? Files.readLine("/proc/sys/kernel/random/boot_id")) ?? ""
    // Not from the core's own numbers: whoever sees some of them can tell the next.
    configuration.startMark = Hexadecimal.text(try Crypto.randomBytes(16))
    configuration.proofKey = Hexadecimal.text(try Crypto.randomBytes(32))
    let seed = try Crypto.randomBytes(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    return (try CoordinatorCore(configuration: configuration, rows: rows, seed: seed, now: now()), known)
  }

  /// HTTPS with the directory's certificates, where it is served.
  private func startAPI() throws(IOError) {
    guard var wanted = options.api, case .tcp(let host, let port) = wanted else { return }
    // A kubeconfig stays right over a restart where it can.
    if port == 0, options.apiMayMove,
      case .tcp(_, let last)? = DataDirectory(path: options.directory).announcedAPI()
    {
      wanted = .tcp(host: host, port: last)
    }
    let made = try HTTPDoor(loop: loop, door: door, pki: pki, names: names.all)
    made.watchBacklogLimit = options.watchBacklogLimit
    made.review = { [unowned self] (kind, spec, namespace, subject) throws(APIFailure) in
      try core.review(kind, spec, namespace: namespace, by: subject)
    }
    made.setAccepting = { [unowned self] in apiListener?.setAccepting($0) }
    httpDoor = made
    apiListener = try Listener.forAPI(loop, at: wanted, host: host, mayMove: options.apiMayMove) { made.accept($0) }
    // Before any client's request.
    tellOfAPI()
    ServerLog.info("Kubernetes API", ("address", apiAddress?.description ?? ""))
  }

  private static func now() -> Now {
    let (boot, wall) = Clocks.now()
    return Now(boot: BootTime(milliseconds: boot / 1_000_000), wall: WallTime(nanoseconds: wall))
  }

  /// Asks the core where it is. A call on the property would copy the whole of it, a retain for each of its many parts.
  private func ask<Answer>(_ question: (inout CoordinatorCore) -> Answer) -> Answer { question(&core) }

  // The turn.

  /// Steps what came in, at most 256 events or about 5 ms, and starts the next commit.
  private func turn() {
    performReleased()
    door.turns.readOn()
    let end = Clocks.boot() + EventQueue.turnNanoseconds
    var left = EventQueue.turnLimit
    while left > 0, !queue.isEmpty, !isEnded {
      let batch = queue.take(min(left, EventQueue.batchLimit), by: &core) { $0.weight(of: $1) }
      left -= batch.events.count
      let events = door.current(batch.events)
      var effects = queue.firstWrites.map { CoordinatorEffect.persist($0) }
      queue.firstWrites = []
      core.answersWait = turns.heldCount > Self.heldMark
      effects += core.step(events, at: CoordinatorServer.now())
      effects += CoordinatorServer.watchBeginnings(events)
      objects.peak = max(objects.peak, core.objectCount)
      perform(turns.add(effects, resourceVersion: core.resourceVersion))
      for peer in batch.peers { peer.unprocessed -= 1 }
      if Clocks.boot() >= end { break }
    }
    if isEnded { return }
    if let writes = turns.nextCommit() {
      store.commit(writes)
      stall?.commitBegins()
    }
    door.turns.writeOut()
    httpDoor?.cutOffSlow()
    makeRoomForAnswers()
    if case .draining = phase, connectionCount == 0 { phase = .ended(nil) }
  }

  /// Sends what a commit has made free: agents' words, and of clients' answers what fits the time. A disk that was
  /// stuck may have kept back more than a turn's worth.
  private func performReleased() {
    let end = Clocks.boot() + EventQueue.turnNanoseconds
    while turns.hasReleased, !isEnded {
      perform(turns.released(atMost: 4))
      if Clocks.boot() >= end { return }
    }
  }

  /// Effects that wait for the store while lists still go on at full speed.
  private static let heldMark = 512

  /// Bytes of answers, watch events aside, that wait because clients do not take them.
  var waitingAnswerBytes: Int { door.backlog.bytes }

  private func makeRoomForAnswers() {
    while door.backlog.bytes > options.answerBacklogLimit {
      guard let slowest = FurthestBehind.among(door.slowTakers + (httpDoor?.slowTakers ?? [])) else { return }
      slowest.closeForRoom()
    }
  }

  /// A watch whose scope is empty has nothing to say yet, but its client waits to hear that it began: an empty piece,
  /// which a watch that was refused in the same step no longer takes.
  private static func watchBeginnings(_ events: [CoordinatorEvent]) -> [CoordinatorEffect] {
    events.compactMap { event in
      guard case .request(let id, let request) = event, request.verb == .watch else { return nil }
      return .reply(id, .items([]))
    }
  }

  private var isEnded: Bool { if case .ended = phase { true } else { false } }

  private func perform(_ effects: [CoordinatorEffect]) {
    for effect in effects {
      if isEnded { return }
      switch effect {
      case .persist: break
      case .send(let session, let message, _): door.send(tokens.signed(message), to: session)
      case .closeSession(let session, let reason): door.close(session, reason: reason)
      case .reply(let request, let reply), .shown(let request, let reply, _): door.reply(reply, to: request)
      case .tell(let requests, let type, let object): door.tell(requests, WatchEvent(type, object))
      case .startLogs(let request, let session, let logs): door.startLogs(logs, of: session, for: request)
      case .startStream(let request, let session, let wanted): door.startStream(wanted, of: session, for: request)
      case .issue, .issueRefused, .issueUser, .signToken:
        issuer.answer(effect, by: door)
      case .exchangeAuthority, .dropAuthority, .closeAuthority, .tellAuthorities: performOnAuthority(effect)
      case .tellCoordinators(let session, let notice): door.send(notice.json, to: session)
      case .closeHolders(let keys, let reason):
        door.close(holdersOf: keys, reason: reason)
        httpDoor?.close(holdersOf: keys)
      case .wake(let time): wakeTimer?.arm(at: time.map { EventQueue.nanoseconds($0) })
      case .log(let line): ServerLog.info(line)
      case .audit(let entry): door.audit(entry)
      case .stopped: drain()
      case .halt(let message): phase = .ended(ServerError(message))
      }
    }
  }

  /// The polite stop is durable and said: the last bytes leave, then the process ends.
  private func drain() {
    guard case .stopping = phase else { return }
    phase = .draining
    door.closeAfterFlush()
    httpDoor?.closeAfterFlush()
    loop.requestTurn()
  }

  /// After a mass of objects has gone, once no more are going: what they took goes back to the system.
  private func releaseMemory() {
    let count = core.objectCount
    if count == objects.last, objects.peak > Self.objectsBeforeRelease, count < objects.peak / 2 {
      ProcessMemory.release()
      objects.peak = count
    }
    objects.last = count
  }

  private func checkSpace() {
    spaceTimer?.arm(at: Clocks.boot() + Self.spaceCheckNanoseconds)
    ServerLog.tellRefusals()
    door.places.tellSurplus()
    releaseMemory()
    space.measure()
    certificates?.look()
  }

  /// What follows goes ahead of the clients' events that wait.
  private func take(_ space: DiskSpace) {
    // Back only well above the mark, or it would flap.
    let mark = min(options.freeSpaceMark, space.total / 8)
    let free = space.writable(reusable: store.reusableBytes)
    let low = free < (isDiskLow ? mark + mark / 4 : mark)
    // The coordinator's own creations stop while clients may still write.
    let scarce = free < (isDiskScarce ? mark * 2 + mark / 4 : mark * 2)
    if scarce != isDiskScarce {
      isDiskScarce = scarce
      ServerLog.info(
        scarce ? "disk is filling: Jobs get no new pods" : "disk has room for new pods again",
        ("free", String(free)))
      queue.putFirst(.diskScarce(scarce))
    }
    guard low != isDiskLow else { return }
    isDiskLow = low
    ServerLog.info(
      low ? "disk is nearly full: client writes are refused" : "disk has room again", ("free", String(free)))
    queue.putFirst(.diskLow(low))
    if !low { store.restoreReserve() }
  }
}
