// What one request may make of itself: bytes while a patch is applied, bytes of the answer, work that grows with the
// request and not with its square.

import ClusterProto
import Glibc
import Testing

@testable import CoordinatorCore

@Suite("bounds of one request") struct APIBoundTests {
  private static func map(_ members: [(String, JSON)]) -> JSON {
    ["metadata": ["name": "big"], "data": .object(JSONObject(entries: members))]
  }

  private static func patch(_ kind: PatchKind, _ body: JSON, _ resource: Kind = .configmaps) -> APIRequest {
    var request = APIRequest(verb: .patch, kind: resource, namespace: "default", name: "big")
    request.options.patchKind = kind
    request.body = body
    return request
  }

  /// CPU seconds of this thread that `body` takes.
  private static func cost(_ body: () throws -> Void) rethrows -> Double {
    func now() -> Double {
      var time = timespec()
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
      return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
    let start = now()
    try body()
    return now() - start
  }

  @Test("copies that double the object are refused when their sum passes the limit, in a small answer")
  func doublingCopies() throws {
    let harness = try APIHarness()
    harness.create(.configmaps, Self.map([("a", .string(String(repeating: "x", count: 1_000)))]))
    for count in [20, 40] {
      let copies = JSON.array((0..<count).map { ["op": "copy", "from": "/data", "path": "/data/k\($0)"] })
      let answer = harness.ask(Self.patch(.json, copies))
      #expect(answer.code == 413)
      #expect(answer.reason == "RequestEntityTooLarge")
      #expect(answer.message.hasPrefix("Unable to complete the copy, the accumulated size increase of copy is"))
      #expect(answer.object.bytes.count < 2_000)
    }
  }

  @Test("moves and adds cannot nest a tree deeper than what walks it bears")
  func depth() throws {
    let deep = (0..<60).reduce(JSON.int(1)) { value, _ in ["a": value] }
    let way = String(repeating: "/a", count: 60)
    let step: [JSON] = [
      ["op": "move", "from": "/data", "path": "/b"], ["op": "add", "path": "/data", "value": deep],
      ["op": "move", "from": "/b", "path": .string("/data\(way)")],
    ]
    let patch = JSON.array((0..<20).flatMap { _ in step })
    let failure = #expect(throws: APIFailure.self) { try JSONPatch.apply(patch, to: ["data": 1]) }
    #expect(failure?.message == "the patch nests values too deeply")
  }

  @Test("10,000 operations on a list of 100,000 are refused before they have moved it 10,000 times")
  func movedLists() throws {
    let list = JSON.array((0..<100_000).map { .int($0) })
    let patch = JSON.array((0..<10_000).map { _ in ["op": "add", "path": "/l/0", "value": 1] })
    let failure = #expect(throws: APIFailure.self) { try JSONPatch.apply(patch, to: ["l": list]) }
    #expect(failure?.code == 413)
  }

  @Test("a refusal quotes 1 KiB of a value, and names so many errors and how many more there are")
  func quotes() throws {
    let harness = try APIHarness()
    harness.create(.configmaps, Self.map([("a", "b")]))
    let huge = JSON.string(String(repeating: "y", count: 1_000_000))
    let asked: [APIRequest] = [
      Self.patch(.merge, ["data": ["a": ["b": huge]]]), Self.patch(.strategic, ["data": ["a": ["b": huge]]]),
      Self.patch(.strategic, ["metadata": ["ownerReferences": [["name": huge]]]]),
      Self.patch(.merge, ["metadata": ["name": huge]]),
      Self.patch(.merge, ["metadata": ["labels": .object(JSONObject(entries: (0..<10_000).map { ("k\($0)", "-") }))]]),
      Self.patch(.merge, ["metadata": ["finalizers": [huge]]]),
    ]
    for request in asked {
      let answer = harness.ask(request)
      #expect(try [400, 422].contains(#require(answer.code)))
      #expect(answer.object.bytes.count < 200_000, "\(answer.message.prefix(200))")
    }
    var errors = FieldErrors()
    for index in 0..<1_000 { errors.invalid("f\(index)", huge, "is wrong") }
    #expect(errors.all.count == FieldErrors.limit + 1)
    #expect(errors.all[0].text == "f0: Invalid value: \"\(String(repeating: "y", count: 1_023))…: is wrong")
    #expect(errors.all.last?.text == "800 more errors are not shown")
  }

  @Test("an applied list whose key is long does not repeat it for each field below")
  func longKeys() throws {
    let key = JSON.string(String(repeating: "k", count: 500_000))
    let members = (0..<50_000).map { ("x\($0)", JSON.int(1)) } + [("name", key)]
    let owner: JSON = ["containers": [.object(JSONObject(entries: members))]]
    let configuration = AppliedConfiguration(
      ["apiVersion": "v1", "kind": "Pod", "metadata": ["name": "p"], "spec": owner], kind: .pods)
    let failure = try #require(configuration.failure)
    #expect(failure.utf8.count < 300_000)
    #expect(failure.hasSuffix("and 49900 more"))
    let text =
      #"{"\#(String(repeating: "k", count: 500_000))":["#
      + (0..<5_000).map { _ in #"{"a":1,"a":2}"# }.joined(separator: ",") + "]}"
    let duplicates = try JSON.parseReportingDuplicates(Array(text.utf8)).duplicates
    #expect(duplicates.reduce(0) { $0 + $1.utf8.count } < 200_000)
  }

  @Test("merging long lists and wide objects costs as much as they are long, not its square")
  func linearMerges() throws {
    func finalizers(_ range: Range<Int>) -> JSON { .array(range.map { .string("example.com/f\($0)") }) }
    func named(_ range: Range<Int>) -> JSON { .array(range.map { ["name": .string("v\($0)"), "value": "x"] }) }
    func wide(_ step: Int) -> JSON {
      .object(JSONObject(entries: (0..<60_000).map { ("k\(String($0 * 2 + step))", "v") }))
    }
    func job(_ list: JSON) -> JSON { ["spec": ["template": ["spec": ["containers": [["name": "c", "env": list]]]]]] }
    func strategic(_ patch: JSON, _ target: JSON, _ kind: Kind) throws {
      _ = try StrategicMergePatch.apply(patch, to: target, Schema.root(kind))
    }
    let old: JSON = ["metadata": ["finalizers": finalizers(0..<30_000)]]
    let cases: [(String, () throws -> Void)] = [
      ("finalizers", { try strategic(["metadata": ["finalizers": finalizers(30_000..<50_000)]], old, .configmaps) }),
      (
        "deletions",
        {
          try strategic(
            ["metadata": ["$deleteFromPrimitiveList/finalizers": finalizers(20_000..<50_000)]], old, .configmaps)
        }
      ),
      ("elements", { try strategic(job(named(10_000..<40_000)), job(named(0..<20_000)), .jobs) }),
      ("members", { try strategic(["data": wide(0)], ["data": wide(1)], .configmaps) }),
      ("merge patch", { _ = MergePatch.apply(["data": wide(0)], to: ["data": wide(1)]) }),
      ("applied", { _ = FieldMerge.merge(["data": wide(0)], ["data": wide(1)], .root(.configmaps)) }),
      ("repeated", { _ = FieldMerge.elements(.array((0..<60_000).map { _ in "same" }), .set(.scalar(.string))) }),
      (
        "compared",
        { _ = FieldComparison(job(named(0..<10)), job(.array(named(0..<40_000).arrayValue!.reversed())), .root(.jobs)) }
      ),
      (
        "strict errors",
        {
          let paths = (0..<20_000).map { "spec.x\($0)" }
          _ = StrictErrors.texts(paths.map { "duplicate field \"\($0)y\"" }, unknown: paths)
        }
      ),
    ]
    // In a debug build these take up to 1 s; squares take from 20 s to some minutes.
    for (name, work) in cases {
      var seconds = try Self.cost(work)
      // Once more where other suites have had the caches.
      if seconds >= 8 { seconds = min(seconds, try Self.cost(work)) }
      #expect(seconds < 8, "\(name)")
    }
  }

  @Test("an object of very many values is refused by every way of writing, before anything is made of it")
  func values() throws {
    let harness = try APIHarness()
    harness.create(.configmaps, Self.map([("a", "b")]))
    let many = JSON.object(
      JSONObject(entries: (0..<CoordinatorCore.objectValuesLimit).map { ("k\($0)", JSON.string("")) }))
    var whole = Self.map([("a", "b")])
    whole["data"] = many
    var applied = whole
    applied[path: ["metadata", "name"]] = "m"
    let add: JSON = [["op": "add", "path": "/data", "value": many]]
    var update = Self.patch(.merge, whole)
    update.verb = .update
    for request in [
      APIRequest(verb: .create, kind: .configmaps, namespace: "default", body: whole), update,
      Self.patch(.merge, ["data": many]), Self.patch(.strategic, ["data": many]), Self.patch(.json, add),
      Self.patch(.apply, applied),
    ] {
      var request = request
      if request.options.patchKind == .apply { request.options.fieldManager = "me" }
      let answer = harness.ask(request)
      #expect(answer.code == 413, "\(request.verb) \(String(describing: request.options.patchKind)): \(answer.message)")
      #expect(answer.message == "Request entity too large: limit is 16384 values in one object")
    }
  }

  @Test("warnings of one answer are cut as Kubernetes cuts them, and the last one counts what was left out")
  func warnings() throws {
    #expect(WarningList.bounded(["a", "a", ""]) == ["a"])
    let harness = try APIHarness()
    var request = APIRequest(verb: .create, kind: .configmaps, namespace: "default")
    let long = String(repeating: "é", count: 300)
    var members = (0..<5_000).map { ("x\($0)\(long)", JSON.int(1)) }
    members += [("metadata", ["name": "w"]), ("apiVersion", "v1"), ("kind", "ConfigMap")]
    request.body = .object(JSONObject(entries: members))
    let answer = harness.ask(request)
    #expect(answer.code == 201)
    #expect(answer.warnings.count == 17)
    #expect(answer.warnings.dropLast().allSatisfy { $0.unicodeScalars.count == 256 })
    #expect(answer.warnings.last == "4984 more warnings are not shown")
    #expect(WarningList.bounded((0..<1_000).map { "w\($0)" }).count == 89)
  }

  @Test("finalizers, owners and tolerations beyond 1,000 are refused")
  func longLists() throws {
    let harness = try APIHarness()
    harness.create(.configmaps, Self.map([("a", "b")]))
    let names = JSON.array((0..<1_001).map { .string("example.com/f\($0)") })
    let answer = harness.ask(Self.patch(.merge, ["metadata": ["finalizers": names]]))
    #expect(answer.code == 422)
    #expect(answer.message.hasSuffix("metadata.finalizers: Too many: 1001: must have at most 1000 items"))
  }
}
