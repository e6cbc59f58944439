// What is left of a Job's failed pods when they are gone: the lines in its annotation and its events.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("what is kept of failed pods")
struct JobFailureRecordTests {
  private func lines(_ driver: WorkloadsDriver, _ job: String) throws -> [String] {
    let text = try driver.job(job).meta.annotations[JobAnnotation.failures] ?? ""
    return text.split(separator: "\n").map(String.init)
  }

  /// Ends a pod as an agent's report would, on a node, with a code and a message.
  private func fail(
    _ driver: inout WorkloadsDriver, _ pod: Pod, code: Int64, message: String = "", signal: Int64 = 0
  ) {
    let stamp = driver.core.stamp
    driver.core.updatePod(pod.meta.key) { pod in
      pod.nodeName = "node-7"
      pod.status.phase = .failed
      pod.status.containers = [
        ContainerStatus(
          name: "main", image: "busybox",
          state: .terminated(
            ContainerState.Termination(
              exitCode: code, signal: signal, reason: "Error", message: message, startedAt: stamp, finishedAt: stamp)))
      ]
    }
    driver.core.podAttemptEnded(pod.meta.key, podUID: pod.meta.uid)
    driver.settle()
  }

  @Test("a failed pod's node, container, code, reason and message stand in the Job and its events when the pod is gone")
  func outlivesPod() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("j", ["completions": 2, "completionMode": "Indexed"])
    let pod = try #require(driver.activePods("j").first)
    fail(&driver, pod, code: 3, message: "no space left\non device")
    let what = "container main exited with 3 (Error): no space left on device"
    let line = "\(driver.core.stamp.rfc3339) \(pod.meta.name) index 0 on node-7: \(what)"
    #expect(try lines(driver, "j") == [line])
    #expect(driver.events("j").contains("PodFailed Pod \(pod.meta.name) of index 0 on node-7 failed: \(what)"))
    driver.deletePod(pod, graceSeconds: 0)
    try driver.restart()
    #expect(driver.core.state.pods[pod.meta.key] == nil)
    #expect(try lines(driver, "j") == [line])
    #expect(try driver.job("j").json[path: ["status", "failed"]] == 1, "the status has Kubernetes' members only")
  }

  @Test("the last ten failures are kept, the oldest first, and a Job without failures has no such annotation")
  func bounded() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("j", ["backoffLimit": 100, "parallelism": 30, "completions": 30])
    #expect(try driver.job("j").meta.annotations.isEmpty)
    for (code, pod) in driver.activePods("j").prefix(14).enumerated() {
      fail(&driver, pod, code: Int64(code + 1), message: String(repeating: "x", count: 5_000))
      driver.advance(seconds: 1)
    }
    let kept = try lines(driver, "j")
    #expect(kept.count == JobFailures.limit)
    #expect(kept.first?.contains("exited with 5 (Error)") == true && kept.last?.contains("exited with 14 (") == true)
    #expect(kept.allSatisfy { $0.utf8.count < 400 && $0.hasSuffix("xx…") })
    let told = driver.events("j").filter { $0.hasPrefix("PodFailed ") }
    #expect(told.count == EventIndex.distinctLimit + 1, "the rest is combined")
  }

  @Test("siblings that the failing Job stops do not push the cause out of the record")
  func siblings() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("j", ["backoffLimit": 0, "parallelism": 20, "completions": 20])
    let pods = driver.activePods("j")
    for pod in pods { driver.run(pod) }
    fail(&driver, pods[0], code: 42)
    for pod in pods.dropFirst() { fail(&driver, pod, code: 143) }
    #expect(try driver.reason("j", "Failed") == "BackoffLimitExceeded")
    let kept = try lines(driver, "j")
    #expect(kept.count == 1 && kept.first?.contains("exited with 42") == true)
  }

  @Test("a pod that was deleted and counted is told of when it has ended, with its code, once")
  func deletedByHand() throws {
    var harness = try FleetHarness.joined(["a"])
    var meta = ObjectMeta()
    meta.namespace = "default"
    meta.name = "j"
    let spec: JSON = [
      "parallelism": 1, "completions": 1, "backoffLimit": 6, "podReplacementPolicy": "TerminatingOrFailed",
      "template": ["spec": ["restartPolicy": "Never", "containers": [["name": "c", "command": ["true"]]]]],
    ]
    harness.core.insert(.job(Job(meta: meta, spec: JobSpec(json: spec))))
    harness.step([])
    let number = try #require(harness.core.fleet.attempts.keys.first)
    let key = try #require(harness.core.fleet.attempts[number]).pod
    harness.report("a", number, revision: 1, .running)
    harness.core.deletePod(key, graceSeconds: 30)
    harness.step([])
    let job = ObjectKey(namespace: "default", name: "j")
    func record() -> String { harness.core.state.jobs[job]?.meta.annotations[JobAnnotation.failures] ?? "" }
    #expect(harness.core.state.jobs[job]?.status.failed == 1)
    #expect(record().hasSuffix("\(key.name) on a: deleted before it ended"))
    harness.report("a", number, revision: 2, .failed)
    #expect(harness.core.state.pods[key] == nil)
    #expect(record().split(separator: "\n").count == 1)
    #expect(record().hasSuffix("\(key.name) on a: deleted; no container of it ended"))
  }

  @Test("restarts that fail a Job leave how the container ended before the last of them")
  func restarts() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("j", restartPolicy: "OnFailure", ["backoffLimit": 1])
    let pod = try #require(driver.activePods("j").first)
    let stamp = driver.core.stamp
    driver.core.updatePod(pod.meta.key) { pod in
      pod.nodeName = "node-1"
      pod.status.phase = .running
      pod.status.containers = [
        ContainerStatus(
          name: "main", image: "busybox", state: .running(startedAt: stamp),
          lastTermination: ContainerState.Termination(
            exitCode: 137, signal: 9, reason: "OOMKilled", startedAt: stamp, finishedAt: stamp), restartCount: 1)
      ]
    }
    driver.settle()
    #expect(try driver.reason("j", "Failed") == "BackoffLimitExceeded")
    #expect(
      try lines(driver, "j") == [
        "\(stamp.rfc3339) \(pod.meta.name) on node-1: container main exited with 137 by signal 9 (OOMKilled); "
          + "restarted 1 times"
      ])
  }

  @Test("a restart that fails a Job before the next run has begun leaves how the container ended")
  func restartsAtOnce() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("j", restartPolicy: "OnFailure", ["backoffLimit": 0])
    let pod = try #require(driver.activePods("j").first)
    let stamp = driver.core.stamp
    let end = ContainerState.Termination(
      exitCode: 3, signal: 0, reason: "Error", startedAt: stamp, finishedAt: stamp)
    driver.core.updatePod(pod.meta.key) { pod in
      pod.nodeName = "node-1"
      pod.status.phase = .running
      pod.status.containers = [
        ContainerStatus(name: "main", image: "busybox", state: .terminated(end), restartCount: 1)
      ]
    }
    driver.settle()
    #expect(
      try lines(driver, "j") == [
        "\(stamp.rfc3339) \(pod.meta.name) on node-1: container main exited with 3 (Error); restarted 1 times"
      ])
  }

  @Test("a pod that waits for its index's next one is told of once, also across a restart of the coordinator")
  func heldOnce() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("j", ["completions": 1, "completionMode": "Indexed", "backoffLimitPerIndex": 3])
    fail(&driver, try #require(driver.activePods("j").first), code: 5)
    try driver.restart()
    driver.advance(seconds: 11)
    #expect(driver.activePods("j").count == 1)
    #expect(try lines(driver, "j").count == 1)
    #expect(driver.events("j").filter { $0.hasPrefix("PodFailed ") }.count == 1)
  }

  @Test("a pod lost with its node is kept with the reason, though it is not charged")
  func lost() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("j")
    driver.end(try #require(driver.activePods("j").first), succeeded: false, lost: true)
    #expect(try lines(driver, "j").first?.contains(": DeletionByTaintManager; container main exited with 1") == true)
    #expect(try driver.status("j").failed == 0)
  }

  @Test("clients neither write the record nor take it away, and a copy of the Job begins without it")
  func clients() throws {
    let harness = try APIHarness()
    var manifest = Manifest.job("j")
    manifest[path: ["metadata", "annotations"]] = [.init(stringLiteral: "stint.dev/last-failures"): "forged", "a": "b"]
    #expect(harness.create(.jobs, manifest).code == 201)
    func record() -> JSON? {
      harness.get(.jobs, "j").object[path: ["metadata", "annotations", JobAnnotation.failures]]
    }
    #expect(record() == nil)
    harness.core.updateJob(ObjectKey(namespace: "default", name: "j")) {
      $0.meta.annotations[JobAnnotation.failures] = "a line"
    }
    let given: [JSON] = [.null, "forged"]
    for value in given {
      let answer = harness.patch(
        .jobs, "j", .merge, ["metadata": ["annotations": ["stint.dev/last-failures": value]]])
      #expect(answer.code == 200)
      #expect(record() == "a line")
    }
  }
}
