// Processes in running containers, as the keeper's core decides about them: who gets one, and who hears how it ended.

import AgentCore
import ClusterProto
import Testing

@Suite("processes in containers: the keeper's decisions") struct KeeperExecTests {
  private func request(_ container: String = "main", attempt: AttemptNumber = 1, terminal: TerminalSize? = nil)
    -> ExecRequest
  {
    ExecRequest(attempt: attempt, container: container, arguments: ["work", "hard"], terminal: terminal)
  }

  private let missing = ExecEnd.refused(.notFound, message: "container not found (\"nobody\")")
  private let notRunning = ExecEnd.refused(.notRunning, message: "container not found (\"main\")")

  @Test("one in a container that runs is started in its present run, and its end is told once")
  func started() throws {
    var bench = KeeperBench()
    try bench.run(assignment(spec: podSpec(policy: .always)))
    bench.exit(0)
    bench.send(.containerStarted(ContainerRun(attempt: 1, slot: 0, restart: 1)))
    let size = TerminalSize(columns: 80, rows: 24)
    let effects = bench.send(.exec(5, request(terminal: size)))
    let run = ContainerRun(attempt: 1, slot: 0, restart: 1)
    #expect(effects == [.startExec(5, run, arguments: ["work", "hard"], terminal: size)])
    #expect(bench.send(.execTold(5, .started)) == [.answerExec(5, .started)])
    #expect(bench.send(.execTold(5, .exited(code: 3))) == [.answerExec(5, .ended(.exited(code: 3)))])
    #expect(bench.send(.execTold(5, .exited(code: 3))).isEmpty)
    #expect(bench.send(.execClosed(5)).isEmpty)
  }

  @Test("none is started where there is no such attempt or container, before it runs, and after")
  func refused() throws {
    var bench = KeeperBench()
    #expect(bench.send(.exec(1, request(attempt: 9))) == [answer(1, "main", .notFound)])
    let first = try bench.start(assignment(spec: podSpec(policy: .onFailure)))
    #expect(bench.send(.exec(2, request("nobody"))) == [.answerExec(2, .ended(missing))])
    #expect(bench.send(.exec(3, request())) == [.answerExec(3, .ended(notRunning))])
    bench.confirm(first)
    bench.exit(0, code: 1)
    bench.exit(0, restart: 1, code: 1)
    #expect(bench.send(.exec(4, request())) == [.answerExec(4, .ended(notRunning))])
  }

  private func answer(_ number: ExecNumber, _ container: String, _ reason: ExecRefusal) -> KeeperEffect {
    .answerExec(number, .ended(.refused(reason, message: "container not found (\"\(container)\")")))
  }

  @Test("a pod that stands still takes none, and says that it does; thawed it takes them again") func frozen() throws {
    var bench = KeeperBench()
    try bench.run(assignment(toleration: 1_000))
    bench.pass(7_000)
    let effects = bench.send(.exec(1, request()))
    guard case .answerExec(1, .ended(.refused(.frozen, let message)))? = effects.first else {
      Issue.record("\(effects)")
      return
    }
    #expect(message.hasPrefix("pod pod-1_ns(uid-1) stands still"))
    bench.request(.renew(leaseEnd: boot(bench.now + 60_000), attempts: nil))
    bench.request(.thaw(1))
    bench.send(.podThawed(1))
    #expect(bench.send(.exec(2, request())).count == 1)
  }

  @Test("who is attached gets the present run's input on the manifest's terms, and nobody where a process would not be")
  func inputs() throws {
    var bench = KeeperBench()
    func ask(_ number: ExecNumber, _ container: String = "main", attempt: AttemptNumber = 1) -> [KeeperEffect] {
      bench.send(.input(number, InputRequest(attempt: attempt, container: container)))
    }
    var container = container("main")
    (container["stdin"], container["stdinOnce"], container["tty"]) = (true, true, true)
    try bench.run(assignment(spec: podSpec(policy: .always, containers: [container])))
    bench.exit(0)
    #expect(ask(1) == [.answerExec(1, .ended(notRunning))])
    bench.send(.containerStarted(ContainerRun(attempt: 1, slot: 0, restart: 1)))
    let terms = ContainerInput(json: container)
    #expect(terms.isOpen && terms.isOnce && terms.isTerminal)
    #expect(ask(2) == [.giveInput(2, ContainerRun(attempt: 1, slot: 0, restart: 1), terms)])
    #expect(ask(3, "nobody") == [.answerExec(3, .ended(missing))])
    #expect(ask(4, attempt: 9) == [answer(4, "main", .notFound)])
    #expect(bench.send(.execClosed(2)).isEmpty, "nothing was started for it")
    bench.pass(17_000)
    guard case .answerExec(5, .ended(.refused(.frozen, _)))? = ask(5).first else {
      Issue.record("not refused")
      return
    }
  }

