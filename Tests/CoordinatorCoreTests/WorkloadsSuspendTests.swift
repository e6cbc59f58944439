// Suspending, resuming, parallelism changes, TTL and limits on what is kept.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Jobs: suspend, scale, expire")
struct WorkloadsSuspendTests {
  @Test("a Job created suspended makes no pod, has no start and says so once")
  func createdSuspended() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("susp", ["suspend": true, "activeDeadlineSeconds": 5])
    driver.advance(seconds: 60)
    let status = try driver.status("susp")
    #expect(driver.pods().isEmpty && status.startTime == nil)
    #expect(status.conditions.map(\.type) == ["Suspended"])
    #expect(status.condition("Suspended")?.reason == "JobSuspended")
    #expect(status.condition("Suspended")?.message == "Job suspended")
    #expect(driver.events("susp") == ["Suspended Job suspended"])
  }

  @Test("resuming starts the clock anew: startTime, deadline, condition and event")
  func resume() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("susp", ["suspend": true, "activeDeadlineSeconds": 30])
    driver.advance(seconds: 100)
    driver.editJob("susp", ["suspend": false])
    #expect(driver.activePods("susp").count == 1)
    #expect(try driver.status("susp").startTime == driver.core.stamp)
    let condition = try #require(try driver.status("susp").condition("Suspended"))
    #expect(condition.status == "False" && condition.reason == "JobResumed" && condition.message == "Job resumed")
    #expect(driver.events("susp").prefix(2) == ["Suspended Job suspended", driver.events("susp")[1]])
    #expect(driver.events("susp").contains("Resumed Job resumed"))
    driver.advance(seconds: 28)
    #expect(try driver.reason("susp", "Failed") == nil)
    driver.advance(seconds: 3)
    #expect(try driver.reason("susp", "Failed") == "DeadlineExceeded")
  }

  @Test("suspending deletes the pods, counts none as failed and leaves the backoff alone")
  func suspendRunning() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("runs", ["completions": 4, "parallelism": 2])
    driver.end(try #require(driver.activePods("runs").first), succeeded: true)
    let pods = driver.activePods("runs")
    driver.run(pods[0])
    driver.editJob("runs", ["suspend": true])
    var status = try driver.status("runs")
    #expect(status.active == 0 && status.failed == 0 && status.succeeded == 1 && status.startTime == nil)
    #expect(driver.activePods("runs").isEmpty)
    #expect(driver.jobRecord("uid-runs") == nil)
    #expect(driver.events("runs").contains("SuccessfulDelete Deleted pod: \(pods[0].meta.name)"))
    driver.editJob("runs", ["suspend": false])
    while let pod = driver.activePods("runs").first { driver.end(pod, succeeded: true) }
    status = try driver.status("runs")
    #expect(status.succeeded == 4 && status.failed == 0)
    #expect(try driver.reason("runs", "Complete") == "CompletionsReached")
  }

  @Test("a pod that ends well while it is being suspended away is not counted")
  func suspendedPodEnds() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("away")
    let pod = try #require(driver.activePods("away").first)
    driver.run(pod)
    driver.holdBack(pod)
    driver.editJob("away", ["suspend": true])
    #expect(try driver.status("away").terminating == 1)
    driver.end(pod, succeeded: true)
    driver.letGo(pod)
    let status = try driver.status("away")
    #expect(status.succeeded == 0 && status.failed == 0 && status.terminating == 0)
    #expect(driver.pods("away").isEmpty)
  }

  @Test("a Job that was never suspended has no Suspended condition")
  func neverSuspended() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("plain")
    driver.editJob("plain", ["parallelism": 1])
    #expect(try driver.status("plain").conditions.isEmpty)
  }

  @Test("lower parallelism takes pending pods before running ones and counts none as failed")
  func scaleDown() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("scale", ["completions": 9, "parallelism": 4])
    let pods = driver.activePods("scale")
    driver.run(pods[1])
    driver.advance(seconds: 5)
    driver.run(pods[2], ready: false)
    driver.editJob("scale", ["parallelism": 2])
    #expect(driver.activePods("scale").map(\.meta.name) == [pods[1].meta.name, pods[2].meta.name])
    driver.editJob("scale", ["parallelism": 1])
    #expect(driver.activePods("scale").map(\.meta.name) == [pods[1].meta.name])
    #expect(try driver.status("scale").failed == 0)
    driver.editJob("scale", ["parallelism": 0])
    #expect(driver.activePods("scale").isEmpty)
    #expect(try driver.status("scale").conditions.isEmpty)
    driver.editJob("scale", ["parallelism": 3])
    #expect(driver.activePods("scale").count == 3)
  }

  @Test("a finished Job and its pods go when its TTL is over, in the foreground")
  func ttl() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("brief", ["ttlSecondsAfterFinished": 10])
    let pod = try #require(driver.activePods("brief").first)
    driver.advance(seconds: 100)
    driver.holdBack(pod)
    driver.end(pod, succeeded: true)
    driver.advance(seconds: 9)
    #expect(try driver.job("brief").meta.deletionTimestamp == nil)
    driver.advance(seconds: 1)
    #expect(try driver.job("brief").meta.finalizers == ["foregroundDeletion"])
    driver.letGo(pod)
    #expect(!driver.exists("brief") && driver.pods().isEmpty)
  }

  @Test("a TTL of 0 takes the Job at once, a failed one too; one without a TTL stays")
  func ttlZero() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("zero", ["ttlSecondsAfterFinished": 0, "backoffLimit": 0])
    driver.createJob("stays")
    for name in ["zero", "stays"] {
      driver.end(try #require(driver.activePods(name).first), succeeded: false)
    }
    #expect(!driver.exists("zero") && driver.pods("zero").isEmpty)
    driver.advance(seconds: 100_000)
    #expect(driver.exists("stays"))
  }

  @Test("a TTL is counted across a restart, and can be set or taken away after the finish")
  func ttlRestart() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("late", ["ttlSecondsAfterFinished": 100])
    driver.end(try #require(driver.activePods("late").first), succeeded: true)
    try driver.restart(away: 95)
    #expect(driver.exists("late"))
    driver.editJob("late", ["ttlSecondsAfterFinished": .null])
    driver.advance(seconds: 100)
    #expect(driver.exists("late"))
    driver.editJob("late", ["ttlSecondsAfterFinished": 100])
    #expect(!driver.exists("late"))
  }

  @Test("ended pods above the limit go, oldest first, counted or not")
  func terminatedLimit() throws {
    var configuration = CoordinatorConfiguration()
    configuration.terminatedPodLimit = 3
    var driver = try WorkloadsDriver(configuration)
    driver.createJob("many", ["completions": 8])
    var names: [String] = []
    while let pod = driver.activePods("many").first {
      names.append(pod.meta.name)
      driver.advance(seconds: 1)
      driver.end(pod, succeeded: true)
    }
    #expect(try driver.status("many").succeeded == 8)
    #expect(Set(driver.pods("many").map(\.meta.name)) == Set(names.suffix(3)))
    try driver.restart()
    #expect(driver.pods("many").count == 3)
  }

  @Test("pods that still hold on while they are collected do not drag others along")
  func terminatedHeld() throws {
    var configuration = CoordinatorConfiguration()
    configuration.terminatedPodLimit = 2
    var driver = try WorkloadsDriver(configuration)
    driver.createJob("held", ["completions": 4])
    while let pod = driver.activePods("held").first {
      driver.holdBack(pod)
      driver.advance(seconds: 1)
      driver.end(pod, succeeded: true)
    }
    #expect(driver.pods("held").filter { $0.meta.deletionTimestamp == nil }.count == 2)
  }

  @Test("pods of a node that is gone end after the quarantine, and their Job replaces them")
  func missingNode() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("lonely")
    let pod = try #require(driver.activePods("lonely").first)
    driver.core.updatePod(pod.meta.key) { $0.nodeName = "gone" }
    driver.run(pod)
    driver.advance(seconds: 39)
    #expect(driver.activePods("lonely").map(\.meta.name) == [pod.meta.name])
    driver.advance(seconds: 1)
    #expect(!driver.pods("lonely").contains { $0.meta.name == pod.meta.name })
    #expect(try driver.status("lonely").failed == 1)
    driver.advance(seconds: 11)
    #expect(driver.activePods("lonely").count == 1)
  }

  @Test("a missing node is found again after a restart")
  func missingNodeRestart() throws {
    var driver = try WorkloadsDriver()
    let pod = driver.createPod("bare", node: "gone")
    try driver.restart()
    driver.advance(seconds: 41)
    #expect(driver.core.state.pods[pod.meta.key] == nil)
  }

  @Test("who may be assigned: not the pods of a suspended, finished or deleted Job; a bare pod always")
  func assignability() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("open")
    let pod = try #require(driver.activePods("open").first)
    #expect(driver.core.assignability(of: pod) == .free)
    let bare = driver.createPod("bare")
    #expect(driver.core.assignability(of: bare) == .free)
    driver.holdBack(pod)
    driver.editJob("open", ["suspend": true])
    #expect(driver.core.assignability(of: pod) == .jobIsFull)
    driver.editJob("open", ["suspend": false, "parallelism": 0])
    #expect(driver.core.assignability(of: pod) == .jobIsFull)
    driver.editJob("open", ["parallelism": 1])
    #expect(driver.core.assignability(of: pod) == .free)
    driver.end(try #require(driver.activePods("open").first), succeeded: true)
    #expect(driver.core.assignability(of: pod) == .jobIsFull)
    driver.deleteJob("open", .foreground)
    #expect(driver.core.assignability(of: pod) == .jobIsFull)
  }
}
