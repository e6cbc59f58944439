// Owns: TLS 1.3 by OpenSSL between bytes and bytes: records in, records out, no socket of its own (memory BIOs).
// It must not know who may do what: it says whose certificate the other side has proven, nothing more.

import COpenSSL

/// Who the other side is, by a certificate that our authority issued and for which it holds the key.
package struct TLSPeer: Equatable, Sendable {
  /// The subject's CN, Kubernetes' user name.
  package let commonName: String
  /// The subject's O, Kubernetes' groups, in the certificate's order.
  package let organizations: [String]
}

/// What connections of one side have in common: its certificate and key, and whom it believes. TLS 1.3 only.
package final class TLSContext {
  fileprivate let context: OpaquePointer
  let isServer: Bool

  /// A server that asks for a client certificate and serves those without, whose `TLSSession.peer` is nil.
  package convenience init(server identity: PEMIdentity, authority: [UInt8]) throws(IOError) {
    try self.init(isServer: true, identity: identity, authority: authority)
    // A certificate of another authority is as good as none: the answer to the request says so, not a broken handshake.
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER) { _, _ in 1 }
  }

  /// A client that refuses servers without a certificate of `authority` for 127.0.0.1.
  package convenience init(client identity: PEMIdentity?, authority: [UInt8]) throws(IOError) {
    try self.init(isServer: false, identity: identity, authority: authority)
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
    X509_VERIFY_PARAM_set1_ip_asc(SSL_CTX_get0_param(context), "127.0.0.1")
  }

  private init(isServer: Bool, identity: PEMIdentity?, authority: [UInt8]) throws(IOError) {
    guard let made = SSL_CTX_new(isServer ? TLS_server_method() : TLS_client_method()) else {
      throw OpenSSL.failure("TLS context")
    }
    context = made
    self.isServer = isServer
    SSL_CTX_ctrl(made, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(TLS1_3_VERSION), nil)
    // Buffers of idle connections go back; no resumption, so that every connection proves its certificate anew.
    SSL_CTX_ctrl(made, SSL_CTRL_MODE, Int(SSL_MODE_RELEASE_BUFFERS), nil)
    SSL_CTX_ctrl(made, SSL_CTRL_SET_SESS_CACHE_MODE, Int(SSL_SESS_CACHE_OFF), nil)
    SSL_CTX_set_num_tickets(made, 0)
    let root = try Certificate(pem: authority)
    guard X509_STORE_add_cert(SSL_CTX_get_cert_store(made), root.pointer) == 1 else {
      throw OpenSSL.failure("trust the authority")
    }
    if isServer { SSL_CTX_add_client_CA(made, root.pointer) }
    guard let identity else { return }
    let certificate = try Certificate(pem: identity.certificate)
    let key = try PrivateKey(pem: identity.key)
    guard SSL_CTX_use_certificate(made, certificate.pointer) == 1, SSL_CTX_use_PrivateKey(made, key.pointer) == 1,
      SSL_CTX_check_private_key(made) == 1
    else { throw OpenSSL.failure("certificate and key") }
  }

  deinit { SSL_CTX_free(context) }
}

