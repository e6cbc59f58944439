// A store that does not answer: hellos and orders wait for it, so nodes fall silent by our own doing. That proves
// nothing, no pod is lost by it, and what is proven otherwise is not put off by it for good.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("A store that stalls") struct StoreStallTests {
  /// Nodes that have beaten for a while, each with a pod.
  private func cluster(_ names: [String]) throws -> FleetHarness {
    var harness = try FleetHarness.joined(names)
    for name in names { harness.addPod("p-\(name)", cpu: "3") }
    harness.pass(3_000, beating: names)
    return harness
  }

  private func logs(_ harness: FleetHarness) -> [String] {
    harness.effects.compactMap { if case .log(let line) = $0 { line } else { nil } }.filter { $0.contains("the store") }
  }

  /// Agents hear nothing, leave, and try again and again; a commit has been on its way for 2.6 s.
  private func stall(_ harness: inout FleetHarness, silent: [String], beating: [String] = []) {
    for name in silent { harness.agents[name]?.isDeaf = true }
    harness.pass(1_600, beating: silent + beating)
    for name in silent { harness.step([.sessionClosed(harness.agents[name]?.session ?? "")]) }
    harness.pass(1_000, beating: beating)
    harness.step([.storeStalls(milliseconds: 2_600)])
  }

  @Test("nodes whose sessions wait for the store for a minute keep their pods, and nobody is told that they were lost")
  func longStall() throws {
    var harness = try cluster(["a", "b"])
    let attempts = ["a", "b"].map { harness.attempt(of: "p-\($0)") }
    stall(&harness, silent: ["a", "b"])
    harness.pass(60_000)
    #expect(["a", "b"].allSatisfy { harness.node($0)?.isReady == true })
    harness.step([.storeAnswered(milliseconds: 62_600)])
    harness.pass(9_000)
    for name in ["a", "b"] { harness.reconnect(name, session: "again-\(name)") }
    harness.pass(30_000, beating: ["a", "b"])
    #expect(["a", "b"].map { harness.attempt(of: "p-\($0)") } == attempts)
    #expect(harness.events("NodeNotReady") == [] && harness.events("TaintManagerEviction") == [])
    #expect(logs(harness).count == 2)
    #expect(logs(harness).last?.contains("after 62600 ms: its nodes get 10000 ms to be heard") == true)
  }

  @Test("a node that was just taken for lost when the store stalled keeps its pods if it is back in a start's time")
  func lostBefore() throws {
    var harness = try cluster(["a", "b"])
    let attempt = harness.attempt(of: "p-a")
    harness.pass(6_000, beating: ["b"])
    #expect(harness.node("a")?.isReady == false)
    stall(&harness, silent: [], beating: ["b"])
    harness.pass(60_000, beating: ["b"])
    #expect(harness.isLive("p-a") && harness.events("TaintManagerEviction") == [])
    harness.step([.storeAnswered(milliseconds: 62_600)])
    harness.pass(9_000, beating: ["b"])
    harness.reconnect("a", session: "again")
    harness.pass(30_000, beating: ["a", "b"])
    #expect(attempt != nil && harness.attempt(of: "p-a") == attempt)
    #expect(harness.pod("p-a")?.meta.deletionTimestamp == nil)
  }

  @Test("a node that died while the store stalled is lost, and its pod fenced at R, both from the end of the stall")
  func deadMeanwhile() throws {
    var harness = try cluster(["a", "b"])
    stall(&harness, silent: ["a"], beating: ["b"])
    harness.pass(20_000, beating: ["b"])
    harness.step([.storeAnswered(milliseconds: 22_600)])
    harness.pass(9_900, beating: ["b"])
    #expect(harness.node("a")?.isReady == true)
    harness.pass(200, beating: ["b"])
    #expect(harness.node("a")?.isReady == false)
    let rest = harness.timeToFence("p-a", beating: ["b"])
    // 17.75 s, 10.1 of them gone.
    #expect((7_600...7_800).contains(rest ?? 0), "\(rest ?? -1)")
    #expect(harness.isLive("p-b"))
  }

  @Test("sessions whose answers wait are not closed for what their heartbeats cannot echo, during the stall and after")
  func waitingAnswers() throws {
    var harness = try cluster(["a"])
    harness.agents["a"]?.isDeaf = true
    harness.addPod("q")
    harness.pass(1_000)
    harness.step([.storeStalls(milliseconds: 1_000)])
    harness.pass(30_000, beating: ["a"])
    harness.step([.storeAnswered(milliseconds: 31_000)])
    harness.beat("a")
    #expect(harness.agents["a"]?.closedBecause == nil)
    #expect(harness.node("a")?.isReady == true)
  }

  @Test("while the store stalls no node is told of a pod, so none loses its lease by it; then pods are placed at once")
  func placesNothing() throws {
    var harness = try cluster(["a", "b"])
    harness.step([.storeStalls(milliseconds: 2_600)])
    harness.addPod("q")
    harness.pass(20_000, beating: ["a", "b"])
    #expect(!harness.isLive("q"))
    harness.step([.storeAnswered(milliseconds: 22_600)])
    #expect(harness.isLive("q"))
  }

  @Test("a coordinator that stood while a commit was on its way counts that time once")
  func stoodToo() throws {
    var harness = try cluster(["a"])
    harness.boot += 60_000
    harness.step([.storeStalls(milliseconds: 60_000)])
    harness.step([.storeAnswered(milliseconds: 60_000)])
    harness.pass(9_900)
    #expect(harness.node("a")?.isReady == true)
    harness.pass(200)
    #expect(harness.node("a")?.isReady == false)
  }

  @Test("stalls that come again and again put a dead node's loss off, but not for good")
  func manyStalls() throws {
    var harness = try cluster(["a", "b"])
    var count = 0
    while harness.isLive("p-a"), count < 40 {
      harness.pass(2_600, beating: ["b"])
      harness.step([.storeStalls(milliseconds: 2_600)])
      harness.pass(1_000, beating: ["b"])
      harness.step([.storeAnswered(milliseconds: 3_600)])
      harness.pass(1_000, beating: ["b"])
      count += 1
    }
    #expect(!harness.isLive("p-a") && harness.isLive("p-b"))
    #expect(count <= 30, "\(count)")
  }
}
