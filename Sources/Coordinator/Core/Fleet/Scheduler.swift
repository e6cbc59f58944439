// Binds waiting pods to nodes: filters, then spread. Classes that are due are taken in the order of their first
// groups; a group of equal pods is tried once, its best nodes kept in a heap while it is placed. The assignment itself
// is an attempt (Attempts); why pods wait is told by SchedulerMessages.

import ClusterProto

/// A node that a pod fits, ordered from best to worst.
struct SchedulingCandidate: Comparable, Sendable {
  /// The node that just failed this Job's attempt.
  var hasFailed: Bool
  /// How much the pod wishes for it.
  var preference: Int64 = 0
  var attemptsOfJob: Int
  /// Largest used share of cpu, memory or pods.
  var load: Double
  var name: String

  static func < (left: SchedulingCandidate, right: SchedulingCandidate) -> Bool {
    if left.hasFailed != right.hasFailed { return right.hasFailed }
    if left.preference != right.preference { return left.preference > right.preference }
    if left.attemptsOfJob != right.attemptsOfJob { return left.attemptsOfJob < right.attemptsOfJob }
    if left.load != right.load { return left.load < right.load }
    return left.name < right.name
  }
}

extension CoordinatorCore {
  mutating func runScheduler(limit: Int) -> Int {
    var left = limit
    while left > 0 {
      guard let next = nextDue() else { break }
      left -= max(1, place(next.group, of: next.id, limit: left))
      fleet.scheduler.classes.goOn(next.id)
    }
    if left > 0 { left -= tellWaiting(limit: left) }
    return limit - left
  }

  /// Places pods of one group until none is left, none fits, or the limit is reached. Returns how many pods it
  /// looked at.
  private mutating func place(_ group: WaitingGroupKey, of id: WaitingClassID, limit: Int) -> Int {
    if let looked = placeGang(group, of: id) { return looked }
    var looked = 0
    var heap: MinHeap<SchedulingCandidate>?
    var isLasting = true
    while looked < limit, let key = fleet.scheduler.groups[group]?.pods.peek() {
      guard let pod = state.pods[key], Self.waitsForNode(pod), groupKey(pod) == group else {
        _ = fleet.scheduler.groups[group]?.pods.next()
        forgetGroupIfEmpty(group)
        looked += 1
        continue
      }
      looked += 1
      if settleNeeds(of: pod) { continue }
      switch assignability(of: pod) {
      case .free: break
      case .slotIsTaken:
        setAside(pod)
        continue
      case .jobIsFull:
        fleet.scheduler.gated[group.jobUID, default: InsertionSet()].insert(group)
        fleet.scheduler.groups[group]?.isQueued = false
        noteHeld(group)
        return looked
      }
      if isHolding {
        fleet.scheduler.classes.park(id)
        explainParked(id)
        return looked
      }
      if heap == nil, fleet.topology.isOn {
        let rules = podRules(of: id)
        isLasting = rules == nil || rules?.isOwn == false && rules?.hasPreferences == false
        if !isLasting { looked += state.nodes.count / 64 }
        heap = MinHeap(candidates(for: pod, group, of: id, rules))
      }
      var candidates = heap ?? MinHeap(candidates(for: pod, group, of: id, nil))
      guard let best = candidates.first else {
        if turnDown(pod, on: group.pinnedNode) { continue }
        let made = group.storage?.obstacle == nil ? preempt(for: id) : 0
        looked += made
        // Who was ended counts in no spread from now on: there may be a place at once.
        if made > 0, fleet.topology.isOn {
          heap = nil
          continue
        }
        fleet.scheduler.classes.park(id)
        watchPods(id)
        explainParked(id)
        return looked
      }
      guard bindClaims(of: pod, on: best.name) else {
        fleet.scheduler.classes.park(id)
        explainParked(id)
        return looked
      }
      assign(state.pods[key] ?? pod, to: best.name)
      // What is said of other pods, or of claims, has other answers now.
      if !isLasting || group.storage?.isChanging == true {
        heap = nil
        continue
      }
      let again = candidate(best.name, pod.spec, group, id)
      if again == nil { fleet.scheduler.classes.close(best.name, id) }
      candidates.replaceFirst(with: again)
      heap = candidates
    }
    return looked
  }

