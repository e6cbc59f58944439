// What a simulated Job asks for beyond completions: indexes, limits for each, policies for failures and successes; and
// what must be true of its status when it has failed by them. Knows nothing of the cluster.

import ClusterProto

struct WishedPolicies {
  private var isIndexed = false
  private var limitPerIndex: Int64?
  private var maxFailedIndexes: Int64?
  private var ignoresDisruptions = false
  /// Deleted pods are replaced when they have ended, without a failure policy that asks for it.
  private var waitsForEnds = false
  /// A failure of the program ends the Job, or its index.
  private var failureAction: String?
  /// So many indexes are enough.
  private(set) var enough: Int64?

  init() {}

  /// Draws what a Job may have whose program never fails for good, or always.
  init(_ world: World, completions: Int64?, failsAlways: Bool) {
    if let completions, world.chance(0.5) {
      isIndexed = true
      if world.chance(0.5) { limitPerIndex = failsAlways ? world.pick(0...2) : 1_000 }
      if limitPerIndex != nil, world.chance(0.3) { maxFailedIndexes = world.pick(0...completions) }
      if world.chance(0.3) { enough = world.pick(1...completions) }
    }
    if world.chance(0.3) { ignoresDisruptions = true }
    if world.chance(0.3) { waitsForEnds = true }
    guard failsAlways, world.chance(0.5) else { return }
    failureAction = limitPerIndex == nil || world.chance(0.5) ? "FailJob" : "FailIndex"
  }

  /// Kubernetes takes a failure policy only with this; limits of an index are reached only by pods that fail.
  var needNever: Bool { ignoresDisruptions || failureAction != nil || limitPerIndex != nil }
  /// The Job's own backoffLimit is not what ends it.
  var decidesFailure: Bool { failureAction != nil || limitPerIndex != nil }

  func add(to spec: inout JSON) {
    if isIndexed { spec["completionMode"] = "Indexed" }
    if let limitPerIndex {
      spec["backoffLimitPerIndex"] = .int(limitPerIndex)
      spec["backoffLimit"] = nil
    }
    if let maxFailedIndexes { spec["maxFailedIndexes"] = .int(maxFailedIndexes) }
    if let enough { spec["successPolicy"] = ["rules": [["succeededCount": .int(enough)]]] }
    if waitsForEnds { spec["podReplacementPolicy"] = "Failed" }
    var rules: [JSON] = []
    if ignoresDisruptions {
      rules.append(["action": "Ignore", "onPodConditions": [["type": "DisruptionTarget", "status": "True"]]])
    }
    if let failureAction {
      // 128 and more are signals: the world's, not the program's.
      rules.append([
        "action": .string(failureAction),
        "onExitCodes": ["operator": "In", "values": .array((1...10).map { .int($0) })],
      ])
    }
    if !rules.isEmpty { spec["podFailurePolicy"] = ["rules": .array(rules)] }
  }

  /// What is wrong with the status of a Job that failed.
  func problem(of status: JobStatus, completions: Int64) -> String? {
    guard let reason = status.finishedCondition?.reason else { return nil }
    let failed = status.failedIndexes ?? IndexIntervals()
    switch reason {
    case "PodFailurePolicy": return failureAction == "FailJob" ? nil : "no rule of it fails a Job"
    case "FailedIndexes":
      if failed.count + status.completedIndexes.count != completions { return "not all of its indexes have ended" }
      let least = failureAction == "FailIndex" ? failed.count : failed.count * ((limitPerIndex ?? 0) + 1)
      return status.failed < least ? "\(status.failed) failures are too few for \(failed.text)" : nil
    case "MaxFailedIndexesExceeded":
      return failed.count > maxFailedIndexes ?? completions ? nil : "only \(failed.count) of its indexes have failed"
    case "BackoffLimitExceeded": return limitPerIndex == nil ? nil : "it has no limit of its own"
    default: return nil
    }
  }
}
