// Owns: peers of the native port that all come in one moment, on a thread of their own, so that what they compute does
// not hold up who measures. It must not know what is measured.

import ClusterIO
import ClusterProto
import Glibc
import Synchronization

/// A crowd at the native port.
final class Crowd: Sendable {
  enum Kind: Sendable {
    /// Agents that want sessions, try again until they have them, and send heartbeats from then on.
    case agents([Identity])
    /// Machines that want certificates and try again until they have them.
    case joiners([JoinRequest], authority: String)
    /// So many who begin a handshake and say no more; again a second after the connection was closed.
    case halfOpen(Int)
  }

  private struct Shared {
    var isPrepared = false
    var hasBegun = false
    var isStopping = false
    var count = 0
    var isDone = false
    var failure: String?
  }

  private let shared = Mutex(Shared())
  private let thread: WorkerThread

  /// Returns when all is prepared that is no part of connecting.
  init(_ cluster: BenchCluster, _ kind: Kind) throws {
    guard let address = SocketAddress(parsing: cluster.server) else { throw CommandError("error: no address") }
    thread = try WorkerThread(name: "bench-crowd")
    thread.post { [self] in
      do {
        try live(address, kind)
      } catch {
        shared.withLock { $0.failure = "\(error)" }
      }
    }
    while try !check().isPrepared { poll(nil, 0, 1) }
  }

  /// All connect now.
  func begin() { shared.withLock { $0.hasBegun = true } }

  /// All have what they wanted, or something went wrong: see `requireHealth`.
  var isDone: Bool { shared.withLock { $0.isDone || $0.failure != nil } }
  /// How many have what they wanted; of half-open ones, how many handshakes were begun.
  var count: Int { shared.withLock { $0.count } }

  /// Ends it.
  func stop() {
    shared.withLock { $0.isStopping = true }
    thread.stop()
  }

  /// Throws what went wrong in it.
  func requireHealth() throws { _ = try check() }

  private func check() throws -> Shared {
    let now = shared.withLock { $0 }
    if let failure = now.failure { throw CommandError("error: \(failure)") }
    return now
  }

  private func live(_ address: SocketAddress, _ kind: Kind) throws {
    let loop = try EventLoop()
    let members = try Members(loop, address, kind)
    shared.withLock { $0.isPrepared = true }
    while !shared.withLock({ $0.hasBegun || $0.isStopping }) { poll(nil, 0, 1) }
    try members.connect()
    while !shared.withLock({ $0.isStopping }) {
      try loop.runOnce(timeoutMilliseconds: 20)
      if let failure = members.failure { throw CommandError(failure) }
      shared.withLock {
        $0.count = members.count
        $0.isDone = members.count >= members.size
      }
    }
    members.close()
  }
}

/// Who is in a crowd. On the crowd's thread.
private final class Members {
  let size: Int
  private(set) var failure: String?
  private(set) var count = 0
  private let loop: EventLoop
  private let address: SocketAddress
  private let fleet: SimulatedFleet?
  private var others: [Visitor] = []

  init(_ loop: EventLoop, _ address: SocketAddress, _ kind: Crowd.Kind) throws {
    self.loop = loop
    self.address = address
    switch kind {
    case .agents(let identities):
      let fleet = try SimulatedFleet(loop, identities, pods: 10, work: .keepsRunning)
      self.fleet = fleet
      size = identities.count
      for agent in fleet.agents {
        agent.triesAgain = true
        agent.onAnswer = { [unowned self, unowned agent] _ in
          agent.onAnswer = nil
          count += 1
        }
      }
    case .joiners(let requests, let authority):
      fleet = nil
      size = requests.count
      let tls = try TLSContext(joining: [authority])
      others = requests.map { Joining(loop, address, tls, $0) }
    case .halfOpen(let count):
      fleet = nil
      size = .max
      let hello = try HalfOpen.clientHello(loop)
      others = (0..<count).map { _ in HalfOpen(loop, address, hello) }
    }
    for other in others {
      other.onDone = { [unowned self] in count += 1 }
      other.onFailure = { [unowned self] in failure = $0 }
    }
  }

