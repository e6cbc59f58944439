// Owns: tests of the loop and its sockets, over real ones.

import ClusterIO
import Glibc
import Testing

@Suite struct SocketTests {
  /// A listener that echoes, on a port the system chose.
  private func echo(_ loop: EventLoop, at address: SocketAddress) throws -> Listener {
    try Listener(loop: loop, at: address) { connection in
      connection.onBytes = { [unowned connection] bytes in connection.send(bytes) }
    }
  }

  @Test("bytes go both ways over TCP and the port is told")
  func tcpEcho() throws {
    let loop = try EventLoop()
    let listener = try echo(loop, at: .tcp(host: "127.0.0.1", port: 0))
    guard case .tcp(_, let port) = listener.address else { return #expect(Bool(false)) }
    #expect(port != 0)
    let client = try Connection.connect(loop: loop, to: .tcp(host: "localhost", port: port))
    var got: [UInt8] = []
    let sent = (0..<300_000).map { UInt8(truncatingIfNeeded: $0) }
    client.onOpen = { client.send(sent) }
    client.onBytes = { got += $0 }
    #expect(try turn(loop) { got.count == sent.count })
    #expect(got == sent)
    client.onOpen = nil
    client.close()
    listener.close()
  }

  @Test("addresses are read with and without a port, in IPv4 and IPv6")
  func parsing() {
    func read(_ text: String) -> String? { SocketAddress(parsing: text, defaultPort: 7420)?.description }
    for (text, address) in [
      ("0.0.0.0", "0.0.0.0:7420"), ("10.0.0.5:1", "10.0.0.5:1"), ("::", "[::]:7420"), ("[::]", "[::]:7420"),
      ("[fd00::5]:1", "[fd00::5]:1"), ("fd00::5", "[fd00::5]:7420"), ("localhost", "localhost:7420"),
    ] { #expect(read(text) == address) }
    for text in ["", ":1", "a:b", "fd00:::5", "10.0.0.5:", "10.0.0.5:70000", "[fd00::5", "[]:1"] {
      #expect(read(text) == nil, "\(text)")
    }
    #expect(SocketAddress.canonicalAddress("FD00:0:0::05") == "fd00::5")
    #expect(SocketAddress.canonicalAddress("::ffff:10.0.0.5") == "10.0.0.5")
    #expect(SocketAddress.canonicalAddress("10.0.0") == nil)
    for (host, origin) in [
      ("10.0.0.5", "10.0.0.5"), ("2001:db8:1:2:3::4", "2001:db8:1:2::"), ("127.0.0.1", nil), ("::1", nil),
    ] { #expect(SocketAddress.tcp(host: host, port: 1).origin == origin) }
  }

  @Test("all addresses of IPv6 are those of IPv4, too, and the other side's address is told as it was dialled")
  func dualStack() throws {
    let loop = try EventLoop()
    var peers: [String] = []
    let listener = try Listener(loop: loop, at: .tcp(host: "::", port: 0)) { peers.append($0.peer) }
    guard case .tcp(_, let port) = listener.address else { return #expect(Bool(false)) }
    for host in ["127.0.0.1", "::1"] {
      let client = try Connection.connect(loop: loop, to: .tcp(host: host, port: port))
      var own: String?
      client.onOpen = { [unowned client] in own = client.localHost }
      #expect(try turn(loop) { own != nil && peers.count == (host == "::1" ? 2 : 1) })
      #expect(own == host)
      client.close()
    }
    #expect(peers[0].hasPrefix("127.0.0.1:") && peers[1].hasPrefix("[::1]:"))
    listener.close()
  }

  @Test("a unix socket works below a path longer than its address holds")
  func longUnixPath() throws {
    let scratch = try Scratch()
    let directory = "\(scratch.path)/\(String(repeating: "d", count: 120))"
    try Files.makeDirectory(directory)
    let loop = try EventLoop()
    let listener = try echo(loop, at: .unix(path: "\(directory)/socket"))
    #expect(try Files.status("\(directory)/socket").mode & 0o777 == 0o600)
    let client = try Connection.connect(loop: loop, to: .unix(path: "\(directory)/socket"))
    var got: [UInt8] = []
    client.onBytes = { got += $0 }
    client.send([1, 2, 3])
    #expect(try turn(loop) { got == [1, 2, 3] })
    client.close()
    listener.close()
  }

  @Test("a refused connection closes with the system's reason")
  func refused() throws {
    let loop = try EventLoop()
    let listener = try echo(loop, at: .tcp(host: "127.0.0.1", port: 0))
    let address = listener.address
    listener.close()
    let client = try Connection.connect(loop: loop, to: address)
    var reason: Connection.CloseReason?
    client.onClose = { reason = $0 }
    #expect(try turn(loop) { reason != nil })
    #expect(reason == .failed(IOError(code: ECONNREFUSED, operation: "connect", subject: address.description)))
  }

  @Test("a peer that does not read is closed as slow")
  func slowPeer() throws {
    let loop = try EventLoop()
    var accepted: Connection?
    let listener = try Listener(loop: loop, at: .tcp(host: "127.0.0.1", port: 0)) { connection in
      connection.setReading(false)
      accepted = connection
    }
    let client = try Connection.connect(loop: loop, to: listener.address, outputLimit: 1 << 20)
    var reason: Connection.CloseReason?
    client.onClose = { reason = $0 }
    #expect(try turn(loop) { accepted != nil })
    let end = Clocks.boot() + 10_000_000_000
    while reason == nil, Clocks.boot() < end {
      client.send([UInt8](repeating: 7, count: 512 << 10))
      try loop.runOnce(timeoutMilliseconds: 0)
    }
    #expect(reason == .slowPeer)
    #expect(!client.isOpen)
    accepted?.close()
    listener.close()
    try loop.runOnce(timeoutMilliseconds: 0)
  }

  @Test("close after flush sends everything first, and the peer sees the end of the stream")
  func closeAfterFlush() throws {
    let loop = try EventLoop()
    var got = 0
    var reason: Connection.CloseReason?
    let listener = try Listener(loop: loop, at: .tcp(host: "127.0.0.1", port: 0)) { connection in
      connection.onBytes = { got += $0.count }
      connection.onClose = { reason = $0 }
    }
    let client = try Connection.connect(loop: loop, to: listener.address)
    client.onOpen = {
      client.send([UInt8](repeating: 1, count: 3 << 20))
      client.close(afterFlush: true)
    }
    #expect(try turn(loop) { reason != nil })
    #expect(got == 3 << 20)
    #expect(reason == .endOfStream)
    listener.close()
  }

  @Test("who closes a connection while it is being made hears of nothing but its end")
  func closedWhileConnecting() throws {
    let loop = try EventLoop()
    let listener = try echo(loop, at: .tcp(host: "127.0.0.1", port: 0))
    let connection = try Connection.connect(loop: loop, to: listener.address)
    var heard: [String] = []
    connection.onOpen = { heard.append("open") }
    connection.onBytes = { _ in heard.append("bytes") }
    connection.onClose = { heard.append("closed: \($0)") }
    connection.close()
    while connection.isOpen { try loop.runOnce(timeoutMilliseconds: 100) }
    #expect(heard == ["closed: closed here"])
    listener.close()
  }

  @Test("timers fire in order of their deadlines, after the sockets of the turn, and a disarmed one never")
  func timers() throws {
    let loop = try EventLoop()
    var order: [String] = []
    let late = loop.makeTimer { order.append("late") }
    let early = loop.makeTimer { order.append("early") }
    let never = loop.makeTimer { order.append("never") }
    let mailbox = try Mailbox<Int>()
    try loop.attach(mailbox) { _ in order.append("socket") }
    let now = Clocks.boot()
    late.arm(at: now + 2)
    early.arm(at: now + 1)
    never.arm(at: now + 3)
    never.arm(at: nil)
    mailbox.post(1)
    #expect(try turn(loop) { order.count >= 3 })
    #expect(order == ["socket", "early", "late"])
    let start = Clocks.boot()
    var fired: Int64?
    let future = loop.makeTimer { fired = Clocks.boot() }
    future.arm(at: start + 30_000_000)
    try loop.run { fired != nil }
    #expect((fired ?? 0) - start >= 30_000_000)
    #expect(order.count == 3)
  }

  @Test("the end of a turn comes once, after all its ready descriptors")
  func turnEnd() throws {
    let loop = try EventLoop()
    let first = try Mailbox<Int>()
    let second = try Mailbox<Int>()
    var seen: [Int] = []
    var ends = 0
    try loop.attach(first) { seen += $0 }
    try loop.attach(second) { seen += $0 }
    loop.onTurnEnd = {
      ends += 1
      #expect(seen.sorted() == [1, 2, 3])
    }
    first.post(1)
    first.post(2)
    second.post(3)
    try loop.runOnce(timeoutMilliseconds: 1000)
    #expect(ends == 1)
  }

  @Test("a descriptor removed by another's handler in the same turn is not handed an old event")
  func staleEvents() throws {
    let loop = try EventLoop()
    let first = try Mailbox<Int>()
    let second = try Mailbox<Int>()
    var handled = 0
    let other = [first.descriptor: second.descriptor, second.descriptor: first.descriptor]
    for mailbox in [first, second] {
      try loop.add(mailbox.descriptor, .readable) { _ in
        handled += 1
        loop.remove(other[mailbox.descriptor] ?? -1)
      }
      mailbox.post(1)
    }
    try loop.runOnce(timeoutMilliseconds: 1000)
    #expect(handled == 1)
  }

  @Test("a worker does its work in order and answers by mailbox")
  func worker() throws {
    let loop = try EventLoop()
    let mailbox = try Mailbox<Int>()
    var results: [Int] = []
    try loop.attach(mailbox) { results += $0 }
    let worker = try WorkerThread(name: "test-worker")
    for number in 0..<1000 { worker.post { mailbox.post(number) } }
    #expect(try turn(loop) { results.count == 1000 })
    #expect(results == Array(0..<1000))
    worker.stop()
  }

  @Test("addresses are read, written and told apart")
  func addresses() {
    #expect(SocketAddress(parsing: "127.0.0.1:7420") == .tcp(host: "127.0.0.1", port: 7420))
    #expect(SocketAddress(parsing: "[::1]:80") == .tcp(host: "::1", port: 80))
    #expect(SocketAddress(parsing: "::1:80") == nil)
    #expect(SocketAddress(parsing: "host") == nil)
    #expect(SocketAddress(parsing: ":80") == nil)
    #expect(SocketAddress(parsing: "host:70000") == nil)
    #expect(SocketAddress.tcp(host: "::1", port: 80).description == "[::1]:80")
    #expect(SocketAddress.tcp(host: "127.9.0.1", port: 1).isLoopback)
    #expect(!SocketAddress.tcp(host: "10.0.0.1", port: 1).isLoopback)
    #expect(throws: IOError.self) {
      _ = try Connection.connect(loop: try EventLoop(), to: .tcp(host: "no.such.name", port: 1))
    }
  }
}
