// In which order a Job's ends are looked for, when several have come in one turn, and what stands once it is decided;
// in which order pods go that are too many; whose time a failure's pause counts from.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Jobs: what comes before what")
struct WorkloadsJobOrderTests {
  private static let indexed: [String: JSON] = ["completionMode": "Indexed", "completions": 2, "parallelism": 2]

  private static let perIndex: [String: JSON] = [
    "completionMode": "Indexed", "completions": 2, "parallelism": 2, "backoffLimitPerIndex": 0,
    "backoffLimit": 2_147_483_647,
  ]

  private func driver(_ base: [String: JSON], _ members: [String: JSON] = [:]) throws -> WorkloadsDriver {
    var driver = try WorkloadsDriver()
    driver.createJob("both", base.merging(members) { $1 })
    return driver
  }

  /// Ends the pods of the Job in one turn, the first ones well; `late`: when its deadline has come as well.
  private func end(_ driver: inout WorkloadsDriver, well: Int = 0, late: Bool = false) {
    if late {
      driver.now.boot = driver.now.boot + 5000
      driver.now.wall = driver.now.wall.adding(milliseconds: 5000)
      driver.core.now = driver.now
    }
    for (position, pod) in driver.activePods("both").enumerated() {
      driver.end(pod, succeeded: position < well, settling: false)
    }
    driver.settle()
  }

  @Test("a FailJob rule goes before the backoff limit")
  func ruleBeforeLimit() throws {
    let rules: JSON = [["action": "FailJob", "onExitCodes": ["operator": "In", "values": [1]]]]
    var driver = try driver([
      "podFailurePolicy": ["rules": rules], "podReplacementPolicy": "Failed", "backoffLimit": 0,
    ])
    end(&driver)
    #expect(try driver.reason("both", "Failed") == "PodFailurePolicy")
  }

  @Test("a last failure and the deadline in one turn: the limit is looked at first")
  func limitBeforeDeadline() throws {
    var driver = try driver(["backoffLimit": 0, "activeDeadlineSeconds": 5])
    end(&driver, late: true)
    #expect(try driver.reason("both", "Failed") == "BackoffLimitExceeded")
  }

  @Test("the deadline goes before failed indexes, and before the last success too")
  func deadlineBeforeIndexes() throws {
    var failing = try driver(Self.perIndex, ["maxFailedIndexes": 0, "activeDeadlineSeconds": 5])
    end(&failing, late: true)
    #expect(try failing.reason("both", "Failed") == "DeadlineExceeded")
    #expect(try failing.status("both").json["failedIndexes"] == "0,1")
    var succeeding = try driver(["activeDeadlineSeconds": 5])
    end(&succeeding, well: 1, late: true)
    #expect(try succeeding.reason("both", "Failed") == "DeadlineExceeded")
    #expect(try succeeding.status("both").succeeded == 1)
  }

  @Test("too many failed indexes go before the end of all indexes")
  func tooManyBeforeAll() throws {
    var driver = try driver(Self.perIndex, ["maxFailedIndexes": 1])
    end(&driver)
    #expect(try driver.reason("both", "Failed") == "MaxFailedIndexesExceeded")
  }

  @Test("a failed index that was the last goes before the successPolicy")
  func indexesBeforeSuccess() throws {
    var driver = try driver(Self.perIndex, ["successPolicy": ["rules": [["succeededIndexes": "0"]]]])
    end(&driver, well: 1)
    #expect(try driver.reason("both", "Failed") == "FailedIndexes")
  }

  @Test("the successPolicy goes before the number of completions")
  func policyBeforeCompletions() throws {
    var driver = try driver(Self.indexed, ["successPolicy": ["rules": [["succeededCount": 2]]]])
    end(&driver, well: 2)
    #expect(try driver.reason("both", "Complete") == "SuccessPolicy")
  }

  @Test("an index whose last pod fails beside what ends the Job has failed, and those that the end stops have not")
  func failedBesideTheEnd() throws {
    let rules: JSON = [["action": "FailJob", "onExitCodes": ["operator": "In", "values": [1]]]]
    var driver = try driver(
      Self.perIndex,
      [
        "completions": 3, "parallelism": 3, "podFailurePolicy": ["rules": rules], "podReplacementPolicy": "Failed",
      ])
    let pods = driver.activePods("both")
    for pod in pods.prefix(2) { driver.end(pod, succeeded: false, settling: false) }
    driver.run(pods[2])
    driver.settle()
    let status = try driver.status("both")
    #expect(try driver.reason("both", "Failed") == "PodFailurePolicy")
    #expect(status.json["failedIndexes"] == "0,1" && status.failed == 3)
  }

