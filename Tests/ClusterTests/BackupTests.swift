// A coordinator's directory is lost under running Jobs and a backup of it is restored, twice. The pods' own ledger is
// the judge.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite("A backup that is restored under running Jobs")
struct BackupTests {
  /// The pods must not stand still while the test restores, however busy the machine is.
  private static let patient = [
    "--heartbeat-interval", "200ms", "--lease-duration", "20s", "--default-unreachable-toleration", "120s",
  ]

  /// Kills the coordinator, deletes its directory, restores `backup` and starts on it.
  private static func loseAndRestore(_ cluster: TestCluster, _ backup: String) throws {
    let place = "\(cluster.directory)/coordinator"
    try cluster.killCoordinator()
    try Files.removeTree(place)
    try cluster.must("restore", backup, "--data", place)
    try cluster.startCoordinator()
    try eventually("both nodes are Ready again", seconds: 90, every: 100) {
      try cluster.isReady("node-1") && cluster.isReady("node-2")
    }
  }

  @Test("costs no pod that is in it, runs none twice, stops and lists the others, and may be restored once more")
  func restored() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 2, timing: Self.patient) { cluster in
        let backup = "\(cluster.directory)/backup"
        try cluster.apply(cluster.manifest("kept", completions: 4, parallelism: 4, .untilTold))
        try eventually("four pods sign", seconds: 60) { cluster.ledger.attempts.count == 4 }
        let kept = Set(cluster.ledger.attempts.map(\.token))
        try cluster.must("backup", backup, "--data", "\(cluster.directory)/coordinator")
        try checkEqual(Int(try Files.status(backup).mode & 0o777), 0o600, "mode of the backup")
        let refused = try cluster.stint("restore", backup, "--data", "\(cluster.directory)/coordinator")
        try check(refused.status == 1 && refused.text.contains("is not empty"), "\(refused)")
        // What the backup does not know.
        try cluster.apply(cluster.manifest("newer", completions: 2, parallelism: 2, .untilTold))
        try eventually("six pods sign", seconds: 60) { cluster.ledger.attempts.count == 6 }
        let newer = Set(cluster.ledger.attempts.map(\.token)).subtracting(kept)
        for round in 1...2 {
          try Self.loseAndRestore(cluster, backup)
          try check(try cluster.stint("get", "job", "newer").status != 0, "the newer Job is in the backup")
          if round == 1 {
            try eventually("what is unknown is listed", seconds: 60, every: 100) {
              let said = try cluster.events("UnknownAttempts").joined(separator: " ")
              return newer.allSatisfy { said.contains("\($0)") }
            }
            try eventually("what is unknown stands no more", seconds: 60, every: 200) {
              let ends = cluster.ledger.signs.filter { newer.contains($0.token) }.map(\.time).max() ?? 0
              let now = cluster.ledger.signs.map(\.time).max() ?? 0
              return now - ends > 2
            }
          }
          let before = cluster.ledger.signs.filter { kept.contains($0.token) }.count
          try eventually("the known pods go on", seconds: 60, every: 100) {
            cluster.ledger.signs.filter { kept.contains($0.token) }.count > before + 8
          }
        }
        try cluster.apply(cluster.manifest("later", completions: 1, parallelism: 1, .untilTold))
        try eventually("a new pod says why it waits", seconds: 60, every: 100) {
          try cluster.events("FailedScheduling").contains { $0.contains("store was moved or restored") }
        }
        try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
        try cluster.must("wait", "job/kept", "--for=complete", "--timeout", "60s", "-q", within: 90)
        try checkEqual(cluster.ledger.attempts.filter { kept.contains($0.token) && $0.ends == 1 }.count, 4, "ends")
        try checkEqual(cluster.ledger.attempts.count, 6, "attempts that signed")
        try cluster.ledger.checkNothingRanTwice(parallelism: 6)
        try check(cluster.coordinator?.isRunning == true, "the coordinator stopped")
      }
    }
  }
}
