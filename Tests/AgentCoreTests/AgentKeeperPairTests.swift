// Agent core and keeper core wired together as on a node, with a played coordinator: the whole way of an attempt.

import AgentCore
import ClusterProto
import Testing

/// One node: messages between the two cores pass through their JSON, at once and in order. Its processes always start.
struct NodeBench {
  var agent: AgentBench
  var keeper: KeeperBench
  /// Volumes that cannot be made, by attempt.
  var missing: [AttemptNumber: String] = [:]

  init() throws {
    agent = AgentBench()
    keeper = KeeperBench(connected: false)
    try settle(agent.send(.started))
    try settle(agent.register())
  }

  mutating func settle(_ effects: [AgentEffect]) throws {
    for effect in effects {
      switch effect {
      case .connectKeeper(let number), .findKeeper(let number):
        keeper.now = agent.now
        keeper.send(.agentConnected)
        try settle(agent.send(.keeperConnected(number)))
      case .keeper(let request):
        keeper.now = agent.now
        try settle(keeper.request(try KeeperRequest(json: try JSON(parsing: request.json.text))))
      case .prepare(let body, let number, _):
        if let message = missing[body.attempt] {
          let failure = AgentEvent.preparationFailed(
            body.attempt, number: number, container: "main", reason: "CreateContainerConfigError", message: message,
            retryable: true)
          try settle(agent.send(failure))
        } else {
          try settle(agent.send(.prepared(body.attempt, number: number, try plan(body))))
        }
      default: break
      }
    }
  }

  mutating func settle(_ effects: [KeeperEffect]) throws {
    for effect in effects {
      switch effect {
      case .reply(let reply):
        let copy = try KeeperReply(json: try JSON(parsing: reply.json.text))
        try settle(agent.send(.keeper(agent.keeperConnection, copy)))
      case .startPod(let attempt, _, _): try settle(keeper.send(.podStarted(attempt)))
      case .startContainer(let run, _): try settle(keeper.send(.containerStarted(run)))
      case .killPod(let attempt): try settle(keeper.send(.podGone(attempt)))
      case .thawPod(let attempt): try settle(keeper.send(.podThawed(attempt)))
      default: break
      }
    }
  }

  mutating func pass(_ milliseconds: Int64) throws {
    for _ in 0..<(milliseconds / 100) {
      try settle(agent.pass(100))
      try settle(keeper.pass(100))
    }
  }

  /// A new session as soon as the agent tries again.
  mutating func reconnect(_ session: String) throws {
    agent.session = session
    for _ in 0..<50 {
      let effects = agent.register()
      try settle(effects)
      if !effects.heartbeats.isEmpty { return }
      try pass(100)
    }
    Issue.record("the agent does not come back")
  }

  mutating func answer(
    _ desired: [AttemptNumber: DesiredAction], acknowledged: [AttemptNumber] = [], assignments: [Assignment] = []
  ) throws {
    agent.desired = desired
    try settle(agent.answer(acknowledged: acknowledged, assignments: assignments))
  }

  /// The last status that the coordinator was told.
  func told(_ attempt: AttemptNumber) -> AttemptReport? { agent.all.reports.last { $0.attempt == attempt } }
}

@Suite struct AgentKeeperPairTests {
  @Test("an attempt is assigned, prepared, started, runs, ends, is acknowledged and forgotten by both")
  func wholeWay() throws {
    var node = try NodeBench()
    try node.answer([1: .run], assignments: [assignment()])
    #expect(node.told(1)?.status.phase == .running)
    #expect(node.told(1)?.status.podIP == "127.0.0.1")
    try node.settle(node.keeper.exit(0))
    #expect(node.told(1)?.status.phase == .succeeded)
    try node.pass(1_000)
    try node.answer([:], acknowledged: [1])
    #expect(node.keeper.all.records.last == .acknowledged([1]))
    try node.pass(1_000)
    #expect(node.agent.all.heartbeats.last?.inventoryDigest == SetDigest())
  }

  @Test("a coordinator that is away for a minute costs a pause: the attempt is frozen, then thawed, not restarted")
  func outage() throws {
    var node = try NodeBench()
    try node.answer([1: .run], assignments: [assignment()])
    try node.pass(60_000)
    #expect(node.keeper.latest[1]?.frozen == true)
    #expect(!node.keeper.isKilled)
    try node.reconnect("session-b")
    #expect(node.told(1)?.frozen == true)
    try node.answer([1: .run])
    #expect(node.told(1)?.frozen == false)
    #expect(node.keeper.all.startedPods == [1])
    try node.pass(1_000)
    #expect(try node.keeper.main().state.isRunning)
  }

  @Test("a polite stop's long lease ends with the next session: ten seconds on, the node says that nothing holds it")
  func longLeaseEnds() throws {
    var node = try NodeBench()
    try node.answer([1: .run], assignments: [assignment()])
    try node.settle(node.agent.answer(lease: 600_000))
    try node.pass(60_000)
    #expect(node.keeper.latest[1]?.frozen == false)
    try node.reconnect("session-b")
    for _ in 0..<10 {
      try node.answer([1: .run])
      #expect(node.agent.all.heartbeats.last?.leasesSettleMilliseconds != 0)
      try node.pass(1_000)
    }
    #expect(node.agent.all.heartbeats.last?.leasesSettleMilliseconds == 0)
    #expect(node.keeper.latest[1]?.frozen == false)
    try node.pass(16_000)
    #expect(node.keeper.latest[1]?.frozen == true)
  }

