// Owns: JSON trees as YAML text, laid out as kubectl does: sorted keys, two spaces, list items under their key. Works
// on bytes, each looked at once or twice: a megabyte of text costs some milliseconds, as its JSON does.
// It must not know what is written, nor read YAML: that is the coordinator's reader.

extension JSON {
  /// The YAML text of one document, with a newline at the end.
  package var yaml: String { String(decoding: yamlBytes, as: UTF8.self) }

  /// The same as bytes.
  package var yamlBytes: [UInt8] {
    var text: [UInt8] = []
    switch self {
    case .object(let object) where !object.isEmpty: YAMLText.write(object, 0, onDash: false, &text)
    case .array(let items) where !items.isEmpty: YAMLText.write(items, 0, onDash: false, &text)
    default:
      YAMLText.scalar(self, 0, &text)
      text.append(0x0A)
    }
    return text
  }
}

/// Writes the pieces of YAML text.
package enum YAMLText {
  /// Appends items of a list that stands at the margin.
  package static func write(items: [JSON], into text: inout [UInt8]) { write(items, 0, onDash: false, &text) }

  /// A string on one line: plain where that reads back as the same string, else quoted.
  package static func plain(_ string: String) -> String {
    var text: [UInt8] = []
    withBytes(of: string) { plain($0, &text) }
    return String(decoding: text, as: UTF8.self)
  }

  /// `onDash`: the first member stands on the line that has the dash.
  fileprivate static func write(_ object: JSONObject, _ indent: Int, onDash: Bool, _ text: inout [UInt8]) {
    var isFirst = onDash
    for member in object {
      if !isFirst { text.append(contentsOf: repeatElement(0x20, count: indent)) }
      isFirst = false
      withBytes(of: member.key) { plain($0, &text) }
      text.append(0x3A)
      switch member.value {
      case .object(let inner) where !inner.isEmpty:
        text.append(0x0A)
        write(inner, indent + 2, onDash: false, &text)
      case .array(let items) where !items.isEmpty:
        text.append(0x0A)
        write(items, indent, onDash: false, &text)
      default:
        text.append(0x20)
        scalar(member.value, indent, &text)
        text.append(0x0A)
      }
    }
  }

  fileprivate static func write(_ items: [JSON], _ indent: Int, onDash: Bool, _ text: inout [UInt8]) {
    var isFirst = onDash
    for item in items {
      if !isFirst { text.append(contentsOf: repeatElement(0x20, count: indent)) }
      isFirst = false
      text.append(0x2D)
      text.append(0x20)
      switch item {
      case .object(let inner) where !inner.isEmpty: write(inner, indent + 2, onDash: true, &text)
      case .array(let inner) where !inner.isEmpty: write(inner, indent + 2, onDash: true, &text)
      default:
        scalar(item, indent, &text)
        text.append(0x0A)
      }
    }
  }

  fileprivate static func scalar(_ value: JSON, _ indent: Int, _ text: inout [UInt8]) {
    switch value {
    case .string(let string):
      withBytes(of: string) { bytes in
        if !block(bytes, indent, &text) { plain(bytes, &text) }
      }
    case .object: text.append(contentsOf: "{}".utf8)
    case .array: text.append(contentsOf: "[]".utf8)
    default: value.write(into: &text)
    }
  }

  private static func withBytes(of string: String, _ body: (UnsafeBufferPointer<UInt8>) -> Void) {
    let done: Void? = string.utf8.withContiguousStorageIfAvailable(body)
    if done == nil { Array(string.utf8).withUnsafeBufferPointer(body) }
  }

  // What a string's bytes ask for.

  private struct Look {
    var hasNewline = false
    var hasTab = false
    /// Something beside these two that no text shows.
    var hasUnprintable = false
    /// `: ` or ` #`, which end a plain text.
    var hasMark = false

    init(_ bytes: UnsafeBufferPointer<UInt8>) {
      var last: UInt8 = 0
      for (index, byte) in bytes.enumerated() {
        if byte < 0x80 {
          if byte < 0x20 || byte == 0x7F {
            switch byte {
            case 0x0A: hasNewline = true
            case 0x09: hasTab = true
            default: hasUnprintable = true
            }
          } else if byte == 0x20, last == 0x3A {
            hasMark = true
          } else if byte == 0x23, last == 0x20 {
            hasMark = true
          }
        } else if Look.isUnprintable(bytes, at: index) {
          hasUnprintable = true
        }
        last = byte
      }
    }

    /// U+0080 to U+009F, U+2028, U+2029 and U+FEFF.
    private static func isUnprintable(_ bytes: UnsafeBufferPointer<UInt8>, at index: Int) -> Bool {
      switch bytes[index] {
      case 0xC2: index + 1 < bytes.count && bytes[index + 1] < 0xA0
      case 0xE2: index + 2 < bytes.count && bytes[index + 1] == 0x80 && bytes[index + 2] & 0xFE == 0xA8
      case 0xEF: index + 2 < bytes.count && bytes[index + 1] == 0xBB && bytes[index + 2] == 0xBF
      default: false
      }
    }
  }

  /// Text of several lines as it is; false when a block cannot hold it.
  private static func block(_ bytes: UnsafeBufferPointer<UInt8>, _ indent: Int, _ text: inout [UInt8]) -> Bool {
    guard bytes.contains(0x0A), let first = bytes.first(where: { $0 != 0x0A }), !Look(bytes).hasUnprintable else {
      return false
    }
    text.append(0x7C)
    if first == 0x20 || first == 0x09 { text.append(0x32) }
    var end = bytes.count
    if bytes[end - 1] == 0x0A {
      end -= 1
      if bytes[end - 1] == 0x0A { text.append(0x2B) }
    } else {
      text.append(0x2D)
    }
    var start = 0
    while start <= end {
      var stop = start
      while stop < end, bytes[stop] != 0x0A { stop += 1 }
      text.append(0x0A)
      if stop > start {
        text.append(contentsOf: repeatElement(0x20, count: indent + 2))
        text.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[start..<stop]))
      }
      start = stop + 1
    }
    return true
  }

  private static func plain(_ bytes: UnsafeBufferPointer<UInt8>, _ text: inout [UInt8]) {
    if bytes.isEmpty { return text.append(contentsOf: [0x22, 0x22]) }
    let look = Look(bytes)
    if look.hasUnprintable || look.hasNewline || look.hasTab {
      return writeString(String(decoding: bytes, as: UTF8.self), into: &text)
    }
    if resolvesOtherwise(bytes) {
      text.append(0x22)
      text.append(contentsOf: bytes)
      text.append(0x22)
    } else if !look.hasMark, isPlain(bytes) {
      text.append(contentsOf: bytes)
    } else {
      text.append(0x27)
      for byte in bytes {
        if byte == 0x27 { text.append(0x27) }
        text.append(byte)
      }
      text.append(0x27)
    }
  }

  private static let words: Set<String> = [
    "null", "~", "true", "false", "yes", "no", "on", "off", "y", "n", ".nan", ".inf", "-.inf", "+.inf", "<<",
  ]

  /// Bytes that numbers in base 10 and 60 are written with.
  private static func isOfNumbers(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || [0x2B, 0x2D, 0x2E, 0x3A, 0x5F].contains(byte) || byte | 0x20 == 0x65
  }

  /// Longer than any number that somebody means: such a text is quoted where it could be one, unread.
  private static let longestNumber = 512

  /// Whether a YAML reader would take it for a number, a boolean, null or a date.
  private static func resolvesOtherwise(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    guard let first = bytes.first else { return false }
    if bytes.count <= 5, words.contains(String(decoding: bytes, as: UTF8.self).lowercased()) { return true }
    guard (0x30...0x39).contains(first) || [0x2B, 0x2D, 0x2E].contains(first) else { return false }
    if bytes.count > longestNumber { return bytes.allSatisfy(isOfNumbers) }
    let string = String(decoding: bytes, as: UTF8.self)
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

  /// Of a printable text without marks inside.
  private static func isPlain(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    guard let first = bytes.first, let last = bytes.last, first != 0x20, last != 0x20, last != 0x3A else {
      return false
    }
    if bytes.count == 3, bytes.elementsEqual("---".utf8) || bytes.elementsEqual("...".utf8) { return false }
    if first == 0x2D || first == 0x3F || first == 0x3A { return bytes.count > 1 && bytes[1] != 0x20 }
    return !",[]{}#&*!|>'\"%@`".utf8.contains(first)
  }
}
