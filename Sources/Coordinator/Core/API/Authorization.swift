// Who may do what: one pure function of the asker and of what is asked, and Kubernetes' words for a no. Every request
// of both doors and every agent's session comes through it, in `CoordinatorCore.handle` and `sessionOpened`.
// Knows nothing of doors, paths or bodies. Masters may do everything, agents what their node needs, all others what
// roles and bindings give them (Access/).

import ClusterProto

/// What somebody wants to do, in the words in which Kubernetes' roles allow it.
package struct AccessAttributes: Equatable, Sendable {
  /// `get`, `list`, …; of a path that names no resource: the method in lower case.
  package var verb: String
  /// The API group; empty for the core.
  package var group: String
  /// Plural name; empty where `path` is asked for.
  package var resource: String
  /// The subresource; empty for none.
  package var subresource: String
  /// Empty: cluster-scoped, or all namespaces.
  package var namespace: String
  /// Empty: all, or none yet.
  package var name: String
  /// A path that names no resource, as `/apis`.
  package var path: String

  /// Takes each value as it stands.
  package init(
    verb: String, group: String = "", resource: String, subresource: String = "", namespace: String = "",
    name: String = ""
  ) {
    self.verb = verb
    self.group = group
    self.resource = resource
    self.subresource = subresource
    // As Kubernetes reads paths: a namespace is in itself.
    self.namespace = resource == Kind.namespaces.plural && namespace.isEmpty ? name : namespace
    self.name = name
    path = ""
  }

  /// A path that names no resource.
  package init(verb: String, path: String) {
    self.init(verb: verb, resource: "")
    self.path = path
  }

  /// What an agent asks for that opens a session.
  package static let session = AccessAttributes(verb: "create", resource: Kind.nodes.plural, subresource: "session")
}

/// The answer to whether somebody may.
package enum AccessDecision: Equatable, Sendable {
  case allowed
  /// `reason`: what stands behind Kubernetes' own sentence; may be empty.
  case denied(reason: String)
}

extension CoordinatorCore {
  /// Whether `subject` may do what `access` says. Whom nobody vouches for may nothing, whatever is bound.
  package func authorize(_ subject: Subject, _ access: AccessAttributes) -> AccessDecision {
    guard subject.isAuthenticated else { return .denied(reason: "") }
    if let reason = revocation(of: subject) { return .denied(reason: reason) }
    return decide(subject, access)
  }

  /// The same of somebody who is only named, as in a SubjectAccessReview.
  func decide(_ subject: Subject, _ access: AccessAttributes) -> AccessDecision {
    if subject.mayAll { return .allowed }
    if subject.kind == .agent { return agentMay(subject, access) ? .allowed : .denied(reason: "") }
    if hasRole(subject, access) { return .allowed }
    let missing = missingRoles(of: subject, in: access.namespace)
    return .denied(reason: missing.isEmpty ? "" : "RBAC: \(missing)")
  }

  /// Every request passes here before anything else is looked at.
  func checkAccess(_ request: APIRequest) throws(APIFailure) {
    for access in accesses(request) {
      if case .denied(let reason) = authorize(request.subject, access) {
        throw .denied(request.subject, access, reason)
      }
    }
  }

  /// What a request needs: its own verb, and `create` where it may make what is not there.
  private func accesses(_ request: APIRequest) -> [AccessAttributes] {
    var first = AccessAttributes(request)
    // A selector that names one object asks for that one, as in Kubernetes.
    if first.name.isEmpty, [.list, .watch].contains(request.verb), let text = request.options.fieldSelector,
      let fields = try? FieldSelector(parsing: text), fields.terms.count == 1,
      let term = fields.terms.first, term.field == "metadata.name", !term.isNegative
    {
      first.name = term.value
    }
    let makes = request.verb == .patch && request.options.patchKind == .apply && request.subresource.isEmpty
    guard makes, state[reference(request)] == nil else { return [first] }
    var create = first
    create.verb = APIVerb.create.rawValue
    return [first, create]
  }
}

extension AccessAttributes {
  /// What a request asks for: a log is read, whatever its own verb is called. Who enters a pod makes something in it,
  /// by whatever method: with a right to read alone nobody shall run a command.
  package init(_ request: APIRequest) {
    let verb: APIVerb =
      switch request.verb {
      case .log: .get
      case .connect: .create
      default: request.verb
      }
    self.init(
      verb: verb.rawValue,
      group: request.group ?? request.kind.group, resource: request.kind.plural,
      subresource: request.verb == .log ? "log" : request.subresource,
      namespace: request.kind.isNamespaced ? request.namespace : "", name: request.name)
  }

  /// Kubernetes' sentence for who may not.
  package func denial(of subject: Subject) -> String {
    let user = JSON.string(subject.name).text
    if resource.isEmpty { return "User \(user) cannot \(verb) path \(JSON.string(path).text)" }
    let what = subresource.isEmpty ? resource : "\(resource)/\(subresource)"
    let place = namespace.isEmpty ? "at the cluster scope" : "in the namespace \(JSON.string(namespace).text)"
    return "User \(user) cannot \(verb) resource \(JSON.string(what).text) in API group "
      + "\(JSON.string(group).text) \(place)"
  }
}

extension APIFailure {
  /// 403 as Kubernetes gives it to somebody whom no role allows it.
  package static func denied(_ subject: Subject, _ access: AccessAttributes, _ reason: String) -> APIFailure {
    let why = access.denial(of: subject) + (reason.isEmpty ? "" : ": \(reason)")
    var details = JSON.object(JSONObject())
    if !access.name.isEmpty { details["name"] = .string(access.name) }
    if !access.group.isEmpty { details["group"] = .string(access.group) }
    var what = "forbidden: "
    if !access.resource.isEmpty {
      details["kind"] = .string(access.resource)
      let qualified = access.group.isEmpty ? access.resource : "\(access.resource).\(access.group)"
      what = "\(qualified)\(access.name.isEmpty ? "" : " \(JSON.string(access.name).text)") is forbidden: "
    }
    return APIFailure(code: 403, reason: "Forbidden", message: what + why, details: details)
  }
}
