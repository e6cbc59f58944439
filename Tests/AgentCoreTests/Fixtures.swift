// Assignments, plans and times for the tests of both cores.

import AgentCore
import ClusterProto
import Testing

/// The wall time of boot millisecond 0: 2026-01-01T00:00:00Z.
let wallStart: Int64 = 1_767_225_600

func at(_ milliseconds: Int64) -> Now {
  Now(
    boot: BootTime(milliseconds: milliseconds),
    wall: WallTime(nanoseconds: wallStart * 1_000_000_000 + milliseconds * 1_000_000))
}

func boot(_ milliseconds: Int64) -> BootTime { BootTime(milliseconds: milliseconds) }

func container(_ name: String, command: [String] = ["/bin/work"], sidecar: Bool = false) -> JSON {
  var json: JSON = ["name": .string(name), "image": "img"]
  if !command.isEmpty { json["command"] = .strings(command) }
  if sidecar { json["restartPolicy"] = "Always" }
  return json
}

func podSpec(
  policy: RestartPolicy = .never, grace: Int64 = 30, activeDeadline: Int64? = nil, initContainers: [JSON] = [],
  containers: [JSON] = [container("main")]
) -> PodSpec {
  var json: JSON = [
    "restartPolicy": .string(policy.rawValue), "terminationGracePeriodSeconds": .int(grace),
    "initContainers": .array(initContainers), "containers": .array(containers),
  ]
  if let activeDeadline { json["activeDeadlineSeconds"] = .int(activeDeadline) }
  return PodSpec(json: json)
}

func assignment(
  _ attempt: AttemptNumber = 1, spec: PodSpec = podSpec(), keeper: String = "keeper-a", session: String = "session-a",
  toleration: Int64? = 10_000, annotations: StringMap = StringMap(), references: JSONObject = JSONObject(),
  proof: String = ""
) -> Assignment {
  Assignment(
    attempt: attempt, keeper: keeper, session: session, namespace: "ns", podName: "pod-\(attempt)",
    podUID: "uid-\(attempt)", labels: ["app": "x"], annotations: annotations, spec: spec, references: references,
    tolerationMilliseconds: toleration, proof: proof)
}

let place = PodPlace(
  node: "node-1", address: "127.0.0.1", capacity: NodeCapacity(cpuMillicores: 4000, memoryBytes: 8 << 30, pods: 110),
  podDirectory: "/pods/1", volumes: [:])

func plan(_ assignment: Assignment) throws -> PodPlan { try PodPlanner.plan(assignment, place: place) }

func report(
  _ attempt: AttemptNumber, revision: Int64 = 1, phase: PodPhase = .running, frozen: Bool = false, started: Bool = true
) -> AttemptReport {
  var status = PodStatus()
  status.phase = phase
  if started {
    status.set(Condition(type: "PodReadyToStartContainers", status: "True", lastTransition: at(0).wall))
  }
  return AttemptReport(attempt: attempt, revision: revision, status: status, frozen: frozen)
}
