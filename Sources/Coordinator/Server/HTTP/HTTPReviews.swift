// Owns: questions that are created and answered at once, and never kept: may I, what may I, who am I.
// It must not know who may do what: it asks.

import ClusterIO
import ClusterProto
import CoordinatorCore

enum HTTPReviews {
  /// The core's answer to a question of a kind: its spec, the path's namespace, who asks.
  typealias Review = (String, JSON, String, Subject) throws(APIFailure) -> JSON

  /// What a question's path asks; nil for every other path.
  static func kind(_ path: HTTPResource.Path) -> ServedResource? {
    guard path.version == "v1", path.rest.isEmpty else { return nil }
    return ServedResource.all.first {
      $0.group == path.group && $0.plural == path.plural && $0.verbs == ["create"]
        && $0.isNamespaced == !path.namespace.isEmpty
    }
  }

  /// The answer to the question that `subject` asks.
  static func answer(
    _ resource: ServedResource, _ request: HTTPRequest, _ subject: Subject, namespace: String, _ review: Review
  ) throws(HTTPFailure) -> JSON {
    let body = try body(request, kind: resource.kind, group: resource.group)
    var result: JSON = [
      "kind": .string(resource.kind), "apiVersion": .string("\(resource.group)/v1"),
      "metadata": ["creationTimestamp": .null],
    ]
    if let spec = body["spec"] { result["spec"] = spec }
    switch resource.kind {
    case "SelfSubjectReview":
      result[path: ["metadata", "creationTimestamp"]] = .string(WallTime(nanoseconds: Clocks.now().wall).rfc3339)
      result["status"] = ["userInfo": HTTPTokens.userInfo(subject)]
    default:
      do throws(APIFailure) {
        result["status"] = try review(resource.kind, body["spec"] ?? .null, namespace, subject)
      } catch {
        throw HTTPFailure(error.code, error.message, status: error.status)
      }
    }
    return result
  }

  /// The question that a request brings, which has to be of that kind.
  static func body(_ request: HTTPRequest, kind: String, group: String) throws(HTTPFailure) -> JSON {
    guard request.method == "POST" else {
      throw HTTPFailure(405, "the server does not allow this method on the requested resource")
    }
    let body = try HTTPMedia.body(request).json ?? .null
    guard body["kind"]?.stringValue == kind, body["apiVersion"]?.stringValue == "\(group)/v1" else {
      throw HTTPFailure(400, "the object provided is unrecognized (must be of type \(kind)): couldn't get version/kind")
    }
    return body
  }
}
