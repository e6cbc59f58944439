// A heartbeat: is the session sound both ways (C7), does the node hold what we think it holds, is the node back.
// Grants nothing itself: the answer is made at the end of the turn (Answers).

import ClusterProto

extension CoordinatorCore {
  /// C7: heartbeats that could have echoed an assignment and did not.
  private static let unacknowledgedLimit = 2

  mutating func take(_ heartbeat: Heartbeat, from id: SessionID) {
    guard var session = fleet.sessions[id], heartbeat.sequence > session.sequence else { return }
    guard heartbeat.echo <= session.number, heartbeat.echo >= session.echo else {
      close(id, reason: "the heartbeat echoes an answer that was never sent")
      return
    }
    let previous = session.lastHeartbeat
    session.sequence = heartbeat.sequence
    noteEcho(heartbeat.echo, in: &session)
    session.lastHeartbeat = heartbeat
    session.heardAt = now.boot
    if let problem = oneWay(session) {
      fleet.sessions[id] = session
      suspect(id, problem)
      return
    }
    // The first answer carries the whole set; later a difference counts only when everything sent was seen.
    if session.number == 0 { session.fullDue = true }
    let desired = fleet.nodes[session.node]?.desiredDigest ?? SetDigest()
    let hasSeenAll = session.echo == session.number && session.changed.isEmpty && session.number > 0
    if hasSeenAll, heartbeat.desiredDigest != desired { session.fullDue = true }
    session.answerDue = true
    fleet.sessions[id] = session
    fleet.touched.insert(id)
    if let inventory = heartbeat.inventory { take(inventory, from: id) }
    compareInventory(heartbeat, previous, id)
    heardOfPressures(heartbeat, of: session.node)
    heardFrom(session.node)
    restoreFacts(id)
    heardOfDisk(session.node, heartbeat.diskStalledMilliseconds)
    heardOfRemains(session.node, heartbeat.remains)
    settleLeases(heartbeat, id)
  }

  /// C2: the node has taken back what a polite stop promised it; from here on it is held no longer than this session's
  /// answers need. Why that is safe:
  /// - The agent says it only after its keeper's answer in this session, to a word that it numbered and sent after the
  ///   session's first complete answer. Then agent, keeper and death timer hold no end beyond this session's answers.
  /// - An init may hold an older, later deadline until it looks again: the rest of that is what the heartbeat gives,
  ///   from its sending, which was before now. Its toleration only adds to it.
  /// - Nothing older can lengthen a lease again: the agent hears one connection, the keeper one agent, each in order.
  ///   What lengthens later are this session's answers, all in `reach`; of another session the agent must say it anew.
  /// - So an older heartbeat never takes back a newer long lease: one that this session gave is in `reach`, and one of
  ///   another session is not judged by this one, which is closed by then. While we stop nothing is taken back.
  /// The row is cleared last, since a restart counts from the leases alone: when the inits hold nothing longer either.
  private mutating func settleLeases(_ heartbeat: Heartbeat, _ id: SessionID) {
    guard let settle = heartbeat.leasesSettleMilliseconds, !fleet.isStopping, let session = fleet.sessions[id],
      let record = fleet.nodes[session.node], record.session == id
    else { return }
    let bound = max(session.reach, now.boot + LeaseArithmetic.stretched(settle))
    let isOver = settle <= 0 && record.longLease > 0
    guard isOver || bound < record.leaseReach else { return }
    // The word is this keeper's. What another one held has its own proof, or waits for what was promised.
    guard record.attempts.allSatisfy({ fleet.attempts[$0].map(isDesired) ?? true }) else { return }
    fleet.nodes[session.node]?.leaseReach = min(record.leaseReach, bound)
    guard isOver else { return }
    fleet.nodes[session.node]?.longLease = 0
    fleet.dirtyNodes.insert(session.node)
  }

  /// Forgets the answers before the one echoed, and the assignments that it proves delivered.
  private func noteEcho(_ echo: Int64, in session: inout FleetSession) {
    session.echo = echo
    session.sent.removeAll { $0.number < echo }
    session.unacknowledged.removeAll { $0.number <= echo }
    for index in session.unacknowledged.indices
    where now.boot - silent(since: session.unacknowledged[index].at) >= configuration.heartbeatMilliseconds {
      // A heartbeat this long after the answer was sent after it arrived, if it arrives at all.
      session.unacknowledged[index].heartbeats += 1
    }
  }

  /// C7: why arriving heartbeats prove nothing here; nil when answers arrive too.
  private func oneWay(_ session: FleetSession) -> String? {
    if session.number > 0 {
      let echoedAt = session.echo > 0 ? session.sent.first?.at : session.openedAt
      if let echoedAt, now.boot - silent(since: echoedAt) > configuration.leaseMilliseconds {
        return "its heartbeats echo an answer that is older than a lease"
      }
    }
    if session.unacknowledged.contains(where: { $0.heartbeats >= Self.unacknowledgedLimit }) {
      return "an assignment was not acknowledged within two heartbeats"
    }
    return nil
  }

  private mutating func suspect(_ id: SessionID, _ problem: String) {
    let node = fleet.sessions[id]?.node ?? ""
    close(id, reason: problem)
    markUnreachable(node, because: problem)
  }

  /// The whole inventory replaces our view. Absence from it proves nothing.
  private mutating func take(_ inventory: [InventoryEntry], from id: SessionID) {
    guard let session = fleet.sessions[id] else { return }
    if !session.hasInventory { listUnknown(inventory, on: session.node) }
    var view: [AttemptNumber: InventoryEntry] = [:]
    var digest = SetDigest()
    var differs = false
    for entry in inventory where view[entry.attempt] == nil {
      view[entry.attempt] = entry
      digest.insert(entry)
      if !session.hasInventory { stopFrozen(entry, on: session.node) }
      if let attempt = fleet.attempts[entry.attempt], attempt.node == session.node {
        let known = fleet.views[entry.attempt]
        if entry.terminal || known?.revision != entry.revision || known?.frozen != entry.frozen { differs = true }
      } else if entry.terminal {
        // Counted before, or never ours to count: either way nobody waits for it.
        fleet.sessions[id]?.acknowledged.append(entry.attempt)
      }
    }
    fleet.sessions[id]?.inventory = view
    fleet.sessions[id]?.inventoryDigest = digest
    // Reports that came before a restart are gone with it, and Ready may have been taken from pods while the node
    // was lost.
    if differs || !session.hasInventory { fleet.sessions[id]?.inventoryWanted = true }
    if !session.hasInventory {
      fleet.sessions[id]?.hasInventory = true
      fenceSweptAttempts(session.node)
    }
  }

  /// A difference that stands still for two heartbeats is not one that reports under way explain.
  private mutating func compareInventory(_ heartbeat: Heartbeat, _ previous: Heartbeat?, _ id: SessionID) {
    guard let session = fleet.sessions[id], heartbeat.inventory == nil else { return }
    if !session.hasInventory
      || (heartbeat.inventoryDigest != session.inventoryDigest
        && heartbeat.inventoryDigest == previous?.inventoryDigest)
    {
      fleet.sessions[id]?.inventoryWanted = true
    }
  }

  /// Keeps the session's view of the inventory in step with a report, or with the forgetting of one.
  mutating func noteInventory(_ number: AttemptNumber, _ entry: InventoryEntry?, session id: SessionID) {
    if let before = fleet.sessions[id]?.inventory[number] {
      fleet.sessions[id]?.inventoryDigest.remove(before)
    }
    fleet.sessions[id]?.inventory[number] = entry
    if let entry { fleet.sessions[id]?.inventoryDigest.insert(entry) }
  }
}
