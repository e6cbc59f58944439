// Disks that hang, and standard errors that nobody reads, under every process of a cluster. A process that touches a
// hung disk stands in the kernel and takes no SIGKILL until the disk is back; one that writes to a full pipe stands,
// but dies when it is killed. Knows nothing of other faults.

import ClusterProto

/// Draws and strikes these faults; `heal` ends all of them.
struct DiskFaults {
  private enum Fault: CaseIterable {
    case nodeDisk, nodeDiskThenKill, keeperDisk, coordinatorDisk, coordinatorDiskThenKill, agentStops, keeperStops,
      coordinatorStops
  }

  let cluster: SimCluster
  private var world: World { cluster.world }

  init(cluster: SimCluster) { self.cluster = cluster }

  /// Something hangs, for a moment or far longer than any lease.
  func strike(_ node: SimNode) {
    guard let fault = world.choose(Fault.allCases) else { return }
    let duration = world.chance(0.3) ? world.pickLong(10_000...3_000_000) : world.pickLong(3_000_000...180_000_000)
    switch fault {
    case .nodeDisk:
      hang(node, agent: world.chance(0.7), keeper: world.chance(0.7), duration)
    case .nodeDiskThenKill:
      // The one that the tests with real disks show too: the keeper cannot die, the agent is gone.
      hang(node, agent: world.chance(0.3), keeper: true, duration)
      world.after(world.pickLong(0...5_000_000)) { [self] in
        node.crashAgent()
        if world.chance(0.3) { node.keeper.crash() }
        world.after(world.pickLong(100_000...90_000_000)) { node.startAgent() }
      }
    case .keeperDisk: hang(node, agent: false, keeper: true, duration)
    case .coordinatorDisk: hangCoordinator(duration)
    case .coordinatorDiskThenKill:
      hangCoordinator(duration)
      world.after(world.pickLong(0...10_000_000)) { [self] in
        cluster.coordinator.crash()
        world.after(world.pick(100_000...10_000_000)) { [self] in cluster.coordinator.start() }
      }
    case .agentStops:
      node.pause(agent: true, keeper: false)
      world.after(duration) { node.resume() }
    case .keeperStops:
      node.pause(agent: false, keeper: true)
      world.after(duration) { node.resume() }
    case .coordinatorStops:
      cluster.coordinator.stall()
      world.after(duration) { [self] in cluster.coordinator.goOn() }
    }
  }

  func heal() {
    for node in cluster.nodes { node.diskBack() }
    cluster.coordinator.diskBack()
    cluster.coordinator.goOn()
  }

  private func hang(_ node: SimNode, agent: Bool, keeper: Bool, _ duration: TrueTime) {
    node.hang(agent: agent, keeper: keeper)
    world.after(duration) { node.diskBack() }
  }

  private func hangCoordinator(_ duration: TrueTime) {
    cluster.coordinator.hangDisk()
    world.after(duration) { [self] in cluster.coordinator.diskBack() }
  }
}
