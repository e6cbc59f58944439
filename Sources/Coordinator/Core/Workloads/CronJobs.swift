// The CronJob controller: one level-triggered sync of one CronJob. What its Jobs came to, its history, and the run that
// is due. The Job of a run, the status that tells of it and the due time are one step and one transaction, so a due
// time has one run whatever crashes. It must not know how Jobs run.

import ClusterProto

/// Names that Kubernetes gives to what belongs to a CronJob.
enum CronJobNames {
  static let component = "cronjob-controller"
  static let scheduledAnnotation = "batch.kubernetes.io/cronjob-scheduled-timestamp"
}

/// What one sync has decided so far.
struct CronRound {
  let cron: GenericObject
  let spec: JSON
  /// status.active, as the API has it.
  var active: [JSON]
  var lastSchedule: WallTime?
  var lastSuccess: WallTime?
  /// As they were written: a client may name times that no clock of ours shows.
  private let given: JSON?
  /// The budget ended before the work did.
  var isCut = false
  var touched = 0
  let limit: Int

  init(_ cron: GenericObject, limit: Int) {
    self.cron = cron
    self.limit = limit
    spec = cron.body["spec"] ?? .object(JSONObject())
    let status = cron.body["status"]
    given = status
    active = status?["active"]?.arrayValue ?? []
    lastSchedule = status?["lastScheduleTime"]?.stringValue.flatMap { WallTime(rfc3339: $0) }
    lastSuccess = status?["lastSuccessfulTime"]?.stringValue.flatMap { WallTime(rfc3339: $0) }
  }

  var uids: [String] { active.map { $0["uid"]?.stringValue ?? "" } }

  mutating func drop(uid: String) { active.removeAll { $0["uid"]?.stringValue == uid } }

  var status: JSON {
    var status: JSON = .object(JSONObject())
    if !active.isEmpty { status["active"] = .array(active) }
    if let lastSchedule { status["lastScheduleTime"] = .string(text(lastSchedule, "lastScheduleTime")) }
    if let lastSuccess { status["lastSuccessfulTime"] = .string(text(lastSuccess, "lastSuccessfulTime")) }
    return status
  }

  /// A time that stays is written as it stands.
  func text(_ time: WallTime, _ field: String) -> String {
    guard let text = given?[field]?.stringValue, WallTime(rfc3339: text) == time else { return time.rfc3339 }
    return text
  }
}

extension CoordinatorCore {
  /// Brings one CronJob forward; deletes at most `limit` Jobs and queues itself again when that was not enough. Returns
  /// how much it touched.
  mutating func syncCronJob(_ key: ObjectKey, limit: Int) -> Int {
    guard let cron = state.other(.cronjobs, key) else { return 0 }
    var round = CronRound(cron, limit: limit)
    let jobs = jobs(of: cron)
    trimHistory(jobs, &round)
    look(at: jobs, &round)
    if cron.meta.deletionTimestamp != nil {
      workloads.cronTimes.cancel(key)
    } else {
      schedule(&round)
    }
    let status = round.status
    update(ObjectReference(kind: .cronjobs, key: key)) { object in
      guard case .other(var after) = object else { return }
      after.body["status"] = status
      object = .other(after)
    }
    if round.isCut { workloads.crons.add(key) }
    return round.touched + 1
  }

  private func jobs(of cron: GenericObject) -> [Job] {
    let owned: [Job] = (state.owners.dependents[cron.meta.uid] ?? InsertionSet()).compactMap { reference in
      guard reference.kind == .jobs, reference.key.namespace == cron.meta.namespace,
        let job = state.jobs[reference.key],
        job.meta.controllerReference?.uid == cron.meta.uid
      else { return nil }
      return job
    }
    return owned.sorted { $0.meta.name < $1.meta.name }
  }

  mutating func recordEvent(_ round: CronRound, _ type: EventType, _ reason: String, _ message: String) {
    recordEvent(
      on: .other(round.cron), type: type, reason: reason, message: message, component: CronJobNames.component)
  }

  // MARK: Jobs that there are

  /// The oldest finished Jobs beyond the limits go.
  private mutating func trimHistory(_ jobs: [Job], _ round: inout CronRound) {
    for (type, field) in [("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")] {
      guard let kept = round.spec[field]?.intValue else { continue }
      let ended = jobs.filter { $0.status.finishedCondition?.type == type && $0.meta.deletionTimestamp == nil }
      let surplus = Int64(ended.count) - max(0, kept)
      guard surplus > 0 else { continue }
      for job in ended.sorted(by: Self.isOlder).prefix(Int(surplus)) where !deleteRun(job, &round) { return }
    }
  }

