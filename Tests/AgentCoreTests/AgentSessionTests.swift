// The agent's connections and session: who comes first, what a registration says, heartbeats, silence, refusals.

import AgentCore
import ClusterProto
import Testing

@Suite struct AgentSessionTests {
  @Test("nothing happens before the start, then the keeper is connected first")
  func keeperFirst() throws {
    var bench = AgentBench()
    #expect(bench.send(.timer).isEmpty)
    let effects = bench.send(.started)
    #expect(effects.contains(.connectKeeper(1)))
    #expect(!effects.connects)
    #expect(bench.send(.keeperConnected(1)).requests == [.hello(agentVersion: "1")])
    let hello = KeeperReply.hello(
      keeper: "keeper-a", directory: "mark", sweptKeepers: [], highestAttempt: 3, fencesFully: true, fencingDetail: "")
    #expect(!bench.send(.keeper(1, hello)).connects)
    #expect(bench.keeper([]).connects)
  }

  @Test("the registration names keeper, swept keepers, fencing and the highest numbers seen")
  func registration() throws {
    var configuration = AgentBench.configuration
    configuration.highestIncarnation = 4
    var bench = AgentBench(configuration)
    bench.send(.started)
    bench.send(.keeperConnected(1))
    bench.send(
      .keeper(
        1,
        .hello(
          keeper: "keeper-b", directory: "mark", sweptKeepers: ["keeper-a"], highestAttempt: 41, fencesFully: false,
          fencingDetail: "no namespaces")))
    bench.keeper([])
    let sent = bench.send(.coordinatorOpened(bench.connection)).sent
    guard case .register(let registration)? = sent.first else {
      Issue.record("no registration")
      return
    }
    #expect(registration.keeper == "keeper-b" && registration.sweptKeepers == ["keeper-a"])
    #expect(registration.directory == "mark" && registration.uptimeMilliseconds == bench.now)
    #expect(registration.highestIncarnation == 4 && registration.highestAttempt == 41)
    #expect(!registration.fencesFully)
    #expect(registration.conditions.first { $0.type == "FencingIncomplete" }?.message == "no namespaces")
  }

  @Test("the address that the coordinator is reached from is the node's and its pods', also of those known before")
  func address() throws {
    var configuration = AgentBench.configuration
    configuration.address = ""
    var bench = AgentBench(configuration)
    bench.send(.started)
    bench.connectKeeper(inventory: [report(1)])
    func connect(from address: String) throws -> (node: String, pods: [String]) {
      bench.send(.addressFound(address))
      let sent = bench.register().sent
      guard case .register(let registration)? = sent.first else { throw IssueError() }
      return (registration.address, [AgentEffect.send(sent[2])].reports.map(\.status.podIP))
    }
    #expect(try connect(from: "10.0.0.6") == ("10.0.0.6", ["10.0.0.6"]))
    // The machine has moved to another network.
    bench.send(.coordinatorClosed(bench.connection))
    bench.pass(5_000)
    #expect(try connect(from: "fd00::6") == ("fd00::6", ["fd00::6"]))
  }

  private struct IssueError: Error {}

  @Test("after registered come a heartbeat with the whole inventory, every report and the kept logs")
  func firstWords() throws {
    var configuration = AgentBench.configuration
    configuration.retainedLogs = [9, 2]
    var bench = AgentBench(configuration)
    bench.send(.started)
    bench.connectKeeper(inventory: [report(1), report(5, phase: .succeeded)])
    let sent = bench.register().sent
    #expect(sent.count == 5)
    guard case .heartbeat(let beat) = sent[1] else {
      Issue.record("no heartbeat")
      return
    }
    #expect(beat.sequence == 1 && beat.echo == 0)
    #expect(beat.inventory?.map(\.attempt) == [1, 5])
    #expect(beat.inventoryDigest == SetDigest(try #require(beat.inventory)))
    #expect([sent[2]].flatMap { [AgentEffect.send($0)].reports }.map(\.attempt) == [1, 5])
    #expect(sent[3] == .retained([1, 2, 5, 9]))
    #expect(sent[4] == .tokens([1]))
  }

  @Test("a heartbeat goes every interval, with the inventory only every 30 s")
  func interval() throws {
    var bench = AgentBench()
    bench.begin()
    bench.answer()
    var beats: [Heartbeat] = []
    for _ in 0..<31 {
      beats += bench.pass(1_000).heartbeats
      bench.answer()
    }
    #expect(beats.map(\.sequence) == Array(2...32))
    #expect(beats.map(\.echo) == Array(1...31))
    #expect(beats.filter { $0.inventory != nil }.map(\.sequence) == [31])
  }

