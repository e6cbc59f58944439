// Details of the wire that clients of other times and makes rely on.

import ClusterProto
import HTTPTestSupport
import Testing

@testable import ClusterIO
@testable import Coordinator
@testable import CoordinatorCore

@Suite("Wire of the Kubernetes API")
struct HTTPWireTests {
  private static let maps = APIFixture.collection(.configmaps)

  private static func accept(_ kind: String, _ version: String) -> [String] {
    ["Accept: application/json;as=\(kind);v=\(version);g=meta.k8s.io"]
  }

  @Test("a timeout that is no duration is 400 in Go's words, one that is does not matter")
  func timeout() throws {
    try LiveAPI.with { api in
      for (text, why) in [
        ("invalid", "time: invalid duration \"invalid\""), ("10", "time: missing unit in duration \"10\""),
        ("3x", "time: unknown unit \"x\" in duration \"3x\""), ("1.2.3s", "time: invalid duration \"1.2.3s\""),
        ("-", "time: invalid duration \"-\""), ("1h5", "time: missing unit in duration \"1h5\""),
      ] {
        for path in [Self.maps, "/api/v1"] {
          let answer = try api.ask("GET", "\(path)?timeout=\(text)")
          expectStatus(answer, 400, "BadRequest", "invalid timeout specified in the request URL - \(why)")
        }
      }
      for text in ["32s", "0", "1h2m3.5s", "-1s", "300ms", ""] {
        #expect(try api.ask("GET", "\(Self.maps)?timeout=\(text)").code == 200, "\(text)")
      }
    }
  }

  @Test("a bare CR or LF ends no line anywhere, and a Host has a number for its port")
  func hidden() throws {
    try LiveAPI.with { api in
      let head = "POST \(Self.maps) HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
      for body in [
        "2;\n\r\n{}\r\n0\r\n\r\n", "2;\r\r\n{}\r\n0\r\n\r\n", "2;a=\u{1}\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}\r\n0\r\nA: b\nC: d\r\n\r\n", "2\r\n{}\n\r\n0\r\n\r\n", "2\r\n{}\r\n0\r\n\rX\r\n\r\n",
      ] {
        let answer = try api.send(Array((head + body).utf8))
        #expect(answer.code == 400 && answer.header("connection") == "close", "\(body.debugDescription)")
      }
      for host in ["127.0.0.1:99999", "127.0.0.1:18480:x", "127.0.0.1:-1", "127.0.0.1:+80", "127.0.0.1:08x", "[::1]x"] {
        expectStatus(try api.ask("GET", Self.maps, host: host), 400, "BadRequest", "malformed Host")
      }
      for host in ["127.0.0.1:65535", "127.0.0.1:", "localhost:1", "LOCALHOST"] {
        #expect(try api.ask("GET", Self.maps, host: host).code == 200, "\(host)")
      }
    }
  }