  private static func isOlder(_ left: Job, _ right: Job) -> Bool {
    let (first, second) = (left.status.startTime, right.status.startTime)
    if first == second { return left.meta.name < right.meta.name }
    guard let first else { return false }
    return second.map { first < $0 } ?? true
  }

  /// False when the budget is spent.
  private mutating func deleteRun(_ job: Job, _ round: inout CronRound) -> Bool {
    guard round.touched < round.limit else {
      round.isCut = true
      return false
    }
    round.touched += 1
    deleteObject(ObjectReference(kind: .jobs, key: job.meta.key), propagation: .background, graceSeconds: nil)
    round.drop(uid: job.meta.uid)
    recordEvent(round, .normal, "SuccessfulDelete", "Deleted job \(job.meta.name)")
    return true
  }

  /// What became of the Jobs that were active, and Jobs that nobody here made.
  private mutating func look(at jobs: [Job], _ round: inout CronRound) {
    let known = Set(round.uids)
    for job in jobs {
      let uid = job.meta.uid
      guard let end = job.status.finishedCondition else {
        if !known.contains(uid) {
          recordEvent(
            round, .warning, "UnexpectedJob",
            "Saw a job that the controller did not create or forgot: \(job.meta.name)")
        }
        continue
      }
      if known.contains(uid) {
        round.drop(uid: uid)
        recordEvent(
          round, .normal, "SawCompletedJob", "Saw completed job: \(job.meta.name), condition: \(end.type)")
      }
      if end.type == "Complete", let completed = job.status.completionTime {
        round.lastSuccess = max(round.lastSuccess ?? completed, completed)
      }
    }
    let present = Set(jobs.map(\.meta.uid))
    for reference in round.active {
      let (uid, name) = (reference["uid"]?.stringValue ?? "", reference["name"]?.stringValue ?? "")
      // One that was let go by hand is still there.
      guard !present.contains(uid), state.references[uid]?.kind != .jobs else { continue }
      round.drop(uid: uid)
      recordEvent(round, .normal, "MissingJob", "Active job went missing: \(name)")
    }
  }

  // MARK: The run that is due

  private mutating func schedule(_ round: inout CronRound) {
    let key = round.cron.meta.key
    workloads.cronTimes.cancel(key)
    let zoneName = round.spec["timeZone"]?.stringValue
    guard let zone = zone(named: zoneName) else {
      let name = zoneName ?? ""
      recordEvent(
        round, .warning, "UnknownTimeZone",
        "invalid timeZone: \(JSON.string(name).text): unknown time zone \(name)")
      return
    }
    if round.spec["suspend"]?.boolValue == true { return }
    noteAhead(round)
    let text = round.spec["schedule"]?.stringValue ?? ""
    let plan: CronSchedule
    do throws(CronError) {
      plan = try CronSchedule(parsing: text)
    } catch {
      recordEvent(
        round, .warning, "UnparseableSchedule", "unparseable schedule: \(JSON.string(text).text) : \(error.message)")
      return
    }
    let clock = CronClock(schedule: plan, zone: zone, now: now.wall, created: round.cron.meta.creationTimestamp)
    let deadline = round.spec["startingDeadlineSeconds"]?.intValue
    let found = clock.mostRecent(since: round.lastSchedule, deadlineSeconds: deadline)
    if found.isInvalid {
      recordEvent(
        round, .warning, "InvalidSchedule",
        "invalid schedule: \(text) : time difference between two schedules is less than 1 second")
      return
    }
    if let tick = found.latest {
      if found.isTooMany {
        recordEvent(
          round, .warning, "TooManyMissedTimes",
          "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew")
      }
      guard start(tick, zone, &round, deadline) else { return }
    }
    if let next = clock.next(since: round.lastSchedule) { arm(key, next) }
  }

  private mutating func arm(_ key: ObjectKey, _ due: WallTime) {
    workloads.cronTimes.set(key, at: BootTime(milliseconds: due.milliseconds.addingSaturated(Self.cronDelay)))
  }

  /// Clocks of machines differ by a little: Kubernetes looks so much after the due time.
  private static let cronDelay: Int64 = 100

