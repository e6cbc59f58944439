// Which faults a seed draws, how often, and when they end. Each seed has another mix: some faults absent, some extreme.

import ClusterProto
import CoordinatorCore

/// What may fail in a world.
package enum DrawnFaults: Sendable {
  /// Anything.
  case all
  /// Hung disks and standing loops alone.
  case disks
  /// The coordinator's loop stands now and then, or its disk hangs, and nothing else fails: then no pod is lost.
  case coordinatorPauses
}

/// Crashes, stops, cuts and partitions until `stop`; then everything heals.
final class FaultPlan {
  private enum Fault: String, CaseIterable {
    case coordinatorCrash, coordinatorCommitCrash, coordinatorStop, coordinatorPause, agentStopThenCut, agentCrash,
      keeperCrash,
      machineCrash, agentStop, machineStop, cut, halfOpen, partition,
      oneWayPartition, wallJump, disk, forgedNumbers
  }

  private let cluster: SimCluster
  private let world: World
  private let disks: DiskFaults
  private let meanPause: TrueTime
  private var faults: [Fault] = []
  private let hangsToo: Bool
  private var isOver = false
  private(set) var count = 0

  init(cluster: SimCluster, drawn: DrawnFaults, cut: SimulationCut = SimulationCut()) {
    self.cluster = cluster
    world = cluster.world
    disks = DiskFaults(cluster: cluster)
    hangsToo = drawn == .coordinatorPauses
    // Where only one kind of fault is drawn it comes more often.
    meanPause = drawn == .all ? world.pickRare(20_000_000...240_000_000) : world.pickRare(15_000_000...60_000_000)
    for fault in Fault.allCases where world.chance(0.6) { faults.append(fault) }
    if faults.isEmpty { faults = [.cut] }
    if drawn == .disks { faults = [.disk] }
    if drawn == .coordinatorPauses { faults = [.coordinatorPause] }
    faults.removeAll { fault in cut.parts.contains { $0.rawValue == fault.rawValue } }
  }

  func begin() { scheduleNext() }

  /// No more faults; what is down or cut off comes back.
  func heal() {
    isOver = true
    world.record("healed")
    cluster.network.heal()
    disks.heal()
    cluster.coordinator.start()
    for node in cluster.nodes {
      node.heal()
      node.lies = false
      node.resume()
      node.powerOn()
      node.startAgent()
    }
  }

  private func scheduleNext() {
    world.after(world.delay(mean: meanPause) + 1_000_000) { [self] in
      guard !isOver else { return }
      if let fault = world.choose(faults), let node = world.choose(cluster.nodes) { strike(fault, node) }
      scheduleNext()
    }
  }

  /// An upgrade may bring other settings; the leases given out before still hold (C2).
  private func restartWithOtherLease() {
    guard !cluster.coordinator.isRunning else { return }
    if world.chance(0.5) {
      cluster.coordinator.configuration.leaseMilliseconds =
        cluster.coordinator.configuration.heartbeatMilliseconds * world.pick(3...20)
    }
    cluster.coordinator.start()
  }

  /// Cut off for longer than any short lease and toleration need, perhaps with its agent and keeper stopped.
  private func loseForLong(_ node: SimNode) {
    guard !isOver else { return }
    world.record("node \(node.index) is lost after the stop")
    cluster.network.block(node: node.index, up: true, down: true, for: world.pickLong(60_000_000...300_000_000))
    guard world.chance(0.5) else { return }
    node.pause(agent: true, keeper: world.chance(0.5))
    world.after(world.pickLong(20_000_000...90_000_000)) { node.resume() }
  }

  /// Until then its registrations claim numbers that nobody gave out.
  private func lie(_ node: SimNode, for duration: TrueTime) {
    world.record("node \(node.index) lies about the numbers that it has seen")
    node.lies = true
    cluster.cut(node: node.index)
    world.after(duration) { node.lies = false }
  }

  /// Its loop stands, or where nothing else fails perhaps its disk hangs.
  private func pauseCoordinator() {
    let hangs = hangsToo && world.chance(0.5)
    if hangs { cluster.coordinator.hangDisk() } else { cluster.coordinator.stall() }
    let pause = world.chance(0.5) ? world.pickLong(100_000...20_000_000) : world.pickLong(10_000_000...300_000_000)
    world.after(pause) { [self] in
      if hangs { cluster.coordinator.diskBack() } else { cluster.coordinator.goOn() }
    }
  }

  private func strike(_ fault: Fault, _ node: SimNode) {
    count += 1
    let long = world.pickLong(100_000...90_000_000)
    switch fault {
    case .coordinatorCrash:
      cluster.coordinator.crash()
      world.after(world.chance(0.7) ? world.pick(100_000...3_000_000) : long) { [self] in cluster.coordinator.start() }
    case .coordinatorCommitCrash:
      cluster.coordinator.crashInCommit { [self] in
        world.after(world.pick(100_000...3_000_000)) { [self] in cluster.coordinator.start() }
      }
    case .agentStopThenCut:
      // The answer under way is read when the agent goes on; then nobody hears of it for long.
      node.stopAfterHeartbeat { [self] in
        node.pause(agent: true, keeper: false)
        world.after(world.pickLong(2_000_000...14_000_000)) { [self] in
          cluster.network.block(node: node.index, up: true, down: true, for: world.pickLong(60_000_000...120_000_000))
          node.resume()
        }
      }
    case .coordinatorPause: pauseCoordinator()
    case .coordinatorStop:
      cluster.coordinator.stopPolitely { [self] in
        if world.chance(0.5) {
          // The long lease of the stop is the last that this node hears of.
          world.after(world.pick(100_000...1_000_000)) { [self] in
            let duration = world.pickLong(60_000_000...300_000_000)
            cluster.network.block(node: node.index, up: true, down: true, for: duration)
          }
        }
        let isLostAfterwards = world.chance(0.5)
        world.after(world.pickLong(1_000_000...60_000_000)) { [self] in
          restartWithOtherLease()
          guard isLostAfterwards else { return }
          // It came back, took its long lease back or is about to, and is gone.
          world.after(world.pickLong(500_000...30_000_000)) { [self] in loseForLong(node) }
        }
      }
    case .agentCrash:
      node.crashAgent()
      world.after(long) { node.startAgent() }
    case .keeperCrash: node.keeper.crash()
    case .machineCrash:
      node.powerOff()
      world.after(long + 10_000_000) { node.powerOn() }
    case .agentStop:
      node.pause(agent: true, keeper: false)
      world.after(long) { node.resume() }
    case .machineStop:
      node.pause(agent: true, keeper: true)
      world.after(long) { node.resume() }
    case .cut: cluster.cut(node: node.index)
    case .halfOpen: cluster.halfOpen(node: node.index)
    case .partition:
      world.record("node \(node.index) is cut off")
      cluster.network.block(node: node.index, up: true, down: true, for: long)
    case .oneWayPartition:
      let up = world.chance(0.5)
      world.record("node \(node.index) is cut off \(up ? "upwards" : "downwards")")
      cluster.network.block(node: node.index, up: up, down: !up, for: long)
    case .forgedNumbers: lie(node, for: long)
    case .wallJump: if world.chance(0.3) { cluster.coordinator.jumpWall() } else { node.jumpWall() }
    case .disk: disks.strike(node)
    }
  }
}
