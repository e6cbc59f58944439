// Kubernetes' own end-to-end cases of Jobs whose pods run to an end, each by its name there: through the API's door,
// with agents that play the containers. What those cases wait for is what is looked at here.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Kubernetes' end-to-end cases of Jobs: running")
struct JobEndToEndTests {
  private static let indexed: JSON = ["parallelism": 2, "completions": 4, "completionMode": "Indexed"]

  private func indexed(_ members: JSON) -> JSON {
    var spec = Self.indexed
    for (key, value) in members.objectValue ?? JSONObject() { spec[key] = value }
    return spec
  }

  @Test("should run a job to completion when tasks succeed")
  func succeed() throws {
    let cluster = try JobCluster()
    cluster.create("all-succeed", JobCluster.allSucceed)
    let job = try cluster.wait(for: "all-succeed", "Complete", reason: "CompletionsReached")
    #expect(job.count("succeeded") == 4 && job.isAtRest)
    #expect(cluster.pods("all-succeed", "Succeeded").count == 4)
  }

  @Test("should run a job to completion when tasks sometimes fail and are locally restarted")
  func failOnceLocal() throws {
    let cluster = try JobCluster()
    cluster.create("fail-once-local", { .ends($0.before == 0 ? 1 : 0) }, pod: ["restartPolicy": "OnFailure"])
    let job = try cluster.wait(for: "fail-once-local", "Complete", reason: "CompletionsReached")
    #expect(job.count("failed") == 0 && cluster.created.count == 4)
  }

  @Test("should run a job to completion when tasks sometimes fail and are not locally restarted")
  func failOnceNonLocal() throws {
    let cluster = try JobCluster()
    cluster.create("fail-once-non-local", JobCluster.failOnce())
    try cluster.wait(for: "fail-once-non-local", "SuccessCriteriaMet", reason: "CompletionsReached")
    let job = try cluster.wait(for: "fail-once-non-local", "Complete", reason: "CompletionsReached")
    #expect(job.count("succeeded") == 4 && job.count("failed") == 1 && job.isAtRest)
  }

  @Test("should run a job to completion with CPU requests")
  func cpuRequests() throws {
    let cluster = try JobCluster()
    cluster.create(
      "all-succeed", JobCluster.allSucceed, ["parallelism": 90, "completions": 90, "backoffLimit": 0],
      pod: [
        "nodeSelector": ["kubernetes.io/hostname": "node-1"],
        "containers": [
          [
            "name": "main", "image": "busybox", "command": ["true"], "resources": ["requests": ["cpu": "1"]],
          ]
        ],
      ])
    try cluster.wait(for: "all-succeed", "Complete", reason: "CompletionsReached")
    let pods = cluster.pods("all-succeed", "Succeeded")
    #expect(pods.count == 90)
    #expect(pods.allSatisfy { $0[path: ["spec", "nodeName"]] == "node-1" })
  }

  @Test("should fail to exceed backoffLimit")
  func backoffLimit() throws {
    let cluster = try JobCluster()
    cluster.create("backofflimit", JobCluster.allFail, ["backoffLimit": 1])
    try cluster.wait(for: "backofflimit", "FailureTarget", reason: "BackoffLimitExceeded")
    let job = try cluster.wait(for: "backofflimit", "Failed", reason: "BackoffLimitExceeded")
    #expect(job.isAtRest && job.count("failed") == 2)
    #expect(cluster.pods("backofflimit").count == 2 && cluster.pods("backofflimit", "Failed").count == 2)
  }

  @Test("should fail when exceeds active deadline")
  func activeDeadline() throws {
    let cluster = try JobCluster()
    cluster.stopSeconds = 3
    cluster.create(
      "exceed-active-deadline", JobCluster.notTerminate,
      ["parallelism": 2, "completions": 4, "activeDeadlineSeconds": 1])
    let interim = try cluster.wait(for: "exceed-active-deadline", "FailureTarget", reason: "DeadlineExceeded")
    #expect(interim.reason(of: "Failed") == nil && interim.count("terminating") == 2)
    let job = try cluster.wait(for: "exceed-active-deadline", "Failed", reason: "DeadlineExceeded")
    #expect(job.isAtRest && job[path: ["status", "completionTime"]] == nil)
  }

  // MARK: podFailurePolicy

  @Test("should allow to use the pod failure policy on exit code to fail the job early")
  func failJobOnExitCode() throws {
    let cluster = try JobCluster()
    let rules: JSON = [["action": "FailJob", "onExitCodes": ["operator": "In", "values": [1]]]]
    cluster.create(
      "pod-failure-failjob", JobCluster.failOnce(),
      ["parallelism": 2, "completions": 4, "podFailurePolicy": ["rules": rules]])
    let job = try cluster.wait(for: "pod-failure-failjob", "Failed", reason: "PodFailurePolicy")
    #expect(job.count("failed") >= 1 && job.isAtRest)
  }

