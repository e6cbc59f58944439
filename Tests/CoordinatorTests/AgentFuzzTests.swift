// Mutated frames where only a proven peer gets: from agents that registered, and on the connections of log streams.

import ClusterIO
import ClusterProto
import Coordinator
import CoordinatorCore
import Glibc
import Testing

@Suite("Bad input from agents against a live coordinator")
struct AgentFuzzTests {
  private static let frameCount = 20_000

  private static func registration(_ node: String) -> JSON {
    AgentMessage.register(
      Registration(
        node: node, machineID: "machine-\(node)", bootID: "boot", keeper: "keeper-\(node)", sweptKeepers: [],
        capacity: NodeCapacity(cpuMillicores: 4_000, memoryBytes: 8 << 30, pods: 110), labels: StringMap(),
        address: "127.0.0.1", info: ["machineID": "m"], conditions: [], fencesFully: true, highestIncarnation: 0,
        highestAttempt: 0)
    ).json
  }

  private static func heartbeat(_ sequence: Int64) -> JSON {
    AgentMessage.heartbeat(
      Heartbeat(sequence: sequence, echo: 0, desiredDigest: 0, inventoryDigest: 0, inventory: [])
    ).json
  }

  /// What a registered agent says, to be mutated.
  private static let seeds: [[UInt8]] =
    [
      registration("other"), AgentMessage.fetch([1, 2, 3]).json, AgentMessage.retained([1, 9, 4]).json,
      AgentMessage.heartbeat(
        Heartbeat(
          sequence: 3, echo: 2, desiredDigest: 7, inventoryDigest: 9,
          inventory: [InventoryEntry(attempt: 1, revision: 2, terminal: false, frozen: false)])
      ).json,
      AgentMessage.reports(
        [AttemptNumber(1), 2, 3].map { attempt in
          var status = PodStatus()
          status.phase = .running
          return AttemptReport(attempt: attempt, revision: 4, status: status)
        }
      ).json,
    ].map(\.bytes) + (1...4).map { heartbeat($0).bytes }

  private static func mutated(_ bytes: [UInt8], _ random: inout SplitMix64) -> [UInt8] {
    var payload = bytes
    for _ in 0..<(random.next() % 4) {
      let position = Int(random.next() % UInt64(payload.count))
      switch random.next() % 4 {
      case 0: payload[position] = UInt8(truncatingIfNeeded: random.next())
      case 1: payload[position] = UInt8(ascii: "0") + UInt8(random.next() % 10)
      case 2: payload.insert(contentsOf: payload[position...].prefix(6), at: position)
      default: payload.removeSubrange(position..<min(payload.count, position + 1 + Int(random.next() % 3)))
      }
      if payload.isEmpty { payload = [UInt8(ascii: "{")] }
    }
    return (try? Frame.encode(payload)) ?? [0, 0, 0, 0]
  }

  @Test("mutated frames of registered agents leave it serving, and the other agents their sessions")
  func registeredAgents() throws {
    let live = try LiveServer(try TemporaryDirectory())
    let honest = try live.open(.agent)
    honest.send(Self.registration("honest"))
    var random = SplitMix64(seed: 0xA6E7)
    var fuzzers: [TestClient] = []
    var sent = 0
    var refused = 0
    while sent < Self.frameCount {
      while fuzzers.count < 8 { fuzzers.append(try live.connect(.agent)) }
      try live.turn()
      for fuzzer in fuzzers where fuzzer.isReady && !fuzzer.isRefusedOrClosed {
        // A session of its own first, with the right words: what comes then is read as that of a node.
        if fuzzer.messages.isEmpty {
          fuzzer.send(Self.registration("fuzz-\(random.next() % 20)"))
          fuzzer.send(Self.heartbeat(1))
        }
        for _ in 0..<(random.next() % 8 + 1) {
          fuzzer.connection.send(Self.mutated(Self.seeds[Int(random.next() % UInt64(Self.seeds.count))], &random))
          sent += 1
        }
      }
      for fuzzer in fuzzers where fuzzer.isRefusedOrClosed {
        refused += 1
        fuzzer.connection.close()
      }
      fuzzers.removeAll { $0.isRefusedOrClosed }
    }
    for fuzzer in fuzzers { fuzzer.connection.close() }
    try live.wait("the fuzzers are gone") { live.server.connectionCount == 1 }
    #expect(refused > Self.frameCount / 100)
    _ = honest.takeMessages()
    honest.send(Self.heartbeat(1))
    try live.wait("the honest agent is answered") { !honest.messages.isEmpty }
    #expect(honest.messages.first?["type"] == "answer", "\(honest.messages)")
    try live.stop()
  }

  @Test("mutated frames on log connections end their stream with an error, and nothing else")
  func logStreams() throws {
    let live = try LiveServer(try TemporaryDirectory())
    let agent = try live.open(.agent)
    agent.send(Self.registration("node"))
    agent.send(Self.heartbeat(1))
    let client = try live.open(.client)
    try createPod(live, client, agent)
    var random = SplitMix64(seed: 0x106)
    var sent = 0
    var number: Int64 = 10
    while sent < Self.frameCount / 10 {
      number += 1
      let source = try openLog(live, client, agent, number)
      while sent < Self.frameCount / 10, !source.isRefusedOrClosed {
        let frames: [LogFrame] = [.bytes(Array("text\n".utf8)), .end(code: 200, message: "over"), .bytes([])]
        source.connection.send(Self.mutated(frames[Int(random.next() % 3)].payload, &random))
        sent += 1
        try live.turn()
      }
      source.connection.close()
      try live.wait("the stream's reader hears of its end") {
        client.messages.contains { $0["type"] == "done" && $0["id"]?.intValue == number }
      }
      _ = client.takeMessages()
    }
    #expect(number > 100)
    client.send(ClientMessage.request(id: 1, APIRequest(verb: .list, kind: .pods)).json)
    try live.wait("it serves on") { client.messages.last?["id"] == 1 }
    #expect(client.messages.last?["code"] == 200)
    try live.stop()
  }

  /// A pod that the agent holds.
  private func createPod(_ live: LiveServer, _ client: TestClient, _ agent: TestClient) throws {
    let pod: JSON = [
      "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "p"],
      "spec": ["containers": [["name": "c", "image": "i", "command": ["true"]]]],
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

  private func openLog(
    _ live: LiveServer, _ client: TestClient, _ agent: TestClient, _ number: Int64
  ) throws -> TestClient {
    let request = APIRequest(verb: .log, kind: .pods, namespace: "default", name: "p", subresource: "log")
    client.send(ClientMessage.request(id: number, request).json)
    var stream: String?
    try live.wait("the agent is asked for the log") {
      stream = agent.messages.last { $0["type"] == "logs" }?["stream"]?.stringValue
      return stream != nil || client.messages.contains { $0["type"] == "done" }
    }
    _ = agent.takeMessages()
    let source = try TestClient(
      live.loop, live.server.address, role: .logs, token: live.token, stream: try #require(stream, "\(client.messages)")
    )
    try live.wait("the hello succeeds") { source.result != nil }
    return source
  }
}