  /// The nodes that the pod fits, of those that may have room for its class; what other pods forbid stays open.
  mutating func candidates(
    for pod: Pod, _ group: WaitingGroupKey, of id: WaitingClassID, _ rules: PodRules?
  ) -> [SchedulingCandidate] {
    if group.storage?.obstacle != nil { return [] }
    if !group.pinnedNode.isEmpty { return [candidate(group.pinnedNode, pod.spec, group, id)].compactMap { $0 } }
    var result: [SchedulingCandidate] = []
    defer { fleet.topology.steps += rules == nil ? 0 : result.count }
    if rules?.isOwn != true, let open = fleet.scheduler.classes[id]?.open {
      for name in open {
        if let found = candidate(name, pod.spec, group, id) {
          result.append(found)
        } else {
          fleet.scheduler.classes.close(name, id)
        }
      }
    } else {
      for key in state.keys(of: .nodes) {
        if let found = candidate(key.name, pod.spec, group, id) { result.append(found) }
      }
      if rules?.isOwn != true { fleet.scheduler.classes.setOpen(result.map(\.name), id) }
    }
    if fleet.topology.isOn, !fleet.preemption.onNode.isEmpty {
      result.removeAll { found in
        state.nodes[ObjectKey(namespace: "", name: found.name)].map { isKeptAway(id, rules, from: $0) } ?? false
      }
    }
    guard let rules else { return result }
    result.removeAll { rules.refusal(labels(ofNode: $0.name)) != nil }
    rules.prefer(&result) { labels(ofNode: $0) }
    return result
  }

  private func labels(ofNode name: String) -> StringMap {
    state.nodes[ObjectKey(namespace: "", name: name)]?.meta.labels ?? StringMap()
  }

  /// The node as a candidate; nil when the pod does not fit it now.
  func candidate(
    _ name: String, _ spec: PodSpec, _ group: WaitingGroupKey, _ id: WaitingClassID
  ) -> SchedulingCandidate? {
    guard let record = fleet.nodes[name], record.takesPods,
      let node = state.nodes[ObjectKey(namespace: "", name: name)],
      Self.fits(spec, usage(of: record, name, for: spec.priority, id), node.capacity),
      group.pinnedNode.isEmpty
        ? Self.rejection(of: spec, by: node) == nil
        : Self.admissionProblem(of: spec, on: node, record.usage) == nil && Self.pressureRefusal(spec, node) == nil,
      storageRefusal(group.storage, by: node) == nil
    else { return nil }
    let capacity = node.capacity
    let load = max(
      Double(record.usage.cpuMillicores) / Double(max(1, capacity.cpuMillicores)),
      Double(record.usage.memoryBytes) / Double(max(1, capacity.memoryBytes)),
      Double(record.usage.pods) / Double(max(1, capacity.pods)))
    return SchedulingCandidate(
      hasFailed: !group.jobUID.isEmpty && fleet.scheduler.failedOn[group.jobUID] == name,
      preference: Self.nodePreference(spec, node),
      attemptsOfJob: record.attemptsOfJob[group.jobUID] ?? 0, load: load, name: name)
  }

  mutating func assign(_ pod: Pod, to name: String) {
    guard let record = fleet.nodes[name], let session = record.session else { return }
    swapNomination(of: pod, takes: name)
    fleet.lastAttempt += 1
    let number = fleet.lastAttempt
    add(
      Attempt(
        number: number, pod: pod.meta.key, podUID: pod.meta.uid, slot: Slot(of: pod), node: name,
        keeper: record.keeper, session: session,
        tolerationMilliseconds: pod.spec.unreachableTolerationMilliseconds, action: .run,
        cpuMillicores: pod.spec.cpuMillicores, memoryBytes: pod.spec.memoryBytes,
        resources: pod.spec.scheduling.resources, priority: pod.spec.priority,
        claims: claims(of: pod).map(\.key.name)))
    fleet.sessions[session]?.assigned.append(number)
    let wall = now.wall
    let after = updatePod(pod.meta.key) { pod in
      pod.nodeName = name
      pod.status.nominatedNodeName = ""
      pod.status.fencingToken = number
      pod.status.set(Condition(type: "PodScheduled", status: "True", lastTransition: wall))
    }
    recordEvent(
      on: .pod(after ?? pod), type: .normal, reason: "Scheduled",
      message: "Successfully assigned \(pod.meta.key) to \(name)", component: "default-scheduler")
    // A taint that it bears for a time may be there already.
    armEviction(number, state.nodes[ObjectKey(namespace: "", name: name)])
  }
}
