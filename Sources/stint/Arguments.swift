// Owns: the grammar of the command line: what a command and a flag are, and how words become a parsed call.
// It must not know any command: CommandTable.swift lists them, and help and completion read the same list.

import ClusterProto

/// What the value of a flag is; the parser checks it, completion offers it.
enum FlagValue: Sendable, Equatable {
  /// No value: present or not; `--flag=false` says not.
  case toggle
  case text(String)
  /// A whole number within bounds.
  case integer(String, ClosedRange<Int64>)
  /// `90`, `90s`, `1m30s`, `500ms`; a bare number is seconds. The bounds are milliseconds.
  case duration(ClosedRange<Int64>)
  /// A quantity of processors; the bounds are thousandths.
  case cpu(ClosedRange<Int64>)
  /// A quantity of bytes.
  case bytes(ClosedRange<Int64>)
  case choice([String])
  /// Any text; completion offers these.
  case suggested(String, [String])
  case file
  case directory

  /// The value's name in usage lines.
  var placeholder: String {
    switch self {
    case .toggle: ""
    case .text(let name), .integer(let name, _), .suggested(let name, _): name
    case .duration: "DURATION"
    case .cpu, .bytes: "QUANTITY"
    case .choice(let choices): choices.joined(separator: "|")
    case .file: "FILE"
    case .directory: "DIR"
    }
  }
}

/// One flag. `name` without dashes.
struct Flag: Sendable, Equatable {
  let name: String
  var short: Character?
  let value: FlagValue
  let help: String
  var repeats = false
  /// Shown in help only; the command applies it.
  var initial: String?
  /// What it has without `=VALUE`; nil: its value is the next word.
  var bare: String?

  init(
    _ name: String, _ short: Character?, _ value: FlagValue, repeats: Bool = false,
    initial: String? = nil, _ help: String
  ) {
    self.name = name
    self.short = short
    self.value = value
    self.repeats = repeats
    self.initial = initial
    self.help = help
  }

  var takesValue: Bool { value != .toggle }
}

/// What the words beside the flags are; completion offers it.
enum Operand: Sendable, Equatable {
  case none, kindAndNames, job, node, pod, command, shell
  /// The first one is one of these.
  case words([String])
}

/// One command of the table.
struct Command: Sendable {
  let name: String
  /// One line, no full stop.
  let summary: String
  /// The words beside the flags, as the usage line shows them.
  var operands = ""
  var operand = Operand.none
  /// Fewest and most words beside the flags.
  var count: ClosedRange<Int> = 0...0
  var flags: [Flag] = []
  /// More about it, for `--help`; lines of at most 100 columns.
  var details = ""
  /// Each a command line and what it does.
  var examples: [(line: String, does: String)] = []
  /// Left out of the overview: started by other commands.
  var hidden = false
  /// Runs it; the result is the exit status.
  let run: @Sendable (Context) throws -> Int32

  var usage: String {
    "usage: stint \(name)\(operands.isEmpty ? "" : " \(operands)")" + (operands.hasPrefix("[flags]") ? "" : " [flags]")
  }

  func flag(named name: String) -> Flag? { flags.first { $0.name == name } }
  func flag(short: Character) -> Flag? { flags.first { $0.short == short } }
}

/// Wrong use of the command line: exit status 2.
struct UsageError: Error, Equatable {
  let message: String
  /// The command concerned and its usage line; nil when there is none.
  var command: String?
  var usage: String?
}

/// One parsed call. Values were checked by kind when it was parsed.
struct Arguments: Sendable {
  let command: Command
  private(set) var words: [String] = []
  /// Where `--` stood among the words; nil: nowhere.
  private var dashes: Int?
  private var values: [String: [String]] = [:]

  init(command: Command, words: [String] = []) {
    self.command = command
    self.words = words
  }

  /// The words that no `--` stands before.
  var wordsBeforeDashes: ArraySlice<String> { words.prefix(dashes ?? words.count) }

  func has(_ flag: String) -> Bool { values[flag] != nil }
  /// The last value given.
  func value(_ flag: String) -> String? { values[flag]?.last }
  func values(_ flag: String) -> [String] { values[flag] ?? [] }
  func isOn(_ flag: String, byDefault initial: Bool = false) -> Bool { value(flag).map { $0 == "true" } ?? initial }
  func integer(_ flag: String) -> Int64? { value(flag).flatMap { Int64($0) } }
  /// `--grace-period`; nil also for -1, the pod's own, which kubectl does not send either.
  var grace: Int64? { integer("grace-period").flatMap { $0 < 0 ? nil : $0 } }
  func milliseconds(_ flag: String) -> Int64? { value(flag).flatMap { DurationFlag.milliseconds($0) } }

  /// Parses everything after the program's name. Flags may stand before the command too: the command is the first word
  /// that names one and whose own flags account for every word before it.
  static func parse(_ line: [String], commands: [Command]) throws -> Arguments {
    for (index, word) in line.enumerated() {
      if word == "--" { break }
      guard let command = commands.first(where: { $0.name == word }) else { continue }
      var before = Arguments(command: command)
      guard (try? before.take(Array(line[..<index]))) != nil, before.words.isEmpty else { continue }
      try before.take(Array(line[(index + 1)...]))
      if before.isOn("help") { return before }
      try before.checkCount()
      return before
    }
    guard let word = line.first(where: { !$0.hasPrefix("-") }) ?? line.first else {
      throw UsageError(message: "no command given")
    }
    if let answer = KubectlCommands.answer(to: word) { throw UsageError(message: answer) }
    let hint = NearMiss.suggestion(for: word, among: commands.filter { !$0.hidden }.map(\.name))
    throw UsageError(message: "unknown command \"\(word)\"" + (hint.map { "; did you mean \"\($0)\"?" } ?? ""))
  }

