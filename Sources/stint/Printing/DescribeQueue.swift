// Owns: the description of a Queue: how many Jobs wait, and how much of each limit is used. It must not know how Jobs
// are admitted.

import ClusterProto

extension Describer {
  mutating func queue(_ queue: JSON) {
    let meta = queue["metadata"]
    let spec = queue["spec"]
    let status = queue["status"]
    field("Name", meta?["name"]?.stringValue ?? "")
    labels("Labels", meta?["labels"])
    annotations("Annotations", meta?["annotations"])
    time("CreationTimestamp", meta?["creationTimestamp"])
    field("Priority", String(spec?["priority"]?.intValue ?? 0))
    field("Jobs", "\(status?["waiting"]?.intValue ?? 0) waiting, \(status?["running"]?.intValue ?? 0) running")
    amounts(used: StringMap(json: status?["used"]), limits: StringMap(json: spec?["limits"]))
    let weights = spec?["weights"]?.objectValue ?? JSONObject()
    guard !weights.isEmpty else { return }
    line("Weights:")
    line("Namespace\tWeight", 1)
    line("---------\t------", 1)
    for (namespace, weight) in weights { line("\(namespace)\t\(weight.text)", 1) }
  }

  /// What is limited and what is used, each once.
  private mutating func amounts(used: StringMap, limits: StringMap) {
    let names = Set(used.map(\.key) + limits.map(\.key)).sorted()
    if names.isEmpty { return field("Limits", "<none>") }
    line("Limits:")
    line("Resource\tUsed\tLimit", 1)
    line("--------\t----\t-----", 1)
    for name in names { line("\(name)\t\(used[name] ?? "0")\t\(limits[name] ?? "<none>")", 1) }
  }
}
