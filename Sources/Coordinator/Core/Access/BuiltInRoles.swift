// The roles and bindings that every cluster has, as Kubernetes' are over what is served here: made from the list of
// served resources, so that a new kind is in them. Data. How they come into the state is RoleReconciler's.

import ClusterProto

/// Who works with a kind, in Kubernetes' four roles.
enum AccessTier: Sendable {
  /// `view` reads it, `edit` writes it.
  case everyday
  /// `edit` reads and writes it; `view` must not see it.
  case sensitive
  /// `admin` reads and writes it.
  case rights
  /// `view` reads it, where a namespace is named; nobody but `cluster-admin` writes it.
  case visible
  /// `cluster-admin` alone.
  case cluster
}

/// A ClusterRole that every cluster has.
struct BuiltInRole: Sendable {
  var name: String
  var labels: StringMap = [:]
  var rules: [PolicyRule] = []
  /// The label of the roles that it is the sum of.
  var sumOf: String?
}

/// A ClusterRoleBinding that every cluster has.
struct BuiltInBinding: Sendable {
  var role: String
  var groups: [String]
}

enum BuiltIn {
  static let annotation = "rbac.authorization.kubernetes.io/autoupdate"
  static let label = "kubernetes.io/bootstrapping"
  static let labelValue = "rbac-defaults"
  private static let sumPrefix = "rbac.authorization.k8s.io/aggregate-to-"
  static let clusterAdmin = "cluster-admin"

  private static let reads = ["get", "list", "watch"]
  private static let writes = ["create", "delete", "deletecollection", "patch", "update"]
  private static let publicPaths = ["/healthz", "/livez", "/readyz", "/version", "/version/"]
  private static let discoveryPaths = [
    "/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version",
    "/version/",
  ]

  /// Every ClusterRole, sorted by name.
  static let roles: [BuiltInRole] = [
    sum("admin", []), BuiltInRole(name: clusterAdmin, rules: PolicyRule.everything), sum("edit", ["admin"]),
    part("admin", adminRules), part("edit", editRules), part("view", viewRules),
    BuiltInRole(
      name: "system:auth-delegator",
      rules: [
        PolicyRule(verbs: ["create"], groups: [authentication], resources: ["tokenreviews"]),
        PolicyRule(verbs: ["create"], groups: [authorization], resources: ["subjectaccessreviews"]),
      ]),
    BuiltInRole(
      name: "system:basic-user",
      rules: [
        PolicyRule(
          verbs: ["create"], groups: [authorization],
          resources: ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
        PolicyRule(verbs: ["create"], groups: [authentication], resources: ["selfsubjectreviews"]),
      ]), BuiltInRole(name: "system:discovery", rules: [PolicyRule(verbs: ["get"], urls: discoveryPaths)]),
    BuiltInRole(name: "system:public-info-viewer", rules: [PolicyRule(verbs: ["get"], urls: publicPaths)]),
    sum("view", ["edit"]),
  ]

  /// Every ClusterRoleBinding; each has its role's name.
  static let bindings = [
    BuiltInBinding(role: clusterAdmin, groups: [Subject.masters]),
    BuiltInBinding(role: "system:basic-user", groups: [Subject.authenticated]),
    BuiltInBinding(role: "system:discovery", groups: [Subject.authenticated]),
    BuiltInBinding(
      role: "system:public-info-viewer", groups: [Subject.authenticated, Subject.unauthenticated]),
  ]

  private static let authentication = "authentication.k8s.io"
  private static let authorization = "authorization.k8s.io"

  private static func sum(_ name: String, _ above: [String]) -> BuiltInRole {
    var labels: StringMap = [:]
    for role in above { labels[sumPrefix + role] = "true" }
    return BuiltInRole(name: name, labels: labels, sumOf: sumPrefix + name)
  }

  private static func part(_ role: String, _ rules: [PolicyRule]) -> BuiltInRole {
    BuiltInRole(name: "system:aggregate-to-\(role)", labels: [sumPrefix + role: "true"], rules: rules)
  }

  // The rules, from what is served.

  private static let viewRules = rules(reads) { resource in
    switch resource.tier {
    case .everyday, .visible:
      [resource.plural]
        + parts(resource) { $0.verbs.contains("get") && !$0.isEntrance }
    case .sensitive, .rights, .cluster: []
    }
  }

  private static let editRules =
    rules(reads) { resource in
      // As in Kubernetes: who may enter a pod may do what the pod may.
      resource.tier == .sensitive ? [resource.plural] : parts(resource, where: \.isEntrance)
    }
    + rules(writes) { resource in
      guard resource.tier == .everyday || resource.tier == .sensitive else { return [] }
      return resource.verbs.contains("delete") ? [resource.plural] : []
    }
    // As pods/eviction. Who writes a status is the cluster.
    + rules(["create"]) { resource in
      guard resource.tier == .everyday || resource.tier == .sensitive else { return [] }
      return parts(resource) { $0.verbs == ["create"] || $0.isEntrance }
    } + [PolicyRule(verbs: ["impersonate"], groups: [""], resources: ["serviceaccounts"])]

  /// The paths of a resource's parts that are such.
  private static func parts(_ resource: ServedResource, where isSuch: (ServedSubresource) -> Bool) -> [String] {
    resource.subresources.filter { $0.isInRoles && isSuch($0) }.map { "\(resource.plural)/\($0.name)" }
  }

  private static let adminRules =
    rules(writes + reads) { $0.tier == .rights && $0.verbs.contains("delete") ? [$0.plural] : [] }
    + rules(["create"]) { $0.tier == .rights && $0.verbs == ["create"] ? [$0.plural] : [] }

  /// One rule a group, with what `names` gives for its resources.
  private static func rules(_ verbs: [String], _ names: (ServedResource) -> [String]) -> [PolicyRule] {
    ([""] + ServedResource.discoveredGroups).compactMap { group in
      let resources = ServedResource.discovered.filter { $0.group == group }.flatMap(names)
      return resources.isEmpty ? nil : PolicyRule(verbs: verbs, groups: [group], resources: resources)
    }
  }
}
