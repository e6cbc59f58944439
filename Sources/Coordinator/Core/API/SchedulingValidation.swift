// Validation of what a pod's spec says of where it may run, with Kubernetes' messages (core/validation): affinity,
// topology spread, scheduling gates. Runs on defaulted trees whose types are right; the rest of the spec is
// PodValidation's.

import ClusterProto

struct SchedulingValidation {
  private(set) var errors = FieldErrors()

  private static let required = "requiredDuringSchedulingIgnoredDuringExecution"
  private static let preferred = "preferredDuringSchedulingIgnoredDuringExecution"

  mutating func podSpec(_ spec: JSON, _ path: String) {
    let affinity = "\(path).affinity"
    nodeAffinity(spec[path: ["affinity", "nodeAffinity"]] ?? .null, "\(affinity).nodeAffinity")
    podAffinity(spec[path: ["affinity", "podAffinity"]] ?? .null, "\(affinity).podAffinity")
    podAffinity(spec[path: ["affinity", "podAntiAffinity"]] ?? .null, "\(affinity).podAntiAffinity")
    spread(spec["topologySpreadConstraints"], "\(path).topologySpreadConstraints")
    gates(spec["schedulingGates"], "\(path).schedulingGates")
  }

  /// The list's entries, unless there are too many: Kubernetes has no such bound; each is held against each node.
  private mutating func entries(_ json: JSON?, _ path: String) -> [JSON] {
    let entries = json?.arrayValue ?? []
    if entries.count > MetaValidation.listLimit {
      errors.tooMany(path, entries.count, limit: MetaValidation.listLimit)
      return []
    }
    return entries
  }

  // MARK: - Nodes

  private mutating func nodeAffinity(_ affinity: JSON, _ path: String) {
    if let selector = affinity[Self.required] { nodeSelector(selector, "\(path).\(Self.required)") }
    let at = "\(path).\(Self.preferred)"
    for (index, wish) in entries(affinity[Self.preferred], at).enumerated() {
      weight(wish, "\(at)[\(index)].weight")
      nodeTerm(wish["preference"] ?? .null, "\(at)[\(index)].preference")
    }
  }

  /// ValidateNodeSelector.
  mutating func nodeSelector(_ selector: JSON, _ path: String) {
    let at = "\(path).nodeSelectorTerms"
    if (selector["nodeSelectorTerms"]?.arrayValue ?? []).isEmpty {
      errors.required(at, "must have at least one node selector term")
    }
    for (index, term) in entries(selector["nodeSelectorTerms"], at).enumerated() {
      nodeTerm(term, "\(at)[\(index)]")
    }
  }

  private mutating func weight(_ wish: JSON, _ path: String) {
    let weight = wish["weight"]?.intValue ?? 0
    if weight < 1 || weight > 100 { errors.invalid(path, .int(weight), "must be in the range 1-100") }
  }

  private mutating func nodeTerm(_ term: JSON, _ path: String) {
    for (index, rule) in entries(term["matchExpressions"], "\(path).matchExpressions").enumerated() {
      MetaValidation.labelRule(rule, "\(path).matchExpressions[\(index)]", comparesNumbers: true, into: &errors)
    }
    for (index, rule) in entries(term["matchFields"], "\(path).matchFields").enumerated() {
      fieldRule(rule, "\(path).matchFields[\(index)]")
    }
  }

  private mutating func fieldRule(_ rule: JSON, _ path: String) {
    let values = rule["values"]?.arrayValue ?? []
    switch rule["operator"]?.stringValue ?? "" {
    case "In", "NotIn":
      if values.count != 1 {
        errors.required(
          "\(path).values", "must be only one value when `operator` is 'In' or 'NotIn' for node field selector")
      }
    case let other: errors.invalid("\(path).operator", other, "not a valid selector operator")
    }
    let key = rule["key"]?.stringValue ?? ""
    guard key == "metadata.name" else {
      return errors.invalid("\(path).key", key, "not a valid field selector key")
    }
    for (index, value) in values.enumerated() {
      for problem in Names.subdomainErrors(value.stringValue ?? "") {
        errors.invalid("\(path).values[\(index)]", value, problem)
      }
    }
  }

  // MARK: - Pods

  private mutating func podAffinity(_ affinity: JSON, _ path: String) {
    let required = "\(path).\(Self.required)"
    for (index, term) in entries(affinity[Self.required], required).enumerated() {
      podTerm(term, "\(required)[\(index)]")
    }
    let preferred = "\(path).\(Self.preferred)"
    for (index, wish) in entries(affinity[Self.preferred], preferred).enumerated() {
      weight(wish, "\(preferred)[\(index)].weight")
      podTerm(wish["podAffinityTerm"] ?? .null, "\(preferred)[\(index)].podAffinityTerm")
    }
  }

  private mutating func podTerm(_ term: JSON, _ path: String) {
    for name in ["labelSelector", "namespaceSelector"] {
      if let selector = term[name] { MetaValidation.selector(selector, "\(path).\(name)", into: &errors) }
    }
    for name in entries(term["namespaces"], "\(path).namespaces").compactMap(\.stringValue) {
      for problem in Names.labelErrors(name) { errors.invalid("\(path).namespace", name, problem) }
    }
    for name in ["matchLabelKeys", "mismatchLabelKeys"] { labelKeys(term, name, path) }
    topologyKey(term, path)
  }

  private mutating func topologyKey(_ rule: JSON, _ path: String) {
    let key = rule["topologyKey"]?.stringValue ?? ""
    if key.isEmpty { return errors.required("\(path).topologyKey", "can not be empty") }
    for problem in Names.labelKeyErrors(key) { errors.invalid("\(path).topologyKey", key, problem) }
  }

