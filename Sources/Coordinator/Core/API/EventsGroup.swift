// events.k8s.io/v1: the stored events in that group's shape, both ways. The core stores and serves v1 Events only; this
// is laid around its requests and answers. Knows nothing of HTTP.

import ClusterProto

/// The second group that shows events.
package enum EventsGroup {
  /// The group's name.
  package static let name = "events.k8s.io"
  static let apiVersion = "events.k8s.io/v1"
  static let schema = "EventsEvent"

  /// Members by their name here and in v1; what both call the same is not listed.
  private static let names = [
    ("note", "message"), ("regarding", "involvedObject"), ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"), ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"), ("deprecatedCount", "count"),
  ]

  /// A refusal: the HTTP code and the Status.
  package struct Refusal: Error, Equatable, Sendable {
    /// The HTTP code.
    package var code: Int
    /// The body: a Status.
    package var status: JSON

    fileprivate init(_ failure: APIFailure) {
      code = failure.code
      status = failure.status
    }
  }

  // Requests.

  /// The request for the stored kind that one of this group stands for. A body is checked against this group's type
  /// first; what it does not know comes out as the strict errors of the request.
  package static func stored(_ request: APIRequest) throws(Refusal) -> APIRequest {
    var result = request
    do throws(APIFailure) {
      result.options.fieldSelector = try request.options.fieldSelector.map(selector)
      if [.create, .update].contains(request.verb), let body = request.body {
        let tree = try decode(body)
        result.options.strictErrors = StrictErrors.texts(request.options.strictErrors, unknown: tree.unknown)
        try validate(tree.json)
        result.body = renamed(tree.json, names, apiVersion: Kind.events.apiVersion)
      }
      if request.verb == .patch { try patch(&result) }
    } catch {
      throw Refusal(error)
    }
    return result
  }

  private static func decode(_ body: JSON) throws(APIFailure) -> DecodedTree {
    let version = body["apiVersion"]?.stringValue ?? apiVersion
    if version != apiVersion {
      throw .badRequest(
        "the API version in the data (\(version)) does not match the expected API version (\(apiVersion))")
    }
    return try SchemaDecoder.decode(body, as: schema, shown: "Event")
  }

  /// The same patch of the stored event: both groups nest alike, so only the outermost names differ.
  private static func patch(_ request: inout APIRequest) throws(APIFailure) {
    switch (request.options.patchKind, request.body) {
    case (.apply, _):
      throw .unsupportedMediaType("events of events.k8s.io/v1 are not applied server-side: apply them as v1 events")
    case (.json, .array(let steps)?):
      request.body = .array(
        steps.map { step in
          var step = step
          for member in ["path", "from"] {
            if let path = step[member]?.stringValue { step[member] = .string(stored(path)) }
          }
          return step
        })
    case (_, .object(let members)?):
      var body = JSON.object(members)
      for (name, old) in names {
        if body[old] != nil {
          request.options.strictErrors.append("unknown field \"\(old)\"")
          body[old] = nil
        }
        if let value = body[name] {
          body[name] = nil
          body[old] = value
        }
      }
      if body["apiVersion"]?.stringValue == apiVersion { body["apiVersion"] = .string(Kind.events.apiVersion) }
      request.body = body
    default: break
    }
  }

  /// A JSON pointer into the stored event.
  private static func stored(_ path: String) -> String {
    for (name, old) in names where path == "/\(name)" || path.hasPrefix("/\(name)/") {
      return "/\(old)" + path.dropFirst(name.utf8.count + 1)
    }
    return path
  }

  /// What Kubernetes asks of events of this group beyond those of v1.
  private static func validate(_ json: JSON) throws(APIFailure) {
    var errors = FieldErrors()
    func text(_ member: String) -> String { json[member]?.stringValue ?? "" }
    if text("eventTime").isEmpty { errors.required("eventTime") }
    for (member, limit) in [("reportingInstance", 128), ("action", 128), ("reason", 128)] {
      if text(member).isEmpty { errors.required(member) }
      if text(member).utf8.count > limit { errors.invalid(member, "", "can have at most \(limit) characters") }
    }
    if text("reportingController").isEmpty { errors.required("reportingController") }
    if text("note").utf8.count > 1024 { errors.invalid("note", "", "can have at most 1024 characters") }
    if !["Normal", "Warning"].contains(text("type")) {
      errors.invalid("type", "", "has invalid value: \(text("type"))")
    }
    if errors.isEmpty { return }
    var failure = APIFailure.invalid(.events, json[path: ["metadata", "name"]]?.stringValue ?? "", errors.all)
    failure.message = "Event.events.k8s.io" + failure.message.dropFirst("Event".count)
    failure.details?["group"] = .string(name)
    throw failure
  }

  private static func renamed(_ json: JSON, _ names: [(String, String)], apiVersion: String) -> JSON {
    var result = json
    for (from, to) in names {
      guard let value = result[from] else { continue }
      result[from] = nil
      result[to] = value
    }
    result["apiVersion"] = .string(apiVersion)
    result["kind"] = "Event"
    return result
  }

  /// Field labels of this group → those of v1, which the others pass as they are.
  private static func selector(_ text: String) throws(APIFailure) -> String {
    var result: [String] = []
    for term in text.split(separator: ",") {
      let label = term.prefix { $0 != "=" && $0 != "!" }
      let rest = term.dropFirst(label.count)
      if label.hasPrefix("regarding.") {
        result.append("involvedObject." + label.dropFirst("regarding.".count) + rest)
      } else if label == "reportingController" {
        result.append("reportingComponent" + rest)
      } else if ["reason", "type", "metadata.name", "metadata.namespace"].contains(label) {
        result.append(String(term))
      } else {
        throw .badRequest("field label not supported: \(label)")
      }
    }
    return result.joined(separator: ",")
  }

  // Answers.

  /// A part of an answer about stored events, in this group's shape.
  package static func view(_ reply: APIReply) -> APIReply {
    switch reply {
    case .items(let items): .items(items.map { shown($0) })
    case .event(let type, let object): .event(type: type, object: shown(object))
    case .done(let code, let object, let warnings): .done(code: code, object: shown(object), warnings: warnings)
    case .bytes: reply
    }
  }

  private static func shown(_ json: JSON) -> JSON {
    var result = json
    switch json["kind"]?.stringValue {
    case "Event":
      return renamed(json, names.map { ($0.1, $0.0) }, apiVersion: apiVersion)
    case "EventList":
      result["apiVersion"] = .string(apiVersion)
      if let items = json["items"]?.arrayValue { result["items"] = .array(items.map { shown($0) }) }
    case "Table":
      if let rows = json["rows"]?.arrayValue { result["rows"] = .array(rows.map { shown($0) }) }
    case "Status":
      guard json["details"]?["kind"]?.stringValue == Kind.events.plural else { break }
      result[path: ["details", "group"]] = .string(name)
      if let message = json["message"]?.stringValue, message.hasPrefix("events \"") {
        result["message"] = .string("events.events.k8s.io" + message.dropFirst("events".count))
      }
    default:
      // A row.
      if let object = json["object"], json["cells"] != nil { result["object"] = shown(object) }
    }
    return result
  }
}
