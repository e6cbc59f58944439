// Amounts that Jobs of a queue take, and the limits of a queue: what it counts, and how it adds and compares. Must not
// know how Jobs wait.

import ClusterProto

/// Sums of Jobs, pods, cpu, memory, room on disks and extended resources, by name.
struct QueueAmounts: Equatable, Sendable {
  struct Amount: Equatable, Sendable {
    var name: String
    /// Cpu in thousandths, all else in whole units.
    var value: Int128
  }

  static let jobs = "jobs"
  static let pods = "pods"
  private static let cpu = "cpu"
  private static let memory = "memory"

  /// Sorted by name.
  private(set) var all: [Amount] = []

  init() {}

  /// What a Job may take at once.
  init(of job: Job) {
    let pods = Int128(job.mostPods)
    let spec = job.spec.podSpec
    add(Self.jobs, 1)
    add(Self.pods, pods)
    add(Self.cpu, pods * Int128(spec.cpuMillicores))
    add(Self.memory, pods * Int128(spec.memoryBytes))
    for resource in spec.scheduling.resources where HostPort.capacity(resource.name) == nil {
      add(resource.name, pods * Int128(resource.amount))
    }
  }

  /// Reads validated limits.
  init(limits: JSON?) {
    for (name, value) in limits?.objectValue ?? JSONObject() {
      let text = value.stringValue ?? value.text
      let amount = name == Self.cpu ? Quantity.parseMillis(text) : Quantity.parseBytes(text)
      all.append(Amount(name: name, value: Int128(amount ?? 0)))
    }
    all.sort { $0.name < $1.name }
  }

  /// Whether a queue can limit that.
  static func isCounted(_ name: String) -> Bool {
    [jobs, pods, cpu, memory, ResourceAmount.storage].contains(name) || ResourceAmount.isExtended(name)
  }

  subscript(name: String) -> Int128 { all.first { $0.name == name }?.value ?? 0 }

  private mutating func add(_ name: String, _ value: Int128) {
    if value == 0 { return }
    let position = all.firstIndex { $0.name >= name } ?? all.count
    if position < all.count, all[position].name == name {
      all[position].value += value
      if all[position].value == 0 { all.remove(at: position) }
    } else {
      all.insert(Amount(name: name, value: value), at: position)
    }
  }

  mutating func add(_ other: QueueAmounts) { for one in other.all { add(one.name, one.value) } }
  mutating func take(_ other: QueueAmounts) { for one in other.all { add(one.name, -one.value) } }

  /// The first of these limits that does not leave room for the amounts, beside what is used already.
  func firstExceeded(by amounts: QueueAmounts, beside used: QueueAmounts = QueueAmounts()) -> Amount? {
    all.first { limit in
      let asked = amounts[limit.name]
      return asked > 0 && asked + used[limit.name] > limit.value
    }
  }

  /// As a list of resources in JSON.
  var json: JSON { .object(JSONObject(entries: all.map { ($0.name, .string(Self.text($0))) })) }

  /// As Kubernetes writes a quantity.
  static func text(_ amount: Amount) -> String {
    let value = Int64(clamping: amount.value)
    switch amount.name {
    case cpu: return Quantity.formatMillis(value)
    case memory: return Quantity.formatBytes(value)
    default: return String(value)
    }
  }
}

extension Job {
  /// How many pods may run at once.
  var mostPods: Int64 { max(0, min(spec.parallelism, spec.completions ?? spec.parallelism)) }
}
