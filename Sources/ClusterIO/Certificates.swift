// Owns: making and reading certificates and keys (EC P-256, X.509 v3, PEM) by OpenSSL. It must not know where they are
// kept nor who may do what with them.

import COpenSSL
import ClusterProto
import Glibc

/// A certificate and its private key, both as PEM text.
package struct PEMIdentity: Equatable, Sendable {
  /// The certificate, DER or PEM as made.
  package let certificate: [UInt8]
  /// Its private key, in the same form.
  package let key: [UInt8]

  /// Takes the two as they stand.
  package init(certificate: [UInt8], key: [UInt8]) {
    self.certificate = certificate
    self.key = key
  }
}

/// What a new certificate is for.
package enum CertificatePurpose: Equatable, Sendable {
  /// Signs other certificates.
  case authority
  /// A server of these host names and addresses.
  case server(hosts: [String])
  /// A client; each group is an O of the subject.
  case client(groups: [String])

  /// A client of one group.
  package static func client(group: String) -> CertificatePurpose { .client(groups: [group]) }

  var extensions: [(Int32, String)] {
    switch self {
    case .authority:
      [(NID_basic_constraints, "critical,CA:TRUE"), (NID_key_usage, "critical,keyCertSign,cRLSign")]
    case .server(let hosts):
      [
        (NID_basic_constraints, "critical,CA:FALSE"), (NID_key_usage, "critical,digitalSignature"),
        (NID_ext_key_usage, "serverAuth"),
        (NID_subject_alt_name, hosts.map(CertificatePurpose.alternativeName).joined(separator: ",")),
      ]
    case .client:
      [
        (NID_basic_constraints, "critical,CA:FALSE"), (NID_key_usage, "critical,digitalSignature"),
        (NID_ext_key_usage, "clientAuth"),
      ]
    }
  }

  private static func alternativeName(_ host: String) -> String {
    let isAddress = host.contains(":") || host.allSatisfy { $0 == "." || ("0"..."9").contains($0) }
    return isAddress ? "IP:\(host)" : "DNS:\(host)"
  }
}

