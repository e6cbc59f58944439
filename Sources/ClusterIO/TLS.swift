// Owns: TLS 1.2 and 1.3 by OpenSSL between bytes and bytes: records in, records out, no socket of its own.
// It must not know who may do what: it says whose certificate the other side has proven, nothing more.

import COpenSSL

/// Who the other side is, by a certificate that our authority issued and for which it holds the key.
package struct TLSPeer: Equatable, Sendable {
  /// The subject's CN, Kubernetes' user name.
  package let commonName: String
  /// The subject's O, Kubernetes' groups, in the certificate's order.
  package let organizations: [String]
  /// The certificate's serial number in hexadecimal.
  package let serial: String
  /// SHA-256 of the certificate's public key (SubjectPublicKeyInfo), in hexadecimal: the same in its next certificate.
  package let keyDigest: String
  /// When the certificate ends, in seconds since 1970.
  package let end: Int64
  /// The digest of the key of the authority that vouched for it.
  package let authority: String
}

/// What connections of one side have in common: its certificate and key, and whom it believes. TLS 1.3, or 1.2 with
/// ephemeral keys and authenticated encryption.
package final class TLSContext {
  let context: OpaquePointer
  let isServer: Bool
  /// Authorities that are believed by their public keys alone; empty: those that were given.
  var pinnedKeys: Set<String> = []
  /// What a server says to a client that speaks no TLS but text, before it hangs up; empty: nothing.
  package var plainTextAnswer: [UInt8] = []
  /// Room for one record's bytes, for whichever session is reading: all are on one thread.
  fileprivate let plain = UnsafeMutableRawBufferPointer.allocate(byteCount: 16 * 1024, alignment: 16)

  // SSL_OP_NO_RENEGOTIATION and SSL_OP_NO_TICKET, macros that are not imported.
  private static let noRenegotiation: UInt64 = 1 << 30
  private static let noTicket: UInt64 = 1 << 14

  /// A server that asks for a client certificate and serves those without, whose `TLSSession.peer` is nil. `newest`: it
  /// speaks TLS 1.3 only.
  package convenience init(
    server identity: PEMIdentity, authority: [UInt8], newest: Bool = false
  ) throws(IOError) {
    try self.init(isServer: true, identity: identity, authority: authority)
    if newest { setOldest(TLS1_3_VERSION) }
    // A certificate of another authority is as good as none: the answer to the request says so, not a broken handshake.
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER) { _, verification in
      TLSSession.noteClocks(verification)
      return 1
    }
  }

  /// A client that refuses servers without a certificate of `authority` for 127.0.0.1.
  package convenience init(client identity: PEMIdentity?, authority: [UInt8]) throws(IOError) {
    try self.init(isServer: false, identity: identity, authority: authority)
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER) { isGood, verification in
      TLSSession.noteClocks(verification)
      return isGood
    }
    X509_VERIFY_PARAM_set1_ip_asc(SSL_CTX_get0_param(context), "127.0.0.1")
  }

  /// A client of an API server that is reached by a name or an address, which `Connection.startTLS` says and which the
  /// server's certificate must have.
  package convenience init(named identity: PEMIdentity?, authority: [UInt8]) throws(IOError) {
    try self.init(isServer: false, identity: identity, authority: authority)
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER) { isGood, verification in
      TLSSession.noteClocks(verification)
      return isGood
    }
  }

  /// The native protocol's client: TLS 1.3, and a server of that authority by whatever address it is reached: it gives
  /// certificates for servers to nobody but the coordinator.
  package convenience init(native identity: Identity) throws(IOError) {
    try self.init(isServer: false, identity: identity.own, authority: identity.authority)
    setOldest(TLS1_3_VERSION)
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER) { isGood, verification in
      TLSSession.noteClocks(verification)
      return isGood
    }
  }

  /// The same for who shows a token instead of a certificate.
  package convenience init(bearer authority: [UInt8]) throws(IOError) {
    try self.init(isServer: false, identity: nil, authority: authority)
    setOldest(TLS1_3_VERSION)
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER) { isGood, verification in
      TLSSession.noteClocks(verification)
      return isGood
    }
  }

  private init(isServer: Bool, identity: PEMIdentity?, authority: [UInt8]) throws(IOError) {
    guard let made = SSL_CTX_new(isServer ? TLS_server_method() : TLS_client_method()) else {
      throw OpenSSL.failure("TLS context")
    }
    context = made
    self.isServer = isServer
    SSL_CTX_ctrl(made, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(TLS1_2_VERSION), nil)
    guard SSL_CTX_set_cipher_list(made, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1 else {
      throw OpenSSL.failure("TLS ciphers")
    }
    // Of 1.2: a second handshake costs what the first did, and tickets would resume without a certificate.
    SSL_CTX_set_options(made, TLSContext.noRenegotiation | TLSContext.noTicket)
    // A client's chain is one certificate of the authority; what is longer would be kept before anything is proven.
    SSL_CTX_ctrl(made, SSL_CTRL_SET_MAX_CERT_LIST, 16 * 1024, nil)
    // Buffers of idle connections go back; no resumption, so that every connection proves its certificate anew.
    SSL_CTX_ctrl(made, SSL_CTRL_MODE, Int(SSL_MODE_RELEASE_BUFFERS), nil)
    SSL_CTX_ctrl(made, SSL_CTRL_SET_SESS_CACHE_MODE, Int(SSL_SESS_CACHE_OFF), nil)
    SSL_CTX_set_num_tickets(made, 0)
    // A joiner's: it believes nobody until `pinnedKeys` says whom, and has no certificate either.
    if authority.isEmpty, identity == nil, !isServer { return }
    for root in try Certificate.all(pem: authority) {
      guard X509_STORE_add_cert(SSL_CTX_get_cert_store(made), root.pointer) == 1 else {
        throw OpenSSL.failure("trust the authority")
      }
      if isServer { SSL_CTX_add_client_CA(made, root.pointer) }
    }
    if let identity { try show(identity) }
  }

  /// What is shown to the other side: one's certificate, and those that lead to authorities it may believe.
  private func show(_ identity: PEMIdentity) throws(IOError) {
    let key = try PrivateKey(pem: identity.key)
    for (position, certificate) in try Certificate.all(pem: identity.certificate).enumerated() {
      let isTaken =
        position == 0
        ? SSL_CTX_use_certificate(context, certificate.pointer) == 1
        : SSL_CTX_ctrl(context, SSL_CTRL_CHAIN_CERT, 1, UnsafeMutableRawPointer(certificate.pointer)) == 1
      guard isTaken else { throw OpenSSL.failure("certificate") }
    }
    guard SSL_CTX_use_PrivateKey(context, key.pointer) == 1, SSL_CTX_check_private_key(context) == 1 else {
      throw OpenSSL.failure("certificate and key")
    }
  }

  private func setOldest(_ version: Int32) { SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(version), nil) }

  /// The newest version that it speaks, for tests with the peers of another time.
  func setNewest(_ version: Int32) { SSL_CTX_ctrl(context, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(version), nil) }

  deinit {
    SSL_CTX_free(context)
    plain.deallocate()
  }
}

