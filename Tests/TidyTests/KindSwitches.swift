// What differs between kinds stands in one descriptor a kind, not in switches and lists all over the sources: a rough
// look for such switches and lists outside of the descriptors, and the few places that may have them, each with why.

import Foundation

enum KindSwitches {
  /// Files that may tell kinds apart by switch or list.
  static let places: [(path: String, why: String)] = [
    ("Sources/ClusterProto/Kind.swift", "the table of what is fixed of a kind"),
    ("Sources/Coordinator/Core/API/Kinds/KindDescriptor.swift", "the table of descriptors, complete by the compiler"),
    ("Sources/stint/Printing/KindPresentation.swift", "the command line's table, complete by the compiler"),
    (
      "Sources/Coordinator/Core/APIObject.swift",
      "which Swift type holds an object: a few kinds have one, `default` is all others, so a kind may stay out"
    ),
    (
      "Sources/Coordinator/Core/ClusterState.swift",
      "which typed table holds an object, as in APIObject: the path of every change, where no closure may stand between"
    ),
    ("Sources/Simulator/Fuzz/CoordinatorFuzz.swift", "how often the fuzzer draws a kind; each is drawn"),
    ("Sources/Simulator/Fuzz/FuzzBodies.swift", "bodies for the fuzzer; a kind without one has metadata alone"),
  ]

  /// The cases of Kind, from its source, where they may stand on several lines.
  static func kinds(_ file: SourceFile) -> Set<Substring> {
    var result: Set<Substring> = []
    var goesOn = false
    for line in file.lines {
      let isCase = line.hasPrefix("  case ")
      guard isCase || goesOn else { continue }
      result.formUnion(line.dropFirst(isCase ? "  case ".count : 0).split { !$0.isLetter })
      goesOn = line.hasSuffix(",")
    }
    return result
  }

  static func lint(_ file: SourceFile, _ kinds: Set<Substring>) -> [Finding] {
    file.lines.enumerated().compactMap { index, line in
      let code = line.range(of: "//").map { line[..<$0.lowerBound] } ?? line
      let rule =
        if isSwitch(code, in: file, at: index, kinds) { "a switch over kinds" } else if isList(code, kinds) {
          "a list of kinds"
        } else { nil as String? }
      return rule.map {
        Finding(path: file.path, line: index + 1, rule: "\($0): give KindDescriptor (or KindPresentation) a member")
      }
    }
  }

  /// A switch with cases of Kind: one if its subject is called a kind, else two.
  private static func isSwitch(_ line: Substring, in file: SourceFile, at index: Int, _ kinds: Set<Substring>) -> Bool {
    guard let start = line.range(of: "switch "), line.hasSuffix("{") else { return false }
    let subject = line[start.upperBound...].split { !$0.isLetter && !$0.isNumber }.last ?? ""
    let indentation = line.prefix { $0 == " " }
    var found: Set<Substring> = []
    var isLabel = false
    for line in file.lines[(index + 1)...] {
      if line.hasPrefix("\(indentation)}") { break }
      let words = line.drop { $0 == " " }
      // A label may go on for lines, up to its colon.
      isLabel = isLabel || words.hasPrefix("case ")
      guard isLabel else { continue }
      let label = words.prefix { $0 != ":" }
      found.formUnion(cases(label, kinds))
      isLabel = label.count == words.count
    }
    return found.count >= (subject.lowercased().hasSuffix("kind") ? 1 : 2)
  }

  /// Two of Kind's cases in brackets, as keys, or compared with.
  private static func isList(_ line: Substring, _ kinds: Set<Substring>) -> Bool {
    // The first piece stands before any bracket: it is a list if the bracket is on a line above.
    let lists = line.split(separator: "[", omittingEmptySubsequences: false).map { $0.prefix { $0 != "]" } }
    if lists.contains(where: { isPlain($0, kinds) }) { return true }
    let words = line.split(separator: " ")
    let keys = words.filter { $0.hasPrefix(".") && $0.hasSuffix(":") && kinds.contains($0.dropFirst().dropLast()) }
    let compared = zip(words, words.dropFirst()).filter { sign, word in
      ["==", "!="].contains(sign) && !cases(word, kinds).isEmpty
    }
    return keys.count > 1 || compared.count > 1
  }

  /// `.jobs, Kind.pods`: elements that are all cases of Kind, two at least.
  private static func isPlain(_ list: Substring, _ kinds: Set<Substring>) -> Bool {
    let elements = list.split(separator: ",").map { element in element.split(separator: " ").joined() }
    return elements.count > 1
      && elements.allSatisfy { element in
        let parts = element.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 2 && ["", "Kind"].contains(parts[0]) && kinds.contains(parts[1])
      }
  }

  /// The cases of Kind that a text names, as `.jobs` or `Kind.jobs`.
  private static func cases(_ text: Substring, _ kinds: Set<Substring>) -> Set<Substring> {
    let words = text.split { !$0.isLetter && !$0.isNumber && $0 != "." }
    return Set(
      words.compactMap { word in
        let parts = word.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 2 && ["", "Kind"].contains(parts[0]) && kinds.contains(parts[1]) ? parts[1] : nil
      })
  }
}
