// CronJobs through the API, time by hand: every rule of runs, policies, history and refusals, a restart wherever it may
// come. Pods are left out: no node is there.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("CronJobs")
struct CronJobTests {
  private static let berlin = ZoneFile.bytes(offsets: [3_600], rule: "CET-1CEST,M3.5.0,M10.5.0/3")

  private static func harness() throws -> APIHarness {
    try APIHarness { $0.zones = ZoneDatabase(files: ["Europe/Berlin": berlin]) }
  }

  /// `job`: members of the Job's spec.
  private static func cron(
    _ name: String = "tick", _ schedule: String = "* * * * *", job: JSON = [:], _ spec: JSON = [:]
  ) -> JSON {
    let template = Manifest.job("", spec: job)["spec"] ?? .null
    var cron: JSON = [
      "apiVersion": "batch/v1", "kind": "CronJob", "metadata": ["name": .string(name)],
      "spec": [
        "schedule": .string(schedule),
        "jobTemplate": ["metadata": ["labels": ["app": "x"], "annotations": ["a": "b"]], "spec": template],
      ],
    ]
    for (key, value) in spec.objectValue ?? JSONObject() { cron[path: ["spec", key]] = value }
    return cron
  }

  private static func pass(_ api: APIHarness, seconds: Int64) {
    for _ in 0..<seconds { api.wait(milliseconds: 1_000) }
    for _ in 0..<5 { api.step([.timer]) }
  }

  private static func events(_ api: APIHarness, _ name: String = "tick") -> [String] {
    api.list(.events).items.filter { $0[path: ["involvedObject", "name"]]?.stringValue == name }.map {
      "\($0["reason"]?.stringValue ?? "") \($0["message"]?.stringValue ?? "")"
    }
  }

  private static func has(_ api: APIHarness, _ event: String) -> Bool {
    events(api).contains { $0.hasPrefix(event) }
  }

  private static func status(_ api: APIHarness, _ name: String = "tick") -> JSON {
    api.get(.cronjobs, name).object["status"] ?? .null
  }

  // 2026-11-23T10:00:00Z is minute 29_923_800.
  private static let first: Int64 = 29_923_801

  // MARK: Runs

