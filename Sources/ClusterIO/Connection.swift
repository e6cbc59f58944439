// Owns: one non-blocking stream socket on the loop: bounded output, writes gathered per turn, one closing reason.
// It must not know what the bytes mean. TLS slides under it where `received` and `send` hand bytes on: the socket's
// side then carries records, the callers' side stays as it is.

import CLinux
import Glibc

/// A stream connection (TCP or unix). Registered with its loop, which keeps it alive until it is closed.
package final class Connection {
  /// Why a connection ended.
  package enum CloseReason: Equatable, Sendable, CustomStringConvertible {
    /// The other side closed it.
    case endOfStream
    /// `close` was called here.
    case local
    /// The other side did not take its bytes: more than `outputLimit` were waiting.
    case slowPeer
    /// The socket failed, or never connected.
    case failed(IOError)

    /// The reason in words.
    package var description: String {
      switch self {
      case .endOfStream: "closed by the other side"
      case .local: "closed here"
      case .slowPeer: "slow peer: too many bytes waiting to be sent"
      case .failed(let error): error.description
      }
    }
  }

  /// Called once an outgoing connection is established; never for an accepted one.
  package var onOpen: (() -> Void)?
  /// Called once the TLS handshake is over, before the first bytes: `tls.peer` says who the other side is.
  package var onSecured: (() -> Void)?
  /// Called with received bytes, never empty, at most 64 KiB at a time.
  package var onBytes: (([UInt8]) -> Void)?
  /// Called exactly once, last, also after a local `close`. Drops all handlers after it.
  package var onClose: ((CloseReason) -> Void)?
  /// Called once, instead of closing, when the other side sends no more; what waits for it still goes out, and the
  /// connection stays until it is closed here.
  package var onInputEnd: (() -> Void)?
  /// Called when output was waiting and all of it has gone: room for more of a long answer.
  package var onDrained: (() -> Void)?
  /// Most bytes that may wait to be sent; beyond it the connection closes as `slowPeer`.
  package var outputLimit: Int
  /// Bytes that wait to be sent.
  package var pendingOutput: Int { output.count }
  /// Whether a connection that is not read (`setReading`) ends as soon as the other side says that it sends no more,
  /// with what it had sent before unread: for connections on which that means that it has gone.
  package var endsUnread = false { didSet { updateInterest() } }
  /// Whether it has not been closed (it may still be connecting).
  package private(set) var isOpen = true
  /// The other side's address for the log: `HOST:PORT`, or the path of a unix socket.
  package let peer: String

  /// The address of this side, once it is connected; nil for a unix socket.
  package var localHost: String? {
    guard isOpen, case .tcp(let host, _)? = SocketAddress.read(descriptor, local: true) else { return nil }
    return host
  }

  /// The process at the other end of a unix socket: the one that connected, or that listens there; nil: not known.
  package var peerProcess: Int32? {
    guard isOpen else { return nil }
    let pid = stint_peer_process(descriptor)
    return pid > 0 ? pid : nil
  }

  /// The TLS state, after `startTLS`.
  package private(set) var tls: TLSSession?

  private let loop: EventLoop
  private let descriptor: Int32
  private let output = ByteQueue()
  private var isConnecting: Bool
  private var isReading = true
  private var isFlushScheduled = false
  private var closesAfterFlush = false
  private var isOutputEnded = false
  private var isInputEnded = false
  private var interest: EventLoop.Interest

  /// Takes over a connected socket (`connecting`: one whose connect is under way) and watches it.
  package init(
    loop: EventLoop, descriptor: Int32, peer: String, connecting: Bool = false, outputLimit: Int = 8 << 20
  ) throws(IOError) {
    self.loop = loop
    self.descriptor = descriptor
    self.peer = peer
    self.outputLimit = outputLimit
    isConnecting = connecting
    interest = connecting ? .writable : .readable
    var on: Int32 = 1
    // Both fail on a unix socket, which needs neither.
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
    setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, 4)
    try loop.add(descriptor, interest) { [self] ready in handle(ready) }
  }

  /// Starts connecting to `address`; success is told by `onOpen`, failure by `onClose`, both in a later turn.
  package static func connect(
    loop: EventLoop, to address: SocketAddress, outputLimit: Int = 8 << 20
  ) throws(IOError) -> Connection {
    var code: Int32 = 0
    let (descriptor, result) = try address.withSocket { descriptor, pointer, size in
      let result = Glibc.connect(descriptor, pointer, size)
      code = errno
      return result
    }
    guard result == 0 || code == EINPROGRESS else {
      Glibc.close(descriptor)
      throw IOError(code: code, operation: "connect", subject: address.description)
    }
    do throws(IOError) {
      return try Connection(
        loop: loop, descriptor: descriptor, peer: address.description, connecting: true, outputLimit: outputLimit)
    } catch {
      Glibc.close(descriptor)
      throw error
    }
  }

  /// Has the kernel give up (`onClose` with ETIMEDOUT) when sent bytes stay unacknowledged this long. TCP only.
  package func setUserTimeout(milliseconds: UInt32) {
    var value = milliseconds
    setsockopt(descriptor, Int32(IPPROTO_TCP), Int32(TCP_USER_TIMEOUT), &value, 4)
  }

  /// Has the kernel ask a silent other side whether it is there, so that one that has vanished ends the connection
  /// within about `seconds`.
  package func setKeepAlive(seconds: Int32) {
    for (option, value) in [(TCP_KEEPIDLE, seconds / 2), (TCP_KEEPINTVL, max(1, seconds / 8)), (TCP_KEEPCNT, 4)] {
      var value = value
      setsockopt(descriptor, Int32(IPPROTO_TCP), Int32(option), &value, 4)
    }
  }

  /// Says to the other side that nothing more comes, once all output has gone; it may still send. Not with TLS.
  package func endOutput() {
    guard isOpen, !isOutputEnded else { return }
    isOutputEnded = true
    if pendingOutput == 0, !isConnecting { Glibc.shutdown(descriptor, Int32(SHUT_WR)) }
  }

  /// From now on the socket carries TLS. Call it before the first byte: when accepted, or right after `connect`.
  /// `name`: by which the server is meant to be reached, and which its certificate must have; nil: an address.
  package func startTLS(_ context: TLSContext, name: String? = nil) throws(IOError) {
    let session = try TLSSession(context, records: output, name: name)
    tls = session
    session.onEstablished = { [unowned self] in
      let handler = onSecured
      onSecured = nil
      handler?()
    }
    if !context.isServer {
      try session.advance()
      scheduleFlush()
    }
  }

  /// Queues `bytes`; they are written at the end of the turn. Does nothing after `close`.
  package func send(_ bytes: [UInt8]) {
    guard isOpen, !closesAfterFlush, !isOutputEnded, !bytes.isEmpty else { return }
    if pendingOutput + bytes.count > outputLimit {
      // The caller may be in the middle of a step: tell it at the turn's end, as a failed write would be told.
      output.removeAll()
      isReading = false
      closesAfterFlush = true
      loop.atTurnEnd { [self] in finish(.slowPeer) }
      return
    }
    if let tls {
      do throws(IOError) {
        try tls.send(bytes)
      } catch {
        closesAfterFlush = true
        loop.atTurnEnd { [self] in finish(.failed(error)) }
        return
      }
    } else {
      output.append(bytes)
    }
    scheduleFlush()
  }

  /// Stops (or resumes) reading, to hold a fast sender back. Hang-ups of the socket are still seen.
  package func setReading(_ reading: Bool) {
    isReading = reading && !isInputEnded
    updateInterest()
  }

  /// Closes it: at once (dropping output, also where it was to go first, and all handlers but `onClose`), or when all
  /// output has gone. `onClose(.local)` follows at the turn's end.
  package func close(afterFlush: Bool = false) {
    guard isOpen, !closesAfterFlush || !afterFlush else { return }
    closesAfterFlush = true
    isReading = false
    if afterFlush { tls?.sayEnd() }
    if afterFlush, pendingOutput > 0 {
      updateInterest()
      scheduleFlush()
    } else {
      dropHandlers()
      loop.atTurnEnd { [self] in finish(.local) }
    }
  }

  /// Who closed it may be gone before it ends: it is told of nothing any more but of that.
  private func dropHandlers() {
    onOpen = nil
    onSecured = nil
    onBytes = nil
    onDrained = nil
    onInputEnd = nil
  }

  /// Closes it so that the other side learns of it at once, also one that does not read: an end stands behind bytes
  /// that it has no room for, a reset does not.
  package func abort() {
    guard isOpen else { return }
    var value = linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
    close()
  }

  private func scheduleFlush() {
    guard !isFlushScheduled, !isConnecting, !interest.contains(.writable) else { return }
    isFlushScheduled = true
    loop.atTurnEnd { [self] in
      isFlushScheduled = false
      flush()
    }
  }

  private func handle(_ ready: EventLoop.Interest) {
    if isConnecting {
      if !ready.isDisjoint(with: [.writable, .hangup]) { finishConnecting() }
      return
    }
    if !ready.isDisjoint(with: [.readable, .hangup, .departure]), isOpen {
      if isReading {
        receive()
      } else if !ready.isDisjoint(with: [.hangup, .departure]) {
        finish(.endOfStream)
      }
    }
    if ready.contains(.writable), isOpen { flush() }
  }

  private func finishConnecting() {
    var code: Int32 = 0
    var size = socklen_t(4)
    getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size)
    guard code == 0 else { return finish(.failed(IOError(code: code, operation: "connect", subject: peer))) }
    isConnecting = false
    updateInterest()
    onOpen?()
    if isOpen, isOutputEnded, pendingOutput == 0 { Glibc.shutdown(descriptor, Int32(SHUT_WR)) }
    if isOpen, pendingOutput > 0 { flush() }
  }

  private func receive() {
    if let tls, !tls.isEstablished {
      guard loop.handshakesLeft > 0 else { return }
      loop.handshakesLeft -= 1
    }
    let buffer = loop.receiveBuffer
    let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
    if count < 0 {
      if errno == EAGAIN || errno == EINTR { return }
      return finish(.failed(IOError.last("receive", peer)))
    }
    if count == 0 { return inputEnded() }
    received(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
  }

  private func inputEnded() {
    guard let handler = onInputEnd, tls == nil else { return finish(.endOfStream) }
    onInputEnd = nil
    isInputEnded = true
    setReading(false)
    handler()
  }

  private func received(_ bytes: UnsafeRawBufferPointer) {
    guard let tls else {
      onBytes?([UInt8](bytes))
      return
    }
    var failure: IOError?
    do throws(IOError) {
      try tls.receive(bytes) { piece in if isOpen { onBytes?(piece) } }
    } catch {
      failure = error
    }
    guard isOpen else { return }
    if let failure {
      // Also what tells the other side why its handshake failed.
      flush()
      return finish(.failed(failure))
    }
    if tls.isFinished { return finish(.endOfStream) }
    if pendingOutput > 0 { scheduleFlush() }
  }

  private func flush() {
    guard isOpen, !isConnecting else { return }
    let hadOutput = pendingOutput > 0
    while pendingOutput > 0 {
      let sent = output.take { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      if sent < 0 {
        if errno == EINTR { continue }
        if errno == EAGAIN { break }
        return finish(.failed(IOError.last("send", peer)))
      }
    }
    updateInterest()
    if pendingOutput > 0 { return }
    if closesAfterFlush { return finish(.local) }
    if hadOutput, isOutputEnded { Glibc.shutdown(descriptor, Int32(SHUT_WR)) }
    if hadOutput { onDrained?() }
  }

  private func updateInterest() {
    guard isOpen, !isConnecting else { return }
    var wanted: EventLoop.Interest = []
    if isReading { wanted.insert(.readable) } else if endsUnread { wanted.insert(.departure) }
    if pendingOutput > 0, !isFlushScheduled { wanted.insert(.writable) }
    guard wanted != interest else { return }
    interest = wanted
    do throws(IOError) {
      try loop.modify(descriptor, wanted)
    } catch {
      finish(.failed(error))
    }
  }

  private func finish(_ reason: CloseReason) {
    guard isOpen else { return }
    isOpen = false
    loop.remove(descriptor)
    Glibc.close(descriptor)
    // What the handler makes of this may need a turn of its own: this can run after the turn's end.
    loop.requestTurn()
    let handler = onClose
    dropHandlers()
    onClose = nil
    handler?(reason)
  }
}
