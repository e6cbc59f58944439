// What the end of one pod means for its Job and its index: the podFailurePolicy's verdict, the limit of each index, the
// successPolicy. Decides; pods are created and deleted elsewhere.

import ClusterProto

/// What a failed pod comes to.
enum FailureVerdict: Equatable, Sendable {
  case counted
  case ignored
  /// C5: lost with its node, and no rule of the Job is about it. Not counted, and replaced without a pause.
  case lost
  case failsIndex
  case failsJob(message: String)

  var isCounted: Bool { self != .ignored && self != .lost }
  var pauses: Bool { self != .lost }
}

extension CoordinatorCore {
  /// The first rule that is about the pod decides.
  func verdict(on pod: Pod, of job: Job) -> FailureVerdict {
    for (position, rule) in (job.spec.failureRules ?? []).enumerated() {
      guard let finding = rule.finding(in: pod.status) else { continue }
      switch rule.action {
      case .ignore: return .ignored
      case .count: return .counted
      case .failIndex: return .failsIndex
      case .failJob:
        let name = "\(pod.meta.namespace)/\(pod.meta.name)"
        let what =
          switch finding {
          case .container(let container, let code):
            "Container \(container) for pod \(name) failed with exit code \(code)"
          case .condition(let type): "Pod \(name) has condition \(type)"
          }
        return .failsJob(message: "\(what) matching FailJob rule at index \(position)")
      }
    }
    return isCharged(pod) ? .counted : .lost
  }

  /// The pod that decides loses its finalizer in this step: what it decided is written in the same step.
  func failJob(_ verdict: FailureVerdict, _ round: inout JobRound) {
    guard case .failsJob(let message) = verdict, !round.isDecided else { return }
    round.decide("FailureTarget", "PodFailurePolicy", message, at: stamp)
  }

  // MARK: Indexes

  /// The index of the pod, if its Job has that one.
  func ownIndex(of pod: Pod, _ round: JobRound) -> Int64? {
    guard round.job.spec.isIndexed, let index = Slot.index(of: pod), index < round.job.spec.completions ?? 0 else {
      return nil
    }
    return index
  }

  /// An index succeeds once, and not after it has failed.
  func succeed(_ index: Int64, _ round: inout JobRound) {
    if round.status.failedIndexes?.contains(index) == true { return }
    round.status.completedIndexes.insert(index)
    round.status.succeeded = round.status.completedIndexes.count
  }

  /// What a failed pod means for its index, where each index has a limit: the index fails, or waits for its next pod.
  /// True when the pod stays uncounted until then.
  mutating func settle(_ index: Int64, of pod: Pod, _ verdict: FailureVerdict, _ round: inout JobRound) -> Bool {
    guard let limit = round.job.spec.backoffLimitPerIndex, round.job.meta.deletionTimestamp == nil,
      !round.status.completedIndexes.contains(index), round.status.failedIndexes?.contains(index) != true
    else { return false }
    let failures = Slot.count(Slot.failuresAnnotation, of: pod)
    // Also beside what ends the Job, but not the indexes of the pods that the ending Job stops.
    let isStopped = round.isDecided && pod.meta.deletionTimestamp != nil
    if verdict == .failsIndex || (verdict.isCounted && failures >= limit), !isStopped {
      round.status.failedIndexes?.insert(index)
      return false
    }
    if round.isDecided { return false }
    let uid = round.job.meta.uid
    guard let tally = workloads.tallies[uid], !tally.indexed.indexes.contains(index) else { return false }
    let all = failures.addingSaturated(Slot.count(Slot.ignoredAnnotation, of: pod))
    if let before = tally.held[index].flatMap({ state.pods[$0.key] }) {
      let known = Slot.count(Slot.failuresAnnotation, of: before)
        .addingSaturated(Slot.count(Slot.ignoredAnnotation, of: before))
      if known > all { return false }
      countHeld(index, &round)
    }
    var due = now.boot
    if pod.status.phase.isTerminal, verdict.pauses {
      let finished = trustedFinishTime(of: pod)
      var backoff = JobBackoff()
      backoff.failures = all.addingSaturated(1)
      backoff.lastFailureBoot = bootTime(of: finished)
      due = backoff.end(by: round.job.backoffRule, seed: "\(uid)/\(index)") ?? due
    }
    workloads.tallies[uid]?.hold(
      HeldPods.Pod(key: pod.meta.key, due: due, isCounted: verdict.isCounted), of: index)
    return true
  }

