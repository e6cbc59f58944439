// Bearer tokens at both doors: each is proven anew, and what proves nothing gets Kubernetes' 401.

import ClusterIO
import ClusterProto
import Glibc
import HTTPTestSupport
import Testing

@testable import Coordinator
@testable import CoordinatorCore

@Suite("Bearer tokens at both doors")
struct TokenDoorTests {
  private static let accounts = "/api/v1/namespaces/default/serviceaccounts"
  private static let review = "/apis/authentication.k8s.io/v1/tokenreviews"
  private static let who = "/apis/authentication.k8s.io/v1/selfsubjectreviews"

  private static func request(_ spec: JSON = [:]) -> JSON {
    ["apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec]
  }

  private func token(_ api: LiveAPI, _ spec: JSON = [:], of name: String = "default") throws -> String {
    let answer = try api.ask("POST", "\(Self.accounts)/\(name)/token", body: Self.request(spec))
    #expect(answer.code == 201)
    return try #require(answer.json[path: ["status", "token"]]?.stringValue)
  }

  /// One request without a certificate, on a connection of its own or on `client`.
  private func ask(
    _ api: LiveAPI, _ token: String?, _ method: String = "GET", _ target: String = "/api/v1", body: JSON? = nil,
    on client: HTTPTestClient? = nil
  ) throws -> HTTPTestAnswer {
    let client = try client ?? api.connect(api.stranger)
    let headers = token.map { ["Authorization: Bearer \($0)"] } ?? []
    client.connection.send(HTTPTestClient.request(method, target, headers: headers, body: body?.bytes ?? []))
    var answer: HTTPTestAnswer?
    try api.live.wait("an answer comes to \(method) \(target)") {
      answer = client.takeAnswer()
      return answer != nil || client.isClosed
    }
    return try #require(answer)
  }

  private func account(_ api: LiveAPI, _ name: String) throws {
    let made = try api.ask("POST", Self.accounts, body: ["metadata": ["name": .string(name)]])
    #expect(made.code == 201)
  }

  private static let selfReview: JSON = ["apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"]

  @Test("a token says who asks, request by request, and without a role it may look around and nothing else")
  func identity() throws {
    try LiveAPI.with { api in
      try account(api, "robot")
      let token = try token(api, of: "robot")
      let client = try api.connect(api.stranger)
      let me = try ask(api, token, "POST", Self.who, body: Self.selfReview, on: client)
      let info = me.json[path: ["status", "userInfo"]] ?? .null
      #expect(info["username"] == "system:serviceaccount:default:robot")
      #expect(info["uid"]?.stringValue?.isEmpty == false)
      #expect(
        info["groups"] == [
          "system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated",
        ])
      #expect(try ask(api, token, on: client).code == 200)
      let secrets = try ask(api, token, "GET", "/api/v1/namespaces/default/secrets", on: client)
      expectStatus(secrets, 403, "Forbidden", "User \"system:serviceaccount:default:robot\" cannot list")
      let made = try ask(api, token, "POST", "\(Self.accounts)/robot/token", body: Self.request(), on: client)
      expectStatus(made, 403, "Forbidden", "resource \"serviceaccounts/token\"")
      let review = try ask(api, token, "POST", Self.review, body: ["spec": ["token": "x"]], on: client)
      expectStatus(review, 403, "Forbidden", "resource \"tokenreviews\"")
      // The same connection without a token is nobody's again.
      let bare = try ask(api, nil, on: client)
      expectStatus(bare, 401, "Unauthorized", "Unauthorized")
      #expect(bare.header("connection") == "close")
    }
  }

  @Test("a certificate goes before a token, as in Kubernetes")
  func certificate() throws {
    try LiveAPI.with { api in
      let answer = try api.ask("GET", "/api/v1", headers: ["Authorization: Bearer nonsense"])
      #expect(answer.code == 200)
    }
  }

