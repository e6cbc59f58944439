// Random histories of a keeper: whatever comes in whatever order, nothing traps and the fencing rules hold.
// The host played here is honest about processes, but late, out of order and chatty.

import AgentCore
import ClusterProto
import Testing

@Suite struct KeeperPropertyTests {
  /// A keeper under random events, with a ledger of what it asked for.
  struct History {
    var random: SplitMix64
    var core: KeeperCore
    var now: Int64 = 1_000
    var wake: BootTime?
    var deathTimer: BootTime?
    /// Answers that the host owes, in no order.
    var owed: [KeeperEvent] = []
    var started: Set<AttemptNumber> = []
    var alive: Set<AttemptNumber> = []
    var killed: Set<AttemptNumber> = []
    /// Freeze asked for and not taken back.
    var frozen: Set<AttemptNumber> = []
    var runs: Set<ContainerRun> = []
    var leases: [AttemptNumber: Int64] = [:]
    /// What each pod's own init holds.
    var own: [AttemptNumber: BootTime] = [:]
    /// Those that the core has heard to stand still.
    var confirmed: Set<AttemptNumber> = []
    var terminal: Set<AttemptNumber> = []
    var revisions: [AttemptNumber: Int64] = [:]
    /// Starts asked of the journal: their number there, and the lease that they would have.
    var recorded: [AttemptNumber: (number: Int64, lease: Int64)] = [:]
    /// Up to which number the journal is written.
    var written: Int64 = 0
    var lastCheck: CheckNumber = 0
    var isOver = false
    var coverage: Set<String> = []

    init(seed: UInt64) {
      random = SplitMix64(seed: seed)
      var configuration = KeeperConfiguration()
      configuration.frozenKillMilliseconds = 3_000
      configuration.crashLoopMilliseconds = 200
      configuration.crashLoopCapMilliseconds = 1_000
      core = KeeperCore(KeeperStart(keeper: "keeper-a"), configuration: configuration)
    }

    static let toleration: Int64 = 2_000

    mutating func below(_ bound: Int) -> Int { Int(random.below(UInt64(bound))) }

    mutating func spec(_ attempt: AttemptNumber) -> PodSpec {
      var generator = SplitMix64(seed: UInt64(attempt))
      let policy: RestartPolicy = [.never, .onFailure, .always][Int(generator.below(3))]
      let inits = [[], [container("i")], [container("s", sidecar: true), container("i")]][Int(generator.below(3))]
      return podSpec(
        policy: policy, grace: Int64(generator.below(3)), activeDeadline: generator.below(5) == 0 ? 4 : nil,
        initContainers: inits,
        containers: generator.below(2) == 0 ? [cared("a", attempt)] : [cared("a", attempt), cared("b", attempt)])
    }

    /// Two of three containers have probes and hooks.
    func cared(_ name: String, _ attempt: AttemptNumber) -> JSON {
      guard attempt % 3 != 0 else { return container(name) }
      let probe = asking(period: 1, timeout: 1, failure: 2, grace: 1)
      return caring(
        name: name,
        [
          "livenessProbe": probe, "startupProbe": attempt % 2 == 0 ? probe : .null, "readinessProbe": asking(period: 1),
          "lifecycle": ["preStop": doing("farewell"), "postStart": attempt % 4 == 1 ? doing("prepare") : .null],
        ])
    }

    mutating func body(_ attempt: AttemptNumber) -> Assignment {
      assignment(
        attempt, spec: spec(attempt), keeper: below(20) == 0 ? "keeper-old" : "keeper-a", toleration: Self.toleration,
        annotations: attempt % 4 == 0 ? ["stint.dev/on-lease-end": "kill"] : StringMap())
    }

