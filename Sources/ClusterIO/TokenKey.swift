// Owns: the key that signs tokens (EC P-256) and ES256 by it, through OpenSSL. It must not know where the key is kept
// nor what tokens say.

import COpenSSL
import ClusterProto

/// A key that signs and verifies by ES256. Used on one thread.
package final class TokenKey {
  private let key: PrivateKey
  /// Names the key in what it signs: the digest of its public key.
  package let name: String
  private static let half = 32

  /// Reads a private key, PEM.
  package init(pem: [UInt8]) throws(IOError) {
    key = try PrivateKey(pem: pem)
    name = try SigningRequests.digest(key.pointer)
    guard SigningRequests.isP256(key.pointer) else {
      throw IOError(operation: "read a key", subject: "", message: "it is not of the kind EC P-256")
    }
  }

  /// The signature of `bytes`: r and s, 32 bytes each.
  package func sign(_ bytes: [UInt8]) throws(IOError) -> [UInt8] {
    guard let context = EVP_MD_CTX_new() else { throw OpenSSL.failure("sign a token") }
    defer { EVP_MD_CTX_free(context) }
    var encoded = [UInt8](repeating: 0, count: 128)
    var count = encoded.count
    guard EVP_DigestSignInit(context, nil, EVP_sha256(), nil, key.pointer) == 1,
      EVP_DigestSign(context, &encoded, &count, bytes, bytes.count) == 1
    else { throw OpenSSL.failure("sign a token") }
    var start: UnsafePointer<UInt8>?
    var raw = [UInt8](repeating: 0, count: 2 * Self.half)
    let isWhole = encoded.withUnsafeBufferPointer { buffer in
      start = buffer.baseAddress
      guard let signature = d2i_ECDSA_SIG(nil, &start, count) else { return false }
      defer { ECDSA_SIG_free(signature) }
      return raw.withUnsafeMutableBufferPointer { raw in
        guard let first = raw.baseAddress else { return false }
        return BN_bn2binpad(ECDSA_SIG_get0_r(signature), first, Int32(Self.half)) == Self.half
          && BN_bn2binpad(ECDSA_SIG_get0_s(signature), first + Self.half, Int32(Self.half)) == Self.half
      }
    }
    guard isWhole else { throw OpenSSL.failure("sign a token") }
    return raw
  }

  /// Whether this key has made that signature of `bytes`.
  package func verifies(_ signature: [UInt8], of bytes: [UInt8]) -> Bool {
    defer { ERR_clear_error() }
    guard signature.count == 2 * Self.half, let both = ECDSA_SIG_new() else { return false }
    defer { ECDSA_SIG_free(both) }
    let r = BN_bin2bn(signature, Int32(Self.half), nil)
    let s = Array(signature[Self.half...]).withUnsafeBufferPointer {
      BN_bin2bn($0.baseAddress, Int32(Self.half), nil)
    }
    // The pair owns its numbers from here on, if it took them.
    guard let r, let s, ECDSA_SIG_set0(both, r, s) == 1 else {
      BN_free(r)
      BN_free(s)
      return false
    }
    var encoded: UnsafeMutablePointer<UInt8>?
    let count = i2d_ECDSA_SIG(both, &encoded)
    guard count > 0, let encoded, let context = EVP_MD_CTX_new() else { return false }
    defer {
      CRYPTO_free(encoded, #file, #line)
      EVP_MD_CTX_free(context)
    }
    return EVP_DigestVerifyInit(context, nil, EVP_sha256(), nil, key.pointer) == 1
      && EVP_DigestVerify(context, encoded, Int(count), bytes, bytes.count) == 1
  }
}
