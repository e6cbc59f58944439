// Owns: the hello of the native protocol, both sides of it: versions, roles and the cluster's id. Who the other side is
// TLS has proven before. Pure. It must not know sockets, certificates or time.

/// Who opens a connection, and with it what may be said on it.
package enum ProtocolRole: String, Sendable, CaseIterable {
  case agent, client, logs
  /// One stream into a pod: of the agent that was asked for it, or of the client that asked.
  case stream
  /// Has no certificate and asks for one, by one message.
  case join
}

/// What both sides know after the hello.
package struct HandshakeResult: Equatable, Sendable {
  /// The protocol version that both speak.
  package var version: Int64
  /// What the other end is.
  package var role: ProtocolRole
  /// The cluster's id.
  package var cluster: String
  /// The coordinator's incarnation.
  package var incarnation: Int64
  /// Names this connection; of an agent, its session.
  package var session: String
  /// Roles logs and stream: the request that this connection answers.
  package var stream: String
  /// The coordinator's version, as it tells it to the other side; empty where it does not.
  package var program = ""
  /// What the connecting side without a certificate has shown instead; empty: nothing.
  package var token = ""
}

/// The parts that both sides share.
package enum Handshake {
  /// Protocol versions that this program speaks.
  package static let versions: ClosedRange<Int64> = 3...3
  /// Both sides close a connection whose hello is not over by then.
  package static let timeoutMilliseconds: Int64 = 5_000
  /// Largest frame before the hello is over: a token, and what stands around it.
  package static let frameLimit = JSONWebToken.limit + 2_048

  struct Hello {
    var versions: ClosedRange<Int64>
    var role: ProtocolRole
    var cluster: String
    var stream: String
    var token = ""
  }

  /// Names and identities inside messages: short, and without anything that could end a line.
  static func isName(_ text: String) -> Bool {
    text.utf8.count <= 128
      && text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
          true
        default: false
        }
      }
  }

  /// The type of `message`; an error message of the other side is thrown.
  static func type(of message: JSON) throws(ProtocolError) -> String {
    if let error = ProtocolError(json: message) { throw error }
    guard let type = message["type"]?.stringValue else { throw .missing("type", in: "(unknown)") }
    return type
  }
}

/// The coordinator's side, one a connection.
package struct HandshakeServer: Sendable {
  private let cluster: String
  private let incarnation: Int64
  private let session: String
  private let program: String

  /// `session`: random, never reused. `program`: the coordinator's version, for people.
  package init(cluster: String, incarnation: Int64, session: String, program: String = "") {
    self.program = program
    self.cluster = cluster
    self.incarnation = incarnation
    self.session = session
  }

  /// Takes the first message of the connecting side; `welcome` goes to it. An error goes to it as a frame, and the
  /// connection closes.
  package func receive(_ message: JSON) throws(ProtocolError) -> (result: HandshakeResult, welcome: JSON) {
    let type = try Handshake.type(of: message)
    guard type == "hello" else {
      throw ProtocolError(.unexpected, "the message \(type.prefix(64)) is not the next one of a hello")
    }
    let hello = try Self.hello(message)
    guard hello.versions.overlaps(Handshake.versions) else {
      throw ProtocolError(
        .version,
        "this coordinator speaks protocol versions \(Handshake.versions.lowerBound) to "
          + "\(Handshake.versions.upperBound), you speak \(hello.versions.lowerBound) to \(hello.versions.upperBound)")
    }
    guard hello.cluster.isEmpty || hello.cluster == cluster else {
      throw ProtocolError(.cluster, "this is cluster \(cluster), you asked for \(hello.cluster)")
    }
    let result = HandshakeResult(
      version: min(hello.versions.upperBound, Handshake.versions.upperBound), role: hello.role, cluster: cluster,
      incarnation: incarnation, session: session, stream: hello.stream, program: program, token: hello.token)
    return (
      result,
      [
        "type": "welcome", "protocol": .int(result.version), "cluster": .string(cluster),
        "incarnation": .int(incarnation), "session": .string(session), "program": .string(program),
      ]
    )
  }

  private static func hello(_ message: JSON) throws(ProtocolError) -> Handshake.Hello {
    guard let first = message["protocols"]?[0]?.intValue, let last = message["protocols"]?[1]?.intValue, first <= last
    else { throw .missing("protocols", in: "hello") }
    guard let role = message["role"]?.stringValue.flatMap({ ProtocolRole(rawValue: $0) }) else {
      throw .missing("role", in: "hello")
    }
    let cluster = message["cluster"]?.stringValue ?? ""
    guard Handshake.isName(cluster) else { throw .missing("cluster", in: "hello") }
    let stream = message["stream"]?.stringValue ?? ""
    let isOfStream = role == .logs || role == .stream
    guard Handshake.isName(stream), isOfStream == !stream.isEmpty else { throw .missing("stream", in: "hello") }
    let token = message["token"]?.stringValue ?? ""
    return Handshake.Hello(versions: first...last, role: role, cluster: cluster, stream: stream, token: token)
  }
}

/// The connecting side: agents and clients. Send `hello`, then hand the first message to `receive`.
package struct HandshakeClient: Sendable {
  private let sent: Handshake.Hello

  /// `cluster`: the one to insist on, or empty. `stream`: roles logs and stream only. `token`: of a client without a
  /// certificate.
  package init(role: ProtocolRole, cluster: String = "", stream: String = "", token: String = "") {
    sent = Handshake.Hello(
      versions: Handshake.versions, role: role, cluster: cluster, stream: stream, token: token)
  }

  /// The first message of the connection.
  package var hello: JSON {
    var message: JSON = [
      "type": "hello", "protocols": [.int(sent.versions.lowerBound), .int(sent.versions.upperBound)],
      "role": .string(sent.role.rawValue),
    ]
    if !sent.cluster.isEmpty { message["cluster"] = .string(sent.cluster) }
    if !sent.stream.isEmpty { message["stream"] = .string(sent.stream) }
    if !sent.token.isEmpty { message["token"] = .string(sent.token) }
    return message
  }

  /// Takes the coordinator's answer. Its own error is thrown as it came; after any error close the connection.
  package func receive(_ message: JSON) throws(ProtocolError) -> HandshakeResult {
    let type = try Handshake.type(of: message)
    guard type == "welcome" else {
      throw ProtocolError(.unexpected, "the message \(type.prefix(64)) is not the next one of a hello")
    }
    guard let version = message["protocol"]?.intValue else { throw .missing("protocol", in: "welcome") }
    guard sent.versions.contains(version) else {
      throw ProtocolError(.version, "the coordinator chose protocol version \(version), which was not offered")
    }
    guard let cluster = message["cluster"]?.stringValue, Handshake.isName(cluster) else {
      throw .missing("cluster", in: "welcome")
    }
    guard sent.cluster.isEmpty || sent.cluster == cluster else {
      throw ProtocolError(.cluster, "the coordinator is of cluster \(cluster), \(sent.cluster) was wanted")
    }
    guard let incarnation = message["incarnation"]?.intValue else { throw .missing("incarnation", in: "welcome") }
    guard let session = message["session"]?.stringValue, !session.isEmpty else {
      throw .missing("session", in: "welcome")
    }
    let program = message["program"]?.stringValue ?? ""
    return HandshakeResult(
      version: version, role: sent.role, cluster: cluster, incarnation: incarnation, session: session,
      stream: sent.stream, program: Handshake.isName(program) ? program : "")
  }
}
