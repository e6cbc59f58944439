// What pods may keep on their node's disk, as the keeper's core holds them to it: when it looks, whom it evicts and in
// which words, and that a disk that does not answer ends nobody.

import AgentCore
import ClusterProto
import Testing

@Suite("what pods keep on the disk: the keeper's decisions") struct KeeperStorageTests {
  private func spec(_ limit: String? = nil, sizeLimit: String? = nil, medium: String = "") -> PodSpec {
    var main = container("main")
    if let limit { main["resources"] = ["limits": ["ephemeral-storage": .string(limit)]] }
    var empty: JSON = ["medium": .string(medium)]
    if let sizeLimit { empty["sizeLimit"] = .string(sizeLimit) }
    return PodSpec(json: [
      "restartPolicy": "Always", "containers": [main], "volumes": [["name": "scratch", "emptyDir": empty]],
    ])
  }

  private func planned(_ assignment: Assignment) throws -> PodPlan {
    var here = place
    here.volumes = ["scratch": "/pods/1/volumes/scratch"]
    return try PodPlanner.plan(assignment, place: here)
  }

  /// A bench on which attempt 1 runs.
  private func running(_ spec: PodSpec) throws -> KeeperBench {
    var bench = KeeperBench()
    let assignment = assignment(spec: spec, toleration: nil)
    bench.request(.start(assignment, plan: try planned(assignment), leaseEnd: boot(bench.now + 5_000)))
    bench.confirm(bench.send(.podStarted(1)))
    return bench
  }

  private func looks(_ effects: [KeeperEffect]) -> [[String: ContainerRun]] {
    effects.compactMap { if case .measureStorage(1, _, let runs) = $0 { runs } else { nil } }
  }

  private func usage(volume: Int64 = 0, main: Int64 = 0) -> StorageUsage {
    var usage = StorageUsage()
    usage.volumes["scratch"] = volume
    usage.containers["main"] = main
    return usage
  }

  @Test("a pod without such limits is never looked at, and its keeper is not woken for it")
  func none() throws {
    for spec in [spec(), spec(sizeLimit: "0"), spec(sizeLimit: "1Mi", medium: "Memory")] {
      var bench = try running(spec)
      #expect(looks(bench.pass(60_000)).isEmpty)
    }
  }

  @Test("one that has them is looked at every ten seconds, one look at a time, in its present runs")
  func pace() throws {
    var bench = try running(spec("1Mi"))
    let first = ContainerRun(attempt: 1, slot: 0, restart: 0)
    #expect(looks(bench.pass(9_999)).isEmpty)
    #expect(looks(bench.pass(1)) == [["main": first]])
    #expect(looks(bench.pass(60_000)).isEmpty, "the disk has not answered")
    bench.send(.storageMeasured(1, usage(main: 1 << 20)))
    bench.exit(0, code: 1)
    bench.send(.containerStarted(ContainerRun(attempt: 1, slot: 0, restart: 1)))
    let again = ContainerRun(attempt: 1, slot: 0, restart: 1)
    #expect(looks(bench.pass(10_000)) == [["main": again]])
    bench.send(.storageMeasured(1, nil))
    #expect(looks(bench.pass(10_000)) == [["main": again]], "a disk that did not tell is asked again")
    var slow = usage(main: 1 << 20)
    slow.milliseconds = 2_000
    bench.send(.storageMeasured(1, slow))
    #expect(looks(bench.pass(39_999)).isEmpty, "what took two seconds is not done again for forty")
    #expect(looks(bench.pass(1)) == [["main": again]])
    slow.milliseconds = .max
    bench.send(.storageMeasured(1, slow))
    #expect(looks(bench.pass(300_000)) == [["main": again]], "but in five minutes, however long it took")
    #expect(try bench.status().phase == .running)
  }

