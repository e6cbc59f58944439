// What agents remember of another cluster, or say without a proof, to a coordinator of real processes: it stops nobody,
// and the refusal's own words are the way on.

import ClusterIO
import ClusterProto
import Glibc
import NodeAgent
import Testing

@Suite("Numbers that a cluster never gave out")
struct ForeignNumbersTests {
  @Test(
    "agents of a cluster that was lost for good are refused by the new one, and told the commands that bring them in")
  func newCluster() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 1) { cluster in
        try cluster.apply(cluster.manifest("lost", completions: 2, parallelism: 2, .untilTold))
        try eventually("two pods sign") { cluster.ledger.attempts.count == 2 }
        try cluster.killCoordinator()
        try Files.removeTree("\(cluster.directory)/coordinator")
        try cluster.startCoordinator()
        // It joined the lost cluster as it ran: what it remembers is not what it began with.
        let agent = try found(cluster.agents["node-1"], "agent")
        try eventually("the agent is refused", seconds: 60, every: 200, seen: { agent.text }) {
          agent.text.contains(
            "the coordinator refuses this agent: the data directory of node node-1 is that of cluster ")
        }
        for words in ["stint agent --stop --data DIRECTORY", "rm -r DIRECTORY", "stint token create --node node-1"] {
          try check(agent.text.contains(words), "no \(words): \(agent.text)")
        }
        try check(try found(cluster.coordinator, "coordinator").isRunning, "the new coordinator stopped")

        let data = cluster.dataDirectory("node-1")
        try cluster.must("agent", "--stop", "--data", data)
        try checkEqual(try agent.end(within: 30), 0, "the agent's exit status")
        try Files.removeTree(data)
        try eventually("the new kubeconfig is there") { Files.exists(cluster.kubeconfig) }
        let joined = try cluster.join("node-1", try cluster.token("--node", "node-1"))
        try eventually("node-1 is Ready", seconds: 30, every: 200, seen: { joined.text }) {
          try cluster.stint("get", "nodes").text.contains(" Ready ")
        }
      }
    }
  }

  @Test("an agent.json with made-up numbers and no cluster has its agent refused, and no other one notices")
  func madeUp() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 2) { cluster in
        try cluster.killAgent("node-1")
        let path = NodePaths(data: cluster.dataDirectory("node-1")).memory
        var memory = try JSON(parsing: try Files.read(path))
        let mark = memory["incarnationMark"]?.stringValue ?? ""
        try check(mark.contains("."), "the mark has no proof: \(memory.text)")
        let good = memory
        memory["highestIncarnation"] = 99
        memory["cluster"] = nil
        try Files.writeAtomically(path, Array(memory.text.utf8))
        try cluster.startAgent("node-1")
        let agent = try found(cluster.agents["node-1"], "agent")
        try eventually("the agent is refused", seconds: 30, seen: { agent.text }) {
          agent.text.contains("node node-1 says that it has seen incarnation 99 and attempt 0, without a proof")
        }
        let coordinator = try found(cluster.coordinator, "coordinator")
        try check(coordinator.isRunning, "the coordinator stopped: \(coordinator.text)")
        try check(
          coordinator.text.split(separator: "\n").contains {
            $0.contains("deed=refusal") && $0.contains("without a proof")
          },
          "no audit: \(coordinator.text)")
        try check(try cluster.isReady("node-2"), "node-2 is not Ready")
        try cluster.killAgent("node-1")
        try Files.writeAtomically(path, Array(good.text.utf8))
        try cluster.startAgent("node-1")
        try eventually("node-1 is back", seconds: 30) { try cluster.isReady("node-1") }
      }
    }
  }
}
