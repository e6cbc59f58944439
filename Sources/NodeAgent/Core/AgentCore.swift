// The agent's pure core: dispatches events, keeps the two connections up, and tells the shell when to wake it.
// The session lives in AgentSession, lease arithmetic in AgentLease, attempts in AgentReconciliation. Runs nothing
// itself.

import ClusterProto

/// The state machine of one agent process: session with the coordinator, leases, and what its node should run.
/// Everything that must survive it lives in the keeper, which tells its inventory at each connect.
package struct AgentCore {
  /// How far the connection to the keeper is.
  enum KeeperLink: Equatable {
    case down(until: BootTime)
    case connecting
    /// Connected; its hello and its inventory are awaited.
    case greeting
    case loading
    case ready
  }

  /// How far the connection to the coordinator is.
  enum CoordinatorLink: Equatable {
    case down(until: BootTime)
    case connecting(until: BootTime)
    case registering(until: BootTime)
    case up
  }

  /// What the keeper's hello said.
  struct KeeperIdentity: Equatable {
    var keeper: String
    var directory: String
    var sweptKeepers: [String]
    var fencesFully: Bool
    var fencingDetail: String
    var concern = ""
    /// nil: it is of a version that bounds nothing.
    var limits: LimitAbilities?
  }

  private(set) var configuration: AgentConfiguration
  var keeperLink = KeeperLink.down(until: BootTime(milliseconds: 0))
  var coordinatorLink = CoordinatorLink.down(until: BootTime(milliseconds: 0))
  var identity: KeeperIdentity?
  var session: AgentSession?
  var attempts: [AttemptNumber: LocalAttempt] = [:]
  /// Digest of the latest reports of all attempts that have one.
  var inventoryDigest = SetDigest()
  var highestIncarnation: Int64
  private var incarnationMark: String
  var highestAttempt: AttemptNumber = 0
  /// The highest that came with a proof (C4).
  var provenAttempt: ProvenAttempt?
  /// The cluster that is connected to; empty: not known.
  private var cluster = ""
  /// Attempts that have a log directory.
  var retained: Set<AttemptNumber>
  var lastPreparation: Int64 = 0
  var additionKeys = AdditionKeys()
  var lastShortening: Int64 = 0
  var disk = DiskWatch()
  var usage = UsageWatch()
  var pressure = PressureWatch()
  /// What of ended pods is still there; nil: nothing.
  var remains: String?
  var devices: DeviceLedger
  /// What is fetched for whom; without images nobody asks it.
  var pulls: ImagePulls
  var garbage: ImageGarbage
  var images = ImageTelling()
  /// When the tokens of attempts are asked for again.
  var tokensDue = TimerQueue<AttemptNumber>()
  var effects: [AgentEffect] = []
  private var random: SplitMix64
  private var keeperConnection: ConnectionNumber = 0
  private var coordinatorConnection: ConnectionNumber = 0
  private var keeperFailures: Int64 = 0
  /// When the keeper's inventory was whole.
  private var keeperReadySince = BootTime(milliseconds: 0)
  /// The last keeper said that no pod can be started.
  private var lacksSandbox = false
  private var coordinatorFailures: Int64 = 0
  /// Refusals that no retry cures, since the last answer.
  private var coordinatorRefusals: Int64 = 0
  private var toldRefusals = ToldReasons()
  private var shutDownGrace: Int64?
  private var hasStarted = false
  private var hasStopped = false
  private var wake: BootTime?

  /// `seed`: only for the jitter of reconnections.
  package init(configuration: AgentConfiguration, seed: UInt64) {
    self.configuration = configuration
    random = SplitMix64(seed: seed)
    pulls = ImagePulls(configuration.images)
    garbage = ImageGarbage(configuration.images)
    devices = DeviceLedger(configuration.devices)
    highestIncarnation = configuration.highestIncarnation
    incarnationMark = configuration.incarnationMark
    retained = Set(configuration.retainedLogs)
    if let room = configuration.diskRoom { note(room, BootTime(milliseconds: 0)) }
    recallPressures()
  }

  /// The node is being emptied: nothing new is started.
  var isShuttingDown: Bool { shutDownGrace != nil }

  /// Handles one event and gives what the shell has to do, in order. `now` never goes back.
  package mutating func step(_ event: AgentEvent, at now: Now) -> [AgentEffect] {
    guard !hasStopped else { return [] }
    effects = []
    switch event {
    case .started: hasStarted = true
    // Whoever was woken early is woken again.
    case .timer: wake = nil
    case .keeperConnected(let number): greetKeeper(number)
    case .keeper(let number, let reply): hear(reply, number, now)
    case .keeperLost(let number, let reason): loseKeeper(number, reason, now)
    case .addressFound(let address): take(address: address)
    case .clusterFound(let name): cluster = name
    case .coordinatorOpened(let number): register(number, now)
    case .coordinator(let number, let message): hear(message, number, now)
    case .coordinatorClosed(let number, let isFinal):
      if number == coordinatorConnection { loseCoordinator(isFinal: isFinal, now) }
    case .prepared(let attempt, let number, let plan): prepared(attempt, number, plan, now)
    case .additionPrepared(let attempt, let number, let container):
      additionPrepared(attempt, number, container, now)
    case .preparationFailed(let attempt, let number, let container, let reason, let message, let retryable):
      let failure = PreparationFailure(container: container, reason: reason, message: message, isRetryable: retryable)
      preparationFailed(attempt, number, failure, now)
    case .images(let records): take(records, now)
    case .imagePulled(let number, let record, let milliseconds, let bytes):
      follow(pulls.pulled(number, record, milliseconds: milliseconds, bytes: bytes, at: now.boot), now)
      imagesChanged(now)
    case .imagePullFailed(let number, let message):
      follow(pulls.failed(number, message: ImageTelling.bounded(message), at: now.boot), now)
    case .diskAnswered(let number, let room): diskAnswered(number, room, now)
    case .nodeMeasured(let reading): usage.node = reading
    case .machineRead(let room): take(room, now)
    case .volumesRemoved(let volumes, let failed):
      // Without a session it is asked for again.
      if session != nil { effects.append(.send(.volumesRemoved(volumes, failed: failed))) }
    case .leftBehind(let words):
      remains = words.isEmpty ? nil : words
      session?.asks = true
    case .stopRequested: leave()
    case .shutDownRequested(let grace): shutDown(graceMilliseconds: grace)
    }
    if hasStarted, !hasStopped { settle(now) }
    defer { effects = [] }
    return effects
  }

  /// What was heard of pods before is shown with it too.
  private mutating func take(address: String) {
    guard address != configuration.address else { return }
    configuration.address = address
    for number in attempts.keys.sorted() {
      guard let report = attempts[number]?.report else { continue }
      let shown = addressed(report)
      attempts[number]?.report = shown
    }
  }

  /// Does what time asks for: connections, heartbeats, retries; then sets the next wake.
  private mutating func settle(_ now: Now) {
    if case .down(let until) = keeperLink, until <= now.boot {
      keeperConnection += 1
      keeperLink = .connecting
      effects.append(.connectKeeper(keeperConnection))
    }
    passImages(now)
    readMachineIfDue(now)
    switch coordinatorLink {
    case .connecting(let until), .registering(let until):
      let patience = (configuration.handshakeMilliseconds + 999) / 1_000
      if until <= now.boot { loseCoordinator(failure: "no answer in \(patience) s", now) }
    case .up:
      beatIfDue(now)
      askForTokens(now)
      measureIfDue(now)
    case .down: break
    }
    if case .down(let until) = coordinatorLink, keeperLink == .ready, until <= now.boot {
      coordinatorConnection += 1
      coordinatorLink = .connecting(until: now.boot + configuration.handshakeMilliseconds)
      effects.append(.connectCoordinator(coordinatorConnection))
    }
    orderImages(now)
    rememberPressures()
    let next = nextWake()
    if next != wake {
      wake = next
      effects.append(.wake(at: next))
    }
  }

  private mutating func nextWake() -> BootTime? {
    var next = earliest(pulls.nextWake(), pressure.due)
    if case .down(let until) = keeperLink { next = earliest(next, until) }
    switch coordinatorLink {
    case .down(let until): if keeperLink == .ready { next = earliest(next, until) }
    case .connecting(let until), .registering(let until): next = earliest(next, until)
    case .up: next = earliest(earliest(earliest(next, session?.nextWake), tokensDue.earliest()), usage.due)
    }
    return next
  }

  /// 100 ms doubled with each failure up to the cap, less up to half of it.
  private mutating func pause(failures: Int64) -> Int64 {
    let doublings = min(failures, 16)
    let whole = min(configuration.reconnectCapMilliseconds, configuration.reconnectMilliseconds << doublings)
    return jittered(whole)
  }

  /// The same for a refusal that stays: the first one may pass soon.
  private mutating func refusedPause() -> Int64 {
    let doublings = min(coordinatorRefusals, 16)
    coordinatorRefusals += 1
    let whole = min(configuration.refusedCapMilliseconds, configuration.refusedMilliseconds << doublings)
    return doublings == 0 ? configuration.refusedMilliseconds : jittered(whole)
  }

  private mutating func jittered(_ whole: Int64) -> Int64 {
    let half = max(1, whole / 2)
    return half + Int64(random.next() % UInt64(half + 1))
  }
}

