// A node that says of itself that it can start no pod: not Ready, given nothing, and not lost: what runs there runs on.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite struct FleetSandboxTests {
  private func ready(_ harness: FleetHarness) -> [String] {
    let condition = harness.node("a")?.conditions.first { $0.type == "Ready" }
    return [condition?.status ?? "", condition?.reason ?? "", condition?.message ?? ""]
  }

  private static let down = ["False", "KubeletNotReady", "container runtime is down: no namespaces"]
  private static let up = ["True", "KubeletReady", "kubelet is posting ready status"]

  @Test("a node that can start no pod is not Ready with the reason, is tainted, and gets nothing, whatever a pod bears")
  func never() throws {
    var harness = try FleetHarness.joined(["a"]) { $0.fencesFully = false }
    harness.addPod("plain")
    harness.addPod("bears", extra: [("tolerations", [["operator": "Exists"]])])
    harness.addPod("named", extra: [("nodeName", "a")])
    harness.pass(60_000, beating: ["a"])
    #expect(ready(harness) == Self.down)
    #expect(harness.node("a")?.taints.map { "\($0.key):\($0.effect)" } == ["node.kubernetes.io/not-ready:NoSchedule"])
    #expect(harness.events("NodeReady").isEmpty)
    #expect(!["plain", "bears", "named"].contains { harness.isLive($0) })
    func why(_ pod: String) -> String { harness.pod(pod)?.status.condition("PodScheduled")?.message ?? "" }
    #expect(why("plain").contains("1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }"))
    #expect(why("bears").contains("1 node(s) were not ready"))
  }

  @Test("a node that can start no pod any more keeps those that run: they are neither evicted nor fenced, nor unready")
  func breaks() throws {
    var harness = try FleetHarness.joined(["a"])
    harness.addPod("old")
    let number = try #require(harness.attempt(of: "old"))
    harness.report("a", number, revision: 1, .running)
    harness.agents["a"]?.fencesFully = false
    harness.reconnect("a", session: "session-2")
    harness.addPod("new")
    harness.pass(700_000, beating: ["a"])
    #expect(ready(harness) == Self.down)
    #expect(harness.events("NodeNotReady") == ["Node a status is now: NodeNotReady"])
    #expect(harness.attempt(of: "old") == number)
    #expect(harness.agents["a"]?.desired[number] == .run)
    #expect(harness.pod("old")?.meta.deletionTimestamp == nil)
    #expect(harness.pod("old")?.status.isReady == true)
    #expect(!harness.isLive("new"))
    harness.agents["a"]?.fencesFully = true
    harness.reconnect("a", session: "session-3")
    #expect(ready(harness) == Self.up)
    #expect(harness.node("a")?.taints.isEmpty == true)
    #expect(harness.isLive("new"))
    #expect(harness.attempt(of: "old") == number)
  }

  @Test("silence fences such a node as any other, and when it is heard again it still takes nothing")
  func lost() throws {
    var harness = try FleetHarness.joined(["a"])
    harness.addPod("old")
    harness.report("a", try #require(harness.attempt(of: "old")), revision: 1, .running)
    harness.agents["a"]?.fencesFully = false
    harness.reconnect("a", session: "session-2")
    #expect(harness.timeToFence("old") != nil)
    #expect(ready(harness) == ["Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status."])
    harness.reconnect("a", session: "session-3")
    #expect(ready(harness) == Self.down)
    #expect(harness.node("a")?.taints.map(\.effect) == ["NoSchedule"])
  }

  @Test("the coordinator's log says when a node is lost, for how long, and when one can start no pods")
  func logged() throws {
    var harness = try FleetHarness.joined(["a"])
    harness.addPod("p")
    func lines() -> [String] {
      harness.effects.compactMap { if case .log(let line) = $0, line.contains("node a ") { line } else { nil } }
    }
    harness.pass(30_000, beating: ["a"])
    #expect(lines().isEmpty)
    harness.pass(8_000)
    #expect(
      lines() == [
        "node a is lost: nothing was heard of it for 5 s; 1 pod may run there until it is back or they are proven dead"
      ])
    harness.agents["a"]?.fencesFully = false
    harness.reconnect("a", session: "session-2")
    #expect(
      lines().dropFirst() == [
        "node a is back, 2 s after it was lost", "node a can start no pods: container runtime is down: no namespaces",
      ])
  }

  @Test("a restart of the coordinator keeps it")
  func restarted() throws {
    var harness = try FleetHarness.joined(["a"]) { $0.fencesFully = false }
    try harness.restart()
    #expect(ready(harness) == Self.down)
    harness.reconnect("a", session: "session-2")
    harness.addPod("p")
    #expect(ready(harness) == Self.down)
    #expect(!harness.isLive("p"))
  }
}
