// The simulated coordinator process: the real core, a store with commits that take time, crashes between effects.
// Keeps the order law as the real shell does: what is not immediate leaves after its commit is durable.

import ClusterProto
import CoordinatorCore

final class SimCoordinator {
  private struct Batch {
    var writes: [StoreWrite] = []
    var effects: [CoordinatorEffect] = []
    var isEmpty: Bool { writes.isEmpty && effects.isEmpty }
  }

  /// Of the simulated clusters' number proofs.
  static let proofKey = "simulated"
  private let world: World
  /// Settings of the next start; leases may be longer or shorter than the last time.
  var configuration: CoordinatorConfiguration
  private(set) var core: CoordinatorCore?
  private(set) var store = SimStore()
  var clock: MachineClock
  private var checker = InvariantChecker()
  private var earlierPreemptions = 0
  private var checks = 0
  private var epoch = 0
  private(set) var starts = 0
  private var incoming: [CoordinatorEvent] = []
  private var isStepDue = false
  /// The first step's rows are what memory holds.
  private var hasStepped = false
  private var inFlight: Batch?
  /// Durable, but the loop has not heard of it.
  private var durable: Batch?
  /// Number of the commit that is in flight, or was last; when it began; the core was told that it stalls.
  private var commitNumber = 0
  private var commitBegan = BootTime(milliseconds: 0)
  private var isStallTold = false
  private var waiting = Batch()
  private var wakeOrder = 0
  private var inCommit: (() -> Void)?
  /// Mean time of a commit in microseconds.
  var commitTime: TrueTime
  /// Planted fault: effects do not wait for their commit.
  var sendsBeforeCommit = false
  /// Planted fault: when the loop goes on it has its timers fall due one after the other, before what waits is read, so
  /// that the core cannot see that it stood.
  var hidesPauses = false
  /// Planted fault: the core is not told of commits that do not end.
  var hidesStalls = false
  /// Nothing fails but the coordinator, which stands now and then: no pod may be lost.
  var losesNoPod = false
  /// Planted fault: the status of a CronJob is written apart from its run, and no crash leaves it.
  var splitsRuns = false
  /// For another: a due time is noted in one transaction, and its run made in the next.
  var writesRunsLater = false
  /// The disk under the store hangs: no commit ends, and the store's thread takes no SIGKILL, until `diskBack`.
  private var isDiskHung = false
  /// A SIGKILL waits for that: nothing is handled any more, but the connections and the store's lock are still held.
  private var isDoomed = false
  /// The loop stands (SIGSTOP, or a standard error that nobody reads); it takes a SIGKILL.
  private var isStalled = false
  private var stalledWork: [() -> Void] = []
  private var stalledSince: Now?
  /// It goes on after it stood: its sockets are not read in one go.
  private var isBehind = false
  private var diskWork: [() -> Void] = []
  /// An effect that leaves the process: to agents and clients.
  var deliver: ((CoordinatorEffect) -> Void)?
  /// A transaction is durable.
  var committed: (([StoreWrite]) -> Void)?
  /// What a polite stop waits for; nil while none is under way.
  private var stopped: (() -> Void)?
  /// The process serves from now on.
  var started: (() -> Void)?
  /// The process has died: its connections are gone.
  var died: (() -> Void)?

  init(world: World, configuration: CoordinatorConfiguration) {
    self.world = world
    self.configuration = configuration
    clock = MachineClock(world: world)
    commitTime = world.pick(100...20_000)
  }

  var isRunning: Bool { core != nil }

  func start() {
    guard core == nil else { return }
    // It reads and syncs its store before it serves.
    if isDiskHung { return diskWork.append { [self] in start() } }
    starts += 1
    configuration.startMark = "start-\(starts)"
    configuration.proofKey = Self.proofKey
    do {
      core = try CoordinatorCore(
        configuration: configuration, rows: store.all, seed: world.random.next(), now: clock.now(world))
    } catch {
      return world.violated("the coordinator does not start again: \(error.message)")
    }
    world.record("coordinator starts")
    started?()
    take(nil)
  }

  /// SIGKILL. Its sockets and locks go with its last thread: while that one waits for the disk they stay.
  func crash() {
    guard core != nil, !isDoomed else { return }
    if isDiskHung, inFlight != nil {
      world.record("coordinator hangs and takes no SIGKILL")
      isDoomed = true
      return
    }
    end()
  }

  private func end() {
    guard core != nil else { return }
    world.record("coordinator crashes")
    checkRebuild()
    // What was being written is on the disk or it is not; what waited is not.
    if let inFlight, world.chance(0.5) { keep(inFlight.writes) }
    if splitsRuns { store.loseRuns() }
    inFlight = nil
    durable = nil
    waiting = Batch()
    incoming = []
    isStepDue = false
    isStallTold = false
    hasStepped = false
    core = nil
    isDoomed = false
    isStalled = false
    isBehind = false
    stalledWork = []
    diskWork = []
    // What was not durable may come out otherwise the next time; nobody was told of it.
    earlierPreemptions += checker.preemptions
    checker = InvariantChecker()
    stopped = nil
    epoch += 1
    died?()
  }

