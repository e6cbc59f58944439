// What Kubernetes' end-to-end suite asks of CronJobs, case by case under its names, time by hand. The API operations
// are CronJobOperationsTests', over HTTPS. Pods are left out: no node is there.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("CronJobs as Kubernetes' suite has them")
struct CronJobSuiteTests {
  /// The suite's own CronJob: each minute, a container with a volume. `job`: members of the Job's spec.
  private static func cron(_ name: String, _ spec: JSON = [:], job: JSON = [:]) -> JSON {
    var cron: JSON = [
      "apiVersion": "batch/v1", "kind": "CronJob", "metadata": ["name": .string(name)],
      "spec": [
        "schedule": "*/1 * * * ?",
        "jobTemplate": [
          "spec": [
            "parallelism": 1, "completions": 1, "backoffLimit": 1,
            "template": [
              "spec": [
                "restartPolicy": "OnFailure", "volumes": [["name": "data", "emptyDir": [:]]],
                "containers": [
                  [
                    "name": "c", "image": "busybox", "command": ["sleep", "300"],
                    "volumeMounts": [["mountPath": "/data", "name": "data"]],
                  ]
                ],
              ]
            ],
          ]
        ],
      ],
    ]
    for (key, value) in spec.objectValue ?? JSONObject() { cron[path: ["spec", key]] = value }
    for (key, value) in job.objectValue ?? JSONObject() { cron[path: ["spec", "jobTemplate", "spec", key]] = value }
    return cron
  }

  private static func harness(_ cron: JSON) throws -> APIHarness {
    let api = try APIHarness()
    let made = api.create(.cronjobs, cron)
    #expect(made.code == 201 && made.warnings == [], "\(made.message) \(made.warnings)")
    return api
  }

  /// Lets seconds pass until it is so.
  private static func wait(
    _ api: APIHarness, _ what: String, seconds: Int = 300, _ place: SourceLocation = #_sourceLocation,
    until isSo: () -> Bool
  ) {
    for _ in 0..<seconds where !isSo() { api.wait(milliseconds: 1_000) }
    #expect(isSo(), "\(what)", sourceLocation: place)
  }

  private static func active(_ api: APIHarness, _ name: String) -> [String] {
    (api.get(.cronjobs, name).object[path: ["status", "active"]]?.arrayValue ?? []).compactMap {
      $0["name"]?.stringValue
    }
  }

  private static func unfinished(_ api: APIHarness) -> [String] {
    api.list(.jobs).items.filter { !JobStatus(json: $0["status"]).isFinished }.compactMap {
      $0[path: ["metadata", "name"]]?.stringValue
    }
  }

  private static func finished(_ api: APIHarness) -> [String] {
    let open = unfinished(api)
    return api.list(.jobs).itemNames.filter { !open.contains($0) }
  }

  private static func reasons(_ api: APIHarness) -> [String] {
    api.list(.events).items.compactMap { $0["reason"]?.stringValue }
  }

  @Test("should schedule multiple jobs concurrently")
  func concurrent() throws {
    let api = try Self.harness(Self.cron("concurrent", ["concurrencyPolicy": "Allow"]))
    Self.wait(api, "two are active") { Self.active(api, "concurrent").count >= 2 }
    #expect(Self.unfinished(api).count >= 2)
    #expect(api.delete(.cronjobs, "concurrent") { $0.propagationPolicy = "Background" }.code == 200)
    Self.wait(api, "its Jobs go with it", seconds: 10) { api.list(.jobs).items.isEmpty }
  }

  @Test("should not schedule jobs when suspended")
  func suspended() throws {
    let api = try Self.harness(Self.cron("suspended", ["suspend": true]))
    for _ in 0..<300 {
      api.wait(milliseconds: 1_000)
      #expect(Self.active(api, "suspended").isEmpty)
    }
    #expect(api.list(.jobs).items.isEmpty)
  }

  @Test("should not schedule new jobs when ForbidConcurrent")
  func forbid() throws {
    let api = try Self.harness(Self.cron("forbid", ["concurrencyPolicy": "Forbid"]))
    Self.wait(api, "one is active") { Self.active(api, "forbid").count == 1 }
    let first = Self.unfinished(api)
    #expect(first.count == 1)
    for _ in 0..<300 { api.wait(milliseconds: 1_000) }
    #expect(Self.active(api, "forbid") == first && api.list(.jobs).itemNames == first)
  }

  @Test("should replace jobs when ReplaceConcurrent")
  func replace() throws {
    let api = try Self.harness(Self.cron("replace", ["concurrencyPolicy": "Replace"]))
    Self.wait(api, "one is active") { Self.active(api, "replace").count == 1 }
    let first = Self.unfinished(api)
    #expect(first.count == 1)
    Self.wait(api, "another one is there alone") {
      let now = Self.unfinished(api)
      return now.count == 1 && now != first
    }
    #expect(Self.active(api, "replace") == Self.unfinished(api))
  }