  @Test("a coordinator that has replaced the attempt stops the frozen copy without letting it run")
  func replaced() throws {
    var node = try NodeBench()
    try node.answer([1: .run], assignments: [assignment()])
    try node.pass(30_000)
    try node.reconnect("session-b")
    try node.answer([1: .stop(graceMilliseconds: 30_000)])
    #expect(node.told(1)?.isTerminal == true)
    #expect(!node.keeper.all.contains(.thawPod(1)))
  }

  @Test("an agent that is killed and restarted adopts the running pods")
  func agentRestart() throws {
    var node = try NodeBench()
    try node.answer([1: .run], assignments: [assignment()])
    try node.settle(node.keeper.send(.agentDisconnected))
    var configuration = AgentBench.configuration
    configuration.highestIncarnation = 1
    let now = node.agent.now
    node.agent = AgentBench(configuration, seed: 2)
    node.agent.now = now + 2_000
    try node.settle(node.agent.send(.started))
    node.agent.session = "session-b"
    try node.settle(node.agent.register())
    try node.answer([1: .run])
    try node.pass(3_000)
    #expect(node.keeper.all.startedPods == [1])
    #expect(node.agent.all.preparations.isEmpty)
    #expect(try node.keeper.main().state.isRunning)
  }

  @Test("a pod whose ConfigMap is missing waits, is seen waiting, and starts when the map is there")
  func missingConfigMap() throws {
    var node = try NodeBench()
    node.missing[1] = "configmap \"q\" not found"
    try node.answer([1: .run], assignments: [assignment()])
    #expect(
      node.told(1)?.status.containers.first?.state
        == .waiting(reason: "CreateContainerConfigError", message: "configmap \"q\" not found"))
    node.missing = [:]
    for _ in 0..<3 {
      try node.pass(1_000)
      try node.answer([1: .run])
      if node.agent.all.fetched.contains(1) { try node.settle(node.agent.hear(.assignments([assignment()]))) }
    }
    #expect(node.told(1)?.status.phase == .running)
    #expect(node.keeper.all.startedPods == [1])
  }

  @Test("an attempt stopped before it was started is proven dead by the keeper and never starts")
  func stoppedBeforeStart() throws {
    var node = try NodeBench()
    try node.answer([1: .stop(graceMilliseconds: 0)], assignments: [assignment()])
    #expect(node.told(1)?.isTerminal == true)
    try node.pass(1_000)
    try node.answer([1: .run], assignments: [assignment()])
    #expect(node.keeper.all.startedPods.isEmpty)
  }

  @Test(
    "whatever the coordinator and the network do, no attempt starts twice and no lease outlives its answer",
    arguments: 1...40 as ClosedRange<UInt64>)
  func randomHistory(seed: UInt64) throws {
    var node = try NodeBench()
    var random = SplitMix64(seed: seed)
    for _ in 0..<250 {
      let attempt = AttemptNumber(1 + random.below(6))
      switch random.below(10) {
      case 0...3:
        node.agent.desired[attempt] =
          [DesiredAction.run, .run, .stop(graceMilliseconds: 100), nil][
            Int(random.below(4))]
        let body = assignment(attempt, session: random.below(8) == 0 ? "old" : node.agent.session)
        try node.answer(node.agent.desired, assignments: [body])
      case 4: try node.answer(node.agent.desired, acknowledged: [attempt])
      case 5:
        let answer = Answer(
          number: node.agent.answers + 1, sequence: Int64(random.below(30)), leaseMilliseconds: 5_000,
          desiredDigest: SetDigest(random.next()), changes: [DesiredAttempt(attempt: attempt, action: .run)])
        try node.settle(node.agent.hear(.answer(answer)))
      case 6:
        try node.settle(node.agent.send(.coordinatorClosed(node.agent.connection)))
        try node.pass(Int64(random.below(4)) * 1_000)
        try node.reconnect("session-\(random.below(1_000))")
      case 7:
        let run = ContainerRun(attempt: attempt, slot: 0, restart: 0)
        let code = Int64(random.below(2))
        try node.settle(
          node.keeper.send(.containerExited(run, exitCode: code, signal: 0, message: "")))
      default: try node.pass(Int64(random.below(8)) * 500)
      }
    }
    let starts = node.keeper.all.startedPods
    #expect(Set(starts).count == starts.count)
    #expect(!node.keeper.isKilled)
    for case .keeper(.renew(let leaseEnd, _)) in node.agent.all { #expect(leaseEnd <= boot(node.agent.now + 5_000)) }
    // After the faults: what is wanted runs or has ended, what is not wanted is gone.
    node.agent.desired = [:]
    try node.settle(node.agent.send(.coordinatorClosed(node.agent.connection)))
    try node.reconnect("session-last")
    for _ in 0..<3 {
      try node.answer([:])
      try node.pass(1_000)
    }
    #expect(node.keeper.latest.values.allSatisfy { $0.isTerminal })
  }
}
