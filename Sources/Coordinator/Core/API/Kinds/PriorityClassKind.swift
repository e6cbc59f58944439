// PriorityClasses: what the API does for them alone.

import ClusterProto

extension KindDescriptor {
  static let priorityClasses = KindDescriptor(
    served: ServedRules(tier: .cluster),
    table: .simple([
      .name, TableColumn("Value", "Value of the priority class.", type: "integer"),
      TableColumn("Global-Default", "Whether this is the default of pods without a class.", type: "boolean"), .age,
      TableColumn("PreemptionPolicy", "The policy for preempting pods with lower priority."),
    ]) { object, name, age in
      let body = object.body
      return [name, body["value"] ?? 0, body["globalDefault"] ?? false, age, body["preemptionPolicy"] ?? ""]
    },
    writes: WriteRules(
      defaults: { Defaults.set(&$0, "preemptionPolicy", "PreemptLowerPriority") }, validateNew: priorityClass,
      validateUpdate: { json, before, errors in
        if json["value"] != before.json["value"] { errors.forbidden("value", "may not be changed in an update.") }
        priorityClass(json, into: &errors)
      },
      honesty: { honesty, _, _ in
        honesty.warn("value", "\(Honesty.notHonoured): pods are scheduled without priorities")
      }))

  private static func priorityClass(_ json: JSON, into errors: inout FieldErrors) {
    let policy = json["preemptionPolicy"]?.stringValue ?? ""
    if !["PreemptLowerPriority", "Never"].contains(policy) {
      errors.unsupported("preemptionPolicy", policy, ["PreemptLowerPriority", "Never"])
    }
    let name = json[path: ["metadata", "name"]]?.stringValue ?? ""
    if let value = json["value"]?.intValue, value > 1_000_000_000, !name.hasPrefix("system-") {
      errors.forbidden("value", "maximum allowed value of a user defined priority is 1000000000")
    }
  }
}
