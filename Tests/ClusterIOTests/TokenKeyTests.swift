// ES256 by OpenSSL: what a key has signed is verified by it alone, bit for bit.

import ClusterIO
import ClusterProto
import Testing

@Suite("The key of tokens")
struct TokenKeyTests {
  private static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

  @Test("a signature is r and s of 32 bytes each, also where one is short, and holds for its own bytes and key alone")
  func signatures() throws {
    let key = try TokenKey(pem: try SigningRequests.makeKey())
    let other = try TokenKey(pem: try SigningRequests.makeKey())
    #expect(key.name != other.name)
    for number in 0..<600 {
      let text = Self.bytes("header.claims \(number)")
      let signature = try key.sign(text)
      try #require(signature.count == 64)
      #expect(key.verifies(signature, of: text))
      guard number < 40 else { continue }
      #expect(!other.verifies(signature, of: text))
      #expect(!key.verifies(signature, of: text + [0]))
      var bent = signature
      bent[number] ^= 1
      #expect(!key.verifies(bent, of: text))
    }
  }

  @Test("zeros, the group's own order and other lengths are no signatures")
  func nonsense() throws {
    let key = try TokenKey(pem: try SigningRequests.makeKey())
    let order = Hexadecimal.bytes("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551") ?? []
    try #require(order.count == 32)
    let zeros = [UInt8](repeating: 0, count: 32)
    let ones = [UInt8](repeating: 0xFF, count: 32)
    for signature in [[], zeros, zeros + zeros, order + order, ones + ones, zeros + order, ones + ones + ones] {
      #expect(!key.verifies(signature, of: Self.bytes("x")))
    }
  }

  @Test("the same key reads as the same, and what is none, or of another kind, is refused")
  func keys() throws {
    let pem = try SigningRequests.makeKey()
    let first = try TokenKey(pem: pem)
    let second = try TokenKey(pem: pem)
    #expect(first.name == second.name)
    #expect(second.verifies(try first.sign([1]), of: [1]))
    #expect(throws: IOError.self) { try TokenKey(pem: []) }
    #expect(throws: IOError.self) { try TokenKey(pem: Array(pem.dropLast(60))) }
    // openssl genpkey -algorithm ed25519
    let ed25519 = """
      -----BEGIN PRIVATE KEY-----
      MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
      -----END PRIVATE KEY-----

      """
    #expect(throws: IOError.self) { try TokenKey(pem: Array(ed25519.utf8)) }
  }
}
