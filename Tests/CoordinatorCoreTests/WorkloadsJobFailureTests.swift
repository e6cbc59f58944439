// How Jobs fail: limits, deadlines, backoff, two-phase finish, lost attempts, replacement policies.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Jobs: failing")
struct WorkloadsJobFailureTests {
  @Test("with Never the default Job fails after seven failed pods, with waits of 10 to 320 seconds between")
  func sevenFailures() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("fails")
    for wait in [10.0, 20, 40, 80, 160, 320] {
      driver.end(try #require(driver.activePods("fails").first), succeeded: false)
      driver.advance(seconds: wait - 1.5)
      #expect(driver.activePods("fails").isEmpty, "nothing may start before \(wait) s are over")
      driver.advance(seconds: 1.5)
      #expect(driver.activePods("fails").count == 1, "the next pod is due after \(wait) s")
      #expect(try driver.reason("fails", "Failed") == nil)
    }
    driver.end(try #require(driver.activePods("fails").first), succeeded: false)
    let status = try driver.status("fails")
    #expect(status.failed == 7 && driver.pods("fails").count == 7)
    #expect(status.conditions.map(\.type) == ["FailureTarget", "Failed"])
    #expect(status.conditions.allSatisfy { $0.reason == "BackoffLimitExceeded" })
    #expect(status.conditions.allSatisfy { $0.message == "Job has reached the specified backoff limit" })
    #expect(status.completionTime == nil)
    #expect(driver.events("fails").last == "BackoffLimitExceeded Job has reached the specified backoff limit")
    driver.advance(seconds: 2000)
    #expect(driver.pods("fails").count == 7)
  }

  @Test("the pause grows no further than ten minutes")
  func longestPause() throws {
    var backoff = JobBackoff()
    var pauses: [Int64] = []
    for _ in 0..<80 {
      backoff.failure(at: WallTime(nanoseconds: 1), boot: BootTime(milliseconds: 0))
      pauses.append(backoff.end(by: .kubernetes, seed: "")?.milliseconds ?? 0)
    }
    #expect(pauses.prefix(7) == [10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 600_000])
    #expect(pauses.last == 600_000)
    backoff.success()
    #expect(backoff.end(by: .kubernetes, seed: "") == nil)
  }

  @Test("a success after failures forgets the pause")
  func successResets() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("mixed", ["completions": 3])
    driver.end(try #require(driver.activePods("mixed").first), succeeded: false)
    driver.advance(seconds: 10)
    driver.end(try #require(driver.activePods("mixed").first), succeeded: false)
    driver.advance(seconds: 20)
    driver.end(try #require(driver.activePods("mixed").first), succeeded: true)
    #expect(driver.activePods("mixed").count == 1)
    #expect(driver.jobRecord("uid-mixed") == nil)
    driver.end(try #require(driver.activePods("mixed").first), succeeded: false)
    driver.advance(seconds: 9)
    #expect(driver.activePods("mixed").isEmpty)
    driver.advance(seconds: 1)
    #expect(driver.activePods("mixed").count == 1)
  }

  @Test("the pause survives a restart of the coordinator")
  func pauseSurvives() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("back")
    driver.end(try #require(driver.activePods("back").first), succeeded: false)
    driver.advance(seconds: 10)
    driver.end(try #require(driver.activePods("back").first), succeeded: false)
    driver.advance(seconds: 5)
    try driver.restart(away: 10)
    #expect(driver.activePods("back").isEmpty)
    driver.advance(seconds: 6)
    #expect(driver.activePods("back").count == 1)
    try driver.restart()
    #expect(driver.activePods("back").count == 1)
    #expect(try driver.status("back").failed == 2)
  }

  @Test("a node whose clock is an hour off does not shorten the pause", arguments: [-3600, 3600])
  func wrongClock(seconds: Int64) throws {
    var driver = try WorkloadsDriver()
    driver.createJob("clock")
    let wrong = driver.now.wall.adding(milliseconds: seconds * 1000)
    driver.end(try #require(driver.activePods("clock").first), succeeded: false, finishedAt: wrong)
    driver.advance(seconds: 8)
    #expect(driver.activePods("clock").isEmpty)
    driver.advance(seconds: 3)
    #expect(driver.activePods("clock").count == 1)
  }

  @Test("with OnFailure and a limit of 3 the third restart fails the Job, and its pod goes")
  func restartsReachLimit() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("restarts", restartPolicy: "OnFailure", ["backoffLimit": 3])
    let pod = try #require(driver.activePods("restarts").first)
    driver.setRestarts(pod, 2)
    #expect(try driver.status("restarts").conditions.isEmpty)
    driver.setRestarts(pod, 3)
    #expect(try driver.reason("restarts", "Failed") == "BackoffLimitExceeded")
    #expect(driver.pods("restarts").isEmpty)
    #expect(try driver.status("restarts").failed == 1)
    #expect(driver.events("restarts").contains("SuccessfulDelete Deleted pod: \(pod.meta.name)"))
  }

  @Test("with OnFailure and a limit of 0 the first restart fails the Job")
  func zeroLimit() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("strict", restartPolicy: "OnFailure", ["backoffLimit": 0])
    let pod = try #require(driver.activePods("strict").first)
    driver.setRestarts(pod, 0)
    #expect(try driver.status("strict").conditions.isEmpty)
    driver.setRestarts(pod, 1)
    #expect(try driver.reason("strict", "Failed") == "BackoffLimitExceeded")
  }

  @Test("restarts of several pods add up")
  func restartsAdd() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("sum", restartPolicy: "OnFailure", ["backoffLimit": 4, "completions": 2, "parallelism": 2])
    let pods = driver.activePods("sum")
    driver.setRestarts(pods[0], 2)
    driver.setRestarts(pods[1], 1)
    #expect(try driver.status("sum").conditions.isEmpty)
    driver.setRestarts(pods[1], 2)
    #expect(try driver.reason("sum", "Failed") == "BackoffLimitExceeded")
  }

  @Test("restarts of init containers count as well, those of a pod that has ended do not")
  func restartsOfInit() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("sum", restartPolicy: "OnFailure", ["backoffLimit": 3, "completions": 2, "parallelism": 2])
    let pods = driver.activePods("sum")
    driver.setRestarts(pods[0], 2)
    driver.end(pods[0], succeeded: true)
    driver.setRestarts(pods[1], 2)
    #expect(try driver.status("sum").conditions.isEmpty)
    driver.core.updatePod(pods[1].meta.key) { pod in
      pod.status.phase = .pending
      pod.status.initContainers = [
        ContainerStatus(
          name: "init", image: "busybox", state: .running(startedAt: pod.meta.creationTimestamp), restartCount: 1)
      ]
    }
    driver.settle()
    #expect(try driver.reason("sum", "Failed") == "BackoffLimitExceeded")
  }

  @Test("the deadline counts from the start, Pending time included, and its kills count as failed")
  func deadline() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("late", ["activeDeadlineSeconds": 30, "completions": 2, "parallelism": 2])
    let pods = driver.activePods("late")
    driver.run(pods[0])
    driver.advance(seconds: 29)
    #expect(try driver.status("late").conditions.isEmpty)
    driver.advance(seconds: 1)
    let status = try driver.status("late")
    #expect(try driver.reason("late", "Failed") == "DeadlineExceeded")
    #expect(status.condition("Failed")?.message == "Job was active longer than specified deadline")
    #expect(status.failed == 2 && status.active == 0 && status.completionTime == nil)
    #expect(driver.pods("late").isEmpty)
  }

  @Test("a deadline counts boot time: a wall clock set forward does not end the Job, a restart does not extend it")
  func deadlineClocks() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("clocks", ["activeDeadlineSeconds": 100])
    driver.now.wall = driver.now.wall.adding(milliseconds: 3_600_000)
    driver.advance(seconds: 50)
    #expect(try driver.status("clocks").conditions.isEmpty)
    driver.now.wall = driver.now.wall.adding(milliseconds: -3_600_000)
    driver.advance(seconds: 10)
    try driver.restart(away: 20)
    driver.advance(seconds: 18)
    #expect(try driver.status("clocks").conditions.isEmpty)
    driver.advance(seconds: 3)
    #expect(try driver.reason("clocks", "Failed") == "DeadlineExceeded")
  }

