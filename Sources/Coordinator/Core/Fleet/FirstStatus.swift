// Owns: Nodes that somebody made by hand and for which no agent has spoken yet. As in Kubernetes they are Unknown after
// a while, and nothing is put on them. It must not decide about nodes that were heard of: that is NodeMonitor's.

import ClusterProto

extension CoordinatorCore {
  /// Milliseconds in which a new node's agent may say its first word (Kubernetes' node-startup-grace-period).
  private static let startupGrace: Int64 = 60_000

  /// A Node came that says nothing of itself.
  mutating func awaitFirstStatus(_ node: Node) {
    guard fleet.nodes[node.meta.name] == nil, !node.saysWhetherReady else { return }
    fleet.timers.set(.firstStatus(node.meta.name), at: now.boot + Self.startupGrace)
  }

  /// It has had its time.
  mutating func noteNeverPosted(_ name: String) {
    guard let node = state.nodes[ObjectKey(namespace: "", name: name)], fleet.nodes[name] == nil,
      !node.saysWhetherReady
    else { return }
    let wall = now.wall
    updateNode(name) { node in
      for type in Self.ownConditions where !node.conditions.contains(where: { $0.type == type }) {
        node.conditions.set(
          Condition(
            type: type, status: "Unknown", reason: "NodeStatusNeverUpdated",
            message: "Kubelet never posted node status.", lastTransition: wall, lastProbe: node.meta.creationTimestamp))
      }
      node.taintAsUnreachable(at: wall)
    }
  }
}

extension Node {
  fileprivate var saysWhetherReady: Bool { conditions.contains { $0.type == "Ready" } }

  /// Both of Kubernetes' taints of a node that is not heard.
  mutating func taintAsUnreachable(at wall: WallTime) {
    for effect in [Taint.noSchedule, Taint.noExecute]
    where !taints.contains(where: { $0.key == Taint.unreachable && $0.effect == effect }) {
      taints.append(Taint(key: Taint.unreachable, effect: effect, timeAdded: wall))
    }
  }
}
