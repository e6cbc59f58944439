// Every verb of every resource over HTTPS, with good and bad input. Each refusal is a Status with code, reason and
// message.

import ClusterIO
import ClusterProto
import HTTPTestSupport
import Testing

@testable import Coordinator
@testable import CoordinatorCore

@Suite("API suite: verbs and resources")
struct APISuiteTests {
  private static let merge = PatchKind.merge.rawValue

  @Test(
    "create: once, not twice, not in a dry run, not under a wrong name, kind, namespace, type or size",
    arguments: Kind.allCases)
  func create(_ kind: Kind) throws {
    try LiveAPI.with { api in
      let all = APIFixture.collection(kind)
      let object = APIFixture.object(kind, "a")
      let dry = try api.ask("POST", "\(all)?dryRun=All", body: object)
      #expect(dry.code == 201 && dry.json.name == "a", "\(dry.text)")
      expectStatus(try api.ask("GET", "\(all)/a"), 404, "NotFound", "\(kind.qualifiedPlural) \"a\" not found")
      let made = try api.ask("POST", all, body: object)
      #expect(made.code == 201, "\(made.text)")
      #expect(made.json["kind"]?.stringValue == kind.name && made.json["apiVersion"]?.stringValue == kind.apiVersion)
      #expect(!made.json.uid.isEmpty && (Int64(made.json.resourceVersion) ?? 0) > 0)
      #expect(made.json[path: ["metadata", "creationTimestamp"]]?.stringValue?.hasSuffix("Z") == true)
      #expect((made.json[path: ["metadata", "namespace"]]?.stringValue == "default") == kind.isNamespaced)
      expectStatus(
        try api.ask("POST", all, body: object), 409, "AlreadyExists", "\(kind.qualifiedPlural) \"a\" already exists")
      expectStatus(try api.ask("POST", "\(all)?dryRun=All", body: object), 409, "AlreadyExists")
      expectStatus(try api.ask("POST", "\(all)?dryRun=Nothing", body: object), 400, "BadRequest", "dryRun")
      var generated = object
      generated["metadata"] = ["generateName": "gen-"]
      let given = try api.ask("POST", all, body: generated).json.name
      #expect(given.hasPrefix("gen-") && given.count == 9, "\(given)")
      try refusedBodies(api, kind, all)
      #expect(try api.ask("GET", all).json.itemNames.filter { $0 == "a" || $0.hasPrefix("b") } == ["a"])
    }
  }

