// The text of tokens: what is none is not even looked at further.

import ClusterProto
import Testing

@Suite("JSON web tokens")
struct JSONWebTokenTests {
  private static let claims: JSON = ["sub": "system:serviceaccount:default:robot", "exp": 7]
  private static let signature = [UInt8](repeating: 7, count: 64)

  private static func text(header: JSON, claims: JSON = claims, signature: [UInt8] = signature) -> String {
    [header.bytes, claims.bytes, signature].map { Base64.encodeURL($0) }.joined(separator: ".")
  }

  @Test("a token is read as it was written, and what is signed is its first two parts")
  func roundTrip() throws {
    let unsigned = JSONWebToken.unsigned(claims: Self.claims, key: "k")
    let token = try #require(JSONWebToken(JSONWebToken.text(unsigned: unsigned, signature: Self.signature)))
    #expect(token.claims == Self.claims)
    #expect(token.key == "k")
    #expect(token.signature == Self.signature)
    #expect(token.signed == Array(unsigned.utf8))
  }

  @Test(
    "a token that names another algorithm, or none, is no token",
    arguments: ["none", "None", "HS256", "RS256", "ES384", "es256", ""])
  func algorithms(_ name: String) {
    #expect(JSONWebToken(Self.text(header: ["alg": .string(name)])) == nil)
    #expect(JSONWebToken(Self.text(header: ["alg": .string(name)], signature: [])) == nil)
  }

  @Test("neither is one without an algorithm, with demands that nobody knows, or with another length of signature")
  func headers() {
    #expect(JSONWebToken(Self.text(header: ["alg": "ES256"])) != nil)
    #expect(JSONWebToken(Self.text(header: ["typ": "JWT"])) == nil)
    #expect(JSONWebToken(Self.text(header: ["alg": ["ES256"]])) == nil)
    #expect(JSONWebToken(Self.text(header: ["alg": "ES256", "crit": ["b64"], "b64": false])) == nil)
    for count in [0, 63, 65, 70, 128] {
      #expect(JSONWebToken(Self.text(header: ["alg": "ES256"], signature: [UInt8](repeating: 1, count: count))) == nil)
    }
  }

  @Test("texts that only look like tokens are none")
  func texts() {
    let good = Self.text(header: ["alg": "ES256"])
    let long = Self.text(header: ["alg": "ES256"], claims: ["a": .string(String(repeating: "a", count: 9_000))])
    for text in [
      "", ".", "..", "...", "a.b.c", "\(good).", ".\(good)", "\(good)=", good + "\n", " \(good)",
      good.replacing(".", with: ".."), long, Self.text(header: ["alg": "ES256"], claims: ["a"]),
    ] {
      #expect(JSONWebToken(text) == nil, "\(text.prefix(100))")
    }
  }

  @Test("one of two texts for the same bytes is no base64url")
  func canonical() {
    #expect(Base64.decodeURL("AQ") == [1])
    for text in ["AR", "AQ=", "AQ==", "A", "+/", "A Q", "AQ\n"] { #expect(Base64.decodeURL(text) == nil, "\(text)") }
    #expect(Base64.encodeURL([0xFB, 0xFF, 0xFE]) == "-__-")
    #expect(Base64.decodeURL("-__-") == [0xFB, 0xFF, 0xFE])
  }
}
