// A pod's life in the keeper: order of containers, restarts, sidecars, stops, and what users see of it.

import AgentCore
import ClusterProto
import Testing

@Suite struct KeeperLifecycleTests {
  @Test(
    "a container's own rules about exit codes go before every policy",
    arguments: [
      ("In", [42, 43], 42, true), ("In", [42], 1, false), ("NotIn", [42], 1, true), ("NotIn", [42], 42, false),
      ("In", [], 1, false), ("NotIn", [], 1, true),
    ] as [(String, [Int64], Int64, Bool)])
  func restartRules(word: String, values: [Int64], code: Int64, isRestarted: Bool) throws {
    var json = container("main")
    json["restartPolicy"] = "Never"
    json["restartPolicyRules"] = [
      ["action": "Restart", "exitCodes": ["operator": .string(word), "values": .integers(values)]]
    ]
    var bench = KeeperBench()
    try bench.run(assignment(spec: podSpec(policy: .never, containers: [json, container("other")])))
    let effects = bench.exit(0, code: code)
    #expect(effects.startedRuns.map(\.restart) == (isRestarted ? [1] : []))
    #expect(bench.exit(1, code: code).startedRuns.isEmpty, "another container has no such rules")
  }

  @Test("a container that exits 0 makes the pod Succeeded, but only when its init is gone")
  func success() throws {
    var bench = KeeperBench()
    try bench.run(assignment())
    #expect(try bench.status().phase == .running)
    #expect(bench.exit(0).contains(.killPod(1)))
    #expect(try bench.status().phase == .running)
    let effects = bench.send(.podGone(1))
    #expect(try bench.status().phase == .succeeded)
    #expect(try bench.main().state.termination?.reason == "Completed")
    #expect(try bench.status().condition("Ready")?.reason == "PodCompleted")
    #expect(effects.records.count == 1)
  }

  @Test("a signal n shows as exit code 128 + n with the signal")
  func signals() throws {
    var bench = KeeperBench()
    try bench.run(assignment())
    bench.exit(0, signal: 11)
    bench.send(.podGone(1))
    let end = try #require(try bench.main().state.termination)
    #expect(end.exitCode == 139 && end.signal == 11 && end.reason == "Error")
    #expect(try bench.status().phase == .failed)
    #expect(try bench.status().condition("ContainersReady")?.reason == "PodFailed")
  }

  @Test("a pod whose processes vanish is Failed, and the container says that nobody saw its end")
  func vanished() throws {
    var bench = KeeperBench()
    try bench.run(assignment(spec: podSpec(policy: .onFailure)))
    bench.send(.podGone(1))
    #expect(try bench.status().phase == .failed)
    #expect(try bench.main().state.termination?.reason == "ContainerStatusUnknown")
  }

  @Test("a pod whose init cannot be made is Failed and is not tried again")
  func unstartable() throws {
    var bench = KeeperBench()
    let body = assignment()
    bench.request(.start(body, plan: try plan(body), leaseEnd: boot(bench.now + 5_000)))
    bench.send(.podStartFailed(1, message: "no PIDs left"))
    #expect(try bench.status().phase == .failed)
    #expect(try bench.status().message == "Failed to create pod sandbox: no PIDs left")
    #expect(try bench.status().containers.isEmpty, "one that waits would show as ContainerCreating for ever")
    #expect(bench.request(.start(body, plan: try plan(body), leaseEnd: boot(bench.now + 5_000))).startedPods.isEmpty)
  }

  @Test("a pod whose init turns out not to have been made is as one that could not; one that ran is not")
  func lateUnstartable() throws {
    var bench = KeeperBench()
    try bench.start(assignment())
    bench.send(.podStartFailed(1, message: "bubblewrap: no"))
    #expect(try bench.status().reason == "FailedCreatePodSandBox")
    #expect(try bench.status().containers.isEmpty)
    try bench.run(assignment(2))
    bench.send(.podStartFailed(2, message: "bubblewrap: no"))
    #expect(try bench.status(2).reason == "")
    #expect(try bench.main(2).state.termination?.reason == "ContainerStatusUnknown")
  }

