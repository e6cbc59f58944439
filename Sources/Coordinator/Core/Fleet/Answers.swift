// What goes to the agents at the end of a turn: one answer a session with all that changed, bodies, purges. Answers
// wait for the turn's commit, except pure lease renewals of a set that the agent is known to hold.

import ClusterProto

extension CoordinatorCore {
  /// Assignments in one push, and bytes of bodies in one message (a frame is 1 MiB); the agent fetches the rest.
  private static let assignmentLimit = 256
  private static let bodyLimit = 512 * 1024
  private static let purgePage = 8_192
  /// About what a token is long.
  private static let tokenBytes = 1_024

  mutating func finishFleetTurn() {
    for id in fleet.touched { finishTurn(of: id) }
    fleet.touched.removeAll()
    if fleet.saysStopped {
      fleet.saysStopped = false
      outputs.append(.stopped)
    }
    finishExchangeTurn()
    writeFleetRows()
  }

  private mutating func finishTurn(of id: SessionID) {
    guard var session = fleet.sessions[id] else { return }
    if !session.purged.isEmpty {
      for start in stride(from: 0, to: session.purged.count, by: Self.purgePage) {
        let page = Array(session.purged[start..<min(start + Self.purgePage, session.purged.count)])
        outputs.append(.send(id, .purge(page), immediate: false))
      }
      session.purged.removeAll()
    }
    let isDue =
      session.answerDue || session.fullDue || !session.changed.isEmpty || !session.acknowledged.isEmpty
      || session.inventoryWanted || !session.grown.isEmpty
    // Before the first heartbeat there is no lease to give and nobody who asked.
    if isDue, session.sequence > 0 { sendAnswer(id, &session) }
    fleet.sessions[id] = session
  }

  private mutating func sendAnswer(_ id: SessionID, _ session: inout FleetSession) {
    guard let record = fleet.nodes[session.node] else { return }
    session.number += 1
    let lease = fleet.isStopping ? max(fleet.lease, record.longLease) : fleet.lease
    var answer = Answer(
      number: session.number, sequence: session.sequence, leaseMilliseconds: lease,
      desiredDigest: record.desiredDigest)
    for number in session.changed {
      if let entry = desiredEntry(number) { answer.changes.append(entry) } else { answer.removed.append(number) }
    }
    if session.fullDue {
      answer.full = record.attempts.sorted().compactMap { desiredEntry($0) }
      answer.changes = []
      answer.removed = []
    }
    answer.grown = (answer.full?.map(\.attempt) ?? Array(session.grown)).filter { isGrown($0, id) }
    answer.acknowledged = session.acknowledged
    answer.wantsInventory = session.inventoryWanted
    var bytes = 0
    for number in session.assigned.prefix(Self.assignmentLimit) where bytes < Self.bodyLimit {
      guard let body = assignment(number, id) else { continue }
      bytes += body.bytes
      if bytes <= Self.bodyLimit { answer.assignments.append(body.assignment) }
    }
    let isPure =
      session.changed.isEmpty && !session.fullDue && session.acknowledged.isEmpty && answer.assignments.isEmpty
      && answer.grown.isEmpty
    let isImmediate = isPure && session.orderedNumber > 0 && session.echo >= session.orderedNumber && !fleet.saysStopped
    if !isImmediate { session.orderedNumber = session.number }
    outputs.append(.send(id, .answer(answer), immediate: isImmediate))

    session.sent.append((session.number, now.boot))
    if !session.assigned.isEmpty { session.unacknowledged.append((session.number, now.boot, 0)) }
    session.answerDue = false
    session.fullDue = false
    session.inventoryWanted = false
    session.changed.removeAll()
    session.grown.removeAll()
    session.assigned.removeAll()
    session.acknowledged.removeAll()
    let reach = session.heardAt + LeaseArithmetic.stretched(lease)
    session.reach = max(session.reach, reach)
    fleet.nodes[session.node]?.leaseReach = max(record.leaseReach, reach)
  }

  private func desiredEntry(_ number: AttemptNumber) -> DesiredAttempt? {
    guard let attempt = fleet.attempts[number], isDesired(attempt) else { return nil }
    return DesiredAttempt(attempt: number, action: attempt.action)
  }

  /// Sends bodies that agents asked for; returns how many were looked at.
  mutating func answerFetches(limit: Int) -> Int {
    var used = 0
    while used < limit, let id = fleet.fetching.next() {
      var page: [Assignment] = []
      var bytes = 0
      while used < limit, let number = fleet.sessions[id]?.fetches.next() {
        used += 1
        guard let body = assignment(number, id) else { continue }
        if !page.isEmpty, bytes + body.bytes > Self.bodyLimit {
          outputs.append(.send(id, .assignments(page), immediate: false))
          page = []
          bytes = 0
        }
        page.append(body.assignment)
        bytes += body.bytes
      }
      if !page.isEmpty { outputs.append(.send(id, .assignments(page), immediate: false)) }
      if fleet.sessions[id]?.fetches.isEmpty == false { fleet.fetching.add(id) }
    }
    return used
  }

