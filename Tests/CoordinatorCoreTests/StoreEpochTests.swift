// Rule C4 after a restore: numbers above all that any newer history has given out, what agents hold of it, and what it
// has been told and this one has not. Files are the server's.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("A restored store")
struct StoreEpochTests {
  private static func configuration(_ mark: String) -> CoordinatorConfiguration {
    var result = FleetHarness.configuration()
    result.startMark = mark
    return result
  }

  /// Puts a backup in the store's place, as a restore does.
  private static func restore(_ backup: [String: StoreRow], _ mark: String, in harness: inout FleetHarness) throws {
    harness.rows = backup
    harness.rows["facts|restored"] = StoreRow(table: .facts, key: CoordinatorCore.restoredFact, value: Array("{}".utf8))
    harness.agents = [:]
    harness.effects = []
    try harness.restart(configuration(mark))
  }

  private static func seen(by name: String, of core: CoordinatorCore, _ mark: String) -> FakeAgent {
    var agent = FakeAgent(name, session: "\(name)-after-\(mark)")
    agent.hasSeen(core.incarnation, mark, attempt: core.fleet.lastAttempt)
    return agent
  }

  private static func halts(_ harness: FleetHarness) -> [String] {
    harness.effects.compactMap { if case .halt(let text) = $0 { text } else { nil } }
  }

  private static func logs(_ harness: FleetHarness) -> [String] {
    harness.effects.compactMap { if case .log(let text) = $0 { text } else { nil } }
  }

  @Test("repeats no number of an earlier restore of the same backup, and its agents are let in")
  func secondRestore() throws {
    var harness = try FleetHarness(Self.configuration("first"))
    harness.addPod("p")
    let backup = harness.rows
    try Self.restore(backup, "one", in: &harness)
    let (incarnation, version) = (harness.core.incarnation, harness.core.resourceVersion)
    harness.join(FakeAgent("a"))
    harness.pass(645_000, beating: ["a"])
    let attempt = try #require(harness.attempt(of: "p"))
    let agent = Self.seen(by: "a", of: harness.core, "one")
    try Self.restore(backup, "two", in: &harness)
    #expect(harness.core.incarnation > incarnation)
    #expect(harness.core.resourceVersion > version)
    #expect(harness.core.fleet.lastAttempt > attempt)
    harness.join(agent)
    #expect(Self.halts(harness).isEmpty)
    #expect(harness.agents["a"]?.isRegistered == true)
  }

  @Test("opens one epoch: the next start goes on in it, and waits on; without its first commit another one is opened")
  func once() throws {
    var harness = try FleetHarness(Self.configuration("first"))
    let backup = harness.rows
    try Self.restore(backup, "restored", in: &harness)
    let incarnation = harness.core.incarnation
    #expect(harness.rows["facts|restored"] == nil)
    try harness.restart(Self.configuration("next"))
    #expect(harness.core.incarnation == incarnation + 1)
    #expect(harness.core.isHolding)
    // A crash before the first commit: the row is still there.
    try Self.restore(backup, "again", in: &harness)
    #expect(harness.core.isHolding && harness.core.incarnation >= incarnation)
  }

  @Test("rises above what an agent has seen of a newer history whose clock was ahead, while it has given out nothing")
  func rises() throws {
    var harness = try FleetHarness(Self.configuration("first"))
    harness.addPod("p")
    let backup = harness.rows
    // A machine whose clock is a year ahead.
    harness.boot += 365 * 86_400_000
    try Self.restore(backup, "ahead", in: &harness)
    let far = Self.seen(by: "a", of: harness.core, "ahead")
    let late = Self.seen(by: "b", of: harness.core, "ahead")
    harness.boot = 2_000_000
    try Self.restore(backup, "right", in: &harness)
    #expect(harness.core.incarnation < far.highestIncarnation)
    harness.join(far)
    #expect(Self.halts(harness).isEmpty)
    #expect(harness.agents["a"]?.isRegistered == true)
    #expect(harness.core.incarnation > far.highestIncarnation)
    #expect(Self.logs(harness).contains { $0.contains("goes on above them") })
    let incarnation = harness.core.incarnation
    try harness.restart(Self.configuration("crashed"))
    #expect(harness.core.incarnation == incarnation + 1)
    harness.reconnect("a", session: "again")
    harness.pass(645_000, beating: ["a"])
    #expect((harness.attempt(of: "p") ?? 0) > far.highestAttempt)
    #expect(harness.problems().isEmpty)
    // What it has given out by now could be what the other history gave out too.
    harness.effects = []
    var above = late
    above.hasSeen(harness.core.incarnation + 1, "ahead", attempt: above.highestAttempt)
    harness.register(above, as: "b")
    #expect(Self.halts(harness).count == 1)
  }

