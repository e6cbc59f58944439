// Strict decoding errors of one body in Kubernetes' order: what the text itself has wrong (keys that stand twice) and
// fields that the schema does not know, together in the order of the fields. Knows nothing of verbs.

import ClusterProto

enum StrictErrors {
  /// `text`: as the body's reader words them, a path in quotes or a whole YAML error; `unknown`: paths.
  static func texts(_ text: [String], unknown: [String]) -> [String] {
    let unknownTexts = unknown.map { "unknown field \"\($0)\"" }
    if text.isEmpty { return unknownTexts }
    // Kubernetes skips an unknown field whole: what stands twice in it is not said.
    let skipped = Set(unknown)
    let known = text.filter { error in
      guard let path = path(error) else { return true }
      if skipped.isEmpty || skipped.contains(path) { return skipped.isEmpty }
      return !path.indices.contains { (path[$0] == "." || path[$0] == "[") && skipped.contains(String(path[..<$0])) }
    }
    let all = (known + unknownTexts).map { (text: $0, steps: path($0).map(steps) ?? []) }
    // Equal paths keep their order: the sort must be stable, which the library does not promise.
    return all.indices.sorted { precedes(all[$0].steps, all[$1].steps) ?? ($0 < $1) }.map { all[$0].text }
  }

  /// Errors that a refusal tells one by one.
  static let limit = 100

  static func joined(_ texts: [String]) -> String {
    let more = texts.count - limit
    return texts.prefix(limit).map { Excerpt.of($0) }.joined(separator: ", ") + (more > 0 ? ", and \(more) more" : "")
  }

  private static func path(_ error: String) -> String? {
    for prefix in ["duplicate field \"", "unknown field \""] where error.hasPrefix(prefix) {
      return String(error.dropFirst(prefix.count).dropLast())
    }
    return nil
  }

  private static func steps(_ path: String) -> [Substring] {
    path.split { $0 == "." || $0 == "[" }.map { $0.last == "]" ? $0.dropLast() : $0 }
  }

  /// nil: equal.
  private static func precedes(_ left: [Substring], _ right: [Substring]) -> Bool? {
    for (first, second) in zip(left, right) where first != second {
      if let one = Int(first), let other = Int(second) { return one < other }
      return first.utf8.lexicographicallyPrecedes(second.utf8)
    }
    return left.count == right.count ? nil : left.count < right.count
  }
}
