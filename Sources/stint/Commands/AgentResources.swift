// Owns: the agent's flags about what it offers and keeps back: texts to numbers. It must not know who gets what.

import AgentCore
import ClusterProto

/// `--reserve`, `--resource`, `--resource-env` and `--eviction-hard`.
enum AgentResources {
  /// Where a resource's name has no domain.
  private static let domain = "stint.dev/"

  /// What is kept from pods; nil: nothing is.
  static func reserve(_ arguments: Arguments) throws -> NodeReserve? {
    guard let text = arguments.value("reserve") else { return nil }
    var reserve = NodeReserve(cpuMillicores: 0, memoryBytes: 0)
    var named: Set<String> = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let (name, amount) = try pair(String(part), "reserve", arguments)
      guard named.insert(name).inserted else { throw arguments.problem("--reserve: \(name) is given twice") }
      switch name {
      case "cpu":
        reserve.cpuMillicores = Quantity.parseMillis(amount) ?? -1
        try check(.cpu(0...Bounds.millicores.upperBound), amount, name, arguments)
      case "memory":
        reserve.memoryBytes = Quantity.parseBytes(amount) ?? -1
        try check(.bytes(0...Bounds.memory.upperBound), amount, name, arguments)
      case ResourceAmount.storage:
        reserve.storageBytes = Quantity.parseBytes(amount) ?? -1
        try check(.bytes(0...Bounds.memory.upperBound), amount, name, arguments)
      default:
        throw arguments.problem("--reserve: \"\(name)\": only cpu, memory and ephemeral-storage can be kept back")
      }
    }
    return reserve
  }

  /// What is handed out, sorted by name.
  static func offers(_ arguments: Arguments) throws -> [DeviceOffer] {
    var offers: [DeviceOffer] = []
    for text in arguments.values("resource") {
      let (given, amount) = try pair(text, "resource", arguments)
      let name = try qualified(given, arguments)
      guard let count = Int64(amount), (1...1_000).contains(count) else {
        throw arguments.problem("--resource: \"\(text)\": how many must be between 1 and 1000")
      }
      guard !offers.contains(where: { $0.name == name }) else {
        throw arguments.problem("--resource: \"\(name)\" is given twice")
      }
      offers.append(DeviceOffer(name: name, count: count))
    }
    for text in arguments.values("resource-env") {
      let (given, variable) = try pair(text, "resource-env", arguments)
      let name = try qualified(given, arguments)
      guard let place = offers.firstIndex(where: { $0.name == name }) else {
        throw arguments.problem("--resource-env: there is no --resource \(given)")
      }
      guard Names.environmentNameErrors(variable).isEmpty else {
        throw arguments.problem(
          "--resource-env: \"\(variable)\" is no name of a variable, such as CUDA_VISIBLE_DEVICES")
      }
      offers[place].variable = variable
    }
    return offers.sorted { $0.name < $1.name }
  }

  /// How little memory and how few processes are too little, as kubelet's flags say it.
  static func eviction(_ arguments: Arguments) throws -> EvictionSettings {
    var result = EvictionSettings()
    if let pause = arguments.milliseconds("pressure-transition") { result.transitionMilliseconds = pause }
    guard let text = arguments.value("eviction-hard") else { return result }
    // As in kubelet, what is not named has no threshold.
    let none = EvictionThreshold(0)
    (result.memory, result.processes, result.disk, result.inodes) = (none, none, none, none)
    var named: Set<Substring> = []
    if text.isEmpty { return result }
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let words = part.split(separator: "<", maxSplits: 1, omittingEmptySubsequences: false)
      guard words.count == 2, let threshold = threshold(String(words[1])) else {
        throw arguments.problem(
          "--eviction-hard: \"\(part)\" is not SIGNAL<QUANTITY or SIGNAL<PERCENT%, such as memory.available<500Mi or "
            + "pid.available<10%, with a quantity of at most 1Pi or from 0.1% to less than 100%; an empty "
            + "text sets no threshold")
      }
      guard named.insert(words[0]).inserted else {
        throw arguments.problem("--eviction-hard: \(words[0]) is given twice")
      }
      switch words[0] {
      case "memory.available": result.memory = threshold
      case "pid.available": result.processes = threshold
      case "nodefs.available": result.disk = threshold
      case "nodefs.inodesFree": result.inodes = threshold
      case "imagefs.available": result.imageDisk = threshold
      case "imagefs.inodesFree": result.imageInodes = threshold
      default:
        throw arguments.problem(
          "--eviction-hard: \"\(words[0])\": the signals are memory.available, nodefs.available, nodefs.inodesFree, "
            + "imagefs.available, imagefs.inodesFree and pid.available")
      }
    }
    return result
  }

  /// What would keep every pod away from this machine for good; nil: nothing.
  static func problem(_ eviction: EvictionSettings, memory: UInt64) -> String? {
    guard !eviction.memory.isShare, eviction.memory.amount >= memory else { return nil }
    return "--eviction-hard: memory.available<\(Quantity.formatBytes(eviction.memory.amount)) is more than the "
      + "\(memory >> 20)Mi that this machine has: the node would never take a pod; give less, or a share such as 10%"
  }

  private static func threshold(_ text: String) -> EvictionThreshold? {
    guard text.hasSuffix("%") else {
      guard let amount = Quantity.parseBytes(text), (0...Bounds.memory.upperBound).contains(amount),
        !Quantity.isLessThanOne(text, ofThousandths: false)
      else { return nil }
      return EvictionThreshold(amount)
    }
    // Tenths of a percent are thousandths.
    guard let thousandths = Quantity.parseMillis(String(text.dropLast())), (0..<100_000).contains(thousandths),
      thousandths == 0 || thousandths >= 100
    else { return nil }
    return EvictionThreshold(thousandths / 100, isShare: true)
  }

  private static func qualified(_ name: String, _ arguments: Arguments) throws -> String {
    let whole = name.contains("/") ? name : domain + name
    guard ResourceAmount.isExtended(whole), Names.labelKeyErrors(whole).isEmpty else {
      throw arguments.problem("--resource: \"\(name)\" is no name of an extended resource, such as example.com/gpu")
    }
    return whole
  }

  private static func pair(_ text: String, _ flag: String, _ arguments: Arguments) throws -> (String, String) {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else {
      throw arguments.problem("--\(flag): \"\(text)\" is not NAME=VALUE")
    }
    return (parts[0], parts[1])
  }

  private static func check(_ kind: FlagValue, _ amount: String, _ name: String, _ arguments: Arguments) throws {
    guard let expected = kind.expectation(of: amount) else { return }
    throw arguments.problem("--reserve: \(name): \"\(amount)\" is not \(expected)")
  }
}
