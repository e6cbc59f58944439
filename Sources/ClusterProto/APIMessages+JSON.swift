// Owns: the JSON form of client requests and their answers on the native protocol (docs/protocol.md).
// It must not know what verbs do. Unknown members are ignored.

/// Client → coordinator.
package enum ClientMessage: Equatable, Sendable {
  /// `id` is the client's own number, unique among its open requests.
  case request(id: Int64, APIRequest)
  /// About join tokens and node keys; answered as a request is.
  case joining(id: Int64, JoiningRequest)
  /// About users' certificates; answered as a request is.
  case users(id: Int64, UserRequest)
  /// About the cluster's authority; answered as a request is.
  case authority(id: Int64, AuthorityRequest)
  case cancel(id: Int64)
}

extension ClientMessage {
  /// The message's JSON.
  package var json: JSON {
    switch self {
    case .cancel(let id): return ["type": "cancel", "id": .int(id)]
    case .joining(let id, let request):
      return ["type": "joining", "id": .int(id), "request": request.json]
    case .users(let id, let request): return ["type": "users", "id": .int(id), "request": request.json]
    case .authority(let id, let request): return ["type": "authority", "id": .int(id), "request": request.json]
    case .request(let id, let request):
      var message: JSON = [
        "type": "request", "id": .int(id), "verb": .string(request.verb.rawValue),
        "kind": .string(request.kind.rawValue),
      ]
      if !request.namespace.isEmpty { message["namespace"] = .string(request.namespace) }
      if !request.name.isEmpty { message["name"] = .string(request.name) }
      if !request.subresource.isEmpty { message["subresource"] = .string(request.subresource) }
      if request.form != .object { message["form"] = .string(request.form.rawValue) }
      let options = request.options.json
      if options != .object(JSONObject()) { message["options"] = options }
      message["body"] = request.body
      return message
    }
  }

  /// Reads a client's message.
  package init(json: JSON) throws(MessageError) {
    let reader = try MessageReader(json, "message")
    let type = try reader.string("type")
    switch type {
    case "request": self = .request(id: try reader.integer("id"), try APIRequest(reader: MessageReader(json, type)))
    case "joining":
      self = .joining(id: try reader.integer("id"), try JoiningRequest(json: try reader.required("request")))
    case "authority":
      self = .authority(id: try reader.integer("id"), try AuthorityRequest(json: try reader.required("request")))
    case "users": self = .users(id: try reader.integer("id"), try UserRequest(json: try reader.required("request")))
    case "cancel": self = .cancel(id: try reader.integer("id"))
    default: throw MessageError("unknown message type \(type.prefix(64)) from a client")
    }
  }
}

extension APIRequest {
  fileprivate init(reader: MessageReader) throws(MessageError) {
    let form = try reader.optionalString("form") ?? AnswerForm.object.rawValue
    self.init(
      verb: try APIRequest.named("verb", try reader.string("verb")),
      kind: try APIRequest.named("kind", try reader.string("kind")),
      namespace: try reader.optionalString("namespace") ?? "", name: try reader.optionalString("name") ?? "",
      subresource: try reader.optionalString("subresource") ?? "",
      options: try APIOptions(reader: MessageReader(reader.optional("options") ?? .object(JSONObject()), "options")),
      form: try APIRequest.named("form", form), body: reader.optional("body"))
  }

  fileprivate static func named<Value: RawRepresentable>(
    _ member: String, _ text: String
  ) throws(MessageError) -> Value where Value.RawValue == String {
    guard let value = Value(rawValue: text) else {
      throw MessageError("request.\(member): unknown value \(text.prefix(64))")
    }
    return value
  }
}

extension APIOptions {
  /// One row a member: the same tables read and write, so that they cannot differ.
  private static let texts: [(String, any WritableKeyPath<APIOptions, String?> & Sendable)] = [
    ("labelSelector", \.labelSelector), ("fieldSelector", \.fieldSelector), ("continue", \.continueToken),
    ("resourceVersion", \.resourceVersion), ("resourceVersionMatch", \.resourceVersionMatch),
    ("fieldManager", \.fieldManager), ("fieldValidation", \.fieldValidation),
    ("propagationPolicy", \.propagationPolicy), ("preconditionUID", \.preconditionUID),
    ("preconditionResourceVersion", \.preconditionResourceVersion), ("includeObject", \.includeObject),
    ("container", \.container),
  ]
  private static let numbers: [(String, any WritableKeyPath<APIOptions, Int64?> & Sendable)] = [
    ("limit", \.limit), ("timeoutSeconds", \.timeoutSeconds), ("gracePeriodSeconds", \.gracePeriodSeconds),
    ("tailLines", \.tailLines), ("sinceSeconds", \.sinceSeconds), ("limitBytes", \.limitBytes),
  ]
  private static let flags: [(String, any WritableKeyPath<APIOptions, Bool> & Sendable)] = [
    ("allowWatchBookmarks", \.allowWatchBookmarks), ("dryRun", \.dryRun), ("follow", \.follow),
    ("previous", \.previous), ("timestamps", \.timestamps),
  ]
  private static let optionalFlags: [(String, any WritableKeyPath<APIOptions, Bool?> & Sendable)] = [
    ("sendInitialEvents", \.sendInitialEvents), ("force", \.force),
  ]