  @Test("init containers run one after the other, then the main containers together")
  func initOrder() throws {
    var bench = KeeperBench()
    let spec = podSpec(
      initContainers: [container("one"), container("two")], containers: [container("a"), container("b")])
    let first = try bench.start(assignment(spec: spec))
    #expect(first.startedNames == ["one"])
    bench.confirm(first)
    #expect(try bench.status().phase == .pending)
    #expect(try bench.status().containers.map(\.state) == [initializing, initializing])
    #expect(
      try bench.status().condition("Initialized")?.message == "containers with incomplete status: [one two]")
    let second = bench.exit(0)
    #expect(second.startedNames == ["two"])
    bench.confirm(second)
    let third = bench.exit(1)
    #expect(third.startedNames == ["a", "b"])
    #expect(try bench.status().condition("Initialized")?.isTrue == true)
    #expect(try bench.status().phase == .pending)
    bench.confirm(third)
    #expect(try bench.status().phase == .running)
    #expect(try bench.status().isReady)
  }

  private var initializing: ContainerState { .waiting(reason: "PodInitializing", message: "") }

  @Test("a failing init container with Never fails the pod, and its main container never started")
  func initFails() throws {
    var bench = KeeperBench()
    bench.confirm(try bench.start(assignment(spec: podSpec(initContainers: [container("one")]))))
    #expect(bench.exit(0, code: 3).contains(.killPod(1)))
    bench.send(.podGone(1))
    #expect(try bench.status().phase == .failed)
    #expect(try bench.main().state == initializing)
    #expect(bench.all.startedNames == ["one"])
  }

  @Test("a failing init container with OnFailure is started again")
  func initRestarts() throws {
    var bench = KeeperBench()
    bench.confirm(try bench.start(assignment(spec: podSpec(policy: .onFailure, initContainers: [container("one")]))))
    let again = bench.exit(0, code: 3)
    #expect(again.startedRuns == [ContainerRun(attempt: 1, slot: 0, restart: 1)])
    bench.confirm(again)
    #expect(bench.exit(0, restart: 1).startedNames == ["main"])
    #expect(try bench.status().initContainers.first?.restartCount == 1)
  }

  @Test("one main container that fails with Never does not stop the other")
  func partial() throws {
    var bench = KeeperBench()
    try bench.run(assignment(spec: podSpec(containers: [container("a"), container("b")])))
    #expect(!bench.exit(0, code: 1).contains(.killPod(1)))
    #expect(try bench.status().phase == .running)
    #expect(try bench.status().condition("Ready")?.message == "containers with unready status: [a]")
    #expect(bench.exit(1).contains(.killPod(1)))
    bench.send(.podGone(1))
    #expect(try bench.status().phase == .failed)
  }

  // MARK: Restarts

  @Test(
    "a container's own restartPolicy goes before the pod's",
    arguments: [
      (RestartPolicy.never, RestartPolicy.onFailure, 1, true), (.never, .onFailure, 0, false),
      (.never, .always, 0, true), (.onFailure, .never, 1, false), (.always, .onFailure, 0, false),
    ] as [(RestartPolicy, RestartPolicy, Int64, Bool)])
  func ownPolicy(_ pod: RestartPolicy, _ own: RestartPolicy, _ code: Int64, _ restarts: Bool) throws {
    var bench = KeeperBench()
    var main = container("main")
    main["restartPolicy"] = .string(own.rawValue)
    try bench.run(assignment(spec: podSpec(policy: pod, containers: [main])))
    let effects = bench.exit(0, code: code)
    #expect(effects.startedNames == (restarts ? ["main"] : []))
    #expect(effects.contains(.killPod(1)) != restarts, "a pod whose container does not run again has ended")
  }

  @Test("an init container that may restart by itself is tried again in a pod of Never")
  func ownPolicyOfInit() throws {
    var bench = KeeperBench()
    var first = container("one")
    first["restartPolicy"] = "OnFailure"
    let spec = podSpec(initContainers: [first])
    bench.confirm(try bench.start(assignment(spec: spec)))
    let again = bench.exit(0, code: 3)
    #expect(again.startedNames == ["one"])
    bench.confirm(again)
    #expect(bench.exit(0, restart: 1).startedNames == ["main"])
  }

  @Test("OnFailure restarts at once, then after 10 s, 20 s, … up to 300 s, with kubelet's message")
  func crashLoop() throws {
    var bench = KeeperBench()
    try bench.run(assignment(spec: podSpec(policy: .onFailure), toleration: nil))
    var waits: [Int64] = []
    for restart in 0..<8 {
      let begin = bench.now
      var started = bench.exit(0, restart: Int64(restart), code: 1)
      if restart == 1 {
        #expect(
          try bench.main().state
            == .waiting(
              reason: "CrashLoopBackOff",
              message: "back-off 10s restarting failed container=main pod=pod-1_ns(uid-1)"))
        #expect(try bench.main().lastTermination?.exitCode == 1)
        #expect(try bench.status().phase == .running)
      }
      while started.startedRuns.isEmpty, let wake = bench.wake { started = bench.pass(wake.milliseconds - bench.now) }
      waits.append(bench.now - begin)
      bench.confirm(started)
    }
    #expect(waits == [0, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000])
    #expect(try bench.main().restartCount == 8)
  }

  @Test("a container that ran for ten minutes starts its backoff anew")
  func backoffReset() throws {
    var bench = KeeperBench()
    try bench.run(assignment(spec: podSpec(policy: .always), toleration: nil))
    bench.confirm(bench.exit(0, code: 1))
    bench.exit(0, restart: 1, code: 1)
    bench.confirm(bench.pass(10_000))
    bench.pass(600_000)
    #expect(bench.exit(0, restart: 2, code: 1).startedRuns.map(\.restart) == [3])
  }

  @Test("OnFailure does not restart a container that exited 0; Always does")
  func policies() throws {
    var bench = KeeperBench()
    try bench.run(assignment(1, spec: podSpec(policy: .onFailure)))
    #expect(bench.exit(0, attempt: 1).contains(.killPod(1)))
    try bench.run(assignment(2, spec: podSpec(policy: .always)))
    #expect(bench.exit(0, attempt: 2).startedRuns.map(\.restart) == [1])
  }

  @Test("a word about an earlier run of a container changes nothing")
  func staleRun() throws {
    var bench = KeeperBench()
    try bench.run(assignment(spec: podSpec(policy: .onFailure)))
    bench.confirm(bench.exit(0, code: 1))
    #expect(bench.exit(0, code: 0).isEmpty)
    #expect(try bench.main().state.isRunning)
  }

  @Test("a missing command ends with 127 and a message that names it; a failing mount with 128")
  func startFailures() throws {
    var bench = KeeperBench()
    let spec = podSpec(containers: [container("a", command: ["solve"]), container("b")])
    let runs = try bench.start(assignment(spec: spec)).startedRuns
    bench.send(.containerStartFailed(runs[0], StartFailure(stage: .execute, errorNumber: 2, detail: "")))
    bench.send(.containerStartFailed(runs[1], StartFailure(stage: .mount, errorNumber: 20, detail: "mount /q failed")))
    bench.send(.podGone(1))
    let ends = try bench.status().containers.compactMap(\.state.termination)
    #expect(ends.map(\.exitCode) == [127, 128])
    #expect(ends.map(\.reason) == ["ContainerCannotRun", "StartError"])
    #expect(ends.map(\.message) == ["exec: \"solve\": executable file not found in $PATH", "mount /q failed"])
    #expect(try bench.status().phase == .failed)
  }

  @Test("a container without a command waits with CreateContainerConfigError and is never started")
  func noCommand() throws {
    var bench = KeeperBench()
    let effects = try bench.start(assignment(spec: podSpec(containers: [container("main", command: [])])))
    #expect(effects.startedRuns.isEmpty)
    #expect(try bench.status().phase == .pending)
    guard case .waiting(let reason, let message) = try bench.main().state else {
      Issue.record("it does not wait")
      return
    }
    #expect(reason == "CreateContainerConfigError" && message.contains("the host has no entry point"))
  }

  // MARK: Sidecars

  @Test("sidecars start in order, stay, and are stopped in reverse order after the main containers")
  func sidecars() throws {
    var bench = KeeperBench()
    let spec = podSpec(initContainers: [container("s1", sidecar: true), container("s2", sidecar: true)])
    let first = try bench.start(assignment(spec: spec))
    #expect(first.startedNames == ["s1"])
    let second = bench.send(.containerStarted(first.startedRuns[0]))
    #expect(second.startedNames == ["s2"])
    let third = bench.send(.containerStarted(second.startedRuns[0]))
    #expect(third.startedNames == ["main"])
    bench.confirm(third)
    #expect(bench.exit(2).terms == [1])
    #expect(bench.exit(1, signal: 15).terms == [0])
    #expect(bench.exit(0, signal: 15).contains(.killPod(1)))
    bench.send(.podGone(1))
    #expect(try bench.status().phase == .succeeded)
  }

  @Test("a sidecar that dies is started again, with Never too, and holds nothing up")
  func sidecarRestarts() throws {
    var bench = KeeperBench()
    let first = try bench.start(assignment(spec: podSpec(initContainers: [container("s", sidecar: true)])))
    bench.confirm(bench.send(.containerStarted(first.startedRuns[0])))
    #expect(bench.exit(0, code: 1).startedRuns == [ContainerRun(attempt: 1, slot: 0, restart: 1)])
    #expect(try bench.status().phase == .running)
  }

  @Test("a sidecar that ignores SIGTERM is killed after the pod's grace")
  func stubbornSidecar() throws {
    var bench = KeeperBench()
    let first = try bench.start(
      assignment(spec: podSpec(grace: 3, initContainers: [container("s", sidecar: true)]), toleration: nil))
    bench.confirm(bench.send(.containerStarted(first.startedRuns[0])))
    #expect(bench.exit(1).terms == [0])
    #expect(!bench.pass(2_999).contains(.killPod(1)))
    #expect(bench.pass(1).contains(.killPod(1)))
    bench.send(.podGone(1))
    #expect(try bench.status().phase == .succeeded)
    #expect(try bench.status().initContainers.first?.state.termination?.exitCode == 137)
  }

  // MARK: Stops

  @Test("a stop is SIGTERM to all, then SIGKILL to everything after the grace")
  func stop() throws {
    var bench = KeeperBench()
    try bench.run(assignment(spec: podSpec(containers: [container("a"), container("b")]), toleration: nil))
    #expect(bench.request(.stop(1, graceMilliseconds: 5_000)).terms == [0, 1])
    #expect(!bench.pass(4_999).contains(.killPod(1)))
    #expect(bench.pass(1).contains(.killPod(1)))
    bench.send(.podGone(1))
    #expect(try bench.status().phase == .failed)
    #expect(try bench.status().containers.compactMap(\.state.termination).map(\.exitCode) == [137, 137])
  }

  @Test(
    "a stop without grace kills at once, one with a negative grace takes the pod's own, a second one may only hurry")
  func graces() throws {
    var bench = KeeperBench()
    try bench.run(assignment(1, toleration: nil))
    #expect(bench.request(.stop(1, graceMilliseconds: 0)).contains(.killPod(1)))
    try bench.run(assignment(2, spec: podSpec(grace: 7), toleration: nil))
    #expect(bench.request(.stop(2, graceMilliseconds: -1)).terms == [0])
    bench.request(.stop(2, graceMilliseconds: 60_000))
    #expect(bench.pass(7_000).contains(.killPod(2)))
    try bench.run(assignment(3, toleration: nil))
    bench.request(.stop(3, graceMilliseconds: 60_000))
    let hurried = bench.request(.stop(3, graceMilliseconds: 0))
    #expect(hurried.contains(.killPod(3)) && hurried.terms.isEmpty)
  }

  @Test("a stopped pod whose containers exit 0 keeps its success, and is not restarted")
  func stoppedSuccess() throws {
    var bench = KeeperBench()
    try bench.run(assignment(spec: podSpec(policy: .always)))
    bench.request(.stop(1, graceMilliseconds: 5_000))
    let effects = bench.exit(0)
    #expect(effects.startedRuns.isEmpty && effects.contains(.killPod(1)))
    bench.send(.podGone(1))
    #expect(try bench.status().phase == .succeeded)
  }

  @Test("a stop while the init is being made starts no container and ends Failed")
  func stopWhileStarting() throws {
    var bench = KeeperBench()
    let body = assignment()
    bench.request(.start(body, plan: try plan(body), leaseEnd: boot(bench.now + 5_000)))
    bench.request(.stop(1, graceMilliseconds: 5_000))
    let effects = bench.send(.podStarted(1))
    #expect(effects.startedRuns.isEmpty && effects.contains(.killPod(1)))
    bench.send(.podGone(1))
    #expect(try bench.status().phase == .failed)
  }

  @Test("a container that is confirmed after the stop gets its SIGTERM then")
  func lateConfirmation() throws {
    var bench = KeeperBench()
    let runs = try bench.start(assignment()).startedRuns
    #expect(bench.request(.stop(1, graceMilliseconds: 5_000)).terms.isEmpty)
    #expect(bench.send(.containerStarted(runs[0])).terms == [0])
  }

  @Test("activeDeadlineSeconds ends the pod with Kubernetes' words, restarts or not")
  func activeDeadline() throws {
    var bench = KeeperBench()
    try bench.run(assignment(spec: podSpec(policy: .always, grace: 2, activeDeadline: 20), toleration: nil))
    #expect(bench.pass(19_999).terms.isEmpty)
    #expect(bench.pass(1).terms == [0])
    bench.exit(0)
    bench.send(.podGone(1))
    #expect(try bench.status().phase == .failed)
    #expect(try bench.status().reason == "DeadlineExceeded")
    #expect(try bench.status().message == "Pod was active on the node longer than the specified deadline")
  }

  @Test("time that a pod is frozen counts for its activeDeadlineSeconds")
  func activeDeadlineFrozen() throws {
    var bench = KeeperBench()
    try bench.run(assignment(spec: podSpec(activeDeadline: 60)))
    #expect(bench.pass(15_000).contains(.freezePod(1)))
    #expect(bench.pass(45_000).contains(.killPod(1)))
    bench.send(.podGone(1))
    #expect(try bench.status().reason == "DeadlineExceeded")
  }

  // MARK: Waiting for the agent

  @Test(
    "an attempt that could not be prepared waits with the reason, starts later, and a stop ends it without a process")
  func unprepared() throws {
    var bench = KeeperBench()
    let body = assignment()
    let message = "configmap \"questions\" not found"
    bench.request(
      .unprepared(
        body, container: "main", reason: "CreateContainerConfigError", message: message,
        leaseEnd: boot(bench.now + 5_000)))
    #expect(try bench.main().state == .waiting(reason: "CreateContainerConfigError", message: message))
    #expect(try bench.status().phase == .pending)
    #expect(try bench.status().condition("PodReadyToStartContainers") == nil)
    #expect(bench.deathTimer == nil)
    bench.confirm(try bench.start(body))
    #expect(try bench.main().state.isRunning)
    let other = assignment(2)
    bench.request(.unprepared(other, container: "", reason: "R", message: "m", leaseEnd: boot(bench.now + 5_000)))
    let effects = bench.request(.stop(2, graceMilliseconds: 30_000))
    #expect(effects.reports.map(\.isTerminal) == [true])
    #expect(!effects.contains(.killPod(2)))
  }

  @Test("a plan that does not have the spec's containers starts nothing")
  func wrongPlan() throws {
    var bench = KeeperBench()
    let other = assignment(spec: podSpec(containers: [container("other")]))
    let effects = bench.request(.start(assignment(), plan: try plan(other), leaseEnd: boot(bench.now + 5_000)))
    #expect(effects.startedPods.isEmpty)
  }
}
