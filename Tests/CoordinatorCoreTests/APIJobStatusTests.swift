// What a client may write into a Job's status, and what an elastic Job may change: Kubernetes' rules and words.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Job status by clients")
struct APIJobStatusTests {
  private func managed(_ spec: JSON = [:]) throws -> APIHarness {
    let harness = try APIHarness()
    var members = spec
    members["managedBy"] = "example.com/queue"
    #expect(harness.create(.jobs, Manifest.job("theirs", spec: members)).code == 201)
    return harness
  }

  private func write(_ harness: APIHarness, _ status: JSON) -> RequestAnswer {
    harness.patch(.jobs, "theirs", .merge, ["status": status], subresource: "status")
  }

  private static func condition(_ type: String, _ status: String = "True") -> JSON {
    ["type": .string(type), "status": .string(status), "lastTransitionTime": "2026-01-01T00:00:00Z"]
  }

  @Test("another controller writes its Job's whole way from start to Complete, and reads it back")
  func wholeWay() throws {
    let harness = try managed(["completionMode": "Indexed", "completions": 3, "backoffLimitPerIndex": 1])
    let running: JSON = [
      "startTime": "2026-01-01T00:00:00Z", "active": 2, "ready": 1, "succeeded": 1, "completedIndexes": "1",
      "failedIndexes": "", "uncountedTerminatedPods": ["succeeded": ["a-uid"]],
    ]
    let answer = write(harness, running)
    #expect(answer.code == 200 && answer.warnings.isEmpty, "\(answer.message) \(answer.warnings)")
    #expect(answer.object[path: ["status", "uncountedTerminatedPods", "succeeded"]] == ["a-uid"])
    #expect(answer.object[path: ["status", "completedIndexes"]] == "1")
    let done: JSON = [
      "active": 0, "ready": 0, "succeeded": 3, "completedIndexes": "0-2", "completionTime": "2026-01-01T00:01:00Z",
      "uncountedTerminatedPods": ["succeeded": .null],
      "conditions": [Self.condition("SuccessCriteriaMet"), Self.condition("Complete")],
    ]
    #expect(write(harness, done).code == 200)
    #expect(write(harness, ["conditions": [Self.condition("Complete")]]).code == 422)
  }

  @Test(
    "a status that cannot be is refused in Kubernetes' words",
    arguments: [
      (
        ["conditions": [condition("Failed")], "startTime": "2026-01-01T00:00:00Z"],
        "status.conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition"
      ),
      (
        [
          "conditions": [condition("Complete")], "startTime": "2026-01-01T00:00:00Z",
          "completionTime": "2026-01-01T00:00:00Z",
        ],
        "cannot set Complete=True condition without the SuccessCriteriaMet=true condition"
      ),
      (
        ["conditions": [condition("SuccessCriteriaMet"), condition("Complete")], "startTime": "2026-01-01T00:00:00Z"],
        "status.completionTime: Required value: completionTime is required for Complete jobs"
      ),
      (
        [
          "conditions": [condition("SuccessCriteriaMet"), condition("Complete")],
          "completionTime": "2026-01-01T00:00:00Z",
        ],
        "status.startTime: Required value: startTime is required for finished job"
      ),
      (
        [
          "conditions": [condition("FailureTarget"), condition("Failed")], "startTime": "2026-01-01T00:00:00Z",
          "active": 1,
        ], "status.active: Invalid value: 1: active>0 is invalid for finished job"
      ),
      (
        [
          "conditions": [condition("FailureTarget"), condition("Failed")], "startTime": "2026-01-01T00:00:00Z",
          "terminating": 1,
        ], "status.terminating: Invalid value: 1: terminating>0 is invalid for finished job"
      ),
      (
        ["conditions": [condition("SuccessCriteriaMet"), condition("FailureTarget")]],
        "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"
      ),
      (
        ["completionTime": "2026-01-01T00:00:00Z"],
        #"status.completionTime: Invalid value: "2026-01-01T00:00:00Z": cannot set completionTime when there is no "#
          + "Complete=True condition"
      ),
      (
        ["completedIndexes": "0"],
        #"status.completedIndexes: Invalid value: "0": cannot set non-empty completedIndexes when non-indexed "#
          + "completion mode"
      ),
      (
        ["failedIndexes": ""],
        #"status.failedIndexes: Invalid value: "": cannot set non-null failedIndexes when backoffLimitPerIndex is null"#
      ),
      (
        [
          "conditions": [condition("SuccessCriteriaMet"), condition("Complete")], "startTime": "2026-01-01T00:00:09Z",
          "completionTime": "2026-01-01T00:00:00Z",
        ],
        #"status.completionTime: Invalid value: "2026-01-01T00:00:00Z": must be equal to or after `startTime`"#
      ),
      (
        [
          "conditions": [condition("FailureTarget"), condition("Failed")], "startTime": "2026-01-01T00:00:00Z",
          "uncountedTerminatedPods": ["failed": ["a"]],
        ],
        #"status.uncountedTerminatedPods: Invalid value: {"failed":["a"]}: must be empty for finished job"#
      ),
      (
        ["uncountedTerminatedPods": ["succeeded": ["a", ""], "failed": ["b", "a"]]],
        #"[status.uncountedTerminatedPods.succeeded[1]: Invalid value: "": must not be empty, "#
          + #"status.uncountedTerminatedPods.failed[1]: Duplicate value: "a"]"#
      ),
      (["ready": 1], "status.ready: Invalid value: 1: cannot set more ready pods than active"),
      (["active": -1], "status.active: Invalid value: -1: must be greater than or equal to 0"),
    ] as [(JSON, String)])
  func refused(_ status: JSON, _ message: String) throws {
    let answer = write(try managed(), status)
    #expect(answer.code == 422)
    #expect(answer.message.contains(message), "\(answer.message)")
  }