/// Makes and looks at certificates.
package enum Certificates {
  /// A new key and a certificate for it, signed by `issuer`, or by itself without one. `seconds` is how long it is
  /// valid from now on; it begins an hour ago, since clocks differ, or `beginsIn` so many seconds.
  package static func make(
    name: String, _ purpose: CertificatePurpose, issuer: PEMIdentity?, seconds: Int, beginsIn: Int = -3600
  ) throws(IOError) -> PEMIdentity {
    let key = try PrivateKey()
    let certificate = try signed(
      name: name, purpose, publicKey: key.pointer, ownKey: key, issuer: issuer, seconds: seconds, beginsIn: beginsIn)
    return PEMIdentity(certificate: try certificate.pem(), key: try key.pem())
  }

  /// A certificate for `publicKey`, signed by `issuer`, or by `ownKey` without one.
  static func signed(
    name: String, _ purpose: CertificatePurpose, publicKey: OpaquePointer, ownKey: PrivateKey? = nil,
    issuer: PEMIdentity?, seconds: Int, beginsIn: Int = -3600
  ) throws(IOError) -> Certificate {
    guard let made = X509_new() else { throw OpenSSL.failure("certificate") }
    let certificate = Certificate(owning: made)
    let signer = try issuer.map { issuer throws(IOError) in
      (certificate: try Certificate(pem: issuer.certificate), key: try PrivateKey(pem: issuer.key))
    }
    guard X509_set_version(made, 2) == 1, let serial = X509_get_serialNumber(made) else {
      throw OpenSSL.failure("certificate")
    }
    // Positive and of at most 16 bytes.
    var number = try Crypto.randomBytes(16)
    number[0] = number[0] & 0x3F | 0x40
    guard ASN1_STRING_set(serial, number, Int32(number.count)) == 1 else { throw OpenSSL.failure("serial number") }
    X509_gmtime_adj(X509_getm_notBefore(made), beginsIn)
    X509_gmtime_adj(X509_getm_notAfter(made), seconds)
    guard let subject = X509_get_subject_name(made) else { throw OpenSSL.failure("certificate") }
    if case .client(let groups) = purpose { for group in groups { try add("O", group, to: subject) } }
    try add("CN", name, to: subject)
    guard
      X509_set_issuer_name(made, signer.map { X509_get_subject_name($0.certificate.pointer) } ?? subject) == 1,
      X509_set_pubkey(made, publicKey) == 1
    else { throw OpenSSL.failure("certificate") }
    try extend(made, issuer: signer?.certificate.pointer ?? made, purpose)
    guard let signingKey = signer?.key ?? ownKey, X509_sign(made, signingKey.pointer, EVP_sha256()) > 0 else {
      throw OpenSSL.failure("sign a certificate")
    }
    return certificate
  }

  /// When it ends, in seconds since 1970; nil: it is no certificate.
  package static func end(_ certificate: [UInt8]) -> Int64? {
    guard let certificate = try? Certificate(pem: certificate) else {
      ERR_clear_error()
      return nil
    }
    return end(certificate.pointer)
  }

  static func end(_ certificate: OpaquePointer) -> Int64? { seconds(X509_get0_notAfter(certificate)) }

  /// When it was made, in seconds since 1970: those made here begin an hour before; nil: it is no certificate.
  package static func made(_ certificate: [UInt8]) -> Int64? { begin(certificate).map { $0 + 3_600 } }

  /// When it begins, in seconds since 1970; nil: it is no certificate.
  package static func begin(_ certificate: [UInt8]) -> Int64? {
    guard let certificate = try? Certificate(pem: certificate) else {
      ERR_clear_error()
      return nil
    }
    return seconds(X509_get0_notBefore(certificate.pointer))
  }

  /// The subject's CN; nil: it is no certificate, or has none.
  package static func commonName(_ certificate: [UInt8]) -> String? {
    guard let certificate = try? Certificate(pem: certificate) else {
      ERR_clear_error()
      return nil
    }
    return TLSSession.entries(X509_get_subject_name(certificate.pointer), NID_commonName).first
  }

  private static func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int64? {
    var broken = tm()
    guard ASN1_TIME_to_tm(time, &broken) == 1 else { return nil }
    return Int64(timegm(&broken))
  }

  /// From when to when a certificate of the other side is valid and what this machine's clock says, for a message when
  /// it is not valid now: one clock or the other is wrong, or it has ended.
  static func clocks(_ certificate: OpaquePointer) -> String {
    func text(_ seconds: Int64?) -> String {
      seconds.map { WallTime(nanoseconds: $0 * 1_000_000_000).rfc3339 } ?? "a time that cannot be read"
    }
    let (start, end) = (X509_get0_notBefore(certificate), X509_get0_notAfter(certificate))
    let name = TLSSession.entries(X509_get_subject_name(certificate), NID_commonName).first ?? ""
    let groups = TLSSession.entries(X509_get_subject_name(certificate), NID_organizationName)
    // A node renews its own, as the coordinator does; nobody asks by the authority's.
    let isClient =
      X509_check_ca(certificate) == 0 && X509_get_extended_key_usage(certificate) & UInt32(XKU_SSL_CLIENT) != 0
    var anew = ""
    if groups.contains(Subject.masters) {
      anew = " (the administrator's: stint kubeconfig --data DIRECTORY)"
    } else if isClient, !name.isEmpty, !groups.contains(Subject.nodes) {
      anew = " (a user's: stint user create \(name))"
    }
    return "the other side's certificate is valid from \(text(seconds(start))) to \(text(seconds(end))), and this "
      + "machine's clock says \(text(Int64(Glibc.time(nil)))): set the clock right that is wrong, or renew the "
      + "certificate\(anew)"
  }

  /// Whether it is a certificate with the key that goes with it.
  static func belongTogether(_ identity: PEMIdentity) -> Bool {
    defer { ERR_clear_error() }
    guard let certificate = try? Certificate(pem: identity.certificate), let key = try? PrivateKey(pem: identity.key)
    else { return false }
    return X509_check_private_key(certificate.pointer, key.pointer) == 1
  }

  /// Whether it is valid now and still in `seconds`, was issued by one of `authority` (a bundle), and has the key that
  /// goes with it.
  package static func isUsable(_ identity: PEMIdentity, authority: [UInt8], inSeconds seconds: Int) -> Bool {
    guard let certificate = try? Certificate(pem: identity.certificate), let key = try? PrivateKey(pem: identity.key),
      signer(of: identity.certificate, among: authority) != nil
    else { return false }
    defer { ERR_clear_error() }
    var time = Glibc.time(nil) + seconds
    var now = Glibc.time(nil)
    return X509_cmp_time(X509_get0_notAfter(certificate.pointer), &time) > 0
      && X509_cmp_time(X509_get0_notBefore(certificate.pointer), &now) < 0
      && X509_check_private_key(certificate.pointer, key.pointer) == 1
  }

  /// Whether a server's certificate names `host`, a name or an address.
  package static func names(_ certificate: [UInt8], host: String) -> Bool {
    guard let certificate = try? Certificate(pem: certificate) else { return false }
    return X509_check_ip_asc(certificate.pointer, host, 0) == 1
      || X509_check_host(certificate.pointer, host, host.utf8.count, 0, nil) == 1
  }

  /// Whether a server's certificate names all these hosts, each given once, and no other.
  package static func namesExactly(_ bytes: [UInt8], hosts: [String]) -> Bool {
    guard let certificate = try? Certificate(pem: bytes) else { return false }
    defer { ERR_clear_error() }
    let position = X509_get_ext_by_NID(certificate.pointer, NID_subject_alt_name, -1)
    guard position >= 0,
      let names = X509V3_EXT_d2i(X509_get_ext(certificate.pointer, position)).map({ OpaquePointer($0) })
    else { return false }
    defer { GENERAL_NAMES_free(names) }
    return OPENSSL_sk_num(names) == hosts.count && hosts.allSatisfy { Certificates.names(bytes, host: $0) }
  }

  private static func add(_ field: String, _ text: String, to name: OpaquePointer) throws(IOError) {
    let bytes = Array(text.utf8)
    // A string type of its own choice is not held to X.520's 64 characters: node names have up to 253, and Kubernetes'
    // certificates carry those too.
    guard X509_NAME_add_entry_by_txt(name, field, V_ASN1_UTF8STRING, bytes, Int32(bytes.count), -1, 0) == 1 else {
      throw OpenSSL.failure("name of a certificate")
    }
  }

  private static func extend(
    _ certificate: OpaquePointer, issuer: OpaquePointer, _ purpose: CertificatePurpose
  ) throws(IOError) {
    // The authority's own key identifier must be there before it is referred to.
    let identifiers = [(NID_subject_key_identifier, "hash"), (NID_authority_key_identifier, "keyid:always")]
    for (type, value) in purpose.extensions + identifiers {
      var context = X509V3_CTX()
      X509V3_set_ctx(&context, issuer, certificate, nil, nil, 0)
      guard let made = X509V3_EXT_conf_nid(nil, &context, type, value) else {
        throw OpenSSL.failure("extension \(value) of a certificate")
      }
      defer { X509_EXTENSION_free(made) }
      guard X509_add_ext(certificate, made, -1) == 1 else { throw OpenSSL.failure("extension of a certificate") }
    }
  }
}