  func connect() throws {
    for agent in fleet?.agents ?? [] { try agent.connect(loop, address) }
    fleet?.startBeating()
    for other in others { other.connect() }
  }

  func close() {
    fleet?.close()
    for other in others { other.close() }
  }
}

/// Comes, and comes again when it is sent away.
private class Visitor {
  let loop: EventLoop
  let address: SocketAddress
  var onDone: () -> Void = {}
  var onFailure: (String) -> Void = { _ in }
  var wantsMore = true
  private var connection: Connection?
  private var attempts = 0
  private lazy var timer = loop.makeTimer { [unowned self] in connect() }

  init(_ loop: EventLoop, _ address: SocketAddress) {
    self.loop = loop
    self.address = address
  }

  final func connect() {
    do throws(IOError) {
      let made = try Connection.connect(loop: loop, to: address)
      connection = made
      made.onClose = { [weak self] _ in self?.closed() }
      try prepare(made)
    } catch {
      onFailure("a crowd's member cannot connect: \(error)")
    }
  }

  private func closed() {
    guard wantsMore else { return }
    timer.arm(at: Clocks.boot() + pause(attempts: attempts))
    attempts += 1
  }

  final func close() {
    wantsMore = false
    timer.arm(at: nil)
    connection?.close()
  }

  func prepare(_ connection: Connection) throws(IOError) {}

  func pause(attempts: Int) -> Int64 { SimulatedAgent.pause(attempts: attempts) }
}

/// A machine that joins.
private final class Joining: Visitor {
  private let tls: TLSContext
  private let request: JoinRequest

  init(_ loop: EventLoop, _ address: SocketAddress, _ tls: TLSContext, _ request: JoinRequest) {
    self.tls = tls
    self.request = request
    super.init(loop, address)
  }

  override func prepare(_ connection: Connection) throws(IOError) {
    try connection.startTLS(tls)
    let handshake = HandshakeClient(role: .join)
    var reader = MessageStream()
    var isOpen = false
    connection.onOpen = { [unowned connection] in connection.send(MessageWriter.frames(handshake.hello)) }
    connection.onBytes = { [unowned self, unowned connection] bytes in
      do {
        reader.append(bytes)
        while let message = try reader.next() {
          if !isOpen {
            _ = try handshake.receive(message)
            isOpen = true
            reader.finishHello(messageLimit: MessageLimits.fromCoordinator)
            connection.send(MessageWriter.frames(request.json))
            continue
          }
          try take(message)
        }
      } catch {
        connection.close()
      }
    }
  }

  private func take(_ message: JSON) throws {
    // Sent away for lack of room: it comes again.
    if let error = ProtocolError(json: message) { throw error }
    switch try JoinAnswer(json: message) {
    case .joined:
      close()
      onDone()
    case .refused(let reason, let retry): if retry == nil { onFailure("a joiner was refused: \(reason)") }
    }
  }
}

/// Sends a hello of TLS and nothing else.
private final class HalfOpen: Visitor {
  private let hello: [UInt8]

  init(_ loop: EventLoop, _ address: SocketAddress, _ hello: [UInt8]) {
    self.hello = hello
    super.init(loop, address)
  }

  override func prepare(_ connection: Connection) throws(IOError) {
    connection.onOpen = { [unowned self, unowned connection] in
      connection.send(hello)
      onDone()
    }
    // It is read, so that the connection's end is seen, and not answered.
    connection.onBytes = { _ in }
  }

  override func pause(attempts: Int) -> Int64 { 1_000_000_000 }

  /// The first bytes that a client says.
  static func clientHello(_ loop: EventLoop) throws -> [UInt8] {
    var bytes: [UInt8] = []
    let listener = try Listener(loop: loop, at: .tcp(host: "127.0.0.1", port: 0)) { connection in
      connection.onBytes = { [unowned connection] in
        bytes += $0
        connection.close()
      }
    }
    defer { listener.close() }
    let client = try Connection.connect(loop: loop, to: listener.address)
    try client.startTLS(try TLSContext(joining: [String(repeating: "0", count: 64)]))
    try APIAccess.turn(loop, "a client says its hello") { !bytes.isEmpty }
    return bytes
  }
}
