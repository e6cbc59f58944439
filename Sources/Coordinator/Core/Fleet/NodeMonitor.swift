// The node controller: Ready and its taints follow the heartbeats, NoExecute taints evict (Kubernetes' taint
// manager), cordons get their taint. When an attempt is proven dead is Fencing's.

import ClusterProto

extension CoordinatorCore {
  /// The conditions that heartbeats decide.
  static let ownConditions = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"]
  /// Kubernetes' interval for posting an unchanged node status.
  private static let conditionInterval: Int64 = 300_000

  /// Silence after which a node is not ready: a lease and half a heartbeat.
  var monitorLimit: Int64 { configuration.leaseMilliseconds + configuration.heartbeatMilliseconds / 2 }

  /// A heartbeat has come on the node's session.
  mutating func heardFrom(_ name: String) {
    guard let record = fleet.nodes[name] else { return }
    fleet.nodes[name]?.lastHeartbeat = now.boot
    fleet.nodes[name]?.heardAt = now.boot
    fleet.nodes[name]?.isReachable = true
    if !record.isReachable { noteStanding(name) }
    if fleet.timers.time(of: .monitor(name)) == nil { fleet.timers.set(.monitor(name), at: now.boot + monitorLimit) }
    if !record.isReachable {
      markReady(name)
    } else if now.boot - record.conditionsWrittenAt >= Self.conditionInterval {
      writeReady(name)
    } else if !hasNodeLease(name) {
      // Somebody deleted it, or its namespace.
      writeNodeLease(name)
    }
  }

  /// The heartbeat may be overdue; a heartbeat does not move the timer, so look when it was.
  mutating func monitorNode(_ name: String) {
    guard let record = fleet.nodes[name] else { return }
    if record.session == nil, record.attempts.isEmpty { forgetNodeIfUnused(name) }
    guard record.lostAt == nil, fleet.nodes[name] != nil else { return }
    let due = max(record.lastHeartbeat + monitorLimit, fleet.pauses.judgesFrom)
    if due > now.boot {
      fleet.timers.set(.monitor(name), at: due)
    } else {
      let seconds = (now.boot - record.lastHeartbeat) / 1_000
      let pods = record.attempts.count
      let count = "\(pods) \(pods == 1 ? "pod" : "pods")"
      markUnreachable(
        name,
        because:
          "nothing was heard of it for \(seconds) s; \(count) may run there until it is back or they are proven dead")
    }
  }

  // MARK: - Lost

  /// `reason` nil: it is said already.
  mutating func markUnreachable(_ name: String, because reason: String?) {
    guard let record = fleet.nodes[name], record.lostAt == nil else { return }
    fleet.nodes[name]?.isReachable = false
    fleet.nodes[name]?.lostAt = now.boot
    fleet.nodes[name]?.isReleased = false
    noteStanding(name)
    let before = state.nodes[ObjectKey(namespace: "", name: name)]
    let wasReady = before?.isReady ?? false
    let goneSince = before?.taints.first { $0.key == Taint.unreachable }?.timeAdded
    if record.isReachable { writeNodeLease(name) }
    let wall = now.wall
    let node = updateNode(name) { node in
      for type in Self.ownConditions {
        node.conditions.set(
          Condition(
            type: type, status: "Unknown", reason: "NodeStatusUnknown",
            message: "Kubelet stopped posting node status.", lastTransition: wall,
            lastProbe: node.conditions.first { $0.type == type }?.lastProbe))
      }
      node.taintAsUnreachable(at: wall)
    }
    if let reason { outputs.append(.log("node \(name) is lost: \(reason)")) }
    if wasReady, let node {
      recordEvent(
        on: .node(node), type: .normal, reason: "NodeNotReady", message: "Node \(name) status is now: NodeNotReady",
        component: "node-controller")
    }
    for number in record.attempts {
      if let attempt = fleet.attempts[number] { fleet.unreadyPods.add(attempt.pod) }
    }
    engageBrakeIfNeeded(name, since: goneSince)
    armLossTimers(name)
  }

