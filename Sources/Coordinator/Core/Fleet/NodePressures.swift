// A node that is short of memory, disk or processes: its conditions, taints and events, all as Kubernetes has them, and
// which pods it takes meanwhile. Which pod goes for it, if any, is the node's. Knows nothing of how much is too little.

import ClusterProto

extension CoordinatorCore {
  /// Whether the node said last that it is. Of a node that has said nothing yet the taint knows.
  func isPressed(_ node: Node, _ kind: NodePressure) -> Bool {
    fleet.nodes[node.meta.name]?.pressures?.contains(kind) ?? node.taints.contains { $0.key == kind.taint }
  }

  /// The condition as the node said it last.
  func condition(_ kind: NodePressure, of name: String, isPressed: Bool, _ wall: WallTime) -> Condition {
    let words = kind.words(isPressed: isPressed)
    var message = words.message
    if isPressed, let spared = fleet.nodes[name]?.spared[kind] { message += "; \(spared)" }
    return Condition(
      type: kind.condition, status: isPressed ? "True" : "False", reason: words.reason, message: message,
      lastTransition: wall, lastProbe: wall)
  }

  /// What a heartbeat said.
  mutating func heardOfPressures(_ heartbeat: Heartbeat, of name: String) {
    guard let record = fleet.nodes[name],
      record.pressures != heartbeat.pressures || record.spared != heartbeat.spared
    else { return }
    fleet.nodes[name]?.pressures = heartbeat.pressures
    fleet.nodes[name]?.spared = heartbeat.spared
    for kind in NodePressure.allCases {
      guard let node = state.nodes[ObjectKey(namespace: "", name: name)] else { return }
      let isPressed = heartbeat.pressures.contains(kind)
      // Our own memory of it ends with the process; the taint does not, nor while the node is lost.
      let isTainted = node.taints.contains { $0.key == kind.taint }
      let shown = node.conditions.first { $0.type == kind.condition }
      let wanted = condition(kind, of: name, isPressed: isPressed, now.wall)
      // A person may have set or taken the taint; while the node is lost its condition is Unknown.
      let isShown = shown?.isTrue == isPressed && (!isPressed || shown?.message == wanted.message)
      if isPressed != isTainted || !isShown { change(name, kind, wanted) }
      if isPressed != isTainted { tell(node, kind, isPressed) }
      if isPressed, let spared = heartbeat.spared[kind], shown?.message.hasSuffix(spared) != true {
        recordEvent(
          on: .node(node), type: .warning, reason: "NothingToReclaim", message: spared, component: "kubelet")
      }
    }
  }

  private mutating func change(_ name: String, _ kind: NodePressure, _ condition: Condition) {
    let wall = now.wall
    updateNode(name) { node in
      node.conditions.set(condition)
      let isTainted = node.taints.contains { $0.key == kind.taint }
      if !condition.isTrue {
        node.taints.removeAll { $0.key == kind.taint }
      } else if !isTainted {
        node.taints.append(Taint(key: kind.taint, effect: Taint.noSchedule, timeAdded: wall))
      }
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

  // MARK: - Whom it takes

  /// What the node says that it is short of, where that matters to such a pod: the system's own are never evicted.
  private static func pressures(_ spec: PodSpec, _ node: Node) -> [NodePressure] {
    spec.priority >= EvictionRank.critical ? [] : node.pressures
  }

  /// Why the scheduler puts no pod there, not even one that bears the taint: it could be evicted as it has come, and
  /// since nobody is charged for that, its Job would have the next one there at once, without end.
  static func pressureRefusal(_ spec: PodSpec, _ node: Node) -> String? {
    guard let kind = pressures(spec, node).first else { return nil }
    return "node(s) had \(kind.condition) and take no pods meanwhile, whatever they tolerate"
  }

  /// What a kubelet says of a pod that was put there without the scheduler; nil: it takes it.
  static func pressureProblem(_ spec: PodSpec, _ node: Node) -> String? {
    let pressures = pressures(spec, node)
    if pressures.isEmpty { return nil }
    if pressures == [.memory] {
      let taint = Taint(key: NodePressure.memory.taint, effect: Taint.noSchedule)
      if QualityOfService.of(spec) != .bestEffort || spec.tolerations.contains(where: { $0.tolerates(taint) }) {
        return nil
      }
    }
    return "The node had condition: [\(pressures.map(\.condition).joined(separator: " "))]. "
  }
}

extension Node {
  /// What it says that it is short of.
  var pressures: [NodePressure] {
    // Nodes are asked for each pod that waits.
    guard conditions.contains(where: { $0.isTrue && NodePressure(rawValue: $0.type) != nil }) else { return [] }
    return NodePressure.allCases.filter { kind in conditions.contains { $0.type == kind.condition && $0.isTrue } }
  }
}
