// The Job controller: one level-triggered sync of one Job, in Kubernetes' order of evaluation. Counting, finishing,
// suspending, creating. One writer, so no expectations and no uncounted list: counting a pod and taking its finalizer
// are one step and one transaction.

import ClusterProto

/// What one sync has decided so far: the status to write, and what is left of the round's budget.
struct JobRound {
  var job: Job
  var status: JobStatus
  var limit: Int
  var touched = 0
  /// The budget ended before the work did.
  var isCut = false
  /// The record of failed pods, where it changed.
  var failures: String?

  var remaining: Int { limit - touched }
  /// How the Job ends has been decided: nothing decides it anew.
  var isDecided: Bool { status.isInterim("FailureTarget") || status.isInterim("SuccessCriteriaMet") }

  mutating func decide(_ type: String, _ reason: String, _ message: String, at time: WallTime) {
    status.conditions.append(
      Condition(type: type, status: "True", reason: reason, message: message, lastTransition: time))
  }
}

extension CoordinatorCore {
  /// Brings one Job forward; touches at most `limit` pods and queues itself again when that was not enough. Returns
  /// how many it touched.
  mutating func syncJob(_ key: ObjectKey, limit: Int) -> Int {
    defer { passQuotaOn(key) }
    guard let job = state.jobs[key], job.spec.otherManager == nil else { return 0 }
    workloads.synced = key
    defer { workloads.synced = nil }
    var round = JobRound(job: job, status: job.status, limit: min(limit, Self.roundLimit))
    if !job.status.isFinished { fitIndexes(&round) }
    if job.status.isFinished {
      stripFinished(&round)
    } else {
      countPods(&round)
      if !round.isCut { advance(&round) }
      writeStatus(&round)
      if !round.isCut { finishIfDone(&round) }
    }
    if round.isCut { workloads.jobs.add(key) }
    return round.touched
  }

  // MARK: Deciding

  private mutating func advance(_ round: inout JobRound) {
    let job = round.job
    if !round.isDecided, isHeldBack(&round), !round.isDecided {
      if job.meta.deletionTimestamp == nil { markSuspension(&round, isHeld: true) }
      return
    }
    if round.status.startTime == nil, !job.spec.suspend {
      round.status.startTime = stamp
      workloads.memories[job.meta.uid, default: JobMemory()].started = now.boot
    }
    if !round.isDecided {
      if let reason = failureReason(round) {
        round.decide("FailureTarget", reason.reason, reason.message, at: stamp)
      } else if let message = successMessage(round) {
        round.decide("SuccessCriteriaMet", "SuccessPolicy", message, at: stamp)
      }
    }
    if round.isDecided {
      releaseHeld(&round)
      deleteActivePods(&round, counting: round.status.isInterim("FailureTarget"))
      return
    }
    if job.meta.deletionTimestamp == nil { manage(&round) }
    let active = tally(of: job).active.count
    let complete: Bool
    if let completions = job.spec.completions {
      complete = round.status.succeeded >= completions && active == 0
    } else {
      complete = round.status.succeeded > 0 && active == 0
    }
    if complete, !round.isCut {
      round.decide(
        "SuccessCriteriaMet", "CompletionsReached", "Reached expected number of succeeded pods", at: stamp)
      releaseHeld(&round)
    } else if job.meta.deletionTimestamp == nil {
      markSuspension(&round)
    }
  }

  private mutating func failureReason(_ round: JobRound) -> (reason: String, message: String)? {
    let job = round.job
    let failed = round.status.failed.addingSaturated(tally(of: job).held.counted)
    if failed > job.spec.backoffLimit || isPastRestarts(job) {
      return ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
    }
    if let deadline = deadline(of: job, status: round.status) {
      if deadline <= now.boot { return ("DeadlineExceeded", "Job was active longer than specified deadline") }
      workloads.timers.set(.job(job.meta.uid), at: deadline)
    } else {
      workloads.timers.cancel(.job(job.meta.uid))
    }
    return failedIndexesReason(round)
  }

  /// OnFailure: restarts of the pods that run now. A limit of 0 is reached by the first restart.
  private func isPastRestarts(_ job: Job) -> Bool {
    guard job.spec.podSpec.restartPolicy == .onFailure else { return false }
    let restarts = tally(of: job).restarts
    return job.spec.backoffLimit == 0 ? restarts > 0 : restarts >= job.spec.backoffLimit
  }

