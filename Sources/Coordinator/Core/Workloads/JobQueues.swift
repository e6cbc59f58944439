// Queues of Jobs: which Job waits or runs in which (from each change of a Job), admission while the limits have room,
// and what waiting Jobs and Queue objects say of it. Whose turn it is, is the queue's own (JobQueue).

import ClusterProto

struct JobQueues: Sendable {
  var all: [String: JobQueue] = [:]
  /// Queues whose Jobs or limits changed.
  var due = InsertionSet<String>()
  /// Queues whose object may show other counts than there are.
  var stale = InsertionSet<String>()
}

extension Job {
  /// What it is to a queue now, given its place in the order of creation; nil: nothing.
  func queueStanding(created order: Int64) -> QueueStanding? {
    guard let queue = queueName, spec.otherManager == nil, !status.isFinished else { return nil }
    if admission?.isTrue == true { return .running(queue: queue, amounts: QueueAmounts(of: self)) }
    guard !spec.suspend, meta.deletionTimestamp == nil, isPastDependencies, !status.isInterim("FailureTarget") else {
      return nil
    }
    return .waiting(queue: queue, order: order, amounts: QueueAmounts(of: self))
  }
}

extension CoordinatorCore {
  // MARK: What changes

  mutating func observeQueueing(_ change: ObjectChange) {
    guard case .job(let job)? = change.subject else { return }
    let before: Job? = if case .job(let job)? = change.before { job } else { nil }
    let after: Job? = if case .job(let job)? = change.after { job } else { nil }
    guard before?.queueName != nil || after?.queueName != nil else { return }
    let key = job.meta.key
    let old = workloads.memories[job.meta.uid]?.standing
    let order = old.flatMap { if case .waiting(_, let order, _) = $0 { order } else { nil } }
    let new = after?.queueStanding(
      created: order ?? state.created(ObjectReference(kind: .jobs, key: key)) ?? job.meta.resourceVersion)
    guard old != new else { return }
    if let old { changeQueue(old.queue) { $0.leave(key, old) } }
    if let new { changeQueue(new.queue) { $0.enter(key, new) } }
    if after != nil { workloads.memories[job.meta.uid, default: JobMemory()].standing = new }
  }

  mutating func observeQueue(_ change: ObjectChange) {
    guard let meta = change.subject?.meta else { return }
    let spec: QueueSpec? = if case .other(let queue)? = change.after { QueueSpec(queue.body["spec"]) } else { nil }
    changeQueue(meta.name) { $0.set(spec) }
  }

  private mutating func changeQueue(_ name: String, _ change: (inout JobQueue) -> Void) {
    // In its place, so that nothing is copied.
    change(&workloads.queues.all[name, default: JobQueue()])
    if workloads.queues.all[name]?.isEmpty == true { workloads.queues.all[name] = nil }
    workloads.queues.due.insert(name)
  }

  // MARK: Admission

  /// Admits what fits and tells the others; returns how many Jobs it touched.
  mutating func syncQueues(limit: Int) -> Int {
    guard limit > 0, !workloads.queues.due.isEmpty else { return 0 }
    var touched = 0
    for name in dueQueues() {
      guard touched < limit else { break }
      workloads.queues.due.remove(name)
      workloads.queues.stale.insert(name)
      touched += admitJobs(of: name, limit: limit - touched)
      touched += tellWaitingJobs(of: name, limit: limit - touched)
      // What is left is for the next turn, also where the touched Jobs have made it due again.
      if touched >= limit { workloads.queues.due.insert(name) } else { workloads.queues.due.remove(name) }
    }
    return touched
  }

  /// Those of higher priority first, since what is admitted first is placed first.
  private func dueQueues() -> [String] {
    let due = Array(workloads.queues.due)
    if due.count < 2 { return due }
    return due.map { (priority: workloads.queues.all[$0]?.spec?.priority ?? 0, name: $0) }
      .sorted { $0.priority != $1.priority ? $0.priority > $1.priority : $0.name < $1.name }.map(\.name)
  }

  /// The priority of the queue that the Job is in; 0 for others.
  func queuePriority(ofJob uid: String) -> Int64 {
    guard !workloads.queues.all.isEmpty, let key = jobReference(uid: uid), let name = state.jobs[key]?.queueName else {
      return 0
    }
    return workloads.queues.all[name]?.spec?.priority ?? 0
  }

