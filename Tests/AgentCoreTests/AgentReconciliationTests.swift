// What the agent does about wanted and unwanted attempts, bodies, preparations and reports.

import AgentCore
import ClusterProto
import Testing

@Suite struct AgentReconciliationTests {
  /// A bench whose coordinator wants attempt 1 to run and has sent its body.
  private func assigned(_ body: Assignment = assignment()) -> AgentBench {
    var bench = AgentBench()
    bench.begin()
    bench.desired = [1: .run]
    bench.answer(assignments: [body])
    return bench
  }

  // MARK: Bodies and K1

  @Test("a wanted attempt without a body is fetched, once, and again after a while")
  func fetch() throws {
    var bench = AgentBench()
    bench.begin()
    bench.desired = [1: .run, 2: .run]
    #expect(bench.answer().fetched == [1, 2])
    bench.pass(1_000)
    #expect(bench.answer().fetched.isEmpty)
    var again: [AttemptNumber] = []
    for _ in 0..<2 {
      again += bench.pass(1_000).fetched
      again += bench.answer().fetched
    }
    #expect(again == [1, 2])
  }

  @Test(
    "a body for another session, another keeper, or that is not wanted is ignored",
    arguments: [assignment(session: "session-old"), assignment(keeper: "keeper-old"), assignment(2)])
  func foreignBodies(body: Assignment) throws {
    var bench = assigned(body)
    #expect(bench.all.preparations.isEmpty)
    #expect(bench.hear(.assignments([body])).preparations.isEmpty)
  }

  @Test("a body is prepared, then started under the lease of the answer that wanted it")
  func start() throws {
    var bench = assigned()
    #expect(bench.all.preparations.map(\.attempt) == [1])
    let body = assignment()
    let effects = bench.send(.prepared(1, number: try bench.preparation(1), try plan(body)))
    #expect(effects.requests == [.start(body, plan: try plan(body), leaseEnd: boot(6_000))])
    bench.pass(1_000)
    #expect(bench.answer(assignments: [body]).preparations.isEmpty)
    #expect(bench.all.starts == [1])
  }

  @Test("a preparation that outlives its lease is started with the next renewal, under the new lease")
  func slowPreparation() throws {
    var bench = assigned()
    bench.now = 1_900
    bench.answer(sequence: 1, lease: 1_000)
    bench.now = 6_500
    let effects = bench.send(.prepared(1, number: try bench.preparation(1), try plan(assignment())))
    #expect(effects.starts.isEmpty)
    let sentAt = bench.now
    let sequence = try #require(bench.all.heartbeats.last).sequence
    #expect(sequence == 2)
    let renewed = bench.answer(sequence: sequence)
    #expect(renewed.starts == [1])
    guard case .start(_, _, let leaseEnd)? = renewed.requests.last else {
      Issue.record("no start")
      return
    }
    #expect(leaseEnd == boot(sentAt + 5_000))
  }

