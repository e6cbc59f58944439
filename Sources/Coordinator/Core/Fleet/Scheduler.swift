// Binds waiting pods to nodes: filters with Kubernetes' reasons, then spread. A group of equal pods is tried once,
// its best nodes kept in a heap while it is placed. The assignment itself is an attempt (Attempts).

import ClusterProto

/// A node that a pod fits, ordered from best to worst.
struct SchedulingCandidate: Comparable, Sendable {
  /// The node that just failed this Job's attempt.
  var hasFailed: Bool
  /// Outside promise 1.
  var fencesPartly: Bool
  var attemptsOfJob: Int
  /// Largest used share of cpu, memory or pods.
  var load: Double
  var name: String

  static func < (left: SchedulingCandidate, right: SchedulingCandidate) -> Bool {
    if left.hasFailed != right.hasFailed { return right.hasFailed }
    if left.fencesPartly != right.fencesPartly { return right.fencesPartly }
    if left.attemptsOfJob != right.attemptsOfJob { return left.attemptsOfJob < right.attemptsOfJob }
    if left.load != right.load { return left.load < right.load }
    return left.name < right.name
  }
}

extension CoordinatorCore {
  /// A message that changed is told again to groups up to this size.
  private static let retellLimit = 16

  mutating func runScheduler(limit: Int) -> Int {
    var left = limit
    while left > 0, let group = fleet.scheduler.due.next() { left -= max(1, place(group, limit: left)) }
    while left > 0, let group = fleet.scheduler.marking.next() { left -= max(1, tellWaiting(group, limit: left)) }
    return limit - left
  }

  /// Places pods of one group until none is left, none fits, or the limit is reached. Returns how many pods it
  /// looked at.
  private mutating func place(_ group: WaitingGroupKey, limit: Int) -> Int {
    var looked = 0
    var refused = 0
    var heap: MinHeap<SchedulingCandidate>?
    while looked < limit, let key = fleet.scheduler.groups[group]?.pods.peek() {
      guard let pod = state.pods[key], Self.waitsForNode(pod), Self.groupKey(pod) == group else {
        _ = fleet.scheduler.groups[group]?.pods.next()
        looked += 1
        continue
      }
      looked += 1
      guard mayAssign(pod) else {
        fleet.scheduler.gated[group.jobUID, default: InsertionSet()].insert(group)
        refused += 1
        // Without indexes every pod of the Job waits for the same; with them another index may be free.
        let isIndexed = pod.meta.annotations["batch.kubernetes.io/job-completion-index"] != nil
        guard isIndexed, refused < fleet.scheduler.groups[group]?.pods.count ?? 0 else { return looked }
        _ = fleet.scheduler.groups[group]?.pods.next()
        fleet.scheduler.groups[group]?.pods.add(key)
        continue
      }
      var candidates = heap ?? MinHeap(candidates(for: pod, group))
      guard let best = candidates.first else {
        park(group, pod)
        return looked
      }
      assign(pod, to: best.name)
      candidates.replaceFirst(with: candidate(best.name, pod.spec, group))
      heap = candidates
    }
    if fleet.scheduler.groups[group]?.pods.isEmpty == false { fleet.scheduler.due.add(group) }
    return looked
  }

  private mutating func candidates(for pod: Pod, _ group: WaitingGroupKey) -> [SchedulingCandidate] {
    if !group.pinnedNode.isEmpty { return [candidate(group.pinnedNode, pod.spec, group)].compactMap { $0 } }
    var result: [SchedulingCandidate] = []
    for key in state.keys(of: .nodes) {
      if let found = candidate(key.name, pod.spec, group) { result.append(found) }
    }
    return result
  }

  /// The node as a candidate; nil when the pod does not fit it now.
  private func candidate(_ name: String, _ spec: PodSpec, _ group: WaitingGroupKey) -> SchedulingCandidate? {
    guard let record = fleet.nodes[name], record.isReachable, record.session != nil,
      let node = state.nodes[ObjectKey(namespace: "", name: name)],
      Self.fits(spec, record.usage, node.capacity),
      !group.pinnedNode.isEmpty || Self.rejection(of: spec, by: node) == nil
    else { return nil }
    let capacity = node.capacity
    let load = max(
      Double(record.usage.cpuMillicores) / Double(max(1, capacity.cpuMillicores)),
      Double(record.usage.memoryBytes) / Double(max(1, capacity.memoryBytes)),
      Double(record.usage.pods) / Double(max(1, capacity.pods)))
    return SchedulingCandidate(
      hasFailed: !group.jobUID.isEmpty && fleet.scheduler.failedOn[group.jobUID] == name,
      fencesPartly: !record.fencesFully, attemptsOfJob: record.attemptsOfJob[group.jobUID] ?? 0, load: load, name: name)
  }

  private mutating func assign(_ pod: Pod, to name: String) {
    guard let record = fleet.nodes[name], let session = record.session else { return }
    fleet.lastAttempt += 1
    let number = fleet.lastAttempt
    add(
      Attempt(
        number: number, pod: pod.meta.key, podUID: pod.meta.uid, jobUID: Self.controllingJob(pod), node: name,
        keeper: record.keeper, session: session,
        tolerationMilliseconds: pod.spec.unreachableTolerationMilliseconds, action: .run,
        cpuMillicores: pod.spec.cpuMillicores, memoryBytes: pod.spec.memoryBytes))
    fleet.sessions[session]?.assigned.append(number)
    let wall = now.wall
    let after = updatePod(pod.meta.key) { pod in
      pod.nodeName = name
      pod.status.fencingToken = number
      pod.status.set(Condition(type: "PodScheduled", status: "True", lastTransition: wall))
    }
    recordEvent(
      on: .pod(after ?? pod), type: .normal, reason: "Scheduled",
      message: "Successfully assigned \(pod.meta.key) to \(name)", component: "default-scheduler")
  }

