// The house rules that a machine can check, as pure functions over a file's text. TidyTests runs them over the
// repository, LintTests shows of each that it fires.

/// One finding: where and what.
struct Finding: Equatable, CustomStringConvertible {
  var path: String
  var line: Int
  var rule: String

  var description: String { "\(path):\(line): \(rule)" }
}

struct SourceFile {
  var path: String
  var lines: [Substring]

  init(path: String, text: String) {
    self.path = path
    lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    if lines.last == "" { lines.removeLast() }
  }

  /// The module that the layout table gives to the path.
  var module: String? {
    Layering.modules.first { isUnder($0.folder) }?.name
  }

  /// In the folder, or the very file.
  func isUnder(_ place: String) -> Bool { path == place || path.hasPrefix(place + "/") }
}

enum Layering {
  /// Folder (or one file of it, first), module and what it may import: the layout table of docs/architecture.md.
  static let modules: [(folder: String, name: String, imports: Set<String>)] = [
    ("Sources/ClusterProto/Digest.swift", "ClusterProto", ["COpenSSL"]),
    ("Sources/ClusterProto", "ClusterProto", []),
    ("Sources/Coordinator/Core", "CoordinatorCore", ["ClusterProto"]),
    (
      "Sources/Coordinator/Server", "Coordinator",
      ["ClusterProto", "CoordinatorCore", "ClusterIO", "CPage", "CSQLite", "CYAML", "Glibc", "Synchronization"]
    ),
    ("Sources/NodeAgent/Core", "AgentCore", ["ClusterProto"]),
    (
      "Sources/NodeAgent/Host", "NodeAgent",
      ["ClusterProto", "AgentCore", "ClusterIO", "CLinux", "CSeccomp", "Glibc", "Synchronization"]
    ),
    (
      "Sources/ClusterIO", "ClusterIO",
      ["ClusterProto", "CLinux", "CArchive", "COpenSSL", "CZlib", "Glibc", "Synchronization"]
    ),
    ("Sources/Simulator", "Simulator", ["ClusterProto", "CoordinatorCore", "AgentCore"]),
    (
      "Sources/stint", "stint",
      [
        "ClusterProto", "CoordinatorCore", "Coordinator", "AgentCore", "NodeAgent", "ClusterIO", "Simulator", "CLinux",
        "Glibc", "Synchronization",
      ]
    ),
  ]
}

enum Lints {
  static let lineLimit = 120
  static let fileLimit = 500
  static let functionLimit = 70

  static func imports(_ file: SourceFile) -> [Finding] {
    guard let entry = Layering.modules.first(where: { file.isUnder($0.folder) }) else { return [] }
    return findings(file) { line in
      guard let name = importedModule(line), !entry.imports.contains(name) else { return nil }
      return "\(entry.name) may not import \(name)"
    }
  }

  /// The module that an import line names; nil for other lines.
  static func importedModule(_ line: Substring) -> String? {
    let words = line.split(separator: " ")
    guard let position = words.firstIndex(of: "import"), position + 1 < words.count else { return nil }
    let attributes = words[..<position]
    guard attributes.allSatisfy({ $0.hasPrefix("@") || ["public", "package", "internal", "private"].contains($0) })
    else { return nil }
    return words[position + 1].split(separator: ".").first.map { String($0) }
  }

  static func lengths(_ file: SourceFile) -> [Finding] {
    var result = findings(file) { $0.count > lineLimit ? "line of \($0.count) columns, at most \(lineLimit)" : nil }
    if file.lines.count > fileLimit {
      result.append(
        Finding(path: file.path, line: file.lines.count, rule: "\(file.lines.count) lines, at most \(fileLimit)"))
    }
    return result
  }

  /// Functions from signature to the closing brace at the same indentation.
  static func functionLengths(_ file: SourceFile) -> [Finding] {
    var result: [Finding] = []
    var open: (line: Int, indentation: Int)?
    for (index, line) in file.lines.enumerated() {
      let indentation = line.prefix { $0 == " " }.count
      let words = line.dropFirst(indentation)
      if let function = open {
        guard words.first == "}", indentation == function.indentation else { continue }
        let length = index - function.line + 1
        if length > functionLimit {
          result.append(
            Finding(
              path: file.path, line: function.line + 1, rule: "function of \(length) lines, at most \(functionLimit)"))
        }
        open = nil
      } else if isFunctionStart(words), !line.hasSuffix("}") {
        open = (index, indentation)
      }
    }
    return result
  }

