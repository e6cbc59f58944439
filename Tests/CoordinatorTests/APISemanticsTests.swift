// What options mean over HTTPS: versions of reads, pages, selectors, ways to delete, and writers who race.

import ClusterIO
import ClusterProto
import HTTPTestSupport
import Testing

@testable import Coordinator
@testable import CoordinatorCore

@Suite("API suite: what options mean")
struct APISemanticsTests {
  private static let merge = PatchKind.merge.rawValue

  @Test(
    "a read shows at least the version that it asks for, or says that it cannot",
    arguments: [Kind.jobs, .pods, .configmaps, .nodes])
  func versions(_ kind: Kind) throws {
    try LiveAPI.with { api in
      let all = APIFixture.collection(kind)
      _ = try api.ask("POST", all, body: APIFixture.object(kind, "a"))
      let old = try api.ask("GET", all).json.resourceVersion
      _ = try api.ask("PATCH", "\(all)/a", type: Self.merge, body: ["metadata": ["labels": ["x": "1"]]])
      let now = try api.ask("GET", all).json.resourceVersion
      let future = String((Int64(now) ?? 0) + 100_000)
      for (query, code) in [
        ("resourceVersion=0", 200), ("resourceVersion=\(old)", 200), ("resourceVersion=\(now)", 200),
        ("resourceVersion=\(old)&resourceVersionMatch=NotOlderThan", 200), ("resourceVersion=", 200),
        ("resourceVersion=0&resourceVersionMatch=NotOlderThan", 200),
        ("resourceVersion=\(now)&resourceVersionMatch=Exact", 200),
      ] {
        let answer = try api.ask("GET", "\(all)?\(query)")
        #expect(answer.code == code && answer.json.itemNames.contains("a"), "\(query): \(answer.text)")
        #expect(answer.json["items"]?[0]?[path: ["metadata", "labels", "x"]] != nil || answer.json.itemNames[0] != "a")
      }
      expectStatus(
        try api.ask("GET", "\(all)?resourceVersion=\(old)&resourceVersionMatch=Exact"), 410, "Expired", "too old")
      for query in ["", "&resourceVersionMatch=NotOlderThan", "&resourceVersionMatch=Exact"] {
        let answer = try api.ask("GET", "\(all)?resourceVersion=\(future)\(query)")
        expectStatus(answer, 504, "Timeout", "Too large resource version: \(future), current: ")
        #expect(answer.json[path: ["details", "causes"]]?[0]?["reason"] == "ResourceVersionTooLarge")
        #expect(answer.json[path: ["details", "retryAfterSeconds"]]?.intValue == 1)
      }
      expectStatus(try api.ask("GET", "\(all)/a?resourceVersion=\(future)"), 504, "Timeout", "Too large")
      expectStatus(try api.ask("GET", "\(all)?watch=1&resourceVersion=\(future)"), 504, "Timeout", "Too large")
      #expect(try api.ask("GET", "\(all)/a?resourceVersion=0").code == 200)
      for text in ["x", "-1", "1.5", "99999999999999999999"] {
        expectStatus(try api.ask("GET", "\(all)?resourceVersion=\(text)"), 400, "BadRequest", "resourceVersion")
        expectStatus(try api.ask("GET", "\(all)/a?resourceVersion=\(text)"), 400, "BadRequest", "resourceVersion")
        expectStatus(try api.ask("GET", "\(all)?watch=1&resourceVersion=\(text)"), 400, "BadRequest", "resourceVersion")
      }
    }
  }

