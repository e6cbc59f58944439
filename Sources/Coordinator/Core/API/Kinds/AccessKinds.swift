// Roles and bindings: what the API does for them alone, with Kubernetes' messages. It must not know who may do what,
// nor who may give which right.

import ClusterProto

extension KindDescriptor {
  static let roles = KindDescriptor(
    served: ServedRules(tier: .rights), table: roleTable, writes: roleWrites(isNamespaced: true), access: .role)
  static let clusterRoles = KindDescriptor(
    served: ServedRules(tier: .cluster), table: roleTable, writes: roleWrites(isNamespaced: false), access: .role)
  static let roleBindings = KindDescriptor(
    served: ServedRules(tier: .rights), table: bindingTable("roleBinding"),
    writes: bindingWrites(roleKinds: ["Role", "ClusterRole"], isNamespaced: true), access: .binding)
  static let clusterRoleBindings = KindDescriptor(
    served: ServedRules(tier: .cluster), table: bindingTable("clusterRoleBinding"),
    writes: bindingWrites(roleKinds: ["ClusterRole"], isNamespaced: false), access: .binding)

  // Roles.

  private static let roleTable = TableRules(
    columns: [
      .name,
      {
        var column = TableColumn.age
        column.name = "Created At"
        column.type = "date"
        return column
      }(),
    ]
  ) { object, _ in [.string(object.meta.name), .string(object.meta.creationTimestamp.rfc3339)] }

  private static func roleWrites(isNamespaced: Bool) -> WriteRules {
    let check: WriteRules.Check = { json, errors in
      let rules = json["rules"]?.arrayValue ?? []
      // Kubernetes has no such bound; each of them may be looked at for a request.
      if rules.count > MetaValidation.listLimit {
        return errors.tooMany("rules", rules.count, limit: MetaValidation.listLimit)
      }
      for (index, rule) in rules.enumerated() {
        policyRule(rule, "rules[\(index)]", isNamespaced: isNamespaced, into: &errors)
      }
      aggregation(json["aggregationRule"] ?? .null, into: &errors)
    }
    return WriteRules(
      nameProblems: Names.pathSegmentErrors,
      validateNew: check,
      validateUpdate: { json, _, errors in check(json, &errors) })
  }

  private static func policyRule(_ rule: JSON, _ at: String, isNamespaced: Bool, into errors: inout FieldErrors) {
    func count(_ member: String) -> Int { rule[member]?.arrayValue?.count ?? 0 }
    for member in ["verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs"] {
      if count(member) > MetaValidation.listLimit {
        errors.tooMany("\(at).\(member)", count(member), limit: MetaValidation.listLimit)
      }
    }
    if count("verbs") == 0 { errors.required("\(at).verbs", "verbs must contain at least one value") }
    if count("nonResourceURLs") > 0 {
      let urls = rule["nonResourceURLs"] ?? .null
      if isNamespaced {
        errors.invalid("\(at).nonResourceURLs", urls, "namespaced rules cannot apply to non-resource URLs")
      }
      if count("apiGroups") + count("resources") + count("resourceNames") > 0 {
        errors.invalid(
          "\(at).nonResourceURLs", urls, "rules cannot apply to both regular resources and non-resource URLs")
      }
      return
    }
    if count("apiGroups") == 0 {
      errors.required("\(at).apiGroups", "resource rules must supply at least one api group")
    }
    if count("resources") == 0 {
      errors.required("\(at).resources", "resource rules must supply at least one resource")
    }
  }

  private static func aggregation(_ rule: JSON, into errors: inout FieldErrors) {
    guard !rule.isNull else { return }
    let selectors = rule["clusterRoleSelectors"]?.arrayValue ?? []
    let at = "aggregationRule.clusterRoleSelectors"
    if selectors.isEmpty {
      errors.required(at, "at least one clusterRoleSelector required if aggregationRule is non-nil")
    }
    if selectors.count > MetaValidation.listLimit {
      return errors.tooMany(at, selectors.count, limit: MetaValidation.listLimit)
    }
    for (index, selector) in selectors.enumerated() {
      MetaValidation.selector(selector, "\(at)[\(index)]", into: &errors)
    }
  }

  // Bindings.

