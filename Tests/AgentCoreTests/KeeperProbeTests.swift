// Probes in the keeper's core: when they are asked, what their answers come to, and that a fence waits for none.

import AgentCore
import ClusterProto
import Testing

@Suite("probes: the keeper's decisions") struct KeeperProbeTests {
  private func pod(
    _ members: JSON, policy: RestartPolicy = .onFailure, grace: Int64 = 30, initContainers: [JSON] = []
  ) -> Assignment {
    assignment(
      spec: podSpec(policy: policy, grace: grace, initContainers: initContainers, containers: [caring(members)]),
      toleration: nil)
  }

  @Test("a readiness probe makes the container and its pod ready and unready, by its thresholds") func readiness()
    throws
  {
    var bench = KeeperBench()
    try bench.run(pod(["readinessProbe": asking(success: 2, failure: 2)]))
    #expect(try bench.main().state.isRunning)
    #expect(try bench.main().ready == false)
    #expect(try bench.main().started == true)
    #expect(try bench.status().condition("Ready")?.message == "containers with unready status: [main]")
    let begun = bench.now
    let first = try bench.nextCheck()
    #expect(bench.now - begun == 1_000)
    #expect(first.check == Check(action: .exec(["ask"]), isHook: false))
    bench.answer(first, code: 0)
    #expect(try bench.main().ready == false, "one success of two")
    bench.answer(try bench.nextCheck(within: 10_000), code: 0)
    #expect(try bench.main().ready)
    #expect(try bench.status().isReady)
    let third = bench.answer(try bench.nextCheck(within: 10_000), code: 1, "no room")
    #expect(third.facts.map(\.text) == ["main Unhealthy: Readiness probe failed: no room"])
    #expect(try bench.main().ready)
    bench.answer(try bench.nextCheck(), code: 1)
    #expect(try bench.main().ready == false)
    #expect(try bench.status().condition("ContainersReady")?.isTrue == false)
    #expect(try bench.main().restartCount == 0)
  }

