// Connections on real sockets: who gets in, what each role may say, and that nobody can make the server keep too much.

import ClusterIO
import ClusterProto
import CoordinatorCore
import Testing

@testable import Coordinator

@Suite("Connections")
final class DoorTests {
  private let authority: TestAuthority
  private let administrator: TLSContext
  private let agentOfA: TLSContext
  private let loop: EventLoop
  private let door: Door
  private let listener: Listener
  private let events = Events()

  private final class Events {
    var list: [CoordinatorEvent] = []
  }

  init() throws {
    loop = try EventLoop()
    authority = try TestAuthority()
    administrator = try authority.context()
    agentOfA = try authority.context(node: "a")
    let own = try Certificates.make(
      name: "stint-coordinator", .server(hosts: ["127.0.0.1"]), issuer: authority.authority, seconds: 3600)
    door = Door(
      loop: loop, cluster: "c1", incarnation: 3,
      tls: try TLSContext(server: own, authority: authority.authority.certificate, newest: true),
      budget: DescriptorBudget(limit: 65_536))
    listener = try Listener(loop: loop, at: .tcp(host: "127.0.0.1", port: 0)) { [door] in door.accept($0) }
    door.post = { [events] peer, event, _ in
      events.list.append(event)
      // As the server does after each step.
      peer?.unprocessed += 1
      peer?.unprocessed -= 1
    }
    loop.onTurnEnd = { [door] in
      door.turns.readOn()
      door.turns.writeOut()
    }
  }

  deinit { listener.close() }

  private func connect(
    _ role: ProtocolRole?, tls: TLSContext? = nil, cluster: String = "", stream: String = ""
  ) throws -> TestClient {
    let usual = role == .agent || role == .logs ? agentOfA : administrator
    return try TestClient(
      loop, listener.address, role: role, tls: tls ?? usual, cluster: cluster, stream: stream)
  }

  private func wait(_ what: Comment, until condition: () -> Bool) throws {
    try CoordinatorTests.wait(what, turning: { try loop.runOnce(timeoutMilliseconds: 20) }, until: condition)
  }

  private func open(_ role: ProtocolRole, stream: String = "") throws -> TestClient {
    let client = try connect(role, stream: stream)
    try wait("the hello succeeds") { client.result != nil }
    return client
  }

  /// Opens request 1 of `client` and returns the core's number of it.
  private func request(_ client: TestClient, id: Int64 = 1) throws -> RequestID {
    let before = events.list.count
    client.send(ClientMessage.request(id: id, APIRequest(verb: .log, kind: .pods, name: "p")).json)
    try wait("the request reaches the core") { events.list.count > before }
    guard case .request(let request, _)? = events.list.last else { throw ProtocolError(.unexpected, "no request") }
    return request
  }

  @Test("an agent's session opens, its messages come, and its end is told")
  func agent() throws {
    let agent = try open(.agent)
    let session = try #require(agent.result?.session)
    #expect(agent.result?.incarnation == 3)
    guard case .sessionOpened(session, let subject)? = events.list.first else {
      Issue.record("no session: \(events.list)")
      return
    }
    var expected = Subject.agent(of: "a", key: subject.key)
    expected.from = subject.from
    expected.authority = try SigningRequests.keyDigest(ofCertificate: authority.authority.certificate)
    #expect(subject == expected && subject.key.count == 64 && subject.from.hasPrefix("127.0.0.1:"))
    agent.send(AgentMessage.fetch([7]).json)
    try wait("the message comes") { events.list.count == 2 }
    #expect(events.list.last == .agent(session, .fetch([7])))
    door.send(.purge([1]), to: session)
    try wait("the agent hears") { !agent.messages.isEmpty }
    #expect(agent.messages == [CoordinatorMessage.purge([1]).json])
    agent.connection.close()
    try wait("the end is told") { events.list.count == 3 }
    #expect(events.list.last == .sessionClosed(session))
  }

