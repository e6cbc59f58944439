// The keeper process: one loop, KeeperCore.step, effects. Owns the pods' processes, the journal, the death timer and
// the socket for its agent. It outlives agents; its own death takes the pods along (K4).

import AgentCore
import CLinux
import ClusterIO
import ClusterProto
import Glibc

/// Settings of `stint keeper`.
package struct KeeperOptions: Sendable {
  /// The agent's data directory.
  package var data: String
  /// The user that pods run as; nil: the keeper's own.
  package var podUser: String?
  /// A frozen pod is killed after so many ms.
  package var frozenKillMilliseconds: Int64 = 600_000
  /// Bytes of log kept for a container; the oldest go beyond it.
  package var logLimit = LogFile.usualLimit
  /// A keeper with no agent, pods and unacknowledged reports leaves after this.
  package var idleExitMilliseconds: Int64 = 60_000
  /// A keeper whose data directory was deleted, or moved away from its path, for so long ends its pods and itself.
  package var lostDirectoryMilliseconds: Int64 = 30_000
  /// The start waits for so long for a former keeper's pods to die; those that live on are its concern.
  package var sweepMilliseconds: Int32 = 5_000
  /// Freeze by cgroup where this machine can; false: always by SIGSTOP.
  package var usesCgroups = true

  /// A keeper of this data directory.
  package init(data: String) { self.data = data }
}

