// The connecting side for tests: a hello by any identity, then messages in and out, kept for the test to look at.

import ClusterIO
import ClusterProto
import Testing

/// An authority of a test's own, and identities of it.
final class TestAuthority {
  let authority: PEMIdentity
  /// A node has one key.
  private var contexts: [String: TLSContext] = [:]
  private var keys: [String: [UInt8]] = [:]

  init() throws { authority = try Certificates.make(name: "stint", .authority, issuer: nil, seconds: 3600) }

  /// That of a coordinator's data directory.
  init(directory: String) throws { authority = try #require(try PEMIdentity(file: "\(directory)/pki/authority.pem")) }

  func identity(_ name: String, group: String) throws -> Identity {
    let own = try Certificates.make(name: name, .client(group: group), issuer: authority, seconds: 3600)
    return Identity(own: own, authority: authority.certificate)
  }

  /// Of an agent, or without a node of an administrator.
  func context(node: String? = nil) throws -> TLSContext {
    let name = node.map { Subject.nodeName($0) } ?? "admin"
    if let known = contexts[name] { return known }
    let own = try identity(name, group: node == nil ? Subject.masters : Subject.nodes)
    let made = try TLSContext(native: own)
    contexts[name] = made
    keys[name] = own.own.key
    return made
  }

  /// The key (PEM) by which that node was connected.
  func key(of node: String) throws -> [UInt8] { try #require(keys[Subject.nodeName(node)]) }
}

/// One client connection on a loop that the test turns.
final class TestClient {
  let connection: Connection
  /// Connected, and through its hello where it has one.
  var isReady: Bool { isConnected && (handshake == nil || result != nil) }
  private var isConnected = false
  private(set) var messages: [JSON] = []
  private(set) var result: HandshakeResult?
  /// Role stream: what came after the hello and was not taken.
  private(set) var frames: [PodStreamFrame] = []
  private(set) var error: ProtocolError?
  private(set) var closeReason: Connection.CloseReason?
  private var stream = MessageStream(messageLimit: MessageLimits.fromCoordinator)
  private var handshake: HandshakeClient?

  /// Connects. Without a role no hello is sent; without an identity no TLS is spoken.
  init(
    _ loop: EventLoop, _ address: SocketAddress, role: ProtocolRole?, tls: TLSContext?, cluster: String = "",
    stream name: String = "", token: String = ""
  ) throws {
    connection = try Connection.connect(loop: loop, to: address, outputLimit: 64 << 20)
    if let tls { try connection.startTLS(tls) }
    if let role { handshake = HandshakeClient(role: role, cluster: cluster, stream: name, token: token) }
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

  func takeFrames() -> [PodStreamFrame] {
    defer { frames = [] }
    return frames
  }

  func send(_ frame: PodStreamFrame) { if let bytes = try? Frame.encode(frame.payload) { connection.send(bytes) } }

  var isClosed: Bool { closeReason != nil }
  var isRefusedOrClosed: Bool { error != nil || isClosed }

  private func receive(_ bytes: [UInt8]) {
    stream.append(bytes)
    do throws(ProtocolError) {
      while true {
        if result?.role == .stream {
          guard let frame = try stream.nextFrame() else { return }
          // What is no frame is the coordinator's word on why not.
          if frame.first == UInt8(ascii: "{"), let json = try? JSON(parsing: frame) {
            throw ProtocolError(json: json) ?? .missing("type", in: "frame")
          }
          frames.append(try PodStreamFrame(payload: frame))
        } else {
          guard let message = try stream.next() else { return }
          try take(message)
        }
      }
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
    result = try handshake?.receive(message)
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
