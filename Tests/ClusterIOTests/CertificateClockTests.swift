// Certificates whose time is not now: what is said must let a person see which clock is wrong.

import ClusterIO
import ClusterProto
import Testing

@Suite("A certificate whose time is not now")
struct CertificateClockTests {
  /// What both ends say of a handshake in which each shows the other a certificate.
  private func handshake(
    server: PEMIdentity, client: PEMIdentity, authority: PEMIdentity
  ) throws -> (server: String?, client: String) {
    let loop = try EventLoop()
    var accepted: Connection?
    let context = try TLSContext(server: server, authority: authority.certificate)
    let listener = try Listener(loop: loop, at: .tcp(host: "127.0.0.1", port: 0)) { connection in
      try? connection.startTLS(context)
      accepted = connection
    }
    defer { listener.close() }
    let connection = try Connection.connect(loop: loop, to: listener.address)
    try connection.startTLS(try TLSContext(client: client, authority: authority.certificate))
    var reason: String?
    connection.onClose = { reason = $0.description }
    var said: String?
    // A server that sees such a certificate goes on, to say more than that the handshake failed.
    let isOver = try turn(loop) {
      said = accepted?.tls?.clockProblem ?? said
      return reason != nil || said != nil
    }
    #expect(isOver)
    connection.close()
    return (said, reason ?? "")
  }

  @Test("a client says its own time and the certificate's; a server keeps the same for its answer")
  func bothTimes() throws {
    let authority = try Certificates.make(name: "a", .authority, issuer: nil, seconds: 864_000)
    func server(_ seconds: Int) throws -> PEMIdentity {
      try Certificates.make(name: "s", .server(hosts: ["127.0.0.1"]), issuer: authority, seconds: seconds)
    }
    func client(_ seconds: Int) throws -> PEMIdentity {
      try Certificates.make(name: "c", .client(group: "g"), issuer: authority, seconds: seconds)
    }
    let now = WallTime(nanoseconds: Clocks.now().wall)
    let (today, end) = (now.rfc3339.prefix(13), now.adding(milliseconds: -600_000).rfc3339.prefix(13))
    let words = ["valid from ", " to \(end)", "this machine's clock says \(today)", "set the clock right"]
    let refused = try handshake(server: try server(-600), client: try client(3600), authority: authority)
    for word in words { #expect(refused.client.contains(word), "\(refused)") }
    let seen = try handshake(server: try server(3600), client: try client(-600), authority: authority)
    for word in words { #expect(seen.server?.contains(word) == true, "\(seen)") }
    // How a user gets another one; a server or a node makes its own.
    #expect(seen.server?.contains("stint user create c") == true && !refused.client.contains("stint user"))
    let node = try Certificates.make(
      name: "system:node:n", .client(group: Subject.nodes), issuer: authority, seconds: -600)
    let ofNode = try handshake(server: try server(3600), client: node, authority: authority)
    #expect(ofNode.server?.contains("set the clock right") == true && ofNode.server?.contains("stint user") == false)
  }

  @Test("a certificate of another authority is no matter of clocks")
  func stranger() throws {
    let authority = try Certificates.make(name: "a", .authority, issuer: nil, seconds: 864_000)
    let other = try Certificates.make(name: "b", .authority, issuer: nil, seconds: 864_000)
    let server = try Certificates.make(name: "s", .server(hosts: ["127.0.0.1"]), issuer: other, seconds: 3600)
    let client = try Certificates.make(name: "c", .client(group: "g"), issuer: authority, seconds: 3600)
    let refused = try handshake(server: server, client: client, authority: authority)
    #expect(refused.client.contains("certificate verify failed") && !refused.client.contains("clock"), "\(refused)")
  }
}
