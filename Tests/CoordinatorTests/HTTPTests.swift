// The Kubernetes API over real TLS sockets against a live coordinator: who gets in, what each path and verb answers.

import ClusterIO
import ClusterProto
import CoordinatorCore
import HTTPTestSupport
import Testing

@testable import Coordinator

@Suite("Kubernetes API over HTTPS")
struct HTTPTests {
  private static let jobs = "/apis/batch/v1/namespaces/default/jobs"
  private static func job(_ name: String) -> JSON {
    [
      "apiVersion": "batch/v1", "kind": "Job", "metadata": ["name": .string(name)],
      "spec": [
        "suspend": true,
        "template": [
          "spec": ["restartPolicy": "Never", "containers": [["name": "main", "image": "none", "command": ["true"]]]]
        ],
      ],
    ]
  }

  @Test(
    "without a certificate only version and health are told, the rest is 401; another authority's is as good as none")
  func credentials() throws {
    let directory = try TemporaryDirectory()
    let api = try LiveAPI(directory)
    let other = try Certificates.make(name: "other", .authority, issuer: nil, seconds: 3600)
    let forged = try Certificates.make(name: "admin", .client(group: "system:masters"), issuer: other, seconds: 3600)
    let serverOwn = try TLSContext(client: api.pki.server, authority: api.pki.authority.certificate)
    let forgedContext = try TLSContext(client: forged, authority: api.pki.authority.certificate)
    for context in [api.stranger, forgedContext, serverOwn] {
      let client = try api.connect(context)
      for (path, code) in [
        ("/version", 200), ("/healthz", 200), ("/livez", 200), ("/readyz", 200), ("/api", 401), ("/", 401),
        (Self.jobs, 401), ("/openapi/v3", 401),
      ] {
        client.connection.send(HTTPTestClient.request("GET", path))
        var answer: HTTPTestAnswer?
        try api.live.wait("an answer comes") {
          answer = client.takeAnswer()
          return answer != nil
        }
        #expect(answer?.code == code, "\(path)")
        if code == 401 {
          #expect(answer?.json["reason"]?.stringValue == "Unauthorized")
          #expect(answer?.json["kind"]?.stringValue == "Status")
        }
      }
    }
    let version = try api.ask("GET", "/version").json
    #expect(version["gitVersion"]?.stringValue?.hasPrefix("v1.31.") == true)
    // Clients take the architecture from behind the slash.
    #expect(version["platform"]?.stringValue == "linux/\(MachineFacts.readArchitecture())")
    try api.live.stop()
  }

  @Test("a client that trusts another authority hangs up; plain text gets one line")
  func trust() throws {
    let directory = try TemporaryDirectory()
    let api = try LiveAPI(directory)
    let other = try Certificates.make(name: "other", .authority, issuer: nil, seconds: 3600)
    let wary = try api.connect(try TLSContext(client: nil, authority: other.certificate))
    try api.live.wait("it hangs up") { wary.isClosed }
    let address = try #require(api.live.server.apiAddress)
    let plain = try HTTPTestClient(api.live.loop, address, nil)
    plain.connection.send(HTTPTestClient.request("GET", "/version"))
    try api.live.wait("it is closed") { plain.isClosed }
    #expect(plain.text == "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
    try api.live.stop()
  }

