// Pods that no node can take are bounded, for one Job and for all, and a disk that is nearly full gets no new ones.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("pods ahead of the nodes") struct PodAllowanceTests {
  private func driver(_ change: (inout CoordinatorConfiguration) -> Void = { _ in }) throws -> WorkloadsDriver {
    var configuration = CoordinatorConfiguration()
    change(&configuration)
    return try WorkloadsDriver(configuration)
  }

  private func active(_ driver: WorkloadsDriver, _ name: String) -> Int64? {
    driver.core.state.jobs[WorkloadsDriver.key(name)]?.status.active
  }

  private func events(_ driver: WorkloadsDriver, _ reason: String) -> [JSONObject] {
    var state = driver.core.state
    return state.keys(of: .events).compactMap { state.other(.events, $0)?.body }
      .filter { $0["reason"]?.stringValue == reason }
  }

  @Test("a Job of two billion makes a thousand pods, says why, and is deleted in moments")
  func twoBillion() throws {
    var driver = try driver()
    driver.createJob("job", ["parallelism": 2_147_483_647, "completions": 2_147_483_647])
    driver.settle()
    #expect(driver.core.state.count(of: .pods) == 1_000)
    #expect(active(driver, "job") == 1_000)
    let told = events(driver, "PodsHeldBack")
    #expect(told.count == 1)
    #expect(told.first?["message"]?.stringValue?.contains("limited to 1000 of a Job") == true)
    driver.core.deleteObject(
      ObjectReference(kind: .jobs, key: WorkloadsDriver.key("job")), propagation: .background, graceSeconds: nil)
    driver.settle()
    #expect(driver.core.state.count(of: .pods) == 0)
    #expect(driver.core.workloads.unplaced == 0)
    #expect(driver.core.workloads.heldBack.isEmpty)
  }

  @Test("all Jobs together are bounded too, and each keeps one pod that waits")
  func all() throws {
    var driver = try driver {
      $0.waitingPodsOfJob = 40
      $0.waitingPodLimit = 100
    }
    for number in 0..<10 { driver.createJob("job-\(number)", ["parallelism": 1_000, "completions": 1_000]) }
    driver.settle()
    let counts = (0..<10).map { active(driver, "job-\($0)") ?? 0 }
    #expect(counts == [40, 40, 20, 1, 1, 1, 1, 1, 1, 1])
    #expect(driver.core.workloads.unplaced == 107)
    try driver.restart()
    #expect(driver.core.workloads.unplaced == 107)
    #expect(driver.core.state.count(of: .pods) == 107)
  }

  @Test("a Job of 10,000 that fits has all its pods")
  func fits() throws {
    var harness = try FleetHarness()
    for number in 0..<10 {
      var agent = FakeAgent("node-\(number)")
      agent.capacity = NodeCapacity(cpuMillicores: 4_000, memoryBytes: 8 << 30, pods: 1_000)
      harness.join(agent)
    }
    var driver = try self.driver()
    driver.createJob("job", ["parallelism": 10_000, "completions": 10_000])
    let job = try #require(driver.core.state.jobs[WorkloadsDriver.key("job")])
    harness.core.insert(.job(job))
    harness.step([])
    #expect(harness.core.fleet.attempts.count == 10_000)
    #expect(harness.core.state.jobs[WorkloadsDriver.key("job")]?.status.active == 10_000)
    #expect(harness.events("PodsHeldBack").count <= 1)
  }

  @Test("pods are made as others are placed, ahead of the nodes by the bound")
  func window() throws {
    var configuration = CoordinatorConfiguration()
    configuration.waitingPodsOfJob = 5
    var harness = try FleetHarness(configuration)
    var agent = FakeAgent("node")
    agent.capacity = NodeCapacity(cpuMillicores: 4_000, memoryBytes: 8 << 30, pods: 3)
    harness.join(agent)
    var driver = try self.driver()
    driver.createJob("job", ["parallelism": 100, "completions": 100])
    harness.core.insert(.job(try #require(driver.core.state.jobs[WorkloadsDriver.key("job")])))
    harness.step([])
    #expect(harness.core.state.count(of: .pods) == 8)
    for number in 1...20 as ClosedRange<AttemptNumber> { harness.report("node", number, revision: 1, .succeeded) }
    let status = harness.core.state.jobs[WorkloadsDriver.key("job")]?.status
    #expect(status?.succeeded == 20)
    #expect(status?.active == 8)
  }

  @Test("on a disk that is nearly full no pod is made, deletes go on, and room brings the pods")
  func scarce() throws {
    var driver = try driver()
    driver.createJob("before", ["parallelism": 2, "completions": 2])
    driver.settle()
    _ = driver.core.step([.diskScarce(true)], at: driver.now)
    driver.createJob("job", ["parallelism": 3, "completions": 3])
    driver.settle()
    #expect(active(driver, "job") == 0)
    #expect(events(driver, "FailedCreate").count == 1)
    driver.core.deleteObject(
      ObjectReference(kind: .jobs, key: WorkloadsDriver.key("before")), propagation: .background, graceSeconds: nil)
    driver.settle()
    #expect(driver.core.state.count(of: .pods) == 0)
    _ = driver.core.step([.diskScarce(false)], at: driver.now)
    driver.settle()
    #expect(active(driver, "job") == 3)
  }

  @Test("an insertion set gives its oldest member without walking over the holes before it")
  func insertionOrder() {
    var set = InsertionSet<Int>()
    for number in 0..<1_000 { set.insert(number) }
    for number in 0..<600 { #expect(set.popFirst() == number) }
    set.remove(700)
    #expect(Array(set.prefix(2)) == [600, 601])
    set.insert(5)
    #expect(Array(set).last == 5)
    #expect(set.count == 400)
    set.removeAll()
    #expect(set.popFirst() == nil)
  }
}
