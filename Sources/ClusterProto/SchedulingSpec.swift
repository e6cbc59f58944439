// What a pod's spec says of where it may run: rules about nodes and other pods, spreading, devices, gates, preemption.
// Reads trees that validation has let through; which node meets the rules is the scheduler's.

/// So much of one extended resource, as `example.com/gpu`.
package struct ResourceAmount: Hashable, Sendable {
  /// The resource's name.
  package var name: String
  /// How much; whole.
  package var amount: Int64

  /// Takes each value as it stands.
  package init(name: String, amount: Int64) {
    self.name = name
    self.amount = amount
  }

  /// Room on a node's disk, which is counted as extended resources are.
  package static let storage = "ephemeral-storage"

  /// Whether nodes may offer such a resource by that name: it has a domain, and not Kubernetes' own.
  package static func isExtended(_ name: String) -> Bool {
    name.contains("/") && !name.contains("kubernetes.io/") && !name.hasPrefix("requests.")
  }

  /// The extended resources of a resource list, sorted by name; amounts below zero count as none. `withStorage`: room
  /// on the disk is among them.
  package static func list(_ json: JSON?, withStorage: Bool = false) -> [ResourceAmount] {
    guard let members = json?.objectValue else { return [] }
    var found: [ResourceAmount] = []
    for (name, value) in members where isExtended(name) || withStorage && name == storage {
      let amount = max(0, Quantity.parseBytes(value.stringValue ?? value.text) ?? 0)
      found.append(ResourceAmount(name: name, amount: amount))
    }
    return found.sorted { $0.name < $1.name }
  }
}

/// One term of a node selector: all of it has to hold, and one that says nothing holds nowhere.
package struct NodeTerm: Hashable, Sendable {
  /// Rules about the node's labels.
  package var labels: LabelSelector
  /// Rules about its fields, of which there is one: `metadata.name`.
  package var fields: LabelSelector

  /// Takes each value as it stands; from JSON, what is missing has its default.
  package init(json: JSON?) {
    labels = LabelSelector(nodeRequirements: json?["matchExpressions"])
    fields = LabelSelector(nodeRequirements: json?["matchFields"])
  }

  /// Whether a node of that name and those labels meets it.
  package func matches(name: String, labels nodeLabels: StringMap) -> Bool {
    if labels.requirements.isEmpty, fields.requirements.isEmpty { return false }
    return labels.matches(nodeLabels) && fields.matches(["metadata.name": name])
  }

  /// The nodes that its `metadata.name In` names; nil: it has no such rule.
  package var names: [String]? {
    var names: [String]?
    for rule in fields.requirements where rule.operation == .in {
      names = names.map { before in before.filter { rule.values.contains($0) } } ?? rule.values
    }
    return names
  }
}

/// A wish about the node.
package struct WeightedNodeTerm: Hashable, Sendable {
  /// 1 to 100.
  package var weight: Int64
  /// The nodes that are wished for.
  package var term: NodeTerm
}

/// Pods, and what nearby means.
package struct PodTerm: Hashable, Sendable {
  /// The pods; nil: none.
  package var selector: LabelSelector?
  /// Their namespaces by name.
  package var namespaces: [String]
  /// Their namespaces by label; nil: none by label.
  package var namespaceSelector: LabelSelector?
  /// Nodes with one value of this label are near each other.
  package var topologyKey: String
  /// Labels in which they have to be as the pod is.
  package var matchLabelKeys: [String]
  /// Labels in which they must not be as the pod is.
  package var mismatchLabelKeys: [String]

  init(json: JSON) {
    selector = json["labelSelector"].map { LabelSelector(json: $0) }
    namespaces = SchedulingSpec.strings(json["namespaces"])
    namespaceSelector = json["namespaceSelector"].map { LabelSelector(json: $0) }
    topologyKey = json["topologyKey"]?.stringValue ?? ""
    matchLabelKeys = SchedulingSpec.strings(json["matchLabelKeys"])
    mismatchLabelKeys = SchedulingSpec.strings(json["mismatchLabelKeys"])
  }
}

/// A wish about other pods nearby.
package struct WeightedPodTerm: Hashable, Sendable {
  /// 1 to 100 for pods to be near to, negative for pods to be away from.
  package var weight: Int64
  /// The pods.
  package var term: PodTerm
}

