// Names of coordinators: looked up on a thread, anew each time, and what the server's certificate must name then.

import ClusterIO
import ClusterProto
import Glibc
import Synchronization
import Testing

@Suite("Names of servers")
struct NameResolverTests {
  private static func turn(_ loop: EventLoop, until isDone: () -> Bool) throws {
    let end = Clocks.boot() + 20_000_000_000
    while !isDone() {
      try #require(Clocks.boot() < end)
      try loop.runOnce(timeoutMilliseconds: 10)
    }
  }

  private static let name = SocketAddress.tcp(host: "stint.example", port: 7420)
  private static func address(_ last: Int) -> SocketAddress { .tcp(host: "10.0.0.\(last)", port: 7420) }

  @Test("a look-up that hangs holds up no loop, is asked once however many wait, and who has left is not told")
  func hanging() throws {
    let loop = try EventLoop()
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    defer { for end in ends { close(end) } }
    let looks = Mutex(0)
    let gate = ends[0]
    let names = try NameResolver(loop: loop) { _ in
      looks.withLock { $0 += 1 }
      var byte: UInt8 = 0
      _ = read(gate, &byte, 1)
      return .success([Self.address(1)])
    }
    var told: [Int] = []
    for number in 0..<100 { _ = names.lookUp(Self.name) { _ in told.append(number) } }
    let left = names.lookUp(Self.name) { _ in told.append(-1) }
    names.cancel(left)
    var isFired = false
    let timer = loop.makeTimer { isFired = true }
    timer.arm(at: Clocks.boot() + 1_000_000)
    try Self.turn(loop) { isFired }
    #expect(told.isEmpty)
    var byte: UInt8 = 1
    #expect(write(ends[1], &byte, 1) == 1)
    try Self.turn(loop) { told.count == 100 }
    #expect(told == Array(0..<100) && looks.withLock { $0 } == 1)
  }

  @Test("names whose servers are dead hold up no other name")
  func apart() throws {
    let loop = try EventLoop()
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    defer { close(ends[0]) }
    let gate = ends[0]
    let names = try NameResolver(loop: loop) { address in
      guard address != Self.name else { return .success([Self.address(1)]) }
      var byte: UInt8 = 0
      _ = read(gate, &byte, 1)
      return .success([])
    }
    for port in 1...5 as ClosedRange<UInt16> { _ = names.lookUp(.tcp(host: "dead.example", port: port)) { _ in } }
    var isFound = false
    _ = names.lookUp(Self.name) { _ in isFound = true }
    try Self.turn(loop) { isFound }
    close(ends[1])
  }

  @Test("each connection asks anew, and an address that does not answer comes after those that do")
  func anew() throws {
    let loop = try EventLoop()
    let looks = Mutex(0)
    let names = try NameResolver(loop: loop) { _ in
      let number = looks.withLock { looks in
        looks += 1
        return looks
      }
      return number == 4 ? .success([Self.address(9)]) : .success([Self.address(1), Self.address(2)])
    }
    func found() throws -> [SocketAddress] {
      var result: [SocketAddress]?
      _ = names.lookUp(Self.name) { result = try? $0.get() }
      try Self.turn(loop) { result != nil }
      return result ?? []
    }
    #expect(try found() == [Self.address(1), Self.address(2)])
    names.note(Self.address(1), works: false)
    #expect(try found() == [Self.address(2), Self.address(1)])
    names.note(Self.address(1), works: true)
    #expect(try found() == [Self.address(1), Self.address(2)])
    // The name stands for another machine now.
    #expect(try found() == [Self.address(9)])
  }

  @Test("what the system knows is found, what is none is told in words; addresses are not looked up")
  func system() throws {
    #expect(throws: NameLookup.Failure.self) { try NameLookup.addresses(of: .tcp(host: "no..name", port: 1)) }
    for numeric in [Self.address(1), .tcp(host: "::1", port: 5), .tcp(host: "localhost", port: 5)] {
      #expect(try NameLookup.addresses(of: numeric) == [numeric] && numeric.name == nil)
    }
    #expect(Self.name.name == "stint.example")
  }

  enum Way: CaseIterable { case identity, joining, bearer }

  @Test(
    "a server that is reached by a name must have it in its certificate, whatever it is believed by",
    arguments: Way.allCases)
  func certificateNames(way: Way) throws {
    let authority = try Certificates.make(name: "stint", .authority, issuer: nil, seconds: 3600)
    let server = try Certificates.make(
      name: "stint-coordinator", .server(hosts: ["127.0.0.1", "stint.example"]), issuer: authority, seconds: 3600)
    let own = try Certificates.make(
      name: "system:node:a", .client(group: "system:nodes"), issuer: authority, seconds: 3600)
    let loop = try EventLoop()
    let context = try TLSContext(server: server, authority: authority.certificate, newest: true)
    let listener = try Listener(loop: loop, at: .tcp(host: "127.0.0.1", port: 0)) { try? $0.startTLS(context) }
    defer { listener.close() }
    func outcome(_ name: String?) throws -> String {
      let tls =
        switch way {
        case .identity: try TLSContext(native: Identity(own: own, authority: authority.certificate))
        case .joining: try TLSContext(joining: [try SigningRequests.keyDigest(ofCertificate: authority.certificate)])
        case .bearer: try TLSContext(bearer: authority.certificate)
        }
      let client = try Connection.connect(loop: loop, to: listener.address)
      var result: String?
      client.onSecured = { result = "secured" }
      client.onClose = { result = result ?? $0.description }
      try client.startTLS(tls, name: name)
      try Self.turn(loop) { result != nil }
      client.close()
      return result ?? ""
    }
    #expect(try outcome(nil) == "secured")
    #expect(try outcome("stint.example") == "secured")
    #expect(try outcome("STINT.example") == "secured")
    let refused = try outcome("other.example")
    #expect(
      refused.contains("the server's certificate does not name other.example: start the coordinator with"), "\(refused)"
    )
  }
}
