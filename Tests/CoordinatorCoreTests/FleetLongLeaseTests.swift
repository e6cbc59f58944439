// The end of a polite stop's long lease (C2): a node that came back and took it back is held no longer than its own
// last heartbeat needs; whatever is old, of another keeper or not settled takes nothing back.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Long leases") struct FleetLongLeaseTests {
  /// One node with a pod after a polite stop and a restart, connected again in session "again".
  private func stoppedAndBack() throws -> FleetHarness {
    var harness = try FleetHarness()
    harness.join(FakeAgent("a"))
    harness.addPod("p")
    harness.step([.stopRequested])
    #expect(harness.core.fleet.nodes["a"]?.longLease == 600_000)
    try harness.restart(away: 3_000)
    harness.reconnect("a", session: "again")
    return harness
  }

  private func settle(_ harness: inout FleetHarness, _ milliseconds: Int64?) {
    harness.agents["a"]?.leasesSettleMilliseconds = milliseconds
    harness.beat("a")
  }

  /// From now on the node is silent.
  private func expectFenced(_ harness: inout FleetHarness, _ range: ClosedRange<Int64>) throws {
    let fenced = harness.timeToFence("p")
    let time = try #require(fenced)
    #expect(range.contains(time))
    #expect(harness.problems().isEmpty)
  }

  @Test("a node that came back after a polite stop and then dies is replaced in the usual time")
  func backThenDead() throws {
    var harness = try stoppedAndBack()
    harness.pass(2_000, beating: ["a"])
    settle(&harness, 0)
    #expect(harness.core.fleet.nodes["a"]?.longLease == 0)
    try expectFenced(&harness, 17_750...17_850)
  }

  @Test("while the pods' inits may still hold the long end, the node is held for that time and its tolerations")
  func settling() throws {
    var harness = try stoppedAndBack()
    settle(&harness, 10_000)
    #expect(harness.core.fleet.nodes["a"]?.longLease == 600_000)
    // 1.05 × (10 s + 10 s) + 2 s.
    try expectFenced(&harness, 23_000...23_100)
  }

  @Test("a crash of the coordinator after that costs nothing more, since the long lease is gone from the store")
  func crashAfter() throws {
    var harness = try stoppedAndBack()
    settle(&harness, 0)
    try harness.restart(away: 100)
    try expectFenced(&harness, 17_750...17_850)
  }

  @Test("a crash of the coordinator before the inits have settled keeps the promise")
  func crashWhileSettling() throws {
    var harness = try stoppedAndBack()
    settle(&harness, 1)
    try harness.restart(away: 100)
    try expectFenced(&harness, 642_500...642_600)
  }

  @Test("a node that says nothing of its leases is held as long as was promised")
  func silent() throws {
    var harness = try stoppedAndBack()
    harness.pass(20_000, beating: ["a"])
    #expect(harness.core.fleet.nodes["a"]?.longLease == 600_000)
    // From the start on, 21 s ago or a little less.
    try expectFenced(&harness, 620_000...642_600)
  }

  @Test("a word of an earlier session takes nothing back")
  func oldSession() throws {
    var harness = try stoppedAndBack()
    let reach = try #require(harness.core.fleet.nodes["a"]?.leaseReach)
    settle(&harness, nil)
    var old = try #require(harness.agents["a"])
    old.leasesSettleMilliseconds = 0
    harness.reconnect("a", session: "third")
    for session in ["session-a", "again"] {
      harness.step([.agent(session, .heartbeat(old.heartbeat()))])
    }
    #expect(harness.core.fleet.nodes["a"]?.longLease == 600_000)
    #expect(harness.core.fleet.nodes["a"]?.leaseReach == reach)
  }

  @Test("a second polite stop promises anew, whatever the node says while it goes on and after a restart in between")
  func secondStop() throws {
    var harness = try stoppedAndBack()
    settle(&harness, 0)
    #expect(harness.core.fleet.nodes["a"]?.longLease == 0)
    harness.step([.stopRequested])
    #expect(harness.core.fleet.nodes["a"]?.longLease == 600_000)
    settle(&harness, 0)
    #expect(harness.core.fleet.nodes["a"]?.longLease == 600_000)
    try harness.restart(away: 100)
    // What the second coordinator's session said comes late.
    var old = try #require(harness.agents["a"])
    harness.step([.agent(old.session, .heartbeat(old.heartbeat()))])
    try expectFenced(&harness, 642_500...642_600)
  }

  @Test("an answer with a longer lease in the same session counts, whatever the node has said before and after")
  func longerAfterwards() throws {
    var harness = try stoppedAndBack()
    settle(&harness, 0)
    harness.core.fleet.lease = 60_000
    harness.beat("a")
    harness.core.fleet.lease = 5_000
    settle(&harness, 0)
    // 1.05 × (60 s + 10 s) + 2 s.
    try expectFenced(&harness, 75_500...75_600)
  }

  @Test("a keeper's word takes nothing back of what another keeper held")
  func otherKeeper() throws {
    var harness = try stoppedAndBack()
    let number = try #require(harness.attempt(of: "p"))
    var next = FakeAgent("a", keeper: "keeper-2", session: "next")
    next.swept = ["keeper-a"]
    // Its last report is still to come.
    next.held = [number: InventoryEntry(attempt: number, revision: 9, terminal: true, frozen: false)]
    next.leasesSettleMilliseconds = 0
    harness.join(next)
    harness.beat("a")
    #expect(harness.isLive("p"))
    #expect(harness.core.fleet.nodes["a"]?.longLease == 600_000)
    harness.report("a", number, revision: 10, .succeeded)
    harness.beat("a")
    #expect(harness.core.fleet.nodes["a"]?.longLease == 0)
  }
}
