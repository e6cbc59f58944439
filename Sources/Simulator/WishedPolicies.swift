// What a simulated Job asks for beyond completions: indexes, limits for each, policies for failures and successes; and
// what must be true of its status when it has failed by them. Knows nothing of the cluster.

import ClusterProto

struct WishedPolicies {
  private(set) var isIndexed = false
  private var limitPerIndex: Int64?
  private var maxFailedIndexes: Int64?
  private var ignoresDisruptions = false
  /// Deleted pods are replaced when they have ended, without a failure policy that asks for it.
  private var waitsForEnds = false
  /// A failure of the program ends the Job, or its index.
  private var failureAction: String?
  /// So many indexes are enough.
  private(set) var enough: Int64?
  /// What batch/v1 has no field for.
  private var annotations = StringMap()
  /// Indexes that are not to run.
  private var leftOut = IndexIntervals()

  init() {}

  /// Draws what a Job may have whose program never fails for good, or always.
  init(_ world: World, completions: Int64?, failsAlways: Bool) {
    if let completions, world.chance(0.5) {
      isIndexed = true
      if world.chance(0.5) { limitPerIndex = failsAlways ? world.pick(0...2) : 1_000 }
      if limitPerIndex != nil, world.chance(0.3) { maxFailedIndexes = world.pick(0...completions) }
      if world.chance(0.3) { enough = world.pick(1...completions) }
    }
    drawAnnotations(world, completions)
    if world.chance(0.3) { ignoresDisruptions = true }
    if world.chance(0.3) { waitsForEnds = true }
    guard failsAlways, world.chance(0.5) else { return }
    failureAction = limitPerIndex == nil || world.chance(0.5) ? "FailJob" : "FailIndex"
  }

  private mutating func drawAnnotations(_ world: World, _ completions: Int64?) {
    if world.chance(0.3) {
      annotations[JobAnnotation.backoff] =
        "initial=\(world.pick(0...20))s,factor=\(world.pick(1...3)).5,max=\(world.pick(20...40))s,jitter=0.3"
      // With Kubernetes' pauses a busy cluster would let the Jobs wait for hours.
      if world.chance(0.5) { annotations[JobAnnotation.startDeadline] = String(world.pickRare(20...120)) }
    }
    if world.chance(0.3) { annotations[JobAnnotation.ttlAfterFailure] = String(world.pick(0...60)) }
    guard isIndexed, enough == nil, let completions, world.chance(0.4) else { return }
    var chosen = IndexIntervals()
    for index in 0..<completions where world.chance(0.6) { chosen.insert(index) }
    if chosen.isEmpty { return }
    annotations[JobAnnotation.indexes] = chosen.text
    leftOut = chosen.inverted(below: completions)
  }

  /// A failed Job goes by itself.
  var failedGoes: Bool { annotations[JobAnnotation.ttlAfterFailure] != nil }

  /// Successes that the status shows and that ran.
  func ownSuccesses(_ status: JobStatus) -> Int64 { status.succeeded - leftOut.count }

  /// What is wrong with the annotations and what they come to, of a Job that has ended.
  func problem(of job: JSON, _ status: JobStatus, isMeddledWith: Bool) -> String? {
    let kept = job[path: ["metadata", "annotations", JobAnnotation.failures]]?.stringValue ?? ""
    let lines = kept.split(separator: "\n").count
    if lines > JobFailures.limit { return "keeps \(lines) failures" }
    if status.failed > 0, lines == 0, !isMeddledWith { return "keeps nothing of \(status.failed) failures" }
    if leftOut.countShared(with: status.completedIndexes) != leftOut.count { return "was to leave out \(leftOut.text)" }
    return nil
  }

  /// Its pods have a time in which they are to start.
  var mayStarve: Bool { annotations[JobAnnotation.startDeadline] != nil }

  /// Whether a Job has failed because its pods found no room within the time that it gives them to start, again and
  /// again: in a world that is full for hours that is what it asks for.
  func hasStarved(_ job: JSON, _ reason: String) -> Bool {
    guard mayStarve, reason == "BackoffLimitExceeded" else { return false }
    let kept = job[path: ["metadata", "annotations", JobAnnotation.failures]]?.stringValue ?? ""
    let lines = kept.split(separator: "\n")
    return !lines.isEmpty && lines.allSatisfy { $0.contains(": StartDeadlineExceeded: ") }
  }

  func annotate(_ metadata: inout JSON) {
    if !annotations.isEmpty { metadata["annotations"] = annotations.json }
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
