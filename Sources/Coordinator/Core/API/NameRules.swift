// Kubernetes' rules for names, label keys and values, environment names and the like, with its own messages (apimachinery's validation).
// Pure functions over bytes: they return the messages of what is wrong, none when it is right.

enum NameRules {
  private static func isLower(_ byte: UInt8) -> Bool { byte >= 0x61 && byte <= 0x7A }
  private static func isUpper(_ byte: UInt8) -> Bool { byte >= 0x41 && byte <= 0x5A }
  private static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }
  private static func isLowerAlphanumeric(_ byte: UInt8) -> Bool { isLower(byte) || isDigit(byte) }
  private static func isAlphanumeric(_ byte: UInt8) -> Bool { isLowerAlphanumeric(byte) || isUpper(byte) }

  static func tooLong(_ limit: Int) -> String { "must be no more than \(limit) bytes" }

  private static func isLabelShape(_ bytes: Substring.UTF8View) -> Bool {
    guard let first = bytes.first, let last = bytes.last else { return false }
    return isLowerAlphanumeric(first) && isLowerAlphanumeric(last)
      && bytes.allSatisfy { isLowerAlphanumeric($0) || $0 == 0x2D }
  }

  static let labelMessage =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    + "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"

  static func dnsLabel(_ text: String) -> [String] {
    var result: [String] = []
    if text.utf8.count > 63 { result.append(tooLong(63)) }
    if !isLabelShape(text[...].utf8) { result.append(labelMessage) }
    return result
  }

  static let subdomainMessage =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end "
    + "with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    + "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"

  static func dnsSubdomain(_ text: String) -> [String] {
    var result: [String] = []
    if text.utf8.count > 253 { result.append(tooLong(253)) }
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    if !parts.allSatisfy({ isLabelShape($0.utf8) }) { result.append(subdomainMessage) }
    return result
  }

  private static let qualifiedMessage =
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    + "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    + "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"

  private static func isQualifiedShape(_ bytes: Substring.UTF8View) -> Bool {
    guard let first = bytes.first, let last = bytes.last else { return false }
    return isAlphanumeric(first) && isAlphanumeric(last)
      && bytes.allSatisfy { isAlphanumeric($0) || $0 == 0x2D || $0 == 0x5F || $0 == 0x2E }
  }

  /// Label and annotation keys: an optional DNS subdomain and `/` before a name.
  static func qualifiedName(_ text: String) -> [String] {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    var result: [String] = []
    guard let name = parts.last, parts.count <= 2 else {
      return [
        "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
          + "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
          + "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' "
          + "(e.g. 'example.com/MyName')"
      ]
    }
    if parts.count == 2 {
      if parts[0].isEmpty {
        result.append("prefix part must be non-empty")
      } else {
        result.append(contentsOf: dnsSubdomain(String(parts[0])).map { "prefix part \($0)" })
      }
    }
    if name.isEmpty {
      result.append("name part must be non-empty")
    } else if name.utf8.count > 63 {
      result.append("name part \(tooLong(63))")
    }
    if !isQualifiedShape(name.utf8) { result.append(qualifiedMessage) }
    return result
  }

  static func labelValue(_ text: String) -> [String] {
    var result: [String] = []
    if text.utf8.count > 63 { result.append(tooLong(63)) }
    if !text.isEmpty, !isQualifiedShape(text[...].utf8) {
      result.append(
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
          + "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
          + "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')")
    }
    return result
  }

  static func environmentName(_ text: String) -> [String] {
    let printable = text.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F && $0 != 0x3D }
    return text.isEmpty || !printable
      ? ["a valid environment variable name must consist only of printable ASCII characters other than '='"] : []
  }

  static func configMapKey(_ text: String) -> [String] {
    var result: [String] = []
    if text.utf8.count > 253 { result.append(tooLong(253)) }
    let shape = text.utf8.allSatisfy { isAlphanumeric($0) || $0 == 0x2D || $0 == 0x5F || $0 == 0x2E }
    if text.isEmpty || !shape {
      result.append(
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
          + "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')")
    }
    if text == "." { result.append("must not be '.'") }
    if text == ".." { result.append("must not be '..'") } else if text.hasPrefix("..") {
      result.append("must not start with '..'")
    }
    return result
  }

  /// Names of kinds that are no DNS name: only what would break a path is refused.
  static func pathSegment(_ text: String) -> [String] {
    if text == "." || text == ".." { return ["may not be '\(text)'"] }
    return ["/", "%"].filter { text.contains($0) }.map { "may not contain '\($0)'" }
  }
}

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
