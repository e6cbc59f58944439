// What goes by itself: ended pods above the threshold, pods of nodes that are gone or never were, Jobs after their TTL.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Pods and Jobs that go by themselves") struct PodCollectorTests {
  private func names(_ driver: WorkloadsDriver) -> [String] { driver.pods().map(\.meta.name) }

  // MARK: Terminated

  @Test("above the threshold evicted pods go first, then the oldest; the others stay")
  func evictedFirst() throws {
    var configuration = CoordinatorConfiguration()
    configuration.terminatedPodLimit = 3
    var driver = try WorkloadsDriver(configuration)
    for name in ["a-old", "b", "c-evicted"] {
      let pod = driver.createPod(name)
      driver.advance(seconds: 1)
      driver.end(pod, succeeded: false)
    }
    driver.core.updatePod(WorkloadsDriver.key("c-evicted")) { $0.status.reason = "Evicted" }
    let last = driver.createPod("d")
    driver.end(last, succeeded: true)
    #expect(names(driver) == ["a-old", "b", "d"])
    driver.end(driver.createPod("e"), succeeded: true)
    #expect(names(driver) == ["b", "d", "e"])
  }

  @Test("a threshold of 0 or less keeps every pod")
  func disabled() throws {
    for limit in [0, -5] {
      var configuration = CoordinatorConfiguration()
      configuration.terminatedPodLimit = limit
      var driver = try WorkloadsDriver(configuration)
      for number in 0..<20 { driver.end(driver.createPod("p\(number)"), succeeded: true) }
      #expect(driver.pods().count == 20)
    }
  }

  // MARK: Orphaned and unscheduled

  @Test("a pod of a node that is gone ends Failed as a DisruptionTarget by PodGC, and goes when nobody holds it")
  func orphaned() throws {
    var driver = try WorkloadsDriver()
    let pod = driver.createPod("lonely", node: "gone")
    driver.run(pod)
    driver.holdBack(pod)
    driver.advance(seconds: 39)
    #expect(driver.core.state.pods[pod.meta.key]?.status.phase == .running)
    driver.advance(seconds: 2)
    let ended = try #require(driver.core.state.pods[pod.meta.key])
    #expect(ended.status.phase == .failed && ended.meta.deletionGracePeriodSeconds == 0)
    let condition = try #require(ended.status.condition("DisruptionTarget"))
    #expect(condition.isTrue && condition.reason == "DeletionByPodGC")
    #expect(condition.message == "PodGC: node no longer exists")
    driver.letGo(pod)
    #expect(driver.pods().isEmpty)
  }

  @Test("a node that comes back within the quarantine keeps its pods")
  func quarantine() throws {
    var driver = try WorkloadsDriver()
    let pod = driver.createPod("kept", node: "back")
    driver.run(pod)
    driver.advance(seconds: 30)
    var meta = ObjectMeta()
    meta.name = "back"
    driver.core.insert(
      .node(Node(meta: meta, capacity: NodeCapacity(cpuMillicores: 1_000, memoryBytes: 1 << 30, pods: 10))))
    driver.advance(seconds: 100)
    #expect(driver.core.state.pods[pod.meta.key]?.status.phase == .running)
  }

  @Test("a pod that is deleted before it has a node ends Failed, though a finalizer holds its object")
  func unscheduledTerminating() throws {
    var driver = try WorkloadsDriver()
    let pod = driver.createPod("waits")
    driver.holdBack(pod)
    #expect(driver.core.state.pods[pod.meta.key]?.status.phase == .pending)
    driver.deletePod(pod)
    #expect(driver.core.state.pods[pod.meta.key]?.status.phase == .failed)
    driver.letGo(pod)
    #expect(driver.pods().isEmpty)
  }

  @Test("a pod with a node, or that its Job counts, is not ended so")
  func notUnscheduled() throws {
    var driver = try WorkloadsDriver()
    let bound = driver.createPod("bound", node: "somewhere")
    driver.holdBack(bound)
    driver.deletePod(bound)
    #expect(driver.core.state.pods[bound.meta.key]?.status.phase == .pending)
    driver.createJob("counts")
    let pod = try #require(driver.activePods("counts").first)
    driver.holdBack(pod)
    driver.deletePod(pod)
    #expect(try driver.status("counts").failed == 1)
    #expect(driver.activePods("counts").count == 1, "its replacement does not wait for a backoff")
  }

  // MARK: TTL after finished

  private func finished(ttl: JSON) throws -> WorkloadsDriver {
    var configuration = CoordinatorConfiguration()
    configuration.bootID = "boot"
    var driver = try WorkloadsDriver(configuration)
    driver.createJob("done", ["ttlSecondsAfterFinished": ttl])
    driver.end(try #require(driver.activePods("done").first), succeeded: true)
    return driver
  }

  @Test(
    "a wall clock that is set moves no TTL, in neither direction, over a restart too", arguments: [86_400, -86_400])
  func clockJump(seconds: Int64) throws {
    var driver = try finished(ttl: 100)
    driver.now.wall = driver.now.wall.adding(milliseconds: seconds * 1_000)
    driver.core.now = driver.now
    driver.advance(seconds: 60)
    #expect(driver.exists("done"))
    driver.advance(seconds: 41)
    #expect(!driver.exists("done"))
    var other = try finished(ttl: 100)
    try other.restart(away: 10, setting: seconds)
    other.advance(seconds: 80)
    #expect(other.exists("done"))
    other.advance(seconds: 12)
    #expect(!other.exists("done"))
  }

  @Test("a TTL that is changed after the finish counts from the finish: shorter, longer, and over at once")
  func changed() throws {
    var driver = try finished(ttl: 100)
    driver.advance(seconds: 50)
    driver.editJob("done", ["ttlSecondsAfterFinished": 200])
    driver.advance(seconds: 100)
    #expect(driver.exists("done"))
    driver.editJob("done", ["ttlSecondsAfterFinished": 160])
    driver.advance(seconds: 9)
    #expect(driver.exists("done"))
    driver.advance(seconds: 1)
    #expect(!driver.exists("done"))
    var late = try finished(ttl: 100)
    late.advance(seconds: 50)
    late.editJob("done", ["ttlSecondsAfterFinished": 20])
    #expect(!late.exists("done"))
  }

  @Test("the largest TTL is 68 years, not an overflow")
  func largest() throws {
    var driver = try finished(ttl: .int(Int64(Int32.max)))
    try driver.restart(away: 3_600)
    driver.advance(seconds: 1_000_000_000)
    #expect(driver.exists("done"))
    driver.advance(seconds: 1_200_000_000)
    #expect(!driver.exists("done"))
    var extreme = try finished(ttl: .int(.max))
    extreme.advance(seconds: 1_000_000_000)
    #expect(extreme.exists("done"))
  }

  @Test("a pod that cannot go holds its Job after the TTL, in the foreground")
  func heldByPod() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("done", ["ttlSecondsAfterFinished": 10])
    let pod = try #require(driver.activePods("done").first)
    driver.holdBack(pod)
    driver.end(pod, succeeded: true)
    driver.advance(seconds: 1_000)
    #expect(try driver.job("done").meta.finalizers == ["foregroundDeletion"])
    driver.letGo(pod)
    #expect(!driver.exists("done"))
  }
}