  @Test("a decided success stands: neither the deadline nor a lower limit fails the Job while its last pod ends")
  func successStands() throws {
    var driver = try driver(
      Self.indexed, ["activeDeadlineSeconds": 60, "successPolicy": ["rules": [["succeededCount": 1]]]])
    let pods = driver.activePods("both")
    driver.run(pods[1])
    driver.holdBack(pods[1])
    driver.end(pods[0], succeeded: true)
    #expect(try driver.reason("both", "SuccessCriteriaMet") == "SuccessPolicy")
    driver.advance(seconds: 100)
    driver.editJob("both", ["backoffLimit": 0])
    driver.end(pods[1], succeeded: false)
    driver.letGo(pods[1])
    let status = try driver.status("both")
    #expect(status.conditions.map(\.type) == ["SuccessCriteriaMet", "Complete"] && status.failed == 0)
  }

  @Test("a decided failure stands with its reason, whatever else is met before the last pod has ended")
  func failureStands() throws {
    var driver = try driver(["activeDeadlineSeconds": 5, "completions": 2, "parallelism": 2])
    let pods = driver.activePods("both")
    driver.run(pods[0])
    driver.holdBack(pods[0])
    driver.advance(seconds: 5)
    driver.editJob("both", ["backoffLimit": 0, "activeDeadlineSeconds": 5000])
    driver.end(pods[0], succeeded: true)
    driver.letGo(pods[0])
    let status = try driver.status("both")
    #expect(status.conditions.map(\.type) == ["FailureTarget", "Failed"])
    #expect(status.conditions.allSatisfy { $0.reason == "DeadlineExceeded" })
  }

  // MARK: Pods that are too many

  @Test("surplus pods go by Kubernetes' order: unassigned, Pending, Unknown, not ready, just ready, restarted, newest")
  func surplus() throws {
    var driver = try driver(["completions": 20, "parallelism": 8])
    let pods = driver.activePods("both")
    let start = driver.core.stamp
    func stand(
      _ position: Int, _ phase: PodPhase, ready: Int64? = nil, restarts: Int64 = 0, age: Int64 = 0, node: String? = "n"
    ) {
      driver.core.updatePod(pods[position].meta.key) { pod in
        pod.nodeName = node
        pod.status.phase = phase
        pod.meta.creationTimestamp = start.adding(milliseconds: -age * 1000)
        if let ready {
          pod.status.set(
            Condition(type: "Ready", status: "True", lastTransition: start.adding(milliseconds: -ready * 1000)))
        }
        pod.status.containers = [
          ContainerStatus(
            name: "main", image: "busybox", state: .running(startedAt: start), ready: ready != nil,
            restartCount: restarts)
        ]
      }
    }
    stand(4, .pending, node: nil)
    stand(2, .pending)
    stand(7, .unknown)
    stand(1, .running)
    stand(6, .running, ready: 5)
    stand(0, .running, ready: 50, restarts: 3)
    stand(3, .running, ready: 50)
    stand(5, .running, ready: 50, age: 100)
    var gone: [Int] = []
    for left in (0..<8).reversed() {
      driver.editJob("both", ["parallelism": .int(Int64(left))])
      let names = Set(driver.activePods("both").map(\.meta.name))
      gone += pods.indices.filter { !names.contains(pods[$0].meta.name) && !gone.contains($0) }
    }
    #expect(gone == [4, 2, 7, 1, 6, 0, 3, 5])
    #expect(try driver.status("both").failed == 0)
    #expect(driver.events("both").filter { $0.hasPrefix("SuccessfulDelete Deleted pod: both-") }.count == 8)
  }

  @Test("a work queue that has had its success stops nothing, however low its parallelism gets")
  func finishedQueue() throws {
    var driver = try driver(["completions": .null, "parallelism": 3])
    driver.end(driver.activePods("both")[0], succeeded: true)
    driver.editJob("both", ["parallelism": 0])
    #expect(driver.activePods("both").count == 2)
  }

  // MARK: Times

  @Test("a pod finished with its last container, else when it was not ready any more, or to be deleted, or made")
  func finishTime() {
    func at(_ seconds: Int64) -> WallTime { WallTime(nanoseconds: seconds * 1_000_000_000) }
    func container(_ name: String, _ end: Int64) -> ContainerStatus {
      let ended = ContainerState.Termination(exitCode: 1, reason: "Error", startedAt: at(0), finishedAt: at(end))
      return ContainerStatus(name: name, image: "busybox", state: .terminated(ended))
    }
    var meta = ObjectMeta()
    meta.creationTimestamp = at(10)
    var pod = Pod(meta: meta, spec: PodSpec(json: [:]))
    #expect(CoordinatorCore.finishTime(of: pod) == at(10))
    pod.meta.deletionTimestamp = at(100)
    pod.meta.deletionGracePeriodSeconds = 30
    #expect(CoordinatorCore.finishTime(of: pod) == at(70))
    pod.status.set(Condition(type: "Ready", status: "False", lastTransition: at(60)))
    #expect(CoordinatorCore.finishTime(of: pod) == at(60))
    pod.status.containers = [container("main", 50), container("other", 40)]
    #expect(CoordinatorCore.finishTime(of: pod) == at(50))
    pod.status.initContainers = [container("sidecar", 55)]
    #expect(CoordinatorCore.finishTime(of: pod) == at(55))
  }
}