extension TLSContext {
  /// A client that believes whoever answers: for asking whether a server is there, and nothing else.
  package static func unverified() throws(IOError) -> TLSContext {
    let made = try TLSContext(isServer: false, identity: nil, authority: [])
    SSL_CTX_set_verify(made.context, SSL_VERIFY_NONE, nil)
    return made
  }

  /// A client that has no certificate yet: TLS 1.3, and it believes the authorities whose public keys have `digests`
  /// (SHA-256 of the SubjectPublicKeyInfo, in hexadecimal), whatever the address by which their server is reached.
  package convenience init(joining digests: [String]) throws(IOError) {
    try self.init(isServer: false, identity: nil, authority: [])
    pinnedKeys = Set(digests.map { $0.lowercased() })
    SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(TLS1_3_VERSION), nil)
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER) { isGood, verification in
      TLSSession.noteClocks(verification)
      return isGood
    }
    // The session keeps its context, so this one lives as long as any handshake.
    let own = Unmanaged.passUnretained(self).toOpaque()
    SSL_CTX_set_cert_verify_callback(
      context,
      { verification, own in
        guard let verification, let own else { return 0 }
        return Unmanaged<TLSContext>.fromOpaque(own).takeUnretainedValue().verifyPinned(verification)
      }, own)
  }
}

/// Bytes in a row that are taken from the front.
package final class ByteQueue {
  private var bytes: [UInt8] = []
  private var start = 0
  /// Room that an empty queue keeps. More would be held for each of thousands of connections.
  private static let keptCapacity = 4 * 1024

  /// Bytes that wait.
  package var count: Int { bytes.count - start }

  /// An empty one.
  package init() {}

  /// Puts bytes behind the others.
  package func append(_ added: [UInt8]) { bytes.append(contentsOf: added) }

  func append(_ added: UnsafeRawBufferPointer) { bytes.append(contentsOf: added) }

  /// Shows what is there; `body` says how much of it was taken, nothing or less when none could be.
  package func take(_ body: (UnsafeRawBufferPointer) -> Int) -> Int {
    let taken = bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[start...])) }
    guard taken > 0 else { return taken }
    start += taken
    if start == bytes.count {
      removeAll()
    } else if start > bytes.count / 2 {
      bytes.removeFirst(start)
      start = 0
    }
    return taken
  }

  /// Drops all of them.
  package func removeAll() {
    bytes.removeAll(keepingCapacity: bytes.capacity <= ByteQueue.keptCapacity)
    start = 0
  }
}

