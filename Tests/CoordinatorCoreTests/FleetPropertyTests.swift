// Restart and randomness: what rows rebuild equals what memory held, and no history of losses, returns and reports
// lets one pod have two attempts or a node more than it can hold.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Fleet under faults") struct FleetPropertyTests {
  private struct Durable: Equatable {
    var attempts: [AttemptNumber: Attempt]
    var attemptOfPod: [String: AttemptNumber]
    var attemptsOfJob: [String: Int]
    var lastAttempt: AttemptNumber
    var tokens: Set<AttemptNumber>
    var longestLease: Int64
    var nodes: [String: String]
    var usage: [String: NodeUsage]
    var digests: [String: SetDigest]
    var waiting: [WaitingGroupKey: Int]

    init(_ fleet: FleetState) {
      attempts = fleet.attempts
      attemptOfPod = fleet.attemptOfPod
      attemptsOfJob = fleet.attemptsOfJob
      lastAttempt = fleet.lastAttempt
      tokens = fleet.tokens
      longestLease = fleet.longestLease
      nodes = fleet.nodes.mapValues {
        "\($0.holder) \($0.fencesFully) \($0.isDeclaredDead)"
      }
      usage = fleet.nodes.mapValues(\.usage)
      digests = fleet.nodes.mapValues(\.desiredDigest)
      waiting = fleet.scheduler.groups.mapValues(\.pods.count)
    }
  }

  /// Agents by key; the key of an agent is its node name.
  private struct World {
    var harness: FleetHarness
    var random: SplitMix64
    var revision: Int64 = 0
    var sessions = 0
    var silent: Set<String> = []
    var pods = 0
    /// The attempt that the coordinator last held possibly live for each pod: never two at once, never the same again.
    var everLive: [String: Set<AttemptNumber>] = [:]
    var ended: Set<AttemptNumber> = []

    init(seed: UInt64) throws {
      harness = try FleetHarness()
      random = SplitMix64(seed: seed)
      for name in ["a", "b", "c", "d"] { harness.join(FakeAgent(name)) }
    }

    mutating func pick<Element>(_ list: [Element]) -> Element? {
      list.isEmpty ? nil : list[Int(random.below(UInt64(list.count)))]
    }

    mutating func act() throws {
      let names = ["a", "b", "c", "d"]
      guard let name = pick(names) else { return }
      switch random.below(12) {
      case 0, 1, 2:
        pods += 1
        let cpu = ["100m", "1", "3", "5"]
        harness.addPod("p\(pods)", cpu: pick(cpu), toleration: random.below(5) == 0 ? 0 : 10)
      case 3, 4, 5: reportSomething(name)
      case 6: silent.insert(name)
      case 7:
        silent.remove(name)
        comeBack(name)
      case 8: harness.pass(Int64(random.below(9_000)), beating: names.filter { !silent.contains($0) })
      case 9: harness.pass(Int64(random.below(900)))
      case 10:
        if let number = pick(harness.core.fleet.attempts.keys.sorted()),
          let uid = harness.core.fleet.attempts[number]?.podUID
        {
          harness.core.stopAttempt(podUID: uid, graceMilliseconds: Int64(random.below(30_000)))
          harness.step([])
        }
      default: try restartOrReboot(name)
      }
    }

    private mutating func reportSomething(_ name: String) {
      guard !silent.contains(name), harness.agents[name]?.closedBecause == nil,
        let number = pick((harness.agents[name]?.desired ?? [:]).keys.sorted())
      else { return }
      revision += 1
      let phases: [PodPhase] = [.pending, .running, .running, .succeeded, .failed]
      guard let phase = pick(phases) else { return }
      harness.report(name, number, revision: random.below(4) == 0 ? 0 : revision, phase)
    }

    private mutating func comeBack(_ name: String) {
      sessions += 1
      harness.reconnect(name, session: "s\(sessions)")
    }

    private mutating func restartOrReboot(_ name: String) throws {
      if random.below(3) == 0 {
        let before = Durable(harness.core.fleet)
        try harness.restart(away: Int64(random.below(8_000)))
        #expect(Durable(harness.core.fleet) == before)
        for other in ["a", "b", "c", "d"] where !silent.contains(other) { comeBack(other) }
      } else {
        sessions += 1
        guard var agent = harness.agents[name] else { return }
        agent.boot = "boot-\(sessions)"
        agent.uptime = 1_000
        agent.keeper = "keeper-\(sessions)"
        agent.held = [:]
        // A machine that boots is silent meanwhile.
        harness.pass(6_000, beating: ["a", "b", "c", "d"].filter { $0 != name && !silent.contains($0) })
        harness.agents[name] = agent
        silent.remove(name)
        harness.reconnect(name, session: "s\(sessions)")
      }
    }

    mutating func check() {
      #expect(harness.problems() == [])
      for attempt in harness.core.fleet.attempts.values {
        everLive[attempt.podUID, default: []].insert(attempt.number)
      }
      // A pod is assigned at most once in its life.
      #expect(everLive.values.allSatisfy { $0.count == 1 })
      for key in harness.core.state.keys(of: .pods) {
        guard let pod = harness.core.state.pods[key] else { continue }
        let isLive = harness.core.isPossiblyLive(podUID: pod.meta.uid)
        if pod.status.phase.isTerminal { #expect(!isLive) }
        if pod.nodeName != nil, !pod.status.phase.isTerminal { #expect(isLive) }
      }
    }
  }

  @Test("random losses, returns, reboots, restarts and reports never make two attempts of one pod", arguments: 1...12)
  func random(seed: Int) throws {
    var world = try World(seed: UInt64(seed))
    for _ in 0..<150 {
      try world.act()
      world.check()
    }
    #expect(world.harness.core.fleet.lastAttempt > 10)
    // When the faults end, nothing stays possibly live on a node that does not come back.
    world.harness.pass(240_000)
    #expect(world.harness.core.fleet.attempts.isEmpty)
    world.check()
  }

  @Test("the state rebuilt from rows equals memory without sessions and views")
  func restartEqualsMemory() throws {
    var harness = try FleetHarness()
    for name in ["a", "b"] { harness.join(FakeAgent(name)) }
    for index in 0..<30 { harness.addPod("p\(index)", cpu: "500m") }
    harness.report("a", 1, revision: 1, .succeeded)
    let uid = try #require(harness.pod("p3")?.meta.uid)
    harness.core.stopAttempt(podUID: uid, graceMilliseconds: 4_000)
    harness.step([])
    let before = Durable(harness.core.fleet)
    #expect(before.waiting.values.reduce(0, +) == 13)
    try harness.restart(away: 1_000)
    #expect(Durable(harness.core.fleet) == before)
    #expect(harness.core.fleet.views.values.allSatisfy { $0 == AttemptView() })
  }

  @Test("attempt numbers are never given out again, whatever was dropped before the restart")
  func numbersRise() throws {
    var harness = try FleetHarness()
    harness.join(FakeAgent("a"))
    for index in 0..<5 { harness.addPod("p\(index)") }
    for number in 1...5 { harness.report("a", AttemptNumber(number), revision: 1, .succeeded) }
    #expect(!harness.rows.keys.contains { $0.hasPrefix("attempts|") })
    try harness.restart()
    harness.reconnect("a", session: "second")
    harness.addPod("next")
    #expect(harness.pod("next")?.status.fencingToken == 6)
  }

  @Test(
    "a row that is no attempt or no node record stops the start with its name", arguments: ["attempts", "noderecords"])
  func damagedRow(table: String) throws {
    let storeTable = try #require(StoreTable(rawValue: table))
    let row = StoreRow(table: storeTable, key: "x", value: Array("{}".utf8))
    #expect(throws: CoordinatorStartError.self) {
      _ = try CoordinatorCore(
        configuration: CoordinatorConfiguration(), rows: [row], seed: 1, now: FleetHarness.now(5))
    }
  }

  @Test("a node declared dead stays so over a restart, until its agent registers again")
  func declaredDead() throws {
    var harness = try FleetHarness()
    harness.join(FakeAgent("a"))
    for index in 0..<40 { harness.addPod("p\(index)", toleration: nil) }
    harness.core.declareNodeDead("a")
    // The person's word is durable before all of its consequences are.
    _ = harness.core.step([], at: harness.now).map { effect in
      if case .persist(let write) = effect {
        harness.rows["\(write.table.rawValue)|\(write.key)"] = write.value.map {
          StoreRow(table: write.table, key: write.key, value: $0)
        }
      }
    }
    try harness.restart()
    #expect(harness.core.fleet.attempts.isEmpty)
    #expect(harness.core.fleet.nodes["a"]?.isDeclaredDead == true)
    harness.reconnect("a", session: "second")
    #expect(harness.core.fleet.nodes["a"]?.isDeclaredDead == false)
    harness.addPod("next")
    #expect(harness.pod("next")?.nodeName == "a")
  }

  @Test("a forced delete is a person's word for one attempt")
  func forcedDelete() throws {
    var harness = try FleetHarness()
    harness.join(FakeAgent("a"))
    harness.addPod("p", toleration: nil)
    harness.pass(6_000)
    let uid = try #require(harness.pod("p")?.meta.uid)
    harness.core.assertPodDead(podUID: uid)
    harness.step([])
    #expect(!harness.core.isPossiblyLive(podUID: uid))
    #expect(harness.effects.contains { if case .log(let text) = $0 { text.contains("forced delete") } else { false } })
  }

  @Test("a forced delete ends the attempt of a pod on a node that is away, and waits for proof on one that is not")
  func forcedDeleteThroughTheAPI() throws {
    var harness = try FleetHarness()
    harness.join(FakeAgent("a"))
    harness.addPod("p", toleration: nil)
    harness.addPod("q", toleration: nil)
    func forced(_ name: String) -> CoordinatorEvent {
      var options = APIOptions()
      options.gracePeriodSeconds = 0
      return .request(
        1, APIRequest(verb: .delete, kind: .pods, namespace: "default", name: name, options: options))
    }
    let here = try #require(harness.pod("p")?.meta.uid)
    harness.step([forced("p")])
    #expect(harness.core.isPossiblyLive(podUID: here))
    harness.pass(12_000)
    let away = try #require(harness.pod("q")?.meta.uid)
    harness.step([forced("q")])
    #expect(!harness.core.isPossiblyLive(podUID: away))
  }
}