  /// The run of a due time, unless it is not to be. False: come back by another way than the next due time.
  private mutating func start(_ tick: WallTime, _ zone: ZoneTable, _ round: inout CronRound, _ deadline: Int64?)
    -> Bool
  {
    if let deadline, tick.adding(milliseconds: Self.milliseconds(seconds: deadline)) < now.wall {
      recordEvent(
        round, .warning, "MissSchedule", "Missed scheduled time to start a job: \(tick.rfc1123Z)")
      return true
    }
    let name = "\(round.cron.meta.name)-\(CivilDate.floorDivide(tick.seconds, 60))"
    if round.lastSchedule == tick || round.active.contains(where: { $0["name"]?.stringValue == name }) { return true }
    let policy = round.spec["concurrencyPolicy"]?.stringValue
    if policy == "Forbid", !round.active.isEmpty {
      recordEvent(
        round, .normal, "JobAlreadyActive",
        "Not starting job because prior execution is running and concurrency policy is Forbid")
      return true
    }
    if isDiskScarce {
      workloads.heldCrons.insert(round.cron.meta.key)
      return false
    }
    if policy == "Replace" {
      for uid in round.uids {
        guard case .job(let job)? = state.object(uid: uid) else {
          round.drop(uid: uid)
          continue
        }
        guard deleteRun(job, &round) else { return false }
      }
    }
    return create(name, tick, zone, &round)
  }

  private mutating func create(_ name: String, _ tick: WallTime, _ zone: ZoneTable, _ round: inout CronRound) -> Bool {
    let cron = round.cron
    guard !isTerminating(namespace: cron.meta.namespace) else { return false }
    if let job = state.jobs[ObjectKey(namespace: cron.meta.namespace, name: name)] {
      // Somebody else's Job has the name of this run, or one of ours that the status does not know.
      guard job.meta.controllerReference?.uid == cron.meta.uid else { return true }
      remember(job, tick, &round)
      return true
    }
    do throws(APIFailure) {
      let object = try admit(run: name, tick, zone, cron)
      workloads.cronFailures[cron.meta.uid] = nil
      guard case .job(let job) = insert(object) else { return true }
      round.touched += 1
      recordEvent(round, .normal, "SuccessfulCreate", "Created job \(name)")
      remember(job, tick, &round)
      return true
    } catch {
      recordEvent(round, .warning, "FailedCreate", "Error creating job: \(error.message)")
      let failures = workloads.cronFailures[cron.meta.uid] ?? 0
      workloads.cronFailures[cron.meta.uid] = failures.addingSaturated(1)
      arm(cron.meta.key, now.wall.adding(milliseconds: min(1_000 << min(failures, 10), 1_000_000)))
      return false
    }
  }

  private func remember(_ job: Job, _ tick: WallTime, _ round: inout CronRound) {
    round.active.append([
      "apiVersion": "batch/v1", "kind": "Job", "name": .string(job.meta.name), "namespace": .string(job.meta.namespace),
      "resourceVersion": .string(String(job.meta.resourceVersion)), "uid": .string(job.meta.uid),
    ])
    round.lastSchedule = tick
  }

  /// The Job of a run, by the same way as one that a user creates.
  private mutating func admit(run name: String, _ tick: WallTime, _ zone: ZoneTable, _ cron: GenericObject)
    throws(APIFailure) -> APIObject
  {
    let template = cron.body["spec"]?["jobTemplate"] ?? .object(JSONObject())
    let owner = OwnerReference(
      apiVersion: Kind.cronjobs.apiVersion, kind: Kind.cronjobs.name, name: cron.meta.name, uid: cron.meta.uid,
      controller: true, blockOwnerDeletion: true)
    var annotations = StringMap(json: template[path: ["metadata", "annotations"]])
    let isZoned = cron.body["spec"]?["timeZone"] != nil
    annotations[CronJobNames.scheduledAnnotation] = isZoned ? zone.rfc3339(tick) : tick.rfc3339
    var meta: JSON = [
      "name": .string(name), "namespace": .string(cron.meta.namespace), "annotations": annotations.json,
      "ownerReferences": .array([owner.json]), "uid": .string(newUID()),
    ]
    let labels = StringMap(json: template[path: ["metadata", "labels"]])
    if !labels.isEmpty { meta["labels"] = labels.json }
    let tree = DecodedTree(
      json: [
        "apiVersion": .string(Kind.jobs.apiVersion), "kind": .string(Kind.jobs.name), "metadata": meta,
        "spec": template["spec"] ?? .object(JSONObject()),
      ], ignored: [], refused: [])
    let object = try admitted(tree.json, tree, .jobs).object
    if let problem = admissionProblem(object) { throw .forbidden(.jobs, name, problem) }
    return object
  }

