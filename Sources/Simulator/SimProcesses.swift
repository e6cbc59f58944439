// The simulated processes of one machine's pods: they run for a while, exit as their program says, freeze and die.
// Reports to whoever holds the pod (the keeper), and to the ledger. Knows no leases.

import AgentCore
import ClusterProto

/// What a simulated container does, from its arguments: `sim JOB MIN MAX FAIL` (milliseconds, percent), or `debug` with
/// the same: one that was added to look at the others, whose end is no success of anybody's.
struct SimProgram {
  var job: String
  var milliseconds: ClosedRange<Int64>
  var failPercent: Int64
  var isDebugger: Bool

  init?(_ arguments: [String]) {
    guard arguments.count == 5, ["sim", "debug"].contains(arguments[0]), let low = Int64(arguments[2]),
      let high = Int64(arguments[3]), let fail = Int64(arguments[4]), low <= high
    else { return nil }
    job = arguments[1]
    milliseconds = low...high
    failPercent = fail
    isDebugger = arguments[0] == "debug"
  }

  var arguments: [String] {
    [
      isDebugger ? "debug" : "sim", job, String(milliseconds.lowerBound), String(milliseconds.upperBound),
      String(failPercent),
    ]
  }
}

final class SimProcesses {
  private struct Process {
    var run: ContainerRun
    var program: SimProgram
    var remaining: TrueTime
    var endsAt: TrueTime
    var order: Int
    var ignoresTermination: Bool
  }

  private let world: World
  private let ledger: Ledger
  private let node: Int
  private var processes: [ContainerRun: Process] = [:]
  private var frozen: Set<AttemptNumber> = []
  private var order = 0
  /// A container's process ended by itself or by a signal: exit code and signal.
  var exited: ((ContainerRun, Int64, Int64) -> Void)?

  init(world: World, ledger: Ledger, node: Int) {
    self.world = world
    self.ledger = ledger
    self.node = node
  }

  /// False when the program is none that the world knows.
  func start(_ run: ContainerRun, _ arguments: [String]) -> Bool {
    guard let program = SimProgram(arguments) else { return false }
    order += 1
    let duration = world.pick(program.milliseconds) * 1000
    processes[run] = Process(
      run: run, program: program, remaining: duration, endsAt: world.now + duration, order: order,
      ignoresTermination: world.chance(0.2))
    ledger.started(run.attempt, slot: run.slot, job: program.job, node: node)
    if program.isDebugger { ledger.debuggers += 1 }
    scheduleEnd(run)
    return true
  }

  func signal(_ run: ContainerRun, _ number: Int32) {
    guard let process = processes[run], !frozen.contains(run.attempt) || number == 9 else { return }
    if number == 15, process.ignoresTermination { return }
    let code = number == 15 && world.chance(0.3) ? (Int64(0), Int64(0)) : (128 + Int64(number), Int64(number))
    let exact = process.order
    world.after(world.pick(100...50_000)) { [self] in
      guard processes[run]?.order == exact, !frozen.contains(run.attempt) || number == 9 else { return }
      end(run, exitCode: code.0, signal: code.1)
    }
  }

  func freeze(_ attempt: AttemptNumber) {
    guard frozen.insert(attempt).inserted else { return }
    for run in runs(of: attempt) {
      guard let process = processes[run] else { continue }
      processes[run]?.remaining = max(0, process.endsAt - world.now)
    }
    ledger.frozen(attempt, true)
  }

  func thaw(_ attempt: AttemptNumber) {
    guard frozen.remove(attempt) != nil else { return }
    for run in runs(of: attempt) {
      let remaining = processes[run]?.remaining ?? 0
      processes[run]?.endsAt = world.now + remaining
      scheduleEnd(run)
    }
    ledger.frozen(attempt, false)
  }

  /// Ends every process of an attempt without a word.
  func kill(_ attempt: AttemptNumber) {
    frozen.remove(attempt)
    for run in runs(of: attempt) {
      processes[run] = nil
      ledger.ended(run.attempt, slot: run.slot)
    }
  }

  /// The keeper or the machine died: its pods are gone with it.
  func killAll() {
    for attempt in Set(processes.keys.map(\.attempt)).sorted() { kill(attempt) }
    frozen.removeAll()
  }

  var attempts: [AttemptNumber] { Set(processes.keys.map(\.attempt)).sorted() }

  private func runs(of attempt: AttemptNumber) -> [ContainerRun] {
    processes.keys.filter { $0.attempt == attempt }.sorted { ($0.slot, $0.restart) < ($1.slot, $1.restart) }
  }

  private func scheduleEnd(_ run: ContainerRun) {
    guard let process = processes[run] else { return }
    let exact = process.order
    world.after(process.endsAt - world.now) { [self] in
      guard let current = processes[run], current.order == exact, !frozen.contains(run.attempt),
        current.endsAt <= world.now
      else { return }
      end(run, exitCode: world.pick(0...99) < current.program.failPercent ? 1 : 0, signal: 0)
    }
  }

  private func end(_ run: ContainerRun, exitCode: Int64, signal: Int64) {
    guard let process = processes.removeValue(forKey: run) else { return }
    ledger.ended(run.attempt, slot: run.slot)
    if exitCode == 0, !process.program.isDebugger { ledger.succeeded(job: process.program.job) }
    exited?(run, exitCode, signal)
  }
}
