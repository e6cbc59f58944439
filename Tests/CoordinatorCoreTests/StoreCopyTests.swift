// Rule C4: an older copy of the store that is served again, in place of a newer one. What the agents have seen, and the
// time that a moved or restored store waits. Copies are rows; directories are the server's.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("An older copy of the store")
struct StoreCopyTests {
  private static func configuration(_ mark: String, isMoved: Bool = false) -> CoordinatorConfiguration {
    var result = FleetHarness.configuration()
    result.startMark = mark
    result.opensEpoch = isMoved
    return result
  }

  /// What an agent that was registered by that start has seen.
  private static func agent(_ name: String, _ incarnation: Int64, _ mark: String, session: String) -> FakeAgent {
    var agent = FakeAgent(name, session: session)
    agent.hasSeen(incarnation, mark)
    return agent
  }

  private static func halts(_ harness: FleetHarness) -> [String] {
    harness.effects.compactMap { if case .halt(let text) = $0 { text } else { nil } }
  }

  /// A store with a pod that no node has, its older copy, and a second start (mark "second") that gives the pod to a.
  private static func twoHistories() throws -> (harness: FleetHarness, older: [String: StoreRow]) {
    var harness = try FleetHarness(configuration("first"))
    harness.addPod("p")
    let older = harness.rows
    try harness.restart(configuration("second"))
    harness.join(FakeAgent("a"))
    harness.join(FakeAgent("b"))
    #expect(harness.attempt(of: "p") == 1)
    return (harness, older)
  }

  @Test("that counts to the same incarnation is told by its mark, by whoever has seen the newer one, after any restart")
  func sameIncarnation() throws {
    var (harness, older) = try Self.twoHistories()
    harness.rows = older
    for (mark, incarnation) in [("copy", Int64(2)), ("copy again", 3), ("and again", 4)] {
      try harness.restart(Self.configuration(mark))
      #expect(harness.core.incarnation == incarnation)
      harness.effects = []
      harness.agents = [:]
      harness.register(Self.agent("b", 2, "second", session: mark), as: "b")
      #expect(Self.halts(harness).first?.contains("another start with the number 2") == true)
      #expect(harness.agents["b"]?.isRegistered == false)
      #expect(harness.attempt(of: "p") == nil)
    }
  }

  @Test("the newest store is not stopped by agents of its own starts, nor by those that know no marks")
  func ownHistory() throws {
    var (harness, _) = try Self.twoHistories()
    try harness.restart(Self.configuration("third"))
    harness.effects = []
    harness.agents = [:]
    for (number, seen) in [(Int64(1), "first"), (2, "second"), (3, "third"), (2, ""), (0, "")].enumerated() {
      let agent = Self.agent("n\(number)", seen.0, seen.1, session: "s\(number)")
      harness.register(agent, as: "n\(number)")
      #expect(harness.agents["n\(number)"]?.isRegistered == true)
    }
    #expect(Self.halts(harness).isEmpty)
  }

  @Test("marks are kept for so many starts, also around starts of a version that had none")
  func historyIsBounded() throws {
    var history = StartHistory()
    for incarnation in 1...3_000 where incarnation != 2_990 {
      history.begin(Int64(incarnation), mark: "m\(incarnation)")
    }
    #expect(history.json["marks"]?.arrayValue?.count == StartHistory.limit)
    #expect(StartHistory(json: history.json) == history)
    #expect(history.contradicts(3_000, mark: "other") && !history.contradicts(3_000, mark: "m3000"))
    #expect(history.contradicts(2_989, mark: "other") && !history.contradicts(2_990, mark: "other"))
    #expect(!history.contradicts(1, mark: "other") && !history.contradicts(.min, mark: "other"))
    history.begin(.max, mark: "last")
    #expect(history.contradicts(.max, mark: "other") && !history.contradicts(.min, mark: "other"))
  }

  @Test("served as a moved one it repeats no number, and gives out nothing until the longest lease is over")
  func movedWaits() throws {
    var (harness, older) = try Self.twoHistories()
    let version = harness.core.resourceVersion
    harness.rows = older
    try harness.restart(Self.configuration("moved", isMoved: true))
    #expect(harness.core.incarnation > 1 << 20)
    #expect(harness.core.resourceVersion > version)
    harness.effects = []
    harness.agents = [:]
    // It has seen more than the copy had.
    var agent = Self.agent("b", 2, "second", session: "s")
    agent.hasSeen(2, "second", attempt: 1)
    agent.held[1] = InventoryEntry(attempt: 1, revision: 1, terminal: false, frozen: false)
    harness.join(agent)
    #expect(Self.halts(harness).isEmpty && harness.agents["b"]?.isRegistered == true)
    // What it holds is unknown here: not desired, so it stops.
    #expect(harness.agents["b"]?.desired.isEmpty == true)
    // 1.05 × (600 s + 10 s) + 2 s.
    harness.pass(400_000, beating: ["b"])
    let condition = harness.pod("p")?.status.conditions.first { $0.type == "PodScheduled" }
    #expect(condition?.message.contains("the coordinator's store was moved or restored, and until") == true)
    harness.pass(240_000, beating: ["b"])
    #expect(!harness.isLive("p"))
    // A crash meanwhile: the wait begins again, without the flag.
    try harness.restart(Self.configuration("crashed"))
    harness.reconnect("b", session: "again")
    harness.pass(641_000, beating: ["b"])
    #expect(!harness.isLive("p"))
    harness.pass(2_500, beating: ["b"])
    #expect((harness.attempt(of: "p") ?? 0) > 1 << 36)
    try harness.restart(Self.configuration("next"))
    #expect(!harness.core.isHolding)
  }

  @Test("a pod's longer toleration lengthens the wait")
  func tolerationCounts() throws {
    var harness = try FleetHarness(Self.configuration("first"))
    harness.addPod("p", toleration: 1_000)
    try harness.restart(Self.configuration("moved", isMoved: true))
    harness.join(FakeAgent("a"))
    harness.pass(1_681_000, beating: ["a"])
    #expect(!harness.isLive("p"))
    harness.pass(2_000, beating: ["a"])
    #expect(harness.isLive("p"))
  }

  @Test("while a moved store waits, nothing of it is started, what stands frozen ends, and what runs goes on")
  func movedStartsNothing() throws {
    var harness = try FleetHarness(Self.configuration("first"))
    harness.join(FakeAgent("a"))
    for name in ["assigned", "frozen", "running"] { harness.addPod(name) }
    let numbers = try ["assigned", "frozen", "running"].map { try #require(harness.attempt(of: $0)) }
    try harness.restart(Self.configuration("moved", isMoved: true))
    var agent = Self.agent("a", 1, "first", session: "again")
    agent.hasSeen(1, "first", attempt: numbers[2])
    agent.held[numbers[1]] = InventoryEntry(attempt: numbers[1], revision: 1, terminal: false, frozen: true)
    agent.held[numbers[2]] = InventoryEntry(attempt: numbers[2], revision: 1, terminal: false, frozen: false)
    harness.join(agent)
    #expect(harness.agents["a"]?.desired[numbers[1]] == .stop(graceMilliseconds: 0))
    #expect(harness.agents["a"]?.desired[numbers[2]] == .run)
    harness.step([.agent("again", .fetch([numbers[0]]))])
    harness.pass(600_000, beating: ["a"])
    #expect(harness.agents["a"]?.bodies.isEmpty == true)
    harness.pass(50_000, beating: ["a"])
    #expect(harness.agents["a"]?.bodies[numbers[0]] != nil)
  }
}