  @Test("a foreign Host, a form as body, JSON as protobuf and unknown paths are refused, and the connection goes on")
  func refusals() throws {
    let directory = try TemporaryDirectory()
    let api = try LiveAPI(directory)
    #expect(try api.ask("GET", "/version", host: "evil.example:7480").code == 403)
    #expect(try api.ask("GET", "/version", host: "localhost:1").code == 200)
    #expect(try api.ask("GET", "/version", host: "[::1]:1").code == 200)
    let body = Self.job("a")
    for type in ["application/x-www-form-urlencoded", "text/plain"] {
      #expect(try api.ask("POST", Self.jobs, type: type, body: body).code == 415)
    }
    // No type is JSON to client libraries, but a page in a browser can leave it out, too.
    let origin = ["Origin: https://evil.example"]
    #expect(try api.ask("POST", Self.jobs, headers: origin, type: "", body: body).code == 415)
    #expect(try api.ask("POST", "\(Self.jobs)?dryRun=All", type: "", body: body).code == 201)
    let protobuf = try api.ask("POST", Self.jobs, type: HTTPMedia.protobuf, body: body)
    #expect(protobuf.code == 400)
    #expect(protobuf.json["message"]?.stringValue?.contains("does not appear to be a protobuf message") == true)
    for path in [
      "/apis/apps/v1/namespaces/default/controllerrevisions", "/nope", "/api/v2/pods", "/api/v1/jobs",
    ] {
      let answer = try api.ask("GET", path)
      #expect(answer.code == 404 && answer.json["reason"]?.stringValue == "NotFound", "\(path)")
    }
    #expect(try api.ask("PUT", Self.jobs, body: body).code == 405)
    #expect(try api.ask("OPTIONS", Self.jobs).code == 405)
    #expect(try api.ask("POST", "/version", body: body).code == 405)
    #expect(try api.ask("GET", Self.jobs, headers: ["Accept: application/vnd.kubernetes.protobuf"]).code == 406)
    #expect(try api.ask("GET", "\(Self.jobs)?limit=x").code == 400)
    #expect(try api.ask("GET", "\(Self.jobs)?labelSelector=%zz").code == 400)
    #expect(try api.ask("GET", "\(Self.jobs)?watch=true&labelSelector=!!").code == 400)
    #expect(try api.ask("POST", "\(Self.jobs)?dryRun=Some", body: body).code == 400)
    try api.live.stop()
  }

  @Test("oversized heads and bodies are answered and closed, before they have all come")
  func oversized() throws {
    let directory = try TemporaryDirectory()
    let api = try LiveAPI(directory)
    let long = String(repeating: "a", count: 70_000)
    #expect(try api.send(HTTPTestClient.request("GET", "/version", headers: ["X: \(long)"])).code == 431)
    let head = "POST \(Self.jobs) HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    #expect(try api.send(Array("\(head)Content-Length: 3145729\r\n\r\n".utf8)).code == 413)
    #expect(try api.send(Array("\(head)Transfer-Encoding: chunked\r\n\r\n300001\r\n".utf8)).code == 413)
    let huge: JSON = ["metadata": ["name": "x"], "data": ["a": .string(String(repeating: "a", count: 2_000_000))]]
    #expect(try api.ask("POST", "/api/v1/namespaces/default/configmaps", body: huge).code != 201)
    try api.live.stop()
  }

