// Which pod goes when the node is short of memory or processes, and in which words: kubelet's order. One at a time: the
// next one only once it is gone and the node still is short. It must not know how the node is looked at.

import ClusterProto

extension KeeperCore {
  /// The agent's word: asks what pods use, and ends one of them once that is known.
  mutating func relieve(_ shortage: Shortage, _ turn: inout KeeperTurn) {
    let isUnderWay = pods.values.contains { pod in
      if case .evicted(_, isNodes: true)? = pod.ending?.cause { return pod.stage != .gone }
      return false
    }
    guard !isUnderWay else { return }
    self.shortage = shortage
    turn.effects.append(.measure)
  }

  /// What pods use, as they were just measured.
  mutating func relieveNow(_ usage: [AttemptUsage], _ turn: inout KeeperTurn, _ touched: inout [AttemptNumber]) {
    guard let shortage else { return }
    self.shortage = nil
    let uses = Dictionary(usage.map { ($0.attempt, $0) }, uniquingKeysWith: { first, _ in first })
    let candidates = pods.keys.sorted().compactMap { attempt -> EvictionCandidate? in
      guard let pod = pods[attempt], pod.mayRun, !pod.killed, pod.ending == nil, let rank = pod.plan?.rank,
        rank.priority < EvictionRank.critical
      else { return nil }
      return EvictionCandidate(attempt: attempt, rank: rank, usage: uses[attempt])
    }
    guard let first = candidates.min(by: { $0.goes(before: $1, shortage.of) }) else {
      turn.effects.append(.log("the node is short of \(shortage.of.resource), and there is no pod to evict"))
      return
    }
    let message = first.message(shortage)
    turn.effects.append(.log("attempt \(first.attempt) is evicted: \(message)"))
    pods[first.attempt]?.end(.evicted(message: message, isNodes: true), killAt: turn.now.boot, &turn)
    touched.append(first.attempt)
  }
}

/// One pod that may go.
struct EvictionCandidate {
  var attempt: AttemptNumber
  var rank: EvictionRank
  /// nil: none of its containers runs yet.
  var usage: AttemptUsage?

  private var excess: Int64 {
    let used = (usage?.containers ?? [:]).values.reduce(Int64(0)) { $0.addingSaturated($1.memory) }
    return used.addingSaturated(-rank.memory.values.reduce(Int64(0)) { $0.addingSaturated($1) })
  }

  /// kubelet's order: of memory first who uses more than it asked for, then by priority, then by how much more; of
  /// processes by priority, then by how many. Of equal ones the youngest.
  func goes(before other: EvictionCandidate, _ kind: NodePressure) -> Bool {
    if kind == .memory, (excess > 0) != (other.excess > 0) { return excess > 0 }
    if rank.priority != other.rank.priority { return rank.priority < other.rank.priority }
    if kind == .memory, excess != other.excess { return excess > other.excess }
    let (own, others) = (usage?.processes ?? 0, other.usage?.processes ?? 0)
    if kind == .processes, own != others { return own > others }
    return attempt > other.attempt
  }

  /// kubelet's words.
  func message(_ shortage: Shortage) -> String {
    func text(_ amount: Int64) -> String {
      shortage.of == .memory ? Quantity.formatBytes(amount / 1_024 * 1_024) : String(amount)
    }
    var words =
      "The node was low on resource: \(shortage.of.resource). Threshold quantity: \(text(shortage.threshold)), "
      + "available: \(text(shortage.available)). "
    guard shortage.of == .memory else { return words }
    for name in (usage?.containers ?? [:]).keys.sorted() {
      let (used, asked) = (usage?.containers[name]?.memory ?? 0, rank.memory[name] ?? 0)
      guard used > asked else { continue }
      words +=
        "Container \(name) was using \(text(used)), request is \(text(asked)), has larger consumption of memory. "
    }
    return words
  }
}
