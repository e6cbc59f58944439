// The exchange of an authority on files, a crash after each step included, and who is believed by whom meanwhile.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite("Authorities that are exchanged")
struct AuthoritiesTests {
  private let scratch: Scratch
  private let pki: String
  private let loop: EventLoop

  init() throws {
    scratch = try Scratch()
    pki = "\(scratch.path)/pki"
    loop = try EventLoop()
    try Files.makeDirectory(pki)
    try Files.writeAtomically("\(pki)/authority.pem", try Authorities.make().file)
  }

  /// What a server of these authorities shows.
  private static func server(_ authorities: Authorities) throws -> PEMIdentity {
    let own = try Certificates.make(
      name: "s", .server(hosts: ["127.0.0.1"]), issuer: authorities.current, seconds: 3600)
    guard let former = authorities.former else { return own }
    return PEMIdentity(certificate: own.certificate + former.cross + former.root, key: own.key)
  }

  /// Whether a client comes through the handshake, whom the server sees, and why not.
  private func meet(
    _ authorities: Authorities, _ client: TLSContext
  ) throws -> (isBelieved: Bool, seen: TLSPeer?, refusal: String) {
    let context = try TLSContext(server: try Self.server(authorities), authority: authorities.bundle, newest: true)
    var (seen, hasCome, refusal): (TLSPeer?, Bool, String) = (nil, false, "")
    var accepted: Connection?
    let listener = try Listener(loop: loop, at: .tcp(host: "127.0.0.1", port: 0)) { connection in
      try? connection.startTLS(context)
      connection.onBytes = { [unowned connection] _ in
        seen = connection.tls?.peer
        hasCome = true
      }
      accepted = connection
    }
    defer { listener.close() }
    let connection = try Connection.connect(loop: loop, to: listener.address)
    try connection.startTLS(client)
    connection.onClose = { refusal = $0.description }
    connection.send([1])
    let isOver = try turn(loop) { hasCome || !refusal.isEmpty }
    #expect(isOver)
    connection.onClose = nil
    connection.close()
    accepted?.close()
    return (hasCome, seen, refusal)
  }

  private static func client(of issuer: PEMIdentity, believing bundle: [UInt8]) throws -> TLSContext {
    let own = try Certificates.make(name: "alice", .client(group: "g"), issuer: issuer, seconds: 3600)
    return try TLSContext(native: Identity(own: own, authority: bundle))
  }

  private static func digest(_ certificate: [UInt8]) throws -> String {
    try SigningRequests.keyDigest(ofCertificate: certificate)
  }

  @Test("before, during and after an exchange: who believes either authority, both, or a digest, and who is refused")
  func believed() throws {
    let old = try Authorities(below: pki)
    let stranger = try Authorities.make()
    try Authorities.exchange(below: pki)
    let both = try Authorities(below: pki)
    try Authorities.drop(below: pki)
    let new = try Authorities(below: pki)
    #expect(both.former?.root == old.current.certificate && new.former == nil && new.current == both.current)
    #expect(new.current != old.current && Certificates.keyDigests(ofBundle: both.bundle).count == 2)
    let (oldRoot, newRoot) = (old.current.certificate, new.current.certificate)
    let cases: [(String, TLSContext, before: Bool, during: Bool, after: Bool)] = [
      ("old", try Self.client(of: old.current, believing: oldRoot), true, true, false),
      ("new", try Self.client(of: new.current, believing: newRoot), false, false, true),
      ("new, both", try Self.client(of: new.current, believing: both.bundle), true, true, true),
      ("old token", try TLSContext(joining: [try Self.digest(oldRoot)]), true, true, false),
      ("new token", try TLSContext(joining: [try Self.digest(newRoot)]), false, true, true),
      ("both digests", try TLSContext(joining: Certificates.keyDigests(ofBundle: both.bundle)), true, true, true),
      ("stranger", try Self.client(of: stranger, believing: stranger.certificate), false, false, false),
      ("stranger's token", try TLSContext(joining: [try Self.digest(stranger.certificate)]), false, false, false),
    ]
    for (name, client, before, during, after) in cases {
      for (state, authorities, wanted) in [("before", old, before), ("during", both, during), ("after", new, after)] {
        let outcome = try meet(authorities, client)
        // Who believes the new one alone is nobody before the old one is dropped: everybody is given both.
        if name == "new", state == "during" { continue }
        #expect(outcome.isBelieved == wanted, "\(name) \(state): \(outcome)")
      }
    }
    let seen = try meet(both, try Self.client(of: old.current, believing: oldRoot)).seen
    #expect(seen?.authority == (try Self.digest(oldRoot)) && seen?.commonName == "alice")
    let moved = try meet(both, try Self.client(of: new.current, believing: both.bundle)).seen
    #expect(moved?.authority == (try Self.digest(newRoot)))
    // A client of the old one whom the server believes no more is nobody, whatever it believes itself.
    #expect(try meet(new, try Self.client(of: old.current, believing: both.bundle)).seen == nil)
  }

