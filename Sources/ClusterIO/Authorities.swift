// Owns: the authorities of a coordinator's data directory: the one that signs and, while it is being exchanged, the one
// before it; and the exchange as steps on files, each of which a crash may follow. It must not know who holds
// certificates of either, nor when the old one may go.

import COpenSSL
import ClusterProto
import Glibc

/// The authority that is being left. Its key is gone: nothing new is signed by it.
package struct FormerAuthority: Equatable, Sendable {
  /// Its own certificate.
  package let root: [UInt8]
  /// The key of the authority that signs now, vouched for by the former one: who believes only that one follows it.
  package let cross: [UInt8]
}

/// Whom a cluster believes: `authority.pem`, certificate and key, and during an exchange `former.pem`, two
/// certificates.
package struct Authorities: Equatable, Sendable {
  /// Signs everything.
  package let current: PEMIdentity
  /// nil: no exchange lasts.
  package let former: FormerAuthority?

  /// Certificates to believe, the one that signs first.
  package var bundle: [UInt8] { current.certificate + (former?.root ?? []) }

  private static let day = 24 * 3600

  /// Of `former.pem` only what belongs to `current` counts: another one is what a crash has left before the exchange
  /// began, or of an authority that somebody has taken away.
  package init(current: PEMIdentity, below pki: String) throws(IOError) {
    self.current = current
    let path = Authorities.formerPath(pki)
    guard Files.exists(path) else {
      former = nil
      return
    }
    let found: [[UInt8]]
    do throws(IOError) {
      found = try Certificates.all(in: try Files.read(path, limit: PrivateFiles.limit))
      if found.count != 2 { throw IOError(operation: "read", subject: path, message: "not two certificates") }
    } catch {
      throw IOError(
        operation: "read", subject: path,
        message: "the cluster's former authority is damaged (\(error.message)): put the file back from a backup of the "
          + "data directory, or delete it, which drops that authority: who holds a certificate of it needs another one")
    }
    let own = try SigningRequests.keyDigest(ofCertificate: current.certificate)
    let digests = Certificates.keyDigests(ofBundle: found[0] + found[1])
    former = digests.first != own && digests.last == own ? FormerAuthority(root: found[0], cross: found[1]) : nil
  }

  /// Reads both from `DATA/pki`.
  package init(below pki: String) throws(IOError) {
    let path = "\(pki)/authority.pem"
    guard let found = try PEMIdentity(file: path) else {
      throw IOError(
        operation: "read", subject: path,
        message: "holds no certificate with its key: put it back from a backup of the coordinator's data directory")
    }
    try self.init(current: found, below: pki)
  }

  /// A new authority, named so that people can tell two of them apart.
  package static func make() throws(IOError) -> PEMIdentity {
    let mark = Hexadecimal.text(try Crypto.randomBytes(4))
    return try Certificates.make(name: "stint-\(mark)", .authority, issuer: nil, seconds: 3650 * day)
  }

  /// Makes another authority and begins the exchange, unless one lasts. The former one's key is overwritten by the last
  /// step, which is the beginning: a crash before it leaves a file that counts for nothing.
  package static func exchange(below pki: String) throws(IOError) {
    let now = try Authorities(below: pki)
    if now.former != nil { return }
    let next = try make()
    let cross = try Certificates.cross(next, by: now.current, seconds: 3650 * day)
    try Files.writeAtomically(formerPath(pki), now.current.certificate + cross, mode: 0o600)
    try Files.writeAtomically("\(pki)/authority.pem", next.file, mode: 0o600)
  }

  /// Ends the exchange: the former authority is believed no more. Deletes, too, what a crash has left of one that did
  /// not begin.
  package static func drop(below pki: String) throws(IOError) {
    let path = formerPath(pki)
    guard unlink(path) == 0 || errno == ENOENT else { throw IOError.last("unlink", path) }
    try Files.syncDirectory(pki)
  }

  private static func formerPath(_ pki: String) -> String { "\(pki)/former.pem" }
}

extension Certificates {
  /// Each certificate (PEM) of a text that holds several, in order.
  package static func all(in bytes: [UInt8]) throws(IOError) -> [[UInt8]] {
    var texts: [[UInt8]] = []
    for certificate in try Certificate.all(pem: bytes) { texts.append(try certificate.pem()) }
    return texts
  }

  /// The digest of the key of each certificate of a bundle (PEM), in order; empty: it is none.
  package static func keyDigests(ofBundle bundle: [UInt8]) -> [KeyDigest] {
    ((try? Certificate.all(pem: bundle)) ?? []).map { keyDigest($0.pointer) }
  }

  /// The digest of the key, among those of a bundle, that has signed a certificate; nil: none of them has.
  package static func signer(of certificate: [UInt8], among bundle: [UInt8]) -> KeyDigest? {
    guard let certificate = try? Certificate(pem: certificate) else { return nil }
    defer { ERR_clear_error() }
    return ((try? Certificate.all(pem: bundle)) ?? []).first {
      X509_verify(certificate.pointer, X509_get0_pubkey($0.pointer)) == 1
    }.map { keyDigest($0.pointer) }
  }

  /// A certificate (PEM) for the authority `next`, under its own name and key, that is signed by `former`.
  static func cross(_ next: PEMIdentity, by former: PEMIdentity, seconds: Int) throws(IOError) -> [UInt8] {
    guard let name = commonName(next.certificate) else { throw OpenSSL.failure("name of an authority") }
    let key = try PrivateKey(pem: next.key)
    return try signed(name: name, .authority, publicKey: key.pointer, issuer: former, seconds: seconds).pem()
  }
}

extension Certificate {
  /// Each of a text that holds several; an error where it holds none.
  static func all(pem: [UInt8]) throws(IOError) -> [Certificate] {
    guard let buffer = BIO_new_mem_buf(pem, Int32(pem.count)) else { throw OpenSSL.failure("read certificates") }
    defer { BIO_free(buffer) }
    var found: [Certificate] = []
    while let pointer = PEM_read_bio_X509(buffer, nil, nil, nil) { found.append(Certificate(owning: pointer)) }
    guard !found.isEmpty else { throw OpenSSL.failure("read a certificate") }
    // The end of the text is told as an error.
    ERR_clear_error()
    return found
  }
}
