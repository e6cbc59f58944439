// Simulated TCP between agents and the coordinator: ordered, delayed, cut, partitioned one way or both, half open.
// A stream loses nothing in the middle: it delivers in order or it ends. Knows messages only as what it carries.

import ClusterProto

/// One connection of one agent. Each side learns of its end by itself, or not at all (half open).
final class SimConnection {
  let number: ConnectionNumberOfAgent
  let session: String
  let node: Int
  var agentOpen = true
  /// The agent has heard that it is over, or ended it.
  var agentKnows = false
  var coordinatorOpen = true
  /// Earliest next delivery, so that order holds.
  var toAgent: TrueTime = 0
  var toCoordinator: TrueTime = 0

  init(number: ConnectionNumberOfAgent, session: String, node: Int) {
    self.number = number
    self.session = session
    self.node = node
  }
}

/// The agent core's number of the connection.
typealias ConnectionNumberOfAgent = Int64

/// Delays and partitions of the links between each node and the coordinator.
final class SimNetwork {
  private let world: World
  /// Mean one-way delay in microseconds.
  var meanDelay: TrueTime
  /// Nodes whose words do not reach the coordinator, and nodes that the coordinator's words do not reach, until when.
  private var blockedUp: [TrueTime]
  private var blockedDown: [TrueTime]

  init(world: World, nodes: Int) {
    self.world = world
    meanDelay = world.pick(200...20_000)
    blockedUp = Array(repeating: 0, count: nodes)
    blockedDown = Array(repeating: 0, count: nodes)
  }

  func addNode() {
    blockedUp.append(0)
    blockedDown.append(0)
  }

  func block(node: Int, up: Bool, down: Bool, for duration: TrueTime) {
    if up { blockedUp[node] = max(blockedUp[node], world.now + duration) }
    if down { blockedDown[node] = max(blockedDown[node], world.now + duration) }
  }

  func heal() {
    for node in blockedUp.indices {
      blockedUp[node] = 0
      blockedDown[node] = 0
    }
  }

  /// Whether a new connection can be made now.
  func reaches(node: Int) -> Bool { world.now >= blockedUp[node] && world.now >= blockedDown[node] }

  /// When a message sent now on this connection arrives; what is held back by a partition arrives after it.
  func arrival(_ connection: SimConnection, up: Bool) -> TrueTime {
    let blocked = up ? blockedUp[connection.node] : blockedDown[connection.node]
    let earliest = max(world.now, blocked) + world.delay(mean: meanDelay)
    let time = max(earliest, (up ? connection.toCoordinator : connection.toAgent) + 1)
    if up { connection.toCoordinator = time } else { connection.toAgent = time }
    return time - world.now
  }
}
