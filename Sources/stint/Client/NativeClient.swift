// Owns: the client's end of the native protocol: one connection, kept between requests, answers told apart by number.
// It must not know what requests mean. Calls wait until they are done; meanwhile the loop's other handlers run too.

import ClusterIO
import ClusterProto
import Coordinator

/// A connection to the coordinator that is made when it is needed.
final class NativeClient {
  private enum State {
    /// Why it is closed.
    case closed(String)
    case opening(HandshakeClient)
    case open(HandshakeResult)
  }

  private let endpoint: Endpoint
  private let console: Console
  private let loop: EventLoop
  /// The kubeconfig is about to be made: a missing one is as a coordinator that is away.
  private let awaitsKubeconfig: Bool
  private var state = State.closed("not connected")
  private var connection: Connection?
  /// The connection that is being opened has its other end.
  private var hasConnected = false
  private var reader = MessageStream()
  private var access: KubeconfigContext?
  private var inbox: [ClientReply] = []
  private var lastNumber: Int64 = 0
  /// To connect.
  private var attempts = 0
  /// Trying again would not help: a wrong identity, another protocol version.
  private var refusal: ProtocolError?
  /// Nor here: what the address names is no coordinator, or names nothing.
  private var misfit: String?

  /// Requests that may be open; more wait for answers. The coordinator takes 256 of a connection.
  private static let openAtOnce = 200
  /// Between two attempts to connect.
  private static let pauseMilliseconds: Int64 = 100
  /// Longest sleep of a waiting call, so that its tick comes.
  private static let tickMilliseconds: Int64 = 250
  /// A person hears of a coordinator that is away after this.
  private static let silence: Int64 = 1_000_000_000

  init(endpoint: Endpoint, console: Console, loop: EventLoop, awaitsKubeconfig: Bool = false) {
    self.awaitsKubeconfig = awaitsKubeconfig
    self.endpoint = endpoint
    self.console = console
    self.loop = loop
  }

  deinit { connection?.close() }

  /// The cluster that a command's flags and environment name.
  static func makeCluster(_ context: Context) throws -> Cluster {
    let endpoint = Endpoint(arguments: context.arguments, environment: context.environment)
    if let server = endpoint.server, SocketAddress(parsing: server) == nil {
      throw CommandError("error: the coordinator's address \"\(server)\" is not HOST:PORT")
    }
    return makeCluster(endpoint, context.console, loop: try EventLoop())
  }

  static func makeCluster(
    _ endpoint: Endpoint, _ console: Console, loop: EventLoop, awaitsKubeconfig: Bool = false
  ) -> Cluster {
    let client = NativeClient(endpoint: endpoint, console: console, loop: loop, awaitsKubeconfig: awaitsKubeconfig)
    return Cluster(console: console, greeting: client.greet) { exchange, receive in
      try client.carry(exchange, receive)
    }
  }

  /// Connects and returns what the hello told.
  private func greet() throws -> HandshakeResult {
    let exchange = Exchange(requests: [], connectBy: Clocks.boot() + Cluster.patience)
    if let end = try connect(exchange) { throw CommandError.away(end) }
    guard case .open(let result) = state else { throw CommandError.away(.unreachable("closed")) }
    return result
  }

