// The API kinds that the coordinator stores: names, groups, short names, scope. A table, no behaviour.

/// A stored API kind (what Kubernetes calls a resource). Raw value: the plural resource name, as in URLs.
package enum Kind: String, CaseIterable, Hashable, Sendable, Comparable {
  case namespaces, nodes, configmaps, secrets, serviceaccounts, services, leases, priorityclasses, jobs, pods, events

  package static func < (left: Kind, right: Kind) -> Bool { left.rawValue < right.rawValue }

  /// The resource's name in paths, as `jobs`.
  package var plural: String { rawValue }

  /// The `kind` member of its objects.
  package var name: String {
    switch self {
    case .namespaces: "Namespace"
    case .nodes: "Node"
    case .configmaps: "ConfigMap"
    case .secrets: "Secret"
    case .serviceaccounts: "ServiceAccount"
    case .services: "Service"
    case .leases: "Lease"
    case .priorityclasses: "PriorityClass"
    case .jobs: "Job"
    case .pods: "Pod"
    case .events: "Event"
    }
  }

  /// The name for one, as `job`.
  package var singular: String { name.lowercased() }

  /// What else the command line calls it.
  package var shortNames: [String] {
    switch self {
    case .namespaces: ["ns"]
    case .nodes: ["no"]
    case .configmaps: ["cm"]
    case .pods: ["po"]
    case .events: ["ev"]
    case .serviceaccounts: ["sa"]
    case .services: ["svc"]
    case .priorityclasses: ["pc"]
    case .jobs, .secrets, .leases: []
    }
  }

  /// API group; empty for the core group.
  package var group: String {
    switch self {
    case .jobs: "batch"
    case .leases: "coordination.k8s.io"
    case .priorityclasses: "scheduling.k8s.io"
    default: ""
    }
  }

  /// Group and version, as manifests have them.
  package var apiVersion: String { group.isEmpty ? "v1" : "\(group)/v1" }

  /// Whether objects of the kind lie in namespaces.
  package var isNamespaced: Bool {
    switch self {
    case .namespaces, .nodes, .priorityclasses: false
    default: true
    }
  }

  /// `jobs.batch`, `pods`: how messages name the resource.
  package var qualifiedPlural: String { group.isEmpty ? plural : "\(plural).\(group)" }

  /// Finds a kind by plural, singular or short name, in any case, with or without its group (`jobs.batch`).
  package init?(userName: String) {
    let name = userName.lowercased()
    let found = Kind.allCases.first { kind in
      name == kind.plural || name == kind.singular || kind.shortNames.contains(name)
        || (!kind.group.isEmpty && (name == kind.qualifiedPlural || name == "\(kind.singular).\(kind.group)"))
    }
    guard let found else { return nil }
    self = found
  }

  /// Finds a kind by an object's `apiVersion` and `kind` members.
  package init?(apiVersion: String, kind: String) {
    guard let found = Kind.allCases.first(where: { $0.name == kind && $0.apiVersion == apiVersion }) else { return nil }
    self = found
  }
}