  private mutating func deadline(of job: Job, status: JobStatus) -> BootTime? {
    guard let seconds = job.spec.activeDeadlineSeconds, !job.spec.suspend, let start = status.startTime else {
      return nil
    }
    let started = workloads.memories[job.meta.uid]?.started ?? bootTime(of: start)
    workloads.memories[job.meta.uid, default: JobMemory()].started = started
    return started + Self.milliseconds(seconds: seconds)
  }

  private mutating func markSuspension(_ round: inout JobRound, isHeld: Bool = false) {
    let condition = round.status.condition("Suspended")
    if round.job.spec.suspend {
      // Kubernetes 1.36 clears the start with the suspension, so that DURATION is empty; resuming starts the deadline
      // anew.
      round.status.startTime = nil
      workloads.memories[round.job.meta.uid]?.started = nil
      guard condition?.isTrue != true else { return }
      setSuspended(&round, "True", reason: "JobSuspended", message: "Job suspended")
      recordEvent(
        on: .job(round.job), type: .normal, reason: "Suspended", message: "Job suspended",
        component: JobNames.component)
    } else if condition?.isTrue == true {
      setSuspended(&round, "False", reason: "JobResumed", message: "Job resumed")
      if !isHeld {
        round.status.startTime = stamp
        workloads.memories[round.job.meta.uid, default: JobMemory()].started = now.boot
      }
      recordEvent(
        on: .job(round.job), type: .normal, reason: "Resumed", message: "Job resumed", component: JobNames.component)
    }
  }

  private func setSuspended(_ round: inout JobRound, _ status: String, reason: String, message: String) {
    round.status.conditions.set(
      Condition(type: "Suspended", status: status, reason: reason, message: message, lastTransition: stamp))
  }

  // MARK: Finishing

  private mutating func writeStatus(_ round: inout JobRound) {
    let tally = tally(of: round.job)
    round.status.active = Int64(tally.active.count)
    round.status.ready = Int64(tally.ready)
    round.status.terminating = Int64(tally.terminating)
    let (status, failures) = (round.status, round.failures)
    updateJob(round.job.meta.key) { job in
      job.status = status
      if let failures { job.meta.annotations[JobAnnotation.failures] = failures }
    }
  }

  /// The second phase: the terminal condition comes when no pod runs, ends or waits to be counted.
  private mutating func finishIfDone(_ round: inout JobRound) {
    guard
      let target = round.status.conditions.first(where: {
        ($0.type == "FailureTarget" || $0.type == "SuccessCriteriaMet") && $0.isTrue
      })
    else { return }
    let tally = tally(of: round.job)
    guard tally.active.isEmpty, tally.terminating == 0, tally.finished.isEmpty, tally.deleted.isEmpty,
      tally.held.isEmpty
    else {
      if !tally.deleted.isEmpty || !tally.finished.isEmpty { workloads.jobs.add(round.job.meta.key) }
      return
    }
    var final = target
    final.type = target.type == "FailureTarget" ? "Failed" : "Complete"
    final.lastTransition = stamp
    let job = updateJob(round.job.meta.key) { job in
      job.status.conditions.append(final)
      if final.type == "Complete" { job.status.completionTime = final.lastTransition }
    }
    workloads.timers.cancel(.job(round.job.meta.uid))
    dropMemory(uid: round.job.meta.uid)
    if let job { recordFinish(of: job, final) }
  }

  private mutating func recordFinish(of job: Job, _ condition: Condition) {
    guard condition.type == "Complete" else {
      recordEvent(
        on: .job(job), type: .warning, reason: condition.reason, message: condition.message,
        component: JobNames.component)
      return
    }
    if let completions = job.spec.completions, job.status.succeeded > completions {
      recordEvent(
        on: .job(job), type: .warning, reason: "TooManySucceededPods",
        message: "Too many succeeded pods running after completion count reached", component: JobNames.component)
    }
    recordEvent(
      on: .job(job), type: .normal, reason: "Completed", message: "Job completed", component: JobNames.component)
  }

  /// A pod of a Job that has finished counts no more; it only loses its finalizer.
  private mutating func stripFinished(_ round: inout JobRound) {
    let tally = tally(of: round.job)
    for key in Array(tally.finished.prefix(round.remaining + 1)) + Array(tally.deleted.prefix(round.remaining + 1)) {
      guard round.remaining > 0 else {
        round.isCut = true
        return
      }
      round.touched += 1
      stripTracking(key)
    }
  }

  func tally(of job: Job) -> JobTally { workloads.tallies[job.meta.uid] ?? JobTally() }
}

extension JobStatus {
  /// True when the interim condition of that type stands.
  func isInterim(_ type: String) -> Bool { condition(type)?.isTrue ?? false }
}