  private mutating func admitJobs(of name: String, limit: Int) -> Int {
    var touched = 0
    while touched < limit, let key = workloads.queues.all[name]?.next() {
      touched += 1
      let stamp = stamp
      let wasTold = state.jobs[key]?.admission != nil
      let job = updateJob(key) { job in
        job.status.conditions.set(
          Condition(
            type: JobAdmission.condition, status: "True", reason: JobAdmission.admitted,
            message: "The Job is admitted by queue \(name)", lastTransition: stamp))
      }
      guard let job, job.admission?.isTrue == true else { break }
      if wasTold {
        recordEvent(
          on: .job(job), type: .normal, reason: JobAdmission.admitted, message: "The Job is admitted by queue \(name)",
          component: JobNames.component)
      }
    }
    return touched
  }

  // MARK: What they say

  private mutating func tellWaitingJobs(of name: String, limit: Int) -> Int {
    var touched = 0
    while touched < limit, let key = workloads.queues.all[name]?.untold.next() {
      touched += 1
      guard let job = state.jobs[key] else { continue }
      let (reason, text) = waitingReason(of: job, in: name)
      if job.admission?.reason == reason, job.admission?.message == text { continue }
      let stamp = stamp
      updateJob(key) { job in
        job.status.conditions.set(
          Condition(
            type: JobAdmission.condition, status: "False", reason: reason, message: text, lastTransition: stamp))
      }
      let place = reason == JobAdmission.queued ? placeInQueue(of: job) ?? "" : ""
      recordEvent(
        on: .job(job), type: .normal, reason: reason, message: text + place, component: JobNames.component)
    }
    return touched
  }

  private func waitingReason(of job: Job, in name: String) -> (reason: String, text: String) {
    guard let queue = workloads.queues.all[name], let limits = queue.spec?.limits else {
      return (JobAdmission.queueNotFound, "The Job waits for queue \(name), which does not exist")
    }
    let amounts = QueueAmounts(of: job)
    guard let limit = limits.firstExceeded(by: amounts) else {
      return (JobAdmission.queued, "The Job waits in queue \(name)")
    }
    let amount = QueueAmounts.Amount(name: limit.name, value: amounts[limit.name])
    // A number of that size is the end of what can be counted.
    let asked = (amount.value >= Int64.max ? "at least " : "") + QueueAmounts.text(amount)
    return (
      JobAdmission.queueTooSmall,
      "The Job never fits into queue \(name): it asks for \(limit.name) \(asked), the limit is "
        + QueueAmounts.text(limit)
    )
  }

  /// `: place 3 of 10`; nil for a Job that has none. Found when it is asked for, so that 10,000 waiting Jobs are not
  /// written anew whenever one of them goes.
  mutating func placeInQueue(of job: Job) -> String? {
    guard let name = job.queueName, let order = state.created(ObjectReference(kind: .jobs, key: job.meta.key)),
      let place = workloads.queues.all[name]?.place(of: job.meta.key, order: order)
    else { return nil }
    return ": place \(place) of \(workloads.queues.all[name]?.queued ?? 0)"
  }

  /// The Job as a reader gets it: one that waits in a queue says at which place.
  mutating func withPlace(_ job: Job) -> Job {
    guard job.admission?.reason == JobAdmission.queued, job.isWaiting, let place = placeInQueue(of: job),
      let position = job.status.conditions.firstIndex(where: { $0.type == JobAdmission.condition })
    else { return job }
    var shown = job
    shown.status.conditions[position].message += place
    return shown
  }

  /// Brings the counts of Queue objects up to date, once for all that a turn did.
  mutating func writeQueueStatuses() {
    while let name = workloads.queues.stale.popFirst() {
      let queue = workloads.queues.all[name]
      update(ObjectReference(kind: .queues, key: ObjectKey(namespace: "", name: name))) { object in
        guard case .other(var body) = object else { return }
        body.body["status"] = [
          "waiting": .int(Int64(queue?.waiting ?? 0)), "running": .int(Int64(queue?.running ?? 0)),
          "used": queue?.used.json ?? .object(JSONObject()),
        ]
        object = .other(body)
      }
    }
  }
}
