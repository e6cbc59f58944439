// A stream's connection to a port of this node, on which its pods listen: they have the node's network. Knows nothing
// of pods.

import ClusterIO
import ClusterProto

/// One connection to a port.
final class PortEndpoint: PodStreamEndpoint {
  private static let inputMark = 256 * 1024
  /// As Kubernetes does it: by IPv4, then by IPv6.
  private static let hosts = ["127.0.0.1", "::1"]

  private let loop: EventLoop
  private let port: UInt16
  private let events: PodStreamEvents
  private var connection: Connection?
  private var isConnected = false
  /// Came before the connection was there; the stream is read no further meanwhile.
  private var early: [PodStreamFrame] = []
  private var left = PortEndpoint.hosts[...]
  private var problems: [String] = []
  private var isReading = true

  /// Connects; what comes of it are `events`, none of them before this returns.
  init(loop: EventLoop, port: UInt16, _ events: PodStreamEvents) {
    self.loop = loop
    self.port = port
    self.events = events
    next()
  }

  private func next() {
    guard let host = left.popFirst() else {
      let message = "failed to connect to localhost:\(port): \(problems.joined(separator: "; "))"
      loop.atTurnEnd { [self] in end(PodStreamEnd(code: 500, message: message)) }
      return loop.requestTurn()
    }
    do throws(IOError) {
      let connection = try Connection.connect(
        loop: loop, to: .tcp(host: host, port: port), outputLimit: 2 * Self.inputMark + (1 << 20))
      self.connection = connection
      // The loop keeps the connection, and these closures its endpoint, until it is closed: its stream may go before.
      connection.onOpen = { [self] in connected() }
      connection.onBytes = { [self] bytes in
        for frame in PodStreamFrame.pieces(bytes, { .output($0) }) { events.frame(frame) }
      }
      connection.onDrained = { [self] in events.inputDrained() }
      connection.onClose = { [self] reason in closed(reason) }
    } catch {
      problems.append(error.description)
      next()
    }
  }

  private func connected() {
    isConnected = true
    connection?.setReading(isReading)
    for frame in early { take(frame) }
    early = []
    events.inputDrained()
  }

  private func closed(_ reason: Connection.CloseReason) {
    connection = nil
    if case .local = reason { return }
    guard isConnected else {
      problems.append(reason.description)
      return next()
    }
    // How a connection ends is between those that speak on it.
    end(PodStreamEnd(code: 200))
  }

  private func end(_ end: PodStreamEnd) { events.frame(.end(end)) }

  func take(_ frame: PodStreamFrame) {
    guard isConnected else { return early.append(frame) }
    switch frame {
    case .input(let bytes): connection?.send(bytes)
    case .inputEnd: connection?.endOutput()
    case .resize, .started, .output, .errors, .end: break
    }
  }

  var isInputBehind: Bool { !isConnected || (connection?.pendingOutput ?? 0) > Self.inputMark }

  func setReading(_ reading: Bool) {
    isReading = reading
    if isConnected { connection?.setReading(reading) }
  }

  func cancel() {
    left = []
    connection?.close()
    connection = nil
  }
}
