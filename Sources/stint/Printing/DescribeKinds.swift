// Owns: the descriptions of Jobs, Pods, Nodes, ConfigMaps and of anything else. Texts are those of kubectl's describer;
// what it leaves out of Jobs stands before the pod template. It must not fetch anything.

import ClusterProto

extension Describer {
  private mutating func heading(_ object: JSON) {
    let meta = object["metadata"]
    field("Name", meta?["name"]?.stringValue ?? "")
    field("Namespace", meta?["namespace"]?.stringValue)
  }

  /// `problems`: what its pods suffer from.
  mutating func job(_ job: JSON, problems: [String] = []) {
    let spec = job["spec"]
    let status = job["status"]
    heading(job)
    field("Selector", LabelText.selector(spec?["selector"]))
    labels("Labels", job[path: ["metadata", "labels"]])
    // How its pods failed stands below, in full.
    var shown = StringMap(json: job[path: ["metadata", "annotations"]])
    let failures = shown[JobAnnotation.failures] ?? ""
    shown[JobAnnotation.failures] = nil
    annotations("Annotations", shown.json)
    field("Controlled By", Describer.controller(job))
    field("Parallelism", spec?["parallelism"]?.intValue.map(String.init))
    field("Completions", spec?["completions"]?.intValue.map(String.init) ?? "<unset>")
    field("Completion Mode", spec?["completionMode"]?.stringValue)
    field("Suspend", spec?["suspend"]?.boolValue.map(String.init))
    field("Backoff Limit", spec?["backoffLimit"]?.intValue.map(String.init))
    field("Backoff Limit Per Index", spec?["backoffLimitPerIndex"]?.intValue.map(String.init))
    field("Max Failed Indexes", spec?["maxFailedIndexes"]?.intValue.map(String.init))
    field("TTL Seconds After Finished", spec?["ttlSecondsAfterFinished"]?.intValue.map(String.init))
    time("Start Time", status?["startTime"])
    time("Completed At", status?["completionTime"])
    if let start = Describer.time(status?["startTime"]), let end = Describer.time(status?["completionTime"]) {
      field("Duration", humanDuration(milliseconds: end.milliseconds(since: start)))
    }
    field("Active Deadline Seconds", spec?["activeDeadlineSeconds"]?.intValue.map { "\($0)s" })
    let ready = status?["ready"]?.intValue.map { " (\($0) Ready)" } ?? ""
    let counts = ["active", "succeeded", "failed"].map { status?[$0]?.intValue ?? 0 }
    field("Pods Statuses", "\(counts[0]) Active\(ready) / \(counts[1]) Succeeded / \(counts[2]) Failed")
    field("Terminating", status?["terminating"]?.intValue.flatMap { $0 > 0 ? String($0) : nil })
    if spec?["completionMode"]?.stringValue == "Indexed" {
      field("Completed Indexes", Describer.capped(status?["completedIndexes"]?.stringValue ?? ""))
    }
    field("Failed Indexes", status?["failedIndexes"]?.stringValue.flatMap { $0.isEmpty ? nil : Describer.capped($0) })
    jobConditions(status?["conditions"]?.arrayValue ?? [])
    if !failures.isEmpty { line("Last Failures:") }
    for failure in failures.split(separator: "\n") { line(String(failure), 1) }
    if !problems.isEmpty { line("Pod Problems:") }
    for problem in problems { line(problem, 1) }
    template(spec?["template"])
  }

  private mutating func jobConditions(_ conditions: [JSON]) {
    if conditions.isEmpty { return }
    line("Conditions:")
    line("Type\tStatus\tLastTransitionTime\tReason\tMessage", 1)
    line("----\t------\t------------------\t------\t-------", 1)
    for condition in conditions {
      let texts = ["type", "status"].map { condition[$0]?.stringValue ?? "" }
      let time = Describer.time(condition["lastTransitionTime"])?.rfc1123Z ?? "<unknown>"
      let reason = condition["reason"]?.stringValue ?? ""
      let message = condition["message"]?.stringValue ?? ""
      line((texts + [time, reason, message]).joined(separator: "\t"), 1)
    }
  }

