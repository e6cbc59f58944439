// Owns: what a plain YAML scalar means: null, boolean, number or string, by the rules of the YAML library behind
// kubectl (goyaml.v2: YAML 1.1 words and octals, YAML 1.2's 0o). It must not know of documents or anchors.

import ClusterProto

/// Resolution of scalars without quotes and without a tag.
enum YAMLScalar {
  /// The value of `text` standing plain in a document. Timestamps stay strings; out-of-range whole numbers become
  /// doubles.
  static func resolve(_ text: String) -> JSON {
    guard let first = text.utf8.first else { return .null }
    switch first {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."):
      return number(text) ?? .string(text)
    default: return words[text] ?? .string(text)
    }
  }

  private static let words: [String: JSON] = {
    var words: [String: JSON] = ["~": .null]
    for word in ["null", "Null", "NULL"] { words[word] = .null }
    for word in ["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"] { words[word] = true }
    for word in ["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"] { words[word] = false }
    return words
  }()

  private static func number(_ text: String) -> JSON? {
    if let special = infinities[text] { return .double(special) }
    if text.utf8.first == UInt8(ascii: ".") {
      return isFloat(text) ? Double(text).map { .double($0) } : nil
    }
    let plain = text.replacing("_", with: "")
    if let whole = wholeNumber(plain) { return whole }
    guard isFloat(plain), let value = Double(plain), value.isFinite else { return nil }
    return .double(value)
  }

  private static let infinities: [String: Double] = [
    ".nan": .nan, ".NaN": .nan, ".NAN": .nan, ".inf": .infinity, ".Inf": .infinity, ".INF": .infinity,
    "+.inf": .infinity, "+.Inf": .infinity, "+.INF": .infinity, "-.inf": -.infinity, "-.Inf": -.infinity,
    "-.INF": -.infinity,
  ]

  /// Go's base-0 integers: 0x, 0o, 0b, and a leading 0 for octal. What does not fit 64 bits becomes a double.
  private static func wholeNumber(_ text: String) -> JSON? {
    var digits = text[...]
    var negative = false
    if digits.hasPrefix("-") || digits.hasPrefix("+") {
      negative = digits.hasPrefix("-")
      digits = digits.dropFirst()
    }
    var radix = 10
    if digits.utf8.count > 1, digits.utf8.first == UInt8(ascii: "0") {
      switch digits.dropFirst().utf8.first {
      case UInt8(ascii: "x"), UInt8(ascii: "X"): (radix, digits) = (16, digits.dropFirst(2))
      case UInt8(ascii: "o"), UInt8(ascii: "O"): (radix, digits) = (8, digits.dropFirst(2))
      case UInt8(ascii: "b"), UInt8(ascii: "B"): (radix, digits) = (2, digits.dropFirst(2))
      default: (radix, digits) = (8, digits.dropFirst())
      }
    }
    // Swift's parser would take a second sign.
    guard let lead = digits.utf8.first, lead != UInt8(ascii: "-"), lead != UInt8(ascii: "+") else { return nil }
    if let value = Int64((negative ? "-" : "") + digits, radix: radix) { return .int(value) }
    var value = 0.0
    for digit in digits.unicodeScalars {
      guard digit.isASCII, let amount = Character(digit).hexDigitValue, amount < radix else { return nil }
      value = value * Double(radix) + Double(amount)
    }
    if radix == 10 { value = Double(digits) ?? value }
    return value.isFinite ? .double(negative ? -value : value) : nil
  }

  /// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
  private static func isFloat(_ text: String) -> Bool {
    var rest = Array(text.utf8)[...]
    func isSign(_ byte: UInt8?) -> Bool { byte == UInt8(ascii: "-") || byte == UInt8(ascii: "+") }
    func takeDigits() -> Bool {
      let end = rest.firstIndex { !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ?? rest.endIndex
      defer { rest = rest[end...] }
      return end > rest.startIndex
    }
    if isSign(rest.first) { rest = rest.dropFirst() }
    let hasWhole = takeDigits()
    if rest.first == UInt8(ascii: ".") {
      rest = rest.dropFirst()
      let hasFraction = takeDigits()
      if !hasWhole, !hasFraction { return false }
    } else if !hasWhole {
      return false
    }
    if rest.first == UInt8(ascii: "e") || rest.first == UInt8(ascii: "E") {
      rest = rest.dropFirst()
      if isSign(rest.first) { rest = rest.dropFirst() }
      if !takeDigits() { return false }
    }
    return rest.isEmpty
  }
}
