// Owns: SHA-256 of bytes that come in pieces, by OpenSSL. It must not know what is hashed.

import COpenSSL
import ClusterProto

/// A SHA-256 that is not finished. Used on one thread.
package final class HashStream {
  private let context: OpaquePointer?

  /// Of nothing yet.
  package init() {
    context = EVP_MD_CTX_new()
    precondition(
      context != nil && EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1,
      "OpenSSL has no SHA-256: install its default provider")
  }

  deinit { EVP_MD_CTX_free(context) }

  /// Takes more bytes in.
  package func add(_ bytes: UnsafeRawBufferPointer) { EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) }

  /// 64 hexadecimal digits of all that came so far; more may come.
  package func hex() -> String {
    let copy = EVP_MD_CTX_new()
    defer { EVP_MD_CTX_free(copy) }
    EVP_MD_CTX_copy_ex(copy, context)
    var digest = [UInt8](repeating: 0, count: 32)
    EVP_DigestFinal_ex(copy, &digest, nil)
    return Hexadecimal.text(digest)
  }
}
