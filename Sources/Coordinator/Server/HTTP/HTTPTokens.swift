// Owns: bearer tokens of HTTP requests and the questions about them (TokenReview), in Kubernetes' words. It must not
// know keys, nor what a token's owner may do.

import ClusterIO
import ClusterProto
import CoordinatorCore

enum HTTPTokens {
  static let review = "TokenReview"

  /// The token of an Authorization header; nil where the request bears none.
  static func bearer(_ request: HTTPRequest) -> String? {
    guard let header = request.header("authorization")?.trimmingSpaces else { return nil }
    let parts = header.split(separator: " ", maxSplits: 1)
    guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
    let token = parts[1].trimmingSpaces
    return token.isEmpty ? nil : token
  }

  /// Answers whose the token is that the question holds.
  static func answer(
    _ request: HTTPRequest, _ verdict: (String, [String]) -> TokenVerdict
  ) throws(HTTPFailure) -> JSON {
    let body = try HTTPReviews.body(request, kind: review, group: "authentication.k8s.io")
    let spec = body["spec"] ?? .null
    guard let token = spec["token"]?.stringValue, !token.isEmpty else {
      throw HTTPFailure(400, "token is required for TokenReview in authentication")
    }
    let given = (spec["audiences"]?.arrayValue ?? []).compactMap(\.stringValue)
    var result: JSON = [
      "kind": .string(review), "apiVersion": "authentication.k8s.io/v1", "metadata": ["creationTimestamp": .null],
      "spec": spec,
    ]
    switch verdict(token, given.isEmpty ? [TokenClaims.issuer] : given) {
    case .valid(let claims, let audiences):
      result["status"] = [
        "authenticated": true, "user": userInfo(Subject(claims, door: .https), claims),
        "audiences": .array(audiences.map { .string($0) }),
      ]
    case .invalid(let why, _): result["status"] = ["user": .object(JSONObject()), "error": .string(why)]
    }
    return result
  }

  /// Kubernetes' UserInfo of whoever asks; of a token's owner with what the token names.
  static func userInfo(_ subject: Subject, _ claims: TokenClaims? = nil) -> JSON {
    var info: JSON = [
      "username": .string(subject.name), "groups": .array(subject.groups.map { .string($0) }),
    ]
    if subject.kind == .serviceAccount { info["uid"] = .string(subject.uid) }
    guard let claims else { return info }
    var extra: JSON = ["authentication.kubernetes.io/credential-id": [.string("JTI=\(claims.id)")]]
    for (object, name) in [(claims.node, "node"), (claims.pod, "pod")] {
      guard let object else { continue }
      extra["authentication.kubernetes.io/\(name)-name"] = [.string(object.name)]
      extra["authentication.kubernetes.io/\(name)-uid"] = [.string(object.uid)]
    }
    info["extra"] = extra
    return info
  }
}
