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
      defaults: {
        Defaults.set(&$0, "value", 0)
        Defaults.set(&$0, "preemptionPolicy", "PreemptLowerPriority")
      },
      admit: { (json, core) throws(APIFailure) in try core.admitPriorityClass(json) }, validateNew: priorityClass,
      validateUpdate: { json, before, errors in
        if json["value"] != before.json["value"] { errors.forbidden("value", "may not be changed in an update.") }
        if json["preemptionPolicy"] != before.json["preemptionPolicy"] {
          errors.invalid("preemptionPolicy", json["preemptionPolicy"] ?? .null, "field is immutable")
        }
        priorityClass(json, into: &errors)
      }),
    deletion: DeletionRules(
      keeps: SystemPriority.all.map(\.name),
      keepsBecause: "this is a system priority class and cannot be deleted"))

  private static func priorityClass(_ json: JSON, into errors: inout FieldErrors) {
    let policy = json["preemptionPolicy"]?.stringValue ?? ""
    if !["PreemptLowerPriority", "Never"].contains(policy) {
      errors.unsupported("preemptionPolicy", policy, ["PreemptLowerPriority", "Never"])
    }
    let name = json[path: ["metadata", "name"]]?.stringValue ?? ""
    let value = json["value"]?.intValue ?? 0
    if name.hasPrefix(SystemPriority.prefix) {
      if let problem = SystemPriority.problem(name, value, isDefault: json["globalDefault"]?.boolValue ?? false) {
        let rule = "priority class names with '\(SystemPriority.prefix)' prefix are reserved for system use only"
        errors.forbidden("metadata.name", "\(rule). error: \(problem)")
      }
    } else if value > 1_000_000_000 {
      errors.forbidden("value", "maximum allowed value of a user defined priority is 1000000000")
    }
  }
}
