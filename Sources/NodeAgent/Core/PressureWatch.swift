// Whether the machine has enough memory and processes left, as kubelet's eviction manager looks at it: each ten
// seconds, also while no coordinator is there; and what follows: the coordinator is told, the keeper has to end a pod.
// Knows nothing of how the machine is read, nor which pod goes.

import ClusterProto

/// What the machine has left.
package struct MachineRoom: Equatable, Sendable {
  /// Memory that programs may have without swapping, and all of it, in bytes.
  package var memory: (available: Int64, total: Int64)
  /// Processes and threads that may still be made, and the most that there may be.
  package var processes: (available: Int64, total: Int64)

  /// Takes each value as it stands.
  package init(memory: (available: Int64, total: Int64), processes: (available: Int64, total: Int64)) {
    self.memory = memory
    self.processes = processes
  }

  package static func == (left: MachineRoom, right: MachineRoom) -> Bool {
    left.memory == right.memory && left.processes == right.processes
  }
}

/// How little is too little.
package struct EvictionThreshold: Equatable, Sendable {
  /// Bytes or processes; or, as a share, thousandths of all.
  package var amount: Int64
  /// `amount` is a share.
  package var isShare: Bool
  /// A share that is more than this is this.
  package var most: Int64

  /// Takes each value as it stands; an amount of 0 is never too little.
  package init(_ amount: Int64, isShare: Bool = false, most: Int64 = .max) {
    self.amount = amount
    self.isShare = isShare
    self.most = most
  }

  /// In bytes, inodes or processes, of so many.
  package func amount(of total: Int64) -> Int64 {
    isShare ? min(total / 1_000 * amount + total % 1_000 * amount / 1_000, most) : amount
  }
}

/// When a node is short of something, as kubelet's flags have it.
package struct EvictionSettings: Equatable, Sendable {
  /// Less memory than that (`memory.available`).
  package var memory = EvictionThreshold(100 << 20)
  /// Fewer processes and threads than that may still be made (`pid.available`, of which kubelet has no default).
  package var processes = EvictionThreshold(50, isShare: true)
  /// Less room on the data directory's disk than that (`nodefs.available`). A tenth of a large disk is more than pods
  /// need.
  package var disk = EvictionThreshold(100, isShare: true, most: 5 << 30)
  /// Fewer inodes there (`nodefs.inodesFree`).
  package var inodes = EvictionThreshold(50, isShare: true, most: 100_000)
  /// The same for images (`imagefs.available`), which are on the same disk.
  package var imageDisk = EvictionThreshold(0)
  /// And `imagefs.inodesFree`.
  package var imageInodes = EvictionThreshold(0)
  /// A node that was short of something has enough once it had for so long (`eviction-pressure-transition-period`).
  package var transitionMilliseconds: Int64 = 300_000

  /// kubelet's.
  package init() {}

  /// What a disk with so much room is short of; nil: nothing.
  func shortage(_ room: DiskRoom) -> Shortage? {
    let (bytes, inodes) = (Int64(clamping: room.totalBytes), Int64(clamping: room.totalInodes))
    let (leastBytes, leastInodes) = (
      max(disk.amount(of: bytes), imageDisk.amount(of: bytes)),
      max(self.inodes.amount(of: inodes), imageInodes.amount(of: inodes))
    )
    let (ownBytes, ownInodes) = (Int64(clamping: room.availableBytes), Int64(clamping: room.availableInodes))
    if ownBytes < leastBytes { return Shortage(of: .disk, threshold: leastBytes, available: ownBytes) }
    // A file system that makes its inodes as it needs them says that it has none.
    guard inodes > 0, ownInodes < leastInodes else { return nil }
    return Shortage(of: .disk, threshold: leastInodes, available: ownInodes, isInodes: true)
  }
}

/// One kind of pressure: seen at once, and over only once there was enough for a while.
struct Pressure {
  /// There is too little, or was not long ago.
  private(set) var holds = false
  /// Since when it was seen to have enough again; nil: it was not.
  private var enoughSince: BootTime?

  /// `holds`: an agent before this one saw it, so that it lasts until there has been enough for a while from now on.
  init(holds: Bool = false) { self.holds = holds }