  /// The annotations that carry an index's failures from the pod before to a new one.
  func annotateFailures(_ meta: inout ObjectMeta, of index: Int64, _ job: Job) {
    guard job.spec.backoffLimitPerIndex != nil else { return }
    var failures: Int64 = 0
    var ignored: Int64 = 0
    if let held = workloads.tallies[job.meta.uid]?.held[index], let pod = state.pods[held.key] {
      failures = Slot.count(Slot.failuresAnnotation, of: pod)
      ignored = Slot.count(Slot.ignoredAnnotation, of: pod)
      if held.isCounted { failures = failures.nextCount } else { ignored = ignored.nextCount }
    }
    meta.annotations[Slot.failuresAnnotation] = String(failures)
    if ignored > 0 { meta.annotations[Slot.ignoredAnnotation] = String(ignored) }
  }

  /// The index has its next pod, which carries the count: the pod before it is counted.
  mutating func countReplaced(_ index: Int64, _ round: inout JobRound) {
    if workloads.tallies[round.job.meta.uid]?.held[index] != nil { countHeld(index, &round) }
  }

  private mutating func countHeld(_ index: Int64, _ round: inout JobRound) {
    guard let held = workloads.tallies[round.job.meta.uid]?.held[index] else { return }
    if held.isCounted { round.status.failed = round.status.failed.nextCount }
    stripTracking(held.key)
  }

  /// Counts what waits for a replacement that will not come.
  mutating func releaseHeld(_ round: inout JobRound) {
    guard let keys = workloads.tallies[round.job.meta.uid]?.held.keys, !keys.isEmpty else { return }
    for key in Array(keys.prefix(round.remaining + 1)) {
      guard round.remaining > 0 else {
        round.isCut = true
        return
      }
      round.touched += 1
      release(key, &round)
    }
  }

  private mutating func release(_ key: ObjectKey, _ round: inout JobRound) {
    guard let pod = state.pods[key] else { return }
    if let index = ownIndex(of: pod, round) { countHeld(index, &round) } else { stripTracking(key) }
  }

  /// An elastic Job that shrank forgets the indexes that it has no more.
  mutating func fitIndexes(_ round: inout JobRound) {
    guard round.job.spec.isIndexed, let completions = round.job.spec.completions else { return }
    if round.job.spec.backoffLimitPerIndex != nil, round.status.failedIndexes == nil {
      round.status.failedIndexes = IndexIntervals()
    }
    round.status.failedIndexes?.trim(below: completions)
    round.status.completedIndexes.trim(below: completions)
    if workloads.memories[round.job.meta.uid]?.completions != completions { leaveOut(below: completions, &round) }
    round.status.succeeded = round.status.completedIndexes.count
    let uid = round.job.meta.uid
    guard workloads.memories[uid]?.completions != completions else { return }
    workloads.tallies[uid]?.vacancies.forget()
    for key in Array(workloads.tallies[uid]?.held.keys ?? InsertionSet()) {
      guard let pod = state.pods[key], ownIndex(of: pod, round) == nil else { continue }
      guard round.remaining > 0 else {
        round.isCut = true
        return
      }
      round.touched += 1
      stripTracking(key)
    }
    workloads.memories[uid, default: JobMemory()].completions = completions
  }

  /// Indexes that a Job is not to run count as succeeded, as they were in the Job that it repeats.
  private func leaveOut(below completions: Int64, _ round: inout JobRound) {
    guard let text = round.job.meta.annotations[JobAnnotation.indexes] else { return }
    round.status.completedIndexes.formUnion(IndexIntervals(text: text).inverted(below: completions))
  }

  // MARK: Ends

  func failedIndexesReason(_ round: JobRound) -> (reason: String, message: String)? {
    guard let failed = round.status.failedIndexes, round.job.spec.backoffLimitPerIndex != nil, !failed.isEmpty else {
      return nil
    }
    if let most = round.job.spec.maxFailedIndexes, failed.count > most {
      return ("MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes")
    }
    guard failed.count + round.status.completedIndexes.count >= round.job.spec.completions ?? 0 else { return nil }
    return ("FailedIndexes", "Job has failed indexes")
  }

  func successMessage(_ round: JobRound) -> String? {
    guard !round.status.completedIndexes.isEmpty,
      let position = round.job.spec.successRules.firstIndex(where: { $0.isMet(by: round.status.completedIndexes) })
    else { return nil }
    return "Matched rules at index \(position)"
  }
}
