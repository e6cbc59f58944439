// Machines without a certificate at the native door: one message, looked at before the core hears of it, and answered.

import ClusterIO
import ClusterProto
import CoordinatorCore
import Testing

@testable import Coordinator

@Suite("Joiners at the door")
struct JoinDoorTests {
  /// Through its hello.
  private static func joiner(_ live: LiveServer) throws -> TestClient {
    let digest = try SigningRequests.keyDigest(ofCertificate: live.authority.authority.certificate)
    let client = try TestClient(
      live.loop, live.server.address, role: .join, tls: try TLSContext(joining: [digest]))
    try live.wait("the hello succeeds") { client.result != nil }
    return client
  }

  private static func ask(_ live: LiveServer, _ request: JoinRequest) throws -> (answer: JSON?, error: ProtocolError?) {
    let client = try joiner(live)
    client.send(request.json)
    try live.wait("the joiner is answered and closed") { client.isClosed }
    return (client.messages.first, client.error)
  }

  private static func request(_ node: String, token: String = "abc", secret: String = "s") throws -> JoinRequest {
    let text = try SigningRequests.make(name: "anything", key: try SigningRequests.makeKey())
    return JoinRequest(token: token, secret: secret, node: node, request: String(decoding: text, as: UTF8.self))
  }

  private static func makeToken(_ live: LiveServer) throws {
    let client = try live.open(.client)
    let wish = JoiningRequest.createToken(
      id: "abc", digest: JoinToken.digest(ofSecret: "s"), ttlSeconds: 60, uses: nil, node: "")
    client.send(ClientMessage.joining(id: 1, wish).json)
    try live.wait("the token is made") { !client.messages.isEmpty }
    let object = try #require(client.messages.first?["object"])
    #expect(object["addresses"] == [.string(live.server.address.description)], "\(object.text)")
    #expect(object["authority"]?.stringValue?.utf8.count == 64)
  }

  @Test("by a token a joiner gets a certificate of the node it asked for, whatever its request says, and no more words")
  func joins() throws {
    let directory = try TemporaryDirectory()
    let live = try LiveServer(directory)
    try Self.makeToken(live)
    let (answer, error) = try Self.ask(live, try Self.request("a"))
    #expect(error == nil)
    guard case .joined(let certificate, let authority, _)? = try answer.map({ try JoinAnswer(json: $0) }) else {
      Issue.record("no certificate: \(String(describing: answer))")
      return
    }
    #expect(Certificates.commonName(Array(certificate.utf8)) == "system:node:a")
    #expect(Array(authority.utf8) == live.authority.authority.certificate)
    try live.stop()
  }

  @Test(
    "names that are none, a missing signature and other words are refused; who joins has no session and no requests")
  func refusals() throws {
    let directory = try TemporaryDirectory()
    let live = try LiveServer(directory)
    try Self.makeToken(live)
    let agent = try live.open(.agent, node: "b")
    for name in ["a/b", String(repeating: "a", count: 300), "", "A", "a\nb"] {
      let (answer, _) = try Self.ask(live, try Self.request(name))
      #expect(answer?["type"] == "refused", "\(name)")
      #expect(answer?["reason"]?.stringValue?.contains("is not valid: ") == true, "\(name)")
    }
    var unsigned = try Self.request("a")
    unsigned.request = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"
    #expect(try Self.ask(live, unsigned).error?.code == .malformed)
    unsigned.request = String(repeating: "x", count: JoinRequest.requestLimit + 1)
    #expect(try Self.ask(live, unsigned).error?.code == .malformed)
    let others: [JSON] = [
      ClientMessage.request(id: 1, APIRequest(verb: .list, kind: .secrets)).json, AgentMessage.fetch([1]).json,
      ["type": "renew", "request": "x"], ["type": "nonsense"],
    ]
    for message in others {
      let client = try Self.joiner(live)
      client.send(message)
      try live.wait("it is refused") { client.isClosed }
      #expect(client.error?.code == .unexpected, "\(message.text)")
    }
    #expect(!agent.isClosed)
    try live.stop()
  }

  @Test("a joiner that says nothing is closed as a hello that is not over, and takes the place of one until then")
  func silent() throws {
    let directory = try TemporaryDirectory()
    let live = try LiveServer(directory) { $0.helloMilliseconds = 200 }
    let client = try Self.joiner(live)
    try live.wait("it is closed") { client.isClosed }
    #expect(client.result != nil && client.error?.code == .timeout)
    try live.stop()
  }

  @Test("a session renews the certificate of its own key; with another key, or with rubbish, it gets the reason")
  func renewal() throws {
    let directory = try TemporaryDirectory()
    let live = try LiveServer(directory)
    let key = try SigningRequests.makeKey()
    let identity = try Identity.issue(node: "a", coordinator: directory.path, key: key)
    let agent = try TestClient(
      live.loop, live.server.address, role: .agent, tls: try TLSContext(native: identity))
    try live.wait("the hello succeeds") { agent.result != nil }
    let registration = Registration(
      node: "a", machineID: "m", bootID: "b", keeper: "k", sweptKeepers: [],
      capacity: NodeCapacity(cpuMillicores: 1, memoryBytes: 1, pods: 1), labels: StringMap(), address: "127.0.0.1",
      info: [:], conditions: [], fencesFully: true, highestIncarnation: 0, highestAttempt: 0)
    agent.send(AgentMessage.register(registration).json)
    try live.wait("it is registered") { !agent.takeMessages().isEmpty }
    func ask(_ text: String) throws -> RenewAnswer? {
      agent.send(RenewRequest(request: text).json)
      var answer: RenewAnswer?
      try live.wait("it is answered") {
        for message in agent.takeMessages() { answer = (try? RenewAnswer(json: message)) ?? answer }
        return answer != nil
      }
      return answer
    }
    let own = String(decoding: try SigningRequests.make(name: "system:node:b", key: key), as: UTF8.self)
    guard case .renewed(let certificate, _)? = try ask(own) else {
      Issue.record("not renewed")
      return
    }
    let next = PEMIdentity(certificate: Array(certificate.utf8), key: key)
    #expect(Certificates.isUsable(next, authority: identity.authority, inSeconds: 80 * 86_400))
    #expect(Certificates.commonName(next.certificate) == "system:node:a")
    guard case .refused(let reason)? = try ask(try Self.request("a").request) else {
      Issue.record("another key was signed")
      return
    }
    #expect(reason == "a session renews the certificate of its own node and key alone")
    guard case .refused? = try ask("rubbish") else {
      Issue.record("rubbish was signed")
      return
    }
    #expect(!agent.isClosed)
    try live.stop()
  }
}
