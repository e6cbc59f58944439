// What a client may write into a Job's status, with Kubernetes' messages: another controller's Job is driven by such
// writes. Like Kubernetes, a rule that the stored status already breaks is not held against a write that leaves that
// part alone. And what of it is put right before it is kept. Must not know who writes.

import ClusterProto

struct JobStatusValidation {
  /// The status as it came; its index lists may be no lists.
  var given: JSON?
  var new: JobStatus
  var job: Job
  var errors = FieldErrors()

  init(given: JSON?, new: JobStatus, job: Job) {
    self.given = given
    self.new = new
    self.job = job
  }

  private var old: JobStatus { job.status }

  mutating func check() {
    counters()
    uncounted()
    terminalConditions()
    times()
    finished()
    indexes()
    if new.ready > new.active, new.ready != old.ready || new.active != old.active {
      errors.invalid("status.ready", .int(new.ready), "cannot set more ready pods than active")
    }
    success()
    transitions()
  }

  private func has(_ type: String, _ status: JobStatus? = nil) -> Bool {
    (status ?? new).conditions.contains { $0.type == type && $0.isTrue }
  }

  /// The condition is in the new status and was not in the old one.
  private func gains(_ type: String) -> Bool { has(type) && !has(type, old) }

  private mutating func counters() {
    let counters = [
      ("active", new.active), ("succeeded", new.succeeded), ("failed", new.failed), ("ready", new.ready),
      ("terminating", new.terminating),
    ]
    for (name, value) in counters where value < 0 {
      errors.invalid("status.\(name)", .int(value), JobValidation.notNegative)
    }
  }

  /// Each pod is listed once, in one of the lists.
  private mutating func uncounted() {
    var seen: Set<String> = []
    for name in ["succeeded", "failed"] {
      for (position, uid) in (new.uncounted[name]?.arrayValue ?? []).enumerated() {
        let field = "status.uncountedTerminatedPods.\(name)[\(position)]"
        if uid.stringValue == "" {
          errors.invalid(field, uid, "must not be empty")
        } else if !seen.insert(uid.stringValue ?? "").inserted {
          errors.duplicate(field, uid)
        }
      }
    }
  }

  private mutating func conditions(_ holds: Bool, _ text: String) {
    if !holds { errors.invalid("status.conditions", text) }
  }

  private mutating func terminalConditions() {
    let changes = gains("Complete") || gains("Failed") || gains("FailureTarget")
    conditions(!(changes && has("Complete") && has("Failed")), "cannot set Complete=True and Failed=true conditions")
    conditions(
      !(changes && has("Complete") && has("FailureTarget")),
      "cannot set Complete=True and FailureTarget=true conditions")
    let changesTime = new.completionTime?.seconds != old.completionTime?.seconds
    if let time = new.completionTime, !has("Complete"), changesTime {
      errors.invalid(
        "status.completionTime", .string(time.rfc3339),
        "cannot set completionTime when there is no Complete=True condition")
    }
    if has("Complete"), new.completionTime == nil, changesTime || gains("Complete") {
      errors.required("status.completionTime", "completionTime is required for Complete jobs")
    }
  }

  private mutating func times() {
    if let start = new.startTime, let end = new.completionTime, end.seconds < start.seconds,
      new.completionTime != old.completionTime || new.startTime != old.startTime
    {
      errors.invalid("status.completionTime", .string(end.rfc3339), "must be equal to or after `startTime`")
    }
    conditions(
      !gains("Failed") || has("FailureTarget"),
      "cannot set Failed=True condition without the FailureTarget=true condition")
    conditions(
      !gains("Complete") || has("SuccessCriteriaMet"),
      "cannot set Complete=True condition without the SuccessCriteriaMet=true condition")
  }

  private mutating func finished() {
    guard new.isFinished else { return }
    let ends = !old.isFinished
    if new.active > 0, ends || new.active != old.active {
      errors.invalid("status.active", .int(new.active), "active>0 is invalid for finished job")
    }
    let isEmpty = job.spec.suspend && job.spec.completions == 0
    if new.startTime == nil, !isEmpty, ends || old.startTime != nil {
      errors.required("status.startTime", "startTime is required for finished job")
    }
    let lists = [new.uncounted["succeeded"], new.uncounted["failed"]]
    if lists.contains(where: { $0?.arrayValue?.isEmpty == false }), ends || new.uncounted != old.uncounted {
      errors.invalid(
        "status.uncountedTerminatedPods", new.uncounted, "must be empty for finished job")
    }
    if new.terminating > 0, ends || new.terminating != old.terminating {
      errors.invalid("status.terminating", .int(new.terminating), "terminating>0 is invalid for finished job")
    }
  }

