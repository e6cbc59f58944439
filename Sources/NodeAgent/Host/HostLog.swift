// The agent's and keeper's own log: one line an event on standard error, with the wall time. Nobody waits for it.

import ClusterIO
import ClusterProto

enum HostLog {
  static func line(_ text: String) {
    let stamp = WallTime(nanoseconds: Clocks.now().wall).rfc3339Micro
    LineWriter.standardError.write("\(stamp) \(text)")
  }

  /// Before the process ends.
  static func flush() { LineWriter.standardError.flush() }
}
