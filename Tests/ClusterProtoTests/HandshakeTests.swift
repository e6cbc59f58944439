// The hello between both sides, with a toy hash in HMAC's place, and everything that must refuse it.

import ClusterProto
import Testing

@Suite("Hello of the native protocol")
struct HandshakeTests {
  private static let nonces = [String(repeating: "0a", count: 32), String(repeating: "f1", count: 32)]

  /// Stands for HMAC: a text that depends on key and message.
  private func proof(_ key: String) -> (String) -> String {
    { text in StableHash.hex(of: Array("\(key)\n\(text)".utf8)) }
  }

  private func client(_ role: ProtocolRole = .agent, cluster: String = "", stream: String = "") -> HandshakeClient {
    HandshakeClient(role: role, nonce: Self.nonces[0], cluster: cluster, stream: stream)
  }

  private func server() -> HandshakeServer {
    HandshakeServer(cluster: "c1", incarnation: 7, nonce: Self.nonces[1], session: "s1")
  }

  private func message(_ step: HandshakeStep) throws -> JSON {
    guard case .send(let message) = step else { throw ProtocolError(.unexpected, "not a message") }
    return message
  }

  private func code(_ body: () throws -> Void) -> ProtocolError.Code? {
    do {
      try body()
      return nil
    } catch {
      return (error as? ProtocolError)?.code
    }
  }

  @Test("both sides end with the same result", arguments: [ProtocolRole.agent, .client, .logs])
  func success(role: ProtocolRole) throws {
    var client = client(role, cluster: "c1", stream: role == .logs ? "stream-1" : "")
    var server = server()
    let challenge = try message(try server.receive(client.hello, prove: proof("k")))
    let answer = try message(try client.receive(challenge, prove: proof("k")))
    guard case .finished(let result, let welcome?) = try server.receive(answer, prove: proof("k")) else {
      Issue.record("the server did not finish")
      return
    }
    #expect(try client.receive(welcome, prove: proof("k")) == .finished(result, final: nil))
    #expect(result.session == "s1")
    #expect(result.incarnation == 7)
    #expect(result.role == role)
    #expect(result.stream == (role == .logs ? "stream-1" : ""))
  }

  @Test("a coordinator with another token is refused by the connecting side, before it proves anything")
  func falseCoordinator() throws {
    var client = client()
    var server = server()
    let challenge = try message(try server.receive(client.hello, prove: proof("other")))
    #expect(code { _ = try client.receive(challenge, prove: proof("k")) } == .unauthorized)
  }

  @Test("a client with another token is refused, and so is a proof replayed from the coordinator's own")
  func falseClient() throws {
    var server = server()
    let challenge = try message(try server.receive(client().hello, prove: proof("k")))
    var refusing = server
    #expect(code { _ = try refusing.receive(["type": "proof", "proof": "00"], prove: proof("k")) } == .unauthorized)
    let replayed: JSON = ["type": "proof", "proof": challenge["proof"] ?? .null]
    #expect(code { _ = try server.receive(replayed, prove: proof("k")) } == .unauthorized)
  }

  @Test("a proof for one role or stream proves nothing for another")
  func roleIsSigned() throws {
    var client = client(.client)
    var server = server()
    var hello = client.hello
    hello["role"] = "agent"
    let challenge = try message(try server.receive(hello, prove: proof("k")))
    #expect(code { _ = try client.receive(challenge, prove: proof("k")) } == .unauthorized)
  }

  @Test(
    "a wrong hello is refused with its code",
    arguments: [
      (["protocols": [3, 9]], .version), (["cluster": "other"], .cluster), (["role": "king"], .malformed),
      (["nonce": "0a"], .malformed), (["nonce": .string(String(repeating: "g", count: 64))], .malformed),
      (["protocols": [3, 1]], .malformed), (["protocols": []], .malformed), (["stream": "x"], .malformed),
      (["cluster": "a\nb"], .malformed), (["type": "proof"], .unexpected), (["type": 3], .malformed),
      (["role": "logs"], .malformed),
    ] as [(JSON, ProtocolError.Code)])
  func wrongHello(change: JSON, expected: ProtocolError.Code) throws {
    var hello = client().hello
    for (name, value) in change.objectValue ?? JSONObject() { hello[name] = value }
    var server = server()
    #expect(code { _ = try server.receive(hello, prove: proof("k")) } == expected)
  }

  @Test("a newer side that still speaks our version is taken, unknown members are ignored")
  func newerClient() throws {
    var hello = client().hello
    hello["protocols"] = [1, 12]
    hello["novelty"] = ["x": 1]
    var server = server()
    #expect(try message(try server.receive(hello, prove: proof("k")))["protocol"] == 2)
  }

  @Test("the coordinator's error reaches the connecting side as it was said")
  func errorFrame() throws {
    var client = client()
    let error = ProtocolError(.busy, "try again")
    #expect(throws: error) { try client.receive(error.json, prove: proof("k")) }
  }

  @Test("a hello fits the limit that holds before it is over")
  func size() {
    let longest = client(
      .logs, cluster: String(repeating: "c", count: 128), stream: String(repeating: "s", count: 128))
    #expect(longest.hello.bytes.count < Handshake.frameLimit)
  }
}
