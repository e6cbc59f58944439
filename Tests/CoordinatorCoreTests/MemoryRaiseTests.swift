// More memory for the attempt after an OOMKilled one: `stint.dev/oom-memory`, of Jobs as a whole and of each index.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("more memory after OOMKilled")
struct MemoryRaiseTests {
  private static let gibi: Int64 = 1 << 30
  private static let resources: JSON = ["requests": ["memory": "512Mi", "cpu": "1"], "limits": ["memory": "1Gi"]]

  private func raised(_ text: String, _ bytes: Int64, _ times: Int64) throws -> Int64 {
    try MemoryRaise(text: text).raised(bytes, times: times)
  }

  @Test(
    "a text that is no rule says what is wrong",
    arguments: [
      ("", "must be xFACTOR:BOUND"), ("x2", "must be xFACTOR:BOUND"), ("2:16Gi", "must be xFACTOR:BOUND"),
      ("x2:16Gi:1", "must be xFACTOR:BOUND"), ("x:16Gi", "the factor must be"), ("x1:16Gi", "the factor must be"),
      ("x0.5:16Gi", "the factor must be"), ("x-2:16Gi", "the factor must be"), ("x101:1Gi", "the factor must be"),
      ("x1e3:16Gi", "the factor must be"), ("x2:", "the bound must be"), ("x2:0", "the bound must be"),
      ("x2:-1Gi", "the bound must be"), ("x2:much", "the bound must be"), ("x2: 1Gi", "the bound must be"),
      ("x22222222222222222222:1Gi", "must be xFACTOR:BOUND"),
    ])
  func refused(_ text: String, _ why: String) {
    #expect { try MemoryRaise(text: text) } throws: { ($0 as? MemoryRaise.Problem)?.text.hasPrefix(why) == true }
  }

  @Test("memory grows by the factor up to the bound, never less than it was, whatever the numbers")
  func grows() throws {
    let rule = try MemoryRaise(text: "x2:16Gi")
    #expect((0...6).map { rule.raised(Self.gibi, times: $0) / Self.gibi } == [1, 2, 4, 8, 16, 16, 16])
    #expect(rule.raises(from: Self.gibi) == 4 && rule.raises(from: 16 * Self.gibi) == 0 && rule.raises(from: 0) == 0)
    #expect(try raised("x1.5:1Gi", 100, 2) == 225 && raised("x1.001:1Gi", 1, 3) == 4)
    #expect(try raised("x2:1Gi", 4 * Self.gibi, 5) == 4 * Self.gibi)
    #expect(try raised("x100:9223372036854775807", Int64.max - 1, Int64.max) == Int64.max)
    #expect(try raised("x2:16Gi", -1, 3) == -1 && raised("x2:16Gi", 0, 3) == 0 && raised("x2:4Gi", 7, Int64.min) == 7)
    #expect(try MemoryRaise(text: "x1.001:8Ei").raises(from: 1) == MemoryRaise.most)
  }

  @Test("of a spec the containers with a memory limit grow, request and limit, and all else stays")
  func spec() throws {
    let rule = try MemoryRaise(text: "x2:3Gi")
    let spec: JSON = [
      "restartPolicy": "Never",
      "initContainers": [["name": "i", "resources": ["limits": ["memory": "1Gi"]]]],
      "containers": [
        ["name": "a", "resources": Self.resources],
        ["name": "b", "resources": ["requests": ["memory": "1Gi"]]], ["name": "c"],
        ["name": "d", "resources": ["limits": ["memory": 1_073_741_824]]],
        ["name": "e", "resources": ["limits": ["memory": "much"]]],
      ],
    ]
    var wanted = spec
    wanted["initContainers"] = [["name": "i", "resources": ["limits": ["memory": "3Gi"]]]]
    var containers = spec["containers"]?.arrayValue ?? []
    containers[0]["resources"] = ["requests": ["memory": "2Gi", "cpu": "1"], "limits": ["memory": "3Gi"]]
    containers[3]["resources"] = ["limits": ["memory": "3Gi"]]
    wanted["containers"] = .array(containers)
    #expect(rule.raised(spec, times: 2) == wanted)
    #expect(rule.raised(spec, times: 0) == spec)
  }

  // Jobs.

  private func end(_ driver: inout WorkloadsDriver, _ pod: Pod, _ reason: String, code: Int64 = 137) {
    let stamp = driver.core.stamp
    driver.core.updatePod(pod.meta.key) { pod in
      pod.nodeName = "node-1"
      pod.status.phase = code == 0 ? .succeeded : .failed
      pod.status.containers = [
        ContainerStatus(
          name: "main", image: "busybox",
          state: .terminated(
            ContainerState.Termination(
              exitCode: code, signal: 0, reason: reason, startedAt: stamp, finishedAt: stamp)))
      ]
    }
    driver.core.podAttemptEnded(pod.meta.key, podUID: pod.meta.uid)
    driver.settle()
  }

