// An agent that reaches for what is another node's, in its session and at both doors: attempts, reports, logs, tokens,
// certificates. Each is refused, and the other node's pod goes on as if nothing had been said.

import ClusterIO
import ClusterProto
import HTTPTestSupport
import Testing

@testable import Coordinator

@Suite("An agent and what is another node's")
struct OtherNodesTests {
  /// Another node runs the pod `p` as attempt 1; `thief` is a registered agent that runs nothing.
  private final class Scene {
    let api: LiveAPI
    let admin: TestClient
    let victim: FakeNode
    let thief: TestClient
    private var sequence: Int64 = 1

    init() throws {
      api = try LiveAPI(try TemporaryDirectory())
      admin = try api.live.open(.client)
      victim = try FakeNode(api.live, name: "victim")
      try victim.createPod(admin)
      thief = try FakeNode(api.live, name: "thief").agent
      try settle()
    }

    /// All that the thief has said was heard: two heartbeats after it were answered.
    func settle() throws {
      for _ in 0..<2 {
        sequence += 1
        let number = sequence
        thief.send(FakeNode.heartbeat(number))
        try api.live.wait("heartbeat \(number) is answered") {
          thief.isRefusedOrClosed
            || thief.messages.contains { $0["type"] == "answer" && $0["sequence"]?.intValue == number }
        }
      }
    }

    func phase() throws -> JSON? {
      try api.object("/api/v1/namespaces/default/pods/p")[path: ["status", "phase"]]
    }

    /// What the HTTPS door says to the thief's certificate.
    func code(_ method: String, _ path: String, _ body: JSON? = nil) throws -> Int? {
      let own = try api.live.authority.identity(Subject.nodeName("thief"), group: Subject.nodes)
      let client = try api.connect(try TLSContext(client: own.own, authority: own.authority))
      client.connection.send(HTTPTestClient.request(method, path, body: body?.bytes ?? []))
      var answer: HTTPTestAnswer?
      try api.live.wait("\(method) \(path) is answered") {
        answer = client.takeAnswer()
        return answer != nil || client.isClosed
      }
      return answer?.code
    }

    func stop() throws { try api.live.stop() }
  }

  private static let pod = "/api/v1/namespaces/default/pods/p"

  @Test("a fetch of another node's attempt brings no body, and its pod is not read over HTTPS")
  func fetch() throws {
    let scene = try Scene()
    _ = scene.thief.takeMessages()
    scene.thief.send(AgentMessage.fetch([1]).json)
    try scene.settle()
    #expect(!scene.thief.messages.contains { $0.text.contains("podName") }, "\(scene.thief.messages)")
    #expect(try scene.code("GET", Self.pod) == 403)
    #expect(try scene.code("GET", "/api/v1/pods?fieldSelector=spec.nodeName=victim") == 403)
    try scene.stop()
  }

  @Test("a report on another node's attempt changes nothing, nor does a status that is written over HTTPS")
  func report() throws {
    let scene = try Scene()
    var status = PodStatus()
    status.phase = .succeeded
    scene.thief.send(AgentMessage.reports([AttemptReport(attempt: 1, revision: 9, status: status)]).json)
    try scene.settle()
    #expect(try scene.phase() == "Running")
    #expect(try scene.code("PUT", "\(Self.pod)/status", ["status": ["phase": "Succeeded"]]) == 403)
    #expect(try scene.code("DELETE", Self.pod) == 403)
    #expect(try scene.phase() == "Running")
    try scene.stop()
  }

  @Test("tokens of another node's pod are not given, in a session or over HTTPS")
  func tokens() throws {
    let scene = try Scene()
    _ = scene.thief.takeMessages()
    scene.thief.send(AgentMessage.tokens([1]).json)
    try scene.settle()
    #expect(!scene.thief.messages.contains { $0.text.contains("eyJ") }, "\(scene.thief.messages)")
    let request: JSON = ["apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": [:]]
    #expect(try scene.code("POST", "/api/v1/namespaces/default/serviceaccounts/default/token", request) == 403)
    try scene.stop()
  }

  @Test("a renewal gives no certificate of another node, whatever it asks for, and none for another's key")
  func renewal() throws {
    let scene = try Scene()
    let key = try SigningRequests.makeKey()
    let request = try SigningRequests.make(name: Subject.nodeName("victim"), key: key)
    _ = scene.thief.takeMessages()
    scene.thief.send(RenewRequest(request: String(decoding: request, as: UTF8.self)).json)
    var answer: RenewAnswer?
    try scene.api.live.wait("the renewal is answered") {
      answer = scene.thief.messages.lazy.compactMap { try? RenewAnswer(json: $0) }.first
      return answer != nil
    }
    guard case .refused(let reason)? = answer else {
      Issue.record("not refused: \(answer as Any)")
      return
    }
    #expect(reason == "a session renews the certificate of its own node and key alone")
    try scene.stop()
  }

  @Test("a log stream that another node's agent was asked for is not the thief's to answer, nor to read over HTTPS")
  func logs() throws {
    let scene = try Scene()
    let reader = try scene.api.live.open(.client)
    let get = APIRequest(verb: .log, kind: .pods, namespace: "default", name: "p", subresource: "log")
    reader.send(ClientMessage.request(id: 5, get).json)
    try scene.api.live.wait("the victim is asked") { scene.victim.agent.messages.contains { $0["type"] == "logs" } }
    let asked = try #require(scene.victim.agent.messages.first { $0["type"] == "logs" })
    let stream = try #require(asked["stream"]?.stringValue, "\(asked)")
    let thief = try TestClient(
      scene.api.live.loop, scene.api.live.server.address, role: .logs,
      tls: try scene.api.live.authority.context(node: "thief"), stream: stream)
    try scene.api.live.wait("it is refused") { thief.isRefusedOrClosed }
    #expect(thief.error?.message == "nobody waits for this log stream")
    #expect(reader.messages.isEmpty)
    #expect(try scene.code("GET", "\(Self.pod)/log") == 403)
    try scene.stop()
  }
}