  /// The body of an attempt that this session's keeper may start, and about how many bytes it is; nil when there is
  /// nothing to start.
  private mutating func assignment(_ number: AttemptNumber, _ id: SessionID) -> (assignment: Assignment, bytes: Int)? {
    guard let attempt = fleet.attempts[number], let pod = ownPod(of: number, id) else { return nil }
    let runsImages = runsImages(node: attempt.node)
    var references = references(of: pod.spec, namespace: pod.meta.namespace, runsImages: runsImages)
    for (key, source) in sources(of: pod) { references[key] = source }
    if runsImages { tellMissingPullSecrets(pod, references, node: attempt.node) }
    let specBytes = fleet.scheduler.specBytes(of: pod.spec)
    let referenceBytes = JSON.object(references).roughBytes
    let tokens = tokens(of: pod)
    return (
      Assignment(
        attempt: number, keeper: attempt.keeper, session: id, namespace: attempt.pod.namespace,
        podName: attempt.pod.name, podUID: attempt.podUID, labels: pod.meta.labels, annotations: pod.meta.annotations,
        spec: pod.spec, hostname: pod.hostname, references: references,
        tolerationMilliseconds: attempt.tolerationMilliseconds, tokens: tokens,
        api: apiAddress, proof: fleet.proofs.proof(ofAttempt: number)),
      512 + specBytes + referenceBytes + tokens.count * Self.tokenBytes
    )
  }

  /// The ConfigMaps and Secrets that the spec names, as they are now. A missing one is left out: the agent shows
  /// the wait and asks again.
  private func references(of spec: PodSpec, namespace: String, runsImages: Bool) -> JSONObject {
    var result = JSONObject()
    for (kind, name) in Self.references(of: spec, runsImages: runsImages) {
      let key = "\(kind.rawValue)/\(name)"
      guard result[key] == nil, let object = state.other(kind, ObjectKey(namespace: namespace, name: name)) else {
        continue
      }
      var body = JSONObject()
      for member in ["data", "binaryData"] { body[member] = object.body[member] }
      result[key] = .object(body)
    }
    return result
  }

  /// The ConfigMaps and Secrets that a spec names: all of these objects that its pod's node has a use for.
  /// `runsImages`: the node does.
  static func references(of spec: PodSpec, runsImages: Bool) -> [(kind: Kind, name: String)] {
    var result: [(kind: Kind, name: String)] = []
    func add(_ kind: Kind, _ name: String) { result.append((kind, name)) }
    for projection in spec.volumes.flatMap(\.projections) {
      switch projection {
      case .configMap(let name, _, _): add(.configmaps, name)
      case .secret(let name, _, _): add(.secrets, name)
      case .downward, .token, .unsupported: break
      }
    }
    for container in spec.initContainers + spec.containers + spec.ephemeralContainers {
      for variable in container.environment {
        if case .configMapKey(let name, _, _) = variable.source { add(.configmaps, name) }
        if case .secretKey(let name, _, _) = variable.source { add(.secrets, name) }
      }
      for source in container.environmentImports {
        if let name = source.configMap { add(.configmaps, name) }
        if let name = source.secret { add(.secrets, name) }
      }
    }
    if runsImages { for name in pullSecrets(of: spec) { add(.secrets, name) } }
    return result
  }

  /// C2: a longer lease, durable before it is sent, for every node that is heard of; then `stopped`. A node that has
  /// missed a heartbeat is probably gone, and would not use the lease but hold up its work's replacement by it; if it
  /// is only slow, its pods pause at their usual deadline and go on when the coordinator is back.
  mutating func beginPoliteStop() {
    let lease = max(configuration.politeStopLeaseMilliseconds, configuration.leaseMilliseconds)
    fleet.isStopping = true
    fleet.saysStopped = true
    for id in fleet.sessions.keys.sorted() {
      guard let session = fleet.sessions[id], session.sequence > 0, let record = fleet.nodes[session.node],
        record.session == id, record.lostAt == nil,
        now.boot - session.heardAt <= 2 * configuration.heartbeatMilliseconds
      else { continue }
      if record.longLease < lease {
        fleet.nodes[session.node]?.longLease = lease
        fleet.dirtyNodes.insert(session.node)
      }
      fleet.sessions[id]?.answerDue = true
      fleet.touched.insert(id)
    }
  }
}