/// An X.509 certificate in OpenSSL's form.
final class Certificate {
  let pointer: OpaquePointer

  init(owning pointer: OpaquePointer) { self.pointer = pointer }

  init(pem: [UInt8]) throws(IOError) {
    guard let buffer = BIO_new_mem_buf(pem, Int32(pem.count)) else { throw OpenSSL.failure("read a certificate") }
    defer { BIO_free(buffer) }
    guard let pointer = PEM_read_bio_X509(buffer, nil, nil, nil) else { throw OpenSSL.failure("read a certificate") }
    self.pointer = pointer
  }

  deinit { X509_free(pointer) }

  func pem() throws(IOError) -> [UInt8] {
    try PEMText.write { PEM_write_bio_X509($0, pointer) }
  }
}

/// A private key in OpenSSL's form.
final class PrivateKey {
  let pointer: OpaquePointer

  /// A new one, EC P-256.
  init() throws(IOError) {
    guard let context = EVP_PKEY_CTX_new_from_name(nil, "EC", nil) else { throw OpenSSL.failure("make a key") }
    defer { EVP_PKEY_CTX_free(context) }
    var made: OpaquePointer?
    guard EVP_PKEY_keygen_init(context) == 1, EVP_PKEY_CTX_set_group_name(context, "P-256") == 1,
      EVP_PKEY_generate(context, &made) == 1, let made
    else { throw OpenSSL.failure("make a key") }
    pointer = made
  }

  init(pem: [UInt8]) throws(IOError) {
    guard let buffer = BIO_new_mem_buf(pem, Int32(pem.count)) else { throw OpenSSL.failure("read a key") }
    defer { BIO_free(buffer) }
    // A pass phrase is never asked for: on a terminal that would be a wait.
    let none: @convention(c) (UnsafeMutablePointer<CChar>?, Int32, Int32, UnsafeMutableRawPointer?) -> Int32 = {
      _, _, _, _ in -1
    }
    guard let pointer = PEM_read_bio_PrivateKey(buffer, nil, none, nil) else { throw OpenSSL.failure("read a key") }
    self.pointer = pointer
  }

  deinit { EVP_PKEY_free(pointer) }

  func pem() throws(IOError) -> [UInt8] {
    try PEMText.write { PEM_write_bio_PrivateKey($0, pointer, nil, nil, 0, nil, nil) }
  }
}

enum PEMText {
  static func write(_ write: (OpaquePointer) -> Int32) throws(IOError) -> [UInt8] {
    guard let buffer = BIO_new(BIO_s_mem()) else { throw OpenSSL.failure("write PEM") }
    defer { BIO_free(buffer) }
    guard write(buffer) == 1 else { throw OpenSSL.failure("write PEM") }
    let count = BIO_ctrl(buffer, BIO_CTRL_PENDING, 0, nil)
    return [UInt8](unsafeUninitializedCapacity: count) { bytes, filled in
      filled = max(Int(BIO_read(buffer, bytes.baseAddress, Int32(bytes.count))), 0)
    }
  }
}
