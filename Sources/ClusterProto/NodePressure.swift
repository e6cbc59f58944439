// What a node may have too little of, in Kubernetes' names and words: its conditions, taints and events, and what an
// agent tells its keeper when a pod has to go. It must not know how much is too little, nor which pod goes.

/// One thing that a node may run out of.
package enum NodePressure: String, CaseIterable, Hashable, Sendable {
  /// Memory.
  case memory = "MemoryPressure"
  /// Room on the disk of the agent's data directory.
  case disk = "DiskPressure"
  /// Processes and threads.
  case processes = "PIDPressure"

  /// The condition's type.
  package var condition: String { rawValue }

  /// The taint that keeps pods from the node meanwhile.
  package var taint: String {
    switch self {
    case .memory: "node.kubernetes.io/memory-pressure"
    case .disk: Taint.diskPressure
    case .processes: "node.kubernetes.io/pid-pressure"
    }
  }

  /// What is reclaimed, as the kubelet's messages name it.
  package var resource: String {
    switch self {
    case .memory: "memory"
    case .disk: "ephemeral-storage"
    case .processes: "pids"
    }
  }

  /// The kubelet's reason and message of the condition.
  package func words(isPressed: Bool) -> (reason: String, message: String) {
    switch (self, isPressed) {
    case (.memory, true): ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available")
    case (.memory, false): ("KubeletHasSufficientMemory", "kubelet has sufficient memory available")
    case (.disk, true): ("KubeletHasDiskPressure", "kubelet has disk pressure")
    case (.disk, false): ("KubeletHasNoDiskPressure", "kubelet has no disk pressure")
    case (.processes, true): ("KubeletHasInsufficientPID", "kubelet has insufficient PID available")
    case (.processes, false): ("KubeletHasSufficientPID", "kubelet has sufficient PID available")
    }
  }

  /// The reason of the Node's event when the condition changes.
  package func event(isPressed: Bool) -> String {
    switch (self, isPressed) {
    case (.memory, true): "NodeHasInsufficientMemory"
    case (.memory, false): "NodeHasSufficientMemory"
    case (.disk, true): "NodeHasDiskPressure"
    case (.disk, false): "NodeHasNoDiskPressure"
    case (.processes, true): "NodeHasInsufficientPID"
    case (.processes, false): "NodeHasSufficientPID"
    }
  }

  /// The member of a heartbeat that says it.
  var member: String {
    switch self {
    case .memory: "memoryPressure"
    case .disk: "diskPressure"
    case .processes: "pidPressure"
    }
  }

  /// And the one that says why no pod goes for it.
  var sparedMember: String { "\(member)Spared" }
}

/// Agent → keeper: the node is short of something, and one pod has to go.
package struct Shortage: Equatable, Sendable {
  /// Of what.
  package var of: NodePressure
  /// Below that much it is short: bytes, or processes.
  package var threshold: Int64
  /// So much is left.
  package var available: Int64
  /// Of a disk: it is the inodes that are short, and not the bytes.
  package var isInodes: Bool
  /// Who asks understands `KeeperReply.relief`; an agent of an older version does not.
  package var wantsAnswer = true

  /// Takes each value as it stands.
  package init(of: NodePressure, threshold: Int64, available: Int64, isInodes: Bool = false) {
    self.of = of
    self.threshold = threshold
    self.available = available
    self.isInodes = isInodes
  }

  /// What is short, as the kubelet's messages name it.
  package var resource: String { isInodes ? "inodes" : of.resource }

  /// As `init(json:_:)` reads it.
  package var json: JSON {
    var result: JSON = ["of": .string(of.rawValue), "threshold": .int(threshold), "available": .int(available)]
    if isInodes { result["inodes"] = true }
    if wantsAnswer { result["wantsAnswer"] = true }
    return result
  }

  /// Reads a request's member. Throws what is missing or of the wrong type.
  package init(json: JSON, _ what: String) throws(MessageError) {
    let reader = try MessageReader(json, what)
    guard let of = NodePressure(rawValue: try reader.string("of")) else {
      throw MessageError("\(what): a shortage of what is not known")
    }
    self.init(
      of: of, threshold: try reader.integer("threshold"), available: try reader.integer("available"),
      isInodes: try reader.flag("inodes"))
    wantsAnswer = try reader.flag("wantsAnswer")
  }
}

/// What decides in which order pods go from a node that is short of something.
package struct EvictionRank: Equatable, Sendable {
  /// The pod's priority: the lower ones go first.
  package var priority: Int64
  /// What each container has asked for of memory, in bytes, by its name.
  package var memory: [String: Int64]
  /// The same of the node's disk; who has asked for none is not there.
  package var storage: [String: Int64]
  /// What the pod as a whole has asked for of the disk.
  package var podStorage: Int64

  /// From this priority on (that of the system's own classes) a pod is never evicted.
  package static let critical: Int64 = 2_000_000_000

  /// Takes each value as it stands.
  package init(priority: Int64, memory: [String: Int64], storage: [String: Int64] = [:], podStorage: Int64 = 0) {
    self.priority = priority
    self.memory = memory
    self.storage = storage
    self.podStorage = podStorage
  }

  /// As `init(json:_:)` reads it.
  package var json: JSON {
    var result: JSON = ["priority": .int(priority), "memory": Self.list(memory)]
    if !storage.isEmpty { result["storage"] = Self.list(storage) }
    if podStorage != 0 { result["podStorage"] = .int(podStorage) }
    return result
  }

  private static func list(_ amounts: [String: Int64]) -> JSON {
    .array(amounts.keys.sorted().map { ["name": .string($0), "bytes": .int(amounts[$0] ?? 0)] })
  }

  private static func amounts(_ json: JSON?, _ what: String) throws(MessageError) -> [String: Int64] {
    var result: [String: Int64] = [:]
    for item in json?.arrayValue ?? [] {
      let reader = try MessageReader(item, what)
      result[try reader.string("name")] = try reader.integer("bytes")
    }
    return result
  }

  /// Reads a plan's member. Throws what is missing or of the wrong type.
  package init(json: JSON, _ what: String) throws(MessageError) {
    let reader = try MessageReader(json, what)
    priority = try reader.integer("priority")
    memory = try Self.amounts(json["memory"], what)
    storage = try Self.amounts(json["storage"], what)
    podStorage = try reader.optionalInteger("podStorage") ?? 0
  }
}