  // MARK: What brings a CronJob back

  /// A CronJob came, changed or went.
  mutating func observeCronJob(_ change: ObjectChange) {
    guard let subject = change.subject, case .other(let cron) = subject else { return }
    let key = cron.meta.key
    guard case .other(let after)? = change.after else {
      workloads.cronTimes.cancel(key)
      workloads.heldCrons.remove(key)
      workloads.cronsAhead.remove(key)
      workloads.cronFailures[cron.meta.uid] = nil
      return
    }
    let (old, new) = (change.before?.json["spec"], after.body["spec"])
    if change.before != nil, old == new, change.before?.meta.deletionTimestamp == after.meta.deletionTimestamp {
      // A status that a client wrote may have other due times behind it; labels are nobody's business.
      if change.before?.json["status"] != after.body["status"] { workloads.crons.add(key) }
      return
    }
    let isOther = old?["schedule"] != new?["schedule"] || old?["timeZone"] != new?["timeZone"]
    guard change.before != nil, isOther else { return workloads.crons.add(key) }
    // What a new schedule would have run before it came is not missed.
    workloads.cronTimes.cancel(key)
    let round = CronRound(after, limit: 0)
    guard after.body["spec"]?["suspend"]?.boolValue != true,
      let zone = zone(named: after.body["spec"]?["timeZone"]?.stringValue),
      let plan = try? CronSchedule(parsing: round.spec["schedule"]?.stringValue ?? "")
    else { return }
    let clock = CronClock(schedule: plan, zone: zone, now: now.wall, created: after.meta.creationTimestamp)
    if let next = clock.next(since: round.lastSchedule) { arm(key, next) }
  }

  /// A Job came, ended, went or changed hands: who controls it, or did, looks at it.
  mutating func observeRun(_ change: ObjectChange) {
    var before: Job?
    var after: Job?
    if case .job(let job)? = change.before { before = job }
    if case .job(let job)? = change.after { after = job }
    let (old, new) = (before?.meta.controllerReference, after?.meta.controllerReference)
    let isNews =
      old != new || before == nil || after == nil || before?.status.isFinished != after?.status.isFinished
    guard isNews, let namespace = change.subject?.meta.namespace else { return }
    for owner in [old, new == old ? nil : new].compactMap({ $0 }) where owner.kind == Kind.cronjobs.name {
      let key = ObjectKey(namespace: namespace, name: owner.name)
      if state.other(.cronjobs, key)?.meta.uid == owner.uid { workloads.crons.add(key) }
    }
  }

  mutating func syncCronJobs(limit: Int) -> Int {
    guard limit > 0, let key = workloads.crons.next() else { return 0 }
    return max(1, syncCronJob(key, limit: limit))
  }

  /// Due times are the wall clock's, so they stand by it: when it is set, nothing has to be counted anew.
  mutating func fireCronTimes() {
    let wall = BootTime(milliseconds: now.wall.milliseconds)
    while let key = workloads.cronTimes.popDue(at: wall) { workloads.crons.add(key) }
  }

  /// When to look again: at the first due time, or before, since the wall clock may have been set meanwhile.
  mutating func nextCronTime() -> BootTime? {
    guard let due = workloads.cronTimes.earliest() else { return nil }
    let wait = due - BootTime(milliseconds: now.wall.milliseconds)
    if wait <= Self.cronLookMilliseconds { return now.boot + max(0, wait) }
    if workloads.cronLook <= now.boot { workloads.cronLook = now.boot + Self.cronLookMilliseconds }
    return workloads.cronLook
  }

  private static let cronLookMilliseconds: Int64 = 10_000

  private mutating func zone(named name: String?) -> ZoneTable? {
    if let known = workloads.zones[name ?? ""] { return known }
    let zone = name.map { configuration.zones.table($0) } ?? configuration.zones.local
    if let zone { workloads.zones[name ?? ""] = zone }
    return zone
  }

  private var isDiskScarce: Bool { workloads.isDiskScarce }
}
