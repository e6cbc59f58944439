// K2: what an answer of the coordinator renews. The lease counts from the sending of the heartbeat that the answer
// echoes; an answer that is already past changes nothing; it renews only what it lists, or everything desired when
// the digests agree.

import ClusterProto

extension AgentCore {
  mutating func hear(_ answer: Answer, _ now: Now) {
    guard var session, answer.number > session.echo, let sentAt = session.sendTime(of: answer.sequence) else { return }
    let leaseEnd = sentAt + answer.leaseMilliseconds
    guard leaseEnd > now.boot else { return }
    coordinatorAnswered()
    session.echo = answer.number
    session.unanswered = 0
    session.answeredSequence = max(session.answeredSequence, answer.sequence)
    session.sent.removeAll { $0.sequence < answer.sequence }
    // The one holder of its sets: else each change would copy them.
    self.session = nil
    let wasComplete = session.isComplete
    let listed = apply(answer, to: &session)
    session.isComplete = session.desiredDigest == answer.desiredDigest
    // A push renews no further than the answer before it and concerns what it names; all else would be looked at for
    // each pod that changes.
    let concernsAll = leaseEnd > session.renewedTo || answer.full != nil || !wasComplete
    if session.isComplete { session.renewedTo = max(session.renewedTo, leaseEnd) }
    // A lost change: ask for the whole set at once, and renew no more than the answer names.
    if !session.isComplete { session.asks = true }
    if answer.wantsInventory {
      session.wantsInventory = true
      session.asks = true
    }
    self.session = session
    for number in listed { highestAttempt = max(highestAttempt, number) }
    acknowledge(answer.acknowledged)
    renew(session.isComplete && concernsAll ? session.desired.keys.sorted() : listed, leaseEnd)
    shortenOnce()
    take(answer.assignments, now)
    fetchGrown(answer.grown, now)
    if concernsAll {
      reconcileAll(now)
    } else {
      reconcile(Set(listed + answer.removed + answer.assignments.map(\.attempt)).sorted(), now)
    }
    if answer.wantsInventory { sendReports(attempts.values.compactMap(\.report)) }
  }

  /// Lays the answer over the desired set; gives the attempts that it lists itself, in order.
  private func apply(_ answer: Answer, to session: inout AgentSession) -> [AttemptNumber] {
    let entries = answer.full ?? answer.changes
    if answer.full != nil {
      session.desired = [:]
      session.desiredDigest = SetDigest()
    } else {
      for attempt in answer.removed { session.remove(attempt) }
    }
    for entry in entries { session.set(entry) }
    return Set(entries.map(\.attempt)).sorted()
  }

  /// Renews these attempts, those being stopped too: their grace may be longer than a lease, and every answer counts
  /// in the coordinator's R anyway (C1). A frozen one that is still to run may thaw.
  private mutating func renew(_ numbers: [AttemptNumber], _ leaseEnd: BootTime) {
    var held: [AttemptNumber] = []
    var thawed: [AttemptNumber] = []
    for number in numbers {
      guard let action = session?.desired[number] else { continue }
      if attempts[number] == nil { attempts[number] = LocalAttempt() }
      guard let attempt = attempts[number], attempt.report?.isTerminal != true else { continue }
      // A push repeats the last sequence, so it often brings no new end: the keeper is not told twice.
      if attempt.leaseEnd < leaseEnd {
        attempts[number]?.leaseEnd = leaseEnd
        if attempt.isKnownToKeeper { held.append(number) }
      }
      if action == .run, attempt.report?.frozen == true { thawed.append(number) }
    }
    if !held.isEmpty { effects.append(.keeper(.renew(leaseEnd: leaseEnd, attempts: held))) }
    for number in thawed { effects.append(.keeper(.thaw(number))) }
  }

  /// C2: once all that is wanted is renewed by this session, nothing need hold a longer lease of one before: that of a
  /// polite stop. Ours go back first, so that no start or renewal of ours carries such a lease any more; then the
  /// keeper's. From its answer on the heartbeats say so, for the session's life: only this session's answers lengthen
  /// anything then, since words of a connection before are not heard here, nor those of an agent before in the keeper.
  private mutating func shortenOnce() {
    guard let session, session.isComplete, session.shortening == nil else { return }
    lastShortening += 1
    self.session?.shortening = lastShortening
    for number in attempts.keys.sorted() {
      guard let end = attempts[number]?.leaseEnd, end > session.renewedTo else { continue }
      attempts[number]?.leaseEnd = session.renewedTo
    }
    effects.append(.keeper(.shorten(leaseEnd: session.renewedTo, number: lastShortening)))
  }

  /// The coordinator holds these reports durably: keeper and agent forget them, and the volumes go. Logs stay until
  /// `purge`.
  private mutating func acknowledge(_ numbers: [AttemptNumber]) {
    var known: [AttemptNumber] = []
    for number in numbers {
      guard let report = attempts[number]?.report, report.isTerminal else { continue }
      attempts[number] = nil
      inventoryDigest.remove(Self.entry(report))
      known.append(number)
    }
    guard !known.isEmpty else { return }
    effects.append(.keeper(.acknowledge(known)))
    for number in known { effects.append(.cleanUp(number)) }
  }
}
