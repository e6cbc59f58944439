// A coordinator that stood still: what it could not have heard proves nothing, and what is proven otherwise is not put
// off by it for good.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("The coordinator's own pauses") struct OwnPauseTests {
  /// Nodes that have beaten for a while, each with a pod.
  private func cluster(_ names: [String]) throws -> FleetHarness {
    var harness = try FleetHarness()
    for name in names { harness.join(FakeAgent(name)) }
    for name in names { harness.addPod("p-\(name)", cpu: "3") }
    harness.pass(3_000, beating: names)
    return harness
  }

  private func logs(_ harness: FleetHarness) -> [String] {
    harness.effects.compactMap { if case .log(let line) = $0 { line } else { nil } }.filter {
      $0.contains("stood still")
    }
  }

  @Test("nodes that could not be heard for a minute keep their pods when they are back within the time of a start")
  func longPause() throws {
    var harness = try cluster(["a", "b"])
    let attempts = ["a", "b"].map { harness.attempt(of: "p-\($0)") }
    harness.boot += 60_000
    // The timers first, as where the loop has read no socket yet.
    harness.step([.timer])
    #expect(logs(harness).count == 1)
    #expect(logs(harness).first?.contains("stood still for 60000 ms") == true)
    harness.pass(2_000)
    // Their agents have left the connections and come back.
    for name in ["a", "b"] { harness.reconnect(name, session: "again-\(name)") }
    harness.pass(30_000, beating: ["a", "b"])
    #expect(["a", "b"].map { harness.attempt(of: "p-\($0)") } == attempts)
    #expect(harness.events("NodeNotReady") == [] && harness.events("TaintManagerEviction") == [])
    #expect(logs(harness).count == 1)
  }

  @Test("heartbeats that waited in the socket close no session for the age of what they echo")
  func waitingHeartbeats() throws {
    var harness = try cluster(["a"])
    harness.boot += 20_000
    harness.beat("a")
    harness.beat("a")
    #expect(harness.agents["a"]?.closedBecause == nil)
    #expect(harness.events("NodeNotReady") == [])
    harness.pass(8_000, beating: ["a"])
    #expect(harness.isLive("p-a") && harness.agents["a"]?.closedBecause == nil)
  }

  @Test("an assignment that was under way when the coordinator stood is not unacknowledged by heartbeats that waited")
  func waitingAssignment() throws {
    var harness = try cluster(["a"])
    harness.agents["a"]?.isDeaf = true
    harness.addPod("q")
    harness.boot += 3_000
    for _ in 0..<3 { harness.beat("a") }
    #expect(harness.agents["a"]?.closedBecause == nil)
  }

  @Test("a node that died while the coordinator stood is lost, and its pod replaced, as one that died at a start")
  func deadMeanwhile() throws {
    var harness = try cluster(["a", "b"])
    harness.boot += 60_000
    harness.beat("b")
    harness.pass(9_900, beating: ["b"])
    #expect(harness.node("a")?.isReady == true)
    harness.pass(200, beating: ["b"])
    #expect(harness.node("a")?.isReady == false)
    let rest = harness.timeToFence("p-a", beating: ["b"])
    // R from the end of the pause: 17.75 s, 10.1 of them gone.
    #expect((7_600...7_800).contains(rest ?? 0), "\(rest ?? -1)")
    #expect(harness.isLive("p-b"))
  }

  @Test("a node that was lost before is fenced no earlier, and later only by what a start would give it")
  func lostBefore() throws {
    var harness = try cluster(["a", "b"])
    harness.pass(10_000, beating: ["b"])
    #expect(harness.node("a")?.isReady == false)
    harness.boot += 60_000
    harness.step([.timer])
    harness.pass(9_900, beating: ["b"])
    #expect(harness.isLive("p-a") && harness.events("TaintManagerEviction") == [])
    let rest = harness.timeToFence("p-a", beating: ["b"])
    #expect((50...200).contains(rest ?? 0), "\(rest ?? -1)")
  }

  @Test("a node that was lost before and is back after the pause keeps its pods")
  func lostBeforeAndBack() throws {
    var harness = try cluster(["a", "b"])
    harness.pass(10_000, beating: ["b"])
    let attempt = harness.attempt(of: "p-a")
    harness.boot += 60_000
    harness.step([.timer])
    harness.reconnect("a", session: "again")
    harness.pass(30_000, beating: ["a", "b"])
    #expect(attempt != nil && harness.attempt(of: "p-a") == attempt)
    #expect(harness.pod("p-a")?.meta.deletionTimestamp == nil)
  }

  @Test("pauses that come again and again put a dead node's loss off, but not for good")
  func manyPauses() throws {
    var harness = try cluster(["a", "b"])
    var paused: Int64 = 0
    for _ in 0..<40 where harness.isLive("p-a") {
      harness.boot += 3_000
      paused += 3_000
      harness.step([.timer])
      harness.pass(1_000, beating: ["b"])
    }
    #expect(!harness.isLive("p-a"))
    #expect(harness.isLive("p-b"))
    // Two times of a start at the most: until it is lost, and until it is fenced.
    #expect(paused <= 3_000 * 30, "\(paused)")
  }

  @Test("nodes that a mass loss held are not let go before they could be heard")
  func brake() throws {
    var harness = try cluster(["a", "b", "c", "d"])
    harness.pass(30_000, beating: ["d"])
    #expect(harness.core.fleet.brake != nil)
    harness.boot += 200_000
    harness.step([.timer])
    for name in ["a", "b", "c"] {
      harness.pass(2_000, beating: ["d"])
      harness.reconnect(name, session: "again-\(name)")
    }
    harness.pass(20_000, beating: ["a", "b", "c", "d"])
    #expect(["a", "b", "c"].allSatisfy { harness.isLive("p-\($0)") })
  }

  @Test("a machine that comes while nobody could hear the old one is no reboot until that one was silent for a lease")
  func silenceOfOwnMaking() throws {
    var harness = try cluster(["a"])
    harness.boot += 10_000
    var clone = FakeAgent("a", keeper: "next", session: "s2")
    clone.boot = "boot-2"
    clone.uptime = 4_000
    harness.register(clone, as: "clone")
    #expect(harness.agents["clone"]?.refusal?.contains("spoke 0 ms ago") == true)
    #expect(harness.isLive("p-a"))
    // The old one is heard: its machine was running all the time.
    harness.beat("a")
    #expect(harness.isLive("p-a") && harness.node("a")?.isReady == true)
  }

  @Test("a coordinator without nodes, or that does nothing because it has nothing to do, has not stood")
  func idle() throws {
    var harness = try FleetHarness()
    harness.boot += 3_600_000
    harness.join(FakeAgent("a"))
    #expect(logs(harness) == [])
    // With its only node gone, it still looks once a heartbeat.
    harness.pass(120_000)
    #expect(logs(harness) == [])
    #expect(harness.wake.map { $0 <= harness.boot + 1_000 } == true)
  }
}
