// Which pod goes when the node is short of memory, disk or processes, and in which words: kubelet's order. One at a
// time: the next one only once it is gone and the node still is short. It must not know how the node is looked at.

import ClusterProto

/// What is found out of the pods of a node whose disk is short of room.
struct DiskRelief {
  var shortage: Shortage
  /// Looks at these have not answered yet.
  var waiting: Set<AttemptNumber>
  var usage: [AttemptNumber: StorageUsage] = [:]
}

extension KeeperCore {
  /// The agent's word: asks what pods use, and ends one of them once that is known.
  mutating func relieve(_ shortage: Shortage, _ turn: inout KeeperTurn) {
    guard !isRelieving else { return }
    guard shortage.of == .disk else {
      self.shortage = shortage
      turn.effects.append(.measure)
      return
    }
    // Looks at a disk may take long, and one that hangs holds up this alone.
    guard diskRelief == nil else { return }
    let attempts = evictable
    guard !attempts.isEmpty else { return spare(Self.nobody, shortage, &turn) }
    diskRelief = DiskRelief(shortage: shortage, waiting: Set(attempts))
    for attempt in attempts {
      guard let pod = pods[attempt] else { continue }
      turn.effects.append(.measureStorage(attempt, pod.plan?.storage ?? StorageLimits(), pod.storageRuns))
    }
  }

  /// What pods use, as they were just measured.
  mutating func relieveNow(_ usage: [AttemptUsage], _ turn: inout KeeperTurn, _ touched: inout [AttemptNumber]) {
    guard let shortage else { return }
    self.shortage = nil
    let uses = Dictionary(usage.map { ($0.attempt, $0) }, uniquingKeysWith: { first, _ in first })
    evictFirst(shortage, &turn, &touched) { candidate in
      candidate.usage = uses[candidate.attempt]
      return true
    }
  }

  /// A look at one pod's disk has answered; after the last one somebody goes. nil: the disk did not tell.
  mutating func relieveDisk(
    _ attempt: AttemptNumber, _ usage: StorageUsage?, _ turn: inout KeeperTurn, _ touched: inout [AttemptNumber]
  ) {
    guard diskRelief?.waiting.remove(attempt) != nil else { return }
    diskRelief?.usage[attempt] = usage
    guard let relief = diskRelief, relief.waiting.isEmpty else { return }
    diskRelief = nil
    // One that was ended meanwhile may have freed enough.
    guard !isRelieving else { return }
    let shortage = relief.shortage
    let giving = relief.usage.filter { shortage.isGiven(by: $0.value) }
    guard evictable.contains(where: { giving[$0] != nil }) else {
      // kubelet would go on until no pod is left, for nothing.
      return spare("nothing of pods to give back: \(shortage.nobodyGives)", shortage, &turn)
    }
    evictFirst(shortage, &turn, &touched) { candidate in
      candidate.storage = giving[candidate.attempt]
      return candidate.storage != nil
    }
  }

  /// Those that go for the node's sake and are not gone yet, in order: one at most.
  package var relieving: [AttemptNumber] {
    pods.values.filter(\.goesForItsNode).map(\.attempt).sorted()
  }

  private var isRelieving: Bool { pods.values.contains(where: \.goesForItsNode) }

  /// Those that run and that nobody ends yet; what the system needs is not among them.
  private var evictable: [AttemptNumber] {
    pods.keys.sorted().filter { attempt in
      guard let pod = pods[attempt], let rank = pod.plan?.rank else { return false }
      return pod.mayRun && !pod.killed && pod.ending == nil && rank.priority < EvictionRank.critical
    }
  }

  /// `know` says what a candidate uses; false: it stays.
  private mutating func evictFirst(
    _ shortage: Shortage, _ turn: inout KeeperTurn, _ touched: inout [AttemptNumber],
    _ know: (inout EvictionCandidate) -> Bool
  ) {
    let candidates = evictable.compactMap { attempt -> EvictionCandidate? in
      guard let rank = pods[attempt]?.plan?.rank else { return nil }
      var candidate = EvictionCandidate(attempt: attempt, rank: rank)
      return know(&candidate) ? candidate : nil
    }
    guard let first = candidates.min(by: { $0.goes(before: $1, shortage) }) else {
      return spare(Self.nobody, shortage, &turn)
    }
    let message = first.message(shortage)
    turn.effects.append(.log("attempt \(first.attempt) is evicted: \(message)"))
    answer("", shortage, &turn)
    pods[first.attempt]?.end(.evicted(message: message, isNodes: true), killAt: turn.now.boot, &turn)
    touched.append(first.attempt)
  }

