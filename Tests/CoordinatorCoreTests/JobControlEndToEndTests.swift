// Kubernetes' own end-to-end cases of Jobs that are suspended, deleted, changed or handed over, each by its name there,
// and those of its integration suite that need no more than the API: through the API's door, with agents that play.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Kubernetes' end-to-end cases of Jobs: control")
struct JobControlEndToEndTests {
  private static let suspended: JSON = ["parallelism": 2, "completions": 4, "suspend": true]

  // MARK: Suspension

  @Test("should not create pods when created in suspend state")
  func createdSuspended() throws {
    let cluster = try JobCluster()
    cluster.create("suspend-true-to-false", JobCluster.allSucceed, Self.suspended)
    let job = try cluster.wait(for: "suspend-true-to-false", "Suspended", reason: "JobSuspended")
    for _ in 0..<5 { cluster.pass() }
    #expect(cluster.created.isEmpty && job[path: ["status", "startTime"]] == nil)
    var resumed = cluster.job("suspend-true-to-false").object
    resumed[path: ["spec", "suspend"]] = false
    let answer = cluster.ask(
      APIRequest(verb: .update, kind: .jobs, namespace: "default", name: resumed.name, body: resumed))
    #expect(answer.code == 200)
    try cluster.wait(for: "suspend-true-to-false", "Complete", reason: "CompletionsReached")
  }

  @Test("should delete pods when suspended")
  func suspend() throws {
    let cluster = try JobCluster()
    cluster.create("suspend-false-to-true", JobCluster.notTerminate)
    try cluster.waitRunning("suspend-false-to-true", 2)
    cluster.patch(.jobs, "suspend-false-to-true", ["spec": ["suspend": true]])
    try cluster.wait("the end of all pods") { $0.pods("suspend-false-to-true").isEmpty }
    let job = try cluster.wait(for: "suspend-false-to-true", "Suspended", reason: "JobSuspended")
    #expect(job.count("failed") == 0 && job.isAtRest)
  }

  @Test("should update the status ready field")
  func ready() throws {
    let cluster = try JobCluster()
    cluster.create("all-ready", JobCluster.notTerminate, Self.suspended)
    try cluster.wait(for: "all-ready", "ready 0") { $0[path: ["status", "ready"]] == 0 }
    cluster.patch(.jobs, "all-ready", ["spec": ["suspend": false]])
    try cluster.wait(for: "all-ready", "ready 2") { $0.count("ready") == 2 }
    cluster.patch(.jobs, "all-ready", ["spec": ["suspend": true]])
    try cluster.wait(for: "all-ready", "ready 0 again") { $0[path: ["status", "ready"]] == 0 }
  }

  @Test(
    "should update the scheduling directives and the pods' resources of a suspended Job, also of one that has run",
    arguments: [false, true])
  func directives(hasRun: Bool) throws {
    let cluster = try JobCluster()
    cluster.create("queued", JobCluster.notTerminate, ["parallelism": 2, "completions": 2, "suspend": .bool(!hasRun)])
    let containers: JSON = [
      [
        "name": "main", "image": "busybox", "command": ["sh", "-c", "true"],
        "resources": ["requests": ["cpu": "1500m"]],
      ]
    ]
    let template: JSON = [
      "metadata": ["labels": ["team": "blue"], "annotations": ["why": "quota"]],
      "spec": [
        "nodeSelector": ["kubernetes.io/hostname": "node-1"], "containers": containers,
        "tolerations": [["key": "dedicated", "operator": "Exists"]],
      ],
    ]
    if hasRun {
      cluster.stopSeconds = 5
      try cluster.waitRunning("queued", 2)
      let early = cluster.patch(.jobs, "queued", ["spec": ["template": template]])
      #expect(early.code == 422 && early.message.hasSuffix("field is immutable"))
      cluster.patch(.jobs, "queued", ["spec": ["suspend": true]])
      try cluster.wait(for: "queued", "Suspended", reason: "JobSuspended")
    }
    let answer = cluster.patch(.jobs, "queued", ["spec": ["template": template]])
    #expect(answer.code == 200, "\(answer.message)")
    let image = cluster.patch(
      .jobs, "queued", ["spec": ["template": ["spec": ["containers": [["name": "main", "image": "other"]]]]]])
    #expect(image.code == 422 && image.message.hasSuffix("field is immutable"))
    cluster.patch(.jobs, "queued", ["spec": ["suspend": false]])
    try cluster.wait("two running pods on the chosen node") { cluster in
      cluster.pods("queued", "Running").filter { $0[path: ["spec", "nodeName"]] == "node-1" }.count == 2
    }
    for pod in cluster.pods("queued") where pod[path: ["metadata", "deletionTimestamp"]] == nil {
      #expect(pod[path: ["metadata", "labels", "team"]] == "blue")
      #expect(pod[path: ["metadata", "annotations", "why"]] == "quota")
      #expect(pod[path: ["spec", "containers"]]?[0]?[path: ["resources", "requests", "cpu"]] == "1500m")
    }
    let late = cluster.patch(.jobs, "queued", ["spec": ["template": ["spec": ["nodeSelector": ["a": "b"]]]]])
    #expect(late.code == 422 && late.message.hasSuffix("field is immutable"))
  }

