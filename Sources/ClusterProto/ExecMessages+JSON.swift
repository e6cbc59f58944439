// The JSON of what an agent and its keeper say on DATA/exec.sock; a packet each. Either may be one version apart:
// unknown members are ignored, an unknown type is an error value.

extension ExecRequest {
  /// The message's JSON.
  package var json: JSON {
    var result: JSON = [
      "type": "exec", "attempt": .int(attempt), "container": .string(container), "arguments": .strings(arguments),
    ]
    if let terminal { result["terminal"] = terminal.json }
    return result
  }

  /// Reads a message's JSON. Throws what is missing or of the wrong type.
  package init(json: JSON) throws(MessageError) {
    let reader = try MessageReader(json, "exec request")
    let type = try reader.string("type")
    guard type == "exec" else { throw MessageError("unknown exec request type \"\(type)\"") }
    self.init(
      attempt: try reader.integer("attempt"), container: try reader.string("container"),
      arguments: try reader.list("arguments", MessageReader.string),
      terminal: reader.optional("terminal") == nil ? nil : try reader.member("terminal", TerminalSize.init(json:_:)))
    if arguments.isEmpty { throw MessageError("exec request.arguments: expected a command") }
  }
}

extension InputRequest {
  /// The message's JSON.
  package var json: JSON { ["type": "input", "attempt": .int(attempt), "container": .string(container)] }

  /// Reads a message's JSON; nil: it is another request. Throws what is missing or of the wrong type.
  package init?(json: JSON) throws(MessageError) {
    let reader = try MessageReader(json, "input request")
    guard try reader.string("type") == "input" else { return nil }
    self.init(attempt: try reader.integer("attempt"), container: try reader.string("container"))
  }
}

extension ContainerInput {
  private static let members: [(String, any WritableKeyPath<ContainerInput, Bool> & Sendable)] = [
    ("stdin", \.isOpen), ("stdinOnce", \.isOnce), ("tty", \.isTerminal),
  ]

  /// Reads the members of a container's manifest, or of `json`.
  package init(json: JSON) { for (name, path) in Self.members { self[keyPath: path] = json[name]?.boolValue ?? false } }

  /// Its members that are true, named as in a manifest.
  package var json: JSON {
    var result = JSON.object(JSONObject())
    for (name, path) in Self.members where self[keyPath: path] { result[name] = true }
    return result
  }
}

extension TerminalSize {
  /// The message's JSON, as `init(json:_:)` reads it.
  package var json: JSON { ["columns": .int(Int64(columns)), "rows": .int(Int64(rows))] }

  /// Reads a message's JSON; sizes outside of what a terminal can have are its nearest ones.
  package init(json: JSON, _ what: String) throws(MessageError) {
    let reader = try MessageReader(json, what)
    self.init(
      columns: UInt16(clamping: try reader.integer("columns")), rows: UInt16(clamping: try reader.integer("rows")))
  }
}

extension ExecReply {
  /// The message's JSON.
  package var json: JSON {
    switch self {
    case .started: ["type": "started"]
    case .input(let input): ["type": "input", "input": input.json]
    case .ended(.exited(let code)): ["type": "exited", "code": .int(code)]
    case .ended(.refused(let reason, let message)):
      ["type": "refused", "reason": .string(reason.rawValue), "message": .string(message)]
    case .ended(.failed(let code, let message)):
      ["type": "failed", "code": .int(code), "message": .string(message)]
    case .ended(.gone): ["type": "gone"]
    }
  }

  /// Reads a message's JSON. Throws what is missing or of the wrong type.
  package init(json: JSON) throws(MessageError) {
    let type = try MessageReader(json, "exec reply").string("type")
    let reader = try MessageReader(json, type)
    switch type {
    case "started": self = .started
    case "input": self = .input(ContainerInput(json: json["input"] ?? .null))
    case "exited": self = .ended(.exited(code: try reader.integer("code")))
    case "refused":
      let reason = ExecRefusal(rawValue: try reader.string("reason")) ?? .invalid
      self = .ended(.refused(reason, message: try reader.string("message")))
    case "failed":
      self = .ended(.failed(code: try reader.integer("code"), message: try reader.string("message")))
    case "gone": self = .ended(.gone)
    default: throw MessageError("unknown exec reply type \"\(type)\"")
    }
  }
}
