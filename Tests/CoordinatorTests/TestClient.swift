// The connecting side for tests: a hello with any token, then messages in and out, kept for the test to look at.

import ClusterIO
import ClusterProto
import Testing

/// One client connection on a loop that the test turns.
final class TestClient {
  let connection: Connection
  /// Connected, and through its hello where it has one.
  var isReady: Bool { isConnected && (handshake == nil || result != nil) }
  private var isConnected = false
  private(set) var messages: [JSON] = []
  private(set) var result: HandshakeResult?
  private(set) var error: ProtocolError?
  private(set) var closeReason: Connection.CloseReason?
  private var stream = MessageStream(messageLimit: MessageLimits.fromCoordinator)
  private var handshake: HandshakeClient?
  private let token: [UInt8]

  /// Connects. Without a role no hello is sent.
  init(
    _ loop: EventLoop, _ address: SocketAddress, role: ProtocolRole?, token: [UInt8], cluster: String = "",
    stream name: String = ""
  ) throws {
    self.token = token
    connection = try Connection.connect(loop: loop, to: address, outputLimit: 64 << 20)
    if let role {
      let nonce = Hexadecimal.text(try Crypto.randomBytes(Handshake.nonceBytes))
      handshake = HandshakeClient(role: role, nonce: nonce, cluster: cluster, stream: name)
    }
    connection.onOpen = { [unowned self] in
      isConnected = true
      if let handshake { send(handshake.hello) }
    }
    connection.onBytes = { [unowned self] bytes in receive(bytes) }
    connection.onClose = { [self] reason in closeReason = reason }
  }

  func send(_ message: JSON) { connection.send(MessageWriter.frames(message)) }

  func takeMessages() -> [JSON] {
    defer { messages = [] }
    return messages
  }

  var isClosed: Bool { closeReason != nil }
  var isRefusedOrClosed: Bool { error != nil || isClosed }

  private func receive(_ bytes: [UInt8]) {
    stream.append(bytes)
    do throws(ProtocolError) {
      while let message = try stream.next() { try take(message) }
    } catch {
      // The first one: what the server says after our own refusal is another matter.
      if self.error == nil { self.error = error }
    }
  }

  private func take(_ message: JSON) throws(ProtocolError) {
    if result != nil || handshake == nil {
      if let error = ProtocolError(json: message) { self.error = error }
      messages.append(message)
      return
    }
    let step = try handshake?.receive(message) { [token] text in
      Hexadecimal.text(Crypto.hmacSHA256(key: token, Array(text.utf8)))
    }
    switch step {
    case .send(let answer): send(answer)
    case .finished(let result, _): self.result = result
    case nil: break
    }
  }
}

/// Turns loops until `condition` holds; fails the test after `seconds`.
func wait(
  _ what: Comment, seconds: Int64 = 20, turning turn: () throws -> Void, until condition: () -> Bool,
  sourceLocation: SourceLocation = #_sourceLocation
) throws {
  let clock = ContinuousClock()
  let deadline = clock.now + .seconds(seconds)
  while !condition() {
    try #require(clock.now < deadline, what, sourceLocation: sourceLocation)
    try turn()
  }
}
