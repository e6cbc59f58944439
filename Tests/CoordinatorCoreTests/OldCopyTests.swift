// Replacements whose index another attempt may still work at: who waits for it, and what the waiting pod says.
// It must not know how the scheduler keeps them.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Replacements that wait for an old copy") struct OldCopyTests {
  private static let spec: JSON = [
    "completionMode": "Indexed", "completions": 4, "parallelism": 4, "backoffLimitPerIndex": 50,
    "maxFailedIndexes": 4, "podReplacementPolicy": "TerminatingOrFailed",
  ]

  /// The one of the index that has not ended.
  private func pod(_ cluster: JobCluster, index: Int64) -> JSON? {
    cluster.pods("fd").first { pod in
      pod[path: ["metadata", "annotations", Slot.indexAnnotation]]?.stringValue == "\(index)"
        && !["Failed", "Succeeded"].contains(pod[path: ["status", "phase"]]?.stringValue)
    }
  }

  private func forceDelete(_ cluster: JobCluster, index: Int64) throws {
    let name = try #require(pod(cluster, index: index)).name
    #expect(cluster.delete(.pods, name, ["gracePeriodSeconds": 0]).code == 200)
  }

  private func fail(_ cluster: JobCluster, _ name: String, as phase: String = "Failed") {
    let answer = cluster.patch(.pods, name, ["status": ["phase": .string(phase)]], subresource: "status")
    #expect(answer.code == 200, "\(answer.message)")
  }

  private func scheduled(_ pod: JSON?) -> JSON? {
    pod?[path: ["status", "conditions"]]?.arrayValue?.first { $0["type"] == "PodScheduled" }
  }

  private func events(_ cluster: JobCluster, of pod: JSON?) -> [String] {
    cluster.ask(APIRequest(verb: .list, kind: .events, namespace: "default")).items
      .filter { $0[path: ["involvedObject", "name"]]?.stringValue == pod?.name }
      .compactMap { $0["message"]?.stringValue }
  }

  @Test("an index whose old copy may run after it was marked as done keeps no other index's replacement waiting")
  func markedAsDone() throws {
    let cluster = try JobCluster()
    cluster.create("fd", JobCluster.notTerminate, Self.spec)
    try cluster.waitRunning("fd", 4)
    let names = (0..<4).compactMap { pod(cluster, index: $0)?.name }
    fail(cluster, names[1])
    fail(cluster, names[2], as: "Succeeded")
    try forceDelete(cluster, index: 0)
    try forceDelete(cluster, index: 3)
    try cluster.wait("the replacements of the indexes whose pods have ended run") { cluster in
      ([0, 3] as [Int64]).allSatisfy { index in
        let found = pod(cluster, index: index)
        return found?[path: ["status", "phase"]] == "Running" && found?.name != names[Int(index)]
      }
    }
    try cluster.wait("the replacement of the one that may run is there") {
      pod($0, index: 1)?[path: ["status", "phase"]] == "Pending"
    }
    for _ in 0..<5 { cluster.pass() }
    let waiting = pod(cluster, index: 1)
    // With the old copies of 1 and 2 there are four, as many as the Job may run.
    let words =
      "The Job may run 4 at once, and attempts whose pods are deleted or marked as ended may still run: this pod is "
      + "placed once one of them is proven to have ended"
    #expect(scheduled(waiting)?["reason"] == "PredecessorMayRun" && scheduled(waiting)?["message"] == .string(words))
    #expect(events(cluster, of: waiting) == [words])
    #expect(waiting?[path: ["status", "phase"]] == "Pending")
  }

  @Test("a Job whose old copies take all that may run at once says so in the pods that wait, and goes on without it")
  func full() throws {
    let cluster = try JobCluster()
    cluster.stopSeconds = 10
    cluster.create(
      "fd", JobCluster.notTerminate,
      ["completions": 4, "parallelism": 2, "podReplacementPolicy": "TerminatingOrFailed"])
    try cluster.waitRunning("fd", 2)
    for pod in cluster.pods("fd") { cluster.delete(.pods, pod.name) }
    for _ in 0..<3 { cluster.pass() }
    let waiting = cluster.pods("fd", "Pending")
    #expect(waiting.count == 2)
    for pod in waiting {
      #expect(scheduled(pod)?["reason"] == "PredecessorMayRun")
      let told = events(cluster, of: pod)
      #expect(told.count == 1 && told.first?.hasPrefix("The Job may run 2 at once") == true, "\(told)")
    }
    try cluster.wait("they run once the old ones have ended") { cluster in
      waiting.allSatisfy { pod in
        cluster.pods("fd", "Running").contains { $0.name == pod.name && scheduled($0)?["status"] == "True" }
      }
    }
  }
}
