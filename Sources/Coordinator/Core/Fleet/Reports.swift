// What keepers say of attempts: merged into the pod's status, counted once, acknowledged when durable. Stale words
// change nothing.

import ClusterProto

extension CoordinatorCore {
  /// Conditions that the coordinator writes and a report does not take away.
  private static let coordinatorConditions = ["PodScheduled", "DisruptionTarget", StartDeadline.condition]

  mutating func take(_ report: AttemptReport, from id: SessionID) {
    let number = report.attempt
    let entry = InventoryEntry(
      attempt: number, revision: report.revision, terminal: report.isTerminal, frozen: report.frozen)
    guard let attempt = fleet.attempts[number] else {
      // An unknown terminal one may be forgotten; an unknown live one is not desired, which stops it.
      if report.isTerminal { acknowledge(number, id) } else { noteInventory(number, entry, session: id) }
      return
    }
    guard attempt.node == fleet.sessions[id]?.node, mayReport(attempt, report, id) else { return }
    if let known = fleet.sessions[id]?.inventory[number], known.revision > report.revision { return }
    noteInventory(number, entry, session: id)
    guard report.revision >= fleet.views[number]?.revision ?? -1 else { return }
    fleet.views[number] = AttemptView(revision: report.revision, frozen: report.frozen)
    if isForgottenEnd(report) {
      fence(number)
      return acknowledge(number, id)
    }
    write(report.status, of: attempt)
    guard report.isTerminal else { return }
    noteOutcome(attempt, succeeded: report.status.phase == .succeeded)
    drop(number)
    acknowledge(number, id)
    podAttemptEnded(attempt.pod, podUID: attempt.podUID)
  }

  /// The keeper that the attempt was addressed to, or its successor passing on how it ended.
  private func mayReport(_ attempt: Attempt, _ report: AttemptReport, _ id: SessionID) -> Bool {
    attempt.keeper == fleet.sessions[id]?.keeper || report.isTerminal && !isDesired(attempt)
  }

  /// The acknowledgement leaves with the commit that holds what it acknowledges.
  private mutating func acknowledge(_ number: AttemptNumber, _ id: SessionID) {
    fleet.sessions[id]?.acknowledged.append(number)
    fleet.touched.insert(id)
    noteInventory(number, nil, session: id)
  }

  private mutating func write(_ reported: PodStatus, of attempt: Attempt) {
    let address = state.nodes[ObjectKey(namespace: "", name: attempt.node)]?.address ?? ""
    guard let old = state.pods[attempt.pod] else { return }
    let new = updatePod(attempt.pod) { pod in
      guard pod.meta.uid == attempt.podUID, !pod.status.phase.isTerminal else { return }
      let before = pod.status
      var status = ReportBounds.bounded(reported, of: pod.spec)
      var conditions: [Condition] = []
      for condition in status.conditions {
        var next = condition
        // Kubernetes' rule: the transition time is that of the last change of status.
        if let old = before.condition(condition.type), old.status == condition.status {
          next.lastTransition = old.lastTransition
        }
        conditions.append(next)
      }
      for type in Self.coordinatorConditions {
        if let kept = before.condition(type), status.condition(type) == nil { conditions.append(kept) }
      }
      status.conditions = conditions
      StartDeadline.explain(&status)
      status.qosClass = before.qosClass
      status.fencingToken = attempt.number
      if status.hostIP.isEmpty { status.hostIP = before.hostIP.isEmpty ? address : before.hostIP }
      if status.podIP.isEmpty { status.podIP = before.podIP }
      if status.startTime == nil { status.startTime = before.startTime }
      // Phases only move forward.
      if status.phase == .pending || status.phase == .unknown, before.phase == .running { status.phase = .running }
      pod.status = status
    }
    if let new { recordProblems(of: new, before: old.status, node: attempt.node) }
  }

  /// Remembers where the Job's last failure was, so that the next attempt goes elsewhere if it can.
  mutating func noteOutcome(_ attempt: Attempt, succeeded: Bool) {
    guard let uid = attempt.slot?.jobUID, state.references[uid] != nil else { return }
    if !succeeded {
      fleet.scheduler.failedOn[uid] = attempt.node
    } else if fleet.scheduler.failedOn[uid] == attempt.node {
      fleet.scheduler.failedOn[uid] = nil
    }
  }
}
