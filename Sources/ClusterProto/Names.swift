// What names may look like, with Kubernetes' words for what is wrong, and the names that the coordinator makes up.
// Must not know which field a name is in.

/// Validators of names, keys and values, and made-up names. A validator returns what is wrong, in Kubernetes' words;
/// nothing when nothing is.
package enum Names {
  private static let subdomainMessage =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and "
    + "must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    + "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
  private static let labelMessage =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must "
    + "start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for "
    + "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
  private static let qualifiedMessage =
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    + "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    + "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
  private static let labelValueMessage =
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and "
    + "must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', "
    + "regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
  private static let environmentMessage =
    "a valid environment variable name must consist only of printable ASCII characters other than '='"
  private static let configKeyMessage =
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
    + "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"

  /// IsDNS1123Subdomain: what is wrong with the text; empty when nothing is.
  package static func subdomainErrors(_ text: String) -> [String] {
    var errors: [String] = []
    if text.utf8.count > 253 { errors.append("must be no more than 253 bytes") }
    let parts = text.utf8.split(separator: 46, omittingEmptySubsequences: false)
    if !parts.allSatisfy({ isLabel($0) }) { errors.append(subdomainMessage) }
    return errors
  }

  /// IsValidPathSegmentName: names that need only fit into a path, as those of roles.
  package static func pathSegmentErrors(_ text: String) -> [String] {
    if text == "." || text == ".." { return ["may not be '\(text)'"] }
    return ["/", "%"].filter { text.contains($0) }.map { "may not contain '\($0)'" }
  }

  /// IsDNS1123Label.
  package static func labelErrors(_ text: String) -> [String] {
    var errors: [String] = []
    if text.utf8.count > 63 { errors.append("must be no more than 63 bytes") }
    if !isLabel(text.utf8[...]) { errors.append(labelMessage) }
    return errors
  }

  /// IsQualifiedName: keys of labels and annotations.
  package static func labelKeyErrors(_ text: String) -> [String] {
    var errors: [String] = []
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    var name = Substring(text)
    if parts.count == 2 {
      if parts[0].isEmpty {
        errors.append("prefix part must be non-empty")
      } else {
        errors += subdomainErrors(String(parts[0])).map { "prefix part " + $0 }
      }
      name = parts[1]
    } else if parts.count > 2 {
      return [
        "a qualified name "
          + qualifiedMessage.dropFirst("name part ".count)
          + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
      ]
    }
    if name.isEmpty {
      errors.append("name part must be non-empty")
    } else if name.utf8.count > 63 {
      errors.append("name part must be no more than 63 bytes")
    }
    if !isQualified(name.utf8) { errors.append(qualifiedMessage) }
    return errors
  }

  /// IsValidLabelValue.
  package static func labelValueErrors(_ text: String) -> [String] {
    var errors: [String] = []
    if text.utf8.count > 63 { errors.append("must be no more than 63 bytes") }
    if !text.isEmpty, !isQualified(text.utf8[...]) { errors.append(labelValueMessage) }
    return errors
  }

  /// Keys of ConfigMaps and Secrets.
  package static func configKeyErrors(_ text: String) -> [String] {
    var errors: [String] = []
    if text.utf8.count > 253 { errors.append("must be no more than 253 characters") }
    if text.isEmpty || !text.utf8.allSatisfy({ isAlphanumeric($0) || $0 == 45 || $0 == 46 || $0 == 95 }) {
      errors.append(configKeyMessage)
    }
    if text == "." { errors.append("must not be '.'") }
    if text.hasPrefix("..") { errors.append("must not start with '..'") }
    return errors
  }

  /// IsRelaxedEnvVarName.
  package static func environmentNameErrors(_ text: String) -> [String] {
    let valid = !text.isEmpty && text.utf8.allSatisfy { (32...126).contains($0) && $0 != 61 }
    return valid ? [] : [environmentMessage]
  }

  private static let alphabet = Array("bcdfghjklmnpqrstvwxz2456789".utf8)

  /// Five characters of Kubernetes' alphabet, for generated names.
  package static func suffix(from seed: UInt64) -> String {
    var rest = seed
    var bytes: [UInt8] = []
    for _ in 0..<5 {
      bytes.append(alphabet[Int(rest % UInt64(alphabet.count))])
      rest /= UInt64(alphabet.count)
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// A version 4 UUID from 128 random bits.
  package static func uuid(_ high: UInt64, _ low: UInt64) -> String {
    let text =
      StableHash.hex(high & 0xFFFF_FFFF_FFFF_0FFF | 0x4000)
      + StableHash.hex(low & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000)
    let digits = Array(text.utf8)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(36)
    for (position, digit) in digits.enumerated() {
      if [8, 12, 16, 20].contains(position) { bytes.append(45) }
      bytes.append(digit)
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func isLabel(_ bytes: some BidirectionalCollection<UInt8>) -> Bool {
    guard let first = bytes.first, let last = bytes.last else { return false }
    return isLowerAlphanumeric(first) && isLowerAlphanumeric(last)
      && bytes.allSatisfy { isLowerAlphanumeric($0) || $0 == 45 }
  }

  private static func isQualified(_ bytes: some BidirectionalCollection<UInt8>) -> Bool {
    guard let first = bytes.first, let last = bytes.last else { return false }
    return isAlphanumeric(first) && isAlphanumeric(last)
      && bytes.allSatisfy { isAlphanumeric($0) || $0 == 45 || $0 == 46 || $0 == 95 }
  }

  private static func isLowerAlphanumeric(_ byte: UInt8) -> Bool {
    (97...122).contains(byte) || (48...57).contains(byte)
  }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    isLowerAlphanumeric(byte) || (65...90).contains(byte)
  }
}
