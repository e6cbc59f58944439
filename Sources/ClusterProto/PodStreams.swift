// Owns: what goes into a running pod and comes out of it: exec, attach and forwarded ports. The request for it, and the
// frames of raw bytes that travel both ways on a connection of its own, from a client's over the coordinator to the
// agent's. It must not know how clients speak, nor what runs there.

/// What a stream is of.
package enum PodStreamPurpose: String, Sendable, CaseIterable {
  /// A command beside a container's own.
  case exec
  /// A container's own output, and its input where it has one.
  case attach
  /// A connection to a port of the pod's node.
  case portforward
}

/// What a client wants of a stream, in the names of Kubernetes' PodExecOptions: the body of a `connect` request.
package struct PodStreamOptions: Equatable, Sendable {
  /// Empty: the pod's only one, or the one that its annotation names. Of ports: unused.
  package var container = ""
  /// Of exec: the command and its arguments.
  package var command: [String] = []
  /// Whether bytes go in.
  package var stdin = false
  /// Whether the output comes out.
  package var stdout = false
  /// Whether what it says of errors comes out, apart from the output. With a terminal both are one.
  package var stderr = false
  /// Whether it has a terminal.
  package var tty = false
  /// The port to connect to; 0: none yet, the request only asks whether it may.
  package var port: Int64 = 0

  /// Most bytes of a command with its arguments; the kernel takes no longer single one.
  package static let commandLimit = 64 << 10

  /// No options set.
  package init() {}

  /// The options as a request's body.
  package var json: JSON {
    var result = JSON.object(JSONObject())
    if !container.isEmpty { result["container"] = .string(container) }
    if !command.isEmpty { result["command"] = .strings(command) }
    for (name, path) in Self.flags where self[keyPath: path] { result[name] = true }
    if port != 0 { result["port"] = .int(port) }
    return result
  }

  /// Reads a request's body. Throws what is of the wrong type.
  package init(json: JSON, _ what: String) throws(MessageError) {
    let reader = try MessageReader(json, what)
    container = try reader.optionalString("container") ?? ""
    command = try reader.optionalList("command", MessageReader.string)
    for (name, path) in Self.flags { self[keyPath: path] = try reader.flag(name) }
    port = try reader.optionalInteger("port") ?? 0
  }

  private static let flags: [(String, any WritableKeyPath<PodStreamOptions, Bool> & Sendable)] = [
    ("stdin", \.stdin), ("stdout", \.stdout), ("stderr", \.stderr), ("tty", \.tty),
  ]
}

/// Coordinator → agent: open the stream of this name, and say on it what becomes of it.
package struct PodStreamRequest: Equatable, Sendable {
  /// The name that the agent's connection has in its hello.
  package var stream: String
  /// Of which attempt.
  package var attempt: AttemptNumber
  /// What it is of.
  package var purpose: PodStreamPurpose
  /// `container` and `port` are filled in.
  package var options: PodStreamOptions

  /// Takes each value as it stands.
  package init(stream: String, attempt: AttemptNumber, purpose: PodStreamPurpose, options: PodStreamOptions) {
    self.stream = stream
    self.attempt = attempt
    self.purpose = purpose
    self.options = options
  }

  var json: JSON {
    [
      "stream": .string(stream), "attempt": .int(attempt), "purpose": .string(purpose.rawValue),
      "options": options.json,
    ]
  }

  init(json: JSON, _ what: String) throws(MessageError) {
    let reader = try MessageReader(json, what)
    let word = try reader.string("purpose")
    guard let purpose = PodStreamPurpose(rawValue: word) else {
      throw MessageError("\(what).purpose: unknown value \(word.prefix(64))")
    }
    self.init(
      stream: try reader.string("stream"), attempt: try reader.integer("attempt"), purpose: purpose,
      options: try reader.member("options", PodStreamOptions.init(json:_:)))
  }
}

/// How a stream ended.
package struct PodStreamEnd: Equatable, Sendable {
  /// As HTTP's: 200 for a stream that came to its own end, else why not.
  package var code: Int
  /// For people, where the code is not 200.
  package var message: String
  /// Of exec and attach: the process' exit status, 128 + signal where one ended it; nil: there is none to tell.
  package var exitCode: Int?

  /// Takes each value as it stands.
  package init(code: Int, message: String = "", exitCode: Int? = nil) {
    self.code = code
    self.message = message
    self.exitCode = exitCode
  }
}

