// Certificates in a data directory: made once, secret, renewed before they end, and useless elsewhere.

import ClusterIO
import Coordinator
import Testing

@Suite("Certificates")
struct PKITests {
  @Test("they are made once, in files that only their owner reads; a new host renews the server's alone")
  func madeOnce() throws {
    let directory = try TemporaryDirectory()
    let first = try PKI(directory: directory.path, host: "127.0.0.1")
    let second = try PKI(directory: directory.path, host: "127.0.0.1")
    #expect(first.authority == second.authority)
    #expect(first.server == second.server)
    #expect(first.administrator == second.administrator)
    for name in try Files.list("\(directory.path)/pki") {
      #expect(try Files.status("\(directory.path)/pki/\(name)").mode & 0o777 == 0o600)
    }
    #expect(try Files.status("\(directory.path)/pki").mode & 0o777 == 0o700)
    for host in ["127.0.0.1", "localhost", "::1"] { #expect(Certificates.names(first.server.certificate, host: host)) }
    #expect(!Certificates.names(first.server.certificate, host: "127.0.0.2"))
    let third = try PKI(directory: directory.path, host: "127.0.0.2")
    #expect(third.server != first.server)
    #expect(third.authority == first.authority)
  }

  @Test("one that ends within 30 days is renewed, so is one that is damaged; a new authority renews both others")
  func renewed() throws {
    let directory = try TemporaryDirectory()
    let first = try PKI(directory: directory.path, host: "127.0.0.1")
    let path = "\(directory.path)/pki"
    let day = 24 * 3600
    let soon = try Certificates.make(
      name: "admin", .client(group: "system:masters"), issuer: first.authority, seconds: 29 * day)
    try Files.writeAtomically("\(path)/admin.pem", soon.certificate + soon.key)
    let later = try Certificates.make(
      name: "stint-coordinator", .server(hosts: ["127.0.0.1"]), issuer: first.authority, seconds: 31 * day)
    try Files.writeAtomically("\(path)/server.pem", later.certificate + later.key)
    let second = try PKI(directory: directory.path, host: "127.0.0.1")
    #expect(second.administrator != soon && second.administrator != first.administrator)
    #expect(second.server == later)
    try Files.writeAtomically("\(path)/authority.pem", Array("nonsense".utf8))
    let third = try PKI(directory: directory.path, host: "127.0.0.1")
    #expect(third.authority != first.authority)
    #expect(third.server != later && third.administrator != second.administrator)
  }

  @Test("a certificate and another one's key are not usable together")
  func mismatch() throws {
    let authority = try Certificates.make(name: "a", .authority, issuer: nil, seconds: 3600)
    let one = try Certificates.make(name: "b", .server(hosts: ["x"]), issuer: authority, seconds: 3600)
    let two = try Certificates.make(name: "b", .server(hosts: ["x"]), issuer: authority, seconds: 3600)
    let mixed = PEMIdentity(certificate: one.certificate, key: two.key)
    #expect(Certificates.isUsable(one, authority: authority.certificate, inSeconds: 0))
    #expect(!Certificates.isUsable(one, authority: authority.certificate, inSeconds: 7200))
    #expect(!Certificates.isUsable(mixed, authority: authority.certificate, inSeconds: 0))
    #expect(!Certificates.isUsable(one, authority: two.certificate, inSeconds: 0))
  }
}
