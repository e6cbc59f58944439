// One simulated machine, wired: clocks, keeper, the agent process with the real AgentCore, and its faults.

import AgentCore
import ClusterProto

/// The one clock that agent and keeper of a machine share.
private final class Clocks {
  var machine: MachineClock

  init(_ machine: MachineClock) { self.machine = machine }
}

final class SimNode {
  /// What it offers to pods, in thousandths of a processor.
  static let milliCPU: Int64 = 8_000
  let index: Int
  let name: String
  private let world: World
  private let ledger: Ledger
  let machine: SimMachine
  private(set) var keeper: SimKeeper
  /// Keepers whose directory was moved or copied away from under them: they go on as long as they have something.
  private var leftBehind: [SimKeeper] = []
  private let clocks: Clocks
  private var core: AgentCore?
  private var epoch = 0
  /// The agent that has connected to the keeper last.
  private var connectedEpoch = -1
  private var keeperConnection: Int64 = 0
  private var wakeOrder = 0
  private var afterHeartbeat: (() -> Void)?
  /// Earliest next arrivals on the unix socket, which keeps order.
  private var toKeeper: TrueTime = 0
  private var toAgent: TrueTime = 0
  private var isPaused = false
  /// In uninterruptible sleep, until the disk is back; and whether a SIGKILL waits for that.
  private var isHung = false
  private var isDoomed = false
  private var isDiskHung = false
  private var diskWork: [() -> Void] = []
  private var held: [AgentEvent] = []
  private var isOff = false
  /// Where containers run in images.
  var images: SimImages? { didSet { images?.tell = { [unowned self] event in take(event) } } }
  /// Where there may be too little memory, disk or processes.
  var pressure: SimPressure? { didSet { keeper.pressure = pressure } }
  /// Effects that concern the coordinator's connection.
  var network: ((SimNode, AgentEffect) -> Void)?
  /// The agent process is gone, its connections with it.
  var agentDied: ((SimNode) -> Void)?

  /// `clock` nil: a machine with a clock of its own.
  init(
    world: World, ledger: Ledger, index: Int, name: String, machine: SimMachine, directory: SimDirectory,
    clock: MachineClock? = nil
  ) {
    self.world = world
    self.ledger = ledger
    self.index = index
    self.name = name
    self.machine = machine
    let clocks = Clocks(clock ?? MachineClock(world: world))
    self.clocks = clocks
    keeper = Self.makeKeeper(world, ledger, index, machine, directory, clocks)
    wire(keeper)
  }

  /// Nothing is short any more, and no probe fails.
  func heal() {
    images?.heal()
    pressure?.heal()
    for keeper in [keeper] + leftBehind { keeper.heal() }
  }

  /// How often containers were asked something.
  var checks: Int { ([keeper] + leftBehind).reduce(0) { $0 + $1.care.count } }

  private static func makeKeeper(
    _ world: World, _ ledger: Ledger, _ index: Int, _ machine: SimMachine, _ directory: SimDirectory, _ clocks: Clocks
  ) -> SimKeeper {
    SimKeeper(
      world: world, node: index, processes: SimProcesses(world: world, ledger: ledger, node: index),
      directory: directory, clock: { clocks.machine }, bootID: { machine.bootID })
  }

  private func wire(_ keeper: SimKeeper) {
    keeper.reply = { [unowned self] number, message in
      let current = epoch
      world.after(arrival(&toAgent)) { [self] in
        if epoch == current, keeperConnection == number { take(.keeper(number, message)) }
      }
    }
    keeper.lost = { [unowned self] number in
      let current = epoch
      world.after(world.pick(20...2_000)) { [self] in
        if epoch == current { take(.keeperLost(number, reason: "closed")) }
      }
    }
  }

  /// The agent ends, and the next one starts on another directory: where the old one was moved or copied to. The old
  /// keeper and its pods know nothing of it.
  func continueIn(_ directory: SimDirectory, after delay: TrueTime) {
    // Nothing is moved or copied from a disk that does not answer.
    guard !isOff, !isDiskHung, !isHung else { return }
    crashAgent()
    leftBehind.removeAll { !$0.isRunning }
    leftBehind.append(keeper)
    keeper = Self.makeKeeper(world, ledger, index, machine, directory, clocks)
    keeper.pressure = pressure
    wire(keeper)
    world.after(delay) { [self] in startAgent() }
  }

  /// The machine's clock as it is, for another program of the same machine.
  var clock: MachineClock { clocks.machine }

  var isAgentRunning: Bool { core != nil }
  /// Its agent is somebody else's by now, who has its key and says of its numbers what he likes.
  var lies = false

