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
  /// Of these, those that went at once, when it was last asked.
  private var recent = InsertionSet<String>()

  mutating func note(_ name: String, _ record: NodeRecord?) {
    if record?.isReachable == true { reachable.insert(name) } else { reachable.remove(name) }
    if let record, record.lostAt != nil, !record.isReleased {
      lost.insert(name)
    } else {
      lost.remove(name)
      recent.remove(name)
    }
  }

  /// It went just now.
  mutating func noteLoss(_ name: String) { if lost.contains(name) { recent.insert(name) } }

  /// Those that went since that time, in order.
  mutating func lostSince(_ time: BootTime, _ lostAt: (String) -> BootTime?) -> InsertionSet<String> {
    while let oldest = recent.first, lostAt(oldest).map({ $0 <= time }) ?? true { _ = recent.popFirst() }
    return recent
  }
}

extension CoordinatorCore {
  /// After every change of what the heartbeats say of a node.
  mutating func noteStanding(_ name: String) {
    fleet.standings.note(name, fleet.nodes[name])
    if !fleet.standings.lost.contains(name) { fleet.brake?.nodes.remove(name) }
  }

  /// Its losses wait for the brake.
  func isHeld(_ name: String) -> Bool { fleet.brake?.nodes.contains(name) ?? false }

  /// What is at once. One fault of the network is seen at all nodes within a heartbeat, or within a lease and two
  /// heartbeats where it cuts one direction only.
  private var massLossWindow: Int64 { 2 * configuration.leaseMilliseconds }

  /// More than 2 and at least 55 % of the nodes.
  private func isMass(_ lost: Int) -> Bool {
    lost > 2 && lost * 100 >= (lost + fleet.standings.reachable.count) * 55
  }

  /// The node is lost. `since`: when it went, if it was seen to be gone before this start.
  ///
  /// Nodes without pods count too: that many went silent at once says the same of the network, whatever runs on them.
  mutating func engageBrakeIfNeeded(_ name: String, since: WallTime?) {
    // Lost long before the coordinator began: it only has not come back. Less than that, and a mass loss may have been
    // held when the coordinator ended.
    if let since, wallClock.elapsed(since: since, now) > configuration.massLossHoldMilliseconds { return }
    fleet.standings.noteLoss(name)
    guard fleet.brake == nil else {
      // Whoever goes while the network is doubted waits with the others.
      fleet.brake?.nodes.insert(name)
      return
    }
    let nodes = fleet.nodes
    let lost = fleet.standings.lostSince(now.boot - massLossWindow) { nodes[$0]?.lostAt }
    let recent = lost.count
    guard isMass(recent) else { return }
    fleet.brake = MassLossBrake(engagedAt: now.boot, nodes: lost)
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

  /// The brake's timer.
  mutating func releaseNextNode() {
    if isHearing { return fleet.timers.set(.brake, at: fleet.pauses.judgesFrom) }
    if let brake = fleet.brake, brake.isEnding {
      guard isMass(brake.nodes.count) else { return dropBrake() }
      // Others went meanwhile.
      fleet.brake?.isEnding = false
      let end = brake.engagedAt + configuration.massLossHoldMilliseconds
      if end > now.boot { return fleet.timers.set(.brake, at: end) }
    }
    guard let name = fleet.brake?.nodes.first(where: { fleet.nodes[$0]?.attempts.isEmpty == false }) else {
      fleet.brake = nil
      return
    }
    fleet.nodes[name]?.isReleased = true
    noteStanding(name)
    armLossTimers(name)
    fleet.timers.set(.brake, at: now.boot + configuration.massLossPaceMilliseconds)
  }

  /// Enough of them came back, so it was the network, and the others are about to: they connect within some seconds of
  /// each other. R of their pods is long over, so who let them go with the first that is back would replace pods that
  /// could go on.
  mutating func disengageBrakeIfPossible() {
    guard let brake = fleet.brake, !isMass(brake.nodes.count) else { return }
    if brake.nodes.isEmpty { return dropBrake() }
    guard !brake.isEnding else { return }
    fleet.brake?.isEnding = true
    let end = brake.engagedAt + configuration.massLossHoldMilliseconds
    let next = now.boot + massLossWindow
    fleet.timers.set(.brake, at: end > now.boot ? min(next, end) : next)
  }

  /// Who is not back goes as single losses do.
  private mutating func dropBrake() {
    let nodes = fleet.brake?.nodes ?? InsertionSet()
    fleet.brake = nil
    fleet.timers.cancel(.brake)
    for name in nodes { armLossTimers(name) }
  }
}