  @Test("two unanswered heartbeats end the session, and the agent reconnects with jitter")
  func silence() throws {
    var bench = AgentBench()
    bench.begin()
    bench.answer()
    // Sent at 1 s and 2 s: each has a whole interval to be answered, and one alone ends nothing.
    let silent = bench.pass(2_999)
    #expect(!silent.disconnects && silent.heartbeats.count == 2)
    let end = bench.pass(1)
    #expect(end.disconnects && end.heartbeats.isEmpty)
    let pause = try #require(bench.wake).milliseconds - bench.now
    #expect((50...101).contains(pause))
    #expect(bench.pass(pause).connects)
  }

  @Test("failed connections wait longer and longer, one to two seconds at last, and no two agents alike")
  func backoff() throws {
    func pauses(seed: UInt64) throws -> [Int64] {
      var bench = AgentBench(seed: seed)
      bench.send(.started)
      bench.connectKeeper()
      var pauses: [Int64] = []
      for _ in 0..<10 {
        bench.send(.coordinatorClosed(bench.connection))
        let pause = try #require(bench.wake).milliseconds - bench.now
        pauses.append(pause)
        #expect(bench.pass(pause).connects)
      }
      return pauses
    }
    let first = try pauses(seed: 1)
    #expect(first[0] <= 101)
    #expect(first.suffix(4).allSatisfy { (1_000...2_001).contains($0) })
    #expect(try pauses(seed: 1) == first)
    #expect(try pauses(seed: 2) != first)
  }

  @Test("a connection that brings no result is given up")
  func handshakeTimeout() throws {
    var bench = AgentBench()
    bench.send(.started)
    bench.connectKeeper()
    #expect(bench.pass(5_000).disconnects)
    bench.pass(2_000)
    bench.send(.coordinatorOpened(bench.connection))
    #expect(bench.pass(5_000).disconnects)
  }

  @Test(
    "a refusal with a time is retried then, one without is retried slowly, and both say why", arguments: [3_000, nil])
  func refused(retry: Int64?) throws {
    var bench = AgentBench()
    bench.send(.started)
    bench.connectKeeper()
    bench.send(.coordinatorOpened(bench.connection))
    let effects = bench.hear(.refused(reason: "name is taken", retryMilliseconds: retry))
    #expect(effects.contains(.log("the coordinator refuses this agent: name is taken")))
    #expect(effects.disconnects)
    let wait = retry ?? 10_000
    #expect(!bench.pass(wait - 1).connects)
    #expect(bench.pass(1).connects)
  }

  @Test("refusals that no retry cures come ever more rarely, up to two minutes, and are told once in whatever numbers")
  func refusedForGood() throws {
    var bench = AgentBench()
    bench.send(.started)
    bench.connectKeeper()
    var (pauses, lines): ([Int64], [String]) = ([], [])
    for number in 0..<12 {
      // Of who it is, and of what it says of itself.
      var effects: [AgentEffect]
      if number % 2 == 0 {
        effects = bench.send(.coordinatorClosed(bench.connection, isFinal: true))
      } else {
        bench.send(.coordinatorOpened(bench.connection))
        effects = bench.hear(.refused(reason: "no name at 10:0\(number)", retryMilliseconds: nil))
      }
      for case .log(let line) in effects { lines.append(line) }
      let pause = try #require(bench.wake).milliseconds - bench.now
      pauses.append(pause)
      #expect(!bench.pass(pause - 1).connects)
      effects = bench.pass(1)
      #expect(effects.connects)
    }
    #expect(pauses[0] == 10_000)
    #expect(pauses.suffix(6).allSatisfy { (60_000...120_001).contains($0) }, "\(pauses)")
    #expect(zip(pauses, pauses.dropFirst()).prefix(3).allSatisfy { $1 * 2 >= $0 })
    #expect(lines == ["the coordinator refuses this agent: no name at 10:01"])
    // Nobody there is no refusal: whoever comes is found soon.
    bench.send(.coordinatorClosed(bench.connection))
    #expect(try #require(bench.wake).milliseconds - bench.now <= 2_000)
    // After a session it begins anew.
    bench.pass(2_000)
    bench.register()
    bench.answer()
    bench.send(.coordinatorClosed(bench.connection, isFinal: true))
    #expect(try #require(bench.wake).milliseconds - bench.now == 10_000)
  }