  /// Sends the requests and hands on their answers; see `Exchange`.
  private func carry(_ exchange: Exchange, _ receive: (Int, APIReply) throws -> Flow) throws -> ExchangeEnd {
    if let end = try connect(exchange) { return end }
    inbox.removeAll()
    var open: [Int64: Int] = [:]
    if let order = exchange.order {
      lastNumber += 1
      open[lastNumber] = 0
      connection?.send(MessageWriter.frames(order(lastNumber).json))
    }
    var requests = exchange.requests
    var waiting = requests.indices
    func sendMore() throws {
      if let more = exchange.more?(), !more.isEmpty {
        requests += more
        waiting = waiting.lowerBound..<requests.count
      }
      while open.count < NativeClient.openAtOnce, let position = waiting.popFirst() {
        let request = requests[position]
        lastNumber += 1
        let frames = MessageWriter.frames(ClientMessage.request(id: lastNumber, request).json)
        // The coordinator would close the connection on it, and whoever asked would not know what became of it.
        if frames.count > MessageLimits.body, let body = request.body, body.bytes.count > MessageLimits.body {
          throw StatusError.tooLarge(limit: MessageLimits.body)
        }
        open[lastNumber] = position
        connection?.send(frames)
      }
    }
    try sendMore()
    defer {
      for number in open.keys.sorted() { connection?.send(MessageWriter.frames(ClientMessage.cancel(id: number).json)) }
    }
    while !open.isEmpty {
      let replies = inbox
      inbox.removeAll()
      for message in replies {
        guard let position = open[message.id] else { continue }
        if case .done = message.reply { open[message.id] = nil }
        if try receive(position, message.reply) == .enough { return .enough }
      }
      if case .closed(let why) = state, !open.isEmpty || !waiting.isEmpty {
        open.removeAll()
        return .lost(why)
      }
      try sendMore()
      if open.isEmpty { return .done }
      if let end = try pause(exchange) { return end }
    }
    return .done
  }

  /// One turn of the loop, at most a tick long; an end when the deadline has passed or the tick wants it.
  private func pause(_ exchange: Exchange, milliseconds: Int64 = NativeClient.tickMilliseconds) throws -> ExchangeEnd? {
    var wait = milliseconds
    if let deadline = exchange.deadline {
      let left = deadline - Clocks.boot()
      if left <= 0 { return .timedOut }
      wait = min(wait, left / 1_000_000 + 1)
    }
    if inbox.isEmpty { try loop.runOnce(timeoutMilliseconds: Int32(wait)) }
    return exchange.tick?() == .enough ? .enough : nil
  }

  // Connecting.

  /// Connects unless it is; the result is how the exchange ends when that fails.
  private func connect(_ exchange: Exchange) throws -> ExchangeEnd? {
    if case .open = state { return nil }
    // Without one no attempt can succeed. One that was read before may come back with its coordinator.
    if access == nil, !awaitsKubeconfig { _ = try accessNow() }
    let start = Clocks.boot()
    var hasSaid = false
    var nextAttempt = start
    while true {
      switch state {
      case .open:
        if hasSaid { console.note("the coordinator is back") }
        return nil
      case .opening: break
      case .closed(let why):
        if let refusal {
          throw CommandError("error: the coordinator at \(server) refused: \(refusal.message)")
        }
        if let misfit {
          throw CommandError("error: \(misfit).\nSay where the coordinator is with --server or STINT_SERVER.")
        }
        let now = Clocks.boot()
        if let limit = exchange.connectBy, now >= limit, now > start { return .unreachable(why) }
        let isPatient = (exchange.connectBy ?? Int64.max) > start + Cluster.patience
        if !hasSaid, now - start > NativeClient.silence {
          let limit = isPatient ? "until it is back" : "for a few seconds"
          console.note("the coordinator is away (\(why)); trying again \(limit)")
          hasSaid = true
        }
        if now >= nextAttempt {
          nextAttempt = now + NativeClient.pauseMilliseconds * 1_000_000
          open()
        }
      }
      if let end = try pause(exchange, milliseconds: NativeClient.pauseMilliseconds) { return end }
      if case .opening = state, Clocks.boot() - nextAttempt > Handshake.timeoutMilliseconds * 1_000_000 {
        close("no hello from \(server): is it the port of the Kubernetes API, and not stint's own, 7420?")
      }
    }
  }

  /// Where the coordinator is, for people too.
  private var server: String { endpoint.server ?? access?.native ?? Endpoint.defaultServer }

  /// What the kubeconfig says, with all that a connection needs.
  private func accessNow() throws(CommandError) -> (context: KubeconfigContext, proof: ClientProof) {
    let found = try endpoint.read()
    if endpoint.server == nil { _ = try found.nativeAddress() }
    let proof = try found.proof()
    // Once, as helm does it; kubectl says nothing.
    if access == nil { for exposure in found.exposures { console.note("Warning: \(exposure)") } }
    access = found
    return (found, proof)
  }

