// Over HTTPS: events in their second group, reviews, strict decoding of text, methods and paths at the edges.

import ClusterIO
import ClusterProto
import HTTPTestSupport
import Testing

@testable import Coordinator

@Suite("Groups and text of the Kubernetes API")
struct HTTPGroupsTests {
  private typealias Wire = ProtobufWriter
  private static let modern = "/apis/events.k8s.io/v1/namespaces/default/events"
  private static let core = "/api/v1/namespaces/default/events"

  private static func event(_ name: String) -> JSON {
    [
      "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": ["name": .string(name), "namespace": "default"],
      "eventTime": "2026-11-23T10:00:00.000001Z", "reportingController": "tests/suite", "reportingInstance": "one",
      "action": "Trying", "reason": "Tried", "type": "Normal", "note": "all is well",
      "regarding": ["kind": "Job", "namespace": "default", "name": "j", "apiVersion": "batch/v1"],
      "deprecatedCount": 3,
    ]
  }

  @Test("an event written in either group is read in both, each in its shape; lists, tables, selectors, watches too")
  func events() throws {
    let directory = try TemporaryDirectory()
    let api = try LiveAPI(directory)
    let created = try api.ask("POST", "\(Self.modern)?fieldValidation=Strict", body: Self.event("a"))
    #expect(created.code == 201)
    #expect(created.json["note"] == "all is well" && created.json["apiVersion"] == "events.k8s.io/v1")
    #expect(created.json["message"] == nil && created.json["involvedObject"] == nil)
    let stored = try api.ask("GET", "\(Self.core)/a").json
    #expect(stored["message"] == "all is well" && stored["apiVersion"] == "v1" && stored["count"] == 3)
    #expect(stored[path: ["involvedObject", "name"]] == "j" && stored["reportingComponent"] == "tests/suite")
    let old: JSON = [
      "metadata": ["name": "b"], "involvedObject": ["kind": "Pod", "name": "p", "namespace": "default"],
      "reason": "Old",
      "source": ["component": "kubelet"], "message": "as before", "firstTimestamp": "2026-11-23T10:00:00Z",
    ]
    #expect(try api.ask("POST", Self.core, body: old).code == 201)
    let shown = try api.ask("GET", "\(Self.modern)/b").json
    #expect(shown["note"] == "as before" && shown[path: ["regarding", "name"]] == "p")
    #expect(shown["deprecatedSource"] == ["component": "kubelet"])
    #expect(shown["deprecatedFirstTimestamp"] == "2026-11-23T10:00:00Z")

    let list = try api.ask("GET", "\(Self.modern)?fieldSelector=regarding.kind%3DJob,reason!%3DOther").json
    #expect(list["kind"] == "EventList" && list["apiVersion"] == "events.k8s.io/v1")
    #expect(list["items"]?.arrayValue?.map { $0["note"] } == ["all is well"])
    let everywhere = try api.ask("GET", "/apis/events.k8s.io/v1/events").json
    #expect(everywhere["items"]?.arrayValue?.count == 2)
    let wrong = try api.ask("GET", "\(Self.modern)?fieldSelector=involvedObject.kind%3DJob")
    #expect(wrong.code == 400)
    #expect(wrong.json["message"] == "field label not supported: involvedObject.kind")
    let table = try api.ask(
      "GET", "\(Self.modern)?includeObject=Object", headers: ["Accept: application/json;as=Table;v=v1;g=meta.k8s.io"])
    #expect(table.json["rows"]?[0]?["object"]?["apiVersion"] == "events.k8s.io/v1")
    #expect(table.json["rows"]?[0]?["cells"]?[6] == "all is well")
    let watch = try api.ask("GET", "\(Self.modern)?watch=1&timeoutSeconds=1")
    #expect(watch.events.compactMap { $0["object"]?["note"] } == ["all is well", "as before"])

    var changed = created.json
    changed["note"] = "changed"
    #expect(try api.ask("PUT", "\(Self.modern)/a", body: changed).json["note"] == "changed")
    #expect(try api.ask("GET", "\(Self.core)/a").json["message"] == "changed")
    func patch(_ kind: PatchKind, _ body: JSON) throws -> HTTPTestAnswer {
      try api.ask("PATCH", "\(Self.modern)/a?fieldValidation=Strict", type: kind.rawValue, body: body)
    }
    let series: JSON = ["count": 2, "lastObservedTime": "2026-11-23T10:00:01.000000Z"]
    let merged = try patch(.merge, ["note": "merged", "series": series, "apiVersion": "events.k8s.io/v1"])
    #expect(merged.code == 200 && merged.json["note"] == "merged" && merged.json["series"] == series)
    let steps: JSON = [
      ["op": "test", "path": "/note", "value": "merged"], ["op": "replace", "path": "/regarding/name", "value": "k"],
      ["op": "copy", "from": "/note", "path": "/action"],
    ]
    let stepped = try patch(.json, steps)
    #expect(stepped.json[path: ["regarding", "name"]] == "k" && stepped.json["action"] == "merged")
    #expect(try patch(.strategic, ["metadata": ["labels": ["a": "b"]]]).json[path: ["metadata", "labels", "a"]] == "b")
    let unknown = try patch(.merge, ["message": "of the other group"])
    #expect(unknown.code >= 400 && unknown.text.contains("unknown field \\\"message\\\""))
    #expect(try patch(.apply, Self.event("a")).code == 415)
    #expect(try api.ask("GET", "\(Self.core)/a").json["message"] == "merged")
    #expect(try api.ask("DELETE", "\(Self.modern)/a").json["status"] == "Success")
    let gone = try api.ask("GET", "\(Self.modern)/a")
    #expect(gone.code == 404 && gone.json["message"] == "events.events.k8s.io \"a\" not found")
    #expect(gone.json[path: ["details", "group"]] == "events.k8s.io")
    #expect(try api.ask("DELETE", Self.modern).json["apiVersion"] == "events.k8s.io/v1")
    #expect(try api.ask("GET", Self.core).json["items"] == .array([]))
    try api.live.stop()
  }

