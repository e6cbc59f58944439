// Owns: the hello of the native protocol, both sides of it: versions, cluster, and the proof that both know the token
// without saying it. Pure: nonces and the keyed hash come in. It must not know sockets, files or time.

/// Who opens a connection, and with it what may be said on it.
package enum ProtocolRole: String, Sendable, CaseIterable { case agent, client, logs }

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
  /// Role logs: the log request that this connection answers.
  package var stream: String
  /// The coordinator's version, as it tells it to the other side; empty where it does not.
  package var program = ""
}

/// What a side does next.
package enum HandshakeStep: Equatable, Sendable {
  case send(JSON)
  /// The hello is over; the coordinator sends `final` first, the other side has nothing to send.
  case finished(HandshakeResult, final: JSON?)
}

/// The parts that both sides share.
package enum Handshake {
  /// Protocol versions that this program speaks.
  package static let versions: ClosedRange<Int64> = 2...2
  /// Both sides close a connection whose hello is not over by then.
  package static let timeoutMilliseconds: Int64 = 5_000
  /// Largest frame before the hello is over.
  package static let frameLimit = 4_096
  /// Random bytes in a nonce; it stands in hexadecimal in the messages.
  package static let nonceBytes = 32

  /// Every value that both sides have seen, one a line; none contains a line break (`isName`).
  struct Transcript {
    var hello: Hello
    var version: Int64
    var cluster: String
    var incarnation: Int64
    var serverNonce: String

    /// What the side named by `domain` (`stint-server`, `stint-client`) signs.
    func text(_ domain: String) -> String {
      [
        domain, String(version), hello.role.rawValue, cluster, String(incarnation), hello.nonce, serverNonce,
        hello.stream, String(hello.versions.lowerBound), String(hello.versions.upperBound),
      ].joined(separator: "\n")
    }
  }

  struct Hello {
    var versions: ClosedRange<Int64>
    var role: ProtocolRole
    var cluster: String
    var nonce: String
    var stream: String
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

  /// Whether `text` is a nonce in hexadecimal.
  static func isNonce(_ text: String) -> Bool {
    text.utf8.count == nonceBytes * 2 && isName(text) && text.allSatisfy(\.isHexDigit)
  }

  /// Equality in a time that does not tell where texts differ.
  static func equal(_ left: String, _ right: String) -> Bool {
    left.utf8.count == right.utf8.count && zip(left.utf8, right.utf8).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
  }

  /// The type of `message`; an error message of the other side is thrown.
  static func type(of message: JSON) throws(ProtocolError) -> String {
    if let error = ProtocolError(json: message) { throw error }
    guard let type = message["type"]?.stringValue else { throw .missing("type", in: "(unknown)") }
    return type
  }
}

/// The coordinator's side, one a connection. `prove` is HMAC-SHA256 with the token as key, over the text's UTF-8, in
/// lower-case hexadecimal.
package struct HandshakeServer: Sendable {
  private enum State {
    case waitsForHello
    case waitsForProof(Handshake.Transcript)
    case over
  }

  private let cluster: String
  private let incarnation: Int64
  private let nonce: String
  private let session: String
  private let program: String
  private var state = State.waitsForHello

  /// `nonce`: 32 fresh random bytes in hexadecimal. `session`: random, never reused. `program`: the coordinator's
  /// version, for people.
  package init(cluster: String, incarnation: Int64, nonce: String, session: String, program: String = "") {
    self.program = program
    self.cluster = cluster
    self.incarnation = incarnation
    self.nonce = nonce
    self.session = session
  }

  /// Takes the next message of the connecting side. After an error, which goes to it as a frame, the connection
  /// closes.
  package mutating func receive(
    _ message: JSON, prove: (String) -> String
  ) throws(ProtocolError) -> HandshakeStep {
    let type = try Handshake.type(of: message)
    switch (type, state) {
    case ("hello", .waitsForHello):
      let transcript = try answer(try Self.hello(message))
      state = .waitsForProof(transcript)
      return .send([
        "type": "challenge", "protocol": .int(transcript.version), "cluster": .string(cluster),
        "incarnation": .int(incarnation), "nonce": .string(nonce),
        "proof": .string(prove(transcript.text("stint-server"))),
      ])
    case ("proof", .waitsForProof(let transcript)):
      guard let proof = message["proof"]?.stringValue else { throw .missing("proof", in: "proof") }
      guard Handshake.equal(proof, prove(transcript.text("stint-client"))) else {
        throw ProtocolError(.unauthorized, "wrong token: this cluster's is in the file token of its data directory")
      }
      state = .over
      let result = HandshakeResult(
        version: transcript.version, role: transcript.hello.role, cluster: cluster, incarnation: incarnation,
        session: session, stream: transcript.hello.stream, program: program)
      return .finished(
        result, final: ["type": "welcome", "session": .string(session), "program": .string(program)])
    default:
      throw ProtocolError(.unexpected, "the message \(type.prefix(64)) is not the next one of a hello")
    }
  }

  private static func hello(_ message: JSON) throws(ProtocolError) -> Handshake.Hello {
    guard let first = message["protocols"]?[0]?.intValue, let last = message["protocols"]?[1]?.intValue, first <= last
    else { throw .missing("protocols", in: "hello") }
    guard let role = message["role"]?.stringValue.flatMap({ ProtocolRole(rawValue: $0) }) else {
      throw .missing("role", in: "hello")
    }
    guard let nonce = message["nonce"]?.stringValue, Handshake.isNonce(nonce) else {
      throw .missing("nonce", in: "hello")
    }
    let cluster = message["cluster"]?.stringValue ?? ""
    guard Handshake.isName(cluster) else { throw .missing("cluster", in: "hello") }
    let stream = message["stream"]?.stringValue ?? ""
    guard Handshake.isName(stream), (role == .logs) == !stream.isEmpty else { throw .missing("stream", in: "hello") }
    return Handshake.Hello(versions: first...last, role: role, cluster: cluster, nonce: nonce, stream: stream)
  }

  private func answer(_ hello: Handshake.Hello) throws(ProtocolError) -> Handshake.Transcript {
    guard hello.versions.overlaps(Handshake.versions) else {
      throw ProtocolError(
        .version,
        "this coordinator speaks protocol versions \(Handshake.versions.lowerBound) to "
          + "\(Handshake.versions.upperBound), you speak \(hello.versions.lowerBound) to \(hello.versions.upperBound)")
    }
    guard hello.cluster.isEmpty || hello.cluster == cluster else {
      throw ProtocolError(.cluster, "this is cluster \(cluster), you asked for \(hello.cluster)")
    }
    return Handshake.Transcript(
      hello: hello, version: min(hello.versions.upperBound, Handshake.versions.upperBound), cluster: cluster,
      incarnation: incarnation, serverNonce: nonce)
  }
}

/// The connecting side: agents and clients. Send `hello`, then hand each message to `receive`.
package struct HandshakeClient: Sendable {
  private enum State {
    case waitsForChallenge
    case waitsForWelcome(Handshake.Transcript)
    case over
  }

  private let sent: Handshake.Hello
  private var state = State.waitsForChallenge

  /// `nonce`: 32 fresh random bytes in hexadecimal. `cluster`: the one to insist on, or empty. `stream`: role logs
  /// only.
  package init(role: ProtocolRole, nonce: String, cluster: String = "", stream: String = "") {
    sent = Handshake.Hello(versions: Handshake.versions, role: role, cluster: cluster, nonce: nonce, stream: stream)
  }

  /// The first message of the connection.
  package var hello: JSON {
    var message: JSON = [
      "type": "hello", "protocols": [.int(sent.versions.lowerBound), .int(sent.versions.upperBound)],
      "role": .string(sent.role.rawValue), "nonce": .string(sent.nonce),
    ]
    if !sent.cluster.isEmpty { message["cluster"] = .string(sent.cluster) }
    if !sent.stream.isEmpty { message["stream"] = .string(sent.stream) }
    return message
  }

  /// Takes the coordinator's next message. The coordinator's own error is thrown as it came; after any error close the
  /// connection. `prove` as in `HandshakeServer`.
  package mutating func receive(
    _ message: JSON, prove: (String) -> String
  ) throws(ProtocolError) -> HandshakeStep {
    let type = try Handshake.type(of: message)
    switch (type, state) {
    case ("challenge", .waitsForChallenge):
      let transcript = try read(message, prove: prove)
      state = .waitsForWelcome(transcript)
      return .send(["type": "proof", "proof": .string(prove(transcript.text("stint-client")))])
    case ("welcome", .waitsForWelcome(let transcript)):
      guard let session = message["session"]?.stringValue, !session.isEmpty else {
        throw .missing("session", in: "welcome")
      }
      state = .over
      let program = message["program"]?.stringValue ?? ""
      let result = HandshakeResult(
        version: transcript.version, role: sent.role, cluster: transcript.cluster,
        incarnation: transcript.incarnation, session: session, stream: sent.stream,
        program: Handshake.isName(program) ? program : "")
      return .finished(result, final: nil)
    default:
      throw ProtocolError(.unexpected, "the message \(type.prefix(64)) is not the next one of a hello")
    }
  }

  private func read(_ message: JSON, prove: (String) -> String) throws(ProtocolError) -> Handshake.Transcript {
    guard let version = message["protocol"]?.intValue else { throw .missing("protocol", in: "challenge") }
    guard sent.versions.contains(version) else {
      throw ProtocolError(.version, "the coordinator chose protocol version \(version), which was not offered")
    }
    guard let cluster = message["cluster"]?.stringValue, Handshake.isName(cluster) else {
      throw .missing("cluster", in: "challenge")
    }
    guard sent.cluster.isEmpty || sent.cluster == cluster else {
      throw ProtocolError(.cluster, "the coordinator is of cluster \(cluster), \(sent.cluster) was wanted")
    }
    guard let incarnation = message["incarnation"]?.intValue else { throw .missing("incarnation", in: "challenge") }
    guard let nonce = message["nonce"]?.stringValue, Handshake.isNonce(nonce) else {
      throw .missing("nonce", in: "challenge")
    }
    let transcript = Handshake.Transcript(
      hello: sent, version: version, cluster: cluster, incarnation: incarnation, serverNonce: nonce)
    guard let proof = message["proof"]?.stringValue, Handshake.equal(proof, prove(transcript.text("stint-server")))
    else {
      throw ProtocolError(
        .unauthorized, "the coordinator does not know this token: the token file is of another cluster")
    }
    return transcript
  }
}