  private static func isFunctionStart(_ words: Substring) -> Bool {
    let modifiers: Set<Substring> = [
      "public", "package", "internal", "private", "fileprivate", "static", "mutating", "override", "final",
      "nonisolated", "consuming", "borrowing", "convenience", "required",
    ]
    for word in words.split(separator: " ") {
      if word == "func" || word.hasPrefix("init(") || word.hasPrefix("init?(") || word.hasPrefix("init<") {
        return true
      }
      if !word.hasPrefix("@"), !modifiers.contains(word) { return false }
    }
    return false
  }

  /// Left-overs and traps that input may reach.
  static let banned: [(text: String, instead: String)] = [
    ("TO" + "DO", "do it, or open an issue"), ("FIX" + "ME", "fix it"), ("XX" + "X", "say what is meant"),
    ("HA" + "CK", "say why it must be so"), ("try" + "!", "throw"), ("fatal" + "Error(", "throw, or precondition"),
    ("as" + "! ", "bind with as?"), ("not " + "implemented", "implement or refuse by name"),
  ]

  static func bans(_ file: SourceFile) -> [Finding] {
    findings(file) { line in banned.first { line.contains($0.text) }.map { "\($0.text): \($0.instead)" } }
  }

  /// Tests wait for conditions.
  static func sleeps(_ file: SourceFile) -> [Finding] {
    let calls = ["sle" + "ep(", "usle" + "ep(", "nanosle" + "ep("]
    return findings(file) { line in calls.contains { line.contains($0) } ? "wait for a condition instead" : nil }
  }

  /// An exit test's monitor waits for any child of the process, and spins while it finds one of another test's.
  static func exitTests(_ file: SourceFile) -> [Finding] {
    findings(file) { line in
      line.contains("processExits" + "With") ? "start a program of its own and reap it: see Tests/watch.sh" : nil
    }
  }

  /// The three parts of the coordinator's core reach each other's state through functions, not members: `fleet.` is
  /// written only in Fleet/, and so on. What stands above the three may look into all.
  static func coreParts(_ file: SourceFile) -> [Finding] {
    let core = "Sources/Coordinator/Core/"
    guard file.path.hasPrefix(core), file.path.dropFirst(core.count).contains("/") else { return [] }
    let parts = [("fleet", "Fleet"), ("workloads", "Workloads"), ("api", "API")]
    return findings(file) { line in
      let code = line.prefix { $0 != "/" }
      for (name, folder) in parts where !file.path.hasPrefix("\(core)\(folder)/") {
        let words = code.split { !($0.isLetter || $0.isNumber || $0 == "_" || $0 == ".") }
        if words.contains(where: { $0.hasPrefix("\(name).") || $0.hasPrefix("self.\(name).") }) {
          return "\(name) is the state of \(folder)/: ask it by a function"
        }
      }
      return nil
    }
  }

  /// Each file opens by saying what it owns.
  static func opening(_ file: SourceFile) -> [Finding] {
    let comments = file.lines.prefix { $0.hasPrefix("//") }.filter { !$0.hasPrefix("// swift-") }
    return comments.isEmpty
      ? [Finding(path: file.path, line: 1, rule: "open with a comment: what it owns, what it must not know")] : []
  }

  /// Every `package` and `public` declaration says what it is; what a protocol asks for is said there.
  static func docstrings(_ file: SourceFile) -> [Finding] {
    let witnesses = [
      "static func ==", "static func <", "func hash(into", "Literal ", "var description", "var startIndex",
      "var endIndex", "subscript(position",
    ]
    var result: [Finding] = []
    for (index, line) in file.lines.enumerated() {
      let words = line.split(separator: " ")
      guard let access = words.first, access == "package" || access == "public", words.count > 1, words[1] != "import",
        !witnesses.contains(where: { line.contains($0) })
      else { continue }
      let above = file.lines[..<index].last { !$0.drop { $0 == " " }.hasPrefix("@") }
      if above?.drop(while: { $0 == " " }).hasPrefix("///") != true {
        result.append(Finding(path: file.path, line: index + 1, rule: "a \(access) declaration needs a docstring"))
      }
    }
    return result
  }

  private static func findings(_ file: SourceFile, _ rule: (Substring) -> String?) -> [Finding] {
    file.lines.enumerated().compactMap { index, line in
      rule(line).map { Finding(path: file.path, line: index + 1, rule: $0) }
    }
  }
}