  @Test("forged, foreign, cut and bent tokens get 401 and the end of the connection, with or without a body")
  func forgeries() throws {
    let other = try TemporaryDirectory()
    let stolen = try TokenAuthority(directory: other.path)
    try LiveAPI.with { api in
      let good = try token(api)
      let parsed = try #require(JSONWebToken(good))
      let parts = good.split(separator: ".").map(String.init)
      func header(_ json: JSON) -> String { "\(Base64.encodeURL(json.bytes)).\(parts[1])" }
      let authority = Base64.encodeURL(Array(api.pki.authority.certificate))
      var claims = parsed.claims
      claims[path: ["kubernetes.io", "serviceaccount", "name"]] = "robot"
      let bent = "\(parts[0]).\(Base64.encodeURL(claims.bytes)).\(parts[2])"
      for forged in [
        try stolen.sign(parsed.claims), header(["alg": "none"]) + ".", header(["alg": "none"]) + ".\(parts[2])",
        header(["alg": "HS256", "typ": "JWT"]) + ".\(authority.prefix(43))", bent, String(good.dropLast()),
        "\(parts[0]).\(parts[1]).\(Base64.encodeURL([UInt8](repeating: 0, count: 64)))", "x", "a.b.c", "..",
      ] {
        for body in [nil, Self.selfReview] {
          let answer = try ask(
            api, forged, body == nil ? "GET" : "POST", body == nil ? "/api/v1" : Self.who, body: body)
          expectStatus(answer, 401, "Unauthorized", "Unauthorized")
          #expect(answer.header("connection") == "close")
        }
      }
      #expect(try ask(api, good).code == 200)
      #expect(try ask(api, "nonsense", "GET", "/version").code == 200)
    }
  }

  @Test("an Authorization header that is too long is refused before anything is proven, others count for nothing")
  func oversize() throws {
    try LiveAPI.with { api in
      let answer = try ask(api, String(repeating: "a", count: 9_000))
      #expect(answer.code == 431)
      for header in ["Bearer", "Bearer ", "Basic YTpi", "Token x", ""] {
        let client = try api.connect(api.stranger)
        client.connection.send(HTTPTestClient.request("GET", "/api/v1", headers: ["Authorization: \(header)"]))
        try api.live.wait("an answer comes") { client.hasBytes }
        #expect(client.text.hasPrefix("HTTP/1.1 401 "), "\(header)")
      }
    }
  }

  @Test("a token ends with its account at once, on a connection that it had opened too")
  func deleted() throws {
    try LiveAPI.with { api in
      try account(api, "robot")
      let token = try token(api, of: "robot")
      let client = try api.connect(api.stranger)
      #expect(try ask(api, token, on: client).code == 200)
      #expect(try api.ask("DELETE", "\(Self.accounts)/robot").code == 200)
      try account(api, "robot")
      #expect(try ask(api, token, on: client).code == 401)
    }
  }

