// The simulated keeper process of one data directory: the real KeeperCore, the kernel's death timer, crashes.
// Its death ends its pods at once (K4), but while a disk holds it in the kernel it does not die: only its pods' inits
// act then. The next keeper begins from the directory's journal, after a sweep.

import AgentCore
import ClusterProto

final class SimKeeper {
  private let world: World
  private let node: Int
  private let processes: SimProcesses
  let inits: SimInits
  let directory: SimDirectory
  private let clock: () -> MachineClock
  private let bootID: () -> String
  private var core: KeeperCore?
  private var epoch = 0
  private var wakeOrder = 0
  /// When the last write asked for is done.
  private var writtenAt: TrueTime = 0
  private var deathOrder = 0
  private var isPaused = false
  /// No write of the journal ends.
  private var isDiskHung = false
  private var diskWork: [() -> Void] = []
  /// In uninterruptible sleep, until the disk is back.
  private var isHung = false
  /// Sent a SIGKILL that it has not taken yet.
  private var isDoomed = false
  /// No pod can be started, for a reason that goes away by itself.
  private var brokenUntil: TrueTime = 0
  private var held: [KeeperEvent] = []
  private(set) var care: SimCare
  /// Of its machine.
  var pressure: SimPressure?
  private var unanswered: [CheckNumber: ContainerRun] = [:]
  private(set) var connection: Int64?
  /// A word to the agent's connection of that number.
  var reply: ((Int64, KeeperReply) -> Void)?
  /// The socket of that connection closed.
  var lost: ((Int64) -> Void)?

  init(
    world: World, node: Int, processes: SimProcesses, directory: SimDirectory, clock: @escaping () -> MachineClock,
    bootID: @escaping () -> String
  ) {
    self.world = world
    self.node = node
    self.processes = processes
    self.directory = directory
    self.clock = clock
    self.bootID = bootID
    care = SimCare(seed: world.seed, node: node)
    inits = SimInits(world: world, node: node, processes: processes, clock: clock)
    inits.stopped = { [unowned self] attempt, thaws in tellFrozen(attempt, thaws) }
    inits.ended = { [unowned self] attempt in later(world.pick(100...10_000), .podGone(attempt)) }
    processes.exited = { [unowned self] run, code, signal in
      // Some failures are the kernel's, at a limit of memory: it may end another process than the one that is awaited.
      let outOfMemory = code != 0 && (run.attempt + Int64(run.slot) + run.restart) % 5 == 0
      later(
        world.pick(50...3_000),
        .containerExited(run, exitCode: code, signal: signal, message: "", outOfMemory: outOfMemory))
    }
  }

  var isRunning: Bool { core != nil }

  func start() {
    guard core == nil else { return }
    let identity = "keeper-\(node)-\(world.random.next() % 1_000_000)"
    world.record("node \(node) keeper starts")
    let entry = directory.enter(identity, bootID: bootID(), freshMark: "mark-\(world.random.next())")
    var configuration = KeeperConfiguration()
    configuration.frozenKillMilliseconds *= world.pace.beat
    core = KeeperCore(
      KeeperStart(
        keeper: identity, directory: entry.mark, sweptKeepers: entry.sweptKeepers, records: directory.journal,
        limits: pressure == nil ? nil : LimitAbilities()),
      configuration: configuration)
    isPaused = false
    isHung = false
    isDoomed = false
    held = []
    take(.timer)
  }

  /// SIGKILL: everything that it held dies with it, once it takes it.
  func crash() {
    guard core != nil else { return }
    if isHung {
      world.record("node \(node) keeper hangs and takes no SIGKILL")
      isDoomed = true
      return
    }
    guard diskWork.isEmpty else {
      // The thread that made the pods dies, and they with it; the one that writes holds lock and socket.
      world.record("node \(node) keeper dies but for its writer")
      inits.killAll()
      isHung = true
      isDoomed = true
      return
    }
    die()
  }

  /// The power fails: nothing waits for a disk then.
  func loseEverything() {
    if core != nil { die() }
  }

  private func die() {
    world.record("node \(node) keeper dies")
    inits.killAll()
    end()
  }

  /// SIGSTOP: nothing is handled until `resume`; pods go on, the kernel's timer too.
  func pause() { isPaused = true }

  func resume() {
    guard isPaused else { return }
    isPaused = false
    goOn()
  }

