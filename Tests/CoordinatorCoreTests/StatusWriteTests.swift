// What clients write into statuses, whatever it is: it never breaks a rule at which the coordinator stops, and takes
// nothing from what has been counted.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Statuses that clients write")
struct StatusWriteTests {
  @discardableResult
  private func write(_ cluster: JobCluster, _ status: JSON, of name: String = "job") -> Int {
    cluster.patch(.jobs, name, ["status": status], subresource: "status").code ?? 0
  }

  /// Of three indexes 0 and 1 succeed.
  private func half(_ spec: JSON = [:]) throws -> JobCluster {
    let cluster = try JobCluster()
    var members: JSON = ["completionMode": "Indexed", "parallelism": 3, "completions": 3]
    for (key, value) in spec.objectValue ?? JSONObject() { members[key] = value }
    cluster.create("job", { $0.index ?? 0 < 2 ? .ends($0.index == 1 && $0.before == 0 ? 1 : 0) : .runsOn }, members)
    try cluster.wait(for: "job", "half done") { $0.text("completedIndexes") == "0,1" }
    return cluster
  }

  @Test(
    "what an Indexed Job has counted stays, and its number is what has succeeded",
    arguments: [
      (["succeeded": 3], 200), (["completedIndexes": ""], 200), (["completedIndexes": .null, "succeeded": 2], 200),
      (["completedIndexes": "0", "succeeded": 2], 200), (["succeeded": 1], 200), (["failed": 0], 422),
      (["completedIndexes": "0-5"], 422), (["failedIndexes": "0"], 422),
    ] as [(JSON, Int)])
  func counted(_ status: JSON, _ code: Int) throws {
    let cluster = try half()
    #expect(write(cluster, status) == code)
    for _ in 0..<3 { cluster.pass() }
    #expect(cluster.fleet.core.broken == nil)
    let now = cluster.job("job").object
    #expect(now.text("completedIndexes") == "0,1" && now.count("succeeded") == 2)
    #expect(cluster.pods("job", "Running").count == 1, "no index runs again, and none is left out")
  }

  @Test("an index that a client says has succeeded counts, and its Job ends with the others")
  func added() throws {
    let cluster = try half()
    #expect(write(cluster, ["completedIndexes": "0-2", "succeeded": 3]) == 200)
    try cluster.wait(for: "job", "Complete", reason: "CompletionsReached")
    #expect(cluster.fleet.core.broken == nil)
  }

  @Test("an index that has failed stays failed, unless a client says that it has succeeded")
  func failed() throws {
    let cluster = try JobCluster()
    cluster.create(
      "job", { $0.index == 0 ? .ends(1) : .runsOn },
      ["completionMode": "Indexed", "parallelism": 2, "completions": 2, "backoffLimitPerIndex": 0])
    try cluster.wait(for: "job", "failed in part") { $0.text("failedIndexes") == "0" }
    #expect(write(cluster, ["failedIndexes": .null]) == 200)
    #expect(cluster.job("job").object.text("failedIndexes") == "0")
    #expect(write(cluster, ["failedIndexes": "", "completedIndexes": "0", "succeeded": 1]) == 200)
    let now = cluster.job("job").object
    #expect(now.text("failedIndexes") == "" && now.text("completedIndexes") == "0")
  }

  @Test("an elastic Job that shrinks and is changed again before anybody looks loses only what it has no more")
  func elastic() throws {
    let cluster = try JobCluster()
    cluster.create(
      "job", { $0.index == 2 ? .runsOn : .ends(0) },
      ["completionMode": "Indexed", "parallelism": 5, "completions": 5])
    try cluster.wait(for: "job", "nearly done") { $0.count("succeeded") == 4 }
    var options = APIOptions()
    options.patchKind = .merge
    let changes: [JSON] = [["completions": 3, "parallelism": 3], ["parallelism": 1]]
    let requests = changes.enumerated().map { number, spec -> CoordinatorEvent in
      let request = APIRequest(
        verb: .patch, kind: .jobs, namespace: "default", name: "job", options: options, body: ["spec": spec])
      return .request(Int64(900 + number), request)
    }
    cluster.fleet.step(requests)
    for _ in 0..<3 { cluster.pass() }
    #expect(cluster.fleet.core.broken == nil)
    #expect(cluster.job("job").object.text("completedIndexes") == "0,1")
  }