  @Test(
    "more than it may ends the pod at once, in kubelet's words",
    arguments: [
      (nil, "1Mi", 1 << 20 + 1, 0, "Usage of EmptyDir volume \"scratch\" exceeds the limit \"1Mi\". "),
      (
        "2Gi", "4Gi", 1 << 30, (1 << 30) + 1,
        "Pod ephemeral local storage usage exceeds the total limit of containers 2Gi. "
      ),
      (
        "512Mi", nil, 0, (512 << 20) + 1,
        "Pod ephemeral local storage usage exceeds the total limit of containers 512Mi. "
      ),
    ] as [(String?, String?, Int64, Int64, String)])
  func evicted(limit: String?, sizeLimit: String?, volume: Int64, main: Int64, words: String) throws {
    var bench = try running(spec(limit, sizeLimit: sizeLimit))
    bench.pass(10_000)
    let effects = bench.send(.storageMeasured(1, usage(volume: volume, main: main)))
    #expect(effects.contains(.killPod(1)))
    bench.send(.podGone(1))
    let status = try bench.status()
    #expect(status.phase == .failed && status.reason == "Evicted" && status.message == words)
    #expect(status.condition("DisruptionTarget") == nil, "it is the pod's own fault")
    #expect(looks(bench.pass(60_000)).isEmpty)
  }

  @Test("a container beside one without a limit is held to its own")
  func ofContainer() throws {
    var limits = StorageLimits()
    limits.containers = ["main": 10]
    var usage = usage(main: 11)
    usage.containers["side"] = 1_000
    #expect(limits.problem(usage) == "Container main exceeded its local ephemeral storage limit \"10\". ")
    #expect(limits.problem(self.usage(main: 10)) == nil)
  }

  @Test("an answer about a pod that has ended meanwhile, or stands still, changes nothing that it should not")
  func late() throws {
    var bench = try running(spec("1Mi"))
    bench.pass(10_000)
    bench.request(.stop(1, graceMilliseconds: 1_000))
    bench.send(.storageMeasured(1, usage(main: 1 << 40)))
    bench.send(.podGone(1))
    #expect(try bench.status().reason.isEmpty, "its end had another cause")
    #expect(bench.send(.storageMeasured(1, usage(main: 1 << 40))).isEmpty)
    #expect(bench.send(.storageMeasured(7, usage(main: 1 << 40))).isEmpty)
  }

  @Test("extreme amounts are added and compared without a trap")
  func extreme() {
    var limits = StorageLimits()
    limits.together = .max
    limits.volumes = [StorageLimits.Volume(name: "scratch", path: "/", bytes: .max)]
    #expect(limits.problem(usage(volume: .max, main: .max)) == nil)
    limits.together = .max - 1
    #expect(limits.problem(usage(volume: .max, main: .max)) != nil)
  }

  @Test("where volumes of the medium Memory are on the disk they count there")
  func memoryOnDisk() throws {
    var here = place
    here.volumes = ["scratch": "/v"]
    let assignment = assignment(spec: spec(sizeLimit: "1Mi", medium: "Memory"))
    #expect(try PodPlanner.plan(assignment, place: here).storage == nil)
    here.hasMemoryVolumes = false
    #expect(try PodPlanner.plan(assignment, place: here).storage?.volumes.map(\.bytes) == [1 << 20])
  }

  @Test("the limits are part of the plan, and its message reads back as it was")
  func message() throws {
    let plan = try planned(assignment(spec: spec("1Mi", sizeLimit: "2Mi")))
    var limits = StorageLimits()
    limits.containers = ["main": 1 << 20]
    limits.together = 1 << 20
    limits.volumes = [StorageLimits.Volume(name: "scratch", path: "/pods/1/volumes/scratch", bytes: 2 << 20)]
    #expect(plan.storage == limits)
    #expect(try PodPlan(json: plan.json, "plan") == plan)
    // Without any: where its volumes are, for when the node's disk is short of room.
    let unbounded = try #require(try planned(assignment(spec: spec())).storage)
    #expect(unbounded.isEmpty && unbounded.volumes.map(\.name) == ["scratch"])
  }
}