  @Test("who may create token reviews learns whose a token is, and why it is nobody's")
  func reviews() throws {
    try LiveAPI.with { api in
      func review(_ token: String, audiences: JSON? = nil) throws -> JSON {
        var spec: JSON = ["token": .string(token)]
        if let audiences { spec["audiences"] = audiences }
        let body: JSON = ["apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec]
        let answer = try api.ask("POST", Self.review, body: body)
        #expect(answer.code == 201)
        return answer.json["status"] ?? .null
      }
      let good = try token(api)
      let status = try review(good)
      #expect(status["authenticated"] == true)
      #expect(status[path: ["user", "username"]] == "system:serviceaccount:default:default")
      #expect(status["audiences"] == [.string(TokenClaims.issuer)])
      let vault = try token(api, ["audiences": ["vault"]])
      #expect(try review(vault, audiences: ["vault"])["authenticated"] == true)
      let foreign = try review(vault)
      #expect(foreign["authenticated"] == nil)
      #expect(foreign["error"]?.stringValue?.contains("is invalid for the target audiences") == true)
      #expect(try review("x")["error"] == "invalid bearer token")
      #expect(try ask(api, vault).code == 401)
      let empty: JSON = ["apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": ["token": ""]]
      #expect(try api.ask("POST", Self.review, body: empty).code == 400)
    }
  }

  @Test("the native door takes a client's token too, asks again for each request, and lets no token be an agent")
  func native() throws {
    try LiveAPI.with { api in
      try account(api, "robot")
      let token = try token(api, of: "robot")
      let bearer = try TLSContext(bearer: api.pki.authority.certificate)
      func connect(_ role: ProtocolRole, _ token: String, stream: String = "") throws -> TestClient {
        try TestClient(
          api.live.loop, api.live.server.address, role: role, tls: bearer, stream: stream, token: token)
      }
      let client = try connect(.client, token)
      try api.live.wait("the hello succeeds") { client.result != nil || client.isRefusedOrClosed }
      let request = APIRequest(verb: .list, kind: .secrets, namespace: "default")
      client.send(ClientMessage.request(id: 1, request).json)
      try api.live.wait("an answer comes") { !client.messages.isEmpty }
      let done = client.takeMessages().last ?? .null
      #expect(done["code"] == 403)
      #expect(done.text.contains("system:serviceaccount:default:robot"))
      for refused in [
        try connect(.agent, token), try connect(.logs, token, stream: "s"), try connect(.client, "a.b.c"),
        try connect(.client, ""),
      ] {
        try api.live.wait("it is refused") { refused.isRefusedOrClosed }
        #expect(refused.error?.code == .unauthorized)
      }
      #expect(try api.ask("DELETE", "\(Self.accounts)/robot").code == 200)
      client.send(ClientMessage.request(id: 2, request).json)
      try api.live.wait("it is refused") { client.isRefusedOrClosed }
      #expect(client.error?.message.contains("serviceaccounts \"robot\" not found") == true)
    }
  }

  @Test("at the native door the holder of a dead account's token is not told the uid of the one that has its name now")
  func otherUID() throws {
    try LiveAPI.with { api in
      try account(api, "robot")
      let token = try token(api, of: "robot")
      #expect(try api.ask("DELETE", "\(Self.accounts)/robot").code == 200)
      try account(api, "robot")
      let object = try api.object("\(Self.accounts)/robot")
      let uid = try #require(object[path: ["metadata", "uid"]]?.stringValue)
      let client = try TestClient(
        api.live.loop, api.live.server.address, role: .client,
        tls: try TLSContext(bearer: api.pki.authority.certificate), token: token)
      try api.live.wait("it is refused") { client.error != nil }
      let message = client.error?.message ?? ""
      #expect(message.contains("service account UID does not match claim (") && !message.contains(uid), "\(message)")
      // Who may review tokens may read accounts, and gets Kubernetes' words.
      let review: JSON = [
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": ["token": .string(token)],
      ]
      let answer = try api.ask("POST", Self.review, body: review)
      let error = answer.json[path: ["status", "error"]]?.stringValue ?? ""
      #expect(error.contains("service account UID (\(uid)) does not match claim ("), "\(error)")
    }
  }

  @Test("a token of 100 kB at the native door gets a refusal that says how long one may be; one of 8 KiB is looked at")
  func longToken() throws {
    try LiveAPI.with { api in
      func refusal(_ length: Int) throws -> ProtocolError? {
        let client = try TestClient(
          api.live.loop, api.live.server.address, role: .client,
          tls: try TLSContext(bearer: api.pki.authority.certificate), token: String(repeating: "a", count: length))
        try api.live.wait("it is refused") { client.isRefusedOrClosed }
        return client.error
      }
      let long = try refusal(100_000)
      #expect(long?.code == .tooLarge)
      #expect(long?.message.contains("a token in it has at most 8192 bytes") == true, "\(long as Any)")
      #expect(try refusal(JSONWebToken.limit)?.code == .unauthorized)
    }
  }

  @Test("the signing key is its owner's alone, stays over restarts with the tokens, and a damaged one is not replaced")
  func key() throws {
    let directory = try TemporaryDirectory()
    var api = try LiveAPI(directory)
    let token = try token(api)
    let path = "\(directory.path)/pki/tokens.pem"
    #expect(try Files.status(path).mode & 0o777 == 0o600)
    try api.live.stop()
    api = try LiveAPI(directory)
    #expect(try ask(api, token).code == 200)
    try api.live.stop()
    try Files.writeAtomically(path, Array("nothing".utf8), mode: 0o600)
    #expect {
      try LiveAPI(directory)
    } throws: { error in
      "\(error)".contains("tokens.pem") && "\(error)".contains("put it back from a backup")
    }
  }

  @Test("verified tokens are kept within bounds")
  func cache() throws {
    let directory = try TemporaryDirectory()
    let authority = try TokenAuthority(directory: directory.path)
    for number in 0..<(2 * TokenAuthority.verifiedLimit) {
      _ = authority.verdict(on: try authority.sign(["n": .int(Int64(number))]))
      #expect(authority.verifiedCount <= TokenAuthority.verifiedLimit)
    }
  }
}
