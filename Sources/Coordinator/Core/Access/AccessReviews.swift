// The questions of authorization.k8s.io: may I, may somebody, what may I. They are answered from what decides requests,
// and by nothing else. It must not know paths, nor how a question is sent.

import ClusterProto

extension CoordinatorCore {
  /// The status of a question of authorization.k8s.io that `subject` asks. `namespace`: the path's.
  package func review(
    _ kind: String, _ spec: JSON, namespace: String, by subject: Subject
  ) throws(APIFailure) -> JSON {
    switch kind {
    case "SelfSubjectRulesReview":
      let namespace = spec["namespace"]?.stringValue ?? ""
      if namespace.isEmpty { throw .badRequest("no namespace on request") }
      return rulesReview(subject, namespace)
    case "SelfSubjectAccessReview": return accessReview(subject, try Self.attributes(spec, kind))
    default:
      let access = try Self.attributes(spec, kind)
      var errors = FieldErrors()
      let name = spec["user"]?.stringValue ?? ""
      let groups = (spec["groups"]?.arrayValue ?? []).compactMap(\.stringValue)
      if name.isEmpty, groups.isEmpty {
        errors.invalid("spec.user", "", "at least one of user or group must be specified")
      }
      if kind == "LocalSubjectAccessReview" {
        if spec["nonResourceAttributes"] ?? .null != .null {
          errors.invalid(
            "spec.nonResourceAttributes", spec["nonResourceAttributes"] ?? .null, "disallowed on this kind of request")
        } else if access.namespace != namespace {
          errors.invalid("spec.resourceAttributes.namespace", access.namespace, "must match metadata.namespace")
        }
      }
      if !errors.isEmpty { throw Self.invalid(kind, errors) }
      let isAgent = name.hasPrefix(Subject.nodeName("")) && groups.contains(Subject.nodes)
      return accessReview(
        Subject(name: name, groups: groups, kind: isAgent ? .agent : .user, door: subject.door), access)
    }
  }

  private func accessReview(_ subject: Subject, _ access: AccessAttributes) -> JSON {
    switch decide(subject, access) {
    case .allowed:
      guard !subject.mayAll, subject.kind != .agent, let grant = grant(subject, access) else {
        return ["allowed": true]
      }
      return ["allowed": true, "reason": .string(grant.reason)]
    case .denied(let reason):
      return reason.isEmpty ? ["allowed": false] : ["allowed": false, "reason": .string(reason)]
    }
  }

  private func rulesReview(_ subject: Subject, _ namespace: String) -> JSON {
    if subject.kind == .agent {
      return [
        "resourceRules": [], "nonResourceRules": [], "incomplete": true,
        "evaluationError": "node authorizer does not support user rule resolution",
      ]
    }
    let found = rules(of: subject, in: namespace)
    var status: JSON = [
      "resourceRules": .array(found.rules.filter { $0.urls.isEmpty }.map(\.json)),
      "nonResourceRules": .array(found.rules.filter { !$0.urls.isEmpty }.map(\.json)), "incomplete": false,
    ]
    if !found.problem.isEmpty { status["evaluationError"] = .string(found.problem) }
    return status
  }

  private static func attributes(_ spec: JSON, _ kind: String) throws(APIFailure) -> AccessAttributes {
    let resource = spec["resourceAttributes"] ?? .null
    let path = spec["nonResourceAttributes"] ?? .null
    guard resource.isNull != path.isNull else {
      var errors = FieldErrors()
      errors.invalid(
        "spec.resourceAttributes", .null,
        "exactly one of nonResourceAttributes or resourceAttributes must be specified")
      throw invalid(kind, errors)
    }
    func text(_ name: String) -> String { resource[name]?.stringValue ?? "" }
    if resource.isNull {
      return AccessAttributes(verb: path["verb"]?.stringValue ?? "", path: path["path"]?.stringValue ?? "")
    }
    return AccessAttributes(
      verb: text("verb"), group: text("group"), resource: text("resource"), subresource: text("subresource"),
      namespace: text("namespace"), name: text("name"))
  }

  private static func invalid(_ kind: String, _ errors: FieldErrors) -> APIFailure {
    let texts = errors.all.map(\.text)
    let list = texts.count == 1 ? texts[0] : "[\(texts.joined(separator: ", "))]"
    return APIFailure(
      code: 422, reason: "Invalid", message: "\(kind).authorization.k8s.io \"\" is invalid: \(list)",
      details: [
        "group": "authorization.k8s.io", "kind": .string(kind), "causes": .array(errors.all.map(\.cause)),
      ])
  }
}
