// Who may do what by roles and bindings: the one visit of the rules that a subject has in a place, from which
// decisions, their reasons and lists of rules come. Knows nothing of doors or agents.

import ClusterProto

/// By which binding something is allowed; Kubernetes' sentence.
struct AccessGrant: Equatable, Sendable {
  var binding: String
  var namespace: String
  var role: ObjectKey
  var principal: Principal

  var reason: String {
    let name = JSON.string(namespace.isEmpty ? binding : "\(binding)/\(namespace)").text
    let kind = namespace.isEmpty ? Kind.clusterrolebindings.name : Kind.rolebindings.name
    let roleKind = role.namespace.isEmpty ? Kind.clusterroles.name : Kind.roles.name
    return "RBAC: allowed by \(kind) \(name) of \(roleKind) \(JSON.string(role.name).text) to \(subject)"
  }

  private var subject: String {
    switch principal {
    case .group(let name): return "Group \(JSON.string(name).text)"
    case .user(let name):
      guard let account = Subject.serviceAccount(name) else { return "User \(JSON.string(name).text)" }
      return "ServiceAccount \(JSON.string("\(account.name)/\(account.namespace)").text)"
    }
  }
}

/// What a subject has in a place, and what its bindings name that is not there.
struct AccessRules: Sendable {
  var rules: [PolicyRule] = []
  /// Kubernetes' words; empty for none.
  var problem = ""
}

extension CoordinatorCore {
  /// Roles that are not there, of one answer.
  private static let problemLimit = 10

  /// Whether some role allows it. Whichever does: so the asker's own are looked at first, and those that everybody has
  /// last.
  func hasRole(_ subject: Subject, _ wanted: AccessAttributes) -> Bool {
    let places = wanted.namespace.isEmpty ? [""] : [wanted.namespace, ""]
    func allows(_ principal: Principal) -> Bool {
      places.contains { place in
        access.roles(of: principal, in: place).contains { access.roles[$0.role]?.allows(wanted) == true }
      }
    }
    return allows(.user(subject.name)) || subject.groups.contains { allows(.group($0)) }
  }

  /// The binding by which the roles allow it; nil: none does.
  func grant(_ subject: Subject, _ access: AccessAttributes) -> AccessGrant? {
    var result: AccessGrant?
    visitRoles(of: subject, in: access.namespace) { place, principal, bound in
      guard self.access.roles[bound.role]?.allows(access) == true else { return true }
      result = AccessGrant(
        binding: bound.bindings.first ?? "", namespace: place, role: bound.role, principal: principal)
      return false
    }
    return result
  }

  /// Every rule that a subject has in a namespace; in none: everywhere.
  func rules(of subject: Subject, in namespace: String) -> AccessRules {
    if subject.mayAll { return AccessRules(rules: PolicyRule.everything) }
    var result: [PolicyRule] = []
    visitRoles(of: subject, in: namespace) { _, _, bound in
      result += access.roles[bound.role]?.rules ?? []
      return true
    }
    return AccessRules(rules: result, problem: missingRoles(of: subject, in: namespace))
  }

  /// Roles that bindings name and that are not there, as Kubernetes says it; empty for none.
  func missingRoles(of subject: Subject, in namespace: String) -> String {
    var texts: [String] = []
    visitRoles(of: subject, in: namespace) { _, _, bound in
      if access.roles[bound.role] == nil {
        let kind = bound.role.namespace.isEmpty ? Kind.clusterroles : Kind.roles
        let text = "\(kind.singular).\(kind.group) \(JSON.string(bound.role.name).text) not found"
        if !texts.contains(text) { texts.append(text) }
      }
      return texts.count < Self.problemLimit
    }
    return texts.count < 2 ? texts.first ?? "" : "[\(texts.joined(separator: ", "))]"
  }

  /// Shows each bound role, those of everywhere first, until `next` says no.
  private func visitRoles(
    of subject: Subject, in namespace: String, _ next: (String, Principal, BoundRole) -> Bool
  ) {
    for place in namespace.isEmpty ? [""] : ["", namespace] {
      for bound in access.roles(of: .user(subject.name), in: place) {
        if !next(place, .user(subject.name), bound) { return }
      }
      for group in subject.groups {
        for bound in access.roles(of: .group(group), in: place) where !next(place, .group(group), bound) { return }
      }
    }
  }
}
