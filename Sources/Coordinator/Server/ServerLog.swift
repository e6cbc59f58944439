// Owns: the operator's log: one line on stderr an event, `time level=… msg="…" name=value`. It must not know who
// writes.

import ClusterIO
import ClusterProto

/// The coordinator's log.
enum ServerLog {
  static func info(_ message: String, _ values: (String, String)...) { write("info", message, values) }
  static func error(_ message: String, _ values: (String, String)...) { write("error", message, values) }

  /// Before the process ends.
  static func flush() { LineWriter.standardError.flush() }

  private static func write(_ level: String, _ message: String, _ values: [(String, String)]) {
    var line = "\(WallTime(nanoseconds: Clocks.now().wall).rfc3339) level=\(level) msg=\(JSON.string(message).text)"
    for (name, value) in values {
      let isPlain = !value.isEmpty && !value.utf8.contains { $0 <= 0x20 || $0 == 0x22 || $0 == 0x3d || $0 == 0x7f }
      line += " \(name)=\(isPlain ? value : JSON.string(value).text)"
    }
    LineWriter.standardError.write(line)
  }
}
