// A node whose disk does not answer, as the coordinator shows and treats it.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite struct FleetDiskTests {
  private func stalled(_ pods: Int = 1) throws -> FleetHarness {
    var harness = try FleetHarness()
    harness.join(FakeAgent("a"))
    for number in 0..<pods {
      harness.addPod("p\(number)")
      harness.report("a", try #require(harness.attempt(of: "p\(number)")), revision: 1, .running)
    }
    harness.agents["a"]?.diskStalledMilliseconds = 2_000
    harness.beat("a")
    return harness
  }

  private func condition(_ harness: FleetHarness) -> Condition? {
    harness.node("a")?.conditions.first { $0.type == "DiskStalled" }
  }

  @Test("a stalled disk shows as a condition, a taint and one event; the node stays Ready and its pods Running")
  func shown() throws {
    var harness = try stalled()
    harness.agents["a"]?.diskStalledMilliseconds = 3_000
    harness.pass(60_000, beating: ["a"])
    #expect(condition(harness)?.isTrue == true)
    #expect(condition(harness)?.message == "the disk of the agent's data directory has not answered for 2 s")
    #expect(harness.node("a")?.isReady == true)
    #expect(harness.node("a")?.taints.map(\.key) == [Taint.diskStalled])
    #expect(harness.events("DiskStalled").count == 1)
    #expect(harness.pod("p0")?.status.phase == .running)
    #expect(harness.pod("p0")?.meta.deletionTimestamp == nil)
    #expect(harness.isLive("p0"))
  }

  @Test("a node with a stalled disk takes no new pods; when it answers they go there, and the condition says so")
  func schedules() throws {
    var harness = try stalled()
    harness.addPod("new")
    #expect(!harness.isLive("new"))
    #expect(
      harness.pod("new")?.status.condition("PodScheduled")?.message.contains(
        "1 node(s) had untolerated taint {stint.dev/disk-stalled: }") == true)
    harness.agents["a"]?.diskStalledMilliseconds = nil
    harness.beat("a")
    harness.pass(2_000, beating: ["a"])
    #expect(harness.isLive("new"))
    #expect(condition(harness)?.status == "False" && condition(harness)?.reason == "DiskAnswers")
    #expect(harness.node("a")?.taints.isEmpty == true)
    #expect(harness.events("DiskAnswers").count == 1)
  }

  @Test("a node that was never stalled has no such condition")
  func silent() throws {
    var harness = try FleetHarness()
    harness.join(FakeAgent("a"))
    harness.pass(10_000, beating: ["a"])
    #expect(condition(harness) == nil)
  }

  @Test("the first heartbeat after a restart of the coordinator settles what the store says")
  func restarted() throws {
    var harness = try stalled()
    try harness.restart()
    harness.agents["a"]?.diskStalledMilliseconds = nil
    harness.reconnect("a", session: "session-2")
    #expect(condition(harness)?.status == "False")
    #expect(harness.node("a")?.taints.contains { $0.key == Taint.diskStalled } == false)
  }

  @Test("any number of milliseconds is a number", arguments: [Int64.min, -1, 0, Int64.max])
  func extremes(_ milliseconds: Int64) throws {
    var harness = try FleetHarness()
    harness.join(FakeAgent("a"))
    harness.agents["a"]?.diskStalledMilliseconds = milliseconds
    harness.beat("a")
    #expect(condition(harness)?.isTrue == true)
  }
}
