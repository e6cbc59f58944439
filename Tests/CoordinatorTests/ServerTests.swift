// The whole coordinator on a real directory and a real socket, turned by the test itself.

@testable import ClusterIO
import ClusterProto
import Coordinator
import CoordinatorCore
import COpenSSL
import Glibc
import Synchronization
import Testing

/// A coordinator and the loop of its clients, on this thread.
final class LiveServer {
  let server: CoordinatorServer
  let loop: EventLoop
  let authority: TestAuthority
  let directory: String

  convenience init(_ directory: TemporaryDirectory, change: (inout ServerOptions) -> Void = { _ in }) throws {
    try self.init(at: directory.path, change: change)
  }

  init(at path: String, change: (inout ServerOptions) -> Void = { _ in }) throws {
    directory = path
    var options = ServerOptions(directory: path)
    options.listen = .tcp(host: "127.0.0.1", port: 0)
    options.handlesSignals = false
    change(&options)
    server = try CoordinatorServer(options)
    loop = try EventLoop()
    authority = try TestAuthority(directory: path)
  }

  func turn() throws {
    _ = try server.serveOnce(timeoutMilliseconds: 1)
    try loop.runOnce(timeoutMilliseconds: 1)
  }

  func wait(_ what: Comment, seconds: Int64 = 60, until condition: () -> Bool) throws {
    try CoordinatorTests.wait(what, seconds: seconds, turning: { try turn() }, until: condition)
  }

  /// `node`: whose agent it is; nil: an administrator.
  func connect(_ role: ProtocolRole?, node: String? = nil) throws -> TestClient {
    try TestClient(loop, server.address, role: role, tls: try authority.context(node: node))
  }

  func open(_ role: ProtocolRole, node: String? = nil) throws -> TestClient {
    let client = try connect(role, node: node)
    try wait("the hello succeeds") { client.result != nil }
    return client
  }

  /// Stops politely and turns until it is over.
  func stop() throws {
    server.requestStop()
    try CoordinatorTests.wait(
      "it stops", turning: { if try !server.serveOnce(timeoutMilliseconds: 1) { stopped = true } },
      until: { stopped })
  }

  private var stopped = false
}

@Suite("Coordinator process")
struct ServerTests {
  @Test("a restart keeps cluster and authority, and is a new incarnation; clients find it by its files")
  func restart() throws {
    let directory = try TemporaryDirectory()
    var live = try LiveServer(directory)
    let first = try #require(try live.open(.client).result)
    let announced = try JSON(parsing: try Files.read("\(directory.path)/coordinator.json"))
    #expect(announced["address"]?.stringValue == live.server.address.description)
    #expect(announced["pid"]?.intValue == Int64(getpid()))
    let authority = live.authority.authority
    try live.stop()
    live = try LiveServer(directory)
    let second = try #require(try live.open(.client).result)
    #expect(second.cluster == first.cluster)
    #expect(second.incarnation == first.incarnation + 1)
    #expect(live.authority.authority == authority)
    let kubeconfig = String(decoding: try Files.read("\(directory.path)/admin.kubeconfig"), as: UTF8.self)
    #expect(kubeconfig.contains("native: \"\(live.server.address)\"\n"))
    try live.stop()
  }

  @Test("any address can be listened on; who shows no certificate of the authority is told so, TLS 1.2 is not spoken")
  func listen() throws {
    let directory = try TemporaryDirectory()
    let live = try LiveServer(directory) { $0.listen = .tcp(host: "0.0.0.0", port: 0) }
    guard case .tcp(_, let port) = live.server.address else { throw IOError(operation: "", subject: "", message: "") }
    let address = SocketAddress.tcp(host: "127.0.0.1", port: port)
    let nobody = try TLSContext(client: nil, authority: live.authority.authority.certificate)
    let stranger = try TestAuthority().identity("admin", group: Subject.masters)
    let foreign = try TLSContext(client: stranger.own, authority: live.authority.authority.certificate)
    for context in [nobody, foreign] {
      let client = try TestClient(live.loop, address, role: .client, tls: context)
      try live.wait("it is refused") { client.isRefusedOrClosed }
      #expect(client.error?.code == .unauthorized, "\(String(describing: client.closeReason))")
    }
    let old = try TLSContext(client: nil, authority: live.authority.authority.certificate)
    old.setNewest(TLS1_2_VERSION)
    let client = try TestClient(live.loop, address, role: .client, tls: old)
    try live.wait("the old version is refused") { client.isClosed }
    #expect(client.error == nil && client.result == nil)
    let agentless = try TestClient(live.loop, address, role: .agent, tls: try live.authority.context())
    try live.wait("an administrator is no agent") { agentless.error != nil }
    #expect(agentless.error?.code == .unauthorized && agentless.error?.message.contains("is no agent") == true)
    let plain = try TestClient(live.loop, address, role: nil, tls: nil)
    plain.connection.send(Array("GET / HTTP/1.1\r\n\r\n".utf8))
    try live.wait("plain text is hung up on") { plain.isClosed }
    _ = try live.open(.client)
    try live.stop()
  }

