// When an attempt counts as dead: rules C1, C2, C3, C5, C6 and C7, the unhappy cases first.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Fencing") struct FleetFencingTests {
  private func cluster(_ names: [String]) throws -> FleetHarness {
    var harness = try FleetHarness()
    for name in names { harness.join(FakeAgent(name)) }
    return harness
  }

  // MARK: - C1

  @Test("a silent node's attempt stays possibly live until R, and not a second longer")
  func fencedAtR() throws {
    var harness = try cluster(["a"])
    harness.addPod("p")
    #expect(harness.isLive("p"))
    // The last answer went out when the pod was assigned: R is 1.05 × (5 s + 10 s) + 2 s later.
    let fenced = harness.timeToFence("p")
    let time = try #require(fenced)
    #expect(time >= 17_750)
    #expect(time <= 17_850)
    #expect(harness.problems().isEmpty)
  }

  @Test("a pod that ended without a report has no running container, is not ready, and an Event and message say why")
  func unreportedEnd() throws {
    var harness = try cluster(["a"])
    harness.addPod("p")
    let key = ObjectKey(namespace: "default", name: "p")
    harness.core.updatePod(key) { pod in
      // As a Job's pods have one: it is still there to be looked at.
      pod.meta.finalizers = ["example.com/keep"]
      pod.status.phase = .running
      pod.status.containers = [
        ContainerStatus(
          name: "main", image: "i", state: .running(startedAt: WallTime(nanoseconds: 7)), ready: true, started: true),
        ContainerStatus(
          name: "late", image: "i", state: .waiting(reason: "CreateContainerConfigError", message: "no secret")),
      ]
      pod.status.set(Condition(type: "Ready", status: "True", lastTransition: WallTime(nanoseconds: 7)))
    }
    _ = harness.timeToFence("p")
    harness.pass(10)
    let status = try #require(harness.pod("p")?.status)
    #expect(status.phase == .failed)
    #expect(status.condition("Ready")?.isTrue == false)
    #expect(status.containers.count == 2)
    for container in status.containers {
      #expect(container.state.termination?.exitCode == 137, "\(container.name)")
      #expect(container.state.termination?.reason == "ContainerStatusUnknown")
      #expect(!container.ready && container.started == false)
    }
    #expect(status.containers.last?.state.json["terminated"]?["startedAt"] == nil)
    #expect(status.message.contains("Node a never reported how this pod ended"))
    #expect(harness.events("ContainerStatusUnknown") == [status.message])
  }

  @Test(
    "R is the reach of the lease, 1.05 times the toleration, and two seconds",
    arguments: [
      (0, 0, 2_000), (5_000, 0, 7_250), (5_000, 10_000, 17_750), (600_000, 10_000, 642_500), (1_000, 0, 3_050),
      (1, 1, 2_004), (20, 40, 2_063), (5_000, 2_147_483_647_000, 2_254_857_836_600),
    ] as [(Int64, Int64, Int64)])
  func arithmetic(lease: Int64, toleration: Int64, expected: Int64) {
    let reach = BootTime(milliseconds: LeaseArithmetic.stretched(lease))
    let time = LeaseArithmetic.fenceTime(reach: reach, tolerationMilliseconds: toleration)
    #expect(time?.milliseconds == expected)
  }

  @Test("numbers from hell neither trap nor go backwards")
  func arithmeticLimits() {
    let reach = BootTime(milliseconds: Int64.max - 5)
    #expect(LeaseArithmetic.fenceTime(reach: reach, tolerationMilliseconds: Int64.max)?.milliseconds == Int64.max)
    #expect(LeaseArithmetic.stretched(-5) == 0)
    #expect(LeaseArithmetic.fenceTime(reach: reach, tolerationMilliseconds: nil) == nil)
  }

  @Test("an answer on any session of the node moves R for attempts assigned in an earlier one")
  func anySession() throws {
    var harness = try cluster(["a"])
    harness.addPod("p")
    harness.pass(3_000)
    harness.reconnect("a", session: "second")
    let fenced = harness.timeToFence("p")
    let time = try #require(fenced)
    #expect(time >= 17_750)
  }

  @Test("lengthening the lease counts at once, shortening it never lowers the time that was promised")
  func lengthenAndShorten() throws {
    var harness = try cluster(["a"])
    harness.addPod("p")
    let number = try #require(harness.attempt(of: "p"))
    let attempt = try #require(harness.core.fleet.attempts[number])
    let short = try #require(harness.core.fenceTime(of: attempt))
    harness.core.fleet.lease = 60_000
    harness.beat("a")
    let long = try #require(harness.core.fenceTime(of: attempt))
    #expect(long - short == 57_750)
    harness.core.fleet.lease = 1_000
    harness.pass(500)
    harness.beat("a")
    // No renewal moves a lease end backwards, so an echo of the shorter lease proves nothing.
    harness.beat("a")
    #expect(harness.core.fenceTime(of: attempt) == long)
  }

  @Test("a pod that tolerates without limit is never replaced without a person")
  func unlimited() throws {
    var harness = try cluster(["a", "b"])
    harness.addPod("p", toleration: nil)
    let node = try #require(harness.pod("p")?.nodeName)
    harness.pass(10_000_000)
    #expect(harness.isLive("p"))
    #expect(harness.pod("p")?.status.phase == .pending)
    // The core learns the time in steps: without one the event would be older than its TTL.
    harness.step([])
    harness.core.declareNodeDead(node)
    harness.step([])
    #expect(!harness.isLive("p"))
    #expect(harness.pod("p")?.status.phase == .failed)
    #expect(harness.events("NodeDeclaredDead").count == 1)
  }

  @Test("absence from an inventory is not death")
  func absence() throws {
    var harness = try cluster(["a"])
    harness.addPod("p")
    let number = try #require(harness.attempt(of: "p"))
    harness.report("a", number, revision: 1, .running)
    harness.agents["a"]?.held = [:]
    harness.beat("a", whole: true)
    harness.pass(60_000, beating: ["a"])
    #expect(harness.isLive("p"))
    #expect(harness.pod("p")?.status.phase == .running)
  }

  // MARK: - C2

  @Test("after a start R counts from the start with the persisted longest lease")
  func restart() throws {
    var harness = try cluster(["a"])
    harness.addPod("p")
    try harness.restart(away: 100)
    let fenced = harness.timeToFence("p")
    let time = try #require(fenced)
    #expect(time >= 17_750)
    #expect(time <= 17_850)
  }

  @Test("a polite stop promises ten minutes, durably before it says so, and the next start keeps the promise")
  func politeStop() throws {
    var harness = try cluster(["a"])
    harness.addPod("p")
    harness.effects = []
    harness.step([.stopRequested])
    let row = harness.effects.firstIndex { effect in
      guard case .persist(let write) = effect, write.table == .noderecords, let value = write.value else {
        return false
      }
      return String(decoding: value, as: UTF8.self).contains("\"longLease\":600000")
    }
    let answer = harness.effects.firstIndex { effect in
      if case .send(_, .answer(let answer), let immediate) = effect {
        answer.leaseMilliseconds == 600_000 && !immediate
      } else {
        false
      }
    }
    let stopped = harness.effects.firstIndex(of: .stopped)
    #expect(try #require(row) < #require(answer))
    #expect(try #require(answer) < #require(stopped))
    try harness.restart(away: 1_000)
    // 1.05 × (600 s + 10 s) + 2 s from the start.
    let fenced = harness.timeToFence("p")
    let time = try #require(fenced)
    #expect(time >= 642_500)
    #expect(time <= 642_600)
  }

  @Test("a restart in the promised time keeps it, and one after it goes back to the short lease")
  func longLeaseEnds() throws {
    var harness = try cluster(["a"])
    harness.step([.stopRequested])
    try harness.restart()
    #expect(harness.core.fleet.nodes["a"]?.longLease == 600_000)
    harness.pass(10_000)
    try harness.restart()
    #expect(harness.core.fleet.nodes["a"]?.longLease == 600_000)
    harness.pass(631_000)
    #expect(harness.core.fleet.nodes["a"]?.longLease == 0)
    try harness.restart()
    #expect(harness.core.fleet.nodes["a"]?.longLease == 0)
    #expect(harness.core.fleet.longestLease == 5_000)
  }

  @Test("a node that was gone before a polite stop is promised nothing: its work is replaced in the usual time")
  func goneBeforeTheStop() throws {
    var harness = try cluster(["a", "b"])
    harness.addPod("p")
    let gone = try #require(harness.pod("p")?.nodeName)
    let other = gone == "a" ? "b" : "a"
    harness.pass(8_000, beating: [other])
    harness.effects = []
    harness.step([.stopRequested])
    let long = harness.effects.compactMap { effect -> SessionID? in
      if case .send(let id, .answer(let answer), _) = effect, answer.leaseMilliseconds == 600_000 { id } else { nil }
    }
    #expect(long == [try #require(harness.agents[other]?.session)])
    try harness.restart(away: 3_000)
    #expect(harness.core.fleet.nodes[other]?.longLease == 600_000)
    harness.reconnect(other, session: "again")
    let fenced = harness.timeToFence("p", beating: [other])
    let time = try #require(fenced)
    #expect(time >= 17_750 && time <= 18_000)
  }

  @Test(
    "a node that missed two heartbeats keeps its short lease over a polite stop, and keeps its pods when it is back")
  func silentAtTheStop() throws {
    var harness = try cluster(["a"])
    harness.addPod("p")
    harness.pass(2_500)
    harness.step([.stopRequested])
    #expect(harness.core.fleet.nodes["a"]?.longLease == 0)
    try harness.restart(away: 5_000)
    harness.reconnect("a", session: "again")
    harness.pass(60_000, beating: ["a"])
    #expect(harness.isLive("p"))
  }

  @Test("the longest lease is durable before the first answer of a longer setting")
  func longerSetting() throws {
    var harness = try cluster(["a"])
    var longer = FleetHarness.configuration()
    longer.leaseMilliseconds = 30_000
    harness.effects = []
    try harness.restart(away: 0, longer)
    #expect(
      harness.effects.contains { $0 == .persist(StoreWrite(table: .facts, key: "lmax", value: Array("30000".utf8))) })
  }

  // MARK: - C3

  @Test(
    "another keeper with a taken name is refused until R has passed, then it is taken and the old attempt fenced"
  )
  func takenName() throws {
    var harness = try cluster(["a"])
    harness.addPod("p")
    harness.register(FakeAgent("a", keeper: "stranger", machine: "other", session: "s2"), as: "stranger")
    #expect(harness.agents["stranger"]?.refusal?.contains("taken by another keeper") == true)
    #expect(harness.isLive("p"))
    harness.pass(17_700)
    harness.register(FakeAgent("a", keeper: "stranger", machine: "other", session: "s3"), as: "stranger")
    #expect(harness.agents["stranger"]?.isRegistered == false)
    harness.pass(200)
    harness.register(FakeAgent("a", keeper: "stranger", machine: "other", session: "s4"), as: "stranger")
    #expect(harness.agents["stranger"]?.isRegistered == true)
    harness.beat("stranger")
    #expect(!harness.isLive("p"))
    #expect(harness.agents["stranger"]?.desired.isEmpty == true)
  }

  @Test("the successor on the same machine that swept the old keeper is taken at once, and the old attempt is dead")
  func sweptKeeper() throws {
    var harness = try cluster(["a"])
    harness.addPod("p")
    var successor = FakeAgent("a", keeper: "next", session: "s2")
    successor.swept = ["keeper-a"]
    harness.join(successor)
    #expect(harness.agents["a"]?.isRegistered == true)
    #expect(!harness.isLive("p"))
    #expect(harness.pod("p")?.status.phase == .failed)
    #expect(harness.problems().isEmpty)
  }

  @Test("a sweep on another machine proves nothing")
  func sweptElsewhere() throws {
    var harness = try cluster(["a"])
    harness.addPod("p")
    var copy = FakeAgent("a", keeper: "next", machine: "clone", session: "s2")
    copy.swept = ["keeper-a"]
    harness.register(copy, as: "copy")
    #expect(harness.agents["copy"]?.refusal != nil)
    #expect(harness.isLive("p"))
  }

  @Test("a success that the swept keeper left behind is counted, not run again")
  func successBehind() throws {
    var harness = try cluster(["a"])
    harness.addPod("p")
    let number = try #require(harness.attempt(of: "p"))
    var successor = FakeAgent("a", keeper: "next", session: "s2")
    successor.swept = ["keeper-a"]
    successor.held[number] = InventoryEntry(attempt: number, revision: 9, terminal: true, frozen: false)
    harness.join(successor)
    #expect(harness.isLive("p"))
    #expect(harness.agents["a"]?.answers.last?.wantsInventory == true)
    harness.report("a", number, revision: 9, .succeeded)
    #expect(harness.pod("p")?.status.phase == .succeeded)
    #expect(harness.agents["a"]?.acknowledged.contains(number) == true)
  }

  @Test("deleting a Node ends its session and proves nothing; its pod ends at R")
  func nodeDeleted() throws {
    var harness = try cluster(["a", "b"])
    harness.addPod("p")
    let name = try #require(harness.pod("p")?.nodeName)
    harness.core.erase(ObjectReference(kind: .nodes, key: ObjectKey(namespace: "", name: name)))
    harness.step([])
    #expect(harness.agents[name]?.closedBecause != nil)
    #expect(harness.isLive("p"))
    let fenced = harness.timeToFence("p")
    let time = try #require(fenced)
    #expect(time >= 17_700)
  }

  @Test("a deleted Node whose agent comes back keeps its attempts")
  func nodeDeletedAndBack() throws {
    var harness = try cluster(["a"])
    harness.addPod("p")
    harness.core.erase(ObjectReference(kind: .nodes, key: ObjectKey(namespace: "", name: "a")))
    harness.step([])
    harness.reconnect("a", session: "again")
    #expect(harness.node("a")?.isReady == true)
    #expect(harness.agents["a"]?.desired.count == 1)
    harness.pass(30_000, beating: ["a"])
    #expect(harness.isLive("p"))
  }

  // MARK: - C5

  @Test("a fenced pod ends Failed with DisruptionTarget and the taint manager's reason")
  func marks() throws {
    var harness = try cluster(["a"])
    harness.addPod("p")
    let number = try #require(harness.attempt(of: "p"))
    harness.report("a", number, revision: 1, .running)
    harness.pass(5_600)
    #expect(harness.pod("p")?.status.isReady == false)
    #expect(harness.pod("p")?.meta.deletionTimestamp == nil)
    harness.pass(10_000)
    #expect(harness.pod("p")?.meta.deletionTimestamp != nil)
    #expect(harness.isLive("p"))
    let marked = try #require(harness.pod("p")?.status.condition("DisruptionTarget"))
    #expect(marked.status == "True")
    #expect(marked.reason == "DeletionByTaintManager")
    #expect(marked.message == "Taint manager: deleting due to NoExecute taint")
    #expect(harness.events("TaintManagerEviction") == ["Marking for deletion Pod default/p"])
  }

  // MARK: - C6

  @Test("two nodes of three lost at once are two single losses")
  func twoOfThree() throws {
    var harness = try cluster(["a", "b", "c"])
    for index in 0..<3 { harness.addPod("p\(index)") }
    let lost = (0..<3).filter { harness.pod("p\($0)")?.nodeName != "c" }
    #expect(lost.count == 2)
    harness.pass(18_500, beating: ["c"])
    #expect(lost.allSatisfy { !harness.isLive("p\($0)") })
    #expect(harness.core.fleet.brake == nil)
  }

  @Test("three nodes of four lost at once hold their pods for two minutes, then go one every ten seconds")
  func massLoss() throws {
    var harness = try cluster(["a", "b", "c", "d"])
    for index in 0..<4 { harness.addPod("p\(index)") }
    let lost = (0..<4).filter { harness.pod("p\($0)")?.nodeName != "d" }
    #expect(lost.count == 3)
    harness.pass(120_000, beating: ["d"])
    #expect(lost.allSatisfy { harness.isLive("p\($0)") })
    #expect(harness.events("MassNodeLoss").count == 1)
    harness.pass(6_000, beating: ["d"])
    #expect(lost.filter { harness.isLive("p\($0)") }.count == 2)
    harness.pass(10_000, beating: ["d"])
    #expect(lost.filter { harness.isLive("p\($0)") }.count == 1)
    harness.pass(10_000, beating: ["d"])
    #expect(lost.filter { harness.isLive("p\($0)") }.isEmpty)
  }

  @Test("a mass loss tells the numbers that it was judged by: who went lately, of these and the reachable")
  func massLossNumbers() throws {
    var harness = try cluster(["a", "b", "c", "d", "gone"])
    harness.pass(150_000, beating: ["a", "b", "c", "d"])
    harness.pass(10_000, beating: ["d"])
    #expect(harness.events("MassNodeLoss").first?.hasPrefix("3 of 4 nodes were lost at once: ") == true)
  }

  @Test("when enough nodes are back, the others have two leases to come too before their pods are replaced")
  func brakeReleased() throws {
    var harness = try cluster(["a", "b", "c", "d"])
    for index in 0..<4 { harness.addPod("p\(index)") }
    let onC = try #require((0..<4).first { harness.pod("p\($0)")?.nodeName == "c" })
    harness.pass(30_000, beating: ["d"])
    #expect(harness.core.fleet.brake != nil)
    harness.reconnect("a", session: "a2")
    harness.pass(1_000, beating: ["a", "d"])
    #expect(harness.core.fleet.brake?.isEnding == true)
    // R of the two that are left has long passed.
    #expect((0..<4).allSatisfy { harness.isLive("p\($0)") })
    harness.pass(5_000, beating: ["a", "d"])
    harness.reconnect("b", session: "b2")
    for _ in 0..<3 { harness.pass(1_000, beating: ["a", "b", "d"]) }
    #expect((0..<4).allSatisfy { harness.isLive("p\($0)") })
    for _ in 0..<4 { harness.pass(1_000, beating: ["a", "b", "d"]) }
    #expect(harness.core.fleet.brake == nil)
    #expect((0..<4).filter { !harness.isLive("p\($0)") } == [onC], "a single loss is left, whose R has long passed")
  }

  @Test("when all are back the brake is gone at once, and the next single loss is one")
  func brakeReleasedByAll() throws {
    var harness = try cluster(["a", "b", "c", "d"])
    for index in 0..<4 { harness.addPod("p\(index)") }
    harness.pass(30_000, beating: ["d"])
    for name in ["a", "b", "c"] {
      harness.reconnect(name, session: "\(name)2")
      harness.beat("d")
    }
    #expect(harness.core.fleet.brake == nil)
    for _ in 0..<25 { harness.pass(1_000, beating: ["a", "b", "d"]) }
    #expect((0..<4).filter { !harness.isLive("p\($0)") }.count == 1)
  }

  @Test("a brake that ends holds on when others go meanwhile, for as long as a hold may last")
  func brakeHoldsAgain() throws {
    var harness = try cluster(["a", "b", "c", "d", "e"])
    for index in 0..<5 { harness.addPod("p\(index)") }
    harness.pass(30_000, beating: ["d", "e"])
    #expect(harness.core.fleet.brake?.isEnding == false)
    harness.reconnect("a", session: "a2")
    harness.pass(1_000, beating: ["a", "d", "e"])
    #expect(harness.core.fleet.brake?.isEnding == true)
    // d and e fall silent now.
    for _ in 0..<20 { harness.pass(1_000, beating: ["a"]) }
    #expect(harness.core.fleet.brake?.isEnding == false && harness.core.fleet.brake?.nodes.count == 4)
    #expect((0..<5).allSatisfy { harness.isLive("p\($0)") })
    for _ in 0..<120 { harness.pass(1_000, beating: ["a"]) }
    #expect((0..<5).filter { !harness.isLive("p\($0)") }.count == 4)
  }

  // MARK: - C7

  @Test("a heartbeat whose echo is older than a lease makes the node not ready and ends the session")
  func oldEcho() throws {
    var harness = try cluster(["a"])
    harness.agents["a"]?.isDeaf = true
    for _ in 0..<5 { harness.pass(1_000, beating: ["a"]) }
    #expect(harness.agents["a"]?.closedBecause == nil)
    harness.pass(1_000, beating: ["a"])
    #expect(harness.agents["a"]?.closedBecause?.contains("older than a lease") == true)
    #expect(harness.node("a")?.conditions.first { $0.type == "Ready" }?.status == "Unknown")
  }

  @Test("an assignment that two heartbeats do not acknowledge ends the session")
  func unacknowledged() throws {
    var harness = try cluster(["a"])
    harness.agents["a"]?.isDeaf = true
    harness.addPod("p")
    harness.pass(1_000, beating: ["a"])
    #expect(harness.agents["a"]?.closedBecause == nil)
    harness.pass(1_000, beating: ["a"])
    #expect(harness.agents["a"]?.closedBecause?.contains("two heartbeats") == true)
    #expect(harness.node("a")?.isReady == false)
    #expect(harness.isLive("p"))
    harness.addPod("q")
    #expect(harness.pod("q")?.nodeName == nil)
  }

  @Test("an echo of an answer that was never sent ends the session")
  func wildEcho() throws {
    var harness = try cluster(["a"])
    harness.agents["a"]?.echo = 99
    harness.beat("a")
    #expect(harness.agents["a"]?.closedBecause?.contains("never sent") == true)
  }
}
