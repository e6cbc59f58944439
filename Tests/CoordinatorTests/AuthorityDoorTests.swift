// The exchange of the authority at a live coordinator: both doors serve who holds either, until the former is dropped;
// over restarts, a crash between two files, and in a backup.

import ClusterIO
import ClusterProto
import Glibc
import HTTPTestSupport
import Testing

@testable import Coordinator

@Suite("The exchange of the authority at both doors")
struct AuthorityDoorTests {
  private static func ask(_ live: LiveServer, _ client: TestClient, _ request: AuthorityRequest) throws -> JSON {
    client.send(ClientMessage.authority(id: 7, request).json)
    try live.wait("the request about the authority is answered") {
      client.messages.contains { $0["type"] == "done" } || client.isClosed
    }
    return client.takeMessages().last { $0["type"] == "done" } ?? .null
  }

  private static func bundle(_ api: LiveAPI) throws -> Int {
    let map = try api.ask("GET", "/api/v1/namespaces/default/configmaps/kube-root-ca.crt").json
    return Certificates.keyDigests(ofBundle: Array((map["data"]?["ca.crt"]?.stringValue ?? "").utf8)).count
  }

  private static func administrator(_ api: LiveAPI) throws -> (native: TLSContext, https: TLSContext) {
    let pki = try PKI(directory: api.live.directory, host: "localhost")
    return (
      try TLSContext(native: Identity(own: pki.administrator, authority: pki.authorities.bundle)),
      try TLSContext(client: pki.administrator, authority: pki.authorities.bundle)
    )
  }

  private static func isServed(_ api: LiveAPI, _ context: TLSContext) throws -> Bool {
    let client = try api.connect(context)
    client.connection.send(HTTPTestClient.request("GET", "/api/v1/namespaces"))
    var code: Int?
    try api.live.wait("an answer, or none") {
      code = client.takeAnswer()?.code
      return code != nil || client.isClosed
    }
    return code == 200
  }

  private static func isServed(native api: LiveAPI, _ context: TLSContext) throws -> Bool {
    let client = try TestClient(api.live.loop, api.live.server.address, role: .client, tls: context)
    try api.live.wait("the hello succeeds, or not") { client.result != nil || client.isClosed }
    return client.result != nil
  }

  @Test(
    "old and new kubeconfigs are served on both doors while it lasts; then what is open of the old closes, and no more")
  func exchanged() throws {
    try LiveAPI.with { api in
      let old = try Self.administrator(api)
      let agent = try FakeNode(api.live, name: "a")
      let (native, https) = (try api.live.open(.client), try api.connect(old.https))
      https.connection.send(HTTPTestClient.request("GET", "/api/v1/namespaces"))
      try api.live.wait("it is answered") { https.takeAnswer()?.code == 200 }
      let begun = try Self.ask(api.live, native, .rotate)
      #expect(begun["object"]?["nodes"]?["left"] == 1 && begun["object"]?["askerHoldsFormer"] == true, "\(begun)")
      try api.live.wait("the agent is told") { agent.agent.messages.contains { $0["type"] == "authorities" } }
      let file = "\(api.live.directory)/admin.kubeconfig"
      let text = try PKI.kubeconfig(
        directory: api.live.directory, cluster: api.live.server.cluster,
        server: "https://\(try #require(api.live.server.apiAddress))",
        native: "\(api.live.server.address)")
      try api.live.wait("the kubeconfig is written anew") { (try? Files.read(file)) == Array(text.utf8) }
      let new = try Self.administrator(api)
      let other = try Authorities.make()
      let stranger = try Certificates.make(
        name: "admin", .client(group: "system:masters"), issuer: other, seconds: 3600)
      for context in [old, new] {
        #expect(try Self.isServed(api, context.https) && Self.isServed(native: api, context.native))
      }
      #expect(try Self.bundle(api) == 2)
      let foreign = try TLSContext(client: stranger, authority: api.pki.authority.certificate)
      #expect(try !Self.isServed(api, foreign) && !Self.isServed(native: api, foreign))
      let again = try Self.ask(api.live, native, .rotate)
      #expect(again["code"] == 409, "\(again)")

      let dropped = try Self.ask(api.live, native, .drop)
      #expect(dropped["object"]?["lockedOut"]?["nodes"] == ["a"], "\(dropped)")
      try api.live.wait("what is open of the old closes") { native.isClosed && https.isClosed && agent.agent.isClosed }
      #expect(native.error?.code == .unauthorized)
      #expect(try !Self.isServed(api, old.https) && !Self.isServed(native: api, old.native))
      // Its holder may know the new authority: it is nobody all the same.
      let late = try TLSContext(client: api.pki.administrator, authority: try Authorities(below: api.pkiPath).bundle)
      #expect(try !Self.isServed(api, late) && !Self.isServed(native: api, late))
      let last = try Self.administrator(api)
      #expect(try Self.isServed(api, last.https) && Self.isServed(native: api, last.native))
      #expect(!Files.exists("\(api.pkiPath)/former.pem"))
    }
  }

