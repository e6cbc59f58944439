// Owns: believing authorities by the digests of their public keys alone, all that a join token can carry, and what
// a certificate says of its key. It must not know what is said on such a connection.

import COpenSSL
import ClusterProto

extension TLSContext {
  /// OpenSSL's whole check (signatures, times, that it is a server's), with the shown certificates of the one believed
  /// key as its only anchors.
  func verifyPinned(_ verification: OpaquePointer) -> Int32 {
    guard let anchors = OPENSSL_sk_new_null() else { return 0 }
    defer { OPENSSL_sk_free(anchors) }
    let shown = X509_STORE_CTX_get0_untrusted(verification)
    var last = "none"
    for index in 0..<max(OPENSSL_sk_num(shown), 0) {
      guard let certificate = OPENSSL_sk_value(shown, index) else { continue }
      last = Certificates.keyDigest(OpaquePointer(certificate))
      if pinnedKeys.contains(last) { OPENSSL_sk_push(anchors, certificate) }
    }
    if OPENSSL_sk_num(anchors) == 0 {
      TLSSession.of(verification)?.pinProblem =
        "the server is of another authority: its public key's digest is \(last), "
        + "\(pinnedKeys.sorted().joined(separator: " or ")) was wanted"
    }
    // A key is believed in whatever certificate it is shown: during an exchange that is one that the former has signed.
    X509_STORE_CTX_set_flags(verification, UInt(X509_V_FLAG_PARTIAL_CHAIN))
    X509_STORE_CTX_set0_trusted_stack(verification, anchors)
    return X509_verify_cert(verification) == 1 ? 1 : 0
  }
}

extension Certificates {
  /// SHA-256 of the public key (SubjectPublicKeyInfo) of a certificate, in hexadecimal; empty for one that has none.
  static func keyDigest(_ certificate: OpaquePointer) -> String {
    guard let key = X509_get0_pubkey(certificate), let digest = try? SigningRequests.digest(key) else { return "" }
    return digest
  }

  /// Its serial number in hexadecimal.
  static func serial(_ certificate: OpaquePointer) -> String {
    guard let number = X509_get0_serialNumber(certificate) else { return "" }
    let bytes = UnsafeBufferPointer(start: ASN1_STRING_get0_data(number), count: Int(ASN1_STRING_length(number)))
    return Hexadecimal.text(Array(bytes))
  }
}
