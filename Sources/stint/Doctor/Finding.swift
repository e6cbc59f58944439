// Owns: what a look at a machine or a cluster comes to, and how it is printed. It must not know what is looked at.

import ClusterProto

/// One thing that was looked at.
struct Diagnosis: Equatable {
  enum Level: String {
    case ok, warning, problem
    /// It could not be looked at, and that is nobody's fault.
    case skipped
  }

  var level: Level
  /// A word or two.
  var subject: String
  /// What was found.
  var text: String
  /// What to do; nothing where nothing is to be done.
  var advice = ""

  static func ok(_ subject: String, _ text: String) -> Diagnosis { Diagnosis(level: .ok, subject: subject, text: text) }
  static func warning(_ subject: String, _ text: String, _ advice: String) -> Diagnosis {
    Diagnosis(level: .warning, subject: subject, text: text, advice: advice)
  }
  static func problem(_ subject: String, _ text: String, _ advice: String) -> Diagnosis {
    Diagnosis(level: .problem, subject: subject, text: text, advice: advice)
  }
  static func skipped(_ subject: String, _ text: String, _ advice: String = "") -> Diagnosis {
    Diagnosis(level: .skipped, subject: subject, text: text, advice: advice)
  }
}

/// All that was found, in parts with a heading each.
struct Diagnoses {
  private(set) var parts: [(heading: String, findings: [Diagnosis])] = []

  mutating func add(_ heading: String, _ findings: [Diagnosis]) { parts.append((heading, findings)) }

  private var all: [Diagnosis] { parts.flatMap(\.findings) }
  func count(_ level: Diagnosis.Level) -> Int { all.reduce(0) { $0 + ($1.level == level ? 1 : 0) } }
  var exitStatus: Int32 { count(.problem) > 0 ? 1 : 0 }

  /// The last line.
  var sum: String {
    let (problems, warnings) = (count(.problem), count(.warning))
    func counted(_ number: Int, _ word: String) -> String { "\(number) \(word)\(number == 1 ? "" : "s")" }
    switch (problems, warnings) {
    case (0, 0): return "No problem was found."
    case (0, _): return "No problem, \(counted(warnings, "warning"))."
    case (_, 0): return "\(counted(problems, "problem"))."
    default: return "\(counted(problems, "problem")), \(counted(warnings, "warning"))."
    }
  }

  var json: JSON {
    var list: [JSON] = []
    for part in parts {
      for finding in part.findings {
        var item: JSON = [
          "part": .string(part.heading), "level": .string(finding.level.rawValue),
          "subject": .string(finding.subject), "message": .string(finding.text),
        ]
        if !finding.advice.isEmpty { item["advice"] = .string(finding.advice) }
        list.append(item)
      }
    }
    return [
      "findings": .array(list), "problems": .int(Int64(count(.problem))), "warnings": .int(Int64(count(.warning))),
    ]
  }

  /// A heading for each part, a line for each finding, below it what to do.
  func text(colours: Bool) -> String {
    let subjects = all.map { TerminalText.harmless($0.subject) }
    let width = min(28, (subjects.map(\.count).max() ?? 0) + 2)
    var text = ""
    for part in parts {
      let heading = TerminalText.harmless(part.heading)
      text += (colours ? Colour.bold(heading) : heading) + "\n"
      for finding in part.findings {
        let word = finding.level.rawValue
        let level = (colours ? Colour.level(finding.level) : word) + String(repeating: " ", count: 9 - word.count)
        let subject = TerminalText.harmless(finding.subject)
        let gap = String(repeating: " ", count: max(2, width - subject.count))
        text += "  \(level)\(subject)\(gap)\(Self.line(finding.text))\n"
        if !finding.advice.isEmpty { text += "           do: \(Self.line(finding.advice))\n" }
      }
      text += "\n"
    }
    return text + sum + "\n"
  }

  /// One line of what somebody else may have written.
  private static func line(_ text: String) -> String {
    TerminalText.harmless(text.split(whereSeparator: \.isNewline).joined(separator: " "))
  }
}

extension Colour {
  /// A finding's level in its colour.
  static func level(_ level: Diagnosis.Level) -> String {
    switch level {
    case .ok: status("Ready").replacing("Ready", with: level.rawValue)
    case .warning: status("Pending").replacing("Pending", with: level.rawValue)
    case .problem: status("Error").replacing("Error", with: level.rawValue)
    case .skipped: level.rawValue
    }
  }
}
