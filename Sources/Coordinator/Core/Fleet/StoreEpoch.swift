// A store that was copied or restored (C4): a new epoch above all numbers, and the time in which a coordinator that
// served a newer one may still have pods at work. Knows nothing of directories; that the store is such a one is told by
// the operator.

import ClusterProto

extension CoordinatorCore {
  static let holdFact = "hold"
  private static let incarnationsAhead: Int64 = 1 << 20
  private static let attemptsAhead: Int64 = 1 << 36
  private static let versionsAhead: Int64 = 1 << 32

  /// Numbers that no start from a newer store has given out; the marks of its starts are forgotten, for what agents
  /// have seen of them lies before the epoch. Between the rows and all that is made from them.
  mutating func openEpoch() throws(CoordinatorStartError) {
    guard incarnation < 1 << 39, fleet.lastAttempt < 1 << 51, state.resourceVersion < 1 << 51 else {
      throw CoordinatorStartError(
        message: "the store was moved or restored so often that its numbers are used up: begin a new cluster")
    }
    incarnation += Self.incarnationsAhead
    fleet.lastAttempt += Self.attemptsAhead
    state.resourceVersion += Self.versionsAhead
    starts = StartHistory()
    fleet.holdMilliseconds = max(fleet.holdMilliseconds, longestStanding())
  }

  /// By then nothing runs that a newer store has assigned and this one does not renew (C1 with the longest of all): no
  /// agent that comes to us has such an attempt renewed, and whoever does not come reaches its deadline.
  private mutating func longestStanding() -> Int64 {
    var lease = max(
      fleet.longestLease, configuration.leaseMilliseconds, configuration.politeStopLeaseMilliseconds)
    for name in fleet.nodes.keys.sorted() { lease = max(lease, fleet.nodes[name]?.longLease ?? 0) }
    // One without a limit is never over by itself: there the operator's word has to do, as for any lost node.
    var toleration = configuration.defaultTolerationSeconds.multipliedSaturated(by: 1_000)
    for number in fleet.attempts.keys.sorted() {
      toleration = max(toleration, fleet.attempts[number]?.tolerationMilliseconds ?? 0)
    }
    for key in state.keys(of: .pods) {
      toleration = max(toleration, state.pods[key]?.spec.unreachableTolerationMilliseconds ?? 0)
    }
    for key in state.keys(of: .jobs) {
      toleration = max(toleration, state.jobs[key]?.spec.podSpec.unreachableTolerationMilliseconds ?? 0)
    }
    return LeaseArithmetic.stretched(lease) + LeaseArithmetic.stretched(toleration) + LeaseArithmetic.margin
  }

  /// While pods of a newer store may run: nothing is assigned, started or thawed. A restart counts it from the start.
  var isHolding: Bool { fleet.holdUntil != nil }

  mutating func beginHold() {
    if configuration.opensEpoch {
      writes.append(fact("attempt", .int(fleet.lastAttempt)))
      writes.append(fact(Self.holdFact, .int(fleet.holdMilliseconds)))
    }
    guard isHolding else { return }
    outputs.append(
      .log(
        "the store was moved or restored: no pod gets a node for \(fleet.holdMilliseconds / 1_000) s, in which pods "
          + "may still run that a newer copy of it has started"))
  }

  mutating func armHold() {
    guard fleet.holdMilliseconds > 0 else { return }
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
  /// run: it ends without being thawed. What runs was not, for no replacement starts before R.
  mutating func stopFrozen(_ entry: InventoryEntry, on node: String) {
    guard isHolding, entry.frozen, !entry.terminal, let attempt = fleet.attempts[entry.attempt], attempt.node == node
    else { return }
    stopAttempt(podUID: attempt.podUID, graceMilliseconds: 0)
  }
}