  private func refusedBodies(_ api: LiveAPI, _ kind: Kind, _ all: String) throws {
    let object = APIFixture.object(kind, "b")
    func changed(_ path: [String], _ value: JSON) -> JSON {
      var copy = object
      copy[path: path] = value
      return copy
    }
    // Names of roles need only fit into a path.
    let badName = kind.group == Kind.accessGroup ? "Bad%Name" : "Bad_Name"
    expectStatus(
      try api.ask("POST", all, body: changed(["metadata", "name"], .string(badName))), 422, "Invalid",
      "Invalid value: \"\(badName)\"")
    expectStatus(try api.ask("POST", all, body: changed(["metadata", "name"], "")), 422, "Invalid", "name")
    expectStatus(try api.ask("POST", all, body: changed(["metadata", "labels"], ["a b": "c"])), 422, "Invalid", "a b")
    expectStatus(try api.ask("POST", all, body: changed(["metadata"], 5)), 400, "BadRequest", "cannot unmarshal")
    expectStatus(try api.ask("POST", all, body: changed(["kind"], "Sock")), 400, "BadRequest", "Sock")
    expectStatus(try api.ask("POST", all, body: changed(["apiVersion"], "v9")), 400, "BadRequest", "v9")
    expectStatus(try api.ask("POST", all, body: changed(["metadata", "resourceVersion"], "5")), 400, "BadRequest")
    if kind.isNamespaced {
      let elsewhere = changed(["metadata", "namespace"], "kube-system")
      expectStatus(try api.ask("POST", all, body: elsewhere), 400, "BadRequest", "does not match the namespace")
      let nowhere = APIFixture.collection(kind, namespace: "nowhere")
      expectStatus(try api.ask("POST", nowhere, body: object), 404, "NotFound", "namespaces \"nowhere\" not found")
    }
    expectStatus(try api.ask("POST", "\(all)/b", body: object), 405, "MethodNotAllowed")
    for body in ["", "{", "[]", "5", "null", "{\"a\":1}x", "\u{0}", "{\"metadata\":{\"name\":\"b\\ud800\"}}"] {
      let answer = try api.send(HTTPTestClient.request("POST", all, body: Array(body.utf8)))
      #expect([400, 422].contains(answer.code), "\(body): \(answer.text)")
      #expect(answer.json["kind"] == "Status" && answer.json["message"]?.stringValue?.isEmpty == false)
    }
    for type in ["text/html", "application/json-patch+json", "application/apply-patch+yaml", "nonsense"] {
      expectStatus(try api.ask("POST", all, type: type, body: object), 415, "UnsupportedMediaType")
    }
    let long: JSON = ["x": .string(String(repeating: "y", count: 1 << 20))]
    let large = try api.ask("POST", all, body: changed(["metadata", "annotations"], long))
    #expect([413, 422].contains(large.code) && large.json["kind"] == "Status", "\(large.text.prefix(200))")
    expectStatus(
      try api.ask("POST", "\(all)?fieldValidation=Strict", body: changed(["bogus"], 1)), 400, "BadRequest", "bogus")
    expectStatus(
      try api.ask("POST", "\(all)?fieldValidation=Often", body: object), 422, "Invalid", "fieldValidation")
  }

  @Test(
    "get and list: one, all, of a namespace, in each form; the absent and the unknown are 404", arguments: Kind.allCases
  )
  func read(_ kind: Kind) throws {
    try LiveAPI.with { api in
      let all = APIFixture.collection(kind)
      for name in ["b", "a"] {
        #expect(try api.ask("POST", all, body: APIFixture.object(kind, name, labels: ["x": .string(name)])).code == 201)
      }
      let one = try api.ask("GET", "\(all)/a")
      #expect(one.code == 200 && one.json.name == "a" && one.header("content-type") == "application/json")
      expectStatus(try api.ask("GET", "\(all)/none"), 404, "NotFound", "\(kind.qualifiedPlural) \"none\" not found")
      let details = try api.ask("GET", "\(all)/none").json["details"]
      #expect(details?["name"] == "none" && details?["kind"]?.stringValue == kind.plural)
      let list = try api.ask("GET", "\(all)/").json
      #expect(list["kind"]?.stringValue == "\(kind.name)List" && list["apiVersion"]?.stringValue == kind.apiVersion)
      #expect(list.itemNames.filter { ["a", "b"].contains($0) } == ["a", "b"])
      #expect((Int64(list.resourceVersion) ?? 0) >= (Int64(one.json.resourceVersion) ?? 0))
      if kind.isNamespaced {
        let everywhere = try api.ask("GET", APIFixture.collection(kind, namespace: "")).json
        #expect(everywhere.itemNames.filter { ["a", "b"].contains($0) } == ["a", "b"])
        let other = try api.ask("GET", APIFixture.collection(kind, namespace: "kube-system")).json
        #expect(other["items"]?.arrayValue != nil && !other.itemNames.contains("a"))
        expectStatus(try api.ask("GET", "\(APIFixture.collection(kind, namespace: ""))/a"), 404, "NotFound")
      }
      #expect(try api.ask("GET", "\(all)?labelSelector=x%3Da").json.itemNames == ["a"])
      try forms(api, kind, all)
    }
  }

