// Writes a JSON tree as compact or indented JSON text, digits and escapes as Go's encoding/json has them.
// It must not know about YAML (YAMLText) nor about what is written.

extension JSON {
  /// Appends the compact text. Strings are escaped as Go's encoding/json does without HTML escaping.
  /// A double that is no number cannot be written in JSON and becomes `null`.
  package func write(into output: inout [UInt8]) {
    var written = JSONOutput()
    write(into: &written)
    written.append(to: &output)
  }

  /// The compact text as bytes.
  package var bytes: [UInt8] {
    var output = JSONOutput()
    write(into: &output)
    return output.bytes
  }

  /// The compact text.
  package var text: String { String(decoding: bytes, as: UTF8.self) }

  /// The text as `kubectl -o json` lays it out: `indent` spaces a level, sorted keys, empty containers closed at once,
  /// no newline at the end.
  package func pretty(indent: Int = 4) -> String {
    var output = JSONOutput()
    writePretty(into: &output, indent: indent, level: 0)
    return String(decoding: output.bytes, as: UTF8.self)
  }

  fileprivate func write(into output: inout JSONOutput) {
    switch self {
    case .null: output.append("null")
    case .bool(let value): output.append(value ? "true" : "false")
    case .int(let value): output.append(integer: value)
    case .double(let value): output.append(value.isFinite ? goText(of: value) : "null")
    case .string(let value): output.append(quoted: value)
    case .array(let values):
      output.append(0x5B)
      for index in values.indices {
        if index > 0 { output.append(0x2C) }
        values[index].write(into: &output)
      }
      output.append(0x5D)
    case .object(let object): object.write(into: &output)
    }
  }

  fileprivate func writePretty(into output: inout JSONOutput, indent: Int, level: Int) {
    switch self {
    case .array(let values) where !values.isEmpty:
      output.append(0x5B)
      for (index, value) in values.enumerated() {
        if index > 0 { output.append(0x2C) }
        output.startLine(spaces: indent * (level + 1))
        value.writePretty(into: &output, indent: indent, level: level + 1)
      }
      output.startLine(spaces: indent * level)
      output.append(0x5D)
    case .object(let object) where !object.isEmpty:
      output.append(0x7B)
      for (index, member) in object.enumerated() {
        if index > 0 { output.append(0x2C) }
        output.startLine(spaces: indent * (level + 1))
        output.append(quoted: member.key)
        output.append(": ")
        member.value.writePretty(into: &output, indent: indent, level: level + 1)
      }
      output.startLine(spaces: indent * level)
      output.append(0x7D)
    default: write(into: &output)
    }
  }
}

extension JSONObject {
  /// By index: an iterator would count references for each member, which is half of what writing costs.
  fileprivate func write(into output: inout JSONOutput) {
    output.append(0x7B)
    for index in entries.indices {
      if index > 0 { output.append(0x2C) }
      output.append(quoted: entries[index].key)
      output.append(0x3A)
      entries[index].value.write(into: &output)
    }
    output.append(0x7D)
  }
}

extension JSONOutput {
  fileprivate mutating func startLine(spaces: Int) {
    append(0x0A)
    for _ in 0..<spaces { append(0x20) }
  }
}

/// The shortest digits that read back as `value`, laid out as Go does: an exponent only below 1e-6 or from 1e21.
func goText(of value: Double) -> String {
  if value == 0 { return value.sign == .minus ? "-0" : "0" }
  let sign = value < 0 ? "-" : ""
  // Swift's description has the same shortest digits; only the place of the exponent differs.
  let parts = value.magnitude.description.split(separator: "e")
  let mantissa = parts[0].split(separator: ".")
  let whole = String(mantissa[0])
  let fraction = mantissa.count > 1 ? String(mantissa[1]) : ""
  var point = whole.count + (parts.count > 1 ? Int(parts[1]) ?? 0 : 0)
  var digits = whole + fraction
  while digits.hasPrefix("0") {
    digits.removeFirst()
    point -= 1
  }
  while digits.hasSuffix("0") { digits.removeLast() }
  if point <= -6 || point > 21 {
    let rest = digits.dropFirst()
    let exponent = point - 1
    return
      "\(sign)\(digits.prefix(1))\(rest.isEmpty ? "" : ".")\(rest)e\(exponent < 0 ? "-" : "+")\(exponent.magnitude)"
  }
  if point <= 0 { return "\(sign)0.\(String(repeating: "0", count: -point))\(digits)" }
  if digits.count <= point { return "\(sign)\(digits)\(String(repeating: "0", count: point - digits.count))" }
  return "\(sign)\(digits.prefix(point)).\(digits.dropFirst(point))"
}

/// Appends `text` as a JSON string with its quotes.
func writeString(_ text: String, into output: inout [UInt8]) { JSON.string(text).write(into: &output) }
