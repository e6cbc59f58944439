// Sessions, heartbeats, the desired set and reports: what is said, when it may leave, and that stale words change
// nothing.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Fleet sessions") struct FleetSessionTests {
  private func cluster(_ names: [String]) throws -> FleetHarness {
    var harness = try FleetHarness()
    for name in names { harness.join(FakeAgent(name)) }
    return harness
  }

  // MARK: - Registration

  @Test("a registered node has Kubernetes' labels, conditions and capacity, and is ready after its first heartbeat")
  func node() throws {
    var harness = try FleetHarness()
    var agent = FakeAgent("a")
    agent.labels = ["disk": "ssd"]
    harness.register(agent, as: "a")
    #expect(harness.node("a")?.isReady == false)
    harness.addPod("p")
    #expect(harness.pod("p")?.nodeName == nil)
    harness.beat("a")
    let node = try #require(harness.node("a"))
    #expect(node.isReady)
    #expect(node.meta.labels["kubernetes.io/hostname"] == "a")
    #expect(node.meta.labels["kubernetes.io/os"] == "linux")
    #expect(node.meta.labels["kubernetes.io/arch"] == "amd64")
    #expect(node.meta.labels["disk"] == "ssd")
    #expect(node.capacity.pods == 110)
    #expect(
      node.conditions.map { "\($0.type) \($0.status) \($0.reason)" }.sorted() == [
        "DiskPressure False KubeletHasNoDiskPressure", "MemoryPressure False KubeletHasSufficientMemory",
        "PIDPressure False KubeletHasSufficientPID", "Ready True KubeletReady",
      ])
    #expect(harness.events("RegisteredNode") == ["Node a event: Registered Node a in Controller"])
    #expect(harness.pod("p")?.nodeName == "a")
  }

  @Test("a name that is no name is refused for good", arguments: ["", "UPPER", "a b", "-a", "a/b"])
  func badName(name: String) throws {
    var harness = try FleetHarness()
    harness.register(FakeAgent(name, session: "s"), as: "x")
    #expect(harness.agents["x"]?.refusal?.contains("not valid") == true)
    #expect(harness.core.fleet.nodes.isEmpty)
  }

  @Test("words before registering, or registering twice, end the session")
  func order() throws {
    var harness = try FleetHarness()
    harness.agents["a"] = FakeAgent("a")
    harness.step([.sessionOpened("session-a", by: .agent(of: "a"))])
    harness.beat("a")
    #expect(harness.agents["a"]?.closedBecause == "not registered")
    var other = try cluster(["b"])
    let registration = try #require(other.agents["b"]?.registration)
    other.step([.agent("session-b", .register(registration))])
    #expect(other.agents["b"]?.closedBecause == "registered twice")
  }

  @Test("words on a session that nobody opened change nothing")
  func unknownSession() throws {
    var harness = try cluster(["a"])
    harness.addPod("p")
    let before = harness.rows.count
    harness.step([
      .agent("ghost", .register(FakeAgent("a", keeper: "x").registration)),
      .agent("ghost", .reports([AttemptReport(attempt: 1, revision: 9, status: PodStatus())])),
      .sessionClosed("ghost"),
    ])
    #expect(harness.rows.count == before)
    #expect(harness.isLive("p"))
  }

  @Test("a second session of the same keeper replaces the first, which can say nothing more")
  func replaced() throws {
    var harness = try cluster(["a"])
    harness.addPod("p")
    let number = try #require(harness.attempt(of: "p"))
    let old = try #require(harness.agents["a"])
    harness.agents["old"] = old
    var next = old
    next.session = "second"
    next.sequence = 0
    next.echo = 0
    next.received = []
    harness.join(next)
    #expect(harness.agents["old"]?.closedBecause?.contains("newer session") == true)
    var status = PodStatus()
    status.phase = .failed
    harness.step([.agent("session-a", .reports([AttemptReport(attempt: number, revision: 5, status: status)]))])
    #expect(harness.isLive("p"))
    #expect(harness.pod("p")?.status.phase == .pending)
    // The closing of the old connection arrives late and must not take the new session along.
    harness.step([.sessionClosed("session-a")])
    #expect(harness.core.fleet.nodes["a"]?.session == "second")
  }

  // MARK: - Heartbeats

  @Test("a heartbeat does not change the Node object, except every five minutes")
  func quiet() throws {
    var harness = try cluster(["a"])
    let version = harness.node("a")?.meta.resourceVersion
    harness.pass(290_000, beating: ["a"])
    #expect(harness.node("a")?.meta.resourceVersion == version)
    harness.pass(12_000, beating: ["a"])
    #expect(harness.node("a")?.meta.resourceVersion != version)
  }

  @Test("a pure renewal goes at once and writes nothing; an answer with news waits for the commit")
  func immediate() throws {
    var harness = try cluster(["a"])
    harness.pass(1_000, beating: ["a"])
    harness.effects = []
    harness.pass(1_000, beating: ["a"])
    let sends = harness.effects.compactMap { effect in
      if case .send(_, .answer, let immediate) = effect { immediate } else { nil }
    }
    #expect(sends == [true])
    #expect(!harness.effects.contains { if case .persist = $0 { true } else { false } })
    harness.effects = []
    harness.addPod("p")
    let news = harness.effects.compactMap { effect in
      if case .send(_, .answer, let immediate) = effect { immediate } else { nil }
    }
    #expect(news == [false])
  }

  @Test("a renewal waits too while an answer with news may still be under way")
  func orderedRenewal() throws {
    var harness = try cluster(["a"])
    harness.pass(1_000, beating: ["a"])
    harness.agents["a"]?.isDeaf = true
    harness.addPod("p")
    harness.effects = []
    harness.beat("a")
    let sends = harness.effects.compactMap { effect in
      if case .send(_, .answer, let immediate) = effect { immediate } else { nil }
    }
    #expect(sends == [false])
  }

  @Test("an old or repeated heartbeat changes nothing")
  func staleHeartbeat() throws {
    var harness = try cluster(["a"])
    harness.pass(2_000, beating: ["a"])
    let answers = harness.agents["a"]?.answers.count
    harness.step([
      .agent(
        "session-a",
        .heartbeat(Heartbeat(sequence: 1, echo: 0, desiredDigest: SetDigest(), inventoryDigest: SetDigest())))
    ])
    #expect(harness.agents["a"]?.answers.count == answers)
    #expect(harness.agents["a"]?.closedBecause == nil)
  }

  @Test("an agent that lost part of the desired set gets the whole of it")
  func desiredMismatch() throws {
    var harness = try cluster(["a"])
    for index in 0..<5 { harness.addPod("p\(index)") }
    harness.agents["a"]?.desired[3] = nil
    harness.beat("a")
    #expect(harness.agents["a"]?.answers.last?.full?.count == 5)
    #expect(harness.agents["a"]?.desired.count == 5)
    harness.beat("a")
    #expect(harness.agents["a"]?.answers.last?.full == nil)
  }

  @Test("a difference in the inventory is asked about when it stands still")
  func inventoryMismatch() throws {
    var harness = try cluster(["a"])
    harness.addPod("p")
    let number = try #require(harness.attempt(of: "p"))
    harness.agents["a"]?.held[number] = InventoryEntry(attempt: number, revision: 3, terminal: false, frozen: false)
    harness.beat("a")
    #expect(harness.agents["a"]?.answers.last?.wantsInventory == false)
    harness.beat("a")
    #expect(harness.agents["a"]?.answers.last?.wantsInventory == true)
  }

  @Test("many changes of one turn are one answer")
  func oneAnswer() throws {
    var harness = try cluster(["a"])
    let before = try #require(harness.agents["a"]?.answers.count)
    for index in 0..<50 { harness.addPod("p\(index)", run: false) }
    harness.step([])
    #expect(harness.agents["a"]?.answers.count == before + 1)
    #expect(harness.agents["a"]?.answers.last?.changes.count == 50)
    #expect(harness.agents["a"]?.answers.last?.assignments.count == 50)
    #expect(harness.agents["a"]?.desiredDigest == harness.core.fleet.nodes["a"]?.desiredDigest)
  }

  @Test("bodies that are too much for a frame are left for the agent to fetch, in pieces")
  func largeBodies() throws {
    var harness = try cluster(["a"])
    let text = String(repeating: "x", count: 100_000)
    for index in 0..<20 {
      harness.addPod("p\(index)", extra: [("hostname", .string("\(index)" + text))], run: false)
    }
    harness.step([])
    let pushed = try #require(harness.agents["a"]?.bodies.count)
    #expect(pushed >= 1)
    #expect(pushed <= 5)
    #expect(harness.agents["a"]?.desired.count == 20)
    harness.agents["a"]?.received = []
    harness.step([.agent("session-a", .fetch((1...20).map { AttemptNumber($0) }))])
    #expect(harness.agents["a"]?.bodies.count == 20)
    #expect((harness.agents["a"]?.received.count ?? 0) >= 4)
  }

  // MARK: - Bodies

  @Test("ConfigMaps go with the assignment as they are when it is fetched; a missing one is left out")
  func references() throws {
    var harness = try cluster(["a"])
    let volume: JSON = ["name": "v", "configMap": ["name": "questions"]]
    harness.addPod("p", extra: [("volumes", [volume])])
    #expect(harness.agents["a"]?.bodies[1]?.references.isEmpty == true)
    var meta = ObjectMeta()
    meta.name = "questions"
    meta.namespace = "default"
    harness.core.insert(
      .other(GenericObject(kind: .configmaps, meta: meta, body: ["data": ["q.json": "[]"], "immutable": true])))
    harness.step([.agent("session-a", .fetch([1]))])
    #expect(
      harness.agents["a"]?.bodies[1]?.references
        == JSONObject(entries: [("configmaps/questions", ["data": ["q.json": "[]"]])]))
  }

  @Test("bodies of attempts that are another node's, stopped or unknown are not given out")
  func foreignFetch() throws {
    var harness = try cluster(["a", "b"])
    harness.addPod("p")
    harness.addPod("q")
    let uid = try #require(harness.pod("p")?.meta.uid)
    harness.core.stopAttempt(podUID: uid, graceMilliseconds: 1_000)
    harness.step([])
    harness.agents["a"]?.bodies = [:]
    harness.step([.agent("session-a", .fetch([1, 2, 77, -1]))])
    #expect(harness.agents["a"]?.bodies.isEmpty == true)
  }

  @Test("after a reconnect the body names the new session and the same attempt")
  func rebound() throws {
    var harness = try cluster(["a"])
    harness.addPod("p")
    harness.reconnect("a", session: "second")
    harness.step([.agent("second", .fetch([1]))])
    #expect(harness.agents["a"]?.bodies[1]?.session == "second")
    #expect(harness.agents["a"]?.bodies[1]?.attempt == 1)
  }

  // MARK: - Reports

  @Test("a report is merged: the node's view, with the coordinator's condition, token and address")
  func merged() throws {
    var harness = try cluster(["a"])
    harness.addPod("p")
    harness.report("a", 1, revision: 1, .running)
    let status = try #require(harness.pod("p")?.status)
    #expect(status.phase == .running)
    #expect(status.isReady)
    #expect(status.condition("PodScheduled")?.status == "True")
    #expect(status.fencingToken == 1)
    #expect(status.hostIP == "127.0.0.1")
  }

  @Test("an older revision never overwrites a newer one, nor does a phase go back")
  func revisions() throws {
    var harness = try cluster(["a"])
    harness.addPod("p")
    harness.report("a", 1, revision: 5, .running)
    harness.report("a", 1, revision: 4, .failed)
    #expect(harness.pod("p")?.status.phase == .running)
    #expect(harness.isLive("p"))
    harness.report("a", 1, revision: 6, .pending)
    #expect(harness.pod("p")?.status.phase == .running)
  }

  @Test("a terminal report is counted once, persisted before it is acknowledged, and acknowledged again when repeated")
  func terminal() throws {
    var harness = try cluster(["a"])
    harness.addPod("p")
    harness.effects = []
    harness.report("a", 1, revision: 2, .succeeded)
    #expect(harness.pod("p")?.status.phase == .succeeded)
    #expect(!harness.isLive("p"))
    let row = harness.effects.firstIndex(of: .persist(StoreWrite(table: .attempts, key: "1", value: nil)))
    let told = harness.effects.firstIndex { effect in
      if case .send(_, .answer(let answer), let immediate) = effect {
        answer.acknowledged == [1] && answer.removed == [1] && !immediate
      } else {
        false
      }
    }
    #expect(try #require(row) < #require(told))
    let version = harness.pod("p")?.meta.resourceVersion
    harness.report("a", 1, revision: 2, .failed)
    #expect(harness.pod("p")?.meta.resourceVersion == version)
    #expect(harness.agents["a"]?.acknowledged == [1, 1])
  }

  @Test("another node's word on an attempt changes nothing")
  func foreignReport() throws {
    var harness = try cluster(["a", "b"])
    harness.addPod("p")
    let node = try #require(harness.pod("p")?.nodeName)
    let other = node == "a" ? "b" : "a"
    harness.report(other, 1, revision: 9, .succeeded)
    #expect(harness.isLive("p"))
    #expect(harness.pod("p")?.status.phase == .pending)
  }

  @Test("an unknown terminal attempt is acknowledged, an unknown live one is not desired")
  func unknownAttempts() throws {
    var harness = try cluster(["a"])
    harness.report("a", 70, revision: 1, .succeeded)
    #expect(harness.agents["a"]?.acknowledged == [70])
    harness.report("a", 71, revision: 1, .running)
    harness.pass(3_000, beating: ["a"])
    #expect(harness.agents["a"]?.desired.isEmpty == true)
    #expect(harness.agents["a"]?.acknowledged == [70])
  }

  @Test("an attempt that the keeper froze while the coordinator was away stays desired and so is thawed")
  func frozen() throws {
    var harness = try cluster(["a"])
    harness.addPod("p")
    harness.report("a", 1, revision: 1, .running)
    try harness.restart(away: 12_000)
    harness.agents["a"]?.held[1] = InventoryEntry(attempt: 1, revision: 2, terminal: false, frozen: true)
    harness.reconnect("a", session: "second")
    #expect(harness.agents["a"]?.desired == [1: .run])
    #expect(harness.agents["a"]?.answers.last?.wantsInventory == true)
    harness.report("a", 1, revision: 2, .running, frozen: true)
    #expect(harness.core.fleet.views[1] == AttemptView(revision: 2, frozen: true))
    harness.pass(60_000, beating: ["a"])
    #expect(harness.pod("p")?.status.phase == .running)
  }

  @Test("a node that comes back after R finds its attempts unknown")
  func backTooLate() throws {
    var harness = try cluster(["a"])
    harness.addPod("p")
    harness.report("a", 1, revision: 1, .running)
    harness.pass(20_000)
    #expect(!harness.isLive("p"))
    harness.reconnect("a", session: "second")
    #expect(harness.agents["a"]?.desired.isEmpty == true)
    harness.report("a", 1, revision: 2, .succeeded)
    #expect(harness.pod("p")?.status.phase != .succeeded)
    #expect(harness.agents["a"]?.acknowledged.contains(1) == true)
  }

  // MARK: - Stop

  @Test("a stop is told, survives a restart, and a repeat can only shorten it")
  func stop() throws {
    var harness = try cluster(["a"])
    harness.addPod("p")
    let uid = try #require(harness.pod("p")?.meta.uid)
    harness.core.stopAttempt(podUID: uid, graceMilliseconds: 30_000)
    harness.step([])
    #expect(harness.agents["a"]?.desired == [1: .stop(graceMilliseconds: 30_000)])
    harness.core.stopAttempt(podUID: uid, graceMilliseconds: 60_000)
    harness.step([])
    #expect(harness.agents["a"]?.desired == [1: .stop(graceMilliseconds: 30_000)])
    try harness.restart()
    harness.reconnect("a", session: "second")
    #expect(harness.agents["a"]?.desired == [1: .stop(graceMilliseconds: 30_000)])
    harness.core.stopAttempt(podUID: uid, graceMilliseconds: 0)
    harness.step([])
    #expect(harness.agents["a"]?.desired == [1: .stop(graceMilliseconds: 0)])
    #expect(harness.problems().isEmpty)
  }

  // MARK: - Node monitor

  @Test("a silent node becomes Unknown with Kubernetes' words, taints and event, and is clean again when it returns")
  func unknownAndBack() throws {
    var harness = try cluster(["a"])
    harness.pass(5_400)
    #expect(harness.node("a")?.isReady == true)
    harness.pass(200)
    let lost = try #require(harness.node("a"))
    for type in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"] {
      let condition = try #require(lost.conditions.first { $0.type == type })
      #expect(condition.status == "Unknown")
      #expect(condition.reason == "NodeStatusUnknown")
      #expect(condition.message == "Kubelet stopped posting node status.")
    }
    #expect(lost.taints.map(\.key) == [Taint.unreachable, Taint.unreachable])
    #expect(lost.taints.map(\.effect) == ["NoSchedule", "NoExecute"])
    #expect(harness.events("NodeNotReady") == ["Node a status is now: NodeNotReady"])
    harness.reconnect("a", session: "second")
    #expect(harness.node("a")?.isReady == true)
    #expect(harness.node("a")?.taints.isEmpty == true)
    #expect(harness.events("NodeReady").isEmpty == false)
  }

  @Test("a node that returns before the toleration ends keeps its pods")
  func backInTime() throws {
    var harness = try cluster(["a"])
    harness.addPod("p")
    harness.report("a", 1, revision: 1, .running)
    harness.pass(12_000)
    #expect(harness.pod("p")?.status.isReady == false)
    harness.reconnect("a", session: "second")
    harness.pass(40_000, beating: ["a"])
    #expect(harness.isLive("p"))
    #expect(harness.pod("p")?.meta.deletionTimestamp == nil)
    harness.report("a", 1, revision: 1, .running)
    #expect(harness.pod("p")?.status.isReady == true)
  }

  @Test(
    "the smallest toleration of a NoExecute taint counts, none means at once, one without limit means never",
    arguments: [([], 0), ([10], 10_000), ([30, 20], 20_000), ([-5], 0)] as [([Int64], Int64)])
  func tolerations(seconds: [Int64], expected: Int64) {
    let taint = Taint(key: Taint.unreachable, effect: Taint.noExecute)
    let list = seconds.map { Toleration(key: Taint.unreachable, exists: true, effect: nil, seconds: $0) }
    #expect(CoordinatorCore.evictionDelay(list, [taint]) == expected)
    let unlimited = Toleration(key: nil, exists: true, effect: nil, seconds: nil)
    #expect(CoordinatorCore.evictionDelay([unlimited], [taint]) == nil)
    #expect(CoordinatorCore.evictionDelay(list, []) == nil)
  }

  @Test("a person's NoExecute taint evicts the pods that do not tolerate it")
  func personalTaint() throws {
    var harness = try cluster(["a"])
    harness.addPod("p")
    harness.core.updateNode("a") { $0.taints.append(Taint(key: "away", effect: Taint.noExecute)) }
    harness.step([])
    #expect(harness.pod("p")?.meta.deletionTimestamp != nil)
    #expect(harness.isLive("p"))
    #expect(harness.agents["a"]?.desired[1] != .run)
  }

  @Test("the out-of-service taint counts only on a node that is not ready")
  func outOfService() throws {
    var harness = try cluster(["a"])
    harness.addPod("p", toleration: nil)
    let taint = Taint(key: Taint.outOfService, value: "nodeshutdown", effect: Taint.noExecute)
    harness.core.updateNode("a") { $0.taints.append(taint) }
    harness.pass(2_000, beating: ["a"])
    #expect(harness.isLive("p"))
    // Whoever writes the node then is told.
    var request = APIRequest(verb: .patch, kind: .nodes, name: "a", body: ["metadata": ["labels": ["x": "y"]]])
    request.options.patchKind = .merge
    harness.effects = []
    harness.step([.request(12, request)])
    var warnings: [String] = []
    for case .reply(12, .done(_, _, let texts)) in harness.effects { warnings += texts }
    #expect(warnings.count == 1 && warnings[0].contains("the node is Ready, so this ends nothing now"), "\(warnings)")
    harness.pass(6_000)
    #expect(!harness.isLive("p"))
    #expect(harness.pod("p")?.status.phase == .failed)
  }
}