  private func forms(_ api: LiveAPI, _ kind: Kind, _ all: String) throws {
    func accept(_ form: String) -> [String] {
      ["Accept: application/json;as=\(form);v=v1;g=meta.k8s.io,application/json"]
    }
    let table = try api.ask("GET", all, headers: accept("Table")).json
    let columns = (table["columnDefinitions"]?.arrayValue ?? []).compactMap { $0["name"]?.stringValue }
    #expect(table["kind"] == "Table" && columns.count > 1, "\(columns)")
    let rows = table["rows"]?.arrayValue ?? []
    #expect(rows.allSatisfy { $0["cells"]?.arrayValue?.count == columns.count })
    #expect(rows.contains { $0["object"]?.name == "a" && $0["object"]?["kind"] == "PartialObjectMetadata" })
    let bare = try api.ask("GET", "\(all)/a?includeObject=None", headers: accept("Table")).json
    #expect(bare["rows"]?.arrayValue?.count == 1 && bare["rows"]?[0]?["object"]?["metadata"] == nil)
    let whole = try api.ask("GET", "\(all)/a?includeObject=Object", headers: accept("Table")).json
    #expect(whole["rows"]?[0]?["object"]?["kind"]?.stringValue == kind.name)
    let meta = try api.ask("GET", "\(all)/a", headers: accept("PartialObjectMetadata")).json
    #expect(meta["kind"] == "PartialObjectMetadata" && meta.name == "a" && meta["spec"] == nil && meta["data"] == nil)
    let metas = try api.ask("GET", all, headers: accept("PartialObjectMetadataList")).json
    #expect(metas["kind"] == "PartialObjectMetadataList" && metas.itemNames.contains("a"))
    expectStatus(try api.ask("GET", all, headers: ["Accept: text/html"]), 406, "NotAcceptable")
  }

  @Test(
    "update: of the version that was read, not of an older one, another name, uid, or nothing", arguments: Kind.allCases
  )
  func update(_ kind: Kind) throws {
    try LiveAPI.with { api in
      let all = APIFixture.collection(kind)
      _ = try api.ask("POST", all, body: APIFixture.object(kind, "a"))
      let old = try api.object("\(all)/a")
      _ = try api.ask("PATCH", "\(all)/a", type: Self.merge, body: ["metadata": ["labels": ["first": "1"]]])
      expectStatus(
        try api.ask("PUT", "\(all)/a", body: old), 409, "Conflict", "the object has been modified; please apply your")
      var fresh = try api.object("\(all)/a")
      fresh[path: ["metadata", "labels"]] = ["x": "1"]
      let dry = try api.ask("PUT", "\(all)/a?dryRun=All", body: fresh)
      #expect(dry.code == 200 && dry.json[path: ["metadata", "labels", "x"]] == "1", "\(dry.text)")
      #expect(try api.object("\(all)/a")[path: ["metadata", "labels", "x"]] == nil, "a dry run changes nothing")
      fresh[path: ["metadata", "resourceVersion"]] = nil
      let done = try api.ask("PUT", "\(all)/a", body: fresh)
      #expect(done.code == 200 && done.json[path: ["metadata", "labels"]] == ["x": "1"], "\(done.text)")
      #expect(done.json.uid == old.uid && done.json.resourceVersion != old.resourceVersion)
      let again = try api.ask("PUT", "\(all)/a", body: try api.object("\(all)/a"))
      #expect(again.code == 200)
      func changed(_ path: [String], _ value: JSON) -> JSON {
        var copy = fresh
        copy[path: path] = value
        return copy
      }
      let name = "the name of the object (b) does not match the name on the URL (a)"
      expectStatus(try api.ask("PUT", "\(all)/a", body: changed(["metadata", "name"], "b")), 400, "BadRequest", name)
      let uid = changed(["metadata", "uid"], "00000000-0000-0000-0000-000000000000")
      expectStatus(try api.ask("PUT", "\(all)/a", body: uid), 409, "Conflict", "Precondition failed: UID")
      expectStatus(try api.ask("PUT", "\(all)/a", body: changed(["kind"], "Sock")), 400, "BadRequest")
      expectStatus(try api.ask("PUT", "\(all)/a", body: changed(["metadata", "labels"], ["!": "1"])), 422, "Invalid")
      expectStatus(
        try api.ask("PUT", "\(all)/a", body: changed(["metadata", "resourceVersion"], "x")), 400, "BadRequest")
      if kind.isNamespaced {
        let elsewhere = changed(["metadata", "namespace"], "kube-system")
        expectStatus(try api.ask("PUT", "\(all)/a", body: elsewhere), 400, "BadRequest", "does not match the namespace")
      }
      expectStatus(try api.ask("PUT", "\(all)/none", body: APIFixture.object(kind, "none")), 404, "NotFound")
      expectStatus(try api.ask("PUT", all, body: fresh), 405, "MethodNotAllowed")
      expectStatus(try api.ask("PUT", "\(all)/a", type: Self.merge, body: fresh), 415, "UnsupportedMediaType")
      #expect(try api.object("\(all)/a")[path: ["metadata", "labels"]] == ["x": "1"])
    }
  }