// MARK: - The keeper's connection

extension AgentCore {
  private mutating func greetKeeper(_ number: ConnectionNumber) {
    guard number == keeperConnection, keeperLink == .connecting else { return }
    keeperLink = .greeting
    effects.append(.keeper(.hello(agentVersion: configuration.agentVersion)))
  }

  private mutating func hear(_ reply: KeeperReply, _ number: ConnectionNumber, _ now: Now) {
    guard number == keeperConnection else { return }
    switch reply {
    case .hello(let keeper, let directory, let swept, let highest, let fencesFully, let detail):
      guard keeperLink == .greeting else { return }
      keeperLink = .loading
      identity = KeeperIdentity(
        keeper: keeper, directory: directory, sweptKeepers: swept, fencesFully: fencesFully, fencingDetail: detail)
      highestAttempt = max(highestAttempt, highest)
      if !fencesFully || lacksSandbox {
        effects.append(.log("the keeper: \(fencesFully ? "pods can be started again: " : "")\(detail)"))
      }
      lacksSandbox = !fencesFully
    case .limits(let abilities): identity?.limits = abilities
    case .devices(let held): for attempt in held.keys.sorted() { devices.note(attempt, held[attempt] ?? [:]) }
    case .proven(let proven): note(proven)
    case .concern(let text):
      guard keeperLink == .loading else { return }
      identity?.concern = text
      effects.append(.log("the keeper: \(text)"))
    case .reports(let reports):
      if keeperLink == .loading, reports.isEmpty {
        keeperLink = .ready
        keeperReadySince = now.boot
        findTokens(now)
        effects.append(.cleanUpExcept(attempts.keys.sorted()))
        if let shutDownGrace { effects.append(.keeper(.shutDown(graceMilliseconds: shutDownGrace))) }
      } else if keeperLink == .loading || keeperLink == .ready {
        take(reports, now)
      }
    case .usage(let pods): take(pods, now)
    case .events(let facts): pass(facts, now)
    case .relief(let kind, let spared): take(spared, of: kind)
    case .shortened(let number, let settle):
      // One of an earlier session says nothing of what that session's later answers gave.
      if let session, session.shortening == number { self.session?.settlesAt = now.boot + max(0, settle) }
    }
  }

