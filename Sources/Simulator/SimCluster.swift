// Coordinator, nodes and network of one simulated cluster, wired: sessions, messages, client requests.
// Knows no faults and no workload.

import AgentCore
import ClusterProto
import CoordinatorCore

final class SimCluster {
  let world: World
  let ledger: Ledger
  let network: SimNetwork
  let coordinator: SimCoordinator
  private(set) var nodes: [SimNode] = []
  private var connections: [String: SimConnection] = [:]
  /// The live connection of each node's agent, as the agent sees it.
  private var agentSide: [Int: SimConnection] = [:]
  private var sessionCount = 0
  private var requestCount: RequestID = 0
  private var answers: [RequestID: (Int, JSON) -> Void] = [:]
  private var items: [RequestID: [JSON]] = [:]
  /// Planted fault: whoever lies can prove it.
  var forgerHasKey = false
  /// Where certificates count; nil: whoever comes is who it says.
  var authorities: SimAuthorities?

  init(world: World, nodeCount: Int, configuration: CoordinatorConfiguration) {
    self.world = world
    ledger = Ledger(world: world)
    network = SimNetwork(world: world, nodes: nodeCount)
    coordinator = SimCoordinator(world: world, configuration: configuration)
    coordinator.deliver = { [unowned self] effect in deliver(effect) }
    coordinator.died = { [unowned self] in coordinatorDied() }
    // Some machines do not tell what they are.
    let hardwareIsReadable = world.chance(0.5)
    for index in 0..<nodeCount {
      add(
        SimNode(
          world: world, ledger: ledger, index: index, name: "node-\(index)",
          machine: SimMachine(index: index, hardwareID: hardwareIsReadable ? "hardware-\(index)" : ""),
          directory: SimDirectory(identity: "directory-\(index)")))
    }
  }

  private func add(_ node: SimNode) {
    node.network = { [unowned self] node, effect in perform(effect, of: node) }
    node.agentDied = { [unowned self] node in agentDied(node) }
    nodes.append(node)
  }

  /// Another agent with the name of `node`, which its own machine or another one runs.
  func addDouble(of node: SimNode, machine: SimMachine, directory: SimDirectory, clock: MachineClock?) -> SimNode {
    let double = SimNode(
      world: world, ledger: ledger, index: nodes.count, name: node.name, machine: machine, directory: directory,
      clock: clock)
    network.addNode()
    add(double)
    return double
  }

  /// Asks the coordinator; `answer` is called with code and object, or not at all when it dies before.
  func request(_ request: APIRequest, _ answer: @escaping (Int, JSON) -> Void) {
    requestCount += 1
    let id = requestCount
    var request = request
    request.subject = .administrator
    answers[id] = answer
    world.after(world.delay(mean: network.meanDelay)) { [self] in
      if coordinator.isRunning { coordinator.take(.request(id, request)) } else { answers[id] = nil }
    }
  }

  private func deliver(_ effect: CoordinatorEffect) {
    switch effect {
    case .send(let session, let message, _):
      guard let connection = connections[session], connection.coordinatorOpen else { return }
      let number = connection.number
      // Bytes of an old connection may still come out after a new one began: the cores must know them as old.
      let comesLate = world.chance(0.2)
      world.after(network.arrival(connection, up: false)) { [self] in
        guard connection.agentOpen else {
          if comesLate { deliverLate(message, connection) }
          return
        }
        record(message, connection)
        nodes[connection.node].take(.coordinator(number, message))
      }
    case .tellAuthorities(let session, _): connections[session].map { authorities?.told($0) }
    case .issue(.session(let session), _, _, _): connections[session].map { authorities?.issued($0) }
    case .exchangeAuthority, .dropAuthority: authorities?.perform(effect)
    case .closeSession(let session, _):
      guard let connection = connections[session] else { return }
      endAtCoordinator(connection, tells: false)
    case .reply(let id, .done(let code, let object, _)), .shown(let id, .done(let code, let object, _), _):
      guard let answer = answers.removeValue(forKey: id) else { return }
      var whole = object
      if let pieces = items.removeValue(forKey: id) { whole["items"] = .array(pieces) }
      world.after(world.delay(mean: network.meanDelay)) { answer(code, whole) }
    case .reply(let id, .items(let pieces)): items[id, default: []] += pieces
    default: break
    }
  }

  /// A word of a connection that the agent has left; the new one may be up by then.
  private func deliverLate(_ message: CoordinatorMessage, _ connection: SimConnection) {
    world.after(world.pick(0...5_000_000)) { [self] in
      // Before it has heard of the end its words are as good as ever.
      guard connection.agentKnows else { return }
      nodes[connection.node].takeStale(.coordinator(connection.number, message))
    }
  }

  private func record(_ message: CoordinatorMessage, _ connection: SimConnection) {
    switch message {
    case .answer(let answer):
      world.record("answer \(answer.number) to node \(connection.node) \(answer.desiredDigest.hex)")
    case .refused(let reason, let retry):
      world.record("node \(connection.node) is refused, retry \(retry ?? -1): \(reason)")
    case .registered(let session, _, _, _, _): world.record("node \(connection.node) is registered as \(session)")
    default: break
    }
  }