  private mutating func indexes() {
    let completed = given?["completedIndexes"]?.stringValue ?? ""
    let failed = given?["failedIndexes"]?.stringValue
    if completed != old.completedIndexes.text {
      format("completedIndexes", completed)
      if !completed.isEmpty, !job.spec.isIndexed {
        errors.invalid(
          "status.completedIndexes", completed,
          "cannot set non-empty completedIndexes when non-indexed completion mode")
      }
    }
    guard let failed, failed != old.failedIndexes?.text || completed != old.completedIndexes.text else { return }
    if job.spec.backoffLimitPerIndex == nil {
      errors.invalid(
        "status.failedIndexes", failed, "cannot set non-null failedIndexes when backoffLimitPerIndex is null")
    } else {
      format("failedIndexes", failed)
    }
    if let index = new.failedIndexes?.firstShared(with: new.completedIndexes) {
      errors.invalid("status.failedIndexes", failed, "failedIndexes and completedIndexes overlap at index: \(index)")
    }
  }

  private mutating func format(_ name: String, _ text: String) {
    guard let completions = job.spec.completions else { return }
    if case .failure(let problem) = JobValidation.countIndexes(text, completions) {
      errors.invalid("status.\(name)", text, "error parsing \(name): \(problem.text)")
    }
  }

  private mutating func success() {
    let isMet = has("SuccessCriteriaMet")
    conditions(!(isMet && has("Failed")), "cannot set SuccessCriteriaMet=True and Failed=true conditions")
    conditions(!(isMet && has("FailureTarget")), "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions")
    conditions(
      job.spec.successRules.isEmpty || isMet || !has("Complete"),
      "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True")
  }

  private mutating func transitions() {
    for type in ["Failed", "Complete", "FailureTarget"] {
      conditions(!has(type, old) || has(type), "cannot disable the terminal \(type)=True condition")
    }
    if new.failed < old.failed {
      errors.invalid("status.failed", .int(new.failed), "cannot decrease the failed counter")
    }
    let isElastic = job.spec.isIndexed && job.spec.completions == job.spec.parallelism
    if new.succeeded < old.succeeded, !isElastic {
      errors.invalid("status.succeeded", .int(new.succeeded), "cannot decrease the succeeded counter")
    }
    if let time = new.completionTime, let before = old.completionTime, time.seconds != before.seconds {
      errors.invalid("status.completionTime", .string(time.rfc3339), "field is immutable")
    }
    let resumes = has("Suspended", old) && new.condition("Suspended")?.status == "False"
    if let start = old.startTime, new.startTime?.seconds != start.seconds, !job.spec.suspend, !resumes {
      errors.required("status.startTime", "startTime cannot be removed for unsuspended job")
    }
    conditions(
      !has("SuccessCriteriaMet", old) || has("SuccessCriteriaMet"),
      "cannot disable the SuccessCriteriaMet=True condition")
    conditions(
      !(has("Complete", old) && !has("SuccessCriteriaMet", old) && has("SuccessCriteriaMet")),
      "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions")
  }
}

/// What of a status that a client writes is not its to take back. Kubernetes' controller would count from what it finds
/// there, and stop for ever at its own rule that counters only rise, or run again what has succeeded.
enum JobStatusKeeping {
  /// Puts right the status of a Job that this coordinator runs: indexes that have ended stay ended, their number is
  /// what `succeeded` says, and a condition stands once.
  static func keep(_ status: inout JobStatus, of job: Job) {
    guard job.spec.otherManager == nil else { return }
    dropDoubles(&status.conditions)
    guard job.spec.isIndexed else { return }
    status.completedIndexes.formUnion(job.status.completedIndexes)
    status.succeeded = status.completedIndexes.count
    guard status.failedIndexes != nil || job.status.failedIndexes != nil else { return }
    var failed = status.failedIndexes ?? IndexIntervals()
    failed.formUnion(job.status.failedIndexes ?? IndexIntervals())
    status.failedIndexes = failed.subtracting(status.completedIndexes)
  }

  /// Of conditions of one type the True one counts, as for Kubernetes' rules.
  private static func dropDoubles(_ conditions: inout [Condition]) {
    var result: [Condition] = []
    for one in conditions {
      if let position = result.firstIndex(where: { $0.type == one.type }) {
        if one.isTrue, !result[position].isTrue { result[position] = one }
      } else {
        result.append(one)
      }
    }
    conditions = result
  }
}
