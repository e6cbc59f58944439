// A node whose disk is short of room: when its agent says so, that images go before pods, which pod the keeper ends,
// and in which words.

import ClusterProto
import Testing

@testable import AgentCore

@Suite("A node whose disk is short of room: who goes") struct DiskReliefTests {
  private static let mebibyte: Int64 = 1 << 20
  private static let full = DiskRoom(
    availableBytes: 9 << 20, totalBytes: 100 << 20, availableInodes: 900, totalInodes: 1_000)
  private static let roomy = DiskRoom(
    availableBytes: 11 << 20, totalBytes: 100 << 20, availableInodes: 900, totalInodes: 1_000)

  // The agent.

  private func bench(relievesDisk: Bool = true) -> AgentBench {
    var configuration = AgentBench.configuration
    configuration.machineLookMilliseconds = 10_000
    var abilities = LimitAbilities()
    abilities.relievesDisk = relievesDisk
    return .connected(configuration, keeper: abilities)
  }

  private static let shortage = Shortage(of: .disk, threshold: 10 << 20, available: 9 << 20)

  @Test("the keeper is asked once that is told, then every ten seconds while it lasts, with or without a coordinator")
  func pace() {
    var bench = bench()
    bench.room = Self.roomy
    bench.live(seconds: 20)
    #expect(bench.all.shortages.isEmpty)
    bench.room = Self.full
    bench.live(seconds: 2)
    #expect(bench.all.shortages.isEmpty && bench.all.heartbeats.last?.pressures == [.disk], "the taint comes first")
    bench.live(seconds: 2)
    #expect(bench.all.shortages == [Self.shortage])
    bench.live(seconds: 20)
    #expect(bench.all.shortages.count == 3)
    bench.send(.coordinatorClosed(bench.connection))
    // From here on the looks at the machine ask the disk too.
    let alone = bench.pass(60_000).shortages.count
    #expect((5...6).contains(alone), "\(alone)")
    bench.room = Self.roomy
    let before = bench.all.shortages.count
    bench.pass(60_000)
    #expect(bench.all.shortages.count == before)
  }

