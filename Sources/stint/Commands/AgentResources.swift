// Owns: the agent's flags about what it offers and keeps back: texts to numbers. It must not know who gets what.

import AgentCore
import ClusterIO
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

  /// What a machine has of one thing, of which shares are taken, and the most that could ever be left of it.
  struct Most: Equatable {
    var total: Int64
    var left: Int64
    /// Whose it is, for people.
    var place: String
  }

  /// What of a machine thresholds are about; nil: it does not tell, or (inodes) there is no such bound.
  struct MachineMost: Equatable {
    var memory: Most?
    var processes: Most?
    var disk: Most?
    var inodes: Most?

    /// Reads the machine. `data`: the agent's data directory, or what will hold it.
    static func read(memory: UInt64, data: String) -> MachineMost {
      var result = MachineMost()
      result.memory = Most(total: Int64(clamping: memory), left: Int64(clamping: memory), place: "this machine")
      if let most = UsageReader.room()?.processes.total {
        result.processes = Most(total: most, left: most, place: "this machine (pid_max and threads-max)")
      }
      var place = data
      while !Files.exists(place), place != "/" { place = Files.split(place).parent }
      guard let space = try? Files.space(place), let inodes = try? Files.inodes(place),
        let most = try? Files.most(place)
      else { return result }
      let words = "the file system of \(data)"
      if space.total > 0 {
        result.disk = Most(total: Int64(clamping: space.total), left: Int64(clamping: most.bytes), place: words)
      }
      // A total of 0: it makes them as it needs them.
      if inodes.total > 0 {
        result.inodes = Most(total: Int64(clamping: inodes.total), left: Int64(clamping: most.inodes), place: words)
      }
      return result
    }
  }

  /// What would keep every pod away from this machine for good; nil: nothing.
  static func problem(_ eviction: EvictionSettings, _ machine: MachineMost) -> String? {
    let signals: [(String, EvictionThreshold, Most?, isBytes: Bool)] = [
      ("memory.available", eviction.memory, machine.memory, true),
      ("nodefs.available", eviction.disk, machine.disk, true),
      ("nodefs.inodesFree", eviction.inodes, machine.inodes, false),
      ("imagefs.available", eviction.imageDisk, machine.disk, true),
      ("imagefs.inodesFree", eviction.imageInodes, machine.inodes, false),
      ("pid.available", eviction.processes, machine.processes, false),
    ]
    for (signal, threshold, most, isBytes) in signals {
      guard let most, threshold.amount(of: most.total) >= most.left, most.left > 0 else { continue }
      func text(_ amount: Int64) -> String { isBytes ? Quantity.formatBytes(amount) : String(amount) }
      let given = threshold.isShare ? percent(threshold.amount) : text(threshold.amount)
      let there = isBytes ? "\(most.left >> 20)Mi" : String(most.left)
      return "--eviction-hard: \(signal)<\(given) is more than the \(there) that \(most.place) could ever have left: "
        + "the node would never take a pod; give less, or a share such as 10%"
    }
    return nil
  }

  private static func percent(_ thousandths: Int64) -> String {
    "\(thousandths / 10)\(thousandths % 10 == 0 ? "" : ".\(thousandths % 10)")%"
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
