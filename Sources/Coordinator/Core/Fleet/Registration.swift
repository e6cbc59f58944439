// An agent's first word: the record of the node name, and the Node object. What its numbers say is SeenNumbers' to
// tell, who may follow another keeper Succession's, what the old keeper's attempts are worth Fencing's.

import ClusterProto

extension CoordinatorCore {
  mutating func sessionOpened(_ session: SessionID, by subject: Subject) {
    if case .denied(let reason) = authorize(subject, .session) {
      let failure = APIFailure.denied(subject, .session, reason)
      outputs.append(.closeSession(session, reason: failure.message))
      return
    }
    let identity = NodeIdentity(subject)
    if let identity, let problem = keyProblem(identity) {
      return refuse(session, problem, retryMilliseconds: nil)
    }
    fleet.sessions[session] = FleetSession(provenNode: subject.node, openedAt: now.boot, heardAt: now.boot)
    fleet.sessions[session]?.identity = identity
  }

  mutating func sessionClosed(_ session: SessionID) {
    guard let gone = fleet.sessions.removeValue(forKey: session) else { return }
    fleet.touched.remove(session)
    fleet.fetching.remove(session)
    fleet.wantingTokens.remove(session)
    guard fleet.nodes[gone.node]?.session == session else { return }
    // Nothing is proven by a closed connection: the monitor waits for the heartbeat of the next one.
    fleet.nodes[gone.node]?.session = nil
    fleet.nodes[gone.node]?.isReachable = false
    noteStanding(gone.node)
    forgetNodeIfUnused(gone.node)
  }

  /// Ends a session from our side.
  mutating func close(_ session: SessionID, reason: String) {
    outputs.append(.closeSession(session, reason: reason))
    sessionClosed(session)
  }

  mutating func receive(_ message: AgentMessage, from session: SessionID) {
    guard let known = fleet.sessions[session] else { return }
    switch message {
    case .volumesRemoved(let names, let failed): take(removed: names, failed: failed, from: session)
    case .register(let registration):
      if known.node.isEmpty { register(registration, session) } else { close(session, reason: "registered twice") }
    case _ where known.node.isEmpty: close(session, reason: "not registered")
    case .heartbeat(let heartbeat): take(heartbeat, from: session)
    case .reports(let reports):
      for report in reports where fleet.sessions[session] != nil { take(report, from: session) }
    case .fetch(let numbers):
      for number in numbers { fleet.sessions[session]?.fetches.add(number) }
      fleet.fetching.add(session)
    case .tokens(let numbers): wantTokens(numbers, session)
    case .events(let facts): take(facts, from: session)
    case .images(let images): take(images, from: session)
    case .usage(let report): take(report, from: session)
    case .retained(let numbers):
      let gone = numbers.filter { !fleet.tokens.contains($0) && fleet.attempts[$0] == nil }
      guard !gone.isEmpty else { return }
      fleet.sessions[session]?.purged.append(contentsOf: gone)
      fleet.touched.insert(session)
    }
  }

  private mutating func register(_ registration: Registration, _ session: SessionID) {
    // Before anything is concluded from it.
    if let problem = registration.malformation { return refuse(session, problem, retryMilliseconds: nil) }
    guard let proven = fleet.sessions[session]?.provenNode, proven == registration.node else {
      let who = fleet.sessions[session]?.provenNode.map { "node \($0)" } ?? "no node"
      return refuse(
        session, "the certificate is that of \(who), not of node \(registration.node)", retryMilliseconds: nil)
    }
    // Another cluster's numbers say nothing about this one's store (C4), and its pods are none of this one's.
    if let problem = foreign(registration) { return refuse(session, problem, retryMilliseconds: nil) }
    if case .behind(let problem) = judge(registration), !rise(above: registration) {
      outputs.append(.halt(problem))
      return
    }
    if case .unproven(let problem) = judge(registration) { return refuse(session, problem, retryMilliseconds: nil) }
    let name = registration.node
    if let problem = registration.impossible {
      refuse(session, "node \(name) \(problem)", retryMilliseconds: nil)
      return
    }
    if let identity = fleet.sessions[session]?.identity, let problem = keyProblem(identity, registration) {
      refuse(session, problem, retryMilliseconds: nil)
      return
    }
    if let record = fleet.nodes[name], let reason = obstacle(to: registration, after: record) {
      return refuse(session, reason.text, retryMilliseconds: reason.retryMilliseconds)
    }
    if let identity = fleet.sessions[session]?.identity { enroll(identity, registration) }
    if let old = fleet.nodes[name]?.session { close(old, reason: "replaced by a newer session of the same node") }
    enter(registration)
    fleet.nodes[name]?.session = session
    fleet.nodes[name]?.isReachable = false
    noteStanding(name)
    storage.untold.add(name)
    fleet.nodes[name]?.lastHeartbeat = now.boot
    fleet.nodes[name]?.heardAt = now.boot
    fleet.sessions[session]?.node = name
    fleet.sessions[session]?.keeper = registration.keeper
    fleet.sessions[session]?.registration = registration
    noteUsageUnasked(name)
    fleet.timers.set(.monitor(name), at: now.boot + monitorLimit)
    writeNode(registration)
    outputs.append(
      .send(
        session,
        .registered(
          session: session, incarnation: incarnation, heartbeatMilliseconds: configuration.heartbeatMilliseconds,
          leaseMilliseconds: fleet.lease, mark: startMark), immediate: false))
    if let identity = fleet.sessions[session]?.identity { tellAuthorities(session, identity) }
    tellCoordinators(session)
  }