  @Test("a liveness probe that fails ends the container, which starts again however it ended") func liveness() throws {
    var bench = KeeperBench()
    try bench.run(pod(["livenessProbe": asking(period: 5, failure: 2)]))
    #expect(try bench.main().ready)
    let begun = bench.now
    bench.answer(try bench.nextCheck(), code: 1, "stuck")
    #expect(bench.now - begun == 5_000)
    let effects = bench.answer(try bench.nextCheck(), code: 1, "stuck")
    #expect(
      effects.facts.map(\.text) == [
        "main Unhealthy: Liveness probe failed: stuck",
        "main Killing: Container main failed liveness probe, will be restarted",
      ])
    #expect(effects.terms == [0])
    #expect(bench.pass(29_999).kills == [])
    #expect(bench.pass(1).kills == [0])
    #expect(bench.pass(60_000).checks.isEmpty, "nothing is asked of what is being ended")
    // OnFailure: an exit code of 0 alone would be the end of it.
    #expect(bench.exit(0, code: 0).startedRuns == [ContainerRun(attempt: 1, slot: 0, restart: 1)])
    #expect(try bench.main().restartCount == 1)
  }

  @Test("with Never a failed liveness probe is the container's end, and the message promises no restart") func never()
    throws
  {
    var bench = KeeperBench()
    try bench.run(pod(["livenessProbe": asking(failure: 1)], policy: .never))
    let effects = bench.answer(try bench.nextCheck(), code: 1)
    #expect(effects.facts.last?.message == "Container main failed liveness probe")
    #expect(bench.exit(0, signal: 15).startedRuns == [])
    bench.send(.podGone(1))
    #expect(try bench.status().phase == .failed)
  }

  @Test("a probe's own grace counts, and SIGTERM always leaves two seconds") func ownGrace() throws {
    for (grace, kill) in [(7, 7_000), (1, 2_000)] as [(Int64, Int64)] {
      var bench = KeeperBench()
      try bench.run(pod(["livenessProbe": asking(failure: 1, grace: grace)]))
      #expect(bench.answer(try bench.nextCheck(), code: 1).terms == [0])
      #expect(bench.pass(kill - 1).kills == [])
      #expect(bench.pass(1).kills == [0])
    }
  }

  @Test("until the startup probe has passed nothing else is asked, and nothing is up") func startup() throws {
    var bench = KeeperBench()
    let members: JSON = [
      "startupProbe": asking(period: 2, failure: 3), "livenessProbe": asking(period: 3, failure: 1),
      "readinessProbe": asking(period: 4),
    ]
    try bench.run(pod(members))
    #expect(try bench.main().started == false)
    #expect(try bench.main().ready == false)
    #expect(try bench.status().phase == .running)
    bench.answer(try bench.nextCheck(), code: 1)
    let second = try bench.nextCheck()
    let passed = bench.answer(second, code: 0)
    #expect(try bench.main().started == true)
    #expect(passed.checks.count == 1, "readiness is asked at once")
    #expect(try bench.main().ready == false)
    bench.answer(try #require(passed.checks.first), code: 0)
    #expect(try bench.main().ready)
    let now = bench.now
    let alive = try bench.nextCheck()
    #expect(bench.now - now == 3_000)
    #expect(bench.answer(alive, code: 1).facts.last?.reason == "Killing")
  }

  @Test("a startup probe that never passes ends the container; the next run begins anew") func startupFails() throws {
    var bench = KeeperBench()
    try bench.run(pod(["startupProbe": asking(period: 1, failure: 2)]))
    bench.answer(try bench.nextCheck(), code: 1)
    let effects = bench.answer(try bench.nextCheck(), code: 1)
    #expect(effects.facts.last?.message == "Container main failed startup probe, will be restarted")
    bench.exit(0, signal: 15)
    bench.send(.containerStarted(ContainerRun(attempt: 1, slot: 0, restart: 1)))
    let next = try bench.nextCheck()
    #expect(next.run.restart == 1)
    bench.answer(next, code: 1)
    #expect(bench.all.terms == [0], "one failure of two")
  }

  @Test("a sidecar's startup probe holds back what comes after it, once") func sidecar() throws {
    var bench = KeeperBench()
    let sidecar = caring(name: "s", sidecar: true, ["startupProbe": asking(period: 1, failure: 1)])
    let first = try bench.start(
      assignment(spec: podSpec(initContainers: [sidecar, container("i")]), toleration: nil))
    #expect(first.startedNames == ["s"])
    bench.confirm(first)
    #expect(try bench.status().initContainers.first?.started == false)
    #expect(
      try bench.status().condition("Initialized")?.message == "containers with incomplete status: [s i]")
    let failed = bench.answer(try bench.nextCheck(), code: 1)
    #expect(failed.facts.last?.message == "Init container s failed startup probe, will be restarted")
    bench.confirm(bench.exit(0, signal: 15))
    #expect(bench.answer(try bench.nextCheck(), code: 0).startedNames == ["i"])
    #expect(
      try bench.status().condition("Initialized")?.message == "containers with incomplete status: [i]")
  }

  @Test("an answer that does not come in time is a failure, and no other begins before that one is over") func timeout()
    throws
  {
    var bench = KeeperBench()
    try bench.run(pod(["livenessProbe": asking(period: 5, timeout: 2, failure: 3)]))
    let asked = try bench.nextCheck()
    #expect(bench.pass(1_999).facts.isEmpty)
    let late = bench.pass(1)
    #expect(late.endedChecks == [asked.number])
    #expect(late.facts.first?.message == "Liveness probe failed: command timed out: \"ask\" timed out after 2s")
    #expect(bench.answer(asked, code: 0).facts.isEmpty, "it comes too late to count")
    let second = try bench.nextCheck()
    bench.pass(2_000)
    // It cannot even be ended: the time for the next one is a failure too.
    let effects = bench.pass(3_000)
    #expect(effects.checks.isEmpty)
    #expect(effects.facts.last?.reason == "Killing")
    #expect(bench.send(.checked(second.number, second.run, .passed)).facts.isEmpty)
  }

  @Test("one that takes too long is one failure also where the next is due at once: that waits until it is ended")
  func dueAtOnce() throws {
    var bench = KeeperBench()
    try bench.run(pod(["livenessProbe": asking(period: 1, timeout: 1, failure: 3)]))
    var check = try bench.nextCheck()
    for _ in 0..<2 {
      let late = bench.pass(1_000)
      #expect(late.facts.map(\.reason) == ["Unhealthy"] && late.checks.isEmpty)
      #expect(bench.pass(100).facts.isEmpty)
      check = try #require(bench.send(.checked(check.number, check.run, .exited(code: 137, output: ""))).checks.first)
    }
    #expect(bench.pass(1_000).facts.map(\.reason) == ["Unhealthy", "Killing"])
    var stuck = KeeperBench()
    try stuck.run(pod(["livenessProbe": asking(period: 1, timeout: 1, failure: 2)]))
    _ = try stuck.nextCheck()
    #expect(stuck.pass(2_999).facts.count == 1, "it may take its time to end")
    #expect(stuck.pass(1).facts.map(\.reason) == ["Unhealthy", "Killing"])
  }

  @Test("what could not be asked says nothing: neither success nor failure") func errors() throws {
    var bench = KeeperBench()
    try bench.run(pod(["livenessProbe": asking(failure: 1)]))
    let check = try bench.nextCheck()
    let failure = StartFailure(stage: .execute, errorNumber: 2, detail: "ask")
    let effects = bench.send(.checked(check.number, check.run, .notRun(failure, containerEnded: false)))
    #expect(
      effects.facts.map(\.text) == [
        "main Unhealthy: Liveness probe errored and resulted in unknown state: OCI runtime exec failed: exec failed: "
          + "unable to start container process: exec: \"ask\": executable file not found in $PATH: unknown"
      ])
    #expect(bench.all.terms == [])
    _ = try bench.nextCheck(within: 10_000)
  }

  @Test("a named port is the container's; one that it does not have is an error each time") func ports() throws {
    var bench = KeeperBench()
    let get: JSON = ["httpGet": ["port": "web", "path": "/x"]]
    try bench.run(pod(["readinessProbe": get, "ports": [["name": "web", "containerPort": 8080]]]))
    let expected = CareAction.Get(host: "127.0.0.1", port: .number(8080), path: "/x")
    #expect(try bench.nextCheck().check.action == .get(expected))
    var other = KeeperBench()
    try other.run(pod(["livenessProbe": get]))
    let effects = other.pass(25_000)
    #expect(effects.checks.isEmpty)
    #expect(
      effects.facts.map(\.message) == [
        "Liveness probe errored and resulted in unknown state: strconv.Atoi: parsing \"web\": invalid syntax",
        "Liveness probe errored and resulted in unknown state: strconv.Atoi: parsing \"web\": invalid syntax",
      ])
  }

  @Test("a pod that stands still is not asked, and what it was asked before does not count against it") func frozen()
    throws
  {
    var bench = KeeperBench()
    let spec = podSpec(containers: [caring(["livenessProbe": asking(timeout: 5, failure: 1)])])
    try bench.run(assignment(spec: spec, toleration: 1_000), lease: 9_500)
    let asked = try bench.nextCheck()
    bench.pass(1_000)
    #expect(bench.latest[1]?.frozen == true)
    #expect(bench.pass(30_000).checks.isEmpty)
    bench.answer(asked, code: 1)
    bench.request(.renew(leaseEnd: boot(bench.now + 60_000), attempts: nil))
    bench.request(.thaw(1))
    #expect(bench.send(.podThawed(1)).checks.isEmpty)
    #expect(bench.all.facts.isEmpty)
    #expect(try bench.nextCheck().number != asked.number)
  }

  @Test("only so many are under way at once, in one pod and in all; the others come in their turn") func bounded()
    throws
  {
    var configuration = KeeperConfiguration()
    configuration.probesAtOnce = 3
    configuration.probesAtOnceInPod = 2
    var bench = KeeperBench(configuration: configuration)
    let many = (0..<4).map { caring(name: "c\($0)", ["readinessProbe": asking(timeout: 60)]) }
    for attempt in 1...3 {
      try bench.run(assignment(Int64(attempt), spec: podSpec(containers: many), toleration: nil), lease: 600_000)
    }
    var open = bench.pass(1_000).checks
    #expect(open.count == 3)
    var answered = 0
    while !open.isEmpty, answered < 12 {
      answered += 1
      open += bench.answer(open.removeFirst(), code: 0).checks
      #expect(open.count <= 3)
      for attempt in 1...3 { #expect(open.filter { $0.run.attempt == Int64(attempt) }.count <= 2) }
    }
    #expect(answered == 12)
    for attempt in 1...3 { #expect(try bench.status(Int64(attempt)).isReady) }
  }

  @Test("a pod that goes leaves room for others, and answers for it change nothing") func gone() throws {
    var configuration = KeeperConfiguration()
    configuration.probesAtOnce = 1
    var bench = KeeperBench(configuration: configuration)
    let spec = podSpec(containers: [caring(["readinessProbe": asking(timeout: 60)])])
    try bench.run(assignment(1, spec: spec, toleration: nil))
    try bench.run(assignment(2, spec: spec, toleration: nil))
    let first = try bench.nextCheck()
    #expect(first.run.attempt == 1)
    let effects = bench.send(.podGone(1))
    #expect(effects.checks.map(\.run.attempt) == [2])
    #expect(bench.answer(first, code: 0).isEmpty)
  }

  @Test("a pod on its way out is asked whether it is ready, not whether it lives") func ending() throws {
    var bench = KeeperBench()
    try bench.run(
      pod(["livenessProbe": asking(period: 1, failure: 1), "readinessProbe": asking(period: 1, failure: 1)]))
    bench.request(.stop(1, graceMilliseconds: -1))
    let check = try bench.nextCheck()
    #expect(bench.answer(check, code: 1).facts.map(\.message) == ["Readiness probe failed: "])
    bench.answer(try bench.nextCheck(), code: 1)
    #expect(!bench.all.facts.contains { $0.reason == "Killing" })
  }

  @Test("the deadline of a lease holds whatever probes and stops are under way") func fenced() throws {
    var bench = KeeperBench()
    let spec = podSpec(containers: [
      caring(["livenessProbe": asking(failure: 1), "lifecycle": ["preStop": doing("wait")]])
    ])
    try bench.run(
      assignment(spec: spec, toleration: 10_000, annotations: ["stint.dev/on-lease-end": "kill"]), lease: 12_000)
    bench.answer(try bench.nextCheck(), code: 1)
    let effects = bench.pass(13_000)
    #expect(effects.contains(.killPod(1)))
    #expect(bench.now <= 1_000 + 12_000 + 10_000 + 10_000)
    #expect(!bench.isKilled)
  }
}