  @Test("a coordinator of the incarnation that is known, but with another mark, is left alone")
  func incarnationMark() throws {
    var bench = AgentBench()
    bench.send(.started)
    bench.connectKeeper()
    #expect(bench.register(incarnation: 7).contains(.remember(incarnation: 7, mark: "")))
    bench.send(.coordinatorClosed(bench.connection))
    bench.pass(2_000)
    // Known from before marks were told: now it has one.
    #expect(bench.register(incarnation: 7, mark: "one").contains(.remember(incarnation: 7, mark: "one")))
    bench.send(.coordinatorClosed(bench.connection))
    bench.pass(2_000)
    let effects = bench.register(incarnation: 7, mark: "two")
    #expect(effects.disconnects && effects.heartbeats.isEmpty)
  }

  @Test("a cluster that is joined while the agent runs is what the next registration remembers, with what it proved")
  func joinedMeanwhile() throws {
    func registration(_ effects: [AgentEffect]) -> Registration? {
      if case .register(let registration)? = effects.sent.first { registration } else { nil }
    }
    var bench = AgentBench()
    bench.send(.started)
    bench.connectKeeper()
    bench.send(.clusterFound("one"))
    #expect(registration(bench.register(incarnation: 7, mark: "mark"))?.rememberedCluster == "")
    bench.desired = [4: .run, 5: .run]
    bench.answer(assignments: [assignment(4, session: bench.session, proof: "four")])
    bench.send(.coordinatorClosed(bench.connection, isFinal: false))
    bench.pass(2_000)
    bench.send(.clusterFound("other"))
    let next = registration(bench.send(.coordinatorOpened(bench.connection)))
    #expect(next?.rememberedCluster == "one" && next?.highestIncarnation == 7 && next?.incarnationMark == "mark")
    #expect(next?.highestAttempt == 5 && next?.provenAttempt == ProvenAttempt(attempt: 4, proof: "four"))
  }

  @Test("a coordinator of an older incarnation is left alone; a newer one is remembered")
  func incarnation() throws {
    var bench = AgentBench()
    bench.send(.started)
    bench.connectKeeper()
    #expect(bench.register(incarnation: 7).contains(.remember(incarnation: 7, mark: "")))
    bench.send(.coordinatorClosed(bench.connection))
    bench.pass(2_000)
    let effects = bench.register(incarnation: 6)
    #expect(effects.disconnects && effects.heartbeats.isEmpty)
    #expect(!bench.pass(9_999).connects)
    #expect(bench.pass(1).connects)
  }

