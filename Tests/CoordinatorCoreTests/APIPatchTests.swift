// Patches: RFC 6902, RFC 7386 and strategic merge with its directives, as functions and through the patch verb.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("patches") struct APIPatchTests {
  @Test(
    "merge patches as in RFC 7386",
    arguments: [
      (#"{"a":"b"}"#, #"{"a":"c"}"#, #"{"a":"c"}"#), (#"{"a":"b"}"#, #"{"b":"c"}"#, #"{"a":"b","b":"c"}"#),
      (#"{"a":"b"}"#, #"{"a":null}"#, "{}"), (#"{"a":"b","b":"c"}"#, #"{"a":null}"#, #"{"b":"c"}"#),
      (#"{"a":["b"]}"#, #"{"a":"c"}"#, #"{"a":"c"}"#), (#"{"a":"c"}"#, #"{"a":["b"]}"#, #"{"a":["b"]}"#),
      (#"{"a":{"b":"c"}}"#, #"{"a":{"b":"d","c":null}}"#, #"{"a":{"b":"d"}}"#),
      (#"{"a":[{"b":"c"}]}"#, #"{"a":[1]}"#, #"{"a":[1]}"#), (#"{"e":null}"#, #"{"a":1}"#, #"{"a":1,"e":null}"#),
      ("[1,2]", #"{"a":"b","c":null}"#, #"{"a":"b"}"#), ("{}", #"{"a":{"bb":{"ccc":null}}}"#, #"{"a":{"bb":{}}}"#),
    ])
  func merge(_ target: String, _ patch: String, _ expected: String) {
    #expect(MergePatch.apply(Manifest.json(patch), to: Manifest.json(target)) == Manifest.json(expected))
  }

  @Test(
    "JSON patches as in RFC 6902",
    arguments: [
      (#"{"a":1}"#, #"[{"op":"add","path":"/b","value":2}]"#, #"{"a":1,"b":2}"#),
      (#"{"a":[1,3]}"#, #"[{"op":"add","path":"/a/1","value":2}]"#, #"{"a":[1,2,3]}"#),
      (#"{"a":[1]}"#, #"[{"op":"add","path":"/a/-","value":2}]"#, #"{"a":[1,2]}"#),
      (#"{"a":1,"b":2}"#, #"[{"op":"remove","path":"/b"}]"#, #"{"a":1}"#),
      (#"{"a":[1,2,3]}"#, #"[{"op":"remove","path":"/a/1"}]"#, #"{"a":[1,3]}"#),
      (#"{"a":1}"#, #"[{"op":"replace","path":"/a","value":5}]"#, #"{"a":5}"#),
      (#"{"a":{"x":1},"b":{}}"#, #"[{"op":"move","from":"/a/x","path":"/b/y"}]"#, #"{"a":{},"b":{"y":1}}"#),
      (#"{"a":{"x":1}}"#, #"[{"op":"copy","from":"/a","path":"/b"}]"#, #"{"a":{"x":1},"b":{"x":1}}"#),
      (#"{"a":1}"#, #"[{"op":"test","path":"/a","value":1},{"op":"remove","path":"/a"}]"#, "{}"),
      (#"{"a/b":1,"m~n":2}"#, #"[{"op":"remove","path":"/a~1b"},{"op":"remove","path":"/m~0n"}]"#, "{}"),
      (#"{"a":1}"#, #"[{"op":"replace","path":"","value":{"z":1}}]"#, #"{"z":1}"#),
    ])
  func jsonPatch(_ target: String, _ patch: String, _ expected: String) throws {
    #expect(try JSONPatch.apply(Manifest.json(patch), to: Manifest.json(target)) == Manifest.json(expected))
  }

  @Test(
    "JSON patches that cannot be applied are refused",
    arguments: [
      #"[{"op":"test","path":"/a","value":2}]"#, #"[{"op":"remove","path":"/zz"}]"#,
      #"[{"op":"replace","path":"/z","value":1}]"#,
      #"[{"op":"add","path":"a","value":1}]"#, #"[{"op":"add","path":"/a/b","value":1}]"#,
      #"[{"op":"add","path":"/l/9","value":1}]"#,
      #"[{"op":"add","path":"/l/01","value":1}]"#, #"[{"op":"add","path":"/l/-1","value":1}]"#,
      #"[{"op":"explode","path":"/a"}]"#,
      #"[{"op":"move","from":"/o","path":"/o/x"}]"#, #"[{"op":"copy","from":"/nope","path":"/x"}]"#,
      #"[{"op":"add","path":"/b"}]"#,
      #"[{"path":"/a"}]"#, "[5]", #"[{"op":"remove","path":""}]"#, #"[{"op":"remove","path":"/l/2"}]"#,
      #"[{"op":"replace","path":"/l/99999999999999999999","value":1}]"#, #"{"op":"add"}"#, "null",
    ])
  func badJSONPatch(_ patch: String) throws {
    let target = Manifest.json(#"{"a":1,"l":[1,2],"o":{"x":1}}"#)
    #expect(throws: APIFailure.self) { try JSONPatch.apply(Manifest.json(patch), to: target) }
  }

  private static let pod = #"""
    {"spec":{"containers":[{"name":"a","image":"1","env":[{"name":"X","value":"1"},{"name":"Y","value":"2"}]},
    {"name":"b","image":"2"}],"tolerations":[{"key":"k"}],"nodeSelector":{"d":"s"}},"metadata":{"finalizers":["x/y"]}}
    """#

  @Test(
    "strategic merge patches by merge key and directive",
    arguments: [
      (
        #"{"spec":{"containers":[{"name":"b","image":"3"}]}}"#, ["spec", "containers"],
        #"[{"name":"a","image":"1","env":[{"name":"X","value":"1"},{"name":"Y","value":"2"}]},"#
          + #"{"name":"b","image":"3"}]"#
      ),
      (
        #"{"spec":{"containers":[{"name":"a","$patch":"delete"}]}}"#, ["spec", "containers"],
        #"[{"name":"b","image":"2"}]"#
      ),
      (
        #"{"spec":{"containers":[{"name":"c","image":"9"}],"#
          + #""$setElementOrder/containers":[{"name":"c"},{"name":"b"},{"name":"a"}]}}"#,
        ["spec", "containers"],
        #"[{"name":"c","image":"9"},{"name":"b","image":"2"},"#
          + #"{"name":"a","image":"1","env":[{"name":"X","value":"1"},{"name":"Y","value":"2"}]}]"#
      ),
      (
        #"{"spec":{"containers":[{"$patch":"replace"},{"name":"z","image":"0"}]}}"#, ["spec", "containers"],
        #"[{"name":"z","image":"0"}]"#
      ),
      (#"{"spec":{"tolerations":[{"key":"other"}]}}"#, ["spec", "tolerations"], #"[{"key":"other"}]"#),
      (#"{"spec":{"nodeSelector":{"e":"f"}}}"#, ["spec", "nodeSelector"], #"{"d":"s","e":"f"}"#),
      (#"{"spec":{"nodeSelector":{"$patch":"replace","e":"f"}}}"#, ["spec", "nodeSelector"], #"{"e":"f"}"#),
      (#"{"spec":{"nodeSelector":null}}"#, ["spec", "nodeSelector"], "null"),
      (#"{"metadata":{"finalizers":["a/b"]}}"#, ["metadata", "finalizers"], #"["x/y","a/b"]"#),
      (#"{"metadata":{"$deleteFromPrimitiveList/finalizers":["x/y"]}}"#, ["metadata", "finalizers"], "[]"),
      (
        #"{"spec":{"containers":[{"name":"a","env":[{"name":"X","$patch":"delete"},{"name":"Z","value":"3"}]}]}}"#,
        ["spec", "containers"],
        #"[{"name":"a","image":"1","env":[{"name":"Y","value":"2"},{"name":"Z","value":"3"}]},"#
          + #"{"name":"b","image":"2"}]"#
      ),
      (#"{"spec":{"$retainKeys":["nodeSelector"]}}"#, ["spec"], #"{"nodeSelector":{"d":"s"}}"#),
    ] as [(String, [String], String)])
  func strategic(_ patch: String, _ path: [String], _ expected: String) throws {
    let result = try StrategicMergePatch.apply(
      Manifest.json(patch), to: Manifest.json(Self.pod), Schema.root(.pods))
    #expect((result[path: path] ?? .null) == Manifest.json(expected))
  }

  @Test("strategic patches that make no sense are refused")
  func badStrategic() throws {
    for patch in [
      #"{"spec":{"containers":[{"image":"1"}]}}"#, #"{"spec":{"containers":[5]}}"#, #"{"spec":{"$patch":"explode"}}"#,
    ] {
      #expect(throws: APIFailure.self) {
        try StrategicMergePatch.apply(Manifest.json(patch), to: Manifest.json(Self.pod), Schema.root(.pods))
      }
    }
  }

  @Test("the patch verb: kinds of patches, conflicts, names, wrong types")
  func verb() throws {
    let harness = try APIHarness()
    harness.create(.jobs, Manifest.job("run"))
    let wrongType = harness.patch(.jobs, "run", .strategic, ["spec": ["parallelism": "two"]])
    #expect(wrongType.code == 422)
    #expect(
      wrongType.message
        == #" "" is invalid: patch: Invalid value: "map[spec:map[parallelism:two]]": unrecognized type: int32"#)
    #expect(wrongType.object[path: ["details", "causes"]]?[0]?["field"] == "patch")
    let test = harness.patch(.jobs, "run", .json, [["op": "test", "path": "/spec/parallelism", "value": 8]])
    #expect(test.code == 422)
    #expect(test.message == "the server rejected our request due to an error in our request")
    // Kubernetes does not say which operation failed; a member of our own does.
    #expect(test.object["details"] == ["explanation": "operation 0: test /spec/parallelism: the value is another"])
    // What a Secret holds is in no refusal.
    harness.create(
      .secrets, ["apiVersion": "v1", "kind": "Secret", "metadata": ["name": "s"], "data": ["pw": "U0VDUkVU"]])
    let guesses: [(PatchKind, JSON)] = [
      (.json, [["op": "test", "path": "/data/pw", "value": "x"]]),
      (.json, [["op": "replace", "path": "/data/pw/deeper", "value": "x"]]),
      (.json, [["op": "move", "from": "/data/none", "path": "/data/pw"]]),
      (.merge, ["data": ["other": 1]]), (.strategic, ["data": ["other": 1]]), (.merge, ["data": ["other": "?"]]),
      (.json, [["op": "add", "path": "/data/other", "value": 1]]), (.merge, ["type": "other"]),
    ]
    for (kind, body) in guesses {
      let refusal = harness.patch(.secrets, "s", kind, body)
      #expect(refusal.code.map { $0 >= 400 } == true && !refusal.object.text.contains("U0VDUkVU"), "\(refusal.object)")
    }
    let none = harness.patch(.jobs, "run", nil, [:])
    #expect(none.code == 415)
    #expect(none.message == "415: Unsupported Media Type")
    let replaced = harness.patch(.jobs, "run", .json, [["op": "replace", "path": "/spec/parallelism", "value": 3]])
    #expect(replaced.object[path: ["spec", "parallelism"]] == 3)
    let stale = harness.patch(.jobs, "run", .merge, ["metadata": ["resourceVersion": "1"], "spec": ["parallelism": 4]])
    #expect(stale.code == 409)
    #expect(harness.patch(.jobs, "run", .merge, ["metadata": ["name": "other"]]).code == 400)
    #expect(harness.patch(.jobs, "run", .merge, ["kind": "Pod"]).code == 400)
    #expect(harness.patch(.jobs, "run", .merge, ["metadata": ["namespace": "x"]]).code == 400)
    #expect(harness.patch(.jobs, "run", .merge, 5).code == 400)
    #expect(harness.patch(.jobs, "nosuch", .merge, [:]).code == 404)
    let unknown = harness.patch(.jobs, "run", .merge, ["spec": ["completionz": 1]])
    #expect(unknown.warnings.contains(#"unknown field "spec.completionz""#))
    let strict = harness.patch(.jobs, "run", .merge, ["spec": ["completionz": 1]]) { $0.fieldValidation = "Strict" }
    #expect(strict.code == 422)
    #expect(strict.message.hasSuffix(#"strict decoding error: unknown field "spec.completionz""#))
  }

  @Test("an empty patch is no change")
  func emptyPatch() throws {
    let harness = try APIHarness()
    harness.create(.configmaps, Manifest.configMap("m"))
    let before = harness.get(.configmaps, "m").resourceVersion
    for kind in [PatchKind.merge, .strategic] {
      #expect(harness.patch(.configmaps, "m", kind, [:]).resourceVersion == before)
    }
    #expect(harness.patch(.configmaps, "m", .json, []).resourceVersion == before)
  }
}
