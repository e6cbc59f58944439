// The table of possibly-live attempts: made when a pod is assigned, dropped only on a proof. Rows, counts and
// digests follow. Knows nothing of sessions' messages beyond marking what has to be said.

import ClusterProto

extension CoordinatorCore {
  /// True while the pod's processes may run somewhere.
  func isPossiblyLive(podUID: String) -> Bool { fleet.attemptOfPod[podUID] != nil }

  /// True for a number that no possibly-live attempt bears.
  func attemptIsUnknown(_ number: AttemptNumber) -> Bool { fleet.attempts[number] == nil }

  /// Attempts of the Job's pods that may run somewhere, whether their pods still exist or not.
  func possiblyLiveCount(jobUID: String) -> Int { fleet.attemptsOfJob[jobUID] ?? 0 }

  /// True while an attempt of the slot's index may run somewhere, whether its pod still exists or not.
  func isPossiblyLive(_ slot: Slot) -> Bool { fleet.attemptsOfIndex[slot] != nil }

  /// Asks the node to end the pod's attempt: SIGTERM, then SIGKILL after the grace. Kept across restarts; a repeat
  /// can only shorten.
  mutating func stopAttempt(podUID: String, graceMilliseconds: Int64) {
    guard let number = fleet.attemptOfPod[podUID], let attempt = fleet.attempts[number] else { return }
    let grace = max(0, graceMilliseconds)
    if case .stop(let before) = attempt.action, before <= grace { return }
    leaveDesired(attempt)
    fleet.attempts[number]?.action = .stop(graceMilliseconds: grace)
    if let changed = fleet.attempts[number] { enterDesired(changed) }
    fleet.dirtyAttempts.insert(number)
    noteDesiredChange(number, node: attempt.node)
  }

  /// Enters a new attempt; the caller writes the pod.
  mutating func add(_ attempt: Attempt) {
    checkNew(attempt)
    fleet.attempts[attempt.number] = attempt
    fleet.views[attempt.number] = AttemptView()
    link(attempt)
    notePreemptionChange()
    fleet.dirtyAttempts.insert(attempt.number)
    noteDesiredChange(attempt.number, node: attempt.node)
  }

  /// The pod has another controller, or none: what runs of it is that one's work from now on.
  mutating func moveAttempt(podUID: String, to slot: Slot?) {
    guard let number = fleet.attemptOfPod[podUID], let attempt = fleet.attempts[number], attempt.slot != slot else {
      return
    }
    if let before = attempt.slot { count(before, on: attempt.node, by: -1) }
    fleet.attempts[number]?.slot = slot
    if let slot { count(slot, on: attempt.node, by: 1) }
    fleet.dirtyAttempts.insert(number)
    if let before = attempt.slot { slotOpened(before) }
  }

  private mutating func slotOpened(_ slot: Slot) {
    reconsiderGated(slot.jobUID)
    reconsiderAside(slot)
  }

  /// Forgets an attempt that is proven dead; its row goes in this turn's commit.
  mutating func drop(_ number: AttemptNumber) {
    guard let attempt = fleet.attempts[number] else { return }
    leaveDesired(attempt)
    fleet.attempts[number] = nil
    fleet.views[number] = nil
    if fleet.attemptOfPod[attempt.podUID] == number { fleet.attemptOfPod[attempt.podUID] = nil }
    if let slot = attempt.slot { count(slot, on: attempt.node, by: -1) }
    fleet.nodes[attempt.node]?.attempts.remove(number)
    fleet.nodes[attempt.node]?.usage.add(attempt, sign: -1)
    fleet.preemption.count(attempt.priority, by: -1)
    notePreemptionChange()
    fleet.timers.cancel(.evict(number))
    fleet.timers.cancel(.fence(number))
    fleet.dirtyAttempts.insert(number)
    noteDesiredChange(number, node: attempt.node)
    noteClaims(of: attempt, isGone: true)
    if !fleet.tokens.contains(number) { purgeLogs(of: number, on: attempt.node) }
    forgetNodeIfUnused(attempt.node)
    nodeOpened(attempt.node)
    if let slot = attempt.slot { slotOpened(slot) }
  }

  /// Enters an attempt in every index; used for new ones and for rows.
  mutating func link(_ attempt: Attempt) {
    fleet.attemptOfPod[attempt.podUID] = attempt.number
    if let slot = attempt.slot { count(slot, on: attempt.node, by: 1) }
    fleet.nodes[attempt.node]?.attempts.insert(attempt.number)
    fleet.nodes[attempt.node]?.usage.add(attempt, sign: 1)
    fleet.preemption.count(attempt.priority, by: 1)
    noteClaims(of: attempt, isGone: false)
    enterDesired(attempt)
  }