    /// One random thing happens, then the effects are checked.
    mutating func turn() throws {
      now += Int64(below(5) == 0 ? below(2_000) : below(50))
      let attempt = AttemptNumber(1 + below(12))
      switch below(15) {
      case 0, 1:
        let assignment = body(attempt)
        let lease = now + Int64(below(3_000)) - 300
        try step(.request(.start(assignment, plan: try plan(assignment), leaseEnd: boot(lease))), lease: lease)
      case 2:
        let assignment = body(attempt)
        if leases[attempt] == nil, assignment.keeper == "keeper-a" { leases[attempt] = now + 1_000 }
        try step(
          .request(
            .unprepared(assignment, container: "", reason: "R", message: "m", leaseEnd: boot(now + 1_000))),
          lease: now + 1_000)
      case 3, 4:
        let lease = now + Int64(below(3_000))
        // Due deadlines come before the renewal, so a late one must not count in the ledger either.
        try step(.timer)
        for (number, end) in leases.sorted(by: { $0.key < $1.key }) where !terminal.contains(number) {
          leases[number] = max(end, lease)
        }
        for (number, start) in recorded { recorded[number]?.lease = max(start.lease, lease) }
        try step(.request(.renew(leaseEnd: boot(lease), attempts: nil)))
      case 14 where below(3) == 0:
        let lease = now + 1 + Int64(below(3_000))
        try step(.timer)
        for (number, end) in leases where !terminal.contains(number) { leases[number] = min(end, lease) }
        for (number, start) in recorded { recorded[number]?.lease = min(start.lease, lease) }
        try step(.request(.shorten(leaseEnd: boot(lease), number: now)))
        coverage.insert("shorten")
      case 5: try step(.request(.stop(attempt, graceMilliseconds: Int64(below(1_500)) - 1)))
      case 6:
        let standing = frozen.sorted()
        try step(.request(.thaw(standing.isEmpty || below(2) == 0 ? attempt : standing[below(standing.count)])))
      case 7:
        let done = terminal.sorted().filter { _ in below(2) == 0 }
        try step(.request(.acknowledge(done)))
      case 8: try step(below(2) == 0 ? .agentConnected : .agentDisconnected)
      case 9: try step(.request(.hello(agentVersion: "1")))
      case 10: try step(try chatter(attempt))
      default:
        let written = owed.firstIndex { if case .journaled = $0 { true } else { false } }
        if let written, below(2) == 0 {
          try step(owed.remove(at: written))
        } else if owed.isEmpty {
          try step(.timer)
        } else {
          try step(owed.remove(at: below(owed.count)))
        }
      }
    }

    /// Words about processes that may or may not be there.
    mutating func chatter(_ attempt: AttemptNumber) throws -> KeeperEvent {
      let live = alive.sorted()
      switch below(4) {
      case 0 where !live.isEmpty:
        let gone = live[below(live.count)]
        alive.remove(gone)
        return .podGone(gone)
      case 1: return .podThawed(attempt)
      // Its init has stopped it by itself.
      case 2:
        if alive.contains(attempt), !killed.contains(attempt) { frozen.insert(attempt) }
        return .podFrozen(attempt)
      default:
        let run = ContainerRun(attempt: attempt, slot: below(5) - 1, restart: Int64(below(3)))
        return .containerExited(run, exitCode: Int64(below(2)), signal: 0, message: "")
      }
    }

    mutating func step(_ event: KeeperEvent, lease: Int64? = nil) throws {
      guard !isOver else { return }
      // The shell never lets a wake pass: timers come on time here, so that "frozen at D" can be checked.
      while let next = wake, next.milliseconds <= now, event != .timer {
        wake = nil
        try step(.timer)
      }
      if case .journaled(let number, _) = event { written = max(written, number) }
      if case .podFrozen(let attempt) = event { confirmed.insert(attempt) }
      for effect in core.step(event, at: at(now)) { try check(effect, lease) }
    }

    /// `#expect` costs too much for the hundred thousand checks of a history.
    func hold(_ condition: Bool, _ rule: @autoclosure () -> String) {
      if !condition { Issue.record("\(rule())") }
    }

