// PodDisruptionBudgets: what the API does for them alone. How many pods may go is counted in Workloads
// (DisruptionBudgets), and who asks is Eviction's and the scheduler's.

import ClusterProto

extension KindDescriptor {
  static let disruptionBudgets = KindDescriptor(
    served: ServedRules(subresources: [.status]),
    table: .simple([
      .name, TableColumn("Min Available", "The minimum number of pods that must be available."),
      TableColumn("Max Unavailable", "The maximum number of pods that may be unavailable."),
      TableColumn("Allowed Disruptions", "How many pods may be evicted now.", type: "integer"), .age,
    ]) { object, name, age in
      func bound(_ member: String) -> JSON {
        let value = object.body["spec"]?[member]
        return .string(value?.stringValue ?? value?.text ?? "N/A")
      }
      return [
        name, bound("minAvailable"), bound("maxUnavailable"), object.body["status"]?["disruptionsAllowed"] ?? 0, age,
      ]
    },
    writes: WriteRules(
      skeleton: ["metadata": [:], "spec": [:], "status": [:]],
      complete: { json, _ in json["status"] = emptyBudget },
      settle: { json, before, _, _ in json["status"] = before.json["status"] }, validateNew: budget,
      validateUpdate: { json, _, errors in budget(json, into: &errors) },
      raisesGeneration: { before, after in before.json["spec"] != after.json["spec"] }),
    status: StatusRules { json, before throws(APIFailure) in
      guard case .other(let old) = before else { return before }
      var errors = FieldErrors()
      for name in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
        guard let value = json?[name]?.intValue, value < 0 else { continue }
        errors.invalid("status.\(name)", .int(value), JobValidation.notNegative)
      }
      if !errors.isEmpty { throw .invalid(.poddisruptionbudgets, old.meta.name, errors.all) }
      var tree = old.json
      var status = json ?? emptyBudget
      for (name, zero) in emptyBudget.objectValue ?? JSONObject() where status[name] == nil { status[name] = zero }
      tree["status"] = status
      return .other(GenericObject(kind: .poddisruptionbudgets, json: tree))
    })

  private static let emptyBudget: JSON = [
    "disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0,
  ]

  /// ValidatePodDisruptionBudget.
  private static func budget(_ json: JSON, into errors: inout FieldErrors) {
    let spec = json["spec"] ?? .null
    if spec["minAvailable"] != nil, spec["maxUnavailable"] != nil {
      errors.invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set")
    }
    for name in ["minAvailable", "maxUnavailable"] {
      guard let value = spec[name] else { continue }
      let at = "spec.\(name)"
      if let number = value.intValue {
        if number < 0 { errors.invalid(at, .int(number), JobValidation.notNegative) }
      } else if let share = Share(value) {
        if share.percent > 100 { errors.invalid(at, value, "must not be greater than 100%") }
      } else {
        errors.invalid(
          at, value,
          "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used "
            + "for validation is '[0-9]+%')")
      }
    }
    if let selector = spec["selector"] { MetaValidation.selector(selector, "spec.selector", into: &errors) }
    if let policy = spec["unhealthyPodEvictionPolicy"]?.stringValue,
      !["AlwaysAllow", "IfHealthyBudget"].contains(policy)
    {
      errors.unsupported("spec.unhealthyPodEvictionPolicy", policy, ["AlwaysAllow", "IfHealthyBudget"])
    }
  }
}

/// A percentage, as `50%`.
struct Share {
  var percent: Int64

  init?(_ json: JSON?) {
    guard let text = json?.stringValue, text.utf8.last == 0x25, text.utf8.count > 1,
      text.utf8.dropLast().allSatisfy({ (0x30...0x39).contains($0) })
    else { return nil }
    percent = Int64(text.dropLast()) ?? Int64.max
  }

  /// The share of so many, rounded up.
  func of(_ count: Int64) -> Int64 { (min(percent, 1_000_000) * count + 99) / 100 }
}
