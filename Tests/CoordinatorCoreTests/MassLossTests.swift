// C6: which losses are at once, and whom the brake holds. That it holds them, and lets one after the other go, is
// FleetFencingTests'.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("C6: what a mass loss is") struct MassLossTests {
  /// `more`: nodes that take no pods.
  private func cluster(_ names: [String], more: [String] = []) throws -> FleetHarness {
    var harness = try FleetHarness.joined(names + more)
    for name in more { harness.core.updateNode(name) { $0.unschedulable = true } }
    for name in names { harness.addPod("p-\(name)") }
    return harness
  }

  private func holdsPods(_ harness: FleetHarness, _ name: String) -> Bool {
    harness.core.fleet.nodes[name]?.attempts.isEmpty == false
  }

  @Test(
    "a node that went two minutes before, with or without pods, is not lost at once with two others",
    arguments: [true, false])
  func earlier(hasPods: Bool) throws {
    var harness = try cluster(["a", "b", "c", "d"] + (hasPods ? ["e"] : []), more: hasPods ? [] : ["e"])
    harness.pass(114_000, beating: ["a", "b", "c", "d"])
    harness.pass(20_000, beating: ["c", "d"])
    #expect(harness.core.fleet.brake == nil && harness.events("MassNodeLoss").isEmpty)
    #expect(!["a", "b", "e"].contains { holdsPods(harness, $0) }, "their pods are replaced at R")
  }

  @Test("nodes that go some seconds apart, within two leases, go at once; a node without pods is one of them")
  func together() throws {
    var harness = try cluster(["a", "b", "e"], more: ["c", "d"])
    harness.pass(4_000, beating: ["b", "c", "d", "e"])
    harness.pass(4_000, beating: ["c", "d", "e"])
    harness.pass(8_000, beating: ["d", "e"])
    #expect(harness.events("MassNodeLoss").first?.hasPrefix("3 of 5 nodes were lost at once: ") == true)
    harness.pass(60_000, beating: ["d", "e"])
    #expect(harness.core.isHeld("a") && harness.core.isHeld("b") && harness.core.isHeld("c"))
  }

  @Test("whoever goes while others are held waits with them; whoever went long before does not")
  func held() throws {
    var harness = try cluster(["a", "b", "c", "d", "e", "early"])
    harness.pass(12_000, beating: ["a", "b", "c", "d", "e"])
    harness.pass(7_000, beating: ["d", "e"])
    #expect(!harness.core.isHeld("early") && harness.core.isHeld("a"))
    #expect(!holdsPods(harness, "early"), "its R has passed")
    harness.pass(12_000, beating: ["e"])
    #expect(harness.core.isHeld("d"))
    #expect(holdsPods(harness, "a") && holdsPods(harness, "d"))
  }

  @Test("nodes that have been away for long do not keep a hold up when most of the others are back")
  func back() throws {
    let old = (0..<6).map { "old-\($0)" }
    var harness = try cluster(["a", "b", "c", "d"] + old)
    // One after the other, so that they are no mass loss.
    for count in 1...old.count { harness.pass(12_000, beating: ["a", "b", "c", "d"] + old.dropFirst(count)) }
    harness.pass(12_000, beating: ["a", "b", "c", "d"])
    #expect(harness.core.fleet.brake == nil)
    harness.pass(8_000, beating: ["d"])
    #expect(harness.core.fleet.brake != nil)
    harness.reconnect("a", session: "a2")
    harness.beat("d")
    #expect(harness.core.fleet.brake?.isEnding == true)
  }

  @Test("a start of the coordinator is no mass loss of nodes that were away for long", arguments: [true, false])
  func restarted(isOld: Bool) throws {
    var harness = try cluster(["a", "b", "c", "d"])
    if isOld {
      harness.pass(12_000, beating: ["a", "c", "d"])
      harness.pass(12_000, beating: ["a", "d"])
    }
    harness.pass(isOld ? 300_000 : 20_000, beating: ["a"])
    #expect(harness.events("MassNodeLoss").count == (isOld ? 0 : 1))
    try harness.restart()
    harness.reconnect("a", session: "a2")
    harness.pass(20_000, beating: ["a"])
    #expect((harness.core.fleet.brake != nil) == !isOld, "one that was held is held on")
  }
}
