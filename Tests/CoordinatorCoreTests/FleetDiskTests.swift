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

  @Test("what a node cannot remove of ended pods stands in a condition, with an event, until it is gone")
  func remains() throws {
    var harness = try FleetHarness.joined(["a"])
    func condition() -> Condition? { harness.node("a")?.conditions.first { $0.type == "FilesRemain" } }
    harness.beat("a")
    #expect(condition() == nil)
    harness.agents["a"]?.remains = "1 directory"
    harness.pass(5_000, beating: ["a"])
    #expect(condition()?.status == "True" && condition()?.message == "1 directory")
    try harness.restart()
    harness.reconnect("a", session: "session-2")
    #expect(harness.events("FilesRemain") == ["1 directory"])
    harness.agents["a"]?.remains = nil
    harness.beat("a")
    #expect(condition()?.status == "False" && condition()?.message == "nothing of ended pods is left")
    #expect(harness.node("a")?.isReady == true && harness.node("a")?.taints.isEmpty == true)
  }

  // Pressure.

  private func pressed() throws -> FleetHarness {
    var harness = try FleetHarness()
    harness.join(FakeAgent("a"))
    harness.addPod("old")
    harness.report("a", try #require(harness.attempt(of: "old")), revision: 1, .running)
    harness.agents["a"]?.pressures = [.disk]
    harness.beat("a")
    return harness
  }

  private func pressure(_ harness: FleetHarness) -> [String] {
    let condition = harness.node("a")?.conditions.first { $0.type == "DiskPressure" }
    return [condition?.status ?? "", condition?.reason ?? "", condition?.message ?? ""]
  }

  private static let high = ["True", "KubeletHasDiskPressure", "kubelet has disk pressure"]
  private static let none = ["False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"]

  @Test("a node with a nearly full disk has Kubernetes' condition, taint and event, stays Ready, and keeps its pods")
  func pressureShown() throws {
    var harness = try pressed()
    harness.addPod("new")
    harness.pass(700_000, beating: ["a"])
    #expect(pressure(harness) == Self.high)
    #expect(harness.node("a")?.isReady == true)
    #expect(harness.node("a")?.taints.map(\.key) == ["node.kubernetes.io/disk-pressure"])
    #expect(harness.node("a")?.taints.map(\.effect) == ["NoSchedule"])
    #expect(harness.events("NodeHasDiskPressure") == ["Node a status is now: NodeHasDiskPressure"])
    #expect(harness.events("EvictionThresholdMet") == ["Attempting to reclaim ephemeral-storage"])
    #expect(harness.isLive("old") && harness.pod("old")?.meta.deletionTimestamp == nil)
    #expect(!harness.isLive("new"))
    #expect(
      harness.pod("new")?.status.condition("PodScheduled")?.message.contains(
        "1 node(s) had untolerated taint {node.kubernetes.io/disk-pressure: }") == true)
    harness.agents["a"]?.pressures = []
    harness.pass(2_000, beating: ["a"])
    #expect(pressure(harness) == Self.none)
    #expect(harness.node("a")?.taints.isEmpty == true)
    #expect(harness.isLive("new"))
    #expect(harness.events("NodeHasNoDiskPressure") == ["Node a status is now: NodeHasNoDiskPressure"])
  }

  @Test("the condition is Unknown while the node is lost, the taint stays, and its return changes neither by itself")
  func pressureLost() throws {
    var harness = try pressed()
    harness.pass(10_000)
    #expect(pressure(harness) == ["Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status."])
    #expect(harness.node("a")?.taints.contains { $0.key == Taint.diskPressure } == true)
    harness.reconnect("a", session: "session-2")
    #expect(pressure(harness) == Self.high)
    #expect(harness.node("a")?.taints.map(\.key) == [Taint.diskPressure])
    #expect(harness.events("NodeHasDiskPressure").count == 1)
    harness.pass(10_000)
    harness.agents["a"]?.pressures = []
    harness.reconnect("a", session: "session-3")
    #expect(pressure(harness) == Self.none)
    #expect(harness.node("a")?.taints.isEmpty == true)
    #expect(harness.events("NodeHasNoDiskPressure").count == 1)
  }

  @Test("a restart of the coordinator keeps what was said until the node says otherwise", arguments: [true, false])
  func pressureRestarted(stays: Bool) throws {
    var harness = try pressed()
    try harness.restart()
    harness.agents["a"]?.pressures = stays ? [.disk] : []
    harness.reconnect("a", session: "session-2")
    #expect(pressure(harness) == (stays ? Self.high : Self.none))
    #expect(harness.node("a")?.taints.map(\.key) == (stays ? [Taint.diskPressure] : []))
    #expect(harness.events("NodeHasDiskPressure").count <= 1)
    #expect(harness.events("NodeHasNoDiskPressure").count == (stays ? 0 : 1))
  }

  @Test(
    "each shortage has its own condition, taint and events, and one does not end another",
    arguments: [
      (NodePressure.memory, "memory", "KubeletHasInsufficientMemory", "NodeHasInsufficientMemory"),
      (.processes, "pids", "KubeletHasInsufficientPID", "NodeHasInsufficientPID"),
    ] as [(NodePressure, String, String, String)])
  func shortages(kind: NodePressure, resource: String, reason: String, event: String) throws {
    var harness = try pressed()
    harness.agents["a"]?.pressures = [.disk, kind]
    harness.beat("a")
    func condition() -> Condition? { harness.node("a")?.conditions.first { $0.type == kind.condition } }
    #expect(condition()?.status == "True" && condition()?.reason == reason)
    #expect(harness.node("a")?.taints.map(\.key) == [Taint.diskPressure, kind.taint])
    #expect(harness.events(event) == ["Node a status is now: \(event)"])
    #expect(harness.events("EvictionThresholdMet").contains("Attempting to reclaim \(resource)"))
    harness.agents["a"]?.pressures = [.disk]
    harness.beat("a")
    #expect(condition()?.status == "False")
    #expect(harness.node("a")?.taints.map(\.key) == [Taint.diskPressure])
    #expect(pressure(harness) == Self.high)
  }
}
