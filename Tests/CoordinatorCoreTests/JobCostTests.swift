// What the Job controller looks at when something of a Job changes: what changed, however many pods and indexes the Job
// has. Counted in looks at pods and indexes, not in time.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("cost of a Job's changes")
struct JobCostTests {
  private func started(_ spec: [String: JSON]) throws -> WorkloadsDriver {
    var driver = try WorkloadsDriver()
    driver.createJob("many", spec)
    return driver
  }

  /// Looks that the controller takes while so many active pods end, one after another, at random places.
  private func looks(_ driver: inout WorkloadsDriver, ends: Int, failing: (Int64) -> Bool = { _ in false }) throws
    -> Int
  {
    var seed: UInt64 = 7
    let before = driver.core.workloads.looked
    for _ in 0..<ends {
      seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let active = Array(try #require(driver.core.workloads.tallies["uid-many"]).active)
      let key = try #require(active.isEmpty ? nil : active[Int((seed >> 33) % UInt64(active.count))])
      let pod = try #require(driver.core.state.pods[key])
      driver.end(pod, succeeded: !failing(Slot.index(of: pod) ?? 0))
    }
    return driver.core.workloads.looked - before
  }

  @Test("the next index costs what became free, whether 200 indexes are done or 2,000, of 100 that run or of 500")
  func nextIndex() throws {
    for (done, parallelism) in [(200, 100), (2_000, 100), (200, 500)] as [(Int, Int64)] {
      var driver = try started([
        "completionMode": "Indexed", "completions": 20_000, "parallelism": .int(parallelism),
      ])
      _ = try looks(&driver, ends: done)
      let cost = try looks(&driver, ends: 50)
      #expect(cost <= 50 * 4, "\(cost) looks for 50 ends after \(done) of \(parallelism) at once")
    }
  }

  @Test("it costs the same where every second index has failed for good")
  func fragments() throws {
    var driver = try started([
      "completionMode": "Indexed", "completions": 20_000, "parallelism": 100, "backoffLimitPerIndex": 0,
      "backoffLimit": 2_147_483_647,
    ])
    _ = try looks(&driver, ends: 1_500) { $0 % 2 == 1 }
    let cost = try looks(&driver, ends: 50) { $0 % 2 == 1 }
    #expect(cost <= 50 * 4, "\(cost) looks for 50 ends")
  }

  @Test("indexes that pause are not looked at until their pauses are over, and all come back then")
  func pauses() throws {
    var driver = try started([
      "completionMode": "Indexed", "completions": 1_000, "parallelism": 600, "backoffLimitPerIndex": 3,
      "backoffLimit": 2_147_483_647,
    ])
    _ = try looks(&driver, ends: 500) { _ in true }
    let cost = try looks(&driver, ends: 50) { _ in true }
    #expect(cost <= 50 * 5, "\(cost) looks for 50 ends beside 500 pauses")
    #expect(driver.activePods("many").count == 50, "those that pause keep their places")
    driver.advance(seconds: 11)
    #expect(driver.activePods("many").count == 600)
  }

  @Test("deleted pods that a Job waits for are looked at once, however many other pods end meanwhile")
  func waitedFor() throws {
    var costs: [Int] = []
    for waiting in [10, 300] {
      var harness = try FleetHarness()
      var agent = FakeAgent("a")
      agent.capacity = NodeCapacity(cpuMillicores: 4_000, memoryBytes: 8 << 30, pods: 1_000)
      harness.join(agent)
      let spec: JSON = [
        "parallelism": 400, "completions": 1_000, "podReplacementPolicy": "Failed", "backoffLimit": 1_000,
        "template": ["spec": ["restartPolicy": "Never", "containers": [["name": "c", "command": ["true"]]]]],
      ]
      var meta = ObjectMeta()
      meta.namespace = "default"
      meta.name = "many"
      harness.core.insert(.job(Job(meta: meta, spec: JobSpec(json: spec))))
      harness.step([])
      let attempts = harness.core.fleet.attempts.keys.sorted()
      #expect(attempts.count == 400)
      for number in attempts.prefix(waiting) {
        harness.core.deletePod(try #require(harness.core.fleet.attempts[number]).pod, graceSeconds: 1_000)
      }
      harness.step([])
      let key = ObjectKey(namespace: "default", name: "many")
      #expect(harness.core.state.jobs[key]?.status.terminating == Int64(waiting))
      let before = harness.core.workloads.looked
      for number in attempts.suffix(20) { harness.report("a", number, revision: 1, .succeeded) }
      costs.append(harness.core.workloads.looked - before)
      for number in attempts.prefix(waiting) { harness.report("a", number, revision: 1, .failed) }
      let status = try #require(harness.core.state.jobs[key]).status
      #expect(status.terminating == 0 && status.failed == Int64(waiting) && status.succeeded == 20)
    }
    #expect(costs[1] <= costs[0] + 10, "\(costs) looks for 20 ends beside 10 and 300 deleted pods")
  }

  @Test("a lower parallelism puts the pods in order once, however many turns their deletion takes")
  func surplus() throws {
    var driver = try started(["completions": 2_000, "parallelism": 1_000])
    let before = driver.core.workloads.looked
    let newest = Set(driver.activePods("many").map(\.meta.name))
    driver.editJob("many", ["parallelism": 100])
    #expect(driver.activePods("many").count == 100 && newest.isSuperset(of: driver.activePods("many").map(\.meta.name)))
    #expect(driver.core.workloads.looked - before <= 1_000 + 100)
    driver.editJob("many", ["parallelism": 200])
    driver.editJob("many", ["parallelism": 50])
    #expect(driver.activePods("many").count == 50)
  }

  @Test("pods of no index that come to a Job are found as they come, not among all that run")
  func strangers() throws {
    for parallelism: Int64 in [20, 400] {
      var driver = try started(["completionMode": "Indexed", "completions": 1_000, "parallelism": .int(parallelism)])
      let before = driver.core.workloads.looked
      for number in 0..<5 {
        _ = driver.createPod(
          "stranger-\(number)", labels: try driver.job("many").spec.templateLabels,
          owners: [try driver.job("many").controllerReference])
      }
      #expect(driver.activePods("many").count == Int(parallelism) && driver.pods().count == Int(parallelism))
      let cost = driver.core.workloads.looked - before
      #expect(cost <= 5 * 4, "\(cost) looks for 5 pods beside \(parallelism)")
    }
  }

  @Test("an elastic Job that shrinks orders no pod's deletion twice, however many turns it takes")
  func shrinks() throws {
    var driver = try started(["completionMode": "Indexed", "completions": 900, "parallelism": 900])
    let before = driver.core.workloads.looked
    driver.editJob("many", ["completions": 10, "parallelism": 10])
    #expect(driver.activePods("many").compactMap { Slot.index(of: $0) }.sorted() == Array(0..<10))
    #expect(driver.core.workloads.looked - before <= 1_000, "\(driver.core.workloads.looked - before)")
  }

  @Test("a pod that nobody has is held against the Jobs that ask for its labels, not against all of the namespace")
  func adopters() throws {
    for others in [3, 300] {
      var driver = try WorkloadsDriver()
      for number in 0..<others { manual(&driver, "other-\(number)", ["app": .string("other-\(number)")]) }
      manual(&driver, "mine", ["app": "mine"])
      let before = driver.core.workloads.looked
      _ = driver.createPod("found", labels: ["app": "mine", "b": "c"])
      #expect(driver.events("mine").contains("SuccessfulDelete Deleted pod: found"), "it is suspended")
      let cost = driver.core.workloads.looked - before
      #expect(cost <= 6, "\(cost) looks beside \(others) Jobs")
    }
  }

  @Test("a new Job with a selector of its own looks at pods that nobody has, not at all of the namespace")
  func orphans() throws {
    var driver = try started(["completions": 300, "parallelism": 300])
    _ = driver.createPod("orphan", labels: ["app": "mine"])
    let before = driver.core.workloads.looked
    manual(&driver, "mine", ["app": "mine"])
    #expect(driver.events("mine").contains("SuccessfulDelete Deleted pod: orphan"), "it is suspended")
    #expect(driver.core.workloads.looked - before <= 6, "\(driver.core.workloads.looked - before)")
  }

  private func manual(_ driver: inout WorkloadsDriver, _ name: String, _ labels: JSON) {
    driver.createJob(name, ["manualSelector": true, "selector": ["matchLabels": labels], "suspend": true])
  }

  @Test("an elastic Job that shrinks and grows, is suspended and goes on, gives each index its pod again")
  func elastic() throws {
    var driver = try started(["completionMode": "Indexed", "completions": 40, "parallelism": 40])
    _ = try looks(&driver, ends: 15)
    driver.editJob("many", ["completions": 10, "parallelism": 10])
    driver.editJob("many", ["completions": 30, "parallelism": 30])
    driver.editJob("many", ["suspend": true])
    driver.editJob("many", ["suspend": false])
    let job = try driver.job("many")
    #expect(driver.core.forgottenIndex(of: job) == nil)
    #expect(Int64(driver.activePods("many").count) == 30 - job.status.succeeded)
    while try driver.status("many").condition("Complete") == nil { _ = try looks(&driver, ends: 1) }
    #expect(try driver.status("many").json["completedIndexes"] == "0-29")
  }

  @Test("of the lowest pending indexes those that pause keep their places, and a lower one that is due goes first")
  func places() {
    var vacancies = IndexVacancies()
    let now = BootTime(milliseconds: 1_000)
    var pauses: [Int64: BootTime] = [1: now + 500, 2: now + 900]
    func next(_ count: Int64, places: Int64, at time: BootTime) -> [Int64] {
      let pauses = pauses
      return vacancies.next(count, places: places, below: 6, at: time, end: { $0 == 3 ? 3 : nil }) { pauses[$0] }
    }
    #expect(next(9, places: 2, at: now) == [0], "1 pauses and has the second place")
    #expect(next(9, places: 4, at: now) == [0, 4])
    #expect(next(9, places: 9, at: now) == [0, 4, 5])
    #expect(vacancies.nextEnd() == now + 500)
    pauses[1] = nil
    #expect(next(9, places: 3, at: now + 500) == [0, 1], "2 still pauses and has the third place")
    vacancies.fill(0)
    vacancies.fill(1)
    #expect(next(1, places: 9, at: now + 500) == [4])
    pauses[2] = nil
    vacancies.free(2)
    #expect(next(9, places: 9, at: now + 500) == [2, 4, 5])
  }

  @Test("members from an index on and below it are found as in a plain set", arguments: 1...5)
  func intervals(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var intervals = IndexIntervals()
    var plain: Set<Int64> = []
    for _ in 0..<400 {
      let index = Int64(random.next() % 120)
      if random.next() % 3 == 0 {
        intervals.remove(index)
        plain.remove(index)
      } else {
        intervals.insert(index)
        plain.insert(index)
      }
      let asked = Int64(random.next() % 125)
      let inverted = intervals.inverted(below: asked)
      #expect(
        inverted == IndexIntervals(text: inverted.text) && inverted.count == asked - intervals.count(below: asked))
      var all = inverted
      all.formUnion(intervals)
      #expect(all.count(below: asked) == asked && all.count == asked + Int64(plain.filter { $0 >= asked }.count))
      #expect(intervals.next(from: asked) == plain.filter { $0 >= asked }.min())
      #expect(intervals.count(below: asked) == Int64(plain.filter { $0 < asked }.count))
    }
  }

  @Test("100,000 indexes that end in any order among 500 keep the status under 64 KB")
  func smallStatus() {
    var random = SplitMix64(seed: 7)
    var completed = IndexIntervals()
    var running = Array(Int64(0)..<500)
    var next: Int64 = 500
    var longest = 0
    while !running.isEmpty {
      completed.insert(running.remove(at: Int(random.next() % UInt64(running.count))))
      if next < 100_000 {
        running.append(next)
        next += 1
      }
      if completed.count % 100 == 0 { longest = max(longest, completed.text.utf8.count) }
    }
    #expect(completed.text == "0-99999")
    #expect(longest > 1_000 && longest < 16_000, "\(longest) bytes")
  }
}
