// A container's own rule about its exit codes (`restartPolicyRules`): what it matches starts again, whatever a policy
// says. Read from a validated spec.

import ClusterProto

/// One rule with the action Restart.
struct RestartRule: Equatable {
  private let isIn: Bool
  private let codes: Set<Int64>

  /// Nil: a rule that this version does not know, which validation refuses.
  init?(_ json: JSON) {
    guard json["action"]?.stringValue == "Restart", let exits = json["exitCodes"] else { return nil }
    switch exits["operator"]?.stringValue {
    case "In": isIn = true
    case "NotIn": isIn = false
    default: return nil
    }
    codes = Set((exits["values"]?.arrayValue ?? []).compactMap(\.intValue))
  }

  func matches(_ exitCode: Int64) -> Bool { codes.contains(exitCode) == isIn }
}