  @Test("of a condition that stands twice the True one counts, and an end hidden behind another is still one")
  func doubles() throws {
    func condition(_ type: String, _ status: String) -> JSON {
      [
        "type": .string(type), "status": .string(status), "reason": "Said",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
      ]
    }
    let cluster = try half()
    #expect(write(cluster, ["conditions": [condition("Complete", "False"), condition("Complete", "True")]]) == 422)
    #expect(
      write(cluster, ["conditions": [condition("FailureTarget", "False"), condition("FailureTarget", "True")]]) == 200)
    try cluster.wait(for: "job", "Failed", reason: "Said")
    #expect(write(cluster, ["conditions": [condition("Complete", "True")]]) == 422)
    #expect(cluster.fleet.core.broken == nil)
  }

  /// Draws words that clients say.
  private struct Words {
    var random: SplitMix64

    mutating func pick(_ values: [JSON]) -> JSON { values[Int(random.below(UInt64(values.count)))] }
    mutating func oneIn(_ count: UInt64) -> Bool { random.below(count) == 0 }

    mutating func status() -> JSON {
      var status: JSON = .object(JSONObject())
      for counter in ["active", "ready", "succeeded", "failed", "terminating"] where oneIn(3) {
        status[counter] = pick([0, 1, 2, 3, 9, -1, 2_147_483_647, .null])
      }
      for list in ["completedIndexes", "failedIndexes"] where oneIn(3) {
        status[list] = pick(["", "0", "0-2", "1,3", "0-9", "x", .null])
      }
      for time in ["startTime", "completionTime"] where oneIn(5) {
        status[time] = pick(["2026-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:01Z", .null])
      }
      if oneIn(3) { status["conditions"] = .array([condition(), condition()]) }
      return status
    }

    private mutating func condition() -> JSON {
      let type = pick(["Complete", "Failed", "FailureTarget", "SuccessCriteriaMet", "Suspended", "Other"])
      return ["type": type, "status": pick(["True", "False"]), "lastTransitionTime": "2026-01-01T00:00:00Z"]
    }

    mutating func spec() -> JSON {
      let size = pick([1, 2, 4, 5])
      return pick([["completions": size, "parallelism": size], ["suspend": true], ["suspend": false]])
    }

    mutating func phase() -> JSON {
      pick(["Succeeded", "Failed", "Pending", "Running", "Unknown", "", "Bogus", .null])
    }
  }

  @Test("no word about a status stops the coordinator", arguments: 1...6 as ClosedRange<UInt64>)
  func anything(seed: UInt64) throws {
    var words = Words(random: SplitMix64(seed: seed))
    let cluster = try JobCluster()
    var indexed: JSON = ["completionMode": "Indexed", "parallelism": 4, "completions": 4]
    cluster.create("index", JobCluster.failOddSucceedEven, indexed)
    indexed["backoffLimitPerIndex"] = 1
    cluster.create("limit", JobCluster.failOddSucceedEven, indexed)
    cluster.create("job", JobCluster.notTerminate, ["parallelism": 2, "completions": 5])
    for _ in 0..<150 {
      let name = words.pick(["job", "index", "limit"]).stringValue ?? ""
      let status = words.status()
      write(cluster, status, of: name)
      if words.oneIn(4) { cluster.patch(.jobs, name, ["spec": words.spec()]) }
      if words.oneIn(2), let pod = cluster.pods(name).first?.name {
        cluster.patch(.pods, pod, ["status": ["phase": words.phase()]], subresource: "status")
      }
      if words.oneIn(3) { cluster.pass() }
      try #require(cluster.fleet.core.broken == nil, "\(name) \(status.text)")
    }
  }

  @Test("a phase that is none is not kept, an empty one says nothing, and none comes back")
  func phases() throws {
    let cluster = try JobCluster()
    cluster.create("job", JobCluster.notTerminate, ["parallelism": 1, "completions": 1])
    try cluster.waitRunning("job", 1)
    let name = try #require(cluster.pods("job").first?.name)
    func phase(_ text: JSON) -> RequestAnswer {
      cluster.patch(.pods, name, ["status": ["phase": text]], subresource: "status")
    }
    #expect(phase("Bogus").warnings == ["status.phase: not kept by this version"])
    for text in ["Bogus", "", .null, "Pending"] as [JSON] {
      #expect(phase(text).object[path: ["status", "phase"]] == "Running", "\(text.text)")
    }
    #expect(phase("Succeeded").object[path: ["status", "phase"]] == "Succeeded")
    #expect(phase("Running").object[path: ["status", "phase"]] == "Succeeded")
  }

  /// A CronJob of each minute, at 10:00 and some seconds, whose last due time a client names.
  private func cron(last: String) throws -> APIHarness {
    let api = try APIHarness()
    let template: JSON = ["spec": Manifest.job("")["spec"] ?? .null]
    api.create(
      .cronjobs,
      [
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": ["name": "tick"],
        "spec": ["schedule": "* * * * *", "jobTemplate": template],
      ])
    let status: JSON = ["status": ["lastScheduleTime": .string(last)]]
    #expect(api.patch(.cronjobs, "tick", .merge, status, subresource: "status").code == 200)
    for _ in 0..<70 { api.wait(milliseconds: 1_000) }
    for _ in 0..<5 { api.step([.timer]) }
    return api
  }

  private func told(_ api: APIHarness, _ reason: String) -> String {
    let event = api.list(.events).items.first { $0["reason"]?.stringValue == reason }
    return event?["message"]?.stringValue ?? ""
  }

  @Test("a last run behind the end of all times is told of by its own year, and is no fault of the schedule")
  func endOfTimes() throws {
    let api = try cron(last: "9999-12-31T23:59:59Z")
    #expect(told(api, "LastScheduleInFuture").hasPrefix("No run before 9999-12-31T23:59:59Z"))
    #expect(told(api, "InvalidSchedule").isEmpty)
    let status = api.get(.cronjobs, "tick").object["status"]
    #expect(status?["lastScheduleTime"] == "9999-12-31T23:59:59Z")
    #expect(api.list(.jobs).items.isEmpty)
  }

  @Test("after a last run before all clocks the latest due time runs, and it is told that many were missed")
  func beginningOfTimes() throws {
    let api = try cron(last: "0001-01-01T00:00:01Z")
    #expect(!told(api, "TooManyMissedTimes").isEmpty)
    #expect(api.list(.jobs).items.count == 2)
  }

  @Test("of a node's extended resource there is a whole number", arguments: ["1.5", "100m"])
  func wholeDevices(_ text: String) throws {
    let cluster = try JobCluster()
    var options = APIOptions()
    options.patchKind = .merge
    let answer = cluster.ask(
      APIRequest(
        verb: .patch, kind: .nodes, name: "node-0", subresource: "status", options: options,
        body: ["status": ["capacity": ["example.com/gpu": .string(text)]]]))
    #expect(answer.code == 422 && answer.message.contains("must be an integer"), "\(answer.message)")
  }
}
