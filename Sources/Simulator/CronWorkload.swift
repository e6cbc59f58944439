// What simulated users have run by the clock: CronJobs of every policy, changed and suspended meanwhile; and what must
// be true of their runs. The runs have no pods: they end by their deadline, or at once. Knows no faults.

import ClusterProto
import CoordinatorCore

final class CronWorkload {
  /// One CronJob, and what was seen of its runs.
  private struct Wish {
    var name: String
    var policy: String
    var deadline: Int64?
    var kept: Int64
    var keptFailed: Int64
    /// Seconds that a run goes on; nil: it completes at once.
    var length: Int64?
    var isAcknowledged = false
    var isSuspended = false
    /// Uids of runs by name: a due time has one.
    var runs: [String: String] = [:]
  }

  private let cluster: SimCluster
  private let world: World
  private var wishes: [Wish] = []
  /// What was seen before belongs to another history.
  private var history = 0
  private var isOver = false
  /// For a planted fault: at the end nobody lets them go on, and they are judged as if somebody had.
  var leavesSuspended = false
  private let witness: CronWitness
  /// From when on due times are looked at, in seconds of the coordinator's wall clock, by name.
  private var judgedFrom: [String: Int64] = [:]

  init(cluster: SimCluster) {
    self.cluster = cluster
    world = cluster.world
    witness = CronWitness(world: world)
    cluster.coordinator.committed = { [witness] writes in witness.committed(writes) }
  }

  func begin() {
    for number in 0..<world.pick(1...4) {
      wishes.append(
        Wish(
          name: "cron-\(number)", policy: world.choose(["Allow", "Forbid", "Replace"]) ?? "Allow",
          deadline: world.chance(0.3) ? world.pickRare(10...200) : nil, kept: world.pick(0...3),
          keptFailed: world.pick(0...3), length: world.chance(0.3) ? nil : world.pickRare(5...200)))
      // Clients are served after the coordinator's first step, which makes the namespaces.
      let index = wishes.count - 1
      world.after(1_000_000) { [self] in submit(index) }
    }
    scheduleLook()
    scheduleMeddling()
  }

  func storeWasRestored() {
    history += 1
    witness.storeWasRestored(cluster.coordinator.store.all)
    for index in wishes.indices {
      wishes[index].runs = [:]
      wishes[index].isAcknowledged = false
      submit(index)
    }
  }

  /// All go on, so that all can be judged.
  func end() {
    isOver = true
    for wish in wishes where wish.isAcknowledged { suspend(wish.name, leavesSuspended) }
  }

  private func submit(_ index: Int) {
    let wish = wishes[index]
    var job: JSON = [
      "template": ["spec": ["restartPolicy": "Never", "containers": [["name": "main", "image": "none"]]]]
    ]
    if let length = wish.length {
      job["parallelism"] = 0
      job["activeDeadlineSeconds"] = .int(length)
    } else {
      job["completions"] = 0
    }
    var spec: JSON = [
      "schedule": .string(witness.schedule.text), "concurrencyPolicy": .string(wish.policy),
      "jobTemplate": ["spec": job],
      "successfulJobsHistoryLimit": .int(wish.kept), "failedJobsHistoryLimit": .int(wish.keptFailed),
    ]
    if let deadline = wish.deadline { spec["startingDeadlineSeconds"] = .int(deadline) }
    let body: JSON = [
      "apiVersion": "batch/v1", "kind": "CronJob", "metadata": ["name": .string(wish.name)], "spec": spec,
    ]
    let asked = history
    cluster.request(APIRequest(verb: .create, kind: .cronjobs, namespace: "default", body: body)) {
      [self] code, object in
      // In the first moments there is no namespace.
      if code == 404 { return }
      guard code == 201 || code == 409 else {
        return world.violated("creating \(wish.name) is answered \(code): \(object.text)")
      }
      if asked == history { wishes[index].isAcknowledged = true }
    }
    world.after(10_000_000 * world.pace.beat) { [self] in
      if asked == history, !wishes[index].isAcknowledged { submit(index) }
    }
  }