  private static func bindingTable(_ what: String) -> TableRules {
    .simple([
      .name,
      TableColumn(
        "Role",
        "RoleRef can reference a Role in the current namespace or a ClusterRole in the global namespace. If the "
          + "RoleRef cannot be resolved, the Authorizer must return an error."), .age,
      TableColumn("Users", "Users in the \(what)", isWide: true),
      TableColumn("Groups", "Groups in the \(what)", isWide: true),
      TableColumn("ServiceAccounts", "ServiceAccounts in the \(what)", isWide: true),
    ]) { binding, name, age in
      let role = binding.body["roleRef"] ?? .null
      let subjects = binding.body["subjects"]?.arrayValue ?? []
      func names(_ kind: String, _ text: (JSON) -> String) -> JSON {
        .string(subjects.filter { $0["kind"]?.stringValue == kind }.map(text).joined(separator: ", "))
      }
      func subjectName(_ subject: JSON) -> String { subject["name"]?.stringValue ?? "" }
      return [
        name, .string("\(role["kind"]?.stringValue ?? "")/\(role["name"]?.stringValue ?? "")"), age,
        names("User", subjectName), names("Group", subjectName),
        names("ServiceAccount") { "\($0["namespace"]?.stringValue ?? "")/\(subjectName($0))" },
      ]
    }
  }

  private static func bindingWrites(roleKinds: [String], isNamespaced: Bool) -> WriteRules {
    let check: WriteRules.Check = { json, errors in
      roleReference(json["roleRef"] ?? .null, roleKinds, into: &errors)
      let subjects = json["subjects"]?.arrayValue ?? []
      if subjects.count > MetaValidation.listLimit {
        return errors.tooMany("subjects", subjects.count, limit: MetaValidation.listLimit)
      }
      for (index, subject) in subjects.enumerated() {
        bindingSubject(subject, "subjects[\(index)]", isNamespaced: isNamespaced, into: &errors)
      }
    }
    return WriteRules(
      skeleton: ["metadata": [:], "roleRef": [:]], nameProblems: Names.pathSegmentErrors,
      defaults: bindingDefaults, validateNew: check,
      validateUpdate: { json, before, errors in
        let new = json["roleRef"] ?? .null
        if new != before.json["roleRef"] ?? .null {
          // The value prints as Kubernetes' own structure does, which has no names for JSON.
          let text = ["apiGroup", "kind", "name"].map { (new[$0] ?? "").text }
          errors.invalid(
            "roleRef", shown: "{\"APIGroup\":\(text[0]),\"Kind\":\(text[1]),\"Name\":\(text[2])}",
            "cannot change roleRef")
        }
        check(json, &errors)
      })
  }

  private static func bindingDefaults(_ json: inout JSON) {
    let group = JSON.string(Kind.accessGroup)
    func fill(_ object: inout JSON) {
      if (object["apiGroup"]?.stringValue ?? "").isEmpty { object["apiGroup"] = group }
    }
    if json["roleRef"] == nil { json["roleRef"] = .object(JSONObject()) }
    Defaults.within(&json, "roleRef", fill)
    guard var subjects = json["subjects"]?.arrayValue else { return }
    for index in subjects.indices where ["User", "Group"].contains(subjects[index]["kind"]?.stringValue) {
      fill(&subjects[index])
    }
    json["subjects"] = .array(subjects)
  }

  private static func roleReference(_ role: JSON, _ kinds: [String], into errors: inout FieldErrors) {
    let group = role["apiGroup"]?.stringValue ?? ""
    if group != Kind.accessGroup { errors.unsupported("roleRef.apiGroup", group, [Kind.accessGroup]) }
    let kind = role["kind"]?.stringValue ?? ""
    if !kinds.contains(kind) { errors.unsupported("roleRef.kind", kind, kinds) }
    let name = role["name"]?.stringValue ?? ""
    if name.isEmpty { errors.required("roleRef.name") }
    for problem in Names.pathSegmentErrors(name) { errors.invalid("roleRef.name", name, problem) }
  }

  private static func bindingSubject(
    _ subject: JSON, _ at: String, isNamespaced: Bool, into errors: inout FieldErrors
  ) {
    let name = subject["name"]?.stringValue ?? ""
    let group = subject["apiGroup"]?.stringValue ?? ""
    if name.isEmpty { errors.required("\(at).name") }
    let kinds = ["ServiceAccount", "User", "Group"]
    switch subject["kind"]?.stringValue ?? "" {
    case "ServiceAccount":
      if !name.isEmpty { for problem in Names.subdomainErrors(name) { errors.invalid("\(at).name", name, problem) } }
      if !group.isEmpty { errors.unsupported("\(at).apiGroup", group, [""]) }
      if !isNamespaced, (subject["namespace"]?.stringValue ?? "").isEmpty { errors.required("\(at).namespace") }
    case "User", "Group":
      if group != Kind.accessGroup { errors.unsupported("\(at).apiGroup", group, [Kind.accessGroup]) }
    case let other: errors.unsupported("\(at).kind", other, kinds)
    }
  }
}
