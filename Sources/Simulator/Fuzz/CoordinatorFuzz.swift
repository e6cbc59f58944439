// Requests of every verb, kind and subresource, and messages of registered agents, all with numbers at the ends of
// their ranges, into a real coordinator core. What is checked: it goes on, it answers each request at most once, and
// what it stored starts the next one. Knows no meaning of any field.

import ClusterProto
import CoordinatorCore

/// How many inputs were given and what became of them.
package struct FuzzReport: Sendable {
  /// Requests and messages that reached a core.
  package var inputs = 0
  /// Requests that were taken (a code below 400), and messages that could be read.
  package var accepted = 0
  /// Starts of a core on what the one before had stored.
  package var restarts = 0
  /// What must not be, in words.
  package var faults: [String] = []

  /// Begins from the seed, or with nothing counted.
  package init() {}

  /// Adds what another one counted.
  package mutating func add(_ other: FuzzReport) {
    inputs += other.inputs
    accepted += other.accepted
    restarts += other.restarts
    faults += other.faults
  }
}

/// One seeded run against a coordinator core.
package struct CoordinatorFuzz {
  private static let nodes = ["node-0", "node-1", "node-2"]
  private static let names = ["a", "b", "c", "d", "node-0", "node-1", "default"]
  private static let stream: JSON = [
    "container": "c", "command": ["true", "x"], "stdin": true, "stdout": true, "tty": false, "port": 80,
  ]
  private static let subresources = [
    "", "", "", "status", "status", "eviction", "log", "scale", "finalize", "token", "ephemeralcontainers",
  ]
  /// Inputs between two starts on the stored rows, and between two empty ones.
  private static let life = 500
  private static let world = 4_000

  private var numbers: NumberMutator
  private var core: CoordinatorCore
  private var rows: [String: StoreRow] = [:]
  private var now = Now(
    boot: BootTime(milliseconds: 1_000_000), wall: WallTime(nanoseconds: 1_795_000_000_000_000_000))
  private var sessions: [String: (id: SessionID, sequence: Int64, echo: Int64)] = [:]
  private var sessionNumber = 0
  private var attempts: [AttemptNumber] = [1]
  private var nextRequest: RequestID = 1
  private var done: Set<RequestID> = []
  private var report = FuzzReport()

  private static let configuration: CoordinatorConfiguration = {
    var configuration = CoordinatorConfiguration()
    // A Job of two billion is as good with few pods.
    configuration.waitingPodsOfJob = 16
    configuration.waitingPodLimit = 64
    configuration.watchHistoryLimit = 1_000
    configuration.terminatedPodLimit = 100
    return configuration
  }()

  /// Begins from the seed, or with nothing counted.
  package init(seed: UInt64) throws(CoordinatorStartError) {
    numbers = NumberMutator(seed: seed)
    core = try CoordinatorCore(configuration: Self.configuration, rows: [], seed: seed, now: now)
  }

  /// Gives that many inputs.
  package mutating func run(inputs: Int) -> FuzzReport {
    step([])
    for number in 1...max(1, inputs) {
      if number % Self.life == 0 { restart(empty: number % Self.world == 0) }
      passTime()
      if numbers.oneIn(3) { speak() } else if numbers.oneIn(6) { writeStatus() } else { ask() }
    }
    return report
  }

  // MARK: - Requests

  private mutating func ask() {
    let kind = numbers.pick(Kind.allCases + [.jobs, .jobs, .pods, .pods, .nodes, .nodes])
    let verb = numbers.pick(APIVerb.allCases + [.create, .create, .update, .patch, .patch])
    let name = numbers.pick(Self.names)
    var body = FuzzBodies.objects[kind] ?? .null
    body[path: ["metadata", "name"]] = .string(name)
    if kind == .jobs, numbers.oneIn(2) { FuzzBodies.addIndexes(to: &body) }
    var request = APIRequest(
      verb: verb, kind: kind, namespace: kind.isNamespaced ? "default" : "", name: verb == .create ? "" : name,
      subresource: verb == .create ? "" : numbers.pick(Self.subresources), options: options(verb))
    if verb == .patch, request.options.patchKind == .json {
      request.body = .array([["op": "add", "path": numbers.pick(Self.paths), "value": numbers.value()]])
    } else if verb == .update || verb == .create || verb == .patch {
      request.body = numbers.mutate(body, most: 4)
    }
    if verb == .connect, numbers.oneIn(2) {
      request.kind = .pods
      request.subresource = numbers.pick(PodStreamPurpose.allCases).rawValue
      request.body = numbers.mutate(Self.stream, most: 3)
    }
    request.form = numbers.pick([.object, .object, .table, .metadata])
    send(request)
  }

  /// A status that may be one, of a Job or of a pod: nothing that is wrong in it may stop the coordinator.
  private mutating func writeStatus() {
    var options = APIOptions()
    options.patchKind = .merge
    let pod = numbers.oneIn(3) ? anyPod() : nil
    var status: JSON = .object(JSONObject())
    if pod != nil {
      status["phase"] = numbers.pick(["Pending", "Running", "Succeeded", "Failed", "Unknown", "", "Bogus"])
    } else {
      for (field, values) in FuzzBodies.jobStatus where numbers.oneIn(3) { status[field] = numbers.pick(values) }
      if numbers.oneIn(3) { status["conditions"] = .array([condition(), condition()]) }
    }
    send(
      APIRequest(
        verb: .patch, kind: pod == nil ? .jobs : .pods, namespace: "default", name: pod ?? numbers.pick(Self.names),
        subresource: "status", options: options, body: ["status": status]))
  }

  private mutating func condition() -> JSON {
    let types = ["Complete", "Failed", "FailureTarget", "SuccessCriteriaMet", "Suspended", JobAdmission.condition]
    return [
      "type": .string(numbers.pick(types)), "status": numbers.pick(["True", "True", "False"]),
      "lastTransitionTime": "2026-11-23T10:00:00Z",
    ]
  }

  private mutating func anyPod() -> String? {
    let prefix = "\(StoreTable.objects.rawValue) pods/default/"
    let names = rows.keys.filter { $0.hasPrefix(prefix) }.sorted()
    return names.isEmpty ? nil : String(numbers.pick(names).dropFirst(prefix.count))
  }

  private mutating func send(_ request: APIRequest) {
    let id = nextRequest
    nextRequest += 1
    report.inputs += 1
    step([.request(id, request)])
    // What streams is not waited for.
    if !done.contains(id) { step([.requestCancelled(id)]) }
  }

  private static let paths: [JSON] = [
    "/status/capacity/cpu", "/status/capacity/memory", "/status/capacity/pods", "/status/succeeded", "/status/failed",
    "/status/active", "/spec/parallelism", "/spec/completions", "/spec/backoffLimit", "/spec/activeDeadlineSeconds",
    "/spec/ttlSecondsAfterFinished", "/status/containerStatuses/0/restartCount",
    "/spec/tolerations/0/tolerationSeconds",
    "/metadata/generation", "/count", "/value", "/spec/leaseDurationSeconds", "/spec/taints/-1",
    "/spec/taints/9223372036854775807", "/spec/tolerations/9223372036854775808", "/status/startTime",
  ]

  private mutating func options(_ verb: APIVerb) -> APIOptions {
    var options = APIOptions()
    options.patchKind = numbers.pick([.json, .merge, .merge, .strategic, .apply])
    if options.patchKind == .apply { options.fieldManager = "fuzz" }
    func maybe(_ numbers: inout NumberMutator) -> Int64? { numbers.oneIn(3) ? numbers.integer() : nil }
    func text(_ numbers: inout NumberMutator) -> String? {
      numbers.oneIn(6) ? (numbers.oneIn(2) ? String(numbers.integer()) : numbers.value().text) : nil
    }
    switch verb {
    case .list, .watch, .deletecollection:
      options.limit = maybe(&numbers)
      options.continueToken = text(&numbers)
      options.resourceVersion = text(&numbers)
      options.resourceVersionMatch = numbers.oneIn(8) ? numbers.pick(["Exact", "NotOlderThan", "x"]) : nil
      options.timeoutSeconds = maybe(&numbers)
      options.labelSelector = numbers.oneIn(6) ? "a>\(numbers.integer())" : nil
      options.fieldSelector = text(&numbers).map { "metadata.name=\($0)" }
      options.allowWatchBookmarks = numbers.oneIn(2)
    case .log:
      options.tailLines = maybe(&numbers)
      options.sinceSeconds = maybe(&numbers)
      options.limitBytes = maybe(&numbers)
    default: break
    }
    options.gracePeriodSeconds = maybe(&numbers)
    options.propagationPolicy = numbers.oneIn(4) ? numbers.pick(["Background", "Foreground", "Orphan"]) : nil
    options.preconditionResourceVersion = text(&numbers)
    options.dryRun = numbers.oneIn(16)
    return options
  }

  // MARK: - Agents

  private mutating func speak() {
    let node = numbers.pick(Self.nodes)
    guard let session = sessions[node] else {
      open(node)
      return
    }
    let (message, isWhole) = message(node, session.sequence.addingSaturated(1), session.echo)
    report.inputs += 1
    // Half of them as they should be, or no session would live.
    let json = isWhole || numbers.oneIn(2) ? message : numbers.mutate(message, most: 3)
    guard let parsed = try? AgentMessage(json: json) else { return }
    report.accepted += 1
    if case .heartbeat(let heartbeat) = parsed { sessions[node]?.sequence = heartbeat.sequence }
    step([.agent(session.id, parsed)])
  }

  private mutating func open(_ node: String) {
    sessionNumber += 1
    let id = "session-\(sessionNumber)"
    report.inputs += 1
    let whole = FuzzBodies.registration(node, keeper: "keeper-\(node)")
    let json = numbers.oneIn(2) ? whole : numbers.mutate(whole, most: 3)
    guard let parsed = try? AgentMessage(json: json) else { return }
    report.accepted += 1
    sessions[node] = (id, 0, 0)
    step([.sessionOpened(id, by: .agent(of: node)), .agent(id, parsed)])
  }

  /// A message, and whether it has to stay as it is.
  private mutating func message(_ node: String, _ sequence: Int64, _ echo: Int64) -> (JSON, Bool) {
    let attempt = numbers.pick(attempts)
    let entry = InventoryEntry(attempt: attempt, revision: numbers.integer(), terminal: numbers.oneIn(3), frozen: false)
    switch numbers.random.below(9) {
    case 0, 1, 2:
      let heartbeat = Heartbeat(
        sequence: sequence, echo: echo, desiredDigest: SetDigest(numbers.random.next()),
        inventoryDigest: SetDigest(numbers.random.next()),
        inventory: numbers.oneIn(2) ? [entry] : nil)
      return (AgentMessage.heartbeat(heartbeat).json, !numbers.oneIn(8))
    case 3, 4, 5:
      var report: JSON = ["attempt": .int(attempt), "revision": .int(numbers.integer())]
      report["status"] = numbers.mutate(FuzzBodies.status, most: 3)
      report["status"]?["phase"] = .string(numbers.pick(["Running", "Succeeded", "Failed", "Pending", "Unknown"]))
      return (["type": "reports", "reports": .array([report])], numbers.oneIn(2))
    case 6: return (AgentMessage.fetch([attempt, numbers.integer()]).json, false)
    case 7: return (AgentMessage.tokens([attempt, numbers.integer()]).json, false)
    default: return (AgentMessage.retained([attempt, numbers.integer()]).json, false)
    }
  }

  // MARK: - The world around

  private mutating func passTime() {
    guard numbers.oneIn(4) else { return }
    let passed = numbers.oneIn(200) ? 40_000_000 : Int64(numbers.random.below(2_000))
    now.boot = now.boot + passed
    now.wall = now.wall.adding(milliseconds: passed)
    step([.timer])
  }

  private mutating func restart(empty: Bool) {
    if empty { rows = [:] }
    sessions = [:]
    report.restarts += 1
    do {
      core = try CoordinatorCore(
        configuration: Self.configuration, rows: rows.values.sorted { ($0.table, $0.key) < ($1.table, $1.key) },
        seed: numbers.random.next(), now: now)
    } catch { report.faults.append("after \(report.inputs) inputs the rows do not start: \(error)") }
    step([])
  }

  private mutating func step(_ events: [CoordinatorEvent]) {
    for effect in core.step(events, at: now) {
      switch effect {
      case .persist(let write):
        let key = "\(write.table.rawValue) \(write.key)"
        rows[key] = write.value.map { StoreRow(table: write.table, key: write.key, value: $0) }
      case .reply(let id, .done(let code, _, _)), .shown(let id, .done(let code, _, _), _): finish(id, code)
      case .send(let session, .answer(let answer), _): hear(answer, session)
      // Nothing that is only said may stop it (C4).
      case .halt(let message):
        report.faults.append("after \(report.inputs) inputs it stops: \(message)")
      case .closeSession(let session, _):
        for node in Self.nodes where sessions[node]?.id == session { sessions[node] = nil }
      default: break
      }
    }
  }

  private mutating func finish(_ id: RequestID, _ code: Int) {
    if !done.insert(id).inserted { report.faults.append("request \(id) was answered twice") }
    if code < 400 { report.accepted += 1 }
  }

  private mutating func hear(_ answer: Answer, _ session: SessionID) {
    for node in Self.nodes where sessions[node]?.id == session { sessions[node]?.echo = answer.number }
    attempts += answer.assignments.map(\.attempt)
    if attempts.count > 64 { attempts.removeFirst(attempts.count - 64) }
  }
}
