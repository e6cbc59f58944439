// A connection to the coordinator with its hello done: used for the agent's session and for each log stream.
// Knows TLS and the hello, not what is said after it.

import ClusterIO
import ClusterProto

/// Opens a connection, proves who we are, then hands messages through.
final class CoordinatorLink {
  private var link: FrameLink?
  private let handshake: HandshakeClient
  private var tls: TLSSession?
  /// Why the coordinator's authority is not the one that was wanted.
  var distrust: String? {
    if let problem = tls?.pinProblem { return problem }
    return tls?.isStranger == true ? "the coordinator's certificate is of no authority that is believed here" : nil
  }
  private var isOpen = false
  /// The hello is over.
  var onOpen: ((HandshakeResult) -> Void)?
  var onMessage: ((JSON) -> Void)?
  /// The coordinator's word on why not, before `onClosed`.
  var onRefused: ((String) -> Void)?
  /// Called once, last.
  var onClosed: ((String) -> Void)?

  /// Starts to connect. Failures come by `onClosed`, in a later turn.
  init(
    loop: EventLoop, address: SocketAddress, tls: TLSContext, role: ProtocolRole, stream: String = ""
  ) {
    handshake = HandshakeClient(role: role, stream: stream)
    do throws(IOError) {
      let connection = try Connection.connect(loop: loop, to: address)
      connection.outputLimit = 64 << 20
      do throws(IOError) {
        try connection.startTLS(tls)
      } catch {
        connection.close()
        throw error
      }
      self.tls = connection.tls
      start(connection, role)
    } catch {
      let reason = error.description
      loop.atTurnEnd { [self] in closed(reason) }
      loop.requestTurn()
    }
  }

  /// The address that the coordinator is reached from.
  var localHost: String? { link?.localHost }
  var pendingOutput: Int { link?.pendingOutput ?? 0 }
  var onDrained: (() -> Void)? {
    get { link?.onDrained }
    set { link?.onDrained = newValue }
  }

  func send(_ message: JSON) { if isOpen { link?.send(message) } }
  func send(payload: [UInt8]) { if isOpen { link?.send(payload: payload) } }

  func close(afterFlush: Bool = false) {
    link?.close(afterFlush: afterFlush)
  }

  private func start(_ connection: Connection, _ role: ProtocolRole) {
    let link = FrameLink(connection)
    self.link = link
    link.onMessage = { [self] message in receive(message) }
    link.onClosed = { [self] reason in closed(reason) }
    connection.onOpen = { [self] in
      // A log's reader may take its time: the coordinator makes no room then, and that is no failure.
      if role != .logs { link.setUserTimeout(milliseconds: 10_000) }
      link.send(handshake.hello)
    }
  }

  private func receive(_ message: JSON) {
    if isOpen {
      if let error = ProtocolError(json: message) { onRefused?(error.message) }
      onMessage?(message)
      return
    }
    do throws(ProtocolError) {
      let result = try handshake.receive(message)
      isOpen = true
      onOpen?(result)
    } catch {
      onRefused?(error.message)
      link?.close()
      closed(error.message)
    }
  }

  private func closed(_ reason: String) {
    let handler = onClosed
    onClosed = nil
    onOpen = nil
    onRefused = nil
    onMessage = nil
    link = nil
    handler?(reason)
  }
}
