// Peers that mean harm on the native port, on real sockets: wrong certificates, crowds, the slow and the greedy, agents
// that ask for what is others'. The same certificates are shown to the HTTPS port.

import ClusterIO
import ClusterProto
import CoordinatorCore
import Glibc
import HTTPTestSupport
import Testing

@testable import Coordinator

@Suite("Attacks on the native door")
struct NativeAttackTests {
  /// Processor time of this thread, coordinator and attackers alike: what a busy machine and other tests add is not
  /// counted.
  private static func processorMilliseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
  }

  /// A heartbeat of `node` is answered, whatever else goes on.
  private func beat(_ live: LiveServer, _ node: FakeNode, _ sequence: Int64) throws {
    _ = node.agent.takeMessages()
    let begin = Self.processorMilliseconds()
    node.agent.send(FakeNode.heartbeat(sequence))
    try live.wait("the heartbeat is answered") { node.agent.messages.contains { $0["type"] == "answer" } }
    let spent = Self.processorMilliseconds() - begin
    #expect(spent < 200, "answered after \(spent) ms of processor time")
  }

  @Test(
    "2,000 handshakes that stop half-way: each heartbeat is answered within 200 ms, places are bounded and come back")
  func halfOpen() throws {
    let live = try LiveServer(try TemporaryDirectory())
    let node = try FakeNode(live)
    let tls = try live.authority.context()
    var crowd: [TestClient] = []
    var sequence: Int64 = 1
    while crowd.count < 2_000 {
      for _ in 0..<50 {
        let client = try TestClient(live.loop, live.server.address, role: nil, tls: tls)
        // The server's flight is never read: all that it costs has been spent, and the handshake stays open.
        client.connection.setReading(false)
        crowd.append(client)
      }
      sequence += 1
      try beat(live, node, sequence)
      // One that is refused is counted until its turn is over.
      try live.wait("places are bounded") { live.server.connectionCount <= Door.helloLimit + 1 }
    }
    for client in crowd { client.connection.close() }
    try live.wait("all places are free again") { live.server.connectionCount == 1 }
    _ = try live.open(.client)
    try live.stop()
  }

  @Test("a crowd that takes all places and is silent gives them up within seconds, long before its time for a hello")
  func silentCrowd() throws {
    let live = try LiveServer(try TemporaryDirectory()) { $0.helloMilliseconds = 600_000 }
    let crowd = try (0..<Door.helloLimit).map { _ in try live.connect(nil) }
    try live.wait("all places are taken") { live.server.connectionCount == Door.helloLimit }
    var client: TestClient?
    try live.wait("one who asks again and again gets in", seconds: 60) {
      if client?.isRefusedOrClosed ?? true { client = try? live.connect(.client) }
      return client?.result != nil
    }
    #expect(crowd.contains { $0.error?.code == .busy })
    for member in crowd { member.connection.close() }
    try live.stop()
  }

  /// An address of this machine by which it is no longer known as itself; nil where there is none.
  private static let ownAddress = MachineAddresses.all().first { !$0.contains(":") }

  @Test("one machine has a share of the places, and others get in beside it", .enabled(if: ownAddress != nil))
  func shareOfMachine() throws {
    let live = try LiveServer(try TemporaryDirectory()) { $0.listen = .tcp(host: "0.0.0.0", port: 0) }
    guard case .tcp(_, let port) = live.server.address, let own = Self.ownAddress else { return }
    let tls = try live.authority.context()
    let crowd = try (0..<UnprovenPlaces.shareOfOrigin + 20).map { _ in
      try TestClient(live.loop, .tcp(host: own, port: port), role: nil, tls: tls)
    }
    try live.wait("those beyond the share are closed") { crowd.filter(\.isClosed).count == 20 }
    #expect(live.server.connectionCount == UnprovenPlaces.shareOfOrigin)
    // This machine's own processes stand for another one here.
    let other = try TestClient(live.loop, .tcp(host: "127.0.0.1", port: port), role: .client, tls: tls)
    try live.wait("the other one is in") { other.result != nil }
    crowd.first { !$0.isClosed }?.connection.close()
    try live.wait("a place is free") { live.server.connectionCount == UnprovenPlaces.shareOfOrigin }
    let next = try TestClient(live.loop, .tcp(host: own, port: port), role: .client, tls: tls)
    try live.wait("who leaves makes room") { next.result != nil }
    for client in crowd { client.connection.close() }
    try live.stop()
  }

  @Test("plain text gets a sentence, bytes one at a time and a megabyte at once get their error; heartbeats go on")
  func slowGreedyPlain() throws {
    let live = try LiveServer(try TemporaryDirectory()) { $0.helloMilliseconds = 2_000 }
    let node = try FakeNode(live)
    let plain = try HTTPTestClient(live.loop, live.server.address, nil)
    plain.connection.send(Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8))
    let slow = try (0..<100).map { _ in try live.connect(nil) }
    let greedy = try (0..<20).map { _ in try live.connect(nil) }
    for client in greedy { client.connection.send([UInt8](repeating: 0, count: 1 << 20)) }
    let hello = MessageWriter.frames(HandshakeClient(role: .client).hello)
    var sequence: Int64 = 1
    for position in 0..<20 {
      for client in slow where !client.isRefusedOrClosed { client.connection.send([hello[position]]) }
      sequence += 1
      try beat(live, node, sequence)
    }
    try live.wait("all are refused and closed") {
      plain.isClosed && slow.allSatisfy(\.isClosed) && greedy.allSatisfy(\.isClosed)
    }
    #expect(plain.text.contains("This port speaks stint's own protocol over TLS."))
    #expect(slow.allSatisfy { $0.error?.code == .timeout })
    #expect(greedy.allSatisfy { $0.error?.code == .tooLarge })
    try live.wait("nothing is left of them") { live.server.connectionCount == 1 }
    try live.stop()
  }

  enum Forgery: String, CaseIterable, CustomTestStringConvertible {
    case otherCluster, expired, notYetValid, ofNode, serverOnly, selfSigned
    var testDescription: String { rawValue }

    /// A master's certificate, were it not for one thing.
    func make(_ authority: PEMIdentity) throws -> PEMIdentity {
      let master = CertificatePurpose.client(group: Subject.masters)
      switch self {
      case .otherCluster:
        // Of the same name: only the key tells two authorities apart.
        let other = try Certificates.make(name: "stint", .authority, issuer: nil, seconds: 3600)
        return try Certificates.make(name: "admin", master, issuer: other, seconds: 3600)
      case .expired: return try Certificates.make(name: "admin", master, issuer: authority, seconds: -600)
      case .notYetValid:
        return try Certificates.make(name: "admin", master, issuer: authority, seconds: 7_200, beginsIn: 3_600)
      case .ofNode:
        let node = try Certificates.make(
          name: Subject.nodeName("a"), .client(group: Subject.nodes), issuer: authority, seconds: 3600)
        return try Certificates.make(name: "admin", master, issuer: node, seconds: 3600)
      case .serverOnly:
        return try Certificates.make(name: "admin", .server(hosts: ["127.0.0.1"]), issuer: authority, seconds: 3600)
      case .selfSigned: return try Certificates.make(name: "admin", master, issuer: nil, seconds: 3600)
      }
    }
  }

  @Test("who speaks HTTP at the native port is told in HTTP which port he wants")
  func wrongPort() throws {
    try LiveAPI.with { api in
      let client = try HTTPTestClient(api.live.loop, api.live.server.address, api.admin)
      client.connection.send(HTTPTestClient.request("GET", "/api/v1/nodes"))
      var answer: HTTPTestAnswer?
      try api.live.wait("it is answered") {
        answer = client.takeAnswer()
        return answer != nil || client.isClosed
      }
      #expect(answer?.code == 400 && answer?.json["kind"] == "Status")
      #expect(answer?.json["message"]?.stringValue?.contains("the Kubernetes API has a port of its own") == true)
      try api.live.wait("the server closes") { client.isClosed }
    }
  }

  @Test(
    "no forged, foreign or untimely certificate opens either door, and a wrong clock is told with both times",
    arguments: Forgery.allCases)
  func forgeries(forgery: Forgery) throws {
    let directory = try TemporaryDirectory()
    let api = try LiveAPI(directory)
    let own = try forgery.make(api.pki.authority)
    let identity = Identity(own: own, authority: api.pki.authority.certificate)
    for role in [ProtocolRole.client, .agent, .logs] {
      let client = try TestClient(
        api.live.loop, api.live.server.address, role: role, tls: try TLSContext(native: identity),
        stream: role == .logs ? "s" : "")
      try api.live.wait("the native door refuses") { client.error != nil }
      #expect(client.error?.code == .unauthorized && client.result == nil)
      try expectClocks(client.error?.message ?? "", forgery)
    }
    let https = try api.connect(try TLSContext(client: own, authority: identity.authority))
    https.connection.send(HTTPTestClient.request("GET", "/api/v1/nodes"))
    var answer: HTTPTestAnswer?
    try api.live.wait("the HTTPS door refuses") {
      answer = https.takeAnswer()
      return answer != nil || https.isClosed
    }
    #expect(answer?.code == 401)
    try expectClocks(answer?.json["message"]?.stringValue ?? "", forgery)
    try api.live.stop()
  }

  /// The certificate's times and the machine's, where time is what is wrong.
  private func expectClocks(_ message: String, _ forgery: Forgery) throws {
    let isUntimely = [.expired, .notYetValid].contains(forgery)
    #expect(message.contains("set the clock right") == isUntimely, "\(message)")
    let hours = WallTime(nanoseconds: Clocks.now().wall).rfc3339.prefix(11)
    #expect(message.contains("this machine's clock says \(hours)") == isUntimely, "\(message)")
    #expect(message.contains("certificate is valid from ") == isUntimely, "\(message)")
    // Whose certificate ended asks whoever makes them.
    #expect(message.contains("stint kubeconfig --data") == isUntimely, "\(message)")
  }

  @Test("an agent's certificate gets nothing of another node, by either door: pods, Secrets, logs, Node, leases")
  func agentAsClient() throws {
    let api = try LiveAPI(try TemporaryDirectory())
    let admin = try api.live.open(.client)
    let victim = try FakeNode(api.live, name: "victim")
    try victim.createPod(admin)
    let secret: JSON = [
      "apiVersion": "v1", "kind": "Secret", "metadata": ["name": "s"], "data": ["a": "aGlkZGVuLXZhbHVl"],
    ]
    admin.send(
      ClientMessage.request(
        id: 2, APIRequest(verb: .create, kind: .secrets, namespace: "default", body: secret)
      ).json)
    try api.live.wait("the Secret is there") { admin.messages.contains { $0["code"] == 201 } }
    let thief = try TestClient(
      api.live.loop, api.live.server.address, role: .client, tls: try api.live.authority.context(node: "thief"))
    try api.live.wait("the thief is connected") { thief.result != nil }
    let node: JSON = ["spec": ["unschedulable": true]]
    func of(_ verb: APIVerb, _ kind: Kind, _ name: String = "", _ subresource: String = "", body: JSON? = nil)
      -> APIRequest
    {
      var request = APIRequest(
        verb: verb, kind: kind, namespace: kind.isNamespaced ? "default" : "", name: name, subresource: subresource,
        body: body)
      request.options.patchKind = .merge
      return request
    }
    let pod: JSON = [
      "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "q"],
      "spec": ["containers": [["name": "c", "image": "i", "command": ["true"]]]],
    ]
    let requests = [
      of(.get, .secrets, "s"), of(.list, .secrets), of(.watch, .secrets), of(.get, .pods, "p"),
      of(.log, .pods, "p", "log"),
      of(.delete, .pods, "p"), of(.create, .pods, body: pod), of(.patch, .nodes, "victim", body: node),
      of(.delete, .nodes, "victim"), of(.deletecollection, .pods), of(.list, .configmaps),
      of(.create, .pods, "p", "eviction"), of(.delete, .jobs, "j"), of(.delete, .leases, "victim"),
    ]
    for (number, request) in requests.enumerated() {
      let id = Int64(number)
      thief.send(ClientMessage.request(id: id, request).json)
      try api.live.wait("\(request.verb) \(request.kind) is answered") {
        thief.messages.contains { $0["type"] == "done" && $0["id"]?.intValue == id }
      }
      let answer = thief.takeMessages()
      #expect(answer.last?["code"] == 403, "\(request.verb) \(request.kind): \(answer)")
      #expect(!answer.contains { $0.text.contains("aGlkZGVuLXZhbHVl") })
    }
    let own = try #require(
      try? Certificates.make(
        name: Subject.nodeName("thief"), .client(group: Subject.nodes), issuer: api.pki.authority, seconds: 3600))
    let https = try api.connect(try TLSContext(client: own, authority: api.pki.authority.certificate))
    for path in [
      "/api/v1/namespaces/default/secrets/s", "/api/v1/secrets", "/api/v1/namespaces/default/pods/p",
      "/api/v1/namespaces/default/pods/p/log",
    ] {
      https.connection.send(HTTPTestClient.request("GET", path))
      var answer: HTTPTestAnswer?
      try api.live.wait("\(path) is answered") {
        answer = https.takeAnswer()
        return answer != nil || https.isClosed
      }
      #expect(answer?.code == 403 && answer?.text.contains("aGlkZGVuLXZhbHVl") == false, "\(path)")
    }
    try api.live.stop()
  }
}
