// Who goes when a pod of higher priority fits nowhere, how they go, and what it costs to find that out.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("preemption") struct PreemptionTests {
  private func cluster(_ names: [String], pods: Int64 = 110) throws -> FleetHarness {
    var harness = try FleetHarness()
    for name in names {
      var agent = FakeAgent(name)
      agent.capacity.pods = pods
      harness.join(agent)
    }
    return harness
  }

  private func add(
    _ harness: inout FleetHarness, _ name: String, priority: Int64, cpu: String = "3", extra: [(String, JSON)] = []
  ) {
    harness.addPod(name, cpu: cpu, extra: [("priority", .int(priority))] + extra)
  }

  private func message(_ harness: FleetHarness, _ pod: String) -> String {
    harness.pod(pod)?.status.condition("PodScheduled")?.message ?? ""
  }

  private func isEnding(_ harness: FleetHarness, _ pod: String) -> Bool {
    harness.pod(pod)?.meta.deletionTimestamp != nil
  }

  /// The node's agent says that the pod has ended.
  private func end(_ harness: inout FleetHarness, _ pod: String) throws {
    let attempt = try #require(harness.attempt(of: pod))
    let node = try #require(harness.pod(pod)?.nodeName)
    harness.report(node, attempt, revision: 9, .failed)
  }

  // MARK: - Never without need

  @Test("equals and higher ones are never preempted, nor anybody while there is room elsewhere")
  func noNeed() throws {
    var harness = try cluster(["a", "b"])
    add(&harness, "equal", priority: 5)
    add(&harness, "other", priority: 5)
    #expect(harness.pod("other")?.nodeName == "b", "there is room elsewhere")
    add(&harness, "late", priority: 5)
    add(&harness, "low", priority: 4)
    #expect(harness.pod("late")?.nodeName == nil)
    #expect(["equal", "other"].allSatisfy { !isEnding(harness, $0) })
    #expect(
      message(harness, "late") == "0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: "
        + "2 No preemption victims found for incoming pod.")
    #expect(harness.events("Preempted").isEmpty)
  }

  @Test("preemptionPolicy Never goes first and takes nobody's place")
  func never() throws {
    var harness = try cluster(["a"])
    add(&harness, "low", priority: 0)
    add(&harness, "first", priority: 0)
    add(&harness, "high", priority: 9, extra: [("preemptionPolicy", "Never")])
    #expect(!isEnding(harness, "low"))
    #expect(
      message(harness, "high")
        == "0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never.")
    try end(&harness, "low")
    #expect(harness.pod("high")?.nodeName == "a", "it came later than the one of less priority")
    #expect(harness.pod("first")?.nodeName == nil)
  }

  @Test("where the end of all lower ones would not do nobody ends")
  func vain() throws {
    var harness = try cluster(["a"])
    add(&harness, "high", priority: 9, cpu: "2")
    add(&harness, "low", priority: 0, cpu: "2")
    add(&harness, "middle", priority: 5, cpu: "3")
    #expect(!isEnding(harness, "low"))
    #expect(
      message(harness, "middle") == "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: "
        + "1 Insufficient cpu.")
  }

  @Test("nobody ends whom the pod has to be near: where they are gone it may not go")
  func nearVictim() throws {
    var harness = try cluster(["a"])
    add(&harness, "low", priority: 0)
    harness.core.update(ObjectReference(kind: .pods, key: ObjectKey(namespace: "default", name: "low"))) {
      $0.meta.labels["app"] = "x"
    }
    let term: JSON = ["topologyKey": "kubernetes.io/hostname", "labelSelector": ["matchLabels": ["app": "x"]]]
    let near: JSON = ["podAffinity": ["requiredDuringSchedulingIgnoredDuringExecution": [term]]]
    add(&harness, "high", priority: 9, extra: [("affinity", near)])
    #expect(!isEnding(harness, "low"))
    #expect(harness.pod("high")?.status.nominatedNodeName.isEmpty == true)
    add(&harness, "other", priority: 0, cpu: "1")
    add(&harness, "little", priority: 9, cpu: "1", extra: [("affinity", near)])
    #expect(isEnding(harness, "other"), "the one that it may be without")
    #expect(!isEnding(harness, "low"))
  }

  // MARK: - How

  @Test("a victim ends with its grace, DisruptionTarget and an event; the pod has its node named and starts after it")
  func polite() throws {
    var harness = try cluster(["a"])
    add(&harness, "low", priority: 0, extra: [("terminationGracePeriodSeconds", 40)])
    let victim = try #require(harness.attempt(of: "low"))
    add(&harness, "high", priority: 9)
    #expect(isEnding(harness, "low"))
    #expect(harness.pod("low")?.meta.deletionGracePeriodSeconds == 40)
    #expect(harness.agents["a"]?.desired[victim] == .stop(graceMilliseconds: 40_000))
    let condition = harness.pod("low")?.status.condition("DisruptionTarget")
    #expect(condition?.reason == "PreemptionByScheduler")
    #expect(condition?.message == "default-scheduler: preempting to accommodate a higher priority pod")
    let uid = try #require(harness.pod("high")?.meta.uid)
    #expect(harness.events("Preempted") == ["Preempted by pod \(uid) on node a"])
    #expect(harness.pod("high")?.json[path: ["status", "nominatedNodeName"]] == "a")
    #expect(harness.pod("high")?.nodeName == nil)
    #expect(message(harness, "high") == "0/1 nodes are available: 1 Insufficient cpu.")
    harness.pass(3_000, beating: ["a"])
    #expect(harness.pod("high")?.nodeName == nil, "not before the victim is proven dead")
    try end(&harness, "low")
    #expect(harness.pod("high")?.nodeName == "a")
    #expect(harness.pod("high")?.status.nominatedNodeName.isEmpty == true)
    #expect(harness.problems().isEmpty)
    #expect(harness.core.fleet.preemption.onNode.isEmpty)
  }

  @Test("room that is kept for a pod is not given to one of less priority, and survives a restart")
  func kept() throws {
    var harness = try cluster(["a"])
    for name in ["low", "little"] { add(&harness, name, priority: 0, cpu: "2") }
    add(&harness, "high", priority: 9, cpu: "4")
    #expect(["low", "little"].allSatisfy { isEnding(harness, $0) })
    add(&harness, "sneaky", priority: 8, cpu: "1")
    try end(&harness, "low")
    #expect(harness.pod("sneaky")?.nodeName == nil, "2 cpus are free, and kept")
    try harness.restart()
    harness.reconnect("a", session: "again")
    #expect(harness.pod("sneaky")?.nodeName == nil)
    #expect(harness.core.fleet.preemption.nominations.count == 1)
    try end(&harness, "little")
    #expect(harness.pod("high")?.nodeName == "a")
    #expect(harness.problems().isEmpty)
  }

  @Test("a pod whose node is lost while room is made there has room made elsewhere")
  func lostNode() throws {
    var harness = try cluster(["a", "b"])
    add(&harness, "low", priority: 0)
    add(&harness, "middle", priority: 5)
    add(&harness, "high", priority: 9)
    #expect(harness.pod("high")?.status.nominatedNodeName == "a")
    #expect(!isEnding(harness, "middle"))
    harness.pass(12_000, beating: ["b"])
    #expect(harness.pod("high")?.status.nominatedNodeName == "b")
    #expect(isEnding(harness, "middle"))
    try end(&harness, "middle")
    #expect(harness.pod("high")?.nodeName == "b")
  }

  @Test("a lower pod that starts after the higher began to wait gives its place up")
  func laterVictim() throws {
    var harness = try cluster(["a"])
    add(&harness, "peer", priority: 9)
    add(&harness, "high", priority: 9)
    add(&harness, "low", priority: 0, cpu: "1")
    #expect(harness.pod("low")?.nodeName == "a")
    try end(&harness, "peer")
    #expect(harness.pod("high")?.nodeName == "a", "there is room for both")
    add(&harness, "higher", priority: 10, cpu: "1")
    #expect(isEnding(harness, "low"))
    #expect(!isEnding(harness, "high"))
  }

  // MARK: - Who

  @Test("of several nodes that with the least important victims is taken, and no more victims than needed")
  func choice() throws {
    var harness = try cluster(["a", "b", "c"])
    add(&harness, "five", priority: 5, cpu: "4")
    let second: [(String, JSON)] = [("nodeSelector", ["kubernetes.io/hostname": "b"])]
    for name in ["one", "two"] { add(&harness, name, priority: 1, cpu: "2", extra: second) }
    add(&harness, "one-more", priority: 1, cpu: "4")
    add(&harness, "high", priority: 9, cpu: "2")
    #expect(harness.pod("high")?.status.nominatedNodeName == "c", "the victim that began last")
    #expect(["five", "one", "two", "one-more"].filter { isEnding(harness, $0) }.count == 1)
  }

  @Test("a pod that is all that runs of its Job is spared while another victim would do")
  func lastOfJob() throws {
    var harness = try cluster(["a"], pods: 3)
    harness.step([
      .request(
        901,
        APIRequest(
          verb: .create, kind: .jobs, namespace: "default",
          body: Manifest.job("many", spec: ["parallelism": 2, "completions": 2]))),
      .request(902, APIRequest(verb: .create, kind: .jobs, namespace: "default", body: Manifest.job("single"))),
    ])
    #expect(harness.core.fleet.attempts.count == 3)
    add(&harness, "high", priority: 9, cpu: "1")
    let ending = harness.core.state.keys(of: .pods).filter {
      harness.core.state.pods[$0]?.meta.deletionTimestamp != nil
    }
    #expect(ending.count == 1)
    #expect(ending.first?.name.hasPrefix("many-") == true)
  }

  @Test("a budget is kept while another victim would do, and broken when none would")
  func budgets() throws {
    var harness = try cluster(["a", "b"])
    for name in ["kept", "free"] {
      add(&harness, name, priority: name == "kept" ? 0 : 1)
      let attempt = try #require(harness.attempt(of: name))
      harness.report(try #require(harness.pod(name)?.nodeName), attempt, revision: 1, .running)
    }
    harness.core.update(ObjectReference(kind: .pods, key: ObjectKey(namespace: "default", name: "kept"))) {
      $0.meta.labels["app"] = "x"
    }
    let budget: JSON = [
      "metadata": ["name": "b"], "spec": ["minAvailable": 1, "selector": ["matchLabels": ["app": "x"]]],
    ]
    harness.step([
      .request(
        903, APIRequest(verb: .create, kind: .poddisruptionbudgets, namespace: "default", body: budget))
    ])
    add(&harness, "high", priority: 9)
    #expect(isEnding(harness, "free"), "the more important one goes: the other's budget has no room")
    #expect(!isEnding(harness, "kept"))
    add(&harness, "higher", priority: 10)
    #expect(harness.pod("higher")?.status.nominatedNodeName == "b", "it takes what is kept for the lower")
    harness.pass(2_000, beating: ["a", "b"])
    #expect(harness.pod("high")?.status.nominatedNodeName == "a", "as far as possible is not further")
    #expect(isEnding(harness, "kept"))
  }

  @Test("a preempted pod of a Job is replaced, and with Ignore on DisruptionTarget failed stays 0")
  func jobs() throws {
    var harness = try cluster(["a"], pods: 1)
    let policy: JSON = [
      "rules": [["action": "Ignore", "onPodConditions": [["type": "DisruptionTarget", "status": "True"]]]]
    ]
    harness.step([
      .request(
        904,
        APIRequest(
          verb: .create, kind: .jobs, namespace: "default",
          body: Manifest.job("j", spec: ["backoffLimit": 0, "podFailurePolicy": policy])))
    ])
    let first = try #require(harness.core.state.keys(of: .pods).first)
    add(&harness, "high", priority: 9, cpu: "1")
    #expect(isEnding(harness, first.name))
    try end(&harness, first.name)
    #expect(harness.pod("high")?.nodeName == "a")
    harness.pass(30_000, beating: ["a"])
    let job = try #require(harness.core.state.jobs[ObjectKey(namespace: "default", name: "j")])
    #expect(job.status.failed == 0)
    #expect(job.status.finishedCondition == nil)
    #expect(job.status.active == 1)
    let second = try #require(harness.core.state.keys(of: .pods).first { $0.name.hasPrefix("j-") })
    #expect(second != first)
    #expect(harness.pod(second.name)?.nodeName == nil)
    try end(&harness, "high")
    #expect(harness.pod(second.name)?.nodeName == "a")
  }

  // MARK: - Cost

  @Test("many pods of one class have room made at once, each on a node of its own, and with one look at each node")
  func many() throws {
    let names = (0..<20).map { "n\($0)" }
    var harness = try cluster(names, pods: 1)
    for name in names { harness.addPod("low-\(name)", run: false) }
    harness.step([])
    #expect(harness.core.fleet.attempts.count == 20)
    harness.core.fleet.preemption.looked = 0
    for index in 0..<15 { harness.addPod("high\(index)", extra: [("priority", 9)], run: false) }
    harness.step([])
    let nodes = Set((0..<15).compactMap { harness.pod("high\($0)")?.status.nominatedNodeName })
    #expect(nodes.count == 15)
    #expect(harness.core.state.keys(of: .pods).count { harness.pod($0.name)?.meta.deletionTimestamp != nil } == 15)
    // Each node once, and each that is taken twice more.
    #expect(harness.core.fleet.preemption.looked <= 20 + 2 * 15)
    let looked = harness.core.fleet.preemption.looked
    harness.pass(10_000, beating: names)
    #expect(harness.core.fleet.preemption.looked - looked <= 20, "nothing changes: nobody looks again and again")
  }

  @Test("a class has room made once a second, whatever comes meanwhile")
  func rests() throws {
    var harness = try cluster(["a", "b"], pods: 1)
    for name in ["low", "lower"] { harness.addPod(name) }
    func ending() -> Int { ["low", "lower"].count { isEnding(harness, $0) } }
    for name in ["high", "second"] { harness.addPod(name, extra: [("priority", 9)]) }
    #expect(ending() == 1)
    harness.pass(2_000, beating: ["a", "b"])
    #expect(ending() == 2)
  }

  @Test("a cluster where all have one priority never looks for victims")
  func equals() throws {
    var harness = try cluster(["a"], pods: 2)
    for index in 0..<40 { harness.addPod("p\(index)", cpu: "\(index + 1)m", run: false) }
    harness.step([])
    for index in 0..<2 { try end(&harness, "p\(index)") }
    harness.pass(5_000, beating: ["a"])
    #expect(harness.core.fleet.preemption.looked == 0)
  }
}

