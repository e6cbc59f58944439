// Users at both doors of a live coordinator: a certificate by the user's own key, and the end of what was revoked.

import ClusterIO
import ClusterProto
import HTTPTestSupport
import Testing

@testable import Coordinator

@Suite("Users at both doors")
struct UserDoorTests {
  /// What an administrator's client is answered.
  private static func ask(_ live: LiveServer, _ client: TestClient, _ request: UserRequest) throws -> JSON {
    client.send(ClientMessage.users(id: 7, request).json)
    try live.wait("the request about users is answered") { client.messages.contains { $0["type"] == "done" } }
    return client.takeMessages().last ?? .null
  }

  private static let review = HTTPTestClient.request(
    "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews",
    body: Array("{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"SelfSubjectReview\"}".utf8))

  private static func review(_ api: LiveAPI, _ client: HTTPTestClient) throws -> HTTPTestAnswer {
    client.connection.send(review)
    var answer: HTTPTestAnswer?
    try api.live.wait("the review is answered") {
      answer = client.takeAnswer()
      return answer != nil || client.isClosed
    }
    return try #require(answer, "closed instead of an answer")
  }

  @Test("whoever makes a user is told where others reach the coordinator, which loopback is not")
  func places() throws {
    let live = try LiveServer(try TemporaryDirectory()) {
      $0.listen = .tcp(host: "0.0.0.0", port: 0)
      $0.advertise = ["stint.example"]
    }
    let request = try SigningRequests.make(name: "alice", key: try SigningRequests.makeKey())
    let answer = try Self.ask(
      live, try live.open(.client),
      .create(name: "alice", groups: [], ttlSeconds: 60, request: String(decoding: request, as: UTF8.self)))
    #expect(answer[path: ["object", "native"]]?.stringValue?.hasPrefix("stint.example:") == true, "\(answer)")
    try live.stop()
  }

  @Test("one certificate serves both doors; revoked, what is open closes and nothing opens, after a restart either")
  func revoked() throws {
    let directory = try TemporaryDirectory()
    var alice: Identity?
    try live(directory) { api in
      let admin = try api.live.open(.client)
      let made = try api.live.user("alice", groups: ["devs", "ops"])
      alice = made
      let bob = try api.live.user("bob")
      let https = try TLSContext(client: made.own, authority: made.authority)
      let (open, other) = (
        try api.connect(https), try api.connect(try TLSContext(client: bob.own, authority: bob.authority))
      )
      let who = try Self.review(api, open).json["status"]?["userInfo"]
      #expect(who == ["username": "alice", "groups": ["devs", "ops", "system:authenticated"]])
      _ = try Self.review(api, other)
      let native = try TestClient(
        api.live.loop, api.live.server.address, role: .client, tls: try TLSContext(native: made))
      try api.live.wait("she is in by the native door") { native.result != nil }

      let answer = try Self.ask(api.live, admin, .revoke("alice"))
      #expect(answer["code"] == 200 && answer["object"]?["message"] == "user alice revoked: 1 certificate")
      try api.live.wait("both of her connections close") { open.isClosed && native.isClosed }
      #expect(native.error?.code == .unauthorized)
      #expect(native.error?.message == "the certificate of user alice was revoked")
      #expect(try Self.review(api, other).code == 201)
      try Self.expectRefused(api, made)
    }
    let made = try #require(alice)
    try live(directory) { api in try Self.expectRefused(api, made) }
  }

  private func live(_ directory: TemporaryDirectory, _ body: (LiveAPI) throws -> Void) throws {
    let api = try LiveAPI(directory)
    try body(api)
    try api.live.stop()
  }

  private static func expectRefused(_ api: LiveAPI, _ identity: Identity) throws {
    let native = try TestClient(
      api.live.loop, api.live.server.address, role: .client, tls: try TLSContext(native: identity))
    try api.live.wait("the native door refuses") { native.error != nil }
    #expect(native.error?.code == .unauthorized)
    #expect(native.error?.message.hasPrefix("the certificate of \"alice\" was revoked at ") == true)
    let https = try api.connect(try TLSContext(client: identity.own, authority: identity.authority))
    #expect(try review(api, https).code == 401)
  }

  @Test("who may not make users is told that, whatever the request for a certificate is worth")
  func permissionFirst() throws {
    let live = try LiveServer(try TemporaryDirectory())
    let eve = try TestClient(
      live.loop, live.server.address, role: .client, tls: try TLSContext(native: try live.user("eve")))
    try live.wait("eve is in") { eve.result != nil }
    let answer = try Self.ask(live, eve, .create(name: "x", groups: [], ttlSeconds: 60, request: "no request"))
    #expect(answer["code"] == 403, "\(answer)")
    try live.stop()
  }

  @Test("what is no signing request by the holder of its key is refused, and nothing is kept of it")
  func badRequests() throws {
    let live = try LiveServer(try TemporaryDirectory())
    let admin = try live.open(.client)
    for text in ["", "x", String(decoding: live.authority.authority.certificate, as: UTF8.self)] {
      let answer = try Self.ask(live, admin, .create(name: "alice", groups: [], ttlSeconds: 60, request: text))
      #expect(answer["code"] == 400, "\(answer)")
    }
    #expect(try Self.ask(live, admin, .list)["object"]?["items"] == [])
    try live.stop()
  }
}