  @Test("another authority, another cluster and a late hello are refused with their code, then closed")
  func refusals() throws {
    let other = try TestAuthority().identity("admin", group: Subject.masters)
    let stranger = try connect(
      .client, tls: try TLSContext(client: other.own, authority: authority.authority.certificate))
    let wrongCluster = try connect(.client, cluster: "c2")
    try wait("both are refused") { stranger.error != nil && wrongCluster.error != nil }
    // Not before: on a busy machine those two would be late as well.
    door.helloMilliseconds = 30
    let silent = try connect(nil)
    try wait("who says nothing is refused") { silent.error != nil }
    #expect(stranger.error?.code == .unauthorized)
    #expect(wrongCluster.error == ProtocolError(.cluster, "this is cluster c1, you asked for c2"))
    #expect(silent.error?.code == .timeout)
    try wait("the server closes them") { wrongCluster.isClosed && silent.isClosed }
    #expect(events.list == [])
  }

  @Test("a log stream is taken from the agent that was asked for it, and from no other")
  func streamOfAnother() throws {
    let agent = try open(.agent)
    let client = try open(.client)
    let number = try request(client)
    let session = try #require(agent.result?.session)
    door.startLogs(LogRequest(stream: "s1", attempt: 1, container: "c"), of: session, for: number)
    let thief = try connect(.logs, tls: try authority.context(node: "b"), stream: "s1")
    try wait("another node's agent is refused") { thief.error != nil }
    #expect(thief.error?.message == "nobody waits for this log stream")
    _ = try open(.logs, stream: "s1")
  }

  @Test(
    "broken frames and messages of the other role get an error and a closed connection, others live on",
    arguments: [
      ([0xff, 0xff, 0xff, 0xff], .tooLarge), ([0, 0, 0, 2, 0x7b, 0x7b], .malformed),
      ([0, 0, 0, 0], .tooLarge), ([0, 0, 0, 2, 0x7b, 0x7d], .malformed), ([0, 0, 0, 4, 0xff, 0xfe, 0, 1], .malformed),
      ([0, 0, 3, 232] + Array(repeating: 0x5b, count: 1_000), .malformed),
      (MessageWriter.frames(["type": "heartbeat", "sequence": 1]), .unexpected),
      (MessageWriter.frames(["type": "request", "id": "x"]), .malformed),
      (MessageWriter.frames(["type": "part", "text": 1]), .malformed),
    ] as [([UInt8], ProtocolError.Code)])
  func brokenMessages(bytes: [UInt8], code: ProtocolError.Code) throws {
    let other = try open(.client)
    let client = try open(.client)
    client.connection.send(bytes)
    try wait("the error comes") { client.error != nil }
    #expect(client.error?.code == code)
    try wait("the connection closes") { client.isClosed }
    _ = try request(other)
  }

  @Test("an unknown type is answered and the connection stays; a client may not speak as an agent, nor the reverse")
  func unknownType() throws {
    let client = try open(.client)
    client.send(["type": "dance"])
    try wait("the error comes") { client.error != nil }
    #expect(client.error?.code == .unknownType)
    _ = try request(client)
    let agent = try open(.agent)
    agent.send(ClientMessage.cancel(id: 1).json)
    try wait("the agent is refused") { agent.isClosed }
    #expect(agent.error?.code == .unexpected)
  }

  @Test("connections that only wait in their hello are bounded, and free their place")
  func helloLimit() throws {
    var waiting = try (0..<Door.helloLimit).map { _ in try connect(nil) }
    let late = try connect(.client)
    try wait("the late one is closed at once") { late.isClosed }
    for client in waiting { client.connection.close() }
    try wait("they close") { waiting.allSatisfy(\.isClosed) }
    waiting = []
    _ = try open(.client)
  }

