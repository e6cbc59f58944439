// What must be true of waiting pods and of those that have just been placed, whatever the scheduler keeps at hand: it
// is seen from the pods themselves. For the simulator and tests; it reads everything and changes nothing.

import ClusterProto

extension CoordinatorCore {
  /// I8 of waiting pods: no node suits a parked class that it will not be offered to.
  func checkOffers(_ found: inout [String]) {
    guard !isHolding else { return }
    var reader = self
    for (id, waiting) in fleet.scheduler.classes.all.sorted(by: { $0.key < $1.key })
    where waiting.standing == .parked && waiting.needs.pinnedNode.isEmpty {
      // Room for a part of a gang is none.
      if waiting.needs.gang > 0, reader.gangFit(waiting, id) < waiting.needs.gang { continue }
      let rules = reader.podRules(of: id)
      for name in fleet.nodes.keys.sorted() where !fleet.scheduler.classes.isOpen(name) {
        guard let record = fleet.nodes[name], record.takesPods,
          let node = state.nodes[ObjectKey(namespace: "", name: name)], suits(id, record, node),
          rules?.refusal(node.meta.labels) == nil, !isKeptAway(id, rules, from: node)
        else { continue }
        found.append("I8: node \(name) has room for \(waiting.members.count) groups that wait, and nobody looks")
      }
    }
  }

  /// I15 and I23 of a pod that got its node in this step: those that had one before it allow it there, seen pod by pod.
  /// `left`: the nodes of those that went in this step, maybe after it was placed, and were maybe whom it had to be
  /// near.
  func checkPlacement(_ pod: Pod, left: Set<String>, _ found: inout [String]) {
    guard let node = pod.nodeName, let token = pod.status.fencingToken, !pod.status.phase.isTerminal else { return }
    let here = labels(of: node)
    if let there = state.nodes[ObjectKey(namespace: "", name: node)], Self.pressureRefusal(pod.spec, there) != nil {
      found.append("I23: pod \(pod.meta.key) is put on \(node), which is short of something")
    }
    let rules = pod.spec.scheduling
    let others = allPods().filter { other in
      other.status.fencingToken.map { $0 < token } ?? false && !other.status.phase.isTerminal && other.nodeName != nil
    }
    func isNear(_ other: Pod, _ key: String) -> Bool {
      here[key].map { labels(of: other.nodeName ?? "")[key] == $0 } ?? false
    }
    let questions = PodQuestions(rules, Self.wholeIdentity(of: pod))
    for question in questions.antiAffinity
    where others.contains(where: { isNear($0, question.topologyKey) && isAnswer($0, question) }) {
      found.append("I15: pod \(pod.meta.key) on \(node) is near pods that it must not be near")
    }
    for question in questions.affinity {
      let key = question.topologyKey
      let isFirst =
        isAnswer(pod, question)
        && !others.contains { isAnswer($0, question) && labels(of: $0.nodeName ?? "")[key] != nil }
      let isServed =
        others.contains { isNear($0, key) && isAnswer($0, question) }
        || left.contains { here[key] != nil && labels(of: $0)[key] == here[key] }
      if !isServed, !isFirst || here[key] == nil {
        found.append("I15: pod \(pod.meta.key) on \(node) is not near those that it has to be near")
      }
    }
    for other in others {
      let theirs = PodQuestions(other.spec.scheduling, Self.wholeIdentity(of: other)).antiAffinity
      if theirs.contains(where: { isNear(other, $0.topologyKey) && isAnswer(pod, $0) }) {
        found.append("I15: pod \(pod.meta.key) on \(node) is near \(other.meta.key), which forbids it")
      }
    }
    for spread in questions.spread where spread.rule.isRequired { checkSpread(pod, spread, others, here, &found) }
  }

  /// Who is being deleted by now may have counted or not: what follows from that is not held against the scheduler.
  private func checkSpread(
    _ pod: Pod, _ spread: PodQuestions.Spread, _ others: [Pod], _ here: StringMap, _ found: inout [String]
  ) {
    let key = spread.rule.topologyKey
    guard let domain = here[key] else {
      found.append("I15: pod \(pod.meta.key) is spread over \(key), which its node does not have")
      return
    }
    var counts: [String: Int64] = [:]
    var reader = state
    for name in reader.keys(of: .nodes) {
      guard let node = state.nodes[name], let domain = node.meta.labels[key] else { continue }
      if Self.matchesSelection(pod.spec, node) { counts[domain, default: 0] += 0 }
    }
    for other in others where isAnswer(other, spread.question) {
      guard let there = labels(of: other.nodeName ?? "")[key], there != domain || other.meta.deletionTimestamp == nil
      else { continue }
      if let count = counts[there] { counts[there] = count + 1 }
    }
    let own: Int64 = isAnswer(pod, spread.question) ? 1 : 0
    if (counts[domain] ?? 0) + own - (counts.values.min() ?? 0) > spread.rule.maxSkew {
      found.append("I15: pod \(pod.meta.key) makes \(key) \(domain) fuller than it may: \(counts)")
    }
  }

  /// I16: whoever was preempted in this step was for a pod of higher priority, which has its node or waits for it.
  func checkPreemption(_ pod: Pod, since last: AttemptNumber, _ found: inout [String]) {
    let isFor = allPods().contains { other in
      other.spec.priority > pod.spec.priority
        && (other.status.nominatedNodeName == pod.nodeName || other.status.fencingToken ?? 0 > last)
    }
    if !isFor { found.append("I16: pod \(pod.meta.key) was preempted, and for nobody of higher priority") }
  }

  private func allPods() -> [Pod] {
    var reader = state
    return reader.keys(of: .pods).compactMap { state.pods[$0] }
  }

  private func labels(of node: String) -> StringMap {
    state.nodes[ObjectKey(namespace: "", name: node)]?.meta.labels ?? StringMap()
  }

  private func isAnswer(_ pod: Pod, _ question: PodQuestion) -> Bool {
    fleet.topology.matches(question, pod.meta.namespace, pod.meta.labels)
  }

  private static func wholeIdentity(of pod: Pod) -> PodIdentity {
    PodIdentity(namespace: pod.meta.namespace, labels: pod.meta.labels)
  }
}
