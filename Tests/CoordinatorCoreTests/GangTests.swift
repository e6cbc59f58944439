// Pods that are placed together or not at all: `stint.dev/gang`.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("gangs")
struct GangTests {
  private func create(
    _ cluster: JobCluster, _ name: String, pods: Int64, cpu: String = "3", gang: String = "true", _ spec: JSON = [:],
    pod: JSON = [:]
  ) {
    var members: JSON = ["parallelism": .int(pods), "completions": .int(pods)]
    for (key, value) in spec.objectValue ?? JSONObject() { members[key] = value }
    let containers: JSON = [
      [
        "name": "main", "image": "busybox", "command": ["true"], "resources": ["requests": ["cpu": .string(cpu)]],
      ]
    ]
    var rest: JSON = ["containers": containers]
    for (key, value) in pod.objectValue ?? JSONObject() { rest[key] = value }
    cluster.create(name, JobCluster.notTerminate, members, pod: rest) { job in
      job[path: ["metadata", "annotations", JobAnnotation.gang]] = .string(gang)
    }
  }

  /// The nodes of the Job's pods; empty for one that has none.
  private func nodes(_ cluster: JobCluster, _ name: String) -> [String] {
    cluster.pods(name).map { $0[path: ["spec", "nodeName"]]?.stringValue ?? "" }.sorted()
  }

  private func placed(_ cluster: JobCluster, _ name: String) -> Int { nodes(cluster, name).count { !$0.isEmpty } }

  private func message(_ cluster: JobCluster, _ name: String) -> String {
    let conditions = cluster.pods(name).first?[path: ["status", "conditions"]]?.arrayValue ?? []
    return conditions.first { $0["type"]?.stringValue == "PodScheduled" }?["message"]?.stringValue ?? ""
  }

  @Test("a gang that fits is placed at once; one that does not has no pod on a node and says how much of it fits")
  func allOrNone() throws {
    // Two nodes of 8 cpu: two pods of 3 each.
    let cluster = try JobCluster()
    create(cluster, "small", pods: 2)
    #expect(placed(cluster, "small") == 2)
    create(cluster, "large", pods: 3)
    for _ in 0..<5 { cluster.pass() }
    #expect(cluster.pods("large").count == 3)
    #expect(placed(cluster, "large") == 0)
    #expect(message(cluster, "large") == "0/2 nodes are available: gang of 3: only 2 fit.")
    cluster.delete(.jobs, "small", ["propagationPolicy": "Background"])
    try cluster.waitRunning("large", 3)
  }

  @Test("the nodes that take none of it are told with their reasons")
  func reasons() throws {
    let cluster = try JobCluster()
    create(cluster, "huge", pods: 2, cpu: "9")
    for _ in 0..<3 { cluster.pass() }
    #expect(message(cluster, "huge") == "0/2 nodes are available: gang of 2: only 0 fit, 2 Insufficient cpu.")
  }