  @Test("options that contradict each other are refused in Kubernetes' words")
  func contradictions() throws {
    try LiveAPI.with { api in
      let all = APIFixture.collection(.jobs)
      let match = "resourceVersionMatch: Forbidden: resourceVersionMatch"
      for (query, text) in [
        ("resourceVersionMatch=Exact", "\(match) is forbidden unless resourceVersion is provided"),
        ("resourceVersion=1&resourceVersionMatch=Often", "resourceVersionMatch: Unsupported value: \"Often\""),
        ("resourceVersion=0&resourceVersionMatch=Exact", "\(match) \"exact\" is forbidden for resourceVersion \"0\""),
        ("continue=x&resourceVersion=1&resourceVersionMatch=Exact", "\(match) is forbidden when continue is provided"),
        ("sendInitialEvents=true", "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"),
        (
          "watch=1&sendInitialEvents=true",
          "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        ),
        (
          "watch=1&resourceVersionMatch=NotOlderThan",
          "\(match) is forbidden for watch unless sendInitialEvents is provided"
        ),
      ] {
        expectStatus(
          try api.ask("GET", "\(all)?\(query)"), 422, "Invalid", "ListOptions.meta.k8s.io \"\" is invalid: ")
        expectStatus(try api.ask("GET", "\(all)?\(query)"), 422, "Invalid", text)
      }
    }
  }

  @Test("pages follow each other, whatever changes in between; a token that is none is refused")
  func pages() throws {
    try LiveAPI.with { api in
      let all = APIFixture.collection(.configmaps)
      let names = (0..<23).map { "m\(100 + $0)" }
      for name in names { _ = try api.ask("POST", all, body: APIFixture.object(.configmaps, name, labels: ["p": "1"])) }
      var seen: [String] = []
      var token = ""
      var version = ""
      repeat {
        let page = try api.ask("GET", "\(all)?labelSelector=p&limit=5&continue=\(token)").json
        seen += page.itemNames
        if version.isEmpty { version = page.resourceVersion }
        #expect(page.resourceVersion == version, "all pages are of one version")
        token = (page[path: ["metadata", "continue"]]?.stringValue ?? "").replacing("/", with: "%2F")
        if seen.count == 10 { _ = try api.ask("DELETE", "\(all)/m112") }
        if seen.count == 15 { _ = try api.ask("POST", all, body: APIFixture.object(.configmaps, "m100a")) }
      } while !token.isEmpty
      #expect(seen == names.filter { $0 != "m112" })
      let first = try api.ask("GET", "\(all)?limit=1").json[path: ["metadata", "remainingItemCount"]]?.intValue
      #expect((first ?? 0) >= 22)
      for token in ["x", "v1.x.y", "v1.5", "djEuNS54"] {
        expectStatus(try api.ask("GET", "\(all)?continue=\(token)"), 400, "BadRequest", "continue")
      }
      expectStatus(try api.ask("GET", "\(all)?limit=-1"), 400, "BadRequest", "limit")
      #expect(try api.ask("GET", "\(all)?limit=0").json.itemNames.count >= 23)
    }
  }

  @Test("label selectors of every operator choose; what is none is refused")
  func labelSelectors() throws {
    try LiveAPI.with { api in
      let all = APIFixture.collection(.jobs)
      for (name, labels) in [("a", ["x": "1", "y": "1"] as JSON), ("b", ["x": "2"]), ("c", ["y": "2"])] {
        _ = try api.ask("POST", all, body: APIFixture.object(.jobs, name, labels: labels))
      }
      for (selector, names) in [
        ("x%3D1", ["a"]), ("x%3D%3D1", ["a"]), ("x%21%3D1", ["b", "c"]), ("x", ["a", "b"]), ("%21x", ["c"]),
        ("x%20in%20(1,2)", ["a", "b"]), ("x%20notin%20(1)", ["b", "c"]), ("x,y", ["a"]), ("x%3D1,y%3D2", []),
        ("", ["a", "b", "c"]), ("x%20in%20()", ["c"]), ("z%20notin%20(1)", ["a", "b", "c"]),
      ] where selector != "x%20in%20()" {
        #expect(try api.ask("GET", "\(all)?labelSelector=\(selector)").json.itemNames == names, "\(selector)")
      }
      for bad in ["x%3D1%3D2", "x%20in", "x%20in%20(1", "-x", "x%20near%20(1)", "x%3Da%20b", "%3D1", "x%21%21"] {
        let answer = try api.ask("GET", "\(all)?labelSelector=\(bad)")
        #expect(answer.code == 400 && answer.json["reason"] == "BadRequest", "\(bad): \(answer.text)")
      }
    }
  }

  /// For each selectable field a value that the fixture has.
  private static let selectable: [(kind: Kind, field: String, value: String)] = [
    (.pods, "spec.nodeName", ""), (.pods, "spec.restartPolicy", "Never"),
    (.pods, "spec.schedulerName", "default-scheduler"), (.pods, "spec.serviceAccountName", "default"),
    (.pods, "spec.hostNetwork", "false"), (.pods, "status.phase", "Pending"), (.pods, "status.podIP", ""),
    (.pods, "status.podIPs", ""),
    (.pods, "status.nominatedNodeName", ""), (.jobs, "status.successful", "0"), (.nodes, "spec.unschedulable", "false"),
    (.namespaces, "status.phase", "Active"), (.secrets, "type", "Opaque"), (.events, "involvedObject.kind", "Pod"),
    (.events, "involvedObject.namespace", "default"), (.events, "involvedObject.name", "p"),
    (.events, "involvedObject.uid", ""), (.events, "involvedObject.apiVersion", ""),
    (.events, "involvedObject.resourceVersion", ""), (.events, "involvedObject.fieldPath", ""),
    (.events, "reason", "Tested"), (.events, "reportingComponent", ""), (.events, "source", ""),
    (.events, "type", "Normal"),
  ]

  @Test("each selectable field chooses and leaves out; every other is refused by its name")
  func fieldSelectors() throws {
    try LiveAPI.with { api in
      for kind in Kind.allCases {
        let all = APIFixture.collection(kind)
        #expect(try api.ask("POST", all, body: APIFixture.object(kind, "a", labels: ["here": "1"])).code == 201)
        var fields = Self.selectable.filter { $0.kind == kind } + [(kind, "metadata.name", "a")]
        if kind.isNamespaced { fields.append((kind, "metadata.namespace", "default")) }
        for (_, field, value) in fields {
          func names(_ term: String) throws -> [String] {
            try api.ask("GET", "\(all)?labelSelector=here&fieldSelector=\(field)\(term)").json.itemNames
          }
          #expect(try names("%3D\(value)") == ["a"], "\(kind) \(field)")
          #expect(try names("%3D%3D\(value)") == ["a"], "\(kind) \(field)")
          #expect(try names("%21%3D\(value)") == [], "\(kind) \(field)")
          #expect(try names("%3Dsomething-else") == [], "\(kind) \(field)")
        }
        for field in KindDescriptor.of(kind).selection.fields.map(\.name) {
          #expect(fields.contains { $0.1 == field }, "\(kind) \(field) is not tried")
        }
        let bad = try api.ask("GET", "\(all)?fieldSelector=spec.none%3D1")
        expectStatus(bad, 400, "BadRequest", "spec.none")
      }
    }
  }

  // Deleting Jobs.

  private static let podsOfJob = "\(APIFixture.collection(.pods))?labelSelector=job-name%3Dj"

  /// A Job with two pods that wait for a node.
  private func makeJob(_ api: LiveAPI) throws -> JSON {
    var job = APIFixture.object(.jobs, "j")
    job[path: ["spec", "suspend"]] = false
    job[path: ["spec", "parallelism"]] = 2
    job[path: ["spec", "completions"]] = 2
    #expect(try api.ask("POST", APIFixture.collection(.jobs), body: job).code == 201)
    try api.eventually("two pods wait", "GET", Self.podsOfJob) { $0.json.itemNames.count == 2 }
    return try api.object(APIFixture.path(.jobs, "j"))
  }

  private enum Way { case body, query, legacy }

  @Test("deleting a Job: each propagation, in body and query, with each grace; a bare DELETE orphans and warns")
  func deleteJobs() throws {
    try LiveAPI.with { api in
      let path = APIFixture.path(.jobs, "j")
      for policy in ["", "Background", "Foreground", "Orphan"] {
        for way in [Way.body, .query, .legacy] {
          for grace in [nil, 0, 30] as [Int64?] where grace == nil || way == .body {
            if way == .legacy, policy == "Foreground" || policy.isEmpty { continue }
            let job = try makeJob(api)
            var body: JSON = ["preconditions": ["uid": .string(job.uid)]]
            var query = ""
            switch way {
            case .body: if !policy.isEmpty { body["propagationPolicy"] = .string(policy) }
            case .query: query = policy.isEmpty ? "" : "?propagationPolicy=\(policy)"
            case .legacy: body["orphanDependents"] = .bool(policy == "Orphan")
            }
            if let grace { body["gracePeriodSeconds"] = .int(grace) }
            // Beside a body the query would count for nothing.
            let answer = try api.ask("DELETE", path + query, body: way == .query ? nil : body)
            #expect(answer.code == 200, "\(policy) \(way): \(answer.text)")
            let warning = answer.header("warning") ?? ""
            #expect(warning.contains("child pods are preserved by default") == policy.isEmpty, "\(policy) \(way)")
            #expect(warning.isEmpty || warning.hasPrefix("299 - \""))
            if policy == "Foreground" {
              #expect(
                answer.json[path: ["metadata", "finalizers"]]?.arrayValue?.contains("foregroundDeletion") == true)
              #expect(answer.json[path: ["metadata", "deletionTimestamp"]] != nil)
            }
            try api.eventually("the Job is gone", "GET", path) { $0.code == 404 }
            try expectPods(api, orphaned: policy.isEmpty || policy == "Orphan")
          }
        }
      }
    }
  }

