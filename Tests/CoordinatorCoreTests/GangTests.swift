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