  private func keep(_ writes: [StoreWrite]) {
    let runs = writesRunsLater ? writes.filter { $0.table == .objects && $0.key.hasPrefix(CronWitness.jobPrefix) } : []
    let others = runs.isEmpty ? writes : writes.filter { write in !runs.contains { $0.key == write.key } }
    for part in [others, runs] where !part.isEmpty {
      store.apply(part)
      committed?(part)
    }
  }

  /// The disk is lost with the process, and another one holds an earlier store. False: the process does not go.
  func restore(_ backup: SimStore, _ facts: [StoreWrite]) -> Bool {
    guard !isDiskHung, !isDoomed else { return false }
    crash()
    world.record("coordinator's disk is lost, a backup is restored")
    store = backup
    store.apply(facts)
    return true
  }

  /// SIGTERM: the core extends the leases and says when it is done; then the process ends.
  func stopPolitely(_ done: @escaping () -> Void) {
    guard core != nil, stopped == nil else { return }
    world.record("coordinator is asked to stop")
    stopped = done
    take(.stopRequested)
    // The shell waits this long at most.
    later(5_000_000) { [self] in if stopped != nil { release(.stopped, isDurable: true) } }
  }

  func jumpWall() { clock.jumpWall(milliseconds: world.pick(-3_600_000...3_600_000)) }

  /// From now on no commit ends.
  func hangDisk() {
    guard core != nil, !isDiskHung else { return }
    world.record("coordinator's disk hangs")
    isDiskHung = true
  }

  func diskBack() {
    guard isDiskHung else { return }
    world.record("coordinator's disk is back")
    isDiskHung = false
    let work = diskWork
    diskWork = []
    if isDoomed {
      end()
      return world.after(world.pick(100_000...3_000_000)) { [self] in start() }
    }
    for item in work { item() }
  }

  /// The loop stands until `goOn`.
  func stall() {
    guard core != nil, !isStalled else { return }
    world.record("coordinator stands")
    isStalled = true
    stalledSince = clock.now(world)
  }

  func goOn() {
    guard isStalled else { return }
    world.record("coordinator goes on")
    isStalled = false
    let current = epoch
    let work = stalledWork
    stalledWork = []
    isBehind = true
    if hidesPauses { stepThroughPause() }
    for item in work where epoch == current { item() }
  }

  private func stepThroughPause() {
    guard let since = stalledSince else { return }
    let now = clock.now(world)
    for passed in stride(from: 100, to: now.boot - since.boot, by: 100) {
      perform([], at: Now(boot: since.boot + passed, wall: since.wall.adding(milliseconds: passed)))
    }
  }

  /// Work of the loop in this life of the process, after a delay or when the loop goes on.
  private func later(_ delay: TrueTime, _ work: @escaping () -> Void) {
    let current = epoch
    world.after(delay) { [self] in
      guard epoch == current, !isDoomed else { return }
      if isStalled { stalledWork.append(work) } else { work() }
    }
  }

  /// Hands an event to the core, in this turn's batch; nil only asks for a turn.
  func take(_ event: CoordinatorEvent?) {
    guard core != nil, !isDoomed else { return }
    if let event { incoming.append(event) }
    guard !isStepDue else { return }
    isStepDue = true
    later(world.pick(10...300)) { [self] in
      isStepDue = false
      step()
    }
  }

  /// I14: a word of a session that is over changes nothing. A core that stands, or has events before it, may not have
  /// been told yet that it is over.
  func takeStale(_ event: CoordinatorEvent) {
    guard !isStalled, incoming.isEmpty, var probe = core, var still = core else { return }
    let now = clock.now(world)
    if probe.step([event], at: now) != still.step([], at: now) {
      world.violated("I14: a word of an old session makes the coordinator act")
    }
  }

  /// Dies while the next commit that carries words for others is on its way to the disk.
  func crashInCommit(_ done: @escaping () -> Void) { inCommit = done }

  private func step() {
    var count = incoming.count
    if isBehind { count = Int(world.pick(0...Int64(count))) }
    isBehind = false
    let events = Array(incoming.prefix(count))
    incoming.removeFirst(count)
    if !incoming.isEmpty { take(nil) }
    perform(events, at: clock.now(world))
  }

