// A node that is short of memory, disk or processes: its conditions, taints and events, all as Kubernetes has them.
// Which pod goes for it, if any, is the node's. Knows nothing of how much is too little.

import ClusterProto

extension CoordinatorCore {
  /// Whether the node said last that it is. Of a node that has said nothing yet the taint knows.
  func isPressed(_ node: Node, _ kind: NodePressure) -> Bool {
    fleet.nodes[node.meta.name]?.pressures?.contains(kind) ?? node.taints.contains { $0.key == kind.taint }
  }

  /// The condition as the node said it last.
  func condition(_ kind: NodePressure, isPressed: Bool, _ wall: WallTime) -> Condition {
    let words = kind.words(isPressed: isPressed)
    return Condition(
      type: kind.condition, status: isPressed ? "True" : "False", reason: words.reason, message: words.message,
      lastTransition: wall, lastProbe: wall)
  }

  /// What a heartbeat said.
  mutating func heard(_ pressures: Set<NodePressure>, of name: String) {
    guard let record = fleet.nodes[name], record.pressures != pressures else { return }
    fleet.nodes[name]?.pressures = pressures
    for kind in NodePressure.allCases {
      guard let node = state.nodes[ObjectKey(namespace: "", name: name)] else { return }
      // Our own memory of it ends with the process; the taint does not, nor while the node is lost.
      let isPressed = pressures.contains(kind)
      guard isPressed != node.taints.contains(where: { $0.key == kind.taint }) else { continue }
      change(name, kind, isPressed)
      tell(node, kind, isPressed)
    }
  }

  private mutating func change(_ name: String, _ kind: NodePressure, _ isPressed: Bool) {
    let (wall, condition) = (now.wall, condition(kind, isPressed: isPressed, now.wall))
    updateNode(name) { node in
      node.conditions.set(condition)
      node.taints.removeAll { $0.key == kind.taint }
      if isPressed { node.taints.append(Taint(key: kind.taint, effect: Taint.noSchedule, timeAdded: wall)) }
    }
  }

  private mutating func tell(_ node: Node, _ kind: NodePressure, _ isPressed: Bool) {
    let word = kind.event(isPressed: isPressed)
    recordEvent(
      on: .node(node), type: .normal, reason: word,
      message: "Node \(node.meta.name) status is now: \(word)", component: "kubelet")
    guard isPressed else { return }
    recordEvent(
      on: .node(node), type: .warning, reason: "EvictionThresholdMet",
      message: "Attempting to reclaim \(kind.resource)", component: "kubelet")
  }
}