@Suite("priority classes") struct PriorityClassTests {
  private func make(_ harness: APIHarness, _ name: String, _ value: Int64, _ more: JSON = [:]) -> (code: Int?, String) {
    var body: JSON = ["metadata": ["name": .string(name)], "value": .int(value)]
    for (key, value) in more.objectValue ?? JSONObject() { body[key] = value }
    let answer = harness.create(.priorityclasses, body, namespace: "")
    return (answer.code, answer.message)
  }

  @Test("every cluster has the two system classes, which cannot be deleted, and no other may be called so")
  func system() throws {
    let harness = try APIHarness()
    #expect(harness.get(.priorityclasses, "system-cluster-critical", namespace: "").object["value"] == 2_000_000_000)
    #expect(harness.get(.priorityclasses, "system-node-critical", namespace: "").object["value"] == 2_000_001_000)
    let deleted = harness.ask(APIRequest(verb: .delete, kind: .priorityclasses, name: "system-node-critical"))
    #expect(
      deleted.message == "priorityclasses.scheduling.k8s.io \"system-node-critical\" is forbidden: this is a system "
        + "priority class and cannot be deleted")
    #expect(
      make(harness, "system-mine", 5).1 == "PriorityClass.scheduling.k8s.io \"system-mine\" is invalid: metadata.name: "
        + "Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-mine "
        + "is not a known system priority class")
    #expect(
      make(harness, "too-high", 1_000_000_001).1.contains(
        "maximum allowed value of a user defined priority is 1000000000"))
  }

  @Test("a pod gets its class's priority and policy, else those of the class for all, else 0")
  func admission() throws {
    let harness = try APIHarness()
    func spec(_ name: String, _ spec: JSON) -> JSON {
      _ = harness.create(.pods, Manifest.pod(name, spec: spec))
      return harness.get(.pods, name).object["spec"] ?? .null
    }
    #expect(spec("plain", [:])["priority"] == 0)
    #expect(spec("plain2", [:])["preemptionPolicy"] == "PreemptLowerPriority")
    #expect(make(harness, "high", 10, ["preemptionPolicy": "Never"]).code == 201)
    #expect(make(harness, "all", 3, ["globalDefault": true]).code == 201)
    let high = spec("high", ["priorityClassName": "high"])
    #expect(high["priority"] == 10)
    #expect(high["preemptionPolicy"] == "Never")
    let usual = spec("usual", [:])
    #expect(usual["priority"] == 3)
    #expect(usual["priorityClassName"] == "all")
    #expect(harness.get(.pods, "plain").object[path: ["spec", "priority"]] == 0, "who is there stays as it is")
    #expect(
      make(harness, "second", 4, ["globalDefault": true]).1
        == "priorityclasses.scheduling.k8s.io \"second\" is forbidden: PriorityClass all is already marked as default. "
        + "Only one default can exist")
  }

  @Test(
    "a priority that is not the class's is refused in Kubernetes' words",
    arguments: [
      (["priorityClassName": "none"], "no PriorityClass with name none was found"),
      (
        ["priority": 5],
        "the integer value of priority (5) must not be provided in pod spec; priority admission controller computed 0 "
          + "from the given PriorityClass name"
      ),
      (
        ["priorityClassName": "system-node-critical", "preemptionPolicy": "Never"],
        "the string value of PreemptionPolicy (Never) must not be provided in pod spec; priority admission controller "
          + "computed PreemptLowerPriority from the given PriorityClass name"
      ),
    ] as [(JSON, String)])
  func refused(_ spec: JSON, _ problem: String) throws {
    let harness = try APIHarness()
    let answer = harness.create(.pods, Manifest.pod("p", spec: spec))
    #expect(answer.code == 403)
    #expect(answer.message == "pods \"p\" is forbidden: \(problem)")
  }

  @Test("a Job whose class is not there says so, and goes on when the class comes")
  func jobs() throws {
    let harness = try APIHarness()
    #expect(harness.create(.jobs, Manifest.job("j", pod: ["priorityClassName": "later"])).code == 201)
    #expect(harness.list(.pods).items.isEmpty)
    let event = harness.list(.events).items.first { $0["reason"] == "FailedCreate" }
    #expect(
      event?["message"] == "Error creating: pods \"j-\" is forbidden: no PriorityClass with name later was found")
    #expect(make(harness, "later", 7).code == 201)
    #expect(harness.list(.pods).items.first?[path: ["spec", "priority"]] == 7)
  }

  @Test("value and policy of a class stay as they were made")
  func immutable() throws {
    let harness = try APIHarness()
    #expect(make(harness, "c", 7).code == 201)
    func patch(_ body: JSON) -> RequestAnswer {
      var options = APIOptions()
      options.patchKind = .merge
      return harness.ask(
        APIRequest(verb: .patch, kind: .priorityclasses, name: "c", options: options, body: body))
    }
    let value = patch(["value": 8])
    #expect(value.message.contains("value: Forbidden: may not be changed in an update."))
    let policy = patch(["preemptionPolicy": "Never"])
    #expect(policy.message.contains("preemptionPolicy: Invalid value: \"Never\": field is immutable"))
  }
}
