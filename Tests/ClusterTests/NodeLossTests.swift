// Agents and keepers killed and stopped while pods run: the node's pods stay, pause, die and are replaced as promised.

import ClusterIO
import ClusterProto
import Glibc
import Testing

enum NodeLoss: String, CaseIterable, Sendable {
  case agentKilled = "its agent is killed"
  case bothKilled = "agent and keeper are killed together"
  case bothStopped = "agent and keeper are stopped"
}

@Suite("Work survives the loss of agents and nodes")
struct NodeLossTests {
  @Test(
    "a node with 20 pods is lost: no old copy signs after a new one, all are replaced within 25 s, none is charged",
    arguments: NodeLoss.allCases)
  func nodeLost(loss: NodeLoss) async throws {
    try await Blocking.run(isBusy: false) {
      try TestCluster.with(agents: 2, timing: []) { cluster in
        try cluster.must("cordon", "node-2")
        try cluster.apply(cluster.manifest("lost", completions: 20, parallelism: 20, .untilTold))
        try eventually("20 pods sign on node-1") { cluster.ledger.attempts.count == 20 }
        try cluster.must("uncordon", "node-2")
        let shells = Processes.shells(with: cluster.mark)
        let old = Set(cluster.ledger.attempts.map(\.token))
        let fault = try strike(cluster, loss)
        try eventually("20 replacements sign", seconds: 45, every: 200) { cluster.ledger.attempts.count >= 40 }
        let standing = shells.filter(Processes.isAlive).count
        try checkEqual(standing, loss == .agentKilled ? 20 : 0, "old processes (frozen or dead) at the replacement")
        try comeBack(cluster, loss, shells)
        try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
        try cluster.must("wait", "job/lost", "--for=complete", "--timeout", "60s", "-q")
        try judge(cluster, old, fault, loss)
      }
    }
  }

  private func strike(_ cluster: TestCluster, _ loss: NodeLoss) throws -> Double {
    let keeper = try cluster.keeper(of: "node-1")
    let agent = try found(cluster.agents["node-1"], "agent")
    let signal = loss == .bothStopped ? SIGSTOP : SIGKILL
    let fault = uptime()
    agent.child.signal(signal)
    if loss != .agentKilled { kill(keeper.pid, signal) }
    return fault
  }

  private func comeBack(_ cluster: TestCluster, _ loss: NodeLoss, _ shells: Set<ProcessIdentity>) throws {
    if loss == .bothStopped {
      cluster.agents["node-1"]?.child.signal(SIGCONT)
    } else {
      _ = try cluster.agents["node-1"]?.end(within: 5)
      try cluster.startAgent("node-1")
    }
    try eventually("the node is Ready again", seconds: 60, every: 200) { try cluster.isReady("node-1") }
    try eventually("the old processes are gone") { !shells.contains(where: Processes.isAlive) }
  }

  private func judge(_ cluster: TestCluster, _ old: Set<Int64>, _ fault: Double, _ loss: NodeLoss) throws {
    let ledger = cluster.ledger
    let lost = ledger.attempts.filter { old.contains($0.token) }
    let new = ledger.attempts.filter { !old.contains($0.token) }
    let lastOld = lost.map(\.last).max() ?? 0
    let firstNew = new.map(\.first).min() ?? 0
    let lastReplaced = new.map(\.first).max() ?? 0
    print(
      "\(loss.rawValue): last sign of an old copy \(tenths(lastOld - fault)) s after the fault, replacements "
        + "\(tenths(firstNew - fault)) to \(tenths(lastReplaced - fault)) s")
    try check(lastOld < firstNew, "an old copy signed at \(lastOld), a new one began at \(firstNew)")
    try check(lastReplaced - fault <= 25, "the last replacement came \(lastReplaced - fault) s after the fault")
    try ledger.checkNothingRanTwice(parallelism: 20)
    try checkEqual(new.count, 20, "replacements")
    try checkEqual(ledger.ended, 20, "attempts that ended")
    try checkEqual(cluster.status("lost", "succeeded"), 20, "succeeded")
    try checkEqual(cluster.status("lost", "failed"), 0, "failed")
  }

