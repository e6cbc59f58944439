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
  /// refuse: an address has only so many refusals a second, and then how many more there were.
  static func audit(_ deed: AuditEntry.Deed, _ what: String, who: String, from: String) {
    if deed == .refusal {
      let (left, hasLine) = refusals.withLock { $0.take(from: from, second: Clocks.boot() / 1_000_000_000) }
      tell(left)
      guard hasLine else { return }
    }
    LogLine.write(level: "audit", what, [("deed", deed.rawValue), ("who", who), ("from", from)])
  }

  /// Says how many refusals had no line of their own: when the next second has one, when nothing comes for a while, and
  /// before the process ends.
  static func tellRefusals() { tell(refusals.withLock { $0.close() }) }

  private static func tell(_ left: [RefusalBudget.Left]) {
    for refusals in left {
      LogLine.write(
        level: "audit", "\(refusals.count) more refusals",
        [("deed", AuditEntry.Deed.refusal.rawValue), ("who", ""), ("from", refusals.from)])
    }
  }

  private static let refusals = Mutex(RefusalBudget())

  /// Before the process ends.
  static func flush() {
    tellRefusals()
    LineWriter.standardError.flush()
  }
}