  /// Without a keeper there is nothing to speak for: the session ends, and the next one names the next keeper.
  private mutating func loseKeeper(_ number: ConnectionNumber, _ reason: String, _ now: Now) {
    guard number == keeperConnection, hasStarted else { return }
    if case .down = keeperLink { return }
    if shutDownGrace != nil {
      leave()
      return
    }
    // The next one is asked for at once. If that one goes as soon as it has come, perhaps to another agent that takes
    // it for its own, the pauses grow.
    let wasReady = keeperLink == .ready
    if wasReady, now.boot >= keeperReadySince + configuration.keeperStayMilliseconds { keeperFailures = 0 }
    let isFirst = wasReady && keeperFailures == 0
    keeperLink = .down(until: now.boot + (isFirst ? 0 : pause(failures: keeperFailures)))
    keeperFailures += 1
    identity = nil
    effects.append(.log("the keeper is gone: \(reason)"))
    if coordinatorIsOpen { effects.append(.disconnectCoordinator(failure: nil)) }
    dropCoordinator(until: now.boot, now)
    for number in attempts.keys.sorted() {
      pulls.release(number, keeps: true, at: now.boot)
      dropAdditions(of: number, keepsPulls: true, now)
    }
    attempts = [:]
    inventoryDigest = SetDigest()
  }

