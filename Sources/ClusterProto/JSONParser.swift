// Reads JSON text (RFC 8259, strict) into a tree under bounds. Bad input is an error with an offset, never a trap.
// It must not know who sent the text; error wording follows Go's encoding/json, which is what kubectl users know.

/// Why a text is not the JSON we accept, and where.
package struct JSONError: Error, Equatable, CustomStringConvertible {
  /// The reason, worded like Go's encoding/json where that has a wording.
  package var message: String
  /// Bytes from the start of the text to the place.
  package var offset: Int

  /// An error at `offset` bytes from the start.
  package init(message: String, offset: Int) {
    self.message = message
    self.offset = offset
  }

  package var description: String { "\(message) (at byte \(offset))" }
}

/// Bounds on one parsed text.
package struct JSONLimits: Sendable {
  /// How many arrays and objects may enclose each other.
  package var depth: Int
  /// How many values the text may hold, containers included.
  package var nodes: Int

  /// Whole numbers from 2^63 to 2^64-1 are read as their text, which is exact, and not as doubles.
  package var keepsLargeNumbers = false

  /// What everything that comes from outside is read with.
  package static let standard = JSONLimits()

  /// What we have written ourselves is read with, whatever its size: what was acknowledged must be read again.
  package static let stored = JSONLimits(depth: 512, nodes: .max)

  /// Limits other than the standard ones. A depth above 512 would risk the stack of a thread and is cut to it.
  package init(depth: Int = 64, nodes: Int = 200_000) {
    self.depth = min(depth, 512)
    self.nodes = nodes
  }
}

extension JSON {
  /// Reads one JSON text that fills `bytes`.
  package init(parsing bytes: UnsafeRawBufferPointer, limits: JSONLimits = .standard) throws(JSONError) {
    let bound = bytes.bindMemory(to: UInt8.self)
    var parser = JSONParser(bytes: bound, limits: limits, reportsDuplicates: false)
    self = try parser.parseDocument()
  }

  /// Reads one JSON text that fills `bytes`.
  package init(parsing bytes: [UInt8], limits: JSONLimits = .standard) throws(JSONError) {
    self = try bytes.withUnsafeBufferPointer { (buffer) throws(JSONError) -> JSON in
      var parser = JSONParser(bytes: buffer, limits: limits, reportsDuplicates: false)
      return try parser.parseDocument()
    }
  }

  /// Reads one JSON text that fills `bytes`; offsets in errors count from the start of the slice.
  package init(parsing bytes: ArraySlice<UInt8>, limits: JSONLimits = .standard) throws(JSONError) {
    self = try bytes.withUnsafeBufferPointer { (buffer) throws(JSONError) -> JSON in
      var parser = JSONParser(bytes: buffer, limits: limits, reportsDuplicates: false)
      return try parser.parseDocument()
    }
  }

  /// Reads one JSON text that fills `text`.
  package init(parsing text: String, limits: JSONLimits = .standard) throws(JSONError) {
    try self.init(parsing: Array(text.utf8), limits: limits)
  }

  /// Reads one JSON text and says which keys occur more than once in their object, as paths like `spec.template` or
  /// `spec.containers[0].name`: what strict field validation refuses. Text without any is read once, without paths.
  package static func parseReportingDuplicates(
    _ bytes: [UInt8], limits: JSONLimits = .standard
  ) throws(JSONError) -> (value: JSON, duplicates: [String]) {
    try bytes.withUnsafeBufferPointer { (buffer) throws(JSONError) -> (value: JSON, duplicates: [String]) in
      var parser = JSONParser(bytes: buffer, limits: limits, reportsDuplicates: false)
      let value = try parser.parseDocument()
      if !parser.hasDuplicates { return (value, []) }
      parser = JSONParser(bytes: buffer, limits: limits, reportsDuplicates: true)
      _ = try parser.parseDocument()
      return (value, parser.duplicates)
    }
  }
}