  // MARK: Replacement

  @Test("should recreate pods only after they have failed if pod replacement policy is set to Failed")
  func replacement() throws {
    let cluster = try JobCluster()
    cluster.stopSeconds = 5
    cluster.create(
      "pod-recreate-failed", JobCluster.notTerminate, ["backoffLimit": 1, "podReplacementPolicy": "Failed"])
    try cluster.waitRunning("pod-recreate-failed", 1)
    cluster.delete(.pods, cluster.pods("pod-recreate-failed")[0].name, ["gracePeriodSeconds": 30])
    try cluster.wait(for: "pod-recreate-failed", "terminating") {
      $0.count("active") == 0 && $0.count("failed") == 0 && $0.count("terminating") == 1
    }
    try cluster.wait(for: "pod-recreate-failed", "active again") {
      $0.count("active") == 1 && $0.count("failed") == 1 && $0.count("terminating") == 0
    }
    #expect(cluster.created.count == 2)
  }

  @Test("with TerminatingOrFailed a deleted pod counts at once and its replacement is there while it ends")
  func replacedAtOnce() throws {
    let cluster = try JobCluster()
    cluster.stopSeconds = 5
    cluster.create("pod-recreate-terminating", JobCluster.notTerminate, [:])
    try cluster.waitRunning("pod-recreate-terminating", 1)
    cluster.delete(.pods, cluster.pods("pod-recreate-terminating")[0].name)
    let job = cluster.job("pod-recreate-terminating").object
    #expect(job.count("active") == 1 && job.count("failed") == 1 && job.count("terminating") == 1)
    let pods = cluster.pods("pod-recreate-terminating")
    let replacement = try #require(pods.first { $0[path: ["metadata", "deletionTimestamp"]] == nil })
    #expect(replacement[path: ["spec", "nodeName"]] == nil, "its work may still be done by the old copy")
    try cluster.wait("the replacement to run") { $0.pods("pod-recreate-terminating").map(\.name) == [replacement.name] }
    try cluster.waitRunning("pod-recreate-terminating", 1)
  }

