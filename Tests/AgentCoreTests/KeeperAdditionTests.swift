// Containers that are added to a pod that runs, in the keeper: started once, with the pod's fate and no say in it.

import AgentCore
import ClusterProto
import Testing

@Suite("added containers in the keeper") struct KeeperAdditionTests {
  private func added(_ name: String, target: String? = nil) -> PodPlan.Container {
    var container = PodPlan.Container(
      name: name, image: "img", arguments: ["/bin/debug"], environment: [], workingDirectory: "/", mounts: [],
      isSidecar: false)
    container.target = target
    return container
  }

  private func state(_ bench: KeeperBench, _ name: String = "dbg") throws -> ContainerState {
    try #require(try bench.status().ephemeralContainers.first { $0.name == name }).state
  }

  @Test("it starts behind the pod's own, once, and never again however it ends") func once() throws {
    var bench = KeeperBench()
    try bench.run(assignment(spec: podSpec(policy: .always)))
    let effects = bench.request(.add(1, added("dbg")))
    #expect(effects.startedRuns == [ContainerRun(attempt: 1, slot: 1, restart: 0)])
    #expect(bench.request(.add(1, added("dbg"))).startedRuns.isEmpty)
    bench.confirm(effects)
    #expect(try state(bench).isRunning)
    let shown = try #require(try bench.status().ephemeralContainers.first)
    #expect(!shown.ready && shown.started == nil && shown.restartCount == 0)
    bench.exit(1, code: 3)
    bench.pass(700_000)
    #expect(try state(bench).termination?.exitCode == 3)
    #expect(bench.request(.add(1, added("dbg"))).startedRuns.isEmpty)
    #expect(try bench.status().phase == .running && bench.status().isReady)
  }

  @Test("it keeps no pod from ending: SIGTERM with the others, and what is left is killed with the pod") func ends()
    throws
  {
    var bench = KeeperBench()
    try bench.run(assignment(spec: podSpec()))
    bench.confirm(bench.request(.add(1, added("dbg"))))
    let over = bench.exit(0)
    #expect(over.terms == [1] && over.contains(.killPod(1)))
    bench.send(.podGone(1))
    #expect(try bench.status().phase == .succeeded)
    #expect(try state(bench).termination?.exitCode == 137)
    try bench.run(assignment(2))
    bench.confirm(bench.request(.add(2, added("dbg"))))
    let stopped = bench.request(.stop(2, graceMilliseconds: 5_000))
    #expect(stopped.terms.sorted() == [0, 1] && !stopped.contains(.killPod(2)))
    #expect(bench.exit(0, attempt: 2).contains(.killPod(2)))
  }

  @Test("one that fails to start says why, and the pod goes on") func fails() throws {
    var bench = KeeperBench()
    try bench.run(assignment())
    let run = try #require(bench.request(.add(1, added("dbg"))).startedRuns.first)
    bench.send(.containerStartFailed(run, StartFailure(stage: .execute, errorNumber: 2, detail: "")))
    #expect(try state(bench).termination?.reason == "ContainerCannotRun")
    #expect(try bench.status().phase == .running)
  }

  @Test("one with a target waits until that runs, and says so") func targets() throws {
    var bench = KeeperBench()
    bench.confirm(try bench.start(assignment(spec: podSpec(initContainers: [container("one")]))))
    #expect(bench.request(.add(1, added("dbg", target: "main"))).startedRuns.isEmpty)
    #expect(
      try state(bench)
        == .waiting(reason: "CreateContainerError", message: "target container \"main\" does not run"))
    // Without one it need not wait for the pod's init containers.
    #expect(bench.request(.add(1, added("free"))).startedNames == ["free"])
    let main = bench.exit(0)
    #expect(main.startedNames == ["main"])
    let begun = bench.send(.containerStarted(ContainerRun(attempt: 1, slot: 1, restart: 0)))
    #expect(begun.startedNames == ["dbg"])
  }

  @Test("what it waits for is shown until it is there; a pod that is ending, frozen or unknown starts none")
  func waits() throws {
    var bench = KeeperBench()
    try bench.run(assignment(toleration: 1_000), lease: 2_000)
    bench.request(.addWaits(1, container: "dbg", image: "box", reason: "ErrImagePull", message: "no route"))
    #expect(try state(bench) == .waiting(reason: "ErrImagePull", message: "no route"))
    #expect(try bench.status().ephemeralContainers.first?.image == "box")
    bench.pass(3_500)
    #expect(bench.latest[1]?.frozen == true)
    #expect(bench.request(.add(1, added("dbg"))).startedRuns.isEmpty)
    bench.request(.renew(leaseEnd: boot(bench.now + 5_000), attempts: [1]))
    bench.request(.thaw(1))
    #expect(bench.send(.podThawed(1)).startedNames == ["dbg"])
    bench.request(.stop(1, graceMilliseconds: 5_000))
    #expect(bench.request(.add(1, added("late"))).startedRuns.isEmpty)
    #expect(bench.request(.add(9, added("dbg"))).startedRuns.isEmpty)
  }

  @Test("the pod's own containers are not added again, nor more than its init can hold") func bounds() throws {
    var bench = KeeperBench()
    try bench.run(assignment())
    #expect(bench.request(.add(1, added("main"))).startedRuns.isEmpty)
    for number in 0..<130 { bench.request(.add(1, added("d\(number)"))) }
    #expect(try bench.status().ephemeralContainers.count == 127)
    #expect(try bench.status().containers.map(\.name) == ["main"])
  }
}