  @Test("a second coordinator on the same directory or port is refused; the first one serves on")
  func second() throws {
    let directory = try TemporaryDirectory()
    let live = try LiveServer(directory)
    var error = try #require(throws: ServerError.self) { try LiveServer(directory) }
    #expect(error.description.contains("another coordinator is using"))
    let other = try TemporaryDirectory()
    let address = live.server.address
    error = try #require(throws: ServerError.self) { try LiveServer(other) { $0.listen = address } }
    #expect(error.description.contains("Address already in use"))
    _ = try live.open(.client)
    try live.stop()
  }

  @Test("a disk below the free-space mark does not keep it from serving")
  func diskLow() throws {
    let live = try LiveServer(try TemporaryDirectory()) { $0.freeSpaceMark = .max / 2 }
    _ = try live.open(.client)
    try live.stop()
  }
}

@Suite("Bad input against a live coordinator")
struct ServerFuzzTests {
  /// Frames of the run.
  private static let frameCount = 100_000
  private static let connectionCount = 32

  /// Messages that are right, to be mutated.
  private static let seeds: [[UInt8]] = [
    ["type": "hello", "protocols": [2, 2], "role": "client", "nonce": .string(String(repeating: "0a", count: 32))],
    ["type": "proof", "proof": .string(String(repeating: "0", count: 64))],
    ClientMessage.request(id: 1, APIRequest(verb: .list, kind: .pods, form: .table)).json,
    ClientMessage.request(
      id: 2,
      APIRequest(
        verb: .create, kind: .jobs, namespace: "default",
        body: [
          "apiVersion": "batch/v1", "kind": "Job", "metadata": ["name": "j"],
          "spec": [
            "template": [
              "spec": ["restartPolicy": "Never", "containers": [["name": "c", "image": "i", "command": ["true"]]]]
            ]
          ],
        ])
    ).json,
    ClientMessage.cancel(id: 1).json,
    AgentMessage.heartbeat(
      Heartbeat(sequence: 1, echo: 0, desiredDigest: SetDigest(), inventoryDigest: SetDigest(), inventory: [])
    ).json,
    AgentMessage.reports([AttemptReport(attempt: 1, revision: 1, status: PodStatus())]).json,
    AgentMessage.fetch([1, 2]).json,
    ["type": "part", "text": "{\"type\":", "last": false],
  ].map(\.bytes)

