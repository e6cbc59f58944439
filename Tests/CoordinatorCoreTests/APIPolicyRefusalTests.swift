// Refusals of a Job's index and policy fields, byte for byte as Kubernetes words them: a manifest that is wrong in
// itself hears that before it hears what this version does not support.

import ClusterProto
import Testing

@testable import CoordinatorCore

private struct PolicyRefusal: CustomTestStringConvertible, Sendable {
  var spec: JSON
  var message: String
  var testDescription: String { message }

  init(_ spec: JSON, _ message: String) {
    self.spec = spec
    self.message = message
  }

  static func failure(_ rule: JSON, _ message: String, beside more: JSON = [:]) -> PolicyRefusal {
    var spec = more
    spec["podFailurePolicy"] = ["rules": [rule]]
    return PolicyRefusal(spec, "spec.podFailurePolicy.rules[0]\(message)")
  }

  static func success(_ rule: JSON, _ message: String) -> PolicyRefusal {
    PolicyRefusal(
      ["completionMode": "Indexed", "completions": 5, "successPolicy": ["rules": [rule]]],
      "spec.successPolicy.rules[0]\(message)")
  }
}

private let policyRefusals: [PolicyRefusal] = [
  .failure(
    ["action": "FailJob", "onExitCodes": ["operator": "In", "values": [0]]],
    ".onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator"),
  .failure(
    ["action": "FailJob", "onExitCodes": ["operator": "NotIn", "values": [3, 1]]],
    ".onExitCodes.values: Invalid value: [3,1]: must be ordered"),
  .failure(
    ["action": "Count", "onExitCodes": ["operator": "In", "values": [2, 2]]],
    ".onExitCodes.values[1]: Duplicate value: 2"),
  .failure(
    ["action": "Ignore", "onExitCodes": ["operator": "In", "values": []]],
    ".onExitCodes.values: Invalid value: []: at least one value is required"),
  .failure(
    ["action": "Ignore", "onExitCodes": ["containerName": "side", "operator": "In", "values": [1]]],
    ".onExitCodes.containerName: Invalid value: \"side\": must be one of the container or initContainer names in the "
      + "pod template"),
  .failure(["action": "FailJob"], ": Invalid value: specifying one of OnExitCodes and OnPodConditions is required"),
  .failure(
    [
      "action": "FailJob", "onExitCodes": ["operator": "In", "values": [1]],
      "onPodConditions": [["type": "DisruptionTarget", "status": "True"]],
    ], ": Invalid value: specifying both OnExitCodes and OnPodConditions is not supported"),
  .failure(
    ["action": "FailIndex", "onPodConditions": [["type": "DisruptionTarget", "status": "True"]]],
    ".action: Invalid value: \"FailIndex\": requires the backoffLimitPerIndex to be set"),
  .failure(
    ["onPodConditions": [["type": "DisruptionTarget", "status": "True"]]],
    ".action: Required value: valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]"),
  .success([:], ": Required value: at least one of succeededCount or succeededIndexes must be specified"),
  .success(
    ["succeededCount": 6],
    ".succeededCount: Invalid value: 6: must be less than or equal to 5 (the number of specified completions)"),
  .success(
    ["succeededIndexes": "0,2-3", "succeededCount": 4],
    ".succeededCount: Invalid value: 4: must be less than or equal to 3 (the number of indexes in the specified "
      + "succeededIndexes field)"),
  .success(
    ["succeededIndexes": "3-1"],
    ".succeededIndexes: Invalid value: \"3-1\": error parsing succeededIndexes: non-increasing order, previous: 3, "
      + "current: 1"),
  .success(
    ["succeededIndexes": "0-1-2"],
    ".succeededIndexes: Invalid value: \"0-1-2\": error parsing succeededIndexes: the fragment \"0-1-2\" violates the "
      + "requirement that an index interval can have at most two parts separated by '-'"),
  PolicyRefusal(
    ["completions": 3, "successPolicy": ["rules": [["succeededCount": 1]]]],
    "spec.successPolicy: Invalid value: {\"Rules\":[{\"SucceededIndexes\":null,\"SucceededCount\":1}]}: requires "
      + "indexed completion mode"),
  PolicyRefusal(
    ["backoffLimitPerIndex": 1], "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"),
  PolicyRefusal(
    ["managedBy": "me"],
    "spec.managedBy: Invalid value: \"me\": must be a domain-prefixed path (such as \"acme.io/foo\")"),
  PolicyRefusal(
    ["completionMode": "Indexed", "completions": 2, "backoffLimitPerIndex": 1, "maxFailedIndexes": 3],
    "spec.maxFailedIndexes: Invalid value: 3: must be less than or equal to completions"),
]

@Suite("refusals of policies") struct APIPolicyRefusalTests {
  @Test("a policy that Kubernetes refuses is refused in its words", arguments: policyRefusals)
  private func words(_ refusal: PolicyRefusal) throws {
    let harness = try APIHarness()
    let answer = harness.create(.jobs, Manifest.job("wrong", spec: refusal.spec))
    #expect(answer.code == 422)
    #expect(answer.message == "Job.batch \"wrong\" is invalid: \(refusal.message)")
  }

  @Test("a Job that no controller has looked at has an empty status")
  func freshStatus() throws {
    let harness = try APIHarness()
    #expect(harness.create(.jobs, Manifest.job("fresh")).object["status"] == .object(JSONObject()))
  }
}
