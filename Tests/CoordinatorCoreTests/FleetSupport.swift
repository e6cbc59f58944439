// A coordinator core with a store, a clock and agents made of a few fields, for the fleet's tests.

import ClusterProto
import Testing

@testable import CoordinatorCore

/// An agent as the coordinator sees one: it holds the desired set that it was told, and reports what the test has
/// it report.
struct FakeAgent {
  var name: String
  var keeper: String
  var machine: String
  var boot = "boot-1"
  var hardware = "hardware"
  /// Of its data directory.
  var mark: String
  var uptime: Int64? = 3_600_000
  var session: SessionID
  var swept: [String] = []
  var capacity = NodeCapacity(cpuMillicores: 4_000, memoryBytes: 8 << 30, pods: 110)
  var reserved: NodeReserve?
  var labels = StringMap()
  var fencesFully = true
  /// What it says of itself beside that.
  var conditions: [Condition] = []
  /// Why, where it does not.
  var fencingDetail = "no namespaces"
  var highestIncarnation: Int64 = 0
  var incarnationMark = ""
  var rememberedCluster = ""
  var highestAttempt: AttemptNumber = 0
  var provenAttempt: ProvenAttempt?

  var sequence: Int64 = 0
  var echo: Int64 = 0
  var desired: [AttemptNumber: DesiredAction] = [:]
  var held: [AttemptNumber: InventoryEntry] = [:]
  var bodies: [AttemptNumber: Assignment] = [:]
  var received: [CoordinatorMessage] = []
  /// Volumes that it was asked to remove.
  var removals: [String] = []
  var closedBecause: String?
  /// It hears nothing: what is sent to it is lost.
  var isDeaf = false
  var diskStalledMilliseconds: Int64?
  var pressures: Set<NodePressure> = []
  var spared: [NodePressure: String] = [:]
  var remains: String?
  var leasesSettleMilliseconds: Int64?

  init(_ name: String, keeper: String? = nil, machine: String? = nil, session: SessionID? = nil) {
    self.name = name
    self.keeper = keeper ?? "keeper-\(name)"
    self.machine = machine ?? "machine-\(name)"
    self.session = session ?? "session-\(name)"
    mark = "mark-\(name)"
  }

  var registration: Registration {
    Registration(
      node: name, machineID: machine, bootID: boot, keeper: keeper, sweptKeepers: swept, capacity: capacity,
      labels: labels, address: "127.0.0.1", info: ["machineID": .string(machine)],
      conditions: fencesFully
        ? conditions
        : conditions + [
          Condition(
            type: "FencingIncomplete", status: "True", reason: "r", message: fencingDetail,
            lastTransition: WallTime(nanoseconds: 0))
        ], fencesFully: fencesFully, highestIncarnation: highestIncarnation, highestAttempt: highestAttempt,
      hardwareID: hardware, directory: mark, uptimeMilliseconds: uptime, incarnationMark: incarnationMark,
      rememberedCluster: rememberedCluster, provenAttempt: provenAttempt, reserved: reserved)
  }

  /// It has seen this start and this attempt of the tests' cluster, and can prove it.
  mutating func hasSeen(_ incarnation: Int64, _ random: String, attempt: AttemptNumber = 0) {
    highestIncarnation = incarnation
    incarnationMark = FleetHarness.proofs.mark(of: incarnation, random: random)
    highestAttempt = attempt
    provenAttempt =
      attempt > 0
      ? ProvenAttempt(attempt: attempt, proof: FleetHarness.proofs.proof(ofAttempt: attempt)) : nil
  }

  var answers: [ClusterProto.Answer] {
    received.compactMap { message in if case .answer(let answer) = message { answer } else { nil } }
  }
  var refusal: String? {
    received.compactMap { message in if case .refused(let reason, _) = message { reason } else { nil } }.last
  }
  var retry: Int64? {
    received.compactMap { message in if case .refused(_, let retry) = message { retry } else { nil } }.last
  }
  var isRegistered: Bool { received.contains { if case .registered = $0 { true } else { false } } }
  var acknowledged: [AttemptNumber] { answers.flatMap(\.acknowledged) }
  var purged: [AttemptNumber] {
    received.flatMap { message -> [AttemptNumber] in if case .purge(let numbers) = message { numbers } else { [] } }
  }