  @Test("an event of the second group lacks nothing, has no field of the first, and comes as protobuf too")
  func eventRefusals() throws {
    let directory = try TemporaryDirectory()
    let api = try LiveAPI(directory)
    let empty = try api.ask("POST", Self.modern, body: ["metadata": ["name": "x"]])
    #expect(empty.code == 422)
    let message = empty.json["message"]?.stringValue ?? ""
    #expect(message.hasPrefix("Event.events.k8s.io \"x\" is invalid: [eventTime: Required value, "))
    var mixed = Self.event("x")
    mixed["message"] = "of the other group"
    let strict = try api.ask("POST", "\(Self.modern)?fieldValidation=Strict", body: mixed)
    #expect(strict.code == 400)
    #expect(
      strict.json["message"]
        == "Event in version \"v1\" cannot be handled as a Event: strict decoding error: unknown field \"message\"")
    let warned = try api.ask("POST", Self.modern, body: mixed)
    #expect(warned.code == 201 && warned.header("warning") == "299 - \"unknown field \\\"message\\\"\"")
    #expect(warned.json["note"] == "all is well")
    var wrong = Self.event("y")
    wrong["apiVersion"] = "v1"
    #expect(try api.ask("POST", Self.modern, body: wrong).code == 400)
    let body = Wire.body(
      "events.k8s.io/v1", "Event", Wire.message(1, Wire.text(1, "z"), Wire.text(3, "default")),
      Wire.message(2, Wire.int(1, 1_763_904_000), Wire.int(2, 1000)), Wire.text(4, "c"), Wire.text(5, "i"),
      Wire.text(6, "A"), Wire.text(7, "R"), Wire.message(8, Wire.text(2, "default")), Wire.text(10, "n"),
      Wire.text(11, "Normal"), Wire.message(12), Wire.message(13), Wire.message(14), Wire.int(15, 0))
    let answer = try api.send(HTTPTestClient.request("POST", Self.modern, type: HTTPMedia.protobuf, body: body))
    #expect(answer.code == 201 && answer.json["eventTime"] == "2025-11-23T13:20:00.000001Z")
    try api.live.stop()
  }

  @Test("reviews: the administrator may do everything and learns who it is; nobody else asks, nothing is kept")
  func reviews() throws {
    let directory = try TemporaryDirectory()
    let api = try LiveAPI(directory)
    let authorization = "/apis/authorization.k8s.io/v1"
    func ask(_ path: String, _ kind: String, _ spec: JSON?) throws -> HTTPTestAnswer {
      let group = path.hasPrefix(authorization) ? "authorization.k8s.io/v1" : "authentication.k8s.io/v1"
      var body: JSON = ["kind": .string(kind), "apiVersion": .string(group)]
      if let spec { body["spec"] = spec }
      return try api.ask("POST", path, body: body)
    }
    let access = "\(authorization)/selfsubjectaccessreviews"
    let may = try ask(
      access, "SelfSubjectAccessReview", ["resourceAttributes": ["verb": "create", "resource": "jobs"]])
    #expect(may.code == 201 && may.json["status"] == ["allowed": true])
    #expect(may.json[path: ["spec", "resourceAttributes", "verb"]] == "create")
    #expect(try ask(access, "SelfSubjectAccessReview", [:]).code == 422)
    #expect(try ask(access, "Job", [:]).code == 400)
    #expect(try api.ask("GET", access).code == 405)
    let rules = try ask(
      "\(authorization)/selfsubjectrulesreviews", "SelfSubjectRulesReview", ["namespace": "default"])
    #expect(rules.json[path: ["status", "resourceRules"]]?[0]?["verbs"] == ["*"])
    #expect(try ask("\(authorization)/selfsubjectrulesreviews", "SelfSubjectRulesReview", nil).code == 400)
    let who = try ask("/apis/authentication.k8s.io/v1/selfsubjectreviews", "SelfSubjectReview", nil)
    #expect(who.json[path: ["status", "userInfo", "username"]] == "admin")
    for (path, body) in [
      (access, Wire.accessReview), ("/apis/authentication.k8s.io/v1/selfsubjectreviews", Wire.selfReview),
    ] {
      #expect(try api.send(HTTPTestClient.request("POST", path, type: HTTPMedia.protobuf, body: body)).code == 201)
    }
    let stranger = try api.connect(api.stranger)
    stranger.connection.send(HTTPTestClient.request("POST", access, body: [0x7B, 0x7D]))
    var refused: HTTPTestAnswer?
    try api.live.wait("an answer comes") {
      refused = stranger.takeAnswer()
      return refused != nil
    }
    #expect(refused?.code == 401)
    try api.live.stop()
  }

  @Test("keys that stand twice: Strict refuses, Warn warns, Ignore takes the last; with unknown fields in their order")
  func duplicates() throws {
    let directory = try TemporaryDirectory()
    let api = try LiveAPI(directory)
    let jobs = "/apis/batch/v1/namespaces/default/jobs"
    let containers = #"[{"name":"a","name":"main","image":"none","command":["true"]}]"#
    let template = #"{"spec":{"restartPolicy":"Never","containers":\#(containers)}}"#
    let spec = #"{"suspend":true,"parallelism":1,"bogus":1,"parallelism":2,"template":\#(template)}"#
    let json = #"{"zoo":{"a":1,"a":2},"metadata":{"name":"j"},"spec":\#(spec)}"#
    func post(_ text: String, _ mode: String, type: String = "application/json") throws -> HTTPTestAnswer {
      try api.send(
        HTTPTestClient.request(
          "POST", "\(jobs)?dryRun=All&fieldValidation=\(mode)", type: type, body: Array(text.utf8)))
    }
    let errors = [
      #"unknown field "spec.bogus""#, #"duplicate field "spec.parallelism""#,
      #"duplicate field "spec.template.spec.containers[0].name""#, #"unknown field "zoo""#,
    ]
    let strict = try post(json, "Strict")
    #expect(strict.code == 400)
    #expect(
      strict.json["message"]?.stringValue
        == "Job in version \"v1\" cannot be handled as a Job: strict decoding error: "
        + errors.joined(separator: ", "))
    let warned = try post(json, "Warn")
    #expect(warned.code == 201)
    #expect(
      warned.headers.filter { $0.name == "warning" }.map(\.value).prefix(4)
        == errors.map { "299 - \"\($0.replacing("\"", with: "\\\""))\"" }[...])
    let ignored = try post(json, "Ignore")
    #expect(ignored.code == 201 && ignored.header("warning") == nil)
    #expect(ignored.json[path: ["spec", "parallelism"]] == 2)

    let yaml = """
      metadata: {name: j}
      spec:
        suspend: true
        suspend: false
        bogus: 1
        template:
          spec:
            restartPolicy: Never
            containers:
            - name: main
              image: none
              image: other
              command: ["true"]
      """
    let inYAML = try post(yaml, "Strict", type: "application/yaml")
    #expect(
      inYAML.json["message"]?.stringValue?.hasSuffix(
        "strict decoding error: yaml: unmarshal errors:\n  line 4: key \"suspend\" already set in map\n"
          + "  line 12: key \"image\" already set in map, unknown field \"spec.bogus\"") == true)
    #expect(try post(yaml, "Ignore", type: "application/yaml").json[path: ["spec", "suspend"]] == false)
    try api.live.stop()
  }

  @Test("a whole number with a point is none in JSON, and one in YAML, as for Go's decoders")
  func points() throws {
    let directory = try TemporaryDirectory()
    let api = try LiveAPI(directory)
    let template = #"{"spec":{"restartPolicy":"Never","containers":[{"name":"a","image":"none","command":["true"]}]}}"#
    let job = #"{"metadata":{"name":"j"},"spec":{"parallelism":1000.0,"template":\#(template)}}"#
    func post(_ type: String) throws -> HTTPTestAnswer {
      try api.send(
        HTTPTestClient.request(
          "POST", "/apis/batch/v1/namespaces/default/jobs?dryRun=All", type: type, body: Array(job.utf8)))
    }
    let refused = try post("application/json")
    #expect(refused.code == 400)
    #expect(
      refused.json["message"]?.stringValue?.contains(
        "json: cannot unmarshal number 1000.0 into Go struct field JobSpec.spec.parallelism of type int32") == true)
    #expect(try post("application/yaml").json[path: ["spec", "parallelism"]] == 1_000)
    try api.live.stop()
  }

  @Test("HEAD has no body, OPTIONS is refused, slashes and options at the end change nothing, pretty is pretty")
  func edges() throws {
    let directory = try TemporaryDirectory()
    let api = try LiveAPI(directory)
    let client = try api.connect()
    for path in ["/healthz", "/nope", "/version"] {
      client.connection.send(HTTPTestClient.request("HEAD", path))
    }
    client.connection.send(HTTPTestClient.request("GET", "/healthz"))
    // Without bodies in between, the last answer's body is where its head says.
    try api.live.wait("the answers come") { client.text.hasSuffix("\r\n\r\nok") }
    let codes = client.text.split(separator: "HTTP/1.1 ").map { $0.prefix(3) }
    #expect(codes == ["200", "404", "200", "200"])
    #expect(!client.text.contains("{"))
    #expect(try api.ask("OPTIONS", "/api/v1/pods").code == 405)
    let token = try api.ask("POST", "/api/v1/namespaces/default/serviceaccounts/default/token", body: [:])
    #expect(token.code == 201 && token.json["kind"] == "TokenRequest")
    #expect(try api.ask("GET", "/api/v1/nodes/n/proxy/metrics").code == 405)
    #expect(try api.ask("GET", "//api/v1/namespaces/default/pods///?nonsense=1&x").code == 200)
    #expect(try api.ask("GET", "/api/v1/namespaces/").json["kind"] == "NamespaceList")
    #expect(try api.ask("GET", "/api/v1/pods?watch=False").json["kind"] == "PodList")
    let plain = try api.ask("GET", "/api/v1/namespaces/default").text
    let pretty = try api.ask("GET", "/api/v1/namespaces/default?pretty=True").text
    #expect(!plain.contains("\n  ") && pretty.hasPrefix("{\n  \"apiVersion\": \"v1\",\n  \"kind\": \"Namespace\",\n"))
    let curl = ["User-Agent: curl/8.0"]
    #expect(try api.ask("GET", "/api/v1/namespaces/default", headers: curl).text == pretty)
    #expect(try api.ask("GET", "/api/v1/namespaces/default?pretty=0", headers: curl).text == plain)
    #expect(try api.ask("GET", "/").text.hasPrefix("{\n  \"paths\": [\n    \"/api\",\n"))
    try api.live.stop()
  }
}
