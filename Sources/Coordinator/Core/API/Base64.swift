// Base64 texts of Secrets and binaryData: checked, measured and written, never decoded here.

/// Base64 as Go's standard encoding reads it: only checked, never decoded here.
enum Base64 {
  private static func isSymbol(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2B, 0x2F: true
    default: false
    }
  }

  /// Position of the first byte that cannot stand where it does.
  static func firstIllegal(_ text: String) -> Int {
    let bytes = text.utf8.filter { $0 != 0x0A && $0 != 0x0D }
    let symbols = bytes.prefix { isSymbol($0) }.count
    return symbols
  }

  static func isValid(_ text: String) -> Bool {
    let bytes = text.utf8.filter { $0 != 0x0A && $0 != 0x0D }
    let symbols = bytes.prefix { isSymbol($0) }.count
    let padding = bytes.count - symbols
    return bytes.count % 4 == 0 && padding <= 2 && bytes.suffix(padding).allSatisfy { $0 == 0x3D }
  }

  /// Bytes that the text stands for.
  static func decodedCount(_ text: String) -> Int {
    let bytes = text.utf8.filter { $0 != 0x0A && $0 != 0x0D }
    return bytes.count / 4 * 3 - bytes.suffix(2).filter { $0 == 0x3D }.count
  }
}

extension Base64 {
  private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  static func encode(_ bytes: [UInt8]) -> String {
    var result: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = bytes[start..<min(start + 3, bytes.count)]
      var value = 0
      for offset in 0..<3 { value = value << 8 | (offset < group.count ? Int(group[start + offset]) : 0) }
      for symbol in 0..<4 {
        let isPadding = symbol > group.count
        result.append(isPadding ? 0x3D : alphabet[value >> (18 - 6 * symbol) & 63])
      }
    }
    return String(decoding: result, as: UTF8.self)
  }
}
