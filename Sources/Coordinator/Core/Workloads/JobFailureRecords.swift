// What is kept of a Job's failed pods when they are gone: node, container, exit code, reason, message. In the Job's
// annotation, the last ones, and in an event each. Must not decide what counts as a failure.

import ClusterProto

extension CoordinatorCore {
  /// Notes a failed pod; the round's end writes it. One that the ending Job has stopped tells nothing of why it ends.
  mutating func noteFailure(of pod: Pod, _ round: inout JobRound) {
    if round.isDecided, pod.meta.deletionTimestamp != nil { return }
    note(JobFailure(pod, index: ownIndex(of: pod, round), at: trustedFinishTime(of: pod)), &round)
  }

  /// The restarts of a Job's pods were too many: the pod that goes for it is asked how it ended before.
  mutating func noteRestarts(of key: ObjectKey, _ round: inout JobRound) {
    guard round.job.spec.podSpec.restartPolicy == .onFailure, let pod = state.pods[key],
      round.status.condition("FailureTarget")?.reason == "BackoffLimitExceeded",
      let failure = JobFailure(restarted: pod, index: ownIndex(of: pod, round))
    else { return }
    note(failure, &round)
  }

  private mutating func note(_ failure: JobFailure, _ round: inout JobRound) {
    let known = round.failures ?? round.job.meta.annotations[JobAnnotation.failures] ?? ""
    guard let text = JobFailures.adding(failure, to: known) else { return }
    round.failures = text
    if !failure.isOpen { tell(failure, of: round.job) }
  }

  /// The end of a pod that was counted when it was deleted.
  mutating func completeFailure(of pod: Pod, _ key: ObjectKey) {
    guard pod.meta.deletionTimestamp != nil, pod.status.phase.isTerminal, let job = state.jobs[key],
      let known = job.meta.annotations[JobAnnotation.failures],
      JobFailures.awaitsEnd(of: pod.meta.name, in: known)
    else { return }
    let failure = JobFailure(
      pod, index: job.spec.isIndexed ? Slot.index(of: pod) : nil, at: trustedFinishTime(of: pod))
    guard let text = JobFailures.adding(failure, to: known) else { return }
    updateJob(key) { $0.meta.annotations[JobAnnotation.failures] = text }
    tell(failure, of: job)
  }

  private mutating func tell(_ failure: JobFailure, of job: Job) {
    recordEvent(
      on: .job(job), type: .warning, reason: "PodFailed", message: failure.sentence, component: JobNames.component)
  }
}