  @Test("should allow to use a pod failure policy to ignore failure matching on exit code")
  func ignoreOnExitCode() throws {
    let cluster = try JobCluster()
    let rules: JSON = [["action": "Ignore", "onExitCodes": ["operator": "In", "values": [42]]]]
    cluster.create(
      "fail-pod-ignore-on-exit-code", JobCluster.failOnce(with: 42),
      indexed(["parallelism": 3, "completions": 3, "backoffLimit": 2, "podFailurePolicy": ["rules": rules]]))
    let job = try cluster.wait(for: "fail-pod-ignore-on-exit-code", "Complete", reason: "CompletionsReached")
    #expect(job.count("failed") == 0 && cluster.created.count == 6)
  }

  @Test("should allow to use a pod failure policy to ignore failure matching on DisruptionTarget condition")
  func ignoreEvicted() throws {
    let cluster = try JobCluster()
    let name = "evicted-pod-ignore-on-disruption-condition"
    let rules: JSON = [["action": "Ignore", "onPodConditions": [["type": "DisruptionTarget", "status": "True"]]]]
    cluster.create(
      name, { $0.before == 0 ? .runsOn : .ends(0) },
      indexed(["parallelism": 3, "completions": 3, "backoffLimit": 2, "podFailurePolicy": ["rules": rules]]))
    try cluster.wait(for: name, "ready with 3 pods", until: { $0.count("ready") == 3 })
    let evicted = cluster.pods(name, "Running").map(\.name)
    for pod in evicted {
      let body: JSON = ["apiVersion": "policy/v1", "kind": "Eviction", "metadata": ["name": .string(pod)]]
      let answer = cluster.ask(
        APIRequest(
          verb: .create, kind: .pods, namespace: "default", name: pod, subresource: "eviction", body: body))
      #expect(answer.code == 201)
    }
    try cluster.wait("the end of the evicted pods") { cluster in
      !cluster.pods(name).contains { evicted.contains($0.name) }
    }
    let job = try cluster.wait(for: name, "Complete", reason: "CompletionsReached")
    #expect(job.count("failed") == 0 && job.count("succeeded") == 3)
  }

  @Test("a rule is about an evicted pod when it has failed, not while it ends")
  func ruleAtItsEnd() throws {
    let cluster = try JobCluster()
    cluster.stopSeconds = 5
    let rules: JSON = [["action": "FailJob", "onPodConditions": [["type": "DisruptionTarget", "status": "True"]]]]
    cluster.create("ending", JobCluster.notTerminate, ["podFailurePolicy": ["rules": rules]])
    try cluster.waitRunning("ending", 1)
    let pod = cluster.pods("ending")[0].name
    let body: JSON = ["apiVersion": "policy/v1", "kind": "Eviction", "metadata": ["name": .string(pod)]]
    cluster.ask(
      APIRequest(verb: .create, kind: .pods, namespace: "default", name: pod, subresource: "eviction", body: body))
    let ending = try cluster.wait(for: "ending", "terminating") { $0.count("terminating") == 1 }
    #expect(ending.reason(of: "FailureTarget") == nil && ending.count("failed") == 0 && ending.count("active") == 0)
    let job = try cluster.wait(for: "ending", "Failed", reason: "PodFailurePolicy")
    #expect(job.count("failed") == 1 && cluster.created == [pod])
  }

  @Test("containers restarted by container restart policy should not trigger PodFailurePolicy")
  func ownRestartPolicy() throws {
    let cluster = try JobCluster()
    let rules: JSON = [
      ["action": "FailJob", "onExitCodes": ["containerName": "main", "operator": "In", "values": [1]]]
    ]
    let containers: JSON = [
      ["name": "main", "image": "busybox", "command": ["sh", "-c", "true"], "restartPolicy": "OnFailure"]
    ]
    cluster.create(
      "restarts", { .ends($0.before == 0 ? 1 : 0) },
      ["parallelism": 1, "completions": 1, "backoffLimit": 1, "podFailurePolicy": ["rules": rules]],
      pod: ["containers": containers])
    let job = try cluster.wait(for: "restarts", "Complete", reason: "CompletionsReached")
    #expect(job.isAtRest && job.count("failed") == 0 && cluster.created.count == 1)
  }

  // MARK: Indexes

  @Test("should create pods for an Indexed job with completion indexes and specified hostname")
  func hostNames() throws {
    let cluster = try JobCluster()
    cluster.create("indexed-job", JobCluster.allSucceed, Self.indexed)
    try cluster.wait(for: "indexed-job", "Complete", reason: "CompletionsReached")
    let pods = cluster.pods("indexed-job", "Succeeded")
    let indexes = pods.compactMap { $0[path: ["metadata", "annotations", Slot.indexAnnotation]]?.stringValue }
    #expect(indexes.sorted() == ["0", "1", "2", "3"])
    #expect(zip(pods, indexes).allSatisfy { $0[path: ["spec", "hostname"]] == .string("indexed-job-\($1)") })
  }

