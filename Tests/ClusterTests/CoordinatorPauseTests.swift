// The coordinator is stopped (SIGSTOP) for longer than any lease and goes on: its nodes, which were all right, keep
// their pods.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite("A coordinator that stood still")
struct CoordinatorPauseTests {
  /// Below three nodes no loss is a mass loss, which would be held (C6).
  @Test("replaces nothing on nodes that were all right: the same attempts go on, none has failed", arguments: [1, 2])
  func pause(agents: Int) async throws {
    try await Blocking.run {
      try TestCluster.with(agents: agents) { cluster in
        try cluster.apply(cluster.manifest("kept", completions: 6, parallelism: 6, .untilTold))
        try eventually("six pods sign") { cluster.ledger.attempts.count == 6 }
        let tokens = Set(cluster.ledger.attempts.map(\.token))
        let coordinator = try found(cluster.coordinator, "coordinator")
        let stopped = uptime()
        coordinator.child.signal(SIGSTOP)
        // Longer than R, which is 6 s here; and the keepers have frozen them, which is what an outage costs.
        try eventually("the pods stand still, past R", seconds: 60, every: 200) {
          uptime() > stopped + 10 && cluster.ledger.attempts.allSatisfy { $0.last < uptime() - 2 }
        }
        coordinator.child.signal(SIGCONT)
        let goesOn = uptime()
        try eventually("the same pods sign on, past all that a loss takes", seconds: 60, every: 200) {
          cluster.ledger.attempts.filter { tokens.contains($0.token) }.allSatisfy { $0.last > goesOn + 10 }
        }
        try checkEqual(Set(cluster.ledger.attempts.map(\.token)), tokens, "attempts")
        try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
        try cluster.must("wait", "job/kept", "--for=complete", "--timeout", "60s", "-q")
        try checkEqual(cluster.status("kept", "failed"), 0, "failed")
        try checkEqual(cluster.status("kept", "succeeded"), 6, "succeeded")
        try cluster.ledger.checkNothingRanTwice(parallelism: 6)
      }
    }
  }
}
