// Queues (stint.dev/v1): what the API does for them alone. Which Jobs wait in them is counted in Workloads (JobQueues).

import ClusterProto

extension KindDescriptor {
  static let queues = KindDescriptor(
    served: ServedRules(tier: .visible),
    table: .simple([
      .name, TableColumn("Priority", "Queues of higher priority admit their Jobs first.", type: "integer"),
      TableColumn("Waiting", "Jobs that wait in it.", type: "integer"),
      TableColumn("Running", "Jobs that it has admitted and that have not ended.", type: "integer"),
      TableColumn("Limits", "What its admitted Jobs may take together."), .age,
      TableColumn("Used", "What its admitted Jobs may take.", isWide: true),
    ]) { object, name, age in
      let spec = object.body["spec"]
      let status = object.body["status"]
      return [
        name, spec?["priority"] ?? 0, status?["waiting"] ?? 0, status?["running"] ?? 0, amounts(spec?["limits"]), age,
        amounts(status?["used"]),
      ]
    },
    writes: WriteRules(
      skeleton: ["metadata": [:], "spec": [:], "status": [:]],
      defaults: { json in
        if json["spec"] == nil { json["spec"] = .object(JSONObject()) }
        Defaults.within(&json, "spec") { Defaults.set(&$0, "priority", 0) }
      },
      complete: { json, _ in json["status"] = ["waiting": 0, "running": 0] },
      settle: { json, before, _, _ in json["status"] = before.json["status"] },
      validateNew: queue, validateUpdate: { json, _, errors in queue(json, into: &errors) },
      raisesGeneration: { before, after in before.json["spec"] != after.json["spec"] }))

  private static func amounts(_ list: JSON?) -> JSON {
    let parts = (list?.objectValue ?? JSONObject()).map { "\($0.key)=\($0.value.stringValue ?? $0.value.text)" }
    return Tables.orNone(parts.joined(separator: ","))
  }

  private static func queue(_ json: JSON, into errors: inout FieldErrors) {
    for (name, value) in json[path: ["spec", "limits"]]?.objectValue ?? JSONObject() {
      let path = "spec.limits[\(name)]"
      if !QueueAmounts.isCounted(name) {
        errors.invalid(path, name, "must be jobs, pods, cpu, memory or an extended resource, as in example.com/gpu")
      }
      guard let text = value.stringValue, let millis = Quantity.thousandths(text) else { continue }
      if millis < 0 { errors.invalid(path, text, JobValidation.notNegative) }
      if name != "cpu", name != "memory", millis % 1000 != 0 {
        errors.invalid(path, text, "must be an integer")
      }
    }
    for (name, value) in json[path: ["spec", "weights"]]?.objectValue ?? JSONObject() {
      let path = "spec.weights[\(name)]"
      for problem in Names.labelErrors(name) { errors.invalid(path, name, problem) }
      guard let weight = value.intValue, (1...1_000_000).contains(weight) else {
        errors.invalid(path, value, "must be from 1 to 1000000")
        continue
      }
    }
  }
}
