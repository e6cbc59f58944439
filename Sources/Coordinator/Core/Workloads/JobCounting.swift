// How a Job's ended pods come into its counters, each exactly once: the tracking finalizer is the guard, taken in the
// step that counts. Knows what counts as a failure and what is not charged; finishing and creating are elsewhere.

import ClusterProto

extension CoordinatorCore {
  /// Counts what ended since the last sync, at most the round's budget of pods.
  mutating func countPods(_ round: inout JobRound) {
    let uid = round.job.meta.uid
    if round.job.meta.deletionTimestamp != nil { releaseHeld(&round) }
    var outcomes: [(time: WallTime, key: ObjectKey, succeeded: Bool)] = []
    // Keys only: holding the tally while its sets change would copy them.
    for key in firstKeys(of: uid, \.finished, limit: round.remaining) {
      guard let pod = state.pods[key] else { continue }
      count(pod, &round, &outcomes)
    }
    // A Job that waits for the ends of deleted pods looks at each once, and again when it changes.
    let waits = waitsForEnds(round)
    for key in firstKeys(of: uid, waits ? \.unseen : \.deleted, limit: round.remaining) {
      guard let pod = state.pods[key] else { continue }
      round.touched += 1
      workloads.tallies[uid]?.unseen.remove(key)
      countDeleted(pod, &round, &outcomes)
    }
    workloads.looked += round.touched
    if round.job.spec.backoffLimitPerIndex == nil { remember(outcomes, uid: uid) }
    round.isCut = round.touched > 0 && round.remaining == 0
  }

  private func waitsForEnds(_ round: JobRound) -> Bool {
    round.job.spec.podReplacementPolicy == "Failed" && !round.isDecided && round.job.meta.deletionTimestamp == nil
  }

  /// At most so many keys of one of the tally's sets, the oldest first.
  func firstKeys(of uid: String, _ set: KeyPath<JobTally, InsertionSet<ObjectKey>>, limit: Int) -> [ObjectKey] {
    guard limit > 0, let tally = workloads.tallies[uid], !tally[keyPath: set].isEmpty else { return [] }
    return Array(tally[keyPath: set].prefix(limit))
  }

  private mutating func count(
    _ pod: Pod, _ round: inout JobRound, _ outcomes: inout [(time: WallTime, key: ObjectKey, succeeded: Bool)]
  ) {
    round.touched += 1
    mustHold(
      pod.meta.finalizers.contains(JobNames.trackingFinalizer), "I5: pod \(pod.meta.key) would be counted twice")
    let index = ownIndex(of: pod, round)
    if round.job.spec.isIndexed, index == nil {
      // A pod of no index of the Job counts nowhere.
    } else if pod.status.phase == .succeeded {
      if let index {
        succeed(index, &round)
      } else {
        round.status.succeeded = round.status.succeeded.nextCount
      }
      outcomes.append((trustedFinishTime(of: pod), pod.meta.key, true))
    } else {
      let verdict = verdict(on: pod, of: round.job)
      noteFailure(of: pod, &round)
      noteMemory(of: pod, round.job)
      failJob(verdict, &round)
      if let index, settle(index, of: pod, verdict, &round) { return }
      if verdict.isCounted { round.status.failed = round.status.failed.nextCount }
      if verdict.pauses { outcomes.append((trustedFinishTime(of: pod), pod.meta.key, false)) }
    }
    stripTracking(pod.meta.key)
  }

  /// A pod marked for deletion that has not ended: a failure at once, unless the Job waits for its end.
  private mutating func countDeleted(
    _ pod: Pod, _ round: inout JobRound, _ outcomes: inout [(time: WallTime, key: ObjectKey, succeeded: Bool)]
  ) {
    if round.status.isInterim("FailureTarget") || round.job.spec.podReplacementPolicy != "Failed" {
      // Not in the backoff: who deletes a pod by hand gets its replacement at once.
      let index = ownIndex(of: pod, round)
      let verdict = verdict(on: pod, of: round.job)
      noteFailure(of: pod, &round)
      if let index, settle(index, of: pod, verdict, &round) { return }
      if verdict.isCounted, index != nil || !round.job.spec.isIndexed {
        round.status.failed = round.status.failed.nextCount
      }
      stripTracking(pod.meta.key)
    } else if !waitsForEnds(round) {
      stripTracking(pod.meta.key)
    } else if !isPossiblyLive(podUID: pod.meta.uid) {
      // Nobody will report its end: it ends here, as Kubernetes' pod collector ends pods that were never started.
      failUnreported(pod.meta.key, podUID: pod.meta.uid, why: "The pod was deleted before it ran")
    }
  }

  /// C5: an attempt that was lost with its node, or ended because its node was shut down, is not the Job's failure,
  /// unless the cluster is set to count as Kubernetes does.
  func isCharged(_ pod: Pod) -> Bool {
    if configuration.chargeLostAttempts { return true }
    guard let disruption = pod.status.condition("DisruptionTarget"), disruption.isTrue else { return true }
    return !["DeletionByTaintManager", "TerminationByKubelet"].contains(disruption.reason)
  }

  private mutating func remember(_ outcomes: [(time: WallTime, key: ObjectKey, succeeded: Bool)], uid: String) {
    guard !outcomes.isEmpty else { return }
    var backoff = workloads.memories[uid]?.backoff ?? JobBackoff()
    for outcome in outcomes.sorted(by: { $0.time == $1.time ? $0.key < $1.key : $0.time < $1.time }) {
      if outcome.succeeded {
        backoff.success()
      } else {
        backoff.failure(at: outcome.time, boot: bootTime(of: outcome.time))
      }
    }
    setBackoff(backoff, uid: uid)
  }
}
