// Owns: questions that are created and answered at once, and never kept: may I, what may I, who am I. There is one
// administrator, who may do everything. It must not know the core.

import ClusterIO
import ClusterProto
import CoordinatorCore

enum HTTPReviews {
  /// The answer to a question's path; nil for every other path. The caller has checked the credential.
  static func answer(_ parts: [String], _ request: HTTPRequest) throws(HTTPFailure) -> JSON? {
    guard parts.count == 4, parts[0] == "apis", parts[2] == "v1",
      let resource = ServedResource.all.first(where: { $0.group == parts[1] && $0.plural == parts[3] }),
      resource.verbs == ["create"]
    else { return nil }
    guard request.method == "POST" else {
      throw HTTPFailure(405, "the server does not allow this method on the requested resource")
    }
    let body = try HTTPMedia.body(request).json ?? .null
    guard body["kind"]?.stringValue == resource.kind, body["apiVersion"]?.stringValue == "\(resource.group)/v1" else {
      throw HTTPFailure(
        400, "the object provided is unrecognized (must be of type \(resource.kind)): couldn't get version/kind")
    }
    var result: JSON = [
      "kind": .string(resource.kind), "apiVersion": .string("\(resource.group)/v1"),
      "metadata": ["creationTimestamp": .null],
    ]
    if let spec = body["spec"] { result["spec"] = spec }
    switch resource.kind {
    case "SelfSubjectReview":
      result[path: ["metadata", "creationTimestamp"]] = .string(WallTime(nanoseconds: Clocks.now().wall).rfc3339)
      result["status"] = [
        "userInfo": [
          "username": .string(PKI.administratorName),
          "groups": [.string(PKI.administratorGroup), "system:authenticated"],
        ]
      ]
    case "SelfSubjectAccessReview":
      guard
        (body["spec"]?["resourceAttributes"] ?? .null).isNull
          != (body["spec"]?["nonResourceAttributes"] ?? .null).isNull
      else {
        throw HTTPFailure(
          422,
          "SelfSubjectAccessReview.authorization.k8s.io \"\" is invalid: spec.resourceAttributes: Invalid value: "
            + "\"null\": exactly one of nonResourceAttributes or resourceAttributes must be specified")
      }
      result["status"] = ["allowed": true]
    default:
      guard body["spec"]?["namespace"]?.stringValue?.isEmpty == false else {
        throw HTTPFailure(400, "no namespace on request")
      }
      result["status"] = [
        "resourceRules": [["verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]]],
        "nonResourceRules": [["verbs": ["*"], "nonResourceURLs": ["*"]]], "incomplete": false,
      ]
    }
    return result
  }
}
