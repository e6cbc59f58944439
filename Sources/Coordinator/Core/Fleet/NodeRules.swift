// What a pod asks of a node by itself, whatever else runs there: cordons, taints, selectors, node affinity, room. The
// order and the words of refusals are those of Kubernetes' filters. Which node is taken is the Scheduler's.

import ClusterProto

/// A node that cannot take a pod, in Kubernetes' words.
struct NodeRefusal: Equatable, Sendable {
  /// All reasons of the first filter that refuses.
  var texts: [String]
  /// Making room would not help.
  var isHopeless: Bool

  init(_ texts: [String], isHopeless: Bool) {
    self.texts = texts
    self.isHopeless = isHopeless
  }

  static let nodeAffinity = "node(s) didn't match Pod's node affinity/selector"
}

extension CoordinatorCore {
  static func fits(_ spec: PodSpec, _ usage: NodeUsage, _ capacity: NodeCapacity) -> Bool {
    usage.pods < capacity.pods && isWithin(spec.cpuMillicores, usage.cpuMillicores, capacity.cpuMillicores)
      && isWithin(spec.memoryBytes, usage.memoryBytes, capacity.memoryBytes)
      && spec.scheduling.resources.allSatisfy {
        isWithin($0.amount, usage.extended[$0.name] ?? 0, capacity.amount(of: $0.name))
      }
  }

  /// A pod that asks for nothing of a resource fits a node that has none left of it.
  static func isWithin(_ request: Int64, _ used: Int128, _ capacity: Int64) -> Bool {
    request <= 0 || Int128(request) + used <= Int128(capacity)
  }

  private static let portText = "node(s) didn't have free ports for the requested pod ports"

  private static func hasFreePorts(_ spec: PodSpec, _ usage: NodeUsage, _ capacity: NodeCapacity) -> Bool {
    spec.scheduling.resources.allSatisfy { port in
      HostPort.capacity(port.name) == nil
        || isWithin(port.amount, usage.extended[port.name] ?? 0, capacity.amount(of: port.name))
    }
  }

  /// Why there is no room; nil: there is. What a node could not hold if it were empty is hopeless.
  static func roomRefusal(_ spec: PodSpec, _ usage: NodeUsage, _ capacity: NodeCapacity) -> NodeRefusal? {
    if !hasFreePorts(spec, usage, capacity) { return NodeRefusal([portText], isHopeless: false) }
    var texts: [String] = []
    var isHopeless = false
    if usage.pods >= capacity.pods { texts.append("Too many pods") }
    func look(_ name: String, _ request: Int64, _ used: Int128, _ whole: Int64) {
      guard !isWithin(request, used, whole) else { return }
      texts.append("Insufficient \(name)")
      if request > whole { isHopeless = true }
    }
    look("cpu", spec.cpuMillicores, usage.cpuMillicores, capacity.cpuMillicores)
    look("memory", spec.memoryBytes, usage.memoryBytes, capacity.memoryBytes)
    for resource in spec.scheduling.resources {
      look(
        resource.name, resource.amount, usage.extended[resource.name] ?? 0, capacity.amount(of: resource.name))
    }
    return texts.isEmpty ? nil : NodeRefusal(texts, isHopeless: isHopeless)
  }

  /// Why the node is not for this pod however empty it is, in the order and words of Kubernetes' filters.
  static func rejection(of spec: PodSpec, by node: Node) -> String? {
    // Who names the node's name in its affinity is not asked of other nodes at all.
    if let names = namedNodes(spec), !names.contains(node.meta.name) {
      return names.isEmpty ? "pod affinity terms conflict" : "node(s) didn't satisfy plugin(s) [NodeAffinity]"
    }
    let cordon = Taint(key: Taint.unschedulable, effect: Taint.noSchedule)
    if node.unschedulable, !spec.tolerations.contains(where: { $0.tolerates(cordon) }) {
      return "node(s) were unschedulable"
    }
    if let taint = untoleratedTaint(spec, node) {
      return "node(s) had untolerated taint {\(taint.key): \(taint.value)}"
    }
    if let refusal = pressureRefusal(spec, node) { return refusal }
    return matchesSelection(spec, node) ? confinementProblem(spec, node) : NodeRefusal.nodeAffinity
  }

  /// Why the node would not hold the pod's containers to their security contexts; nil: it does, or none is there.
  /// Kubernetes has no such nodes.
  static func confinementProblem(_ spec: PodSpec, _ node: Node) -> String? {
    guard spec.scheduling.isConfined || spec.scheduling.asksForRights else { return nil }
    let field = spec.hasOwnUsers ? "hostUsers: false" : "securityContext"
    return confinementProblem(ofConfined: spec.scheduling.isConfined, node.meta.labels, field)
  }

  /// The same of a node with those labels; else than confined a pod asks for more rights.
  static func confinementProblem(
    ofConfined isConfined: Bool, _ labels: StringMap, _ field: String = "securityContext"
  ) -> String? {
    guard labels[ImageMode.label] == ImageMode.on.rawValue else {
      // A program of the host has the rights of whoever runs pods there.
      return isConfined ? "node(s) didn't run images, which the pod's \(field) needs" : nil
    }
    guard labels[ImageMode.usersLabel] == ImageMode.oneUser else { return nil }
    return "node(s) ran every container as one user, whatever the pod's \(field) says"
  }

