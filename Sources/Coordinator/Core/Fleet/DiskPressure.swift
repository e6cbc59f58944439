// A node whose disk has too little room: its condition, its taint, its events, all as Kubernetes has them. Its pods
// stay as they are: nothing is evicted for it. Knows nothing of how much room is too little.

import ClusterProto

extension CoordinatorCore {
  private static let diskPressure = "DiskPressure"

  /// The condition as the node said it last. Of a node that has said nothing yet the taint knows.
  func diskPressure(_ node: Node) -> (status: String, reason: String, message: String) {
    let isPressed =
      fleet.nodes[node.meta.name]?.hasDiskPressure ?? node.taints.contains { $0.key == Taint.diskPressure }
    return isPressed
      ? ("True", "KubeletHasDiskPressure", "kubelet has disk pressure")
      : ("False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure")
  }

  /// A heartbeat said whether the node's disk has too little room.
  mutating func heardOfDiskPressure(_ name: String, _ isPressed: Bool) {
    guard let record = fleet.nodes[name], record.hasDiskPressure != isPressed else { return }
    fleet.nodes[name]?.hasDiskPressure = isPressed
    guard let node = state.nodes[ObjectKey(namespace: "", name: name)] else { return }
    // Our own memory of it ends with the process; the taint does not, nor while the node is lost.
    let wasPressed = node.taints.contains { $0.key == Taint.diskPressure }
    guard isPressed != wasPressed else { return }
    let (wall, words) = (now.wall, diskPressure(node))
    updateNode(name) { node in
      node.conditions.set(
        Condition(
          type: Self.diskPressure, status: words.status, reason: words.reason, message: words.message,
          lastTransition: wall, lastProbe: wall))
      node.taints.removeAll { $0.key == Taint.diskPressure }
      if isPressed {
        node.taints.append(Taint(key: Taint.diskPressure, effect: Taint.noSchedule, timeAdded: wall))
      }
    }
    let word = isPressed ? "NodeHasDiskPressure" : "NodeHasNoDiskPressure"
    recordEvent(
      on: .node(node), type: .normal, reason: word, message: "Node \(name) status is now: \(word)", component: "kubelet"
    )
  }
}