  @Test("should be able to schedule after more than 100 missed schedule")
  func manyMissed() throws {
    var cron = Self.cron("concurrent", ["concurrencyPolicy": "Forbid"])
    // The suite sends these; a server sets both itself.
    cron[path: ["metadata", "creationTimestamp"]] = "2026-08-15T10:00:00Z"
    cron["status"] = ["lastScheduleTime": "2026-08-16T10:00:00Z"]
    let api = try Self.harness(cron)
    #expect(api.get(.cronjobs, "concurrent").object[path: ["status", "lastScheduleTime"]] == nil)
    Self.wait(api, "one is active") { Self.active(api, "concurrent").count == 1 }
    #expect(!Self.reasons(api).contains("TooManyMissedTimes"))
    // A status that says so is believed: the latest due time runs at once, and the others are told of.
    api.delete(.jobs, Self.active(api, "concurrent")[0]) { $0.propagationPolicy = "Background" }
    Self.wait(api, "it is gone", seconds: 3) { Self.active(api, "concurrent").isEmpty }
    api.patch(
      .cronjobs, "concurrent", .merge, ["status": ["lastScheduleTime": "2026-08-16T10:00:00Z"]], subresource: "status")
    Self.wait(api, "it runs", seconds: 3) { Self.active(api, "concurrent").count == 1 }
    #expect(Self.reasons(api).contains("TooManyMissedTimes"))
  }

  @Test("should not emit unexpected warnings")
  func warnings() throws {
    let api = try Self.harness(Self.cron("concurrent", job: ["activeDeadlineSeconds": 90]))
    Self.wait(api, "two Jobs are there, one of them ended") {
      api.list(.jobs).items.count >= 2 && !Self.finished(api).isEmpty
    }
    for _ in 0..<30 { api.wait(milliseconds: 1_000) }
    for reason in ["MissingJob", "UnexpectedJob"] { #expect(!Self.reasons(api).contains(reason), "\(reason)") }
    #expect(Self.reasons(api).contains("SawCompletedJob"))
  }

  @Test("should set the cronjob-scheduled-timestamp annotation on a job")
  func stamp() throws {
    let api = try Self.harness(Self.cron("concurrent"))
    Self.wait(api, "a Job is there") { !api.list(.jobs).items.isEmpty }
    let annotations = api.list(.jobs).items.first?[path: ["metadata", "annotations"]]
    let stamp = annotations?["batch.kubernetes.io/cronjob-scheduled-timestamp"]?.stringValue
    #expect(stamp.flatMap { WallTime(rfc3339: $0) } == WallTime(rfc3339: "2026-11-23T10:01:00Z"))
  }

  @Test("should remove from active list jobs that have been deleted")
  func deleted() throws {
    let api = try Self.harness(Self.cron("forbid", ["concurrencyPolicy": "Forbid"]))
    Self.wait(api, "one is active") { Self.active(api, "forbid").count == 1 }
    let name = Self.active(api, "forbid")[0]
    api.delete(.jobs, name) { $0.propagationPolicy = "Foreground" }
    Self.wait(api, "it is gone") { api.get(.jobs, name).code == 404 }
    Self.wait(api, "it is not active") { !Self.active(api, "forbid").contains(name) }
    #expect(Self.reasons(api).contains("MissingJob"))
  }

  @Test(
    "should delete successful (failed) finished jobs with limit of one job",
    arguments: [
      ("successfulJobsHistoryLimit", "failedJobsHistoryLimit", ["completions": 0]),
      ("failedJobsHistoryLimit", "successfulJobsHistoryLimit", ["activeDeadlineSeconds": 2]),
    ] as [(String, String, JSON)])
  func history(one: String, none: String, job: JSON) throws {
    let api = try Self.harness(Self.cron("history", [one: 1, none: 0], job: job))
    Self.wait(api, "a Job has ended") { !Self.finished(api).isEmpty }
    let first = Self.finished(api)
    #expect(first.count == 1)
    Self.wait(api, "it goes when the next one has ended") { !api.list(.jobs).itemNames.contains(first[0]) }
    Self.wait(api, "its pods go", seconds: 5) { api.list(.pods).items.isEmpty }
    #expect(Self.finished(api).count == 1)
  }

  @Test("should support timezone")
  func zone() throws {
    let api = try APIHarness()
    let answer = api.create(.cronjobs, Self.cron("cronjob-with-timezone", ["timeZone": "bad-time-zone"]))
    #expect(answer.code == 422 && answer.reason == "Invalid")
    #expect(answer.message.contains("spec.timeZone: Invalid value: \"bad-time-zone\": unknown time zone"))
  }
}