  @Test("a word about an earlier preparation changes nothing")
  func stalePreparation() throws {
    var bench = assigned()
    let body = assignment()
    #expect(bench.send(.prepared(1, number: 99, try plan(body))).isEmpty)
    #expect(
      bench.send(
        .preparationFailed(1, number: 99, container: "", reason: "R", message: "m", retryable: true)
      ).isEmpty)
    #expect(bench.send(.prepared(8, number: 1, try plan(body))).isEmpty)
  }

  @Test("a start that the keeper refused because the lease was over is sent again under a new lease")
  func refusedStart() throws {
    var bench = assigned()
    bench.send(.prepared(1, number: try bench.preparation(1), try plan(assignment())))
    bench.live(seconds: 8)
    #expect(bench.all.starts == [1, 1])
    bench.keeper([report(1)])
    bench.live(seconds: 20)
    #expect(bench.all.starts == [1, 1])
  }

  @Test("a session that ends forgets what was not started; the next one starts it anew with a body of its own")
  func newSession() throws {
    var bench = assigned()
    let first = try bench.preparation(1)
    #expect(bench.send(.coordinatorClosed(bench.connection)).contains(.cleanUp(1)))
    #expect(bench.send(.prepared(1, number: first, try plan(assignment()))).starts.isEmpty)
    bench.pass(2_000)
    bench.session = "session-b"
    bench.register()
    #expect(bench.answer().fetched == [1])
    let body = assignment(session: "session-b")
    bench.hear(.assignments([body]))
    #expect(bench.send(.prepared(1, number: try bench.preparation(1), try plan(body))).starts == [1])
  }

  // MARK: Adoption

  @Test("after an agent restart the keeper's attempts are adopted: nothing is fetched, prepared or started")
  func adoption() throws {
    var bench = AgentBench()
    bench.begin(inventory: [report(1), report(2, phase: .pending)])
    bench.desired = [1: .run, 2: .run]
    bench.answer()
    bench.live(seconds: 30)
    #expect(bench.all.fetched.isEmpty && bench.all.preparations.isEmpty && bench.all.starts.isEmpty)
    #expect(bench.all.renewed == [1, 2])
  }

  @Test("an attempt that the keeper holds unstarted is fetched and prepared by the new agent")
  func unstartedInKeeper() throws {
    var bench = AgentBench()
    bench.begin(inventory: [report(1, phase: .pending, started: false)])
    bench.desired = [1: .run]
    #expect(bench.answer().fetched == [1])
    #expect(bench.hear(.assignments([assignment()])).preparations.map(\.attempt) == [1])
  }

  @Test("volumes of attempts that the keeper does not hold are dropped once its inventory is complete")
  func strayVolumes() throws {
    var bench = AgentBench()
    bench.send(.started)
    #expect(bench.connectKeeper(inventory: [report(4), report(2)]).contains(.cleanUpExcept([2, 4])))
  }

  // MARK: Preparation that fails

  @Test("a failed preparation is shown through the keeper, fetched again after a while and started when it works")
  func retry() throws {
    var bench = assigned()
    let message = "configmap \"q\" not found"
    let failure = bench.send(
      .preparationFailed(
        1, number: try bench.preparation(1), container: "main", reason: "CreateContainerConfigError", message: message,
        retryable: true))
    #expect(
      failure.requests == [
        .unprepared(
          assignment(), container: "main", reason: "CreateContainerConfigError", message: message,
          leaseEnd: boot(6_000))
      ])
    bench.keeper([report(1, phase: .pending, started: false)])
    #expect(bench.pass(1_000).fetched.isEmpty)
    bench.answer()
    #expect(bench.pass(1_000).fetched == [1])
    #expect(bench.hear(.assignments([assignment()])).preparations.map(\.attempt) == [1])
    #expect(bench.send(.prepared(1, number: try bench.preparation(1), try plan(assignment()))).starts == [1])
  }

  @Test("a preparation that only another body can help waits for one")
  func notRetryable() throws {
    var bench = assigned()
    bench.send(
      .preparationFailed(
        1, number: try bench.preparation(1), container: "", reason: "R", message: "m", retryable: false))
    #expect(bench.hear(.assignments([assignment()])).preparations.isEmpty)
    let changed = assignment(references: ["configmaps/q": ["data": ["a": "b"]]])
    #expect(bench.hear(.assignments([changed])).preparations.map(\.attempt) == [1])
  }

  // MARK: Stops

  @Test("a stop of an attempt that is still prepared cancels it and lets the keeper give the proof")
  func stopPreparing() throws {
    var bench = assigned()
    let preparation = try bench.preparation(1)
    bench.desired = [1: .stop(graceMilliseconds: 30_000)]
    let effects = bench.answer()
    #expect(effects.contains(.cleanUp(1)))
    #expect(effects.requests == [.stop(1, graceMilliseconds: 30_000)])
    #expect(bench.send(.prepared(1, number: preparation, try plan(assignment()))).starts.isEmpty)
    #expect(bench.keeper([report(1, phase: .failed)]).reports.map(\.attempt) == [1])
  }

  @Test("a stop is passed on once a grace, and again in the next session")
  func stopOnce() throws {
    var bench = AgentBench()
    bench.begin(inventory: [report(1)])
    bench.desired = [1: .stop(graceMilliseconds: 30_000)]
    bench.answer()
    bench.live(seconds: 5)
    let stop = KeeperRequest.stop(1, graceMilliseconds: 30_000)
    #expect(bench.all.requests.filter { $0 == stop }.count == 1)
    bench.desired = [1: .stop(graceMilliseconds: 0)]
    bench.pass(1_000)
    #expect(bench.answer().requests.contains(.stop(1, graceMilliseconds: 0)))
  }

  @Test("a stop of an attempt that nobody here knows goes to the keeper, which gives the proof")
  func stopUnknown() throws {
    var bench = AgentBench()
    bench.begin()
    bench.desired = [9: .stop(graceMilliseconds: 0)]
    #expect(bench.answer().requests.last == .stop(9, graceMilliseconds: 0))
  }

  @Test("before the desired set is whole nothing is stopped for not being in it")
  func incomplete() throws {
    var bench = AgentBench()
    bench.begin(inventory: [report(1)])
    let answer = Answer(number: 1, sequence: 1, leaseMilliseconds: 5_000, desiredDigest: SetDigest(99))
    #expect(bench.hear(.answer(answer)).requests.isEmpty)
    bench.keeper([report(1, revision: 2)])
    #expect(bench.all.requests.allSatisfy { if case .stop = $0 { false } else { true } })
  }

  @Test("an attempt that is no longer wanted before it was started is dropped without a word to the keeper")
  func unwantedPreparation() throws {
    var bench = assigned()
    bench.desired = [:]
    let effects = bench.answer()
    #expect(effects.contains(.cleanUp(1)) && effects.requests.isEmpty)
  }

  // MARK: Reports

  @Test("reports are forwarded at once, with the agent's address, and an older one never overwrites a newer one")
  func forwarding() throws {
    var bench = AgentBench()
    bench.begin()
    let first = bench.keeper([report(1, revision: 5)]).reports
    #expect(first.first?.status.hostIP == "127.0.0.1" && first.first?.status.podIP == "127.0.0.1")
    #expect(bench.keeper([report(1, revision: 4)]).reports.isEmpty)
    #expect(bench.keeper([report(2, phase: .pending, started: false)]).reports.first?.status.podIP == "")
  }

  @Test("a terminal report is repeated until it is acknowledged, then keeper and volumes forget it")
  func repetition() throws {
    var bench = AgentBench()
    bench.begin()
    bench.answer()
    bench.keeper([report(1, revision: 3, phase: .succeeded), report(2)])
    var repeated: [AttemptNumber] = []
    for _ in 0..<10 {
      repeated += bench.pass(1_000).reports.map(\.attempt)
      bench.answer()
    }
    #expect(repeated == [1, 1])
    bench.pass(1_000)
    let effects = bench.answer(acknowledged: [1, 2, 77])
    #expect(effects.requests.contains(.acknowledge([1])))
    #expect(effects.contains(.cleanUp(1)) && !effects.contains(.cleanUp(2)))
    #expect(!effects.contains { if case .deleteLogs = $0 { true } else { false } })
    let beat = try #require(bench.pass(1_000).heartbeats.first)
    #expect(
      beat.inventoryDigest == SetDigest([InventoryEntry(attempt: 2, revision: 1, terminal: false, frozen: false)]))
  }

  @Test("a coordinator that wants the inventory gets it at once, with every report")
  func wantsInventory() throws {
    var bench = AgentBench()
    bench.begin(inventory: [report(1), report(2, phase: .failed)])
    bench.desired = [1: .run]
    bench.answer()
    bench.now += 300
    let effects = bench.answer(sequence: 1, wantsInventory: true)
    #expect(effects.heartbeats.first?.inventory?.map(\.attempt) == [1, 2])
    #expect(effects.reports.map(\.attempt) == [1, 2])
  }

  @Test("reports with long termination messages go in as many messages as keep each below the coordinator's limit")
  func longReports() throws {
    var bench = AgentBench()
    bench.begin()
    let reports = (1...64).map { number in
      var report = report(AttemptNumber(number), phase: .failed)
      let end = ContainerState.Termination(
        exitCode: 1, reason: "Error", message: String(repeating: "\u{1}", count: 12_288), startedAt: at(0).wall,
        finishedAt: at(0).wall)
      report.status.containers = [
        ContainerStatus(name: "main", image: "img", state: .terminated(end), lastTermination: end)
      ]
      return report
    }
    let sent = bench.keeper(reports)
    #expect(sent.reports.map(\.attempt) == Array(1...64))
    #expect(sent.sent.count > 1)
    for message in sent.sent { #expect(message.json.bytes.count < MessageLimits.toCoordinator) }
  }

  @Test("reports that came while there was no session are sent in the next one")
  func afterReconnection() throws {
    var bench = AgentBench()
    bench.begin(inventory: [report(1)])
    bench.send(.coordinatorClosed(bench.connection))
    #expect(bench.keeper([report(1, revision: 2, phase: .succeeded)]).sent.isEmpty)
    bench.pass(2_000)
    #expect(bench.register().reports.map(\.status.phase) == [.succeeded])
  }
}
