// The simulated pod inits of one machine: each holds its pod's deadline by its own timer (K4), whatever its keeper or a
// disk does. They stop and kill processes; they know no leases and no coordinator.

import AgentCore
import ClusterProto

final class SimInits {
  private struct Pod {
    /// What the keeper last wrote; read only when the timer strikes, or with an order. A nearer one wakes nobody.
    var word: BootTime
    var isStopped = false
    /// Orders to go on that it has obeyed.
    var thaws = 0
    var timerOrder = 0
    /// Containers that were to start while it stood still.
    var waiting: [() -> Void] = []
  }

  /// STINT_DEADLINE_MARGIN_MS of the real one.
  private static let margin: Int64 = 1_000
  /// STINT_DEADLINE_LOOK_MS.
  private static let lookInterval: Int64 = 10_000

  private let world: World
  private let node: Int
  private let processes: SimProcesses
  private let clock: () -> MachineClock
  private var pods: [AttemptNumber: Pod] = [:]
  /// Planted fault: the inits of before, which left every deadline to their keeper.
  var holdNothing = false
  /// It stopped its pod by itself, after that many thaws.
  var stopped: ((AttemptNumber, Int) -> Void)?
  /// It has ended its pod by itself.
  var ended: ((AttemptNumber) -> Void)?

  init(world: World, node: Int, processes: SimProcesses, clock: @escaping () -> MachineClock) {
    self.world = world
    self.node = node
    self.processes = processes
    self.clock = clock
  }

  func begin(_ attempt: AttemptNumber, deadline: BootTime) {
    pods[attempt] = Pod(word: deadline)
    look(attempt)
  }

  /// The keeper's store into the shared page: no order, nobody wakes.
  func move(_ deadlines: [AttemptNumber: BootTime]) {
    for attempt in deadlines.keys.sorted() where pods[attempt] != nil {
      pods[attempt]?.word = deadlines[attempt] ?? .never
    }
  }

  /// The order to start a container; it waits while the pod stands still. Nothing starts in a pod that is gone.
  func start(_ attempt: AttemptNumber, _ work: @escaping () -> Void) {
    guard pods[attempt] != nil else { return }
    look(attempt)
    if pods[attempt]?.isStopped == true { pods[attempt]?.waiting.append(work) } else { work() }
  }

  /// The keeper's order to stand still; how many thaws came before.
  func freeze(_ attempt: AttemptNumber) -> Int {
    pods[attempt]?.isStopped = true
    processes.freeze(attempt)
    return thaws(of: attempt)
  }

  func thaw(_ attempt: AttemptNumber) {
    guard let pod = pods[attempt] else { return }
    pods[attempt]?.isStopped = false
    pods[attempt]?.thaws += 1
    pods[attempt]?.waiting = []
    processes.thaw(attempt)
    look(attempt)
    for work in pod.waiting { start(attempt, work) }
  }

  func thaws(of attempt: AttemptNumber) -> Int { pods[attempt]?.thaws ?? 0 }

  /// SIGKILL to the init: its processes end with it.
  func kill(_ attempt: AttemptNumber) {
    pods[attempt] = nil
    processes.kill(attempt)
  }

  /// The keeper or the machine died.
  func killAll() {
    pods.removeAll()
    processes.killAll()
  }

  private func look(_ attempt: AttemptNumber) {
    guard let pod = pods[attempt], !holdNothing else { return }
    let now = clock().now(world).boot
    if pod.word == .never { return }
    if now < pod.word { return arm(attempt, at: min(pod.word, now + Self.lookInterval)) }
    if now >= pod.word + Self.margin {
      world.record("node \(node) init of \(attempt) ends its pod")
      kill(attempt)
      ended?(attempt)
      return
    }
    if !pod.isStopped {
      world.record("node \(node) init of \(attempt) stops its pod")
      pods[attempt]?.isStopped = true
      processes.freeze(attempt)
      stopped?(attempt, pod.thaws)
    }
    arm(attempt, at: pod.word + Self.margin)
  }

  private func arm(_ attempt: AttemptNumber, at time: BootTime) {
    pods[attempt]?.timerOrder += 1
    let order = pods[attempt]?.timerOrder
    world.after(clock().trueDelay(until: time, world)) { [self] in
      if pods[attempt]?.timerOrder == order { look(attempt) }
    }
  }
}
