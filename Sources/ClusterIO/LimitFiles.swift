// Owns: which file of a cgroup gets which text for a pod's or a container's limits, in either version. Pure.
// It must not know where the cgroups are.

import ClusterProto

/// What is written into a new cgroup, in order.
enum LimitFiles {
  struct Entry: Equatable {
    var controller: CgroupController
    var file: String
    var text: String
    /// A refusal leaves nothing unbounded: an outer cgroup is narrower, or the machine has no such thing.
    var mayFail = false
  }

  static func entries(_ limits: ResourceLimits, version: Int64, isContainer: Bool) -> [Entry] {
    version == 1 ? legacy(limits) : unified(limits, isContainer: isContainer)
  }

  private static func legacy(_ limits: ResourceLimits) -> [Entry] {
    var result: [Entry] = []
    if let shares = limits.cpuShares { result.append(Entry(controller: .cpu, file: "cpu.shares", text: "\(shares)")) }
    if let quota = limits.cpuQuotaMicroseconds {
      result.append(Entry(controller: .cpu, file: "cpu.cfs_quota_us", text: "\(quota)", mayFail: true))
    }
    if let bytes = limits.memoryBytes {
      result.append(Entry(controller: .memory, file: "memory.limit_in_bytes", text: "\(bytes)"))
      // No swap beside it, as kubelet's NoSwap.
      result.append(Entry(controller: .memory, file: "memory.memsw.limit_in_bytes", text: "\(bytes)", mayFail: true))
    }
    if let most = limits.processes { result.append(Entry(controller: .pids, file: "pids.max", text: "\(most)")) }
    return result
  }

  private static func unified(_ limits: ResourceLimits, isContainer: Bool) -> [Entry] {
    var result: [Entry] = []
    if let shares = limits.cpuShares {
      // kubelet's and the runtimes' conversion: 2...262144 to 1...10000.
      let weight = 1 + (shares - 2) * 9_999 / 262_142
      result.append(Entry(controller: .cpu, file: "cpu.weight", text: "\(weight)"))
    }
    if let quota = limits.cpuQuotaMicroseconds {
      result.append(Entry(controller: .cpu, file: "cpu.max", text: "\(quota) 100000"))
    }
    if let bytes = limits.memoryBytes {
      result.append(Entry(controller: .memory, file: "memory.max", text: "\(bytes)"))
      result.append(Entry(controller: .memory, file: "memory.swap.max", text: "0", mayFail: true))
      // All of a container goes when one of its processes does, as with kubelet since 1.28.
      if isContainer { result.append(Entry(controller: .memory, file: "memory.oom.group", text: "1", mayFail: true)) }
    }
    if let most = limits.processes { result.append(Entry(controller: .pids, file: "pids.max", text: "\(most)")) }
    return result
  }

  /// Where the kernel counts the processes that it has ended in a container's cgroup, behind the word `oom_kill`.
  static func kills(version: Int64) -> String { version == 1 ? "memory.oom_control" : "memory.events" }
}