/// OpenSSL's way to the bytes of a session: it reads what was received and writes to the session's queue.
private enum TLSBytes {
  /// BIO_FLAGS_READ, and BIO_FLAGS_SHOULD_RETRY: none now, ask again.
  private static let readAgain: Int32 = 0x01 | 0x08
  /// BIO_FLAGS_RWS and BIO_FLAGS_SHOULD_RETRY.
  private static let allFlags: Int32 = 0x0F

  /// Made once and never changed.
  nonisolated(unsafe) static let method: OpaquePointer? = {
    // 0x400: BIO_TYPE_SOURCE_SINK.
    guard let method = BIO_meth_new(BIO_get_new_index() | 0x400, "stint") else { return nil }
    BIO_meth_set_read(method) { bio, target, most in
      guard let bio, let target, let session = TLSBytes.session(bio) else { return -1 }
      BIO_clear_flags(bio, allFlags)
      let count = session.take(into: target, Int(most))
      if count > 0 { return Int32(count) }
      BIO_set_flags(bio, readAgain)
      return -1
    }
    BIO_meth_set_write(method) { bio, source, count in
      guard let bio, let session = TLSBytes.session(bio) else { return -1 }
      BIO_clear_flags(bio, allFlags)
      session.put(UnsafeRawBufferPointer(start: source, count: Int(count)))
      return count
    }
    BIO_meth_set_ctrl(method) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
    return method
  }()

  private static func session(_ bio: OpaquePointer) -> TLSSession? {
    BIO_get_data(bio).map { Unmanaged<TLSSession>.fromOpaque($0).takeUnretainedValue() }
  }
}

