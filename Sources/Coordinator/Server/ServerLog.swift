// Owns: the operator's log: one line on stderr an event, `time level=… msg="…" name=value`. It must not know who
// writes.

import ClusterIO
import CoordinatorCore
import Synchronization

/// The coordinator's log.
enum ServerLog {
  static func info(_ message: String, _ values: (String, String)...) {
    LogLine.write(level: "info", message, values)
  }
  static func error(_ message: String, _ values: (String, String)...) {
    LogLine.write(level: "error", message, values)
  }

  /// `time level=audit msg="what" deed=… who=… from=…`: the one form of what is audited. Anybody can make the server
  /// refuse: only so many refusals a second, and then how many more there were.
  static func audit(_ deed: AuditEntry.Deed, _ what: String, who: String, from: String) {
    if deed == .refusal {
      let second = Clocks.boot() / 1_000_000_000
      if refusals.withLock({ $0.second != second }) { tellRefusals() }
      let count = refusals.withLock { refusals in
        refusals.second = second
        refusals.count += 1
        return refusals.count
      }
      guard count <= refusalLines else { return }
    }
    LogLine.write(level: "audit", what, [("deed", deed.rawValue), ("who", who), ("from", from)])
  }

  /// Says how many refusals had no line of their own: when the next second has one, when nothing comes for a while, and
  /// before the process ends.
  static func tellRefusals() {
    let left = refusals.withLock { refusals in
      defer { refusals.count = 0 }
      return refusals.count - refusalLines
    }
    if left > 0 {
      LogLine.write(
        level: "audit", "\(left) more refusals",
        [("deed", AuditEntry.Deed.refusal.rawValue), ("who", ""), ("from", "")])
    }
  }

  private static let refusals = Mutex((second: Int64(0), count: 0))
  private static let refusalLines = 10

  /// Before the process ends.
  static func flush() {
    tellRefusals()
    LineWriter.standardError.flush()
  }
}
