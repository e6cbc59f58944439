// The exchange of the cluster's authority in a simulated cluster: files that a crash may leave at any step, machines
// that hold certificates, answers that are lost. It must not know what sessions are about. It draws from a source of
// its own, so that seeds without it stay as they are.

import ClusterProto
import CoordinatorCore

final class SimAuthorities {
  private let cluster: SimCluster
  private let world: World
  private var random: SplitMix64
  /// The coordinator's files.
  private var current = "authority-0"
  private var former = ""
  /// Of the certificate that each machine holds.
  private var held: [Int: String] = [:]
  private let machines: Int
  private var isOver = false
  /// Exchanges that began.
  private(set) var count = 0

  init(cluster: SimCluster, seed: UInt64) {
    self.cluster = cluster
    world = cluster.world
    random = SplitMix64(seed: seed &* 0x9E37_79B9_7F4A_7C15)
    machines = cluster.nodes.count
  }

  func begin() {
    cluster.authorities = self
    cluster.coordinator.started = { [unowned self] in serve() }
    scheduleNext()
  }

  func end() { isOver = true }

  private func draw(_ range: ClosedRange<TrueTime>) -> TrueTime {
    range.lowerBound + TrueTime(random.next() % UInt64(range.upperBound - range.lowerBound + 1))
  }

  private func chance(_ percent: UInt64) -> Bool { random.next() % 100 < percent }

  private func scheduleNext() {
    world.after(draw(60_000_000...900_000_000) * world.pace.rarity) { [self] in
      guard !isOver else { return }
      cluster.coordinator.take(.authority(-1, by: .administrator, .rotate))
      scheduleNext()
    }
  }

  /// What the shell tells at its start, and when a file is another.
  private func serve() {
    cluster.coordinator.take(
      .nativeServed(JoinPoint(addresses: ["10.0.0.1:7420"], authority: current, former: former)))
  }

  /// Who comes by the certificate that the machine holds; nil: TLS lets nobody in by that.
  func subject(of node: SimNode) -> Subject? {
    let authority = held[node.index] ?? current
    held[node.index] = authority
    guard authority == current || authority == former else { return nil }
    var subject = Subject.agent(of: node.name, key: "key-\(node.name)")
    subject.authority = authority
    return subject
  }

  /// Does what the core asks for; a crash may come before the file is written, and before anybody hears of it.
  func perform(_ effect: CoordinatorEffect) {
    let start = cluster.coordinator.starts
    world.after(draw(1_000...800_000)) { [self] in
      guard cluster.coordinator.starts == start, cluster.coordinator.isRunning else { return }
      if chance(10) { return cluster.coordinator.take(.authorityFailed("no space left")) }
      if effect == .dropAuthority { drop() } else { exchange() }
      world.after(draw(100...300_000)) { [self] in
        if cluster.coordinator.starts == start, cluster.coordinator.isRunning { serve() }
      }
    }
  }

  private func exchange() {
    guard former.isEmpty else { return }
    count += 1
    (former, current) = (current, "authority-\(count)")
    world.record("the authority is \(current), \(former) is left")
  }

  private func drop() {
    world.record("\(former) is dropped")
    former = ""
    // Doubles share a name and a key: one that was not seen last may hold what it likes.
    guard cluster.nodes.count == machines else { return }
    for index in held.keys.sorted() where held[index] != current {
      world.violated("node \(index) is locked out: it holds a certificate of \(held[index] ?? "")")
    }
  }

  /// An agent is told: it asks for the next certificate soon, if its connection is still there.
  func told(_ connection: SimConnection) {
    world.after(cluster.network.arrival(connection, up: false) + draw(0...2_000_000)) { [self] in
      guard connection.agentOpen, connection.coordinatorOpen, chance(90) else { return }
      let name = cluster.nodes[connection.node].name
      cluster.coordinator.take(.renew(connection.session, key: "key-\(name)", request: "request"))
    }
  }

  /// A certificate is on its way; who gets it, and can write it down, connects anew.
  func issued(_ connection: SimConnection) {
    let authority = current
    world.after(cluster.network.arrival(connection, up: false)) { [self] in
      guard connection.agentOpen, chance(75) else { return }
      let isOther = held[connection.node] != authority
      held[connection.node] = authority
      if isOther { cluster.closeAtAgent(connection) }
    }
  }
}
