// Much that falls due at one moment is many turns, and nodes that go or come back together cost one look each.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("due together") struct BoundedTimerTests {
  @Test("5,000 Jobs whose TTL ends at one moment are deleted in bounded turns")
  func expiries() throws {
    var driver = try WorkloadsDriver()
    for number in 0..<5_000 {
      driver.createJob("job-\(number)", ["suspend": true, "ttlSecondsAfterFinished": 10])
    }
    driver.settle()
    for number in 0..<5_000 {
      driver.core.updateJob(WorkloadsDriver.key("job-\(number)")) { job in
        job.status.conditions = [Condition(type: "Complete", status: "True", lastTransition: driver.now.wall)]
      }
    }
    driver.settle()
    #expect(driver.core.state.count(of: .jobs) == 5_000)
    let before = driver.largestTurn
    driver.advance(seconds: 11)
    #expect(driver.core.state.count(of: .jobs) == 0)
    #expect(driver.largestTurn <= max(before, 2 * CoordinatorCore.roundLimit))
  }

  @Test("2,000 pods of a node that is gone end in bounded turns")
  func missingNode() throws {
    var driver = try WorkloadsDriver()
    for number in 0..<2_000 {
      var meta = ObjectMeta()
      meta.namespace = "default"
      meta.name = "pod-\(number)"
      var pod = Pod(meta: meta, spec: PodSpec(json: ["containers": [["name": "c"]]]), nodeName: "gone")
      pod.status.fencingToken = Int64(number + 1)
      pod.status.phase = .running
      driver.core.insert(.pod(pod))
    }
    driver.settle()
    var turns = 0
    driver.advance(seconds: 39)
    #expect(driver.core.state.count(of: .pods) == 2_000)
    driver.now.boot = driver.now.boot + 2_000
    var left = 2_000
    while left > 0, turns < 100 {
      driver.step()
      let now = driver.core.state.count(of: .pods)
      #expect(left - now <= CoordinatorCore.roundLimit)
      left = now
      turns += 1
    }
    #expect(left == 0)
    #expect(turns >= 2_000 / CoordinatorCore.roundLimit)
  }

  @Test("1,000 nodes that are lost and come back together are counted as they go")
  func standings() throws {
    var harness = try FleetHarness()
    for number in 0..<1_000 { harness.join(FakeAgent("node-\(number)")) }
    #expect(harness.core.fleet.standings.reachable.count == 1_000)
    harness.pass(8_000)
    #expect(harness.core.fleet.standings.reachable.isEmpty)
    #expect(harness.core.fleet.standings.lost.count == 1_000)
    #expect(harness.core.fleet.brake != nil)
    for number in 0..<500 { harness.reconnect("node-\(number)", session: "again-\(number)") }
    #expect(harness.core.fleet.brake?.isEnding == true)
    #expect(harness.core.fleet.standings.lost.count == 500)
    let real = Set(harness.core.fleet.nodes.filter { $0.value.isReachable }.keys)
    #expect(harness.core.fleet.standings.reachable == real)
  }
}
