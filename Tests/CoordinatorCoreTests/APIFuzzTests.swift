// Bad input by the thousand: mutated manifests, patches and options. The core answers each, never traps,
// and stays whole.

import ClusterProto
import Testing

@testable import CoordinatorCore

/// Changes trees at random places, with values that break assumptions.
private struct Mutator {
  var random: SplitMix64

  mutating func pick<Element>(_ values: [Element]) -> Element { values[Int(random.below(UInt64(values.count)))] }

  mutating func value() -> JSON {
    pick([
      .null, true, false, 0, -1, .int(Int64.max), .int(Int64.min), 1.5, .double(1e300), .double(-.infinity), "", "x",
      "\u{0}", "é", "..", "a/b/c", "9999999999999999999", .string(String(repeating: "A", count: 300)), [], [.null],
      [[]],
      .object(JSONObject()), ["$patch": "delete"], ["name": "main"], "2026-11-23T10:00:00Z", "100000000000Gi", "-5",
      "1e999",
    ])
  }

  mutating func mutate(_ json: JSON, depth: Int = 0) -> JSON {
    if random.below(12) == 0 { return value() }
    switch json {
    case .object(var members):
      guard !members.isEmpty else { return random.below(4) == 0 ? [.init(stringLiteral: "k"): value()] : json }
      let entry = members[Int(random.below(UInt64(members.count)))]
      switch random.below(8) {
      case 0: members[entry.key] = nil
      case 1: members[pick(["$patch", "name", "zz", "metadata", "", "status", "finalizers"])] = value()
      default: members[entry.key] = mutate(entry.value, depth: depth + 1)
      }
      return .object(members)
    case .array(var values):
      guard !values.isEmpty else { return random.below(4) == 0 ? [value()] : json }
      let index = Int(random.below(UInt64(values.count)))
      switch random.below(6) {
      case 0: values.remove(at: index)
      case 1: values.append(values[index])
      default: values[index] = mutate(values[index], depth: depth + 1)
      }
      return .array(values)
    default: return value()
    }
  }
}