/// One pass over the bytes by recursive descent; the recursion is bounded by `limits.depth`.
private struct JSONParser {
  let bytes: UnsafeBufferPointer<UInt8>
  let limits: JSONLimits
  let reportsDuplicates: Bool
  var position = 0
  var nodes = 0
  var hasDuplicates = false
  var duplicates: [String] = []
  /// The steps to the current container (`.key`, `[3]`); kept only when duplicates are reported.
  var path: [String] = []

  init(bytes: UnsafeBufferPointer<UInt8>, limits: JSONLimits, reportsDuplicates: Bool) {
    self.bytes = bytes
    self.limits = limits
    self.reportsDuplicates = reportsDuplicates
  }

  mutating func parseDocument() throws(JSONError) -> JSON {
    let value = try parseValue(depth: 0)
    if nextToken() != nil { throw unexpected("after top-level value") }
    return value
  }

  /// The next byte that is no white space, not consumed; nil at the end.
  @inline(__always)
  mutating func nextToken() -> UInt8? {
    while position < bytes.count {
      let byte = bytes[position]
      if byte > 0x20 || (byte != 0x20 && byte != 0x0A && byte != 0x0D && byte != 0x09) { return byte }
      position += 1
    }
    return nil
  }

  func unexpected(_ context: String) -> JSONError {
    guard position < bytes.count else {
      return JSONError(message: "unexpected end of JSON input", offset: bytes.count)
    }
    return JSONError(message: "invalid character \(quoted(bytes[position])) \(context)", offset: position)
  }

  private func quoted(_ byte: UInt8) -> String {
    switch byte {
    case 0x27: return "'\\''"
    case 0x5C: return "'\\\\'"
    case 0x07: return "'\\a'"
    case 0x08: return "'\\b'"
    case 0x09: return "'\\t'"
    case 0x0A: return "'\\n'"
    case 0x0B: return "'\\v'"
    case 0x0C: return "'\\f'"
    case 0x0D: return "'\\r'"
    case 0..<0x20, 0x7F: return "'\\x\(byte < 16 ? "0" : "")\(String(byte, radix: 16))'"
    case 0x80..<0xA1, 0xAD: return "'\\u00\(String(byte, radix: 16))'"
    default: return "'\(Character(Unicode.Scalar(byte)))'"
    }
  }

  mutating func parseValue(depth: Int) throws(JSONError) -> JSON {
    guard let byte = nextToken() else { throw unexpected("") }
    nodes += 1
    if nodes > limits.nodes {
      throw JSONError(message: "JSON has more than \(limits.nodes) values", offset: position)
    }
    switch byte {
    case 0x22:
      position += 1
      return .string(try parseString())
    case 0x7B:
      try checkDepth(depth)
      return try parseObject(depth: depth + 1)
    case 0x5B:
      try checkDepth(depth)
      return try parseArray(depth: depth + 1)
    case 0x2D, 0x30...0x39: return try parseNumber()
    case 0x74:
      try parseLiteral("true")
      return .bool(true)
    case 0x66:
      try parseLiteral("false")
      return .bool(false)
    case 0x6E:
      try parseLiteral("null")
      return .null
    default: throw unexpected("looking for beginning of value")
    }
  }

  private func checkDepth(_ depth: Int) throws(JSONError) {
    if depth >= limits.depth {
      throw JSONError(message: "JSON is nested deeper than \(limits.depth) levels", offset: position)
    }
  }

  private mutating func parseLiteral(_ literal: StaticString) throws(JSONError) {
    for index in 0..<literal.utf8CodeUnitCount {
      let expected = literal.utf8Start[index]
      guard position < bytes.count, bytes[position] == expected else {
        throw unexpected("in literal \(literal) (expecting '\(Character(Unicode.Scalar(expected)))')")
      }
      position += 1
    }
  }

