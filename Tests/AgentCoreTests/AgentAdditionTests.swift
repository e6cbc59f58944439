// Containers that are added to attempts that run, in the agent: from the coordinator's word over body, image and plan
// to the keeper, each by itself, and what happens to them when sessions and keepers go.

import AgentCore
import ClusterProto
import Testing

@Suite("added containers in the agent") struct AgentAdditionTests {
  private func spec(_ added: JSON...) -> PodSpec {
    var json = podSpec().json
    json["ephemeralContainers"] = .array(added)
    return PodSpec(json: json)
  }

  private func running(_ revision: Int64 = 1, _ added: ContainerStatus...) -> AttemptReport {
    var result = report(1, revision: revision)
    result.status.ephemeralContainers = added
    return result
  }

  private func added(_ name: String, _ state: ContainerState) -> ContainerStatus {
    ContainerStatus(name: name, image: "img", state: state)
  }

  /// The coordinator says that attempt 1 has grown, and sends its body.
  @discardableResult
  private func grow(_ bench: inout AgentBench, _ spec: PodSpec) -> [AgentEffect] {
    bench.answers += 1
    let full = bench.desired.keys.sorted().map { DesiredAttempt(attempt: $0, action: bench.desired[$0] ?? .run) }
    var effects = bench.hear(
      .answer(
        Answer(
          number: bench.answers, sequence: bench.lastSequence, leaseMilliseconds: 5_000,
          desiredDigest: SetDigest(full), full: full, grown: [1])))
    effects += bench.hear(.assignments([assignment(spec: spec, session: bench.session)]))
    return effects
  }

  private func bench(_ inventory: AttemptReport) -> AgentBench {
    var bench = AgentBench()
    bench.begin(inventory: [inventory])
    bench.desired[1] = .run
    bench.answer()
    return bench
  }

  private func hand(_ bench: inout AgentBench, _ effects: [AgentEffect]) throws -> [AgentEffect] {
    let order = try #require(effects.additions.last)
    let container = try PodPlanner.addition(order.container, to: order.body, place: place)
    return bench.send(.additionPrepared(order.body.attempt, number: order.number, container))
  }

  @Test("the body is asked for, the container planned alone and handed over once; the pod's own are not touched")
  func order() throws {
    var bench = bench(running())
    let effects = grow(&bench, spec(container("dbg")))
    #expect(effects.fetched == [1])
    #expect(effects.preparations.isEmpty && effects.additions.map(\.container) == ["dbg"])
    let handed = try hand(&bench, effects)
    #expect(handed.requests.added.map(\.name) == ["dbg"] && handed.starts.isEmpty)
    // Said again, by whoever: nothing more.
    #expect(grow(&bench, spec(container("dbg"))).additions.isEmpty)
    bench.live(seconds: 5)
    #expect(bench.all.additions.count == 1)
    let more = grow(&bench, spec(container("dbg"), container("two")))
    #expect(more.additions.map(\.container) == ["two"])
  }

  @Test("what the keeper shows as begun is never handed over again, by an agent that has only just come either")
  func begun() throws {
    let ended = ContainerState.Termination(
      exitCode: 0, reason: "Completed", startedAt: at(0).wall, finishedAt: at(1).wall)
    var bench = bench(running(1, added("dbg", .terminated(ended)), added("two", .waiting(reason: "x", message: ""))))
    #expect(grow(&bench, spec(container("dbg"), container("two"))).additions.map(\.container) == ["two"])
  }

  @Test("a pod that is still being started gets it once it runs; one that has ended gets none") func later() throws {
    var bench = AgentBench()
    bench.begin()
    bench.desired[1] = .run
    let body = assignment(spec: spec(container("dbg")), session: bench.session)
    bench.answer(assignments: [body])
    #expect(bench.all.additions.isEmpty && bench.all.preparations.count == 1)
    bench.send(.prepared(1, number: try bench.preparation(1), try plan(body)))
    #expect(bench.all.starts == [1] && bench.all.additions.isEmpty)
    #expect(bench.keeper([running()]).additions.map(\.container) == ["dbg"])
    #expect(bench.keeper([report(1, revision: 9, phase: .failed)]).additions.isEmpty)
    bench.live(seconds: 4)
    #expect(bench.all.additions.count == 1)
  }

  @Test("what a preparation lacks is shown, and it is tried again with a new body") func again() throws {
    var bench = bench(running())
    let effects = grow(&bench, spec(container("dbg")))
    let number = try #require(effects.additions.last).number
    let failed = bench.send(
      .preparationFailed(
        1, number: number, container: "dbg", reason: "CreateContainerConfigError", message: "no map", retryable: true))
    #expect(failed.requests.waiting == ["1 dbg CreateContainerConfigError no map"])
    #expect(failed.fetched == [])
    var fetched = 0
    for _ in 0..<3 {
      let effects = bench.pass(1_000)
      fetched += effects.fetched.count
      bench.answer()
    }
    #expect(fetched == 1)
    let second = bench.hear(.assignments([assignment(spec: spec(container("dbg")), session: bench.session)]))
    #expect(second.additions.map(\.container) == ["dbg"])
  }

