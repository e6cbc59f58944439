// `stint ui`'s door on loopback: who gets through it, and as whom.

import ClusterIO
import ClusterProto
import HTTPTestSupport
import Testing

@testable import Coordinator

@Suite("stint ui's door")
struct PageProxyTests {
  /// A door to a live coordinator, and requests to it.
  private final class Door {
    let api: LiveAPI
    let proxy: PageProxy
    init(_ api: LiveAPI, at address: SocketAddress? = nil, name: String = "127.0.0.1") throws {
      self.api = api
      let address = try address ?? #require(api.live.server.apiAddress)
      let tls = try TLSContext(named: api.pki.administrator, authority: api.pki.authority.certificate)
      proxy = try PageProxy(
        loop: api.live.loop, port: 0,
        upstream: PageUpstream(
          addresses: [address], name: name, host: address.description, prefix: "", tls: tls, token: ""))
    }

    func connect() throws -> HTTPTestClient {
      try HTTPTestClient(api.live.loop, try #require(SocketAddress(parsing: proxy.host)), nil)
    }

    func ask(
      _ method: String, _ path: String, bearer: String? = nil, headers: [String] = [], body: [UInt8] = [],
      host: String? = nil
    ) throws -> HTTPTestAnswer {
      let client = try connect()
      defer { client.connection.close() }
      let proof = bearer.map { ["Authorization: Bearer \($0)"] } ?? []
      client.connection.send(
        HTTPTestClient.request(method, path, headers: proof + headers, body: body, host: host ?? proxy.host))
      var answer: HTTPTestAnswer?
      try api.live.wait("an answer comes to \(path)") {
        answer = client.takeAnswer()
        return answer != nil
      }
      return try #require(answer)
    }

    /// What the code behind the address' `#` gives.
    func redeem() throws -> HTTPTestAnswer {
      let code = proxy.address.split(separator: "=").last.map(String.init) ?? ""
      return try ask("POST", "/ui/session", bearer: code)
    }
  }

  @Test("the address' code gives the key once; with it the API answers the kubeconfig's user, without it nobody")
  func once() throws {
    try LiveAPI.with { api in
      let door = try Door(api)
      #expect(try door.ask("GET", "/ui/").code == 200)
      #expect(try door.ask("GET", "/api/v1/namespaces").code == 401)
      #expect(try door.ask("POST", "/ui/session", bearer: "0123").code == 401)
      let address = door.proxy.address
      let answer = try door.redeem()
      let key = try #require(answer.json["token"]?.stringValue)
      #expect(answer.header("content-security-policy") == PageFiles.guards[0].1)
      #expect(!door.proxy.address.contains(address.split(separator: "=").last ?? "x"))
      let code = address.split(separator: "=").last.map(String.init) ?? ""
      #expect(try door.ask("POST", "/ui/session", bearer: code).code == 401)
      #expect(try door.ask("GET", "/api/v1/namespaces", bearer: code).code == 401)
      let list = try door.ask("GET", "/api/v1/namespaces", bearer: key)
      #expect(list.code == 200 && list.json["kind"]?.stringValue == "NamespaceList")
      let me = try door.ask(
        "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", bearer: key,
        headers: ["Impersonate-User: eve", "Cookie: a=b"],
        body: (["apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"] as JSON).bytes)
      #expect(me.json[path: ["status", "userInfo", "username"]]?.stringValue == "admin")
      door.proxy.close()
    }
  }

  @Test("a page of another site gets nothing: by a name that leads here, by its Origin, by what the browser says of it")
  func rebinding() throws {
    try LiveAPI.with { api in
      let door = try Door(api)
      let key = try #require(try door.redeem().json["token"]?.stringValue)
      let path = "/api/v1/namespaces"
      for host in [
        "evil.example", "127.0.0.1", "127.0.0.1:1", "evil.example:\(door.proxy.host.split(separator: ":")[1])",
      ] {
        #expect(try door.ask("GET", path, bearer: key, host: host).code == 403, "\(host)")
        #expect(try door.ask("GET", "/ui/", host: host).code == 403, "\(host)")
      }
      for header in [
        "Origin: http://evil.example", "Origin: null", "Origin: https://\(door.proxy.host)",
        "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site",
      ] {
        #expect(try door.ask("GET", path, bearer: key, headers: [header]).code == 403, "\(header)")
      }
      for headers in [["Origin: http://\(door.proxy.host)", "Sec-Fetch-Site: same-origin"], ["Sec-Fetch-Site: none"]] {
        #expect(try door.ask("GET", path, bearer: key, headers: headers).code == 200, "\(headers)")
      }
      let upgrade = ["Connection: Upgrade", "Upgrade: websocket"]
      #expect(try door.ask("GET", path, bearer: key, headers: upgrade).code == 403)
      door.proxy.close()
    }
  }