  @Test("a pod in its grace period takes one, one that is being killed does not") func ending() throws {
    var bench = KeeperBench()
    try bench.run(assignment())
    bench.request(.stop(1, graceMilliseconds: 1_000))
    let run = ContainerRun(attempt: 1, slot: 0, restart: 0)
    #expect(
      bench.send(.exec(1, request())) == [.startExec(1, run, arguments: ["work", "hard"], terminal: nil)])
    bench.pass(1_500)
    #expect(bench.send(.exec(2, request())) == [.answerExec(2, .ended(notRunning))])
  }

  @Test("with the pod all of its processes are gone, and nobody else's") func gone() throws {
    var bench = KeeperBench()
    try bench.run(assignment(1))
    try bench.run(assignment(2))
    for number in 1...3 { bench.send(.exec(ExecNumber(number), request(attempt: number == 2 ? 2 : 1))) }
    let effects = bench.send(.podGone(1))
    let answers = effects.filter { if case .answerExec = $0 { true } else { false } }
    #expect(answers == [.answerExec(1, .ended(.gone)), .answerExec(3, .ended(.gone))])
    #expect(bench.send(.execTold(1, .exited(code: 0))).isEmpty)
    #expect(bench.send(.execTold(2, .exited(code: 0))) == [.answerExec(2, .ended(.exited(code: 0)))])
  }

  @Test("a client that is gone has its process killed; its end is told to nobody's harm") func closed() throws {
    var bench = KeeperBench()
    try bench.run(assignment())
    #expect(bench.send(.execClosed(1)).isEmpty)
    bench.send(.exec(1, request()))
    #expect(bench.send(.execClosed(1)) == [.killExec(1, 1)])
    #expect(bench.send(.execTold(1, .exited(code: 137))) == [.answerExec(1, .ended(.exited(code: 137)))])
  }

  @Test("a pod has a number of them at most, and room again when one has ended") func bounded() throws {
    var bench = KeeperBench()
    try bench.run(assignment(1))
    try bench.run(assignment(2))
    let most = ExecNumber(ExecLimit.processes)
    for number in 1...most { #expect(bench.send(.exec(number, request())).count == 1) }
    let refused = ExecEnd.refused(
      .busy, message: "pod pod-1_ns(uid-1) runs \(most) processes beside its containers already")
    #expect(bench.send(.exec(most + 1, request())) == [.answerExec(most + 1, .ended(refused))])
    let run = ContainerRun(attempt: 2, slot: 0, restart: 0)
    let other = bench.send(.exec(most + 2, request(attempt: 2)))
    #expect(other == [.startExec(most + 2, run, arguments: ["work", "hard"], terminal: nil)])
    bench.send(.execTold(7, .exited(code: 0)))
    guard case .startExec? = bench.send(.exec(most + 3, request())).first else {
      Issue.record("no room was made")
      return
    }
  }

  @Test(
    "a command that cannot run is told in a runtime's words",
    arguments: [
      (StartFailure(stage: .execute, errorNumber: 2, detail: "work"), Int64(127), "executable file not found in $PATH"),
      (StartFailure(stage: .execute, errorNumber: 13, detail: "work"), 126, "permission denied"),
    ])
  func failures(_ failure: StartFailure, _ code: Int64, _ why: String) throws {
    var bench = KeeperBench()
    try bench.run(assignment())
    bench.send(.exec(1, request()))
    let end = ExecEnd.failed(
      code: code,
      message:
        "OCI runtime exec failed: exec failed: unable to start container process: exec: \"work\": \(why): unknown"
    )
    #expect(bench.send(.execTold(1, .failed(failure))) == [.answerExec(1, .ended(end))])
  }

  @Test("one whose container ended first is told that there is none") func containerEnded() throws {
    var bench = KeeperBench()
    try bench.run(assignment())
    bench.send(.exec(1, request()))
    let failure = StartFailure(stage: .other, errorNumber: 3, detail: "the container has ended")
    #expect(
      bench.send(.execTold(1, .failed(failure, containerEnded: true))) == [.answerExec(1, .ended(notRunning))])
  }
}
