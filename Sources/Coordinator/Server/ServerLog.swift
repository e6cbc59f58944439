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
      let (isOne, left) = refusals.withLock { refusals in
        let left = second == refusals.second ? 0 : max(0, refusals.count - refusalLines)
        if second != refusals.second { refusals = (second, 0) }
        refusals.count += 1
        return (refusals.count <= refusalLines, left)
      }
      if left > 0 {
        LogLine.write(level: "audit", "\(left) more refusals", [("deed", deed.rawValue), ("who", ""), ("from", "")])
      }
      guard isOne else { return }
    }
    LogLine.write(level: "audit", what, [("deed", deed.rawValue), ("who", who), ("from", from)])
  }

  private static let refusals = Mutex((second: Int64(0), count: 0))
  private static let refusalLines = 10

  /// Before the process ends.
  static func flush() { LineWriter.standardError.flush() }
}
