// What agents of nodes that run images say beside reports: Events of their pods, the images that they have; and which
// Secrets their pods' images need. Nothing is decided from the words; they are bounded here, whatever an agent does.

import ClusterProto

/// How many nodes do what with images.
struct ImageNodes: Equatable, Sendable {
  /// Run images.
  private(set) var on = 0
  /// Run the host's programs.
  private(set) var off = 0
  /// Of those that run images: hold containers to their security contexts.
  private(set) var holding = 0

  mutating func note(_ before: StringMap?, _ after: StringMap?) {
    count(before, by: -1)
    count(after, by: 1)
  }

  private mutating func count(_ labels: StringMap?, by step: Int) {
    guard let labels else { return }
    // A node that says nothing is of a version that runs none.
    if labels[ImageMode.label] == ImageMode.on.rawValue { on += step } else { off += step }
    if CoordinatorCore.confinementProblem(ofConfined: true, labels) == nil { holding += step }
  }
}

/// How many nodes hold pods to their limits, by what each one's condition says.
struct LimitNodes: Equatable, Sendable {
  private(set) var count = 0
  /// Of those, the ones that hold to it; by the name in `resources.limits`.
  private(set) var holding = ["cpu": 0, "memory": 0]

  mutating func note(_ before: Node?, _ after: Node?) {
    let (old, new) = (before.map(Self.message), after.map(Self.message))
    guard old != new else { return }
    if let old { count(old, by: -1) }
    if let new { count(new, by: 1) }
  }

  /// What to say of a limit; nil: it holds wherever the pod goes, as far as is known.
  func warning(of resource: String) -> String? {
    guard let holding = holding[resource], holding < count else { return nil }
    let nodes = holding == 0 ? "by any node here" : "by \(count - holding) of \(count) nodes"
    return "not enforced \(nodes); the node's condition \(LimitAbilities.condition) says why"
  }

  private mutating func count(_ message: String, by step: Int) {
    count += step
    for name in LimitAbilities.held(message) where holding[name] != nil { holding[name]? += step }
  }

  private static func message(of node: Node) -> String {
    node.conditions.first { $0.type == LimitAbilities.condition }?.message ?? ""
  }
}

extension CoordinatorCore {
  /// What an agent may tell at once, and in a second; twice what ours does.
  static let factAllowance = WordAllowance(perSecond: 100, burst: 200)
  /// The reasons that a fact may have; all others are made of statuses.
  private static let factReasons: [String: EventType] = [
    "Pulling": .normal, "Pulled": .normal, "Killing": .normal, "Unhealthy": .warning, "ProbeWarning": .warning,
    "FailedPostStartHook": .warning, "FailedPreStopHook": .warning,
  ]

  /// What the nodes do with images.
  var imageNodes: ImageNodes { fleet.imageNodes }

  func runsImages(node name: String) -> Bool {
    let labels = state.nodes[ObjectKey(namespace: "", name: name)]?.meta.labels
    return labels?[ImageMode.label] == ImageMode.on.rawValue
  }

  /// What happened to pods of the session's node becomes Events of theirs.
  mutating func take(_ facts: [PodFact], from id: SessionID) {
    for fact in facts.prefix(PodFact.most) {
      guard let node = fleet.sessions[id]?.node, let type = Self.factReasons[fact.reason],
        let attempt = fleet.attempts[fact.attempt], attempt.node == node, let pod = state.pods[attempt.pod],
        pod.meta.uid == attempt.podUID, fleet.sessions[id]?.allowance.take(at: now.boot) == true
      else { continue }
      var path = ""
      if pod.spec.containers.contains(where: { $0.name == fact.container }) {
        path = "spec.containers{\(fact.container)}"
      } else if pod.spec.initContainers.contains(where: { $0.name == fact.container }) {
        path = "spec.initContainers{\(fact.container)}"
      } else if pod.spec.ephemeralContainers.contains(where: { $0.name == fact.container }) {
        path = "spec.ephemeralContainers{\(fact.container)}"
      }
      tell(pod, fact.reason, fact.message, node, path, type: type)
    }
  }

  /// The images that a node has, as its status shows them.
  mutating func take(_ images: [NodeImage], from id: SessionID) {
    let shown = NodeImage.shown(images)
    guard let name = fleet.sessions[id]?.node, runsImages(node: name) else { return }
    fleet.sessions[id]?.images = shown
    updateNode(name) { $0.images = shown }
  }

  /// What the node's present session has said of its images; nil: nothing yet.
  func toldImages(_ node: String) -> [NodeImage]? {
    fleet.nodes[node]?.session.flatMap { fleet.sessions[$0]?.images }
  }

  /// The Secrets with credentials for a pod's images: sent with its body, and only with that.
  static func pullSecrets(of spec: PodSpec) -> [String] {
    guard !spec.imagePullSecrets.isEmpty, spec.namesImages else { return [] }
    return spec.imagePullSecrets
  }

  /// A pod's Secrets that are not there do not keep it from trying.
  mutating func tellMissingPullSecrets(_ pod: Pod, _ references: JSONObject, node: String) {
    let missing = Self.pullSecrets(of: pod.spec).filter { references["secrets/\($0)"] == nil }
    guard !missing.isEmpty else { return }
    tell(
      pod, "FailedToRetrieveImagePullSecret",
      "Unable to retrieve some image pull secrets (\(missing.joined(separator: ", "))); attempting to pull the image "
        + "may not succeed.", node)
  }
}