  @Test(
    "a lost node's pod is replaced as soon as it is fenced, under either policy, and is not charged",
    arguments: ["Failed", "TerminatingOrFailed"])
  func lostNode(policy: String) throws {
    let cluster = try JobCluster(nodes: 1)
    cluster.create("survivor", JobCluster.notTerminate, ["podReplacementPolicy": .string(policy)])
    try cluster.waitRunning("survivor", 1)
    let lost = cluster.pods("survivor")[0].name
    cluster.fleet.join(FakeAgent("spare"))
    cluster.fleet.agents["node-0"] = nil
    try cluster.wait("the loss") { cluster in
      cluster.pods("survivor").contains { $0[path: ["metadata", "deletionTimestamp"]] != nil }
        || cluster.created.count == 2
    }
    if policy == "Failed" {
      #expect(cluster.created.count == 1 && cluster.job("survivor").object.count("terminating") == 1)
    } else {
      #expect(cluster.pods("survivor").count == 2, "the object is there, its assignment waits")
      #expect(cluster.pods("survivor").allSatisfy { $0[path: ["spec", "nodeName"]] != "spare" })
    }
    #expect(cluster.fleet.isLive(lost))
    let fenced = cluster.fleet.timeToFence(lost, beating: ["spare"])
    cluster.pass()
    cluster.pass()
    let running = cluster.pods("survivor", "Running").filter { $0.name != lost }
    #expect(running.first?[path: ["spec", "nodeName"]] == "spare", "fenced after \(fenced ?? -1) ms")
    #expect(cluster.job("survivor").object.count("failed") == 0)
  }

  // MARK: Deletion

  @Test("should delete a job", arguments: ["Foreground", "Background"])
  func delete(policy: String) throws {
    let cluster = try JobCluster()
    cluster.create("foo", JobCluster.notTerminate)
    try cluster.waitRunning("foo", 2)
    cluster.delete(.jobs, "foo", ["propagationPolicy": .string(policy)])
    try cluster.wait("the end of the Job") { $0.job("foo").code == 404 }
    #expect(cluster.job("foo").message == "jobs.batch \"foo\" not found")
  }

  @Test("should remove pods when job is deleted")
  func podsRemoved() throws {
    let cluster = try JobCluster()
    cluster.create("all-pods-removed", JobCluster.notTerminate)
    try cluster.waitRunning("all-pods-removed", 2)
    cluster.delete(.jobs, "all-pods-removed", ["propagationPolicy": "Background"])
    try cluster.wait("the end of all pods") { $0.pods("all-pods-removed").isEmpty }
    #expect(cluster.created.count == 2)
  }

  @Test("should orphan pods if requested by deleting options")
  func orphaned() throws {
    let cluster = try JobCluster()
    cluster.create("orphaning", JobCluster.notTerminate)
    try cluster.waitRunning("orphaning", 2)
    cluster.delete(.jobs, "orphaning", ["propagationPolicy": "Orphan"])
    try cluster.wait("the end of the Job") { $0.job("orphaning").code == 404 }
    for _ in 0..<5 { cluster.pass() }
    let pods = cluster.pods("orphaning", "Running")
    #expect(pods.count == 2)
    #expect(pods.allSatisfy { $0[path: ["metadata", "ownerReferences"]] == nil })
    #expect(pods.allSatisfy { $0[path: ["metadata", "finalizers"]] == nil })
  }

  @Test("job should be deleted once it finishes after TTL seconds", arguments: [true, false])
  func timeToLive(succeeds: Bool) throws {
    let cluster = try JobCluster()
    cluster.create(
      "rand-non-local", succeeds ? JobCluster.allSucceed : JobCluster.allFail,
      ["backoffLimit": 0, "ttlSecondsAfterFinished": 10]
    ) { $0[path: ["metadata", "finalizers"]] = ["k8s.io/dummy-finalizer"] }
    let end = succeeds ? "Complete" : "Failed"
    let finished = try cluster.wait(for: "rand-non-local", "finished") { $0.reason(of: end) != nil }
    let job = try cluster.wait(for: "rand-non-local", "deleted") {
      $0[path: ["metadata", "deletionTimestamp"]] != nil
    }
    let finish = finished[path: ["status", "conditions"]]?.arrayValue?.last?["lastTransitionTime"]?.stringValue
    let deletion = job[path: ["metadata", "deletionTimestamp"]]?.stringValue
    let seconds = try #require(deletion.flatMap { WallTime(rfc3339: $0) }).seconds
    #expect(seconds - (try #require(finish.flatMap { WallTime(rfc3339: $0) }).seconds) >= 10)
    let kept = (job[path: ["metadata", "finalizers"]]?.arrayValue ?? []).filter { $0 != "k8s.io/dummy-finalizer" }
    cluster.patch(.jobs, "rand-non-local", ["metadata": ["finalizers": .array(kept)]])
    try cluster.wait("the end of the Job") { $0.job("rand-non-local").code == 404 }
    #expect(cluster.pods("rand-non-local").isEmpty)
  }

