// Images as the coordinator sees them: bad words of agents first, then pods that wait for images, their Secrets, what
// a Node shows, and what is said at submission.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite struct FleetImageTests {
  private func harness(_ mode: ImageMode? = .on) throws -> FleetHarness {
    try FleetHarness.joined(["a", "b"]) { agent in
      if let mode { agent.labels[ImageMode.label] = mode.rawValue }
    }
  }

  private func pod(
    _ harness: inout FleetHarness, _ name: String = "p", secrets: [String] = [], image: String = "busybox"
  ) throws -> (attempt: AttemptNumber, node: String) {
    harness.addPod(
      name,
      extra: [
        ("containers", [["name": "c", "image": .string(image)]]),
        ("imagePullSecrets", .array(secrets.map { ["name": .string($0)] })),
      ])
    return (try #require(harness.attempt(of: name)), try #require(harness.pod(name)?.nodeName))
  }

  private func secret(_ harness: inout FleetHarness, _ name: String) {
    var meta = ObjectMeta()
    (meta.name, meta.namespace) = (name, "default")
    harness.core.insert(
      .other(GenericObject(kind: .secrets, meta: meta, body: ["data": [".dockerconfigjson": "e30="]])))
  }

  private func say(_ harness: inout FleetHarness, _ node: String, _ facts: [PodFact]) throws {
    harness.step([.agent(try #require(harness.agents[node]?.session), .events(facts))])
  }

  private func wait(
    _ harness: inout FleetHarness, _ node: String, _ attempt: AttemptNumber, revision: Int64, _ reason: String,
    _ message: String
  ) throws {
    var status = PodStatus()
    status.containers = [
      ContainerStatus(name: "c", image: "busybox", state: .waiting(reason: reason, message: message))
    ]
    let report = AttemptReport(attempt: attempt, revision: revision, status: status)
    harness.step([.agent(try #require(harness.agents[node]?.session), .reports([report]))])
  }

  // MARK: Words that do not count

  @Test("of another node's pods, of unknown attempts, and with reasons that are made of statuses, nothing is taken")
  func foreignFacts() throws {
    var harness = try harness()
    let (attempt, node) = try pod(&harness)
    let other = node == "a" ? "b" : "a"
    let fact = PodFact(attempt: attempt, container: "c", reason: "Pulling", message: "m")
    try say(&harness, other, [fact])
    var (unknown, wrong) = (fact, fact)
    unknown.attempt = 99
    wrong.reason = "Started"
    try say(&harness, node, [unknown, wrong])
    #expect(harness.events("Pulling").isEmpty && harness.events("Started").isEmpty)
  }

  @Test("what probes and hooks come to are Events of the pod, warnings but for the end of its container")
  func careFacts() throws {
    var harness = try harness()
    let (attempt, node) = try pod(&harness)
    let reasons = ["Unhealthy", "Killing", "ProbeWarning", "FailedPostStartHook", "FailedPreStopHook"]
    try say(
      &harness, node, reasons.map { PodFact(attempt: attempt, container: "c", reason: $0, message: "about \($0)") })
    for reason in reasons {
      let event = try #require(
        harness.core.state.keys(of: .events).compactMap { harness.core.state.other(.events, $0)?.body }.first {
          $0["reason"]?.stringValue == reason
        })
      #expect(event["type"]?.stringValue == (reason == "Killing" ? "Normal" : "Warning"))
      #expect(event["message"]?.stringValue == "about \(reason)")
      #expect(event["involvedObject"]?["fieldPath"]?.stringValue == "spec.containers{c}")
    }
  }

  @Test("an agent causes two hundred Events at once, a hundred in a second after that, and none is long")
  func manyFacts() throws {
    var harness = try harness()
    let (attempt, node) = try pod(&harness)
    let fact = PodFact(
      attempt: attempt, container: "none", reason: "Pulled", message: String(repeating: "x", count: 5_000))
    for _ in 0..<10 { try say(&harness, node, Array(repeating: fact, count: 300)) }
    let key = try #require(
      harness.core.state.keys(of: .events).first {
        harness.core.state.other(.events, $0)?.body["reason"] == "Pulled"
      })
    #expect(harness.core.state.other(.events, key)?.body["count"] == 200)
    #expect(harness.events("Pulled").map(\.utf8.count) == [1_024])
  }

  @Test("images of a node that runs none are not shown, of one that does the largest are, with few names")
  func images() throws {
    var off = try harness(nil)
    off.step([.agent("session-a", .images([NodeImage(names: ["x:1"], bytes: 1)]))])
    #expect(off.node("a")?.images.isEmpty == true)
    var harness = try harness()
    let many = (0..<400).map { index in
      NodeImage(names: (0..<9).map { "x\(index):\($0)" } + [String(repeating: "y", count: 600)], bytes: Int64(index))
    }
    harness.step([.agent("session-a", .images(many))])
    let shown = try #require(harness.node("a")?.images)
    #expect(shown.count == 50 && shown.first?.bytes == 399 && shown.allSatisfy { $0.names.count == 5 })
    let json = try #require(harness.node("a")).json
    #expect(json[path: ["status", "images"]]?[0]?["sizeBytes"] == 399)
    #expect(Node(json: json).images == shown)
  }

  @Test("what a node had is shown over its next session; with images off it has none")
  func sessions() throws {
    var harness = try harness()
    harness.step([.agent("session-a", .images([NodeImage(names: ["x:1"], bytes: 1)]))])
    harness.reconnect("a", session: "second")
    #expect(harness.node("a")?.images.count == 1)
    harness.agents["a"]?.labels[ImageMode.label] = ImageMode.off.rawValue
    harness.reconnect("a", session: "third")
    #expect(harness.node("a")?.images.isEmpty == true)
    #expect(harness.node("a")?.meta.labels[ImageMode.label] == "off")
  }

  // MARK: Pods

  @Test("Pulling and Pulled are Events of the pod by its node's kubelet, and cause no transaction of their own")
  func facts() throws {
    var harness = try harness()
    let (attempt, node) = try pod(&harness)
    harness.pass(2_000, beating: ["a", "b"])
    let rows = harness.rows.keys.filter { !$0.contains("events") }.count
    let message = "Pulling image \"busybox\""
    let fact = PodFact(attempt: attempt, container: "c", reason: "Pulling", message: message)
    try say(&harness, node, [fact, fact])
    #expect(harness.events("Pulling") == [message])
    let key = try #require(
      harness.core.state.keys(of: .events).first {
        harness.core.state.other(.events, $0)?.body["reason"] == "Pulling"
      })
    let body = try #require(harness.core.state.other(.events, key)?.body)
    #expect(body["count"] == 2 && body["type"] == "Normal")
    #expect(body["source"] == ["component": "kubelet", "host": .string(node)])
    #expect(body["involvedObject"]?["fieldPath"] == "spec.containers{c}")
    #expect(harness.rows.keys.filter { !$0.contains("events") }.count == rows)
  }

  @Test("an image that cannot be had makes the kubelet's Events, once for each turn of the pod's status")
  func problems() throws {
    var harness = try harness()
    let (attempt, node) = try pod(&harness)
    for round in 0..<2 as Range<Int64> {
      try wait(&harness, node, attempt, revision: 1 + 2 * round, "ErrImagePull", "no route")
      try wait(
        &harness, node, attempt, revision: 2 + 2 * round, "ImagePullBackOff",
        "Back-off pulling image \"busybox\": ErrImagePull: no route")
    }
    #expect(
      harness.events("Failed").sorted() == [
        "Error: ErrImagePull", "Error: ImagePullBackOff", "Failed to pull image \"busybox\": no route",
      ])
    #expect(harness.events("BackOff") == ["Back-off pulling image \"busybox\""])
    try wait(&harness, node, attempt, revision: 9, "ErrImageNeverPull", "not present")
    try wait(&harness, node, attempt, revision: 10, "InvalidImageName", "Failed to apply")
    #expect(harness.events("ErrImageNeverPull") == ["not present"])
    #expect(harness.events("InspectFailed") == ["Failed to apply"])
    #expect(harness.pod("p")?.status.phase == .pending)
  }

  @Test("Secrets for images go to nodes that run images, with pods that name them and an image; missing ones are told")
  func secrets() throws {
    var harness = try harness()
    secret(&harness, "pull")
    let (attempt, node) = try pod(&harness, secrets: ["pull", "gone", "lost"])
    let body = try #require(harness.agents[node]?.bodies[attempt])
    #expect(body.references.map { $0.0 } == ["secrets/pull"])
    #expect(
      harness.events("FailedToRetrieveImagePullSecret") == [
        "Unable to retrieve some image pull secrets (gone, lost); attempting to pull the image may not succeed."
      ])
    let access = AccessAttributes(
      verb: "get", group: "", resource: "secrets", subresource: "", namespace: "default", name: "pull")
    #expect(harness.core.agentMay(.agent(of: node), access))
    let host = try pod(&harness, "host", secrets: ["pull"], image: "host")
    #expect(harness.agents[host.node]?.bodies[host.attempt]?.references.isEmpty == true)
  }

  @Test("a node without images gets no Secret for them, may read none, and nothing is told of missing ones")
  func withoutImages() throws {
    var harness = try harness(.off)
    secret(&harness, "pull")
    let (attempt, node) = try pod(&harness, secrets: ["pull", "gone"])
    #expect(harness.agents[node]?.bodies[attempt]?.references.isEmpty == true)
    #expect(harness.events("FailedToRetrieveImagePullSecret").isEmpty)
    let access = AccessAttributes(
      verb: "get", group: "", resource: "secrets", subresource: "", namespace: "default", name: "pull")
    #expect(!harness.core.agentMay(.agent(of: node), access))
  }

  // MARK: What is said at submission

  @Test("limits are warned of where some node does not hold pods to them, and only there")
  func limitWarnings() {
    func node(_ message: String?) -> Node {
      var node = Node(meta: ObjectMeta(), capacity: NodeCapacity(cpuMillicores: 1, memoryBytes: 1, pods: 1))
      if let message {
        node.conditions = [
          Condition(
            type: LimitAbilities.condition, status: "True", reason: "r", message: message,
            lastTransition: WallTime(nanoseconds: 0))
        ]
      }
      return node
    }
    func told(_ nodes: LimitNodes) -> [String] {
      var honesty = Honesty(images: ImageNodes(), limits: nodes)
      honesty.podSpec(
        [
          "containers": [
            ["image": "host", "command": ["true"], "resources": ["limits": ["cpu": "1", "memory": "1Gi"]]]
          ]
        ], "spec")
      return honesty.warnings
    }
    let path = "spec.containers[0].resources.limits"
    var nodes = LimitNodes()
    #expect(told(nodes) == [])
    nodes.note(nil, node("cpu, memory, pids by cgroup v1"))
    #expect(told(nodes) == [])
    nodes.note(nil, node("cpu by cgroup v2; not enforced: memory, pids: why"))
    let some = "not enforced by 1 of 2 nodes; the node's condition LimitsEnforced says why"
    #expect(told(nodes) == ["\(path).memory: \(some)"])
    nodes.note(node("cpu, memory, pids by cgroup v1"), nil)
    nodes.note(node("cpu by cgroup v2; not enforced: memory, pids: why"), node(nil))
    let none = "not enforced by any node here; the node's condition LimitsEnforced says why"
    #expect(told(nodes) == ["\(path).cpu: \(none)", "\(path).memory: \(none)"])
    nodes.note(node(nil), nil)
    #expect(nodes == LimitNodes())
  }

  private func warnings(_ nodes: ImageNodes, _ container: JSON) -> [String] {
    var honesty = Honesty(images: nodes)
    honesty.podSpec(["containers": [container]], "spec")
    return honesty.warnings
  }

  @Test("a container that will run something else than its image, or nothing, is warned of by name")
  func submission() {
    func nodes(on: Int, off: Int) -> ImageNodes {
      var nodes = ImageNodes()
      for _ in 0..<on { nodes.note(nil, [ImageMode.label: "on"]) }
      for _ in 0..<off { nodes.note(nil, StringMap()) }
      return nodes
    }
    let bare: JSON = ["name": "c", "image": "busybox"]
    let full: JSON = ["name": "c", "image": "busybox", "command": ["true"]]
    let host: JSON = ["name": "c", "image": "host", "command": ["true"]]
    let bareHost: JSON = ["name": "c", "image": "host"]
    let (on, off, mixed) = (nodes(on: 2, off: 0), nodes(on: 0, off: 2), nodes(on: 2, off: 1))
    for nodes in [on, off, mixed] {
      #expect(warnings(nodes, host).isEmpty)
      #expect(
        warnings(nodes, bareHost).first?.hasPrefix("spec.containers[0].command: not set; the host has no") == true)
    }
    #expect(warnings(on, bare).isEmpty && warnings(on, full).isEmpty && warnings(off, full).isEmpty)
    #expect(warnings(off, bare).first?.contains("no node here runs images") == true)
    #expect(warnings(nodes(on: 0, off: 0), bare).count == 1)
    #expect(
      warnings(mixed, full) == [
        "spec.containers[0].image: 1 of 3 nodes run no images (--images=off): there the container runs a program of "
          + "the host instead"
      ])
    #expect(warnings(mixed, bare).first?.hasSuffix("there the container has nothing to run and waits") == true)
  }

  @Test("the count of nodes that run images follows their labels and their ends")
  func counted() throws {
    var harness = try harness()
    #expect(harness.core.fleet.imageNodes.on == 2)
    harness.agents["a"]?.labels[ImageMode.label] = ImageMode.off.rawValue
    harness.reconnect("a", session: "second")
    #expect(harness.core.fleet.imageNodes.on == 1 && harness.core.fleet.imageNodes.off == 1)
    harness.core.erase(ObjectReference(kind: .nodes, key: ObjectKey(namespace: "", name: "a")))
    #expect(harness.core.fleet.imageNodes.on == 1 && harness.core.fleet.imageNodes.off == 0)
  }
}