  private func tenths(_ value: Double) -> Double { (value * 10).rounded() / 10 }

  @Test("a killed keeper takes its pods along; its successor proves it, and they are replaced at once, uncharged")
  func keeperKilled() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 2, timing: []) { cluster in
        try cluster.must("cordon", "node-2")
        try cluster.apply(cluster.manifest("orphaned", completions: 8, parallelism: 8, .untilTold))
        try eventually("eight pods sign on node-1") { cluster.ledger.attempts.count == 8 }
        try cluster.must("uncordon", "node-2")
        let shells = Processes.shells(with: cluster.mark)
        let keeper = try cluster.keeper(of: "node-1")
        let fault = uptime()
        kill(keeper.pid, SIGKILL)
        try eventually("eight replacements sign", every: 20) { cluster.ledger.attempts.count == 16 }
        try check(!shells.contains(where: Processes.isAlive), "a pod outlived its keeper")
        let attempts = cluster.ledger.attempts
        let lastOld = attempts.prefix(8).map(\.last).max() ?? 0
        let firstNew = attempts.dropFirst(8).map(\.first).min() ?? 0
        print("keeper killed: replacements from \(tenths(firstNew - fault)) s on")
        try check(lastOld < firstNew, "an old copy signed at \(lastOld), a new one began at \(firstNew)")
        try check(firstNew - fault < 10, "the sweep of a successor is a proof: no need to wait for R")
        try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
        try cluster.must("wait", "job/orphaned", "--for=complete", "--timeout", "60s", "-q")
        try cluster.ledger.checkNothingRanTwice(parallelism: 8)
        try checkEqual(cluster.status("orphaned", "failed"), 0, "failed")
        // At most one a node, none where they are not ours to make: the killed keeper's are gone.
        try check(cluster.controlGroups().count <= 2, "control groups: \(cluster.controlGroups())")
      }
    }
  }

  @Test("an agent that is killed and started again adopts its pods; SIGTERM leaves them, --stop ends them")
  func agentRestarts() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 1, timing: []) { cluster in
        try cluster.apply(cluster.manifest("kept", completions: 6, parallelism: 6, .untilTold))
        try eventually("six pods sign") { cluster.ledger.attempts.count == 6 }
        let shells = Processes.shells(with: cluster.mark)
        try checkEqual(shells.count, 6, "shells of pods")
        let keeper = try cluster.keeper(of: "node-1")

        for signal in [SIGKILL, SIGTERM] {
          try cluster.killAgent("node-1", signal)
          try check(Processes.isAlive(keeper), "the keeper ended with the agent's signal \(signal)")
          try cluster.startAgent("node-1")
          let again = uptime()
          // Longer than a lease and a toleration: who is not adopted stands still by then.
          try eventually("pods sign on under the new agent", seconds: 60, every: 200) {
            cluster.ledger.attempts.allSatisfy { $0.last > again + 16 }
          }
          try checkEqual(Processes.shells(with: cluster.mark), shells, "pods after signal \(signal) and a new agent")
          try checkEqual(try cluster.keeper(of: "node-1"), keeper, "keeper")
        }
        try checkEqual(cluster.ledger.attempts.count, 6, "attempts")
        try checkEqual(cluster.status("kept", "failed"), 0, "failed")

        try cluster.must("agent", "--stop", "--data", cluster.dataDirectory("node-1"))
        try checkEqual(try found(cluster.agents["node-1"], "agent").end(within: 10), 0, "the agent's exit status")
        try check(!Processes.isAlive(keeper), "the keeper outlived --stop")
        try check(!shells.contains(where: Processes.isAlive), "a pod outlived --stop")
      }
    }
  }
}
