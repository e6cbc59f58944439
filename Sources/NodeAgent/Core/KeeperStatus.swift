// The pod status that users see, made from what the keeper knows: kubelet's phases, conditions, reasons and messages.
// Reads a KeeperPod; changes only its record of what was last reported.

import ClusterProto

extension KeeperPod {
  /// The next report when it differs from the last one (or `always`), with its revision; nil: nothing new.
  mutating func makeReport(now: Now, always: Bool) -> AttemptReport? {
    var isFrozen = false
    if case .frozen = freeze { isFrozen = true }
    let status = makeStatus(now: now.wall)
    if let last = reported, last.status == status, last.frozen == isFrozen { return always ? last : nil }
    revision += 1
    let report = AttemptReport(attempt: attempt, revision: revision, status: status, frozen: isFrozen)
    reported = report
    return report
  }

  private mutating func makeStatus(now: WallTime) -> PodStatus {
    var status = PodStatus()
    status.phase = phase
    status.startTime = acceptedAt.wall
    status.fencingToken = attempt
    let all = slots.map { $0.status(podHasInit: initCount > 0, pod: fullName, ending: ending != nil) }
    // As of a pod that kubelet turns away: what never waits again must not say that it does.
    let neverBegan = status.phase == .failed && slots.allSatisfy { $0.latest == nil }
    if !neverBegan {
      status.initContainers = Array(all.prefix(initCount))
      status.containers = Array(all[mainIndices])
      status.ephemeralContainers = all[addedIndices].map(\.ofAddition)
    }
    explain(&status, now)
    setConditions(status, now)
    status.conditions = conditions
    return status
  }

  private var phase: PodPhase {
    guard stage == .gone else {
      // Pending until every container has started once; a frozen or ending pod shows what it had reached.
      let started = initialized && mainIndices.allSatisfy { slots[$0].hasStarted || slots[$0].latest != nil }
      return started ? .running : .pending
    }
    switch ending?.cause {
    case .deadlineExceeded, .evicted, .unstartable: return .failed
    case .finished, .stopped, .leaseLost, .shutDown, .vanished, nil:
      let succeeded = !mainIndices.isEmpty && mainIndices.allSatisfy { slots[$0].succeeded }
      return succeeded ? .succeeded : .failed
    }
  }

  /// Reason and message of a pod that failed for another reason than its containers' exit codes.
  private mutating func explain(_ status: inout PodStatus, _ now: WallTime) {
    guard status.phase == .failed else { return }
    switch ending?.cause {
    case .deadlineExceeded:
      status.reason = "DeadlineExceeded"
      status.message = "Pod was active on the node longer than the specified deadline"
    case .evicted(let message, let isNodes):
      status.reason = "Evicted"
      status.message = message
      if isNodes { disrupt("TerminationByKubelet", message, now) }
    case .unstartable(let message):
      status.reason = "FailedCreatePodSandBox"
      status.message = "Failed to create pod sandbox: \(message)"
    case .leaseLost:
      status.reason = "NodeLost"
      status.message = "The node heard nothing of the coordinator until the pod's lease and toleration were over"
      disrupt("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint", now)
    case .shutDown:
      status.reason = "Terminated"
      status.message = "Pod was terminated in response to imminent node shutdown."
      disrupt("TerminationByKubelet", status.message, now)
    case .finished, .stopped, .vanished, nil: break
    }
  }

  private mutating func disrupt(_ reason: String, _ message: String, _ now: WallTime) {
    conditions.set(
      Condition(type: "DisruptionTarget", status: "True", reason: reason, message: message, lastTransition: now))
  }

  private mutating func setConditions(_ status: PodStatus, _ now: WallTime) {
    func condition(_ type: String, _ isTrue: Bool, _ reason: String = "", _ message: String = "") -> Condition {
      Condition(
        type: type, status: isTrue ? "True" : "False", reason: reason, message: message, lastTransition: now)
    }
    // Its absence tells the agent that the attempt was never started and still needs a plan.
    if hasBegun { conditions.set(condition("PodReadyToStartContainers", stage == .running)) }
    let sidecars = zip(slots.prefix(initCount), status.initContainers).filter(\.0.isSidecar).map(\.1)
    let unready = (sidecars + status.containers).filter { !$0.ready }.map(\.name)
    switch status.phase {
    case .succeeded:
      conditions.set(condition("Initialized", true, "PodCompleted"))
      conditions.set(condition("Ready", false, "PodCompleted"))
      conditions.set(condition("ContainersReady", false, "PodCompleted"))
      return
    case .failed:
      setInitialized(condition)
      conditions.set(condition("Ready", false, "PodFailed"))
      conditions.set(condition("ContainersReady", false, "PodFailed"))
    case .pending, .running, .unknown:
      setInitialized(condition)
      let message = "containers with unready status: [\(unready.joined(separator: " "))]"
      for type in ["Ready", "ContainersReady"] {
        conditions.set(
          unready.isEmpty ? condition(type, true) : condition(type, false, "ContainersNotReady", message))
      }
    }
  }

  private mutating func setInitialized(_ condition: (String, Bool, String, String) -> Condition) {
    let incomplete = slots.prefix(initCount).filter { $0.isSidecar ? !$0.care.hasBeenUp : !$0.succeeded }.map(\.name)
    if incomplete.isEmpty {
      conditions.set(condition("Initialized", true, "", ""))
    } else {
      let message = "containers with incomplete status: [\(incomplete.joined(separator: " "))]"
      conditions.set(condition("Initialized", false, "ContainersNotInitialized", message))
    }
  }
}