  @Test("words from an earlier connection change nothing")
  func staleConnection() throws {
    var bench = AgentBench()
    bench.begin()
    let old = bench.connection
    bench.send(.coordinatorClosed(old))
    bench.pass(200)
    #expect(bench.connection == old + 1)
    #expect(bench.send(.coordinatorOpened(old)).isEmpty)
    #expect(
      bench.send(
        .coordinator(
          old, .registered(session: "x", incarnation: 9, heartbeatMilliseconds: 1, leaseMilliseconds: 1))
      ).isEmpty)
    #expect(bench.send(.coordinatorClosed(old)).isEmpty)
    #expect(bench.send(.keeperLost(0, reason: "old")).isEmpty)
    #expect(bench.send(.keeper(0, .reports([report(1)]))).isEmpty)
  }

  @Test("a lost keeper ends the session; the next session names the next keeper and its inventory")
  func keeperLost() throws {
    var bench = AgentBench()
    bench.begin(inventory: [report(1)])
    bench.answer()
    let effects = bench.send(.keeperLost(bench.keeperConnection, reason: "killed"))
    #expect(effects.disconnects)
    #expect(effects.contains(.connectKeeper(2)))
    #expect(!effects.connects)
    bench.connectKeeper("keeper-b")
    let sent = bench.register().sent
    guard case .register(let registration)? = sent.first else {
      Issue.record("no registration")
      return
    }
    #expect(registration.keeper == "keeper-b")
    #expect([AgentEffect.send(sent[1])].heartbeats.first?.inventory == [])
  }

  @Test("a keeper that cannot be started is tried again after a pause")
  func keeperFails() throws {
    var bench = AgentBench()
    bench.send(.started)
    #expect(!bench.send(.keeperLost(1, reason: "no binary")).contains(.connectKeeper(2)))
    #expect(bench.pass(2_000).contains(.connectKeeper(2)))
  }

  @Test("a keeper that goes as soon as it has come is asked for after pauses that grow to the longest one")
  func keeperFlaps() throws {
    var bench = AgentBench()
    bench.send(.started)
    var pauses: [Int64] = []
    for _ in 0..<12 {
      bench.connectKeeper()
      let number = bench.keeperConnection
      bench.send(.keeperLost(number, reason: "taken by another agent"))
      let lost = bench.now
      while bench.keeperConnection == number, bench.now < lost + 10_000 { bench.pass(10) }
      pauses.append(bench.now - lost)
    }
    #expect(pauses[0] == 0 && pauses.dropFirst(7).allSatisfy { (1_000...2_010).contains($0) }, "\(pauses)")
    // One that has stayed is followed at once.
    bench.connectKeeper()
    bench.pass(5_000)
    let number = bench.keeperConnection
    #expect(bench.send(.keeperLost(number, reason: "killed")).contains(.connectKeeper(number + 1)))
  }

  @Test("a keeper's concern is logged and told as the node's condition, until a keeper has none")
  func concern() throws {
    var bench = AgentBench()
    func told(_ effects: [AgentEffect]) -> Condition? {
      guard case .register(let registration)? = effects.sent.first else { return nil }
      return registration.conditions.first { $0.type == "KeeperImpaired" }
    }
    bench.send(.started)
    bench.send(.keeperConnected(1))
    let hello = KeeperReply.hello(
      keeper: "keeper-b", directory: "mark", sweptKeepers: [], highestAttempt: 3, fencesFully: true, fencingDetail: "")
    bench.send(.keeper(1, hello))
    #expect(bench.send(.keeper(1, .concern("pod 7 lives"))).contains(.log("the keeper: pod 7 lives")))
    bench.keeper([])
    let first = told(bench.register())
    #expect(first?.status == "True" && first?.message == "pod 7 lives")
    bench.send(.keeperLost(1, reason: "to tell more"))
    bench.connectKeeper("keeper-b")
    #expect(told(bench.register())?.status == "False")
  }

  @Test("shutting down without a keeper starts none: one that runs is told, else the agent leaves")
  func shutDownWithoutKeeper() throws {
    var bench = AgentBench()
    bench.send(.started)
    bench.send(.keeperLost(1, reason: "it does not start"))
    let effects = bench.send(.shutDownRequested(graceMilliseconds: 500))
    #expect(effects.contains(.findKeeper(2)))
    #expect(!bench.pass(5_000).contains { if case .connectKeeper = $0 { true } else { false } })
    #expect(bench.send(.keeperLost(2, reason: "none runs")).contains(.exit))
  }

  @Test("a timer that comes early asks for the same wake again")
  func earlyTimer() throws {
    var bench = AgentBench()
    bench.begin()
    bench.answer()
    let due = bench.wake
    #expect(bench.send(.timer) == [.wake(at: due)])
    var keeper = KeeperBench(connected: false)
    let idle = keeper.wake
    #expect(keeper.send(.timer) == [.wake(at: idle)])
  }

  @Test("SIGTERM leaves the keeper alone")
  func stop() throws {
    var bench = AgentBench()
    bench.begin(inventory: [report(1)])
    let effects = bench.send(.stopRequested)
    #expect(effects.contains(.exit) && effects.disconnects && effects.requests.isEmpty)
    #expect(bench.send(.timer).isEmpty)
  }

  @Test("shutting down tells the keeper, starts nothing new, passes the last reports on and leaves with the keeper")
  func shutDown() throws {
    var bench = AgentBench()
    bench.begin(inventory: [report(1)])
    #expect(bench.send(.shutDownRequested(graceMilliseconds: 500)).requests == [.shutDown(graceMilliseconds: 500)])
    bench.desired = [1: .run, 2: .run]
    let answered = bench.answer(assignments: [assignment(2)])
    #expect(answered.preparations.isEmpty && answered.fetched.isEmpty)
    #expect(bench.keeper([report(1, revision: 2, phase: .failed)]).reports.count == 1)
    #expect(bench.send(.keeperLost(bench.keeperConnection, reason: "exit")).contains(.exit))
  }

  @Test("shutting down before the keeper is there waits for it")
  func shutDownEarly() throws {
    var bench = AgentBench()
    bench.send(.started)
    bench.send(.shutDownRequested(graceMilliseconds: 500))
    #expect(bench.connectKeeper().requests.contains(.shutDown(graceMilliseconds: 500)))
  }

  @Test("log requests are served and purged logs deleted, but never those of an attempt that still runs")
  func logs() throws {
    var configuration = AgentBench.configuration
    configuration.retainedLogs = [2]
    var bench = AgentBench(configuration)
    bench.begin(inventory: [report(1)])
    let request = LogRequest(stream: "s", attempt: 1, container: "main")
    #expect(bench.hear(.logs(request)).contains(.serveLogs(request)))
    #expect(bench.hear(.purge([1, 2, 3])).contains(.deleteLogs([2])))
    #expect(bench.hear(.purge([2])).isEmpty)
  }
}
