// What must be true of waiting pods and of those that have just been placed, whatever the scheduler keeps at hand: it
// is seen from the pods themselves. For the simulator and tests; it reads everything and changes nothing.

import ClusterProto

extension CoordinatorCore {
  /// I8 of waiting pods: no node suits a parked class that it will not be offered to.
  func checkOffers(_ found: inout [String]) {
    guard !isHolding else { return }
    var reader = self
    for (id, waiting) in fleet.scheduler.classes.all.sorted(by: { $0.key < $1.key })
    where waiting.standing == .parked && waiting.needs.pinnedNode.isEmpty {
      let rules = reader.podRules(of: id)
      for name in fleet.nodes.keys.sorted() where !fleet.scheduler.classes.isOpen(name) {
        guard let record = fleet.nodes[name], record.takesPods,
          let node = state.nodes[ObjectKey(namespace: "", name: name)], suits(id, record, node),
          rules?.refusal(node.meta.labels) == nil
        else { continue }
        found.append("I8: node \(name) has room for \(waiting.members.count) groups that wait, and nobody looks")
      }
    }
  }
}