  private mutating func parseArray(depth: Int) throws(JSONError) -> JSON {
    position += 1
    var values: [JSON] = []
    if nextToken() == 0x5D {
      position += 1
      return .array(values)
    }
    while true {
      if reportsDuplicates { path.append("[\(values.count)]") }
      values.append(try parseValue(depth: depth))
      if reportsDuplicates { path.removeLast() }
      switch nextToken() {
      case 0x2C: position += 1
      case 0x5D:
        position += 1
        return .array(values)
      default: throw unexpected("after array element")
      }
    }
  }

  private mutating func parseObject(depth: Int) throws(JSONError) -> JSON {
    position += 1
    if nextToken() == 0x7D {
      position += 1
      return .object(JSONObject())
    }
    var members: [(key: String, value: JSON)] = []
    members.reserveCapacity(4)
    while true {
      guard nextToken() == 0x22 else { throw unexpected("looking for beginning of object key string") }
      position += 1
      let key = try parseString()
      guard nextToken() == 0x3A else { throw unexpected("after object key") }
      position += 1
      if reportsDuplicates { path.append(path.isEmpty ? key : ".\(key)") }
      members.append((key: key, value: try parseValue(depth: depth)))
      if reportsDuplicates { path.removeLast() }
      switch nextToken() {
      case 0x2C: position += 1
      case 0x7D:
        position += 1
        return finishObject(members)
      default: throw unexpected("after object key:value pair")
      }
    }
  }

  private mutating func finishObject(_ members: consuming [(key: String, value: JSON)]) -> JSON {
    var repeated: [String] = []
    let object = JSONObject(normalizing: members, duplicates: &repeated)
    if !repeated.isEmpty { hasDuplicates = true }
    let room = Self.duplicateLimit - duplicates.count
    if reportsDuplicates, !repeated.isEmpty, room > 0 {
      let prefix = Self.beginning(of: path.joined())
      duplicates.append(
        contentsOf: repeated.prefix(room).map { Self.beginning(of: prefix.isEmpty ? $0 : "\(prefix).\($0)") })
    }
    return .object(object)
  }

  /// Keys that stand twice and are told, and bytes of the path of each: a long key is part of all paths below it.
  private static let duplicateLimit = 100
  private static let duplicateBytes = 1_024

  private static func beginning(of path: String) -> String {
    path.utf8.count <= duplicateBytes ? path : String(decoding: path.utf8.prefix(duplicateBytes), as: UTF8.self) + "…"
  }

  private mutating func parseNumber() throws(JSONError) -> JSON {
    let start = position
    let negative = bytes[position] == 0x2D
    if negative { position += 1 }
    guard position < bytes.count, isDigit(bytes[position]) else { throw unexpected("in numeric literal") }
    var magnitude: UInt64 = 0
    var overflow = false
    if bytes[position] == 0x30 {
      position += 1
    } else {
      while position < bytes.count, isDigit(bytes[position]) {
        let (product, first) = magnitude.multipliedReportingOverflow(by: 10)
        let (sum, second) = product.addingReportingOverflow(UInt64(bytes[position] &- 0x30))
        overflow = overflow || first || second
        magnitude = sum
        position += 1
      }
    }
    let fraction = try skipFractionAndExponent()
    if !fraction, !overflow {
      if !negative, let value = Int64(exactly: magnitude) { return .int(value) }
      if negative, magnitude <= UInt64(Int64.max) + 1 { return .int(Int64(truncatingIfNeeded: 0 &- magnitude)) }
    }
    let text = String(decoding: UnsafeBufferPointer(rebasing: bytes[start..<position]), as: UTF8.self)
    if limits.keepsLargeNumbers, !fraction, !overflow, !negative { return .string(text) }
    guard let value = Double(text), value.isFinite else {
      throw JSONError(message: "number \(text.prefix(40)) is out of range", offset: start)
    }
    return .double(value)
  }

  /// Whether there was a fraction or an exponent.
  private mutating func skipFractionAndExponent() throws(JSONError) -> Bool {
    var found = false
    if position < bytes.count, bytes[position] == 0x2E {
      found = true
      position += 1
      try skipDigits("after decimal point in numeric literal")
    }
    if position < bytes.count, bytes[position] | 0x20 == 0x65 {
      found = true
      position += 1
      if position < bytes.count, bytes[position] == 0x2B || bytes[position] == 0x2D { position += 1 }
      try skipDigits("in exponent of numeric literal")
    }
    return found
  }

