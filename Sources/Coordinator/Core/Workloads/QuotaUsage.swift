// What one ResourceQuota bounds and what objects take of it, by the names that quotas know: pods by what they ask for
// and may use, all else by its kind; and the scopes that choose pods. Kubernetes' rules and words. Pure.

import ClusterProto

/// One quota, counted.
struct QuotaCount: Equatable, Sendable {
  var hard: ResourceTotals
  var scopes: [QuotaScope]
  var used = ResourceTotals()

  init(_ spec: JSON?) {
    hard = ResourceTotals(spec?["hard"])
    scopes = QuotaScope.list(spec)
    for name in hard.names { used[name] = .zero }
  }

  /// What an object that is there takes of it.
  func share(of object: APIObject) -> ResourceTotals {
    if case .pod(let pod) = object {
      guard scopes.allSatisfy({ $0.holds(of: pod.spec) }) else { return ResourceTotals() }
      return QuotaUsage.of(pod).masked(hard.names)
    }
    guard scopes.isEmpty else { return ResourceTotals() }
    if case .other(let claim) = object, claim.kind == .persistentvolumeclaims {
      return QuotaUsage.of(claim: claim).masked(hard.names)
    }
    return QuotaUsage.of(object.kind).masked(hard.names)
  }

  /// What of `asked` there is no room for: the names.
  func exceeded(by asked: ResourceTotals) -> [String] {
    asked.names.filter { name in
      guard let amount = asked[name], amount.millis > 0, let bound = hard[name] else { return false }
      return (used[name]?.millis ?? 0) + amount.millis > bound.millis
    }
  }

  /// Kubernetes' sentence where a pod does not say what the quota has to count.
  func constraintProblem(_ spec: JSON) -> String? {
    let required = hard.names.filter { QuotaUsage.mustBeSaid.contains($0) }
    guard !required.isEmpty else { return nil }
    var missing: [String: Set<String>] = [:]
    for container in (spec["containers"]?.arrayValue ?? []) + (spec["initContainers"]?.arrayValue ?? []) {
      let said = QuotaUsage.amounts(
        requests: ResourceTotals(container[path: ["resources", "requests"]]),
        limits: ResourceTotals(container[path: ["resources", "limits"]]))
      for name in required where said[name] == nil {
        missing[name, default: []].insert(container["name"]?.stringValue ?? "")
      }
    }
    guard !missing.isEmpty else { return nil }
    let parts = missing.keys.sorted().map { "\($0) for: \((missing[$0] ?? []).sorted().joined(separator: ","))" }
    return "must specify \(parts.joined(separator: "; "))"
  }
}

/// What objects take of quotas, by the names that quotas know.
enum QuotaUsage {
  /// Where one of these is bounded each container has to say it.
  static let mustBeSaid: Set<String> = [
    "cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory",
  ]
  private static let computed = ["cpu", "memory", "ephemeral-storage"]
  /// Kinds that quotas also know by their old names.
  private static let old: Set<String> = [
    "configmaps", "secrets", "services", "resourcequotas", "persistentvolumeclaims",
  ]

  /// A pod that has ended is only counted as an object.
  static func of(_ pod: Pod) -> ResourceTotals {
    var result = of(.pods)
    guard !pod.status.phase.isTerminal else { return result }
    result.add(
      amounts(
        requests: ResourceTotals.ofPod(pod.spec.json, "requests"), limits: ResourceTotals.ofPod(pod.spec.json, "limits")
      ))
    result["pods"] = QuantityValue(count: 1)
    return result
  }

  /// Objects of the kind take more than their number.
  static func asksForMore(_ kind: Kind) -> Bool {
    if kind == .pods { return true }
    return kind == .persistentvolumeclaims
  }

  /// A claim is counted with what it asks for, in all and by its class.
  static func of(claim: GenericObject) -> ResourceTotals {
    var result = of(.persistentvolumeclaims)
    let spec = claim.body["spec"]
    let asked = QuantityValue(spec?[path: ["resources", "requests", "storage"]]) ?? .zero
    result["requests.storage"] = asked
    if let name = spec?["storageClassName"]?.stringValue, !name.isEmpty {
      result["\(name).storageclass.storage.k8s.io/persistentvolumeclaims"] = QuantityValue(count: 1)
      result["\(name).storageclass.storage.k8s.io/requests.storage"] = asked
    }
    return result
  }

  static func of(_ kind: Kind) -> ResourceTotals {
    var result = ResourceTotals()
    result["count/\(kind.qualifiedPlural)"] = QuantityValue(count: 1)
    if old.contains(kind.plural) { result[kind.plural] = QuantityValue(count: 1) }
    return result
  }

  static func amounts(requests: ResourceTotals, limits: ResourceTotals) -> ResourceTotals {
    var result = ResourceTotals()
    for name in requests.names {
      if computed.contains(name) || name.hasPrefix("hugepages-") { result[name] = requests[name] }
      if computed.contains(name) || name.contains("-") || name.contains("/") {
        result["requests.\(name)"] = requests[name]
      }
    }
    for name in limits.names where computed.contains(name) { result["limits.\(name)"] = limits[name] }
    return result
  }
}

/// A condition on the pods that a quota counts.
struct QuotaScope: Equatable, Sendable {
  var name: String
  var operation = "Exists"
  var values: [String] = []

  static func list(_ spec: JSON?) -> [QuotaScope] {
    let plain = (spec?["scopes"]?.arrayValue ?? []).compactMap(\.stringValue).map { QuotaScope(name: $0) }
    let chosen = (spec?[path: ["scopeSelector", "matchExpressions"]]?.arrayValue ?? []).map { rule in
      QuotaScope(
        name: rule["scopeName"]?.stringValue ?? "", operation: rule["operator"]?.stringValue ?? "",
        values: (rule["values"]?.arrayValue ?? []).compactMap(\.stringValue))
    }
    return plain + chosen
  }

  func holds(of spec: PodSpec) -> Bool {
    switch name {
    case "Terminating": spec.activeDeadlineSeconds.map { $0 >= 0 } ?? false
    case "NotTerminating": spec.activeDeadlineSeconds == nil
    case "BestEffort": QualityOfService.of(spec) == .bestEffort
    case "NotBestEffort": QualityOfService.of(spec) != .bestEffort
    case "PriorityClass": holds(ofClass: spec.json["priorityClassName"]?.stringValue ?? "")
    case "CrossNamespacePodAffinity": Self.looksAround(spec.scheduling)
    default: false
    }
  }

  private func holds(ofClass name: String) -> Bool {
    switch operation {
    case "In": values.contains(name)
    case "NotIn": !values.contains(name)
    case "DoesNotExist": name.isEmpty
    default: !name.isEmpty
    }
  }

  private static func looksAround(_ rules: SchedulingSpec) -> Bool {
    let terms = rules.affinity + rules.antiAffinity + rules.preferredPods.map(\.term)
    return terms.contains { !$0.namespaces.isEmpty || $0.namespaceSelector != nil }
  }
}
