// C6: when many nodes go at once it is rather the network than they, and replacing their pods waits. Which nodes are
// reachable and which are lost is counted as it changes: a cluster of 1,000 nodes that goes or comes back costs 1,000
// steps. What a loss means for an attempt is Fencing's.

import ClusterProto

/// Nodes by what the heartbeats say of them.
struct NodeStandings: Sendable {
  /// Those that may be given work.
  private(set) var reachable: Set<String> = []
  /// Lost and not released by the brake, in the order in which they went.
  private(set) var lost = InsertionSet<String>()
  /// Of these, those that went within the brake's hold time, when it was last asked.
  private var recent = InsertionSet<String>()

  mutating func note(_ name: String, _ record: NodeRecord?) {
    if record?.isReachable == true { reachable.insert(name) } else { reachable.remove(name) }
    if let record, record.lostAt != nil, !record.isReleased {
      if lost.insert(name) { recent.insert(name) }
    } else {
      lost.remove(name)
      recent.remove(name)
    }
  }

  /// How many went since that time.
  mutating func lostSince(_ time: BootTime, _ lostAt: (String) -> BootTime?) -> Int {
    while let oldest = recent.first, lostAt(oldest).map({ $0 <= time }) ?? true { _ = recent.popFirst() }
    return recent.count
  }
}

extension CoordinatorCore {
  /// After every change of what the heartbeats say of a node.
  mutating func noteStanding(_ name: String) { fleet.standings.note(name, fleet.nodes[name]) }

  /// Its losses wait for the brake.
  func isHeld(_ name: String) -> Bool { fleet.brake != nil && fleet.standings.lost.contains(name) }

  /// More than 2 and at least 55 % of the nodes.
  private func isMass(_ lost: Int) -> Bool {
    lost > 2 && lost * 100 >= (lost + fleet.standings.reachable.count) * 55
  }

  mutating func engageBrakeIfNeeded(_ name: String) {
    guard fleet.brake == nil else { return }
    let nodes = fleet.nodes
    let recent = fleet.standings.lostSince(now.boot - configuration.massLossHoldMilliseconds) { nodes[$0]?.lostAt }
    guard isMass(recent) else { return }
    fleet.brake = MassLossBrake(engagedAt: now.boot)
    fleet.timers.set(.brake, at: now.boot + configuration.massLossHoldMilliseconds)
    let message =
      "\(recent) of \(recent + fleet.standings.reachable.count) nodes were lost at once: replacing their pods waits "
      + "for up to \(configuration.massLossHoldMilliseconds / 1000) s, then goes on with one node every "
      + "\(configuration.massLossPaceMilliseconds / 1000) s"
    outputs.append(.log(message))
    if let node = state.nodes[ObjectKey(namespace: "", name: name)] {
      recordEvent(
        on: .node(node), type: .warning, reason: "MassNodeLoss", message: message, component: "node-controller")
    }
  }

  mutating func releaseNextNode() {
    if isHearing { return fleet.timers.set(.brake, at: fleet.pauses.judgesFrom) }
    guard let name = fleet.standings.lost.first(where: { fleet.nodes[$0]?.attempts.isEmpty == false }) else {
      fleet.brake = nil
      return
    }
    fleet.nodes[name]?.isReleased = true
    noteStanding(name)
    armLossTimers(name)
    fleet.timers.set(.brake, at: now.boot + configuration.massLossPaceMilliseconds)
  }

  /// Enough nodes came back: the others go as single losses do.
  mutating func disengageBrakeIfPossible() {
    guard fleet.brake != nil, !isMass(fleet.standings.lost.count) else { return }
    fleet.brake = nil
    fleet.timers.cancel(.brake)
    for name in fleet.standings.lost { armLossTimers(name) }
  }
}
