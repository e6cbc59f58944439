// When the keeper looks at what a pod keeps on the node's disk, and the end of one that keeps more than it may. Only
// pods with such limits are looked at, one look at a time each: a disk that hangs holds up nothing but looks at it.

import ClusterProto

/// The looks that are due.
struct StorageWatch {
  var due = TimerQueue<AttemptNumber>()

  /// kubelet's housekeeping: every ten seconds.
  static let pause: Int64 = 10_000
  /// A look at a large tree that takes long is made more rarely: of each thread that looks a pod has a twentieth.
  static let share: Int64 = 20
  /// But not more rarely than this.
  static let longestPause: Int64 = 300_000
}

extension KeeperCore {
  /// The pod's init runs: from here on it may write.
  mutating func watchStorage(of attempt: AttemptNumber, _ now: BootTime) {
    guard pods[attempt]?.plan?.storage?.isEmpty == false else { return }
    storage.due.set(attempt, at: now + StorageWatch.pause)
  }

  /// Asks for the looks that are due.
  mutating func settleStorage(_ turn: inout KeeperTurn) {
    while let attempt = storage.due.popDue(at: turn.now.boot) {
      guard let pod = pods[attempt], pod.mayRun, !pod.killed, let limits = pod.plan?.storage, !limits.isEmpty else {
        continue
      }
      turn.effects.append(.measureStorage(attempt, limits, pod.storageRuns))
    }
  }

  /// `usage` nil: the disk has not told; it is asked again.
  mutating func storageMeasured(_ attempt: AttemptNumber, _ usage: StorageUsage?, _ turn: inout KeeperTurn) {
    guard let pod = pods[attempt], pod.mayRun, !pod.killed, let limits = pod.plan?.storage, !limits.isEmpty else {
      return
    }
    guard let usage, let problem = limits.problem(usage) else {
      let pause = (usage?.milliseconds ?? 0).multipliedSaturated(by: StorageWatch.share)
      storage.due.set(
        attempt, at: turn.now.boot + min(max(pause, StorageWatch.pause), StorageWatch.longestPause))
      return
    }
    turn.effects.append(.log("attempt \(attempt) is evicted: \(problem)"))
    pods[attempt]?.end(.evicted(message: problem, isNodes: false), killAt: turn.now.boot, &turn)
  }
}

extension KeeperPod {
  /// The present run of each container that has begun, by the container's name.
  var storageRuns: [String: ContainerRun] {
    var runs: [String: ContainerRun] = [:]
    for (position, slot) in slots.enumerated() where slot.run != .idle {
      runs[slot.name] = ContainerRun(attempt: attempt, slot: position, restart: slot.restarts)
    }
    return runs
  }
}
