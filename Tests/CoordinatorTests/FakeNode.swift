// An agent of a live coordinator that only says what a test has it say: it registers, holds a pod and opens logs.

import ClusterIO
import ClusterProto
import Testing

@testable import Coordinator

/// One registered agent and the pod `p` that it holds.
final class FakeNode {
  let agent: TestClient
  private let live: LiveServer
  private let name: String

  static func registration(_ node: String) -> JSON {
    AgentMessage.register(
      Registration(
        node: node, machineID: "machine-\(node)", bootID: "boot", keeper: "keeper-\(node)", sweptKeepers: [],
        capacity: NodeCapacity(cpuMillicores: 4_000, memoryBytes: 8 << 30, pods: 110), labels: StringMap(),
        address: "127.0.0.1", info: ["machineID": "m"], conditions: [], fencesFully: true, highestIncarnation: 0,
        highestAttempt: 0)
    ).json
  }

  static func heartbeat(_ sequence: Int64, echo: Int64 = 0) -> JSON {
    AgentMessage.heartbeat(
      Heartbeat(sequence: sequence, echo: echo, desiredDigest: SetDigest(), inventoryDigest: SetDigest(), inventory: [])
    ).json
  }

  init(_ live: LiveServer, name: String = "node") throws {
    self.live = live
    self.name = name
    agent = try live.open(.agent, node: name)
    agent.send(Self.registration(name))
    agent.send(Self.heartbeat(1))
  }

  /// Creates the pod, which is assigned to this node and runs.
  func createPod(_ client: TestClient) throws {
    let pod: JSON = [
      "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "p"],
      // On a slow machine a test takes longer than a silent node's pods are usually left alone.
      "spec": [
        "tolerations": [["operator": "Exists"]], "containers": [["name": "c", "image": "i", "command": ["true"]]],
      ],
    ]
    let create = APIRequest(verb: .create, kind: .pods, namespace: "default", body: pod)
    client.send(ClientMessage.request(id: 1, create).json)
    try live.wait("the pod is assigned") {
      agent.messages.contains { $0.text.contains("\"podName\":\"p\"") }
    }
    #expect(client.takeMessages().first?["code"] == 201)
    var status = PodStatus()
    status.phase = .running
    status.containers = [ContainerStatus(name: "c", image: "i", state: .running(startedAt: WallTime(nanoseconds: 0)))]
    agent.send(AgentMessage.reports([AttemptReport(attempt: 1, revision: 1, status: status)]).json)
    _ = agent.takeMessages()
  }

  /// Has `client` ask for the pod's log, and opens the stream for it.
  func openLog(of client: TestClient, _ number: Int64) throws -> TestClient {
    let request = APIRequest(verb: .log, kind: .pods, namespace: "default", name: "p", subresource: "log")
    client.send(ClientMessage.request(id: number, request).json)
    return try openStream { client.messages.contains { $0["type"] == "done" } ? "\(client.messages)" : nil }
  }

  /// Opens the stream into the pod that the coordinator asks for; with it what it was asked for.
  func openPodStream() throws -> (TestClient, PodStreamRequest) {
    var asked: JSON?
    try live.wait("the agent is asked for a stream") {
      asked = agent.messages.last { $0["type"] == "stream" }
      return asked != nil
    }
    _ = agent.takeMessages()
    guard case .stream(let request)? = try asked.map({ try CoordinatorMessage(json: $0) }) else {
      throw ProtocolError(.unexpected, "no stream")
    }
    let source = try openPodStream(request.stream)
    return (source, request)
  }

  func openPodStream(_ stream: String) throws -> TestClient {
    let source = try TestClient(
      live.loop, live.server.address, role: .stream, tls: try live.authority.context(node: name), stream: stream)
    try live.wait("the hello succeeds") { source.result != nil }
    return source
  }

  /// Opens the log stream that the coordinator asks for. `refused`: what the client was told instead.
  func openStream(unless refused: () -> String? = { nil }) throws -> TestClient {
    var stream: String?
    try live.wait("the agent is asked for the log") {
      stream = agent.messages.last { $0["type"] == "logs" }?["stream"]?.stringValue
      return stream != nil || refused() != nil
    }
    _ = agent.takeMessages()
    let name = try #require(stream, "\(refused() ?? "")")
    let source = try TestClient(
      live.loop, live.server.address, role: .logs, tls: try live.authority.context(node: self.name), stream: name)
    try live.wait("the hello succeeds") { source.result != nil }
    return source
  }
}
