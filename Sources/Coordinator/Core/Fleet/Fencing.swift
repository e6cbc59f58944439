// When an attempt counts as dead without its keeper's word (design, fencing rules C1, C2, C3, C5, C6): R, proofs by
// boot or sweep, a person's assertion. The brake on mass loss is MassLoss's.

import ClusterProto

/// Sums of rule C1. Milliseconds; clock rates may be off by 5 %.
enum LeaseArithmetic {
  private static let longest: Int64 = 1 << 50
  /// What freezing and the keeper's own timer may take beyond the deadline.
  static let margin: Int64 = 2_000

  /// 1.05 × a duration, rounded up.
  static func stretched(_ milliseconds: Int64) -> Int64 {
    let duration = min(max(0, milliseconds), longest)
    return duration + (duration + 19) / 20
  }

  /// R: no attempt with that toleration runs any more on a node whose leases can reach `reach`; nil: never.
  static func fenceTime(reach: BootTime, tolerationMilliseconds: Int64?) -> BootTime? {
    tolerationMilliseconds.map { reach + stretched($0) + margin }
  }
}

extension CoordinatorCore {
  /// R of an attempt as things are now; nil: without limit.
  func fenceTime(of attempt: Attempt) -> BootTime? {
    guard let record = fleet.nodes[attempt.node] else { return now.boot }
    let time = LeaseArithmetic.fenceTime(
      reach: record.leaseReach, tolerationMilliseconds: attempt.tolerationMilliseconds)
    return time.map { max($0, fleet.pauses.judgesFrom) }
  }

  /// C3: when R of everything that the node may run, and of its lease itself, has passed; nil: never.
  func takeOverTime(_ record: NodeRecord) -> BootTime? {
    var latest = record.leaseReach + LeaseArithmetic.margin
    for number in record.attempts {
      guard let attempt = fleet.attempts[number], isDesired(attempt) else { continue }
      guard let time = fenceTime(of: attempt) else { return nil }
      latest = max(latest, time)
    }
    return latest
  }

  /// Starts the clocks of a lost node's attempts.
  mutating func armLossTimers(_ name: String) {
    guard let record = fleet.nodes[name] else { return }
    let node = state.nodes[ObjectKey(namespace: "", name: name)]
    for number in record.attempts {
      guard let attempt = fleet.attempts[number] else { continue }
      if let node { armEviction(number, node) }
      if let time = fenceTime(of: attempt) { fleet.timers.set(.fence(number), at: time) }
    }
  }

  /// Fences an attempt if it is proven dead by now. R may have moved since its timer was set: an answer went out on
  /// some session.
  mutating func fenceIfDue(_ number: AttemptNumber) {
    guard let attempt = fleet.attempts[number], let record = fleet.nodes[attempt.node] else { return }
    if record.isDeclaredDead || isSwept(attempt, record) {
      fence(number)
      return
    }
    guard record.lostAt != nil, !isHeld(attempt.node), let time = fenceTime(of: attempt) else { return }
    if time <= now.boot { fence(number) } else { fleet.timers.set(.fence(number), at: time) }
  }

  /// Proofs (ii) and (iii), and C3's takeover: the node has another keeper now, and it has said that it holds no
  /// last report of the attempt. Those whose end the successor still has to report wait for that, so that a success
  /// is not run again.
  private func isSwept(_ attempt: Attempt, _ record: NodeRecord) -> Bool {
    guard !isDesired(attempt), let id = record.session, let session = fleet.sessions[id], session.hasInventory else {
      return false
    }
    return session.inventory[attempt.number]?.terminal != true
  }

  /// The attempt is proven unable to run: its pod ends Failed with DisruptionTarget (C5), and its place may be filled.
  mutating func fence(_ number: AttemptNumber) {
    guard let attempt = fleet.attempts[number] else { return }
    markDisrupted(attempt)
    failUnreported(
      attempt.pod, podUID: attempt.podUID,
      why: "Node \(attempt.node) never reported how this pod ended; nothing of it can run any more, so its work may be "
        + "started again")
    noteOutcome(attempt, succeeded: false)
    drop(number)
    podAttemptEnded(attempt.pod, podUID: attempt.podUID)
  }

  /// Called when a session's first inventory has come.
  mutating func fenceSweptAttempts(_ name: String) {
    for number in fleet.nodes[name]?.attempts ?? InsertionSet() {
      if let attempt = fleet.attempts[number], !isDesired(attempt) { fleet.fences.add(number) }
    }
  }

  /// Proof (v): a person says that the machine is off for good. Recorded as such.
  mutating func declareNodeDead(_ name: String) {
    guard let record = fleet.nodes[name], !record.isDeclaredDead else { return }
    if let session = record.session { close(session, reason: "the node was declared dead") }
    outputs.append(.log("node \(name) was declared dead by a person: \(record.attempts.count) attempts count as ended"))
    if let node = state.nodes[ObjectKey(namespace: "", name: name)], !record.attempts.isEmpty {
      recordEvent(
        on: .node(node), type: .warning, reason: "NodeDeclaredDead",
        message: "Node \(name) was declared dead by a person; its \(record.attempts.count) attempts count as ended",
        component: "node-controller")
    }
    markUnreachable(name, because: nil)
    fleet.nodes[name]?.isDeclaredDead = true
    fleet.dirtyNodes.insert(name)
    for number in record.attempts { fleet.fences.add(number) }
  }

  /// Proof (v) for one pod: a forced delete. For the API, before it removes the object of a pod on a node that is away.
  mutating func assertPodDead(podUID: String) {
    guard let number = fleet.attemptOfPod[podUID], let attempt = fleet.attempts[number] else { return }
    outputs.append(.log("pod \(attempt.pod) (attempt \(number)) was declared dead by a forced delete"))
    fence(number)
  }

  /// A forced delete of a pod on a node that is away says that its processes are dead. On a node that answers it says
  /// nothing that the keeper will not prove in a moment.
  mutating func assertPodDeadIfAway(_ pod: Pod) {
    guard let name = pod.nodeName, fleet.nodes[name]?.lostAt != nil else { return }
    assertPodDead(podUID: pod.meta.uid)
  }

  /// C3: deleting a Node ends its lease and proves nothing. Its agent may register again; else R passes.
  mutating func nodeErased(_ name: String) {
    guard let record = fleet.nodes[name] else { return }
    if let session = record.session { close(session, reason: "the Node object was deleted") }
    markUnreachable(name, because: "its Node object was deleted")
    // When the lease is over, the record may go.
    fleet.timers.set(.monitor(name), at: record.leaseReach + 1)
    forgetNodeIfUnused(name)
    noteNodesChanged()
  }
}