  // MARK: Ownership

  @Test("should adopt matching orphans and release non-matching pods")
  func adoptAndRelease() throws {
    let cluster = try JobCluster()
    let made = cluster.create("adopt-release", JobCluster.notTerminate)
    try cluster.waitRunning("adopt-release", 2)
    let pod = cluster.pods("adopt-release")[0].name
    cluster.patch(.pods, pod, ["metadata": ["ownerReferences": .null]])
    let adopted = cluster.ask(APIRequest(verb: .get, kind: .pods, namespace: "default", name: pod)).object
    let owner = adopted[path: ["metadata", "ownerReferences"]]?[0]
    #expect(owner?["kind"] == "Job" && owner?["name"] == "adopt-release" && owner?["controller"] == true)
    #expect(owner?["uid"] == made.object[path: ["metadata", "uid"]])
    cluster.patch(.pods, pod, ["metadata": ["labels": .null]])
    let released = cluster.ask(APIRequest(verb: .get, kind: .pods, namespace: "default", name: pod)).object
    #expect(released[path: ["metadata", "ownerReferences"]] == nil)
    #expect(released[path: ["metadata", "finalizers"]] == nil, "nobody counts it any more")
    #expect(released[path: ["metadata", "deletionTimestamp"]] == nil)
    try cluster.waitRunning("adopt-release", 2)
    #expect(cluster.fleet.isLive(pod), "it runs on, and the Job has another pod in its place that runs too")
    #expect(cluster.fleet.problems().isEmpty)
  }

  @Test("what an adopted pod runs is its Job's: no more run at once than may, and none beside it when it is lost")
  func adoptedSlot() throws {
    let cluster = try JobCluster()
    var pod = Manifest.pod("early")
    pod[path: ["metadata", "labels"]] = ["app": "x"]
    cluster.ask(APIRequest(verb: .create, kind: .pods, namespace: "default", body: pod))
    try cluster.wait("the pod to run") { $0.fleet.isLive("early") }
    let spec: JSON = [
      "parallelism": 1, "completions": 2, "manualSelector": true, "selector": ["matchLabels": ["app": "x"]],
    ]
    let made = cluster.create("manual", JobCluster.allSucceed, spec) {
      $0[path: ["spec", "template", "metadata", "labels"]] = ["app": "x", "job-name": "manual"]
    }
    let uid = made.object[path: ["metadata", "uid"]]?.stringValue ?? ""
    #expect(cluster.fleet.core.possiblyLiveCount(jobUID: uid) == 1)
    cluster.stopSeconds = 5
    cluster.delete(.pods, "early")
    cluster.pass()
    #expect(cluster.pods("manual").allSatisfy { $0[path: ["spec", "nodeName"]] == nil }, "the old one may still run")
    try cluster.wait(for: "manual", "Complete", reason: "CompletionsReached")
    #expect(cluster.fleet.core.possiblyLiveCount(jobUID: uid) == 0)
  }

  @Test("should allow to delegate reconciliation to external controller")
  func managedBy() throws {
    let cluster = try JobCluster()
    cluster.create(
      "managed-by", JobCluster.allSucceed,
      ["parallelism": 2, "completions": 4, "managedBy": "example.com/custom-job-controller"])
    for _ in 0..<5 { cluster.pass() }
    #expect(cluster.job("managed-by").object["status"] == .object(JSONObject()) && cluster.created.isEmpty)
  }

  // MARK: The API

