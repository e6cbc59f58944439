// Where logs are asked for, when they are purged, and what becomes of processes whose pod object is gone.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Fleet logs and removed pods") struct FleetLogTests {
  private func cluster(_ names: [String]) throws -> FleetHarness {
    var harness = try FleetHarness()
    for name in names { harness.join(FakeAgent(name)) }
    return harness
  }

  // MARK: - Logs

  @Test("a log is asked of the node's session, also after the pod's end; an absent agent is an error")
  func logs() throws {
    var harness = try cluster(["a"])
    let key = harness.addPod("p")
    #expect(harness.core.logTarget(forPod: key) == .agent("session-a", 1))
    harness.report("a", 1, revision: 1, .succeeded)
    #expect(harness.core.logTarget(forPod: key) == .agent("session-a", 1))
    harness.step([.sessionClosed("session-a")])
    guard case .unreachable(let text) = harness.core.logTarget(forPod: key) else {
      Issue.record("the agent is away")
      return
    }
    #expect(text.contains("no agent of node a"))
    let waiting = harness.addPod("q")
    #expect(harness.core.logTarget(forPod: waiting) == .unreachable("pod q does not have a host assigned"))
  }

  @Test("logs of a removed pod are purged, now or when the agent lists what it keeps")
  func purge() throws {
    var harness = try cluster(["a"])
    let key = harness.addPod("p")
    harness.addPod("q")
    harness.report("a", 1, revision: 1, .succeeded)
    harness.core.erase(ObjectReference(kind: .pods, key: key))
    harness.step([])
    #expect(harness.agents["a"]?.purged == [1])
    harness.step([.agent("session-a", .retained([1, 2, 55]))])
    #expect(harness.agents["a"]?.purged == [1, 1, 55])
  }

  @Test("the processes of a pod whose object is gone are stopped, and stay counted until they are proven dead")
  func objectGone() throws {
    var harness = try cluster(["a"])
    let key = harness.addPod("p")
    let uid = try #require(harness.pod("p")?.meta.uid)
    harness.core.erase(ObjectReference(kind: .pods, key: key))
    harness.step([])
    #expect(harness.core.isPossiblyLive(podUID: uid))
    #expect(harness.agents["a"]?.desired == [1: .stop(graceMilliseconds: 0)])
    try harness.restart()
    #expect(harness.core.isPossiblyLive(podUID: uid))
    harness.reconnect("a", session: "second")
    harness.report("a", 1, revision: 1, .failed)
    #expect(!harness.core.isPossiblyLive(podUID: uid))
    #expect(harness.agents["a"]?.purged == [1])
  }
}