  /// A pod on a lost node is not ready, whatever it was.
  mutating func markUnready(_ key: ObjectKey) {
    guard let pod = state.pods[key], !pod.status.phase.isTerminal, pod.status.isReady, let name = pod.nodeName,
      fleet.nodes[name]?.lostAt != nil
    else { return }
    let wall = now.wall
    let after = updatePod(key) { pod in
      guard var ready = pod.status.condition("Ready") else { return }
      ready.status = "False"
      ready.lastTransition = wall
      pod.status.set(ready)
    }
    if let after {
      recordEvent(
        on: .pod(after), type: .warning, reason: "NodeNotReady", message: "Node is not ready",
        component: "node-controller")
    }
  }

  // MARK: - Back

  private mutating func markReady(_ name: String) {
    if let since = fleet.nodes[name]?.lostAt {
      outputs.append(.log("node \(name) is back, \((now.boot - since) / 1_000) s after it was lost"))
    }
    fleet.nodes[name]?.lostAt = nil
    noteStanding(name)
    for number in fleet.nodes[name]?.attempts ?? InsertionSet() {
      fleet.timers.cancel(.fence(number))
      cancelEviction(number)
    }
    let wasReady = state.nodes[ObjectKey(namespace: "", name: name)]?.isReady ?? false
    writeReady(name)
    if let node = state.nodes[ObjectKey(namespace: "", name: name)], node.isReady != wasReady {
      let word = node.isReady ? "NodeReady" : "NodeNotReady"
      recordEvent(
        on: .node(node), type: .normal, reason: word, message: "Node \(name) status is now: \(word)",
        component: "kubelet")
    }
    if let node = state.nodes[ObjectKey(namespace: "", name: name)], let problem = sandboxProblem(node) {
      outputs.append(.log("node \(name) can start no pods: \(problem)"))
    }
    // Other NoExecute taints still count.
    fleet.changedNodes.add(name)
    disengageBrakeIfPossible()
    nodeOpened(name)
    noteNodesChanged()
  }

  mutating func writeReady(_ name: String) {
    fleet.nodes[name]?.conditionsWrittenAt = now.boot
    let wall = now.wall
    guard let node = state.nodes[ObjectKey(namespace: "", name: name)] else { return }
    let pressures = NodePressure.allCases.map { condition($0, of: name, isPressed: isPressed(node, $0), wall) }
    let problem = sandboxProblem(node)
    let ready = Condition(
      type: "Ready", status: problem == nil ? "True" : "False",
      reason: problem == nil ? "KubeletReady" : "KubeletNotReady",
      message: problem ?? "kubelet is posting ready status", lastTransition: wall, lastProbe: wall)
    updateNode(name) { node in
      for condition in pressures + [ready] { node.conditions.set(condition) }
      node.taints.removeAll { $0.key == Taint.unreachable || $0.key == Taint.notReady && problem == nil }
      if problem != nil, !node.taints.contains(where: { $0.key == Taint.notReady }) {
        node.taints.append(Taint(key: Taint.notReady, effect: Taint.noSchedule, timeAdded: wall))
      }
    }
    writeNodeLease(name)
  }

  /// Why the node can start no pod, as it says itself; nil: it can. Such a node is not lost: what runs there is heard
  /// of and runs on, so its taint evicts nobody, and nothing of it is fenced.
  private func sandboxProblem(_ node: Node) -> String? {
    guard let record = fleet.nodes[node.meta.name], !record.fencesFully else { return nil }
    let detail = node.conditions.first { $0.type == "FencingIncomplete" }?.message ?? ""
    return "container runtime is down" + (detail.isEmpty ? "" : ": \(detail)")
  }

  // MARK: - Taints

  /// Cordon gets its taint, an out-of-service taint on a node that is not ready is a person's word, other NoExecute
  /// taints evict.
  mutating func nodeChanged(_ name: String) {
    guard let node = state.nodes[ObjectKey(namespace: "", name: name)] else { return }
    let isTainted = node.taints.contains { $0.key == Taint.unschedulable && $0.effect == Taint.noSchedule }
    if node.unschedulable != isTainted {
      let wall = now.wall
      updateNode(name) { node in
        if node.unschedulable {
          node.taints.append(Taint(key: Taint.unschedulable, effect: Taint.noSchedule, timeAdded: wall))
        } else {
          node.taints.removeAll { $0.key == Taint.unschedulable && $0.effect == Taint.noSchedule }
        }
      }
      recordEvent(
        on: .node(node), type: .normal, reason: node.unschedulable ? "NodeNotSchedulable" : "NodeSchedulable",
        message: "Node \(name) status is now: \(node.unschedulable ? "NodeNotSchedulable" : "NodeSchedulable")",
        component: "kubelet")
    }
    guard let record = fleet.nodes[name] else { return }
    if !node.isReady, record.lostAt != nil, node.taints.contains(where: { $0.key == Taint.outOfService }) {
      declareNodeDead(name)
      return
    }
    for number in record.attempts { armEviction(number, node) }
  }