  /// Cut at the first comma after 50 characters.
  static func capped(_ indexes: String) -> String {
    if indexes.isEmpty { return "<none>" }
    guard indexes.count > 50, let comma = indexes.dropFirst(50).firstIndex(of: ",") else { return indexes }
    return indexes[...comma] + "..."
  }

  mutating func cronJob(_ cron: JSON) {
    let spec = cron["spec"]
    let job = spec?[path: ["jobTemplate", "spec"]]
    func number(_ json: JSON?, _ unit: String = "") -> String { json?.intValue.map { "\($0)\(unit)" } ?? "<unset>" }
    heading(cron)
    labels("Labels", cron[path: ["metadata", "labels"]])
    annotations("Annotations", cron[path: ["metadata", "annotations"]])
    field("Schedule", spec?["schedule"]?.stringValue)
    field("Time Zone", spec?["timeZone"]?.stringValue)
    field("Concurrency Policy", spec?["concurrencyPolicy"]?.stringValue)
    field("Suspend", spec?["suspend"]?.boolValue.map { $0 ? "True" : "False" } ?? "<unset>")
    field("Successful Job History Limit", number(spec?["successfulJobsHistoryLimit"]))
    field("Failed Job History Limit", number(spec?["failedJobsHistoryLimit"]))
    field("Starting Deadline Seconds", number(spec?["startingDeadlineSeconds"], "s"))
    field("Selector", "<unset>")
    field("Parallelism", number(job?["parallelism"]))
    field("Completions", number(job?["completions"]))
    field("Active Deadline Seconds", job?["activeDeadlineSeconds"]?.intValue.map { "\($0)s" })
    template(job?["template"])
    let last = Describer.time(cron[path: ["status", "lastScheduleTime"]])
    field("Last Schedule Time", last?.rfc1123Z ?? "<unset>")
    let active = (cron[path: ["status", "active"]]?.arrayValue ?? []).compactMap { $0["name"]?.stringValue }
    field("Active Jobs", active.isEmpty ? "<none>" : active.joined(separator: ", "))
  }

  private mutating func template(_ template: JSON?) {
    line("Pod Template:")
    guard let template else { return line("<unset>", 1) }
    let spec = template["spec"]
    labels("Labels", template[path: ["metadata", "labels"]], 1)
    if let own = template[path: ["metadata", "annotations"]], own.objectValue?.isEmpty == false {
      annotations("Annotations", own, 1)
    }
    field("Service Account", spec?["serviceAccountName"]?.stringValue, 1)
    if spec?["initContainers"]?.arrayValue?.isEmpty == false {
      containers("Init Containers", spec?["initContainers"], inner: true)
    }
    containers("Containers", spec?["containers"], inner: true)
    volumes(spec?["volumes"], inner: true)
    field("Priority Class Name", spec?["priorityClassName"]?.stringValue, 1)
    labels("Node-Selectors", spec?["nodeSelector"], 1)
    tolerations("Tolerations", spec?["tolerations"], 1)
  }

