// What clients find in discovery: every stored kind, the second group that shows events, and the questions that are
// answered at once. Tables: how it is served is the verbs' and the HTTP
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
  /// Whether bytes go into a running pod there: a way in that reading alone does not open.
  package var isEntrance = false
  /// Whether built-in roles below cluster-admin may have it.
  var isInRoles = true

  static let status = ServedSubresource(name: "status", verbs: ["get", "patch", "update"])

  package static func == (left: ServedSubresource, right: ServedSubresource) -> Bool {
    left.name == right.name && left.verbs == right.verbs && left.type?.group == right.type?.group
      && left.type?.kind == right.type?.kind
  }
}

/// One resource of the API.
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
  /// The version of its group, the only one.
  package var version = "v1"
  /// What else the command line calls it.
  package var shortNames: [String] = []
  /// Whether `kubectl get all` shows it.
  package var isInAll = false
  /// What is served below an object.
  package var subresources: [ServedSubresource] = []
  /// Who works with it, in the built-in roles.
  var tier = AccessTier.everyday

  /// Every resource by group and name, as Kubernetes lists them: `kubectl get all` prints in this order.
  package static let all =
    (Kind.allCases.map { ServedResource($0) } + [modernEvents] + [
      question("authentication.k8s.io", "SelfSubjectReview"), question("authentication.k8s.io", "TokenReview"),
      question("authorization.k8s.io", "SelfSubjectAccessReview"),
      question("authorization.k8s.io", "SelfSubjectRulesReview"),
      question("authorization.k8s.io", "SubjectAccessReview"),
      question("authorization.k8s.io", "LocalSubjectAccessReview", isNamespaced: true, tier: .rights),
    ]).sorted { ($0.group, $0.plural) < ($1.group, $1.plural) }

  /// The API groups but the core group, sorted.
  package static let groups = Set(all.map(\.group)).sorted().filter { !$0.isEmpty }

  /// What in a path behind `namespaces/NAME/` is of the Namespace itself, and no resource that lies in it.
  package static let partsOfNamespaces = Set(KindDescriptor.namespaces.served.subresources.map(\.name))

  private static let modernEvents: ServedResource = {
    var events = ServedResource(.events)
    events.group = EventsGroup.name
    events.schema = EventsGroup.schema
    return events
  }()

  /// A resource that is only created, and never kept.
  private static func question(
    _ group: String, _ kind: String, isNamespaced: Bool = false, tier: AccessTier = .cluster
  ) -> ServedResource {
    ServedResource(
      group: group, plural: kind.lowercased() + "s", singular: kind.lowercased(), kind: kind, schema: kind,
      isNamespaced: isNamespaced, verbs: ["create"], tier: tier)
  }
}

extension ServedResource {
  /// Why a subresource that Kubernetes has is not served here; nil for those that are served, and for unknown ones.
  package static func refusal(_ kind: Kind, subresource: String) -> String? {
    KindDescriptor.of(kind).served.unserved[subresource].map {
      "\(kind.plural)/\(subresource) is not served by this version: \($0)"
    }
  }
}

extension ServedResource {
  fileprivate init(_ kind: Kind) {
    let served = KindDescriptor.of(kind).served
    self.init(
      group: kind.group, plural: kind.plural, singular: kind.singular, kind: kind.name, schema: kind.name,
      isNamespaced: kind.isNamespaced, verbs: served.verbs, shortNames: kind.shortNames, isInAll: served.isInAll,
      subresources: served.subresources, tier: served.tier)
  }
}
