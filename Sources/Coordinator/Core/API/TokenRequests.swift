// Owns: serviceaccounts/NAME/token, by which tokens are made, and the tokens that pods are given: what each may say.
// It must not know keys: the shell signs what is decided here.

import ClusterProto

extension CoordinatorCore {
  private static let requestType = "TokenRequest"
  private static let usualSeconds: Int64 = 3_600
  private static let leastSeconds: Int64 = 600
  private static let mostSeconds: Int64 = 1 << 32
  private static let audienceLimit = 16

  /// Decides what the token says; the shell signs it and answers.
  mutating func requestToken(_ request: APIRequest, _ id: RequestID) throws(APIFailure) {
    guard let body = request.body, body.objectValue != nil else {
      throw .badRequest("the object provided is unrecognized (must be of type \(Self.requestType))")
    }
    let version = body["apiVersion"]?.stringValue ?? "authentication.k8s.io/v1"
    guard version == "authentication.k8s.io/v1", body["kind"]?.stringValue ?? Self.requestType == Self.requestType
    else {
      throw .badRequest(
        "\(body["kind"]?.stringValue ?? "") in version \(JSON.string(version).text) cannot be handled as a "
          + "\(Self.requestType) of \"authentication.k8s.io/v1\"")
    }
    let tree = try SchemaDecoder.decode(body, as: Self.requestType)
    let warnings = try unknownFields(tree, request)
    try checkTokenMetadata(tree.json, request)
    guard case .other(let account) = try existing(request) else { throw .notFound(.serviceaccounts, request.name) }
    var spec = tree.json["spec"] ?? .object(JSONObject())
    let given = (spec["audiences"]?.arrayValue ?? []).compactMap(\.stringValue)
    let audiences = given.isEmpty ? [TokenClaims.issuer] : given
    let seconds = spec["expirationSeconds"]?.intValue ?? Self.usualSeconds
    try checkToken(seconds: seconds, audiences: audiences)
    var claims = claims(of: account, audiences: audiences, seconds: seconds)
    if let bound = spec["boundObjectRef"], bound.objectValue != nil { try bind(&claims, to: bound, request) }
    spec["audiences"] = .array(audiences.map { .string($0) })
    spec["expirationSeconds"] = .int(seconds)
    let answer: JSON = [
      "kind": .string(Self.requestType), "apiVersion": "authentication.k8s.io/v1",
      "metadata": [
        "name": .string(request.name), "namespace": .string(request.namespace),
        "creationTimestamp": .string(now.wall.rfc3339),
      ],
      "spec": spec,
      "status": [
        "expirationTimestamp": .string(WallTime(nanoseconds: 0).adding(milliseconds: claims.expires * 1_000).rfc3339)
      ],
    ]
    audit(
      .token, "token of service account \(request.namespace)/\(request.name) for \(seconds) s", by: request.subject)
    outputs.append(.signToken(id, claims: claims.json, answer: answer, warnings: WarningList.bounded(warnings)))
  }

  private func checkTokenMetadata(_ json: JSON, _ request: APIRequest) throws(APIFailure) {
    var errors = FieldErrors()
    for (member, own, what) in [("name", request.name, "name"), ("namespace", request.namespace, "namespace")] {
      let text = json[path: ["metadata", member]]?.stringValue ?? ""
      if !text.isEmpty, text != own {
        errors.invalid("metadata.\(member)", text, "must match the service account \(what) if specified")
      }
    }
    if !errors.isEmpty { throw Self.invalidToken(request.name, errors) }
  }

