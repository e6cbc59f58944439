// Owns: showing how far a Job is while somebody waits: a bar redrawn on a terminal, now and then a line in a pipe.
// It must not decide anything.

import ClusterIO
import ClusterProto

/// Progress of one object on standard error.
final class Progress {
  private let label: String
  private let console: Console
  private let isQuiet: Bool
  private let start = Clocks.boot()
  private var counts = ""
  private var share: Double?
  private var shown = ""
  private var nextLine: Int64
  /// A pipe gets a line when something changed, this often at most.
  private static let linePause: Int64 = 5_000_000_000

  init(label: String, console: Console, isQuiet: Bool) {
    self.label = label
    self.console = console
    self.isQuiet = isQuiet
    nextLine = start + Progress.linePause
  }

  /// Takes in the object's latest state.
  func show(_ object: JSON?) {
    guard let object, let progress = Progress.of(object) else { return }
    show(progress.counts, progress.share)
  }

  /// The same in words and as a share, 0...1.
  func show(_ counts: String, _ share: Double?) {
    (self.counts, self.share) = (counts, share)
    draw()
  }

  /// Time has passed.
  func tick() { draw() }

  /// Clears the bar.
  func finish() {
    guard console.redraws, !shown.isEmpty else { return }
    console.err("\r\u{1b}[K")
    shown = ""
  }

  private func draw() {
    guard !isQuiet, !counts.isEmpty else { return }
    let now = Clocks.boot()
    if console.redraws {
      let line = Progress.line(label, counts, share, seconds: (now - start) / 1_000_000_000)
      if line == shown { return }
      shown = line
      console.err("\r\(shown)\u{1b}[K")
    } else if now >= nextLine, counts != shown {
      shown = counts
      nextLine = now + Progress.linePause
      console.note("\(label): \(counts)")
    }
  }

  /// Counts of a Job in words and its share done, 0...1 (nil when it has no set number); nil for other kinds.
  static func of(_ object: JSON) -> (counts: String, share: Double?)? {
    guard object["kind"]?.stringValue == "Job" else { return nil }
    let status = object["status"]
    let succeeded = status?["succeeded"]?.intValue ?? 0
    let failed = status?["failed"]?.intValue ?? 0
    let completions = object[path: ["spec", "completions"]]?.intValue
    var parts = [completions.map { "\(succeeded)/\($0) succeeded" } ?? "\(succeeded) succeeded"]
    parts.append("\(status?["active"]?.intValue ?? 0) active")
    if failed > 0 { parts.append("\(failed) failed") }
    if object[path: ["spec", "suspend"]]?.boolValue == true { parts.append("suspended") }
    let share = completions.map { $0 == 0 ? 1 : min(1, Double(succeeded) / Double($0)) }
    return (parts.joined(separator: ", "), share)
  }

  /// One line of a terminal.
  static func line(_ label: String, _ counts: String, _ share: Double?, seconds: Int64) -> String {
    let width = 20
    let bar = share.map { share in
      let filled = Int(share * Double(width))
      return " [" + String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled) + "]"
    }
    return "\(label)\(bar ?? "") \(counts), \(seconds)s"
  }
}