  mutating func hear(_ message: CoordinatorMessage) {
    guard !isDeaf else { return }
    received.append(message)
    switch message {
    case .answer(let answer):
      echo = max(echo, answer.number)
      if let full = answer.full {
        desired = Dictionary(uniqueKeysWithValues: full.map { ($0.attempt, $0.action) })
      } else {
        for number in answer.removed { desired[number] = nil }
        for entry in answer.changes { desired[entry.attempt] = entry.action }
      }
      for number in answer.acknowledged { held[number] = nil }
      for body in answer.assignments { bodies[body.attempt] = body }
    case .assignments(let list): for body in list { bodies[body.attempt] = body }
    case .removeVolumes(let names): removals += names
    case .registered, .refused, .logs, .stream, .purge, .tokens, .measure: break
    }
  }

  var desiredDigest: SetDigest {
    SetDigest(desired.keys.sorted().map { DesiredAttempt(attempt: $0, action: desired[$0] ?? .run) })
  }

  mutating func heartbeat(whole: Bool = false) -> Heartbeat {
    sequence += 1
    let entries = held.keys.sorted().compactMap { held[$0] }
    var heartbeat = Heartbeat(
      sequence: sequence, echo: echo, desiredDigest: desiredDigest, inventoryDigest: SetDigest(entries),
      inventory: whole || sequence == 1 ? entries : nil, diskStalledMilliseconds: diskStalledMilliseconds,
      pressures: pressures,
      leasesSettleMilliseconds: leasesSettleMilliseconds)
    heartbeat.spared = spared
    heartbeat.remains = remains
    return heartbeat
  }
}

extension CoordinatorEvent {
  /// A request of nobody in particular as that of somebody who may do everything.
  var asMaster: CoordinatorEvent {
    guard case .request(let id, var request) = self, request.subject == .anonymous else { return self }
    request.subject = .administrator
    return .request(id, request)
  }
}

struct FleetHarness {
  var core: CoordinatorCore
  var boot: Int64
  var rows: [String: StoreRow] = [:]
  var agents: [String: FakeAgent] = [:]
  var effects: [CoordinatorEffect] = []
  var wake: Int64?
  var longestStep = 0

  static let wallStart: Int64 = 1_795_000_000_000_000_000

  static func configuration() -> CoordinatorConfiguration {
    var result = CoordinatorConfiguration()
    result.proofKey = "key"
    return result
  }

  /// What the coordinators of the tests' one cluster prove their numbers by.
  static let proofs = NumberProofs(key: "key", cluster: "")

  init(_ configuration: CoordinatorConfiguration = Self.configuration(), at boot: Int64 = 1_000_000) throws {
    self.boot = boot
    core = try CoordinatorCore(configuration: configuration, rows: [], seed: 7, now: Self.now(boot))
    step([])
  }

  /// With nodes that are ready. `change`: what their agents have otherwise.
  static func joined(_ names: [String], _ change: (inout FakeAgent) -> Void = { _ in }) throws -> FleetHarness {
    var harness = try FleetHarness()
    for name in names {
      var agent = FakeAgent(name)
      change(&agent)
      harness.join(agent)
    }
    return harness
  }

  static func now(_ boot: Int64) -> Now {
    Now(
      boot: BootTime(milliseconds: boot), wall: WallTime(nanoseconds: wallStart + boot * 1_000_000))
  }

  var now: Now { Self.now(boot) }

  /// One step and those that it asks for at once.
  mutating func step(_ events: [CoordinatorEvent]) {
    var next = events.map(\.asMaster)
    for _ in 0..<10_000 {
      let made = core.step(next, at: now)
      take(made)
      next = [.timer]
      guard let wake, wake <= boot else { return }
    }
  }