  @Test("should create pods with completion indexes for an Indexed Job")
  func indexLabels() throws {
    let cluster = try JobCluster()
    cluster.create("indexed-job", JobCluster.allSucceed, Self.indexed)
    try cluster.wait(for: "indexed-job", "Complete", reason: "CompletionsReached")
    let labels = cluster.pods("indexed-job").compactMap {
      $0[path: ["metadata", "labels", Slot.indexAnnotation]]?.stringValue
    }
    #expect(labels.sorted() == ["0", "1", "2", "3"])
  }

  @Test("with successPolicy should succeeded when all indexes succeeded")
  func successOfAll() throws {
    let cluster = try JobCluster()
    cluster.create(
      "all-index-succeeded", JobCluster.allSucceed,
      indexed(["completions": 2, "successPolicy": ["rules": [["succeededCount": 2]]]]))
    try cluster.wait(for: "all-index-succeeded", "SuccessCriteriaMet", reason: "SuccessPolicy")
    let job = try cluster.wait(for: "all-index-succeeded", "Complete", reason: "SuccessPolicy")
    #expect(job.isAtRest && job.count("failed") == 0 && job.count("succeeded") == 2)
  }

  @Test(
    "with successPolicy rule should succeeded even when some indexes remain pending",
    arguments: [["succeededIndexes": "0"], ["succeededCount": 1]] as [JSON])
  func successOfSome(rule: JSON) throws {
    let cluster = try JobCluster()
    // As there, where an odd index fails before an even one has: only index 0 may succeed before the rule is met.
    cluster.create(
      "some", { $0.index == 0 ? .ends(0) : $0.index == 1 ? .ends(1) : .runsOn },
      indexed(["completions": 5, "successPolicy": ["rules": [rule]]]))
    try cluster.wait(for: "some", "SuccessCriteriaMet", reason: "SuccessPolicy")
    let job = try cluster.wait(for: "some", "Complete", reason: "SuccessPolicy")
    #expect(job.text("completedIndexes") == "0" && job.count("succeeded") == 1 && job.isAtRest)
  }

  @Test("should execute all indexes despite some failing when using backoffLimitPerIndex")
  func perIndex() throws {
    let cluster = try JobCluster()
    cluster.create("per-index", JobCluster.failOddSucceedEven, indexed(["backoffLimitPerIndex": 1]))
    let job = try cluster.wait(for: "per-index", "Failed", reason: "FailedIndexes")
    #expect(job.text("failedIndexes") == "1,3" && job.text("completedIndexes") == "0,2")
    #expect(job.count("failed") == 4 && job.count("succeeded") == 2)
  }

  @Test("should terminate job execution when the number of failed indexes exceeds maxFailedIndexes")
  func maxFailedIndexes() throws {
    let cluster = try JobCluster()
    cluster.create(
      "max-failed", JobCluster.allFail,
      indexed(["parallelism": 1, "backoffLimitPerIndex": 0, "maxFailedIndexes": 0]))
    let job = try cluster.wait(for: "max-failed", "Failed", reason: "MaxFailedIndexesExceeded")
    #expect(job.text("failedIndexes") == "0" && job.count("failed") == 1 && cluster.created.count == 1)
  }

  @Test("should record the failure-count in the Pod annotation when using backoffLimitPerIndex")
  func failureCounts() throws {
    let cluster = try JobCluster()
    cluster.create("counted", JobCluster.allFail, indexed(["completions": 2, "backoffLimitPerIndex": 1]))
    let job = try cluster.wait(for: "counted", "Failed", reason: "FailedIndexes")
    let counts = cluster.pods("counted").map { pod in
      [Slot.indexAnnotation, Slot.failuresAnnotation]
        .map { pod[path: ["metadata", "annotations", $0]]?.stringValue ?? "-" }.joined(separator: ":")
    }
    #expect(counts.sorted() == ["0:0", "0:1", "1:0", "1:1"])
    #expect(job.text("failedIndexes") == "0,1" && job.text("completedIndexes") == nil)
    #expect(job.count("failed") == 4 && job.count("succeeded") == 0)
  }

  @Test("should mark indexes as failed when the FailIndex action is matched in podFailurePolicy")
  func failIndex() throws {
    let cluster = try JobCluster()
    let rules: JSON = [["action": "FailIndex", "onExitCodes": ["operator": "In", "values": [1]]]]
    cluster.create(
      "fail-index", JobCluster.failOddSucceedEven,
      indexed(["completions": 2, "backoffLimitPerIndex": 1, "podFailurePolicy": ["rules": rules]]))
    let job = try cluster.wait(for: "fail-index", "Failed", reason: "FailedIndexes")
    #expect(job.text("failedIndexes") == "1" && job.text("completedIndexes") == "0")
    #expect(job.count("failed") == 1 && job.count("succeeded") == 1)
  }
}
