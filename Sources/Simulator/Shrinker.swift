// Makes a failing seed small: a shorter run, fewer kinds of faults, fewer nodes, as long as the same promise breaks.
// Tries and keeps; knows nothing of why.

import ClusterProto

/// A smaller run that breaks the same promise.
package struct Shrunk: Sendable {
  /// Hours with faults, as a busy world counts them.
  package var hours: Double
  /// What is left out.
  package var cut: SimulationCut
  /// What the smaller run showed.
  package var report: SimulationReport
  /// How many runs it took to find.
  package var runs: Int
}

/// Shrinks one failing seed.
package struct Shrinker {
  /// Runs a world; the tests give another.
  typealias Run = (_ hours: Double, _ cut: SimulationCut) -> SimulationReport

  private let run: Run
  private let most: Int
  private var best: Shrunk
  private let promise: String

  /// `most`: how many runs it may take.
  package init(seed: UInt64, hours: Double, failed report: SimulationReport, most: Int = 80) {
    self.init(hours: hours, failed: report, most: most) { hours, cut in
      var simulation = Simulation(seed: seed, hours: hours, pace: report.pace)
      simulation.cut = cut
      return simulation.run()
    }
  }

  init(hours: Double, failed report: SimulationReport, most: Int, run: @escaping Run) {
    self.run = run
    self.most = most
    promise = Self.promise(of: report)
    best = Shrunk(hours: hours, cut: SimulationCut(), report: report, runs: 0)
  }

  /// The smallest run that it finds.
  package mutating func shrink() -> Shrunk {
    guard !best.report.violations.isEmpty else { return best }
    shorten()
    var before = SimulationCut()
    repeat {
      before = best.cut
      for part in WorldPart.allCases where best.cut.keeps(part) {
        var cut = best.cut
        cut.parts.append(part)
        if keeps(best.hours, cut) { shorten() }
      }
      for nodes in 1...4 where nodes < best.cut.nodes ?? 5 {
        var cut = best.cut
        cut.nodes = nodes
        if keeps(best.hours, cut) {
          shorten()
          break
        }
      }
    } while best.cut != before && best.runs < most
    return best
  }

  /// A run is the same up to its end, so it may end where the promise breaks. What breaks after the last fault may need
  /// fewer of them: halves, while that holds.
  private mutating func shorten() {
    let broken = Double(best.report.simulated) / 3_600_000_000 / Double(best.report.pace.rarity)
    if broken < best.hours {
      _ = keeps((broken * 3_600 + 1).rounded(.up) / 3_600, best.cut)
      return
    }
    while best.hours > 0.01, keeps(best.hours / 2, best.cut) {}
  }

  private mutating func keeps(_ hours: Double, _ cut: SimulationCut) -> Bool {
    guard best.runs < most, hours < best.hours || cut != best.cut else { return false }
    best.runs += 1
    let report = run(hours, cut)
    guard Self.promise(of: report) == promise else { return false }
    best = Shrunk(hours: hours, cut: cut, report: report, runs: best.runs)
    return true
  }

  /// What the first violation is of: "H3", "invariant I8", else its words without numbers.
  static func promise(of report: SimulationReport) -> String {
    guard let text = report.violations.first, let end = text.firstRange(of: " s: ") else { return "" }
    let words = text[end.upperBound...]
    if let colon = words.firstIndex(of: ":"), words[..<colon].utf8.count < 16 { return String(words[..<colon]) }
    return String(words.filter { !$0.isNumber }.prefix(40))
  }
}

extension SimulationReport {
  /// What led to the first violation, in at most so many lines: what befell the coordinator, and the nodes, attempts
  /// and objects that the violation is about.
  package func story(lines: Int = 50) -> [String] {
    guard let violation = violations.first else { return [] }
    let told = tail.filter { !$0.contains(" s answer ") }
    let words = violation.split { !$0.isLetter && !$0.isNumber && $0 != "-" && $0 != "/" && $0 != "." }.map(String.init)
    var nodes: Set<String> = []
    var names: Set<String> = []
    for (position, word) in words.enumerated() {
      if position > 0, words[position - 1] == "node" || words[position - 1] == "nodes" { nodes.insert(word) }
      if word.contains("-") { names.insert(word.split(separator: "/").last.map(String.init) ?? word) }
      if position > 0, words[position - 1].hasPrefix("attempt") {
        for line in told where line.contains(" runs \(word).") { nodes.insert(Self.node(of: line) ?? "") }
      }
    }
    let about = told.filter { line in
      guard let node = Self.node(of: line) else {
        return line.contains(" s coordinator") || line.contains("healed") || line.contains("connection of node")
          || names.isEmpty || names.contains { line.contains($0) }
      }
      return nodes.isEmpty || nodes.contains(node)
    }
    return Array(about.suffix(lines))
  }

  /// Whose line of the trace it is: "12.3 s node 2 agent dies".
  private static func node(of line: String) -> String? {
    guard let start = line.firstRange(of: " s node ") else { return nil }
    return line[start.upperBound...].split(separator: " ").first.map(String.init)
  }
}