  @Test("one toleration of years keeps nobody from a node, and what makes the wait long is named and can be deleted")
  func longTolerations() throws {
    func hold(_ tolerations: [(String, Int64?)]) throws -> (harness: FleetHarness, usual: Int64) {
      var harness = try FleetHarness(Self.configuration("first"))
      let empty = harness.rows
      try Self.restore(empty, "none", in: &harness)
      let usual = harness.core.fleet.holdMilliseconds
      harness = try FleetHarness(Self.configuration("first"))
      for (name, seconds) in tolerations { harness.addPod(name, toleration: seconds) }
      let backup = harness.rows
      try Self.restore(backup, "restored", in: &harness)
      return (harness, usual)
    }
    for seconds in [3_601, 86_400, Int64.max] {
      let (harness, usual) = try hold([("short", 10), ("greedy", seconds), ("without", nil)])
      #expect(harness.core.fleet.holdMilliseconds == usual)
      #expect(
        Self.logs(harness).contains { $0.contains("pod default/greedy may tolerate an unreachable node for more") })
    }
    var (harness, usual) = try hold([("short", 10), ("long", 3_600), ("middle", 600)])
    let long = harness.core.fleet.holdMilliseconds
    #expect(long > usual + 3_500_000 && long < usual + 3_800_000)
    #expect(Self.logs(harness).contains { $0.contains("(pod default/long tolerates an unreachable node so long)") })
    harness.rows = harness.rows.filter { !$0.key.hasSuffix("long") }
    harness.effects = []
    try harness.restart(Self.configuration("next"))
    #expect(harness.core.isHolding && harness.core.fleet.holdMilliseconds < usual + 700_000)
    #expect(Self.logs(harness).contains { $0.contains("(pod default/middle ") })
  }

  @Test("says which attempts a node holds that it does not know, has them stopped, and counts no end of theirs")
  func listsUnknown() throws {
    var harness = try FleetHarness(Self.configuration("first"))
    harness.join(FakeAgent("a"))
    harness.addPod("known")
    let known = try #require(harness.attempt(of: "known"))
    harness.addPod("ended")
    let ended = try #require(harness.attempt(of: "ended"))
    harness.report("a", ended, revision: 1, .succeeded)
    let backup = harness.rows
    try Self.restore(backup, "restored", in: &harness)
    var agent = FakeAgent("a", session: "again")
    for (number, terminal, frozen) in [
      (known, false, false), (ended, true, false), (77, false, false), (78, true, false), (79, false, true),
    ] {
      agent.held[number] = InventoryEntry(attempt: number, revision: 1, terminal: terminal, frozen: frozen)
    }
    harness.join(agent)
    let expected = "node a holds attempts that the restored store does not know: 77, 78 (ended), 79 (frozen)."
    #expect(Self.logs(harness).contains { $0.hasPrefix(expected) })
    #expect(harness.events("UnknownAttempts").contains { $0.hasPrefix(expected) })
    #expect(harness.agents["a"]?.desired == [known: .run])
    #expect(harness.agents["a"]?.acknowledged.contains(78) == true)
  }

  @Test("an attempt whose end only the lost history knows ends as one lost with its node, and is charged to nobody")
  func forgottenEnd() throws {
    var harness = try FleetHarness(Self.configuration("first"))
    harness.join(FakeAgent("a"))
    for name in ["over", "frozen"] { harness.addPod(name) }
    let over = try #require(harness.attempt(of: "over"))
    let frozen = try #require(harness.attempt(of: "frozen"))
    harness.report("a", over, revision: 1, .running)
    harness.report("a", frozen, revision: 1, .running)
    let backup = harness.rows
    try Self.restore(backup, "restored", in: &harness)
    var agent = FakeAgent("a", session: "again")
    agent.held[frozen] = InventoryEntry(attempt: frozen, revision: 2, terminal: false, frozen: true)
    harness.join(agent)
    #expect(harness.agents["a"]?.desired[frozen] == .stop(graceMilliseconds: 0))
    #expect(harness.pod("frozen")?.status.condition("DisruptionTarget")?.reason == "DeletionByTaintManager")
    harness.pass(645_000, beating: ["a"])
    // It is asked to run what it has run, and says that it will not.
    harness.step([.agent("again", .fetch([over]))])
    #expect(harness.agents["a"]?.bodies[over] != nil)
    harness.report("a", over, revision: .init(Int32.max), .failed)
    #expect(harness.agents["a"]?.acknowledged.contains(over) == true)
    #expect(harness.pod("over")?.status.phase == .failed)
    #expect(harness.pod("over")?.status.condition("DisruptionTarget")?.reason == "DeletionByTaintManager")
    #expect(!harness.isLive("over") && harness.problems().isEmpty)
  }

  @Test("an end that containers tell of is what it was, also after a restore")
  func toldEnd() throws {
    var harness = try FleetHarness(Self.configuration("first"))
    harness.join(FakeAgent("a"))
    harness.addPod("p")
    let number = try #require(harness.attempt(of: "p"))
    let backup = harness.rows
    try Self.restore(backup, "restored", in: &harness)
    harness.join(FakeAgent("a", session: "again"))
    var status = PodStatus()
    status.phase = .failed
    status.containers = [
      ContainerStatus(
        name: "c", image: "none", state: .running(startedAt: WallTime(nanoseconds: 7)), ready: false, started: true)
    ]
    harness.step([.agent("again", .reports([AttemptReport(attempt: number, revision: 3, status: status)]))])
    #expect(harness.pod("p")?.status.phase == .failed)
    #expect(harness.pod("p")?.status.condition("DisruptionTarget") == nil)
  }
}