  fileprivate init(reader: MessageReader) throws(MessageError) {
    self.init()
    for (name, path) in Self.texts { self[keyPath: path] = try reader.optionalString(name) }
    for (name, path) in Self.numbers { self[keyPath: path] = try reader.optionalInteger(name) }
    for (name, path) in Self.flags { self[keyPath: path] = try reader.flag(name) }
    for (name, path) in Self.optionalFlags {
      self[keyPath: path] = reader.optional(name) == nil ? nil : try reader.flag(name)
    }
    if let text = try reader.optionalString("patchKind") { patchKind = try APIRequest.named("patchKind", text) }
    if let text = try reader.optionalString("sinceTime") {
      guard let time = WallTime(rfc3339: text) else { throw MessageError("options.sinceTime: no RFC 3339 time") }
      sinceTime = time
    }
  }

  fileprivate var json: JSON {
    var result = JSON.object(JSONObject())
    for (name, path) in Self.texts { result[name] = self[keyPath: path].map { .string($0) } }
    for (name, path) in Self.numbers { result[name] = self[keyPath: path].map { .int($0) } }
    for (name, path) in Self.flags where self[keyPath: path] { result[name] = true }
    for (name, path) in Self.optionalFlags { result[name] = self[keyPath: path].map { .bool($0) } }
    result["patchKind"] = patchKind.map { .string($0.rawValue) }
    result["sinceTime"] = sinceTime.map { .string($0.rfc3339) }
    return result
  }
}

/// Coordinator → client: a part of the answer to request `id`.
package struct ClientReply: Equatable, Sendable {
  /// Number of the request that it answers.
  package var id: Int64
  /// What the core said.
  package var reply: APIReply

  /// Takes each value as it stands.
  package init(id: Int64, reply: APIReply) {
    self.id = id
    self.reply = reply
  }

  /// The message's JSON. Log bytes go as `text` where they are UTF-8, else as `base64`.
  package var json: JSON {
    switch reply {
    case .items(let items): return ["type": "items", "id": .int(id), "items": .array(items)]
    case .event(let type, let object):
      return ["type": "event", "id": .int(id), "event": .string(type), "object": object]
    case .done(let code, let object, let warnings):
      var message: JSON = ["type": "done", "id": .int(id), "code": .int(Int64(code)), "object": object]
      if !warnings.isEmpty { message["warnings"] = .array(warnings.map { .string($0) }) }
      return message
    case .bytes(let bytes):
      var message: JSON = ["type": "bytes", "id": .int(id)]
      if let text = String(validating: bytes, as: UTF8.self) {
        message["text"] = .string(text)
      } else {
        message["base64"] = .string(Base64.encode(bytes))
      }
      return message
    }
  }

  /// Reads a message of the coordinator; an error message is thrown as what it says.
  package init(json: JSON) throws(ProtocolError) {
    let type = try Handshake.type(of: json)
    guard let id = json["id"]?.intValue else { throw .missing("id", in: String(type.prefix(64))) }
    self.id = id
    switch type {
    case "items":
      guard let items = json["items"]?.arrayValue else { throw .missing("items", in: type) }
      reply = .items(items)
    case "event":
      guard let event = json["event"]?.stringValue else { throw .missing("event", in: type) }
      reply = .event(type: event, object: json["object"] ?? .null)
    case "done":
      guard let code = json["code"]?.intValue.flatMap({ Int(exactly: $0) }) else { throw .missing("code", in: type) }
      let warnings = (json["warnings"]?.arrayValue ?? []).compactMap(\.stringValue)
      reply = .done(code: code, object: json["object"] ?? .null, warnings: warnings)
    case "bytes":
      if let text = json["text"]?.stringValue {
        reply = .bytes(Array(text.utf8))
      } else if let bytes = json["base64"]?.stringValue.flatMap({ Base64.decode($0) }) {
        reply = .bytes(bytes)
      } else {
        throw .missing("text", in: type)
      }
    default: throw ProtocolError(.unknownType, "unknown message type \(type.prefix(64)) from the coordinator")
    }
  }
}
