// A node that is short of memory or processes: when its agent says so, what it asks of its keeper, and which pod the
// keeper ends, in which words.

import ClusterProto
import Testing

@testable import AgentCore

@Suite("A node that is short of memory or processes") struct PressureTests {
  private static let mebibyte: Int64 = 1 << 20

  private static var configuration: AgentConfiguration {
    var configuration = AgentBench.configuration
    configuration.machineLookMilliseconds = 10_000
    return configuration
  }

  private static func room(memory: Int64, processes: Int64 = 30_000) -> MachineRoom {
    MachineRoom(memory: (memory * mebibyte, 1_000 * mebibyte), processes: (processes, 32_768))
  }

  private func bench(_ configuration: AgentConfiguration = PressureTests.configuration, relieves: Bool = true)
    -> AgentBench
  {
    var abilities = LimitAbilities()
    abilities.relieves = relieves
    return .connected(configuration, keeper: abilities)
  }

  private func readings(_ effects: [AgentEffect]) -> Int {
    effects.filter { if case .readMachine = $0 { true } else { false } }.count
  }

  @Test("the machine is read every ten seconds, also while no coordinator is there")
  func pace() {
    var bench = bench()
    #expect(readings(bench.all) == 1)
    bench.live(seconds: 30)
    #expect(readings(bench.all) == 4)
    bench.send(.coordinatorClosed(bench.connection))
    #expect(readings(bench.pass(30_000)) == 3)
    #expect(bench.send(.machineRead(Self.room(memory: 5))).shortages.count == 1)
  }

  @Test(
    "less than 100 MiB, or a 20th of the processes, is told at once, over after five minutes, and has to be relieved")
  func told() {
    var bench = bench()
    #expect(bench.send(.machineRead(Self.room(memory: 100))).shortages.isEmpty)
    bench.live(seconds: 2)
    #expect(bench.all.heartbeats.allSatisfy { $0.pressures.isEmpty })
    let low = bench.send(.machineRead(Self.room(memory: 99)))
    let mebibyte = Self.mebibyte
    #expect(low.shortages == [Shortage(of: .memory, threshold: 100 * mebibyte, available: 99 * mebibyte)])
    bench.live(seconds: 1)
    #expect(bench.all.heartbeats.last?.pressures == [.memory])
    let few = bench.send(.machineRead(Self.room(memory: 500, processes: 1_600)))
    #expect(few.shortages == [Shortage(of: .processes, threshold: 1_638, available: 1_600)])
    bench.live(seconds: 1)
    #expect(bench.all.heartbeats.last?.pressures == [.memory, .processes])
    bench.send(.machineRead(Self.room(memory: 500)))
    bench.live(seconds: 290)
    #expect(bench.all.heartbeats.last?.pressures == [.memory, .processes])
    bench.live(seconds: 20)
    #expect(bench.all.heartbeats.last?.pressures == [])
  }

