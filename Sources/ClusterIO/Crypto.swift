// Owns: random bytes and a comparison that tells nothing, by OpenSSL. It must not know what is signed or drawn.

import COpenSSL

/// Random bytes and a comparison that tells nothing.
package enum Crypto {
  /// `count` bytes fit for keys and nonces.
  package static func randomBytes(_ count: Int) throws(IOError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    guard RAND_bytes(&bytes, Int32(count)) == 1 else {
      throw IOError(operation: "random bytes", subject: "", message: "OpenSSL's generator has no entropy")
    }
    return bytes
  }

  /// SHA-1, 20 bytes: no longer fit for any proof, and what WebSocket's opening asks for.
  package static func sha1(_ bytes: [UInt8]) -> [UInt8] {
    var digest = [UInt8](repeating: 0, count: 20)
    SHA1(bytes, bytes.count, &digest)
    return digest
  }

  /// Whether both are the same, in a time that does not tell where they differ.
  package static func equal(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    left.count == right.count && CRYPTO_memcmp(left, right, left.count) == 0
  }
}
