// Promise 1 where work is given out: a replacement waits until the attempt before it is proven dead. The scheduler asks
// for each pod before it assigns it. It must not know nodes.

import ClusterProto

extension CoordinatorCore {
  /// How many attempts of the Job may run at once now, and whether the pod's own index is free.
  func assignability(of pod: Pod) -> Assignability {
    guard let slot = Slot(of: pod) else { return .free }
    guard let key = jobKey(owning: pod), let job = state.jobs[key], job.meta.deletionTimestamp == nil,
      !job.spec.suspend || job.spec.otherManager != nil,
      !job.status.conditions.contains(where: {
        ["Complete", "Failed", "FailureTarget", "SuccessCriteriaMet"].contains($0.type) && $0.isTrue
      })
    else { return .jobIsFull }
    // Another controller decides how many pods its Job has; one that has an index shares it with nobody.
    if job.spec.otherManager == nil, Int64(possiblyLiveCount(jobUID: slot.jobUID)) >= mostAtOnce(of: job) {
      return .jobIsFull
    }
    if slot.index != nil, isPossiblyLive(slot) { return .slotIsTaken }
    return .free
  }

  /// The Job's pods that have neither ended nor been marked for deletion.
  func activePods(ofJob uid: String) -> [ObjectKey] { Array(workloads.tallies[uid]?.active ?? InsertionSet()) }

  /// How many attempts the pod's Job may have at once, where it has them and goes on; nil: no other is in its way.
  func fullAt(_ pod: Pod) -> Int64? {
    guard assignability(of: pod) == .jobIsFull, let job = jobKey(owning: pod).flatMap({ state.jobs[$0] }),
      possiblyLiveCount(jobUID: job.meta.uid) > 0, job.meta.deletionTimestamp == nil, !job.spec.suspend
    else { return nil }
    return mostAtOnce(of: job)
  }

  /// Parallelism, and never more than successes are still missing: pods without an index may all do the same. One with
  /// an index shares it with nobody, so an old copy of another that succeeded takes nothing from it.
  func mostAtOnce(of job: Job) -> Int64 {
    guard let completions = job.spec.completions, !job.spec.isIndexed else { return job.spec.parallelism }
    let succeeded = job.status.succeeded.addingSaturated(workloads.tallies[job.meta.uid]?.uncountedSuccesses ?? 0)
    return min(job.spec.parallelism, max(0, completions - succeeded))
  }
}
