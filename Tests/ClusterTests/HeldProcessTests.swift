// Agents and keepers that a disk holds in the kernel, killed or not: they keep locks and sockets, and no signal ends
// them. What is said of them, and what becomes of their pods' work.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite(
  "Processes that a disk holds", .enabled(if: LoopDisk.isPossible, "needs root, a loop device, mkfs.ext4 and fsfreeze"))
struct HeldProcessTests {
  @Test("an agent's start and its stop say that they wait for a disk, and who holds a lock that was killed on it")
  func agent() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 0) { cluster in
        let data = cluster.dataDirectory("node-1")
        let disk = try LoopDisk(at: data, image: "\(cluster.directory)/disk")
        defer { disk.end() }
        try cluster.startAgent("node-1")
        try cluster.waitForNodes(1)
        let first = try Self.freeze(disk, under: cluster)
        let polite = try cluster.begin("agent", "--stop", "--data", data)
        try checkEqual(try polite.end(within: 50), 0, "an agent that lives ends on a disk that hangs: \(polite.text)")
        disk.thaw()
        _ = try first.end(within: 20)

        // Both write to one log: the node may still be Ready by the first one's word.
        try cluster.startAgent("node-1")
        try eventually("the next agent is connected", seen: { first.text }) {
          first.text.split(separator: "\n").count { $0.contains("connected to the coordinator") } == 2
        }
        let agent = try Self.freeze(disk, under: cluster)
        agent.child.signal(SIGKILL)
        let stop = try cluster.begin("agent", "--stop", "--data", data)
        try eventually("the stop says what it waits for", seconds: 30, seen: { stop.text }) {
          let text = stop.text
          return text.contains("waiting for the agent (process \(agent.pid)) of \(data)") && text.contains("(state D")
        }
        try eventually("the second agent is told who holds the lock", seconds: 30, every: 100) {
          let second = try cluster.begin("agent", "--data", data, "--authority", "\(cluster.directory)/coordinator")
          try checkEqual(try second.end(within: 30), 1, "its status")
          return second.text.contains("held by process \(agent.pid), which was killed but cannot end: its thread ")
        }

        disk.thaw()
        try checkEqual(try stop.end(within: 60), 0, "the stop's status: \(stop.text)")
        try check(!FileLock.isHeld("\(data)/keeper.lock"), "the keeper is still there")
        _ = try agent.end(within: 20)
        try disk.freeze()
        let third = try cluster.begin("agent", "--data", data, "--authority", "\(cluster.directory)/coordinator")
        defer {
          disk.thaw()
          _ = try? third.killAndReap()
        }
        try eventually("the start says what it waits for", seconds: 30, seen: { third.text }) {
          third.text.contains("waiting for the disk of \(data)") && third.text.contains("(state D")
        }
      }
    }
  }

  /// Until the agent meets it.
  private static func freeze(_ disk: LoopDisk, under cluster: TestCluster) throws -> Program {
    let agent = try found(cluster.agents["node-1"], "agent")
    let process = try found(Processes.identity(agent.pid), "agent's process")
    try disk.freeze()
    try eventually("a thread of the agent waits for the disk") { Processes.hasThreadInKernel(process) }
    return agent
  }

  @Test("a keeper that was killed and cannot end is taken for lost: its pods' work runs elsewhere after R, never twice")
  func keeper() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 0) { cluster in
        let disk = try LoopDisk(at: cluster.dataDirectory("node-1"), image: "\(cluster.directory)/disk")
        defer { disk.end() }
        try cluster.startAgent("node-1")
        try cluster.startAgent("node-2")
        try cluster.waitForNodes(2)
        try cluster.must("cordon", "node-2")
        try cluster.apply(cluster.manifest("held", .script(Self.talking)))
        try eventually("the pod signs on node-1") { cluster.ledger.attempts.count == 1 }
        try cluster.must("uncordon", "node-2")
        let keeper = try cluster.keeper(of: "node-1")
        let agent = try found(cluster.agents["node-1"], "agent")

        try disk.freeze()
        try eventually("something of the keeper waits for the disk") { Processes.hasThreadInKernel(keeper) }
        kill(keeper.pid, SIGKILL)
        try eventually("the agent notices", seconds: 20, seen: { agent.text }) {
          agent.text.contains("the keeper is gone: its process \(keeper.pid) was killed but cannot end: its thread ")
        }
        try eventually("the replacement signs", seconds: 45) { cluster.ledger.attempts.count == 2 }
        let attempts = cluster.ledger.attempts
        let (old, new) = (attempts.map(\.last).min() ?? 0, attempts.map(\.first).max() ?? 0)
        try check(old < new, "the old copy signed at \(old), the new one at \(new)")
        try check(agent.text.contains("waiting for a keeper: process \(keeper.pid) holds"), agent.text)

        disk.thaw()
        try eventually("the node is Ready with a new keeper", seconds: 60, every: 100) { try cluster.isReady("node-1") }
        try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
        try cluster.must("wait", "job/held", "--for=complete", "--timeout", "60s", "-q")
        try cluster.ledger.checkNothingRanTwice(parallelism: 1)
        try checkEqual(cluster.status("held", "failed"), 0, "failed")
      }
    }
  }

  /// Signs, and prints lines, until told.
  private static let talking = """
    until [ -e /ledger/go ]; do sign beat; echo a line of some length for the log; sleep 0.05; done
    sign end

    """
}
