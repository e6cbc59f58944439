// A node whose disk does not answer: its condition, its taint, its events. Its pods stay as they are: they run, and the
// node is told what it is told. Knows nothing of how an agent finds out.

import ClusterProto

extension CoordinatorCore {
  private static let diskStalled = "DiskStalled"

  /// A heartbeat said for how long the node's disk has not answered; nil: it does.
  mutating func heardOfDisk(_ name: String, _ milliseconds: Int64?) {
    let isStalled = milliseconds != nil
    guard let record = fleet.nodes[name], record.isDiskStalled != isStalled else { return }
    fleet.nodes[name]?.isDiskStalled = isStalled
    guard let node = state.nodes[ObjectKey(namespace: "", name: name)] else { return }
    let wasStalled = node.conditions.first { $0.type == Self.diskStalled }?.isTrue ?? false
    // Our own memory of it ends with the process; the object's does not.
    let isTainted = node.taints.contains { $0.key == Taint.diskStalled }
    guard isStalled != wasStalled || isStalled != isTainted else { return }
    let seconds = max(0, milliseconds ?? 0) / 1_000
    let message =
      isStalled ? "the disk of the agent's data directory has not answered for \(seconds) s" : "the disk answers"
    let wall = now.wall
    updateNode(name) { node in
      node.conditions.set(
        Condition(
          type: Self.diskStalled, status: isStalled ? "True" : "False",
          reason: isStalled ? "DiskDoesNotAnswer" : "DiskAnswers", message: message, lastTransition: wall,
          lastProbe: wall))
      node.taints.removeAll { $0.key == Taint.diskStalled }
      if isStalled {
        node.taints.append(Taint(key: Taint.diskStalled, effect: Taint.noSchedule, timeAdded: wall))
      }
    }
    guard isStalled != wasStalled else { return }
    recordEvent(
      on: .node(node), type: isStalled ? .warning : .normal, reason: isStalled ? Self.diskStalled : "DiskAnswers",
      message: isStalled
        ? "Node \(name): \(message): its pods run on, their new log lines may be lost, and it takes no new pods"
        : "Node \(name): \(message) again: it takes pods", component: "kubelet")
  }
}