  @Test("two gangs that fit one after the other never hold halves")
  func noDeadlock() throws {
    let cluster = try JobCluster()
    create(cluster, "first", pods: 4)
    create(cluster, "second", pods: 4)
    create(cluster, "third", pods: 4)
    for name in ["first", "second", "third"] {
      try cluster.waitRunning(name, 4)
      for other in ["first", "second", "third"] where other > name { #expect(placed(cluster, other) == 0) }
      cluster.delete(.jobs, name, ["propagationPolicy": "Background"])
    }
  }

  @Test("a plain Job of the same pods passes a gang that does not fit")
  func plain() throws {
    let cluster = try JobCluster()
    create(cluster, "large", pods: 5)
    create(cluster, "plain", pods: 3, gang: "false")
    #expect(placed(cluster, "large") == 0)
    #expect(placed(cluster, "plain") == 3)
  }

  @Test("what comes for a pod that failed is placed alone")
  func replacement() throws {
    let cluster = try JobCluster()
    create(cluster, "gang", pods: 4)
    try cluster.waitRunning("gang", 4)
    // Its room is taken meanwhile: nobody else's pod goes, and the others run on.
    let failed = try #require(cluster.pods("gang").first?.name)
    create(cluster, "other", pods: 1, gang: "false", [:], pod: ["priority": 0])
    cluster.delete(.pods, failed)
    try cluster.wait("the other's pod") { $0.pods("other", "Running").count == 1 || self.placed($0, "gang") == 4 }
    #expect(cluster.pods("gang", "Running").count >= 3)
    cluster.delete(.jobs, "other", ["propagationPolicy": "Background"])
    try cluster.waitRunning("gang", 4)
  }

  @Test("an Indexed gang, and one that grows while it waits, are as large as their Jobs say")
  func sizes() throws {
    let cluster = try JobCluster()
    create(cluster, "taken", pods: 2, cpu: "6")
    create(cluster, "indexed", pods: 3, cpu: "1", ["completionMode": "Indexed"])
    #expect(placed(cluster, "indexed") == 3)
    create(cluster, "grows", pods: 3, cpu: "1", ["completions": 4])
    for _ in 0..<3 { cluster.pass() }
    #expect(message(cluster, "grows") == "0/2 nodes are available: gang of 3: only 1 fit, 1 Insufficient cpu.")
    cluster.patch(.jobs, "grows", ["spec": ["parallelism": 4]])
    for _ in 0..<5 { cluster.pass() }
    #expect(message(cluster, "grows").contains("gang of 4: only 1 fit"))
    #expect(placed(cluster, "grows") == 0)
    // What is too large for the room may shrink into it.
    cluster.patch(.jobs, "grows", ["spec": ["parallelism": 1]])
    try cluster.waitRunning("grows", 1)
    cluster.patch(.jobs, "grows", ["spec": ["parallelism": 4]])
    cluster.delete(.jobs, "taken", ["propagationPolicy": "Background"])
    try cluster.waitRunning("grows", 4)
  }

  @Test("a gang whose pods keep apart fits as many nodes as there are")
  func apart() throws {
    let cluster = try JobCluster()
    let rule: JSON = [
      "podAntiAffinity": [
        "requiredDuringSchedulingIgnoredDuringExecution": [
          [
            "topologyKey": "kubernetes.io/hostname",
            "labelSelector": ["matchExpressions": [["key": "job-name", "operator": "Exists"]]],
          ]
        ]
      ]
    ]
    create(cluster, "three", pods: 3, cpu: "1", pod: ["affinity": rule])
    for _ in 0..<3 { cluster.pass() }
    #expect(placed(cluster, "three") == 0)
    #expect(message(cluster, "three").contains("gang of 3: only 2 fit"), "\(message(cluster, "three"))")
    create(cluster, "two", pods: 2, cpu: "1", pod: ["affinity": rule])
    #expect(nodes(cluster, "two") == ["node-0", "node-1"])
  }

  @Test("a gang waits whole for attempts that may still run, and is placed whole after its Job was suspended")
  func resumed() throws {
    let cluster = try JobCluster()
    cluster.stopSeconds = 20
    create(cluster, "gang", pods: 3)
    try cluster.waitRunning("gang", 3)
    cluster.patch(.jobs, "gang", ["spec": ["suspend": true]])
    cluster.patch(.jobs, "gang", ["spec": ["suspend": false]])
    cluster.pass()
    let fresh = cluster.pods("gang").filter { $0[path: ["metadata", "deletionTimestamp"]] == nil }
    #expect(fresh.count == 3)
    #expect(fresh.allSatisfy { $0[path: ["spec", "nodeName"]] == nil })
    try cluster.waitRunning("gang", 3)
  }

  /// An Indexed gang; what its indexes do is `behaviour`'s.
  private func createIndexed(
    _ cluster: JobCluster, _ spec: JSON, indexes: String? = nil, _ behaviour: @escaping JobCluster.Behaviour
  ) {
    var members: JSON = ["completionMode": "Indexed"]
    for (key, value) in spec.objectValue ?? JSONObject() { members[key] = value }
    cluster.create("gang", behaviour, members) { job in
      job[path: ["metadata", "annotations", JobAnnotation.gang]] = "true"
      if let indexes { job[path: ["metadata", "annotations", JobAnnotation.indexes]] = .string(indexes) }
    }
  }

  private func suspendAndResume(_ cluster: JobCluster) throws {
    cluster.patch(.jobs, "gang", ["spec": ["suspend": true]])
    try cluster.wait("the end of its pods") { $0.pods("gang", "Running").isEmpty }
    cluster.patch(.jobs, "gang", ["spec": ["suspend": false]])
  }

  @Test("the replacement of the last pod of a gang whose other indexes have succeeded waits for nobody")
  func lastOfIndexes() throws {
    let cluster = try JobCluster()
    cluster.stopSeconds = 5
    createIndexed(cluster, ["parallelism": 2, "completions": 2]) { $0.index == 0 ? .ends(0) : .runsOn }
    try cluster.wait(for: "gang", "half done") { $0.text("completedIndexes") == "0" }
    try cluster.waitRunning("gang", 1)
    let last = try #require(cluster.pods("gang", "Running").first?.name)
    cluster.delete(.pods, last)
    try cluster.wait("another pod") { $0.pods("gang", "Running").contains { $0.name != last } }
  }

  @Test("a gang that is resumed is as large as what is left of it: without what has succeeded")
  func resumedInPart() throws {
    let cluster = try JobCluster()
    createIndexed(cluster, ["parallelism": 3, "completions": 4]) { $0.index ?? 0 < 2 ? .ends(0) : .runsOn }
    try cluster.waitRunning("gang", 2)
    try suspendAndResume(cluster)
    try cluster.waitRunning("gang", 2)
  }

  @Test("and without indexes that have failed")
  func resumedWithFailures() throws {
    let cluster = try JobCluster()
    createIndexed(cluster, ["parallelism": 3, "completions": 3, "backoffLimitPerIndex": 0]) {
      $0.index == 1 ? .ends(1) : .runsOn
    }
    try cluster.wait(for: "gang", "failed in part") { $0.text("failedIndexes") == "1" }
    try suspendAndResume(cluster)
    try cluster.waitRunning("gang", 2)
  }

  @Test("a gang of chosen indexes is as large as they are many", arguments: ["3,7", "5"])
  func chosen(indexes: String) throws {
    let cluster = try JobCluster()
    createIndexed(cluster, ["parallelism": 4, "completions": 10], indexes: indexes, JobCluster.notTerminate)
    try cluster.waitRunning("gang", indexes.split(separator: ",").count)
  }

  @Test("a gang without completions of which one has succeeded takes no new pods, and ends with those that it has")
  func withoutCompletions() throws {
    let cluster = try JobCluster()
    cluster.create("gang", { $0.before == 0 ? .ends(0) : .runsOn }, ["parallelism": 3, "completions": .null]) { job in
      job[path: ["metadata", "annotations", JobAnnotation.gang]] = "true"
    }
    try cluster.wait(for: "gang", "done by one") { $0.count("succeeded") == 1 }
    try suspendAndResume(cluster)
    try cluster.wait(for: "gang", "Complete", reason: "CompletionsReached")
  }

  @Test("a gang that waits for its own earlier attempts says so, and is placed once they have ended")
  func says() throws {
    let cluster = try JobCluster()
    cluster.stopSeconds = 20
    create(cluster, "gang", pods: 3, pod: ["terminationGracePeriodSeconds": 30])
    try cluster.waitRunning("gang", 3)
    cluster.patch(.jobs, "gang", ["spec": ["suspend": true]])
    cluster.patch(.jobs, "gang", ["spec": ["suspend": false]])
    for _ in 0..<4 { cluster.pass() }
    #expect(waiting(cluster, "gang").contains { $0.contains("gang of 3: 3 attempts of earlier pods of the Job may") })
    try cluster.waitRunning("gang", 3)
  }

  @Test("a gang of which some pods are behind gates says for whom the others wait")
  func gated() throws {
    let cluster = try JobCluster()
    create(cluster, "gang", pods: 2, pod: ["schedulingGates": [["name": "example.com/later"]]])
    let names = cluster.pods("gang").map(\.name)
    cluster.patch(.pods, names[0], ["spec": ["schedulingGates": .null]])
    for _ in 0..<4 { cluster.pass() }
    #expect(placed(cluster, "gang") == 0)
    #expect(waiting(cluster, "gang").contains("gang of 2: 1 of its pods may be placed: all are placed together"))
    cluster.patch(.pods, names[1], ["spec": ["schedulingGates": .null]])
    try cluster.waitRunning("gang", 2)
  }

  /// What its pods without a node say.
  private func waiting(_ cluster: JobCluster, _ name: String) -> [String] {
    cluster.pods(name).filter { $0[path: ["spec", "nodeName"]] == nil }.map { pod in
      let conditions = pod[path: ["status", "conditions"]]?.arrayValue ?? []
      return conditions.first { $0["type"]?.stringValue == "PodScheduled" }?["message"]?.stringValue ?? ""
    }
  }

  @Test("a gang is never made in part where waiting pods are limited")
  func allowance() throws {
    var configuration = CoordinatorConfiguration()
    configuration.waitingPodLimit = 5
    configuration.waitingPodsOfJob = 2
    var driver = try WorkloadsDriver(configuration)
    for name in ["a", "b", "c"] {
      driver.createJob(name, annotations: [JobAnnotation.gang: "true"], ["parallelism": 4, "completions": 4])
    }
    #expect([driver.pods("a").count, driver.pods("b").count] == [4, 4])
    #expect(driver.pods("c").isEmpty)
  }

  @Test(
    "a value that means nothing, or a gang that is too large, is refused",
    arguments: [("yes", 2, "must be"), ("true", 1_001, "a gang has no more than 1000 pods"), ("", 2, "must be")])
  func refused(_ value: String, _ pods: Int64, _ why: String) throws {
    let harness = try APIHarness()
    var job = Manifest.job("j", spec: ["parallelism": .int(pods)])
    job[path: ["metadata", "annotations", JobAnnotation.gang]] = .string(value)
    let answer = harness.create(.jobs, job)
    #expect(answer.code == 422 && answer.message.contains(why), "\(answer.message)")
    job[path: ["metadata", "annotations", JobAnnotation.gang]] = "true"
    job[path: ["spec", "parallelism"]] = 2
    #expect(harness.create(.jobs, job).code == 201)
    let changed = harness.patch(.jobs, "j", .merge, ["metadata": ["annotations": ["stint.dev/gang": .null]]])
    #expect(changed.code == 422 && changed.message.contains("field is immutable"), "\(changed.message)")
  }
}
