// What the coordinator's disk says of CronJobs' runs, transaction by transaction: no run is missed that comes and goes
// between two looks. Judges due times and policies. It must not know how the controller decides, nor what crashed.

import ClusterProto
import CoordinatorCore

final class CronWitness {
  /// One CronJob, as the disk has it.
  private struct Plan {
    var policy = ""
    var deadline: Int64?
    var isSuspended = false
    /// Due times that have had a run, in seconds, as they came.
    var ticks: [Int64] = []
    /// Rows of runs that go on and are not being deleted.
    var active: Set<String> = []
  }

  private let world: World
  private var plans: [String: Plan] = [:]
  /// Each run's CronJob, by the run's row.
  private var owners: [String: String] = [:]
  /// Every run that ever was.
  private var seen: Set<String> = []

  /// The schedule of every CronJob of the world, and the seconds between its due times.
  let schedule: (text: String, seconds: Int64)

  init(world: World) {
    self.world = world
    switch world.pace {
    case .busy: schedule = ("* * * * *", 60)
    case .slow: schedule = ("*/10 * * * *", 600)
    default: schedule = ("0 */2 * * *", 7_200)
    }
  }

  /// The disk holds an earlier store: what it knows of runs is all that there was.
  func storeWasRestored(_ rows: [StoreRow]) {
    plans = [:]
    owners = [:]
    seen = []
    for row in rows where row.table == .objects && row.key.hasPrefix(Self.jobPrefix) {
      if let uid = (try? JSON(parsing: row.value))?[path: ["metadata", "uid"]]?.stringValue { seen.insert(uid) }
    }
    committed(rows.map { StoreWrite(table: $0.table, key: $0.key, value: $0.value) }, isWhole: true)
  }

  /// One transaction is durable. `isWhole`: it is all of a store, and runs of before may be gone.
  func committed(_ writes: [StoreWrite], isWhole: Bool = false) {
    let objects = writes.filter { $0.table == .objects }
    let crons = objects.filter { $0.key.hasPrefix(Self.cronPrefix) }.compactMap { write in
      write.value.flatMap { try? JSON(parsing: $0) }.map { (String(write.key.dropFirst(Self.cronPrefix.count)), $0) }
    }
    // Several steps may be in one transaction: what each of them saw is the plan of before or one of these.
    var suspended = Set(crons.map(\.0).filter { plans[$0]?.isSuspended == true })
    for (name, json) in crons {
      note(name, json["spec"])
      if plans[name]?.isSuspended == false { suspended.remove(name) }
    }
    var touched: [String] = []
    for write in objects where write.key.hasPrefix(Self.jobPrefix) {
      if let owner = note(write, suspended) { touched.append(owner) }
    }
    let runs = isWhole ? nil : Set(objects.map(\.key))
    for (name, json) in crons { noteSchedule(name, json["status"], runs) }
    for name in touched {
      guard let plan = plans[name], plan.policy != "Allow", plan.active.count > 1 else { continue }
      world.violated("H8: \(plan.active.count) runs of \(name) go on at once, its policy is \(plan.policy)")
    }
  }

  private static let cronPrefix = "\(Kind.cronjobs.rawValue)/default/"
  static let jobPrefix = "\(Kind.jobs.rawValue)/default/cron-"

  private func note(_ name: String, _ spec: JSON?) {
    plans[name, default: Plan()].policy = spec?["concurrencyPolicy"]?.stringValue ?? ""
    plans[name]?.deadline = spec?["startingDeadlineSeconds"]?.intValue
    plans[name]?.isSuspended = spec?["suspend"]?.boolValue == true
  }

  /// A due time is noted with its run, never without: a crash between the two would leave it without one for good. The
  /// run may have come and gone within a step: then its row is deleted in the same transaction. `rows`: all that this
  /// one touches.
  private func noteSchedule(_ name: String, _ status: JSON?, _ rows: Set<String>?) {
    guard let last = status?["lastScheduleTime"]?.stringValue.flatMap({ WallTime(rfc3339: $0) })?.seconds,
      last > plans[name]?.ticks.last ?? .min
    else { return }
    if let rows, !rows.contains("\(Kind.jobs.rawValue)/default/\(name)-\(last / 60)") {
      world.violated("H7: \(name) says that it ran for \(last), and no run of that time is written with it")
    }
    plans[name]?.ticks.append(last)
  }

  /// Whose run it is.
  private func note(_ write: StoreWrite, _ suspended: Set<String>) -> String? {
    guard let json = write.value.flatMap({ try? JSON(parsing: $0) }) else {
      if let owner = owners.removeValue(forKey: write.key) { plans[owner]?.active.remove(write.key) }
      return nil
    }
    let meta = json["metadata"]
    guard let owner = meta?["ownerReferences"]?[0]?["name"]?.stringValue, let plan = plans[owner] else { return nil }
    owners[write.key] = owner
    let isOver = JobStatus(json: json["status"]).isFinished || meta?["deletionTimestamp"] != nil
    if isOver { plans[owner]?.active.remove(write.key) } else { plans[owner]?.active.insert(write.key) }
    if seen.insert(meta?["uid"]?.stringValue ?? "").inserted {
      judge(json, owner, plan, isSuspended: suspended.contains(owner))
    }
    return owner
  }

  /// A run that was not there before.
  private func judge(_ json: JSON, _ owner: String, _ plan: Plan, isSuspended: Bool) {
    let meta = json["metadata"]
    let name = meta?["name"]?.stringValue ?? ""
    let stamp = meta?[path: ["annotations", "batch.kubernetes.io/cronjob-scheduled-timestamp"]]?.stringValue
    let created = WallTime(nanoseconds: json["createdNanoseconds"]?.intValue ?? 0)
    guard let tick = stamp.flatMap({ WallTime(rfc3339: $0) })?.seconds, name == "\(owner)-\(tick / 60)" else {
      return world.violated("H7: the run \(name) of \(owner) is stamped \(stamp ?? "with nothing")")
    }
    if let last = plan.ticks.last, tick <= last {
      world.violated("H7: \(owner) runs for \(tick), and it ran for \(last) before")
    }
    // Of what was missed only the latest due time is made up for.
    if created.seconds - created.seconds % schedule.seconds != tick {
      world.violated("H7: \(name) is made at \(created.seconds), and its due time is not the latest one")
    }
    if let deadline = plan.deadline, created.milliseconds > (tick + deadline) * 1_000 {
      world.violated("H10: \(name) starts at \(created.seconds), later than \(deadline) s after its due time")
    }
    if isSuspended { world.violated("H10: \(name) starts, and \(owner) is suspended") }
    plans[owner]?.ticks.append(tick)
  }

  /// The latest due time that had a run; 0: none had.
  func lastTick(of name: String) -> Int64 { plans[name]?.ticks.last ?? 0 }

  /// Due times in the range that had no run.
  func missing(of name: String, from first: Int64, through last: Int64) -> [Int64] {
    let ticks = Set(plans[name]?.ticks ?? [])
    let step = schedule.seconds
    return stride(from: (first + step - 1) / step * step, through: last, by: Int(step)).filter { !ticks.contains($0) }
  }
}