  @Test("a shortage is told before the keeper is asked: what replaces the pod that goes must not come back here")
  func toldFirst() throws {
    var bench = bench()
    bench.live(seconds: 1)
    let effects = bench.send(.machineRead(Self.room(memory: 5)))
    let told = try #require(
      effects.firstIndex { if case .send(.heartbeat(let beat)) = $0 { beat.pressures == [.memory] } else { false } })
    let asked = try #require(effects.firstIndex { if case .keeper(.relieve) = $0 { true } else { false } })
    #expect(told < asked)
    #expect(bench.send(.machineRead(Self.room(memory: 5))).heartbeats.isEmpty, "it is no news")
  }

  @Test("what an agent before was short of holds on over a restart, until there has been enough for five minutes")
  func restarted() {
    var before = bench()
    func kept(_ effects: [AgentEffect]) -> [Set<NodePressure>] {
      effects.compactMap { if case .rememberPressures(let held) = $0 { held } else { nil } }
    }
    #expect(kept(before.all).isEmpty)
    #expect(kept(before.send(.machineRead(Self.room(memory: 99)))) == [[.memory]])
    #expect(kept(before.send(.machineRead(Self.room(memory: 98)))).isEmpty)
    var configuration = PressureTests.configuration
    configuration.pressures = [.memory, .disk]
    configuration.diskRoom = DiskRoom(availableBytes: 90, totalBytes: 100)
    var after = bench(configuration)
    after.send(.machineRead(Self.room(memory: 500)))
    after.live(seconds: 290)
    #expect(after.all.heartbeats.first?.pressures == [.memory, .disk])
    #expect(after.all.heartbeats.last?.pressures.contains(.memory) == true)
    after.live(seconds: 20)
    #expect(after.all.heartbeats.last?.pressures.contains(.memory) == false)
    #expect(kept(after.all).last?.contains(.memory) == false)
  }

  @Test("a machine that does not tell stays what it was, and a keeper of an older version is asked for nothing")
  func silent() {
    var bench = bench(relieves: false)
    #expect(bench.send(.machineRead(Self.room(memory: 1))).shortages.isEmpty)
    bench.send(.machineRead(nil))
    bench.live(seconds: 600)
    #expect(bench.all.heartbeats.last?.pressures == [.memory])
  }

  @Test("thresholds are amounts or shares, 0 is never too little, and no number is too large")
  func thresholds() {
    #expect(EvictionThreshold(7).amount(of: 1) == 7)
    #expect(EvictionThreshold(50, isShare: true).amount(of: 32_768) == 1_638)
    #expect(EvictionThreshold(1_000, isShare: true).amount(of: .max) <= .max)
    #expect(EvictionThreshold(0, isShare: true).amount(of: .max) == 0)
    var configuration = PressureTests.configuration
    configuration.eviction.memory = EvictionThreshold(0)
    var bench = bench(configuration)
    #expect(bench.send(.machineRead(Self.room(memory: 0))).shortages.isEmpty)
  }

  // The keeper.

  private struct Pod {
    var attempt: AttemptNumber
    var asks: String?
    var uses: Int64
    var processes: Int64 = 1
    var priority: Int64 = 0
  }

  /// A keeper that runs these pods.
  private func keeper(_ pods: [Pod]) throws -> KeeperBench {
    var bench = KeeperBench()
    for pod in pods {
      var main = container("main")
      if let asks = pod.asks { main["resources"] = ["requests": ["memory": .string(asks)]] }
      let spec = PodSpec(json: [
        "restartPolicy": "Always", "containers": [main], "priority": .int(pod.priority),
      ])
      try bench.run(assignment(pod.attempt, spec: spec, toleration: nil), lease: 3_600_000)
    }
    return bench
  }

  private func usage(_ pods: [Pod]) -> [AttemptUsage] {
    pods.map {
      AttemptUsage(
        attempt: $0.attempt, containers: ["main": Usage(cpu: 0, memory: $0.uses * Self.mebibyte)],
        processes: $0.processes)
    }
  }

  private func killed(_ effects: [KeeperEffect]) -> [AttemptNumber] {
    effects.compactMap { if case .killPod(let attempt) = $0 { attempt } else { nil } }
  }

  private func order(_ pods: [Pod], _ kind: NodePressure) throws -> [AttemptNumber] {
    var bench = try keeper(pods)
    var order: [AttemptNumber] = []
    for _ in 0..<pods.count + 1 {
      bench.request(.relieve(Shortage(of: kind, threshold: 100, available: 1)))
      let gone = killed(bench.send(.measured(usage(pods))))
      order += gone
      for attempt in gone { bench.send(.podGone(attempt)) }
    }
    return order
  }

  @Test("for memory first go those that use more than they asked for, then low priorities, then who uses most beyond")
  func memoryOrder() throws {
    let pods = [
      Pod(attempt: 1, asks: "100Mi", uses: 50), Pod(attempt: 2, asks: nil, uses: 10, priority: 5),
      Pod(attempt: 3, asks: "10Mi", uses: 100, priority: 5), Pod(attempt: 4, asks: "1Mi", uses: 2),
      Pod(attempt: 5, asks: "200Mi", uses: 199), Pod(attempt: 6, uses: 900, priority: 2_000_000_000),
      Pod(attempt: 7, asks: "100Mi", uses: 50),
    ]
    #expect(try order(pods, .memory) == [4, 3, 2, 5, 7, 1])
  }

  @Test("for processes priorities come first, then who has most")
  func processOrder() throws {
    let pods = [
      Pod(attempt: 1, uses: 1, processes: 500, priority: 1), Pod(attempt: 2, uses: 900, processes: 2),
      Pod(attempt: 3, uses: 1, processes: 3), Pod(attempt: 4, uses: 1, processes: 3),
    ]
    #expect(try order(pods, .processes) == [4, 3, 2, 1])
  }

  @Test("an evicted pod says so in kubelet's words, is disturbed, and the next goes only when it is gone")
  func words() throws {
    let pods = [Pod(attempt: 1, asks: "10Mi", uses: 30), Pod(attempt: 2, asks: nil, uses: 12)]
    var bench = try keeper(pods)
    let shortage = Shortage(of: .memory, threshold: 100 * Self.mebibyte, available: 95_364 * 1_024 + 7)
    #expect(bench.request(.relieve(shortage)).contains(.measure))
    #expect(killed(bench.send(.measured(usage(pods)))) == [1])
    #expect(bench.request(.relieve(shortage)).contains(.measure) == false, "one is on its way out")
    #expect(killed(bench.send(.measured(usage(pods)))) == [])
    bench.send(.podGone(1))
    let status = try bench.status(1)
    let message =
      "The node was low on resource: memory. Threshold quantity: 100Mi, available: 95364Ki. "
      + "Container main was using 30Mi, request is 10Mi, has larger consumption of memory. "
    #expect(status.phase == .failed && status.reason == "Evicted" && status.message == message)
    let condition = status.condition("DisruptionTarget")
    #expect(condition?.reason == "TerminationByKubelet" && condition?.message == message)
    #expect(bench.request(.relieve(shortage)).contains(.measure))
    #expect(killed(bench.send(.measured(usage(pods)))) == [2])
  }

  @Test("with nothing to evict nothing is done, and what was measured for others ends nobody")
  func nobody() throws {
    var bench = try keeper([])
    bench.request(.relieve(Shortage(of: .memory, threshold: 1, available: 0)))
    #expect(killed(bench.send(.measured([]))).isEmpty)
    var other = try keeper([Pod(attempt: 1, uses: 5)])
    other.request(.measure)
    #expect(killed(other.send(.measured(usage([Pod(attempt: 1, uses: 5)])))).isEmpty)
  }

  @Test("a pod that starts, or of which nothing was measured, may go too; one that ends anyway is left alone")
  func unmeasured() throws {
    var bench = try keeper([Pod(attempt: 1, uses: 5), Pod(attempt: 2, uses: 5)])
    bench.request(.stop(1, graceMilliseconds: 30_000))
    bench.request(.relieve(Shortage(of: .processes, threshold: 10, available: 3)))
    #expect(killed(bench.send(.measured([]))) == [2])
    bench.send(.podGone(2))
    #expect(
      try bench.status(2).message
        == "The node was low on resource: pids. Threshold quantity: 10, available: 3. ")
  }
}
