// A rough check that a core never lets Dictionary or Set order reach behaviour: `for … in name` where `name` was
// declared in the same file as a Dictionary or Set. `.sorted` on the line clears it.

import Foundation

enum UnorderedIteration {
  static func lint(_ file: SourceFile) -> [Finding] {
    let names = Set(file.lines.compactMap { declaredUnordered($0) })
    return file.lines.enumerated().compactMap { index, line in
      guard let subject = iterated(line), names.contains(subject) else { return nil }
      return Finding(
        path: file.path, line: index + 1, rule: "iterates \(subject), whose order differs in every process")
    }
  }

  /// The name in `var name: [Key: Value]`, `var name: Set<…>` or `var name: [Key: Value] = …`.
  static func declaredUnordered(_ line: Substring) -> String? {
    guard let range = line.range(of: "var ") ?? line.range(of: "let ") else { return nil }
    let rest = line[range.upperBound...]
    guard let colon = rest.firstIndex(of: ":") else { return nil }
    let name = rest[..<colon]
    guard name.allSatisfy({ $0.isLetter || $0.isNumber || $0 == "_" }) else { return nil }
    let type = rest[rest.index(after: colon)...].drop { $0 == " " }
    if type.hasPrefix("Set<") { return String(name) }
    guard type.hasPrefix("["), let close = type.firstIndex(of: "]") else { return nil }
    return type[..<close].contains(":") ? String(name) : nil
  }

  /// The plain name that a `for … in NAME {` line iterates.
  static func iterated(_ line: Substring) -> String? {
    let words = line.split(separator: " ")
    guard words.first == "for", let position = words.firstIndex(of: "in"), position + 1 < words.count else {
      return nil
    }
    guard !line.contains(".sorted") else { return nil }
    let subject = words[position + 1].split(separator: ".").filter { $0 != "keys" && $0 != "values" }
    return subject.last.map { String($0) }
  }
}