  @Test("what has been said is not taken back: counters, ends, times")
  func transitions() throws {
    let harness = try managed()
    #expect(write(harness, ["startTime": "2026-01-01T00:00:00Z", "failed": 2, "succeeded": 1]).code == 200)
    #expect(
      write(harness, ["failed": 1]).message.contains("status.failed: Invalid value: 1: cannot decrease the failed"))
    #expect(write(harness, ["succeeded": 0]).message.contains("cannot decrease the succeeded counter"))
    #expect(
      write(harness, ["startTime": "2026-01-01T00:00:09Z"]).message
        .contains("status.startTime: Required value: startTime cannot be removed for unsuspended job"))
    let failing: JSON = ["conditions": [Self.condition("FailureTarget")]]
    #expect(write(harness, failing).code == 200)
    #expect(
      write(harness, ["conditions": []]).message.contains("cannot disable the terminal FailureTarget=True condition"))
  }

  @Test("the start moves where the Job is suspended or resumes; the completion never does")
  func timesMove() throws {
    let harness = try managed(["suspend": true])
    let start = "2026-01-01T00:00:00Z"
    #expect(write(harness, ["startTime": .string(start), "conditions": [Self.condition("Suspended")]]).code == 200)
    harness.patch(.jobs, "theirs", .merge, ["spec": ["suspend": false]])
    #expect(write(harness, ["startTime": "2026-01-01T00:00:09Z"]).code == 422)
    let resumed: JSON = ["startTime": "2026-01-01T00:00:09Z", "conditions": [Self.condition("Suspended", "False")]]
    #expect(write(harness, resumed).code == 200)
    let done: JSON = [
      "completionTime": "2026-01-01T00:01:00Z",
      "conditions": [Self.condition("SuccessCriteriaMet"), Self.condition("Complete")],
    ]
    #expect(write(harness, done).code == 200)
    #expect(
      write(harness, ["completionTime": "2026-01-01T00:02:00Z"]).message
        .contains(#"status.completionTime: Invalid value: "2026-01-01T00:02:00Z": field is immutable"#))
  }

  @Test("indexes that are no list, are too large or are both failed and completed are refused")
  func indexes() throws {
    let harness = try managed(["completionMode": "Indexed", "completions": 3, "backoffLimitPerIndex": 1])
    #expect(
      write(harness, ["completedIndexes": "2-9"]).message
        .contains(#"error parsing completedIndexes: too large index: "9""#))
    #expect(
      write(harness, ["completedIndexes": "0-1", "failedIndexes": "1-2"]).message
        .contains(
          #"status.failedIndexes: Invalid value: "1-2": failedIndexes and completedIndexes overlap at index: 1"#))
  }

  @Test("completions change only with parallelism, and only in an Indexed Job")
  func elastic() throws {
    let harness = try APIHarness()
    harness.create(
      .jobs, Manifest.job("many", spec: ["completionMode": "Indexed", "completions": 3, "parallelism": 3]))
    let alone = harness.patch(.jobs, "many", .merge, ["spec": ["completions": 5]])
    #expect(
      alone.message
        == #"Job.batch "many" is invalid: spec.completions: Invalid value: 5: can only be modified in tandem with "#
        + "spec.parallelism")
    #expect(harness.patch(.jobs, "many", .merge, ["spec": ["completions": 5, "parallelism": 5]]).code == 200)
  }

  @Test("a name from which the last index makes no host name is refused")
  func longName() throws {
    let harness = try APIHarness()
    let name = String(repeating: "n", count: 62)
    let answer = harness.create(.jobs, Manifest.job(name, spec: ["completionMode": "Indexed", "completions": 11]))
    #expect(
      answer.message
        == "Job.batch \"\(name)\" is invalid: metadata.name: Invalid value: \"\(name)\": will not able to create pod "
        + "with invalid DNS label: \(name)-10")
  }

  @Test("a condition of a rule without a status means True")
  func defaultStatus() throws {
    let harness = try APIHarness()
    let rules: JSON = [["action": "Ignore", "onPodConditions": [["type": "DisruptionTarget"]]]]
    let made = harness.create(.jobs, Manifest.job("ruled", spec: ["podFailurePolicy": ["rules": rules]]))
    #expect(made.code == 201)
    #expect(
      made.object[path: ["spec", "podFailurePolicy", "rules"]]?[0]?["onPodConditions"]?[0]?["status"] == "True")
    #expect(made.object[path: ["spec", "podReplacementPolicy"]] == "Failed")
  }
}