/// Runs a keeper until it has nothing left to keep.
package final class KeeperHost {
  private let loop: EventLoop
  private let paths: NodePaths
  private let lock: FileLock
  private let journal: JournalWriter
  private var core: KeeperCore
  private let storage: PodStorage
  private var surroundings: PodSurroundings
  private var cgroups: CgroupPool?
  private let limits: LimitPool
  /// Why no pod can be started here; nil: they can.
  private var obstacle: String?
  private var runners: [AttemptNumber: PodRunner] = [:]
  private var link: FrameLink?
  private var reports: ReportBatch?
  private var execs: KeeperExecSocket?
  private var checks: CheckRunner?
  private var listener: Listener?
  private var signals: Signals?
  private var timer: LoopTimer?
  private let queue = StepQueue<KeeperEvent>()
  private var isDone = false
  private let remains: StartRemains
  private let probe: SandboxProbe
  /// When the process leaves whatever the disk does.
  private var exitTimer: LoopTimer?
  /// Strikes when no pod has ended for a while: then roots are not kept for the next one.
  private var rootTimer: LoopTimer?
  private static let rootNanoseconds: Int64 = 5_000_000_000
  private static let exitNanoseconds: Int64 = 2_000_000_000
  /// Above every number of a `journal` effect.
  private static let lastWrite = Int64.max

  /// Runs until done; the process' exit status. Prints why it cannot start.
  package static func run(_ options: KeeperOptions) -> Int32 {
    seal()
    do throws(IOError) {
      let host = try KeeperHost(options)
      try host.loop.run(until: { host.isDone })
      host.storage.stop()
      host.cgroups?.remove()
      host.limits.remove()
      HostLog.flush()
      return 0
    } catch {
      HostLog.error("keeper: \(error)")
      // To the agent that waits for it: a full disk takes no line of the keeper's log.
      _ = Glibc.write(STDOUT_FILENO, "\(error)", "\(error)".utf8.count)
      HostLog.flush()
      return 1
    }
  }

  /// Containers of images begin as clones of this process: they must not be able to change its program. Where that
  /// cannot be had, none of them is started (`PodStorage`).
  private static func seal() {
    guard geteuid() == 0, stint_is_sealed() == 0 else { return }
    let words = CommandLine.arguments.map { strdup($0) } + [nil]
    _ = words.withUnsafeBufferPointer { stint_seal($0.baseAddress) }
    HostLog.line("keeper: containers of images are not started: \(IOError.last("seal this program"))")
    for word in words { free(word) }
  }

  private init(_ options: KeeperOptions) throws(IOError) {
    paths = NodePaths(data: options.data)
    try Files.makeDirectory(options.data)
    lock = try Self.lock(paths)
    Signals.ignoreBrokenPipes()
    loop = try EventLoop()
    ProcessMemory.releaseAfterStart(of: loop)
    let user = try PodUser.named(options.podUser)
    // Former pods are dead before anything of ours can start, and before we say who we are.
    let sweep = try PodSweep.run(directory: options.data, timeoutMilliseconds: options.sweepMilliseconds)
    if !sweep.killed.isEmpty { HostLog.line("keeper: ended \(sweep.killed.count) pods of a former keeper") }
    let records = KeeperJournal.read(path: paths.keeperJournal)
    journal = try JournalWriter(try KeeperJournal(path: paths.keeperJournal, keeping: records))
    let identity = Hexadecimal.text(try Crypto.randomBytes(16))
    let register = try KeeperHost.register(identity, data: options.data)
    remains = StartRemains(
      living: sweep.living, sweptKeepers: register.entry.sweptKeepers, paths: paths, records: records,
      registerPath: options.data + "/keepers", registerBytes: register.bytes)
    let rootDirectory = options.data + "/root"
    try Files.makeDirectory(rootDirectory)
    storage = try PodStorage(paths: paths, rootDirectory: rootDirectory, user: user, logLimit: options.logLimit)
    let marker = try PodMarker(directory: options.data)
    let deadlines = try DeadlineTable()
    probe = SandboxProbe(loop: loop, deadlines: deadlines, user: user)
    let sandbox = try probe.run()
    surroundings = PodSurroundings(
      loop: loop, isolation: sandbox.isolation, marker: marker, user: user, storage: storage,
      home: user?.home ?? PodUser.home(of: geteuid()), deadlines: deadlines)
    obstacle = sandbox.works ? nil : sandbox.detail
    if sandbox.isolation == .namespaces, options.usesCgroups {
      LimitPool.removeRemains()
      cgroups = try? CgroupPool(name: Self.poolName(identity))
    }
    limits = LimitPool(name: Self.poolName(identity), isUsed: sandbox.isolation == .namespaces && options.usesCgroups)
    var configuration = KeeperConfiguration()
    configuration.frozenKillMilliseconds = options.frozenKillMilliseconds
    configuration.idleExitMilliseconds = options.idleExitMilliseconds
    configuration.initLookMilliseconds = PodDeadline.lookMilliseconds
    core = KeeperCore(
      KeeperStart(
        keeper: identity, directory: register.entry.mark, sweptKeepers: remains.provenKeepers,
        fencesFully: sandbox.works, fencingDetail: sandbox.detail, records: records, concern: remains.concern,
        limits: limits.abilities),
      configuration: configuration)
    MemoryPressure.spareKeeper()
    // A pod costs about six descriptors; the usual soft limit of 1024 would end at 170 pods.
    DescriptorLimit.raise()
    try begin(options)
  }

  private func begin(_ options: KeeperOptions) throws(IOError) {
    timer = loop.makeTimer { [unowned self] in handle(.timer) }
    reports = ReportBatch(loop: loop) { [unowned self] reports in link?.send(KeeperReply.reports(reports).json) }
    try storage.attach(to: loop) { [unowned self] word in hear(word) }
    rootTimer = loop.makeTimer { [unowned self] in storage.dropFreeRoots() }
    exitTimer = loop.makeTimer { [unowned self] in isDone = true }
    try journal.attach(to: loop) { [unowned self] outcome in
      if outcome.number == Self.lastWrite { isDone = true } else { handle(journaled(outcome)) }
    }
    signals = try Signals(loop: loop, [SIGTERM, SIGINT]) { [unowned self] _ in
      handle(.request(.shutDown(graceMilliseconds: 30_000)))
    }
    listener = try Listener(loop: loop, at: .unix(path: paths.keeperSocket)) { [unowned self] connection in
      accept(connection)
    }
    checks = CheckRunner(loop: loop) { [unowned self] in handle(.checked($0, $1, $2)) }
    execs = try KeeperExecSocket(loop: loop, path: paths.execSocket) { [unowned self] event in handle(event) }
    try DirectoryWatch.begin(
      loop: loop, path: options.data, patienceMilliseconds: options.lostDirectoryMilliseconds
    ) { [unowned self] in
      HostLog.line("keeper: \(options.data) was deleted or moved away: its pods end, and so does this keeper")
      handle(.request(.shutDown(graceMilliseconds: 30_000)))
    }
    try remains.settle(on: loop) { [unowned self] remains in
      HostLog.line("keeper: \(remains.concern.isEmpty ? "what its start had left open is settled" : remains.concern)")
      handle(.startSettled(sweptKeepers: remains.provenKeepers, concern: remains.concern))
    }
    // Arms the exit of a keeper that nobody ever talks to.
    handle(.timer)
    if let obstacle {
      HostLog.error("keeper: ready, but \(obstacle)")
    } else {
      HostLog.line("keeper: ready, \(surroundings.isolation == .namespaces ? "namespaces" : "bubblewrap")")
    }
  }

  /// This keeper's entry in DATA/keepers (the directory's mark, whom a whole sweep speaks for), and the file with it.
  private static func register(
    _ keeper: String, data: String
  ) throws(IOError) -> (entry: KeeperRegister.Entry, bytes: [UInt8]) {
    let path = data + "/keepers"
    let directory = try DirectoryIdentity(path: data)
    let place = KeeperPlace(
      directory: directory.text, isLasting: directory.isLasting,
      bootID: try Files.readLine("/proc/sys/kernel/random/boot_id"),
      sight: "\(try ProcessIdentity.namespace())/\(geteuid())")
    var register = KeeperRegister()
    if let bytes = try? Files.read(path, limit: registerLimit), let json = try? JSON(parsing: bytes) {
      register = KeeperRegister(json: json)
    } else if (try? Files.status(path, followLinks: false)) != nil {
      HostLog.error(
        "keeper: \(path) cannot be read: this keeper proves nothing about the pods of the ones before it. The "
          + "coordinator refuses this node until their leases are over")
    }
    let entry = register.enter(keeper, at: place, freshMark: Hexadecimal.text(try Crypto.randomBytes(16)))
    if entry.isForeign {
      HostLog.line(
        "keeper: \(data) was moved or copied here: this keeper proves nothing about pods that were left elsewhere. "
          + "They end by their own leases; until then the coordinator refuses this node")
    }
    return (entry, Array(register.json.text.utf8))
  }

  private static let registerLimit = 1 << 20

  private static func lock(_ paths: NodePaths) throws(IOError) -> FileLock {
    do throws(IOError) {
      return try FileLock(path: paths.keeperLock)
    } catch {
      throw error.code == EWOULDBLOCK ? error : error.advising(IOError.clearance)
    }
  }

  /// Control groups are named after the keeper that made them.
  private static func poolName(_ keeper: String) -> String { "stint-" + String(keeper.prefix(12)) }

  private func accept(_ connection: Connection) {
    link?.close()
    reports?.clear()
    connection.outputLimit = 64 << 20
    let next = FrameLink(connection)
    link = next
    next.onMessage = { [unowned self, weak next] message in
      // What an agent of before still says must not follow the newer one's word.
      guard link === next else { return }
      do throws(MessageError) {
        handle(.request(try KeeperRequest(json: message)))
      } catch {
        HostLog.line("keeper: a request is not understood: \(error)")
      }
    }
    next.onClosed = { [unowned self, weak next] _ in
      guard link === next else { return }
      link = nil
      reports?.clear()
      handle(.agentDisconnected)
    }
    handle(.agentConnected)
  }

  /// Steps the core.
  private func handle(_ event: KeeperEvent) {
    queue.enter(event) { event, now in for effect in core.step(event, at: now) { perform(effect) } }
  }

  private func perform(_ effect: KeeperEffect) {
    switch effect {
    case .journal(let records, let number): journal.append(records, number: number)
    case .rewriteJournal(let records): journal.rewrite(records)
    case .startPod(let attempt, let plan, let deadline): startPod(attempt, plan, deadline)
    case .moveDeadlines(let deadlines):
      for (attempt, deadline) in deadlines { runners[attempt]?.moveDeadline(to: deadline) }
    case .startContainer(let run, let container): runners[run.attempt]?.start(run, container)
    case .signal(let run, let number): runners[run.attempt]?.signal(run, number)
    case .killPod(let attempt):
      if let runner = runners[attempt] { runner.kill() } else { handle(.podGone(attempt)) }
    case .freezePod(let attempt): runners[attempt]?.freeze()
    case .thawPod(let attempt): runners[attempt]?.thaw()
    case .startExec(let number, let run, let arguments, let terminal):
      startExec(number, run, arguments, terminal)
    case .killExec(let number, let attempt): runners[attempt]?.killExec(number)
    case .startCheck(let number, let run, let check):
      checks?.begin(number, run, check, in: runners[run.attempt])
    case .endCheck(let number, let attempt):
      checks?.end(number)
      runners[attempt]?.killExec(CheckRunner.execNumber(number))
    case .answerExec(let number, let reply): execs?.answer(number, reply)
    case .giveInput(let number, let run, let input):
      execs?.answer(number, .input(input), passing: runners[run.attempt]?.takeInput(run, input) ?? -1)
    case .reply(let reply): say(reply)
    case .endAgentConnection: link?.close()
    case .measure: handle(.measured(runners.keys.sorted().compactMap { runners[$0]?.usage() }))
    case .measureStorage(let attempt, let limits, let runs): storage.measure(attempt, limits, runs)
    case .probeSandbox: probe.begin { [unowned self] in take($0) }
    case .armDeathTimer(let time): armDeathTimer(time)
    case .log(let line): HostLog.line("keeper: \(line)")
    case .wake(let time): timer?.arm(at: time.map { $0.nanoseconds })
    case .exit:
      reports?.flush()
      link?.close(afterFlush: true)
      // What was recorded outlives us, if the disk lets it.
      journal.reach(Self.lastWrite)
      exitTimer?.arm(at: Clocks.boot() + Self.exitNanoseconds)
    }
  }

  /// An inventory ends with no reports: those before it must not come after that.
  private func say(_ reply: KeeperReply) {
    if case .reports(let news) = reply, !news.isEmpty {
      for report in news { reports?.add(report) }
    } else {
      reports?.flush()
      link?.send(reply.json)
    }
  }

  private func journaled(_ outcome: JournalWriter.Outcome) -> KeeperEvent {
    if let error = outcome.error {
      HostLog.line("keeper: the journal cannot be written, no pod is started until it can: \(error)")
    }
    return .journaled(outcome.number, error: outcome.error)
  }

  private func hear(_ word: PodStorage.Word) {
    switch word {
    case .room(let run), .unprepared(let run, _), .closed(let run, _): runners[run.attempt]?.take(word)
    case .measured(let attempt, let usage): handle(.storageMeasured(attempt, usage))
    case .prepared(let run, let preparation):
      if let runner = runners[run.attempt] { runner.take(word) } else { storage.discard(preparation) }
    }
  }

  private func startPod(_ attempt: AttemptNumber, _ plan: PodPlan, _ deadline: BootTime) {
    if let obstacle { return handle(.podStartFailed(attempt, message: obstacle)) }
    var limited: LimitedPod?
    var cgroup: PodCgroup?
    do throws(IOError) {
      limited = try limitedPod(plan)
      if surroundings.isolation == .namespaces, limited?.cgroup == nil { cgroup = try? cgroups?.take() }
      let runner = try PodRunner(
        attempt, plan: plan, deadline: deadline, surroundings: surroundings, cgroup: limited?.cgroup ?? cgroup,
        limited: limited
      ) { [unowned self] event in
        if case .execTold(let number, let word) = event, let check = CheckRunner.check(of: number) {
          checks?.told(check, word)
        } else {
          handle(event)
        }
      }
      runners[attempt] = runner
      runner.watchEnd { [unowned self] message in
        runners[attempt] = nil
        rootTimer?.arm(at: Clocks.boot() + Self.rootNanoseconds)
        checks?.forget(attempt)
        if let cgroup { cgroups?.giveBack(cgroup) }
        if let limited { limits.giveBack(limited) }
        guard !message.isEmpty else { return handle(.podGone(attempt)) }
        let said = "bubblewrap: \(message.split(separator: "\n").joined(separator: ", "))"
        HostLog.line("keeper: attempt \(attempt): \(said)")
        handle(.podStartFailed(attempt, message: said))
      }
      handle(.podStarted(attempt))
    } catch {
      if let cgroup { cgroups?.giveBack(cgroup) }
      if let limited { limits.giveBack(limited) }
      handle(.podStartFailed(attempt, message: error.description))
    }
  }

  private func startExec(_ number: ExecNumber, _ run: ContainerRun, _ arguments: [String], _ terminal: TerminalSize?) {
    let streams = execs?.takeStreams(of: number) ?? []
    guard let runner = runners[run.attempt], !streams.isEmpty else {
      for descriptor in streams { close(descriptor) }
      return handle(.execTold(number, .failed(.gone, containerEnded: true)))
    }
    runner.startExec(number, run, arguments, terminal, streams: streams)
  }

  /// Only a pod that is to be held to something that this machine can hold it to has cgroups for it.
  private func limitedPod(_ plan: PodPlan) throws(IOError) -> LimitedPod? {
    guard surroundings.isolation == .namespaces, let own = plan.limits else { return nil }
    let containers = (plan.initContainers + plan.containers).compactMap(\.limits)
    guard ([own] + containers).contains(where: { limits.bounds($0) }) else { return nil }
    return try limits.take(own, containers: containers)
  }

  private func take(_ answer: SandboxProbe.Answer) {
    surroundings.isolation = answer.isolation
    obstacle = answer.works ? nil : answer.detail
    handle(.sandboxProbed(works: answer.works, detail: answer.detail))
  }

  private func armDeathTimer(_ time: BootTime?) {
    let result = time.map { stint_death_timer_arm($0.nanoseconds) } ?? stint_death_timer_disarm()
    guard result != 0 else { return }
    HostLog.line("keeper: the kernel timer cannot be armed, stopping: \(IOError.text(errno))")
    HostLog.flush()
    exit(1)
  }
}

extension BootTime {
  /// For the kernel's clocks; saturates.
  var nanoseconds: Int64 {
    let (result, overflow) = milliseconds.multipliedReportingOverflow(by: 1_000_000)
    return overflow ? Int64.max : result
  }
}
