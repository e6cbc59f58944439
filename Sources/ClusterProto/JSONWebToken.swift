// Owns: the text of a JSON web token (RFC 7515, compact form, ES256 alone): put together and taken apart. Pure.
// It must not know keys, signatures or what claims mean.

/// A token as it came: not one word of it is proven.
package struct JSONWebToken: Equatable, Sendable {
  /// What the signature is over.
  package let signed: [UInt8]
  /// r and s, 32 bytes each.
  package let signature: [UInt8]
  /// What it says.
  package let claims: JSON
  /// The signing key's name, as the token says; empty: none.
  package let key: String

  /// The one algorithm. A token that names another, `none` among them, is no token.
  package static let algorithm = "ES256"
  /// Bytes of a token; longer ones are not looked at.
  package static let limit = 8_192
  private static let signatureBytes = 64

  /// Takes a token's text apart; nil for whatever is none.
  package init?(_ text: String) {
    guard text.utf8.count <= Self.limit else { return nil }
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 3, let header = Self.object(parts[0]), let claims = Self.object(parts[1]),
      let signature = Base64.decodeURL(parts[2]), signature.count == Self.signatureBytes,
      header["alg"]?.stringValue == Self.algorithm, header["crit"] == nil
    else { return nil }
    signed = Array("\(parts[0]).\(parts[1])".utf8)
    self.signature = signature
    self.claims = claims
    key = header["kid"]?.stringValue ?? ""
  }

  private static func object(_ part: Substring) -> JSON? {
    guard let bytes = Base64.decodeURL(part), let json = try? JSON(parsing: bytes), json.objectValue != nil else {
      return nil
    }
    return json
  }

  /// What has to be signed for these claims.
  package static func unsigned(claims: JSON, key: String) -> String {
    let header: JSON = ["alg": .string(algorithm), "kid": .string(key)]
    return "\(Base64.encodeURL(header.bytes)).\(Base64.encodeURL(claims.bytes))"
  }

  /// The token's text.
  package static func text(unsigned: String, signature: [UInt8]) -> String {
    "\(unsigned).\(Base64.encodeURL(signature))"
  }
}
