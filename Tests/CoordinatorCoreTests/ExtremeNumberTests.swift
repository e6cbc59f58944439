// Single numbers at the ends of their ranges that once ended the coordinator, each by its own road.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("extreme amounts and counts") struct ExtremeNumberTests {
  private func ask(_ harness: inout FleetHarness, _ request: APIRequest) -> (code: Int, message: String) {
    harness.effects = []
    harness.step([.request(1, request)])
    for effect in harness.effects {
      switch effect {
      case .reply(1, .done(let code, let object, _)), .shown(1, .done(let code, let object, _), _):
        return (code, object["message"]?.stringValue ?? "")
      default: break
      }
    }
    return (0, "no answer")
  }

  private func patch(_ harness: inout FleetHarness, cpu: JSON) -> (code: Int, message: String) {
    var request = APIRequest(verb: .patch, kind: .nodes, name: "a", subresource: "status")
    request.options.patchKind = .strategic
    // Pods get what is allocatable.
    let isSound = cpu.stringValue?.hasPrefix("-") != true
    request.body =
      isSound
      ? ["status": ["capacity": ["cpu": cpu], "allocatable": ["cpu": cpu]]] : ["status": ["capacity": ["cpu": cpu]]]
    return ask(&harness, request)
  }

  @Test("a negative capacity is refused in Kubernetes' words, and pods are scheduled on")
  func negativeCapacity() throws {
    var harness = try FleetHarness()
    harness.join(FakeAgent("a"))
    harness.addPod("first", cpu: "1")
    #expect(harness.isLive("first"))
    let answer = patch(&harness, cpu: "-9223372036854775807m")
    #expect(answer.code == 422)
    #expect(
      answer.message
        == "Node \"a\" is invalid: status.capacity.cpu: Invalid value: \"-9223372036854775807m\": "
        + "must be greater than or equal to 0")
    harness.addPod("second", cpu: "1")
    #expect(harness.isLive("second"))
    #expect(patch(&harness, cpu: "0").code == 200)
    harness.addPod("third", cpu: "9223372036854775m")
    #expect(!harness.isLive("third"))
    #expect(patch(&harness, cpu: "9223372036854775807").code == 200)
    #expect(harness.isLive("third"))
    harness.addPod("fourth", cpu: "9223372036854775807m")
    #expect(!harness.isLive("fourth"))
    #expect(harness.problems() == [])
  }

  @Test("the largest amounts there are have a ratio of limit to request")
  func ratios() {
    let most: Int128 = (8 << 60) * 1000
    #expect(!NamespaceLimits.exceeds(most, most, most))
    #expect(NamespaceLimits.exceeds(most, 1000, most - 1) && !NamespaceLimits.exceeds(most, 1000, most))
    #expect(NamespaceLimits.exceeds(3000, 2000, 1000) && !NamespaceLimits.exceeds(2000, 2000, 1000))
  }

  @Test("a LimitRange with the largest amounts is judged, and ends nobody")
  func largestRatio() throws {
    var harness = try FleetHarness()
    let range: JSON = [
      "metadata": ["name": "l"],
      "spec": ["limits": [["type": "Container", "maxLimitRequestRatio": ["memory": "8Ei"]]]],
    ]
    #expect(
      ask(&harness, APIRequest(verb: .create, kind: .limitranges, namespace: "default", body: range)).code == 201)
    let resources: JSON = ["requests": ["memory": "8Ei"], "limits": ["memory": "8Ei"]]
    let pod = Manifest.pod(
      "p", spec: ["containers": [["name": "c", "image": "b", "command": ["true"], "resources": resources]]])
    let answer = ask(&harness, APIRequest(verb: .create, kind: .pods, namespace: "default", body: pod))
    #expect(answer.code == 201, "\(answer.message)")
  }

  @Test("a node that offers less than nothing is refused with the reason")
  func negativeRegistration() throws {
    var harness = try FleetHarness()
    var agent = FakeAgent("a")
    agent.capacity = NodeCapacity(cpuMillicores: Int64.min, memoryBytes: 1, pods: 1)
    harness.register(agent, as: "a")
    #expect(harness.agents["a"]?.refusal?.contains("capacity.cpuMillicores -9223372036854775808") == true)
    #expect(harness.node("a") == nil)
  }

  @Test("what a client writes over a node's facts is written again at its next heartbeat")
  func overwrittenFacts() throws {
    var harness = try FleetHarness()
    harness.register(FakeAgent("a"), as: "a")
    harness.beat("a")
    let before = try #require(harness.node("a"))
    #expect(patch(&harness, cpu: "1000000").code == 200)
    #expect(harness.node("a")?.capacity != before.capacity)
    harness.beat("a")
    #expect(harness.node("a")?.capacity == before.capacity)
    #expect(harness.node("a")?.info == before.info)
    #expect(harness.node("a")?.isReady == true)
  }

  @Test(
    "a registration that no Node may have is refused with the reason",
    arguments: [
      (["address": "no address!"], "has the address no address!: it is neither an IP address nor a host name"),
      (["address": .string(String(repeating: "1", count: 3_000))], "neither an IP address nor a host name"),
      (["info": ["osImage": .string(String(repeating: "x", count: 2_000))]], "has info.osImage, which is no string"),
      (["info": ["osImage": 7]], "has info.osImage, which is no string"),
      (["labels": ["kubernetes.io/hostname": "other"]], "has the label kubernetes.io/hostname of another node: other"),
      (["status": "Maybe"], "has the condition Odd with the status Maybe: must be True, False or Unknown"),
    ] as [(JSON, String)])
  func impossibleRegistration(change: JSON, reason: String) throws {
    var harness = try FleetHarness()
    let agent = FakeAgent("a")
    var registration = agent.registration
    if let address = change["address"]?.stringValue { registration.address = address }
    if let info = change["info"] { registration.info = info }
    if let labels = change["labels"] { registration.labels = StringMap(json: labels) }
    if let status = change["status"]?.stringValue {
      registration.conditions = [
        Condition(type: "Odd", status: status, reason: "", message: "", lastTransition: harness.now.wall)
      ]
    }
    let events: [CoordinatorEvent] = [
      .sessionOpened("s", by: .agent(of: registration.node)), .agent("s", .register(registration)),
    ]
    let effects = harness.core.step(events.map(\.asMaster), at: harness.now)
    let refusals = effects.compactMap { effect -> String? in
      if case .send(_, .refused(let text, _), _) = effect { text } else { nil }
    }
    #expect(refusals.count == 1 && refusals[0].contains(reason), "\(refusals)")
    #expect(harness.node("a") == nil)
  }

  @Test("the label of the architecture is what the node says, if it can be a label")
  func architecture() throws {
    var harness = try FleetHarness()
    for (name, text) in [("a", "arm64"), ("b", "no label!")] {
      let registration = AgentMessage.register(
        Registration(
          node: name, machineID: name, bootID: "b", keeper: name, sweptKeepers: [],
          capacity: NodeCapacity(cpuMillicores: 1, memoryBytes: 1, pods: 1), labels: [:], address: "",
          info: ["architecture": .string(text)], conditions: [], fencesFully: true, highestIncarnation: 0,
          highestAttempt: 0))
      harness.step([.sessionOpened(name, by: .agent(of: name)), .agent(name, registration)])
    }
    #expect(harness.node("a")?.meta.labels["kubernetes.io/arch"] == "arm64")
    #expect(harness.node("b")?.meta.labels["kubernetes.io/arch"] == "amd64")
  }

  @Test("who goes first is decided for the smallest and the largest numbers too")
  func deletionOrder() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("job", ["parallelism": 3, "completions": 3])
    driver.settle()
    for (index, key) in driver.core.state.keys(of: .pods).enumerated() {
      driver.core.updatePod(key) { pod in
        pod.status.phase = .running
        pod.status.containers = [
          ContainerStatus(name: "c", image: "i", state: .running(startedAt: WallTime(nanoseconds: 0)))
        ]
        pod.status.containers[0].restartCount = [Int64.min, Int64.max, 0][index]
        pod.status.conditions = [
          Condition(
            type: "Ready", status: "True",
            lastTransition: WallTime(nanoseconds: [Int64.min, Int64.max, 0][index]))
        ]
      }
    }
    driver.core.updateJob(WorkloadsDriver.key("job")) { $0.spec.parallelism = 1 }
    driver.settle()
    #expect(driver.core.state.jobs[WorkloadsDriver.key("job")]?.status.active == 1)
  }

  @Test("a counter at its end stays there")
  func counters() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("job", ["parallelism": 1, "completions": .int(Int64(Int32.max)), "backoffLimit": .int(Int64.max)])
    driver.settle()
    driver.core.updateJob(WorkloadsDriver.key("job")) { job in
      job.status.succeeded = Int64(Int32.max) - 1
      job.status.failed = Int64(Int32.max)
    }
    for key in driver.core.state.keys(of: .pods) {
      driver.core.updatePod(key) { $0.status.phase = .failed }
    }
    driver.settle()
    #expect(driver.core.state.jobs[WorkloadsDriver.key("job")]?.status.failed == Int64(Int32.max))
  }
}