  @Test("create, get, list, patch each way, update, delete; Table and metadata as asked; warnings as headers")
  func verbs() throws {
    let directory = try TemporaryDirectory()
    let api = try LiveAPI(directory)
    let dry = try api.ask("POST", "\(Self.jobs)?dryRun=All", body: Self.job("dry"))
    #expect(dry.code == 201)
    #expect(try api.ask("GET", "\(Self.jobs)/dry").code == 404)
    #expect(try api.ask("POST", "\(Self.jobs)?fieldManager=t&fieldValidation=Strict", body: Self.job("a")).code == 201)
    #expect(try api.ask("POST", Self.jobs, body: Self.job("a")).code == 409)
    var typo = Self.job("b")
    typo[path: ["spec", "suspendx"]] = true
    let strict = try api.ask("POST", "\(Self.jobs)?fieldValidation=Strict", body: typo)
    #expect(strict.code == 400)
    #expect(strict.json["message"]?.stringValue?.contains("unknown field \"spec.suspendx\"") == true)
    let warned = try api.ask("POST", "\(Self.jobs)?fieldValidation=Warn", body: typo)
    #expect(warned.code == 201)
    #expect(warned.header("warning") == "299 - \"unknown field \\\"spec.suspendx\\\"\"")

    let table = "Accept: application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    let listed = try api.ask("GET", "\(Self.jobs)?limit=500", headers: [table]).json
    #expect(listed["kind"]?.stringValue == "Table")
    #expect(listed["rows"]?.arrayValue?.count == 2)
    let metadata = "Accept: application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"
    let metas = try api.ask("GET", "/apis/batch/v1/jobs/", headers: [metadata]).json
    #expect(metas["kind"]?.stringValue == "PartialObjectMetadataList")
    #expect(metas["items"]?[0]?["spec"] == nil)
    let empty = try api.ask("GET", "/api/v1/namespaces/default/secrets").json
    #expect(empty["kind"]?.stringValue == "SecretList")
    #expect(empty["items"] == .array([]))
    let page = try api.ask("GET", "\(Self.jobs)?limit=1").json
    #expect(page["items"]?.arrayValue?.count == 1)
    let token = try #require(page[path: ["metadata", "continue"]]?.stringValue)
    let next = try api.ask("GET", "\(Self.jobs)?limit=1&continue=\(token.replacing("/", with: "%2F"))").json
    #expect(next["items"]?[0]?[path: ["metadata", "name"]]?.stringValue == "b")
    #expect(try api.ask("GET", "\(Self.jobs)?labelSelector=job-name%3Da").json["items"]?.arrayValue?.count == 1)

    let merge = try api.ask(
      "PATCH", "\(Self.jobs)/a", type: PatchKind.merge.rawValue, body: ["metadata": ["labels": ["x": "1"]]])
    #expect(merge.json[path: ["metadata", "labels", "x"]]?.stringValue == "1")
    let patch: JSON = [["op": "replace", "path": "/metadata/labels/x", "value": "2"]]
    let patched = try api.ask("PATCH", "\(Self.jobs)/a", type: PatchKind.json.rawValue, body: patch)
    #expect(patched.json[path: ["metadata", "labels", "x"]]?.stringValue == "2")
    let strategic = try api.ask(
      "PATCH", "\(Self.jobs)/a", type: PatchKind.strategic.rawValue, body: ["spec": ["parallelism": 3]])
    #expect(strategic.json[path: ["spec", "parallelism"]]?.intValue == 3)
    let unnamed = try api.ask("PATCH", "\(Self.jobs)/a", type: PatchKind.apply.rawValue, body: Self.job("a"))
    #expect(unnamed.code == 422, "the User-Agent names no applier")
    let applied = try api.ask(
      "PATCH", "\(Self.jobs)/a?fieldManager=me&force=true", type: PatchKind.apply.rawValue, body: Self.job("a"))
    #expect(applied.json[path: ["metadata", "managedFields"]]?[0]?["manager"] == "me")
    #expect(try api.ask("PATCH", "\(Self.jobs)/a", body: Self.job("a")).code == 415)
    var stale = strategic.json
    stale[path: ["metadata", "resourceVersion"]] = "1"
    #expect(try api.ask("PUT", "\(Self.jobs)/a", body: stale).code == 409)
    #expect(try api.ask("PUT", "\(Self.jobs)/a", body: applied.json).code == 200)

    let legacy = try api.ask("DELETE", "\(Self.jobs)/b")
    #expect(legacy.header("warning")?.hasPrefix("299 - \"child pods are preserved by default") == true)
    let gone = try api.ask("DELETE", "\(Self.jobs)/a", body: ["propagationPolicy": "Background"])
    #expect(gone.code == 200 && gone.header("warning") == nil)
    #expect(try api.ask("GET", "\(Self.jobs)/a").code == 404)
    try api.live.stop()
  }

  @Test("YAML bodies, several requests in one packet, chunked bodies and Expect are understood")
  func framing() throws {
    let directory = try TemporaryDirectory()
    let api = try LiveAPI(directory)
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: yam\ndata:\n  a: b\n"
    let maps = "/api/v1/namespaces/default/configmaps"
    let created = try api.send(
      HTTPTestClient.request("POST", maps, type: "application/yaml; charset=utf-8", body: Array(yaml.utf8)))
    #expect(created.code == 201)
    let client = try api.connect()
    let single = "{\"metadata\":{\"name\":\"c\"}}"
    let chunked =
      "POST \(maps) HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
      + "5;x=y\r\n\(single.prefix(5))\r\n\(String(single.utf8.count - 5, radix: 16))\r\n\(single.dropFirst(5))\r\n"
      + "0\r\nTrailer: 1\r\n\r\n"
    client.connection.send(
      Array(chunked.utf8) + HTTPTestClient.request("GET", "\(maps)/yam") + HTTPTestClient.request("GET", "/readyz")
        + HTTPTestClient.request("GET", "\(maps)/none", headers: ["Connection: close"])
        + HTTPTestClient.request("GET", "/version"))
    var codes: [Int] = []
    try api.live.wait("four answers come") {
      while let answer = client.takeAnswer() { codes.append(answer.code) }
      return client.isClosed
    }
    #expect(codes == [201, 200, 200, 404])
    let polite = try api.connect()
    polite.connection.send(
      Array(
        "POST \(maps) HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n\r\n"
          .utf8)
    )
    try api.live.wait("an answer comes") { polite.hasBytes }
    try api.live.stop()
  }

