// Owns: `-o jsonpath=TEMPLATE`: text and expressions in braces, as kubectl prints them. Paths know names, indexes, `*`,
// filters by == and !=, and range. It must not fetch anything.

import ClusterProto

/// A parsed template.
struct JSONPath {
  private indirect enum Piece {
    case text(String)
    case path([Step])
    case range([Step], [Piece])
  }

  private enum Step {
    case name(String)
    case index(Int)
    case all
    /// Elements whose value at the path equals the text (or not); without text: that have one.
    case filter([Step], text: String?, isEqual: Bool)
  }

  private var pieces: [Piece] = []
  private static let depthLimit = 20

  /// Reads `template`; one without braces is an expression by itself.
  init(_ template: String) throws(CommandError) {
    var reader = Reader(template.contains("{") ? template : "{\(template)}")
    pieces = try reader.pieces(depth: 0)
  }

  /// From a value of `--output`; nil when it asks for something else.
  init?(output: String?) throws(CommandError) {
    guard let output, output.hasPrefix("jsonpath=") else { return nil }
    try self.init(String(output.dropFirst("jsonpath=".count)))
  }

  /// What the template says of `object`; what it does not have is left out.
  func text(of object: JSON) -> String { JSONPath.text(pieces, object) }

  private static func text(_ pieces: [Piece], _ object: JSON) -> String {
    var text = ""
    for piece in pieces {
      switch piece {
      case .text(let literal): text += literal
      case .path(let steps):
        text += find(steps, object).map { $0.stringValue ?? $0.text }.joined(separator: " ")
      case .range(let steps, let inner):
        for element in find(steps, object) { text += self.text(inner, element) }
      }
    }
    return text
  }

  private static func find(_ steps: [Step], _ object: JSON) -> [JSON] {
    var found = [object]
    for step in steps {
      found = found.flatMap { value -> [JSON] in
        switch step {
        case .name(let name): return value.objectValue == nil ? [] : value[name].map { [$0] } ?? []
        case .index(let index):
          guard let list = value.arrayValue else { return [] }
          let position = index < 0 ? list.count + index : index
          return list.indices.contains(position) ? [list[position]] : []
        case .all:
          return value.arrayValue ?? value.objectValue?.map { $0.value } ?? []
        case .filter(let inner, let text, let isEqual):
          return (value.arrayValue ?? []).filter { element in
            let values = find(inner, element)
            guard let text else { return !values.isEmpty }
            return values.contains { ($0.stringValue ?? $0.text) == text } == isEqual
          }
        }
      }
    }
    return found
  }

  private struct Reader {
    private let text: [Character]
    private var position = 0

    init(_ text: String) { self.text = Array(text) }

    private var next: Character? { position < text.count ? text[position] : nil }

    private func problem(_ what: String) -> CommandError {
      CommandError("error: error parsing jsonpath \(String(text.prefix(100))): \(what)")
    }

    private mutating func skip(_ word: String) -> Bool {
      guard text[position...].starts(with: word) else { return false }
      position += word.count
      return true
    }

    private mutating func skipBlanks() { while next == " " { position += 1 } }

    /// Up to the end of the text, or of the range at depth > 0.
    mutating func pieces(depth: Int) throws(CommandError) -> [Piece] {
      if depth > JSONPath.depthLimit { throw problem("too many ranges in each other") }
      var result: [Piece] = []
      while let character = next {
        guard character == "{" else {
          let start = position
          while next != nil, next != "{" { position += 1 }
          result.append(.text(String(text[start..<position])))
          continue
        }
        position += 1
        skipBlanks()
        if skip("end") {
          try close()
          if depth == 0 { throw problem("not in range, nothing to end") }
          return result
        }
        if skip("range ") {
          let steps = try path()
          try close()
          result.append(.range(steps, try pieces(depth: depth + 1)))
          continue
        }
        while let character = next, character != "}" {
          result.append(character == "\"" || character == "'" ? .text(try quoted()) : .path(try path()))
          skipBlanks()
        }
        try close()
      }
      if depth > 0 { throw problem("unclosed range") }
      return result
    }

    private mutating func close() throws(CommandError) {
      skipBlanks()
      if !skip("}") { throw problem("unclosed action") }
    }

    private mutating func path() throws(CommandError) -> [Step] {
      skipBlanks()
      let start = position
      if next == "$" || next == "@" { position += 1 }
      var steps: [Step] = []
      while let character = next, character == "." || character == "[" || position == start {
        if character == "[" {
          position += 1
          steps.append(try bracket())
          continue
        }
        if character == "." { position += 1 }
        if skip("*") {
          steps.append(.all)
        } else if next == "." {
          throw problem("recursive descent (..) is not supported")
        } else {
          let name = name()
          if !name.isEmpty { steps.append(.name(name)) } else if next != "[", position == start { break }
        }
      }
      if position == start { throw problem("unrecognized character \(next.map { "\"\($0)\"" } ?? "at the end")") }
      return steps
    }

    private mutating func name() -> String {
      var name = ""
      while let character = next, !" .[]{}()=!<>\"',?".contains(character) {
        position += 1
        // A dot in a name is written \.
        if character == "\\", let escaped = next {
          name.append(escaped)
          position += 1
        } else {
          name.append(character)
        }
      }
      return name
    }

    private mutating func bracket() throws(CommandError) -> Step {
      let step: Step
      if skip("*") {
        step = .all
      } else if skip("?(") {
        step = try filter()
        if !skip(")") { throw problem("unclosed filter") }
      } else if next == "'" || next == "\"" {
        step = .name(try quoted())
      } else if let index = Int(name()) {
        step = .index(index)
      } else {
        throw problem("an index is a number, * or a quoted name")
      }
      if !skip("]") { throw problem("unclosed array: slices and unions are not supported") }
      return step
    }

    private mutating func filter() throws(CommandError) -> Step {
      let steps = try path()
      skipBlanks()
      let isEqual = skip("==")
      guard isEqual || skip("!=") else { return .filter(steps, text: nil, isEqual: true) }
      skipBlanks()
      let value = next == "\"" || next == "'" ? try quoted() : name()
      skipBlanks()
      return .filter(steps, text: value, isEqual: isEqual)
    }

    private mutating func quoted() throws(CommandError) -> String {
      let quote = next
      position += 1
      var result = ""
      while let character = next, character != quote {
        position += 1
        guard character == "\\", let escaped = next else {
          result.append(character)
          continue
        }
        position += 1
        switch escaped {
        case "n": result.append("\n")
        case "t": result.append("\t")
        default: result.append(escaped)
        }
      }
      if next == nil { throw problem("unterminated quoted string") }
      position += 1
      return result
    }
  }
}