  @Test("a deadline set on a running Job takes effect, one taken away does not fire")
  func deadlineEdited() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("edited")
    driver.advance(seconds: 60)
    driver.editJob("edited", ["activeDeadlineSeconds": 70])
    driver.editJob("edited", ["activeDeadlineSeconds": .null])
    driver.advance(seconds: 60)
    #expect(try driver.status("edited").conditions.isEmpty)
    driver.editJob("edited", ["activeDeadlineSeconds": 70])
    #expect(try driver.reason("edited", "Failed") == "DeadlineExceeded")
  }

  @Test("the interim condition stands until the last pod has ended, then the terminal one comes")
  func twoPhases() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("phases", ["activeDeadlineSeconds": 10, "completions": 2, "parallelism": 2])
    let pods = driver.activePods("phases")
    driver.run(pods[0])
    driver.holdBack(pods[0])
    driver.advance(seconds: 10)
    var status = try driver.status("phases")
    #expect(status.conditions.map(\.type) == ["FailureTarget"])
    #expect(status.terminating == 1 && status.active == 0 && status.failed == 2)
    #expect(!driver.events("phases").contains { $0.hasPrefix("DeadlineExceeded") })
    driver.advance(seconds: 100)
    driver.letGo(pods[0])
    status = try driver.status("phases")
    #expect(status.conditions.map(\.type) == ["FailureTarget", "Failed"])
    #expect(status.terminating == 0 && status.failed == 2)
    #expect(driver.events("phases").last == "DeadlineExceeded Job was active longer than specified deadline")
  }

  @Test("a complete Job waits for a deleted pod that still ends")
  func completeWaits() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("waits")
    let first = try #require(driver.activePods("waits").first)
    driver.run(first)
    driver.holdBack(first)
    driver.deletePod(first)
    #expect(try driver.status("waits").failed == 1)
    #expect(try driver.status("waits").terminating == 1)
    driver.end(try #require(driver.activePods("waits").first), succeeded: true)
    #expect(try driver.status("waits").conditions.map(\.type) == ["SuccessCriteriaMet"])
    #expect(try driver.status("waits").completionTime == nil)
    driver.letGo(first)
    #expect(try driver.reason("waits", "Complete") == "CompletionsReached")
    #expect(try driver.status("waits").succeeded == 1)
  }

  @Test("a pod that is deleted by hand counts as failed at once and is replaced at once")
  func deletedByHand() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("hand")
    let first = try #require(driver.activePods("hand").first)
    driver.run(first)
    driver.holdBack(first)
    driver.deletePod(first)
    #expect(try driver.status("hand").failed == 1)
    #expect(driver.activePods("hand").count == 1)
    // Its end changes nothing any more, even a good one.
    driver.end(first, succeeded: true)
    driver.letGo(first)
    #expect(try driver.status("hand").failed == 1)
    #expect(try driver.status("hand").succeeded == 0)
    #expect(driver.pods("hand").count == 1)
  }

  @Test("podReplacementPolicy Failed replaces a deleted pod only after its end")
  func replacementFailed() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("patient", ["podReplacementPolicy": "Failed"])
    let first = try #require(driver.activePods("patient").first)
    driver.run(first)
    driver.holdBack(first)
    driver.end(first, succeeded: false, settling: false)
    driver.deletePod(first)
    #expect(try driver.status("patient").failed == 1)
    driver.letGo(first)
    driver.advance(seconds: 10)
    let second = try #require(driver.activePods("patient").first)
    // One that no node ever held has nobody to report its end: the controller ends it.
    driver.deletePod(second)
    #expect(try driver.status("patient").failed == 2)
    driver.advance(seconds: 20)
    #expect(driver.activePods("patient").count == 1)
  }

  @Test("attempts lost with their node are not charged: 20 of them leave failed at 0 and start no pause")
  func lostAttempts() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("lost", ["completions": 20, "parallelism": 20])
    for pod in driver.activePods("lost") { driver.end(pod, succeeded: false, lost: true, settling: false) }
    driver.settle()
    #expect(driver.activePods("lost").count == 20)
    #expect(try driver.status("lost").failed == 0)
    for pod in driver.activePods("lost") { driver.end(pod, succeeded: true) }
    let status = try driver.status("lost")
    #expect(status.succeeded == 20 && status.failed == 0)
    #expect(try driver.reason("lost", "Complete") == "CompletionsReached")
  }

  @Test("attempts that ended with the shutdown of their node are not charged, as those lost with it are not")
  func shutDownAttempts() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("stopped", ["backoffLimit": 0])
    let pod = try #require(driver.activePods("stopped").first)
    driver.end(pod, succeeded: false, disruption: "TerminationByKubelet")
    #expect(driver.activePods("stopped").count == 1)
    #expect(try driver.status("stopped").failed == 0)
    #expect(try driver.reason("stopped", "Failed") == nil)
  }

  @Test("a cluster that charges lost attempts counts them as Kubernetes does")
  func chargedAttempts() throws {
    var configuration = CoordinatorConfiguration()
    configuration.chargeLostAttempts = true
    var driver = try WorkloadsDriver(configuration)
    driver.createJob("charged", ["backoffLimit": 0])
    driver.end(try #require(driver.activePods("charged").first), succeeded: false, lost: true)
    #expect(try driver.reason("charged", "Failed") == "BackoffLimitExceeded")
    #expect(try driver.status("charged").failed == 1)
  }

  @Test("failures after the first success of a work queue fail it only above the limit")
  func workQueueLimit() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("queue", ["completions": .null, "parallelism": 4, "backoffLimit": 1])
    let pods = driver.activePods("queue")
    driver.end(pods[0], succeeded: true)
    driver.end(pods[1], succeeded: false)
    #expect(try driver.status("queue").conditions.isEmpty)
    driver.end(pods[2], succeeded: false)
    #expect(try driver.reason("queue", "Failed") == "BackoffLimitExceeded")
    #expect(try driver.status("queue").failed == 3)
  }

  @Test("a lower backoffLimit of a live Job counts at once")
  func limitEdited() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("raise", ["backoffLimit": 1])
    driver.end(try #require(driver.activePods("raise").first), succeeded: false)
    driver.editJob("raise", ["backoffLimit": 0])
    #expect(try driver.reason("raise", "Failed") == "BackoffLimitExceeded")
  }
}
