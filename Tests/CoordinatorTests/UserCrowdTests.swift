// Users who have proven who they are and open connections without end: what they hold keeps nobody else out.

import ClusterIO
import ClusterProto
import HTTPTestSupport
import Testing

@testable import Coordinator
@testable import CoordinatorCore

@Suite("Crowds of one user's connections")
struct UserCrowdTests {
  /// A server that may have so many files open.
  private func api(_ directory: TemporaryDirectory, files: Int) throws -> LiveAPI {
    try LiveAPI(directory) { $0.descriptorLimit = files }
  }

  private static let version = HTTPTestClient.request("GET", "/version")

  private func native(_ api: LiveAPI, _ user: Identity) throws -> TestClient {
    try TestClient(api.live.loop, api.live.server.address, role: .client, tls: try TLSContext(native: user))
  }

  private func https(_ api: LiveAPI, _ context: TLSContext, _ request: [UInt8] = version) throws -> HTTPTestClient {
    let client = try api.connect(context)
    client.connection.send(request)
    return client
  }

  private func answer(_ api: LiveAPI, _ client: HTTPTestClient) throws -> HTTPTestAnswer? {
    var answer: HTTPTestAnswer?
    try api.live.wait("an answer comes") {
      answer = client.takeAnswer()
      return answer != nil || client.isClosed
    }
    return answer
  }

  /// Whoever is new gets in on both doors: an administrator, an agent, another user.
  private func expectOpen(_ api: LiveAPI, agent: String, other: TLSContext) throws {
    let admin = try api.live.open(.client)
    let https = try self.https(api, api.admin, HTTPTestClient.request("GET", "/api/v1/nodes"))
    #expect(try answer(api, https)?.code == 200)
    let node = try FakeNode(api.live, name: agent)
    try api.live.wait("the agent is answered") { node.agent.messages.contains { $0["type"] == "answer" } }
    let user = try self.https(api, other, HTTPTestClient.request("GET", "/api/v1/nodes"))
    #expect(try answer(api, user)?.code == 403)
    for connection in [admin.connection, https.connection, user.connection, node.agent.connection] {
      connection.close()
    }
  }

  @Test("a user's thousand connections keep nobody else out on either door")
  func thousand() throws {
    let directory = try TemporaryDirectory()
    let api = try api(directory, files: 400)
    let places = api.live.server.door.places
    let (zero, bob) = (try api.live.user("zero"), try api.live.user("bob"))
    let own = try TLSContext(client: zero.own, authority: zero.authority)
    let other = try TLSContext(client: bob.own, authority: bob.authority)
    var natives: [TestClient] = []
    var requests: [HTTPTestClient] = []
    var refusals: [HTTPTestAnswer] = []
    for round in 0..<50 {
      let fresh = try (0..<12).map { _ in try native(api, zero) }
      let asking = try (0..<8).map { _ in try https(api, own) }
      try api.live.wait("each is in or out") {
        fresh.allSatisfy { $0.result != nil || $0.isRefusedOrClosed }
          && asking.allSatisfy { $0.hasBytes || $0.isClosed }
      }
      natives += fresh
      requests += asking
      refusals += asking.compactMap { $0.takeAnswer() }.filter { $0.code != 200 }
      #expect(places.count(of: "zero") <= places.budget.users.each)
      #expect(api.live.server.connectionCount <= 400 - DescriptorBudget.own)
      if round % 10 == 9 { try expectOpen(api, agent: "node-\(round)", other: other) }
    }
    #expect(places.count(of: "zero") == places.budget.users.each)
    let words = "zero has 42 connections open, as many as one name may have: close some, or try again later"
    let refused = natives.compactMap(\.error)
    #expect(refused.count > 400 && refused.allSatisfy { $0.code == .busy && $0.message == words })
    #expect(refusals.count > 300, "\(refusals.count)")
    for refusal in refusals { expectStatus(refusal, 429, "TooManyRequests", words) }
    #expect(refusals.allSatisfy { $0.header("retry-after") == "1" && $0.header("connection") == "close" })
    for client in natives { client.connection.close() }
    for client in requests { client.connection.close() }
    try api.live.wait("its places are free again") { places.count(of: "zero") == 0 }
    let again = try native(api, zero)
    try api.live.wait("it gets in") { again.result != nil }
    try api.live.stop()
  }

