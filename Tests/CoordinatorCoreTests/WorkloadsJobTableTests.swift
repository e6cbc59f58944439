// The chapter's table of completions and parallelism, a test a row, and what a Job and its pods look like at their end.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Jobs: the completions and parallelism table")
struct WorkloadsJobTableTests {
  /// Ends the oldest active pod well, again and again; returns the number of active pods before each end.
  private func drain(_ driver: inout WorkloadsDriver, _ job: String) throws -> [Int] {
    var widths: [Int] = []
    while let pod = driver.activePods(job).first, widths.count < 50 {
      widths.append(driver.activePods(job).count)
      driver.end(pod, succeeded: true)
    }
    return widths
  }

  @Test("completions and parallelism unset make one pod, and its success completes the Job")
  func single() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("single")
    #expect(try drain(&driver, "single") == [1])
    let status = try driver.status("single")
    #expect(try driver.reason("single", "Complete") == "CompletionsReached")
    #expect(status.succeeded == 1 && status.failed == 0 && status.active == 0)
    #expect(status.completionTime != nil && status.startTime != nil)
  }

  @Test("1 and 1: a pod that is deleted before it completes is replaced")
  func oneDeleted() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("one")
    let first = try #require(driver.activePods("one").first)
    driver.run(first)
    driver.deletePod(first)
    let second = try #require(driver.activePods("one").first)
    #expect(second.meta.name != first.meta.name)
    driver.end(second, succeeded: true)
    #expect(try driver.reason("one", "Complete") == "CompletionsReached")
  }

  @Test("2 completions with parallelism 5 make two pods")
  func moreParallelThanNeeded() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("wide", ["completions": 2, "parallelism": 5])
    #expect(try drain(&driver, "wide") == [2, 1])
    #expect(driver.pods("wide").count == 2)
  }

  @Test("5 completions with parallelism 2 run two at a time, five in all")
  func fiveByTwo() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("five", ["completions": 5, "parallelism": 2])
    #expect(try drain(&driver, "five") == [2, 2, 2, 2, 1])
    #expect(driver.pods("five").count == 5)
    #expect(try driver.status("five").succeeded == 5)
  }

  @Test("5 and 5 run together, a deleted one is replaced, five successes complete")
  func fiveByFive() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("all", ["completions": 5, "parallelism": 5])
    #expect(driver.activePods("all").count == 5)
    driver.deletePod(try #require(driver.activePods("all").last))
    #expect(driver.activePods("all").count == 5)
    #expect(try drain(&driver, "all") == [5, 4, 3, 2, 1])
    #expect(try driver.reason("all", "Complete") == "CompletionsReached")
  }

  @Test("5 completions without parallelism run one after another")
  func sequential() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("sequence", ["completions": 5])
    #expect(try drain(&driver, "sequence") == [1, 1, 1, 1, 1])
    #expect(try driver.reason("sequence", "Complete") == "CompletionsReached")
  }

  @Test(
    "no completions with parallelism 5: after one success nothing is created, and the Job ends when the rest has ended")
  func workQueue() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("queue", ["completions": .null, "parallelism": 5])
    let pods = driver.activePods("queue")
    #expect(pods.count == 5)
    driver.end(pods[0], succeeded: true)
    #expect(driver.activePods("queue").count == 4)
    #expect(try driver.reason("queue", "Complete") == nil)
    driver.end(pods[1], succeeded: false)
    for pod in pods[2...] { driver.end(pod, succeeded: true) }
    driver.advance(seconds: 700)
    let status = try driver.status("queue")
    #expect(status.succeeded == 4 && status.failed == 1)
    #expect(try driver.reason("queue", "Complete") == "CompletionsReached")
    #expect(driver.pods("queue").count == 5)
  }

  @Test("a work-queue Job keeps its pods up until the first success")
  func workQueueFailures() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("queue", ["completions": .null, "parallelism": 3])
    driver.end(try #require(driver.activePods("queue").first), succeeded: false)
    #expect(driver.activePods("queue").count == 2)
    driver.advance(seconds: 11)
    #expect(driver.activePods("queue").count == 3)
  }

  @Test("completions 0 completes at once without pods, even suspended; parallelism 0 does not")
  func zero() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("none", ["completions": 0])
    #expect(try driver.reason("none", "Complete") == "CompletionsReached")
    driver.createJob("held", ["completions": 0, "suspend": true])
    #expect(try driver.reason("held", "Complete") == "CompletionsReached")
    #expect(try driver.status("held").startTime == nil)
    driver.createJob("paused", ["parallelism": 0])
    #expect(try driver.status("paused").conditions.isEmpty)
    #expect(driver.pods().isEmpty)
    driver.editJob("paused", ["parallelism": 1])
    #expect(driver.activePods("paused").count == 1)
  }

  @Test("a finished Job shows both conditions, in order, with Kubernetes' words, and its events")
  func conditions() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("done")
    let pod = try #require(driver.pods("done").first)
    driver.advance(seconds: 2)
    driver.end(pod, succeeded: true)
    let status = try driver.status("done")
    #expect(status.conditions.map(\.type) == ["SuccessCriteriaMet", "Complete"])
    for condition in status.conditions {
      #expect(condition.reason == "CompletionsReached")
      #expect(condition.message == "Reached expected number of succeeded pods")
    }
    let shown = status.json["conditions"]?[1] ?? .null
    #expect(
      shown.objectValue?.keys.sorted()
        == ["lastProbeTime", "lastTransitionTime", "message", "reason", "status", "type"])
    #expect(shown["lastProbeTime"] == shown["lastTransitionTime"])
    #expect(shown["lastTransitionTime"]?.stringValue?.hasSuffix("Z") == true, "RFC 3339, in UTC")
    #expect(status.completionTime == status.conditions.last?.lastTransition)
    #expect(
      driver.events("done") == ["SuccessfulCreate Created pod: \(pod.meta.name)", "Completed Job completed"])
  }

  @Test("more successes than completions, as of pods that are adopted, complete the Job with an event that says so")
  func tooManySuccesses() throws {
    var driver = try WorkloadsDriver()
    for name in ["one", "two"] { driver.end(driver.createPod(name, labels: ["app": "x"]), succeeded: true) }
    driver.createJob("few", ["manualSelector": true, "selector": ["matchLabels": ["app": "x"]]])
    #expect(try driver.reason("few", "Complete") == "CompletionsReached")
    #expect(try driver.status("few").succeeded == 2)
    #expect(
      driver.events("few").suffix(2) == [
        "TooManySucceededPods Too many succeeded pods running after completion count reached",
        "Completed Job completed",
      ])
  }

  @Test("a pod carries name, labels, owner, finalizer, tolerations and quality as Kubernetes makes them")
  func podShape() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("shape")
    let pod = try #require(driver.pods("shape").first)
    #expect(pod.meta.name.hasPrefix("shape-") && pod.meta.name.count == 11)
    #expect(pod.meta.name.dropFirst(6).allSatisfy { "bcdfghjklmnpqrstvwxz2456789".contains($0) })
    #expect(pod.meta.generateName == "shape-")
    #expect(pod.meta.labels["batch.kubernetes.io/controller-uid"] == "uid-shape")
    #expect(pod.meta.ownerReferences == [try driver.job("shape").controllerReference])
    #expect(pod.meta.finalizers == ["batch.kubernetes.io/job-tracking"])
    #expect(pod.status.phase == .pending && pod.status.qosClass == "BestEffort")
    #expect(pod.spec.tolerations.map(\.key) == [Taint.notReady, Taint.unreachable])
    #expect(pod.spec.tolerations.allSatisfy { $0.seconds == 10 && $0.exists && $0.effect == "NoExecute" })
    #expect(pod.spec.json["serviceAccountName"] == "default")
  }

  @Test("a toleration of the pod's own is kept, a long Job name is cut, and pods of one Job share their spec")
  func podDetails() throws {
    var driver = try WorkloadsDriver()
    let name = String(repeating: "a", count: 70)
    driver.createJob(name, ["completions": 2, "parallelism": 2])
    let pods = driver.pods(name)
    #expect(pods.count == 2 && pods.allSatisfy { $0.meta.name.count == 63 })
    #expect(pods[0].meta.name.hasPrefix(String(repeating: "a", count: 58)) && pods[0].meta.generateName == name + "-")
    #expect(pods[0].spec === pods[1].spec)
    driver.createJob(
      "own",
      [
        "template": [
          "spec": [
            "restartPolicy": "Never", "containers": [["name": "main", "image": "busybox"]],
            "tolerations": [["key": .string(Taint.unreachable), "operator": "Exists"]],
          ]
        ]
      ])
    let key = try #require(driver.core.workloads.tallies["uid-own"]?.active.first { _ in true })
    let own = try #require(driver.core.state.pods[key])
    #expect(own.spec.tolerations.map(\.key) == [Taint.unreachable, Taint.notReady])
    #expect(own.spec.tolerations.first?.seconds == nil)
  }

  @Test(
    "quality of service follows requests and limits",
    arguments: [
      ("[]", "BestEffort"), (#"{"requests":{"cpu":"1"}}"#, "Burstable"),
      (#"{"limits":{"cpu":"1","memory":"1Gi"}}"#, "Guaranteed"),
      (#"{"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":"500m"}}"#, "Burstable"),
      (#"{"limits":{"cpu":"1"}}"#, "Burstable"), (#"{"limits":{"cpu":1,"memory":1024}}"#, "Guaranteed"),
    ])
  func quality(resources: String, expected: String) throws {
    let tree = try JSON(parsing: Array(resources.utf8))
    let spec = PodSpec(json: ["containers": [["name": "main", "resources": tree]]])
    #expect(QualityOfService.of(spec).rawValue == expected)
  }

  @Test("1,000 pods are made in bounded turns")
  func boundedTurns() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("many", ["completions": 1000, "parallelism": 1000])
    #expect(driver.activePods("many").count == 1000)
    #expect(try driver.status("many").active == 1000)
    #expect(driver.largestTurn <= CoordinatorCore.roundLimit + 16)
    driver.editJob("many", ["parallelism": 1])
    #expect(driver.activePods("many").count == 1)
    #expect(driver.pods("many").count == 1)
    #expect(try driver.status("many").failed == 0)
  }
}