  mutating func pod(_ pod: JSON) {
    let meta = pod["metadata"]
    let spec = pod["spec"]
    let status = pod["status"]
    heading(pod)
    field("Priority", spec?["priority"]?.intValue.map(String.init))
    field("Priority Class Name", spec?["priorityClassName"]?.stringValue)
    field("Runtime Class Name", spec?["runtimeClassName"]?.stringValue)
    field("Service Account", spec?["serviceAccountName"]?.stringValue)
    let node = spec?["nodeName"]?.stringValue ?? ""
    field("Node", node.isEmpty ? "<none>" : "\(node)/\(status?["hostIP"]?.stringValue ?? "")")
    time("Start Time", status?["startTime"])
    labels("Labels", meta?["labels"])
    annotations("Annotations", meta?["annotations"])
    let phase = status?["phase"]?.stringValue ?? ""
    if meta?["deletionTimestamp"] != nil, phase != "Failed", phase != "Succeeded" {
      field("Status", "Terminating (lasts \(age(meta?["deletionTimestamp"])))")
      field("Termination Grace Period", meta?["deletionGracePeriodSeconds"]?.intValue.map { "\($0)s" })
    } else {
      field("Status", phase)
    }
    field("Reason", status?["reason"]?.stringValue.flatMap { $0.isEmpty ? nil : $0 })
    field("Message", status?["message"]?.stringValue.flatMap { $0.isEmpty ? nil : TablePrinter.cell(.string($0)) })
    field("IP", status?["podIP"]?.stringValue ?? "")
    let addresses = status?["podIPs"]?.arrayValue ?? []
    line(addresses.isEmpty ? "IPs:\t<none>" : "IPs:")
    for address in addresses { field("IP", address["ip"]?.stringValue ?? "", 1) }
    field("Controlled By", Describer.controller(pod))
    if spec?["initContainers"]?.arrayValue?.isEmpty == false {
      containers("Init Containers", spec?["initContainers"], statuses: status?["initContainerStatuses"])
    }
    containers("Containers", spec?["containers"], statuses: status?["containerStatuses"])
    if spec?["ephemeralContainers"]?.arrayValue?.isEmpty == false {
      containers(
        "Ephemeral Containers", spec?["ephemeralContainers"], statuses: status?["ephemeralContainerStatuses"])
    }
    let conditions = status?["conditions"]?.arrayValue ?? []
    if !conditions.isEmpty {
      line("Conditions:")
      line("Type\tStatus", 1)
      for condition in conditions {
        line("\(condition["type"]?.stringValue ?? "") \t\(condition["status"]?.stringValue ?? "") ", 1)
      }
    }
    volumes(spec?["volumes"])
    field("QoS Class", status?["qosClass"]?.stringValue)
    labels("Node-Selectors", spec?["nodeSelector"])
    tolerations("Tolerations", spec?["tolerations"])
  }

  mutating func configMap(_ map: JSON) {
    heading(map)
    labels("Labels", map[path: ["metadata", "labels"]])
    annotations("Annotations", map[path: ["metadata", "annotations"]])
    line("")
    line("Data")
    line("====")
    for (key, value) in map["data"]?.objectValue ?? JSONObject() {
      line("\(key):")
      line("----")
      // Content is no table: its tabs must not make columns.
      line((value.stringValue ?? "").replacing("\t", with: "    "))
      line("")
    }
    line("")
    line("BinaryData")
    line("====")
    for (key, value) in map["binaryData"]?.objectValue ?? JSONObject() {
      line("\(key): \(Describer.bytes(value)) bytes")
    }
    line("")
  }

  /// Sizes, never values.
  mutating func secret(_ secret: JSON) {
    heading(secret)
    labels("Labels", secret[path: ["metadata", "labels"]])
    annotations("Annotations", secret[path: ["metadata", "annotations"]])
    line("")
    field("Type", secret["type"]?.stringValue)
    line("")
    line("Data")
    line("====")
    for (key, value) in secret["data"]?.objectValue ?? JSONObject() {
      line("\(key):\t\(Describer.bytes(value)) bytes")
    }
  }

  /// Bytes that a base64 text stands for.
  private static func bytes(_ value: JSON) -> Int {
    let text = value.stringValue ?? ""
    return text.utf8.count / 4 * 3 - text.utf8.suffix(2).filter { $0 == 0x3D }.count
  }

  /// Any kind: its metadata, then its members as YAML.
  mutating func other(_ object: JSON) {
    heading(object)
    labels("Labels", object[path: ["metadata", "labels"]])
    annotations("Annotations", object[path: ["metadata", "annotations"]])
    field("API Version", object["apiVersion"]?.stringValue)
    field("Kind", object["kind"]?.stringValue)
    time("Creation Timestamp", object[path: ["metadata", "creationTimestamp"]])
    var rest = object
    for member in ["metadata", "apiVersion", "kind"] { rest[member] = nil }
    guard rest.objectValue?.isEmpty == false else { return }
    for part in rest.yaml.split(separator: "\n") { line(String(part).replacing("\t", with: "    ")) }
  }
}
