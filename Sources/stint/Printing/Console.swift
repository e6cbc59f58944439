// Owns: writing to the person or pipe at the other end: standard output and error, colour only where it is wanted.
// It must not know what is written.

import ClusterIO
import Glibc

/// Where a command writes. Tests give their own sinks.
struct Console {
  /// Standard output, whole lines.
  let out: (String) -> Void
  /// Standard error, whole lines.
  let err: (String) -> Void
  /// Standard output is a terminal that wants colour.
  var colours = false
  /// Standard error is a terminal: progress may redraw a line.
  var redraws = false
  /// Standard output, bytes of logs as they are.
  var raw: ([UInt8]) -> Void = Console.writeRaw

  /// The process's own. `survivesBrokenPipe`: go on when the reader has gone, for one who has children to look after.
  static func standard(environment: [String: String], survivesBrokenPipe: Bool = false) -> Console {
    Signals.ignoreBrokenPipes()
    let plain = !(environment["NO_COLOR"] ?? "").isEmpty || environment["TERM"] == "dumb"
    return Console(
      out: { write($0, to: 1, survives: survivesBrokenPipe) }, err: { write($0, to: 2, survives: true) },
      colours: isatty(1) == 1 && !plain, redraws: isatty(2) == 1 && environment["TERM"] != "dumb")
  }

  /// Bytes of a log go out as they are.
  static func writeRaw(_ bytes: [UInt8]) { write(bytes, to: 1, survives: false) }

  private static func write(_ text: String, to descriptor: Int32, survives: Bool) {
    write(Array(text.utf8), to: descriptor, survives: survives)
  }

  private static func write(_ bytes: [UInt8], to descriptor: Int32, survives: Bool) {
    do {
      try Files.writeAll(descriptor, bytes, path: descriptor == 1 ? "standard output" : "standard error")
    } catch {
      if survives { return }
      // The reader has gone (`| head`): end as quietly as SIGPIPE would. Anything else must not pass for success.
      if error.code != EPIPE { write("error: \(error)\n", to: 2, survives: true) }
      exit(error.code == EPIPE ? 141 : 1)
    }
  }

  /// Writes one line to standard output.
  func line(_ text: String) { out(text + "\n") }

  /// Writes one line to standard error.
  func note(_ text: String) { err(text + "\n") }
}

/// Colours of words that tell a state.
enum Colour {
  /// `word` in the colour of what it says, for a STATUS column; unknown words stay plain.
  static func status(_ word: String) -> String {
    var first = word.split(separator: ",").first.map(String.init) ?? word
    if first.hasPrefix("Init:") { first.removeFirst("Init:".count) }
    switch first {
    case "Complete", "Completed", "Succeeded", "Ready", "Active": return paint(word, 32)
    case "Running", "SuccessCriteriaMet": return paint(word, 36)
    case "Pending", "ContainerCreating", "PodInitializing", "Suspended", "Terminating": return paint(word, 33)
    case "Failed", "FailureTarget", "Error", "NotReady", "Unknown", "CrashLoopBackOff", "OOMKilled", "Warning":
      return paint(word, 31)
    case "ContainerCannotRun", "ContainerStatusUnknown", "DeadlineExceeded", "Evicted", "FailedCreatePodSandBox",
      "InvalidImageName", "ErrImagePull", "ErrImageNeverPull", "NodeLost", "UnexpectedAdmissionError":
      return paint(word, 31)
    case _ where first.hasPrefix("ExitCode:") || first.hasPrefix("Signal:"): return paint(word, 31)
    default: return first.hasSuffix("Error") || first.hasSuffix("BackOff") ? paint(word, 31) : word
    }
  }

  static func bold(_ text: String) -> String { paint(text, 1) }

  /// The n-th of some colours that are told apart, for what belongs together.
  static func distinct(_ text: String, _ number: Int) -> String {
    paint(text, [36, 33, 35, 32, 34, 96, 93, 95][number % 8])
  }

  private static func paint(_ text: String, _ code: Int) -> String { "\u{1b}[\(code)m\(text)\u{1b}[0m" }
}