  @Test("should apply changes to a job status")
  func status() throws {
    let cluster = try JobCluster()
    cluster.create("suspend-false-to-true", JobCluster.notTerminate)
    try cluster.waitRunning("suspend-false-to-true", 2)
    func condition(_ time: String) -> JSON {
      ["type": "CustomConditionType", "status": "True", "lastTransitionTime": .string(time)]
    }
    let patched = cluster.patch(
      .jobs, "suspend-false-to-true",
      [
        "metadata": ["annotations": ["patchedstatus": "true"]],
        "status": ["conditions": [condition("2026-01-02T03:04:05Z")]],
      ], subresource: "status")
    #expect(patched.code == 200, "\(patched.message)")
    #expect(patched.object[path: ["metadata", "annotations", "patchedstatus"]] == "true")
    #expect(
      patched.object[path: ["status", "conditions"]]?[0]?["lastTransitionTime"] == "2026-01-02T03:04:05Z")
    var whole = cluster.job("suspend-false-to-true").object
    whole[path: ["status", "conditions"]] = [condition("2026-01-02T03:04:06Z")]
    let updated = cluster.ask(
      APIRequest(
        verb: .update, kind: .jobs, namespace: "default", name: whole.name, subresource: "status", body: whole))
    #expect(updated.object[path: ["status", "conditions"]]?[0]?["lastTransitionTime"] == "2026-01-02T03:04:06Z")
    let read = cluster.ask(
      APIRequest(
        verb: .get, kind: .jobs, namespace: "default", name: "suspend-false-to-true", subresource: "status"))
    #expect(read.object[path: ["metadata", "uid"]] == whole[path: ["metadata", "uid"]])
    #expect(read.object.count("active") == 2)
  }

  @Test(
    "what a client writes wrongly into the status of a Job is put right, and a FailureTarget of a client's is acted on")
  func statusOfOthers() throws {
    let cluster = try JobCluster()
    cluster.create("written", JobCluster.notTerminate)
    try cluster.wait(for: "written", "ready with 2 pods") { $0.count("ready") == 2 }
    cluster.patch(.jobs, "written", ["status": ["active": 7, "ready": 1, "terminating": 3]], subresource: "status")
    let job = cluster.job("written").object
    #expect(job.count("active") == 2 && job.count("ready") == 2 && job.count("terminating") == 0)
    let target: JSON = [
      "type": "FailureTarget", "status": "True", "reason": "Mine", "message": "enough",
      "lastTransitionTime": "2026-01-02T03:04:05Z",
    ]
    cluster.patch(.jobs, "written", ["status": ["conditions": [target]]], subresource: "status")
    let failed = try cluster.wait(for: "written", "Failed", reason: "Mine")
    #expect(failed.count("failed") == 2 && failed.isAtRest)
  }

  @Test("should manage the lifecycle of a job")
  func lifecycle() throws {
    let cluster = try JobCluster()
    let made = cluster.create("e2e-life", JobCluster.allSucceed, Self.suspended) {
      $0[path: ["metadata", "labels"]] = ["e2e-job-label": "e2e-life"]
    }
    let patched = cluster.patch(.jobs, "e2e-life", ["metadata": ["labels": ["e2e-life": "patched"]]])
    #expect(patched.object[path: ["metadata", "labels", "e2e-life"]] == "patched")
    #expect(try #require(UInt64(made.resourceVersion)) < (try #require(UInt64(patched.resourceVersion))))
    var whole = cluster.job("e2e-life").object
    whole[path: ["spec", "suspend"]] = false
    whole[path: ["metadata", "annotations"]] = ["updated": "true"]
    let updated = cluster.ask(
      APIRequest(verb: .update, kind: .jobs, namespace: "default", name: "e2e-life", body: whole))
    #expect(updated.object[path: ["metadata", "annotations", "updated"]] == "true")
    var options = APIOptions()
    options.labelSelector = "e2e-job-label=e2e-life"
    #expect(cluster.ask(APIRequest(verb: .list, kind: .jobs, options: options)).itemNames == ["e2e-life"])
    try cluster.wait(for: "e2e-life", "Complete", reason: "CompletionsReached")
    var deletion = options
    deletion.propagationPolicy = "Background"
    cluster.ask(APIRequest(verb: .deletecollection, kind: .jobs, namespace: "default", options: deletion))
    #expect(cluster.ask(APIRequest(verb: .list, kind: .jobs, options: options)).items.isEmpty)
  }
}
