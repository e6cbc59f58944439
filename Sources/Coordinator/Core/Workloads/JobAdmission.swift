// Whether a Job may have pods yet: a Job that asks to wait has none, and no start, until what it waits for has come.
// Says so in a condition and an event. What it waits for is looked at elsewhere (JobDependencies).

import ClusterProto

extension CoordinatorCore {
  /// Whether the Job may not have pods yet. It may also find that the Job never will: then the round is decided.
  mutating func isHeldBack(_ round: inout JobRound) -> Bool {
    let job = round.job
    let admission = round.status.condition(JobAdmission.condition)
    guard job.asksToWait || admission != nil else { return false }
    if job.spec.suspend {
      giveUpPlace(&round)
      return false
    }
    if job.meta.deletionTimestamp != nil { return admission?.isTrue != true }
    fitBarred(&round)
    if round.isDecided { return true }
    if admission?.isTrue == true { return false }
    // What has come once is not waited for again.
    if admission == nil || admission?.reason == JobAdmission.waitingForJobs {
      switch wholeDependencies(of: job) {
      case .met: break
      case .never(let why):
        round.decide("FailureTarget", JobAdmission.neverMet, why, at: stamp)
        return true
      case .waits(let why):
        tellHold(&round, JobAdmission.waitingForJobs, why)
        return true
      }
    }
    if let queue = job.queueName {
      // With this it enters the queue; the rest is the queue's to say.
      if admission?.reason == JobAdmission.waitingForJobs || (admission == nil && !job.isPastDependencies) {
        setAdmission(&round, "False", JobAdmission.queued, "The Job enters queue \(queue)")
      }
      return true
    }
    setAdmission(&round, "True", JobAdmission.admitted, "The Job waits for nothing")
    if admission != nil {
      recordEvent(
        on: .job(job), type: .normal, reason: JobAdmission.admitted, message: "The Job waits for nothing any more",
        component: JobNames.component)
    }
    return false
  }

  /// A suspended Job that has no pod left may have to wait again.
  private mutating func giveUpPlace(_ round: inout JobRound) {
    guard round.status.condition(JobAdmission.condition)?.isTrue == true else { return }
    let tally = tally(of: round.job)
    guard tally.active.isEmpty, tally.terminating == 0 else { return }
    setAdmission(&round, "False", JobAdmission.suspended, "The Job is suspended")
  }

  private mutating func tellHold(_ round: inout JobRound, _ reason: String, _ message: String) {
    let known = round.status.condition(JobAdmission.condition)
    guard known?.reason != reason || known?.message != message else { return }
    setAdmission(&round, "False", reason, message)
    recordEvent(
      on: .job(round.job), type: .normal, reason: reason, message: message, component: JobNames.component)
  }

  private func setAdmission(_ round: inout JobRound, _ status: String, _ reason: String, _ message: String) {
    round.status.conditions.set(
      Condition(
        type: JobAdmission.condition, status: status, reason: reason, message: message, lastTransition: stamp))
  }
}
