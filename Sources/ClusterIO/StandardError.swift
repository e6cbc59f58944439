// Owns: the operator's log on its way to standard error: a bounded queue and a thread that a full pipe, a stopped
// terminal or a hung disk may hold up. It must not know what a line says.

import ClusterProto
import Glibc
import Synchronization

/// Lines for a descriptor that may not take them; nobody who writes one ever waits.
package final class LineWriter: Sendable {
  private struct State {
    var waiting: [UInt8] = []
    var dropped = 0
    /// The thread is writing, or about to.
    var isBusy = false
    var thread: WorkerThread?
  }

  /// Standard error's, of this process.
  package static let standardError = LineWriter(descriptor: STDERR_FILENO)
  /// Bytes that may wait.
  private static let limit = 256 << 10

  private let descriptor: Int32
  private let state = Mutex(State())

  /// Writes to `descriptor`, which stays the caller's.
  package init(descriptor: Int32) { self.descriptor = descriptor }

  /// Queues a line (its end is added). One that finds the queue full is dropped, and counted in a line of its own once
  /// there is room.
  package func write(_ line: String) {
    let bytes = Array("\(line)\n".utf8)
    state.withLock { state in
      guard state.waiting.count + bytes.count <= Self.limit else {
        state.dropped += 1
        return
      }
      state.waiting += bytes
      guard !state.isBusy else { return }
      // Without a thread the line waits for the next try.
      if state.thread == nil { state.thread = try? WorkerThread(name: "stint-stderr") }
      guard let thread = state.thread else { return }
      state.isBusy = true
      thread.post { [self] in writeOut() }
    }
  }

  /// Waits until everything is written, but not longer than that: for the end of a process.
  package func flush(milliseconds: Int32 = 500) {
    let end = Clocks.boot() + Int64(milliseconds) * 1_000_000
    while state.withLock({ $0.isBusy }), Clocks.boot() < end { poll(nil, 0, 1) }
  }

  private func writeOut() {
    while true {
      let (bytes, dropped) = state.withLock { state -> ([UInt8], Int) in
        defer {
          state.waiting = []
          state.dropped = 0
        }
        if state.waiting.isEmpty { state.isBusy = false }
        return (state.waiting, state.dropped)
      }
      guard !bytes.isEmpty else { return }
      // A log that cannot be written must not stop its process.
      try? Files.writeAll(descriptor, bytes, path: "the log")
      if dropped > 0 {
        let marker = "[stint: \(dropped) lines of this log dropped: they were not taken in time]\n"
        try? Files.writeAll(descriptor, Array(marker.utf8), path: "the log")
      }
    }
  }
}

/// The form of a line of the operator's log, the same for coordinator, agent and keeper.
package enum LogLine {
  /// Queues `time level=… msg="…" name=value` for standard error.
  package static func write(level: String, _ message: String, _ values: [(String, String)] = []) {
    let time = WallTime(nanoseconds: Clocks.now().wall).rfc3339
    LineWriter.standardError.write(text(time: time, level: level, message, values))
  }

  /// The line without its end. What others say in it can neither end it, nor steer a terminal, nor turn the direction
  /// of writing, nor hide: all that is no letter, mark, number, sign or space that is seen is written as in JSON, by
  /// its number.
  package static func text(time: String, level: String, _ message: String, _ values: [(String, String)]) -> String {
    var line = "\(time) level=\(level) msg=\(quoted(message))"
    for (name, value) in values {
      let isPlain =
        !value.isEmpty && !value.utf8.contains { $0 <= 0x20 || $0 == 0x22 || $0 == 0x3d }
        && !value.unicodeScalars.contains(where: isActive)
      line += " \(name)=\(isPlain ? value : quoted(value))"
    }
    return line
  }

  private static func quoted(_ text: String) -> String {
    let json = JSON.string(text).text
    guard json.utf8.contains(where: { $0 >= 0x7F }) else { return json }
    var result = ""
    for scalar in json.unicodeScalars {
      guard isActive(scalar) else {
        result.unicodeScalars.append(scalar)
        continue
      }
      for unit in Character(scalar).utf16 {
        let digits = String(unit, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      }
    }
    return result
  }

  private static func isActive(_ scalar: Unicode.Scalar) -> Bool {
    guard scalar.value >= 0x7F else { return false }
    // Letters and marks of which nothing is seen, and Braille's empty cell.
    if scalar.properties.isDefaultIgnorableCodePoint || scalar.value == 0x2800 { return true }
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned, .surrogate: return true
    default: return false
    }
  }
}
