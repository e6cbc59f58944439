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

  /// What a registered agent says, to be mutated.
  private static let seeds: [[UInt8]] =
    [
      FakeNode.registration("other"), AgentMessage.fetch([1, 2, 3]).json, AgentMessage.retained([1, 9, 4]).json,
      AgentMessage.heartbeat(
        Heartbeat(
          sequence: 3, echo: 2, desiredDigest: SetDigest(7), inventoryDigest: SetDigest(9),
          inventory: [InventoryEntry(attempt: 1, revision: 2, terminal: false, frozen: false)])
      ).json,
      AgentMessage.reports(
        [AttemptNumber(1), 2, 3].map { attempt in
          var status = PodStatus()
          status.phase = .running
          return AttemptReport(attempt: attempt, revision: 4, status: status)
        }
      ).json,
    ].map(\.bytes) + (1...4).map { FakeNode.heartbeat($0).bytes }

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
    let honest = try live.open(.agent, node: "honest")
    honest.send(FakeNode.registration("honest"))
    var random = SplitMix64(seed: 0xA6E7)
    var fuzzers: [TestClient] = []
    var nodes: [String] = []
    var sent = 0
    var refused = 0
    while sent < Self.frameCount {
      while fuzzers.count < 8 {
        nodes.append("fuzz-\(random.next() % 20)")
        fuzzers.append(try live.connect(.agent, node: nodes.last))
      }
      try live.turn()
      for (fuzzer, node) in zip(fuzzers, nodes) where fuzzer.isReady && !fuzzer.isRefusedOrClosed {
        // A session of its own first, with the right words: what comes then is read as that of a node.
        if fuzzer.messages.isEmpty {
          fuzzer.send(FakeNode.registration(node))
          fuzzer.send(FakeNode.heartbeat(1))
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
      nodes = zip(fuzzers, nodes).filter { !$0.0.isRefusedOrClosed }.map(\.1)
      fuzzers.removeAll { $0.isRefusedOrClosed }
    }
    for fuzzer in fuzzers { fuzzer.connection.close() }
    try live.wait("the fuzzers are gone") { live.server.connectionCount == 1 }
    #expect(refused > Self.frameCount / 100)
    _ = honest.takeMessages()
    honest.send(FakeNode.heartbeat(1))
    try live.wait("the honest agent is answered") { !honest.messages.isEmpty }
    #expect(honest.messages.first?["type"] == "answer", "\(honest.messages)")
    try live.stop()
  }

  @Test("mutated frames on log connections end their stream with an error, and nothing else")
  func logStreams() throws {
    let live = try LiveServer(try TemporaryDirectory())
    let client = try live.open(.client)
    let node = try FakeNode(live)
    try node.createPod(client)
    var random = SplitMix64(seed: 0x106)
    var sent = 0
    var number: Int64 = 10
    while sent < Self.frameCount / 10 {
      number += 1
      let source = try node.openLog(of: client, number)
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
}