  @Test("a long list is cut into frames, and comes whole to a client that reads it late")
  func longList() throws {
    let client = try open(.client)
    let request = try request(client)
    client.connection.setReading(false)
    let items = (0..<3_000).map { JSON.object(["n": .int($0), "text": .string(String(repeating: "x", count: 3_000))]) }
    door.reply(.items(items), to: request)
    door.reply(.done(code: 200, object: ["kind": "List"], warnings: []), to: request)
    for _ in 0..<20 { try loop.runOnce(timeoutMilliseconds: 5) }
    #expect(client.messages.isEmpty)
    client.connection.setReading(true)
    try wait("all comes") { client.messages.last?["type"] == "done" }
    let received = client.messages.flatMap { $0["items"]?.arrayValue ?? [] }
    #expect(received == items)
    #expect(client.messages.count > 10)
  }

  @Test("an object over a frame's size comes whole, in parts")
  func largeObject() throws {
    let client = try open(.client)
    let request = try request(client)
    let object: JSON = ["data": .string(String(repeating: "é", count: 1_200_000))]
    door.reply(.done(code: 200, object: object, warnings: ["w"]), to: request)
    try wait("it comes") { !client.messages.isEmpty }
    #expect(client.messages.first?["object"] == object)
  }

  @Test("a client that does not take its answers is made no more and asked no more until it has caught up")
  func heldClient() throws {
    let client = try open(.client)
    let request = try request(client)
    client.connection.setReading(false)
    let item: JSON = ["text": .string(String(repeating: "x", count: 100_000))]
    // Beyond what the sockets of both sides take.
    for _ in 0..<200 { door.reply(.items([item]), to: request) }
    #expect(events.list.last == .requestHeld(request, true))
    #expect(door.backlog.bytes > Peer.holdMark)
    let told = events.list.count
    for id in Int64(2)...50 { client.send(ClientMessage.request(id: id, APIRequest(verb: .list, kind: .pods)).json) }
    for _ in 0..<20 { try loop.runOnce(timeoutMilliseconds: 5) }
    #expect(events.list.count == told)
    client.connection.setReading(true)
    try wait("it has all, and what it asked meanwhile is heard") {
      client.messages.count == 200 && events.list.count == told + 1 + 49
    }
    #expect(events.list[told] == .requestHeld(request, false))
    #expect(door.backlog.bytes == 0)
  }

  @Test("a watcher too far behind is cut off, its request cancelled")
  func slowWatcher() throws {
    let client = try open(.client)
    let request = try request(client)
    client.connection.setReading(false)
    let event = APIReply.event(type: "MODIFIED", object: ["text": .string(String(repeating: "x", count: 1_000))])
    for _ in 0..<(Peer.outboxLimit + 10_000) { door.reply(event, to: request) }
    try wait("it is cancelled") { events.list.last == .requestCancelled(request) }
    client.connection.setReading(true)
    try wait("it closes") { client.isClosed }
  }

  @Test("cancelled and abandoned requests are told to the core, once, and too many are refused")
  func cancellation() throws {
    let client = try open(.client)
    let first = try request(client, id: 1)
    let second = try request(client, id: 2)
    client.send(ClientMessage.cancel(id: 1).json)
    try wait("the cancel comes") { events.list.last == .requestCancelled(first) }
    client.connection.close()
    try wait("the other one is cancelled") { events.list.last == .requestCancelled(second) }
    #expect(events.list.filter { $0 == .requestCancelled(first) }.count == 1)
    let greedy = try open(.client)
    for id in 0...Int64(Door.requestLimit) {
      greedy.send(ClientMessage.request(id: id, APIRequest(verb: .watch, kind: .pods)).json)
    }
    try wait("one is refused") { !greedy.messages.isEmpty }
    #expect(greedy.messages.first?["code"] == 429)
  }

