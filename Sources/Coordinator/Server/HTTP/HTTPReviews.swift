// Owns: questions that are created and answered at once, and never kept: may I, what may I, who am I.
// It must not know who may do what: it asks.

import ClusterIO
import ClusterProto
import CoordinatorCore

enum HTTPReviews {
  /// What a question's path asks; nil for every other path.
  static func kind(_ parts: [String]) -> ServedResource? {
    guard parts.count == 4, parts[0] == "apis", parts[2] == "v1" else { return nil }
    return ServedResource.all.first { $0.group == parts[1] && $0.plural == parts[3] && $0.verbs == ["create"] }
  }

  /// The answer to the question that `subject` asks.
  static func answer(
    _ resource: ServedResource, _ request: HTTPRequest, _ subject: Subject,
    _ authorize: (Subject, AccessAttributes) -> AccessDecision
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
    case "SelfSubjectAccessReview":
      let decision = authorize(subject, try attributes(body["spec"] ?? .null))
      result["status"] = ["allowed": .bool(decision == .allowed)]
      if case .denied(let reason) = decision, !reason.isEmpty { result[path: ["status", "reason"]] = .string(reason) }
    default:
      guard body["spec"]?["namespace"]?.stringValue?.isEmpty == false else {
        throw HTTPFailure(400, "no namespace on request")
      }
      result["status"] = rules(mayAll: authorize(subject, anything) == .allowed)
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

  private static func attributes(_ spec: JSON) throws(HTTPFailure) -> AccessAttributes {
    let resource = spec["resourceAttributes"] ?? .null
    let path = spec["nonResourceAttributes"] ?? .null
    guard resource.isNull != path.isNull else {
      throw HTTPFailure(
        422,
        "SelfSubjectAccessReview.authorization.k8s.io \"\" is invalid: spec.resourceAttributes: Invalid value: "
          + "\"null\": exactly one of nonResourceAttributes or resourceAttributes must be specified")
    }
    func text(_ name: String) -> String { resource[name]?.stringValue ?? "" }
    if resource.isNull {
      return AccessAttributes(verb: path["verb"]?.stringValue ?? "", path: path["path"]?.stringValue ?? "")
    }
    return AccessAttributes(
      verb: text("verb"), group: text("group"), resource: text("resource"), subresource: text("subresource"),
      namespace: text("namespace"), name: text("name"))
  }

  /// Who may do this may do all.
  private static let anything = AccessAttributes(verb: "*", group: "*", resource: "*")

  private static func rules(mayAll: Bool) -> JSON {
    if mayAll {
      return [
        "resourceRules": [["verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]]],
        "nonResourceRules": [["verbs": ["*"], "nonResourceURLs": ["*"]]], "incomplete": false,
      ]
    }
    let questions = ServedResource.all.filter { $0.verbs == ["create"] && $0.kind.hasPrefix("SelfSubject") }
    return [
      "resourceRules": .array(
        questions.map {
          ["verbs": ["create"], "apiGroups": [.string($0.group)], "resources": [.string($0.plural)]]
        }),
      "nonResourceRules": [
        [
          "verbs": ["get"],
          "nonResourceURLs": [
            "/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version",
          ],
        ]
      ], "incomplete": false,
    ]
  }
}