  func startAgent() {
    guard core == nil, !isOff else { return }
    world.record("node \(index) agent starts")
    var configuration = AgentConfiguration(
      node: name, machineID: machine.machineID, bootID: machine.bootID, agentVersion: "sim",
      capacity: NodeCapacity(cpuMillicores: Self.milliCPU, memoryBytes: 8 << 30, pods: 20),
      address: "10.0.0.\(index + 1)",
      info: .object(JSONObject()))
    configuration.hardwareID = machine.hardwareID
    configuration.labels["zone"] = index % 2 == 0 ? "a" : "b"
    configuration.highestIncarnation = keeper.directory.highestIncarnation
    configuration.incarnationMark = keeper.directory.incarnationMark
    if let images { configuration.images = images.begin() }
    pressure?.begin(&configuration)
    core = AgentCore(configuration: configuration, seed: world.random.next())
    isPaused = false
    isHung = false
    isDoomed = false
    held = []
    take(.started)
  }

  /// SIGKILL, which a process that waits for its disk takes when the disk is back.
  func crashAgent() {
    guard core != nil else { return }
    if isHung {
      world.record("node \(index) agent hangs and takes no SIGKILL")
      isDoomed = true
      return
    }
    endAgent()
  }

  private func endAgent() {
    guard core != nil else { return }
    world.record("node \(index) agent dies")
    core = nil
    images?.agentEnded()
    let ended = epoch
    epoch += 1
    let number = keeperConnection
    let keeper = keeper
    // Each agent counts its connections from 1: what the next one has made meanwhile is not this one's.
    world.after(world.pick(20...2_000)) { [self] in
      if keeper !== self.keeper || connectedEpoch == ended { keeper.disconnect(number) }
    }
    agentDied?(self)
  }

  func pause(agent: Bool, keeper stopsKeeper: Bool) {
    world.record("node \(index) stops: agent \(agent) keeper \(stopsKeeper)")
    if agent { isPaused = true }
    if stopsKeeper { for keeper in [keeper] + leftBehind { keeper.pause() } }
  }

  func resume() {
    for keeper in [keeper] + leftBehind { keeper.resume() }
    guard isPaused else { return }
    isPaused = false
    goOn()
  }

  /// A disk that both use hangs: whoever touches it stands in the kernel until `diskBack`.
  func hang(agent: Bool, keeper hangsKeeper: Bool) {
    if agent, core != nil {
      world.record("node \(index) agent hangs on its disk")
      isHung = true
    }
    isDiskHung = true
    keeper.hang(whole: hangsKeeper)
  }

  func diskBack() {
    isDiskHung = false
    let work = diskWork
    diskWork = []
    for item in work { item() }
    keeper.diskBack()
    guard isHung else { return }
    world.record("node \(index) disk is back")
    isHung = false
    guard isDoomed else { return goOn() }
    endAgent()
    world.after(world.pick(100_000...3_000_000)) { [self] in startAgent() }
  }

  private func goOn() {
    guard !isPaused, !isHung else { return }
    let events = held
    held = []
    for event in events { take(event) }
    take(.timer)
  }

  /// The power fails; `powerOn` boots it with a new boot id.
  func powerOff() {
    guard !isOff else { return }
    world.record("node \(index) loses power")
    isOff = true
    for keeper in [keeper] + leftBehind { keeper.loseEverything() }
    endAgent()
  }

  func powerOn() {
    guard isOff else { return }
    isOff = false
    machine.boot()
    clocks.machine.reboot(world)
    startAgent()
  }

  func jumpWall() { clocks.machine.jumpWall(milliseconds: world.pick(-3_600_000...3_600_000)) }

  func take(_ event: AgentEvent) {
    guard core != nil else { return }
    if isPaused || isHung {
      held.append(event)
      return
    }
    if let images, case .keeper(_, .reports(let reports)) = event {
      for report in reports where report.isTerminal { images.release(report.attempt) }
    }
    switch event {
    case .imagePulled(let number, _, _, _), .imagePullFailed(let number, _): images?.told(number)
    default: break
    }
    guard let effects = core?.step(event, at: clocks.machine.now(world)) else { return }
    if images != nil, let problem = core?.imageProblems.first { world.violated("I20: node \(index): \(problem)") }
    for effect in effects {
      guard core != nil else { return }
      perform(effect)
    }
  }

  /// I14: a word of a connection that is over makes the agent do nothing.
  func takeStale(_ event: AgentEvent) {
    guard let core, !isPaused, !isHung else { return }
    let now = clocks.machine.now(world)
    func acts(_ event: AgentEvent) -> [AgentEffect] {
      var probe = core
      return probe.step(event, at: now).filter { effect in
        switch effect {
        case .wake, .log: false
        default: true
        }
      }
    }
    // What is due at this moment is done whatever the event.
    let (done, due) = (acts(event), acts(.timer))
    if done != due {
      world.violated(
        "I14: a word of an old connection makes the agent of node \(index) act: \(done.map(\.brief)), "
          + "not \(due.map(\.brief))"
      )
    }
  }

  /// SIGSTOP in the worst moment: after the next heartbeat has gone, before its answer comes.
  func stopAfterHeartbeat(_ work: @escaping () -> Void) { afterHeartbeat = work }

  func heartbeatSent() {
    let work = afterHeartbeat
    afterHeartbeat = nil
    work?()
  }

