// That agents are told where their coordinator is: when they register, and when that changes.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Agents are told where the coordinator is") struct CoordinatorsNoticeTests {
  @Test("each that registers is told, and all that are there when an address comes or goes, in one way")
  func told() throws {
    var harness = try FleetHarness()
    func point(_ addresses: [String]) -> CoordinatorEvent {
      .nativeServed(JoinPoint(addresses: addresses, authority: "a"))
    }
    func notices(since count: Int) -> [SessionID: [String]] {
      var found: [SessionID: [String]] = [:]
      for case .tellCoordinators(let session, let notice) in harness.effects[count...] {
        found[session] = notice.addresses
      }
      return found
    }
    harness.step([point(["old:1"])])
    for name in ["a", "b"] {
      let count = harness.effects.count
      let agent = FakeAgent(name, session: "s-\(name)")
      harness.agents[name] = agent
      harness.step([
        .sessionOpened(agent.session, by: .agent(of: name, key: "key-\(name)")),
        .agent(agent.session, .register(agent.registration)),
      ])
      #expect(notices(since: count) == ["s-\(name)": ["old:1"]])
    }
    var count = harness.effects.count
    harness.step([point(["new:1", "old:1"])])
    #expect(notices(since: count) == ["s-a": ["new:1", "old:1"], "s-b": ["new:1", "old:1"]])
    count = harness.effects.count
    harness.step([point(["new:1", "old:1"])])
    #expect(notices(since: count).isEmpty)
  }
}