  /// What was just seen; true: that is news which is told at once.
  mutating func note(isLow: Bool, _ time: BootTime) -> Bool {
    guard isLow else {
      if enoughSince == nil { enoughSince = time }
      return false
    }
    defer { (holds, enoughSince) = (true, nil) }
    return !holds
  }

  /// Over, once there was enough for so long.
  mutating func settle(_ time: BootTime, after milliseconds: Int64) {
    if let enoughSince, time - enoughSince >= milliseconds { holds = false }
  }
}

/// The agent's view of its machine.
struct PressureWatch {
  var memory = Pressure()
  var processes = Pressure()
  /// When the machine is read next.
  var due = BootTime(milliseconds: 0)
  /// Why no pod goes for what is short, as the keeper has it.
  var spared: [NodePressure: String] = [:]
  /// What the next agent of this data directory will know.
  var remembered: Set<NodePressure> = []
}

extension AgentCore {
  /// What an agent before this one saw holds on: a restart is no relief.
  mutating func recallPressures() {
    let known = configuration.pressures
    pressure.memory = Pressure(holds: known.contains(.memory))
    pressure.processes = Pressure(holds: known.contains(.processes))
    if known.contains(.disk) { disk.pressure = Pressure(holds: true) }
    pressure.remembered = known
  }

  /// Has the data directory keep what the node is short of.
  mutating func rememberPressures() {
    guard heldPressures != pressure.remembered else { return }
    pressure.remembered = heldPressures
    effects.append(.rememberPressures(heldPressures))
  }

  private var heldPressures: Set<NodePressure> {
    var result: Set<NodePressure> = []
    if pressure.memory.holds { result.insert(.memory) }
    if disk.pressure.holds { result.insert(.disk) }
    if pressure.processes.holds { result.insert(.processes) }
    return result
  }

  /// Reads the machine when that is due.
  mutating func readMachineIfDue(_ now: Now) {
    guard pressure.due <= now.boot else { return }
    pressure.due = now.boot + configuration.machineLookMilliseconds
    effects.append(.readMachine)
    // With a session each heartbeat asks.
    if session == nil { probeDisk(now) }
  }

  /// nil: the machine does not tell, and stays what it was.
  mutating func take(_ room: MachineRoom?, _ now: Now) {
    guard let room else { return }
    let memory = shortage(.memory, room.memory, configuration.eviction.memory)
    let processes = shortage(.processes, room.processes, configuration.eviction.processes)
    let isNews = [
      pressure.memory.note(isLow: memory != nil, now.boot), pressure.processes.note(isLow: processes != nil, now.boot),
    ]
    // Before the keeper is asked: whoever replaces the pod that goes must not come here, and what the keeper reports
    // of it goes the same way behind this.
    if isNews.contains(true) { beat(now) }
    if memory == nil { forgetSpared(.memory) }
    if processes == nil { forgetSpared(.processes) }
    // Memory goes first, as in kubelet: a pod that goes gives its processes back too.
    guard let shortage = memory ?? processes, keeperLink == .ready, identity?.limits?.relieves == true else { return }
    effects.append(.keeper(.relieve(shortage)))
  }

  /// The keeper's answer; told at once when it is another than before.
  mutating func take(_ spared: String, of kind: NodePressure) {
    let reason = spared.isEmpty ? nil : spared
    guard pressure.spared[kind] != reason else { return }
    pressure.spared[kind] = reason
    session?.asks = true
  }

  /// There is enough of it.
  mutating func forgetSpared(_ kind: NodePressure) { take("", of: kind) }

  private func shortage(
    _ kind: NodePressure, _ room: (available: Int64, total: Int64), _ threshold: EvictionThreshold
  ) -> Shortage? {
    let least = threshold.amount(of: room.total)
    return room.available < least ? Shortage(of: kind, threshold: least, available: room.available) : nil
  }

  /// What the next heartbeat says.
  mutating func pressures(_ now: Now) -> Set<NodePressure> {
    let pause = configuration.eviction.transitionMilliseconds
    pressure.memory.settle(now.boot, after: pause)
    pressure.processes.settle(now.boot, after: pause)
    // A disk that does not answer stays what it was.
    if disk.since == nil { disk.pressure.settle(now.boot, after: pause) }
    return heldPressures
  }
}