  @Test("a session that ends forgets what was not handed over, and the next one begins anew") func sessions() throws {
    var bench = bench(running())
    let effects = grow(&bench, spec(container("dbg")))
    bench.send(.coordinatorClosed(bench.connection))
    bench.pass(3_000)
    #expect(try hand(&bench, effects).requests.added.isEmpty, "of the session before")
    bench.session = "session-b"
    bench.register()
    bench.answer()
    #expect(grow(&bench, spec(container("dbg"))).additions.map(\.container) == ["dbg"])
  }

  @Test("each waits for its own image: one that cannot be had holds up no other, and says so") func images() throws {
    var bench = ImageBench([busybox])
    bench.assign(1, [imageContainer("main", "busybox:1", command: true)])
    bench.agent.keeper([running()])
    let body = spec(imageContainer("bad", "mongo:5", command: true), imageContainer("good", "busybox:1", command: true))
    let effects = grow(&bench.agent, body)
    bench.note(effects)
    #expect(effects.pulls.map(\.text) == ["docker.io/library/mongo:5"])
    #expect(effects.requests.waiting == ["1 bad ContainerCreating"])
    #expect(effects.additions.map(\.container) == ["good"])
    #expect(
      effects.facts == [
        #"Pulling Pulling image "mongo:5""#, #"Pulled Container image "busybox:1" already present on machine"#,
      ])
    let failed = bench.failed(try #require(effects.pulls.first).number, "no route")
    #expect(failed.requests.waiting == ["1 bad ErrImagePull no route"])
    let handed = try hand(&bench.agent, effects)
    #expect(handed.requests.added.map(\.shownImage?.name) == ["docker.io/library/busybox:1"])
    var pulls: [PullNumber] = []
    for _ in 0..<20 where pulls.isEmpty {
      let fetched = bench.live(1).fetched
      guard fetched.contains(1) else { continue }
      let more = bench.agent.hear(.assignments([assignment(spec: body, session: bench.agent.session)]))
      bench.note(more)
      pulls += more.pulls.map(\.number)
    }
    let came = bench.pulled(try #require(pulls.first), mongo)
    #expect(came.additions.map(\.container) == ["bad"])
  }

  @Test("a keeper that goes takes all of it along, and an agent that is leaving begins none") func gone() throws {
    var bench = bench(running())
    grow(&bench, spec(container("dbg")))
    bench.send(.keeperLost(bench.keeperConnection, reason: "gone"))
    #expect(bench.core.imageProblems == [])
    var leaving = self.bench(running())
    leaving.send(.shutDownRequested(graceMilliseconds: 1_000))
    #expect(grow(&leaving, spec(container("dbg"))).additions.isEmpty)
  }

  @Test("the messages are read as they were written, and an older agent's answer has none") func messages() throws {
    let body = assignment(spec: spec(["name": "dbg", "image": "i", "command": ["x"], "targetContainerName": "main"]))
    let container = try PodPlanner.addition("dbg", to: body, place: place)
    #expect(container.target == "main")
    for request in [
      KeeperRequest.add(7, container),
      .addWaits(7, container: "dbg", image: "i", reason: "ErrImagePull", message: "m"),
    ] {
      #expect(try KeeperRequest(json: request.json) == request)
    }
    let answer = Answer(number: 1, sequence: 1, leaseMilliseconds: 1, desiredDigest: SetDigest(), grown: [4, 5])
    #expect(try CoordinatorMessage(json: CoordinatorMessage.answer(answer).json) == .answer(answer))
    var old = CoordinatorMessage.answer(answer).json
    old["grown"] = nil
    guard case .answer(let read) = try CoordinatorMessage(json: old) else { return }
    #expect(read.grown == [])
  }
}

extension [AgentEffect] {
  fileprivate var additions: [(body: Assignment, container: String, number: Int64)] {
    compactMap {
      if case .prepareAddition(let body, let container, let number, _) = $0 { (body, container, number) } else { nil }
    }
  }
}

extension [KeeperRequest] {
  fileprivate var added: [PodPlan.Container] {
    compactMap { if case .add(_, let container) = $0 { container } else { nil } }
  }

  fileprivate var waiting: [String] {
    compactMap { request in
      guard case .addWaits(let attempt, let container, _, let reason, let message) = request else { return nil }
      return ["\(attempt)", container, reason, message].filter { !$0.isEmpty }.joined(separator: " ")
    }
  }
}
