// The agent's and keeper's own log: one line an event on standard error, with the wall time.

import ClusterIO
import ClusterProto
import Glibc

enum HostLog {
  static func line(_ text: String) {
    let stamp = WallTime(nanoseconds: Clocks.now().wall).rfc3339Micro
    let bytes = Array("\(stamp) \(text)\n".utf8)
    _ = write(2, bytes, bytes.count)
  }
}
