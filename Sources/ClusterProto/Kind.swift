// The API kinds that the coordinator stores and what is fixed of each: names, group, scope. A table, no behaviour.
// What the API does differently for a kind is KindDescriptor's, in the coordinator's core.

/// A stored API kind (what Kubernetes calls a resource). Raw value: the plural resource name, as in URLs.
package enum Kind: String, CaseIterable, Hashable, Sendable, Comparable {
  case namespaces, nodes, configmaps, secrets, serviceaccounts, services, leases, priorityclasses, jobs, cronjobs, pods,
    events
  case roles, clusterroles, rolebindings, clusterrolebindings, poddisruptionbudgets, queues
  case resourcequotas, limitranges
  case persistentvolumes, persistentvolumeclaims, storageclasses

  // Inlined, what asks for one fact makes only that one.
  @inline(__always) private var facts: KindFacts {
    switch self {
    case .namespaces: KindFacts(name: "Namespace", shortName: "ns", isNamespaced: false)
    case .nodes: KindFacts(name: "Node", shortName: "no", isNamespaced: false)
    case .configmaps: KindFacts(name: "ConfigMap", shortName: "cm")
    case .secrets: KindFacts(name: "Secret")
    case .serviceaccounts: KindFacts(name: "ServiceAccount", shortName: "sa")
    case .services: KindFacts(name: "Service", shortName: "svc")
    case .leases: KindFacts(name: "Lease", group: "coordination.k8s.io")
    case .priorityclasses:
      KindFacts(name: "PriorityClass", group: "scheduling.k8s.io", shortName: "pc", isNamespaced: false)
    case .poddisruptionbudgets: KindFacts(name: "PodDisruptionBudget", group: "policy", shortName: "pdb")
    case .jobs: KindFacts(name: "Job", group: "batch")
    case .cronjobs: KindFacts(name: "CronJob", group: "batch", shortName: "cj")
    case .pods: KindFacts(name: "Pod", shortName: "po")
    case .events: KindFacts(name: "Event", shortName: "ev")
    case .queues: KindFacts(name: "Queue", group: "stint.dev", isNamespaced: false)
    case .resourcequotas: KindFacts(name: "ResourceQuota", shortName: "quota")
    case .limitranges: KindFacts(name: "LimitRange", shortName: "limits")
    case .persistentvolumes: KindFacts(name: "PersistentVolume", shortName: "pv", isNamespaced: false)
    case .persistentvolumeclaims: KindFacts(name: "PersistentVolumeClaim", shortName: "pvc")
    case .storageclasses:
      KindFacts(name: "StorageClass", group: "storage.k8s.io", shortName: "sc", isNamespaced: false)
    case .roles: KindFacts(name: "Role", group: Kind.accessGroup)
    case .clusterroles: KindFacts(name: "ClusterRole", group: Kind.accessGroup, isNamespaced: false)
    case .rolebindings: KindFacts(name: "RoleBinding", group: Kind.accessGroup)
    case .clusterrolebindings: KindFacts(name: "ClusterRoleBinding", group: Kind.accessGroup, isNamespaced: false)
    }
  }

  /// The group of roles and bindings.
  package static let accessGroup = "rbac.authorization.k8s.io"

  package static func < (left: Kind, right: Kind) -> Bool { left.rawValue < right.rawValue }

  /// The resource's name in paths, as `jobs`.
  package var plural: String { rawValue }

  /// The `kind` member of its objects.
  package var name: String { facts.name }

  /// The name for one, as `job`.
  package var singular: String { name.lowercased() }

  /// What else the command line calls it.
  package var shortNames: [String] { facts.shortName.map { [$0] } ?? [] }

  /// API group; empty for the core group.
  package var group: String { facts.group }

  /// Group and version, as manifests have them.
  package var apiVersion: String { group.isEmpty ? "v1" : "\(group)/v1" }

  /// Whether objects of the kind lie in namespaces.
  package var isNamespaced: Bool { facts.isNamespaced }

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

/// What is fixed of a kind. No arrays: it is made where it is asked for.
private struct KindFacts {
  var name: String
  var group = ""
  var shortName: String?
  var isNamespaced = true
}