  private func memory(_ pod: Pod) -> [String] {
    let resources = pod.spec.json["containers"]?[0]?["resources"]
    return ["requests", "limits"].map { resources?[path: [$0, "memory"]]?.stringValue ?? "" }
  }

  private func job(
    _ driver: inout WorkloadsDriver, rule: String? = "x2:3Gi", _ members: [String: JSON] = [:]
  ) {
    var annotations: StringMap = [JobAnnotation.backoff: "initial=1s,factor=1"]
    annotations[JobAnnotation.oomMemory] = rule
    driver.createJob(
      "j", resources: Self.resources, annotations: annotations,
      ["backoffLimit": 100].merging(members) { $1 })
  }

  private func pod(_ driver: inout WorkloadsDriver) throws -> Pod {
    driver.advance(seconds: 1)
    return try #require(driver.activePods("j").first)
  }

  @Test("without the annotation an OOMKilled pod's successor asks for what it asked for")
  func without() throws {
    var driver = try WorkloadsDriver()
    job(&driver, rule: nil)
    end(&driver, try pod(&driver), "OOMKilled")
    let next = try pod(&driver)
    #expect(memory(next) == ["512Mi", "1Gi"] && next.meta.annotations[JobAnnotation.memoryRaises] == nil)
  }

  @Test("each OOMKilled pod's successor asks for more up to the bound; other failures raise nothing and lower nothing")
  func raises() throws {
    var driver = try WorkloadsDriver()
    job(&driver)
    end(&driver, try pod(&driver), "Error", code: 1)
    var next = try pod(&driver)
    #expect(memory(next) == ["512Mi", "1Gi"])
    end(&driver, next, "OOMKilled")
    next = try pod(&driver)
    #expect(memory(next) == ["1Gi", "2Gi"] && next.meta.annotations[JobAnnotation.memoryRaises] == "1")
    #expect(
      driver.events("j").contains(
        "MemoryRaised Pod \(next.meta.name) asks for 1Gi of memory instead of 512Mi: "
          + "the attempt before it was OOMKilled"
      ), "\(driver.events("j"))")
    end(&driver, next, "Error", code: 1)
    next = try pod(&driver)
    #expect(memory(next) == ["1Gi", "2Gi"])
    end(&driver, next, "OOMKilled")
    next = try pod(&driver)
    #expect(memory(next) == ["2Gi", "3Gi"])
    for _ in 0..<3 {
      end(&driver, next, "OOMKilled")
      next = try pod(&driver)
    }
    #expect(memory(next) == ["3Gi", "3Gi"])
    #expect(next.spec.memoryBytes == 3 * Self.gibi)
  }

  @Test("pods that run side by side and are killed for the same memory are one raise, and a restart forgets nothing")
  func sideBySide() throws {
    var driver = try WorkloadsDriver()
    job(&driver, rule: "x2:64Gi", ["parallelism": 3, "completions": 3])
    for pod in driver.activePods("j") { end(&driver, pod, "OOMKilled") }
    try driver.restart()
    driver.advance(seconds: 1)
    let pods = driver.activePods("j")
    #expect(pods.count == 3 && pods.allSatisfy { memory($0) == ["1Gi", "2Gi"] })
    #expect(pods.dropFirst().allSatisfy { $0.spec === pods[0].spec }, "pods of one memory share their spec")
    end(&driver, pods[0], "Completed", code: 0)
    for pod in pods.dropFirst() { end(&driver, pod, "OOMKilled") }
    driver.advance(seconds: 1)
    #expect(driver.activePods("j").allSatisfy { memory($0) == ["2Gi", "4Gi"] })
  }

  private static let indexed: [String: JSON] = [
    "completionMode": "Indexed", "completions": 3, "parallelism": 3, "backoffLimitPerIndex": 9,
  ]

  @Test("with a limit for each index an index has its own memory, also after a restart")
  func perIndex() throws {
    var driver = try WorkloadsDriver()
    job(&driver, Self.indexed)
    func index(_ pod: Pod) -> Int64 { Slot.index(of: pod) ?? -1 }
    for pod in driver.activePods("j") where index(pod) != 1 {
      end(&driver, pod, index(pod) == 0 ? "OOMKilled" : "Error", code: index(pod) == 0 ? 137 : 1)
    }
    try driver.restart()
    driver.advance(seconds: 1)
    func memories() -> [Int64: [String]] {
      Dictionary(uniqueKeysWithValues: driver.activePods("j").map { (index($0), memory($0)) })
    }
    #expect(memories() == [0: ["1Gi", "2Gi"], 1: ["512Mi", "1Gi"], 2: ["512Mi", "1Gi"]])
    for pod in driver.activePods("j") where index(pod) == 0 { end(&driver, pod, "OOMKilled") }
    driver.advance(seconds: 1)
    #expect(memories()[0] == ["2Gi", "3Gi"] && memories()[1] == ["512Mi", "1Gi"])
    let variables = driver.activePods("j").map { $0.spec.json["containers"]?[0]?["env"]?[0]?["name"]?.stringValue }
    #expect(variables == Array(repeating: "JOB_COMPLETION_INDEX", count: 3))
  }

  @Test("indexes without a limit of their own share the Job's memory")
  func sharedIndexes() throws {
    var driver = try WorkloadsDriver()
    var members = Self.indexed
    members["backoffLimitPerIndex"] = nil
    job(&driver, members)
    end(&driver, try #require(driver.activePods("j").first), "OOMKilled")
    driver.advance(seconds: 1)
    #expect(driver.activePods("j").map(memory).filter { $0 == ["1Gi", "2Gi"] }.count == 1)
  }

  @Test("a template's or a person's own count of raises is not believed beyond its bounds")
  func foreignCounts() throws {
    var driver = try WorkloadsDriver()
    job(&driver)
    for (text, wanted) in [("-5", ["1Gi", "2Gi"]), ("x", ["1Gi", "2Gi"]), ("9223372036854775807", ["3Gi", "3Gi"])] {
      var driver = driver
      let pod = try self.pod(&driver)
      driver.core.updatePod(pod.meta.key) { $0.meta.annotations[JobAnnotation.memoryRaises] = text }
      end(&driver, try #require(driver.activePods("j").first), "OOMKilled")
      #expect(memory(try self.pod(&driver)) == wanted, "\(text)")
    }
  }

  @Test("a Job that has ended leaves no record")
  func forgotten() throws {
    var driver = try WorkloadsDriver()
    job(&driver)
    end(&driver, try pod(&driver), "OOMKilled")
    let uid = try driver.job("j").meta.uid
    #expect(driver.jobRecord(uid) != nil)
    end(&driver, try pod(&driver), "Completed", code: 0)
    #expect(driver.jobRecord(uid) == nil)
  }

  @Test("a quota holds for what is raised: the next pod waits, and says why")
  func quota() throws {
    var harness = try FleetHarness()
    func create(_ kind: Kind, _ body: JSON) {
      harness.step([.request(900, APIRequest(verb: .create, kind: kind, namespace: "default", body: body))])
    }
    create(.resourcequotas, ["metadata": ["name": "q"], "spec": ["hard": ["limits.memory": "3Gi"]]])
    var job = Manifest.job("j", spec: ["backoffLimit": 9])
    job[path: ["metadata", "annotations"]] = [
      JobAnnotation.oomMemory: "x2:64Gi", JobAnnotation.backoff: "initial=0s",
    ]
    var containers = job[path: ["spec", "template", "spec", "containers"]]?.arrayValue ?? []
    containers[0]["resources"] = Self.resources
    job[path: ["spec", "template", "spec", "containers"]] = .array(containers)
    create(.jobs, job)
    func pods() -> [Pod] {
      var state = harness.core.state
      return state.keys(of: .pods).compactMap { state.pods[$0] }.filter { !$0.status.phase.isTerminal }
    }
    for limit in ["1Gi", "2Gi"] {
      let pod = try #require(pods().first)
      #expect(memory(pod)[1] == limit)
      let stamp = harness.core.stamp
      harness.core.updatePod(pod.meta.key) { pod in
        pod.status.phase = .failed
        pod.status.containers = [
          ContainerStatus(
            name: "c", image: "busybox",
            state: .terminated(
              ContainerState.Termination(
                exitCode: 137, signal: 9, reason: "OOMKilled", startedAt: stamp, finishedAt: stamp)))
        ]
      }
      harness.core.podAttemptEnded(pod.meta.key, podUID: pod.meta.uid)
      for _ in 0..<5 { harness.step([.timer]) }
    }
    #expect(pods().isEmpty)
    #expect(harness.events("FailedCreate").contains { $0.contains("exceeded quota: q, requested: limits.memory=4Gi") })
  }

  @Test("a rule that means nothing, or pods that restart in place, are refused at the API")
  func api() throws {
    let harness = try APIHarness()
    func make(_ rule: String, _ policy: String) -> (Int?, String) {
      var job = Manifest.job("j", spec: .object(JSONObject()))
      job[path: ["metadata", "annotations"]] = [JobAnnotation.oomMemory: .string(rule)]
      job[path: ["spec", "template", "spec", "restartPolicy"]] = .string(policy)
      let answer = harness.create(.jobs, job)
      return (answer.code, answer.message)
    }
    #expect(make("x1:1Gi", "Never").1.contains("[stint.dev/oom-memory]: Invalid value: \"x1:1Gi\": the factor must be"))
    #expect(make("x2:1Gi", "OnFailure").1.contains("requires restartPolicy: Never"))
    #expect(make("x2:1Gi", "Never").0 == 201)
  }
}
