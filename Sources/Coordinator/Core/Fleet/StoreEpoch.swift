// A store that was moved or restored (C4): a new epoch above all numbers, and the time in which a coordinator that
// served a newer one may still have pods at work. Knows nothing of directories; that the store is such a one is told by
// the operator, or by a row that a restore has written.

import ClusterProto

extension CoordinatorCore {
  static let holdFact = "hold"
  private static let epochFact = "epoch"
  /// Written by a restore: the next start opens an epoch. Gone with that start's first commit.
  package static let restoredFact = "restored"
  private static let incarnationsAhead: Int64 = 1 << 20
  private static let attemptsAhead: Int64 = 1 << 36
  private static let versionsAhead: Int64 = 1 << 32
  /// Agents that claim more are not believed, see `Registration.malformation`.
  private static let lastIncarnation: Int64 = 1 << 40 - incarnationsAhead * 2
  private static let lastAttempt: Int64 = 1 << 52 - attemptsAhead * 2
  /// The second in which epochs begin to be counted, 2020-01-01T00:00:00Z, and the last one, in 2088.
  private static let firstSecond: Int64 = 1_577_836_800
  private static let lastSecond: Int64 = 1 << 31 - 1
  private static let startsASecond: Int64 = 1 << 8
  private static let attemptsASecond: Int64 = 1 << 20

  /// Numbers that no start from a newer store has given out: those of the wall clock's second, at rates that nothing
  /// reaches, so that a second restore from one backup lies above all that the first one gave out. Where the clock is
  /// behind the store's numbers, a step above these; what agents have seen above all of it, `rise` learns from them.
  /// The marks of starts are forgotten, for what agents have seen of them lies before the epoch. Between the rows and
  /// all that is made from them.
  mutating func openEpoch() throws(CoordinatorStartError) {
    guard incarnation < Self.lastIncarnation, fleet.lastAttempt < Self.lastAttempt,
      state.resourceVersion < Self.lastAttempt
    else {
      throw CoordinatorStartError(
        message: "the store was moved or restored so often that its numbers are used up: begin a new cluster")
    }
    let second = min(max(0, now.wall.seconds - Self.firstSecond), Self.lastSecond)
    fleet.beforeEpoch = fleet.lastAttempt
    incarnation = Self.next(incarnation, at: second * Self.startsASecond, ahead: Self.incarnationsAhead)
    fleet.lastAttempt = Self.next(
      fleet.lastAttempt, at: second * Self.attemptsASecond, ahead: Self.attemptsAhead)
    state.resourceVersion = Self.next(
      state.resourceVersion, at: second * Self.attemptsASecond, ahead: Self.versionsAhead)
    starts = StartHistory()
    fleet.holdMilliseconds = longestStanding().milliseconds
  }

  private static func next(_ number: Int64, at clock: Int64, ahead: Int64) -> Int64 {
    clock > number ? clock : number + ahead
  }

  /// Goes above what an agent has seen of a newer store, also of an earlier restore whose clock was ahead. True only
  /// while nothing was given out in this epoch; later a coordinator that is behind has to stop.
  mutating func rise(above registration: Registration) -> Bool {
    let proven = proven(registration)
    let seen = max(incarnation, proven.incarnation)
    let attempt = max(fleet.lastAttempt, proven.attempt)
    guard isHolding, seen < Self.lastIncarnation, attempt < Self.lastAttempt else { return false }
    incarnation = seen + Self.incarnationsAhead
    fleet.lastAttempt = attempt + Self.attemptsAhead
    starts = StartHistory()
    starts.begin(incarnation, mark: startMark)
    writes.append(fact("incarnation", .int(incarnation)))
    writes.append(fact(StartHistory.fact, starts.json))
    outputs.append(
      .log(
        "node \(registration.node) has seen incarnation \(proven.incarnation) and attempt "
          + "\(proven.attempt) of a newer copy of the store: this one goes on above them, as incarnation "
          + "\(incarnation)"))
    return true
  }

  /// Tolerations up to this are waited for. A longer one is as one without a limit, which is never over by itself:
  /// there the operator's word has to do, as for any lost node. Else one user's Job could keep all others from their
  /// nodes for years after a restore.
  private static let longestTolerationMilliseconds: Int64 = 3_600_000

  /// By then nothing runs that a newer store has assigned and this one does not renew (C1 with the longest of all): no
  /// agent that comes to us has such an attempt renewed, and whoever does not come reaches its deadline. `whose`: the
  /// toleration that makes it longer than the defaults would. Only what would be assigned again counts, so an object
  /// that is gone counts no more.
  private mutating func longestStanding() -> (milliseconds: Int64, whose: String, beyond: [String]) {
    var lease = max(
      fleet.longestLease, configuration.leaseMilliseconds, configuration.politeStopLeaseMilliseconds)
    for name in fleet.nodes.keys.sorted() { lease = max(lease, fleet.nodes[name]?.longLease ?? 0) }
    var toleration = configuration.defaultTolerationSeconds.multipliedSaturated(by: 1_000)
    var (whose, beyond): (String, [String]) = ("", [])
    func count(_ own: Int64?, of object: @autoclosure () -> String) {
      guard let own, own > toleration else { return }
      if own > Self.longestTolerationMilliseconds {
        beyond.append(object())
      } else {
        (toleration, whose) = (own, object())
      }
    }
    for key in state.keys(of: .jobs) where state.jobs[key]?.status.isFinished == false {
      count(state.jobs[key]?.spec.podSpec.unreachableTolerationMilliseconds, of: "Job \(key)")
    }
    for key in state.keys(of: .pods) where state.pods[key]?.status.phase.isTerminal == false {
      count(state.pods[key]?.spec.unreachableTolerationMilliseconds, of: "pod \(key)")
    }
    for number in fleet.attempts.keys.sorted() {
      count(fleet.attempts[number]?.tolerationMilliseconds, of: "attempt \(number)")
    }
    let time = LeaseArithmetic.stretched(lease) + LeaseArithmetic.stretched(toleration) + LeaseArithmetic.margin
    return (time, whose, beyond)
  }

