// A node whose network holds up what one side says, or both: each side must draw its conclusions alone.

import ClusterIO
import ClusterProto
import Glibc
import Testing

enum Partition: String, CaseIterable, Sendable {
  case bothWays = "cut both ways"
  case answersLost = "the coordinator's words are held up"
  case heartbeatsLost = "the agent's words are held up"

  var held: Proxy.Held {
    Proxy.Held(toCoordinator: self != .answersLost, toAgent: self != .heartbeatsLost)
  }
}

@Suite("Work moves away from a node that is cut off")
struct PartitionTests {
  @Test(
    "no old copy signs after a new one; once late words arrive the node is Ready again and nothing ran twice",
    arguments: Partition.allCases)
  func cutOff(partition: Partition) async throws {
    try await Blocking.run(isBusy: false) {
      try TestCluster.with(agents: 0) { cluster in
        let proxy = try Proxy(to: cluster.server)
        defer { proxy.end() }
        try cluster.startAgent("node-1", ["--coordinator", proxy.address])
        try cluster.waitForNodes(1)
        try cluster.apply(cluster.manifest("cut", completions: 6, parallelism: 6, .untilTold))
        try eventually("six pods sign on node-1") { cluster.ledger.attempts.count == 6 }
        try cluster.startAgent("node-2")
        try cluster.waitForNodes(2)
        let old = Set(cluster.ledger.attempts.map(\.token))
        let fault = uptime()
        proxy.hold(partition.held)
        try eventually("six replacements sign", seconds: 30) { cluster.ledger.attempts.count >= 12 }
        try check(!cluster.isReady("node-1"), "the node counts as Ready")
        proxy.hold(Proxy.Held())
        try eventually("the node is Ready again") { try cluster.isReady("node-1") }
        try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
        try cluster.must("wait", "job/cut", "--for=complete", "--timeout", "60s", "-q")
        let ledger = cluster.ledger
        let lastOld = ledger.attempts.filter { old.contains($0.token) }.map(\.last).max() ?? 0
        let firstNew = ledger.attempts.filter { !old.contains($0.token) }.map(\.first).min() ?? 0
        try check(lastOld < firstNew, "an old copy signed at \(lastOld), a new one began at \(firstNew)")
        try ledger.checkNothingRanTwice(parallelism: 6)
        try checkEqual(ledger.ended, 6, "attempts that ended")
        try checkEqual(cluster.status("cut", "succeeded"), 6, "succeeded")
        try checkEqual(cluster.status("cut", "failed"), 0, "failed")
        print(
          "\(partition.rawValue): last old sign \(lastOld - fault) s, first new \(firstNew - fault) s after the cut")
      }
    }
  }
}
