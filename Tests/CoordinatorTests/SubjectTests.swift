// Who asks, by both doors: a name without rights gets Kubernetes' 403 for everything that a master may do.

import ClusterIO
import ClusterProto
import HTTPTestSupport
import Testing

@testable import Coordinator
@testable import CoordinatorCore

@Suite("Subjects at both doors")
struct SubjectTests {
  private func eve(_ api: LiveAPI) throws -> HTTPTestClient {
    let identity = try api.live.user("eve", groups: ["strangers"])
    return try api.connect(try TLSContext(client: identity.own, authority: identity.authority))
  }

  private func ask(
    _ api: LiveAPI, _ client: HTTPTestClient, _ method: String, _ target: String, body: JSON? = nil
  ) throws -> HTTPTestAnswer {
    client.connection.send(HTTPTestClient.request(method, target, body: body?.bytes ?? []))
    var answer: HTTPTestAnswer?
    try api.live.wait("an answer comes to \(method) \(target)") {
      answer = client.takeAnswer()
      return answer != nil || client.isClosed
    }
    return try #require(answer, "\(method) \(target)")
  }

  @Test("over HTTPS a certificate without rights is refused every verb of every resource, its body unread or not")
  func https() throws {
    try LiveAPI.with { api in
      let client = try eve(api)
      for kind in Kind.allCases {
        let object = APIFixture.object(kind, "x")
        let collection = APIFixture.collection(kind)
        let named = APIFixture.path(kind, "x")
        let requests: [(String, String, JSON?)] = [
          ("GET", collection, nil), ("GET", "\(collection)?watch=1", nil), ("GET", named, nil),
          ("POST", collection, object), ("POST", collection, .string("not an object")), ("PUT", named, object),
          ("PATCH", named, object), ("DELETE", named, nil), ("DELETE", collection, nil),
        ]
        for (method, target, body) in requests {
          let answer = try ask(api, client, method, target, body: body)
          expectStatus(answer, 403, "Forbidden", "User \"eve\" cannot ")
        }
        let served = ServedResource.all.first { $0.plural == kind.plural }
        for subresource in served?.subresources ?? [] {
          let method = subresource.verbs[0] == "create" ? "POST" : "GET"
          let answer = try ask(
            api, client, method, "\(named)/\(subresource.name)", body: method == "POST" ? object : nil)
          expectStatus(answer, 403, "Forbidden", "resource \"\(kind.plural)/\(subresource.name)\"")
        }
      }
      let events = try ask(api, client, "GET", "/apis/events.k8s.io/v1/events")
      expectStatus(events, 403, "Forbidden", "events.events.k8s.io is forbidden: ")
    }
  }

  @Test("who has a name but no rights may look around and ask what it may")
  func reviews() throws {
    try LiveAPI.with { api in
      let client = try eve(api)
      for path in ["/api", "/apis", "/api/v1", "/openapi/v3"] {
        #expect(try ask(api, client, "GET", path).code == 200, "\(path)")
      }
      func review(_ group: String, _ kind: String, _ spec: JSON?) throws -> JSON {
        var body: JSON = ["apiVersion": .string("\(group)/v1"), "kind": .string(kind)]
        if let spec { body["spec"] = spec }
        return try ask(api, client, "POST", "/apis/\(group)/v1/\(kind.lowercased())s", body: body).json["status"]
          ?? .null
      }
      let me = try review("authentication.k8s.io", "SelfSubjectReview", nil)
      #expect(me["userInfo"] == ["username": "eve", "groups": ["strangers", "system:authenticated"]])
      let jobs: JSON = ["resourceAttributes": ["verb": "list", "group": "batch", "resource": "jobs"]]
      #expect(try review("authorization.k8s.io", "SelfSubjectAccessReview", jobs) == ["allowed": false])
      let path: JSON = ["nonResourceAttributes": ["verb": "get", "path": "/version"]]
      #expect(try review("authorization.k8s.io", "SelfSubjectAccessReview", path)["allowed"] == true)
      let rules = try review("authorization.k8s.io", "SelfSubjectRulesReview", ["namespace": "default"])
      #expect(rules["resourceRules"]?.arrayValue?.allSatisfy { $0["verbs"] == ["create"] } == true)
    }
  }

  @Test("by the native protocol a subject without rights is refused every verb of every kind")
  func native() throws {
    let directory = try TemporaryDirectory()
    let live = try LiveServer(directory)
    let eve = try TLSContext(native: try live.user("eve", groups: ["strangers"]))
    let client = try TestClient(live.loop, live.server.address, role: .client, tls: eve)
    try live.wait("the hello succeeds") { client.result != nil }
    var id: Int64 = 0
    for verb in APIVerb.allCases {
      for kind in Kind.allCases {
        id += 1
        let namespace = kind.isNamespaced ? "default" : ""
        let request = APIRequest(
          verb: verb, kind: kind, namespace: namespace, name: "x", body: APIFixture.object(kind, "x"))
        client.send(ClientMessage.request(id: id, request).json)
        try live.wait("\(verb) \(kind) is answered") { client.messages.contains { $0["type"] == "done" } }
        let done = client.takeMessages().last
        #expect(done?["code"] == 403, "\(verb) \(kind): \(done ?? .null)")
      }
    }
    try live.stop()
  }
}