  private func expectPods(_ api: LiveAPI, orphaned: Bool) throws {
    if !orphaned { return try api.eventually("its pods are gone", "GET", Self.podsOfJob) { $0.json.itemNames.isEmpty } }
    try api.eventually("its pods belong to nobody", "GET", Self.podsOfJob) { answer in
      let pods = answer.json["items"]?.arrayValue ?? []
      return pods.count == 2
        && pods.allSatisfy {
          ($0[path: ["metadata", "ownerReferences"]]?.arrayValue ?? []).isEmpty
            && ($0[path: ["metadata", "finalizers"]]?.arrayValue ?? []).isEmpty
            && $0[path: ["metadata", "deletionTimestamp"]] == nil
        }
    }
    #expect(try api.ask("DELETE", Self.podsOfJob).code == 200)
    try api.eventually("they are deleted", "GET", Self.podsOfJob) { $0.json.itemNames.isEmpty }
  }

  @Test("deleting all Jobs at once orphans and warns too; a finalizer keeps an object until it is taken off")
  func collectionsAndFinalizers() throws {
    try LiveAPI.with { api in
      _ = try makeJob(api)
      let answer = try api.ask("DELETE", APIFixture.collection(.jobs))
      #expect(answer.code == 200 && answer.header("warning")?.contains("preserved by default") == true)
      try expectPods(api, orphaned: true)
      var held = APIFixture.object(.configmaps, "held")
      held[path: ["metadata", "finalizers"]] = ["example.com/hold"]
      let path = APIFixture.path(.configmaps, "held")
      #expect(try api.ask("POST", APIFixture.collection(.configmaps), body: held).code == 201)
      let deleted = try api.ask("DELETE", path).json
      #expect(deleted[path: ["metadata", "deletionTimestamp"]] != nil, "\(deleted)")
      let added: JSON = ["metadata": ["finalizers": ["example.com/hold", "example.com/more"]]]
      expectStatus(
        try api.ask("PATCH", path, type: Self.merge, body: added), 422, "Invalid", "no new finalizers can be added")
      let freed = try api.ask("PATCH", path, type: Self.merge, body: ["metadata": ["finalizers": .null]])
      #expect(freed.code == 200)
      expectStatus(try api.ask("GET", path), 404, "NotFound")
    }
  }