  /// A frame with noise in its length, its text or all of it.
  private static func frame(_ random: inout SplitMix64) -> [UInt8] {
    var payload = seeds[Int(random.next() % UInt64(seeds.count))]
    switch random.next() % 8 {
    case 0: payload = (0..<Int(random.next() % 200 + 1)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    case 1: payload = Array(repeating: UInt8(ascii: "["), count: Int(random.next() % 3_000 + 1))
    case 2: payload.removeLast(Int(random.next() % UInt64(payload.count)))
    case 3: break
    default:
      for _ in 0..<(random.next() % 4 + 1) {
        let position = Int(random.next() % UInt64(payload.count))
        switch random.next() % 4 {
        case 0: payload[position] = UInt8(truncatingIfNeeded: random.next())
        case 1: payload[position] = UInt8(ascii: "0") + UInt8(random.next() % 10)
        case 2: payload.insert(contentsOf: payload[position...].prefix(6), at: position)
        default: payload[position] ^= 1 << UInt8(random.next() % 8)
        }
      }
    }
    var frame = (try? Frame.encode(payload)) ?? [0, 0, 0, 0]
    if random.next() % 50 == 0 { frame[Int(random.next() % 4)] = UInt8(truncatingIfNeeded: random.next()) }
    return frame
  }

  @Test("random and mutated frames leave it serving, each bad one with its error")
  func fuzz() throws {
    let live = try LiveServer(try TemporaryDirectory()) { $0.helloMilliseconds = 500 }
    var random = SplitMix64(seed: 0x5717)
    var clients: [TestClient] = []
    var sent = 0
    var refused = 0
    var hellos = 0
    let clock = ContinuousClock()
    let start = clock.now
    while sent < Self.frameCount {
      while clients.count < Self.connectionCount {
        let role: ProtocolRole? = [nil, .agent, .client, .client][Int(random.next() % 4)]
        clients.append(try live.connect(role))
      }
      try live.turn()
      for client in clients where !client.isRefusedOrClosed {
        guard client.isReady else { continue }
        // A few at a time: what follows a frame that breaks the connection is not read.
        for _ in 0..<(random.next() % 4 + 1) {
          client.connection.send(Self.frame(&random))
          sent += 1
        }
        if client.result != nil { hellos += 1 }
      }
      for client in clients where client.isRefusedOrClosed {
        if client.error != nil { refused += 1 }
        client.connection.close()
      }
      clients.removeAll { $0.isRefusedOrClosed }
    }
    let duration = clock.now - start
    for client in clients { client.connection.close() }
    try live.wait("all closed") { clients.allSatisfy(\.isClosed) }
    let survivor = try live.open(.client)
    survivor.send(["type": "are you well?"])
    try live.wait("it answers") { survivor.error?.code == .unknownType }
    try live.wait("no other connection is left over") { live.server.connectionCount == 1 }
    #expect(refused > Self.frameCount / 20)
    #expect(hellos > Self.frameCount / 50)
    try live.stop()
    print(
      "fuzz: \(sent) frames in \(duration), \(refused) connections refused, \(hellos) bursts after a hello"
    )
  }
}

@Suite("Requests to a live coordinator")
struct ServerRequestTests {
  private static func configMap(_ name: String, size: Int = 1) -> APIRequest {
    APIRequest(
      verb: .create, kind: .configmaps, namespace: "default",
      body: [
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name)],
        "data": ["text": .string(String(repeating: "x", count: size))],
      ])
  }

  private static func request(_ id: Int64, _ request: APIRequest) -> JSON {
    ClientMessage.request(id: id, request).json
  }

  @Test("what was created is there after a restart, and the answer came only after the commit")
  func persistBeforeSend() throws {
    let directory = try TemporaryDirectory()
    let gate = Gate()
    var live = try LiveServer(directory) { $0.beforeCommit = { gate.pass() } }
    let writer = try live.open(.client)
    let reader = try live.open(.client)
    gate.shut()
    writer.send(Self.request(1, Self.configMap("one")))
    for _ in 0..<50 { try live.turn() }
    // A read sees the write in memory: it must wait for the same commit.
    reader.send(Self.request(1, APIRequest(verb: .get, kind: .configmaps, namespace: "default", name: "one")))
    for _ in 0..<50 { try live.turn() }
    #expect(writer.messages.isEmpty)
    #expect(reader.messages.isEmpty)
    gate.open()
    try live.wait("both are answered") { !writer.messages.isEmpty && !reader.messages.isEmpty }
    #expect(writer.messages.first?["code"] == 201)
    #expect(reader.messages.first?["code"] == 200)
    try live.stop()
    live = try LiveServer(directory)
    let after = try live.open(.client)
    after.send(Self.request(1, APIRequest(verb: .get, kind: .configmaps, namespace: "default", name: "one")))
    try live.wait("it is answered") { !after.messages.isEmpty }
    #expect(after.messages.first?["object"]?["data"]?["text"] == "x")
    try live.stop()
  }

  @Test(
    "a full disk stops the coordinator without an answer, and leaves what was acknowledged",
    .enabled(if: Filesystem.canMount))
  func fullDisk() throws {
    let directory = try TemporaryDirectory()
    let mounted = try Filesystem(at: directory.path, size: "2m")
    defer { mounted.unmount() }
    var live: LiveServer? = try LiveServer(directory) { $0.freeSpaceMark = 0 }
    let client = try #require(try live?.open(.client))
    client.send(Self.request(1, Self.configMap("first")))
    try live?.wait("it is kept") { client.messages.count == 1 }
    for id in Int64(2)...12 { client.send(Self.request(id, Self.configMap("big\(id)", size: 400_000))) }
    let error = #expect(throws: ServerError.self) {
      try live?.wait("it stops") { false }
    }
    #expect(error?.description.contains("is full: free some space") == true)
    let answered = client.messages.filter { $0["code"] == 201 }.count
    #expect(client.messages.allSatisfy { $0["code"] == 201 })
    live = nil
    try mounted.grow(to: "16m")
    let store = try Store(directory: directory.path)
    let maps = try store.load().filter { $0.table == .objects && $0.key.hasPrefix("configmaps/default/") }
    #expect(maps.contains { $0.key.hasSuffix("/first") })
    #expect(maps.count >= answered)
    store.close()
  }

  @Test(
    "with no byte left on the disk creates are refused, deletes work, and the coordinator serves on",
    .enabled(if: Filesystem.canMount))
  func deleteOnFullDisk() throws {
    let directory = try TemporaryDirectory()
    let mounted = try Filesystem(at: directory.path, size: "8m")
    defer { mounted.unmount() }
    let first = try LiveServer(directory)
    let maker = try first.open(.client)
    for id in Int64(1)...4 { maker.send(Self.request(id, Self.configMap("map\(id)", size: 200_000))) }
    try first.wait("they are kept") { maker.messages.count == 4 }
    #expect(maker.messages.allSatisfy { $0["code"] == 201 })
    try first.stop()
    try mounted.fill()
    let live = try LiveServer(directory)
    let client = try live.open(.client)
    client.send(Self.request(1, Self.configMap("more")))
    try live.wait("it is answered") { client.messages.count == 1 }
    #expect(client.messages[0]["code"] == 507)
    for id in Int64(2)...4 {
      client.send(
        Self.request(id, APIRequest(verb: .delete, kind: .configmaps, namespace: "default", name: "map\(id)")))
    }
    try live.wait("they are gone") { client.messages.count == 4 }
    #expect(client.messages.dropFirst().allSatisfy { $0["code"] == 200 })
    try live.stop()
  }

  @Test("a body over Kubernetes' limit is refused, one of 900 KB in parts is taken, other clients are served")
  func largeBodies() throws {
    let live = try LiveServer(try TemporaryDirectory())
    let client = try live.open(.client)
    client.send(Self.request(1, Self.configMap("large", size: 900_000)))
    try live.wait("it is answered") { !client.messages.isEmpty }
    #expect(client.messages.first?["code"] == 201)
    let greedy = try live.open(.client)
    greedy.send(Self.request(1, Self.configMap("huge", size: 3_300_000)))
    try live.wait("it is refused") { greedy.error != nil }
    #expect(greedy.error == ProtocolError(.tooLarge, "Request entity too large: limit is 3145728"))
    client.send(Self.request(2, Self.configMap("after")))
    try live.wait("others are served") { client.messages.count == 2 }
    try live.stop()
  }

  @Test("250 creates at once share commits, each is answered")
  func groupCommit() throws {
    let counter = Counter()
    let live = try LiveServer(try TemporaryDirectory()) { $0.beforeCommit = { counter.add() } }
    let client = try live.open(.client)
    let clock = ContinuousClock()
    let before = counter.value
    let duration = try clock.measure {
      for id in Int64(1)...250 { client.send(Self.request(id, Self.configMap("m\(id)"))) }
      try live.wait("all are answered") { client.messages.count == 250 }
    }
    #expect(client.messages.allSatisfy { $0["code"] == 201 })
    #expect(counter.value - before < 125)
    print("creates: 250 in \(duration), \(counter.value - before) commits")
    try live.stop()
  }

  private final class Counter: Sendable {
    private let count = Mutex(0)
    var value: Int { count.withLock { $0 } }
    func add() { count.withLock { $0 += 1 } }
  }
}
