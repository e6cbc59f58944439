// Owns: many agents in one process, each a real session of the agent protocol with heartbeats, digests and reports,
// none with a process to run. It must not know what is measured.

import ClusterIO
import ClusterProto
import Coordinator
import Glibc

/// Agents that say that pods run, or at once that they have succeeded.
final class SimulatedFleet {
  /// What becomes of a pod.
  enum Work { case keepsRunning, succeedsAtOnce }

  private(set) var agents: [SimulatedAgent] = []
  private let loop: EventLoop
  private var timer: LoopTimer?
  private var nextAgent = 0
  /// Heartbeats are spread over the second in so many slots.
  private static let slots = 50
  private static let wave = 100

  /// Connects `count` agents; each has its first answer when this returns.
  convenience init(_ cluster: BenchCluster, count: Int, pods: Int64, work: Work) throws {
    let identities = try SimulatedFleet.identities(cluster, (0..<count).map { "simulated-\($0)" })
    try self.init(cluster.loop, identities, pods: pods, work: work)
    guard let address = SocketAddress(parsing: cluster.server) else { throw CommandError("error: no address") }
    // In waves: the coordinator takes only so many connections in their hello.
    for start in stride(from: 0, to: count, by: SimulatedFleet.wave) {
      let part = agents[start..<min(start + SimulatedFleet.wave, count)]
      for agent in part { try agent.connect(loop, address) }
      try FleetBench.turn(cluster, "a wave of agents has sessions") { part.allSatisfy { $0.answers > 0 } }
    }
    startBeating()
  }

  /// Agents with these identities, of which none has connected yet.
  init(_ loop: EventLoop, _ identities: [Identity], pods: Int64, work: Work) throws {
    self.loop = loop
    agents = try identities.map { identity in
      SimulatedAgent(name: identity.node ?? "", pods: pods, tls: try TLSContext(native: identity), work: work)
    }
  }

  /// Of agents of these nodes, issued by the cluster's own authority.
  static func identities(_ cluster: BenchCluster, _ nodes: [String]) throws -> [Identity] {
    try nodes.map { try Identity.issue(node: $0, coordinator: cluster.coordinatorData) }
  }

  /// From now on each agent sends a heartbeat a second.
  func startBeating() {
    timer = loop.makeTimer { [unowned self] in beat() }
    timer?.arm(at: Clocks.boot())
  }

  /// Attempts that were reported running or ended.
  var reported: Int { agents.reduce(0) { $0 + $1.reported } }
  var closed: Int { agents.reduce(0) { $0 + ($1.isClosed ? 1 : 0) } }
  /// The longest that an answer to a heartbeat took, nanoseconds.
  var slowestAnswer: Int64 { agents.reduce(0) { max($0, $1.slowestAnswer) } }

  private func beat() {
    timer?.arm(at: Clocks.boot() + 1_000_000_000 / Int64(SimulatedFleet.slots))
    let end = nextAgent + (agents.count + SimulatedFleet.slots - 1) / SimulatedFleet.slots
    for index in nextAgent..<min(end, agents.count) { agents[index].heartbeat() }
    nextAgent = end >= agents.count ? 0 : end
  }

  func close() {
    timer?.arm(at: nil)
    for agent in agents { agent.close() }
  }
}

/// One session.
final class SimulatedAgent {
  private(set) var answers: Int64 = 0
  private(set) var reported = 0
  private(set) var isClosed = false
  /// The longest that an answer to a heartbeat took, nanoseconds.
  private(set) var slowestAnswer: Int64 = 0
  /// Hears how long each answer to a heartbeat took, nanoseconds.
  var onAnswer: ((Int64) -> Void)?
  /// A connection that closes before its first answer is tried again, as a real agent does.
  var triesAgain = false

  private let name: String
  private let pods: Int64
  private let tls: TLSContext
  private let work: SimulatedFleet.Work
  private var connection: Connection?
  private var retry: LoopTimer?
  private var attempts = 0
  private let handshake = HandshakeClient(role: .agent)
  private var reader = MessageStream()
  private var isOpen = false
  private var isRegistered = false
  private var sequence: Int64 = 0
  private var desired: [AttemptNumber: DesiredAttempt] = [:]
  private var desiredDigest = SetDigest()
  private var inventory: [AttemptNumber: InventoryEntry] = [:]
  private var inventoryDigest = SetDigest()
  private var fullAt: Int64 = 0
  /// The heartbeat whose answer is awaited, and when it was sent.
  private var awaited: (sequence: Int64, sent: Int64)?
  private static let fullEvery: Int64 = 30_000_000_000

  init(name: String, pods: Int64, tls: TLSContext, work: SimulatedFleet.Work) {
    self.name = name
    self.pods = pods
    self.tls = tls
    self.work = work
  }

  func connect(_ loop: EventLoop, _ address: SocketAddress) throws {
    let connection = try Connection.connect(loop: loop, to: address)
    self.connection = connection
    try connection.startTLS(tls)
    connection.onOpen = { [unowned self] in connection.send(MessageWriter.frames(handshake.hello)) }
    connection.onBytes = { [unowned self] bytes in
      do { try take(bytes) } catch { connection.close() }
    }
    connection.onClose = { [weak self] _ in self?.closed(loop, address) }
  }

  private func closed(_ loop: EventLoop, _ address: SocketAddress) {
    guard triesAgain, answers == 0, !isOpen else {
      isClosed = true
      return
    }
    let pause = SimulatedAgent.pause(attempts: attempts)
    attempts += 1
    reader = MessageStream()
    let timer = loop.makeTimer { [unowned self] in
      do { try connect(loop, address) } catch { isClosed = true }
    }
    timer.arm(at: Clocks.boot() + pause)
    retry = timer
  }