  private func perform(_ effect: AgentEffect, of node: SimNode) {
    switch effect {
    case .connectCoordinator(let number): connect(node, number)
    case .disconnectCoordinator: agentSide[node.index].map { endAtAgent($0, tells: false) }
    case .send(let message):
      guard let connection = agentSide[node.index], connection.agentOpen else { return }
      let comesLate = world.chance(0.2)
      let said = node.lies ? forged(message) : message
      world.after(network.arrival(connection, up: true)) { [self] in
        guard connection.coordinatorOpen else {
          if comesLate { coordinator.takeStale(.agent(connection.session, said)) }
          return
        }
        coordinator.take(.agent(connection.session, said))
      }
      if case .heartbeat = message { node.heartbeatSent() }
    default: break
    }
  }

  /// What a registration of the cluster's own node can say to have the coordinator take its store for an old one (C4).
  private func forged(_ message: AgentMessage) -> AgentMessage {
    guard case .register(var registration) = message else { return message }
    let proofs = NumberProofs(
      key: forgerHasKey ? SimCoordinator.proofKey : "a guess", cluster: coordinator.configuration.clusterID)
    let far = world.pick(1...1 << 38)
    switch world.pick(0...3) {
    case 0: registration.highestIncarnation += far
    case 1:
      registration.highestIncarnation += far
      registration.incarnationMark = proofs.mark(of: registration.highestIncarnation, random: "forged")
    case 2: registration.incarnationMark = proofs.mark(of: registration.highestIncarnation, random: "forged")
    default:
      registration.highestAttempt += far
      registration.provenAttempt = ProvenAttempt(
        attempt: registration.highestAttempt, proof: proofs.proof(ofAttempt: registration.highestAttempt))
    }
    return .register(registration)
  }

  private func connect(_ node: SimNode, _ number: Int64) {
    agentSide[node.index].map { endAtAgent($0, tells: false) }
    world.record("node \(node.index) connects")
    let trip = 2 * world.delay(mean: network.meanDelay) + 100
    guard coordinator.isRunning, network.reaches(node: node.index) else {
      let wait = coordinator.isRunning ? 5_000_000 : trip
      world.after(wait) { node.take(.coordinatorClosed(number)) }
      return
    }
    sessionCount += 1
    let connection = SimConnection(number: number, session: "session-\(sessionCount)", node: node.index)
    agentSide[node.index] = connection
    connections[connection.session] = connection
    world.after(trip) { [self] in
      let subject = authorities.map { $0.subject(of: node) } ?? .agent(of: node.name)
      guard connection.agentOpen, connection.coordinatorOpen, coordinator.isRunning, let subject else {
        return endAtAgent(connection, tells: true)
      }
      coordinator.take(.sessionOpened(connection.session, by: subject))
      node.take(.coordinatorOpened(number))
    }
  }

  /// The connection breaks for both sides; each learns of it in its own time.
  func cut(node: Int) {
    guard let connection = agentSide[node] else { return }
    world.record("connection of node \(node) is cut")
    endAtAgent(connection, tells: true)
    endAtCoordinator(connection, tells: true)
  }

  /// Only one side learns that the connection is over; the other one waits for words that never come.
  func halfOpen(node: Int) {
    guard let connection = agentSide[node] else { return }
    world.record("connection of node \(node) is half open")
    if world.chance(0.5) { endAtAgent(connection, tells: true) } else { endAtCoordinator(connection, tells: true) }
  }

  /// The agent closes its connection, to open another.
  func closeAtAgent(_ connection: SimConnection) { endAtAgent(connection, tells: true) }

  private func endAtAgent(_ connection: SimConnection, tells: Bool) {
    guard connection.agentOpen else { return }
    connection.agentOpen = false
    if agentSide[connection.node] === connection { agentSide[connection.node] = nil }
    if tells {
      let number = connection.number
      world.after(world.pick(100...200_000)) { [self] in
        nodes[connection.node].take(.coordinatorClosed(number))
        connection.agentKnows = true
      }
    } else {
      connection.agentKnows = true
    }
    // The end travels to the other side, unless the link is blocked or the connection was half open.
    if connection.coordinatorOpen {
      world.after(network.arrival(connection, up: true)) { [self] in endAtCoordinator(connection, tells: true) }
    }
  }

  private func endAtCoordinator(_ connection: SimConnection, tells: Bool) {
    guard connection.coordinatorOpen else { return }
    connection.coordinatorOpen = false
    connections[connection.session] = nil
    if tells, coordinator.isRunning { coordinator.take(.sessionClosed(connection.session)) }
    if connection.agentOpen {
      world.after(network.arrival(connection, up: false)) { [self] in endAtAgent(connection, tells: true) }
    }
  }

  private func coordinatorDied() {
    answers.removeAll()
    items.removeAll()
    for session in connections.keys.sorted() {
      guard let connection = connections[session] else { continue }
      connection.coordinatorOpen = false
      world.after(network.arrival(connection, up: false)) { [self] in endAtAgent(connection, tells: true) }
    }
    connections.removeAll()
  }

  private func agentDied(_ node: SimNode) {
    guard let connection = agentSide[node.index] else { return }
    endAtAgent(connection, tells: false)
    // Nobody is left who knows; the next agent counts its connections from 1.
    connection.agentKnows = false
  }
}
