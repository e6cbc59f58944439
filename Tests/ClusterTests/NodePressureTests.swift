// A node that has less memory than its agent wants: what its users see of it, and of the pod that has to go.

import ClusterProto
import Testing

@Suite("A node that is short of memory")
struct NodePressureTests {
  private static let manifest: JSON = [
    "apiVersion": "batch/v1", "kind": "Job", "metadata": ["name": "stays"],
    "spec": [
      "backoffLimit": 0,
      "podFailurePolicy": ["rules": [["action": "Ignore", "onPodConditions": [["type": "DisruptionTarget"]]]]],
      "template": [
        "spec": [
          "restartPolicy": "Never",
          "tolerations": [["key": "node.kubernetes.io/memory-pressure", "operator": "Exists"]],
          "containers": [["name": "main", "image": "host", "command": ["sleep", "1000"]]],
        ]
      ],
    ],
  ]

  @Test("says so, takes no pods, ends the one that runs, not charged to its Job, and gets none in its place")
  func evicted() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 1) { cluster in
        try cluster.apply(Self.manifest)
        try eventually("it runs") { try cluster.pods(of: "stays").first?[path: ["status", "phase"]] == "Running" }
        try cluster.killAgent("node-1")
        try cluster.startAgent("node-1", ["--eviction-hard", "memory.available<99.9%"])
        try eventually("the condition is shown") {
          let conditions = try cluster.nodes().first?[path: ["status", "conditions"]]?.arrayValue ?? []
          return conditions.contains {
            $0["type"] == "MemoryPressure" && $0["status"] == "True" && $0["reason"] == "KubeletHasInsufficientMemory"
          }
        }
        try check(try cluster.isReady("node-1"), "it stays Ready")
        try cluster.apply(cluster.manifest("waits", .brief("0.1")))
        try eventually("the pod is evicted, and the Job tries again") {
          try cluster.events("Evicted").contains {
            $0.hasPrefix("The node was low on resource: memory. Threshold quantity: ")
              && $0.contains("Container main was using ")
          }
        }
        let words = "1 node(s) had MemoryPressure and take no pods"
        try eventually("the next one waits, though it bears the taint") {
          try cluster.events("FailedScheduling").contains { $0.contains(words) }
        }
        try checkEqual(try cluster.events("Evicted").count, 1, "evictions")
        try checkEqual(try cluster.status("stays", "failed"), 0, "failed")
        try checkEqual(try cluster.events("EvictionThresholdMet"), ["Attempting to reclaim memory"], "event")
        try check(
          try cluster.events("FailedScheduling").contains {
            $0.contains("untolerated taint {node.kubernetes.io/memory-pressure: }")
          }, "the other pod says why it waits")
      }
    }
  }
}
