// A Job of many short pods while every process of the cluster is killed or stopped at random, again and again.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite("A cluster under random blows")
struct ChaosTests {
  private struct Storm {
    let cluster: TestCluster
    var random: SplitMix64
    var blows: [String] = []

    mutating func next(_ limit: UInt64) -> UInt64 { random.next() % limit }

    /// One process is killed or stopped for a moment, sometimes two; what was killed is started again.
    mutating func strike() throws {
      let node = "node-\(next(3) + 1)"
      switch next(9) {
      case 0:
        blows.append("coordinator")
        try cluster.killCoordinator()
        try cluster.startCoordinator()
      case 1:
        blows.append("agent of \(node)")
        try cluster.killAgent(node)
        try cluster.startAgent(node)
      case 2:
        blows.append("keeper of \(node)")
        if let keeper = try? cluster.keeper(of: node) { kill(keeper.pid, SIGKILL) }
      case 3:
        blows.append("agent and keeper of \(node)")
        let keeper = try? cluster.keeper(of: node)
        cluster.agents[node]?.child.signal(SIGKILL)
        if let keeper { kill(keeper.pid, SIGKILL) }
        try cluster.killAgent(node)
        try cluster.startAgent(node)
      case 4:
        blows.append("coordinator and agent of \(node)")
        cluster.agents[node]?.child.signal(SIGKILL)
        try cluster.killCoordinator()
        try cluster.killAgent(node)
        try cluster.startAgent(node)
        try cluster.startCoordinator()
      case 5, 6:
        // Longer than lease and toleration now and then: its own timer may kill it where it stands.
        let keeper = try? cluster.keeper(of: node)
        let agent = next(2) == 0
        blows.append("keeper\(agent ? " and agent" : "") of \(node) stopped")
        if agent { cluster.agents[node]?.child.signal(SIGSTOP) }
        if let keeper { kill(keeper.pid, SIGSTOP) }
        pause(until: uptime() + Double(next(6)) + 0.5)
        if let keeper, Processes.isAlive(keeper) { kill(keeper.pid, SIGCONT) }
        if agent { cluster.agents[node]?.child.signal(SIGCONT) }
      case 7:
        blows.append("coordinator stopped")
        cluster.coordinator?.child.signal(SIGSTOP)
        pause(until: uptime() + Double(next(5)) + 0.5)
        cluster.coordinator?.child.signal(SIGCONT)
      default:
        blows.append("agent of \(node) stopped")
        cluster.agents[node]?.child.signal(SIGSTOP)
        pause(until: uptime() + Double(next(4)) + 0.5)
        cluster.agents[node]?.child.signal(SIGCONT)
      }
    }

    /// Pods run on meanwhile; nothing is waited for but the clock.
    func pause(until time: Double) {
      while uptime() < time { poll(nil, 0, 20) }
    }
  }

  @Test("whatever dies, no attempt runs twice, no more run at once than may, exactly all succeed, none is charged")
  func storm() async throws {
    let seed = UInt64.random(in: 1...1_000_000)
    try await Blocking.run {
      try TestCluster.with(agents: 3) { cluster in
        let beats = "for beat in 1 2 3 4 5 6; do sleep 0.15; sign beat; done\nsign end\n"
        try cluster.apply(cluster.manifest("storm", completions: 120, parallelism: 12, .script(beats)))
        try eventually("pods sign") { !cluster.ledger.signs.isEmpty }
        var storm = Storm(cluster: cluster, random: SplitMix64(seed: seed))
        let end = uptime() + 25
        while uptime() < end {
          try storm.strike()
          storm.pause(until: uptime() + Double(storm.next(15)) / 10)
        }
        do {
          try cluster.must("wait", "job/storm", "--for=complete", "--timeout", "90s", "-q", within: 120)
          try cluster.ledger.checkNothingRanTwice(parallelism: 12)
          try checkEqual(cluster.status("storm", "succeeded"), 120, "succeeded")
          try checkEqual(cluster.status("storm", "failed"), 0, "failed")
          let attempts = cluster.ledger.attempts
          print(
            "storm \(seed): \(storm.blows.count) blows, \(attempts.count) attempts for 120 completions, at most "
              + "\(cluster.ledger.mostAtOnce) at once")
        } catch {
          let job = (try? cluster.job("storm")["status"]?.text) ?? "unknown"
          throw Failure("seed \(seed): \(storm.blows): \(error); status \(job)")
        }
      }
    }
  }
}
