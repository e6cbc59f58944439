// Hooks in the keeper's core: what they hold up, what their failures do, and that they have no more time than there is.

import AgentCore
import ClusterProto
import Testing

@Suite("hooks: the keeper's decisions") struct KeeperHookTests {
  private func pod(
    _ lifecycle: JSON, policy: RestartPolicy = .onFailure, grace: Int64 = 30, more: [JSON] = [],
    toleration: Int64? = nil, annotations: StringMap = StringMap()
  ) -> Assignment {
    assignment(
      spec: podSpec(policy: policy, grace: grace, containers: [caring(["lifecycle": lifecycle])] + more),
      toleration: toleration, annotations: annotations)
  }

  @Test("a container counts as running once its postStart is done; the next one starts then, and its probes begin")
  func postStart() throws {
    var bench = KeeperBench()
    let lifecycle: JSON = ["postStart": doing("prepare")]
    let first = try bench.start(pod(lifecycle, more: [caring(name: "b", ["readinessProbe": asking()])]))
    #expect(first.startedNames == ["main"])
    let effects = bench.send(.containerStarted(try #require(first.startedRuns.first)))
    let hook = try #require(effects.checks.first)
    #expect(hook.check == Check(action: .exec(["prepare"]), isHook: true))
    #expect(try bench.main().state == .waiting(reason: "ContainerCreating", message: ""))
    #expect(try bench.main().started == false)
    #expect(try bench.status().phase == .pending)
    #expect(bench.pass(100_000).startedNames == [], "it may take as long as it likes")
    #expect(bench.answer(hook, code: 0).startedNames == ["b"])
    #expect(try bench.main().state.isRunning)
    #expect(try bench.main().ready)
  }

  @Test("a postStart that fails ends the container, which starts again by its policy") func postStartFails() throws {
    var bench = KeeperBench()
    let first = try bench.start(pod(["postStart": doing("prepare"), "preStop": doing("farewell")]))
    let run = try #require(first.startedRuns.first)
    let hook = try #require(bench.send(.containerStarted(run)).checks.first)
    let effects = bench.answer(hook, code: 1, "a secret")
    #expect(
      effects.facts.map(\.text) == [
        "main FailedPostStartHook: PostStartHook failed", "main Killing: FailedPostStartHook",
      ])
    #expect(effects.checks.map(\.check.action) == [.exec(["farewell"])])
    #expect(try bench.main().state.isRunning == false)
    #expect(bench.answer(try #require(effects.checks.first), code: 0).terms == [0])
    #expect(bench.exit(0, signal: 15).startedRuns.map(\.restart) == [1])
  }

  @Test("a hook by tcpSocket is taken, as by Kubernetes, and fails") func tcpSocket() throws {
    var bench = KeeperBench()
    let socket: JSON = ["tcpSocket": ["port": 80]]
    let first = try bench.start(pod(["postStart": socket], policy: .never))
    let effects = bench.send(.containerStarted(try #require(first.startedRuns.first)))
    #expect(effects.checks.isEmpty)
    #expect(effects.facts.first?.reason == "FailedPostStartHook")
    #expect(effects.terms == [0])
    var other = KeeperBench()
    try other.run(pod(["preStop": socket]))
    let stopped = other.request(.stop(1, graceMilliseconds: -1))
    #expect(stopped.facts.map(\.reason) == ["FailedPreStopHook"])
    #expect(stopped.terms == [0])
  }

  @Test("a container that ends by itself while its postStart runs has ended as it did") func endsFirst() throws {
    var bench = KeeperBench()
    let first = try bench.start(pod(["postStart": doing("prepare")], policy: .never))
    let run = try #require(first.startedRuns.first)
    let hook = try #require(bench.send(.containerStarted(run)).checks.first)
    let effects = bench.exit(0)
    #expect(effects.endedChecks == [hook.number])
    #expect(effects.facts.map(\.reason) == ["FailedPostStartHook"])
    bench.send(.podGone(1))
    #expect(try bench.status().phase == .succeeded)
    #expect(bench.answer(hook, code: 1).isEmpty)
  }

  @Test("a postStart that never ends does not keep its pod") func stoppedMeanwhile() throws {
    var bench = KeeperBench()
    let first = try bench.start(pod(["postStart": doing("prepare")]))
    let run = try #require(first.startedRuns.first)
    let hook = try #require(bench.send(.containerStarted(run)).checks.first)
    let effects = bench.request(.stop(1, graceMilliseconds: -1))
    #expect(effects.endedChecks == [hook.number])
    #expect(effects.terms == [0])
    #expect(bench.answer(hook, code: 0).terms == [])
    #expect(bench.pass(30_000).contains(.killPod(1)))
  }

  @Test("a sleeping postStart is over in its time") func sleeps() throws {
    var bench = KeeperBench()
    let first = try bench.start(pod(["postStart": ["sleep": ["seconds": 5]]], more: [container("b")]))
    bench.send(.containerStarted(try #require(first.startedRuns.first)))
    #expect(bench.pass(4_999).startedNames == [])
    #expect(bench.pass(1).startedNames == ["b"])
  }

  @Test("a preStop comes before SIGTERM, and its time is the grace's") func preStop() throws {
    var bench = KeeperBench()
    try bench.run(pod(["preStop": doing("farewell")]))
    let effects = bench.request(.stop(1, graceMilliseconds: -1))
    #expect(effects.terms == [])
    #expect(effects.checks.first?.check == Check(action: .exec(["farewell"]), isHook: true))
    #expect(bench.pass(10_000).terms == [])
    #expect(bench.answer(try #require(effects.checks.first), code: 0).terms == [0])
    #expect(!bench.pass(19_999).contains(.killPod(1)))
    #expect(bench.pass(1).contains(.killPod(1)))
  }

  @Test("one that fails is told, and SIGTERM comes all the same") func preStopFails() throws {
    var bench = KeeperBench()
    try bench.run(pod(["preStop": doing("farewell")]))
    let effects = bench.request(.stop(1, graceMilliseconds: -1))
    let end = bench.answer(try #require(effects.checks.first), code: 2, "a secret")
    #expect(end.facts.map(\.text) == ["main FailedPreStopHook: PreStopHook failed"])
    #expect(end.terms == [0])
  }

  @Test("one that takes the whole grace is cut, and leaves two seconds") func preStopCut() throws {
    var bench = KeeperBench()
    try bench.run(pod(["preStop": doing("farewell")], more: [container("b")]))
    let effects = bench.request(.stop(1, graceMilliseconds: 5_000))
    #expect(effects.terms == [1], "what has no hook is told at once")
    #expect(bench.pass(4_999).terms == [])
    let cut = bench.pass(1)
    #expect(cut.endedChecks == effects.checks.map(\.number))
    #expect(cut.terms == [0])
    #expect(!cut.contains(.killPod(1)))
    #expect(!bench.pass(1_999).contains(.killPod(1)))
    #expect(bench.pass(1).contains(.killPod(1)))
  }

  @Test("hooks that end one after the other never make more of it than two seconds") func bounded() throws {
    var bench = KeeperBench()
    let others = (0..<5).map { caring(name: "c\($0)", ["lifecycle": ["preStop": doing("farewell")]]) }
    try bench.run(pod(["preStop": ["sleep": ["seconds": 30]]], more: others))
    let hooks = bench.request(.stop(1, graceMilliseconds: 10_000)).checks
    #expect(hooks.count == 5)
    bench.pass(9_000)
    for hook in hooks.dropLast() {
      bench.pass(200)
      bench.answer(hook, code: 0)
    }
    #expect(!bench.pass(200).contains(.killPod(1)))
    #expect(bench.now == 1_000 + 10_000)
    #expect(bench.pass(2_000).contains(.killPod(1)))
  }

  @Test("without any grace there is no hook") func force() throws {
    var bench = KeeperBench()
    try bench.run(pod(["preStop": doing("farewell")]))
    let effects = bench.request(.stop(1, graceMilliseconds: 0))
    #expect(effects.checks.isEmpty)
    #expect(effects.contains(.killPod(1)))
  }

  @Test("a hook under way ends with a stop that has less time, and with one that has none") func hurried() throws {
    var bench = KeeperBench()
    try bench.run(pod(["preStop": doing("farewell")]))
    bench.request(.stop(1, graceMilliseconds: -1))
    bench.request(.stop(1, graceMilliseconds: 1_000))
    #expect(bench.pass(1_000).terms == [0])
    #expect(bench.request(.stop(1, graceMilliseconds: 0)).contains(.killPod(1)))
  }

  @Test("sidecars' hooks begin with the pod's end, their SIGTERM waits for their turn") func sidecars() throws {
    var bench = KeeperBench()
    let sidecar = caring(name: "s", sidecar: true, ["lifecycle": ["preStop": doing("farewell")]])
    let first = try bench.start(
      assignment(spec: podSpec(initContainers: [sidecar]), toleration: nil))
    bench.confirm(first)
    bench.send(.containerStarted(ContainerRun(attempt: 1, slot: 1, restart: 0)))
    let effects = bench.request(.stop(1, graceMilliseconds: -1))
    #expect(effects.terms == [1])
    #expect(effects.checks.map(\.run.slot) == [0])
    #expect(bench.answer(try #require(effects.checks.first), code: 0).terms == [])
    #expect(bench.exit(1, signal: 15).terms == [0])
  }

  @Test("who is ended for a probe has its hook too, within that grace") func afterProbe() throws {
    var bench = KeeperBench()
    let main = caring(["livenessProbe": asking(failure: 1, grace: 4), "lifecycle": ["preStop": doing("farewell")]])
    try bench.run(assignment(spec: podSpec(policy: .onFailure, containers: [main]), toleration: nil))
    let effects = bench.answer(try bench.nextCheck(), code: 1)
    #expect(effects.terms == [])
    let hook = try #require(effects.checks.first)
    #expect(bench.pass(3_999).terms == [])
    let cut = bench.pass(1)
    #expect(cut.endedChecks == [hook.number])
    #expect(cut.terms == [0])
    #expect(bench.pass(1_999).kills == [])
    #expect(bench.pass(1).kills == [0])
    #expect(bench.exit(0, signal: 9).startedRuns.map(\.restart) == [1])
    #expect(!bench.all.contains(.killPod(1)))
  }

  @Test("a pod that is stopped while a container of it is being ended leaves that one its own time")
  func stoppedTwice() throws {
    var bench = KeeperBench()
    let main = caring(["livenessProbe": asking(failure: 1, grace: 4)])
    try bench.run(
      assignment(spec: podSpec(policy: .onFailure, containers: [main, container("b")]), toleration: nil))
    #expect(bench.answer(try bench.nextCheck(), code: 1).terms == [0])
    #expect(bench.request(.stop(1, graceMilliseconds: -1)).terms == [1])
    #expect(bench.pass(3_999).kills == [])
    #expect(bench.pass(1).kills == [0])
    #expect(bench.pass(20_000).isEmpty, "and nothing is looked at again and again")
    #expect(bench.exit(0, signal: 9).startedRuns.isEmpty)
  }

  @Test("no hook outlives the deadline of a lease") func fenced() throws {
    var bench = KeeperBench()
    let kill: StringMap = ["stint.dev/on-lease-end": "kill"]
    try bench.run(pod(["preStop": doing("farewell")], toleration: 3_000, annotations: kill), lease: 5_000)
    let effects = bench.pass(8_000)
    #expect(effects.checks.count == 1, "what is warned of its end has its hook")
    #expect(effects.contains(.killPod(1)))
    #expect(bench.now == 9_000)
    #expect(!bench.isKilled)
    // A pod that is stopped anyway, when D comes in the middle of its hook.
    var other = KeeperBench()
    try other.run(pod(["preStop": doing("farewell")], toleration: 3_000), lease: 5_000)
    other.pass(6_000)
    other.request(.stop(1, graceMilliseconds: -1))
    #expect(other.pass(2_000).contains(.killPod(1)))
  }
}
