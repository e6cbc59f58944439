// Certificates in a data directory: made once, secret, renewed before they end, and useless elsewhere.

import ClusterIO
import ClusterProto
import Testing

@testable import Coordinator

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
    // Another name, and one that is gone again.
    let fourth = try PKI(directory: directory.path, host: "127.0.0.2", others: ["stint.example", "fd00::5"])
    #expect(fourth.server != third.server && fourth.authority == first.authority)
    for host in ["127.0.0.2", "stint.example", "fd00::5"] {
      #expect(Certificates.names(fourth.server.certificate, host: host))
    }
    let fifth = try PKI(directory: directory.path, host: "127.0.0.2", others: ["fd00::5"])
    #expect(!Certificates.names(fifth.server.certificate, host: "stint.example"))
    #expect(try PKI(directory: directory.path, host: "127.0.0.2", others: ["FD00:0::5"]).server == fifth.server)
  }

  @Test("what a crash has left of a file that was being written is gone with the next start, and nothing else")
  func remains() throws {
    let directory = try TemporaryDirectory()
    _ = try PKI(directory: directory.path, host: "127.0.0.1")
    let before = try Files.list("\(directory.path)/pki").sorted()
    for name in ["pki/former.pem.new", "pki/server.pem.new", "admin.kubeconfig.new", "coordinator.json.new"] {
      try Files.writeAtomically("\(directory.path)/\(name)", Array("a key".utf8))
    }
    try Files.writeAtomically("\(directory.path)/own.new", [])
    DataDirectory(path: directory.path).removeRemains()
    #expect(try Files.list("\(directory.path)/pki").sorted() == before)
    #expect(try Files.list(directory.path).filter { $0.hasSuffix(".new") } == ["own.new"])
  }

  @Test(
    "one that ends within 30 days is renewed; an authority that is made anew, since it is gone, renews both others"
  )
  func renewed() throws {
    let directory = try TemporaryDirectory()
    let first = try PKI(directory: directory.path, host: "127.0.0.1")
    let path = "\(directory.path)/pki"
    let day = 24 * 3600
    let soon = try Certificates.make(
      name: "admin", .client(group: "system:masters"), issuer: first.authority, seconds: 29 * day)
    try Files.writeAtomically("\(path)/admin.pem", soon.certificate + soon.key)
    let later = try Certificates.make(
      name: "stint-coordinator", .server(hosts: ["localhost", "127.0.0.1", "::1"]), issuer: first.authority,
      seconds: 31 * day)
    try Files.writeAtomically("\(path)/server.pem", later.certificate + later.key)
    let second = try PKI(directory: directory.path, host: "127.0.0.1")
    #expect(second.administrator != soon && second.administrator != first.administrator)
    #expect(second.server == later)
    try Files.removeTree("\(path)/authority.pem")
    let third = try PKI(directory: directory.path, host: "127.0.0.1")
    #expect(third.authority != first.authority)
    #expect(third.server != later && third.administrator != second.administrator)
  }

  @Test("an authority that has ended, is damaged or has another's key is refused with what to do, and left as it is")
  func authorityIsNeverReplaced() throws {
    let directory = try TemporaryDirectory()
    let first = try PKI(directory: directory.path, host: "127.0.0.1")
    let path = "\(directory.path)/pki/authority.pem"
    let ended = try Certificates.make(name: "stint", .authority, issuer: nil, seconds: -86_400)
    let other = try Certificates.make(name: "stint", .authority, issuer: nil, seconds: 3600)
    let end = WallTime(nanoseconds: Clocks.now().wall).adding(milliseconds: -86_400_000).rfc3339.prefix(10)
    for (bytes, words) in [
      (ended.certificate + ended.key, ["ended at \(end)", "clock says", "set the clock right"]),
      (Array("nonsense".utf8), ["damaged", "from a backup"]), ([], ["damaged", "from a backup"]),
      (first.authority.certificate + other.key, ["do not belong together", "from a backup"]),
    ] {
      try Files.writeAtomically(path, bytes)
      let error = try #require(throws: IOError.self) { try PKI(directory: directory.path, host: "127.0.0.1") }
      for word in words + ["every kubeconfig"] { #expect(error.description.contains(word), "\(error)") }
      #expect(try Files.read(path) == bytes)
    }
    // Of a clock that is behind nothing follows but that it is behind.
    let early = try Certificates.make(
      name: "stint", .authority, issuer: nil, seconds: 8 * 86_400, beginsIn: 86_400)
    try Files.writeAtomically(path, early.certificate + early.key)
    let error = try #require(throws: IOError.self) { try PKI(directory: directory.path, host: "127.0.0.1") }
    let begin = WallTime(nanoseconds: Clocks.now().wall).adding(milliseconds: 86_400_000).rfc3339.prefix(10)
    for word in ["begins at \(begin)", "clock says", "set the clock right and start again"] {
      #expect(error.description.contains(word), "\(error)")
    }
    #expect(!error.description.contains("anew"), "\(error)")
    // One that ends soon serves until it does: its end is no reason to break every kubeconfig before it.
    let soon = try Certificates.make(name: "stint", .authority, issuer: nil, seconds: 3600)
    try Files.writeAtomically(path, soon.certificate + soon.key)
    #expect(try PKI(directory: directory.path, host: "127.0.0.1").authority == soon)
  }

  @Test("one is due when 30 days are left, or when it cannot be read")
  func due() throws {
    for (days, isDue) in [(29, true), (31, false)] {
      let made = try Certificates.make(
        name: "a", .server(hosts: ["x"]), issuer: nil, seconds: days * 24 * 3600)
      #expect(PKI.isDue(made) == isDue)
    }
    #expect(PKI.isDue(PEMIdentity(certificate: [1, 2], key: [])))
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
