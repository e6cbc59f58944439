// Who is believed in a TLS handshake: a joiner that knows a digest only, and whoever shows the wrong thing or nothing.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite("Who is believed in a handshake")
struct TLSPeerTests {
  private let loop: EventLoop
  private let authority: PEMIdentity
  private let server: PEMIdentity

  init() throws {
    loop = try EventLoop()
    authority = try Certificates.make(name: "stint", .authority, issuer: nil, seconds: 864_000)
    server = try Certificates.make(name: "s", .server(hosts: ["127.0.0.1"]), issuer: authority, seconds: 3600)
  }

  private struct Outcome {
    /// As the server sees the client.
    var seen: TLSPeer?
    /// The authority that the client came to believe.
    var believed: [UInt8]?
    /// Why the client's connection ended; empty: it did not.
    var refusal = ""
  }

  /// One handshake and one byte from the client.
  private func meet(_ server: PEMIdentity, _ client: TLSContext) throws -> Outcome {
    let context = try TLSContext(server: server, authority: authority.certificate)
    var outcome = Outcome()
    var hasCome = false
    var accepted: Connection?
    let listener = try Listener(loop: loop, at: .tcp(host: "127.0.0.1", port: 0)) { connection in
      try? connection.startTLS(context)
      connection.onBytes = { [unowned connection] _ in
        outcome.seen = connection.tls?.peer
        hasCome = true
      }
      accepted = connection
    }
    defer { listener.close() }
    let connection = try Connection.connect(loop: loop, to: listener.address)
    try connection.startTLS(client)
    connection.onSecured = { [unowned connection] in outcome.believed = connection.tls?.provenAuthority }
    connection.onClose = { outcome.refusal = $0.description }
    connection.send([1])
    let isOver = try turn(loop) { hasCome || !outcome.refusal.isEmpty }
    #expect(isOver)
    connection.onClose = nil
    connection.close()
    accepted?.close()
    return outcome
  }

  private func joiner(of authority: PEMIdentity) throws -> TLSContext {
    try TLSContext(joining: [try SigningRequests.keyDigest(ofCertificate: authority.certificate)])
  }

  @Test("a joiner that knows the digest of the authority's key believes its server, and learns the authority")
  func joiner() throws {
    let outcome = try meet(server, try joiner(of: authority))
    #expect(outcome.refusal.isEmpty && outcome.seen == nil)
    #expect(outcome.believed == authority.certificate)
  }

  @Test("a joiner refuses another authority, by both digests, and one of the same name")
  func strangers() throws {
    let other = try Certificates.make(name: "stint", .authority, issuer: nil, seconds: 864_000)
    let forged = try Certificates.make(name: "s", .server(hosts: ["127.0.0.1"]), issuer: other, seconds: 3600)
    let wanted = try SigningRequests.keyDigest(ofCertificate: authority.certificate)
    let outcome = try meet(server, try joiner(of: other))
    #expect(outcome.believed == nil)
    #expect(outcome.refusal.contains("of another authority") && outcome.refusal.contains(wanted), "\(outcome)")
    // A server that adds nothing but its own, signed by another one's key.
    let lonely = try meet(forged, try joiner(of: authority))
    #expect(lonely.believed == nil && !lonely.refusal.isEmpty, "\(lonely)")
  }

  @Test(
    "a joiner refuses a server whose certificate is a node's, its own authority's, or not valid now",
    arguments: ["node", "self", "expired"])
  func unfit(kind: String) throws {
    let shown =
      switch kind {
      case "node":
        try Certificates.make(name: "system:node:a", .client(group: "g"), issuer: authority, seconds: 3600)
      case "self": try Certificates.make(name: "s", .server(hosts: ["127.0.0.1"]), issuer: nil, seconds: 3600)
      default: try Certificates.make(name: "s", .server(hosts: ["127.0.0.1"]), issuer: authority, seconds: -600)
      }
    let outcome = try meet(shown, try joiner(of: authority))
    #expect(outcome.believed == nil && !outcome.refusal.isEmpty, "\(outcome)")
    if kind == "expired" { #expect(outcome.refusal.contains("set the clock right"), "\(outcome)") }
  }

  @Test("a client's certificate says name, groups, number, key and end; another has another key")
  func details() throws {
    let own = try Certificates.make(
      name: "system:node:a", .client(group: "system:nodes"), issuer: authority, seconds: 3600)
    let peer = try #require(
      try meet(server, try TLSContext(client: own, authority: authority.certificate)).seen)
    #expect(peer.commonName == "system:node:a" && peer.organizations == ["system:nodes"])
    #expect(
      peer.keyDigest == (try SigningRequests.keyDigest(ofCertificate: own.certificate)) && peer.keyDigest.count == 64)
    #expect(peer.end == Certificates.end(own.certificate))
    #expect(Hexadecimal.bytes(peer.serial)?.count == 16)
    let other = try Certificates.make(name: "b", .client(group: "g"), issuer: authority, seconds: 3600)
    let second = try #require(
      try meet(server, try TLSContext(client: other, authority: authority.certificate)).seen)
    #expect(second.keyDigest != peer.keyDigest && second.serial != peer.serial)
  }

  @Test(
    "who shows no certificate, one of another authority, or one that is not valid now, is nobody",
    arguments: ["none", "other", "expired"])
  func nobody(kind: String) throws {
    let other = try Certificates.make(name: "stint", .authority, issuer: nil, seconds: 864_000)
    let own: PEMIdentity? =
      switch kind {
      case "none": nil
      case "other": try Certificates.make(name: "admin", .client(group: "system:masters"), issuer: other, seconds: 3600)
      default: try Certificates.make(name: "admin", .client(group: "system:masters"), issuer: authority, seconds: -600)
      }
    let outcome = try meet(server, try TLSContext(client: own, authority: authority.certificate))
    #expect(outcome.refusal.isEmpty && outcome.seen == nil, "\(outcome)")
  }

  @Test("hundreds of half-open, silent and plain-text peers hold nobody up who shakes hands beside them")
  func crowd() throws {
    let context = try TLSContext(server: server, authority: authority.certificate)
    var accepted: [Connection] = []
    var isAnswered = false
    let listener = try Listener(loop: loop, at: .tcp(host: "127.0.0.1", port: 0)) { connection in
      try? connection.startTLS(context)
      connection.onBytes = { _ in isAnswered = true }
      accepted.append(connection)
    }
    defer { listener.close() }
    // Half a ClientHello's record, a letter that no record begins with, or nothing at all.
    let beginnings: [[UInt8]] = [[0x16, 3, 1, 2, 0, 1], Array("GET / HTTP/1.1\r\n\r\n".utf8), []]
    var peers: [Connection] = []
    var closed = 0
    let count = 600
    for number in 0..<count {
      let peer = try Connection.connect(loop: loop, to: listener.address)
      peer.onClose = { _ in closed += 1 }
      peer.send(beginnings[number % beginnings.count])
      peers.append(peer)
    }
    let areIn = try turn(loop, seconds: 60) { accepted.count == count && closed == count / 3 }
    #expect(areIn, "those that speak text are closed at once, the others wait")
    let client = try Connection.connect(loop: loop, to: listener.address)
    try client.startTLS(try joiner(of: authority))
    client.send([1])
    var turns = 0
    let isHeard = try turn(loop) {
      turns += 1
      return isAnswered
    }
    // Its handshake takes what it takes alone: nothing of the crowd is done again in a turn.
    #expect(isHeard && turns < 50, "\(turns)")
    for connection in peers + accepted + [client] { connection.close() }
    _ = try turn(loop) { accepted.allSatisfy { !$0.isOpen } }
  }
}