/// One entry of topologySpreadConstraints.
package struct SpreadRule: Hashable, Sendable {
  /// How far the numbers of pods may differ.
  package var maxSkew: Int64
  /// The label by which nodes are grouped.
  package var topologyKey: String
  /// Whether it forbids (DoNotSchedule) or only asks (ScheduleAnyway).
  package var isRequired: Bool
  /// The pods that are counted; nil: none.
  package var selector: LabelSelector?
  /// Fewer groups than these count as one more that is empty.
  package var minDomains: Int64
  /// Only nodes that the pod's selector and affinity allow are counted.
  package var honoursAffinity: Bool
  /// Only nodes whose taints the pod bears are counted.
  package var honoursTaints: Bool
  /// Labels in which counted pods have to be as the pod is.
  package var matchLabelKeys: [String]

  init(json: JSON) {
    maxSkew = json["maxSkew"]?.intValue ?? 1
    topologyKey = json["topologyKey"]?.stringValue ?? ""
    isRequired = json["whenUnsatisfiable"]?.stringValue != "ScheduleAnyway"
    selector = json["labelSelector"].map { LabelSelector(json: $0) }
    minDomains = json["minDomains"]?.intValue ?? 1
    honoursAffinity = json["nodeAffinityPolicy"]?.stringValue != "Ignore"
    honoursTaints = json["nodeTaintsPolicy"]?.stringValue == "Honor"
    matchLabelKeys = SchedulingSpec.strings(json["matchLabelKeys"])
  }
}

/// What the scheduler reads of a spec beyond cpu, memory, tolerations and nodeSelector.
package struct SchedulingSpec: Hashable, Sendable {
  /// One of these has to hold of the node; nil: there is no such rule.
  package var requiredNodes: [NodeTerm]?
  /// Wishes about the node.
  package var preferredNodes: [WeightedNodeTerm] = []
  /// Pods that there must be nearby.
  package var affinity: [PodTerm] = []
  /// Pods that there must not be nearby.
  package var antiAffinity: [PodTerm] = []
  /// Wishes about pods nearby.
  package var preferredPods: [WeightedPodTerm] = []
  /// How its like are spread.
  package var spread: [SpreadRule] = []
  /// Its requests of extended resources, sorted by name.
  package var resources: [ResourceAmount] = []
  /// What holds it back before it is scheduled at all.
  package var gates: [String] = []
  /// Higher goes first, and may take the place of lower.
  package var priority: Int64 = 0
  /// preemptionPolicy Never: it goes first and takes nobody's place.
  package var neverPreempts = false
  /// Its security contexts say what only containers of images honour.
  package var isConfined = false
  /// Its containers ask for rights that a node without users of their own cannot give.
  package var asksForRights = false

  /// Reads a spec; the requests are the caller's to add up.
  init(json: JSON) {
    gates = (json["schedulingGates"]?.arrayValue ?? []).compactMap { $0["name"]?.stringValue }
    priority = json["priority"]?.intValue ?? 0
    neverPreempts = json["preemptionPolicy"]?.stringValue == "Never"
    spread = (json["topologySpreadConstraints"]?.arrayValue ?? []).map { SpreadRule(json: $0) }
    guard let rules = json["affinity"]?.objectValue else { return }
    let required = "requiredDuringSchedulingIgnoredDuringExecution"
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution"
    if let nodes = rules["nodeAffinity"] {
      requiredNodes = nodes[required].map { selector in
        (selector["nodeSelectorTerms"]?.arrayValue ?? []).map { NodeTerm(json: $0) }
      }
      preferredNodes = (nodes[preferred]?.arrayValue ?? []).map {
        WeightedNodeTerm(weight: $0["weight"]?.intValue ?? 0, term: NodeTerm(json: $0["preference"]))
      }
    }
    affinity = (rules["podAffinity"]?[required]?.arrayValue ?? []).map { PodTerm(json: $0) }
    antiAffinity = (rules["podAntiAffinity"]?[required]?.arrayValue ?? []).map { PodTerm(json: $0) }
    for (member, sign) in [("podAffinity", Int64(1)), ("podAntiAffinity", -1)] {
      for wish in rules[member]?[preferred]?.arrayValue ?? [] {
        let weight = max(0, min(wish["weight"]?.intValue ?? 0, 100)) * sign
        preferredPods.append(WeightedPodTerm(weight: weight, term: PodTerm(json: wish["podAffinityTerm"] ?? .null)))
      }
    }
  }

  /// Whether a node depends on the pods that are there already.
  package var asksForPods: Bool {
    !affinity.isEmpty || !antiAffinity.isEmpty || !preferredPods.isEmpty || !spread.isEmpty
  }

  fileprivate static func strings(_ json: JSON?) -> [String] { (json?.arrayValue ?? []).compactMap(\.stringValue) }
}

extension LabelSelector {
  /// Requirements of a node selector term, which know Gt and Lt too.
  fileprivate init(nodeRequirements json: JSON?) {
    self.init()
    for expression in json?.arrayValue ?? [] {
      let operation: Operator
      switch expression["operator"]?.stringValue {
      case "In": operation = .in
      case "NotIn": operation = .notIn
      case "Exists": operation = .exists
      case "Gt": operation = .greaterThan
      case "Lt": operation = .lessThan
      default: operation = .doesNotExist
      }
      let values = (expression["values"]?.arrayValue ?? []).compactMap(\.stringValue)
      requirements.append(
        Requirement(
          key: expression["key"]?.stringValue ?? "", operation: operation, values: Self.sortedUnique(values)))
    }
  }
}