  private mutating func take(_ made: [CoordinatorEffect]) {
    effects += made
    longestStep = max(longestStep, made.count)
    for effect in made {
      switch effect {
      case .persist(let write):
        let key = "\(write.table.rawValue)|\(write.key)"
        rows[key] = write.value.map { StoreRow(table: write.table, key: write.key, value: $0) }
      case .send(let session, let message, _):
        for name in agents.keys where agents[name]?.session == session { agents[name]?.hear(message) }
      case .closeSession(let session, let reason):
        for name in agents.keys where agents[name]?.session == session { agents[name]?.closedBecause = reason }
      case .wake(let at): wake = at?.milliseconds
      default: break
      }
    }
  }

  /// Lets time pass with the timers that the core asks for; agents in `beating` send a heartbeat every second.
  mutating func pass(_ milliseconds: Int64, beating: [String] = []) {
    let end = boot + milliseconds
    var nextBeat = boot + 1_000
    while true {
      let due = min(end, wake ?? Int64.max, beating.isEmpty ? Int64.max : nextBeat)
      boot = max(boot, due)
      if !beating.isEmpty, nextBeat <= boot {
        for name in beating { beat(name) }
        nextBeat += 1_000
      }
      if let wake, wake <= boot { step([.timer]) }
      if boot >= end { return }
    }
  }

  /// Registers and beats once, so that the node is ready.
  mutating func join(_ agent: FakeAgent) {
    var agent = agent
    agent.highestIncarnation = max(agent.highestIncarnation, 0)
    agents[agent.name + "@" + agent.session] = nil
    agents[agent.name] = agent
    step([
      .sessionOpened(agent.session, by: .agent(of: agent.registration.node)),
      .agent(agent.session, .register(agent.registration)),
    ])
    if agents[agent.name]?.isRegistered == true { beat(agent.name) }
  }

  mutating func register(_ agent: FakeAgent, as key: String) {
    agents[key] = agent
    step([
      .sessionOpened(agent.session, by: .agent(of: agent.registration.node)),
      .agent(agent.session, .register(agent.registration)),
    ])
  }

  mutating func beat(_ name: String, whole: Bool = false) {
    guard let message = agents[name]?.heartbeat(whole: whole), let session = agents[name]?.session else { return }
    step([.agent(session, .heartbeat(message))])
  }

  /// The same keeper on a new connection.
  mutating func reconnect(_ name: String, session: SessionID) {
    guard var agent = agents[name] else { return }
    if agent.closedBecause == nil { step([.sessionClosed(agent.session)]) }
    agent.session = session
    agent.sequence = 0
    agent.echo = 0
    agent.desired = [:]
    agent.received = []
    agent.closedBecause = nil
    agent.isDeaf = false
    join(agent)
  }

  mutating func report(
    _ name: String, _ attempt: AttemptNumber, revision: Int64, _ phase: PodPhase, frozen: Bool = false
  ) {
    guard let session = agents[name]?.session else { return }
    var status = PodStatus()
    status.phase = phase
    let isReady = phase == .running
    status.conditions = [
      Condition(type: "Ready", status: isReady ? "True" : "False", lastTransition: now.wall)
    ]
    let report = AttemptReport(attempt: attempt, revision: revision, status: status, frozen: frozen)
    agents[name]?.held[attempt] = InventoryEntry(
      attempt: attempt, revision: revision, terminal: phase.isTerminal, frozen: frozen)
    step([.agent(session, .reports([report]))])
  }