  private mutating func take(_ line: [String]) throws {
    var rest = line[...]
    while let word = rest.popFirst() {
      if word == "--" {
        dashes = words.count
        words += rest
        return
      }
      if word.hasPrefix("--") {
        try takeLong(String(word.dropFirst(2)), &rest)
      } else if word.hasPrefix("-"), word.count > 1 {
        try takeShort(word.dropFirst(), &rest)
      } else {
        words.append(word)
      }
    }
  }

  private mutating func takeLong(_ word: String, _ rest: inout ArraySlice<String>) throws {
    let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    guard let flag = command.flag(named: parts[0]) else {
      let hint = NearMiss.suggestion(for: parts[0], among: command.flags.map(\.name))
      throw problem("unknown flag --\(parts[0])" + (hint.map { "; did you mean --\($0)?" } ?? ""))
    }
    if parts.count == 2 { return try store(flag, parts[1]) }
    if !flag.takesValue { return try store(flag, "true") }
    if let bare = flag.bare { return try store(flag, bare) }
    guard let value = rest.popFirst() else { throw problem("flag --\(flag.name) needs a value") }
    try store(flag, value)
  }

  /// `-A`, `-An default`, `-ndefault`, `-n=default`, `-n default`.
  private mutating func takeShort(_ letters: Substring, _ rest: inout ArraySlice<String>) throws {
    var letters = letters
    while let letter = letters.popFirst() {
      guard let flag = command.flag(short: letter) else { throw problem("unknown flag -\(letter)") }
      if !flag.takesValue {
        try store(flag, "true")
        continue
      }
      if letters.first == "=" {
        letters.removeFirst()
      } else if letters.isEmpty {
        guard let value = rest.popFirst() else { throw problem("flag -\(letter) needs a value") }
        return try store(flag, value)
      }
      return try store(flag, String(letters))
    }
  }

  private mutating func store(_ flag: Flag, _ value: String) throws {
    let value = flag.takesValue ? value : value.lowercased()
    if let expected = flag.value.expectation(of: value) {
      throw problem("--\(flag.name): \"\(value)\" is not \(expected)")
    }
    if flag.repeats { values[flag.name, default: []].append(value) } else { values[flag.name] = [value] }
  }

  private func checkCount() throws {
    if words.count > command.count.upperBound {
      let word = words[command.count.upperBound]
      let hint = command.operand == .none && command.flag(named: "filename") != nil ? "; did you mean -f \(word)?" : ""
      throw problem("unexpected argument \"\(word)\"\(hint)")
    }
    if words.count < command.count.lowerBound { throw problem("too few arguments") }
  }

  /// A usage error of this command.
  func problem(_ message: String) -> UsageError {
    UsageError(message: "\(command.name): \(message)", command: command.name, usage: command.usage)
  }
}

/// Durations on the command line: as Go writes them, days as in `90d`, or a bare number of seconds; a minus sign means
/// without limit.
enum DurationFlag {
  /// Milliseconds; nil for anything else and for over 100 years.
  static func milliseconds(_ text: String) -> Int64? {
    let isNegative = text.hasPrefix("-")
    let rest = isNegative ? String(text.dropFirst()) : text
    guard let value = days(rest) ?? DurationText.parse(isNumber(rest) ? rest + "s" : rest),
      value <= Bounds.century
    else { return nil }
    return isNegative ? -value : value
  }

  private static func isNumber(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 }
  }

  /// Go has no days.
  private static func days(_ text: String) -> Int64? {
    guard text.hasSuffix("d"), isNumber(String(text.dropLast())) else { return nil }
    return Int64(text.dropLast()).map { min($0, 100_000) * 86_400_000 }
  }
}

/// Finds what a mistyped word may have meant.
enum NearMiss {
  /// The nearest candidate within two edits, one for words of up to four letters (any other such word is two away), or
  /// one that starts with the word; nil when none is near.
  static func suggestion(for word: String, among candidates: [String]) -> String? {
    let typed = Array(word.lowercased().utf8)
    let near =
      candidates
      .map { (distance: distance(typed, Array($0.utf8)), name: $0) }
      .filter { $0.distance <= (typed.count <= 4 ? 1 : 2) }
      .min { ($0.distance, $0.name) < ($1.distance, $1.name) }
    if let near { return near.name }
    return typed.count < 3 ? nil : candidates.first { $0.hasPrefix(word.lowercased()) }
  }

  /// Edits between two words: insert, delete, replace, or swap two neighbours.
  static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    var rows = [Array(0...right.count)]
    for (row, letter) in left.enumerated() {
      var current = [row + 1]
      for (column, other) in right.enumerated() {
        var best = min(rows[row][column + 1] + 1, current[column] + 1, rows[row][column] + (letter == other ? 0 : 1))
        if row > 0, column > 0, letter == right[column - 1], left[row - 1] == other {
          best = min(best, rows[row - 1][column - 1] + 1)
        }
        current.append(best)
      }
      rows.append(current)
    }
    return rows[left.count][right.count]
  }
}
