// Faults that make doubles: a data directory moved or copied, an agent started on a copy beside the first one, a second
// machine of one image with the same node name. What they share with the first one proves nothing (C3).

import ClusterProto

/// What a planted fault has the cluster believe; each must be found (H3).
package enum PlantedEvidence: Sendable {
  /// A copy of a directory passes for the directory: its keeper claims to have swept where it could not look.
  case copies
  /// Machines of one image pass for one machine: each is the next boot of the other.
  case images
}

final class DoubleFaults {
  private enum Fault: CaseIterable {
    case moved, copiedWhenStopped, copiedWhileRunning, clonedMachine
  }

  private let cluster: SimCluster
  private let world: World
  private let planted: PlantedEvidence?
  private let meanPause: TrueTime
  private var faults: [Fault] = []
  private var isOver = false
  private(set) var count = 0

  init(cluster: SimCluster, planted: PlantedEvidence?) {
    self.cluster = cluster
    self.planted = planted
    world = cluster.world
    meanPause = world.pickRare(100_000_000...600_000_000)
    for fault in Fault.allCases where world.chance(0.4) { faults.append(fault) }
    switch planted {
    case .copies: faults = [.moved, .copiedWhenStopped]
    case .images: faults = [.clonedMachine]
    case nil: break
    }
  }

  func begin() {
    guard !faults.isEmpty else { return }
    scheduleNext()
  }

  func end() { isOver = true }

  private func scheduleNext() {
    world.after(world.delay(mean: meanPause) + 1_000_000) { [self] in
      guard !isOver else { return }
      if let fault = world.choose(faults), let node = world.choose(cluster.nodes) { strike(fault, node) }
      scheduleNext()
    }
  }

  private func strike(_ fault: Fault, _ node: SimNode) {
    count += 1
    let directory = node.keeper.directory
    let identity = planted == .copies ? directory.identity : "directory-\(cluster.nodes.count)-copy-\(count)"
    switch fault {
    case .moved:
      world.record("node \(node.index) goes on in a moved directory")
      node.continueIn(directory.copy(identity: identity), after: world.pick(100_000...5_000_000))
    case .copiedWhenStopped:
      // An old copy: what happened since is not in it.
      let copy = directory.copy(identity: identity)
      world.after(world.pickRare(1_000_000...300_000_000)) { [self] in
        guard !isOver else { return }
        world.record("node \(node.index) goes on in an old copy of its directory")
        node.continueIn(copy, after: world.pickLong(100_000...30_000_000))
      }
    case .copiedWhileRunning:
      guard let copy = double(node, directory.copy(identity: identity), node.machine, node.clock) else { return }
      world.record("node \(node.index) has a double \(copy.index) on a copied directory")
      copy.startAgent()
    case .clonedMachine where planted == .images:
      // The first machine is cut off, and the second one boots then: all that tells them apart is believed.
      cluster.network.block(node: node.index, up: true, down: true, for: 60_000_000)
      world.after(7_000_000) { [self] in clone(node) }
    case .clonedMachine: clone(node)
    }
  }

  /// Of one image: the machine id is equal. Of a copied disk that was in use: the directory too, which hardware that
  /// tells what it is makes known.
  private func clone(_ node: SimNode) {
    let original = node.keeper.directory
    let number = cluster.nodes.count
    let sharesDirectory = planted == .images || (!node.machine.hardwareID.isEmpty && world.chance(0.5))
    let copy = original.copy(identity: sharesDirectory ? original.identity : "directory-\(number)")
    let hardware =
      planted == .images || node.machine.hardwareID.isEmpty ? node.machine.hardwareID : "hardware-\(number)"
    let machine = SimMachine(imageOf: node.machine, hardwareID: hardware, kernel: "boot-\(number)")
    var clock = MachineClock(world: world)
    clock.reboot(world)
    guard let double = double(node, copy, machine, clock) else { return }
    world.record("node \(node.index) has a double \(double.index) on another machine")
    double.startAgent()
  }

  private func double(
    _ node: SimNode, _ directory: SimDirectory, _ machine: SimMachine, _ clock: MachineClock
  ) -> SimNode? {
    // Each is an agent more to simulate.
    guard cluster.nodes.count < 10 else { return nil }
    return cluster.addDouble(of: node, machine: machine, directory: directory, clock: clock)
  }
}
