// Random lives of Jobs from seeds: whatever ends, fails, is lost, deleted, suspended, scaled or restarted, the
// counters are exact, the limits hold, and what the store would give back is what memory holds.

import ClusterProto
import Testing

@testable import CoordinatorCore

/// One random life, with the counters that it must lead to.
private struct JobLife {
  var driver: WorkloadsDriver
  var random: SplitMix64
  var succeeded: Int64 = 0
  var failed: Int64 = 0
  var isSuspended = false
  var held: [Pod] = []
  let policy: String

  init(seed: UInt64) throws {
    driver = try WorkloadsDriver(seed: seed)
    random = SplitMix64(seed: seed)
    policy = seed.isMultiple(of: 3) ? "Failed" : "TerminatingOrFailed"
    driver.createJob(
      "life",
      [
        "completions": 40, "parallelism": .int(Int64(1 + random.below(8))), "backoffLimit": 1_000_000,
        "podReplacementPolicy": .string(policy),
      ])
  }

  private func isCounted(_ pod: Pod) -> Bool {
    guard let now = driver.core.state.pods[pod.meta.key] else { return true }
    return !now.meta.finalizers.contains(JobNames.trackingFinalizer)
  }

  mutating func act() throws {
    let pods = driver.pods("life").filter { !$0.status.phase.isTerminal }
    let pod = pods.isEmpty ? nil : pods[Int(random.below(UInt64(pods.count)))]
    let settling = random.below(3) > 0
    switch random.below(14) {
    case 0...3: if let pod { end(pod, succeeded: true, lost: false, settling: settling) }
    case 4, 5: if let pod { end(pod, succeeded: false, lost: false, settling: settling) }
    case 6: if let pod { end(pod, succeeded: false, lost: true, settling: settling) }
    case 7: if let pod { driver.run(pod) }
    case 8: if let pod { delete(pod, held: random.below(2) == 0) }
    case 9: if let pod = held.popLast() { driver.letGo(pod) }
    case 10:
      isSuspended.toggle()
      driver.editJob("life", ["suspend": .bool(isSuspended)])
    case 11: driver.editJob("life", ["parallelism": .int(Int64(random.below(9)))])
    case 12:
      driver.settle()
      try driver.restart(away: Double(random.below(30)), seed: random.next())
    default: driver.advance(seconds: Double(random.below(700)))
    }
    driver.settle()
  }

  private mutating func end(_ pod: Pod, succeeded good: Bool, lost: Bool, settling: Bool) {
    if !isCounted(pod) {
      // A pod that was marked for deletion is a failure under the one policy, under the other its end decides.
      if good { succeeded += 1 } else if !lost { failed += 1 }
    }
    driver.end(pod, succeeded: good, lost: lost, settling: settling)
  }

  private mutating func delete(_ pod: Pod, held holding: Bool) {
    if pod.meta.deletionTimestamp == nil, !isCounted(pod) { failed += 1 }
    if holding {
      driver.holdBack(pod)
      held.append(pod)
    }
    driver.deletePod(pod)
  }

  /// Lets everything end well.
  mutating func finish() throws {
    for pod in held { driver.letGo(pod) }
    driver.editJob("life", ["suspend": false, "parallelism": 5])
    for _ in 0..<400 where try !driver.status("life").isFinished {
      if let pod = driver.activePods("life").first {
        end(pod, succeeded: true, lost: false, settling: true)
      } else {
        driver.advance(seconds: 700)
      }
    }
  }

  func check(_ note: Comment) throws {
    let job = try driver.job("life")
    let status = job.status
    #expect(status.succeeded == succeeded, note)
    #expect(status.failed == failed, note)
    #expect(status.active == Int64(driver.activePods("life").count), note)
    #expect(status.active <= job.spec.parallelism, note)
    #expect(status.ready <= status.active, note)
    #expect(!job.spec.suspend || status.active == 0, note)
    #expect((status.condition("Suspended")?.isTrue ?? false) == (isSuspended && !status.isFinished), note)
    let rebuilt = try driver.rebuilt()
    #expect(rebuilt.workloads.tallies == driver.core.workloads.tallies, note)
    #expect(rebuilt.workloads.contents == driver.core.workloads.contents, note)
    #expect(rebuilt.workloads.terminatedCount == driver.core.workloads.terminatedCount, note)
    #expect(
      rebuilt.workloads.memories["uid-life"]?.backoff ?? JobBackoff()
        == driver.core.workloads.memories["uid-life"]?.backoff ?? JobBackoff(), note)
    #expect(driver.storedObjects == driver.heldObjects, note)
  }
}

@Suite("Jobs: random lives")
struct WorkloadsPropertyTests {
  @Test("counters are exact, limits hold and the store equals memory, whatever happens", arguments: 1...10)
  func life(seed: Int) throws {
    var life = try JobLife(seed: UInt64(seed))
    for step in 0..<60 where try !life.driver.status("life").isFinished {
      try life.act()
      try life.check("seed \(seed), step \(step)")
    }
    life.isSuspended = false
    try life.finish()
    try life.check("seed \(seed), end")
    #expect(try life.driver.reason("life", "Complete") == "CompletionsReached")
    #expect(try life.driver.status("life").succeeded == 40)
    life.driver.deleteJob("life", .foreground)
    #expect(!life.driver.exists("life") && life.driver.pods().isEmpty)
    #expect(life.driver.core.workloads.tallies.isEmpty && life.driver.core.workloads.memories.isEmpty)
    #expect(life.driver.jobRecord("uid-life") == nil)
  }

  @Test("two runs of one seed write the same rows", arguments: [3, 8])
  func deterministic(seed: Int) throws {
    var texts: [[String: String]] = []
    for _ in 0..<2 {
      var life = try JobLife(seed: UInt64(seed))
      for _ in 0..<40 where try !life.driver.status("life").isFinished { try life.act() }
      texts.append(life.driver.storedObjects)
    }
    #expect(texts[0] == texts[1])
  }

  @Test("100 Jobs that fail at random end as their limits say, with every pod counted once", arguments: 1...3)
  func many(seed: Int) throws {
    var driver = try WorkloadsDriver(seed: UInt64(seed))
    var random = SplitMix64(seed: UInt64(seed))
    for number in 0..<100 {
      driver.createJob("job-\(number)", ["completions": 3, "parallelism": 2, "backoffLimit": .int(Int64(number % 4))])
    }
    for _ in 0..<300 {
      let open = driver.pods().filter { !$0.status.phase.isTerminal }
      if open.isEmpty {
        driver.advance(seconds: 601)
        if driver.pods().allSatisfy(\.status.phase.isTerminal) { break }
      }
      for pod in open { driver.end(pod, succeeded: random.below(4) > 0, settling: false) }
      driver.settle()
    }
    for number in 0..<100 {
      let status = try driver.status("job-\(number)")
      let pods = driver.pods("job-\(number)")
      #expect(status.isFinished, "job-\(number)")
      #expect(status.condition("Failed") != nil ? status.failed > number % 4 : status.succeeded == 3)
      #expect(status.succeeded == Int64(pods.filter { $0.status.phase == .succeeded }.count))
      #expect(status.failed >= Int64(pods.filter { $0.status.phase == .failed }.count))
      #expect(status.active == 0 && status.terminating == 0 && status.ready == 0)
    }
  }
}