  private func later(_ delay: TrueTime, _ event: AgentEvent) {
    let current = epoch
    world.after(delay) { [self] in if epoch == current { take(event) } }
  }

  /// The word of a worker that needs the disk.
  private func fromDisk(_ delay: TrueTime, _ event: AgentEvent) {
    let current = epoch
    world.after(delay) { [self] in
      guard epoch == current else { return }
      if isDiskHung { diskWork.append { [self] in if epoch == current { take(event) } } } else { take(event) }
    }
  }

  private func perform(_ effect: AgentEffect) {
    switch effect {
    case .connectKeeper(let number), .findKeeper(let number): connectKeeper(number)
    case .keeper(let request):
      let number = keeperConnection
      world.after(arrival(&toKeeper)) { [self] in
        if keeper.connection == number { keeper.take(.request(request)) }
      }
    case .connectCoordinator, .disconnectCoordinator, .send, .serveLogs, .serveStream: network?(self, effect)
    case .prepare(let assignment, let number, let given):
      images?.prepare(assignment, given)
      prepare(assignment, number)
    case .prepareAddition(let assignment, let name, let number, _): prepareAddition(assignment, name, number)
    case .pullImage(let number, let reference, _): images?.pull(number, reference)
    case .cancelPull(let number): images?.cancel(number)
    case .removeImage(let id): images?.remove(id)
    case .probeDisk(let number):
      fromDisk(world.pick(20...2_000), .diskAnswered(number, room: pressure?.disk() ?? images?.room()))
    // Volumes go when nobody runs or wants the attempt: so may its images.
    case .cleanUp(let attempt): images?.release(attempt)
    case .cleanUpExcept(let attempts): images?.releaseAll(but: attempts)
    case .readMachine: later(1, .machineRead(pressure?.machine()))
    case .measureNode: later(1, .nodeMeasured(Usage(cpu: world.now, memory: 0)))
    case .deleteLogs, .writeTokens, .log, .rememberPressures: break
    case .removeVolumes(let volumes): later(world.pick(1...50), .volumesRemoved(volumes, failed: []))
    case .remember(let incarnation, let mark):
      guard incarnation >= keeper.directory.highestIncarnation else { break }
      keeper.directory.highestIncarnation = incarnation
      keeper.directory.incarnationMark = mark
    case .wake(let time): setWake(time)
    case .exit: crashAgent()
    }
  }

  private func arrival(_ last: inout TrueTime) -> TrueTime {
    last = max(last + 1, world.now + world.pick(20...500))
    return last - world.now
  }

  private func connectKeeper(_ number: Int64) {
    let old = keeperConnection
    keeperConnection = number
    if old != number { keeper.disconnect(old) }
    let current = epoch
    // A keeper that has to be started sweeps first.
    world.after(keeper.isRunning ? world.pick(50...1_000) : world.pick(20_000...300_000)) { [self] in
      guard epoch == current, keeperConnection == number else { return }
      // A new one reads and writes the data directory before it listens.
      if !keeper.isRunning, isDiskHung { return diskWork.append { [self] in connectKeeper(number) } }
      keeper.start()
      keeper.connect(number)
      connectedEpoch = epoch
      take(.keeperConnected(number))
    }
  }

  private func prepare(_ assignment: Assignment, _ number: Int64) {
    let place = PodPlace(
      node: name, address: "10.0.0.\(index + 1)",
      capacity: NodeCapacity(cpuMillicores: Self.milliCPU, memoryBytes: 8 << 30, pods: 20),
      podDirectory: "/pods/\(assignment.attempt)", volumes: [:])
    do {
      let plan = try PodPlanner.plan(assignment, place: place)
      fromDisk(world.pick(50...20_000), .prepared(assignment.attempt, number: number, plan))
    } catch {
      later(
        world.pick(50...20_000),
        .preparationFailed(
          assignment.attempt, number: number, container: error.container, reason: error.reason,
          message: error.message, retryable: true))
    }
  }

  private func prepareAddition(_ assignment: Assignment, _ name: String, _ number: Int64) {
    let place = PodPlace(
      node: self.name, address: "10.0.0.\(index + 1)",
      capacity: NodeCapacity(cpuMillicores: Self.milliCPU, memoryBytes: 8 << 30, pods: 20),
      podDirectory: "/pods/\(assignment.attempt)", volumes: [:])
    guard let container = try? PodPlanner.addition(name, to: assignment, place: place) else { return }
    fromDisk(world.pick(50...20_000), .additionPrepared(assignment.attempt, number: number, container))
  }

  private func setWake(_ time: BootTime?) {
    wakeOrder += 1
    guard let time else { return }
    let order = wakeOrder
    let current = epoch
    world.after(clocks.machine.trueDelay(until: time, world)) { [self] in
      if epoch == current, wakeOrder == order { take(.timer) }
    }
  }
}

extension AgentEffect {
  /// Its first words.
  fileprivate var brief: String { String("\(self)".prefix(60)) }
}
