// The hello between both sides, and everything that must refuse it.

import ClusterProto
import Testing

@Suite("Hello of the native protocol")
struct HandshakeTests {
  private func client(_ role: ProtocolRole = .agent, cluster: String = "", stream: String = "") -> HandshakeClient {
    HandshakeClient(role: role, cluster: cluster, stream: stream)
  }

  private let server = HandshakeServer(cluster: "c1", incarnation: 7, session: "s1", program: "0.1")

  private func code(_ body: () throws -> Void) -> ProtocolError.Code? {
    do {
      try body()
      return nil
    } catch {
      return (error as? ProtocolError)?.code
    }
  }

  @Test("both sides end with the same result", arguments: [ProtocolRole.agent, .client, .logs, .join])
  func success(role: ProtocolRole) throws {
    let client = client(role, cluster: "c1", stream: role == .logs ? "stream-1" : "")
    let (result, welcome) = try server.receive(client.hello)
    #expect(try client.receive(welcome) == result)
    #expect(result.session == "s1")
    #expect(result.incarnation == 7)
    #expect(result.program == "0.1")
    #expect(result.role == role)
    #expect(result.stream == (role == .logs ? "stream-1" : ""))
  }

  @Test(
    "a wrong hello is refused with its code",
    arguments: [
      (["protocols": [4, 9]], .version), (["protocols": [1, 2]], .version), (["cluster": "other"], .cluster),
      (["role": "king"], .malformed), (["protocols": [3, 1]], .malformed), (["protocols": []], .malformed),
      (["stream": "x"], .malformed), (["cluster": "a\nb"], .malformed), (["type": "proof"], .unexpected),
      (["type": 3], .malformed), (["role": "logs"], .malformed),
    ] as [(JSON, ProtocolError.Code)])
  func wrongHello(change: JSON, expected: ProtocolError.Code) throws {
    var hello = client().hello
    for (name, value) in change.objectValue ?? JSONObject() { hello[name] = value }
    #expect(code { _ = try server.receive(hello) } == expected)
  }

  @Test(
    "a wrong welcome is refused with its code",
    arguments: [
      (["protocol": 2], .version), (["protocol": "x"], .malformed), (["cluster": "c2"], .cluster),
      (["cluster": "a\nb"], .malformed), (["incarnation": .null], .malformed), (["session": ""], .malformed),
      (["type": "hello"], .unexpected),
    ] as [(JSON, ProtocolError.Code)])
  func wrongWelcome(change: JSON, expected: ProtocolError.Code) throws {
    let client = client(cluster: "c1")
    var welcome = try server.receive(client.hello).welcome
    for (name, value) in change.objectValue ?? JSONObject() { welcome[name] = value }
    #expect(code { _ = try client.receive(welcome) } == expected)
  }

  @Test("a newer side that still speaks our version is taken, unknown members are ignored")
  func newerClient() throws {
    var hello = client().hello
    hello["protocols"] = [1, 12]
    hello["novelty"] = ["x": 1]
    #expect(try server.receive(hello).welcome["protocol"] == 3)
  }

  @Test("the coordinator's error reaches the connecting side as it was said")
  func errorFrame() throws {
    let error = ProtocolError(.busy, "try again")
    #expect(throws: error) { try client().receive(error.json) }
  }

  @Test("a hello fits the limit that holds before it is over")
  func size() {
    let longest = client(
      .logs, cluster: String(repeating: "c", count: 128), stream: String(repeating: "s", count: 128))
    #expect(longest.hello.bytes.count < Handshake.frameLimit)
  }
}
