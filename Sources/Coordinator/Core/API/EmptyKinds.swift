// Kinds that programs for Kubernetes list without asking whether they are there (`kubectl cluster-info dump`,
// `kubectl apply --prune`): they can be listed, and there are none. A table. Knows nothing of paths or formats.

import ClusterProto

extension ServedResource {
  /// Kinds of which there are no objects and never will be in this version.
  package static let empty: [ServedResource] = [
    none("", "endpoints", "Endpoints", "ep", singular: "endpoints"),
    none("", "replicationcontrollers", "ReplicationController", "rc"),
    none("apps", "daemonsets", "DaemonSet", "ds"), none("apps", "deployments", "Deployment", "deploy"),
    none("apps", "replicasets", "ReplicaSet", "rs"), none("apps", "statefulsets", "StatefulSet", "sts"),
    none("networking.k8s.io", "ingresses", "Ingress", "ing"),
  ]

  /// What discovery shows: what is served, what is only listed, and what is only measured.
  package static let discovered = (all + empty + MetricsGroup.resources).sorted {
    ($0.group, $0.plural) < ($1.group, $1.plural)
  }

  /// The groups of discovery but the core group, sorted.
  package static let discoveredGroups = Set(discovered.map(\.group)).sorted().filter { !$0.isEmpty }

  /// The version of a group.
  package static func version(of group: String) -> String { group == MetricsGroup.name ? MetricsGroup.version : "v1" }

  private static func none(
    _ group: String, _ plural: String, _ kind: String, _ short: String, singular: String? = nil,
    isNamespaced: Bool = true
  ) -> ServedResource {
    ServedResource(
      group: group, plural: plural, singular: singular ?? kind.lowercased(), kind: kind, schema: "",
      isNamespaced: isNamespaced, verbs: ["get", "list"], shortNames: [short], tier: isNamespaced ? .everyday : .cluster
    )
  }

  /// `deployments.apps`: how messages name the resource.
  package var qualifiedPlural: String { group.isEmpty ? plural : "\(plural).\(group)" }
}
