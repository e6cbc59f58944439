// Nothing is accepted and lost: each field of the schema, written by each verb, is read back as it was written, or a
// Warning or an error names it.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("every field by every verb") struct APIFieldTests {
  /// Members of metadata that Kubernetes' server sets whatever a client says, and the object's own coordinates.
  private static let serverOwned: Set<String> = [
    "name", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp",
    "deletionGracePeriodSeconds", "generation", "selfLink", "managedFields",
  ]

  /// Fields that one place of a type refuses and another takes.
  private static let refusedByPlace: Set<String> = [
    "spec.containers[0].restartPolicy", "spec.template.spec.containers[0].restartPolicy", "rules[0].nonResourceURLs",
    "spec.topologySpreadConstraints[0].minDomains", "spec.template.spec.topologySpreadConstraints[0].minDomains",
  ]

  /// Of a node's fields there is one that can be selected by.
  private static func isFieldOfNode(_ field: WalkedField) -> Bool { field.path.hasSuffix(".matchFields[0].key") }

  /// A CronJob's template takes what a Job takes, but no selector of its own.
  private static func isRefusedByPlace(_ field: WalkedField) -> Bool {
    if field.kind == .cronjobs, field.place == "JobSpec.manualSelector" || field.path.contains("Template.spec.selector")
    {
      return true
    }
    // Of a claim's template there are labels and annotations alone.
    if field.path.contains("volumeClaimTemplate.metadata.") { return true }
    // Nothing but their own part of a pod takes them.
    if field.path.contains("ephemeralContainers") { return true }
    // No is the one answer that it may be given.
    if field.place == "PodSpec.hostPID" { return true }
    // A readiness probe ends nobody.
    if field.path.hasSuffix("readinessProbe.terminationGracePeriodSeconds") { return true }
    return isFieldOfNode(field) || refusedByPlace.contains(field.path.replacing("spec.jobTemplate.", with: ""))
  }

  private static func isServerOwned(_ field: WalkedField) -> Bool {
    guard field.steps.count > 1, field.steps[0] == .member("metadata"), case .member(let name) = field.steps[1] else {
      return false
    }
    return serverOwned.contains(name)
  }

  private static func isOfStatus(_ field: WalkedField) -> Bool { field.steps[0] == .member("status") }

  /// How one way of writing is answered.
  private static func check(
    _ field: WalkedField, _ answer: RequestAnswer, _ stored: RequestAnswer, orAbove: Bool, _ verb: String,
    _ place: SourceLocation = #_sourceLocation
  ) {
    if let code = answer.code, code >= 400 {
      let mayRefuse = field.honour == .refused || orAbove || isRefusedByPlace(field)
      #expect(
        mayRefuse && field.isNamed(in: [answer.message], orAbove: true), "\(verb) \(field): \(answer.message)",
        sourceLocation: place)
      return
    }
    let isWarned = field.isNamed(in: answer.warnings, orAbove: true)
    let kept = stored.object
    if field.honour == .ignored { #expect(isWarned, "\(verb) \(field): no warning", sourceLocation: place) }
    // A zero that means absence is kept as such.
    let isAbsent = Protobuf.isZero(field.sample) && field.values(in: kept).isEmpty
    // So are finalizers of the server's own.
    let mayGrow = field.place == "ObjectMeta.finalizers"
    let isEqual =
      isAbsent
      || field.values(in: kept).contains { value in
        isKept(field.sample, value)
          || mayGrow && (field.sample.arrayValue ?? [.null]).allSatisfy { (value.arrayValue ?? []).contains($0) }
      }
    let mayWarn = orAbove
    #expect(
      field.honour != .refused && (isEqual || mayWarn && isWarned),
      "\(verb) \(field): \(field.values(in: kept).map(\.text)) of \(field.sample.text); \(answer.warnings)",
      sourceLocation: place)
  }

  /// The server may add members, as labels of its own.
  private static func isKept(_ given: JSON, _ kept: JSON) -> Bool {
    guard let members = given.objectValue else { return given == kept }
    return kept.objectValue != nil && members.allSatisfy { $0.value == kept[$0.key] }
  }

  private static func scope(_ kind: Kind) -> String { kind.isNamespaced ? "default" : "" }

  private static func send(
    _ harness: APIHarness, _ verb: APIVerb, _ kind: Kind, _ name: String, _ body: JSON, _ patch: PatchKind? = nil,
    subresource: String = ""
  ) -> RequestAnswer {
    var options = APIOptions()
    options.patchKind = patch
    if patch == .apply {
      options.fieldManager = "walk"
      options.force = true
    }
    return harness.ask(
      APIRequest(
        verb: verb, kind: kind, namespace: scope(kind), name: name, subresource: subresource, options: options,
        body: body))
  }

  private static func remove(_ harness: APIHarness, _ kind: Kind, _ name: String) {
    if kind == .namespaces { return }
    var options = APIOptions()
    options.gracePeriodSeconds = 0
    _ = send(harness, .patch, kind, name, ["metadata": ["finalizers": .null]], .merge)
    harness.ask(APIRequest(verb: .delete, kind: kind, namespace: scope(kind), name: name, options: options))
  }

  @Test("what a create or an apply brings is read back, or named", arguments: Kind.allCases)
  func created(_ kind: Kind) throws {
    let harness = try APIHarness()
    var count = 0
    for field in FieldWalk.fields(of: kind) where !Self.isServerOwned(field) && !Self.isOfStatus(field) {
      if field.place == "Secret.stringData" { continue }
      count += 1
      let body = field.set(in: FieldWalk.base(kind, "f\(count)"))
      let made = Self.send(harness, .create, kind, "", body)
      Self.check(field, made, harness.get(kind, "f\(count)", namespace: Self.scope(kind)), orAbove: false, "create")
      let applied = Self.send(
        harness, .patch, kind, "a\(count)", field.set(in: FieldWalk.base(kind, "a\(count)")), .apply)
      Self.check(field, applied, harness.get(kind, "a\(count)", namespace: Self.scope(kind)), orAbove: false, "apply")
      Self.remove(harness, kind, "f\(count)")
      Self.remove(harness, kind, "a\(count)")
    }
    #expect(count > 5)
  }

  private enum Write: String, CaseIterable {
    case put, merge, strategic, json, apply
  }

  private static func rewrite(
    _ harness: APIHarness, _ write: Write, _ field: WalkedField, _ name: String, subresource: String = ""
  ) -> RequestAnswer {
    var body = field.set(in: FieldWalk.base(field.kind, name))
    switch write {
    case .put: return send(harness, .update, field.kind, name, body, subresource: subresource)
    case .merge: return send(harness, .patch, field.kind, name, body, .merge, subresource: subresource)
    case .strategic: return send(harness, .patch, field.kind, name, body, .strategic, subresource: subresource)
    case .apply: return send(harness, .patch, field.kind, name, body, .apply, subresource: subresource)
    case .json:
      // The whole member at the top, or of metadata the member itself.
      let steps = field.steps.prefix(field.steps[0] == .member("metadata") ? 2 : 1)
      let value = WalkedField(
        kind: field.kind, steps: Array(steps), place: "", type: .any, honour: .honoured
      ).values(in: body).first
      let pointer = "/" + WalkedField.path(Array(steps)).replacing(".", with: "/")
      body = [["op": "add", "path": .string(pointer), "value": value ?? .null]]
      return send(harness, .patch, field.kind, name, body, .json, subresource: subresource)
    }
  }

  @Test("what an update, a patch of any kind or an apply changes is read back, or named", arguments: Kind.allCases)
  func updated(_ kind: Kind) throws {
    let harness = try APIHarness()
    var count = 0
    for field in FieldWalk.fields(of: kind) where !Self.isServerOwned(field) && !Self.isOfStatus(field) {
      // A Job's template is frozen as one value.
      if field.place == "Secret.stringData" || field.path.hasPrefix("spec.template.spec.initContainers") { continue }
      // Deep in a pod's spec all is frozen alike: one way a field, in turn.
      let writes = field.steps.count > 4 ? [Write.allCases[count % Write.allCases.count]] : Write.allCases
      for write in writes {
        count += 1
        let name = "f\(count)"
        #expect(Self.send(harness, .create, kind, "", FieldWalk.base(kind, name)).code == 201)
        let answer = Self.rewrite(harness, write, field, name)
        let stored = harness.get(kind, name, namespace: Self.scope(kind))
        Self.check(field, answer, stored, orAbove: true, write.rawValue)
        Self.remove(harness, kind, name)
      }
    }
    #expect(count > 20)
  }

  @Test(
    "what is written to /status is read back, its metadata included, or named",
    arguments: [Kind.jobs, .cronjobs, .pods, .nodes, .namespaces])
  func status(_ kind: Kind) throws {
    let harness = try APIHarness()
    var count = 0
    var kept = 0
    for field in FieldWalk.fields(of: kind) where !Self.isServerOwned(field) {
      guard Self.isOfStatus(field) || field.steps[0] == .member("metadata") else { continue }
      for write in Write.allCases {
        count += 1
        let name = "f\(count)"
        #expect(Self.send(harness, .create, kind, "", FieldWalk.base(kind, name)).code == 201)
        let answer = Self.rewrite(harness, write, field, name, subresource: "status")
        Self.check(field, answer, answer, orAbove: true, "status \(write.rawValue)")
        if answer.code == 200, answer.warnings.isEmpty { kept += 1 }
        Self.remove(harness, kind, name)
      }
    }
    #expect(kept > 30, "\(kept) of \(count)")
  }

  @Test("a write to a status without metadata in a patch leaves labels and finalizers, and one with them sets them")
  func statusMetadata() throws {
    let harness = try APIHarness()
    var job = Manifest.job("run", spec: ["suspend": true])
    job[path: ["metadata", "labels"]] = ["a": "b"]
    harness.create(.jobs, job)
    harness.patch(.jobs, "run", .merge, ["status": ["failed": 1]], subresource: "status")
    #expect(harness.get(.jobs, "run").object[path: ["metadata", "labels"]] == ["a": "b"])
    let body: JSON = [
      "metadata": ["labels": ["c": "d"], "annotations": ["e": "f"], "finalizers": ["example.com/x"]],
      "spec": ["parallelism": 9],
    ]
    let answer = harness.patch(.jobs, "run", .merge, body, subresource: "status")
    #expect(answer.object[path: ["metadata", "labels"]] == ["a": "b", "c": "d"])
    #expect(answer.object[path: ["metadata", "annotations"]] == ["e": "f"])
    #expect(answer.object[path: ["metadata", "finalizers"]] == ["example.com/x"])
    #expect(answer.object[path: ["spec", "parallelism"]] == 1)
    #expect(answer.object[path: ["metadata", "generation"]] == 1)
    let wrong = harness.patch(
      .jobs, "run", .merge, ["metadata": ["labels": ["-": "x"]]], subresource: "status")
    #expect(wrong.code == 422 && wrong.message.contains("metadata.labels: Invalid value"))
  }

  @Test("what a status does not keep is named in a Warning")
  func statusWarning() throws {
    let harness = try APIHarness()
    harness.create(.pods, Manifest.pod("p"))
    let answer = harness.patch(
      .pods, "p", .merge, ["status": ["resize": "n", "phase": "Gone"]], subresource: "status")
    #expect(
      answer.warnings == [
        "status.phase: not kept by this version", "status.resize: not kept by this version",
      ])
  }

  @Test("a pod gets its template's finalizers and the Job controller's, and stays until all are gone")
  func templateFinalizers() throws {
    let harness = try APIHarness()
    var job = Manifest.job("run")
    job[path: ["spec", "template", "metadata", "finalizers"]] = ["example.com/hold"]
    harness.create(.jobs, job)
    harness.wait(milliseconds: 100)
    let pod = try #require(harness.list(.pods).items.first)
    #expect(
      pod[path: ["metadata", "finalizers"]] == ["example.com/hold", "batch.kubernetes.io/job-tracking"])
    harness.delete(.jobs, "run") { $0.propagationPolicy = "Background" }
    harness.wait(milliseconds: 100)
    let left = try #require(harness.list(.pods).items.first)
    #expect(left[path: ["metadata", "finalizers"]] == ["example.com/hold"])
    harness.patch(
      .pods, left[path: ["metadata", "name"]]?.stringValue ?? "", .merge, ["metadata": ["finalizers": .null]])
    harness.wait(milliseconds: 100)
    #expect(harness.list(.pods).items.isEmpty)
    job[path: ["spec", "template", "metadata", "finalizers"]] = ["plain"]
    #expect(harness.create(.jobs, job).message.contains("spec.template.metadata.finalizers[0]: Invalid value"))
  }

  @Test("nobody ends a namespace by its status, or dates an object back")
  func frozen() throws {
    let harness = try APIHarness()
    let ending = harness.ask(
      APIRequest(
        verb: .patch, kind: .namespaces, name: "kube-public", subresource: "status", options: Self.mergeOptions,
        body: ["status": ["phase": "Terminating"]]))
    #expect(ending.code == 422 && ending.message.contains("may only be 'Active' if `deletionTimestamp` is empty"))
    harness.create(.configmaps, Manifest.configMap("m"))
    for member in ["creationTimestamp", "deletionTimestamp"] {
      let dated = harness.patch(.configmaps, "m", .merge, ["metadata": [member: "2020-01-01T00:00:00Z"]])
      #expect(dated.code == 422 && dated.message.contains("metadata.\(member): Invalid value"), "\(dated.message)")
    }
  }

  private static var mergeOptions: APIOptions {
    var options = APIOptions()
    options.patchKind = .merge
    return options
  }
}
