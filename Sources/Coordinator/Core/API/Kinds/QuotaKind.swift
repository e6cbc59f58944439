// ResourceQuotas: what the API does for them alone. What is in use is counted in Workloads (Quotas).

import ClusterProto

extension KindDescriptor {
  static let resourceQuotas = KindDescriptor(
    served: ServedRules(subresources: [.status], tier: .visible),
    table: .simple([
      .name,
      TableColumn("Request", "Requests and objects in use, and how much of each there may be."),
      TableColumn("Limit", "Limits in use, and how much of each there may be."), .age,
    ]) { object, name, age in
      func cell(_ isLimit: Bool) -> JSON {
        let hard = ResourceTotals(object.body["status"]?["hard"])
        let used = ResourceTotals(object.body["status"]?["used"])
        let names = hard.names.filter { $0.hasPrefix("limits.") == isLimit }
        return .string(
          names.map { "\($0): \(used[$0]?.description ?? "0")/\(hard[$0]?.description ?? "0")" }.joined(separator: ", ")
        )
      }
      return [name, cell(false), cell(true), age]
    },
    writes: WriteRules(
      skeleton: ["metadata": [:], "spec": [:], "status": [:]],
      complete: { json, _ in json["status"] = .object(JSONObject()) },
      settle: { json, before, _, _ in json["status"] = before.json["status"] }, validateNew: quota,
      validateUpdate: { json, before, errors in
        quota(json, into: &errors)
        let (new, old) = (json["spec"], before.json["spec"])
        for name in ["scopes", "scopeSelector"] where new?[name] != old?[name] {
          errors.invalid("spec.\(name)", new?[name] ?? .null, "field is immutable")
        }
      }),
    status: StatusRules { json, before throws(APIFailure) in
      guard case .other(let old) = before else { return before }
      var errors = FieldErrors()
      for list in ["hard", "used"] { amounts(json?[list], "status.\(list)", into: &errors) }
      if !errors.isEmpty { throw .invalid(.resourcequotas, old.meta.name, errors.all) }
      var tree = old.json
      tree["status"] = json ?? .object(JSONObject())
      return .other(GenericObject(kind: .resourcequotas, json: tree))
    })

  private static let plainNames: Set<String> = [
    "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.storage",
    "requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage", "pods",
  ]
  private static let objectNames: Set<String> = [
    "resourcequotas", "services", "replicationcontrollers", "secrets", "persistentvolumeclaims", "configmaps",
    "services.nodeports", "services.loadbalancers",
  ]
  private static let scopes = [
    "BestEffort", "CrossNamespacePodAffinity", "NotBestEffort", "NotTerminating", "PriorityClass", "Terminating",
  ]

  private static func isStandard(_ name: String) -> Bool {
    plainNames.contains(name) || objectNames.contains(name) || name.hasPrefix("hugepages-")
      || name.hasPrefix("requests.hugepages-")
  }

  /// ValidateResourceQuota.
  private static func quota(_ json: JSON, into errors: inout FieldErrors) {
    let spec = json["spec"] ?? .null
    amounts(spec["hard"], "spec.hard", into: &errors)
    let names = (spec["hard"]?.objectValue ?? JSONObject()).map(\.key)
    let given = (spec["scopes"]?.arrayValue ?? []).compactMap(\.stringValue)
    for scope in given {
      scopeProblems(scope, names, "spec.scopes", spec["scopes"] ?? .null, into: &errors)
    }
    conflicts(given, "spec.scopes", spec["scopes"] ?? .null, into: &errors)
    guard let selector = spec["scopeSelector"] else { return }
    let path = "spec.scopeSelector.matchExpressions"
    let rules = selector["matchExpressions"]?.arrayValue ?? []
    for rule in rules {
      let scope = rule["scopeName"]?.stringValue ?? ""
      scopeProblems(scope, names, "\(path).scopeName", .string(scope), into: &errors)
      requirement(rule, scope, path, into: &errors)
    }
    conflicts(rules.compactMap { $0["scopeName"]?.stringValue }, path, selector, into: &errors)
  }

  private static func amounts(_ list: JSON?, _ path: String, into errors: inout FieldErrors) {
    for (name, value) in list?.objectValue ?? JSONObject() {
      let at = "\(path)[\(name)]"
      for problem in Names.labelKeyErrors(name) { errors.invalid(at, name, problem) }
      if !name.contains("/"), !isStandard(name) {
        errors.invalid(at, name, "must be a standard resource type or fully qualified")
      }
      guard let amount = QuantityValue(value) else { continue }
      if amount.millis < 0 { errors.invalid(at, amount.description, JobValidation.notNegative) }
      let isWhole = objectNames.contains(name) || name == "pods" || name.hasPrefix("count/")
      if isWhole, amount.millis % 1000 != 0 { errors.invalid(at, amount.description, "must be an integer") }
    }
  }

  private static func scopeProblems(
    _ scope: String, _ names: [String], _ path: String, _ shown: JSON, into errors: inout FieldErrors
  ) {
    if !scopes.contains(scope) { errors.invalid(path, shown, "unsupported scope") }
    for name in names.sorted() where isStandard(name) && !fits(scope, name) {
      errors.invalid(path, shown, "unsupported scope applied to resource")
    }
  }

  /// Pods of best effort ask for nothing that could be counted.
  private static func fits(_ scope: String, _ name: String) -> Bool {
    name == "pods" || scope != "BestEffort" && QuotaUsage.mustBeSaid.contains(name)
  }

  private static func conflicts(_ given: [String], _ path: String, _ shown: JSON, into errors: inout FieldErrors) {
    for pair in [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]]
    where pair.allSatisfy({ given.contains($0) }) {
      errors.invalid(path, shown, "conflicting scopes")
    }
  }

  private static func requirement(_ rule: JSON, _ scope: String, _ path: String, into errors: inout FieldErrors) {
    let operation = rule["operator"]?.stringValue ?? ""
    let isEmpty = (rule["values"]?.arrayValue ?? []).isEmpty
    if scope != "PriorityClass", operation != "Exists" {
      errors.invalid(
        "\(path).operator", operation,
        "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
          + "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or "
          + "ResourceQuotaScopeCrossNamespacePodAffinity")
    }
    switch operation {
    case "In", "NotIn":
      if isEmpty {
        errors.required(
          "\(path).values", "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector")
      }
    case "Exists", "DoesNotExist":
      if !isEmpty {
        errors.invalid(
          "\(path).values", rule["values"] ?? .null,
          "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector")
      }
    default: errors.invalid("\(path).operator", operation, "not a valid selector operator")
    }
  }
}
