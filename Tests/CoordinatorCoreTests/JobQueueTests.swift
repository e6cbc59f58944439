// Jobs in queues: `stint.dev/queue` and the Queue object.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("queues of Jobs")
struct JobQueueTests {
  private func queue(_ name: String = "q", _ spec: JSON) -> JSON {
    ["metadata": ["name": .string(name)], "spec": spec]
  }

  private func job(
    _ name: String, in queue: String? = "q", after: String? = nil, cpu: String? = nil, spec: JSON = [:]
  ) -> JSON {
    var job = Manifest.job(name, spec: spec)
    if let queue { job[path: ["metadata", "annotations", JobAnnotation.queue]] = .string(queue) }
    if let after { job[path: ["metadata", "annotations", JobAnnotation.dependsOn]] = .string(after) }
    if let cpu, var container = job[path: ["spec", "template", "spec", "containers"]]?.arrayValue?.first {
      container[path: ["resources", "requests", "cpu"]] = .string(cpu)
      job[path: ["spec", "template", "spec", "containers"]] = [container]
    }
    return job
  }

  private func make(_ spec: JSON?) throws -> APIHarness {
    let harness = try APIHarness()
    for name in ["a", "b"] { harness.create(.namespaces, ["metadata": ["name": .string(name)]], namespace: "") }
    if let spec { #expect(harness.create(.queues, queue("q", spec), namespace: "").code == 201) }
    return harness
  }

  private func admission(_ harness: APIHarness, _ name: String, namespace: String = "default") -> String {
    let conditions = harness.get(.jobs, name, namespace: namespace).object[path: ["status", "conditions"]]?.arrayValue
    let found = conditions?.first { $0["type"]?.stringValue == JobAdmission.condition }
    guard let found else { return "none" }
    return ["status", "reason", "message"].map { found[$0]?.stringValue ?? "" }.joined(separator: " ")
  }

  /// Names of the Jobs that have pods, by namespace and name.
  private func running(_ harness: APIHarness) -> [String] {
    let pods = harness.ask(APIRequest(verb: .list, kind: .pods)).items
    let ended = ["Succeeded", "Failed"]
    let names = pods.compactMap { pod -> String? in
      if ended.contains(pod[path: ["status", "phase"]]?.stringValue ?? "") { return nil }
      let namespace = pod[path: ["metadata", "namespace"]]?.stringValue ?? ""
      let job = pod[path: ["metadata", "labels", "job-name"]]?.stringValue ?? ""
      return namespace == "default" ? job : "\(namespace)/\(job)"
    }
    return Set(names).sorted()
  }

  /// All pods of the Job succeed.
  private func finish(_ harness: APIHarness, _ name: String, namespace: String = "default") {
    var state = harness.core.state
    for key in state.keys(of: .pods, in: namespace) {
      guard let pod = harness.core.state.pods[key], pod.meta.labels["job-name"] == name else { continue }
      harness.core.updatePod(key) { $0.status.phase = .succeeded }
      harness.core.podAttemptEnded(key, podUID: pod.meta.uid)
    }
    for _ in 0..<5 { harness.step([.timer]) }
  }

  private func counts(_ harness: APIHarness) -> String {
    let status = harness.get(.queues, "q", namespace: "").object["status"]
    return "\(status?["waiting"]?.intValue ?? -1) waiting, \(status?["running"]?.intValue ?? -1) running"
  }

  @Test("Jobs of a queue run as far as its limit goes, in the order of their creation, and the others have no pods")
  func limit() throws {
    let harness = try make(["limits": ["jobs": "2"]])
    for number in 0..<5 { #expect(harness.create(.jobs, job("j\(number)")).code == 201) }
    #expect(running(harness) == ["j0", "j1"])
    #expect(counts(harness) == "3 waiting, 2 running")
    #expect(admission(harness, "j0") == "True Admitted The Job is admitted by queue q")
    #expect(admission(harness, "j2") == "False Queued The Job waits in queue q: place 1 of 3")
    #expect(admission(harness, "j4") == "False Queued The Job waits in queue q: place 3 of 3")
    #expect(harness.get(.jobs, "j4").object[path: ["status", "startTime"]] == nil)
    finish(harness, "j1")
    #expect(running(harness) == ["j0", "j2"])
    #expect(admission(harness, "j4") == "False Queued The Job waits in queue q: place 2 of 2")
    harness.delete(.jobs, "j3")
    harness.delete(.jobs, "j0") { $0.propagationPolicy = "Background" }
    #expect(running(harness).contains("j4"))
    #expect(counts(harness) == "0 waiting, 2 running")
  }

  @Test("what was admitted stays so across a restart, and who waits keeps the place")
  func restart() throws {
    let harness = try make(["limits": ["jobs": "1"]])
    for number in (0..<6).reversed() { harness.create(.jobs, job("j\(number)")) }
    try harness.restart()
    #expect(running(harness) == ["j5"])
    #expect(counts(harness) == "5 waiting, 1 running")
    for number in (0..<5).reversed() {
      #expect(admission(harness, "j\(number)").hasSuffix("place \(5 - number) of 5"))
    }
    finish(harness, "j5")
    try harness.restart()
    #expect(running(harness) == ["j4"])
  }

  @Test(
    "each amount is limited: pods, cpu, memory and extended resources",
    arguments: [
      (["pods": "3"] as JSON, "1", 1), (["cpu": "5"] as JSON, "1", 2), (["cpu": "3900m"] as JSON, "1", 1),
      (["memory": "1Gi"] as JSON, "1", 4), (["example.com/gpu": "0"] as JSON, "1", 4),
    ])
  func amounts(_ limits: JSON, _ cpu: String, _ most: Int) throws {
    let harness = try make(["limits": limits])
    for number in 0..<4 {
      harness.create(.jobs, job("j\(number)", cpu: cpu, spec: ["parallelism": 2, "completions": 5]))
    }
    #expect(running(harness).count == most)
  }

  @Test(
    "the head waits for room and no smaller Job passes it; one that never fits holds up nobody"
  )
  func head() throws {
    let harness = try make(["limits": ["cpu": "4"]])
    harness.create(.jobs, job("first", cpu: "3"))
    harness.create(.jobs, job("large", cpu: "4"))
    harness.create(.jobs, job("never", cpu: "5"))
    harness.create(.jobs, job("small", cpu: "1"))
    #expect(running(harness) == ["first"])
    #expect(
      admission(harness, "never")
        == "False QueueTooSmall The Job never fits into queue q: it asks for cpu 5, the limit is 4")
    #expect(admission(harness, "small") == "False Queued The Job waits in queue q: place 2 of 2")
    finish(harness, "first")
    #expect(running(harness) == ["large"])
    finish(harness, "large")
    #expect(running(harness) == ["small"])
    harness.patch(.queues, "q", .merge, ["spec": ["limits": ["cpu": "6"]]])
    #expect(running(harness) == ["never", "small"])
  }

  @Test("an amount that is more than can be counted is not said as one that was asked for")
  func uncountable() throws {
    let harness = try make(["limits": ["cpu": "4"]])
    harness.create(.jobs, job("never", cpu: "9000000000000000000"))
    #expect(admission(harness, "never").contains("asks for cpu at least 9223372036854775807m, the limit is 4"))
  }

  @Test("what waits for a node is placed by its queue's priority, whoever came first")
  func priority() throws {
    let cluster = try JobCluster(nodes: 1, cpuMillicores: 1_000)
    for (name, priority) in [("low", -5), ("high", 5)] as [(String, Int64)] {
      let made = cluster.ask(
        APIRequest(verb: .create, kind: .queues, body: queue(name, ["priority": .int(priority), "limits": [:]])))
      #expect(made.code == 201, "\(made.message)")
    }
    for (name, queue) in [("running", nil), ("first", "low"), ("second", nil), ("third", "high")] as [(String, String?)]
    {
      let containers: JSON = [
        ["name": "main", "image": "busybox", "command": ["true"], "resources": ["requests": ["cpu": "1"]]]
      ]
      cluster.create(
        name, name == "running" ? JobCluster.notTerminate : JobCluster.allSucceed, ["completions": 1],
        pod: ["containers": containers]
      ) { if let queue { $0[path: ["metadata", "annotations", JobAnnotation.queue]] = .string(queue) } }
    }
    cluster.delete(.jobs, "running", ["propagationPolicy": "Background"])
    var ended: [String] = []
    for _ in 0..<60 where ended.count < 3 {
      cluster.pass()
      for name in ["first", "second", "third"] where !ended.contains(name) {
        if cluster.job(name).object[path: ["status", "completionTime"]] != nil { ended.append(name) }
      }
    }
    #expect(ended == ["third", "second", "first"])
  }

  @Test("the namespace with the least running share is next, by its weight, whoever came first")
  func shares() throws {
    let harness = try make(["limits": ["pods": "4"], "weights": ["b": 2]])
    for number in 0..<6 { harness.create(.jobs, job("j\(number)"), namespace: "a") }
    for number in 0..<6 { harness.create(.jobs, job("j\(number)"), namespace: "b") }
    #expect(running(harness) == ["a/j0", "a/j1", "a/j2", "a/j3"])
    // a has 4 of weight 1, b none: b until its pods are twice as many as those of a.
    let places = (0..<6).map { admission(harness, "j\($0)", namespace: "b") }
    #expect(places.first == "False Queued The Job waits in queue q: place 1 of 8")
    #expect(places.last == "False Queued The Job waits in queue q: place 6 of 8")
    #expect(admission(harness, "j4", namespace: "a") == "False Queued The Job waits in queue q: place 7 of 8")
    for number in 0..<3 { finish(harness, "j\(number)", namespace: "a") }
    // With equal shares the oldest is next.
    #expect(running(harness) == ["a/j3", "a/j4", "b/j0", "b/j1"])
    finish(harness, "j0", namespace: "b")
    #expect(running(harness) == ["a/j3", "a/j4", "b/j1", "b/j2"])
  }

  @Test("the places that waiting Jobs are told are those in which they are admitted")
  func places() throws {
    var random = SplitMix64(seed: 11)
    let harness = try make(["limits": ["pods": "9"], "weights": ["a": 3, "b": 2]])
    var waiting: [(namespace: String, name: String)] = []
    harness.create(.jobs, job("all", spec: ["parallelism": 9, "completions": 9]))
    for number in 0..<40 {
      let namespace = ["default", "a", "b"][Int(random.next() % 3)]
      let pods = Int64(1 + random.next() % 3)
      harness.create(
        .jobs, job("j\(number)", spec: ["parallelism": .int(pods), "completions": .int(pods)]), namespace: namespace)
      waiting.append((namespace, "j\(number)"))
    }
    func place(_ one: (namespace: String, name: String)) -> Int? {
      admission(harness, one.name, namespace: one.namespace).split(separator: " ").dropLast(2).last.flatMap { Int($0) }
    }
    let told = waiting.sorted { (place($0) ?? 0) < (place($1) ?? 0) }
    #expect(told.compactMap { place($0) } == Array(1...40))
    func created(_ pod: Pod) -> Int64 {
      harness.core.state.created(ObjectReference(kind: .pods, key: pod.meta.key)) ?? 0
    }
    // Without a limit all are admitted at once; the order is that of their pods.
    harness.patch(.queues, "q", .merge, ["spec": ["limits": .null]])
    var state = harness.core.state
    let pods = ["default", "a", "b"].flatMap { state.keys(of: .pods, in: $0) }
      .compactMap { harness.core.state.pods[$0] }.sorted { created($0) < created($1) }
    var admitted: [String] = []
    for pod in pods {
      let name = "\(pod.meta.namespace)/\(pod.meta.labels["job-name"] ?? "")"
      if !admitted.contains(name) { admitted.append(name) }
    }
    #expect(admitted.filter { $0 != "default/all" } == told.map { "\($0.namespace)/\($0.name)" })
  }

  @Test("a queue that is not there is waited for and named, and a deleted one admits nothing more")
  func missing() throws {
    let harness = try make(nil)
    harness.create(.jobs, job("j"))
    #expect(running(harness).isEmpty)
    #expect(admission(harness, "j") == "False QueueNotFound The Job waits for queue q, which does not exist")
    harness.create(.queues, queue("q", ["limits": ["jobs": "1"]]), namespace: "")
    #expect(running(harness) == ["j"])
    harness.create(.jobs, job("k"))
    #expect(admission(harness, "k").hasSuffix("place 1 of 1"))
    harness.ask(APIRequest(verb: .delete, kind: .queues, name: "q"))
    finish(harness, "j")
    #expect(running(harness).isEmpty)
    #expect(admission(harness, "k") == "False QueueNotFound The Job waits for queue q, which does not exist")
  }

  @Test("a Job that waits for another holds no place in its queue before that has ended")
  func dependency() throws {
    let harness = try make(["limits": ["jobs": "1"]])
    harness.create(.jobs, job("late", after: "first"))
    #expect(counts(harness) == "0 waiting, 0 running")
    harness.create(.jobs, job("first"))
    harness.create(.jobs, job("other"))
    #expect(running(harness) == ["first"])
    finish(harness, "first")
    // It was created before the other.
    #expect(running(harness) == ["late"])
    #expect(admission(harness, "other").hasSuffix("place 1 of 1"))
  }

  @Test("a suspended Job gives its place back, and has to wait again when it is resumed")
  func suspended() throws {
    let harness = try make(["limits": ["jobs": "1"]])
    harness.create(.jobs, job("a"))
    harness.create(.jobs, job("b"))
    harness.patch(.jobs, "a", .merge, ["spec": ["suspend": true]])
    #expect(running(harness) == ["b"])
    #expect(admission(harness, "a") == "False Suspended The Job is suspended")
    harness.patch(.jobs, "a", .merge, ["spec": ["suspend": false]])
    #expect(running(harness) == ["b"])
    #expect(admission(harness, "a") == "False Queued The Job waits in queue q: place 1 of 1")
    finish(harness, "b")
    #expect(running(harness) == ["a"])
    #expect(harness.get(.jobs, "a").object[path: ["status", "startTime"]] != nil)
  }

  @Test("a waiting Job may change its queue or leave it; a running one may not")
  func moves() throws {
    let harness = try make(["limits": ["jobs": "0"]])
    harness.create(.queues, queue("r", ["limits": ["jobs": "1"]]), namespace: "")
    harness.create(.jobs, job("a"))
    harness.create(.jobs, job("b"))
    #expect(admission(harness, "a").hasPrefix("False QueueTooSmall"))
    #expect(harness.patch(.jobs, "a", .merge, ["metadata": ["annotations": ["stint.dev/queue": "r"]]]).code == 200)
    #expect(running(harness) == ["a"])
    #expect(counts(harness) == "1 waiting, 0 running")
    let late = harness.patch(.jobs, "a", .merge, ["metadata": ["annotations": ["stint.dev/queue": "q"]]])
    #expect(late.code == 422 && late.message.contains("may not change any more"), "\(late.message)")
    #expect(harness.patch(.jobs, "b", .merge, ["metadata": ["annotations": ["stint.dev/queue": .null]]]).code == 200)
    #expect(running(harness) == ["a", "b"])
  }

  @Test(
    "a Queue that means nothing is refused",
    arguments: [
      (
        ["limits": ["disk": "1"]] as JSON, "spec.limits[disk]: Invalid value: \"disk\": must be jobs, pods, cpu, memory"
      ),
      (
        ["limits": ["jobs": "-1"]] as JSON,
        "spec.limits[jobs]: Invalid value: \"-1\": must be greater than or equal to 0"
      ),
      (["limits": ["pods": "1.5"]] as JSON, "must be an integer"),
      (["limits": ["cpu": "many"]] as JSON, "quantities must match"),
      (["weights": ["a": 0]] as JSON, "spec.weights[a]: Invalid value: 0: must be from 1 to 1000000"),
      (["weights": ["A": 1]] as JSON, "spec.weights[A]: Invalid value"),
    ])
  func refused(_ spec: JSON, _ why: String) throws {
    let harness = try make(nil)
    let answer = harness.create(.queues, queue("q", spec), namespace: "")
    #expect(answer.code == 422 || answer.code == 400)
    #expect(answer.message.contains(why), "\(answer.message)")
  }

  @Test("a Job's queue is a name")
  func queueName() throws {
    let harness = try make(nil)
    let answer = harness.create(.jobs, job("j", in: "Q!"))
    #expect(answer.code == 422 && answer.message.contains("metadata.annotations[stint.dev/queue]"))
  }

  @Test("queues are shown with their counts and limits")
  func table() throws {
    let harness = try make(["priority": 5, "limits": ["jobs": "1", "cpu": "2"]])
    harness.create(.jobs, job("a", cpu: "500m"))
    harness.create(.jobs, job("b"))
    let table = harness.ask(APIRequest(verb: .list, kind: .queues, form: .table)).items
    let cells = table.first?["cells"]?.arrayValue?.map { $0.stringValue ?? $0.text }
    #expect(cells == ["q", "5", "1", "1", "cpu=2,jobs=1", "0s", "cpu=500m,jobs=1,pods=1"], "\(table)")
    let written = harness.ask(
      APIRequest(
        verb: .update, kind: .queues, name: "q",
        body: ["metadata": ["name": "q"], "spec": ["limits": ["jobs": "1"]], "status": ["running": 7]]))
    #expect(written.object[path: ["status", "running"]]?.intValue == 1, "its counts are the coordinator's")
  }

  // MARK: Cost

  /// Steps, in all, for so many single-pod Jobs in a queue of one: they come, are told, run and go.
  private func steps(_ count: Int) throws -> Double {
    var driver = try WorkloadsDriver()
    driver.core.insert(.other(GenericObject(kind: .queues, json: queue("q", ["limits": ["jobs": "1"]]))))
    for number in 0..<count { driver.createJob("j\(number)", annotations: [JobAnnotation.queue: "q"]) }
    let before = driver.written + driver.core.workloads.looked
    let walked = driver.core.workloads.queues.all["q"]?.walked ?? 0
    for _ in 0..<100 {
      guard let pod = driver.pods().first(where: { !$0.status.phase.isTerminal }) else { break }
      driver.end(pod, succeeded: true)
    }
    #expect(driver.core.workloads.queues.all["q"]?.waiting == count - 101)
    let after = driver.written + driver.core.workloads.looked
    return Double(after - before) / 100 + Double(walked) / Double(count)
  }

  @Test("a Job that goes writes nothing of those that wait behind it: 4,000 waiting Jobs cost a Job what 400 cost")
  func cost() throws {
    let few = try steps(400)
    let many = try steps(4_000)
    #expect(many / few < 1.2, "\(few) steps a Job of 400, \(many) of 4,000")
  }
}