  /// While pods of a newer store may run: nothing is assigned, started or thawed. A restart counts it from the start.
  var isHolding: Bool { fleet.holdUntil != nil }

  mutating func beginHold() {
    if fleet.opensEpoch {
      writes.append(fact("attempt", .int(fleet.lastAttempt)))
      writes.append(fact(Self.epochFact, .int(fleet.beforeEpoch)))
      writes.append(fact(Self.holdFact, .int(fleet.holdMilliseconds)))
      writes.append(StoreWrite(table: .facts, key: Self.restoredFact, value: nil))
    }
    guard isHolding else { return }
    let (_, whose, beyond) = longestStanding()
    outputs.append(
      .log(
        "the store was moved or restored: no pod gets a node for \(fleet.holdMilliseconds / 1_000) s, in which pods "
          + "may still run that a newer copy of it has started"
          + (whose.isEmpty ? "" : " (\(whose) tolerates an unreachable node so long)")))
    guard let first = beyond.first else { return }
    let more = beyond.count > 1 ? " and \(beyond.count - 1) more" : ""
    outputs.append(
      .log(
        "\(first)\(more) may tolerate an unreachable node for more than an hour, which is not waited for: what a newer "
          + "copy of the store has started of it may run on a machine that does not come back: look after that"
      ))
  }

  mutating func restoreEpoch(_ fact: String, _ value: JSON) {
    switch fact {
    case Self.holdFact: fleet.holdMilliseconds = max(0, value.intValue ?? 0)
    case Self.epochFact: fleet.beforeEpoch = max(0, value.intValue ?? 0)
    case Self.restoredFact: fleet.opensEpoch = true
    default: break
    }
  }

  mutating func armHold() {
    guard fleet.holdMilliseconds > 0 else { return }
    // A restart counts anew, also what makes it long: that may be gone meanwhile.
    fleet.holdMilliseconds = longestStanding().milliseconds
    let end = now.boot + min(fleet.holdMilliseconds, 1 << 50)
    fleet.holdUntil = end
    fleet.timers.set(.endHold, at: end)
  }

  mutating func endHold() {
    fleet.holdUntil = nil
    fleet.holdMilliseconds = 0
    writes.append(fact(Self.holdFact, .int(0)))
    outputs.append(.log("what a newer copy of the store has started runs no more: pods get nodes again"))
    for name in fleet.nodes.keys.sorted() {
      nodeOpened(name)
      // Bodies that were asked for meanwhile.
      if let session = fleet.nodes[name]?.session { fleet.fetching.add(session) }
    }
    noteNodesChanged()
  }

  /// Why pods wait; nil: for something else.
  var holdMessage: String? {
    guard let end = fleet.holdUntil else { return nil }
    let wall = now.wall.adding(milliseconds: end - now.boot).rfc3339
    return "0/\(state.nodes.count) nodes are available: the coordinator's store was moved or restored, and until "
      + "\(wall) pods may still run that a newer copy of it has started."
  }

  /// What stands frozen when its node first comes may have been replaced by the newer store, and its replacement may
  /// run: it ends without being thawed, as what was lost with its node. What runs was not, for no replacement starts
  /// before R.
  mutating func stopFrozen(_ entry: InventoryEntry, on node: String) {
    guard isHolding, entry.frozen, !entry.terminal, let attempt = fleet.attempts[entry.attempt], attempt.node == node
    else { return }
    markDisrupted(attempt)
    stopAttempt(podUID: attempt.podUID, graceMilliseconds: 0)
  }

  private static let listed = 20

  /// C4: tells the operator what a node holds of a newer store. It is not desired, which stops what runs of it.
  mutating func listUnknown(_ inventory: [InventoryEntry], on name: String) {
    guard isHolding else { return }
    let unknown = inventory.filter { fleet.attempts[$0.attempt] == nil && !fleet.tokens.contains($0.attempt) }
    guard !unknown.isEmpty else { return }
    let words = unknown.prefix(Self.listed).map { entry in
      "\(entry.attempt)\(entry.terminal ? " (ended)" : entry.frozen ? " (frozen)" : "")"
    }
    let more = unknown.count > Self.listed ? " and \(unknown.count - Self.listed) more" : ""
    let message =
      "node \(name) holds attempts that the restored store does not know: \(words.joined(separator: ", "))\(more). "
      + "What runs of them is stopped, and how they end does not count"
    outputs.append(.log(message))
    guard let node = state.nodes[ObjectKey(namespace: "", name: name)] else { return }
    recordEvent(
      on: .node(node), type: .warning, reason: "UnknownAttempts", message: message, component: "node-controller")
  }

  /// The keeper has run it, and has told how it ended to a coordinator whose store is lost: it only says that it will
  /// not run it again. That is the end of an attempt, but no failure of the pod's.
  func isForgottenEnd(_ report: AttemptReport) -> Bool {
    let status = report.status
    return report.isTerminal && report.attempt <= fleet.beforeEpoch && status.phase == .failed
      && status.containers.isEmpty && status.initContainers.isEmpty
  }
}