  private static let nobody = "there is no pod to evict"

  /// Nobody goes.
  private func spare(_ reason: String, _ shortage: Shortage, _ turn: inout KeeperTurn) {
    turn.effects.append(.log("the node is short of \(shortage.resource): \(reason)"))
    answer(reason, shortage, &turn)
  }

  private func answer(_ spared: String, _ shortage: Shortage, _ turn: inout KeeperTurn) {
    guard isAgentConnected, shortage.wantsAnswer else { return }
    turn.effects.append(.reply(.relief(shortage.of, spared: spared)))
  }
}

extension Shortage {
  /// A pod's end that would give back no more than so many bytes, or files, is for nothing: some are there of any pod.
  private static let least: (bytes: Int64, inodes: Int64) = (1 << 20, 100)

  fileprivate func isGiven(by usage: StorageUsage) -> Bool {
    isInodes ? usage.inodes > Self.least.inodes : usage.total > Self.least.bytes
  }

  fileprivate var nobodyGives: String {
    isInodes
      ? "no pod is known to have more than \(Self.least.inodes) files there, so something else has them"
      : "no pod is known to keep more than \(Quantity.formatBytes(Self.least.bytes)) there, so something else fills it"
  }
}

extension KeeperPod {
  fileprivate var goesForItsNode: Bool {
    if case .evicted(_, isNodes: true)? = ending?.cause { return stage != .gone }
    return false
  }
}

/// One pod that may go.
struct EvictionCandidate {
  var attempt: AttemptNumber
  var rank: EvictionRank
  /// nil: none of its containers runs yet.
  var usage: AttemptUsage?
  /// nil: its disk did not tell.
  var storage: StorageUsage?

  /// How much more it uses than it asked for, of what is ranked so; nil: this is not.
  private func excess(_ shortage: Shortage) -> Int64? {
    switch shortage.of {
    case .memory:
      let used = (usage?.containers ?? [:]).values.reduce(Int64(0)) { $0.addingSaturated($1.memory) }
      return used.addingSaturated(-rank.memory.values.reduce(Int64(0)) { $0.addingSaturated($1) })
    // Nobody asks for inodes.
    case .disk where shortage.isInodes: return storage?.inodes ?? 0
    case .disk: return (storage?.total ?? 0).addingSaturated(-rank.podStorage)
    case .processes: return nil
    }
  }

  /// kubelet's order: of memory and disk first who uses more than it asked for, then by priority, then by how much
  /// more; of processes by priority, then by how many. Of equal ones the youngest.
  func goes(before other: EvictionCandidate, _ shortage: Shortage) -> Bool {
    let excess = (own: excess(shortage) ?? 0, others: other.excess(shortage) ?? 0)
    if (excess.own > 0) != (excess.others > 0) { return excess.own > 0 }
    if rank.priority != other.rank.priority { return rank.priority < other.rank.priority }
    if excess.own != excess.others { return excess.own > excess.others }
    let (own, others) = (usage?.processes ?? 0, other.usage?.processes ?? 0)
    if shortage.of == .processes, own != others { return own > others }
    return attempt > other.attempt
  }

  /// kubelet's words.
  func message(_ shortage: Shortage) -> String {
    func text(_ amount: Int64) -> String {
      switch shortage.of {
      case .memory: Quantity.formatBytes(amount / 1_024 * 1_024)
      case .disk where !shortage.isInodes: Quantity.formatBytes(amount)
      case .disk, .processes: String(amount)
      }
    }
    var words =
      "The node was low on resource: \(shortage.resource). Threshold quantity: \(text(shortage.threshold)), "
      + "available: \(text(shortage.available)). "
    for (name, used, asked) in amounts(shortage) where used > asked {
      words += "Container \(name) was using \(text(used)), request is \(text(asked)), has larger consumption of "
      words += "\(shortage.resource). "
    }
    return words
  }

  /// What each container uses and has asked for of what is short, where containers ask for that.
  private func amounts(_ shortage: Shortage) -> [(name: String, used: Int64, asked: Int64)] {
    switch shortage.of {
    case .memory:
      let used = usage?.containers ?? [:]
      return used.keys.sorted().map { ($0, used[$0]?.memory ?? 0, rank.memory[$0] ?? 0) }
    case .disk where !shortage.isInodes:
      let used = storage?.containers ?? [:]
      return used.keys.sorted().map { ($0, used[$0] ?? 0, rank.storage[$0] ?? 0) }
    case .disk, .processes: return []
    }
  }
}
