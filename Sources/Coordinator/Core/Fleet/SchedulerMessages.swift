// Why pods wait, in Kubernetes' words: "0/N nodes are available". The text looks at every node, so a class has one,
// made when it first fits nowhere and then at most once an interval, and not for every try.

import ClusterProto

extension CoordinatorCore {
  /// How long what waiting pods say may lag behind the nodes, and how many classes are looked at then.
  static let explanationMilliseconds: Int64 = 1_000
  private static let explanationsAtOnce = 16
  /// A message that changed is told again to so many groups of a class, and in a group to so many pods.
  private static let retellLimit = 16

  /// A class fits nowhere.
  mutating func explainParked(_ id: WaitingClassID) {
    if fleet.scheduler.classes[id]?.message.isEmpty ?? false {
      explain(id)
    } else {
      fleet.scheduler.classes.noteStale(id)
      armExplanation()
    }
  }

  /// The interval is over: looks again at classes whose message may be wrong.
  mutating func explainStale() {
    var left = Self.explanationsAtOnce
    while left > 0, let id = fleet.scheduler.classes.nextStale() {
      left -= 1
      if fleet.scheduler.classes[id]?.standing == .parked { explain(id) }
    }
    tellHeld()
    armExplanation()
  }

  private mutating func explain(_ id: WaitingClassID) {
    guard let found = fleet.scheduler.classes[id] else { return }
    let message = unschedulableMessage(found, id)
    guard message != found.message else { return }
    fleet.scheduler.classes.setMessage(message, id)
    for group in Array(found.members.prefix(Self.retellLimit)) {
      guard var pods = fleet.scheduler.groups[group]?.pods, pods.count <= Self.retellLimit else { continue }
      while let key = pods.next() { fleet.scheduler.groups[group]?.unmarked.add(key) }
      fleet.scheduler.classes.mark(group, id)
    }
    fleet.scheduler.classes.tellAgain(id)
  }

  /// Writes messages to pods that do not bear them yet; returns how many objects that took.
  mutating func tellWaiting(limit: Int) -> Int {
    var told = 0
    while told < limit, let id = fleet.scheduler.classes.nextToTell() {
      told += max(1, tellWaiting(id, limit: limit - told))
    }
    return told
  }

  private mutating func tellWaiting(_ id: WaitingClassID, limit: Int) -> Int {
    var told = 0
    // Not the class itself: holding it while its sets change would copy them.
    guard fleet.scheduler.classes[id]?.standing == .parked, let message = fleet.scheduler.classes[id]?.message else {
      return 0
    }
    let wall = now.wall
    while told < limit, let group = fleet.scheduler.classes.nextUnmarked(id) {
      guard fleet.scheduler.groups[group]?.isQueued == true, let key = fleet.scheduler.groups[group]?.unmarked.next()
      else {
        // What is gated waits for something else.
        fleet.scheduler.classes.marked(group, id)
        continue
      }
      // Two objects each: the pod and its event.
      told += 2
      let after = updatePod(key) { pod in
        guard Self.waitsForNode(pod) else { return }
        pod.status.set(
          Condition(
            type: "PodScheduled", status: "False", reason: "Unschedulable", message: message, lastTransition: wall
          ))
      }
      guard let after else { continue }
      recordEvent(
        on: .pod(after), type: .warning, reason: "FailedScheduling", message: message,
        component: "default-scheduler")
    }
    if fleet.scheduler.classes.nextUnmarked(id) != nil { fleet.scheduler.classes.tellAgain(id) }
    return told
  }

  /// Kubernetes' sentence: counts by reason, in the order of their texts, then what preemption would say.
  private mutating func unschedulableMessage(_ found: WaitingClass, _ id: WaitingClassID) -> String {
    if let holdMessage { return holdMessage }
    let total = state.nodes.count
    guard total > 0 else { return "no nodes available to schedule pods" }
    if let obstacle = found.needs.storage?.obstacle {
      let text = "0/\(total) nodes are available: \(obstacle)."
      return found.spec.scheduling.neverPreempts
        ? "\(text) preemption: not eligible due to preemptionPolicy=Never."
        : "\(text) preemption: 0/\(total) nodes are available: \(total) Preemption is not helpful for scheduling."
    }
    var counts: [String: Int] = [:]
    var hopeless = 0
    var unhelped: [String] = []
    var helps: [String: Int] = [:]
    let rules = podRules(of: id)
    for key in state.keys(of: .nodes) {
      let refusal = refusal(of: found, id, rules, key.name)
      if refusal.isHopeless { hopeless += 1 } else { unhelped.append(key.name) }
      for reason in refusal.texts { counts[reason, default: 0] += 1 }
    }
    let parts = counts.keys.sorted().map { "\(counts[$0] ?? 0) \($0)" }.sorted().joined(separator: ", ")
    if found.needs.gang > 0 { return gangMessage(found, id, total, parts) }
    let text = "0/\(total) nodes are available: \(parts)."
    if found.spec.scheduling.neverPreempts {
      return "\(text) preemption: not eligible due to preemptionPolicy=Never."
    }
    // Room is being made: there is no more to say of it.
    if fleet.preemption.classes[id] != nil { return text }
    for name in unhelped {
      for reason in preemptionReasons(found, id, rules, name) { helps[reason, default: 0] += 1 }
    }
    if hopeless > 0 { helps["Preemption is not helpful for scheduling"] = hopeless }
    let advice = helps.keys.sorted().map { "\(helps[$0] ?? 0) \($0)" }.sorted().joined(separator: ", ")
    return "\(text) preemption: 0/\(total) nodes are available: \(advice)."
  }

  /// Why the end of others would not do on a node that is full, or where others are too near.
  private func preemptionReasons(
    _ found: WaitingClass, _ id: WaitingClassID, _ rules: PodRules?, _ name: String
  ) -> [String] {
    let nobody = ["No preemption victims found for incoming pod"]
    guard let node = state.nodes[ObjectKey(namespace: "", name: name)],
      fleet.preemption.hasLower(than: found.priority)
    else { return nobody }
    return problemWithoutLower(found.spec, rules, id, on: node) ?? nobody
  }

  /// All reasons of the first filter that refuses.
  private func refusal(of found: WaitingClass, _ id: WaitingClassID, _ rules: PodRules?, _ name: String) -> NodeRefusal
  {
    let pinned = found.needs.pinnedNode
    if !pinned.isEmpty, pinned != name {
      return NodeRefusal(["node(s) didn't match the requested node name"], isHopeless: true)
    }
    guard let node = state.nodes[ObjectKey(namespace: "", name: name)] else { return NodeRefusal([], isHopeless: true) }
    let rejection =
      pinned.isEmpty ? Self.rejection(of: found.spec, by: node) : Self.pressureRefusal(found.spec, node)
    if let rejection {
      return NodeRefusal([rejection], isHopeless: true)
    }
    guard let record = fleet.nodes[name], record.takesPods else {
      return NodeRefusal(["node(s) were not ready"], isHopeless: true)
    }
    let usage = usage(of: record, name, for: found.priority, id)
    if let refusal = Self.roomRefusal(found.spec, usage, node.capacity)
      ?? storageRefusal(found.needs.storage, by: node) ?? rules?.refusal(node.meta.labels)
    {
      return refusal
    }
    let isKept = isKeptAway(id, rules, from: node)
    return NodeRefusal(isKept ? [PodRules.repellingText] : [], isHopeless: false)
  }
}