  private func scheduleMeddling() {
    world.after(world.delay(mean: 200_000_000 * world.pace.rarity)) { [self] in
      guard !isOver else { return }
      if let wish = world.choose(wishes), wish.isAcknowledged { suspend(wish.name, world.chance(0.5)) }
      scheduleMeddling()
    }
  }

  private func suspend(_ name: String, _ value: Bool) {
    var options = APIOptions()
    options.patchKind = .merge
    cluster.request(
      APIRequest(
        verb: .patch, kind: .cronjobs, namespace: "default", name: name, options: options,
        body: ["spec": ["suspend": .bool(value)]])
    ) { _, _ in }
  }

  private func scheduleLook() {
    world.after(world.delay(mean: 20_000_000 * world.pace.rarity)) { [self] in
      look(settled: false)
      scheduleLook()
    }
  }

  /// How long the clock is looked at when everything has had time.
  var judgingTime: TrueTime { 7_000_000 * witness.schedule.seconds }

  private var wall: Int64 { cluster.coordinator.clock.now(world).wall.seconds }

  /// A clock that was set back has due times once more; they have had their runs.
  func beginJudging() {
    end()
    for wish in wishes {
      judgedFrom[wish.name] = max(wall + witness.schedule.seconds, witness.lastTick(of: wish.name) + 1)
    }
  }

  /// After the last fault, when everything has had time: history limits hold, and no due time goes without its run
  /// unless the one before forbids it.
  func judge() {
    look(settled: true)
    for wish in wishes where wish.isAcknowledged {
      let from = judgedFrom[wish.name] ?? wall
      let missing = witness.missing(of: wish.name, from: from, through: wall - 5)
      let mayMiss = wish.policy == "Forbid" ? (wish.length ?? 0) / witness.schedule.seconds + 1 : 0
      var inARow: Int64 = 0
      var last: Int64 = 0
      for tick in missing {
        inARow = tick == last + witness.schedule.seconds ? inARow + 1 : 1
        last = tick
        if inARow > mayMiss { world.violated("H11: \(wish.name) has no run for \(tick)") }
      }
    }
  }

  private func look(settled: Bool) {
    let asked = history
    cluster.request(APIRequest(verb: .list, kind: .jobs, namespace: "default")) { [self] code, list in
      guard code == 200, asked == history else { return }
      let jobs = list["items"]?.arrayValue ?? []
      for index in wishes.indices { look(index, jobs.filter { Self.owner($0) == wishes[index].name }, settled) }
    }
  }

  private static func owner(_ job: JSON) -> String? {
    let owner = job[path: ["metadata", "ownerReferences"]]?.arrayValue?.first
    return owner?["kind"] == "CronJob" ? owner?["name"]?.stringValue : nil
  }

  private func look(_ index: Int, _ jobs: [JSON], _ settled: Bool) {
    let wish = wishes[index]
    var counts: [String: Int64] = [:]
    for job in jobs {
      let name = job[path: ["metadata", "name"]]?.stringValue ?? ""
      let uid = job[path: ["metadata", "uid"]]?.stringValue ?? ""
      if let known = wish.runs[name], known != uid { world.violated("H7: \(name) ran twice, as \(known) and \(uid)") }
      wishes[index].runs[name] = uid
      guard job[path: ["metadata", "deletionTimestamp"]] == nil else { continue }
      counts[JobStatus(json: job["status"]).finishedCondition?.type ?? "active", default: 0] += 1
    }
    let active = counts["active"] ?? 0
    if wish.policy != "Allow", active > 1 {
      world.violated("H8: \(active) runs of \(wish.name) go on at once, its policy is \(wish.policy)")
    }
    guard settled else { return }
    // One may have ended just now and not be counted yet.
    for (type, kept) in [("Complete", wish.kept), ("Failed", wish.keptFailed)] where counts[type] ?? 0 > kept + 1 {
      world.violated("H9: \(wish.name) keeps \(counts[type] ?? 0) runs that are \(type), \(kept) are to be")
    }
  }
}
