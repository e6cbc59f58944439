// What a Job's spec may say and what of it may change, in Kubernetes' words. Refusals of policies have a suite of their
// own.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("rules of a Job's spec") struct APIJobRuleTests {
  private static func indexed(_ members: JSON) -> JSON {
    var spec: JSON = ["completionMode": "Indexed"]
    for (key, value) in members.objectValue ?? JSONObject() { spec[key] = value }
    return spec
  }

  @Test(
    "a number below 0 is refused",
    arguments: ["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"])
  func negative(_ field: String) throws {
    let harness = try APIHarness()
    let answer = harness.create(.jobs, Manifest.job("j", spec: [field: -1]))
    #expect(
      answer.message
        == #"Job.batch "j" is invalid: spec.\#(field): Invalid value: -1: must be greater than or equal to 0"#)
    let ofIndexes = harness.create(
      .jobs, Manifest.job("j", spec: Self.indexed(["completions": 1, "backoffLimitPerIndex": -1])))
    #expect(ofIndexes.message.hasSuffix("spec.backoffLimitPerIndex: Invalid value: -1: \(JobValidation.notNegative)"))
  }

  @Test(
    "an Indexed Job of too many indexes, pods or failures is refused in Kubernetes' words",
    arguments: [
      (
        ["completions": 1, "parallelism": 100_001],
        "spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 when completion mode is Indexed"
      ),
      (
        ["completions": 2, "maxFailedIndexes": 1],
        "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes "
          + "is specified"
      ),
      (
        ["completions": 200_000, "backoffLimitPerIndex": 1, "maxFailedIndexes": 100_001],
        "[spec.maxFailedIndexes: Invalid value: 100001: must be less than or equal to 100000, spec.maxFailedIndexes: "
          + "Invalid value: 100001: must be less than or equal to 10000 when completions are above 100000 and used "
          + "with backoff limit per index]"
      ),
      (
        ["completions": 100_001, "backoffLimitPerIndex": 1],
        "spec.maxFailedIndexes: Required value: must be specified when completions is above 100000"
      ),
      (
        ["completions": 100_001, "backoffLimitPerIndex": 1, "maxFailedIndexes": 1, "parallelism": 10_001],
        "spec.parallelism: Invalid value: 10001: must be less than or equal to 10000 when completions are above "
          + "100000 and used with backoff limit per index"
      ),
      (
        ["completions": 100_001, "backoffLimitPerIndex": 1, "maxFailedIndexes": 10_001],
        "spec.maxFailedIndexes: Invalid value: 10001: must be less than or equal to 10000 when completions are above "
          + "100000 and used with backoff limit per index"
      ),
    ] as [(JSON, String)])
  func limits(_ spec: JSON, _ message: String) throws {
    let harness = try APIHarness()
    let answer = harness.create(.jobs, Manifest.job("j", spec: Self.indexed(spec)))
    #expect(answer.message == "Job.batch \"j\" is invalid: \(message)")
  }

  @Test("more than 100,000 completions with a parallelism above 10,000 earn Kubernetes' warning")
  func manyIndexes() throws {
    let harness = try APIHarness()
    let most = Self.indexed(["completions": 100_000, "parallelism": 10_001, "suspend": true])
    #expect(harness.create(.jobs, Manifest.job("most", spec: most)).warnings == [])
    let more = Self.indexed(["completions": 100_001, "parallelism": 10_001, "suspend": true])
    let text =
      "spec: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, "
      + "Kubernetes might not be able to track completedIndexes when a big number of indexes fail"
    #expect(harness.create(.jobs, Manifest.job("more", spec: more)).warnings == [text])
  }

  @Test("a podFailurePolicy leaves no other podReplacementPolicy than Failed, and no other restartPolicy than Never")
  func besideFailurePolicy() throws {
    let harness = try APIHarness()
    let rules: JSON = [["action": "Ignore", "onExitCodes": ["operator": "In", "values": [1]]]]
    let policy: JSON = ["podFailurePolicy": ["rules": rules], "podReplacementPolicy": "TerminatingOrFailed"]
    #expect(
      harness.create(.jobs, Manifest.job("j", spec: policy)).message
        == #"Job.batch "j" is invalid: spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": "#
        + #"supported values: "Failed""#)
    #expect(harness.create(.jobs, Manifest.job("k", spec: ["podReplacementPolicy": "Failed"])).code == 201)
  }

  @Test("a selector that the server would not make is refused, one that says the same is taken")
  func generatedSelector() throws {
    let harness = try APIHarness()
    let own: JSON = ["selector": ["matchLabels": ["app": "x"]]]
    #expect(harness.create(.jobs, Manifest.job("j", spec: own)).message.contains("`selector` not auto-generated"))
    let same: JSON = ["selector": ["matchLabels": ["job-name": "j"]]]
    #expect(harness.create(.jobs, Manifest.job("j", spec: same)).code == 201)
    var conflicting = Manifest.job("k")
    conflicting[path: ["spec", "template", "metadata", "labels"]] = ["job-name": "another"]
    let answer = harness.create(.jobs, conflicting)
    #expect(answer.code == 422 && answer.message.contains("spec.template.metadata.labels[job-name]: Invalid value: "))
    #expect(answer.message.contains(": must be 'k'"))
  }

  @Test(
    "a PUT without the selector and labels that the server generated is refused, as in Kubernetes; a patch has them")
  func putWithoutSelector() throws {
    let harness = try APIHarness()
    #expect(harness.create(.jobs, Manifest.job("j")).code == 201)
    let bare = harness.update(.jobs, "j", Manifest.job("j", spec: ["parallelism": 2]))
    #expect(bare.code == 422)
    for text in [
      "spec.selector: Required value", "spec.selector: Invalid value: null: field is immutable",
      "spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`",
      "spec.template: Invalid value: ",
    ] { #expect(bare.message.contains(text), "\(text) in \(bare.message)") }
    var whole = harness.get(.jobs, "j").object
    whole[path: ["spec", "parallelism"]] = 2
    #expect(harness.update(.jobs, "j", whole).code == 200)
    whole = harness.get(.jobs, "j").object
    whole[path: ["spec", "template", "metadata", "labels", "job-name"]] = nil
    let partly = harness.update(.jobs, "j", whole)
    #expect(
      partly.code == 422
        && partly.message.contains("spec.template.metadata.labels[job-name]: Required value: must be 'j'"))
    #expect(harness.patch(.jobs, "j", .merge, ["spec": ["parallelism": 3]]).code == 200)
  }

  @Test(
    "policies and what decides who runs the Job are immutable",
    arguments: [
      ("podFailurePolicy", ["rules": [["action": "Count", "onExitCodes": ["operator": "In", "values": [9]]]]]),
      ("backoffLimitPerIndex", 3), ("managedBy", "example.com/other"),
      ("successPolicy", ["rules": [["succeededCount": 2]]]), ("completionMode", "NonIndexed"),
    ] as [(String, JSON)])
  func immutable(_ field: String, _ value: JSON) throws {
    let harness = try APIHarness()
    let rules: JSON = [["action": "FailIndex", "onExitCodes": ["operator": "In", "values": [1]]]]
    let spec = Self.indexed([
      "completions": 5, "parallelism": 5, "backoffLimitPerIndex": 1, "podFailurePolicy": ["rules": rules],
      "successPolicy": ["rules": [["succeededCount": 1]]], "suspend": true,
    ])
    #expect(harness.create(.jobs, Manifest.job("j", spec: spec)).code == 201)
    let answer = harness.patch(.jobs, "j", .merge, ["spec": [field: value]])
    #expect(answer.code == 422)
    let causes = answer.object[path: ["details", "causes"]]?.arrayValue ?? []
    let said = causes.filter { $0["field"]?.stringValue == "spec.\(field)" }.compactMap { $0["message"]?.stringValue }
    #expect(said.contains { $0.hasSuffix("field is immutable") }, "\(answer.message)")
  }

  @Test("maxFailedIndexes, podReplacementPolicy and suspend may change, each with a new generation")
  func mutable() throws {
    let harness = try APIHarness()
    let spec = Self.indexed(["completions": 5, "parallelism": 5, "backoffLimitPerIndex": 1])
    #expect(harness.create(.jobs, Manifest.job("j", spec: spec)).object[path: ["metadata", "generation"]] == 1)
    let changes: [JSON] = [["maxFailedIndexes": 2], ["podReplacementPolicy": "Failed"], ["suspend": true]]
    for (position, change) in changes.enumerated() {
      let answer = harness.patch(.jobs, "j", .merge, ["spec": change])
      #expect(answer.code == 200, "\(answer.message)")
      #expect(answer.object[path: ["metadata", "generation"]] == .int(Int64(position) + 2))
    }
  }

  @Test("an elastic Job does not grow to indexes that make no host name")
  func hostNames() throws {
    let harness = try APIHarness()
    let name = String(repeating: "n", count: 61)
    harness.create(.jobs, Manifest.job(name, spec: Self.indexed(["completions": 10, "parallelism": 10])))
    let grown = harness.patch(.jobs, name, .merge, ["spec": ["completions": 11, "parallelism": 11]])
    #expect(
      grown.message
        == "Job.batch \"\(name)\" is invalid: metadata.name: Invalid value: \"\(name)\": will not able to create pod "
        + "with invalid DNS label: \(name)-10")
  }

  @Test(
    "backoffLimit is unlimited beside backoffLimitPerIndex, and podReplacementPolicy Failed beside a failure policy")
  func defaults() throws {
    let harness = try APIHarness()
    let rules: JSON = [["action": "Ignore", "onPodConditions": [["type": "DisruptionTarget"]]]]
    let spec = Self.indexed(["completions": 1, "backoffLimitPerIndex": 1, "podFailurePolicy": ["rules": rules]])
    let made = harness.create(.jobs, Manifest.job("j", spec: spec)).object
    #expect(made[path: ["spec", "backoffLimit"]] == 2_147_483_647)
    #expect(made[path: ["spec", "podReplacementPolicy"]] == "Failed")
  }

  @Test("completions taken from an Indexed Job are missed once, and only there")
  func noCompletions() throws {
    let harness = try APIHarness()
    harness.create(.jobs, Manifest.job("j", spec: Self.indexed(["completions": 2, "parallelism": 2])))
    #expect(
      harness.patch(.jobs, "j", .merge, ["spec": ["completions": .null]]).message
        == #"Job.batch "j" is invalid: spec.completions: Required value: when completion mode is Indexed"#)
  }
}
