// Clients that ask for far more bytes than a turn may make, by either door: an agent's heartbeat is answered between,
// and another user's small question too. Counted in bytes of answers, since time on a busy machine says nothing.

import ClusterIO
import ClusterProto
import CoordinatorCore
import HTTPTestSupport
import Testing

@testable import Coordinator

@Suite("Greedy readers", .serialized)
struct GreedyReaderTests {
  /// Bytes of answers that may be made between a heartbeat and its answer: two turns' worth and the objects on top.
  private static let bound = 16 << 20
  private static let maps = "/api/v1/namespaces/default/configmaps"

  enum Attack: String, CaseIterable, CustomTestStringConvertible {
    case lists, watches, gets, tables, httpsLists, yamlLists, yamlGets, bodies, fanOut
    var testDescription: String { rawValue }
  }

  private static func map(_ name: String, bytes: Int) -> JSON {
    [
      "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name)],
      "data": ["x": .string(String(repeating: "0123456789abcdef", count: bytes / 16))],
    ]
  }

  private static func request(_ attack: Attack, _ id: Int64) -> [UInt8] {
    var request = APIRequest(verb: .list, kind: .configmaps, namespace: "default")
    switch attack {
    case .watches:
      request.verb = .watch
      request.options.sendInitialEvents = true
      request.options.allowWatchBookmarks = true
      request.options.resourceVersionMatch = "NotOlderThan"
    case .fanOut: (request.verb, request.name) = (.watch, "m0")
    case .gets: (request.verb, request.name) = (.get, "m0")
    case .tables:
      request.form = .table
      request.options.includeObject = "Object"
    default: break
    }
    return MessageWriter.frames(ClientMessage.request(id: id, request).json)
  }

  /// Opens the crowd's connections and has it ask. Whoever it is must be kept.
  private func start(_ attack: Attack, _ api: LiveAPI) throws -> [Connection] {
    switch attack {
    case .lists, .watches, .gets, .tables, .fanOut:
      let clients = try (0..<4).map { _ in try api.live.open(.client) }
      for client in clients {
        client.connection.send((0..<Int64(Door.requestLimit)).flatMap { Self.request(attack, $0) })
      }
      return clients.map(\.connection)
    case .httpsLists, .yamlLists, .yamlGets, .bodies:
      let clients = try (0..<20).map { _ in try api.connect() }
      let accept = attack == .httpsLists ? "application/json" : "application/yaml"
      let path = attack == .yamlGets ? "\(Self.maps)/m1" : Self.maps
      let bytes =
        attack == .bodies
        ? HTTPTestClient.request("POST", Self.maps, body: Self.map("m1", bytes: 1 << 20).bytes)
        : HTTPTestClient.request("GET", path, headers: ["Accept: \(accept)"])
      for client in clients { for _ in 0..<10 { client.connection.send(bytes) } }
      return clients.map(\.connection)
    }
  }

  @Test(
    "a heartbeat is answered before a crowd's bytes are made, and so is another user's small question",
    arguments: Attack.allCases)
  func heartbeats(attack: Attack) throws {
    let api = try LiveAPI(try TemporaryDirectory())
    let live = api.live
    for number in 0..<12 {
      #expect(try api.ask("POST", Self.maps, body: Self.map("m\(number)", bytes: 900_000)).code == 201)
    }
    let other = try TestClient(
      live.loop, live.server.address, role: .client,
      tls: try TLSContext(native: try live.authority.identity("other", group: Subject.masters)))
    try live.wait("the other user is connected") { other.result != nil }
    let node = try FakeNode(live)
    let crowd = try start(attack, api)
    for _ in 0..<4 { try live.turn() }
    if attack == .fanOut {
      let patch: JSON = ["metadata": ["labels": ["a": "b"]]]
      #expect(try api.ask("PATCH", "\(Self.maps)/m0", type: PatchKind.merge.rawValue, body: patch).code == 200)
    }
    let turns = live.server.door.turns
    var echo: Int64 = 0
    for sequence in 2..<6 as Range<Int64> {
      _ = (node.agent.takeMessages(), other.takeMessages())
      let before = turns.made
      node.agent.send(FakeNode.heartbeat(sequence, echo: echo))
      try live.wait("the heartbeat is answered") { node.agent.messages.contains { $0["type"] == "answer" } }
      echo = node.agent.messages.last { $0["type"] == "answer" }?["number"]?.intValue ?? echo
      #expect(turns.made - before < Self.bound, "\(turns.made - before) bytes were made before it")
      let question = APIRequest(verb: .list, kind: .namespaces)
      other.send(ClientMessage.request(id: sequence, question).json)
      let asked = turns.made
      try live.wait("the small question is answered") { other.messages.contains { $0["type"] == "done" } }
      #expect(turns.made - asked < 2 * Self.bound, "\(turns.made - asked) bytes were made before it")
    }
    for connection in crowd { connection.close() }
    try live.wait("the crowd has gone") { live.server.connectionCount <= 3 }
    try live.stop()
  }

  @Test("agents come first, users take turns, and a heavy request is alone in its step")
  func queue() {
    func request(_ id: RequestID) -> CoordinatorEvent { .request(id, APIRequest(verb: .list, kind: .pods)) }
    func ids(_ taken: (events: [CoordinatorEvent], peers: [Peer])) -> [RequestID] {
      taken.events.map { $0.openedRequest ?? 0 }
    }
    var nobody: Void = ()
    var queue = EventQueue()
    for id in 1...100 as ClosedRange<RequestID> { queue.append(request(id), from: nil, lane: "greedy") }
    queue.append(request(200), from: nil, lane: "modest")
    queue.append(.timer, from: nil)
    #expect(ids(queue.take(4, by: &nobody) { _, _ in 1 }) == [0, 1, 200, 2])
    #expect(ids(queue.take(64, by: &nobody) { $1.openedRequest == 3 ? 500 : 1 }) == [3])
    #expect(ids(queue.take(64, by: &nobody) { $1.openedRequest == 5 ? 500 : 1 }) == [4, 5])
    for _ in 0..<200 { queue.append(.timer, from: nil) }
    #expect(
      ids(queue.take(8, by: &nobody) { _, _ in 1 }) == [0, 0, 0, 0, 0, 0, 6, 7], "clients keep a place beside agents")
  }

  @Test("what a stuck disk has held back leaves a few at a time, agents' words before all")
  func released() {
    var queue = TurnQueue()
    let write = CoordinatorEffect.persist(StoreWrite(table: .objects, key: "a", value: []))
    _ = queue.add([write], resourceVersion: 1)
    _ = queue.nextCommit()
    let replies = (0..<10).map { CoordinatorEffect.reply($0, .items([])) }
    let send = CoordinatorEffect.send("s", .purge([1]), immediate: false)
    #expect(queue.add(replies + [send], resourceVersion: 1) == [])
    #expect(!queue.hasReleased)
    queue.committed()
    #expect(queue.hasReleased)
    #expect(queue.released(atMost: 2) == [send] + replies.prefix(2))
    #expect(queue.add([.reply(11, .items([]))], resourceVersion: 1) == [], "none overtakes what waits")
    #expect(queue.released() == replies.dropFirst(2) + [.reply(11, .items([]))])
    #expect(queue.isEmpty)
  }
}
