// What clients find in discovery: every stored kind, the second group that shows events, and the questions that are
// answered at once; and what Kubernetes has that is not here. Tables: how it is served is the verbs' and the HTTP
// side's. Knows nothing of paths or formats.

import ClusterProto

/// A part of a resource that has a path of its own.
package struct ServedSubresource: Equatable, Sendable {
  /// Its name in paths, after the object's.
  package var name: String
  /// What may be asked of it.
  package var verbs: [String]
  /// The type of its bodies where that is another than the resource's: group, version v1, kind.
  package var type: (group: String, kind: String)?

  package static func == (left: ServedSubresource, right: ServedSubresource) -> Bool {
    left.name == right.name && left.verbs == right.verbs && left.type?.group == right.type?.group
      && left.type?.kind == right.type?.kind
  }
}

/// One resource of the API, version v1 of its group.
package struct ServedResource: Equatable, Sendable {
  /// The API group; empty for the core.
  package var group: String
  /// The name in paths.
  package var plural: String
  /// The name for one.
  package var singular: String
  /// The kind, as manifests have it.
  package var kind: String
  /// The name of its type in the schema.
  package var schema: String
  /// Whether objects of it lie in namespaces.
  package var isNamespaced: Bool
  /// What may be asked of it.
  package var verbs: [String]
  /// What else the command line calls it.
  package var shortNames: [String] = []
  /// Whether `kubectl get all` shows it.
  package var isInAll = false
  /// What is served below an object.
  package var subresources: [ServedSubresource] = []

  /// Every resource by group and name, as Kubernetes lists them: `kubectl get all` prints in this order.
  package static let all =
    (Kind.allCases.map { ServedResource($0) } + [modernEvents] + [
      question("authentication.k8s.io", "SelfSubjectReview"),
      question("authorization.k8s.io", "SelfSubjectAccessReview"),
      question("authorization.k8s.io", "SelfSubjectRulesReview"),
    ]).sorted { ($0.group, $0.plural) < ($1.group, $1.plural) }

  /// The API groups but the core group, sorted.
  package static let groups = Set(all.map(\.group)).sorted().filter { !$0.isEmpty }

  private static let modernEvents: ServedResource = {
    var events = ServedResource(.events)
    events.group = EventsGroup.name
    events.schema = EventsGroup.schema
    return events
  }()

  /// A resource that is only created, and never kept.
  private static func question(_ group: String, _ kind: String) -> ServedResource {
    ServedResource(
      group: group, plural: kind.lowercased() + "s", singular: kind.lowercased(), kind: kind, schema: kind,
      isNamespaced: false, verbs: ["create"])
  }
}

extension ServedResource {
  /// What Kubernetes has and this version does not, and what there is instead.
  private static let unserved: [String: String] = {
    let inside = "nothing goes into a container that runs; read what it writes with kubectl logs"
    let network = "a pod's ports are its node's: connect to them there"
    return [
      "pods/exec": inside, "pods/attach": inside, "pods/portforward": network, "pods/proxy": network,
      "services/proxy": network, "nodes/proxy": "an agent serves nothing but its coordinator",
      "pods/ephemeralcontainers": "a pod's containers are those that it was created with",
      "pods/resize": "a pod keeps the resources that it was created with",
      "pods/binding": "the coordinator alone assigns pods to nodes; choose them with nodeSelector",
      "serviceaccounts/token": "there are no tokens; clients show the administrator's certificate",
    ]
  }()

  /// Why a subresource that Kubernetes has is not served here; nil for those that are served, and for unknown ones.
  package static func refusal(_ kind: Kind, subresource: String) -> String? {
    if subresource.isEmpty { return nil }
    let name = "\(kind.plural)/\(subresource)"
    return unserved[name].map { "\(name) is not served by this version: \($0)" }
  }
}

extension ServedResource {
  fileprivate init(_ kind: Kind) {
    self.init(
      group: kind.group, plural: kind.plural, singular: kind.singular, kind: kind.name, schema: kind.name,
      isNamespaced: kind.isNamespaced,
      verbs: ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
      shortNames: kind.shortNames, isInAll: [.pods, .jobs, .services].contains(kind))
    let status = ServedSubresource(name: "status", verbs: ["get", "patch", "update"])
    switch kind {
    case .pods:
      subresources = [
        ServedSubresource(name: "eviction", verbs: ["create"], type: ("policy", "Eviction")),
        ServedSubresource(name: "log", verbs: ["get"]), status,
      ]
    case .jobs, .nodes: subresources = [status]
    case .namespaces:
      subresources = [ServedSubresource(name: "finalize", verbs: ["update"]), status]
      verbs.removeAll { $0 == "deletecollection" }
    default: break
    }
  }
}
