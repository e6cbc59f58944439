// PodDisruptionBudgets: what their status says, whom they keep, and in which words.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("disruption budgets") struct DisruptionBudgetTests {
  /// Node a with so many pods that run, labelled `app: x`, and a budget for them.
  private func cluster(pods: Int, budget: JSON, run: Bool = true) throws -> FleetHarness {
    var harness = try FleetHarness()
    harness.join(FakeAgent("a"))
    create(&harness, budget)
    for index in 0..<pods { add(&harness, "p\(index)", run: run) }
    return harness
  }

  private func create(_ harness: inout FleetHarness, _ spec: JSON, name: String = "b") {
    let body: JSON = ["metadata": ["name": .string(name)], "spec": spec]
    harness.step([
      .request(
        500, APIRequest(verb: .create, kind: .poddisruptionbudgets, namespace: "default", body: body))
    ])
  }

  private func add(_ harness: inout FleetHarness, _ name: String, run: Bool = true) {
    let spec = PodSpec(json: [
      "containers": [["name": "c", "image": "none", "command": ["true"]]], "restartPolicy": "Never",
    ])
    var meta = ObjectMeta()
    meta.name = name
    meta.namespace = "default"
    meta.labels = ["app": "x"]
    harness.core.insert(.pod(Pod(meta: meta, spec: spec)))
    harness.step([])
    if run, let number = harness.attempt(of: name) { harness.report("a", number, revision: 1, .running) }
  }

  private func evict(_ harness: inout FleetHarness, _ name: String, dryRun: Bool = false) -> (code: Int, object: JSON) {
    let body: JSON = ["apiVersion": "policy/v1", "kind": "Eviction", "metadata": ["name": .string(name)]]
    let id = RequestID(1_000 + harness.effects.count)
    var options = APIOptions()
    options.dryRun = dryRun
    harness.step([
      .request(
        id,
        APIRequest(
          verb: .create, kind: .pods, namespace: "default", name: name, subresource: "eviction", options: options,
          body: body))
    ])
    for case .reply(id, .done(let code, let object, _)) in harness.effects { return (code, object) }
    return (0, .null)
  }

  private func status(_ harness: FleetHarness, _ name: String = "b") -> JSON {
    harness.core.state.other(.poddisruptionbudgets, ObjectKey(namespace: "default", name: name))?.body["status"]
      ?? .null
  }

  private func counts(_ harness: FleetHarness) -> [Int64] {
    ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"].map {
      status(harness)[$0]?.intValue ?? -1
    }
  }

  private let two: JSON = ["minAvailable": 2, "selector": ["matchLabels": ["app": "x"]]]

  @Test("the status follows pods that come, run, go and are labelled otherwise")
  func followed() throws {
    var harness = try cluster(pods: 3, budget: two)
    #expect(counts(harness) == [1, 3, 2, 3])
    #expect(status(harness)["conditions"]?[0]?["reason"] == "SufficientPods")
    #expect(status(harness)["observedGeneration"] == 1)
    harness.core.updatePod(ObjectKey(namespace: "default", name: "p0")) { $0.meta.labels = ["app": "y"] }
    harness.step([])
    #expect(counts(harness) == [0, 2, 2, 2])
    #expect(status(harness)["conditions"]?[0]?["reason"] == "InsufficientPods")
    harness.report("a", try #require(harness.attempt(of: "p1")), revision: 2, .succeeded)
    #expect(counts(harness) == [0, 1, 2, 2], "a pod that ended is still selected, as in Kubernetes")
    try harness.restart()
    #expect(counts(harness) == [0, 1, 2, 2])
    #expect(harness.core.workloads.budgets.counts.count == 1)
  }

  @Test("evictions stop at the budget, in Kubernetes' words, and go on when another pod runs")
  func atTheBudget() throws {
    var harness = try cluster(pods: 3, budget: two)
    #expect(evict(&harness, "p0", dryRun: true).code == 201)
    #expect(evict(&harness, "p0").code == 201)
    let refused = evict(&harness, "p1")
    #expect(refused.code == 429)
    #expect(refused.object["reason"] == "TooManyRequests")
    #expect(refused.object["message"] == "Cannot evict pod as it would violate the pod's disruption budget.")
    #expect(
      refused.object[path: ["details", "causes"]] == [
        ["reason": "DisruptionBudget", "message": "The disruption budget b needs 2 healthy pods and has 2 currently"]
      ])
    #expect(harness.pod("p1")?.meta.deletionTimestamp == nil)
    #expect(harness.pod("p1")?.status.condition("DisruptionTarget") == nil)
    // Who is going already may be evicted again.
    #expect(evict(&harness, "p0").code == 201)
    add(&harness, "p3")
    #expect(evict(&harness, "p1").code == 201)
    #expect(harness.core.workloads.budgets.counts.values.map(\.healthy) == [2])
  }

  @Test("two evictions in one turn do not both use the last allowed disruption")
  func oneTurn() throws {
    var harness = try cluster(pods: 3, budget: two)
    harness.step(
      (0..<2).map { index in
        .request(
          RequestID(700 + index),
          APIRequest(
            verb: .create, kind: .pods, namespace: "default", name: "p\(index)", subresource: "eviction",
            body: ["apiVersion": "policy/v1", "kind": "Eviction", "metadata": ["name": .string("p\(index)")]]))
      })
    var codes: [Int] = []
    for case .reply(let id, .done(let code, _, _)) in harness.effects where id >= 700 { codes.append(code) }
    #expect(codes.sorted() == [201, 429])
  }

  @Test("a pod that waits is evicted whatever its budget says; one that is not ready only while the budget is healthy")
  func unready() throws {
    var harness = try cluster(pods: 2, budget: two)
    add(&harness, "idle", run: false)
    #expect(evict(&harness, "idle").code == 201)
    add(&harness, "sick")
    harness.core.updatePod(ObjectKey(namespace: "default", name: "sick")) { pod in
      pod.status.set(Condition(type: "Ready", status: "False", lastTransition: WallTime(nanoseconds: 0)))
    }
    #expect(evict(&harness, "sick").code == 201, "the budget's two are healthy")
    harness.report("a", try #require(harness.attempt(of: "p0")), revision: 2, .failed)
    add(&harness, "worse")
    harness.core.updatePod(ObjectKey(namespace: "default", name: "worse")) { pod in
      pod.status.set(Condition(type: "Ready", status: "False", lastTransition: WallTime(nanoseconds: 0)))
    }
    #expect(evict(&harness, "worse").code == 429)
    harness.step([
      .request(
        501,
        APIRequest(
          verb: .patch, kind: .poddisruptionbudgets, namespace: "default", name: "b",
          options: {
            var options = APIOptions()
            options.patchKind = .merge
            return options
          }(), body: ["spec": ["unhealthyPodEvictionPolicy": "AlwaysAllow"]]))
    ])
    #expect(evict(&harness, "worse").code == 201)
  }

  @Test("shares of a Job's pods cannot be told, so nothing may go, and the budget says why")
  func sharesOfJobs() throws {
    var harness = try cluster(pods: 0, budget: ["maxUnavailable": 1, "selector": ["matchLabels": ["app": "x"]]])
    #expect(harness.events("NoPods") == ["No matching pods found"])
    var job = Manifest.job("j")
    job[path: ["spec", "template", "metadata"]] = ["labels": ["app": "x"]]
    harness.step([.request(502, APIRequest(verb: .create, kind: .jobs, namespace: "default", body: job))])
    let attempt = try #require(harness.core.fleet.attempts.values.first)
    harness.report("a", attempt.number, revision: 1, .running)
    let condition = status(harness)["conditions"]?[0]
    #expect(condition?["reason"] == "SyncFailed")
    #expect(condition?["message"] == "jobs.batch does not implement the scale subresource")
    #expect(
      harness.events("CalculateExpectedPodCountFailed") == [
        "Failed to calculate the number of expected pods: jobs.batch does not implement the scale subresource"
      ])
    let refused = evict(&harness, attempt.pod.name)
    #expect(refused.code == 429)
    #expect(
      refused.object[path: ["details", "causes"]]?[0]?["message"]?.stringValue
        == "The disruption budget b does not allow evicting pods currently because it failed sync: jobs.batch does not "
        + "implement the scale subresource")
  }

  @Test("a pod of two budgets cannot be evicted")
  func twoBudgets() throws {
    var harness = try cluster(pods: 3, budget: ["minAvailable": 0, "selector": [:]])
    #expect(counts(harness) == [3, 3, 0, 3], "an empty selector is every pod")
    create(&harness, two, name: "c")
    let refused = evict(&harness, "p0")
    #expect(refused.code == 500)
    #expect(
      refused.object["message"]
        == "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.")
  }

  @Test("a new selector counts anew, a deleted budget keeps nobody")
  func changed() throws {
    var harness = try cluster(pods: 3, budget: ["minAvailable": 3, "selector": ["matchLabels": ["app": "y"]]])
    #expect(counts(harness) == [0, 0, 3, 0])
    harness.core.update(ObjectReference(kind: .poddisruptionbudgets, key: ObjectKey(namespace: "default", name: "b"))) {
      guard case .other(var budget) = $0 else { return }
      budget.body["spec"]?["selector"] = ["matchLabels": ["app": "x"]]
      $0 = .other(budget)
    }
    harness.step([])
    #expect(counts(harness) == [0, 3, 3, 3])
    #expect(evict(&harness, "p0").code == 429)
    harness.core.erase(ObjectReference(kind: .poddisruptionbudgets, key: ObjectKey(namespace: "default", name: "b")))
    #expect(evict(&harness, "p0").code == 201)
    #expect(harness.core.workloads.budgets.inNamespace.isEmpty)
  }

  @Test("a NoExecute taint and a lost node ask no budget")
  func taints() throws {
    var harness = try cluster(pods: 2, budget: two)
    harness.core.updateNode("a") { $0.taints.append(Taint(key: "down", effect: "NoExecute")) }
    harness.step([])
    harness.pass(10, beating: [])
    #expect(harness.pod("p0")?.meta.deletionTimestamp != nil)
    #expect(harness.pod("p0")?.status.condition("DisruptionTarget")?.reason == "DeletionByTaintManager")
  }

  @Test(
    "wrong budgets get Kubernetes' words",
    arguments: [
      (["minAvailable": 1, "maxUnavailable": 1], "minAvailable and maxUnavailable cannot be both set"),
      (["minAvailable": -1], "spec.minAvailable: Invalid value: -1: must be greater than or equal to 0"),
      (["maxUnavailable": "101%"], "spec.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%"),
      (["maxUnavailable": "many"], "a valid percent string must be a numeric string followed by an ending '%'"),
      (
        ["unhealthyPodEvictionPolicy": "Never"],
        "spec.unhealthyPodEvictionPolicy: Unsupported value: \"Never\": supported values: \"AlwaysAllow\", "
          + "\"IfHealthyBudget\""
      ),
    ] as [(JSON, String)])
  func validation(_ spec: JSON, _ problem: String) throws {
    let harness = try APIHarness()
    let answer = harness.create(.poddisruptionbudgets, ["metadata": ["name": "b"], "spec": spec])
    #expect(answer.code == 422)
    #expect(answer.message.contains(problem), "\(answer.message)")
    #expect(answer.message.hasPrefix("PodDisruptionBudget.policy \"b\" is invalid: "))
  }
}
