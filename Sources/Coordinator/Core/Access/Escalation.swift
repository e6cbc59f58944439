// Nobody gives what he has not: writes of roles and bindings against the rights of who writes them, with Kubernetes'
// verbs `escalate` and `bind` for who may all the same, and its words. It must not know how requests are decoded.

import ClusterProto

extension CoordinatorCore {
  /// Refuses a role or a binding that gives rights which its writer lacks. Of other kinds it says nothing.
  func checkGrant(_ object: APIObject, over before: APIObject?, _ request: APIRequest) throws(APIFailure) {
    guard let part = KindDescriptor.of(request.kind).access, case .other(let new) = object else { return }
    var old: GenericObject?
    if case .other(let stored)? = before { old = stored }
    if request.subject.mayAll || Self.changesOwnersAlone(new, old) { return }
    switch part {
    case .role:
      if may("escalate", request.kind, new.meta.name, request) { return }
      try checkRights(PolicyRule.list(new.body["rules"]), new, request)
      // What it will be the sum of is not known.
      let sums = [new, old].contains { ($0?.body["aggregationRule"] ?? .null) != .null }
      if sums, missing(PolicyRule.everything, request)?.isEmpty != true {
        throw .forbidden(
          request.kind, new.meta.name, "must have cluster-admin privileges to use the aggregationRule")
      }
    case .binding:
      let role = AccessIndex.role(of: new)
      let kind = role.namespace.isEmpty ? Kind.clusterroles : Kind.roles
      if may("bind", kind, role.name, request) { return }
      guard let rules = access.roles[role]?.rules else { throw .notFound(kind, role.name) }
      try checkRights(rules, new, request)
    }
  }

  /// What the garbage collector's helpers write.
  private static func changesOwnersAlone(_ new: GenericObject, _ old: GenericObject?) -> Bool {
    guard let old else { return false }
    return new.body == old.body && new.meta.labels == old.meta.labels && new.meta.annotations == old.meta.annotations
  }

  private func may(_ verb: String, _ kind: Kind, _ name: String, _ request: APIRequest) -> Bool {
    let access = AccessAttributes(
      verb: verb, group: kind.group, resource: kind.plural, namespace: request.namespace, name: name)
    return authorize(request.subject, access) == .allowed
  }

  private func missing(_ rules: [PolicyRule], _ request: APIRequest) -> [PolicyRule]? {
    var comparison = RuleComparison(held: self.rules(of: request.subject, in: request.namespace).rules)
    return comparison.missing(rules)
  }

  private func checkRights(
    _ rules: [PolicyRule], _ object: GenericObject, _ request: APIRequest
  ) throws(APIFailure) {
    guard let missing = missing(rules, request) else {
      throw .forbidden(
        request.kind, object.meta.name,
        "there are too many rules to compare with those that user \(JSON.string(request.subject.name).text) has; "
          + "make several roles of fewer rules each")
    }
    if missing.isEmpty { return }
    let texts = Set(PolicyRule.compacted(missing).map(\.text)).sorted()
    let subject = request.subject
    throw .forbidden(
      request.kind, object.meta.name,
      "user \(JSON.string(subject.name).text) (groups=\(PolicyRule.quoted(subject.groups))) is attempting to grant "
        + "RBAC permissions not currently held:\n\(texts.joined(separator: "\n"))")
  }
}