  private mutating func skipDigits(_ context: String) throws(JSONError) {
    guard position < bytes.count, isDigit(bytes[position]) else { throw unexpected(context) }
    while position < bytes.count, isDigit(bytes[position]) { position += 1 }
  }

  @inline(__always)
  private func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

  /// The string whose opening quote has just been consumed.
  private mutating func parseString() throws(JSONError) -> String {
    let start = position
    var seen: UInt8 = 0
    while position < bytes.count {
      let byte = bytes[position]
      if byte == 0x22 {
        let run = UnsafeBufferPointer(rebasing: bytes[start..<position])
        position += 1
        return seen < 0x80 ? String(decoding: run, as: UTF8.self) : try validated(run, from: start)
      }
      if byte == 0x5C { return try parseEscapedString(from: start) }
      if byte < 0x20 { throw unexpected("in string literal") }
      seen |= byte
      position += 1
    }
    throw unexpected("")
  }

  private func validated(_ run: some Sequence<UInt8>, from start: Int) throws(JSONError) -> String {
    guard let text = String(validating: run, as: UTF8.self) else {
      throw JSONError(message: "invalid UTF-8 in string literal", offset: start)
    }
    return text
  }

  /// Goes on at the first backslash of a string that began at `start`.
  private mutating func parseEscapedString(from start: Int) throws(JSONError) -> String {
    var text = Array(bytes[start..<position])
    while position < bytes.count {
      let byte = bytes[position]
      if byte < 0x20 { throw unexpected("in string literal") }
      position += 1
      if byte == 0x22 { return try validated(text, from: start) }
      if byte == 0x5C { try parseEscape(into: &text) } else { text.append(byte) }
    }
    throw unexpected("")
  }

  private mutating func parseEscape(into text: inout [UInt8]) throws(JSONError) {
    guard position < bytes.count else { throw unexpected("") }
    switch bytes[position] {
    case 0x22: text.append(0x22)
    case 0x5C: text.append(0x5C)
    case 0x2F: text.append(0x2F)
    case 0x62: text.append(0x08)
    case 0x66: text.append(0x0C)
    case 0x6E: text.append(0x0A)
    case 0x72: text.append(0x0D)
    case 0x74: text.append(0x09)
    case 0x75:
      position += 1
      text.append(contentsOf: String(Character(try parseUnicodeEscape())).utf8)
      return
    default: throw unexpected("in string escape code")
    }
    position += 1
  }

  /// The scalar of a `\u` escape, or of the two of them that make a surrogate pair.
  private mutating func parseUnicodeEscape() throws(JSONError) -> Unicode.Scalar {
    let start = position - 2
    let first = try parseHexadecimal()
    if let scalar = Unicode.Scalar(first) { return scalar }
    guard first < 0xDC00, position + 1 < bytes.count, bytes[position] == 0x5C, bytes[position + 1] == 0x75 else {
      throw JSONError(message: "lone surrogate in \\u escape", offset: start)
    }
    position += 2
    let second = try parseHexadecimal()
    guard (0xDC00..<0xE000).contains(second),
      let scalar = Unicode.Scalar(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))
    else { throw JSONError(message: "lone surrogate in \\u escape", offset: start) }
    return scalar
  }

  private mutating func parseHexadecimal() throws(JSONError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard position < bytes.count else { throw unexpected("") }
      let byte = bytes[position]
      let digit: UInt8
      switch byte {
      case 0x30...0x39: digit = byte - 0x30
      case 0x41...0x46: digit = byte - 0x41 + 10
      case 0x61...0x66: digit = byte - 0x61 + 10
      default: throw unexpected("in \\u hexadecimal character escape")
      }
      value = value << 4 | UInt32(digit)
      position += 1
    }
    return value
  }
}
