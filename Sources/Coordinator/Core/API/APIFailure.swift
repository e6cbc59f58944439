// A refusal as Kubernetes words it: code, reason, message and details of a Status object.
// Knows nothing of verbs or validation rules; those throw it.

import ClusterProto

/// A request that fails. `status` is the v1 Status that the client gets; an empty reason is left out.
package struct APIFailure: Error, Equatable, Sendable {
  /// Bytes of a message, whatever it names or quotes.
  static let messageLimit = 64 * 1024

  /// The Status' code, and HTTP's.
  package var code: Int
  var reason: String
  /// The Status' message.
  package var message: String
  var details: JSON?

  init(code: Int, reason: String, message: String, details: JSON? = nil) {
    self.code = code
    self.reason = reason
    self.message = Excerpt.of(message, limit: Self.messageLimit)
    self.details = details
  }

  /// The Status object.
  package var status: JSON {
    var result: JSON = [
      "kind": "Status", "apiVersion": "v1", "metadata": .object(JSONObject()), "status": "Failure",
      "message": .string(message), "code": .int(Int64(code)),
    ]
    if !reason.isEmpty { result["reason"] = .string(reason) }
    if let details { result["details"] = details }
    return result
  }

  /// details with the resource's plural name, as most failures carry them.
  static func details(_ kind: Kind, _ name: String) -> JSON {
    var result: JSON = ["kind": .string(kind.plural)]
    if !name.isEmpty { result["name"] = .string(name) }
    if !kind.group.isEmpty { result["group"] = .string(kind.group) }
    return result
  }

  static func notFound(_ kind: Kind, _ name: String) -> APIFailure {
    APIFailure(
      code: 404, reason: "NotFound", message: "\(kind.qualifiedPlural) \"\(name)\" not found",
      details: details(kind, name))
  }

  /// The answer for a path that nothing serves.
  static let noSuchResource = APIFailure(
    code: 404, reason: "NotFound", message: "the server could not find the requested resource",
    details: .object(JSONObject()))

  static func alreadyExists(_ kind: Kind, _ name: String) -> APIFailure {
    APIFailure(
      code: 409, reason: "AlreadyExists", message: "\(kind.qualifiedPlural) \"\(name)\" already exists",
      details: details(kind, name))
  }

  static func badRequest(_ message: String) -> APIFailure {
    APIFailure(code: 400, reason: "BadRequest", message: message)
  }

  static func conflict(_ kind: Kind, _ name: String, _ why: String) -> APIFailure {
    APIFailure(
      code: 409, reason: "Conflict",
      message: "Operation cannot be fulfilled on \(kind.qualifiedPlural) \"\(name)\": \(why)",
      details: details(kind, name))
  }

  static let modified =
    "the object has been modified; please apply your changes to the latest version and try again"

  static func forbidden(_ kind: Kind, _ name: String, _ why: String) -> APIFailure {
    APIFailure(
      code: 403, reason: "Forbidden", message: "\(kind.qualifiedPlural) \"\(name)\" is forbidden: \(why)",
      details: details(kind, name))
  }

  static func methodNotAllowed(_ why: String) -> APIFailure {
    APIFailure(code: 405, reason: "MethodNotAllowed", message: why, details: .object(JSONObject()))
  }

  static func unsupportedMediaType(_ why: String) -> APIFailure {
    APIFailure(code: 415, reason: "UnsupportedMediaType", message: why, details: .object(JSONObject()))
  }

  static func expired(_ message: String) -> APIFailure { APIFailure(code: 410, reason: "Expired", message: message) }

  static func invalid(_ kind: Kind, _ name: String, _ errors: [FieldError]) -> APIFailure {
    let qualified = kind.group.isEmpty ? kind.name : "\(kind.name).\(kind.group)"
    // Kubernetes' aggregate shows equal messages once; the causes keep them all.
    var seen: Set<String> = []
    let texts = errors.map(\.text).filter { seen.insert($0).inserted }
    let list = texts.count == 1 ? texts[0] : "[\(texts.joined(separator: ", "))]"
    var details: JSON = ["kind": .string(kind.name), "causes": .array(errors.map(\.cause))]
    if !name.isEmpty { details["name"] = .string(name) }
    if !kind.group.isEmpty { details["group"] = .string(kind.group) }
    return APIFailure(
      code: 422, reason: "Invalid", message: "\(qualified) \"\(name)\" is invalid: \(list)", details: details)
  }

  /// Options of a request that cannot be; `options`: the type's name, as `ListOptions`.
  static func invalid(options: String, _ errors: FieldErrors) -> APIFailure {
    let texts = errors.all.map(\.text)
    let list = texts.count == 1 ? texts[0] : "[\(texts.joined(separator: ", "))]"
    return APIFailure(
      code: 422, reason: "Invalid", message: "\(options).meta.k8s.io \"\" is invalid: \(list)",
      details: ["group": "meta.k8s.io", "kind": .string(options), "causes": .array(errors.all.map(\.cause))])
  }

  /// A patch that cannot be read or applied.
  static func invalidPatch(_ message: String) -> APIFailure {
    APIFailure(code: 422, reason: "Invalid", message: message, details: .object(JSONObject()))
  }
}
