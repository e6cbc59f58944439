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
  .failure(
    ["action": "Retry", "onExitCodes": ["operator": "In", "values": [1]]],
    ".action: Unsupported value: \"Retry\": supported values: \"Count\", \"FailIndex\", \"FailJob\", \"Ignore\""),
  .failure(
    ["action": "Count", "onExitCodes": ["values": [1]]],
    ".onExitCodes.operator: Required value: valid values: [\"In\" \"NotIn\"]"),
  .failure(
    ["action": "Count", "onExitCodes": ["operator": "Is", "values": [1]]],
    ".onExitCodes.operator: Unsupported value: \"Is\": supported values: \"In\", \"NotIn\""),
  .failure(
    ["action": "Count", "onExitCodes": ["operator": "In", "values": .array((1...256).map { .int($0) })]],
    ".onExitCodes.values: Too many: 256: must have at most 255 items"),
  .failure(
    ["action": "Count", "onPodConditions": [["type": "DisruptionTarget", "status": "Maybe"]]],
    ".onPodConditions[0].status: Unsupported value: \"Maybe\": supported values: \"False\", \"True\", \"Unknown\""),
  .failure(
    ["action": "Count", "onPodConditions": .array((0..<21).map { ["type": .string("T\($0)"), "status": "True"] })],
    ".onPodConditions: Too many: 21: must have at most 20 items"),
  PolicyRefusal(
    [
      "podFailurePolicy": [
        "rules": .array(
          Array(repeating: ["action": "Count", "onExitCodes": ["operator": "In", "values": [1]]], count: 21))
      ]
    ], "spec.podFailurePolicy.rules: Too many: 21: must have at most 20 items"),
  PolicyRefusal(
    ["completionMode": "Indexed", "completions": 5, "successPolicy": ["rules": []]],
    "spec.successPolicy.rules: Required value: at least one rules must be specified when the successPolicy is specified"
  ),
  PolicyRefusal(
    [
      "completionMode": "Indexed", "completions": 5,
      "successPolicy": ["rules": .array(Array(repeating: ["succeededCount": 1], count: 21))],
    ], "spec.successPolicy.rules: Too many: 21: must have at most 20 items"),
  .success(["succeededCount": -1], ".succeededCount: Invalid value: -1: must be greater than or equal to 0"),
  .success(
    ["succeededIndexes": "0,7"],
    ".succeededIndexes: Invalid value: \"0,7\": error parsing succeededIndexes: too large index: \"7\""),
  .success(
    ["succeededIndexes": "a"],
    ".succeededIndexes: Invalid value: \"a\": error parsing succeededIndexes: cannot convert string to integer for "
      + "index: \"a\""),
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
  PolicyRefusal(["managedBy": ""], "spec.managedBy: Required value"),
  PolicyRefusal(
    ["managedBy": "example.com/a b"],
    #"spec.managedBy: Invalid value: "a b": Invalid path (regex used for validation is "#
      + #"'[A-Za-z0-9/\-._~%!$&'()*+,;=:]+')"#),
  PolicyRefusal(
    ["managedBy": .string("example.com/" + String(repeating: "a", count: 52))],
    "spec.managedBy: Too long: may not be more than 63 bytes"),
  PolicyRefusal(
    ["maxFailedIndexes": 0, "backoffLimitPerIndex": 0, "completionMode": "NonIndexed"],
    "[spec.backoffLimitPerIndex: Invalid value: 0: requires indexed completion mode, spec.maxFailedIndexes: Invalid "
      + "value: 0: requires indexed completion mode]"),
  PolicyRefusal(
    ["completionMode": "Indexed", "completions": 2, "backoffLimitPerIndex": 1, "maxFailedIndexes": 3],
    "spec.maxFailedIndexes: Invalid value: 3: must be less than or equal to completions"),
]

@Suite("refusals of policies") struct APIPolicyRefusalTests {
  @Test(
    "a container's restart rules are held to their form, in Kubernetes' words",
    arguments: [
      (
        ["restartPolicyRules": [["action": "Restart", "exitCodes": ["operator": "In", "values": [1]]]]],
        "restartPolicy: Required value: must specify restartPolicy when restart rules are used"
      ),
      (
        ["restartPolicy": "Never", "restartPolicyRules": [["action": "Stop", "exitCodes": ["operator": "In"]]]],
        "restartPolicyRules[0].action: Unsupported value: \"Stop\": supported values: \"Restart\""
      ),
      (
        ["restartPolicy": "Never", "restartPolicyRules": [["action": "Restart"]]],
        "restartPolicyRules[0].exitCodes: Required value: must be specified"
      ),
      (
        ["restartPolicy": "Never", "restartPolicyRules": [["action": "Restart", "exitCodes": ["operator": "Is"]]]],
        "restartPolicyRules[0].exitCodes.operator: Unsupported value: \"Is\": supported values: \"In\", \"NotIn\""
      ),
      (
        [
          "restartPolicy": "Never",
          "restartPolicyRules": .array(
            [JSON](repeating: ["action": "Restart", "exitCodes": ["operator": "In", "values": [1]]], count: 21)),
        ], "restartPolicyRules: Too many: 21: must have at most 20 items"
      ),
    ] as [(JSON, String)])
  func restartRules(container: JSON, message: String) throws {
    let harness = try APIHarness()
    var whole: JSON = ["name": "c", "image": "b", "command": ["true"]]
    for (key, value) in container.objectValue ?? JSONObject() { whole[key] = value }
    let answer = harness.create(.pods, Manifest.pod("p", spec: ["containers": [whole]]))
    #expect(answer.code == 422 && answer.message.contains("spec.containers[0].\(message)"), "\(answer.message)")
  }

  @Test("a policy that Kubernetes refuses is refused in its words", arguments: policyRefusals)
  private func words(_ refusal: PolicyRefusal) throws {
    let harness = try APIHarness()
    let answer = harness.create(.jobs, Manifest.job("wrong", spec: refusal.spec))
    #expect(answer.code == 422)
    #expect(answer.message == "Job.batch \"wrong\" is invalid: \(refusal.message)")
  }

  @Test("succeededIndexes of more than 64 KiB are refused")
  func longIndexes() throws {
    let harness = try APIHarness()
    let text = (0..<20_000).map(String.init).joined(separator: ",")
    let spec: JSON = [
      "completionMode": "Indexed", "completions": 20_000,
      "successPolicy": ["rules": [["succeededIndexes": .string(text)]]],
    ]
    #expect(
      harness.create(.jobs, Manifest.job("wrong", spec: spec)).message
        == #"Job.batch "wrong" is invalid: spec.successPolicy.rules[0].succeededIndexes: Too long: may not be more "#
        + "than 65536 bytes")
  }

  @Test("a Job that no controller has looked at has an empty status")
  func freshStatus() throws {
    let harness = try APIHarness()
    #expect(harness.create(.jobs, Manifest.job("fresh")).object["status"] == .object(JSONObject()))
  }
}