  @Test("a list as YAML comes in pieces when it is long, and reads back as the list that JSON has")
  func yamlList() throws {
    let api = try LiveAPI(try TemporaryDirectory())
    let maps = "/api/v1/namespaces/default/configmaps"
    for number in 0..<300 {
      let map: JSON = [
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string("m\(number)")], "data": ["a": "x\ny"],
      ]
      #expect(try api.ask("POST", maps, body: map).code == 201)
    }
    let json = try api.ask("GET", maps).json
    let answer = try api.ask("GET", maps, headers: ["Accept: application/yaml"])
    #expect(answer.code == 200 && answer.isWhole && answer.header("content-type") == "application/yaml")
    #expect(answer.header("transfer-encoding") == "chunked", "it is longer than a step")
    #expect(try YAML.documents(Array(answer.text.utf8)) == [json])
    try api.live.stop()
  }

  @Test("a watch begins at once, tells each change once, ends in time; one of the past says 410")
  func watch() throws {
    let directory = try TemporaryDirectory()
    let api = try LiveAPI(directory)
    let version = try #require(
      try api.ask("GET", Self.jobs).json[path: ["metadata", "resourceVersion"]]?.stringValue)
    let client = try api.connect()
    client.connection.send(HTTPTestClient.request("GET", "\(Self.jobs)?watch=True&resourceVersion=\(version)"))
    try api.live.wait("the head comes before any event") { client.peekAnswer() != nil }
    #expect(client.peekAnswer()?.code == 200)
    #expect(try api.ask("POST", Self.jobs, body: Self.job("w")).code == 201)
    _ = try api.ask(
      "PATCH", "\(Self.jobs)/w", type: PatchKind.merge.rawValue, body: ["metadata": ["labels": ["x": "1"]]])
    _ = try api.ask("DELETE", "\(Self.jobs)/w", body: ["propagationPolicy": "Background"])
    try api.live.wait("it tells the end") {
      client.peekAnswer()?.events.last?["type"]?.stringValue == "DELETED"
    }
    let events = try #require(client.peekAnswer()?.events)
    #expect(events.first?["type"]?.stringValue == "ADDED")
    #expect(events.dropFirst().dropLast().allSatisfy { $0["type"]?.stringValue == "MODIFIED" })
    let versions = events.compactMap { $0[path: ["object", "metadata", "resourceVersion"]]?.stringValue }
    #expect(Set(versions).count == versions.count)
    client.connection.close()
    let brief = try api.ask("GET", "\(Self.jobs)?watch=true&timeoutSeconds=1&resourceVersion=\(version)")
    #expect(brief.isWhole && brief.events.map { $0["type"]?.stringValue } == events.map { $0["type"]?.stringValue })
    let table = "Accept: application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    let nodes = try api.ask(
      "GET", "/api/v1/namespaces?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Ddefault", headers: [table])
    #expect(nodes.events.first?[path: ["object", "kind"]]?.stringValue == "Table")
    try api.live.wait("the watcher is forgotten") { api.live.server.connectionCount <= 1 }
    try api.live.stop()
  }

  @Test("a list longer than a turn streams, whole and in order")
  func longList() throws {
    let directory = try TemporaryDirectory()
    let api = try LiveAPI(directory)
    let maps = "/api/v1/namespaces/default/configmaps"
    let client = try api.connect()
    let count = 600
    for number in 0..<count {
      let body: JSON = ["metadata": ["name": .string("m\(1000 + number)")], "data": ["a": "b"]]
      client.connection.send(HTTPTestClient.request("POST", maps, body: body.bytes))
    }
    var created = 0
    try api.live.wait("all are created") {
      while let answer = client.takeAnswer() { created += answer.code == 201 ? 1 : 0 }
      return created == count
    }
    let answer = try api.ask("GET", maps)
    #expect(answer.header("transfer-encoding") == "chunked")
    let names = (answer.json["items"]?.arrayValue ?? []).compactMap { $0[path: ["metadata", "name"]]?.stringValue }
    #expect(names.filter { $0.hasPrefix("m") } == (0..<count).map { "m\(1000 + $0)" })
    #expect(answer.json["kind"]?.stringValue == "ConfigMapList")
    let gone = try api.ask("DELETE", maps)
    #expect(gone.code == 200)
    #expect(try api.ask("GET", "\(maps)/m1000").code == 404)
    try api.live.stop()
  }

  @Test("logs: no such pod 404, a pod that runs nowhere 400; exec without an upgrade 400; proxy is refused by name")
  func logs() throws {
    let directory = try TemporaryDirectory()
    let api = try LiveAPI(directory)
    let pods = "/api/v1/namespaces/default/pods"
    let pod: JSON = [
      "metadata": ["name": "p"],
      "spec": ["restartPolicy": "Never", "containers": [["name": "main", "image": "none", "command": ["true"]]]],
    ]
    #expect(try api.ask("POST", pods, body: pod).code == 201)
    #expect(try api.ask("GET", "\(pods)/none/log").code == 404)
    #expect(try api.ask("GET", "\(pods)/p/log?follow=true&tailLines=3").code == 400)
    #expect(try api.ask("GET", "\(pods)/p/log?tailLines=-1").code == 422)
    #expect(try api.ask("POST", "\(pods)/p/exec").code == 400)
    let proxied = try api.ask("GET", "\(pods)/p/proxy/some/path")
    #expect(proxied.code == 405)
    #expect(proxied.json["message"]?.stringValue?.hasPrefix("pods/proxy is not served by this version: ") == true)
    try api.live.stop()
  }

  @Test("discovery names what is served; every document of the OpenAPI index is there, and its references resolve")
  func discovery() throws {
    let directory = try TemporaryDirectory()
    let api = try LiveAPI(directory)
    let groups = try api.ask("GET", "/apis?timeout=32s").json
    let names = (groups["groups"]?.arrayValue ?? []).compactMap { $0["name"]?.stringValue }
    #expect(
      names == [
        "apps", "authentication.k8s.io", "authorization.k8s.io", "batch", "coordination.k8s.io", "events.k8s.io",
        "metrics.k8s.io", "networking.k8s.io", "policy", "rbac.authorization.k8s.io", "scheduling.k8s.io", "stint.dev",
        "storage.k8s.io",
      ])
    // What is used is of another version, and has no document.
    let ours = names.filter { $0 != MetricsGroup.name }.map { "apis/\($0)/v1" }
    for path in ["/api/v1", "/apis/metrics.k8s.io/v1beta1"] + ours.map({ "/\($0)" }) {
      let resources = try api.ask("GET", path).json["resources"]?.arrayValue ?? []
      #expect(!resources.isEmpty)
      for resource in resources {
        let name = try #require(resource["name"]?.stringValue)
        if name == "pods/eviction" {
          #expect(resource["group"] == "policy" && resource["version"] == "v1" && resource["kind"] == "Eviction")
        }
        if name.contains("/") || name == "namespaces" || resource["verbs"] == ["create"] { continue }
        #expect(try api.ask("GET", "\(path)/\(name)").code == 200, "\(path)/\(name)")
      }
    }
    let aggregated = "Accept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
    #expect(try api.ask("GET", "/apis", headers: [aggregated]).json["items"]?.arrayValue?.count == 13)
    let index = try #require(try api.ask("GET", "/openapi/v3").json["paths"]?.objectValue)
    #expect(Set(index.keys) == Set(["api/v1"] + ours))
    for (_, entry) in index {
      let url = try #require(entry["serverRelativeURL"]?.stringValue)
      let answer = try api.ask("GET", url)
      let schemas = try #require(answer.json[path: ["components", "schemas"]]?.objectValue)
      for piece in answer.text.split(separator: "#/components/schemas/").dropFirst() {
        let name = String(piece.prefix { $0 != "\"" })
        #expect(schemas[name] != nil, "\(name)")
      }
    }
    try api.live.stop()
  }
}