  @Test("patch: JSON, merge and strategic; what does not fit is refused and changes nothing", arguments: Kind.allCases)
  func patch(_ kind: Kind) throws {
    try LiveAPI.with { api in
      let all = APIFixture.collection(kind)
      let path = "\(all)/a"
      _ = try api.ask("POST", all, body: APIFixture.object(kind, "a", labels: ["z": "0"]))
      let json = PatchKind.json.rawValue
      let strategic = PatchKind.strategic.rawValue
      func labels() throws -> JSON? { try api.object(path)[path: ["metadata", "labels"]] }
      let add: JSON = [["op": "add", "path": "/metadata/labels/x", "value": "1"]]
      #expect(try api.ask("PATCH", "\(path)?dryRun=All", type: json, body: add).code == 200)
      #expect(try labels()?["x"] == nil)
      #expect(try api.ask("PATCH", path, type: json, body: add).code == 200)
      #expect(try labels()?["x"] == "1")
      #expect(
        try api.ask("PATCH", path, type: Self.merge, body: ["metadata": ["labels": ["x": .null, "y": "2"]]]).code == 200
      )
      #expect(try labels()?["x"] == nil && labels()?["y"] == "2" && labels()?["z"] == "0")
      let replace: JSON = ["metadata": ["labels": ["$patch": "replace", "w": "3"]]]
      #expect(try api.ask("PATCH", path, type: strategic, body: replace).code == 200)
      #expect(try labels() == ["w": "3"])
      let before = try api.object(path).resourceVersion
      let none = try api.ask("PATCH", path, type: Self.merge, body: ["metadata": ["labels": ["w": "3"]]])
      #expect(none.code == 200 && none.json.resourceVersion == before, "a patch of nothing makes no version")
      let test: JSON = [["op": "test", "path": "/metadata/labels/w", "value": "4"]]
      expectStatus(try api.ask("PATCH", path, type: json, body: test), 422, "Invalid")
      let missing: JSON = [["op": "remove", "path": "/metadata/labels/none"]]
      expectStatus(try api.ask("PATCH", path, type: json, body: missing), 422, "Invalid")
      let misfits: [(type: String, body: JSON)] = [
        (json, ["op": "add"]), (json, [["op": "dance", "path": "/a"]]), (json, "x"), (Self.merge, [1]),
        (Self.merge, "x"), (strategic, [1]), (strategic, ["metadata": ["labels": ["$patch": "dance"]]]),
        (Self.merge, ["metadata": 5]),
      ]
      for (type, body) in misfits {
        let answer = try api.ask("PATCH", path, type: type, body: body)
        #expect([400, 422].contains(answer.code), "\(type) \(body.text): \(answer.text)")
        #expect(answer.json["kind"] == "Status" && answer.json["message"]?.stringValue?.isEmpty == false)
      }
      expectStatus(
        try api.ask("PATCH", path, type: Self.merge, body: ["metadata": ["resourceVersion": "1"]]), 409, "Conflict")
      expectStatus(try api.ask("PATCH", path, body: ["metadata": [:]]), 415, "UnsupportedMediaType")
      expectStatus(try api.ask("PATCH", "\(all)/none", type: Self.merge, body: [:]), 404, "NotFound")
      expectStatus(try api.ask("PATCH", all, type: Self.merge, body: [:]), 405, "MethodNotAllowed")
      let renamed = try api.ask("PATCH", path, type: Self.merge, body: ["metadata": ["name": "b"]])
      #expect([400, 422].contains(renamed.code) && renamed.json["kind"] == "Status", "\(renamed.text)")
      #expect(try api.object(path).resourceVersion == before)
    }
  }

  @Test(
    "apply: makes, changes nothing the second time, conflicts with another's field unless forced",
    arguments: Kind.allCases)
  func apply(_ kind: Kind) throws {
    try LiveAPI.with { api in
      let path = APIFixture.path(kind, "a")
      func apply(_ value: String, _ query: String) throws -> HTTPTestAnswer {
        let object = APIFixture.object(kind, "a", labels: ["x": .string(value)])
        return try api.ask("PATCH", "\(path)?\(query)", type: PatchKind.apply.rawValue, body: object)
      }
      #expect(try apply("1", "fieldManager=one&dryRun=All").code == 201)
      expectStatus(try api.ask("GET", path), 404, "NotFound")
      let made = try apply("1", "fieldManager=one")
      #expect(made.code == 201 && made.json[path: ["metadata", "labels", "x"]] == "1", "\(made.text)")
      let version = try api.object(path).resourceVersion
      let again = try apply("1", "fieldManager=one")
      #expect(again.code == 200 && again.json.resourceVersion == version, "\(again.text)")
      expectStatus(try apply("2", "fieldManager=two"), 409, "Conflict", "conflict with \"one\"")
      #expect(try apply("2", "fieldManager=two&force=true&dryRun=All").code == 200)
      #expect(try api.object(path)[path: ["metadata", "labels", "x"]] == "1", "a dry run changes nothing")
      let forced = try apply("2", "fieldManager=two&force=true")
      #expect(forced.code == 200 && forced.json[path: ["metadata", "labels", "x"]] == "2", "\(forced.text)")
      let managers = (forced.json[path: ["metadata", "managedFields"]]?.arrayValue ?? []).compactMap {
        $0["manager"]?.stringValue
      }
      #expect(managers.contains("two"), "\(managers)")
      for (value, query) in [("3", ""), ("a b", "fieldManager=two")] {
        let answer = try apply(value, query)
        #expect([400, 422].contains(answer.code) && answer.json["kind"] == "Status", "\(answer.text)")
      }
      #expect(try api.object(path)[path: ["metadata", "labels", "x"]] == "2")
    }
  }

  @Test(
    "delete: with preconditions, dry, once; collections by selector; the watch tells all of it",
    arguments: Kind.allCases)
  func delete(_ kind: Kind) throws {
    try LiveAPI.with { api in
      let all = APIFixture.collection(kind)
      let version = try api.ask("GET", all).json.resourceVersion
      let watcher = try api.connect()
      watcher.connection.send(HTTPTestClient.request("GET", "\(all)?watch=true&resourceVersion=\(version)"))
      for name in ["a", "b", "c", "d"] {
        let labels: JSON = ["group": name < "c" ? "1" : "2"]
        #expect(try api.ask("POST", all, body: APIFixture.object(kind, name, labels: labels)).code == 201)
      }
      let object = try api.object("\(all)/a")
      let background: JSON = ["propagationPolicy": "Background"]
      func options(_ preconditions: JSON) -> JSON {
        [
          "kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background",
          "preconditions": preconditions,
        ]
      }
      expectStatus(
        try api.ask("DELETE", "\(all)/a", body: options(["uid": "x"])), 409, "Conflict",
        "the UID in the precondition (x)")
      expectStatus(
        try api.ask("DELETE", "\(all)/a", body: options(["resourceVersion": "1"])), 409, "Conflict",
        "the ResourceVersion in the precondition (1)")
      for bad in [
        ["propagationPolicy": "Sideways"] as JSON, ["propagationPolicy": "Orphan", "orphanDependents": true],
      ] {
        expectStatus(try api.ask("DELETE", "\(all)/a", body: bad), 422, "Invalid")
      }
      for bad: JSON in [["gracePeriodSeconds": "soon"], [1], "x"] {
        expectStatus(try api.ask("DELETE", "\(all)/a", body: bad), 400, "BadRequest")
      }
      #expect(try api.ask("DELETE", "\(all)/a?dryRun=All", body: background).code == 200)
      #expect(try api.object("\(all)/a").uid == object.uid, "a dry run deletes nothing")
      let gone = try api.ask("DELETE", "\(all)/a", body: options(["uid": .string(object.uid)]))
      #expect([200, 202].contains(gone.code), "\(gone.text)")
      try api.eventually("it is gone", "GET", "\(all)/a") { $0.code == 404 }
      expectStatus(try api.ask("DELETE", "\(all)/a", body: background), 404, "NotFound")
      if kind == .namespaces {
        expectStatus(try api.ask("DELETE", all), 405, "MethodNotAllowed")
        for name in ["b", "c", "d"] { _ = try api.ask("DELETE", "\(all)/\(name)") }
      } else {
        let dry = try api.ask("DELETE", "\(all)?labelSelector=group%3D2&dryRun=All", body: background)
        #expect(dry.code == 200)
        #expect(try api.ask("GET", "\(all)?labelSelector=group%3D2").json.itemNames == ["c", "d"])
        let some = try api.ask("DELETE", "\(all)?labelSelector=group%3D2", body: background)
        #expect(some.code == 200 && some.json.itemNames == ["c", "d"], "\(some.text)")
        try api.eventually("they are gone", "GET", "\(all)?labelSelector=group%3D2") { $0.json.itemNames.isEmpty }
        #expect(try api.ask("GET", "\(all)/b").code == 200)
        #expect(try api.ask("DELETE", "\(all)?fieldSelector=metadata.name%3Db", body: background).code == 200)
      }
      try api.eventually("all are gone", "GET", "\(all)?labelSelector=group") { $0.json.itemNames.isEmpty }
      var events: [JSON] = []
      try api.live.wait("the watch tells the end of each") {
        events += watcher.takeEvents()
        return events.count { $0["type"] == "DELETED" && "abcd".contains($0["object"]?.name ?? "-") } == 4
      }
      try Self.check(events)
      watcher.connection.close()
    }
  }

  /// Each object's events begin with ADDED, end with DELETED, and their versions rise.
  private static func check(_ events: [JSON]) throws {
    var last: Int64 = 0
    for event in events {
      let version = Int64(event["object"]?.resourceVersion ?? "") ?? 0
      #expect(version > last, "\(event)")
      last = version
    }
    for name in ["a", "b", "c", "d"] {
      let types = events.filter { $0["object"]?.name == name }.compactMap { $0["type"]?.stringValue }
      #expect(
        types.first == "ADDED" && types.last == "DELETED" && !types.dropFirst().dropLast().contains { $0 != "MODIFIED" }
      )
    }
  }

  @Test("status: read and written by itself where there is one; elsewhere no such resource", arguments: Kind.allCases)
  func status(_ kind: Kind) throws {
    try LiveAPI.with { api in
      let all = APIFixture.collection(kind)
      _ = try api.ask("POST", all, body: APIFixture.object(kind, "a"))
      // Without conditions: CronJobOperationsTests writes its status.
      if kind == .cronjobs { return }
      // Without conditions too: QuotaTests writes its status.
      if kind == .resourcequotas { return }
      // Theirs is put right by the controller at once: StorageBindingTests reads it.
      if [.persistentvolumes, .persistentvolumeclaims].contains(kind) { return }
      guard [.jobs, .pods, .nodes, .namespaces, .poddisruptionbudgets].contains(kind) else {
        expectStatus(try api.ask("GET", "\(all)/a/status"), 404, "NotFound", "could not find the requested resource")
        expectStatus(try api.ask("PUT", "\(all)/a/status", body: APIFixture.object(kind, "a")), 404, "NotFound")
        return
      }
      #expect(try api.ask("GET", "\(all)/a/status").json.name == "a")
      expectStatus(try api.ask("GET", "\(all)/none/status"), 404, "NotFound")
      let condition: JSON = [
        "type": "Tested", "status": "True", "reason": "R", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z",
      ]
      var body = try api.object("\(all)/a")
      body[path: ["status", "conditions"]] = [condition]
      body[path: ["metadata", "labels"]] = ["not": "here"]
      let plain = try api.ask("PUT", "\(all)/a", body: body)
      #expect(plain.code == 200 && plain.json[path: ["status", "conditions"]] != .array([condition]), "\(plain.text)")
      body[path: ["metadata", "resourceVersion"]] = nil
      body[path: ["metadata", "labels"]] = ["nor": "here"]
      let written = try api.ask("PUT", "\(all)/a/status", body: body)
      #expect(written.code == 200, "\(written.text)")
      let types = (written.json[path: ["status", "conditions"]]?.arrayValue ?? []).compactMap {
        $0["type"]?.stringValue
      }
      #expect(types.contains("Tested"), "\(written.text)")
      #expect(written.json[path: ["metadata", "labels"]] == ["nor": "here"], "metadata is written with it")
      let patched = try api.ask("PATCH", "\(all)/a/status", type: Self.merge, body: ["status": ["conditions": []]])
      #expect(patched.code == 200, "\(patched.text)")
      expectStatus(try api.ask("POST", "\(all)/a/status", body: body), 405, "MethodNotAllowed")
      expectStatus(try api.ask("DELETE", "\(all)/a/status"), 405, "MethodNotAllowed")
    }
  }

  @Test("other subresources, logs, and paths that name nothing are refused by Status")
  func elsewhere() throws {
    try LiveAPI.with { api in
      let pods = APIFixture.collection(.pods)
      _ = try api.ask("POST", pods, body: APIFixture.object(.pods, "p"))
      for name in ["exec", "attach", "portforward"] {
        expectStatus(try api.ask("POST", "\(pods)/p/\(name)"), 400, "BadRequest", "Upgrade request required")
      }
      for name in ["proxy", "binding", "resize"] {
        expectStatus(try api.ask("POST", "\(pods)/p/\(name)"), 405, "MethodNotAllowed", name)
      }
      expectStatus(try api.ask("GET", "\(pods)/none/log"), 404, "NotFound", "pods \"none\" not found")
      expectStatus(try api.ask("GET", "\(pods)/p/log"), 400, "BadRequest")
      expectStatus(try api.ask("GET", "\(pods)/p/log?container=other"), 400, "BadRequest", "other")
      for query in ["tailLines=-1", "limitBytes=0", "sinceSeconds=0", "sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z"] {
        expectStatus(try api.ask("GET", "\(pods)/p/log?\(query)"), 422, "Invalid")
      }
      for query in ["tailLines=x", "sinceTime=yesterday"] {
        expectStatus(try api.ask("GET", "\(pods)/p/log?\(query)"), 400, "BadRequest")
      }
      for path in [
        "/api/v1/socks", "/api/v1/namespaces/default/socks/a", "/apis/batch/v2/jobs", "/apis/batch/v1/pods",
        "/apis/none.example/v1/jobs", "/api/v1/namespaces/default/nodes", "\(pods)/p/none", "\(pods)/p/log/more",
        "/api/v1/namespaces/default/configmaps/a/status", "/apis/batch", "/none", "/api/v1/pods/p",
      ] {
        let answer = try api.ask("GET", path)
        if path == "/apis/batch" { continue }
        expectStatus(answer, 404, "NotFound")
      }
      for method in ["OPTIONS", "TRACE", "BREW", "CONNECT"] {
        let answer = try api.ask(method, "\(pods)/p")
        expectStatus(answer, 405, "MethodNotAllowed")
      }
      for query in ["limit=x", "timeoutSeconds=x", "labelSelector=%21%21", "fieldSelector=a", "fieldSelector=a%3Db"] {
        expectStatus(try api.ask("GET", "\(pods)?\(query)"), 400, "BadRequest")
        expectStatus(try api.ask("GET", "\(pods)?watch=1&\(query)"), 400, "BadRequest")
      }
    }
  }
}
