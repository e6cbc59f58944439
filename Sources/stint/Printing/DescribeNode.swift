// Owns: the description of a Node with what runs on it. Texts are those of kubectl's describer.
// It must not fetch anything, nor know how pods are scheduled.

import ClusterProto

extension Describer {
  /// `pods`: those on the node that have not ended. `lease`: the node's Lease object, if there is one.
  mutating func node(_ node: JSON, pods: [JSON], lease: JSON?) {
    let meta = node["metadata"]
    let status = node["status"]
    field("Name", meta?["name"]?.stringValue ?? "")
    let prefix = "node-role.kubernetes.io/"
    let roles = StringMap(json: meta?["labels"]).filter { $0.key.hasPrefix(prefix) }.map {
      $0.key.dropFirst(prefix.count)
    }
    field("Roles", roles.isEmpty ? "<none>" : roles.joined(separator: ","))
    labels("Labels", meta?["labels"])
    annotations("Annotations", meta?["annotations"])
    time("CreationTimestamp", meta?["creationTimestamp"])
    let taints = node[path: ["spec", "taints"]]?.arrayValue ?? []
    list("Taints", taints.map(Describer.taint))
    field("Unschedulable", String(node[path: ["spec", "unschedulable"]]?.boolValue ?? false))
    if let lease {
      line("Lease:")
      field("HolderIdentity", lease[path: ["spec", "holderIdentity"]]?.stringValue ?? "<unset>", 1)
      field("AcquireTime", Describer.time(lease[path: ["spec", "acquireTime"]])?.rfc1123Z ?? "<unset>", 1)
      field("RenewTime", Describer.time(lease[path: ["spec", "renewTime"]])?.rfc1123Z ?? "<unset>", 1)
    }
    conditions(status?["conditions"]?.arrayValue ?? [])
    line("Addresses:")
    for address in status?["addresses"]?.arrayValue ?? [] {
      field(address["type"]?.stringValue ?? "", address["address"]?.stringValue ?? "", 1)
    }
    for (name, member) in [("Capacity", "capacity"), ("Allocatable", "allocatable")] {
      guard let amounts = status?[member]?.objectValue, !amounts.isEmpty else { continue }
      line("\(name):")
      for (resource, amount) in amounts { field(resource, amount.stringValue ?? amount.text, 1) }
    }
    systemInfo(status?["nodeInfo"])
    podTable(pods, status?["allocatable"])
  }

  private static func taint(_ taint: JSON) -> String {
    let key = taint["key"]?.stringValue ?? ""
    let value = taint["value"]?.stringValue ?? ""
    return key + (value.isEmpty ? "" : "=\(value)") + ":" + (taint["effect"]?.stringValue ?? "")
  }

  private mutating func conditions(_ conditions: [JSON]) {
    if conditions.isEmpty { return }
    line("Conditions:")
    line("Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage", 1)
    line("----\t------\t-----------------\t------------------\t------\t-------", 1)
    for condition in conditions {
      let cells =
        ["type", "status"].map { condition[$0]?.stringValue ?? "" }
        + ["lastHeartbeatTime", "lastTransitionTime"].map { Describer.time(condition[$0])?.rfc1123Z ?? "<unknown>" }
        + ["reason", "message"].map { condition[$0]?.stringValue ?? "" }
      line(cells.joined(separator: " \t"), 1)
    }
  }

  private mutating func systemInfo(_ info: JSON?) {
    line("System Info:")
    let members = [
      ("Machine ID", "machineID"), ("System UUID", "systemUUID"), ("Boot ID", "bootID"),
      ("Kernel Version", "kernelVersion"), ("OS Image", "osImage"), ("Operating System", "operatingSystem"),
      ("Architecture", "architecture"), ("Container Runtime Version", "containerRuntimeVersion"),
      ("Kubelet Version", "kubeletVersion"),
    ]
    for (name, member) in members { field(name, info?[member]?.stringValue ?? "", 1) }
  }

  private struct Share {
    var requests: Int64 = 0
    var limits: Int64 = 0

    /// Amounts of a manifest may be as large as a number can be.
    mutating func add(_ other: Share) {
      requests = requests.addingSaturated(other.requests)
      limits = limits.addingSaturated(other.limits)
    }
  }

  private mutating func podTable(_ pods: [JSON], _ allocatable: JSON?) {
    line("Non-terminated Pods:\t(\(pods.count) in total)")
    line("Namespace\tName\t\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge", 1)
    line("---------\t----\t\t------------\t----------\t---------------\t-------------\t---", 1)
    let cpuTotal = Describer.amount("cpu", allocatable?["cpu"])
    let memoryTotal = Describer.amount("memory", allocatable?["memory"])
    var cpu = Share()
    let storageTotal = Describer.amount(ResourceAmount.storage, allocatable?[ResourceAmount.storage])
    var memory = Share()
    var storage = Share()
    for pod in pods {
      let podCPU = Describer.share("cpu", pod)
      let podMemory = Describer.share("memory", pod)
      cpu.add(podCPU)
      memory.add(podMemory)
      storage.add(Describer.share(ResourceAmount.storage, pod))
      let meta = pod["metadata"]
      line(
        [
          meta?["namespace"]?.stringValue ?? "", meta?["name"]?.stringValue ?? "", "",
          Describer.percent("cpu", podCPU.requests, cpuTotal), Describer.percent("cpu", podCPU.limits, cpuTotal),
          Describer.percent("memory", podMemory.requests, memoryTotal),
          Describer.percent("memory", podMemory.limits, memoryTotal), age(meta?["creationTimestamp"]),
        ].joined(separator: "\t"), 1)
    }
    line("Allocated resources:")
    line("(Total limits may be over 100 percent, i.e., overcommitted.)", 1)
    line("Resource\tRequests\tLimits", 1)
    line("--------\t--------\t------", 1)
    var rows = [("cpu", cpu, cpuTotal), ("memory", memory, memoryTotal)]
    // An agent of a version before does not say how much there is.
    if allocatable?[ResourceAmount.storage] != nil { rows.append((ResourceAmount.storage, storage, storageTotal)) }
    for (name, share, total) in rows {
      let cells = [name, Describer.percent(name, share.requests, total), Describer.percent(name, share.limits, total)]
      line(cells.joined(separator: "\t"), 1)
    }
  }

  /// Thousandths of a processor, or bytes.
  private static func amount(_ resource: String, _ value: JSON?) -> Int64 {
    let text = value?.stringValue ?? value?.text ?? "0"
    return (resource == "cpu" ? Quantity.parseMillis(text) : Quantity.parseBytes(text)) ?? 0
  }

  /// What a pod takes: the sum of its containers, or its largest init container.
  private static func share(_ resource: String, _ pod: JSON) -> Share {
    func sum(_ member: String) -> Int64 {
      func amounts(_ list: String) -> [Int64] {
        (pod[path: ["spec", list]]?.arrayValue ?? []).map {
          amount(resource, $0[path: ["resources", member, resource]])
        }
      }
      // Quantities saturate at the largest number; so does their sum.
      let total = amounts("containers").reduce(Int64(0)) { $0.addingSaturated($1) }
      return max(total, amounts("initContainers").max() ?? 0)
    }
    return Share(requests: sum("requests"), limits: sum("limits"))
  }

  private static func percent(_ resource: String, _ value: Int64, _ total: Int64) -> String {
    let text = resource == "cpu" ? Quantity.formatMillis(value) : Quantity.formatBytes(value)
    let share = total > 0 ? Double(value) / Double(total) * 100 : 0
    return "\(text) (\(Int64(exactly: share.rounded(.towardZero)) ?? Int64.max)%)"
  }
}