  @Test("a crash after each step leaves the state before the exchange or in it, and the next try completes it")
  func crashes() throws {
    let before = try Authorities(below: pki)
    let old = try Files.read("\(pki)/authority.pem")
    try Authorities.exchange(below: pki)
    let new = try Files.read("\(pki)/authority.pem")
    let former = try Files.read("\(pki)/former.pem")
    // After the first file: nothing has begun, and what is left counts for nothing.
    try Files.writeAtomically("\(pki)/authority.pem", old)
    #expect(try Authorities(below: pki) == before)
    try Authorities.exchange(below: pki)
    let again = try Authorities(below: pki)
    #expect(again.former?.root == before.current.certificate && again.current.file != new)
    // After the second: it has begun. To begin again changes nothing.
    try Authorities.exchange(below: pki)
    #expect(try Authorities(below: pki) == again)
    // The old key is nowhere any more.
    for name in try Files.list(pki) {
      let file = try Files.read("\(pki)/\(name)")
      #expect(!String(decoding: file, as: UTF8.self).contains(String(decoding: before.current.key, as: UTF8.self)))
      #expect(try Files.status("\(pki)/\(name)").mode & 0o777 == 0o600)
    }
    // Of another exchange than the authority's.
    try Files.writeAtomically("\(pki)/former.pem", former)
    #expect(try Authorities(below: pki).former == nil)
    try Authorities.drop(below: pki)
    #expect(!Files.exists("\(pki)/former.pem"))
    try Authorities.drop(below: pki)
    // Half of it.
    try Files.writeAtomically("\(pki)/former.pem", Array(former.prefix(former.count / 3)))
    let error = #expect(throws: IOError.self) { try Authorities(below: pki) }
    #expect(error?.message.isEmpty == false)
  }

  @Test("an agent whose authority is at hand keeps what it has in an exchange, and can be given the next at any time")
  func local() throws {
    let place = "\(scratch.path)/identity"
    let first = try Identity.local(directory: place, node: "a", coordinator: scratch.path)
    #expect(first.signer == (try Self.digest(first.authority)))
    let former = try #require(try PEMIdentity(file: "\(pki)/authority.pem"))
    try Authorities.exchange(below: pki)
    #expect(try Identity.local(directory: place, node: "a", coordinator: scratch.path) == first)
    let second = try Identity.issue(node: "a", coordinator: scratch.path, key: first.own.key)
    #expect(second.own.key == first.own.key && second.signer != first.signer)
    #expect(Certificates.keyDigests(ofBundle: second.authority) == [second.signer, first.signer].compactMap { $0 })
    // What the former one has signed and what ends soon is made anew.
    let request = try SigningRequests.make(name: "x", key: first.own.key)
    let short = try SigningRequests.sign(request: request, node: "a", authority: former, seconds: 3600)
    try Identity(own: PEMIdentity(certificate: short, key: first.own.key), authority: first.authority)
      .write(directory: place)
    #expect(try Identity.local(directory: place, node: "a", coordinator: scratch.path).signer == second.signer)
  }
}