  @Test("each due time has one run, named by its minute, owned, stamped and listed as active")
  func run() throws {
    let api = try Self.harness()
    #expect(api.create(.cronjobs, Self.cron()).code == 201)
    Self.pass(api, seconds: 130)
    #expect(api.list(.jobs).itemNames == ["tick-\(Self.first)", "tick-\(Self.first + 1)"])
    let job = api.get(.jobs, "tick-\(Self.first)").object
    let owner = job[path: ["metadata", "ownerReferences"]]?.arrayValue?.first
    #expect(owner?["kind"] == "CronJob" && owner?["controller"] == true && owner?["blockOwnerDeletion"] == true)
    #expect(
      job[path: ["metadata", "annotations"]]
        == ["a": "b", "batch.kubernetes.io/cronjob-scheduled-timestamp": "2026-11-23T10:01:00Z"])
    #expect(job[path: ["metadata", "labels"]] == ["app": "x"])
    let status = Self.status(api)
    #expect(status["lastScheduleTime"] == "2026-11-23T10:02:00Z")
    #expect(status["active"]?.arrayValue?.compactMap { $0["name"]?.stringValue }.count == 2)
    #expect(Self.has(api, "SuccessfulCreate Created job tick-\(Self.first)"))
    #expect(!Self.has(api, "UnexpectedJob"))
  }

  @Test("across restarts at any moment each due time that somebody was there for has exactly one run")
  func restarts() throws {
    let api = try Self.harness()
    api.create(.cronjobs, Self.cron(job: ["completions": 0], ["successfulJobsHistoryLimit": 100]))
    var random = SplitMix64(seed: 11)
    var uids: [String: String] = [:]
    for _ in 0..<300 {
      api.wait(milliseconds: Int64(random.next() % 3_000 + 1))
      if random.next() % 4 == 0 { try api.restart() }
      for job in api.list(.jobs).items {
        let meta = job["metadata"]
        let (name, uid) = (meta?["name"]?.stringValue ?? "", meta?["uid"]?.stringValue ?? "")
        #expect(uids[name] == nil || uids[name] == uid, "\(name) was made twice")
        uids[name] = uid
      }
    }
    let minutes = (api.now.wall.seconds - 7) / 60 - Self.first + 1
    #expect(uids.count >= minutes && uids.count <= minutes + 1)
  }

  @Test("after an absence only the latest missed run is made, and a hundred missed ones are told of")
  func catchUp() throws {
    let api = try Self.harness()
    api.create(.cronjobs, Self.cron())
    api.wait(milliseconds: 3 * 3_600_000 + 30_000)
    Self.pass(api, seconds: 1)
    #expect(api.list(.jobs).itemNames == ["tick-\(Self.first + 179)"])
    #expect(Self.has(api, "TooManyMissedTimes too many missed start times. Set or decrease"))
  }

  @Test("a run that is later than its deadline is left out")
  func deadline() throws {
    let api = try Self.harness()
    api.create(.cronjobs, Self.cron("tick", "0 * * * *", ["startingDeadlineSeconds": 10]))
    api.wait(milliseconds: 3_600_000 + 30_000)
    Self.pass(api, seconds: 1)
    #expect(api.list(.jobs).items.isEmpty)
    api.patch(.cronjobs, "tick", .merge, ["spec": ["startingDeadlineSeconds": 100]])
    Self.pass(api, seconds: 1)
    #expect(api.list(.jobs).itemNames == ["tick-\(Self.first + 59)"])
  }

  @Test("a suspended CronJob makes no runs, and one at once when it goes on")
  func suspend() throws {
    let api = try Self.harness()
    api.create(.cronjobs, Self.cron("tick", "* * * * *", ["suspend": true]))
    Self.pass(api, seconds: 200)
    #expect(api.list(.jobs).items.isEmpty)
    api.patch(.cronjobs, "tick", .merge, ["spec": ["suspend": false]])
    Self.pass(api, seconds: 1)
    #expect(api.list(.jobs).itemNames == ["tick-\(Self.first + 2)"])
  }

  @Test("Forbid lets no two run; the due time that was left out is not recorded and starts late")
  func forbid() throws {
    let api = try Self.harness()
    api.create(.cronjobs, Self.cron("tick", "* * * * *", ["concurrencyPolicy": "Forbid"]))
    Self.pass(api, seconds: 140)
    #expect(api.list(.jobs).itemNames == ["tick-\(Self.first)"])
    #expect(Self.has(api, "JobAlreadyActive Not starting job because prior execution is running and concurrency"))
    #expect(Self.status(api)["lastScheduleTime"] == "2026-11-23T10:01:00Z")
    api.delete(.jobs, "tick-\(Self.first)") { $0.propagationPolicy = "Background" }
    Self.pass(api, seconds: 2)
    #expect(Self.has(api, "MissingJob Active job went missing: tick-\(Self.first)"))
    #expect(api.list(.jobs).itemNames == ["tick-\(Self.first + 1)"])
  }

  @Test("Replace deletes the run that goes on and makes the next")
  func replace() throws {
    let api = try Self.harness()
    api.create(.cronjobs, Self.cron("tick", "* * * * *", ["concurrencyPolicy": "Replace"]))
    Self.pass(api, seconds: 130)
    #expect(api.list(.jobs).itemNames == ["tick-\(Self.first + 1)"])
    #expect(Self.has(api, "SuccessfulDelete Deleted job tick-\(Self.first)"))
    #expect(Self.status(api)["active"]?.arrayValue?.count == 1)
  }

  @Test("finished runs are seen, dated and kept up to the limits, the oldest going first")
  func history() throws {
    let api = try Self.harness()
    api.create(.cronjobs, Self.cron("tick", job: ["completions": 0], ["successfulJobsHistoryLimit": 2]))
    api.create(.cronjobs, Self.cron("bad", job: ["activeDeadlineSeconds": 1]))
    Self.pass(api, seconds: 310)
    let names = api.list(.jobs).itemNames
    #expect(names == ["bad-\(Self.first + 4)", "tick-\(Self.first + 3)", "tick-\(Self.first + 4)"])
    #expect(Self.has(api, "SawCompletedJob Saw completed job: tick-\(Self.first), condition: Complete"))
    #expect(Self.has(api, "SuccessfulDelete Deleted job tick-\(Self.first)"))
    #expect(Self.events(api, "bad").contains { $0.hasSuffix("condition: Failed") })
    #expect(Self.status(api)["lastSuccessfulTime"]?.stringValue?.hasPrefix("2026-11-23T10:05:0") == true)
    #expect(Self.status(api, "bad")["lastSuccessfulTime"] == nil)
    #expect(Self.status(api)["active"] == nil)
  }

  @Test("of runs that began at once the first by name goes first, and runs that go on count for no limit")
  func ties() throws {
    let api = try Self.harness()
    let limits: JSON = ["successfulJobsHistoryLimit": 0, "failedJobsHistoryLimit": 0]
    api.create(.cronjobs, Self.cron("tick", "* * * * *", limits))
    Self.pass(api, seconds: 250)
    #expect(api.list(.jobs).items.count == 4, "they go on")
    #expect(!Self.has(api, "SuccessfulDelete"))
    api.create(.cronjobs, Self.cron("quiet", "0 0 1 1 *", ["successfulJobsHistoryLimit": 2]))
    let owner: JSON = [
      "apiVersion": "batch/v1", "kind": "CronJob", "name": "quiet", "controller": true,
      "uid": api.get(.cronjobs, "quiet").object[path: ["metadata", "uid"]] ?? "",
    ]
    for name in ["c", "a", "b"] {
      var job = Manifest.job(name, spec: ["completions": 0])
      job[path: ["metadata", "ownerReferences"]] = .array([owner])
      api.create(.jobs, job)
    }
    Self.pass(api, seconds: 2)
    #expect(api.list(.jobs).itemNames.filter { $0.count == 1 } == ["b", "c"])
    #expect(Self.events(api, "quiet").contains("SuccessfulDelete Deleted job a"))
  }

  @Test("a suspension leaves alone what runs, and a changed template is for the next run")
  func changedWhileRunning() throws {
    let api = try Self.harness()
    api.create(.cronjobs, Self.cron())
    Self.pass(api, seconds: 70)
    let first = "tick-\(Self.first)"
    let change: JSON = ["metadata": ["labels": ["app": "y"]], "spec": ["backoffLimit": 2]]
    api.patch(.cronjobs, "tick", .merge, ["spec": ["suspend": true, "jobTemplate": change]])
    Self.pass(api, seconds: 100)
    #expect(api.list(.jobs).itemNames == [first])
    #expect(Self.status(api)["active"]?.arrayValue?.count == 1)
    let running = api.get(.jobs, first).object
    #expect(running[path: ["spec", "suspend"]] == false && running[path: ["spec", "backoffLimit"]] == 6)
    #expect(running[path: ["metadata", "labels", "app"]] == "x")
    api.patch(.cronjobs, "tick", .merge, ["spec": ["suspend": false]])
    Self.pass(api, seconds: 1)
    let next = api.list(.jobs).items.last
    #expect(next?[path: ["metadata", "labels", "app"]] == "y" && next?[path: ["spec", "backoffLimit"]] == 2)
  }

  @Test("a run is made a tenth of a second after its due time, and not before")
  func delay() throws {
    let api = try Self.harness()
    api.create(.cronjobs, Self.cron())
    let due = Self.first * 60_000
    api.wait(milliseconds: due - api.now.wall.milliseconds + 90)
    #expect(api.list(.jobs).items.isEmpty)
    api.wait(milliseconds: 10)
    api.step([.timer])
    #expect(api.list(.jobs).itemNames == ["tick-\(Self.first)"])
  }

  @Test("a clock that is set back makes no run again, one that is set ahead makes one")
  func clock() throws {
    let api = try Self.harness()
    api.create(.cronjobs, Self.cron())
    Self.pass(api, seconds: 130)
    api.now.wall = api.now.wall.adding(milliseconds: -3_600_000)
    Self.pass(api, seconds: 130)
    #expect(api.list(.jobs).itemNames.count == 2)
    api.now.wall = api.now.wall.adding(milliseconds: 2 * 3_600_000)
    Self.pass(api, seconds: 11)
    #expect(api.list(.jobs).itemNames.count == 3)
  }

  /// A run under a clock that is far ahead, and the right one again: over a restart, or while it goes on.
  private static func ahead(restarting: Bool) throws -> APIHarness {
    let api = try harness()
    api.create(.cronjobs, cron())
    pass(api, seconds: 70)
    api.now.wall = api.now.wall.adding(milliseconds: 400 * 86_400_000)
    pass(api, seconds: 15)
    #expect(status(api)["lastScheduleTime"]?.stringValue?.hasPrefix("2027-12-28T10:01") == true)
    api.now.wall = api.now.wall.adding(milliseconds: -400 * 86_400_000)
    if restarting { try api.restart() }
    pass(api, seconds: 130)
    return api
  }

  @Test("a CronJob whose last due time lies in the future says so once, and runs on as told", arguments: [true, false])
  func future(restarting: Bool) throws {
    let api = try Self.ahead(restarting: restarting)
    let runs = api.list(.jobs).items.count
    Self.pass(api, seconds: 130)
    #expect(api.list(.jobs).items.count == runs, "a due time that may have had a run gets none by itself")
    let told = Self.events(api).filter { $0.hasPrefix("LastScheduleInFuture No run before 2027-12-28T10:01:00Z") }
    #expect(told.count == 1)
    // What it tells to do, word for word.
    let patch = try #require(told.first?.split(separator: "'").last.map(String.init))
    let json = try JSON(parsing: Array(patch.utf8))
    #expect(api.patch(.cronjobs, "tick", .merge, json, subresource: "status").code == 200)
    Self.pass(api, seconds: 130)
    let names = api.list(.jobs).itemNames
    #expect(names.count >= runs + 2)
    #expect(Set(names).count == names.count)
    #expect(Self.events(api).filter { $0.hasPrefix("LastScheduleInFuture") }.count == 1)
  }

  @Test("a clock that is ahead or back by less than a minute is no matter for a CronJob")
  func nearlyRight() throws {
    let api = try Self.harness()
    api.create(.cronjobs, Self.cron())
    Self.pass(api, seconds: 130)
    api.now.wall = api.now.wall.adding(milliseconds: -55_000)
    Self.pass(api, seconds: 130)
    #expect(!Self.has(api, "LastScheduleInFuture"))
  }

  @Test("a new schedule runs nothing that would have been due before it came")
  func rescheduled() throws {
    let api = try Self.harness()
    api.create(.cronjobs, Self.cron("tick", "0 0 * * *"))
    Self.pass(api, seconds: 100)
    api.patch(.cronjobs, "tick", .merge, ["spec": ["schedule": "* * * * *"]])
    Self.pass(api, seconds: 10)
    #expect(api.list(.jobs).items.isEmpty)
    Self.pass(api, seconds: 30)
    #expect(api.list(.jobs).itemNames == ["tick-\(Self.first + 1)"])
  }

  @Test("somebody else's Job of a run's name is left alone, and the next due time runs")
  func foreign() throws {
    let api = try Self.harness()
    api.create(.jobs, Manifest.job("tick-\(Self.first)"))
    api.create(.cronjobs, Self.cron())
    Self.pass(api, seconds: 130)
    let status = Self.status(api)
    #expect(status["active"]?.arrayValue?.compactMap { $0["name"]?.stringValue } == ["tick-\(Self.first + 1)"])
    #expect(api.get(.jobs, "tick-\(Self.first)").object[path: ["metadata", "ownerReferences"]] == nil)
  }

  @Test("a Job made by hand from a CronJob is told of as unexpected")
  func byHand() throws {
    let api = try Self.harness()
    let cron = api.create(.cronjobs, Self.cron("tick", "0 0 1 1 *")).object
    var job = Manifest.job("hand")
    job[path: ["metadata", "ownerReferences"]] = [
      [
        "apiVersion": "batch/v1", "kind": "CronJob", "name": "tick", "controller": true,
        "uid": cron[path: ["metadata", "uid"]] ?? .null,
      ]
    ]
    api.create(.jobs, job)
    Self.pass(api, seconds: 1)
    #expect(Self.has(api, "UnexpectedJob Saw a job that the controller did not create or forgot: hand"))
    api.delete(.cronjobs, "tick")
    Self.pass(api, seconds: 2)
    #expect(api.list(.jobs).items.isEmpty)
  }

  @Test("a run's time is its zone's, and a zone that is not known any more stops the runs with an event")
  func zone() throws {
    let api = try Self.harness()
    api.create(.cronjobs, Self.cron("tick", "1 11 * * *", ["timeZone": "Europe/Berlin"]))
    Self.pass(api, seconds: 70)
    let job = api.get(.jobs, "tick-\(Self.first)").object
    #expect(
      job[path: ["metadata", "annotations", "batch.kubernetes.io/cronjob-scheduled-timestamp"]]
        == "2026-11-23T11:01:00+01:00")
    let rows = api.core.configuration
    var poorer = rows
    poorer.zones = ZoneDatabase()
    try api.restart(poorer)
    Self.pass(api, seconds: 1)
    #expect(
      Self.has(api, "UnknownTimeZone invalid timeZone: \"Europe/Berlin\": unknown time zone Europe/Berlin"))
  }

  @Test("a schedule that is never due is told of and makes no runs")
  func impossible() throws {
    let api = try Self.harness()
    api.create(.cronjobs, Self.cron("tick", "0 0 30 2 *"))
    Self.pass(api, seconds: 2)
    #expect(
      Self.has(
        api, "InvalidSchedule invalid schedule: 0 0 30 2 * : time difference between two schedules is less than"))
  }

  @Test("a run that is refused is told of and tried again, ever later, until it is taken")
  func failedCreate() throws {
    let api = try Self.harness()
    var cron = Self.cron()
    cron[path: ["spec", "jobTemplate", "metadata", "labels"]] = ["no label": "x"]
    #expect(api.create(.cronjobs, cron).code == 201)
    Self.pass(api, seconds: 80)
    #expect(
      Self.has(api, "FailedCreate Error creating job: Job.batch \"tick-\(Self.first)\" is invalid: metadata.labels"))
    let tries = api.list(.events).items.filter { $0["reason"] == "FailedCreate" }.reduce(0) {
      $0 + ($1["count"]?.intValue ?? 1)
    }
    #expect((3...7).contains(tries), "\(tries) tries within 20 s")
    #expect(Self.status(api)["lastScheduleTime"] == nil)
    api.patch(.cronjobs, "tick", .merge, ["spec": ["jobTemplate": ["metadata": ["labels": .null]]]])
    Self.pass(api, seconds: 1)
    #expect(api.list(.jobs).itemNames == ["tick-\(Self.first)"])
  }

  @Test("while the disk is nearly full no run is made; with room the latest missed one is")
  func disk() throws {
    let api = try Self.harness()
    api.create(.cronjobs, Self.cron())
    api.step([.diskScarce(true)])
    Self.pass(api, seconds: 130)
    #expect(api.list(.jobs).items.isEmpty)
    api.step([.diskScarce(false)])
    Self.pass(api, seconds: 1)
    #expect(api.list(.jobs).itemNames == ["tick-\(Self.first + 1)"])
    Self.pass(api, seconds: 60)
    #expect(api.list(.jobs).itemNames == ["tick-\(Self.first + 1)", "tick-\(Self.first + 2)"])
  }

  @Test("a table tells schedule, zone, suspension, active runs, the last due time, and wide the containers")
  func cells() throws {
    let api = try Self.harness()
    func rows() -> [JSON] {
      let answer = api.ask(APIRequest(verb: .list, kind: .cronjobs, namespace: "default", form: .table))
      return answer.items.compactMap { $0["cells"] }
    }
    api.create(.cronjobs, Self.cron())
    api.create(.cronjobs, Self.cron("zoned", "0 0 * * *", ["timeZone": "Europe/Berlin", "suspend": true]))
    let wide: [JSON] = ["main", "busybox", "<none>"]
    let before: [JSON] = ["tick", "* * * * *", "<none>", "False", 0, "<none>", "0s"]
    #expect(rows().first == .array(before + wide))
    let zoned: [JSON] = ["zoned", "0 0 * * *", "Europe/Berlin", "True", 0, "<none>", "0s"]
    #expect(rows().last == .array(zoned + wide))
    Self.pass(api, seconds: 90)
    let after: [JSON] = ["tick", "* * * * *", "<none>", "False", 1, "30s", "90s"]
    #expect(rows().first == .array(after + wide))
  }

  // MARK: Refusals

  @Test(
    "what a CronJob may not say is refused with Kubernetes' words",
    arguments: [
      (["schedule": ""], "spec.schedule: Required value"),
      (
        ["schedule": "61 * * * *"], "spec.schedule: Invalid value: \"61 * * * *\": end of range (61) above maximum (59)"
      ),
      (["schedule": "TZ=UTC * * * * *"], "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"),
      (["schedule": "CRON_TZ=UTC 0 * * * *"], "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"),
      (["timeZone": ""], "spec.timeZone: Invalid value: \"\": timeZone must be nil or non-empty string"),
      (["timeZone": "Mars/Base"], "spec.timeZone: Invalid value: \"Mars/Base\": unknown time zone Mars/Base"),
      (["timeZone": "../x"], "unknown time zone ../x"),
      (["timeZone": "Local"], "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"),
      (
        ["concurrencyPolicy": "Never"],
        "spec.concurrencyPolicy: Unsupported value: \"Never\": supported values: \"Allow\", \"Forbid\", \"Replace\""
      ),
      (
        ["startingDeadlineSeconds": -1],
        "spec.startingDeadlineSeconds: Invalid value: -1: must be greater than or equal"
      ),
      (["failedJobsHistoryLimit": -1], "spec.failedJobsHistoryLimit: Invalid value: -1: must be greater than or equal"),
    ] as [(JSON, String)])
  func refusals(spec: JSON, text: String) throws {
    let answer = try Self.harness().create(.cronjobs, Self.cron("tick", "* * * * *", spec))
    #expect(answer.code == 422 && answer.message.contains(text), "\(answer.message)")
  }

  @Test("a template's Job is refused where the Job would be, by the template's fields")
  func template() throws {
    let api = try Self.harness()
    let always = api.create(.cronjobs, Self.cron(job: ["parallelism": -1, "selector": [:]]))
    #expect(always.message.contains("spec.jobTemplate.spec.parallelism: Invalid value: -1"), "\(always.message)")
    #expect(
      always.message.contains("spec.jobTemplate.spec.selector: Invalid value: {}: `selector` will be auto-generated"),
      "\(always.message)")
    let manual = api.create(.cronjobs, Self.cron(job: ["manualSelector": true]))
    #expect(
      manual.message.hasSuffix(
        "spec.jobTemplate.spec.manualSelector: Unsupported value: true: supported values: \"nil\", \"false\""),
      "\(manual.message)")
  }

  @Test("what is wrong with several fields is told in the order in which Kubernetes looks at them")
  func orderOfRefusals() throws {
    let api = try Self.harness()
    let wrong: JSON = [
      "startingDeadlineSeconds": -1, "timeZone": "Mars/Base", "concurrencyPolicy": "Never",
      "successfulJobsHistoryLimit": -1,
    ]
    let answer = api.create(.cronjobs, Self.cron(String(repeating: "a", count: 53), "bad", wrong))
    let fields = answer.object[path: ["details", "causes"]]?.arrayValue?.compactMap { $0["field"]?.stringValue }
    #expect(
      fields == [
        "spec.schedule", "spec.startingDeadlineSeconds", "spec.timeZone", "spec.concurrencyPolicy",
        "spec.successfulJobsHistoryLimit", "metadata.name",
      ])
  }

  @Test("a name of 53 characters is refused, since a run's has eleven more")
  func name() throws {
    let api = try Self.harness()
    let long = api.create(.cronjobs, Self.cron(String(repeating: "a", count: 53)))
    #expect(long.code == 422 && long.message.contains("must be no more than 52 characters"), "\(long.message)")
    #expect(api.create(.cronjobs, Self.cron(String(repeating: "a", count: 52))).code == 201)
  }

  @Test("defaults are Kubernetes', and an update keeps the status and counts generations")
  func defaults() throws {
    let api = try Self.harness()
    let cron = api.create(.cronjobs, Self.cron()).object
    let spec = cron["spec"]
    #expect(spec?["concurrencyPolicy"] == "Allow" && spec?["suspend"] == false)
    #expect(spec?["successfulJobsHistoryLimit"] == 3 && spec?["failedJobsHistoryLimit"] == 1)
    #expect(spec?[path: ["jobTemplate", "spec", "parallelism"]] == nil)
    Self.pass(api, seconds: 61)
    var body = Self.cron("tick", "*/5 * * * *")
    body["status"] = ["lastScheduleTime": "2020-01-01T00:00:00Z"]
    let after = api.update(.cronjobs, "tick", body).object
    #expect(after[path: ["metadata", "generation"]] == 2)
    #expect(after[path: ["status", "lastScheduleTime"]] == "2026-11-23T10:01:00Z")
  }
}
