// Agents whose clock, or whose coordinator's, is wrong, with real processes: what they log must let a person see which.
// Wrong clocks are certificates whose time is not now: what TLS sees is the same.

import ClusterIO
import ClusterProto
import Glibc
import NodeAgent
import Synchronization
import Testing

@testable import stint

@Suite("A clock that is wrong")
struct ClockTests {
  private static func day(inSeconds seconds: Int64) -> String {
    String(WallTime(nanoseconds: Clocks.now().wall).adding(milliseconds: seconds * 1_000).rfc3339.prefix(10))
  }

  /// What an agent has to log of a certificate that begins, or has ended, so many seconds from now.
  private static func words(from begin: Int64, to end: Int64) -> [String] {
    [
      "certificate is valid from \(day(inSeconds: begin))T", " to \(day(inSeconds: end))T",
      "this machine's clock says \(day(inSeconds: 0))T", "set the clock right",
    ]
  }

  /// Turns a coordinator's place at `port`, whose certificate is not valid now, until `program` has logged `words`.
  private static func serve(
    _ server: PEMIdentity, _ authority: PEMIdentity, _ start: (String) throws -> Program, until words: [String]
  ) throws {
    let loop = try EventLoop()
    let context = try TLSContext(server: server, authority: authority.certificate)
    let listener = try Listener(loop: loop, at: .tcp(host: "127.0.0.1", port: 0)) { connection in
      try? connection.startTLS(context)
    }
    defer { listener.close() }
    let program = try start(listener.address.description)
    defer { _ = try? program.killAndReap() }
    try eventually("the agent names both times", seen: { program.text }) {
      try loop.runOnce(timeoutMilliseconds: 20)
      return words.allSatisfy(program.text.contains)
    }
  }

  @Test(
    "a node and a joiner that find the coordinator's certificate ended, or not yet valid, log both times",
    arguments: [(-40, -20), (20, 40)])
  func coordinators(days: (begin: Int64, end: Int64)) async throws {
    try await Blocking.run {
      let place = try StartPlace()
      let (begin, end) = (days.begin * 86_400, days.end * 86_400)
      let authority = try Certificates.make(
        name: "stint", .authority, issuer: nil, seconds: 86_400 * 100, beginsIn: -86_400 * 100)
      let server = try Certificates.make(
        name: "coordinator", .server(hosts: ["127.0.0.1"]), issuer: authority, seconds: Int(end), beginsIn: Int(begin))
      let digest = try found(Certificates.keyDigests(ofBundle: authority.certificate).first, "digest")
      try Self.serve(
        server, authority,
        { address in
          let token = JoinToken(
            addresses: [address], authority: digest, id: "abcdefghijkl", secret: String(repeating: "0", count: 32))
          return try place.start([
            "agent", "--name", "here", "--data", "\(place.directory)/fresh", "--join", token.text,
          ])
        }, until: Self.words(from: begin, to: end))
      let data = "\(place.directory)/data"
      try Files.makeDirectory("\(data)/identity")
      let own = try Certificates.make(
        name: Subject.nodeName("here"), .client(group: Subject.nodes), issuer: authority, seconds: 86_400)
      try Identity(own: own, authority: authority.certificate).write(directory: "\(data)/identity")
      for path in ["", "/identity"] + (try Files.list("\(data)/identity").map({ "/identity/\($0)" })) {
        try place.giveAway(data + path)
      }
      try Self.serve(
        server, authority,
        { address in
          try place.start(["agent", "--name", "here", "--data", data, "--coordinator", address])
        }, until: Self.words(from: begin, to: end))
      _ = try place.start(["agent", "--data", data, "--stop"]).end(within: 30)
    }
  }

  @Test("a node whose own certificate is not valid yet by the coordinator's clock logs both times")
  func own() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 0) { cluster in
        let authority = try found(
          try PEMIdentity(file: "\(cluster.directory)/coordinator/pki/authority.pem"), "authority")
        let (begin, end) = (20 * 86_400, 40 * 86_400)
        let own = try Certificates.make(
          name: Subject.nodeName("node-1"), .client(group: Subject.nodes), issuer: authority, seconds: end,
          beginsIn: begin)
        try Identity(own: own, authority: authority.certificate)
          .write(directory: NodePaths(data: cluster.dataDirectory("node-1")).identity)
        let agent = try cluster.join("node-1", "", more: ["--coordinator", cluster.server])
        let wanted = Self.words(from: Int64(begin), to: Int64(end)).dropLast()
        try eventually("the agent names both times", seen: { agent.text }) { wanted.allSatisfy(agent.text.contains) }
      }
    }
  }
}
