// Roles over HTTPS: questions about rights, requests in another one's name, and agents. None of it gives more than
// roles do.

import ClusterIO
import ClusterProto
import HTTPTestSupport
import Testing

@testable import Coordinator
@testable import CoordinatorCore

@Suite("Roles at the HTTPS door")
struct AccessDoorTests {
  private static let authorization = "/apis/authorization.k8s.io/v1"

  private func client(_ api: LiveAPI, _ name: String) throws -> HTTPTestClient {
    let identity = try api.live.user(name, groups: ["people"])
    return try api.connect(try TLSContext(client: identity.own, authority: identity.authority))
  }

  private func ask(
    _ api: LiveAPI, _ client: HTTPTestClient, _ method: String, _ target: String, headers: [String] = [],
    body: JSON? = nil
  ) throws -> HTTPTestAnswer {
    client.connection.send(HTTPTestClient.request(method, target, headers: headers, body: body?.bytes ?? []))
    var answer: HTTPTestAnswer?
    try api.live.wait("an answer comes to \(method) \(target)") {
      answer = client.takeAnswer()
      return answer != nil || client.isClosed
    }
    return try #require(answer, "\(method) \(target)")
  }

  private func bind(_ api: LiveAPI, _ user: String, _ role: String, in namespace: String = "default") throws {
    let kind: Kind = namespace.isEmpty ? .clusterrolebindings : .rolebindings
    let body: JSON = [
      "metadata": ["name": .string("\(user)-\(role)")], "roleRef": ["kind": "ClusterRole", "name": .string(role)],
      "subjects": [["kind": "User", "name": .string(user)]],
    ]
    #expect(try api.ask("POST", APIFixture.collection(kind, namespace: namespace), body: body).code == 201)
  }

  private static func review(_ kind: String, _ spec: JSON) -> JSON {
    ["apiVersion": "authorization.k8s.io/v1", "kind": .string(kind), "spec": spec]
  }

  private static let listSecrets: JSON = ["verb": "list", "resource": "secrets", "namespace": "default"]

