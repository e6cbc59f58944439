// Owns: keyed hashes and random bytes, all by OpenSSL. It must not know what is signed or drawn.

import COpenSSL

/// HMAC-SHA256, random bytes and a comparison that tells nothing.
package enum Crypto {
  /// HMAC-SHA256 (RFC 2104): 32 bytes.
  package static func hmacSHA256(key: [UInt8], _ bytes: [UInt8]) -> [UInt8] {
    var code = [UInt8](repeating: 0, count: 32)
    var length: UInt32 = 0
    let result = HMAC(EVP_sha256(), key, Int32(key.count), bytes, bytes.count, &code, &length)
    precondition(result != nil && length == 32, "OpenSSL has no HMAC-SHA256")
    return code
  }

  /// `count` bytes fit for keys and nonces.
  package static func randomBytes(_ count: Int) throws(IOError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    guard RAND_bytes(&bytes, Int32(count)) == 1 else {
      throw IOError(operation: "random bytes", subject: "", message: "OpenSSL's generator has no entropy")
    }
    return bytes
  }

  /// Whether both are the same, in a time that does not tell where they differ.
  package static func equal(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    left.count == right.count && CRYPTO_memcmp(left, right, left.count) == 0
  }
}