  // MARK: - Filters

  static func fits(_ spec: PodSpec, _ usage: NodeUsage, _ capacity: NodeCapacity) -> Bool {
    usage.pods < capacity.pods && isWithin(spec.cpuMillicores, usage.cpuMillicores, capacity.cpuMillicores)
      && isWithin(spec.memoryBytes, usage.memoryBytes, capacity.memoryBytes)
  }

  /// A pod that asks for nothing of a resource fits a node that has none left of it.
  private static func isWithin(_ request: Int64, _ used: Int64, _ capacity: Int64) -> Bool {
    request <= 0 || request <= capacity - used
  }

  /// Why the node is not for this pod however empty it is, in the order and words of Kubernetes' filters.
  static func rejection(of spec: PodSpec, by node: Node) -> String? {
    let cordon = Taint(key: Taint.unschedulable, effect: Taint.noSchedule)
    if node.unschedulable, !spec.tolerations.contains(where: { $0.tolerates(cordon) }) {
      return "node(s) were unschedulable"
    }
    for taint in node.taints where taint.effect == Taint.noSchedule || taint.effect == Taint.noExecute {
      if !spec.tolerations.contains(where: { $0.tolerates(taint) }) {
        return "node(s) had untolerated taint {\(taint.key): \(taint.value)}"
      }
    }
    if spec.nodeSelector.contains(where: { node.meta.labels[$0.key] != $0.value }) {
      return "node(s) didn't match Pod's node affinity/selector"
    }
    return nil
  }

  // MARK: - Nothing fits

  private mutating func park(_ group: WaitingGroupKey, _ pod: Pod) {
    fleet.scheduler.parked.insert(group)
    let message = unschedulableMessage(pod, group)
    let isNews = fleet.scheduler.groups[group]?.message != message
    fleet.scheduler.groups[group]?.message = message
    if isNews, let pods = fleet.scheduler.groups[group]?.pods, pods.count <= Self.retellLimit {
      var rest = pods
      while let key = rest.next() { fleet.scheduler.groups[group]?.unmarked.add(key) }
    }
    fleet.scheduler.marking.add(group)
  }

  /// Writes the group's message to pods that do not bear it yet; returns how many.
  private mutating func tellWaiting(_ group: WaitingGroupKey, limit: Int) -> Int {
    var told = 0
    guard fleet.scheduler.parked.contains(group), let message = fleet.scheduler.groups[group]?.message else { return 0 }
    let wall = now.wall
    while told < limit, let key = fleet.scheduler.groups[group]?.unmarked.next() {
      // Two objects each: the pod and its event.
      told += 2
      let after = updatePod(key) { pod in
        guard Self.waitsForNode(pod) else { return }
        pod.status.set(
          Condition(
            type: "PodScheduled", status: "False", reason: "Unschedulable", message: message, lastTransition: wall))
      }
      guard let after else { continue }
      recordEvent(
        on: .pod(after), type: .warning, reason: "FailedScheduling", message: message, component: "default-scheduler")
    }
    if fleet.scheduler.groups[group]?.unmarked.isEmpty == false { fleet.scheduler.marking.add(group) }
    return told
  }

  /// Kubernetes' sentence: counts by reason, in the order of their texts, then what preemption would say.
  private mutating func unschedulableMessage(_ pod: Pod, _ group: WaitingGroupKey) -> String {
    let total = state.nodes.count
    guard total > 0 else { return "no nodes available to schedule pods" }
    var counts: [String: Int] = [:]
    var hopeless = 0
    for key in state.keys(of: .nodes) {
      let reasons = self.reasons(against: pod.spec, group, key.name)
      if reasons.isHopeless { hopeless += 1 }
      for reason in reasons.texts { counts[reason, default: 0] += 1 }
    }
    let parts = counts.keys.sorted().map { "\(counts[$0] ?? 0) \($0)" }.sorted().joined(separator: ", ")
    var preemption: [String] = []
    if total > hopeless { preemption.append("\(total - hopeless) No preemption victims found for incoming pod") }
    if hopeless > 0 { preemption.append("\(hopeless) Preemption is not helpful for scheduling") }
    let advice = preemption.sorted().joined(separator: ", ")
    return "0/\(total) nodes are available: \(parts). preemption: 0/\(total) nodes are available: \(advice)."
  }

  /// All reasons of the first filter that refuses; hopeless: making room would not help.
  private func reasons(
    against spec: PodSpec, _ group: WaitingGroupKey, _ name: String
  ) -> (texts: [String], isHopeless: Bool) {
    if !group.pinnedNode.isEmpty, group.pinnedNode != name {
      return (["node(s) didn't match the requested node name"], true)
    }
    guard let node = state.nodes[ObjectKey(namespace: "", name: name)] else { return ([], true) }
    if group.pinnedNode.isEmpty, let rejection = Self.rejection(of: spec, by: node) { return ([rejection], true) }
    guard let record = fleet.nodes[name], record.isReachable, record.session != nil else {
      return (["node(s) were not ready"], true)
    }
    var texts: [String] = []
    let capacity = node.capacity
    if record.usage.pods >= capacity.pods { texts.append("Too many pods") }
    if !Self.isWithin(spec.cpuMillicores, record.usage.cpuMillicores, capacity.cpuMillicores) {
      texts.append("Insufficient cpu")
    }
    if !Self.isWithin(spec.memoryBytes, record.usage.memoryBytes, capacity.memoryBytes) {
      texts.append("Insufficient memory")
    }
    return (texts, false)
  }
}
