// Pods that must start within a time of their own: `stint.dev/start-deadline-seconds`.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("pods that must start in time")
struct StartDeadlineTests {
  private static let key = ObjectKey(namespace: "default", name: "j")

  private func harness(
    nodes: [String] = [], deadline: String = "30", pod: JSON = .object(JSONObject()), _ members: [String: JSON] = [:]
  ) throws -> FleetHarness {
    var harness = try FleetHarness.joined(nodes)
    var template: JSON = ["restartPolicy": "Never", "containers": [["name": "c", "command": ["true"]]]]
    for (key, value) in pod.objectValue ?? JSONObject() { template[key] = value }
    var spec: JSON = [
      "parallelism": 1, "completions": 1, "backoffLimit": 0, "podReplacementPolicy": "TerminatingOrFailed",
      "template": ["spec": template],
    ]
    for (key, value) in members { spec[key] = value }
    var meta = ObjectMeta()
    meta.namespace = "default"
    meta.name = "j"
    meta.annotations = [JobAnnotation.startDeadline: deadline]
    harness.core.insert(.job(Job(meta: meta, spec: JobSpec(json: spec))))
    harness.step([])
    return harness
  }

  private func pods(_ harness: FleetHarness) -> [Pod] {
    var state = harness.core.state
    return state.keys(of: .pods, in: "default").compactMap { harness.core.state.pods[$0] }
  }

  private func job(_ harness: FleetHarness) throws -> Job { try #require(harness.core.state.jobs[Self.key]) }

  @Test("a pod that no node takes in time fails with reason, message, condition and event, and counts as failed")
  func unplaced() throws {
    var harness = try harness()
    harness.pass(29_000)
    #expect(pods(harness).first?.status.phase == .pending)
    harness.pass(2_000)
    let pod = try #require(pods(harness).first)
    #expect(pod.status.phase == .failed && pod.status.reason == "StartDeadlineExceeded")
    #expect(
      pod.status.message
        == "Pod did not start its containers within 30 seconds: no nodes available to schedule pods")
    #expect(pod.status.condition("stint.dev/StartDeadlineExceeded")?.isTrue == true)
    #expect(try job(harness).status.failed == 1)
    #expect(try job(harness).status.condition("Failed")?.reason == "BackoffLimitExceeded")
    #expect(
      try job(harness).meta.annotations[JobAnnotation.failures]?.contains("StartDeadlineExceeded: Pod did") == true)
    var state = harness.core.state
    let events = state.keys(of: .events).compactMap {
      harness.core.state.other(.events, $0)?.body["reason"]?.stringValue
    }
    #expect(events.contains("StartDeadlineExceeded") && events.contains("PodFailed"))
  }

  @Test("one that a node has taken is stopped there, and fails when its keeper says that nothing of it runs")
  func stopped() throws {
    var harness = try harness(nodes: ["a"])
    let number = try #require(harness.core.fleet.attempts.keys.first)
    var status = PodStatus()
    status.containers = [
      ContainerStatus(
        name: "c", image: "",
        state: .waiting(reason: "CreateContainerConfigError", message: "configmap \"x\" not found"))
    ]
    let session = try #require(harness.agents["a"]?.session)
    harness.step([
      .agent(session, .reports([AttemptReport(attempt: number, revision: 1, status: status, frozen: false)]))
    ])
    harness.pass(31_000, beating: ["a"])
    #expect(pods(harness).first?.status.phase == .pending, "it may still start something")
    guard case .stop = harness.core.fleet.attempts[number]?.action else {
      Issue.record("the attempt is not stopped")
      return
    }
    harness.report("a", number, revision: 2, .failed)
    let pod = try #require(pods(harness).first)
    #expect(pod.status.phase == .failed && pod.status.reason == "StartDeadlineExceeded")
    #expect(
      pod.status.message == "Pod did not start its containers within 30 seconds: container c: "
        + "CreateContainerConfigError: configmap \"x\" not found")
    #expect(try job(harness).status.failed == 1)
  }

  @Test("one that has started in time runs as long as it likes, and so does one without the annotation")
  func startedInTime() throws {
    var harness = try harness(nodes: ["a"])
    let number = try #require(harness.core.fleet.attempts.keys.first)
    harness.report("a", number, revision: 1, .running)
    harness.pass(60_000, beating: ["a"])
    #expect(pods(harness).first?.status.phase == .running)
    #expect(try job(harness).status.failed == 0)
    #expect(harness.core.workloads.timers.time(of: .start(pods(harness)[0].meta.uid)) == nil)
  }

  @Test("the time of a pod behind a scheduling gate counts anew until the gate is gone")
  func gated() throws {
    var harness = try harness(pod: ["schedulingGates": [["name": "example.com/wait"]]])
    harness.pass(100_000)
    let pod = try #require(pods(harness).first)
    #expect(pod.status.phase == .pending)
    #expect(harness.core.workloads.timers.time(of: .start(pod.meta.uid)) != nil)
  }

  @Test("a failure policy is about such pods by their condition")
  func policy() throws {
    var harness = try harness([
      "backoffLimit": 6,
      "podFailurePolicy": [
        "rules": [
          [
            "action": "FailJob",
            "onPodConditions": [["type": "stint.dev/StartDeadlineExceeded", "status": "True"]],
          ]
        ]
      ],
    ])
    harness.pass(31_000)
    #expect(try job(harness).status.condition("Failed")?.reason == "PodFailurePolicy")
  }

  @Test("a time that ran out while the coordinator was away counts anew, another goes on")
  func restarts() throws {
    for (away, fails) in [(100.0, 30.0), (10, 20)] {
      var driver = try WorkloadsDriver()
      driver.createJob("j", annotations: [JobAnnotation.startDeadline: "30"], ["backoffLimit": 0])
      try driver.restart(away: away)
      driver.advance(seconds: fails - 1)
      #expect(driver.activePods("j").count == 1)
      driver.advance(seconds: 2)
      #expect(try driver.reason("j", "Failed") == "BackoffLimitExceeded")
    }
  }

  @Test("many pods whose time is over at once fail in bounded turns")
  func boundedTurns() throws {
    var driver = try WorkloadsDriver()
    driver.createJob(
      "j", annotations: [JobAnnotation.startDeadline: "30"],
      ["parallelism": 900, "completions": 900, "backoffLimit": 2_000])
    driver.advance(seconds: 31)
    #expect(try driver.status("j").failed == 900)
    #expect(driver.largestTurn <= 800, "\(driver.largestTurn)")
  }
}
