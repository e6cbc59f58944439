// What a node could not remove of pods that have ended: it says so, and somebody has to look. Knows nothing of why.

import ClusterProto

extension CoordinatorCore {
  private static let filesRemain = "FilesRemain"

  /// What a heartbeat said; nil: nothing is left.
  mutating func heardOfRemains(_ name: String, _ words: String?) {
    guard let record = fleet.nodes[name], record.remains != .some(words) else { return }
    fleet.nodes[name]?.remains = .some(words)
    guard let node = state.nodes[ObjectKey(namespace: "", name: name)] else { return }
    let shown = node.conditions.first { $0.type == Self.filesRemain }
    // A node that never had any needs no condition about it.
    if words == nil, shown?.isTrue != true { return }
    let message = words ?? "nothing of ended pods is left"
    guard shown?.message != message else { return }
    let wall = now.wall
    updateNode(name) { node in
      node.conditions.set(
        Condition(
          type: Self.filesRemain, status: words == nil ? "False" : "True",
          reason: words == nil ? "NothingRemains" : "RemovalFailed", message: message, lastTransition: wall,
          lastProbe: wall))
    }
    guard words != nil else { return }
    recordEvent(on: .node(node), type: .warning, reason: Self.filesRemain, message: message, component: "kubelet")
  }
}