  @Test("each review answers what a request would be answered, and says by which binding")
  func reviews() throws {
    try LiveAPI.with { api in
      try bind(api, "alice", "edit")
      let alice = try client(api, "alice")
      func status(_ kind: String, _ spec: JSON, as client: HTTPTestClient) throws -> JSON {
        try ask(
          api, client, "POST", "\(Self.authorization)/\(kind.lowercased())s", body: Self.review(kind, spec)
        ).json["status"] ?? .null
      }
      let own = try status("SelfSubjectAccessReview", ["resourceAttributes": Self.listSecrets], as: alice)
      #expect(
        own == [
          "allowed": true,
          "reason": "RBAC: allowed by RoleBinding \"alice-edit/default\" of ClusterRole \"edit\" to User \"alice\"",
        ])
      var other = Self.listSecrets
      other["namespace"] = "kube-system"
      #expect(try status("SelfSubjectAccessReview", ["resourceAttributes": other], as: alice) == ["allowed": false])
      let rules = try status("SelfSubjectRulesReview", ["namespace": "default"], as: alice)
      let listed = (rules["resourceRules"]?.arrayValue ?? []).contains {
        $0["resources"]?.arrayValue?.contains("secrets") == true && $0["verbs"]?.arrayValue?.contains("list") == true
      }
      #expect(listed && rules["incomplete"] == false)
      let elsewhere = try status("SelfSubjectRulesReview", ["namespace": "kube-system"], as: alice)
      #expect(!elsewhere.text.contains("secrets"))

      // About others: who may ask is asked first.
      let about: JSON = ["user": "alice", "resourceAttributes": Self.listSecrets]
      let path = "\(Self.authorization)/subjectaccessreviews"
      #expect(try ask(api, alice, "POST", path, body: Self.review("SubjectAccessReview", about)).code == 403)
      let asked = try api.ask("POST", path, body: Self.review("SubjectAccessReview", about))
      #expect(asked.code == 201 && asked.json[path: ["status", "allowed"]] == true)
      var nobody = about
      nobody["user"] = nil
      expectStatus(
        try api.ask("POST", path, body: Self.review("SubjectAccessReview", nobody)), 422, "Invalid",
        "at least one of user or group must be specified")
      let masters: JSON = ["groups": ["system:masters"], "resourceAttributes": Self.listSecrets]
      let all = try api.ask("POST", path, body: Self.review("SubjectAccessReview", masters)).json["status"]
      #expect(all == ["allowed": true])
      let local = "\(Self.authorization)/namespaces/kube-system/localsubjectaccessreviews"
      expectStatus(
        try api.ask("POST", local, body: Self.review("LocalSubjectAccessReview", about)), 422, "Invalid",
        "must match metadata.namespace")
      let here = "\(Self.authorization)/namespaces/default/localsubjectaccessreviews"
      let answer = try api.ask("POST", here, body: Self.review("LocalSubjectAccessReview", about))
      #expect(answer.json[path: ["status", "allowed"]] == true)
      #expect(try api.ask("POST", "\(Self.authorization)/localsubjectaccessreviews", body: [:]).code == 404)
    }
  }

  @Test("a request in another one's name needs the right to it, by name, and has that one's rights alone")
  func impersonation() throws {
    try LiveAPI.with { api in
      try bind(api, "alice", "edit")
      let alice = try client(api, "alice")
      let pods = APIFixture.collection(.pods)
      func code(_ client: HTTPTestClient, _ target: String, _ headers: [String]) throws -> HTTPTestAnswer {
        try ask(api, client, "GET", target, headers: headers)
      }
      expectStatus(
        try code(alice, pods, ["Impersonate-User: bob"]), 403, "Forbidden",
        "users \"bob\" is forbidden: User \"alice\" cannot impersonate resource \"users\" in API group \"\" "
          + "at the cluster scope")
      expectStatus(
        try code(alice, pods, ["Impersonate-User: alice", "Impersonate-Group: system:masters"]), 403, "Forbidden")
      expectStatus(
        try code(alice, pods, ["Impersonate-User: system:serviceaccount:kube-system:default"]), 403, "Forbidden",
        "cannot impersonate resource \"serviceaccounts\" in API group \"\" in the namespace \"kube-system\"")
      for headers in [["Impersonate-Group: x"], ["Impersonate-User:", "Impersonate-Group: x"]] {
        expectStatus(
          try code(alice, pods, headers), 500, "InternalError",
          "Internal Server Error: \"\(pods)\": requested [{Group  x    }] without impersonating a user")
      }
      // As in Kubernetes: nobody else is asked for.
      #expect(try code(alice, pods, ["Impersonate-User:"]).code == 200)
      expectStatus(try code(alice, pods, ["Impersonate-Uid: x", "Impersonate-User: bob"]), 400, "BadRequest")
      // edit may be a ServiceAccount of its namespace, which has no rights of its own.
      expectStatus(
        try code(alice, pods, ["Impersonate-User: system:serviceaccount:default:default"]), 403, "Forbidden",
        "User \"system:serviceaccount:default:default\" cannot list resource \"pods\"")
      // Masters are whom they say, with no more rights than that one.
      func asMaster(_ target: String, _ headers: [String]) throws -> HTTPTestAnswer {
        try api.ask("GET", target, headers: headers)
      }
      #expect(try asMaster(pods, ["Impersonate-User: alice"]).code == 200)
      #expect(try asMaster(APIFixture.collection(.nodes), ["Impersonate-User: alice"]).code == 403)
      #expect(try asMaster(APIFixture.collection(.nodes), []).code == 200)
      #expect(
        try asMaster(APIFixture.collection(.nodes), ["Impersonate-User: x", "Impersonate-Group: system:masters"]).code
          == 200)
      #expect(try asMaster("/apis", ["Impersonate-User: system:anonymous"]).code == 403)
      #expect(try asMaster(pods, ["Impersonate-User: system:node:a", "Impersonate-Group: system:nodes"]).code == 403)
    }
  }

  @Test("an agent's certificate reads its own node by HTTPS, and neither another's nor any list")
  func agents() throws {
    try LiveAPI.with { api in
      for name in ["a", "b"] {
        #expect(try api.ask("POST", "/api/v1/nodes", body: ["metadata": ["name": .string(name)]]).code == 201)
      }
      let identity = try Certificates.make(
        name: "system:node:a", .client(group: Subject.nodes), issuer: api.pki.authority, seconds: 3600)
      let agent = try api.connect(try TLSContext(client: identity, authority: api.pki.authority.certificate))
      #expect(try ask(api, agent, "GET", "/api/v1/nodes/a").code == 200)
      for target in [
        "/api/v1/nodes/b", "/api/v1/nodes", "/api/v1/pods", "/api/v1/secrets",
        "/api/v1/namespaces/default/secrets/x",
      ] {
        expectStatus(try ask(api, agent, "GET", target), 403, "Forbidden", "User \"system:node:a\" cannot")
      }
      #expect(try ask(api, agent, "DELETE", "/api/v1/nodes/a").code == 403)
    }
  }
}
