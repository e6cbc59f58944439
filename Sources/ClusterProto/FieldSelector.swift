// Field selectors (`metadata.name=x,status.phase!=Running`): reading with Kubernetes' words, and matching.
// Must not know which fields a kind selects by.

/// A conjunction of terms on fields; without terms it matches everything.
package struct FieldSelector: Equatable, Sendable {
  /// One condition on one field.
  package struct Term: Equatable, Sendable {
    /// Path of the field, as `status.phase`.
    package var field: String
    /// What it is compared with.
    package var value: String
    /// True for `!=`.
    package var isNegative: Bool
  }

  /// All have to hold.
  package var terms: [Term] = []

  /// Matches everything.
  package init() {}

  /// Parses terms with `=`, `==` and `!=`; `\\`, `\=` and `\,` are the escapes in values.
  package init(parsing text: String) throws(SelectorError) {
    for part in Self.split(text) where !part.isEmpty {
      guard let equals = part.firstIndex(of: "=") else {
        throw SelectorError(message: "invalid selector: '\(text)'; can't understand '\(part)'")
      }
      let isNegative = equals > part.startIndex && part[part.index(before: equals)] == "!"
      let field = isNegative ? part[..<part.index(before: equals)] : part[..<equals]
      var value = part[part.index(after: equals)...]
      if !isNegative, value.hasPrefix("=") { value = value.dropFirst() }
      terms.append(Term(field: String(field), value: try Self.unescape(value), isNegative: isNegative))
    }
  }

  /// Whether every term holds; `lookup` gives the object's value of a field, nil where the kind has no such field.
  package func matches(_ lookup: (String) -> String?) -> Bool {
    terms.allSatisfy { term in ((lookup(term.field) ?? "") == term.value) != term.isNegative }
  }

  private static func split(_ text: String) -> [String] {
    var parts: [String] = []
    var current = ""
    var escaped = false
    for character in text {
      if character == ",", !escaped {
        parts.append(current)
        current = ""
      } else {
        current.append(character)
      }
      escaped = character == "\\" && !escaped
    }
    return parts + [current]
  }

  private static func unescape(_ text: Substring) throws(SelectorError) -> String {
    var result = ""
    var escaped = false
    for character in text {
      if escaped {
        guard character == "\\" || character == "," || character == "=" else {
          throw SelectorError(message: "invalid field selector: invalid escape sequence: \\\(character)")
        }
        result.append(character)
        escaped = false
      } else if character == "\\" {
        escaped = true
      } else if character == "=" {
        throw SelectorError(message: "invalid field selector: unescaped character in value: =")
      } else {
        result.append(character)
      }
    }
    if escaped { throw SelectorError(message: "invalid field selector: invalid escape sequence: \\") }
    return result
  }
}
