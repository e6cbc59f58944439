// Pauses and times to live of a Job's own: `stint.dev/backoff` and `stint.dev/ttl-seconds-after-failure`.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("pauses and times to live of a Job's own")
struct JobPauseRuleTests {
  private func pauses(_ text: String, seed: String = "u", _ count: Int64 = 6) throws -> [Int64] {
    let rule = try BackoffRule(text: text)
    return (1...count).map { rule.pause(after: $0, seed: seed) }
  }

  @Test("a rule's pauses grow by its factor up to its longest; what it leaves out is Kubernetes'")
  func grow() throws {
    #expect(try pauses("initial=1s,factor=3,max=20s") == [1_000, 3_000, 9_000, 20_000, 20_000, 20_000])
    #expect(try pauses("initial=500ms,factor=1.5", 4) == [500, 750, 1_125, 1_687])
    #expect(try pauses("max=15s") == [10_000, 15_000, 15_000, 15_000, 15_000, 15_000])
    #expect(try pauses("initial=0s") == [0, 0, 0, 0, 0, 0])
    #expect(try pauses("factor=1") == Array(repeating: 10_000, count: 6))
    #expect(BackoffRule.kubernetes.pause(after: Int64.max, seed: "") == 600_000)
  }

  @Test("jitter is on top, within its share and the longest pause, differs between Jobs, and is drawn alike each time")
  func jitter() throws {
    let text = "initial=10s,factor=1,jitter=0.5,max=12s"
    let one = try pauses(text, seed: "uid-1", 200)
    #expect(try one == pauses(text, seed: "uid-1", 200))
    #expect(try one != pauses(text, seed: "uid-2", 200))
    #expect(one.allSatisfy { (10_000...12_000).contains($0) } && Set(one).count > 50)
    #expect(one.max() == 12_000)
  }

  @Test(
    "a text that is no rule says what is wrong",
    arguments: [
      ("", "must be a list of"), ("initial", "must be a list of"), ("first=10s", "must be a list of"),
      ("initial=10s,", "must be a list of"), ("initial=10s,initial=5s", "initial stands twice"),
      ("initial=-1s", "initial must be a duration"), ("initial=10", "initial must be a duration"),
      ("max=9000h", "max must be a duration"), ("factor=0.5", "factor must be a number from 1 to 100"),
      ("factor=101", "factor must be a number"), ("factor=.", "factor must be a number"),
      ("jitter=1.1", "jitter must be a number from 0 to 1"), ("jitter=-1", "jitter must be a number"),
      ("initial=20m", "initial must be no longer than max"),
    ])
  func refused(_ text: String, _ why: String) {
    #expect { try BackoffRule(text: text) } throws: { ($0 as? BackoffRule.Problem)?.text.hasPrefix(why) == true }
  }

  @Test("a Job waits by its own rule, by the same one after a restart, and by a new one at once")
  func waits() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("j", annotations: [JobAnnotation.backoff: "initial=2s,factor=4,max=1m"])
    for wait in [2.0, 8, 32] {
      driver.end(try #require(driver.activePods("j").first), succeeded: false)
      driver.advance(seconds: wait - 1)
      try driver.restart()
      #expect(driver.activePods("j").isEmpty, "nothing may start before \(wait) s are over")
      driver.advance(seconds: 1)
      #expect(driver.activePods("j").count == 1, "the next pod is due after \(wait) s")
    }
    driver.end(try #require(driver.activePods("j").first), succeeded: false)
    driver.advance(seconds: 5)
    #expect(driver.activePods("j").isEmpty)
    driver.annotateJob("j", JobAnnotation.backoff, "initial=3s,factor=1")
    #expect(driver.activePods("j").count == 1)
  }

  @Test("each index waits by the rule")
  func indexes() throws {
    var driver = try WorkloadsDriver()
    driver.createJob(
      "j", annotations: [JobAnnotation.backoff: "initial=1s,factor=1"],
      [
        "completionMode": "Indexed", "completions": 2, "parallelism": 2, "backoffLimitPerIndex": 9, "backoffLimit": 100,
      ])
    for pod in driver.activePods("j") { driver.end(pod, succeeded: false) }
    #expect(driver.activePods("j").isEmpty)
    driver.advance(seconds: 1)
    #expect(driver.activePods("j").count == 2)
  }

  @Test("a failed Job goes after its own time, a completed one after Kubernetes' or never")
  func timeToLive() throws {
    var driver = try WorkloadsDriver()
    for (name, ttl) in [("fails", JSON.int(1_000)), ("completes", 20), ("stays", .null)] {
      driver.createJob(
        name, annotations: [JobAnnotation.ttlAfterFailure: "60"],
        ["ttlSecondsAfterFinished": ttl, "backoffLimit": 0])
      driver.end(try #require(driver.activePods(name).first), succeeded: name != "fails")
    }
    try driver.restart()
    driver.advance(seconds: 21)
    #expect(driver.exists("fails") && !driver.exists("completes") && driver.exists("stays"))
    driver.advance(seconds: 40)
    #expect(!driver.exists("fails") && driver.exists("stays"))
  }

  @Test("a time that a failed Job gets later counts from its failure, and one that is taken away keeps it")
  func laterTime() throws {
    var driver = try WorkloadsDriver()
    for name in ["a", "b"] {
      driver.createJob(name, ["backoffLimit": 0])
      driver.end(try #require(driver.activePods(name).first), succeeded: false)
    }
    driver.advance(seconds: 50)
    driver.annotateJob("a", JobAnnotation.ttlAfterFailure, "60")
    driver.annotateJob("b", JobAnnotation.ttlAfterFailure, "60")
    driver.annotateJob("b", JobAnnotation.ttlAfterFailure, nil)
    driver.advance(seconds: 11)
    #expect(!driver.exists("a") && driver.exists("b"))
  }
}
