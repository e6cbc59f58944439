// A node whose disk hangs while its pods print lines, and whose agent is killed then: work runs elsewhere, never beside
// the old copy, also when processes of the node take no SIGKILL.

import ClusterIO
import ClusterProto
import Glibc
import NodeAgent
import Testing

enum HungNode: String, CaseIterable, Sendable {
  case agentKilled = "its agent is killed"
  case keeperStopped = "its agent is killed and its keeper stopped"
  case withoutRoot = "its agent, without root and so with bubblewrap, is killed"
}

@Suite("A hung disk", .enabled(if: LoopDisk.isPossible, "needs root, a loop device, mkfs.ext4 and fsfreeze"))
struct HungDiskTests {
  @Test(
    "a node's disk hangs and the node is lost: no old copy signs beside its replacement, nor after its deadline",
    arguments: HungNode.allCases)
  func nodeLost(loss: HungNode) async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 0) { cluster in
        let disk = try LoopDisk(at: cluster.dataDirectory("node-1"), image: "\(cluster.directory)/disk")
        // Before the processes: those that hang on it could not be ended.
        defer { disk.end() }
        try Self.lose(cluster, disk, loss)
      }
    }
  }

  private static func lose(_ cluster: TestCluster, _ disk: LoopDisk, _ loss: HungNode) throws {
    if loss == .withoutRoot, access("/usr/bin/bwrap", X_OK) != 0 { return }
    let user = loss == .withoutRoot ? try cluster.giveAway("node-1", to: 65_534) : []
    try cluster.startAgent("node-1", as: user)
    try cluster.startAgent("node-2")
    try cluster.waitForNodes(2)
    try cluster.must("cordon", "node-2")
    try cluster.apply(cluster.manifest("lost", completions: 4, parallelism: 4, .script(talking)))
    try eventually("four pods sign on node-1") { cluster.ledger.attempts.count == 4 }
    try cluster.must("uncordon", "node-2")
    let shells = Processes.shells(with: cluster.mark)
    let old = Set(cluster.ledger.attempts.map(\.token))
    let keeper = try cluster.keeper(of: "node-1")

    try disk.freeze()
    // The pods' lines meet the frozen file system.
    try eventually("something of the keeper waits for the disk") { Processes.hasThreadInKernel(keeper) }
    let fault = uptime()
    cluster.agents["node-1"]?.child.signal(SIGKILL)
    if loss == .keeperStopped { kill(keeper.pid, SIGSTOP) }
    try eventually("four replacements sign", seconds: 45) { cluster.ledger.attempts.count >= 8 }
    try judge(cluster, old, fault)

    disk.thaw()
    if loss == .keeperStopped { kill(keeper.pid, SIGCONT) }
    _ = try cluster.agents["node-1"]?.end(within: 10)
    try cluster.startAgent("node-1", as: user)
    try eventually("the node is Ready again", seconds: 60, every: 200) { try cluster.isReady("node-1") }
    try eventually("the old processes are gone") { !shells.contains(where: Processes.isAlive) }
    try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
    try cluster.must("wait", "job/lost", "--for=complete", "--timeout", "60s", "-q")
    try judge(cluster, old, fault)
    try cluster.ledger.checkNothingRanTwice(parallelism: 4)
    try checkEqual(cluster.status("lost", "failed"), 0, "failed")
  }

  /// Signs, and prints lines, until told.
  private static let talking = """
    until [ -e /ledger/go ]; do sign beat; echo a line of some length for the log; sleep 0.05; done
    sign end

    """

  private static func judge(_ cluster: TestCluster, _ old: Set<Int64>, _ fault: Double) throws {
    let attempts = cluster.ledger.attempts
    let lastOld = attempts.filter { old.contains($0.token) }.map(\.last).max() ?? 0
    let firstNew = attempts.filter { !old.contains($0.token) }.map(\.first).min() ?? 0
    try check(lastOld < firstNew, "an old copy signed at \(lastOld), a new one began at \(firstNew)")
    // Lease and toleration, which count from a heartbeat before the fault.
    try check(lastOld <= fault + 3.5 + 0.5, "an old copy signed \(lastOld - fault) s after the fault")
  }
}
