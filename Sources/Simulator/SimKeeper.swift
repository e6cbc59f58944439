// The simulated keeper process of one machine: the real KeeperCore, its journal, the kernel's death timer, crashes.
// Its death ends its pods at once (K4). The next keeper begins from the journal, after a sweep.

import AgentCore
import ClusterProto

final class SimKeeper {
  private let world: World
  private let node: Int
  private let processes: SimProcesses
  private let clock: () -> MachineClock
  private var core: KeeperCore?
  private var epoch = 0
  private var journal: [KeeperRecord] = []
  private var identities: [String] = []
  private var wakeOrder = 0
  /// When the last write asked for is done.
  private var writtenAt: TrueTime = 0
  private var deathOrder = 0
  private var isPaused = false
  private var held: [KeeperEvent] = []
  private(set) var connection: Int64?
  /// A word to the agent's connection of that number.
  var reply: ((Int64, KeeperReply) -> Void)?
  /// The socket of that connection closed.
  var lost: ((Int64) -> Void)?

  init(world: World, node: Int, processes: SimProcesses, clock: @escaping () -> MachineClock) {
    self.world = world
    self.node = node
    self.processes = processes
    self.clock = clock
    processes.exited = { [unowned self] run, code, signal in
      later(
        world.pick(50...3_000), .containerExited(run, exitCode: code, signal: signal, outOfMemory: false, message: ""))
    }
  }

  var isRunning: Bool { core != nil }

  func start() {
    guard core == nil else { return }
    let identity = "keeper-\(node)-\(world.random.next() % 1_000_000)"
    world.record("node \(node) keeper starts")
    core = KeeperCore(
      KeeperStart(keeper: identity, sweptKeepers: identities, records: journal), configuration: KeeperConfiguration())
    identities.append(identity)
    isPaused = false
    held = []
    take(.timer)
  }

  /// SIGKILL, or the power: everything that it held dies with it.
  func crash() {
    guard core != nil else { return }
    world.record("node \(node) keeper dies")
    processes.killAll()
    end()
  }

  /// SIGSTOP: nothing is handled until `resume`; pods go on, the kernel's timer too.
  func pause() { isPaused = true }

  func resume() {
    guard isPaused else { return }
    isPaused = false
    let events = held
    held = []
    for event in events { take(event) }
    take(.timer)
  }

  func connect(_ number: Int64) {
    if let old = connection, old != number { lost?(old) }
    connection = number
    take(.agentConnected)
  }

  func disconnect(_ number: Int64) {
    guard connection == number else { return }
    connection = nil
    take(.agentDisconnected)
  }

  func take(_ event: KeeperEvent) {
    guard core != nil else { return }
    if isPaused {
      held.append(event)
      return
    }
    guard let effects = core?.step(event, at: clock().now(world)) else { return }
    for effect in effects { perform(effect) }
  }

  private func end() {
    core = nil
    epoch += 1
    if let number = connection {
      connection = nil
      lost?(number)
    }
  }

  private func later(_ delay: TrueTime, _ event: KeeperEvent) {
    let current = epoch
    world.after(delay) { [self] in if epoch == current { take(event) } }
  }

  private func perform(_ effect: KeeperEffect) {
    guard core != nil else { return }
    switch effect {
    case .journal(let records, let number):
      write { [self] in
        journal.append(contentsOf: records)
        take(.journaled(number, error: nil))
      }
    case .rewriteJournal(let records): write { [self] in journal = records }
    case .startPod(let attempt, _):
      if world.chance(0.002) {
        later(world.pick(500...5_000), .podStartFailed(attempt, message: "no memory"))
      } else {
        later(world.pick(500...20_000), .podStarted(attempt))
      }
    case .startContainer(let run, let container): startContainer(run, container)
    case .signal(let run, let number): processes.signal(run, number)
    case .killPod(let attempt):
      processes.kill(attempt)
      later(world.pick(100...10_000), .podGone(attempt))
    case .freezePod(let attempt):
      processes.freeze(attempt)
      later(world.pick(100...5_000), .podFrozen(attempt))
    case .thawPod(let attempt):
      processes.thaw(attempt)
      later(world.pick(100...5_000), .podThawed(attempt))
    case .releasePod, .log: break
    case .reply(let message): if let connection { reply?(connection, message) }
    case .armDeathTimer(let time): armDeathTimer(time)
    case .wake(let time): setWake(time)
    case .exit:
      world.record("node \(node) keeper exits")
      if !processes.attempts.isEmpty { world.violated("node \(node): the keeper exits and leaves processes") }
      end()
    }
  }

  /// The thread that writes: in order, a little later, and not at all when the keeper dies first.
  private func write(_ work: @escaping () -> Void) {
    writtenAt = max(writtenAt + 1, world.now + world.pick(5...500))
    let current = epoch
    world.after(writtenAt - world.now) { [self] in if epoch == current { work() } }
  }

  private func startContainer(_ run: ContainerRun, _ container: PodPlan.Container) {
    world.record("node \(node) runs \(run.attempt).\(run.slot).\(run.restart)")
    if processes.start(run, container.arguments) {
      later(world.pick(100...5_000), .containerStarted(run))
    } else {
      let failure = StartFailure(stage: .execute, errorNumber: 2, detail: "")
      later(world.pick(100...5_000), .containerStartFailed(run, failure))
    }
  }

  private func setWake(_ time: BootTime?) {
    wakeOrder += 1
    guard let time else { return }
    let order = wakeOrder
    let current = epoch
    world.after(clock().trueDelay(until: time, world)) { [self] in
      if epoch == current, wakeOrder == order { take(.timer) }
    }
  }

  private func armDeathTimer(_ time: BootTime?) {
    deathOrder += 1
    guard let time else { return }
    let order = deathOrder
    let current = epoch
    world.after(clock().trueDelay(until: time, world)) { [self] in
      guard epoch == current, deathOrder == order else { return }
      world.record("node \(node) death timer")
      crash()
    }
  }
}