  @Test("users who together have taken all places make room for who has fewer")
  func together() throws {
    let directory = try TemporaryDirectory()
    let api = try api(directory, files: 400)
    let places = api.live.server.door.places
    var crowd: [TestClient] = []
    for name in ["one", "two"] {
      let user = try api.live.user(name)
      for _ in 0..<places.budget.users.each {
        crowd.append(try native(api, user))
        if crowd.count % 20 == 0 { try api.live.wait("they are in") { crowd.allSatisfy { $0.result != nil } } }
      }
    }
    try api.live.wait("all are in") { crowd.allSatisfy { $0.result != nil } }
    let late = try native(api, try api.live.user("late"))
    try api.live.wait("who comes late gets in") { late.result != nil }
    try api.live.wait("one of the crowd is told why it goes") { crowd.contains { $0.error != nil } }
    #expect(crowd.compactMap(\.error).map(\.code) == [.busy])
    #expect(places.count(of: "one") + places.count(of: "two") + places.count(of: "late") == places.budget.users.total)
    try api.live.stop()
  }

  @Test("connections count for the account whose token they show, and for nobody before")
  func tokens() throws {
    let directory = try TemporaryDirectory()
    let api = try api(directory, files: 200)
    let places = api.live.server.door.places
    let made = try api.ask(
      "POST", "/api/v1/namespaces/default/serviceaccounts/default/token",
      body: ["apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": [:]])
    let token = try #require(made.json[path: ["status", "token"]]?.stringValue)
    let name = "system:serviceaccount:default:default"
    let request = HTTPTestClient.request("GET", "/api/v1", headers: ["Authorization: Bearer \(token)"])
    var held: [HTTPTestClient] = []
    for _ in 0..<places.budget.users.each {
      let client = try https(api, api.stranger)
      #expect(try answer(api, client)?.code == 200 && places.count(of: name) == held.count)
      client.connection.send(request)
      #expect(try answer(api, client)?.code == 200)
      held.append(client)
    }
    #expect(places.count(of: name) == places.budget.users.each)
    let more = try answer(api, try https(api, api.stranger, request))
    expectStatus(try #require(more), 429, "TooManyRequests", "\(name) has \(held.count) connections open")
    #expect(more?.header("connection") == "close")
    let native = try TestClient(
      api.live.loop, api.live.server.address, role: .client,
      tls: api.stranger, token: token)
    try api.live.wait("the native door refuses too") { native.error != nil }
    #expect(native.error?.code == .busy)
    held[0].connection.close()
    try api.live.wait("a place is free") { places.count(of: name) < held.count }
    #expect(try answer(api, try https(api, api.stranger, request))?.code == 200)
    try api.live.stop()
  }

  @Test("a log that is read is a connection of who reads it")
  func logs() throws {
    let live = try LiveServer(try TemporaryDirectory()) { $0.descriptorLimit = 128 }
    let client = try live.open(.client)
    let node = try FakeNode(live)
    try node.createPod(client)
    let each = live.server.door.places.budget.masters.each
    for number in 1..<each { _ = try node.openLog(of: client, Int64(number + 10)) }
    let request = APIRequest(verb: .log, kind: .pods, namespace: "default", name: "p", subresource: "log")
    client.send(ClientMessage.request(id: 99, request).json)
    try live.wait("one more is refused") { client.messages.contains { $0["id"] == 99 } }
    #expect(client.messages.first { $0["id"] == 99 }?["code"] == 429)
    #expect(!node.agent.messages.contains { $0["type"] == "logs" })
    try live.stop()
  }

  // Without sockets.

  private final class Holder {}

  @Test("the shares are no more than the limit together, and what is left for agents grows with it")
  func budget() {
    for limit in [256, 400, 1_024, 4_096, 20_000, 65_536, 1 << 20] {
      let budget = DescriptorBudget(limit: limit)
      let sum =
        DescriptorBudget.own + budget.hellos + budget.unproven + budget.refused + budget.users.total
        + budget.masters.total + budget.agents.total
      #expect(sum <= limit)
      #expect(budget.agents.total >= (limit - DescriptorBudget.own) / 4)
    }
    // As docs/security.md has it.
    let usual = DescriptorBudget(limit: 65_536)
    #expect(usual.users == .init(total: 4_096, each: 2_048) && usual.agents.total == 56_384)
    let low = DescriptorBudget(limit: 1_024)
    #expect(low.users == .init(total: 240, each: 120) && low.masters == .init(total: 120, each: 60))
    #expect(low.agents.total == 300 && low.hellos == 120 && low.unproven == 120)
  }

  @Test("a node's seventeenth session takes the place of its first, and another node's is not asked")
  func sessions() {
    let places = ConnectionPlaces(DescriptorBudget(limit: 1_024))
    var closed: [Int] = []
    var held: [Holder] = []
    let other = Holder()
    #expect(places.take(other, for: .agent(of: "b"), isSession: true) { _ in closed.append(-1) } == nil)
    for number in 0...DescriptorBudget.sessionsOfNode {
      held.append(Holder())
      let refusal = places.take(held[number], for: .agent(of: "a"), isSession: true) { _ in closed.append(number) }
      #expect(refusal == nil)
    }
    #expect(closed == [0] && !places.holds(held[0]) && places.holds(other))
    #expect(places.count(of: Subject.nodeName("a")) == DescriptorBudget.sessionsOfNode)
  }

  @Test("who has no place for a second name keeps that of the first; masters and users take nothing from each other")
  func change() {
    let places = ConnectionPlaces(DescriptorBudget(limit: 128))
    func user(_ name: String) -> Subject { Subject(name: name, groups: [Subject.authenticated], door: .https) }
    let full = (0..<places.budget.users.each).map { _ in Holder() }
    for holder in full { #expect(places.take(holder, for: user("full")) { _ in } == nil) }
    let holder = Holder()
    #expect(places.take(holder, for: user("a")) { _ in } == nil)
    #expect(places.take(holder, for: user("full")) { _ in } != nil)
    #expect(places.count(of: "a") == 1)
    #expect(places.take(holder, for: .administrator) { _ in } == nil)
    #expect(places.count(of: "a") == 0 && places.count(of: "admin") == 1)
    places.remove(holder)
    #expect(places.count(of: "admin") == 0)
  }

  @Test("refused connections have one line a minute for each name, with their number, and names are bounded")
  func lines() {
    var lines = SurplusLines()
    let minute = SurplusLines.nanoseconds
    #expect(lines.take("zero", from: "h:1", "why", at: 0)?.count == 1)
    for number in 0..<1_000 { #expect(lines.take("zero", from: "h:\(number)", "why", at: 5) == nil) }
    #expect(lines.take("bob", from: "h:2", "why", at: 9)?.count == 1)
    #expect(lines.due(at: minute - 1).isEmpty)
    #expect(lines.due(at: minute) == [.init(name: "zero", from: "h:999", reason: "why", count: 1_000)])
    #expect(lines.due(at: minute + 20).isEmpty)
    #expect(lines.due(at: 2 * minute).isEmpty, "nothing more came, so it is forgotten")
    #expect(lines.take("zero", from: "h:1", "why", at: 2 * minute)?.count == 1)
    let told = (0..<10_000).compactMap { lines.take("user-\($0)", from: "h:1", "why", at: 3 * minute) }
    #expect(told.count <= SurplusLines.nameLimit + 1)
  }
}
