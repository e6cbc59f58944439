// Owns: the operator's log: one line on stderr an event, `time level=… msg="…" name=value`. It must not know who
// writes.

import ClusterIO

/// The coordinator's log.
enum ServerLog {
  static func info(_ message: String, _ values: (String, String)...) {
    LogLine.write(level: "info", message, values)
  }
  static func error(_ message: String, _ values: (String, String)...) {
    LogLine.write(level: "error", message, values)
  }

  /// Before the process ends.
  static func flush() { LineWriter.standardError.flush() }
}
