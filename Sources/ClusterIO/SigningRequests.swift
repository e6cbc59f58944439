// Owns: signing requests (PKCS #10): made beside a key that stays, read for the public key alone, and signed.
// It must not know who may have a certificate or where keys are kept.

import COpenSSL
import ClusterProto

/// The identity of a public key: SHA-256 of its SubjectPublicKeyInfo (DER), 64 hexadecimal digits.
package typealias KeyDigest = String

/// Makes, reads and signs signing requests.
package enum SigningRequests {
  /// A new private key, PEM: EC P-256.
  package static func makeKey() throws(IOError) -> [UInt8] { try PrivateKey().pem() }

  /// A request for `name`, signed by `key` (PEM), as PEM.
  package static func make(name: String, key: [UInt8]) throws(IOError) -> [UInt8] {
    let key = try PrivateKey(pem: key)
    guard let request = X509_REQ_new() else { throw OpenSSL.failure("signing request") }
    defer { X509_REQ_free(request) }
    let bytes = Array(name.utf8)
    guard X509_REQ_set_version(request, 0) == 1, let subject = X509_REQ_get_subject_name(request),
      X509_NAME_add_entry_by_txt(subject, "CN", V_ASN1_UTF8STRING, bytes, Int32(bytes.count), -1, 0) == 1,
      X509_REQ_set_pubkey(request, key.pointer) == 1, X509_REQ_sign(request, key.pointer, EVP_sha256()) > 0
    else { throw OpenSSL.failure("signing request") }
    return try PEMText.write { PEM_write_bio_X509_REQ($0, request) }
  }

  /// The public key's digest in a request that whoever holds the key has signed. What else it says (subject,
  /// alternative names, uses) is not looked at.
  package static func keyDigest(ofRequest request: [UInt8]) throws(IOError) -> KeyDigest {
    let request = try Request(pem: request)
    return try digest(request.publicKey)
  }

  /// The digest of the public key of a certificate (PEM): of the authority's, what a join token holds.
  package static func keyDigest(ofCertificate certificate: [UInt8]) throws(IOError) -> KeyDigest {
    let certificate = try Certificate(pem: certificate)
    guard let key = X509_get0_pubkey(certificate.pointer) else { throw OpenSSL.failure("read a certificate") }
    return try digest(key)
  }

  /// A certificate (PEM) for the key of `request` as node `node`: CN `system:node:NODE`, O `system:nodes`. It begins
  /// an hour ago, since clocks differ, and ends in `seconds`.
  package static func sign(
    request: [UInt8], node: String, authority: PEMIdentity, seconds: Int
  ) throws(IOError) -> [UInt8] {
    try sign(
      request: request, name: Subject.nodeName(node), groups: [Subject.nodes], authority: authority, seconds: seconds)
  }

  /// The same as whoever it is: CN `name`, an O for each of `groups`.
  package static func sign(
    request: [UInt8], name: String, groups: [String], authority: PEMIdentity, seconds: Int
  ) throws(IOError) -> [UInt8] {
    let request = try Request(pem: request)
    return try Certificates.signed(
      name: name, .client(groups: groups), publicKey: request.publicKey, issuer: authority, seconds: seconds
    ).pem()
  }

  /// SHA-256 of a public key (SubjectPublicKeyInfo).
  static func digest(_ key: OpaquePointer) throws(IOError) -> KeyDigest {
    var encoded: UnsafeMutablePointer<UInt8>?
    let count = i2d_PUBKEY(key, &encoded)
    guard count > 0, let encoded else { throw OpenSSL.failure("read a public key") }
    defer { CRYPTO_free(encoded, #file, #line) }
    return SHA256.hex(of: Array(UnsafeBufferPointer(start: encoded, count: Int(count))))
  }

  /// Whether a key is of the one kind that is taken.
  static func isP256(_ key: OpaquePointer) -> Bool {
    var name = [CChar](repeating: 0, count: 64)
    var length = 0
    guard EVP_PKEY_is_a(key, "EC") == 1, EVP_PKEY_get_group_name(key, &name, name.count, &length) == 1 else {
      return false
    }
    return name.prefix(length).map { UInt8(bitPattern: $0) } == Array("prime256v1".utf8)
  }

  /// A request whose signature was verified and whose key is of the one kind that is taken.
  private final class Request {
    private let pointer: OpaquePointer
    let publicKey: OpaquePointer

    init(pem: [UInt8]) throws(IOError) {
      guard pem.count <= JoinRequest.requestLimit else {
        throw IOError(operation: "read a signing request", subject: "", message: "it is too long")
      }
      guard let buffer = BIO_new_mem_buf(pem, Int32(pem.count)) else { throw OpenSSL.failure("signing request") }
      defer { BIO_free(buffer) }
      guard let pointer = PEM_read_bio_X509_REQ(buffer, nil, nil, nil) else {
        throw OpenSSL.failure("read a signing request")
      }
      guard let key = X509_REQ_get0_pubkey(pointer) else {
        X509_REQ_free(pointer)
        throw OpenSSL.failure("read a signing request")
      }
      self.pointer = pointer
      publicKey = key
      guard SigningRequests.isP256(key) else {
        throw IOError(
          operation: "read a signing request", subject: "", message: "its key is not of the kind EC P-256")
      }
      guard X509_REQ_verify(pointer, key) == 1 else {
        throw OpenSSL.failure("verify that a signing request comes from who holds its key")
      }
    }

    deinit { X509_REQ_free(pointer) }
  }
}
