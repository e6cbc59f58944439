// LimitRanges: what the API does for them alone. What they mean for pods is Workloads' (LimitRanges).

import ClusterProto

extension KindDescriptor {
  static let limitRanges = KindDescriptor(
    served: ServedRules(tier: .visible),
    table: TableRules(columns: [.name, TableColumn("Created At", "When it was created.")]) { object, _ in
      [.string(object.meta.name), .string(object.meta.creationTimestamp.rfc3339)]
    },
    writes: WriteRules(
      skeleton: ["metadata": [:], "spec": ["limits": .null]],
      defaults: { json in Defaults.within(&json, "spec") { Defaults.each(&$0, "limits", complete) } },
      validateNew: limitRange, validateUpdate: { json, _, errors in limitRange(json, into: &errors) }))

  /// SetDefaults_LimitRangeItem.
  private static func complete(_ item: inout JSON) {
    guard item["type"]?.stringValue == "Container" else { return }
    func fill(_ target: String, from source: String) {
      guard let given = item[source]?.objectValue, !given.isEmpty else { return }
      var list = item[target]?.objectValue ?? JSONObject()
      for (name, amount) in given where list[name] == nil { list[name] = amount }
      item[target] = .object(list)
    }
    fill("default", from: "max")
    fill("defaultRequest", from: "default")
    fill("defaultRequest", from: "min")
  }

  /// ValidateLimitRange.
  private static func limitRange(_ json: JSON, into errors: inout FieldErrors) {
    var types: Set<String> = []
    for (index, item) in (json[path: ["spec", "limits"]]?.arrayValue ?? []).enumerated() {
      let path = "spec.limits[\(index)]"
      let type = item["type"]?.stringValue ?? ""
      for problem in Names.labelKeyErrors(type) { errors.invalid("\(path).type", type, problem) }
      if !type.isEmpty, !type.contains("/"), !["Pod", "Container", "PersistentVolumeClaim"].contains(type) {
        errors.invalid("\(path).type", type, "must be a standard limit type or fully qualified")
      }
      if !types.insert(type).inserted { errors.duplicate("\(path).type", type) }
      for list in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        for (name, _) in item[list]?.objectValue ?? JSONObject() {
          if type == "Pod", list.hasPrefix("default") { continue }
          resourceName(name, "\(path).\(list)[\(name)]", &errors)
        }
      }
      if type == "Pod" {
        for list in ["default", "defaultRequest"] where item[list] != nil {
          errors.forbidden("\(path).\(list)", "may not be specified when `type` is 'Pod'")
        }
      }
      if type == "PersistentVolumeClaim", item[path: ["min", "storage"]] == nil, item[path: ["max", "storage"]] == nil {
        errors.required(
          "\(path).limits", "either minimum or maximum storage value is required, but neither was provided")
      }
      order(item, path, isPod: type == "Pod", &errors)
    }
  }

  private static func resourceName(_ name: String, _ path: String, _ errors: inout FieldErrors) {
    for problem in Names.labelKeyErrors(name) { errors.invalid(path, name, problem) }
    let standard = ["cpu", "memory", "ephemeral-storage", "storage", "pods"]
    if !name.contains("/"), !standard.contains(name), !name.hasPrefix("hugepages-") {
      errors.invalid(path, name, "must be a standard resource for containers")
    }
  }

  private static func order(_ item: JSON, _ path: String, isPod: Bool, _ errors: inout FieldErrors) {
    func amount(_ list: String, _ name: String) -> QuantityValue? {
      isPod && list.hasPrefix("default") ? nil : QuantityValue(item[list]?[name])
    }
    let lists = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"]
    let names = Set(lists.flatMap { (item[$0]?.objectValue ?? JSONObject()).map(\.key) })
    for name in names.sorted() {
      let (least, most) = (amount("min", name), amount("max", name))
      let (limit, request) = (amount("default", name), amount("defaultRequest", name))
      func check(
        _ low: QuantityValue?, _ high: QuantityValue?, _ field: String, shows: QuantityValue?, _ lowName: String,
        _ highName: String
      ) {
        guard let low, let high, low.millis > high.millis else { return }
        errors.invalid(
          "\(path).\(field)[\(name)]", shows?.description ?? "",
          "\(lowName) value \(low.description) is greater than \(highName) value \(high.description)")
      }
      check(least, most, "min", shows: least, "min", "max")
      check(least, request, "defaultRequest", shows: request, "min", "default request")
      check(request, most, "defaultRequest", shows: request, "default request", "max")
      check(request, limit, "defaultRequest", shows: request, "default request", "default limit")
      check(least, limit, "default", shows: least, "min", "default")
      check(limit, most, "default", shows: most, "default", "max")
      guard let ratio = amount("maxLimitRequestRatio", name) else { continue }
      let at = "\(path).maxLimitRequestRatio[\(name)]"
      if ratio.millis < 1000 { errors.invalid(at, ratio.description, "ratio \(ratio.description) is less than 1") }
      if let least, let most, least.millis > 0,
        NamespaceLimits.product(ratio.millis, least.millis) > most.millis * 1000
      {
        errors.invalid(
          at, ratio.description,
          "ratio \(ratio.description) is greater than max/min = \(NamespaceLimits.decimal(most.millis, least.millis))")
      }
    }
  }
}
