// Reads label selectors from text (`a=b,c in (d,e),!f`), with the errors that a Kubernetes API server gives.
// Must not know how selectors match.

extension LabelSelector {
  /// Parses `a=b,c==d,e!=f,g in (h,i),j notin (k),l,!m,n>1,o<2`; empty text matches everything.
  package init(parsing text: String) throws(SelectorError) {
    var parser = LabelSelectorParser(text)
    requirements = try parser.parse()
  }
}

private struct LabelSelectorParser {
  enum Token: Equatable {
    case end, word, comma, open, close, not, equals, doubleEquals, notEquals, greater, less, unknown
  }

  private var tokens: [(token: Token, text: String)] = []
  private var position = 0

  init(_ text: String) {
    let bytes = Array(text.utf8)
    var index = 0
    while index < bytes.count {
      if Self.isBlank(bytes[index]) {
        index += 1
      } else if let length = Self.symbolLength(bytes[index...]) {
        let symbol = String(decoding: bytes[index..<(index + length)], as: UTF8.self)
        tokens.append((Self.token(of: symbol), symbol))
        index += length
      } else {
        let start = index
        while index < bytes.count, !Self.isBlank(bytes[index]), Self.symbolLength(bytes[index...]) == nil { index += 1 }
        tokens.append((.word, String(decoding: bytes[start..<index], as: UTF8.self)))
      }
    }
    tokens.append((.end, ""))
  }

  private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }

  /// The length of the operator or bracket that starts here; nil in a word.
  private static func symbolLength(_ bytes: ArraySlice<UInt8>) -> Int? {
    guard let first = bytes.first, "=!(),<>".utf8.contains(first) else { return nil }
    return (first == 0x3D || first == 0x21) && bytes.dropFirst().first == 0x3D ? 2 : 1
  }

  private static func token(of symbol: String) -> Token {
    switch symbol {
    case ",": .comma
    case "(": .open
    case ")": .close
    case "!": .not
    case "=": .equals
    case "==": .doubleEquals
    case "!=": .notEquals
    case ">": .greater
    case "<": .less
    default: .unknown
    }
  }

  private var next: (token: Token, text: String) { tokens[min(position, tokens.count - 1)] }

  private mutating func take() -> (token: Token, text: String) {
    let taken = next
    position += 1
    return taken
  }

  mutating func parse() throws(SelectorError) -> [LabelSelector.Requirement] {
    var requirements: [LabelSelector.Requirement] = []
    while next.token != .end {
      guard next.token == .word || next.token == .not else {
        throw SelectorError(message: "found '\(next.text)', expected: !, identifier, or 'end of string'")
      }
      do throws(SelectorError) {
        requirements.append(try parseRequirement())
      } catch {
        throw SelectorError(message: "unable to parse requirement: \(error.message)")
      }
      let separator = take()
      if separator.token == .end { break }
      guard separator.token == .comma else {
        throw SelectorError(message: "found '\(separator.text)', expected: ',' or 'end of string'")
      }
      guard next.token == .word || next.token == .not else {
        throw SelectorError(message: "found '\(next.text)', expected: identifier after ','")
      }
    }
    return requirements
  }

  private mutating func parseRequirement() throws(SelectorError) -> LabelSelector.Requirement {
    let isAbsence = next.token == .not
    if isAbsence { position += 1 }
    let key = take()
    guard key.token == .word else { throw SelectorError(message: "found '\(key.text)', expected: identifier") }
    let errors = Names.labelKeyErrors(key.text)
    if !errors.isEmpty {
      let reasons = errors.joined(separator: "; ")
      throw SelectorError(message: "<nil>: Invalid value: \(quoted(key.text)): \(reasons)")
    }
    if isAbsence { return LabelSelector.Requirement(key: key.text, operation: .doesNotExist, values: []) }
    if next.token == .end || next.token == .comma {
      return LabelSelector.Requirement(key: key.text, operation: .exists, values: [])
    }
    let operation = try parseOperator()
    let values = operation == .in || operation == .notIn ? try parseList() : [try parseValue()]
    let sorted = LabelSelector.sortedUnique(values)
    try validate(sorted, of: key.text, operation)
    return LabelSelector.Requirement(key: key.text, operation: operation, values: sorted)
  }

  private mutating func parseOperator() throws(SelectorError) -> LabelSelector.Operator {
    let symbol = take()
    switch symbol.token {
    case .equals, .doubleEquals: return .equals
    case .notEquals: return .notEquals
    case .greater: return .greaterThan
    case .less: return .lessThan
    case .word where symbol.text == "in": return .in
    case .word where symbol.text == "notin": return .notIn
    default: throw SelectorError(message: "found '\(symbol.text)', expected: in, notin, =, ==, !=, gt, lt")
    }
  }

  /// The value after `=` and its like; absent means empty.
  private mutating func parseValue() throws(SelectorError) -> String {
    if next.token == .end || next.token == .comma { return "" }
    let value = take()
    guard value.token == .word else { throw SelectorError(message: "found '\(value.text)', expected: identifier") }
    return value.text
  }

  /// `(a,b)`; between commas nothing means an empty value.
  private mutating func parseList() throws(SelectorError) -> [String] {
    let open = take()
    guard open.token == .open else { throw SelectorError(message: "found '\(open.text)' expected: '('") }
    guard next.token == .word || next.token == .comma || next.token == .close else {
      throw SelectorError(message: "found '\(next.text)', expected: ',', ')' or identifier")
    }
    var values: [String] = []
    while true {
      if next.token == .word {
        values.append(take().text)
        guard next.token == .comma || next.token == .close else {
          throw SelectorError(message: "found '\(next.text)', expected: ',' or ')'")
        }
      } else if next.token == .comma || next.token == .close {
        values.append("")
      } else {
        throw SelectorError(message: "found '\(next.text)', expected: ',', or identifier")
      }
      if take().token == .close { return values }
    }
  }

  private func validate(
    _ values: [String], of key: String, _ operation: LabelSelector.Operator
  ) throws(SelectorError) {
    var messages: [String] = []
    for (index, value) in values.enumerated() {
      if operation == .greaterThan || operation == .lessThan, Int64(value) == nil {
        messages.append(
          "values[\(index)]: Invalid value: \(quoted(value)): for 'Gt', 'Lt' operators, the value must be an integer")
      }
      let errors = Names.labelValueErrors(value)
      if !errors.isEmpty {
        let reasons = errors.joined(separator: "; ")
        messages.append("values[\(index)][\(key)]: Invalid value: \(quoted(value)): \(reasons)")
      }
    }
    if messages.count == 1 { throw SelectorError(message: messages[0]) }
    if !messages.isEmpty { throw SelectorError(message: "[\(messages.joined(separator: ", "))]") }
  }

  private func quoted(_ text: String) -> String { JSON.string(text).text }
}