  private mutating func shutDown(graceMilliseconds: Int64) {
    shutDownGrace = max(0, graceMilliseconds)
    switch keeperLink {
    case .ready: effects.append(.keeper(.shutDown(graceMilliseconds: max(0, graceMilliseconds))))
    case .greeting, .loading: break
    case .down, .connecting:
      // One that runs is told; none is started only to be ended, and a start that does not succeed holds up nothing.
      keeperConnection += 1
      keeperLink = .connecting
      effects.append(.findKeeper(keeperConnection))
    }
  }

  private mutating func leave() {
    hasStopped = true
    if coordinatorIsOpen {
      effects.append(.log("leaving the coordinator: the agent stops"))
      effects.append(.disconnectCoordinator(failure: nil))
    }
    effects.append(.exit)
  }
}

// MARK: - The coordinator's connection

extension AgentCore {
  private var coordinatorIsOpen: Bool {
    if case .down = coordinatorLink { false } else { true }
  }

  private mutating func register(_ number: ConnectionNumber, _ now: Now) {
    guard number == coordinatorConnection, case .connecting = coordinatorLink, let identity else { return }
    coordinatorLink = .registering(until: now.boot + configuration.handshakeMilliseconds)
    var conditions = configuration.conditions
    conditions.set(
      Condition(
        type: "FencingIncomplete", status: identity.fencesFully ? "False" : "True",
        reason: identity.fencesFully ? "KeeperFencesFully" : "KeeperCannotFence", message: identity.fencingDetail,
        lastTransition: now.wall, lastProbe: now.wall))
    conditions.set(
      Condition(
        type: "KeeperImpaired", status: identity.concern.isEmpty ? "False" : "True",
        reason: identity.concern.isEmpty ? "KeeperIsWhole" : "KeeperHasConcern",
        message: identity.concern.isEmpty ? "the keeper could do all that it has to at its start" : identity.concern,
        lastTransition: now.wall, lastProbe: now.wall))
    let limits = (identity.limits ?? LimitAbilities()).words
    conditions.set(
      Condition(
        type: LimitAbilities.condition, status: limits.status, reason: limits.reason, message: limits.message,
        lastTransition: now.wall, lastProbe: now.wall))
    effects.append(
      .send(
        .register(
          Registration(
            node: configuration.node, machineID: configuration.machineID, bootID: configuration.bootID,
            keeper: identity.keeper, sweptKeepers: identity.sweptKeepers, capacity: configuration.capacity,
            labels: configuration.labels.merging(configuration.images.labels),
            address: configuration.address, info: configuration.info,
            conditions: conditions, fencesFully: identity.fencesFully, highestIncarnation: highestIncarnation,
            highestAttempt: highestAttempt, hardwareID: configuration.hardwareID, directory: identity.directory,
            // CLOCK_BOOTTIME begins with the kernel.
            uptimeMilliseconds: max(0, now.boot.milliseconds), incarnationMark: incarnationMark,
            rememberedCluster: configuration.rememberedCluster, provenAttempt: provenAttempt,
            reserved: configuration.reserved))))
  }

  /// C4: told back at the next registration.
  mutating func note(_ proven: ProvenAttempt) {
    if !proven.proof.isEmpty, proven.attempt > provenAttempt?.attempt ?? 0 { provenAttempt = proven }
  }

