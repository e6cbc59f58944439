// Owns: the operator's log: one line on stderr an event, `time level=… msg="…" name=value`. It must not know who
// writes.

import ClusterIO
import CoordinatorCore

/// The coordinator's log.
enum ServerLog {
  static func info(_ message: String, _ values: (String, String)...) {
    LogLine.write(level: "info", message, values)
  }
  static func error(_ message: String, _ values: (String, String)...) {
    LogLine.write(level: "error", message, values)
  }

  /// `time level=audit msg="what" deed=… who=… from=…`: the one form of what is audited.
  static func audit(_ entry: AuditEntry) {
    LogLine.write(
      level: "audit", entry.what, [("deed", entry.deed.rawValue), ("who", entry.who), ("from", entry.from)])
  }

  /// Before the process ends.
  static func flush() { LineWriter.standardError.flush() }
}
