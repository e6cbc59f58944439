// Writes a JSON tree as compact or indented JSON text, digits and escapes as Go's encoding/json has them.
// It must not know about YAML (YAMLText) nor about what is written.

extension JSON {
  /// Appends the compact text. Strings are escaped as Go's encoding/json does without HTML escaping.
  /// A double that is no number cannot be written in JSON and becomes `null`.
  package func write(into output: inout [UInt8]) {
    switch self {
    case .null: output.append(contentsOf: "null".utf8)
    case .bool(let value): output.append(contentsOf: (value ? "true" : "false").utf8)
    case .int(let value): writeInteger(value, into: &output)
    case .double(let value): output.append(contentsOf: (value.isFinite ? goText(of: value) : "null").utf8)
    case .string(let value): writeString(value, into: &output)
    case .array(let values):
      output.append(0x5B)
      var first = true
      for value in values {
        if first { first = false } else { output.append(0x2C) }
        value.write(into: &output)
      }
      output.append(0x5D)
    case .object(let object):
      output.append(0x7B)
      var first = true
      for (key, value) in object {
        if first { first = false } else { output.append(0x2C) }
        writeString(key, into: &output)
        output.append(0x3A)
        value.write(into: &output)
      }
      output.append(0x7D)
    }
  }

  /// The compact text as bytes.
  package var bytes: [UInt8] {
    var output: [UInt8] = []
    output.reserveCapacity(512)
    write(into: &output)
    return output
  }

  /// The compact text.
  package var text: String { String(decoding: bytes, as: UTF8.self) }

  /// The text as `kubectl -o json` lays it out: `indent` spaces a level, sorted keys, empty containers closed at once,
  /// no newline at the end.
  package func pretty(indent: Int = 4) -> String {
    var output: [UInt8] = []
    writePretty(into: &output, indent: indent, level: 0)
    return String(decoding: output, as: UTF8.self)
  }

  private func writePretty(into output: inout [UInt8], indent: Int, level: Int) {
    switch self {
    case .array(let values) where !values.isEmpty:
      output.append(0x5B)
      for (index, value) in values.enumerated() {
        if index > 0 { output.append(0x2C) }
        startLine(spaces: indent * (level + 1), into: &output)
        value.writePretty(into: &output, indent: indent, level: level + 1)
      }
      startLine(spaces: indent * level, into: &output)
      output.append(0x5D)
    case .object(let object) where !object.isEmpty:
      output.append(0x7B)
      for (index, member) in object.enumerated() {
        if index > 0 { output.append(0x2C) }
        startLine(spaces: indent * (level + 1), into: &output)
        writeString(member.key, into: &output)
        output.append(contentsOf: ": ".utf8)
        member.value.writePretty(into: &output, indent: indent, level: level + 1)
      }
      startLine(spaces: indent * level, into: &output)
      output.append(0x7D)
    default: write(into: &output)
    }
  }
}

private func startLine(spaces: Int, into output: inout [UInt8]) {
  output.append(0x0A)
  output.append(contentsOf: repeatElement(0x20, count: spaces))
}

private func writeInteger(_ value: Int64, into output: inout [UInt8]) {
  if value < 0 { output.append(0x2D) }
  var magnitude = value.magnitude
  let start = output.count
  repeat {
    output.append(0x30 + UInt8(truncatingIfNeeded: magnitude % 10))
    magnitude /= 10
  } while magnitude > 0
  output[start...].reverse()
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
func writeString(_ text: String, into output: inout [UInt8]) {
  output.append(0x22)
  let done: Void? = text.utf8.withContiguousStorageIfAvailable { writeEscaped($0, into: &output) }
  if done == nil { Array(text.utf8).withUnsafeBufferPointer { writeEscaped($0, into: &output) } }
  output.append(0x22)
}

private func writeEscaped(_ bytes: UnsafeBufferPointer<UInt8>, into output: inout [UInt8]) {
  var start = 0
  var index = 0
  while index < bytes.count {
    let byte = bytes[index]
    if byte >= 0x20, byte != 0x22, byte != 0x5C, byte != 0xE2 {
      index += 1
      continue
    }
    var width = 1
    if byte == 0xE2 {
      // U+2028 and U+2029 break JavaScript sources; Go escapes them always.
      guard index + 2 < bytes.count, bytes[index + 1] == 0x80, bytes[index + 2] & 0xFE == 0xA8 else {
        index += 1
        continue
      }
      width = 3
    }
    output.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[start..<index]))
    output.append(0x5C)
    appendEscape(byte, third: width == 3 ? bytes[index + 2] : 0, into: &output)
    index += width
    start = index
  }
  output.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[start...]))
}

/// What follows the backslash. `third` is the last byte of U+2028 or U+2029.
private func appendEscape(_ byte: UInt8, third: UInt8, into output: inout [UInt8]) {
  switch byte {
  case 0x22, 0x5C: output.append(byte)
  case 0x08: output.append(0x62)
  case 0x0C: output.append(0x66)
  case 0x0A: output.append(0x6E)
  case 0x0D: output.append(0x72)
  case 0x09: output.append(0x74)
  case 0xE2: output.append(contentsOf: (third == 0xA8 ? "u2028" : "u2029").utf8)
  default:
    let digits = Array("0123456789abcdef".utf8)
    output.append(contentsOf: "u00".utf8)
    output.append(digits[Int(byte >> 4)])
    output.append(digits[Int(byte & 15)])
  }
}