  /// Its disk hangs until `diskBack`. `whole`: its loop waits for it too (D, for a page of its program if for nothing
  /// else): nothing is handled, and no signal is taken.
  func hang(whole: Bool) {
    world.record("node \(node) disk hangs, its keeper \(whole ? "too" : "not")")
    isDiskHung = true
    if whole, core != nil { isHung = true }
  }

  func diskBack() {
    isDiskHung = false
    let work = diskWork
    diskWork = []
    isHung = false
    if isDoomed { return die() }
    for item in work { item() }
    goOn()
  }

  private func goOn() {
    guard !isPaused, !isHung else { return }
    let events = held
    held = []
    for event in events { take(event) }
    take(.timer)
  }

  func heal() { care.heal() }

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
    if isPaused || isHung {
      held.append(event)
      return
    }
    guard let effects = core?.step(event, at: clock().now(world)) else { return }
    if let pressure, let core { pressure.check(core.relieving) }
    for effect in effects { perform(effect) }
  }

  private func end() {
    core = nil
    unanswered = [:]
    diskWork = []
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

  /// The word of a thread that needs the disk.
  private func fromDisk(_ delay: TrueTime, _ event: KeeperEvent) {
    let current = epoch
    world.after(delay) { [self] in
      guard epoch == current else { return }
      if isDiskHung { diskWork.append { [self] in if epoch == current { take(event) } } } else { take(event) }
    }
  }

  private func perform(_ effect: KeeperEffect) {
    guard core != nil else { return }
    switch effect {
    case .journal(let records, let number):
      write { [self] in
        directory.journal.append(contentsOf: records)
        take(.journaled(number, error: nil))
      }
    case .rewriteJournal(let records): write { [self] in directory.journal = records }
    case .startPod(let attempt, _, let deadline):
      if world.now >= brokenUntil, world.chance(0.002), world.chance(0.5) {
        brokenUntil = world.now + world.pickLong(1...60_000_000)
        world.record("node \(node) starts no pods for a while")
      }
      if world.now < brokenUntil || world.chance(0.001) {
        later(world.pick(500...5_000), .podStartFailed(attempt, message: "no memory"))
      } else {
        inits.begin(attempt, deadline: deadline)
        later(world.pick(500...20_000), .podStarted(attempt))
      }
    case .startContainer(let run, let container): startContainer(run, container)
    case .signal(let run, let number): processes.signal(run, number)
    case .killPod(let attempt):
      inits.kill(attempt)
      later(world.pick(100...10_000), .podGone(attempt))
    case .moveDeadlines(let deadlines): inits.move(deadlines)
    case .freezePod(let attempt): tellFrozen(attempt, inits.freeze(attempt))
    case .thawPod(let attempt):
      inits.thaw(attempt)
      later(world.pick(100...5_000), .podThawed(attempt))
    // Nobody asks for processes in containers here.
    case .log, .startExec, .killExec, .answerExec, .giveInput: break
    case .startCheck(let number, let run, let check):
      if let answer = care.answer(check) {
        later(answer.after, .checked(number, run, answer.1))
      } else {
        unanswered[number] = run
      }
    case .endCheck(let number, _):
      if let run = unanswered.removeValue(forKey: number) { later(1_000, .checked(number, run, .failed(""))) }
    case .measure: later(1, .measured(pressure?.usage(of: processes.attempts) ?? []))
    case .measureStorage(let attempt, let limits, _):
      let answer = pressure?.look(limits) ?? (1, StorageUsage())
      fromDisk(answer.after, .storageMeasured(attempt, answer.1))
    case .endAgentConnection:
      if let number = connection {
        disconnect(number)
        lost?(number)
      }
    case .probeSandbox:
      let works = world.now >= brokenUntil
      later(world.pick(500...5_000), .sandboxProbed(works: works, detail: works ? "" : "no namespaces"))
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
    world.after(writtenAt - world.now) { [self] in
      guard epoch == current else { return }
      if isDiskHung { diskWork.append(work) } else { work() }
    }
  }

  private func startContainer(_ run: ContainerRun, _ container: PodPlan.Container) {
    inits.start(run.attempt) { [self] in begin(run, container) }
  }

  /// The shell drops what was said before the last thaw.
  private func tellFrozen(_ attempt: AttemptNumber, _ thaws: Int) {
    let current = epoch
    world.after(world.pick(100...5_000)) { [self] in
      if epoch == current, inits.thaws(of: attempt) == thaws { take(.podFrozen(attempt)) }
    }
  }

  private func begin(_ run: ContainerRun, _ container: PodPlan.Container) {
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