  private mutating func hear(_ message: CoordinatorMessage, _ number: ConnectionNumber, _ now: Now) {
    guard number == coordinatorConnection else { return }
    switch (message, coordinatorLink) {
    case (.registered(let id, let incarnation, let heartbeat, let lease, let mark), .registering):
      guard knows(incarnation, mark, now) else { return }
      begin(id, incarnation, heartbeat, lease, now)
    case (.refused(let reason, let retry), .registering), (.refused(let reason, let retry), .up):
      tellRefusal("the coordinator refuses this agent: \(reason)", now)
      effects.append(.disconnectCoordinator(failure: nil))
      dropCoordinator(until: now.boot + (retry.map { max(1, $0) } ?? refusedPause()), now)
    case (.answer(let answer), .up): hear(answer, now)
    case (.assignments(let assignments), .up):
      take(assignments, now)
      reconcile(assignments.map(\.attempt), now)
    case (.tokens(let fresh), .up): take(fresh, now)
    case (.measure(let milliseconds), .up): measure(for: milliseconds, now)
    case (.logs(let request), .up): effects.append(.serveLogs(request))
    case (.stream(let request), .up): effects.append(.serveStream(request))
    case (.purge(let purged), .up): purge(purged)
    case (.removeVolumes(let volumes), .up): effects.append(.removeVolumes(volumes))
    default: break
    }
  }

  /// C4: false, and the end of the connection, for a coordinator that is behind what this node has seen.
  private mutating func knows(_ incarnation: Int64, _ mark: String, _ now: Now) -> Bool {
    let isOther =
      incarnation == highestIncarnation && !mark.isEmpty && !incarnationMark.isEmpty && mark != incarnationMark
    guard incarnation >= highestIncarnation, !isOther else {
      let problem =
        isOther
        ? "another start than the one that this node has seen: its data directory is an old copy"
        : "older than \(highestIncarnation), which this node has seen"
      tellRefusal("the coordinator's incarnation \(incarnation) is \(problem)", now)
      effects.append(.disconnectCoordinator(failure: nil))
      dropCoordinator(until: now.boot + refusedPause(), now)
      return false
    }
    if incarnation > highestIncarnation || incarnationMark.isEmpty && !mark.isEmpty {
      highestIncarnation = incarnation
      incarnationMark = mark
      if !cluster.isEmpty { configuration.rememberedCluster = cluster }
      effects.append(.remember(incarnation: incarnation, mark: mark))
    }
    return true
  }

  private mutating func begin(
    _ id: String, _ incarnation: Int64, _ heartbeat: Int64, _ lease: Int64, _ now: Now
  ) {
    coordinatorLink = .up
    session = AgentSession(
      id: id, incarnation: incarnation, heartbeatMilliseconds: heartbeat, leaseMilliseconds: lease, now: now.boot)
    beat(now)
    sendReports(attempts.values.compactMap(\.report))
    sendRetained()
    images.isListTold = false
  }

  /// The same reason may come at each try.
  private mutating func tellRefusal(_ text: String, _ now: Now) {
    if toldRefusals.isNews(text, at: now.boot) { effects.append(.log(text)) }
  }

  /// The connection failed or fell silent: again after a pause that grows with each failure since the last answer.
  /// `failure`: how, where that was not seen at the connection.
  mutating func loseCoordinator(failure: String? = nil, isFinal: Bool = false, _ now: Now) {
    guard coordinatorIsOpen else { return }
    if let failure { effects.append(.disconnectCoordinator(failure: failure)) }
    if isFinal { return dropCoordinator(until: now.boot + refusedPause(), now) }
    let until = now.boot + pause(failures: coordinatorFailures)
    coordinatorFailures += 1
    dropCoordinator(until: until, now)
  }

  /// An answer has come: the connection is good.
  mutating func coordinatorAnswered() {
    coordinatorFailures = 0
    coordinatorRefusals = 0
    toldRefusals = ToldReasons()
  }

  /// Ends the session.
  private mutating func dropCoordinator(until: BootTime, _ now: Now) {
    coordinatorLink = .down(until: until)
    session = nil
    usage.forget()
    forgetUnstarted(now)
  }
}