/// One connection's TLS state. Bytes of the network go in by `receive`, bytes for it come out by `takeRecords`.
package final class TLSSession {
  private let session: OpaquePointer
  private let incoming: OpaquePointer
  private let outgoing: OpaquePointer
  private let context: TLSContext
  /// What was sent before the handshake was over.
  private var early: [UInt8] = []
  /// Whether both sides have proven what they must.
  package private(set) var isEstablished = false
  /// The other side said that it sends no more.
  private(set) var isFinished = false

  private static let recordSize = 16 * 1024

  package init(_ context: TLSContext) throws(IOError) {
    guard let session = SSL_new(context.context) else { throw OpenSSL.failure("TLS session") }
    guard let incoming = BIO_new(BIO_s_mem()), let outgoing = BIO_new(BIO_s_mem()) else {
      SSL_free(session)
      throw OpenSSL.failure("TLS buffers")
    }
    self.session = session
    self.incoming = incoming
    self.outgoing = outgoing
    self.context = context
    SSL_set_bio(session, incoming, outgoing)
    if context.isServer { SSL_set_accept_state(session) } else { SSL_set_connect_state(session) }
  }

  deinit { SSL_free(session) }

  /// Takes bytes of the network and hands on what they say, in pieces of at most 16 KiB.
  func receive(_ bytes: [UInt8], _ hand: ([UInt8]) -> Void) throws(IOError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let written = rest.withUnsafeBytes { BIO_write(incoming, $0.baseAddress, Int32($0.count)) }
      guard written > 0 else { throw OpenSSL.failure("TLS") }
      rest = rest.dropFirst(Int(written))
    }
    if !isEstablished { try advance() }
    while isEstablished, !isFinished {
      var result: Int32 = 0
      ERR_clear_error()
      let piece = [UInt8](unsafeUninitializedCapacity: TLSSession.recordSize) { buffer, count in
        result = SSL_read(session, buffer.baseAddress, Int32(buffer.count))
        count = max(Int(result), 0)
      }
      if result > 0 {
        hand(piece)
        continue
      }
      switch SSL_get_error(session, result) {
      case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return
      case SSL_ERROR_ZERO_RETURN: isFinished = true
      default: throw OpenSSL.failure("TLS")
      }
    }
  }

  /// Encrypts `bytes`, or keeps them until the handshake is over.
  func send(_ bytes: [UInt8]) throws(IOError) {
    guard isEstablished else {
      early += bytes
      return
    }
    var rest = bytes[...]
    while !rest.isEmpty {
      ERR_clear_error()
      // A memory buffer takes all that it is given.
      let count = Int32(min(rest.count, 1 << 20))
      let written = rest.withUnsafeBytes { SSL_write(session, $0.baseAddress, count) }
      guard written > 0 else { throw OpenSSL.failure("TLS") }
      rest = rest.dropFirst(Int(written))
    }
  }

  /// Goes on with the handshake; a client's first step, too.
  func advance() throws(IOError) {
    ERR_clear_error()
    let result = SSL_do_handshake(session)
    if result == 1 {
      isEstablished = true
      let bytes = early
      early = []
      return try send(bytes)
    }
    guard SSL_get_error(session, result) == SSL_ERROR_WANT_READ else { throw OpenSSL.failure("TLS handshake") }
  }

  /// Says that no more will be sent.
  func sayEnd() { if isEstablished { SSL_shutdown(session) } }

  /// Appends the records that are to be sent to `output`.
  func takeRecords(into output: inout [UInt8]) {
    let count = BIO_ctrl(outgoing, BIO_CTRL_PENDING, 0, nil)
    guard count > 0 else { return }
    output.reserveCapacity(output.count + count)
    output += [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      filled = max(Int(BIO_read(outgoing, buffer.baseAddress, Int32(buffer.count))), 0)
    }
  }

  /// Who the other side has proven to be; nil without a certificate of the authority.
  package var peer: TLSPeer? {
    guard isEstablished, SSL_get_verify_result(session) == Int(X509_V_OK),
      let certificate = SSL_get1_peer_certificate(session)
    else { return nil }
    defer { X509_free(certificate) }
    let subject = X509_get_subject_name(certificate)
    return TLSPeer(
      commonName: TLSSession.entries(subject, NID_commonName).first ?? "",
      organizations: TLSSession.entries(subject, NID_organizationName))
  }

  private static func entries(_ name: OpaquePointer?, _ type: Int32) -> [String] {
    var texts: [String] = []
    var position: Int32 = -1
    while true {
      position = X509_NAME_get_index_by_NID(name, type, position)
      guard position >= 0 else { return texts }
      guard let value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, position)) else { continue }
      let bytes = UnsafeBufferPointer(start: ASN1_STRING_get0_data(value), count: Int(ASN1_STRING_length(value)))
      texts.append(String(decoding: bytes, as: UTF8.self))
    }
  }
}

/// OpenSSL's own words for what went wrong.
enum OpenSSL {
  static func failure(_ operation: String) -> IOError {
    let code = ERR_get_error()
    ERR_clear_error()
    var text = [CChar](repeating: 0, count: 256)
    ERR_error_string_n(code, &text, text.count)
    return IOError(operation: operation, subject: "", message: code == 0 ? "OpenSSL failed" : Files.string(text))
  }
}
