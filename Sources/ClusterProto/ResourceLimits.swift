// What the kernel holds a pod's and its containers' processes to, as plain numbers, and what a node says of how far it
// does. Where the numbers come from is the agent's planner's, which files they are written to ClusterIO's.

/// What a container's resources.limits name; nil: no bound. As in Kubernetes zero bounds nothing.
package struct ContainerLimits: Equatable, Sendable {
  /// Thousandths of a processor.
  package var cpuMillicores: Int64?
  /// Bytes.
  package var memoryBytes: Int64?
  /// Bytes on the node's disk: log, changed files, emptyDir volumes.
  package var storageBytes: Int64?

  /// From `resources.limits`.
  package init(json: JSON?) {
    func amount(_ name: String, _ parse: (String) -> Int64?) -> Int64? {
      guard let value = json?[name], let amount = parse(value.stringValue ?? value.text), amount > 0 else { return nil }
      return amount
    }
    cpuMillicores = amount("cpu", Quantity.parseMillis)
    memoryBytes = amount("memory", Quantity.parseBytes)
    storageBytes = amount("ephemeral-storage", Quantity.parseBytes)
  }
}

/// Kubernetes' quality-of-service class of a pod.
package enum QualityOfService: String, Sendable {
  case guaranteed = "Guaranteed", burstable = "Burstable", bestEffort = "BestEffort"

  /// BestEffort without cpu and memory amounts, Guaranteed where every container's limits are set and equal its
  /// requests, else Burstable.
  package static func of(_ spec: PodSpec) -> QualityOfService {
    var isGuaranteed = true
    var isBestEffort = true
    for container in spec.containers + spec.initContainers {
      let limits = container.limits
      if container.cpuMillicores > 0 || container.memoryBytes > 0 { isBestEffort = false }
      if limits.cpuMillicores == nil || limits.memoryBytes == nil { isGuaranteed = false }
      if container.cpuMillicores != limits.cpuMillicores || container.memoryBytes != limits.memoryBytes {
        isGuaranteed = false
      }
    }
    return isBestEffort ? .bestEffort : isGuaranteed ? .guaranteed : .burstable
  }
}

/// The most that processes may use together; nil: no bound of its own.
package struct ResourceLimits: Equatable, Sendable {
  /// Weight beside others where processor time is short, in cgroup v1's numbers: 2...262144, 1024 a processor.
  package var cpuShares: Int64?
  /// Microseconds of processor time in each 100 ms.
  package var cpuQuotaMicroseconds: Int64?
  /// Bytes of memory, page cache included; what goes beyond it is ended by the kernel.
  package var memoryBytes: Int64?
  /// Processes and threads.
  package var processes: Int64?

  /// Without any bound.
  package init() {}

  /// Whether it bounds nothing: then no cgroup is made for it.
  package var isEmpty: Bool { self == ResourceLimits() }

  /// The message's JSON, as `init(json:)` reads it.
  package var json: JSON {
    var result: JSON = .object(JSONObject())
    if let cpuShares { result["cpuShares"] = .int(cpuShares) }
    if let cpuQuotaMicroseconds { result["cpuQuota"] = .int(cpuQuotaMicroseconds) }
    if let memoryBytes { result["memory"] = .int(memoryBytes) }
    if let processes { result["processes"] = .int(processes) }
    return result
  }

  /// Reads a message's JSON. Throws what is of the wrong type.
  package init(json: JSON, _ what: String) throws(MessageError) {
    let reader = try MessageReader(json, what)
    cpuShares = try reader.optionalInteger("cpuShares")
    cpuQuotaMicroseconds = try reader.optionalInteger("cpuQuota")
    memoryBytes = try reader.optionalInteger("memory")
    processes = try reader.optionalInteger("processes")
  }
}

/// What a node can hold its pods to.
package struct LimitAbilities: Equatable, Sendable {
  /// `1` or `2`: the version of the cgroups that it has; 0: it has none.
  package var version: Int64 = 0
  /// Processor time, by quota and weight.
  package var cpu = false
  /// Memory.
  package var memory = false
  /// The number of processes.
  package var pids = false
  /// Why something of that is missing, for people; empty: nothing is.
  package var problem = ""
  /// Whether the keeper ends a pod when the node is short of something: one of a version before does not.
  package var relieves = true
  /// The same where it is the disk that is short.
  package var relievesDisk = true

  /// Able to nothing.
  package init() {}

  /// The condition by which the node shows it.
  package static let condition = "LimitsEnforced"

  /// Whether all of it is there.
  package var isWhole: Bool { cpu && memory && pids }

  /// The condition's status, reason and message.
  package var words: (status: String, reason: String, message: String) {
    let names = [("cpu", cpu), ("memory", memory), ("pids", pids)]
    let held = names.filter(\.1).map(\.0)
    guard !held.isEmpty else { return ("False", "NoCgroups", "limits of pods are not enforced: \(problem)") }
    let message = "\(held.joined(separator: ", ")) by cgroup v\(version)"
    if isWhole { return ("True", "CgroupV\(version)", message) }
    let missing = names.filter { !$0.1 }.map(\.0).joined(separator: ", ")
    return ("False", "CgroupV\(version)", "\(message); not enforced: \(missing): \(problem)")
  }

  /// Reads back from a condition's message what the node holds pods to.
  package static func held(_ message: String) -> [String] {
    guard let end = message.firstRange(of: " by cgroup v")?.lowerBound else { return [] }
    return message[..<end].split(separator: ", ").map(String.init)
  }

  /// The message's JSON, as `init(json:)` reads it.
  package var json: JSON {
    [
      "version": .int(version), "cpu": .bool(cpu), "memory": .bool(memory), "pids": .bool(pids),
      "problem": .string(problem), "relieves": .bool(relieves), "relievesDisk": .bool(relievesDisk),
    ]
  }

  /// Reads a message's JSON. Throws what is of the wrong type.
  package init(json: JSON, _ what: String) throws(MessageError) {
    let reader = try MessageReader(json, what)
    version = try reader.integer("version")
    cpu = try reader.boolean("cpu")
    memory = try reader.boolean("memory")
    relieves = try reader.flag("relieves")
    relievesDisk = try reader.flag("relievesDisk")
    pids = try reader.boolean("pids")
    problem = try reader.string("problem")
  }
}