  @Test("a keeper of a version before, which would end whoever is youngest, is not asked")
  func older() throws {
    var bench = bench(relievesDisk: false)
    bench.room = Self.full
    bench.live(seconds: 30)
    #expect(bench.all.shortages.isEmpty && bench.all.heartbeats.last?.pressures == [.disk])
    let old = try JSON(parsing: #"{"version":2,"cpu":true,"memory":true,"pids":true,"problem":"","relieves":true}"#)
    #expect(try !LimitAbilities(json: old, "limits").relievesDisk)
  }

  @Test("images that nobody uses go before, all of them, and a pod only if ten seconds later that was not enough")
  func imagesFirst() {
    var configuration = AgentBench.configuration
    configuration.machineLookMilliseconds = 10_000
    configuration.images.mode = .on
    var agent = AgentBench(configuration)
    agent.begin()
    agent.send(.keeper(agent.keeperConnection, .limits(LimitAbilities())))
    agent.send(.images([image("docker.io/library/ia", letter: "a")]))
    agent.answer()
    agent.room = Self.full
    agent.live(seconds: 2)
    #expect(agent.all.removals.count == 1 && agent.all.shortages.isEmpty)
    agent.send(.images([]))
    agent.live(seconds: 7)
    #expect(agent.all.shortages.isEmpty)
    agent.live(seconds: 5)
    #expect(agent.all.shortages == [Self.shortage])
  }

  @Test(
    "the thresholds are kubelet's, of inodes too, and images' thresholds count on the same disk",
    arguments: [
      (100, 900, nil), (99, 900, Shortage(of: .disk, threshold: 100, available: 99)), (900, 50, nil),
      (900, 49, Shortage(of: .disk, threshold: 50, available: 49, isInodes: true)),
    ] as [(UInt64, UInt64, Shortage?)])
  func thresholds(bytes: UInt64, inodes: UInt64, wanted: Shortage?) {
    let room = DiskRoom(availableBytes: bytes, totalBytes: 1_000, availableInodes: inodes, totalInodes: 1_000)
    #expect(EvictionSettings().shortage(room) == wanted)
    var settings = EvictionSettings()
    settings.disk = EvictionThreshold(0)
    settings.inodes = EvictionThreshold(0)
    #expect(settings.shortage(room) == nil)
    settings.imageDisk = EvictionThreshold(150, isShare: true)
    #expect(settings.shortage(room)?.threshold == (bytes < 150 ? 150 : nil))
  }

  // The keeper.

  private struct Pod {
    var attempt: AttemptNumber
    var asks: String?
    var main: Int64
    var volume: Int64 = 0
    var inodes: Int64 = 1
    var priority: Int64 = 0

    var usage: StorageUsage {
      var usage = StorageUsage()
      usage.containers["main"] = main << 20
      usage.volumes["scratch"] = volume << 20
      usage.inodes = inodes
      return usage
    }
  }

  private func keeper(_ pods: [Pod]) throws -> KeeperBench {
    var bench = KeeperBench()
    for pod in pods {
      var main = container("main")
      if let asks = pod.asks { main["resources"] = ["requests": ["ephemeral-storage": .string(asks)]] }
      let spec = PodSpec(json: [
        "restartPolicy": "Always", "containers": [main], "priority": .int(pod.priority),
        "volumes": [["name": "scratch", "emptyDir": [:]]],
      ])
      try bench.run(assignment(pod.attempt, spec: spec, toleration: nil), lease: 3_600_000)
    }
    return bench
  }

  private func killed(_ effects: [KeeperEffect]) -> [AttemptNumber] {
    effects.compactMap { if case .killPod(let attempt) = $0 { attempt } else { nil } }
  }

  private func looks(_ effects: [KeeperEffect]) -> [AttemptNumber] {
    effects.compactMap { if case .measureStorage(let attempt, _, _) = $0 { attempt } else { nil } }
  }

  /// Who goes, one after the other.
  private func order(_ pods: [Pod], _ shortage: Shortage = DiskReliefTests.shortage) throws -> [AttemptNumber] {
    var bench = try keeper(pods)
    var order: [AttemptNumber] = []
    for _ in 0..<pods.count + 1 {
      var gone: [AttemptNumber] = []
      for attempt in looks(bench.request(.relieve(shortage))) {
        #expect(gone.isEmpty, "nobody goes before all have answered")
        gone += killed(bench.send(.storageMeasured(attempt, pods.first { $0.attempt == attempt }?.usage)))
      }
      order += gone
      for attempt in gone { bench.send(.podGone(attempt)) }
    }
    return order
  }

  @Test("first go those that keep more than they asked for, then low priorities, then who keeps most beyond")
  func diskOrder() throws {
    let pods = [
      Pod(attempt: 1, asks: "100Mi", main: 50), Pod(attempt: 2, main: 10, priority: 5),
      Pod(attempt: 3, asks: "10Mi", main: 1, volume: 99, priority: 5), Pod(attempt: 4, asks: "1Mi", main: 2),
      Pod(attempt: 5, asks: "200Mi", main: 199), Pod(attempt: 6, main: 900, priority: 2_000_000_000),
      Pod(attempt: 7, asks: "100Mi", main: 50),
    ]
    #expect(try order(pods) == [4, 3, 2, 5, 7, 1])
  }

  @Test("of inodes nobody asks: by priority, then who has most")
  func inodeOrder() throws {
    let pods = [
      Pod(attempt: 1, main: 1, inodes: 500, priority: 1), Pod(attempt: 2, main: 900, inodes: 102),
      Pod(attempt: 3, main: 0, inodes: 103), Pod(attempt: 4, main: 900, inodes: 100),
    ]
    let shortage = Shortage(of: .disk, threshold: 100, available: 99, isInodes: true)
    #expect(try order(pods, shortage) == [3, 2, 1])
    #expect(try Shortage(json: shortage.json, "shortage") == shortage)
  }

  @Test("an evicted pod says so in kubelet's words, is disturbed, told once, and gone before the next is looked at")
  func words() throws {
    let pods = [Pod(attempt: 1, asks: "10Mi", main: 30, volume: 5), Pod(attempt: 2, main: 12)]
    var bench = try keeper(pods)
    let shortage = Shortage(of: .disk, threshold: 3_355_443, available: 2_400 * 1_024)
    #expect(looks(bench.request(.relieve(shortage))) == [1, 2])
    #expect(looks(bench.request(.relieve(shortage))).isEmpty, "it is being looked at")
    bench.send(.storageMeasured(1, pods[0].usage))
    #expect(killed(bench.send(.storageMeasured(2, pods[1].usage))) == [1])
    #expect(looks(bench.request(.relieve(shortage))).isEmpty, "one is on its way out")
    #expect(killed(bench.send(.storageMeasured(2, pods[1].usage))).isEmpty)
    bench.send(.podGone(1))
    let status = try bench.status(1)
    let message =
      "The node was low on resource: ephemeral-storage. Threshold quantity: 3355443, available: 2400Ki. "
      + "Container main was using 30Mi, request is 10Mi, has larger consumption of ephemeral-storage. "
    #expect(status.phase == .failed && status.reason == "Evicted" && status.message == message)
    let condition = status.condition("DisruptionTarget")
    #expect(condition?.reason == "TerminationByKubelet" && condition?.message == message)
    let told = bench.all.reports.filter { $0.attempt == 1 && $0.isTerminal }
    #expect(told.count == 1, "its end is told once")
    bench.request(.relieve(shortage))
    #expect(killed(bench.send(.storageMeasured(2, pods[1].usage))) == [2])
  }

  @Test("a disk that hangs evicts nobody, one that does not tell of a pod counts it for nothing")
  func silent() throws {
    let pods = [Pod(attempt: 1, main: 30), Pod(attempt: 2, main: 12)]
    var bench = try keeper(pods)
    bench.request(.relieve(Self.shortage))
    bench.send(.storageMeasured(1, pods[0].usage))
    #expect(killed(bench.pass(600_000)).isEmpty)
    #expect(killed(bench.send(.storageMeasured(2, nil))) == [1])
  }

  @Test("a pod that was ended while it was looked at is not evicted on top, and a shortage of memory goes first")
  func overtaken() throws {
    let pods = [Pod(attempt: 1, main: 30), Pod(attempt: 2, main: 12)]
    var bench = try keeper(pods)
    bench.request(.relieve(Self.shortage))
    bench.request(.stop(1, graceMilliseconds: 30_000))
    bench.send(.storageMeasured(1, pods[0].usage))
    #expect(killed(bench.send(.storageMeasured(2, pods[1].usage))) == [2])
    var other = try keeper(pods)
    other.request(.relieve(Self.shortage))
    other.request(.relieve(Shortage(of: .memory, threshold: 2, available: 1)))
    #expect(killed(other.send(.measured([]))) == [2])
    other.send(.storageMeasured(1, pods[0].usage))
    #expect(killed(other.send(.storageMeasured(2, pods[1].usage))).isEmpty, "one is on its way out")
  }

  @Test("with nobody to evict nothing is looked at")
  func nobody() throws {
    var bench = try keeper([Pod(attempt: 1, main: 30, priority: 2_000_000_000)])
    let effects = bench.request(.relieve(Self.shortage))
    #expect(looks(effects).isEmpty)
    #expect(
      effects.contains(.log("the node is short of ephemeral-storage: there is no pod to evict")))
  }

