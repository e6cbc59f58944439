// From a pod's resources to what the kernel is told: cgroup numbers, and whom it ends first when memory runs out.
// kubelet's arithmetic; pure. Nothing is asked for a pod that asks for nothing.

import ClusterProto

/// One pod's numbers.
struct PodLimits {
  let spec: PodSpec
  /// The node's memory, that a request is a share of.
  let nodeMemory: Int64
  /// kubelet's `--pod-max-pids`; nil: no bound.
  let podProcesses: Int64?

  init(of spec: PodSpec, at place: PodPlace) {
    self.spec = spec
    nodeMemory = place.capacity.memoryBytes
    podProcesses = place.podProcesses
  }

  private static let leastShares: Int64 = 2
  private static let mostShares: Int64 = 262_144
  private static let leastQuota: Int64 = 1_000
  private static let period: Int64 = 100_000

  private var all: [ContainerSpec] { spec.initContainers + spec.containers }

  /// Whether any container asks for something that a cgroup does; the number of processes is the node's wish alone.
  private var asks: Bool {
    all.contains { $0.cpuMillicores > 0 || $0.limits.cpuMillicores != nil || $0.limits.memoryBytes != nil }
  }

  /// What all containers may use together; nil: nothing is asked.
  var pod: ResourceLimits? {
    var limits = ResourceLimits()
    limits.processes = podProcesses
    guard asks else { return limits.isEmpty ? nil : limits }
    limits.cpuShares = Self.shares(sum { $0.cpuMillicores })
    // One container without a bound leaves its pod without one.
    if all.allSatisfy({ $0.limits.cpuMillicores != nil }) {
      limits.cpuQuotaMicroseconds = Self.quota(sum { $0.limits.cpuMillicores ?? 0 })
    }
    if all.allSatisfy({ $0.limits.memoryBytes != nil }) { limits.memoryBytes = sum { $0.limits.memoryBytes ?? 0 } }
    return limits
  }

  /// What one container may use; nil: its pod asks for nothing but a number of processes.
  func container(_ container: ContainerSpec) -> ResourceLimits? {
    guard asks else { return nil }
    var limits = ResourceLimits()
    limits.cpuShares = Self.shares(container.cpuMillicores)
    limits.cpuQuotaMicroseconds = container.limits.cpuMillicores.map(Self.quota)
    limits.memoryBytes = container.limits.memoryBytes
    return limits
  }

  /// `oom_score_adj` of a container (kubelet's GetContainerOOMScoreAdjust): the less it uses beside its request, the
  /// later it goes.
  func oomScore(_ container: ContainerSpec) -> Int64 {
    if spec.priority >= EvictionRank.critical { return Self.guaranteedScore }
    switch QualityOfService.of(spec) {
    case .guaranteed: return Self.guaranteedScore
    case .bestEffort: return 1_000
    case .burstable:
      let own = score(container)
      guard container.isSidecar else { return own }
      return spec.containers.map(score).reduce(own, min)
    }
  }

  private static let guaranteedScore: Int64 = -997

  private func score(_ container: ContainerSpec) -> Int64 {
    let share = nodeMemory > 0 ? container.memoryBytes.multipliedSaturated(by: 1_000) / nodeMemory : 0
    let score = 1_000 - min(share, 1_000)
    // Above all of Guaranteed, below all of BestEffort.
    if score < 1_000 + Self.guaranteedScore { return 1_000 + Self.guaranteedScore }
    return score == 1_000 ? 999 : score
  }

  /// The most at any time: containers and sidecars together, or one init container with the sidecars before it.
  private func sum(_ amount: (ContainerSpec) -> Int64) -> Int64 {
    var sidecars: Int64 = 0
    var most: Int64 = 0
    for container in spec.initContainers {
      let own = max(0, amount(container))
      most = max(most, sidecars.addingSaturated(own))
      if container.isSidecar { sidecars = sidecars.addingSaturated(own) }
    }
    return max(most, spec.containers.reduce(sidecars) { $0.addingSaturated(max(0, amount($1))) })
  }

  static func shares(_ millicores: Int64) -> Int64 {
    if millicores >= mostShares { return mostShares }
    return min(max(millicores * 1_024 / 1_000, leastShares), mostShares)
  }

  static func quota(_ millicores: Int64) -> Int64 {
    max(min(millicores, Int64.max / period) * period / 1_000, leastQuota)
  }
}

extension StorageLimits {
  /// What the pod may keep on the disk, as kubelet's eviction manager bounds it, and where; nil: as much as there is,
  /// and it has no volumes there.
  init?(of spec: PodSpec, at place: PodPlace) {
    self.init()
    for container in spec.initContainers + spec.containers {
      containers[container.name] = container.limits.storageBytes
    }
    let limits = spec.containers.compactMap(\.limits.storageBytes)
    let sidecars = spec.initContainers.filter(\.isSidecar).compactMap(\.limits.storageBytes)
    let first = spec.initContainers.compactMap(\.limits.storageBytes).max()
    if !limits.isEmpty || first != nil {
      together = max((limits + sidecars).reduce(Int64(0)) { $0.addingSaturated($1) }, first ?? 0)
    }
    for volume in spec.volumes {
      guard case .emptyDirectory(let medium, let bytes) = volume.source,
        medium != VolumeSpec.memory || !place.hasMemoryVolumes, let path = place.volumes[volume.name]
      else { continue }
      self.volumes.append(Volume(name: volume.name, path: path, bytes: bytes.flatMap { $0 > 0 ? $0 : nil }))
    }
    if isEmpty, volumes.isEmpty { return nil }
  }
}