  @Test("a watch streams through it, and ends at the API when the browser goes")
  func streams() throws {
    try LiveAPI.with { api in
      let door = try Door(api)
      let key = try #require(try door.redeem().json["token"]?.stringValue)
      let watcher = try door.connect()
      let before = api.live.server.connectionCount
      watcher.connection.send(
        HTTPTestClient.request(
          "GET", "/api/v1/namespaces?watch=true&resourceVersion=0", headers: ["Authorization: Bearer \(key)"],
          host: door.proxy.host))
      try api.live.wait("the first events have come") { !watcher.takeEvents().isEmpty }
      #expect(api.live.server.connectionCount == before + 1)
      watcher.connection.close()
      try api.live.wait("the API's connection has gone") { api.live.server.connectionCount == before }
      door.proxy.close()
    }
  }

  @Test("who holds connections for nothing makes room for who comes, and who has the key for nobody")
  func crowded() throws {
    try LiveAPI.with { api in
      let door = try Door(api)
      let key = try #require(try door.redeem().json["token"]?.stringValue)
      let person = try door.connect()
      let one = HTTPTestClient.request(
        "GET", "/api/v1/namespaces", headers: ["Authorization: Bearer \(key)"], host: door.proxy.host)
      func asks() throws {
        person.connection.send(one)
        var answer: HTTPTestAnswer?
        try api.live.wait("the person is answered") {
          answer = person.takeAnswer()
          return answer != nil
        }
        #expect(answer?.code == 200)
      }
      try asks()
      let idlers = try (0..<PageProxy.connectionLimit + 20).map { _ in try door.connect() }
      try api.live.wait("the oldest of them have gone") { idlers.filter { !$0.connection.isOpen }.count >= 20 }
      #expect(try door.ask("GET", "/ui/").code == 200)
      try asks()
      for idler in idlers { idler.connection.close() }
      door.proxy.close()
    }
  }

  @Test("requests on top of one that waits end that connection and nothing else")
  func pipelined() throws {
    try LiveAPI.with { api in
      let door = try Door(api)
      let key = try #require(try door.redeem().json["token"]?.stringValue)
      let greedy = try door.connect()
      let one = HTTPTestClient.request(
        "GET", "/api/v1/namespaces", headers: ["Authorization: Bearer \(key)"], host: door.proxy.host)
      greedy.connection.send(one + one + one)
      var answer: HTTPTestAnswer?
      try api.live.wait("it is told") {
        answer = greedy.takeAnswer()
        return answer != nil
      }
      #expect(answer?.code == 400)
      try api.live.wait("it is closed") { !greedy.connection.isOpen }
      #expect(try door.ask("GET", "/api/v1/namespaces", bearer: key).code == 200)
      door.proxy.close()
    }
  }

  @Test("an API server that is not there, or whose certificate has another name, is a 502 that says so")
  func absent() throws {
    try LiveAPI.with { api in
      let free = try Listener(loop: api.live.loop, at: .tcp(host: "127.0.0.1", port: 0)) { $0.close() }
      let nobody = free.address
      free.close()
      let there = try #require(api.live.server.apiAddress)
      for (address, name) in [(nobody, "127.0.0.1"), (there, "another.example"), (there, "127.0.0.2")] {
        let door = try Door(api, at: address, name: name)
        let key = try door.redeem().json["token"]?.stringValue
        let answer = try door.ask("GET", "/api", bearer: key)
        #expect(answer.code == 502, "\(name)")
        #expect(answer.json["message"]?.stringValue?.contains("does not answer") == true)
        door.proxy.close()
      }
    }
  }
}