  private func checkToken(seconds: Int64, audiences: [String]) throws(APIFailure) {
    var errors = FieldErrors()
    if seconds < Self.leastSeconds {
      errors.invalid("spec.expirationSeconds", .int(seconds), "may not specify a duration less than 10 minutes")
    }
    if seconds > Self.mostSeconds {
      errors.invalid("spec.expirationSeconds", .int(seconds), "may not specify a duration larger than 2^32 seconds")
    }
    // A token has to fit into a request's head.
    if audiences.count > Self.audienceLimit || audiences.contains(where: { $0.utf8.count > 256 }) {
      errors.invalid(
        "spec.audiences", .string("…"), "may not have more than \(Self.audienceLimit) audiences of 256 bytes")
    }
    if !errors.isEmpty { throw Self.invalidToken("", errors) }
  }

  private static func invalidToken(_ name: String, _ errors: FieldErrors) -> APIFailure {
    let texts = errors.all.map(\.text)
    let list = texts.count == 1 ? texts[0] : "[\(texts.joined(separator: ", "))]"
    var details: JSON = [
      "group": "authentication.k8s.io", "kind": .string(requestType), "causes": .array(errors.all.map(\.cause)),
    ]
    if !name.isEmpty { details["name"] = .string(name) }
    return APIFailure(
      code: 422, reason: "Invalid", message: "\(requestType).authentication.k8s.io \"\(name)\" is invalid: \(list)",
      details: details)
  }

  /// What a token of the account says from now on.
  mutating func claims(of account: GenericObject, audiences: [String], seconds: Int64) -> TokenClaims {
    let start = now.wall.seconds
    return TokenClaims(
      namespace: account.meta.namespace, account: TokenObject(name: account.meta.name, uid: account.meta.uid),
      audiences: audiences, issuedAt: start, expires: start.addingSaturated(seconds), id: newUID())
  }

  private func bind(_ claims: inout TokenClaims, to bound: JSON, _ request: APIRequest) throws(APIFailure) {
    let (kind, version) = (bound["kind"]?.stringValue ?? "", bound["apiVersion"]?.stringValue ?? "")
    let name = bound["name"]?.stringValue ?? ""
    func found(_ kind: Kind, _ namespace: String) throws(APIFailure) -> APIObject {
      guard let object = state[ObjectReference(kind: kind, key: ObjectKey(namespace: namespace, name: name))] else {
        throw .notFound(kind, name)
      }
      let uid = bound["uid"]?.stringValue ?? ""
      guard uid.isEmpty || uid == object.meta.uid else {
        throw APIFailure(
          code: 409, reason: "Conflict",
          message: "Operation cannot be fulfilled on \(kind.name) \"\(name)\": the UID in the bound object reference "
            + "(\(Excerpt.of(uid))) does not match the UID in record. The object might have been deleted and then "
            + "recreated", details: ["name": .string(name), "kind": .string(kind.name)])
      }
      return object
    }
    switch (version, kind) {
    case ("v1", "Pod"):
      guard case .pod(let pod) = try found(.pods, request.namespace) else { throw .notFound(.pods, name) }
      guard pod.spec.serviceAccountName == request.name else {
        throw .badRequest(
          "cannot bind token for serviceaccount \(JSON.string(request.name).text) to pod running with different "
            + "serviceaccount name.")
      }
      bind(&claims, to: pod)
    case ("v1", "Secret"):
      let secret = try found(.secrets, request.namespace)
      claims.secret = TokenObject(name: name, uid: secret.meta.uid)
    case ("v1", "Node"):
      let node = try found(.nodes, "")
      claims.node = TokenObject(name: name, uid: node.meta.uid)
    default:
      throw .badRequest("cannot bind token to object of type \(version.isEmpty ? "" : "\(version), Kind=")\(kind)")
    }
  }

  /// The token dies with the pod, and says where it runs.
  func bind(_ claims: inout TokenClaims, to pod: Pod) {
    claims.pod = TokenObject(name: pod.meta.name, uid: pod.meta.uid)
    guard let node = pod.nodeName, let object = state.nodes[ObjectKey(namespace: "", name: node)] else { return }
    claims.node = TokenObject(name: node, uid: object.meta.uid)
  }
}
