// The agent's and keeper's own log: one line an event on standard error, in the coordinator's format. Nobody waits for
// it, and a line that repeats at speed is counted, not repeated.

import ClusterIO
import Synchronization

enum HostLog {
  private static let repeats = Mutex(RepeatedLines())

  static func line(_ text: String) { write("info", text) }
  static func error(_ text: String) { write("error", text) }

  private static func write(_ level: String, _ text: String) {
    guard let line = repeats.withLock({ $0.take(text, at: Clocks.boot() / 1_000_000) }) else { return }
    LogLine.write(level: level, line)
  }

  /// Before the process ends.
  static func flush() { LineWriter.standardError.flush() }
}

/// Which lines were written lately: the same one is written a few times in a window, and how often it came beyond that
/// is said with the next one.
struct RepeatedLines {
  private struct Line {
    var text: String
    var windowBegan: Int64
    var written = 1
    var held = 0
  }

  static let windowMilliseconds: Int64 = 10_000
  static let writtenInWindow = 3
  private static let limit = 32
  private var lines: [Line] = []

  /// What is to be written for `text` now; nil: nothing.
  mutating func take(_ text: String, at now: Int64) -> String? {
    var line = Line(text: text, windowBegan: now)
    var held = 0
    if let position = lines.firstIndex(where: { $0.text == text }) {
      let known = lines.remove(at: position)
      if now - known.windowBegan < Self.windowMilliseconds {
        line = known
        line.written += known.written < Self.writtenInWindow ? 1 : 0
        line.held += known.written < Self.writtenInWindow ? 0 : 1
        lines.append(line)
        return line.held > 0 ? nil : text
      }
      held = known.held
    } else if lines.count == Self.limit {
      // The one that came last the longest time ago.
      lines.removeFirst()
    }
    lines.append(line)
    return held == 0 ? text : "\(text) (and \(held) times more before)"
  }
}
