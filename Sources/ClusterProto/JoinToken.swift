// Owns: the one line that makes a machine a node: its text, read and written, and how a secret is held against its
// digest. It must not know who draws secrets, who keeps digests, or whether a token still counts.

/// What `stint token create` prints and `stint agent --join` takes:
/// `stint1.ADDRESS[,ADDRESS…].DIGEST.ID.SECRET`. Addresses have dots and colons of their own, so it is read from its
/// end.
package struct JoinToken: Equatable, Sendable, CustomStringConvertible {
  /// Where the coordinator is reached, each `HOST:PORT` or `[V6]:PORT`, best first.
  package var addresses: [String]
  /// SHA-256 of the authority's public key (SubjectPublicKeyInfo, DER), 64 hexadecimal digits: all that a joiner
  /// trusts.
  package var authority: String
  /// Names the token in lists and logs; no secret.
  package var id: String
  /// What whoever knows it may join by.
  package var secret: String

  /// Takes each value as it stands.
  package init(addresses: [String], authority: String, id: String, secret: String) {
    self.addresses = addresses
    self.authority = authority
    self.id = id
    self.secret = secret
  }

  private static let mark = "stint1."
  private static let command = "stint agent --join "
  private static let longest = 4_096
  private static let addressLimit = 16
  /// Digits of an id that is drawn.
  package static let idDigits = 12
  /// Hexadecimal digits of a secret: 128 bits, which nobody guesses.
  package static let secretDigits = 32

  /// Reads what was pasted; spaces and line breaks around it do not count. The error never quotes it: it is a secret.
  package init(parsing text: String) throws(ProtocolError) {
    var bytes = text.utf8[...]
    while let first = bytes.first, Self.isSpace(first) { bytes.removeFirst() }
    while let last = bytes.last, Self.isSpace(last) { bytes.removeLast() }
    // The whole line as it was printed.
    if bytes.starts(with: Self.command.utf8) { bytes = bytes.dropFirst(Self.command.utf8.count) }
    do throws(ProtocolError) {
      try self.init(line: bytes)
    } catch {
      throw Self.slip(bytes) ?? error
    }
  }

  /// What has gone wrong at a paste, where that shows; else what is wrong with the text as it stands says more.
  private static func slip(_ bytes: Substring.UTF8View) -> ProtocolError? {
    let words = bytes.split(whereSeparator: isSpace)
    if words.count(where: { $0.starts(with: mark.utf8) }) > 1 { return wrong("there are several, and one is wanted") }
    if words.count > 1, bytes.starts(with: mark.utf8) {
      return wrong(
        "a space or a line break is after \(words[0].count) of its characters: it is one line without any; was it "
          + "wrapped when it was copied?")
    }
    // Twice without anything between. A host may have the mark for its first name.
    guard bytes.count <= 2 * longest else { return nil }
    var rest = bytes.dropFirst()
    while let start = rest.firstIndex(of: mark.utf8.first ?? 0) {
      if rest[start...].starts(with: mark.utf8), (try? JoinToken(line: bytes[..<start])) != nil {
        return wrong("there are several, one right after the other, and one is wanted")
      }
      rest = rest[start...].dropFirst()
    }
    return nil
  }

  private init(line bytes: Substring.UTF8View) throws(ProtocolError) {
    guard bytes.count <= Self.longest, bytes.starts(with: Self.mark.utf8) else {
      throw Self.wrong("it begins with \(Self.mark) and is one line, as stint token create prints it")
    }
    let parts = String(Substring(bytes.dropFirst(Self.mark.utf8.count))).split(
      separator: ".", omittingEmptySubsequences: false)
    guard parts.count >= 4 else {
      throw Self.wrong("something is missing of it: addresses, the authority's digest, an id and a secret")
    }
    let (authority, id, secret) = (parts[parts.count - 3], parts[parts.count - 2], parts[parts.count - 1])
    guard authority.utf8.count == 64, Hexadecimal.bytes(String(authority)) != nil else {
      throw Self.wrong("its authority's digest is not 64 hexadecimal digits")
    }
    guard Self.isID(String(id)) else { throw Self.wrong("its id is not valid") }
    guard secret.utf8.count == Self.secretDigits, Hexadecimal.bytes(String(secret)) != nil else {
      throw Self.wrong("its secret is not \(Self.secretDigits) hexadecimal digits; was its end cut off?")
    }
    let addresses = parts.dropLast(3).joined(separator: ".").split(separator: ",", omittingEmptySubsequences: false)
    guard addresses.count <= Self.addressLimit, addresses.allSatisfy({ Self.isAddress(String($0)) }) else {
      throw Self.wrong(
        "its addresses are not 1 to \(Self.addressLimit) of HOST:PORT or [V6]:PORT with commas between them")
    }
    self.init(
      addresses: addresses.map(String.init), authority: authority.lowercased(), id: String(id),
      secret: secret.lowercased())
  }

  /// The whole line, with the secret.
  package var text: String {
    "\(Self.mark)\(addresses.joined(separator: ",")).\(authority).\(id).\(secret)"
  }

  /// What to type on the machine, with the secret.
  package var line: String { Self.command + text }

  /// For logs and messages: without the secret.
  package var description: String { "join token \(id) of \(addresses.joined(separator: ","))" }

  /// Whether it may be a token's id.
  package static func isID(_ text: String) -> Bool {
    (1...32).contains(text.utf8.count)
      && text.utf8.allSatisfy { ($0 >= 0x30 && $0 <= 0x39) || ($0 >= 0x61 && $0 <= 0x7A) }
  }

  /// Whether it is `HOST:PORT` or `[V6]:PORT`.
  package static func isAddress(_ text: String) -> Bool {
    guard let colon = text.utf8.lastIndex(of: 0x3A), let port = Int(text[text.index(after: colon)...]),
      (1...65_535).contains(port), text[text.index(after: colon)...].utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 })
    else { return false }
    let host = text[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") {
      let inner = host.dropFirst().dropLast()
      return inner.utf8.count <= 64 && inner.utf8.contains(0x3A)
        && inner.unicodeScalars.allSatisfy { $0.properties.isASCIIHexDigit || $0 == ":" || $0 == "." || $0 == "%" }
    }
    return Names.subdomainErrors(host.lowercased()).isEmpty
  }

  /// What the coordinator keeps of a secret: 64 hexadecimal digits. A secret has 128 random bits, so a plain digest
  /// keeps it.
  package static func digest(ofSecret secret: String) -> String { SHA256.hex(of: Array(secret.utf8)) }

  /// Whether `secret` has that digest, in a time that does not tell where they differ.
  package static func matches(secret: String, digest wanted: String) -> Bool {
    let given = digest(ofSecret: secret).utf8
    return given.count == wanted.utf8.count && zip(given, wanted.utf8).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
  }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }

  private static func wrong(_ why: String) -> ProtocolError {
    ProtocolError(.malformed, "this is no join token: \(why)")
  }
}
