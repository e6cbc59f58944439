// Owns: one client of port-forward: its SPDY connection, bare or inside WebSocket messages, whose pairs of streams
// become streams into the pod, one each. It must not know what the bytes are.

import ClusterIO
import ClusterProto
import CoordinatorCore

/// One `kubectl port-forward`.
final class PortForwardSession: UpgradedSession {
  /// A connection that the client asks for is opened by two streams that name it alike.
  private struct Half {
    var errors: UInt32
    var port: Int64
  }

  fileprivate unowned let client: HTTPConnection
  private let upgrade: HTTPUpgrade
  private let tunnel: WebSocketTunnel?
  fileprivate let session: SPDYSession
  private let pod: String
  /// Asks the core for a stream to a port, under that number of the client's.
  private let ask: (_ port: Int64, _ id: Int64) -> Void
  /// Gives such a request up.
  private let askNumber: () -> Int64
  private var halves: [String: Half] = [:]
  private var connections: [Int64: ForwardedConnection] = [:]
  private var byStream: [UInt32: Int64] = [:]
  private var hasBegun = false
  private var isOver = false
  private static let lingerNanoseconds: Int64 = 5_000_000_000
  /// Streams of errors that wait for theirs of data.
  private static let halfLimit = 256
  /// Connections at once of one client; what a user has of all is bounded by ConnectionPlaces.
  private static let connectionLimit = 256

  /// `pod`: its name, for messages. nil: no memory.
  init?(
    _ upgrade: HTTPUpgrade, client: HTTPConnection, pod: String, number: @escaping () -> Int64,
    ask: @escaping (_ port: Int64, _ id: Int64) -> Void
  ) {
    let tunnel = upgrade.carrier == .webSocket ? WebSocketTunnel(sink: client) : nil
    guard let session = SPDYSession(tunnel ?? client) else { return nil }
    self.upgrade = upgrade
    self.client = client
    self.tunnel = tunnel
    self.session = session
    self.pod = pod
    self.ask = ask
    askNumber = number
    session.handler = SPDYSession.Handler(
      opened: { [unowned self] id, headers in opened(id, headers) },
      data: { [unowned self] id, bytes in connection(id)?.receive(bytes) },
      finished: { [unowned self] id in connection(id)?.finishInput() },
      reset: { [unowned self] id in reset(id) },
      left: { [unowned self] in leave() })
  }

  private func connection(_ stream: UInt32) -> ForwardedConnection? { byStream[stream].flatMap { connections[$0] } }

  // The client.

  func receive(_ bytes: [UInt8]) {
    if isOver { return }
    do throws(SPDYError) {
      guard let tunnel else { return try session.receive(bytes) }
      for piece in try tunnel.pieces(bytes) { try session.receive(piece) }
      if tunnel.isClosed { leave() }
    } catch {
      session.leave(isError: true)
      leave()
    }
  }

  func drained() { for number in connections.keys.sorted() { connections[number]?.relay?.resume() } }

  private func leave() {
    if isOver { return }
    isOver = true
    for number in connections.keys.sorted() { connections[number]?.relay?.cancel() }
    connections = [:]
    client.connection.setReading(true)
    client.setDeadline(Clocks.boot() + Self.lingerNanoseconds)
  }

  private func opened(_ id: UInt32, _ headers: [String: String]) {
    guard let port = headers["port"].flatMap({ Int64($0) }), (1...65_535).contains(port),
      let kind = headers["streamtype"]
    else { return session.reset(id, SPDYFrame.ResetStatus.protocolError) }
    // Clients older than Kubernetes 1.4 name no request: theirs are one after the other.
    let request = headers["requestid"] ?? ""
    switch kind {
    case "error" where halves[request] == nil && halves.count < Self.halfLimit:
      halves[request] = Half(errors: id, port: port)
      session.accept(id)
    case "data":
      guard let half = halves.removeValue(forKey: request), half.port == port else {
        return session.reset(id, SPDYFrame.ResetStatus.protocolError)
      }
      guard connections.count < Self.connectionLimit else {
        session.reset(half.errors, SPDYFrame.ResetStatus.refusedStream)
        return session.reset(id, SPDYFrame.ResetStatus.refusedStream)
      }
      session.accept(id)
      begin(half, data: id)
    default: session.reset(id, SPDYFrame.ResetStatus.refusedStream)
    }
  }

  private func reset(_ id: UInt32) {
    if let connection = connection(id) { return remove(connection, cancels: true) }
    // Its other half is not awaited any more.
    if let request = halves.first(where: { $0.value.errors == id })?.key { halves[request] = nil }
  }

