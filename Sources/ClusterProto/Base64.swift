// Owns: base64 as RFC 4648 section 4 has it, for bytes inside JSON. It must not know what the bytes are.

/// Base64 with padding.
package enum Base64 {
  /// The alphabet of RFC 4648 section 5, without padding: what JSON web tokens are written in.
  package static func encodeURL(_ bytes: [UInt8]) -> String {
    var text: [UInt8] = []
    for byte in encode(bytes).utf8 where byte != UInt8(ascii: "=") {
      switch byte {
      case UInt8(ascii: "+"): text.append(UInt8(ascii: "-"))
      case UInt8(ascii: "/"): text.append(UInt8(ascii: "_"))
      default: text.append(byte)
      }
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// The bytes of a text in that alphabet; nil for any other text, and for one of two that stand for the same bytes.
  package static func decodeURL(_ text: some StringProtocol) -> [UInt8]? {
    var plain: [UInt8] = []
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "-"): plain.append(UInt8(ascii: "+"))
      case UInt8(ascii: "_"): plain.append(UInt8(ascii: "/"))
      case UInt8(ascii: "+"), UInt8(ascii: "/"), UInt8(ascii: "="), 0x0a, 0x0d: return nil
      default: plain.append(byte)
      }
    }
    plain += [UInt8](repeating: UInt8(ascii: "="), count: (4 - plain.count % 4) % 4)
    guard let bytes = decode(String(decoding: plain, as: UTF8.self)), encodeURL(bytes) == text else { return nil }
    return bytes
  }

  private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  /// The text of `bytes`, on one line.
  package static func encode(_ bytes: [UInt8]) -> String {
    var text: [UInt8] = []
    text.reserveCapacity((bytes.count + 2) / 3 * 4)
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = bytes[start..<min(start + 3, bytes.count)]
      var bits: UInt32 = 0
      for index in 0..<3 { bits = bits << 8 | UInt32(index < group.count ? group[start + index] : 0) }
      for index in 0..<4 {
        text.append(index <= group.count ? alphabet[Int(bits >> UInt32(18 - 6 * index) & 63)] : UInt8(ascii: "="))
      }
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// The bytes of `text`, line breaks ignored; nil when it is not base64 with its padding.
  package static func decode(_ text: String) -> [UInt8]? {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.utf8.count / 4 * 3)
    var bits: UInt32 = 0
    var digits = 0
    var padding = 0
    for byte in text.utf8 where byte != 0x0a && byte != 0x0d {
      if byte == UInt8(ascii: "=") {
        padding += 1
        bits <<= 6
      } else {
        guard padding == 0, let value = value(byte) else { return nil }
        bits = bits << 6 | value
      }
      digits += 1
      guard digits % 4 == 0 else { continue }
      if padding > 2 { return nil }
      bytes.append(UInt8(bits >> 16 & 255))
      if padding < 2 { bytes.append(UInt8(bits >> 8 & 255)) }
      if padding < 1 { bytes.append(UInt8(bits & 255)) }
      bits = 0
    }
    return digits % 4 == 0 && padding <= 2 ? bytes : nil
  }

  private static func value(_ byte: UInt8) -> UInt32? {
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(byte - UInt8(ascii: "A"))
    case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(byte - UInt8(ascii: "a")) + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0")) + 52
    case UInt8(ascii: "+"): 62
    case UInt8(ascii: "/"): 63
    default: nil
    }
  }

  /// Whether the text is base64 with its padding, line breaks ignored, as Go's standard encoding reads it.
  package static func isValid(_ text: String) -> Bool {
    let bytes = text.utf8.filter { $0 != 0x0a && $0 != 0x0d }
    let digits = bytes.prefix { value($0) != nil }.count
    let padding = bytes.count - digits
    return bytes.count % 4 == 0 && padding <= 2 && bytes.suffix(padding).allSatisfy { $0 == UInt8(ascii: "=") }
  }

  /// Position of the first byte that cannot stand where it does, line breaks not counted.
  package static func firstIllegal(_ text: String) -> Int {
    text.utf8.lazy.filter { $0 != 0x0a && $0 != 0x0d }.prefix { value($0) != nil }.count
  }

  /// How many bytes a valid text stands for.
  package static func decodedCount(_ text: String) -> Int {
    let bytes = text.utf8.filter { $0 != 0x0a && $0 != 0x0d }
    return bytes.count / 4 * 3 - bytes.suffix(2).filter { $0 == UInt8(ascii: "=") }.count
  }
}