  private mutating func refuse(_ session: SessionID, _ reason: String, retryMilliseconds: Int64?) {
    let who = fleet.sessions[session]?.provenNode.map { Subject.nodeName($0) } ?? ""
    outputs.append(.audit(AuditEntry(.refusal, "session refused: \(reason)", who: who, from: .session(session))))
    outputs.append(.send(session, .refused(reason: reason, retryMilliseconds: retryMilliseconds), immediate: false))
    close(session, reason: reason)
  }

  /// The record of the node name, with the desired set of the keeper that holds it now.
  private mutating func enter(_ registration: Registration) {
    let name = registration.node
    let holder = NodeHolder(registration)
    let isNew = fleet.nodes[name] == nil
    var record = fleet.nodes[name] ?? newRecord(holder, fencesFully: registration.fencesFully)
    let isChanged =
      record.holder != holder || record.fencesFully != registration.fencesFully || record.isDeclaredDead
    record.holder = holder
    record.fencesFully = registration.fencesFully
    record.isDeclaredDead = false
    record.desiredDigest = SetDigest()
    fleet.nodes[name] = record
    for number in record.attempts {
      if let attempt = fleet.attempts[number] { enterDesired(attempt) }
    }
    if isNew || isChanged { fleet.dirtyNodes.insert(name) }
  }

  /// A client has written a node's status: what its agent knows better is written again when it is heard next, as a
  /// kubelet does.
  mutating func statusWasWritten(ofNode name: String) {
    guard let session = fleet.nodes[name]?.session else { return }
    fleet.sessions[session]?.factsAreOverwritten = true
  }

  mutating func restoreFacts(_ id: SessionID) {
    guard let session = fleet.sessions[id], session.factsAreOverwritten, let registration = session.registration else {
      return
    }
    fleet.sessions[id]?.factsAreOverwritten = false
    writeNode(registration)
    writeReady(session.node)
  }

  private mutating func writeNode(_ registration: Registration) {
    let key = ObjectKey(namespace: "", name: registration.node)
    let labels = registration.labels.merging([
      "kubernetes.io/hostname": registration.node, "kubernetes.io/os": "linux",
      "kubernetes.io/arch": registration.architecture,
    ])
    let mode = registration.labels[ImageMode.label]
    let images = mode == ImageMode.on.rawValue ? toldImages(registration.node) : []
    if state.nodes[key] == nil {
      var meta = ObjectMeta()
      meta.name = registration.node
      meta.labels = labels
      var node = Node(meta: meta, capacity: registration.capacity)
      node.reserved = registration.reserved
      node.address = registration.address
      node.info = registration.info
      node.images = images ?? []
      node.conditions = registration.conditions
      node.conditions.set(
        Condition(
          type: "Ready", status: "False", reason: "KubeletNotReady", message: "waiting for the first heartbeat",
          lastTransition: now.wall, lastProbe: now.wall))
      let created = insert(.node(node))
      recordEvent(
        on: created, type: .normal, reason: "RegisteredNode",
        message: "Node \(registration.node) event: Registered Node \(registration.node) in Controller",
        component: "node-controller")
      return
    }
    updateNode(registration.node) { node in
      node.meta.labels = node.meta.labels.merging(labels)
      // What somebody has written of devices stays, but for those that the agent itself hands out.
      let devices = node.capacity.extended.filter { registration.capacity.amount(of: $0.name) == 0 }
      node.capacity = registration.capacity
      node.capacity.extended = (devices + registration.capacity.extended).sorted { $0.name < $1.name }
      node.reserved = registration.reserved
      node.address = registration.address
      node.info = registration.info
      // Until it says what it has, what it had is shown; a node that runs none has none.
      if let images { node.images = images }
      for condition in registration.conditions where !Self.ownConditions.contains(condition.type) {
        // Probe times alone are no change.
        guard let before = node.conditions.first(where: { $0.type == condition.type }) else {
          node.conditions.set(condition)
          continue
        }
        if before.status != condition.status || before.reason != condition.reason || before.message != condition.message
        {
          node.conditions.set(condition)
        }
      }
    }
  }
}
