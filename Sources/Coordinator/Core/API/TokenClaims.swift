// Owns: what the token of a service account says, in Kubernetes' claims, and whose word it is now: a token dies with
// its account and with what it is bound to. It must not know signatures: claims come here after those were verified.

import ClusterProto

/// An object that a token names: the uid tells it from a later one of the same name.
package struct TokenObject: Equatable, Sendable {
  /// The object's name.
  package var name: String
  /// The object's uid.
  package var uid: String

  /// Takes each value as it stands.
  package init(name: String, uid: String) {
    self.name = name
    self.uid = uid
  }

  fileprivate init?(json: JSON?) {
    guard let name = json?["name"]?.stringValue, let uid = json?["uid"]?.stringValue, !name.isEmpty, !uid.isEmpty else {
      return nil
    }
    self.init(name: name, uid: uid)
  }

  fileprivate var json: JSON { ["name": .string(name), "uid": .string(uid)] }
}

/// The claims of a service account's token.
package struct TokenClaims: Equatable, Sendable {
  /// Who issues tokens, and for whom they are where nobody is named: Kubernetes' own word.
  package static let issuer = "https://kubernetes.default.svc.cluster.local"

  /// The account's namespace.
  package var namespace: String
  /// The account.
  package var account: TokenObject
  /// What the token is bound to: it dies with any of these.
  package var pod: TokenObject?
  /// A Secret that it is bound to.
  package var secret: TokenObject?
  /// The pod's node, or one that it is bound to.
  package var node: TokenObject?
  /// Whom it is shown to.
  package var audiences: [String]
  /// Seconds since 1970.
  package var issuedAt: Int64
  /// Seconds since 1970; not valid from then on.
  package var expires: Int64
  /// Tells tokens apart.
  package var id: String

  private static let members = "kubernetes.io"

  /// Kubernetes' claims.
  package var json: JSON {
    var own: JSON = ["namespace": .string(namespace), "serviceaccount": account.json]
    if let node { own["node"] = node.json }
    if let pod { own["pod"] = pod.json }
    if let secret { own["secret"] = secret.json }
    return [
      "aud": .array(audiences.map { .string($0) }), "exp": .int(expires), "iat": .int(issuedAt),
      "iss": .string(Self.issuer), "jti": .string(id), Self.members: own, "nbf": .int(issuedAt),
      "sub": .string(userName),
    ]
  }

  /// Reads claims; nil where one is missing or says something else than its fellows.
  package init?(json: JSON) {
    guard json["iss"]?.stringValue == Self.issuer, let own = json[Self.members],
      let namespace = own["namespace"]?.stringValue, !namespace.isEmpty,
      let account = TokenObject(json: own["serviceaccount"]), let issuedAt = json["iat"]?.intValue,
      let notBefore = json["nbf"]?.intValue, let expires = json["exp"]?.intValue,
      let audiences = json["aud"]?.arrayValue?.compactMap(\.stringValue)
    else { return nil }
    for member in ["pod", "secret", "node"] where own[member] != nil && TokenObject(json: own[member]) == nil {
      return nil
    }
    self.init(
      namespace: namespace, account: account, audiences: audiences, issuedAt: max(issuedAt, notBefore),
      expires: expires, id: json["jti"]?.stringValue ?? "")
    pod = TokenObject(json: own["pod"])
    secret = TokenObject(json: own["secret"])
    node = TokenObject(json: own["node"])
    guard json["sub"]?.stringValue == userName else { return nil }
  }

  /// Takes each value as it stands.
  package init(
    namespace: String, account: TokenObject, audiences: [String], issuedAt: Int64, expires: Int64, id: String
  ) {
    self.namespace = namespace
    self.account = account
    self.audiences = audiences
    self.issuedAt = issuedAt
    self.expires = expires
    self.id = id
  }

  /// The account's user name.
  package var userName: String { "\(Subject.serviceAccountPrefix)\(namespace):\(account.name)" }
}

/// What became of a token whose signature was verified.
package enum TokenVerdict: Equatable, Sendable {
  /// Whose it is, and for which of the audiences that were asked for.
  case valid(TokenClaims, audiences: [String])
  /// Why it is nobody's, in Kubernetes' words, which name the account's present uid. `told`: what its holder may hear
  /// of that; nil: all.
  case invalid(String, told: String? = nil)
}

extension CoordinatorCore {
  /// How far a token may be from the future: clocks are set back.
  private static let leewaySeconds: Int64 = 60

  /// Whether the claims of a token hold at `wall` for any of `audiences`. Asked for each request that bears one: what
  /// it rests on may have gone since the one before.
  package func verdict(on json: JSON, audiences: [String], wall: WallTime) -> TokenVerdict {
    guard let claims = TokenClaims(json: json) else { return .invalid("service account token has been invalidated") }
    let seconds = wall.seconds
    if claims.expires <= seconds { return .invalid("service account token has expired") }
    if claims.issuedAt > seconds.addingSaturated(Self.leewaySeconds) {
      return .invalid("service account token is not valid yet")
    }
    let shared = claims.audiences.filter { audiences.contains($0) }
    guard !shared.isEmpty else {
      return .invalid(
        "token audiences \(Self.list(claims.audiences)) is invalid for the target audiences \(Self.list(audiences))")
    }
    let key = ObjectKey(namespace: claims.namespace, name: claims.account.name)
    guard let account = state.other(.serviceaccounts, key) else {
      return .invalid("serviceaccounts \"\(key.name)\" not found")
    }
    guard account.meta.uid == claims.account.uid else {
      return .invalid(
        "service account UID (\(account.meta.uid)) does not match claim (\(claims.account.uid))",
        told: "service account UID does not match claim (\(claims.account.uid))")
    }
    let isOver = account.meta.deletionTimestamp != nil && account.meta.finalizers.isEmpty
    guard !isOver, isThere(claims.pod, .pods, claims.namespace), isThere(claims.secret, .secrets, claims.namespace),
      claims.pod != nil || isThere(claims.node, .nodes, "")
    else { return .invalid("service account token has been invalidated") }
    return .valid(claims, audiences: shared)
  }

  private func isThere(_ object: TokenObject?, _ kind: Kind, _ namespace: String) -> Bool {
    guard let object else { return true }
    let found = state[ObjectReference(kind: kind, key: ObjectKey(namespace: namespace, name: object.name))]
    return found?.meta.uid == object.uid
  }

  /// As Go quotes a list of strings.
  private static func list(_ texts: [String]) -> String {
    "[\(texts.prefix(16).map { JSON.string(String($0.prefix(256))).text }.joined(separator: " "))]"
  }
}

extension Subject {
  /// What the user names of service accounts begin with.
  package static let serviceAccountPrefix = "system:serviceaccount:"
  /// The group of every service account.
  package static let serviceAccounts = "system:serviceaccounts"

  /// Whose word these claims are, once they were found to hold.
  package init(_ claims: TokenClaims, door: Door, from: String = "") {
    self.init(
      name: claims.userName,
      groups: [Subject.serviceAccounts, "\(Subject.serviceAccounts):\(claims.namespace)", Subject.authenticated],
      kind: .serviceAccount, uid: claims.account.uid, door: door, from: from)
  }
}