  /// A real agent's: twice as long each time, to two seconds, of which chance takes up to half off.
  static func pause(attempts: Int) -> Int64 {
    let whole = min(Int64(2_000_000_000), 100_000_000 << Int64(min(attempts, 8)))
    return Int64.random(in: (whole / 2)...whole)
  }

  func close() {
    triesAgain = false
    retry?.arm(at: nil)
    connection?.close()
  }

  /// The heartbeat of this second.
  func heartbeat() {
    guard isRegistered, !isClosed else { return }
    sequence += 1
    let now = Clocks.boot()
    if awaited == nil { awaited = (sequence, now) }
    var beat = Heartbeat(
      sequence: sequence, echo: answers, desiredDigest: desiredDigest, inventoryDigest: inventoryDigest)
    if now >= fullAt {
      fullAt = now + SimulatedAgent.fullEvery
      beat.inventory = inventory.values.sorted { $0.attempt < $1.attempt }
    }
    send(.heartbeat(beat))
  }

  private func send(_ message: AgentMessage) { connection?.send(MessageWriter.frames(message.json)) }

  private func take(_ bytes: [UInt8]) throws {
    reader.append(bytes)
    while let message = try reader.next() {
      if isOpen {
        if try CoordinatorsNotice(json: message) != nil { continue }
        receive(try CoordinatorMessage(json: message))
        continue
      }
      _ = try handshake.receive(message)
      isOpen = true
      reader.finishHello(messageLimit: MessageLimits.fromCoordinator)
      register()
    }
  }

  private func register() {
    send(
      .register(
        Registration(
          node: name, machineID: name, bootID: name, keeper: name, sweptKeepers: [],
          capacity: NodeCapacity(cpuMillicores: 64_000, memoryBytes: 64 << 30, pods: pods), labels: [:],
          address: "127.0.0.1", info: ["operatingSystem": "linux"], conditions: [], fencesFully: true,
          highestIncarnation: 0, highestAttempt: 0)))
  }

  private func receive(_ message: CoordinatorMessage) {
    switch message {
    case .registered:
      isRegistered = true
      heartbeat()
    case .answer(let answer): take(answer)
    case .assignments(let bodies): accept(bodies)
    case .refused: connection?.close()
    case .logs, .stream, .purge, .tokens, .measure, .removeVolumes: break
    }
  }

  private func take(_ answer: ClusterProto.Answer) {
    answers = answer.number
    if let awaited, answer.sequence >= awaited.sequence {
      let time = Clocks.boot() - awaited.sent
      slowestAnswer = max(slowestAnswer, time)
      onAnswer?(time)
      self.awaited = nil
    }
    if let full = answer.full {
      desired = [:]
      desiredDigest = SetDigest()
      for entry in full { setDesired(entry.attempt, entry) }
    } else {
      for entry in answer.changes { setDesired(entry.attempt, entry) }
      for number in answer.removed { setDesired(number, nil) }
    }
    for number in answer.acknowledged { setInventory(number, nil) }
    if answer.wantsInventory { fullAt = 0 }
    accept(answer.assignments)
    let unknown = desired.values.filter { $0.action == .run && inventory[$0.attempt] == nil }.map(\.attempt)
    if !unknown.isEmpty { send(.fetch(unknown.sorted())) }
  }

  private func setDesired(_ number: AttemptNumber, _ entry: DesiredAttempt?) {
    if let before = desired[number] { desiredDigest.remove(before) }
    desired[number] = entry
    if let entry { desiredDigest.insert(entry) }
  }

  private func setInventory(_ number: AttemptNumber, _ entry: InventoryEntry?) {
    if let before = inventory[number] { inventoryDigest.remove(before) }
    inventory[number] = entry
    if let entry { inventoryDigest.insert(entry) }
  }

  private func accept(_ bodies: [Assignment]) {
    var reports: [AttemptReport] = []
    for body in bodies where inventory[body.attempt] == nil {
      let isOver = work == .succeedsAtOnce
      setInventory(
        body.attempt, InventoryEntry(attempt: body.attempt, revision: 1, terminal: isOver, frozen: false))
      reports.append(
        AttemptReport(attempt: body.attempt, revision: 1, status: status(of: body, isOver: isOver)))
    }
    guard !reports.isEmpty else { return }
    reported += reports.count
    send(.reports(reports))
  }

  /// What a keeper reports of such a pod, conditions included.
  private func status(of body: Assignment, isOver: Bool) -> PodStatus {
    let now = WallTime(nanoseconds: Clocks.now().wall)
    var status = PodStatus()
    status.phase = isOver ? .succeeded : .running
    status.startTime = now
    status.podIP = "127.0.0.1"
    status.hostIP = "127.0.0.1"
    for type in ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"] {
      let isTrue = !isOver || type == "Initialized"
      let reason = isOver && type != "PodReadyToStartContainers" ? "PodCompleted" : ""
      status.conditions.append(
        Condition(type: type, status: isTrue ? "True" : "False", reason: reason, lastTransition: now))
    }
    status.containers = body.spec.containers.map { container in
      let end = ContainerState.Termination(exitCode: 0, reason: "Completed", startedAt: now, finishedAt: now)
      return ContainerStatus(
        name: container.name, image: container.image, state: isOver ? .terminated(end) : .running(startedAt: now),
        ready: !isOver, started: !isOver)
    }
    return status
  }
}