  private mutating func labelKeys(_ rule: JSON, _ name: String, _ path: String) {
    let at = "\(path).\(name)"
    let keys = entries(rule[name], at).compactMap(\.stringValue)
    if keys.isEmpty { return }
    if rule["labelSelector"] == nil { errors.forbidden(at, "must not be specified when labelSelector is not set") }
    var selected = Set((rule[path: ["labelSelector", "matchLabels"]]?.objectValue ?? JSONObject()).map(\.key))
    for rule in rule[path: ["labelSelector", "matchExpressions"]]?.arrayValue ?? [] {
      selected.insert(rule["key"]?.stringValue ?? "")
    }
    for (index, key) in keys.enumerated() {
      for problem in Names.labelKeyErrors(key) { errors.invalid("\(at)[\(index)]", key, problem) }
      if selected.contains(key) {
        errors.invalid("\(at)[\(index)]", key, "exists in both \(name) and labelSelector")
      }
    }
  }

  private mutating func spread(_ rules: JSON?, _ path: String) {
    var seen: Set<String> = []
    for (index, rule) in entries(rules, path).enumerated() {
      let at = "\(path)[\(index)]"
      let skew = rule["maxSkew"]?.intValue ?? 0
      if skew <= 0 { errors.invalid("\(at).maxSkew", .int(skew), "must be greater than zero") }
      topologyKey(rule, at)
      let mode = rule["whenUnsatisfiable"]?.stringValue ?? ""
      if !["DoNotSchedule", "ScheduleAnyway"].contains(mode) {
        errors.unsupported("\(at).whenUnsatisfiable", mode, ["DoNotSchedule", "ScheduleAnyway"])
      }
      let identity = "{\(rule["topologyKey"]?.stringValue ?? ""), \(mode)}"
      if !seen.insert(identity).inserted { errors.duplicate("\(at).{topologyKey, whenUnsatisfiable}", identity) }
      if let domains = rule["minDomains"]?.intValue {
        if domains <= 0 { errors.invalid("\(at).minDomains", .int(domains), "must be greater than zero") }
        if mode != "DoNotSchedule" {
          errors.invalid(
            "\(at).minDomains", .int(domains),
            "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not \(mode)")
        }
      }
      for name in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
        guard let policy = rule[name]?.stringValue, !["Honor", "Ignore"].contains(policy) else { continue }
        errors.unsupported("\(at).\(name)", policy, ["Honor", "Ignore"])
      }
      labelKeys(rule, "matchLabelKeys", at)
      if let selector = rule["labelSelector"] {
        MetaValidation.selector(selector, "\(at).labelSelector", into: &errors)
      }
    }
  }

  // MARK: - Gates

  private mutating func gates(_ gates: JSON?, _ path: String) {
    var seen: Set<String> = []
    for (index, gate) in entries(gates, path).enumerated() {
      let name = gate["name"]?.stringValue ?? ""
      for problem in Names.labelKeyErrors(name) { errors.invalid("\(path)[\(index)]", name, problem) }
      if !seen.insert(name).inserted { errors.duplicate("\(path)[\(index)]", name) }
    }
  }
}

/// What an update may change of a pod while scheduling gates hold it back.
enum GatedPod {
  private static let affinity = ["affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"]

  /// Checks gates, selector and node affinity of `new` against `old`, and takes from both what may differ.
  static func update(_ new: inout JSON, _ old: inout JSON, into errors: inout FieldErrors) {
    let gates = names(old)
    for gate in names(new) where !gates.contains(gate) {
      errors.forbidden("spec.schedulingGates", "only deletion is allowed, but found new scheduling gate '\(gate)'")
    }
    new["schedulingGates"] = nil
    old["schedulingGates"] = nil
    guard !gates.isEmpty else { return }
    let selector = new["nodeSelector"]
    let kept = StringMap(json: selector)
    if StringMap(json: old["nodeSelector"]).contains(where: { kept[$0.key] != $0.value }) {
      errors.invalid("spec.nodeSelector", selector ?? .null, "field is immutable")
    }
    nodeAffinity(new, old, into: &errors)
    for name in ["nodeSelector"] {
      new[name] = nil
      old[name] = nil
    }
    withoutNodeAffinity(&new)
    withoutNodeAffinity(&old)
  }

  private static func names(_ spec: JSON) -> [String] {
    (spec["schedulingGates"]?.arrayValue ?? []).compactMap { $0["name"]?.stringValue }
  }

  private static func withoutNodeAffinity(_ spec: inout JSON) {
    guard spec[path: ["affinity", "nodeAffinity"]] != nil else { return }
    spec[path: ["affinity", "nodeAffinity"]] = nil
    if spec["affinity"]?.objectValue?.isEmpty == true { spec["affinity"] = nil }
  }

  private static func nodeAffinity(_ new: JSON, _ old: JSON, into errors: inout FieldErrors) {
    let path = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
    let before = old[path: affinity + ["nodeSelectorTerms"]]?.arrayValue ?? []
    let after = new[path: affinity + ["nodeSelectorTerms"]]?.arrayValue ?? []
    if before.isEmpty { return }
    guard before.count == after.count else {
      return errors.invalid(
        path, new[path: affinity] ?? .null, "no additions/deletions to non-empty NodeSelectorTerms list are allowed")
    }
    for (index, term) in before.enumerated() {
      let isKept = ["matchExpressions", "matchFields"].allSatisfy { name in
        let was = term[name]?.arrayValue ?? []
        let now = after[index][name]?.arrayValue ?? []
        return now.count >= was.count && Array(now.prefix(was.count)) == was
      }
      if isKept { continue }
      errors.invalid(
        "\(path).nodeSelectorTerms[\(index)]", after[index], "only additions are allowed (no mutations or deletions)")
    }
  }
}