    mutating func check(_ effect: KeeperEffect, _ lease: Int64?) throws {
      switch effect {
      case .wake(let time): wake = time
      case .armDeathTimer(let time): deathTimer = time
      case .journal(let records, let number):
        for case .started(let attempt) in records {
          let before = max(leases[attempt] ?? 0, recorded[attempt]?.lease ?? 0)
          recorded[attempt] = (number, max(lease ?? 0, before))
        }
        owed.append(.journaled(number, error: below(30) == 0 ? "full" : nil))
      case .startPod(let attempt, _, let deadline):
        hold(started.insert(attempt).inserted, "attempt \(attempt) started twice")
        let lease = recorded[attempt]?.lease ?? 0
        hold(now < lease, "attempt \(attempt) started after its lease")
        hold(recorded[attempt].map { $0.number <= written } ?? false, "not journalled")
        leases[attempt] = max(lease, leases[attempt] ?? 0)
        own[attempt] = deadline
        alive.insert(attempt)
        coverage.insert("start")
        if below(15) == 0 {
          owed.append(.podStartFailed(attempt, message: "x"))
          alive.remove(attempt)
        } else {
          owed.append(.podStarted(attempt))
        }
      case .startContainer(let run, _):
        hold(runs.insert(run).inserted, "a run was started twice")
        hold(!killed.contains(run.attempt) && !frozen.contains(run.attempt), "a run in a dead or frozen pod")
        hold(!terminal.contains(run.attempt), "a run after the end")
        owed.append(.containerStarted(run))
        owed.append(.containerExited(run, exitCode: Int64(below(2)), signal: 0, message: ""))
      case .killPod(let attempt):
        hold(killed.insert(attempt).inserted, "killed twice")
        if alive.contains(attempt) { owed.append(.podGone(attempt)) }
        coverage.insert("kill")
      case .freezePod(let attempt):
        frozen.insert(attempt)
        coverage.insert("freeze")
        owed.append(below(6) == 0 ? .freezeFailed(attempt, message: "x") : .podFrozen(attempt))
      case .thawPod(let attempt):
        frozen.remove(attempt)
        confirmed.remove(attempt)
        hold(own[attempt] != .never, "a thaw before the new deadline")
        coverage.insert("thaw")
        owed.append(.podThawed(attempt))
      case .moveDeadlines(let deadlines): own.merge(deadlines) { $1 }
      case .startCheck(let number, let run, _):
        hold(number > lastCheck, "a check's number came back")
        lastCheck = number
        hold(runs.contains(run), "a check of no run")
        hold(!killed.contains(run.attempt) && !frozen.contains(run.attempt), "a check in a dead or frozen pod")
        coverage.insert("check")
        // Some never answer, as long as nobody ends them.
        if below(8) > 0 { owed.append(.checked(number, run, .exited(code: Int64(below(2)), output: "x"))) }
      case .endCheck(let number, let attempt):
        coverage.insert("endCheck")
        if below(4) > 0 {
          owed.append(
            .checked(number, ContainerRun(attempt: attempt, slot: below(3), restart: Int64(below(2))), .failed("")))
        }
      case .reply(.events(let facts)):
        hold(facts.allSatisfy { $0.message.utf8.count <= 1_024 }, "a long fact")
        coverage.insert("events")
      case .reply(.reports(let reports)): for report in reports { see(report) }
      case .exit: isOver = true
      default: break
      }
    }

    mutating func see(_ report: AttemptReport) {
      let attempt = report.attempt
      hold(report.revision >= revisions[attempt] ?? 0, "revisions never fall")
      revisions[attempt] = report.revision
      if report.isTerminal {
        hold(!alive.contains(attempt) || owedGone(attempt) == false, "terminal before its pod was gone")
        terminal.insert(attempt)
        coverage.insert("terminal")
      } else {
        hold(!terminal.contains(attempt), "an ended attempt came back")
      }
    }

    /// The end of its processes has not been told yet.
    func owedGone(_ attempt: AttemptNumber) -> Bool { owed.contains(.podGone(attempt)) }

    /// At D (and the wake that it asked for) everything is frozen, killed or gone.
    func checkDeadlines() {
      for attempt in alive.sorted() where !killed.contains(attempt) && !frozen.contains(attempt) {
        let deadline = (leases[attempt] ?? 0) + Self.toleration
        hold(
          now < deadline || wake.map { $0.milliseconds <= now } == true, "attempt \(attempt) runs past D at \(now)")
      }
      for attempt in alive.sorted() where !confirmed.contains(attempt) && !killed.contains(attempt) {
        let deadline = boot((leases[attempt] ?? 0) + Self.toleration)
        hold(own[attempt].map { $0 <= deadline } == true, "the init of \(attempt) holds a later D")
      }
    }
  }

  @Test("random histories keep every rule and never trap", arguments: 1...60 as ClosedRange<UInt64>)
  func histories(seed: UInt64) throws {
    var history = History(seed: seed)
    try history.step(.timer)
    for _ in 0..<600 {
      try history.turn()
      history.checkDeadlines()
    }
  }

  @Test("the histories are interesting: pods start, freeze, thaw, are killed and end")
  func coverage() throws {
    var seen: Set<String> = []
    for seed in 1...60 as ClosedRange<UInt64> {
      var history = History(seed: seed)
      try history.step(.timer)
      for _ in 0..<600 { try history.turn() }
      seen.formUnion(history.coverage)
    }
    #expect(seen == ["start", "freeze", "thaw", "kill", "terminal", "shorten", "check", "endCheck", "events"])
  }

  @Test("the same events give the same effects")
  func deterministic() throws {
    func trace() throws -> [KeeperEffect] {
      var bench = KeeperBench()
      for attempt in 1...20 { try bench.run(assignment(Int64(attempt))) }
      bench.pass(20_000)
      bench.request(.shutDown(graceMilliseconds: 0))
      return bench.all
    }
    #expect(try trace() == trace())
  }
}
