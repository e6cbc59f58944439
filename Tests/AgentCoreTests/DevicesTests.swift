// Owns: tests of handing out extended resources: the lowest free ids, each to one, told by a variable, learnt again
// from the keeper, and what is kept from pods.

import ClusterProto
import Testing

@testable import AgentCore

@Suite struct DevicesTests {
  private static let gpu = "example.com/gpu"

  private func container(_ name: String, _ count: Int64, sidecar: Bool = false, environment: JSON = []) -> JSON {
    var json: JSON = ["name": .string(name), "image": "host", "command": ["true"], "env": environment]
    if count > 0 { json["resources"] = ["limits": ["example.com/gpu": .string("\(count)")]] }
    if sidecar { json["restartPolicy"] = "Always" }
    return json
  }

  private func hand(
    _ ledger: inout DeviceLedger, _ attempt: AttemptNumber, _ spec: PodSpec, others: Set<AttemptNumber> = []
  ) throws -> PodPlan? {
    let plan = try PodPlanner.plan(assignment(attempt, spec: spec), place: place)
    return ledger.hand(plan, to: attempt, spec, others: others).plan
  }

  private func told(_ plan: PodPlan?) -> [String?] {
    ((plan?.initContainers ?? []) + (plan?.containers ?? [])).map { container in
      container.environment.first { $0.hasPrefix("GPUS=") }
    }
  }

  private var ledger: DeviceLedger { DeviceLedger([DeviceOffer(name: Self.gpu, count: 3, variable: "GPUS")]) }

  @Test("each container has its own, the lowest that are free, and one that asks for none is told so")
  func own() throws {
    var ledger = ledger
    let spec = podSpec(containers: [container("a", 2), container("b", 1), container("c", 0)])
    let plan = try hand(&ledger, 1, spec)
    #expect(told(plan) == ["GPUS=0,1", "GPUS=2", "GPUS="])
    #expect(plan?.devices == [Self.gpu: [0, 1, 2]])
  }

  @Test("nobody gets what another has; what is gone is given again")
  func exclusive() throws {
    var ledger = ledger
    let one = podSpec(containers: [container("a", 1)])
    #expect(told(try hand(&ledger, 1, one)) == ["GPUS=0"])
    #expect(told(try hand(&ledger, 2, one, others: [1])) == ["GPUS=1"])
    #expect(try hand(&ledger, 3, podSpec(containers: [container("a", 2)]), others: [1, 2]) == nil)
    #expect(told(try hand(&ledger, 4, podSpec(containers: [container("a", 2)]), others: [2])) == ["GPUS=0,2"])
    // The same attempt, prepared anew, holds nothing against itself.
    #expect(told(try hand(&ledger, 4, podSpec(containers: [container("a", 2)]), others: [2, 4])) == ["GPUS=0,2"])
  }

  @Test("an init container's are the later ones' after it; a sidecar keeps its own")
  func initContainers() throws {
    var ledger = ledger
    let spec = podSpec(
      initContainers: [container("side", 1, sidecar: true), container("first", 2)], containers: [container("a", 2)])
    #expect(told(try hand(&ledger, 1, spec)) == ["GPUS=0", "GPUS=1,2", "GPUS=1,2"])
  }

  @Test("the manifest's own variable wins, and without a variable nobody is told")
  func variables() throws {
    var ledger = ledger
    let own: JSON = [["name": "GPUS", "value": "mine"]]
    #expect(told(try hand(&ledger, 1, podSpec(containers: [container("a", 1, environment: own)]))) == ["GPUS=mine"])
    var silent = DeviceLedger([DeviceOffer(name: Self.gpu, count: 1)])
    let plan = try hand(&silent, 1, podSpec(containers: [container("a", 1)]))
    #expect(told(plan) == [nil] && plan?.devices == [Self.gpu: [0]])
  }

  private func configuration() -> AgentConfiguration {
    var configuration = AgentBench.configuration
    configuration.devices = [DeviceOffer(name: Self.gpu, count: 1, variable: "GPUS")]
    return configuration
  }

  @Test("an agent that begins anew learns from the keeper who has which")
  func learnt() throws {
    var bench = AgentBench(configuration())
    bench.send(.started)
    bench.send(.keeperConnected(bench.keeperConnection))
    bench.send(
      .keeper(
        bench.keeperConnection,
        .hello(
          keeper: "keeper-a", directory: "m", sweptKeepers: [], highestAttempt: 1, fencesFully: true, fencingDetail: "")
      ))
    let held = KeeperReply.devices([1: [Self.gpu: [0]]])
    #expect(try KeeperReply(json: held.json) == held)
    bench.send(.keeper(bench.keeperConnection, held))
    bench.keeper([report(1)])
    bench.keeper([])
    bench.register()
    bench.desired = [1: .run, 2: .run]
    let spec = podSpec(containers: [container("a", 1)])
    bench.answer(assignments: [assignment(2, spec: spec)])
    let plan = try PodPlanner.plan(assignment(2, spec: spec), place: place)
    let effects = bench.send(.prepared(2, number: try bench.preparation(2), plan))
    let waits = effects.requests.contains { request in
      if case .unprepared(_, _, "UnexpectedAdmissionError", let message, _) = request {
        return message.contains("unavailable for example.com/gpu. Requested: 1")
      }
      return false
    }
    #expect(waits)
  }

  @Test("plans and registrations carry them, and what is kept from pods")
  func wire() throws {
    var plan = try PodPlanner.plan(assignment(spec: podSpec(containers: [container("a", 1)])), place: place)
    plan.devices = [Self.gpu: [2, 5]]
    #expect(try PodPlan(json: plan.json, "plan") == plan)
    var settings = configuration()
    settings.capacity.extended = [ResourceAmount(name: Self.gpu, amount: 1)]
    settings.reserved = NodeReserve(cpuMillicores: 500, memoryBytes: 1 << 30)
    var bench = AgentBench(settings)
    bench.send(.started)
    bench.connectKeeper()
    guard case .register(let registration)? = bench.register().sent.first else {
      Issue.record("not registered")
      return
    }
    #expect(registration.capacity.amount(of: Self.gpu) == 1 && registration.reserved?.cpuMillicores == 500)
    #expect(try AgentMessage(json: AgentMessage.register(registration).json) == .register(registration))
  }

  @Test("a node shows the whole, and what pods may take of it; both survive the round trip")
  func allocatable() {
    var node = Node(
      meta: ObjectMeta(), capacity: NodeCapacity(cpuMillicores: 3_500, memoryBytes: 7 << 30, pods: 110))
    node.reserved = NodeReserve(cpuMillicores: 500, memoryBytes: 1 << 30)
    let status = node.json["status"]
    #expect(status?["capacity"]?["cpu"] == "4" && status?["allocatable"]?["cpu"] == "3500m")
    #expect(status?["capacity"]?["memory"] == "8Gi" && status?["allocatable"]?["memory"] == "7Gi")
    let read = Node(json: node.json)
    #expect(read.capacity == node.capacity && read.reserved == node.reserved)
    node.reserved = nil
    #expect(Node(json: node.json).reserved == nil)
  }
}