  /// Sets, keeps or cancels the time at which the node's NoExecute taints evict the pod.
  mutating func armEviction(_ number: AttemptNumber, _ node: Node?) {
    guard let attempt = fleet.attempts[number], let pod = state.pods[attempt.pod], pod.meta.uid == attempt.podUID,
      pod.meta.deletionTimestamp == nil, let node,
      let delay = Self.evictionDelay(pod.spec.tolerations, node.taints)
    else { return cancelEviction(number) }
    let due = now.boot + delay
    // A second look never puts off what the first one set.
    if let before = fleet.timers.time(of: .evict(number)), before <= due { return }
    fleet.timers.set(.evict(number), at: due)
  }

  /// The taint that would have ended the pod is gone, or the pod bears it now.
  private mutating func cancelEviction(_ number: AttemptNumber) {
    guard fleet.timers.time(of: .evict(number)) != nil else { return }
    fleet.timers.cancel(.evict(number))
    guard let attempt = fleet.attempts[number], let pod = state.pods[attempt.pod], pod.meta.uid == attempt.podUID,
      pod.meta.deletionTimestamp == nil, !pod.status.phase.isTerminal
    else { return }
    recordEvent(
      on: .pod(pod), type: .normal, reason: "TaintManagerEviction",
      message: "Cancelling deletion of Pod \(attempt.pod)", component: Self.taintManager)
  }

  private static let taintManager = "taint-eviction-controller"

  /// Milliseconds until a pod with these tolerations is evicted; nil: never. The smallest limit counts
  /// (getMinTolerationTime).
  static func evictionDelay(_ tolerations: [Toleration], _ taints: [Taint]) -> Int64? {
    let evicting = taints.filter { $0.effect == Taint.noExecute && $0.key != Taint.outOfService }
    guard !evicting.isEmpty else { return nil }
    var limits: [Int64] = []
    for taint in evicting {
      let matching = tolerations.filter { $0.tolerates(taint) }
      if matching.isEmpty { return 0 }
      limits += matching.compactMap(\.seconds)
    }
    return limits.min().map { max(0, min($0, Int64(Int32.max))) * 1000 }
  }

  /// The taint manager's deletion: the object is marked, the processes get their grace when the node hears of it.
  mutating func evictIfDue(_ number: AttemptNumber) {
    guard let attempt = fleet.attempts[number], !isHeld(attempt.node), let pod = state.pods[attempt.pod],
      pod.meta.uid == attempt.podUID, pod.meta.deletionTimestamp == nil, !pod.status.phase.isTerminal,
      let node = state.nodes[ObjectKey(namespace: "", name: attempt.node)],
      Self.evictionDelay(pod.spec.tolerations, node.taints) != nil
    else { return }
    if isHearing, fleet.nodes[attempt.node]?.lostAt != nil {
      return fleet.timers.set(.evict(number), at: fleet.pauses.judgesFrom)
    }
    markDisrupted(attempt)
    recordEvent(
      on: .pod(pod), type: .normal, reason: "TaintManagerEviction",
      message: "Marking for deletion Pod \(attempt.pod)", component: Self.taintManager)
    deletePod(attempt.pod, graceSeconds: nil)
  }

  mutating func markDisrupted(_ attempt: Attempt) {
    let wall = now.wall
    updatePod(attempt.pod) { pod in
      guard pod.meta.uid == attempt.podUID, pod.status.condition("DisruptionTarget")?.isTrue != true else { return }
      pod.status.set(
        Condition(
          type: "DisruptionTarget", status: "True", reason: "DeletionByTaintManager",
          message: "Taint manager: deleting due to NoExecute taint", lastTransition: wall))
    }
  }
}