/// One frame of a stream: a tag byte, then bytes.
package enum PodStreamFrame: Equatable, Sendable {
  // Towards the client.

  /// The pod is there and the stream begins.
  case started
  /// What it writes.
  case output([UInt8])
  /// What it writes of errors.
  case errors([UInt8])
  /// The last frame.
  case end(PodStreamEnd)

  // Towards the pod.

  /// What it reads.
  case input([UInt8])
  /// There is no more of that.
  case inputEnd
  /// The terminal's size, in characters.
  case resize(columns: UInt16, rows: UInt16)

  /// Most bytes of data in one frame.
  package static let largestPiece = 64 * 1024

  /// Whether an agent says it; else a client does.
  package var isOfAgent: Bool {
    switch self {
    case .started, .output, .errors, .end: true
    case .input, .inputEnd, .resize: false
    }
  }

  /// The frame's payload.
  package var payload: [UInt8] {
    switch self {
    case .started: return [UInt8(ascii: "s")]
    case .output(let bytes): return [UInt8(ascii: "o")] + bytes
    case .errors(let bytes): return [UInt8(ascii: "e")] + bytes
    case .end(let end):
      var json: JSON = ["code": .int(Int64(end.code)), "message": .string(end.message)]
      if let exitCode = end.exitCode { json["exitCode"] = .int(Int64(exitCode)) }
      return [UInt8(ascii: "x")] + json.bytes
    case .input(let bytes): return [UInt8(ascii: "i")] + bytes
    case .inputEnd: return [UInt8(ascii: "q")]
    case .resize(let columns, let rows):
      return [UInt8(ascii: "r")] + [columns, rows].flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }
    }
  }

  /// Reads a frame's payload.
  package init(payload: [UInt8]) throws(ProtocolError) {
    let rest = payload.dropFirst()
    switch payload.first {
    case UInt8(ascii: "s") where rest.isEmpty: self = .started
    case UInt8(ascii: "q") where rest.isEmpty: self = .inputEnd
    case UInt8(ascii: "o"): self = .output(try Self.piece(rest))
    case UInt8(ascii: "e"): self = .errors(try Self.piece(rest))
    case UInt8(ascii: "i"): self = .input(try Self.piece(rest))
    case UInt8(ascii: "r") where rest.count == 4:
      let bytes = rest.map { UInt16($0) }
      self = .resize(columns: bytes[0] << 8 | bytes[1], rows: bytes[2] << 8 | bytes[3])
    case UInt8(ascii: "x"): self = .end(try Self.end(rest))
    default: throw ProtocolError(.unknownType, "a frame of a pod's stream begins with one of s o e x i q r")
    }
  }

  private static func piece(_ bytes: ArraySlice<UInt8>) throws(ProtocolError) -> [UInt8] {
    guard bytes.count <= largestPiece else {
      throw ProtocolError(.tooLarge, "a piece of a stream has more than \(largestPiece) bytes")
    }
    return Array(bytes)
  }

  private static func end(_ bytes: ArraySlice<UInt8>) throws(ProtocolError) -> PodStreamEnd {
    guard let json = try? JSON(parsing: bytes), let code = json["code"]?.intValue.flatMap({ Int(exactly: $0) })
    else { throw .missing("code", in: "end of stream") }
    let exit = json["exitCode"]?.intValue.flatMap { (0...255).contains($0) ? Int($0) : nil }
    return PodStreamEnd(code: code, message: json["message"]?.stringValue ?? "", exitCode: exit)
  }

  /// Bytes as frames of at most the largest piece each.
  package static func pieces(
    _ bytes: some Collection<UInt8>, _ make: ([UInt8]) -> PodStreamFrame
  ) -> [PodStreamFrame] {
    var frames: [PodStreamFrame] = []
    var rest = bytes[...]
    while !rest.isEmpty {
      frames.append(make(Array(rest.prefix(largestPiece))))
      rest = rest.dropFirst(largestPiece)
    }
    return frames
  }
}
