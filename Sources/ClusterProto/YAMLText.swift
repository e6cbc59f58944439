// Owns: JSON trees as YAML text, laid out as kubectl does: sorted keys, two spaces, list items under their key.
// It must not know what is written, nor read YAML: that is the coordinator's reader.

extension JSON {
  /// The YAML text of one document, with a newline at the end.
  package var yaml: String {
    var text = ""
    switch self {
    case .object(let object) where !object.isEmpty: YAMLText.write(object, "", &text)
    case .array(let items) where !items.isEmpty: YAMLText.write(items, "", &text)
    default: text = YAMLText.scalar(self, "") + "\n"
    }
    return text
  }
}

/// Writes the pieces of YAML text.
package enum YAMLText {
  fileprivate static func write(_ object: JSONObject, _ indent: String, _ text: inout String) {
    for (position, member) in object.enumerated() {
      // The first member after `- ` stands on the line that has the dash.
      if position > 0 || !text.hasSuffix("- ") { text += indent }
      text += plain(member.key) + ":"
      switch member.value {
      case .object(let inner) where !inner.isEmpty:
        text += "\n"
        write(inner, indent + "  ", &text)
      case .array(let items) where !items.isEmpty:
        text += "\n"
        write(items, indent, &text)
      default: text += " " + scalar(member.value, indent) + "\n"
      }
    }
  }

  fileprivate static func write(_ items: [JSON], _ indent: String, _ text: inout String) {
    for (position, item) in items.enumerated() {
      if position > 0 || !text.hasSuffix("- ") { text += indent }
      text += "- "
      switch item {
      case .object(let inner) where !inner.isEmpty: write(inner, indent + "  ", &text)
      case .array(let inner) where !inner.isEmpty: write(inner, indent + "  ", &text)
      default: text += scalar(item, indent) + "\n"
      }
    }
  }

  static func scalar(_ value: JSON, _ indent: String) -> String {
    switch value {
    case .string(let string): block(string, indent) ?? plain(string)
    case .object: "{}"
    case .array: "[]"
    default: value.text
    }
  }

  /// Text of several lines as it is; nil when a block cannot hold it.
  private static func block(_ string: String, _ indent: String) -> String? {
    guard string.contains("\n"), string.unicodeScalars.allSatisfy({ $0 == "\n" || $0 == "\t" || isPrintable($0) })
    else { return nil }
    var lines = string.split(separator: "\n", omittingEmptySubsequences: false)
    var head = "|"
    if let first = lines.first(where: { !$0.isEmpty }) {
      if first.hasPrefix(" ") || first.hasPrefix("\t") { head += "2" }
    } else {
      return nil
    }
    if lines.last?.isEmpty == true {
      lines.removeLast()
      if lines.last?.isEmpty == true { head += "+" }
    } else {
      head += "-"
    }
    return head + lines.map { $0.isEmpty ? "\n" : "\n\(indent)  \($0)" }.joined()
  }

  /// A string on one line: plain where that reads back as the same string, else quoted.
  package static func plain(_ string: String) -> String {
    if string.isEmpty { return "\"\"" }
    guard string.unicodeScalars.allSatisfy(isPrintable) else { return JSON.string(string).text }
    if resolvesOtherwise(string) { return "\"\(string)\"" }
    return isPlain(string) ? string : "'" + string.replacing("'", with: "''") + "'"
  }

  private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    scalar.value >= 0x20 && scalar.value != 0x7F && !(0x80..<0xA0).contains(scalar.value) && scalar.value != 0xFEFF
      && scalar.value != 0x2028 && scalar.value != 0x2029
  }

  /// Whether a YAML reader would take it for a number, a boolean, null or a date.
  private static func resolvesOtherwise(_ string: String) -> Bool {
    let words = [
      "null", "~", "true", "false", "yes", "no", "on", "off", "y", "n", ".nan", ".inf", "-.inf", "+.inf", "<<",
    ]
    if words.contains(string.lowercased()) { return true }
    guard let first = string.utf8.first else { return false }
    guard (0x30...0x39).contains(first) || [0x2B, 0x2D, 0x2E].contains(first) else { return false }
    let digits = string.filter { $0 != "_" }
    if Double(digits) != nil || Int64(digits) != nil || WallTime(rfc3339: string) != nil { return true }
    let unsigned = digits.hasPrefix("-") || digits.hasPrefix("+") ? digits.dropFirst() : digits[...]
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] where unsigned.hasPrefix(prefix) {
      return UInt64(unsigned.dropFirst(2), radix: radix) != nil
    }
    // 1:30 is a number in base 60, 2026-11-23 a date.
    let parts = unsigned.split(separator: ":", omittingEmptySubsequences: false)
    if parts.count > 1, parts.allSatisfy({ !$0.isEmpty && Double($0) != nil }) { return true }
    let date = string.split(separator: "-", omittingEmptySubsequences: false)
    return date.count == 3 && date[0].count == 4 && date.allSatisfy { Int($0) != nil }
  }

  private static func isPlain(_ string: String) -> Bool {
    guard let first = string.first, let last = string.last, first != " ", last != " ", last != ":" else { return false }
    if string.contains(": ") || string.contains(" #") || string == "---" || string == "..." { return false }
    if "-?:".contains(first) { return string.count > 1 && !string.dropFirst().hasPrefix(" ") && string != "---" }
    return !",[]{}#&*!|>'\"%@`".contains(first)
  }
}
