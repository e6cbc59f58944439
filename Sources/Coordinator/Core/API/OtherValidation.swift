// Validation of the smaller kinds with Kubernetes' messages: ConfigMap, Secret, Namespace, Node, Event,
// PriorityClass, Lease,
// and of updates of pods. Pods' and Jobs' own rules are in their files.

import ClusterProto

enum OtherValidation {
  static let dataBytes = 1024 * 1024

  static func create(_ json: JSON, kind: Kind, into errors: inout FieldErrors) {
    MetaValidation.object(json, kind: kind, into: &errors)
    contents(json, kind: kind, into: &errors)
  }

  static func contents(_ json: JSON, kind: Kind, into errors: inout FieldErrors) {
    switch kind {
    case .configmaps: configMap(json, into: &errors)
    case .secrets: secret(json, into: &errors)
    case .nodes: node(json, into: &errors)
    case .namespaces:
      MetaValidation.finalizers(json[path: ["spec", "finalizers"]], "spec.finalizers", into: &errors)
    case .events: event(json, into: &errors)
    case .priorityclasses: priorityClass(json, into: &errors)
    case .leases:
      if let seconds = json[path: ["spec", "leaseDurationSeconds"]]?.intValue, seconds <= 0 {
        errors.invalid("spec.leaseDurationSeconds", .int(seconds), "must be greater than 0")
      }
    default: break
    }
  }

  private static func configMap(_ json: JSON, into errors: inout FieldErrors) {
    let binary = json["binaryData"]?.objectValue ?? JSONObject()
    var bytes = 0
    for (key, value) in json["data"]?.objectValue ?? JSONObject() {
      for problem in Names.configKeyErrors(key) { errors.invalid("data[\(key)]", key, problem) }
      if binary[key] != nil { errors.invalid("data[\(key)]", key, "duplicate of key present in binaryData") }
      bytes += value.stringValue?.utf8.count ?? 0
    }
    for (key, value) in binary {
      for problem in Names.configKeyErrors(key) { errors.invalid("binaryData[\(key)]", key, problem) }
      bytes += Base64.decodedCount(value.stringValue ?? "")
    }
    if bytes > dataBytes { errors.tooLong("[]", bytes: dataBytes) }
  }

  private static func secret(_ json: JSON, into errors: inout FieldErrors) {
    var bytes = 0
    for (key, value) in json["data"]?.objectValue ?? JSONObject() {
      for problem in Names.configKeyErrors(key) { errors.invalid("data[\(key)]", key, problem) }
      bytes += Base64.decodedCount(value.stringValue ?? "")
    }
    if bytes > dataBytes { errors.tooLong("data", bytes: dataBytes) }
  }

  /// ValidateNode's rules for amounts; those of pods are whole.
  private static func amounts(_ json: JSON, _ group: String, into errors: inout FieldErrors) {
    for (name, value) in json[path: ["status", group]]?.objectValue ?? JSONObject() {
      let text = value.stringValue ?? value.text
      let at = "status.\(group).\(name)"
      guard let millis = Quantity.parseMillis(text) else {
        errors.invalid(at, text, Quantity.formatMessage)
        continue
      }
      if millis < 0 { errors.invalid(at, text, JobValidation.notNegative) }
      if name == "pods", millis % 1000 != 0, millis < Int64.max { errors.invalid(at, text, "must be an integer") }
    }
  }

  static func node(_ json: JSON, into errors: inout FieldErrors) {
    amounts(json, "capacity", into: &errors)
    amounts(json, "allocatable", into: &errors)
    var seen: Set<String> = []
    for (index, taint) in (json[path: ["spec", "taints"]]?.arrayValue ?? []).enumerated() {
      let at = "spec.taints[\(index)]"
      let key = taint["key"]?.stringValue ?? ""
      let effect = taint["effect"]?.stringValue ?? ""
      for problem in Names.labelKeyErrors(key) { errors.invalid("\(at).key", key, problem) }
      for problem in Names.labelValueErrors(taint["value"]?.stringValue ?? "") {
        errors.invalid("\(at).value", taint["value"] ?? "", problem)
      }
      if effect.isEmpty {
        errors.required("\(at).effect")
      } else if !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(effect) {
        errors.unsupported("\(at).effect", effect, ["NoSchedule", "PreferNoSchedule", "NoExecute"])
      }
      if !seen.insert("\(effect)/\(key)").inserted { errors.duplicate(at, "\(key):\(effect)") }
    }
  }

  private static func event(_ json: JSON, into errors: inout FieldErrors) {
    let namespace = json[path: ["metadata", "namespace"]]?.stringValue ?? ""
    let involved = json[path: ["involvedObject", "namespace"]]?.stringValue ?? ""
    // Events about cluster-scoped objects live in `default`.
    if involved.isEmpty ? !(namespace.isEmpty || namespace == "default") : involved != namespace {
      errors.invalid("involvedObject.namespace", involved, "does not match event.namespace")
    }
  }

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

  /// What may not change in an update of a kind without a file of its own.
  static func update(_ new: JSON, _ old: JSON, kind: Kind, into errors: inout FieldErrors) {
    switch kind {
    case .configmaps, .secrets:
      if old["immutable"]?.boolValue == true {
        if new["immutable"]?.boolValue != true {
          errors.forbidden("immutable", "field is immutable when `immutable` is set")
        }
        for member in ["data", "binaryData"] where new[member] != old[member] {
          errors.forbidden(member, "field is immutable when `immutable` is set")
        }
      }
      if kind == .secrets, new["type"] != old["type"] {
        errors.invalid("type", new["type"] ?? .null, "field is immutable")
      }
    case .priorityclasses:
      if new["value"] != old["value"] { errors.forbidden("value", "may not be changed in an update.") }
    default: break
    }
    contents(new, kind: kind, into: &errors)
  }

  /// ValidatePodUpdate: only images, deadlines, additions to tolerations and a shorter grace of −1 may change.
  static func podUpdate(_ new: JSON, _ old: Pod, into errors: inout FieldErrors) {
    var frozenNew = new["spec"] ?? .null
    var frozenOld = old.json["spec"] ?? .null
    let added = frozenNew["tolerations"]?.arrayValue ?? []
    if !(frozenOld["tolerations"]?.arrayValue ?? []).allSatisfy({ added.contains($0) }) {
      errors.forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")
    }
    for name in ["activeDeadlineSeconds", "tolerations"] {
      frozenNew[name] = nil
      frozenOld[name] = nil
    }
    let grace = "terminationGracePeriodSeconds"
    if (old.json[path: ["spec", grace]]?.intValue ?? 0) < 0, frozenNew[grace] == 1 { frozenOld[grace] = 1 }
    for list in ["containers", "initContainers"] {
      frozenNew[list] = withoutImages(frozenNew[list])
      frozenOld[list] = withoutImages(frozenOld[list])
    }
    if frozenNew != frozenOld {
      errors.forbidden(
        "spec",
        "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
          + "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
          + "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)")
    }
  }

  private static func withoutImages(_ list: JSON?) -> JSON? {
    guard var containers = list?.arrayValue else { return list }
    for index in containers.indices { containers[index]["image"] = nil }
    return .array(containers)
  }
}