private let rich = Manifest.json(
  #"""
  {"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"f","labels":{"a":"b"},"annotations":{"x/y":"z"},
  "ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"m","uid":"u"}],"finalizers":["a.b/c"]},
  "spec":{"completions":2,"parallelism":1,"backoffLimit":3,"suspend":true,"ttlSecondsAfterFinished":5,
  "activeDeadlineSeconds":9,"template":{"metadata":{"labels":{"q":"r"}},"spec":{"restartPolicy":"Never",
  "nodeSelector":{"d":"s"},"tolerations":[{"key":"k","operator":"Exists","effect":"NoExecute","tolerationSeconds":3}],
  "volumes":[{"name":"v","configMap":{"name":"m","items":[{"key":"a","path":"b","mode":420}]}},
  {"name":"w","emptyDir":{}},
  {"name":"h","hostPath":{"path":"/x","type":"File"}}],"initContainers":[{"name":"i","image":"i","command":["true"]}],
  "containers":[{"name":"main","image":"busybox","command":["sh"],"args":["-c"],"ports":[{"containerPort":80}],
  "env":[{"name":"A","value":"1"},{"name":"B","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}},
  {"name":"C","valueFrom":{"configMapKeyRef":{"name":"m","key":"k"}}}],"envFrom":[{"configMapRef":{"name":"m"}}],
  "resources":{"requests":{"cpu":"100m","memory":"64Mi"},"limits":{"cpu":"1"}},"volumeMounts":[{"name":"v",
  "mountPath":"/q","subPath":"b","readOnly":true}],"readinessProbe":{"httpGet":{"path":"/","port":80}}}]}}}}
  """#)

@Suite("fuzz") struct APIFuzzTests {
  @Test("any mutated manifest is answered with an object or a Status", arguments: [UInt64(1), 2, 3, 4])
  func manifests(_ seed: UInt64) throws {
    let harness = try APIHarness(seed: seed)
    var mutator = Mutator(random: SplitMix64(seed: seed))
    var accepted = 0
    for round in 0..<700 {
      var body = rich
      body[path: ["metadata", "name"]] = .string("f\(round)")
      for _ in 0..<(1 + mutator.random.below(4)) { body = mutator.mutate(body) }
      let kind = mutator.pick([Kind.jobs, .jobs, .jobs, .pods, .configmaps, .namespaces, .nodes, .events, .secrets])
      if kind != .jobs {
        body["kind"] = .string(kind.name)
        body["apiVersion"] = .string(kind.apiVersion)
        if kind == .pods { body["spec"] = rich[path: ["spec", "template", "spec"]].map { mutator.mutate($0) } }
      }
      let answer = harness.create(kind, body)
      try check(answer)
      if answer.code == 201 { accepted += 1 }
    }
    #expect(accepted > 20, "the mutations are not all refused at the door")
    #expect(harness.list(.jobs).code == 200)
  }

  @Test("any mutated patch, update and option is answered", arguments: [UInt64(11), 12, 13])
  func patches(_ seed: UInt64) throws {
    let harness = try APIHarness(seed: seed)
    harness.create(.jobs, rich)
    harness.create(.pods, Manifest.pod("f"))
    var mutator = Mutator(random: SplitMix64(seed: seed))
    let operations = Manifest.json(
      #"[{"op":"add","path":"/metadata/labels/x","value":"y"},"#
        + #"{"op":"move","from":"/spec/parallelism","path":"/spec/z"}]"#
    )
    for _ in 0..<700 {
      let kind = mutator.pick([PatchKind.json, .merge, .strategic, .apply])
      let body = kind == .json ? mutator.mutate(mutator.mutate(operations)) : mutator.mutate(mutator.mutate(rich))
      let subresource = mutator.pick(["", "", "status"])
      try check(harness.patch(mutator.pick([.jobs, .pods]), "f", kind, body, subresource: subresource))
      try check(harness.update(.jobs, "f", mutator.mutate(rich), subresource: subresource))
      try check(
        harness.list(mutator.pick(Kind.allCases)) { options in
          options.labelSelector = mutator.value().stringValue
          options.fieldSelector = mutator.value().stringValue
          options.continueToken = mutator.value().stringValue
          options.limit = mutator.value().intValue
          options.resourceVersion = mutator.value().stringValue
        })
    }
    let whole = harness.get(.jobs, "f")
    #expect(whole.code == 200 || whole.code == 404)
  }

  @Test("any mutated configuration and any mutated managedFields are answered", arguments: [UInt64(21), 22, 23])
  func applies(_ seed: UInt64) throws {
    let harness = try APIHarness(seed: seed)
    var mutator = Mutator(random: SplitMix64(seed: seed))
    harness.apply(.jobs, rich, by: "a")
    var codes: [Int: Int] = [:]
    for _ in 0..<500 {
      let manager = mutator.pick(["a", "b", "kubectl"])
      let force = mutator.pick([nil, true, false])
      let configuration = mutator.random.below(5) == 0 ? rich : mutator.mutate(rich)
      let subresource = mutator.pick(["", "", "", "status"])
      let answer = harness.apply(
        .jobs, configuration, by: manager, force: force, subresource: subresource, name: "f")
      try check(answer)
      codes[answer.code ?? 0, default: 0] += 1
      let fields = harness.get(.jobs, "f").object[path: ["metadata", "managedFields"]] ?? []
      if mutator.random.below(3) == 0 {
        try check(harness.patch(.jobs, "f", .merge, ["metadata": ["managedFields": mutator.mutate(fields)]]))
      }
      try check(harness.patch(.jobs, "f", .strategic, mutator.mutate(rich)) { $0.fieldManager = manager })
    }
    for code in [200, 409, 500] { #expect(codes[code, default: 0] > 10, "\(codes)") }
  }

  private func check(_ answer: RequestAnswer) throws {
    let code = try #require(answer.code)
    if code >= 400 {
      #expect(answer.object["kind"] == "Status")
      #expect(answer.object["status"] == "Failure")
      #expect(answer.object["code"] == .int(Int64(code)))
      #expect(!answer.message.isEmpty)
      // What Kubernetes calls an unknown reason, it leaves out.
      #expect(code == 500 || !answer.reason.isEmpty)
    }
  }

  @Test("what is accepted survives the round trip: written back, it is no change")
  func roundTrip() throws {
    let harness = try APIHarness()
    let made = harness.create(.jobs, rich)
    #expect(made.code == 201)
    harness.wait(milliseconds: 1000)
    let stored = harness.get(.jobs, "f")
    let probe = stored.object[path: ["spec", "template", "spec", "containers"]]?[0]?["readinessProbe"]
    #expect(probe?[path: ["httpGet", "port"]] == 80)
    #expect(probe?["periodSeconds"] == 10)
    let again = harness.update(.jobs, "f", stored.object)
    #expect(again.code == 200)
    #expect(again.resourceVersion == stored.resourceVersion)
  }

  @Test("a body nested beyond reason is refused")
  func nesting() throws {
    let harness = try APIHarness()
    var deep: JSON = "x"
    for _ in 0..<60 { deep = ["a": deep] }
    let patched = harness.patch(.configmaps, "m", .merge, ["data": deep])
    #expect(patched.code == 404)
    harness.create(.configmaps, Manifest.configMap("m"))
    #expect(harness.patch(.configmaps, "m", .merge, ["data": deep]).code == 422)
    #expect(harness.patch(.configmaps, "m", .strategic, ["data": deep]).code == 422)
    #expect(harness.create(.nodes, ["metadata": ["name": "n"], "status": ["nodeInfo": ["a": deep]]]).code == 201)
  }
}
