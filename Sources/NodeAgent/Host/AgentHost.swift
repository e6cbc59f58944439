// The agent process: one loop, AgentCore.step, effects; volumes on a worker thread. Owns the two connections and log
// streams. Pods are the keeper's: this process may die and come back at any time.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc

/// Runs an agent until it is told to stop.
package final class AgentHost {
  private let options: AgentOptions
  private let addresses: CoordinatorAddresses
  private var troubles: ConnectionTroubles
  /// Of the latest connection that was asked for.
  private var number: ConnectionNumber = 0
  /// The cluster that the last connection was to.
  private var cluster = ""
  private let loop: EventLoop
  private let names: NameResolver
  private let paths: NodePaths
  private let lock: FileLock
  private let disk: DiskProbe
  private var core: AgentCore
  private let worker: PreparationWorker
  private var statuses: [AttemptNumber: PodStatus] = [:]
  private var frozen: Set<AttemptNumber> = []
  /// Attempts told since a keeper's hello, while its first inventory comes; nil afterwards.
  private var inventory: Set<AttemptNumber>?
  private var keeper: FrameLink?
  private var keeperWatch: KeeperWatch?
  private var launcher: KeeperLauncher?
  private var coordinator: CoordinatorLink?
  private let logs: LogStreams
  private lazy var streams = PodStreams(loop: loop, paths: paths, logs: logs)
  /// nil: containers run the host's programs.
  private var images: AgentImageHost?
  private var signals: Signals?
  private var timer: LoopTimer?
  private let queue = StepQueue<AgentEvent>()
  private var isDone = false
  /// The data directory is no longer where it was.
  private var isLost = false
  private let identity: AgentIdentity
  private var leanSpec = LeanSpec()

  /// Runs until done; the process' exit status. Says why it cannot start.
  package static func run(_ options: AgentOptions) -> Int32 {
    do throws(IOError) {
      MemoryPressure.offerAgent()
      // Each log that is read costs a file and a connection. The keeper asks for the same: pods see no difference.
      DescriptorLimit.raise()
      let host = try AgentHost(options)
      host.handle(.started)
      host.images?.tell()
      options.onStart()
      try host.loop.run(until: { host.isDone })
      host.worker.stop()
      host.images?.stop()
      HostLog.flush()
      return host.isLost ? 1 : 0
    } catch {
      HostLog.error("agent: \(error)")
      HostLog.flush()
      return 1
    }
  }

  private init(_ options: AgentOptions) throws(IOError) {
    self.options = options
    let given = try options.coordinators.map { text throws(IOError) in
      guard let address = SocketAddress(parsing: text) else {
        throw IOError(operation: "coordinator's address", subject: text, message: "not HOST:PORT")
      }
      return address
    }
    paths = NodePaths(data: options.data)
    lock = try Self.open(paths, authority: options.authority)
    Signals.ignoreBrokenPipes()
    addresses = CoordinatorAddresses(given: given, paths: paths)
    troubles = ConnectionTroubles(advice: ForeignAuthority.advice(options))
    try Admission.admit(options, paths: paths, addresses: addresses.all)
    let memory = try AgentMemory(path: paths.memory)
    let facts = try MachineFacts.read(fallbackMachineID: memory.machineID)
    let configuration = try Self.configuration(options, facts: facts, memory: memory, paths: paths)
    loop = try EventLoop()
    ProcessMemory.releaseAfterStart(of: loop)
    core = AgentCore(configuration: configuration, seed: try Self.seed())
    // Signals are blocked before the worker's thread starts, which inherits the block.
    var handler: (Int32) -> Void = { _ in }
    signals = try Signals(loop: loop, [SIGTERM, SIGINT, SIGHUP, SIGUSR1]) { handler($0) }
    worker = try PreparationWorker(
      paths: paths, node: options.name, address: configuration.address,
      capacity: configuration.capacity, user: try PodUser.named(options.podUser),
      podProcesses: options.podProcesses)
    names = try NameResolver(loop: loop)
    identity = try AgentIdentity(
      loop: loop, names: names, options: options, paths: paths, worker: worker, addresses: addresses)
    logs = try LogStreams(loop: loop, paths: paths)
    disk = try DiskProbe(paths: paths, memory: memory)
    handler = { [unowned self] number in
      handle(number == SIGUSR1 ? .shutDownRequested(graceMilliseconds: 30_000) : .stopRequested)
    }
    timer = loop.makeTimer { [unowned self] in handle(.timer) }
    try worker.attach(to: loop) { [unowned self] event in handle(event) }
    if options.images.mode == .on {
      images = try AgentImageHost(paths: paths, options.images, loop: loop) { [unowned self] event in handle(event) }
    }
    identity.send = { [unowned self] message in coordinator?.send(message) }
    identity.onMoved = { [unowned self] in
      guard let link = coordinator else { return }
      HostLog.line("agent: connecting anew, to show the certificate of the other authority")
      link.onClosed = nil
      link.close()
      coordinator = nil
      handle(.coordinatorClosed(number))
    }
    try disk.attach(to: loop) { [unowned self] answer in handle(.diskAnswered(answer.number, room: answer.room)) }
    try DirectoryWatch.begin(
      loop: loop, path: paths.agentLock, patienceMilliseconds: options.lostDirectoryMilliseconds,
      doubted: { [unowned self] in worker.isDisplaced = $0 }
    ) { [unowned self] in leaveLostDirectory() }
  }

  private func prepare(_ assignment: Assignment, _ number: Int64, _ records: [String: ImageRecord]) {
    let placed = images?.placed(records) ?? [:]
    if placed.count < records.count {
      // Somebody removed it by hand since it was found: the attempt asks for it anew.
      return handle(
        .preparationFailed(
          assignment.attempt, number: number, container: "", reason: "CreateContainerError",
          message: "an image of the pod was removed from the node", retryable: true))
    }
    if let event = worker.prepare(assignment, number: number, images: placed) { handle(event) }
  }

  private func prepareAddition(
    _ assignment: Assignment, _ container: String, _ number: Int64, _ records: [String: ImageRecord]
  ) {
    guard let placed = images?.placed(records) ?? (records.isEmpty ? [:] : nil) else {
      return handle(
        .preparationFailed(
          assignment.attempt, number: number, container: container, reason: "CreateContainerError",
          message: "the image was removed from the node", retryable: true))
    }
    worker.prepareAddition(assignment, container, number: number, images: placed)
  }

  /// The data directory, as this agent's alone.
  private static func open(_ paths: NodePaths, authority: String?) throws(IOError) -> FileLock {
    do throws(IOError) {
      try Files.makeDirectory(paths.data)
    } catch {
      throw error.advising("give the agent a directory that it may write to with --data")
    }
    try PrivateFiles.refuseShared(paths.data, withContent: false)
    try PrivateFiles.refuseShared(paths.identity, withContent: true)
    if let authority { try PrivateFiles.refuseShared("\(authority)/pki", withContent: true, isForeign: true) }
    if let exposure = PrivateFiles.exposure(of: paths.data) { HostLog.error("agent: \(exposure)") }
    do throws(IOError) {
      let lock = try FileLock(path: paths.agentLock)
      for directory in [paths.pods, paths.logs, paths.tokens] { try Files.makeDirectory(directory) }
      return lock
    } catch {
      throw error.code == EWOULDBLOCK ? error : error.advising(IOError.clearance)
    }
  }

  private static func seed() throws(IOError) -> UInt64 {
    try Crypto.randomBytes(8).reduce(0) { $0 << 8 | UInt64($1) }
  }

  private static func configuration(
    _ options: AgentOptions, facts: MachineFacts, memory: AgentMemory, paths: NodePaths
  ) throws(IOError) -> AgentConfiguration {
    var capacity = NodeCapacity(
      cpuMillicores: options.cpuMillicores ?? Int64(facts.processors) * 1000,
      memoryBytes: options.memoryBytes ?? Int64(clamping: facts.memory), pods: options.pods,
      extended: options.devices.map { ResourceAmount(name: $0.name, amount: $0.count) })
    let room = DiskProbe.room(paths.data)
    capacity.storageBytes = room.map { Int64(clamping: $0.totalBytes) }
    if let reserved = options.reserved { capacity = try reserved.rest(of: capacity) }
    let info: JSON = [
      "machineID": .string(facts.machineID),
      "systemUUID": .string(facts.hardwareID.isEmpty ? facts.machineID : facts.hardwareID),
      "bootID": .string(facts.bootID),
      "kernelVersion": .string(facts.kernelRelease), "osImage": .string(facts.osImage),
      "containerRuntimeVersion": .string(options.images.mode.runtimeVersion(options.version)),
      "kubeletVersion": .string(options.version),
      "kubeProxyVersion": "", "operatingSystem": "linux", "architecture": .string(facts.architecture),
    ]
    var configuration = AgentConfiguration(
      node: options.name, machineID: facts.machineID, bootID: facts.bootID, agentVersion: options.version,
      capacity: capacity, labels: options.labels, address: options.nodeIP ?? "", info: info)
    configuration.hardwareID = facts.hardwareID
    configuration.highestIncarnation = memory.highestIncarnation
    configuration.incarnationMark = memory.incarnationMark
    configuration.rememberedCluster = memory.cluster
    configuration.images = options.images
    configuration.devices = options.devices
    configuration.reserved = options.reserved
    configuration.images.hasOneUser = options.podUser != nil
    configuration.eviction = options.eviction
    configuration.pressures = memory.pressures(inBoot: facts.bootID)
    // The first heartbeat has to say it: pods would be assigned until the second.
    configuration.diskRoom = room
    configuration.retainedLogs = try Files.list(paths.logs).compactMap { Int64($0) }.sorted()
    return configuration
  }

  /// Steps the core.
  private func handle(_ event: AgentEvent) {
    queue.enter(event) { event, now in for effect in core.step(event, at: now) { perform(effect) } }
  }

  private func perform(_ effect: AgentEffect) {
    switch effect {
    case .connectKeeper(let number): connectKeeper(number, launches: true)
    case .findKeeper(let number): connectKeeper(number, launches: false)
    case .keeper(let request):
      if case .acknowledge(let attempts) = request { for attempt in attempts { forget(attempt) } }
      keeper?.send(request.lean(&leanSpec).json)
    case .connectCoordinator(let number): connectCoordinator(number)
    case .disconnectCoordinator(let failure):
      identity.forget()
      if let failure {
        if let address = coordinator?.address { addresses.failed(address, atOnce: false) }
        identity.failed(isNotWanted: false, isRoundOver: addresses.isRoundOver)
        failed(at: coordinator?.address, .unreachable, failure)
      }
      coordinator?.onClosed = nil
      coordinator?.close()
      coordinator = nil
    case .send(let message): coordinator?.send(message.json)
    case .prepare(let assignment, let number, let records): prepare(assignment, number, records)
    case .prepareAddition(let assignment, let container, let number, let records):
      prepareAddition(assignment, container, number, records)
    case .writeTokens(let attempt, let tokens): worker.write(tokens, of: attempt)
    case .cleanUp(let attempt): worker.cleanUp(attempt)
    case .cleanUpExcept(let attempts): worker.cleanUpExcept(attempts)
    case .deleteLogs(let attempts): worker.deleteLogs(attempts)
    case .removeVolumes(let volumes): worker.removeVolumes(volumes)
    case .serveLogs(let request): serve(request)
    case .serveStream(let request): serve(request)
    case .remember(let incarnation, let mark): disk.remember(incarnation: incarnation, mark: mark, cluster: cluster)
    case .rememberPressures(let pressures): disk.remember(pressures: pressures)
    case .pullImage(let number, let reference, let credentials): images?.pull(number, reference, credentials)
    case .cancelPull(let number): images?.cancel(number)
    case .removeImage(let id): images?.remove(id)
    case .probeDisk(let number): disk.probe(number)
    case .measureNode: handle(.nodeMeasured(UsageReader.machine()))
    case .readMachine:
      handle(.machineRead(UsageReader.room().map { MachineRoom(memory: $0.memory, processes: $0.processes) }))
    case .log(let line): HostLog.line("agent: \(line)")
    case .wake(let time): timer?.arm(at: time.map { $0.nanoseconds })
    case .exit:
      coordinator?.close(afterFlush: true)
      keeper?.close(afterFlush: true)
      loop.atTurnEnd { [unowned self] in isDone = true }
      loop.requestTurn()
    }
  }

  /// What is at the path now is another agent's, or nobody's: its socket and its name are not ours to use.
  private func leaveLostDirectory() {
    guard !isLost else { return }
    isLost = true
    HostLog.line(
      "agent: \(paths.agentLock) is not the file any more that this agent locked: its data directory was moved away, "
        + "deleted or replaced. This agent ends; its keeper ends the pods unless an agent is started on the directory "
        + "where it is now")
    handle(.stopRequested)
  }

  private func connectKeeper(_ number: ConnectionNumber, launches: Bool) {
    // Whoever listens there would be another directory's. There is no keeper now, so waiting for a disk costs nothing.
    guard lock.isInPlace else { return leaveLostDirectory() }
    closeKeeper()
    launcher?.cancel()
    var arguments = [
      "--data", options.data, "--frozen-kill", "\(options.frozenKillMilliseconds)ms", "--log-limit",
      "\(options.logLimit)",
    ]
    if let user = options.podUser { arguments += ["--pod-user", user] }
    launcher = KeeperLauncher(
      loop: loop, paths: paths, arguments: launches ? arguments : nil
    ) { [unowned self] connection, reason in
      guard let connection else { return handle(.keeperLost(number, reason: reason)) }
      let link = FrameLink(connection)
      keeper = link
      link.onMessage = { [unowned self] message in receive(message, number) }
      link.onClosed = { [unowned self] reason in handle(.keeperLost(number, reason: reason)) }
      keeperWatch = KeeperWatch(loop: loop, connection: connection) { [unowned self] reason in
        closeKeeper()
        handle(
          .keeperLost(
            number,
            reason: "\(reason). Nothing is claimed about its pods: what ran is replaced when their leases and "
              + "tolerations are over. A new keeper starts once that process is gone"))
      }
      handle(.keeperConnected(number))
    }
  }

  private func closeKeeper() {
    keeperWatch?.end()
    keeperWatch = nil
    keeper?.onClosed = nil
    keeper?.close()
    keeper = nil
  }

  private func receive(_ message: JSON, _ number: ConnectionNumber) {
    do throws(MessageError) {
      let reply = try KeeperReply(json: message)
      note(reply)
      handle(.keeper(number, reply))
    } catch {
      HostLog.line("agent: a word of the keeper is not understood: \(error)")
    }
  }

  /// Keeps what is needed to tell whether a log may still grow. Another keeper's first inventory replaces all.
  private func note(_ reply: KeeperReply) {
    switch reply {
    case .hello: inventory = []
    case .shortened, .concern, .proven, .limits, .devices, .usage, .events, .relief: break
    case .reports(let reports):
      for report in reports {
        statuses[report.attempt] = report.status
        if report.frozen { frozen.insert(report.attempt) } else { frozen.remove(report.attempt) }
      }
      guard let known = inventory else { return }
      inventory = reports.isEmpty ? nil : known.union(reports.map(\.attempt))
      if reports.isEmpty {
        statuses = statuses.filter { known.contains($0.key) }
        frozen.formIntersection(known)
      }
    }
  }

  private func forget(_ attempt: AttemptNumber) {
    statuses[attempt] = nil
    frozen.remove(attempt)
  }

  private func connectCoordinator(_ number: ConnectionNumber) {
    self.number = number
    coordinator?.onClosed = nil
    coordinator?.close()
    coordinator = nil
    identity.use { [unowned self] found in
      switch found {
      case .success(let tls): open(number, tls)
      case .failure(let failure):
        self.failed(at: nil, failure.isFinal ? .refused : .unreachable, failure.reason)
        handle(.coordinatorClosed(number, isFinal: failure.isFinal))
      }
    }
  }

  private func open(_ number: ConnectionNumber, _ tls: TLSContext) {
    guard let address = addresses.next() else {
      failed(at: nil, .unreachable, "no address of a coordinator is known")
      return handle(.coordinatorClosed(number))
    }
    let link = CoordinatorLink(loop: loop, names: names, address: address, tls: tls, role: .agent)
    coordinator = link
    link.onOpen = { [unowned self, unowned link] result in
      cluster = result.cluster
      keepAddress(address)
      if options.nodeIP == nil, let own = link.localHost {
        worker.address = own
        handle(.addressFound(own))
      }
      handle(.clusterFound(result.cluster))
      handle(.coordinatorOpened(number))
    }
    var (hasAnswered, refusal): (Bool, ProtocolError?) = (false, nil)
    link.onMessage = { [unowned self] message in
      do throws(MessageError) {
        if ProtocolError(json: message) != nil { return }
        if let renewal = try RenewAnswer(json: message) { return identity.take(renewal) }
        if let notice = try AuthorityNotice(json: message) { return identity.take(notice) }
        if let notice = try CoordinatorsNotice(json: message) { return take(notice) }
        let word = try CoordinatorMessage(json: message)
        if case .answer = word, !hasAnswered {
          hasAnswered = true
          reached(address)
        }
        handle(.coordinator(number, word))
      } catch {
        HostLog.line("agent: a word of the coordinator is not understood: \(error)")
      }
    }
    link.onRefused = { refusal = $0 }
    link.onClosed = { [unowned self, unowned link] reason in
      let isRefused = closed(link, refusal, refusal?.message ?? reason)
      handle(.coordinatorClosed(number, isFinal: isRefused && !hasAnswered))
    }
  }

  /// A session stands.
  private func reached(_ address: SocketAddress) {
    HostLog.line("agent: connected to the coordinator at \(address), cluster \(cluster)")
    troubles.reached()
    identity.taken()
  }

  /// Whether no other try will end otherwise. `refusal`: the coordinator's answer to who this agent is.
  private func closed(_ link: CoordinatorLink, _ refusal: ProtocolError?, _ reason: String) -> Bool {
    let isRefused = refusal?.code == .unauthorized
    addresses.failed(link.address, atOnce: true)
    let isNotWanted = isRefused || link.distrust != nil
    identity.failed(isNotWanted: isNotWanted, isRoundOver: addresses.isRoundOver)
    if isNotWanted, identity.hasAnother { return false }
    if let distrust = link.distrust {
      // By the token that it was given for that.
      if identity.distrusted() { return false }
      failed(at: link.address, .foreign, distrust)
      return troubles.areForeign(among: addresses.all.map(\.description))
    }
    let place = isRefused ? " (this agent's data directory is \(paths.data))" : ""
    failed(at: link.address, refusal == nil ? .unreachable : .refused, reason + place)
    return isRefused
  }

  /// `address` nil: what keeps the agent from all of them.
  private func failed(at address: SocketAddress?, _ kind: ConnectionTroubles.Kind, _ reason: String) {
    let line = troubles.failed(
      address?.description ?? ConnectionTroubles.everywhere, kind, reason, among: addresses.all.map(\.description),
      at: BootTime(milliseconds: Clocks.boot() / 1_000_000))
    guard let line else { return }
    if kind == .unreachable { HostLog.line("agent: \(line)") } else { HostLog.error("agent: \(line)") }
  }

  /// The coordinator has proven there that it is the cluster's.
  private func keepAddress(_ address: SocketAddress) {
    let token = options.join.flatMap { identity.believed.contains($0.authority) ? $0.addresses : nil } ?? []
    guard let text = addresses.reached(address, also: token) else { return }
    worker.write(text, to: paths.coordinators)
  }

  private func take(_ notice: CoordinatorsNotice) {
    guard let text = addresses.take(notice) else { return }
    let list = text.split(separator: "\n").joined(separator: ", ")
    HostLog.line("agent: the coordinator says that it is reached at \(list)")
    worker.write(text, to: paths.toldCoordinators)
  }

  private func serve(_ request: LogRequest) {
    guard let tls = identity.tls, let address = addresses.last else { return }
    let link = CoordinatorLink(
      loop: loop, names: names, address: address, tls: tls, role: .logs, stream: request.stream)
    logs.serve(request, link) { [unowned self] in isLive(request.attempt, request.container, restart: $0) }
  }

  private func serve(_ request: PodStreamRequest) {
    guard let tls = identity.tls, let address = addresses.last else { return }
    let link = CoordinatorLink(
      loop: loop, names: names, address: address, tls: tls, role: .stream, stream: request.stream)
    let refusal = PodEntrance.refusal(
      request, status: statuses[request.attempt], isFrozen: frozen.contains(request.attempt))
    streams.serve(request, link, refusal: refusal) { [unowned self] in
      isLive(request.attempt, request.options.container, restart: $0)
    }
  }

  /// Whether that run of the container may still write: the keeper holds the pod, and the run has not ended.
  private func isLive(_ attempt: AttemptNumber, _ name: String, restart: Int64) -> Bool {
    guard let status = statuses[attempt], !status.phase.isTerminal,
      let container = status.allContainers.first(where: { $0.name == name })
    else { return false }
    guard container.restartCount == restart else { return container.restartCount < restart }
    if case .waiting = container.state { return container.lastTermination == nil }
    return container.state.isRunning
  }
}