  @Test("text in YAML that would take long to read is to be sent as JSON; JSON under YAML's name is JSON")
  func longYAML() throws {
    try LiveAPI.with { api in
      let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\n"
      let long = map + String(repeating: "# a remark that is of no use\n", count: 40_000)
      let refused = try api.send(
        HTTPTestClient.request("POST", Self.maps, type: "application/yaml", body: Array(long.utf8)))
      #expect(refused.code == 413 && refused.text.contains("send it as JSON"))
      let json: JSON = [
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "m"],
        "data": [
          "x": .string(String(repeating: "0", count: 1_048_000)), "y": .string(String(repeating: "\u{1}", count: 500)),
        ],
      ]
      let taken = try api.send(
        HTTPTestClient.request(
          "POST", Self.maps, type: "application/yaml", body: json.bytes + Array(repeating: 0x20, count: 2_000)))
      #expect(taken.code == 201)
    }
  }

  @Test("a review that is asked for as a Table only is 406")
  func reviews() throws {
    try LiveAPI.with { api in
      let body: JSON = ["apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"]
      let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
      expectStatus(
        try api.ask("POST", path, headers: Self.accept("Table", "v1"), body: body), 406, "NotAcceptable",
        "only the following media types are accepted: application/json, application/yaml")
      let either = ["Accept: application/json;as=Table;v=v1;g=meta.k8s.io,application/json"]
      #expect(try api.ask("POST", path, headers: either, body: body).code == 201)
    }
  }

  @Test("Tables and metadata are served as v1 and as v1beta1, in lists, objects, rows and watches")
  func versions() throws {
    try LiveAPI.with { api in
      #expect(try api.ask("POST", Self.maps, body: APIFixture.object(.configmaps, "m")).code == 201)
      for version in ["v1", "v1beta1"] {
        let meta = JSON.string("meta.k8s.io/\(version)")
        let table = try api.ask("GET", "\(Self.maps)/m", headers: Self.accept("Table", version)).json
        #expect(table["kind"] == "Table" && table["apiVersion"] == meta)
        #expect(table["rows"]?[0]?[path: ["object", "apiVersion"]] == meta)
        let list = try api.ask("GET", Self.maps, headers: Self.accept("PartialObjectMetadataList", version)).json
        #expect(list["kind"] == "PartialObjectMetadataList" && list["apiVersion"] == meta)
        #expect(list["items"]?[0]?["kind"] == "PartialObjectMetadata" && list["items"]?[0]?["apiVersion"] == meta)
        let watch = try api.ask(
          "GET", "\(Self.maps)?watch=1&timeoutSeconds=1", headers: Self.accept("PartialObjectMetadata", version))
        #expect(watch.events.first?[path: ["object", "apiVersion"]] == meta)
        let missing = try api.ask("GET", "\(Self.maps)/none", headers: Self.accept("Table", version))
        expectStatus(missing, 404, "NotFound")
      }
      #expect(try api.ask("GET", Self.maps, headers: Self.accept("Table", "v2")).code == 406)
    }
  }

  @Test("answers come as YAML for who asks for it, lists of several turns too; a watch does not")
  func yaml() throws {
    try LiveAPI.with { api in
      let yaml = ["Accept: application/yaml"]
      #expect(try api.ask("POST", Self.maps, body: APIFixture.object(.configmaps, "m")).code == 201)
      let one = try api.ask("GET", "\(Self.maps)/m", headers: yaml)
      #expect(one.header("content-type") == "application/yaml")
      #expect(try YAML.documents(one.body) { _ in } == [try api.ask("GET", "\(Self.maps)/m").json])
      for number in 0..<300 {
        #expect(try api.ask("POST", Self.maps, body: APIFixture.object(.configmaps, "m\(number)")).code == 201)
      }
      let list = try api.ask("GET", Self.maps, headers: yaml)
      #expect(try YAML.documents(list.body) { _ in } == [try api.ask("GET", Self.maps).json])
      let missing = try api.ask("GET", "\(Self.maps)/none", headers: yaml)
      #expect(missing.code == 404 && missing.text.contains("\nreason: NotFound\n"), "\(missing.text)")
      #expect(try api.ask("GET", "/api/v1", headers: yaml).text.hasPrefix("apiVersion: v1\n"))
      let watch = try api.ask("GET", "\(Self.maps)?watch=1", headers: yaml)
      #expect(watch.code == 406 && watch.text.contains("\nreason: NotAcceptable\n"))
    }
  }

  @Test("the objects of a list carry no kind and no apiVersion, however long it is; those of a watch do")
  func items() throws {
    try LiveAPI.with { api in
      for number in 0..<300 {
        #expect(try api.ask("POST", Self.maps, body: APIFixture.object(.configmaps, "m\(number)")).code == 201)
      }
      for target in [Self.maps, "\(Self.maps)?limit=2"] {
        let list = try api.ask("GET", target).json
        #expect(list["kind"] == "ConfigMapList" && list["apiVersion"] == "v1")
        let items = list["items"]?.arrayValue ?? []
        #expect(
          !items.isEmpty && items.allSatisfy { $0["kind"] == nil && $0["apiVersion"] == nil && $0["metadata"] != nil })
      }
      let events = try api.ask("GET", "\(Self.maps)?watch=1&timeoutSeconds=1").events
      #expect(!events.isEmpty && events.allSatisfy { $0[path: ["object", "kind"]] == "ConfigMap" })
      #expect(try api.ask("DELETE", Self.maps).json["items"]?[0]?["kind"] == nil)
    }
  }

  @Test("a Table watch sends its columns once, and null behind that")
  func columns() throws {
    try LiveAPI.with { api in
      for name in ["a", "b"] {
        #expect(try api.ask("POST", Self.maps, body: APIFixture.object(.configmaps, name)).code == 201)
      }
      let target = "\(Self.maps)?watch=1&timeoutSeconds=1"
      let events = try api.ask("GET", target, headers: Self.accept("Table", "v1")).events
      #expect(events.count >= 2 && events[0][path: ["object", "columnDefinitions"]]?.arrayValue?.isEmpty == false)
      #expect(events.dropFirst().allSatisfy { $0[path: ["object", "columnDefinitions"]] == .null })
    }
  }

  private static func gzip(_ bytes: [UInt8]) -> [UInt8] { GzipStream()?.write(bytes, isLast: true) ?? [] }

  @Test("bodies in gzip are read; what is damaged, cut off or too large when expanded is refused, and nothing is kept")
  func gzipBodies() throws {
    try LiveAPI.with { api in
      func post(_ body: [UInt8], coding: String = "gzip") throws -> HTTPTestAnswer {
        try api.send(
          HTTPTestClient.request("POST", Self.maps, headers: ["Content-Encoding: \(coding)"], body: body))
      }
      let body = APIFixture.object(.configmaps, "m").bytes
      #expect(try post(Self.gzip(body)).code == 201)
      expectStatus(try post(body), 400, "BadRequest", "gzip")
      let whole = Self.gzip(APIFixture.object(.configmaps, "cut").bytes)
      for count in [1, 10, whole.count / 2, whole.count - 1] {
        expectStatus(try post(Array(whole.prefix(count))), 400, "BadRequest", "gzip")
      }
      expectStatus(try post(whole + [0]), 400, "BadRequest", "gzip")
      let bomb = Self.gzip([UInt8](repeating: 0x20, count: 200 << 20))
      #expect(bomb.count < HTTPParser.bodyLimit)
      expectStatus(try post(bomb), 413, "RequestEntityTooLarge")
      #expect(try post(body, coding: "br").code == 415)
      #expect(try post(APIFixture.object(.configmaps, "plain").bytes, coding: "identity").code == 201)
      #expect(try api.ask("GET", "\(Self.maps)/cut").code == 404)
    }
  }

  @Test("a client that speaks TLS 1.2 at most is served by its certificate, one of 1.1 is not")
  func oldTLS() throws {
    try LiveAPI.with { api in
      let tls12: Int32 = 0x0303
      for (version, isServed) in [(tls12, true), (tls12 - 1, false)] {
        let context = try TLSContext(client: api.pki.administrator, authority: api.pki.authority.certificate)
        context.setNewest(version)
        let client = try? api.connect(context)
        client?.connection.send(HTTPTestClient.request("GET", "\(Self.maps)?limit=1"))
        var answer: HTTPTestAnswer?
        try api.live.wait("it is served or closed") {
          answer = client?.takeAnswer()
          return answer != nil || client?.isClosed ?? true
        }
        #expect(answer?.code == (isServed ? 200 : nil))
      }
    }
  }

  @Test("each health check has a path, verbose tells them all, exclude leaves some out")
  func health() throws {
    try LiveAPI.with { api in
      for root in ["healthz", "livez", "readyz"] {
        #expect(try api.ask("GET", "/\(root)/ping").text == "ok")
        #expect(try api.ask("GET", "/\(root)/none").code == 404)
        let verbose = try api.ask("GET", "/\(root)?verbose")
        #expect(verbose.text == "[+]ping ok\n[+]log ok\n[+]etcd ok\n\(root) check passed\n")
        let fewer = try api.ask("GET", "/\(root)?verbose&exclude=etcd&exclude=x")
        #expect(
          fewer.text == "[+]ping ok\n[+]log ok\n[+]etcd excluded: ok\n"
            + "warn: some health checks cannot be excluded: no matches for \"x\"\n\(root) check passed\n")
        #expect(try api.ask("GET", "/\(root)?exclude=etcd").text == "ok")
      }
      let client = try api.connect(api.stranger)
      client.connection.send(HTTPTestClient.request("GET", "/livez/ping"))
      var answer: HTTPTestAnswer?
      try api.live.wait("a stranger may ask") {
        answer = client.takeAnswer()
        return answer != nil
      }
      #expect(answer?.text == "ok")
    }
  }

  @Test("status.podIPs is a field of pods that selectors may name, and that has no value, as in Kubernetes")
  func podIPs() throws {
    try LiveAPI.with { api in
      let pods = APIFixture.collection(.pods)
      #expect(try api.ask("POST", pods, body: APIFixture.object(.pods, "p")).code == 201)
      #expect(try api.ask("GET", "\(pods)?fieldSelector=status.podIPs%3D10.0.0.1").json["items"] == [])
      #expect(try api.ask("GET", "\(pods)?fieldSelector=status.podIPs!%3D10.0.0.1").json.itemNames == ["p"])
      expectStatus(try api.ask("GET", "\(pods)?fieldSelector=status.podIPz%3Dx"), 400, "BadRequest")
    }
  }

  @Test("kinds that programs list without asking are there, empty, in every form, and cannot be changed")
  func emptyLists() throws {
    try LiveAPI.with { api in
      for resource in ServedResource.empty {
        let root = resource.group.isEmpty ? "/api/v1" : "/apis/\(resource.group)/v1"
        let paths =
          ["\(root)/\(resource.plural)"] + (resource.isNamespaced ? ["\(root)/namespaces/a/\(resource.plural)"] : [])
        for path in paths {
          let list = try api.ask("GET", path).json
          #expect(list["kind"]?.stringValue == "\(resource.kind)List" && list["items"] == [])
          #expect(try api.ask("GET", path, headers: Self.accept("Table", "v1")).json["rows"] == [])
          let metadata = try api.ask("GET", path, headers: Self.accept("PartialObjectMetadataList", "v1beta1")).json
          #expect(metadata["items"] == [] && metadata["apiVersion"] == "meta.k8s.io/v1beta1")
          expectStatus(
            try api.ask("GET", "\(path)/x"), 404, "NotFound", "\(resource.qualifiedPlural) \"x\" not found")
          for (method, target) in [("POST", path), ("PUT", "\(path)/x"), ("DELETE", path), ("GET", "\(path)?watch=1")] {
            let answer = try api.ask(method, target, body: method == "GET" ? nil : ["metadata": ["name": "x"]])
            expectStatus(answer, 405, "MethodNotAllowed", "\(resource.qualifiedPlural) is not served by this version")
          }
        }
      }
    }
  }
}
