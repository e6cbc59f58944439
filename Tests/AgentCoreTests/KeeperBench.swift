// A keeper core with a clock and a record of what it asked for. Goes forward from wake to wake, as the shell does.

import AgentCore
import ClusterProto
import Testing

struct KeeperBench {
  var core: KeeperCore
  var now: Int64
  var all: [KeeperEffect] = []
  var wake: BootTime?
  var deathTimer: BootTime?
  var latest: [AttemptNumber: AttemptReport] = [:]
  var isKilled = false
  /// Freezes are confirmed at once; turned off to see what happens without.
  var freezes = true
  /// The journal is written at once; turned off to see what happens while the disk holds it up.
  var journals = true

  init(
    _ start: KeeperStart = KeeperStart(keeper: "keeper-a"), configuration: KeeperConfiguration = KeeperConfiguration(),
    now: Int64 = 1_000, connected: Bool = true
  ) {
    core = KeeperCore(start, configuration: configuration)
    self.now = now
    send(.timer)
    if connected { send(.agentConnected) }
  }

  @discardableResult
  mutating func send(_ event: KeeperEvent) -> [KeeperEffect] {
    var effects = core.step(event, at: at(now))
    all += effects
    for effect in effects {
      switch effect {
      case .wake(let time): wake = time
      case .armDeathTimer(let time): deathTimer = time
      case .reply(.reports(let reports)): for report in reports { latest[report.attempt] = report }
      default: break
      }
    }
    for case .journal(_, let number) in effects where journals { effects += send(.journaled(number, error: nil)) }
    for case .freezePod(let attempt) in effects where freezes { effects += send(.podFrozen(attempt)) }
    return effects
  }

  @discardableResult
  mutating func request(_ request: KeeperRequest) -> [KeeperEffect] { send(.request(request)) }

  /// Lets so many milliseconds pass, with a timer event at each wake on the way. The kernel's death timer counts.
  @discardableResult
  mutating func pass(_ milliseconds: Int64) -> [KeeperEffect] {
    let end = now + milliseconds
    var effects: [KeeperEffect] = []
    var turns = 0
    while let next = wake, next.milliseconds <= end, turns < 10_000 {
      now = max(now, next.milliseconds)
      if let deathTimer, deathTimer.milliseconds <= now { isKilled = true }
      effects += send(.timer)
      turns += 1
      if wake == next, next.milliseconds < now { break }
    }
    now = end
    return effects
  }

  /// Starts an attempt up to its pod init; the main containers are asked for then.
  @discardableResult
  mutating func start(_ assignment: Assignment, lease: Int64 = 5_000) throws -> [KeeperEffect] {
    var effects = request(.start(assignment, plan: try plan(assignment), leaseEnd: boot(now + lease)))
    effects += send(.podStarted(assignment.attempt))
    return effects
  }

  /// Confirms the start of every container that the last effects asked for.
  mutating func confirm(_ effects: [KeeperEffect]) {
    for run in effects.startedRuns { send(.containerStarted(run)) }
  }

  /// Starts an attempt until its first containers run.
  mutating func run(_ assignment: Assignment, lease: Int64 = 5_000) throws {
    confirm(try start(assignment, lease: lease))
  }

  @discardableResult
  mutating func exit(_ slot: Int, restart: Int64 = 0, code: Int64 = 0, signal: Int64 = 0, attempt: AttemptNumber = 1)
    -> [KeeperEffect]
  {
    let run = ContainerRun(attempt: attempt, slot: slot, restart: restart)
    return send(.containerExited(run, exitCode: code, signal: signal, message: ""))
  }

  func status(_ attempt: AttemptNumber = 1) throws -> PodStatus { try #require(latest[attempt]).status }

  func main(_ attempt: AttemptNumber = 1) throws -> ContainerStatus {
    try #require(try status(attempt).containers.first)
  }
}

extension [KeeperEffect] {
  var startedPods: [AttemptNumber] {
    compactMap { if case .startPod(let attempt, _, _) = $0 { attempt } else { nil } }
  }

  var startedRuns: [ContainerRun] {
    compactMap { if case .startContainer(let run, _) = $0 { run } else { nil } }
  }

  var startedNames: [String] {
    compactMap { if case .startContainer(_, let container) = $0 { container.name } else { nil } }
  }

  var reports: [AttemptReport] {
    flatMap { effect -> [AttemptReport] in
      if case .reply(.reports(let reports)) = effect { reports } else { [] }
    }
  }

  var records: [KeeperRecord] {
    flatMap { effect -> [KeeperRecord] in if case .journal(let records, _) = effect { records } else { [] } }
  }

  var terms: [Int] { compactMap { if case .signal(let run, 15) = $0 { run.slot } else { nil } } }
}
