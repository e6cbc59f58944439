// Connections at both doors whose certificates end while they are open, and certificates that the store does not know.

import ClusterIO
import ClusterProto
import HTTPTestSupport
import Testing

@testable import Coordinator

@Suite("Ends of certificates at both doors")
struct CertificateEndTests {
  @Test("a user's connections close at both doors when the certificate ends, others stay, and nothing is kept of them")
  func users() throws {
    try LiveAPI.with { api in
      let short = try api.live.user("alice", seconds: 3)
      let https = try api.connect(try TLSContext(client: short.own, authority: short.authority))
      let native = try TestClient(
        api.live.loop, api.live.server.address, role: .client, tls: try TLSContext(native: short))
      let other = try api.live.open(.client)
      let master = try api.connect()
      https.connection.send(HTTPTestClient.request("GET", "/version"))
      try api.live.wait("both are in") { native.result != nil && https.takeAnswer() != nil }
      let end = try #require(Certificates.end(short.own.certificate))
      try api.live.wait("both are closed") { https.isClosed && native.isClosed }
      let now = Clocks.now().wall / 1_000_000_000
      #expect(now >= end)
      let words = "the certificate of \"alice\" ended at \(WallTime(nanoseconds: end * 1_000_000_000).rfc3339)"
      #expect(native.error == ProtocolError(.unauthorized, words))
      #expect(!other.isClosed && !master.isClosed)
      #expect(api.live.server.door.ends.count == 2)
    }
  }

  @Test("an agent's session outlives its certificate once the next one was given over it; without, it closes")
  func agents() throws {
    let live = try LiveServer(try TemporaryDirectory())
    func session(_ node: String) throws -> (client: TestClient, key: [UInt8]) {
      let own = try Certificates.make(
        name: Subject.nodeName(node), .client(group: Subject.nodes), issuer: live.authority.authority, seconds: 4)
      let identity = Identity(own: own, authority: live.authority.authority.certificate)
      let client = try TestClient(
        live.loop, live.server.address, role: .agent, tls: try TLSContext(native: identity))
      try live.wait("\(node) is in") { client.result != nil }
      client.send(FakeNode.registration(node))
      client.send(FakeNode.heartbeat(1))
      try live.wait("\(node) has registered") { client.messages.contains { $0["type"] == "answer" } }
      return (client, own.key)
    }
    let (renewed, idle) = (try session("renewed"), try session("idle"))
    let request = try SigningRequests.make(name: Subject.nodeName("renewed"), key: renewed.key)
    renewed.client.send(RenewRequest(request: String(decoding: request, as: UTF8.self)).json)
    try live.wait("the next certificate is there") {
      renewed.client.messages.contains { (try? RenewAnswer(json: $0)) != nil }
    }
    try live.wait("the one that was not renewed is closed") { idle.client.isClosed }
    #expect(idle.client.error?.message.hasPrefix("the certificate of \"system:node:idle\" ended at ") == true)
    #expect(idle.client.error?.code == .unauthorized)
    // Both ended in one second or in two that follow each other.
    let later = Clocks.now().wall / 1_000_000_000 + 2
    try live.wait("both ends are past") { Clocks.now().wall / 1_000_000_000 > later }
    #expect(!renewed.client.isRefusedOrClosed)
    #expect(live.server.door.ends.count == 1)
    try live.stop()
  }

  @Test("a user's certificate of the authority whose key the store does not know is refused at both doors")
  func unknown() throws {
    try LiveAPI.with { api in
      // As made after the backup that was restored: the authority has signed it, and no row says so.
      let mallory = try api.live.authority.identity("mallory", group: "devs")
      let native = try TestClient(
        api.live.loop, api.live.server.address, role: .client, tls: try TLSContext(native: mallory))
      try api.live.wait("the native door refuses") { native.error != nil }
      let words =
        "the certificate of \"mallory\" is not known here, as when it was made after the backup that was "
        + "restored: stint user create makes another"
      #expect(native.error == ProtocolError(.unauthorized, words))
      let https = try api.connect(try TLSContext(client: mallory.own, authority: mallory.authority))
      https.connection.send(HTTPTestClient.request("GET", "/api/v1/namespaces/default/pods"))
      var answer: HTTPTestAnswer?
      try api.live.wait("the HTTPS door answers") {
        answer = https.takeAnswer()
        return answer != nil || https.isClosed
      }
      #expect(answer?.code == 401 && answer?.json["message"]?.stringValue == "Unauthorized: \(words)")
      // Masters' are made by whoever has the authority; nodes' keys are judged where they register.
      _ = try api.live.open(.client)
      _ = try FakeNode(api.live)
    }
  }
}

@Suite("What is kept of certificates' ends")
struct CertificateEndsTests {
  private final class Open {}

  @Test(
    "connections that come and go leave nothing behind, and one turn closes a bounded number of those that end at once")
  func bounds() throws {
    let loop = try EventLoop()
    let ends = CertificateEnds(loop: loop)
    let alice = Subject(name: "alice", groups: [], key: "k", door: .native)
    let far = Clocks.now().wall / 1_000_000_000 + 90 * 86_400
    let stays = Open()
    ends.add(stays, of: alice, end: far) { _ in }
    for number in 0..<10_000 {
      let gone = Open()
      ends.add(gone, of: alice, end: far - Int64(number % 100)) { _ in }
      ends.remove(gone)
    }
    #expect(ends.count == 1 && ends.entries <= 65)
    var closed = 0
    let crowd = (0..<1_000).map { _ in Open() }
    for one in crowd { ends.add(one, of: alice, end: 1) { _ in closed += 1 } }
    var most = 0
    var turns = 0
    while closed < 1_000, turns < 1_000 {
      let before = closed
      try loop.runOnce(timeoutMilliseconds: 10)
      most = max(most, closed - before)
      turns += 1
    }
    #expect(closed == 1_000 && most == CertificateEnds.closedAtOnce && ends.count == 1)
  }
}
