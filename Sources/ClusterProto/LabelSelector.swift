// Label and field selectors: parsing with Kubernetes' words, matching, printing. Know nothing of objects.

/// A conjunction of requirements on labels; without requirements it matches everything.
package struct LabelSelector: Equatable, Sendable {
  package enum Operator: Equatable, Sendable { case `in`, notIn, exists, doesNotExist }

  package struct Requirement: Equatable, Sendable {
    package var key: String
    package var operation: Operator
    package var values: [String]
  }

  package var requirements: [Requirement] = []

  package init() {}

  /// Whether labels (by look-up) meet every requirement. As in Kubernetes, `!=` and `notin` match where the key is absent.
  package func matches(_ labels: StringMap) -> Bool {
    requirements.allSatisfy { requirement in
      let value = labels[requirement.key]
      switch requirement.operation {
      case .in: return value.map { requirement.values.contains($0) } ?? false
      case .notIn: return value.map { !requirement.values.contains($0) } ?? true
      case .exists: return value != nil
      case .doesNotExist: return value == nil
      }
    }
  }

  /// A Kubernetes LabelSelector object ({matchLabels, matchExpressions}).
  package init(json: JSON?) {
    for entry in StringMap(json: json?["matchLabels"]) {
      requirements.append(Requirement(key: entry.key, operation: .in, values: [entry.value]))
    }
    for expression in json?["matchExpressions"]?.arrayValue ?? [] {
      let operation: Operator
      switch expression["operator"]?.stringValue {
      case "In": operation = .in
      case "NotIn": operation = .notIn
      case "Exists": operation = .exists
      default: operation = .doesNotExist
      }
      requirements.append(
        Requirement(
          key: expression["key"]?.stringValue ?? "", operation: operation,
          values: (expression["values"]?.arrayValue ?? []).compactMap(\.stringValue).sorted()))
    }
  }

  /// As kubectl prints it: `a=b,c in (d,e),!f`, sorted by key.
  package var description: String {
    requirements.sorted { $0.key < $1.key }.map { requirement in
      let list = "(\(requirement.values.joined(separator: ",")))"
      switch requirement.operation {
      case .in:
        return requirement.values.count == 1
          ? "\(requirement.key)=\(requirement.values[0])" : "\(requirement.key) in \(list)"
      case .notIn:
        return requirement.values.count == 1
          ? "\(requirement.key)!=\(requirement.values[0])" : "\(requirement.key) notin \(list)"
      case .exists: return requirement.key
      case .doesNotExist: return "!\(requirement.key)"
      }
    }.joined(separator: ",")
  }

  /// Parses `a=b,c!=d,e in (f,g),h notin (i),j,!k`.
  package init(parsing text: String) throws(SelectorError) {
    for part in Self.split(text) {
      requirements.append(try Self.requirement(part))
    }
  }

  /// Splits at commas outside parentheses.
  private static func split(_ text: String) -> [String] {
    var parts: [String] = []
    var current = ""
    var depth = 0
    for character in text {
      if character == "(" { depth += 1 }
      if character == ")" { depth -= 1 }
      if character == ",", depth == 0 {
        parts.append(current)
        current = ""
      } else {
        current.append(character)
      }
    }
    let all = parts + [current]
    return all.count == 1 && trim(Substring(all[0])).isEmpty ? [] : all
  }

  private static func requirement(_ part: String) throws(SelectorError) -> Requirement {
    let text = trim(Substring(part))
    func key(_ raw: Substring) throws(SelectorError) -> String {
      let name = String(trim(raw))
      guard let error = Names.labelKeyErrors(name).first else { return name }
      throw SelectorError(message: "unable to parse requirement: <nil>: Invalid value: \"\(name)\": \(error)")
    }
    func values(_ raw: [Substring]) throws(SelectorError) -> [String] {
      var result: [String] = []
      for value in raw {
        let name = String(trim(value))
        if let error = Names.labelValueErrors(name).first {
          throw SelectorError(message: "unable to parse requirement: <nil>: Invalid value: \"\(name)\": \(error)")
        }
        result.append(name)
      }
      return result.sorted()
    }
    if text.hasPrefix("!") { return Requirement(key: try key(text.dropFirst()), operation: .doesNotExist, values: []) }
    if let open = text.firstIndex(of: "(") {
      let words = text[..<open].split(separator: " ")
      guard text.hasSuffix(")"), words.count == 2, words[1] == "in" || words[1] == "notin" else {
        throw SelectorError(
          message: "unable to parse requirement: found '\(text)', expected: in, notin, =, ==, !=, gt, lt")
      }
      let inner = text[text.index(after: open)...].dropLast().split(separator: ",", omittingEmptySubsequences: false)
      return Requirement(
        key: try key(words[0]), operation: words[1] == "in" ? .in : .notIn, values: try values(inner))
    }
    guard let equals = text.firstIndex(of: "=") else {
      return Requirement(key: try key(text), operation: .exists, values: [])
    }
    let isNegative = equals > text.startIndex && text[text.index(before: equals)] == "!"
    let left = isNegative ? text[..<text.index(before: equals)] : text[..<equals]
    var right = text[text.index(after: equals)...]
    if !isNegative, right.hasPrefix("=") { right = right.dropFirst() }
    return Requirement(key: try key(left), operation: isNegative ? .notIn : .in, values: try values([right]))
  }

  fileprivate static func trim(_ text: Substring) -> Substring {
    var result = text.drop { $0 == " " || $0 == "\t" }
    while let last = result.last, last == " " || last == "\t" { result = result.dropLast() }
    return result
  }
}

package struct SelectorError: Error, Equatable, Sendable {
  package var message: String
}

/// `metadata.name=x,status.phase!=Running`; without terms it matches everything.
package struct FieldSelector: Equatable, Sendable {
  package struct Term: Equatable, Sendable {
    package var field: String
    package var value: String
    package var isNegative: Bool
  }

  package var terms: [Term] = []

  package init() {}

  /// Parses terms with `=`, `==` and `!=`; `\\`, `\=` and `\,` are escapes in values.
  package init(parsing text: String) throws(SelectorError) {
    for part in Self.split(text) {
      if part.isEmpty { continue }
      guard let equals = part.firstIndex(of: "=") else {
        throw SelectorError(message: "invalid selector: '\(part)'; can't understand '\(part)'")
      }
      let isNegative = equals > part.startIndex && part[part.index(before: equals)] == "!"
      let field = isNegative ? part[..<part.index(before: equals)] : part[..<equals]
      var value = part[part.index(after: equals)...]
      if !isNegative, value.hasPrefix("=") { value = value.dropFirst() }
      terms.append(Term(field: String(field), value: Self.unescape(value), isNegative: isNegative))
    }
  }

  /// Whether every term holds; `lookup` gives the object's value of a field, nil for fields that the kind does not select by.
  package func matches(_ lookup: (String) -> String?) -> Bool {
    terms.allSatisfy { term in (lookup(term.field) ?? "") == term.value ? !term.isNegative : term.isNegative }
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

  private static func unescape(_ text: Substring) -> String {
    var result = ""
    var escaped = false
    for character in text {
      if character == "\\", !escaped {
        escaped = true
      } else {
        result.append(character)
        escaped = false
      }
    }
    return result
  }
}