  /// Adds to the numbers of attempts that may run: of the Job, of its index, of the Job on the node.
  private mutating func count(_ slot: Slot, on node: String, by change: Int) {
    func changed(_ number: Int?) -> Int? {
      let sum = (number ?? 0) + change
      return sum > 0 ? sum : nil
    }
    fleet.attemptsOfJob[slot.jobUID] = changed(fleet.attemptsOfJob[slot.jobUID])
    if slot.index != nil { fleet.attemptsOfIndex[slot] = changed(fleet.attemptsOfIndex[slot]) }
    let onNode = fleet.nodes[node]?.attemptsOfJob[slot.jobUID]
    fleet.nodes[node]?.attemptsOfJob[slot.jobUID] = changed(onNode)
  }

  /// A new keeper is never shown what was addressed to one before it (K1).
  func isDesired(_ attempt: Attempt) -> Bool { fleet.nodes[attempt.node]?.keeper == attempt.keeper }

  /// Adds the attempt's line to the node's digest.
  mutating func enterDesired(_ attempt: Attempt) {
    guard isDesired(attempt) else { return }
    fleet.nodes[attempt.node]?.desiredDigest.insert(DesiredAttempt(attempt: attempt.number, action: attempt.action))
  }

  /// Takes the attempt's line out of the node's digest.
  private mutating func leaveDesired(_ attempt: Attempt) {
    guard isDesired(attempt) else { return }
    fleet.nodes[attempt.node]?.desiredDigest.remove(DesiredAttempt(attempt: attempt.number, action: attempt.action))
  }

  /// Has the change told to the node's session at the end of the turn.
  mutating func noteDesiredChange(_ number: AttemptNumber, node: String) {
    guard let session = fleet.nodes[node]?.session else { return }
    fleet.sessions[session]?.changed.insert(number)
    fleet.touched.insert(session)
  }

  mutating func purgeLogs(of number: AttemptNumber, on node: String) {
    guard let session = fleet.nodes[node]?.session else { return }
    fleet.sessions[session]?.purged.append(number)
    fleet.touched.insert(session)
  }

  /// A record without Node object, session and attempts has nothing left to guard.
  mutating func forgetNodeIfUnused(_ name: String) {
    guard let record = fleet.nodes[name], record.attempts.isEmpty, record.session == nil,
      state.nodes[ObjectKey(namespace: "", name: name)] == nil, record.leaseReach <= now.boot
    else { return }
    fleet.nodes[name] = nil
    noteStanding(name)
    fleet.timers.cancel(.monitor(name))
    fleet.dirtyNodes.insert(name)
  }

  /// The row of an attempt; nil when it was dropped.
  static func rowJSON(_ attempt: Attempt) -> JSON {
    var json: JSON = [
      "namespace": .string(attempt.pod.namespace), "name": .string(attempt.pod.name), "pod": .string(attempt.podUID),
      "job": .string(attempt.slot?.jobUID ?? ""), "node": .string(attempt.node), "keeper": .string(attempt.keeper),
      "session": .string(attempt.session), "cpu": .int(attempt.cpuMillicores), "memory": .int(attempt.memoryBytes),
    ]
    if let index = attempt.slot?.index { json["index"] = .int(index) }
    if attempt.priority != 0 { json["priority"] = .int(attempt.priority) }
    if !attempt.resources.isEmpty {
      json["resources"] = .object(JSONObject(entries: attempt.resources.map { ($0.name, .int($0.amount)) }))
    }
    if !attempt.claims.isEmpty { json["claims"] = .array(attempt.claims.map { .string($0) }) }
    if let toleration = attempt.tolerationMilliseconds { json["toleration"] = .int(toleration) }
    if case .stop(let grace) = attempt.action { json["stop"] = .int(grace) }
    return json
  }

  static func attempt(number: AttemptNumber, row: JSON) -> Attempt? {
    guard let namespace = row["namespace"]?.stringValue, let name = row["name"]?.stringValue,
      let uid = row["pod"]?.stringValue, let node = row["node"]?.stringValue, let keeper = row["keeper"]?.stringValue
    else { return nil }
    let job = row["job"]?.stringValue ?? ""
    return Attempt(
      number: number, pod: ObjectKey(namespace: namespace, name: name), podUID: uid,
      slot: job.isEmpty ? nil : Slot(jobUID: job, index: row["index"]?.intValue), node: node, keeper: keeper,
      session: row["session"]?.stringValue ?? "",
      tolerationMilliseconds: row["toleration"]?.intValue,
      action: row["stop"]?.intValue.map { .stop(graceMilliseconds: $0) } ?? .run,
      cpuMillicores: max(0, row["cpu"]?.intValue ?? 0), memoryBytes: max(0, row["memory"]?.intValue ?? 0),
      resources: ResourceAmount.list(row["resources"], withStorage: true), priority: row["priority"]?.intValue ?? 0,
      claims: (row["claims"]?.arrayValue ?? []).compactMap(\.stringValue))
  }
}