/// One connection's TLS state. Bytes of the network go in by `receive`, bytes for it go to `records` by themselves.
package final class TLSSession {
  private let session: OpaquePointer
  private let context: TLSContext
  /// The server's, which its certificate must have; nil: it is reached by an address, and only its authority counts.
  private let name: String?
  /// Where records for the network are put.
  private let records: ByteQueue
  /// Bytes of the network that OpenSSL has not taken, during `receive`.
  private var incoming = UnsafeRawBufferPointer(start: nil, count: 0)
  /// What was sent before the handshake was over.
  private var early: [UInt8] = []
  /// Nothing has come yet.
  private var isFirst = true
  /// Whether both sides have proven what they must.
  package private(set) var isEstablished = false
  /// Called when `isEstablished` becomes true.
  var onEstablished: (() -> Void)?
  /// What is wrong when the other side's certificate is not valid at this time: its times and ours.
  package private(set) var clockProblem: String?
  /// What is wrong when nothing that the other side shows has the key that is believed.
  package internal(set) var pinProblem: String?
  /// The other side's certificate is of no authority that is believed.
  package private(set) var isStranger = false
  /// The other side said that it sends no more.
  private(set) var isFinished = false

  init(_ context: TLSContext, records: ByteQueue, name: String? = nil) throws(IOError) {
    guard let session = SSL_new(context.context) else { throw OpenSSL.failure("TLS session") }
    guard let bytes = TLSBytes.method.flatMap({ BIO_new($0) }) else {
      SSL_free(session)
      throw OpenSSL.failure("TLS buffers")
    }
    self.session = session
    self.name = name
    self.context = context
    self.records = records
    BIO_set_data(bytes, Unmanaged.passUnretained(self).toOpaque())
    BIO_set_init(bytes, 1)
    SSL_set_bio(session, bytes, bytes)
    SSL_set_ex_data(session, 0, Unmanaged.passUnretained(self).toOpaque())
    if let name, SSL_set1_host(session, name) != 1 { throw OpenSSL.failure("name \(name)") }
    if context.isServer { SSL_set_accept_state(session) } else { SSL_set_connect_state(session) }
  }

  deinit { SSL_free(session) }

  /// Takes bytes of the network and hands on what they say, in pieces of at most 16 KiB.
  func receive(_ bytes: UnsafeRawBufferPointer, _ hand: ([UInt8]) -> Void) throws(IOError) {
    incoming = bytes
    defer { incoming = UnsafeRawBufferPointer(start: nil, count: 0) }
    if !isEstablished {
      try refusePlainText()
      try advance()
    }
    while isEstablished, !isFinished, !incoming.isEmpty || SSL_has_pending(session) == 1 {
      ERR_clear_error()
      let plain = context.plain
      let result = SSL_read(session, plain.baseAddress, Int32(plain.count))
      if result > 0 {
        hand([UInt8](UnsafeRawBufferPointer(rebasing: plain[..<Int(result)])))
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
    guard !bytes.isEmpty else { return }
    ERR_clear_error()
    // The queue takes all that it is given. Nothing here is as long as Int32 counts: output has its limit.
    let written = bytes.withUnsafeBytes { SSL_write(session, $0.baseAddress, Int32($0.count)) }
    guard written == bytes.count else { throw OpenSSL.failure("TLS") }
  }

  /// OpenSSL asks for bytes of the network: 0 when there are none now.
  fileprivate func take(into target: UnsafeMutableRawPointer, _ most: Int) -> Int {
    let count = min(most, incoming.count)
    guard count > 0, let source = incoming.baseAddress else { return 0 }
    target.copyMemory(from: source, byteCount: count)
    incoming = UnsafeRawBufferPointer(rebasing: incoming[count...])
    return count
  }

  /// OpenSSL has bytes for the network.
  fileprivate func put(_ bytes: UnsafeRawBufferPointer) { records.append(bytes) }

  /// A TLS record begins with a number below 32, a request in plain text with a letter.
  private func refusePlainText() throws(IOError) {
    guard isFirst, let byte = incoming.first else { return }
    isFirst = false
    guard context.isServer, (0x41...0x5A).contains(byte) else { return }
    records.append(context.plainTextAnswer)
    throw IOError(operation: "TLS handshake", subject: "", message: "the client speaks plain text")
  }

  /// Goes on with the handshake; a client's first step, too.
  func advance() throws(IOError) {
    ERR_clear_error()
    let result = SSL_do_handshake(session)
    if result == 1 {
      isEstablished = true
      peer = provenPeer
      let bytes = early
      early = []
      try send(bytes)
      onEstablished?()
      onEstablished = nil
      return
    }
    guard SSL_get_error(session, result) == SSL_ERROR_WANT_READ else {
      let failure = OpenSSL.failure("TLS handshake")
      guard let problem = clockProblem ?? pinProblem ?? nameProblem else { throw failure }
      throw IOError(operation: "TLS handshake", subject: "", message: problem)
    }
  }

  private var nameProblem: String? {
    guard let name, SSL_get_verify_result(session) == Int(X509_V_ERR_HOSTNAME_MISMATCH) else { return nil }
    return "the server's certificate does not name \(name): start the coordinator with --advertise \(name), or use one "
      + "of its names and addresses"
  }

  /// A certificate is being looked at: keeps what is to be said when its time is not now.
  static func noteClocks(_ verification: OpaquePointer?) {
    let error = X509_STORE_CTX_get_error(verification)
    let strangers = [
      X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
      X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
      X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
    ]
    if strangers.contains(error) { of(verification)?.isStranger = true }
    guard [X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED].contains(error),
      let certificate = X509_STORE_CTX_get_current_cert(verification)
    else { return }
    of(verification)?.clockProblem = Certificates.clocks(certificate)
  }

  /// The session whose certificates are being looked at.
  static func of(_ verification: OpaquePointer?) -> TLSSession? {
    guard let ssl = X509_STORE_CTX_get_ex_data(verification, SSL_get_ex_data_X509_STORE_CTX_idx()),
      let session = SSL_get_ex_data(OpaquePointer(ssl), 0)
    else { return nil }
    return Unmanaged<TLSSession>.fromOpaque(session).takeUnretainedValue()
  }

  /// Says that no more will be sent.
  func sayEnd() { if isEstablished { SSL_shutdown(session) } }

  /// Who the other side has proven to be; nil without a certificate of the authority.
  package private(set) var peer: TLSPeer?

  private var provenPeer: TLSPeer? {
    guard SSL_get_verify_result(session) == Int(X509_V_OK),
      let certificate = SSL_get1_peer_certificate(session)
    else { return nil }
    defer { X509_free(certificate) }
    let subject = X509_get_subject_name(certificate)
    return TLSPeer(
      commonName: TLSSession.entries(subject, NID_commonName).first ?? "",
      organizations: TLSSession.entries(subject, NID_organizationName), serial: Certificates.serial(certificate),
      keyDigest: Certificates.keyDigest(certificate), end: Certificates.end(certificate) ?? 0,
      authority: verifiedRoot.map(Certificates.keyDigest) ?? "")
  }

  /// The certificate (PEM) of the authority that vouched for the other side; nil before that is proven.
  package var provenAuthority: [UInt8]? {
    guard isEstablished, peer != nil, let root = verifiedRoot else { return nil }
    X509_up_ref(root)
    return try? Certificate(owning: root).pem()
  }

  /// The end of the chain by which the other side's certificate was verified.
  private var verifiedRoot: OpaquePointer? {
    guard let chain = SSL_get0_verified_chain(session) else { return nil }
    let count = OPENSSL_sk_num(chain)
    guard count > 1, let last = OPENSSL_sk_value(chain, count - 1) else { return nil }
    return OpaquePointer(last)
  }

  static func entries(_ name: OpaquePointer?, _ type: Int32) -> [String] {
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
