// podFailurePolicy, successPolicy and managedBy: what a pod's end and an index's success mean for the Job.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Jobs: policies")
struct WorkloadsPolicyTests {
  private func pod(_ driver: WorkloadsDriver, _ job: String, _ index: Int = 0) throws -> Pod {
    let pods = driver.activePods(job)
    return try #require(pods.first { $0.meta.annotations[Slot.indexAnnotation] ?? "0" == String(index) })
  }

  private func job(_ rules: JSON, _ members: [String: JSON] = [:]) throws -> WorkloadsDriver {
    var driver = try WorkloadsDriver(chargedConfiguration)
    var spec = members
    spec["podFailurePolicy"] = ["rules": rules]
    spec["podReplacementPolicy"] = "Failed"
    driver.createJob("ruled", spec)
    return driver
  }

  private var chargedConfiguration: CoordinatorConfiguration {
    var configuration = CoordinatorConfiguration()
    configuration.chargeLostAttempts = true
    return configuration
  }

  private static let indexed: [String: JSON] = [
    "completionMode": "Indexed", "completions": 4, "parallelism": 4, "backoffLimit": 2_147_483_647,
  ]

  @Test("FailJob on an exit code ends the Job at once and names container, pod, code and rule")
  func failJobByCode() throws {
    var driver = try job([
      ["action": "Ignore", "onExitCodes": ["operator": "In", "values": [7]]],
      ["action": "FailJob", "onExitCodes": ["containerName": "main", "operator": "In", "values": [1, 42]]],
    ])
    let failed = try pod(driver, "ruled")
    driver.end(failed, succeeded: false)
    let status = try driver.status("ruled")
    #expect(status.conditions.map(\.type) == ["FailureTarget", "Failed"])
    #expect(status.conditions.allSatisfy { $0.reason == "PodFailurePolicy" })
    #expect(
      status.condition("Failed")?.message == "Container main for pod default/\(failed.meta.name) failed with exit code "
        + "1 matching FailJob rule at index 1")
    #expect(status.failed == 1)
    #expect(driver.events("ruled").last?.hasPrefix("PodFailurePolicy Container main") == true)
  }

  @Test("FailJob on a condition names the condition; the Job is Failed when its last pod has ended")
  func failJobByCondition() throws {
    var driver = try job(
      [["action": "FailJob", "onPodConditions": [["type": "DisruptionTarget", "status": "True"]]]],
      ["completions": 2, "parallelism": 2])
    let pods = driver.activePods("ruled")
    driver.holdBack(pods[1])
    driver.run(pods[1])
    driver.end(pods[0], succeeded: false, disruption: "EvictionByEvictionAPI")
    #expect(
      try driver.status("ruled").condition("FailureTarget")?.message
        == "Pod default/\(pods[0].meta.name) has condition DisruptionTarget matching FailJob rule at index 0")
    driver.letGo(pods[1])
    #expect(try driver.reason("ruled", "Failed") == "PodFailurePolicy")
    #expect(try driver.status("ruled").failed == 2)
  }

  @Test("Ignore of disruptions: the pod is replaced and failed stays 0")
  func ignore() throws {
    var driver = try job(
      [["action": "Ignore", "onPodConditions": [["type": "DisruptionTarget"]]]], ["backoffLimit": 0])
    for reason in ["DeletionByTaintManager", "EvictionByEvictionAPI", "PreemptionByScheduler"] {
      driver.end(try pod(driver, "ruled"), succeeded: false, disruption: reason)
      driver.advance(seconds: 600)
    }
    driver.end(try pod(driver, "ruled"), succeeded: true)
    let status = try driver.status("ruled")
    #expect(status.failed == 0 && status.succeeded == 1)
    #expect(try driver.reason("ruled", "Complete") == "CompletionsReached")
  }

  @Test("Count ends the search for a rule, and no rule at all counts too")
  func count() throws {
    var driver = try job(
      [
        ["action": "Count", "onExitCodes": ["operator": "In", "values": [1]]],
        ["action": "Ignore", "onExitCodes": ["operator": "NotIn", "values": [99]]],
      ], ["backoffLimit": 0])
    driver.end(try pod(driver, "ruled"), succeeded: false)
    #expect(try driver.reason("ruled", "Failed") == "BackoffLimitExceeded")
    var other = try job(
      [["action": "Ignore", "onExitCodes": ["operator": "NotIn", "values": [1]]]], ["backoffLimit": 0])
    other.end(try pod(other, "ruled"), succeeded: false)
    #expect(try other.reason("ruled", "Failed") == "BackoffLimitExceeded")
  }

  @Test("a rule for another container, for exit code 0 or for a condition that is False says nothing")
  func noMatch() {
    var status = PodStatus()
    func terminated(_ name: String, _ code: Int64) -> ContainerStatus {
      ContainerStatus(
        name: name, image: "none",
        state: .terminated(
          ContainerState.Termination(
            exitCode: code, reason: "Error", startedAt: WallTime(nanoseconds: 0), finishedAt: WallTime(nanoseconds: 0)))
      )
    }
    status.containers = [terminated("main", 3), terminated("side", 0)]
    status.initContainers = [terminated("prepare", 9)]
    status.set(Condition(type: "DisruptionTarget", status: "False", lastTransition: WallTime(nanoseconds: 0)))
    func finding(_ rule: JSON) -> PodFailureRule.Finding? { PodFailureRule(json: rule).finding(in: status) }
    #expect(finding(["onExitCodes": ["containerName": "side", "operator": "NotIn", "values": [3]]]) == nil)
    #expect(finding(["onExitCodes": ["operator": "In", "values": [4]]]) == nil)
    #expect(finding(["onPodConditions": [["type": "DisruptionTarget", "status": "True"]]]) == nil)
    #expect(
      finding(["onPodConditions": [["type": "DisruptionTarget", "status": "False"]]]) == .condition("DisruptionTarget"))
    #expect(
      finding(["onExitCodes": ["operator": "NotIn", "values": [3]]]) == .container(name: "prepare", exitCode: 9))
    #expect(finding(["onExitCodes": ["operator": "In", "values": [3, 9]]]) == .container(name: "main", exitCode: 3))
  }

  @Test("FailIndex fails the index without another attempt, and the others go on")
  func failIndex() throws {
    var members = Self.indexed
    members["backoffLimitPerIndex"] = 5
    var driver = try job([["action": "FailIndex", "onExitCodes": ["operator": "In", "values": [1]]]], members)
    driver.end(try pod(driver, "ruled", 2), succeeded: false)
    driver.advance(seconds: 60)
    let status = try driver.status("ruled")
    #expect(status.json["failedIndexes"] == "2" && status.failed == 1 && status.active == 3)
  }

  @Test("an ignored failure of an index counts in an annotation of its own and never fails the index")
  func ignoredOfIndex() throws {
    var members = Self.indexed
    members["backoffLimitPerIndex"] = 0
    var driver = try job([["action": "Ignore", "onExitCodes": ["operator": "In", "values": [1]]]], members)
    for wait in [10.0, 20, 40] {
      driver.end(try pod(driver, "ruled"), succeeded: false)
      driver.advance(seconds: wait - 1)
      #expect(driver.activePods("ruled").count == 3)
      driver.advance(seconds: 1)
    }
    let annotations = try pod(driver, "ruled").meta.annotations
    #expect(annotations[Slot.failuresAnnotation] == "0" && annotations[Slot.ignoredAnnotation] == "3")
    #expect(try driver.status("ruled").failed == 0)
  }

  @Test("no rule is about a pod that has not failed, whatever its conditions say")
  func onlyFailed() throws {
    var driver = try job(
      [["action": "FailJob", "onPodConditions": [["type": "DisruptionTarget", "status": "True"]]]],
      ["completions": 2, "parallelism": 2])
    let pods = driver.activePods("ruled")
    for pod in pods {
      driver.core.updatePod(pod.meta.key) { pod in
        pod.status.set(
          Condition(type: "DisruptionTarget", status: "True", lastTransition: pod.meta.creationTimestamp))
      }
    }
    driver.run(pods[1])
    driver.advance(seconds: 600)
    #expect(try driver.status("ruled").conditions.isEmpty && driver.status("ruled").failed == 0)
    driver.end(pods[1], succeeded: false)
    #expect(try driver.reason("ruled", "FailureTarget") == "PodFailurePolicy")
  }

  // MARK: successPolicy

  private func succeeding(_ rules: JSON) throws -> WorkloadsDriver {
    var driver = try WorkloadsDriver()
    var members = Self.indexed
    members["backoffLimit"] = 6
    members["successPolicy"] = ["rules": rules]
    driver.createJob("lead", members)
    return driver
  }

  @Test("the Job succeeds when a rule's indexes have, and what still runs is ended and counts as nothing")
  func successByIndexes() throws {
    var driver = try succeeding([["succeededIndexes": "3"], ["succeededIndexes": "0,2"]])
    driver.end(try pod(driver, "lead", 0), succeeded: true)
    #expect(try driver.reason("lead", "SuccessCriteriaMet") == nil)
    driver.end(try pod(driver, "lead", 2), succeeded: true)
    let status = try driver.status("lead")
    #expect(status.conditions.map(\.type) == ["SuccessCriteriaMet", "Complete"])
    #expect(status.conditions.allSatisfy { $0.reason == "SuccessPolicy" && $0.message == "Matched rules at index 1" })
    #expect(status.succeeded == 2 && status.failed == 0 && status.json["completedIndexes"] == "0,2")
    #expect(status.completionTime != nil && driver.activePods("lead").isEmpty)
    #expect(driver.events("lead").last == "Completed Job completed")
  }

  @Test("succeededCount alone means any so many indexes, and beside indexes so many of those")
  func successByCount() throws {
    var driver = try succeeding([["succeededCount": 2]])
    driver.end(try pod(driver, "lead", 3), succeeded: true)
    #expect(try driver.reason("lead", "SuccessCriteriaMet") == nil)
    driver.end(try pod(driver, "lead", 1), succeeded: true)
    #expect(try driver.reason("lead", "Complete") == "SuccessPolicy")
    var some = try succeeding([["succeededIndexes": "0-2", "succeededCount": 1]])
    some.end(try pod(some, "lead", 3), succeeded: true)
    #expect(try some.reason("lead", "SuccessCriteriaMet") == nil)
    some.end(try pod(some, "lead", 2), succeeded: true)
    #expect(try some.reason("lead", "Complete") == "SuccessPolicy")
  }

  @Test("a Job that has met its criteria is Complete only when its lingering pods have ended")
  func lingering() throws {
    var driver = try succeeding([["succeededCount": 1]])
    let slow = try pod(driver, "lead", 1)
    driver.run(slow)
    driver.holdBack(slow)
    driver.end(try pod(driver, "lead", 0), succeeded: true)
    #expect(try driver.reason("lead", "SuccessCriteriaMet") == "SuccessPolicy")
    #expect(try driver.reason("lead", "Complete") == nil)
    driver.end(slow, succeeded: false)
    #expect(try driver.reason("lead", "Complete") == "SuccessPolicy")
    #expect(try driver.status("lead").failed == 0)
  }

  // MARK: managedBy

  @Test("a Job of another controller is left alone: no pods, no status, no finalizer")
  func managedElsewhere() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("theirs", ["managedBy": "example.com/queue"])
    driver.advance(seconds: 60)
    #expect(driver.pods("theirs").isEmpty)
    #expect(try driver.status("theirs") == JobStatus())
    driver.createJob("ours", ["managedBy": .string(JobSpec.ownManager)])
    #expect(driver.activePods("ours").count == 1)
  }
}