  private func answers(_ effects: [KeeperEffect]) -> [String] {
    effects.compactMap { if case .reply(.relief(.disk, let spared)) = $0 { spared } else { nil } }
  }

  private static let othersFill =
    "nothing of pods to give back: no pod is known to keep more than 1Mi there, so something else fills it"

  @Test("a pod that keeps nothing there is not evicted for what others fill the disk with, and the agent is told so")
  func spared() throws {
    let little = [Pod(attempt: 1, main: 1), Pod(attempt: 2, main: 0, inodes: 5_000)]
    #expect(try order(little) == [])
    #expect(try order(little + [Pod(attempt: 3, main: 2, priority: 9)]) == [3])
    var bench = try keeper(little)
    bench.request(.relieve(Self.shortage))
    bench.send(.storageMeasured(1, little[0].usage))
    #expect(answers(bench.send(.storageMeasured(2, nil))) == [Self.othersFill])
    // One has begun to fill it too.
    bench.request(.relieve(Self.shortage))
    bench.send(.storageMeasured(1, Pod(attempt: 1, main: 2).usage))
    #expect(answers(bench.send(.storageMeasured(2, nil))) == [""])
    let inodes = Shortage(of: .disk, threshold: 100, available: 99, isInodes: true)
    #expect(try order([Pod(attempt: 1, main: 900)], inodes) == [])
  }

  @Test("an agent of a version before, which would not understand the answer, gets none")
  func olderAgent() throws {
    var bench = try keeper([Pod(attempt: 1, main: 0)])
    var json = Self.shortage.json
    json["wantsAnswer"] = nil
    bench.request(.relieve(try Shortage(json: json, "shortage")))
    #expect(answers(bench.send(.storageMeasured(1, nil))).isEmpty)
    let reply = KeeperReply.relief(.disk, spared: "why")
    #expect(try KeeperReply(json: reply.json) == reply)
  }

  @Test("why nobody goes is told with the heartbeats at once, until somebody goes or there is room")
  func sparedTold() {
    var bench = bench()
    bench.room = Self.full
    bench.live(seconds: 5)
    #expect(bench.all.heartbeats.last?.spared == [:])
    bench.send(.keeper(bench.keeperConnection, .relief(.disk, spared: Self.othersFill)))
    bench.live(seconds: 1)
    #expect(bench.all.heartbeats.last?.spared == [.disk: Self.othersFill])
    bench.send(.keeper(bench.keeperConnection, .relief(.disk, spared: "")))
    bench.live(seconds: 1)
    #expect(bench.all.heartbeats.last?.spared == [:])
    bench.send(.keeper(bench.keeperConnection, .relief(.disk, spared: Self.othersFill)))
    bench.room = Self.roomy
    bench.live(seconds: 2)
    #expect(bench.all.heartbeats.last?.spared == [:] && bench.all.heartbeats.last?.pressures == [.disk])
  }
}
