// A Job's podFailurePolicy and successPolicy as values, and what they say about a pod's status or the indexes that have
// succeeded. Must not know what a Job does about it.

/// One rule of `podFailurePolicy`.
package struct PodFailureRule: Equatable, Sendable {
  /// What the rule is for.
  package enum Action: String, Sendable {
    /// The failure is not counted.
    case ignore = "Ignore"
    /// The failure is counted, as without a rule.
    case count = "Count"
    /// The pod's index fails without another attempt.
    case failIndex = "FailIndex"
    /// The whole Job fails.
    case failJob = "FailJob"
  }

  /// What a pod's end comes to by the rule.
  package var action: Action
  /// Exit codes that the rule is about; nil: it is about conditions.
  private var exitCodes: ExitCodes?
  private var conditions: [Pattern]

  private struct ExitCodes: Equatable, Sendable {
    var container: String?
    var isNegated: Bool
    var values: [Int64]
  }

  private struct Pattern: Equatable, Sendable {
    var type: String
    var status: String
  }

  /// Reads a validated rule.
  package init(json: JSON) {
    action = json["action"]?.stringValue.flatMap { Action(rawValue: $0) } ?? .count
    exitCodes = json["onExitCodes"].map { requirement in
      ExitCodes(
        container: requirement["containerName"]?.stringValue,
        isNegated: requirement["operator"]?.stringValue == "NotIn",
        values: (requirement["values"]?.arrayValue ?? []).compactMap(\.intValue))
    }
    conditions = (json["onPodConditions"]?.arrayValue ?? []).map { pattern in
      Pattern(type: pattern["type"]?.stringValue ?? "", status: pattern["status"]?.stringValue ?? "True")
    }
  }

  /// What the rule found in a pod.
  package enum Finding: Equatable, Sendable {
    /// A container that failed with an exit code of the rule.
    case container(name: String, exitCode: Int64)
    /// A condition of the rule.
    case condition(String)
  }

  /// What of a failed pod's status the rule is about; nil: nothing. Containers come before init containers.
  package func finding(in status: PodStatus) -> Finding? {
    guard let exitCodes else {
      for condition in status.conditions {
        let isMeant = conditions.contains { $0.type == condition.type && $0.status == condition.status }
        if isMeant { return .condition(condition.type) }
      }
      return nil
    }
    for container in status.containers + status.initContainers {
      guard let code = container.state.termination.map({ Int64($0.exitCode) }), code != 0,
        exitCodes.container == nil || exitCodes.container == container.name,
        exitCodes.values.contains(code) != exitCodes.isNegated
      else { continue }
      return .container(name: container.name, exitCode: code)
    }
    return nil
  }
}

/// One rule of `successPolicy`.
package struct JobSuccessRule: Equatable, Sendable {
  private var indexes: IndexIntervals?
  private var count: Int64?

  /// Reads a validated rule of a Job with so many completions.
  package init(json: JSON, completions: Int64) {
    indexes = json["succeededIndexes"]?.stringValue.map { IndexIntervals(text: $0, below: completions) }
    count = json["succeededCount"]?.intValue
  }

  /// Whether enough has succeeded for the Job to succeed.
  package func isMet(by succeeded: IndexIntervals) -> Bool {
    guard let indexes else { return count.map { succeeded.count >= $0 } ?? false }
    return succeeded.countShared(with: indexes) >= count ?? indexes.count
  }
}
