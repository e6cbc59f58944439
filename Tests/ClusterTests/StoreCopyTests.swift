// An older copy of the coordinator's directory is put back while pods that only the newest one knows run. The pods' own
// ledger is the judge.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite("An older copy of the coordinator's directory starts no second copy of a pod")
struct StoreCopyTests {
  private static func run(_ path: String, _ words: String...) throws {
    let child = try Child(
      Child.Options(path: path, arguments: words, environment: ["PATH=/usr/bin:/bin:/usr/sbin:/sbin"]))
    try eventually("\(words) is done") { child.reap() != nil }
    try checkEqual(child.status, .exited(code: 0), "\(words)")
  }

  /// A copy of the directory as the first start has left it, with a Job in it; then a second start, whose agents run
  /// the Job's pods on node-1; then that one is killed, and so is node-1's agent, but not its keeper. `body` puts the
  /// copy back.
  private static func with(_ body: @escaping @Sendable (TestCluster, _ older: String) throws -> Void) async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 0) { cluster in
        let older = "\(cluster.directory)/older"
        try cluster.apply(cluster.manifest("twice", completions: 2, parallelism: 2, .untilTold))
        try cluster.killCoordinator(SIGTERM)
        try run("/bin/cp", "cp", "-a", "\(cluster.directory)/coordinator", older)
        try cluster.startCoordinator()
        try cluster.startAgent("node-1")
        try eventually("two pods sign on node-1", seconds: 60) { cluster.ledger.attempts.count == 2 }
        try cluster.startAgent("node-2")
        try eventually("node-2 is Ready", seconds: 60, every: 100) { try cluster.isReady("node-2") }
        try cluster.killCoordinator()
        try cluster.killAgent("node-1")
        try body(cluster, older)
      }
    }
  }

  private static func ends(_ cluster: TestCluster, saying word: String) throws {
    let status = try found(cluster.coordinator, "coordinator").end(within: 60)
    let said = cluster.coordinator?.text ?? ""
    try check(status != 0 && said.contains(word) && said.contains("--moved"), "\(status): \(said.suffix(800))")
    try checkEqual(cluster.ledger.attempts.count, 2, "attempts that signed")
  }

  private static func completes(_ cluster: TestCluster) throws {
    try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
    try cluster.must("wait", "job/twice", "--for=complete", "--timeout", "60s", "-q", within: 90)
    try cluster.ledger.checkNothingRanTwice(parallelism: 2)
  }

  @Test("a copied directory is refused, with a fresh agent too; the newest one, renamed back, starts and goes on")
  func copiedDirectory() async throws {
    try await Self.with { cluster, older in
      let place = "\(cluster.directory)/coordinator"
      try Self.run("/bin/mv", "mv", place, "\(cluster.directory)/newest")
      try Self.run("/bin/cp", "cp", "-a", older, place)
      try cluster.startAgent("fresh")
      try cluster.startCoordinator()
      try Self.ends(cluster, saying: "last served from another directory")
      try Self.run("/bin/mv", "mv", place, "\(cluster.directory)/refused")
      try Self.run("/bin/mv", "mv", "\(cluster.directory)/newest", place)
      try cluster.startCoordinator()
      try cluster.startAgent("node-1")
      try Self.completes(cluster)
    }
  }

  @Test("files put back in place are noticed at their inode, or written over, by the first agent that knows more")
  func filesInPlace() async throws {
    try await Self.with { cluster, older in
      let place = "\(cluster.directory)/coordinator"
      try Self.run("/bin/cp", "cp", "-a", place, "\(cluster.directory)/newest")
      try Self.run("/bin/mv", "mv", "\(place)/stint.db", "\(cluster.directory)/aside.db")
      try Self.run("/bin/rm", "rm", "-f", "\(place)/stint.db-wal", "\(place)/stint.db-shm")
      try Self.run("/bin/cp", "cp", "-a", "\(older)/.", place)
      try cluster.startCoordinator()
      try Self.ends(cluster, saying: "is not the file that was last served")
      // The same contents in the file that was served.
      try Self.run("/bin/cp", "cp", "\(older)/stint.db", "\(cluster.directory)/aside.db")
      try Self.run("/bin/mv", "mv", "-f", "\(cluster.directory)/aside.db", "\(place)/stint.db")
      try Self.run("/bin/rm", "rm", "-f", "\(place)/stint.db-wal", "\(place)/stint.db-shm")
      for round in 1...2 {
        try cluster.startCoordinator()
        try Self.ends(cluster, saying: round == 1 ? "another start with the number 2" : "another start")
      }
      // The operator's word: it serves, and gives out nothing.
      try cluster.startCoordinator(["--moved"])
      try eventually("node-2 is Ready again", seconds: 60, every: 100) { try cluster.isReady("node-2") }
      try eventually("the waiting pods say why", seconds: 60, every: 100) {
        try cluster.events("FailedScheduling").contains { $0.contains("store was moved or restored") }
      }
      try checkEqual(cluster.ledger.attempts.count, 2, "attempts that signed")
    }
  }
}