  // Writers who race.

  private final class Writer {
    let client: HTTPTestClient
    var left = 50
    var conflicts = 0
    var isReading = true

    init(_ client: HTTPTestClient) { self.client = client }

    func begin(_ path: String) {
      isReading = true
      client.connection.send(HTTPTestClient.request("GET", path))
    }

    /// Takes what has come; true when it has done its part.
    func advance(_ path: String) -> Bool {
      guard left > 0, let answer = client.takeAnswer() else { return left == 0 }
      guard !isReading else {
        var object = answer.json
        let count = Int(object[path: ["metadata", "annotations", "count"]]?.stringValue ?? "") ?? -1
        object[path: ["metadata", "annotations", "count"]] = .string(String(count + 1))
        isReading = false
        client.connection.send(HTTPTestClient.request("PUT", path, body: object.bytes))
        return false
      }
      if answer.code == 200 { left -= 1 } else if answer.code == 409 { conflicts += 1 } else { return false }
      if left > 0 { begin(path) }
      return left == 0
    }
  }

  @Test(
    "eight clients count to 400 together by get and update, again after each conflict",
    arguments: [Kind.configmaps, .jobs])
  func race(_ kind: Kind) throws {
    try LiveAPI.with { api in
      var object = APIFixture.object(kind, "counter")
      object[path: ["metadata", "annotations"]] = ["count": "0"]
      #expect(try api.ask("POST", APIFixture.collection(kind), body: object).code == 201)
      let path = APIFixture.path(kind, "counter")
      let writers = try (0..<8).map { _ in Writer(try api.connect()) }
      for writer in writers { writer.begin(path) }
      try api.live.wait("all have counted", seconds: 60) {
        var isOver = true
        for writer in writers where !writer.advance(path) { isOver = false }
        return isOver
      }
      #expect(try api.object(path)[path: ["metadata", "annotations", "count"]] == "400")
      #expect(writers.map(\.conflicts).reduce(0, +) > 0, "they did race")
      for writer in writers { writer.client.connection.close() }
    }
  }
}