  @Test("a restart and a restored backup go on with it; the former authority goes with the last that is seen")
  func goesOn() throws {
    let directory = try TemporaryDirectory()
    let place = try TemporaryDirectory()
    var api = try LiveAPI(directory)
    let old = try Self.administrator(api)
    _ = try FakeNode(api.live, name: "a")
    let key = try api.live.authority.key(of: "a")
    #expect(try Self.ask(api.live, try api.live.open(.client), .rotate)["code"] == 200)
    let file = "\(place.path)/backup"
    _ = try StoreBackup.make(of: directory.path, at: file, program: "test")
    try api.live.stop()
    _ = try StoreRestore.restore(file, into: "\(place.path)/data")
    for path in [directory.path, "\(place.path)/data"] {
      let live = try LiveServer(at: path) { $0.isMoved = path != directory.path }
      let client = try TestClient(live.loop, live.server.address, role: .client, tls: old.native)
      try live.wait("the hello succeeds") { client.result != nil }
      let status = try Self.ask(live, client, .status(after: nil))["object"]
      #expect(
        status?["nodes"]?["left"] == 1 && status?["nodes"]?["names"]?[0]?["name"] == "a", "\(path): \(status ?? .null)")
      try live.stop()
    }
    api = try LiveAPI(directory)
    let new = try TestClient(
      api.live.loop, api.live.server.address, role: .client, tls: try Self.administrator(api).native)
    try api.live.wait("the hello succeeds") { new.result != nil }
    // The node's agent has its next certificate.
    let identity = try Identity.issue(node: "a", coordinator: directory.path, key: key)
    let agent = try TestClient(
      api.live.loop, api.live.server.address, role: .agent, tls: try TLSContext(native: identity))
    try api.live.wait("the hello succeeds") { agent.result != nil }
    agent.send(FakeNode.registration("a"))
    var status: JSON? = ["former": "a"]
    for _ in 0..<20 where status?["former"] != nil {
      status = try Self.ask(api.live, new, .status(after: status?["revision"]?.intValue))["object"]
    }
    #expect(status?["authority"] != nil && status?["former"] == nil && !Files.exists("\(api.pkiPath)/former.pem"))
    try api.live.stop()
  }

  @Test("a start after a crash between two files makes the server's and the administrator's certificates anew")
  func crashes() throws {
    let directory = try TemporaryDirectory()
    let before = try PKI(directory: directory.path, host: "localhost")
    try Authorities.exchange(below: "\(directory.path)/pki")
    let after = try PKI(directory: directory.path, host: "localhost")
    #expect(after.authorities.former?.root == before.authority.certificate)
    for (own, was) in [(after.server, before.server), (after.administrator, before.administrator)] {
      #expect(own != was && Certificates.isUsable(own, authority: after.authority.certificate, inSeconds: 60))
    }
    #expect(Certificates.keyDigests(ofBundle: after.shownServer.certificate).count == 3)
    // Before the authority itself was written: as if nothing had begun.
    try Files.writeAtomically("\(directory.path)/pki/authority.pem", before.authority.file)
    let undone = try PKI(directory: directory.path, host: "localhost")
    #expect(undone.authorities.former == nil && undone.authority == before.authority)
    #expect(!Files.exists("\(directory.path)/pki/former.pem"))
    #expect(undone.shownServer == undone.server)
  }
}

extension LiveAPI {
  fileprivate var pkiPath: String { "\(live.directory)/pki" }
}