  @Test("a log flows from the agent's connection to the client, bytes that are no UTF-8 too, to its end")
  func logs() throws {
    let agent = try open(.agent)
    let client = try open(.client)
    let request = try request(client)
    let session = try #require(agent.result?.session)
    door.startLogs(LogRequest(stream: "s1", attempt: 4, container: "c"), of: session, for: request)
    try wait("the agent is asked") { agent.messages.count == 1 }
    #expect(agent.messages.first?["stream"] == "s1")
    let source = try open(.logs, stream: "s1")
    for frame in [LogFrame.bytes(Array("one\n".utf8)), .bytes([0xff]), .end(code: 200, message: "")] {
      source.connection.send(try Frame.encode(frame.payload))
    }
    try wait("the log ends") { client.messages.last?["type"] == "done" }
    let replies = try client.messages.map { try ClientReply(json: $0).reply }
    #expect(
      replies == [
        .bytes(Array("one\n".utf8)), .bytes([0xff]), .done(code: 200, object: ReplyStatus.success, warnings: []),
      ])
    try wait("the source closes") { source.isClosed }
    // The request is over: its client can use the number again.
    _ = try self.request(client)
  }

  @Test("a log that breaks off, or that nobody sends, ends with an error; a stranger's stream is refused")
  func brokenLogs() throws {
    let agent = try open(.agent)
    let client = try open(.client)
    let session = try #require(agent.result?.session)
    door.startLogs(LogRequest(stream: "s1", attempt: 4, container: "c"), of: session, for: try request(client))
    let source = try open(.logs, stream: "s1")
    source.connection.send(try Frame.encode(LogFrame.bytes([65]).payload))
    try wait("the byte comes") { client.messages.count == 1 }
    source.connection.close()
    try wait("the log ends") { client.messages.count == 2 }
    #expect(client.takeMessages().last?["code"] == 500)
    door.startLogs(LogRequest(stream: "s2", attempt: 4, container: "c"), of: "gone", for: try request(client))
    try wait("the log ends") { client.messages.count == 1 }
    #expect(client.messages.last?["object"]?["message"] == "the node's agent is not connected")
    let stranger = try open(.logs, stream: "s3")
    try wait("the stranger is refused") { stranger.isClosed }
  }

  @Test("a client that does not read its log holds the agent back; nothing is kept without bound")
  func logBackpressure() throws {
    let agent = try open(.agent)
    let client = try open(.client)
    let session = try #require(agent.result?.session)
    door.startLogs(LogRequest(stream: "s1", attempt: 4, container: "c"), of: session, for: try request(client))
    let source = try open(.logs, stream: "s1")
    client.connection.setReading(false)
    let piece = Array(repeating: UInt8(ascii: "x"), count: LogFrame.largestPiece)
    let count = 500
    for _ in 0..<count { source.connection.send(try Frame.encode(LogFrame.bytes(piece).payload)) }
    source.connection.send(try Frame.encode(LogFrame.end(code: 200, message: "").payload))
    for _ in 0..<200 { try loop.runOnce(timeoutMilliseconds: 2) }
    // What the two sockets and the relay's mark hold is a few megabytes; the rest is still with the sender.
    #expect(source.connection.pendingOutput > 10 << 20)
    client.connection.setReading(true)
    try wait("the log ends") { client.messages.last?["type"] == "done" }
    let bytes = client.messages.reduce(0) { $0 + ($1["text"]?.stringValue?.utf8.count ?? 0) }
    #expect(bytes == count * piece.count)
  }

  @Test("large messages of one client are read no further than 8 MiB ahead of the core, and go on when it is done")
  func bytesInFlight() throws {
    var waiting: [Peer] = []
    door.post = { peer, event, _ in
      guard case .request = event, let peer else { return }
      peer.unprocessed += 1
      waiting.append(peer)
    }
    let client = try open(.client)
    let body: JSON = ["data": .string(String(repeating: "x", count: 2 << 20))]
    let count = 12
    for id in 1...Int64(count) {
      client.send(ClientMessage.request(id: id, APIRequest(verb: .create, kind: .configmaps, body: body)).json)
    }
    var done = 0
    while done < count {
      var turns = 0
      try wait("the next ones come, and no more") {
        turns = waiting.isEmpty ? 0 : turns + 1
        return turns > 30
      }
      #expect(waiting.count <= Peer.byteLimit / (2 << 20) + 1)
      done += waiting.count
      let served = waiting
      waiting = []
      for peer in served { peer.unprocessed -= 1 }
    }
    #expect(done == count)
  }
}