  /// The first taint that keeps the pod away.
  static func untoleratedTaint(_ spec: PodSpec, _ node: Node) -> Taint? {
    node.taints.first { taint in
      (taint.effect == Taint.noSchedule || taint.effect == Taint.noExecute)
        && !spec.tolerations.contains { $0.tolerates(taint) }
    }
  }

  /// nodeSelector and required node affinity.
  static func matchesSelection(_ spec: PodSpec, _ node: Node) -> Bool {
    if spec.nodeSelector.contains(where: { node.meta.labels[$0.key] != $0.value }) { return false }
    guard let terms = spec.scheduling.requiredNodes else { return true }
    return terms.contains { $0.matches(name: node.meta.name, labels: node.meta.labels) }
  }

  /// The nodes that a required affinity names by metadata.name in each of its terms; nil: it may be others too.
  private static func namedNodes(_ spec: PodSpec) -> [String]? {
    guard let terms = spec.scheduling.requiredNodes, !terms.isEmpty else { return nil }
    var names: [String] = []
    for term in terms {
      guard let own = term.names else { return nil }
      names += own
    }
    return names
  }

  /// How much a node is wished for: node affinity's weights as hundredths of what they could be, and taints of effect
  /// PreferNoSchedule that the pod does not bear, in the weights of Kubernetes' scheduler (2 and 3).
  static func nodePreference(_ spec: PodSpec, _ node: Node) -> Int64 {
    var score: Int64 = 0
    let wishes = spec.scheduling.preferredNodes
    if !wishes.isEmpty {
      var met: Int64 = 0
      var all: Int64 = 0
      for wish in wishes {
        let weight = max(0, min(wish.weight, 100))
        all += weight
        if wish.term.matches(name: node.meta.name, labels: node.meta.labels) { met += weight }
      }
      score += all > 0 ? 200 * met / all : 0
    }
    let shunned = node.taints.count { taint in
      taint.effect == Taint.preferNoSchedule && !spec.tolerations.contains { $0.tolerates(taint) }
    }
    return score - (shunned > 0 ? 300 + Int64(shunned) : 0)
  }

  // MARK: - Pods that name their node

  /// What a kubelet says of a pod that was put on its node without the scheduler; nil: it takes the pod.
  static func admissionProblem(of spec: PodSpec, on node: Node, _ usage: NodeUsage) -> (
    reason: String, message: String
  )? {
    if let problem = pressureProblem(spec, node) { return ("Evicted", problem) }
    if !matchesSelection(spec, node) {
      return ("NodeAffinity", "Predicate NodeAffinity failed: \(NodeRefusal.nodeAffinity)")
    }
    if let problem = confinementProblem(spec, node) {
      return ("SecurityContext", "Predicate SecurityContext failed: \(problem)")
    }
    let evicting = node.taints.contains { taint in
      taint.effect == Taint.noExecute && !spec.tolerations.contains { $0.tolerates(taint) }
    }
    if evicting {
      return (
        "TaintToleration", "Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate"
      )
    }
    func problem(_ name: String, _ request: Int64, _ used: Int128, _ whole: Int64) -> (String, String)? {
      guard !isWithin(request, used, whole) else { return nil }
      return (
        "OutOf\(name)",
        "Node didn't have enough resource: \(name), requested: \(request), used: \(used), capacity: \(whole)"
      )
    }
    let capacity = node.capacity
    if let found = problem("pods", 1, Int128(usage.pods), capacity.pods)
      ?? problem("cpu", spec.cpuMillicores, usage.cpuMillicores, capacity.cpuMillicores)
      ?? problem("memory", spec.memoryBytes, usage.memoryBytes, capacity.memoryBytes)
    {
      return found
    }
    if !hasFreePorts(spec, usage, capacity) { return ("NodePorts", "Predicate NodePorts failed: \(portText)") }
    for resource in spec.scheduling.resources {
      let used = usage.extended[resource.name] ?? 0
      if let found = problem(resource.name, resource.amount, used, capacity.amount(of: resource.name)) { return found }
    }
    return nil
  }

  /// A pod that names its node does not wait for room there: as under Kubernetes its node turns it down, and it fails.
  /// False: the node takes it, or is not there to say.
  mutating func turnDown(_ pod: Pod, on name: String) -> Bool {
    guard let record = fleet.nodes[name], record.takesPods,
      let node = state.nodes[ObjectKey(namespace: "", name: name)],
      let problem = Self.admissionProblem(of: pod.spec, on: node, record.usage)
    else { return false }
    let after = updatePod(pod.meta.key) { pod in
      pod.status.phase = .failed
      pod.status.reason = problem.reason
      pod.status.message = "Pod was rejected: \(problem.message)"
    }
    recordEvent(
      on: .pod(after ?? pod), type: .warning, reason: problem.reason, message: problem.message, component: "kubelet",
      host: name)
    return true
  }

  // MARK: - Scheduling gates

  /// A pod whose gates hold it back says so, as Kubernetes' API server has it say.
  mutating func markGated(_ key: ObjectKey) {
    let wall = now.wall
    updatePod(key) { pod in
      guard !pod.spec.scheduling.gates.isEmpty, pod.status.condition("PodScheduled") == nil else { return }
      pod.status.set(
        Condition(
          type: "PodScheduled", status: "False", reason: Self.gatedReason,
          message: "Scheduling is blocked due to non-empty scheduling gates", lastTransition: wall))
    }
  }

  static let gatedReason = "SchedulingGated"
}
