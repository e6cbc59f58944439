// Owns: tests of kubelet's arithmetic: cgroup numbers of pods and containers, and whom the kernel ends first.

import ClusterProto
import Testing

@testable import AgentCore

@Suite struct PodLimitsTests {
  private func spec(_ containers: [JSON], initContainers: [JSON] = [], priority: Int64? = nil) -> PodSpec {
    var json: JSON = ["containers": .array(containers), "initContainers": .array(initContainers)]
    if let priority { json["priority"] = .int(priority) }
    return PodSpec(json: json)
  }

  private func container(_ name: String = "main", limits: JSON = [:], requests: JSON = [:], sidecar: Bool = false)
    -> JSON
  {
    var json: JSON = ["name": .string(name), "resources": ["limits": limits, "requests": requests]]
    if sidecar { json["restartPolicy"] = "Always" }
    return json
  }

  private func limits(_ spec: PodSpec, processes: Int64? = nil) -> PodLimits {
    PodLimits(
      of: spec,
      at: PodPlace(
        node: "n", address: "", capacity: NodeCapacity(cpuMillicores: 4_000, memoryBytes: 4 << 30, pods: 110),
        podDirectory: "", volumes: [:], podProcesses: processes))
  }

  @Test("a pod that asks for nothing is held to nothing")
  func nothing() {
    for json in [container(), container(requests: ["memory": "1Gi"]), container(limits: ["cpu": "0", "memory": "0"])] {
      let spec = spec([json])
      #expect(limits(spec).pod == nil && limits(spec).container(spec.containers[0]) == nil)
    }
  }

  @Test(
    "millicores are shares of 1024 a processor, and a quota in each 100 ms",
    arguments: [
      (0, 2, 1_000), (1, 2, 1_000), (100, 102, 10_000), (1_000, 1_024, 100_000), (2_500, 2_560, 250_000),
      (400_000, 262_144, 40_000_000), (Int64.max, 262_144, Int64.max / 100_000 * 100),
    ] as [(Int64, Int64, Int64)])
  func numbers(millicores: Int64, shares: Int64, quota: Int64) {
    #expect(PodLimits.shares(millicores) == shares)
    #expect(PodLimits.quota(millicores) == quota)
  }

  @Test("a container's request is its weight, its limit its bound; without a request the limit is both")
  func container() {
    let spec = spec([
      container("a", limits: ["cpu": "2", "memory": "64Mi"], requests: ["cpu": "500m"]),
      container("b", limits: ["cpu": "1"]), container("c"),
    ])
    let limits = limits(spec)
    let all = spec.containers.map { limits.container($0) }
    #expect(all.map { $0?.cpuShares } == [512, 1_024, 2])
    #expect(all.map { $0?.cpuQuotaMicroseconds } == [200_000, 100_000, nil])
    #expect(all.map { $0?.memoryBytes } == [64 << 20, nil, nil])
    // One container without a bound leaves the pod without one.
    #expect(limits.pod?.cpuShares == 1_536 && limits.pod?.cpuQuotaMicroseconds == nil && limits.pod?.memoryBytes == nil)
  }

  @Test("a pod's bound is what its containers may use at once: an init container alone, sidecars beside all")
  func sums() {
    let one: JSON = ["cpu": "1", "memory": "1Gi"]
    let spec = spec(
      [container("a", limits: one), container("b", limits: one)],
      initContainers: [
        container("side", limits: one, sidecar: true), container("big", limits: ["cpu": "4", "memory": "1Gi"]),
      ])
    let pod = limits(spec).pod
    #expect(pod?.cpuQuotaMicroseconds == 500_000 && pod?.memoryBytes == 3 << 30 && pod?.cpuShares == 5_120)
  }

  @Test("a bound of processes is the pod's alone")
  func processes() {
    let spec = spec([container()])
    let limits = limits(spec, processes: 50)
    #expect(limits.pod?.processes == 50 && limits.pod?.cpuShares == nil)
    #expect(limits.container(spec.containers[0]) == nil)
  }

  @Test("numbers too large to add stop at the largest")
  func extremes() {
    let huge: JSON = ["cpu": "9223372036854775807", "memory": "9223372036854775807"]
    let pod = limits(spec([container("a", limits: huge), container("b", limits: huge)])).pod
    #expect(pod?.memoryBytes == Int64.max && pod?.cpuShares == 262_144)
  }

  @Test(
    "whom the kernel ends first is kubelet's choice",
    arguments: [
      ([:], [:], 1_000), (["cpu": "1", "memory": "1Gi"], [:], -997), ([:], ["cpu": "1"], 999),
      ([:], ["memory": "1Gi"], 750), ([:], ["memory": "4Gi"], 3), ([:], ["memory": "100Gi"], 3),
      (["memory": "2Gi"], [:], 500),
    ] as [(JSON, JSON, Int64)])
  func scores(limit: JSON, request: JSON, score: Int64) {
    let spec = spec([container(limits: limit, requests: request)])
    #expect(limits(spec).oomScore(spec.containers[0]) == score)
  }

  @Test("a sidecar goes no earlier than the containers that it serves, and a critical pod goes last")
  func otherScores() {
    let served = spec(
      [container("main", requests: ["memory": "1Gi"])],
      initContainers: [container("side", requests: ["memory": "4Mi"], sidecar: true)])
    #expect(limits(served).oomScore(served.initContainers[0]) == 750)
    let critical = spec([container()], priority: 2_000_000_000)
    #expect(limits(critical).oomScore(critical.containers[0]) == -997)
  }

  @Test("plans carry the numbers over the socket to the keeper")
  func wire() throws {
    let spec = spec([container(limits: ["cpu": "1", "memory": "1Gi"])])
    let plan = try PodPlanner.plan(assignment(spec: spec), place: place)
    #expect(plan.limits?.memoryBytes == 1 << 30 && plan.containers[0].limits?.cpuQuotaMicroseconds == 100_000)
    #expect(plan.containers[0].oomScore == -997)
    #expect(try PodPlan(json: plan.json, "plan") == plan)
  }

  @Test("what a node holds pods to is said in words and read back from them")
  func words() {
    var abilities = LimitAbilities()
    abilities.problem = "the agent is not root"
    #expect(abilities.words.message == "limits of pods are not enforced: the agent is not root")
    #expect(LimitAbilities.held(abilities.words.message) == [])
    (abilities.version, abilities.cpu, abilities.memory) = (2, true, true)
    abilities.problem = "no pids"
    #expect(abilities.words == ("False", "CgroupV2", "cpu, memory by cgroup v2; not enforced: pids: no pids"))
    #expect(LimitAbilities.held(abilities.words.message) == ["cpu", "memory"])
    abilities.pids = true
    #expect(abilities.words == ("True", "CgroupV2", "cpu, memory, pids by cgroup v2"))
  }
}