  private func open() {
    do {
      let (access, proof) = try accessNow()
      guard let address = SocketAddress(parsing: server) else {
        misfit = "the coordinator's address \"\(server)\" in the kubeconfig \(access.file) is not HOST:PORT"
        return
      }
      let candidates: [SocketAddress]
      do throws(NameLookup.Failure) {
        candidates = try NameLookup.addresses(of: address)
      } catch {
        if error.isTemporary { state = .closed(error.message) } else { misfit = error.message }
        return
      }
      // One after the other: a machine may have addresses that do not reach it from here.
      attempts += 1
      let (tls, handshake) = try proof.opening()
      let connection = try Connection.connect(loop: loop, to: candidates[(attempts - 1) % candidates.count])
      try connection.startTLS(tls, name: address.name)
      self.connection = connection
      reader = MessageStream()
      state = .opening(handshake)
      hasConnected = false
      connection.onOpen = { [weak self] in
        self?.hasConnected = true
        connection.send(MessageWriter.frames(handshake.hello))
      }
      // The loop keeps the connection; it may outlive this client by a turn.
      connection.onBytes = { [weak self] bytes in self?.take(bytes) }
      connection.onClose = { [weak self] reason in
        guard let self else { return }
        if case .failed(let error) = reason { misfit = Stranger.misfit(error, at: server, access.file) }
        guard case .opening = state, hasConnected else { return closed(reason.description) }
        // A coordinator says at least why. One that is just ending may not get to it, so it is asked again.
        closed("\(server) takes connections and closes them without a word, as the Kubernetes API's port does")
      }
    } catch {
      state = .closed((error as? CommandError)?.message ?? "\(error)")
    }
  }

  private func closed(_ why: String) {
    if case .closed = state { return }
    state = .closed(why)
    connection = nil
  }

  private func close(_ why: String) {
    state = .closed(why)
    connection?.onClose = nil
    connection?.close()
    connection = nil
  }

  private func take(_ bytes: [UInt8]) {
    if case .opening = state, let stranger = Stranger.name(firstBytes: bytes) {
      misfit = "what answers at \(server) is no coordinator: \(stranger)"
      return close("no coordinator")
    }
    reader.append(bytes)
    do {
      while let message = try reader.next() {
        switch state {
        case .closed: return
        case .open: inbox.append(try ClientReply(json: message))
        case .opening(let handshake):
          let result = try handshake.receive(message)
          reader.finishHello(messageLimit: MessageLimits.fromCoordinator)
          state = .open(result)
        }
      }
    } catch {
      // Later it is asked again: what the kubeconfig says may be another by then.
      if case .opening = state, [.unauthorized, .version, .cluster].contains(error.code) { refusal = error }
      if case .opening = state, [.tooLarge, .malformed].contains(error.code) {
        misfit =
          "what answers at \(server) is no coordinator: it does not speak stint's protocol (\(error.message))"
      }
      close(error.message)
    }
  }
}

/// Other programs by how they answer.
enum Stranger {
  /// What a failed TLS handshake says about the other side, when trying again would not help.
  static func misfit(_ error: IOError, at server: String, _ kubeconfig: String) -> String? {
    guard error.operation == "TLS handshake" else { return nil }
    if error.message.contains("wrong version number") || error.message.contains("packet length too long") {
      return "what answers at \(server) is no coordinator: it does not speak TLS"
    }
    if error.message.contains("certificate verify failed") {
      return "what answers at \(server) has no certificate of the authority in \(kubeconfig): one of them is of "
        + "another cluster, or the cluster's authority was exchanged (stint ca rotate) and the kubeconfig has to be "
        + "made anew (stint user create; the administrator's: stint kubeconfig)"
    }
    return "no TLS with \(server): \(error.message)"
  }

  /// What it speaks, in words; nil for what may be a coordinator.
  static func name(firstBytes bytes: [UInt8]) -> String? {
    // A frame begins with its length, and none of a hello has that many bytes.
    if bytes.starts(with: Array("HTTP".utf8)) || bytes.first == UInt8(ascii: "<") { return "it speaks HTTP" }
    if bytes.starts(with: Array("SSH-".utf8)) { return "it speaks SSH" }
    return nil
  }
}