  private func perform(_ events: [CoordinatorEvent], at now: Now) {
    guard let effects = core?.step(events, at: now) else { return }
    hasStepped = true
    var writes: [StoreWrite] = []
    for effect in effects {
      switch effect {
      case .persist(let write):
        if losesNoPod { checkLoss(write) }
        writes.append(write)
      case .send(_, let message, let immediate) where immediate:
        if !Self.isPureRenewal(message) { world.violated("I13: a word leaves before the commit that it depends on") }
        release(effect, isDurable: true)
      case .wake(let time): setWake(time)
      case .log(let text): world.record("coordinator: \(text)")
      case .halt(let message): world.violated("the coordinator halts: \(message)")
      default:
        if sendsBeforeCommit { release(effect, isDurable: writes.isEmpty) } else { waiting.effects.append(effect) }
      }
    }
    waiting.writes += writes
    if !writes.isEmpty { checkInvariants(writes) }
    commit()
  }

  private func checkLoss(_ write: StoreWrite) {
    guard write.table == .objects, write.key.hasPrefix("pods/"), let value = write.value,
      String(decoding: value, as: UTF8.self).contains("DeletionByTaintManager")
    else { return }
    world.violated("\(write.key) is lost, though nothing failed but the coordinator, which only stood still")
  }

  /// What may pass a commit: a lease for a set that the agent holds already.
  private static func isPureRenewal(_ message: CoordinatorMessage) -> Bool {
    guard case .answer(let answer) = message else { return false }
    return answer.changes.isEmpty && answer.removed.isEmpty && answer.full == nil && answer.acknowledged.isEmpty
      && answer.assignments.isEmpty
  }

  private func commit() {
    guard inFlight == nil, durable == nil, !waiting.isEmpty else { return }
    let batch = waiting
    waiting = Batch()
    guard !batch.writes.isEmpty else {
      for effect in batch.effects { release(effect, isDurable: true) }
      return commit()
    }
    inFlight = batch
    watchForStall()
    let current = epoch
    if let done = inCommit, !batch.effects.isEmpty {
      inCommit = nil
      world.after(0) { [self] in
        crash()
        done()
      }
    }
    world.after(!losesNoPod && world.chance(0.002) ? world.pick(100_000...3_000_000) : world.delay(mean: commitTime)) {
      [self] in
      guard epoch == current else { return }
      if isDiskHung { diskWork.append { [self] in finishCommit() } } else { finishCommit() }
    }
  }

  /// As the shell does it.
  private func watchForStall() {
    commitNumber += 1
    commitBegan = clock.now(world).boot
    guard !hidesStalls else { return }
    let number = commitNumber
    let limit = configuration.pauseMilliseconds
    later(clock.trueDelay(until: commitBegan + limit, world)) { [self] in
      guard commitNumber == number, inFlight != nil, !isStallTold else { return }
      isStallTold = true
      take(.storeStalls(milliseconds: clock.now(world).boot - commitBegan))
    }
  }

  /// What was in flight is durable; the loop hears of it and lets out what waited for it.
  private func finishCommit() {
    guard let done = inFlight else { return }
    keep(done.writes)
    durable = done
    inFlight = nil
    later(0) { [self] in
      durable = nil
      let current = epoch
      if isStallTold { take(.storeAnswered(milliseconds: clock.now(world).boot - commitBegan)) }
      isStallTold = false
      for effect in done.effects {
        // A release may crash us (a planted or drawn fault): then the rest never leaves.
        guard epoch == current else { return }
        release(effect, isDurable: true)
      }
      commit()
    }
  }

  /// I13: `isDurable` is what the simulated disk knows of the writes that the effect depends on.
  private func release(_ effect: CoordinatorEffect, isDurable: Bool) {
    if !isDurable { world.violated("I13: a word leaves before the commit that it depends on") }
    guard effect == .stopped else {
      deliver?(effect)
      return
    }
    let done = stopped
    // Words that were handed to the sockets before the end still arrive.
    crash()
    done?()
  }

  private func setWake(_ time: BootTime?) {
    wakeOrder += 1
    guard let time else { return }
    let order = wakeOrder
    later(clock.trueDelay(until: time, world)) { [self] in if wakeOrder == order { take(.timer) } }
  }

  /// What the step wrote, and now and then everything.
  private func checkInvariants(_ writes: [StoreWrite]) {
    guard let core else { return }
    checks += 1
    let found = checks % 64 == 0 ? checker.check(core) : checker.check(core, wrote: writes)
    for violation in found { world.violated("invariant \(violation)") }
  }

  /// Pods whose place was given to others.
  var preemptions: Int { earlierPreemptions + checker.preemptions }

  /// I12: the state rebuilt from the rows (durable, in flight and waiting) is the state in memory.
  func checkRebuild() {
    guard let core, hasStepped else { return }
    var complete = store
    complete.apply(inFlight?.writes ?? [])
    complete.apply(waiting.writes)
    do {
      let rebuilt = try CoordinatorCore(
        configuration: configuration, rows: complete.all, seed: 0, now: clock.now(world))
      let difference = core.persistentDifference(from: rebuilt)
      if let difference { world.violated("invariant I12: \(difference)") }
    } catch {
      world.violated("invariant I12: the rows cannot be read: \(error.message)")
    }
  }
}