  private func begin(_ half: Half, data: UInt32) {
    let number = askNumber()
    connections[number] = ForwardedConnection(number, half.port, data: data, errors: half.errors, of: self)
    byStream[data] = number
    ask(half.port, number)
  }

  // The connections.

  /// The client is read while all of its connections take what it sends.
  fileprivate func adjustReading() {
    if !isOver { client.connection.setReading(!connections.values.contains { $0.isInputBehind }) }
  }

  fileprivate func ended(_ connection: ForwardedConnection, _ failure: String?) {
    if let failure {
      let text = "error forwarding port \(connection.port) to pod \(pod): \(failure)"
      session.send(Array(text.utf8), on: connection.errors)
    }
    session.finish(connection.errors)
    session.finish(connection.data)
    remove(connection, cancels: false)
  }

  private func remove(_ connection: ForwardedConnection, cancels: Bool) {
    connections[connection.number] = nil
    byStream[connection.data] = nil
    if cancels {
      connection.relay?.cancel()
      session.finish(connection.errors)
    }
    adjustReading()
  }

  // The core.

  func take(_ reply: APIReply, of id: Int64) -> Bool {
    guard case .done(let code, let object, _) = reply else { return true }
    if let connection = connections[id] {
      ended(connection, object["message"]?.stringValue ?? "\(code)")
      return true
    }
    guard !hasBegun, code == 200 else { return hasBegun }
    hasBegun = true
    client.setDeadline(nil)
    client.switchProtocol(upgrade.head)
    return true
  }

  func streamClient(of id: Int64) -> (any PodStreamClient)? { connections[id] }
}

/// One connection to a port.
final class ForwardedConnection: PodStreamClient {
  weak var relay: PodStreamRelay?
  let number: Int64
  let port: Int64
  let data: UInt32
  let errors: UInt32
  private unowned let forward: PortForwardSession
  private var hasStarted = false
  /// Came before the stream had started: no more than one read of the client brings.
  private var early: [PodStreamFrame] = []

  fileprivate init(_ number: Int64, _ port: Int64, data: UInt32, errors: UInt32, of forward: PortForwardSession) {
    self.number = number
    self.port = port
    self.data = data
    self.errors = errors
    self.forward = forward
  }

  var isInputBehind: Bool { !early.isEmpty || relay?.isInputBehind == true }

  func receive(_ bytes: [UInt8]) { for frame in PodStreamFrame.pieces(bytes, { .input($0) }) { send(frame) } }

  func finishInput() { send(.inputEnd) }

  private func send(_ frame: PodStreamFrame) {
    if hasStarted { relay?.send(frame) } else { early.append(frame) }
    forward.adjustReading()
  }

  var isBehind: Bool {
    forward.client.connection.pendingOutput > CommandSession.outputMark || forward.session.isWaiting(data)
  }

  func inputDrained() { forward.adjustReading() }

  func take(_ frame: PodStreamFrame) {
    switch frame {
    case .started:
      hasStarted = true
      for frame in early { relay?.send(frame) }
      early = []
      forward.adjustReading()
    case .output(let bytes): forward.session.send(bytes, on: data)
    case .end(let end): forward.ended(self, end.code == 200 ? nil : end.message)
    case .errors, .input, .inputEnd, .resize: break
    }
  }
}

/// SPDY inside WebSocket: the payloads of binary messages, one after the other, are the bytes.
final class WebSocketTunnel: ByteSink {
  private unowned let sink: HTTPConnection
  private var reader = WebSocketReader()
  private(set) var isClosed = false

  init(sink: HTTPConnection) { self.sink = sink }

  var pendingOutput: Int { sink.pendingOutput }

  func send(_ bytes: [UInt8]) { if !isClosed { sink.send(WebSocketFrame.binary(bytes)) } }

  /// What the client's bytes carry.
  func pieces(_ bytes: [UInt8]) throws(SPDYError) -> [[UInt8]] {
    reader.append(bytes)
    var pieces: [[UInt8]] = []
    do throws(WebSocketError) {
      while !isClosed, let event = try reader.next() {
        switch event {
        case .message(let payload, _): pieces.append(payload)
        case .ping(let payload): sink.send(WebSocketFrame.pong(payload))
        case .pong: break
        case .close: close(1000)
        }
      }
    } catch {
      close(error.code, error.reason)
      throw SPDYError(error.reason)
    }
    return pieces
  }

  private func close(_ code: UInt16, _ reason: String = "") {
    sink.send(WebSocketFrame.close(code, reason))
    isClosed = true
  }
}