  /// A pod of one container. `toleration`: seconds for node.kubernetes.io/unreachable; nil: without limit.
  @discardableResult
  mutating func addPod(
    _ name: String, cpu: String? = nil, memory: String? = nil, toleration: Int64? = 10, selector: StringMap = [:],
    extra: [(String, JSON)] = [], run: Bool = true
  ) -> ObjectKey {
    var container: JSON = ["name": "c", "image": "none", "command": ["true"]]
    var requests = JSONObject()
    if let cpu { requests["cpu"] = .string(cpu) }
    if let memory { requests["memory"] = .string(memory) }
    container["resources"] = ["requests": .object(requests)]
    var tolerations: [JSON] = []
    for key in [Taint.unreachable, Taint.notReady] {
      var entry: JSON = ["key": .string(key), "operator": "Exists", "effect": "NoExecute"]
      if let toleration { entry["tolerationSeconds"] = .int(toleration) }
      tolerations.append(entry)
    }
    var spec: JSON = ["containers": [container], "restartPolicy": "Never", "tolerations": .array(tolerations)]
    if !selector.isEmpty { spec["nodeSelector"] = selector.json }
    for (key, value) in extra { spec[key] = value }
    var meta = ObjectMeta()
    meta.name = name
    meta.namespace = "default"
    // What the API does in a step of its own.
    core.insert(.pod(Pod(meta: meta, spec: PodSpec(json: spec))))
    if run { step([]) }
    return meta.key
  }

  func pod(_ name: String) -> Pod? { core.state.pods[ObjectKey(namespace: "default", name: name)] }
  func node(_ name: String) -> Node? { core.state.nodes[ObjectKey(namespace: "", name: name)] }
  func attempt(of pod: String) -> AttemptNumber? { self.pod(pod).flatMap { core.fleet.attemptOfPod[$0.meta.uid] } }
  func isLive(_ pod: String) -> Bool { attempt(of: pod) != nil }

  /// Milliseconds from now until the pod's attempt is no longer possibly live; nil: not within the limit.
  mutating func timeToFence(_ pod: String, limit: Int64 = 2_000_000, beating: [String] = []) -> Int64? {
    let start = boot
    guard let uid = self.pod(pod)?.meta.uid else { return nil }
    while core.isPossiblyLive(podUID: uid), boot - start < limit { pass(50, beating: beating) }
    return core.isPossiblyLive(podUID: uid) ? nil : boot - start
  }

  mutating func events(_ reason: String) -> [String] {
    core.state.keys(of: .events).compactMap { key in
      guard let event = core.state.other(.events, key), event.body["reason"]?.stringValue == reason else { return nil }
      return event.body["message"]?.stringValue
    }
  }

  /// Stops the coordinator and starts it from its rows after `away` milliseconds.
  mutating func restart(away: Int64 = 0, _ configuration: CoordinatorConfiguration = Self.configuration()) throws {
    boot += away
    let stored = rows.keys.sorted().compactMap { rows[$0] }
    core = try CoordinatorCore(
      configuration: configuration, rows: stored, seed: UInt64(boot) &* 31 &+ UInt64(core.incarnation), now: now)
    wake = nil
    step([])
  }

  /// What must hold after every step: usage is the recomputed sum, within capacity, and one attempt a pod.
  func problems() -> [String] {
    var found: [String] = []
    var usage: [String: NodeUsage] = [:]
    var digests: [String: SetDigest] = [:]
    var pods: Set<String> = []
    for number in core.fleet.attempts.keys.sorted() {
      guard let attempt = core.fleet.attempts[number] else { continue }
      usage[attempt.node, default: NodeUsage()].add(attempt, sign: 1)
      if core.isDesired(attempt) {
        digests[attempt.node, default: SetDigest()].insert(
          DesiredAttempt(attempt: number, action: attempt.action))
      }
      if !pods.insert(attempt.podUID).inserted { found.append("two attempts of pod \(attempt.pod)") }
      if number > core.fleet.lastAttempt { found.append("attempt \(number) was never given out") }
    }
    for (name, record) in core.fleet.nodes {
      if record.usage != usage[name] ?? NodeUsage() { found.append("usage of \(name) is not its sum") }
      if record.desiredDigest != digests[name] ?? SetDigest() { found.append("digest of \(name) is wrong") }
      if let capacity = node(name)?.capacity,
        record.usage.cpuMillicores > capacity.cpuMillicores || record.usage.memoryBytes > capacity.memoryBytes
          || record.usage.pods > capacity.pods
      {
        found.append("\(name) is over its capacity")
      }
    }
    return found
  }
}

extension FleetHarness: CustomTestStringConvertible {
  var testDescription: String { "the coordinator at \(boot) ms" }
}
