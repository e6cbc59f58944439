// Owns: what a machine without a certificate says to become a node, and what it is answered; on a connection whose
// server was verified by the token's digest. It must not know how requests are signed or who is let in.

/// Joiner → coordinator. Of the signing request only its public key counts; of the rest only what is named here.
package struct JoinRequest: Equatable, Sendable {
  /// The token's id; empty: by the key alone, whose certificate has ended.
  package var token: String
  /// The token's secret.
  package var secret: String
  /// The node name that is asked for.
  package var node: String
  /// A signing request (PKCS #10, PEM).
  package var request: String

  /// Takes each value as it stands.
  package init(token: String, secret: String, node: String, request: String) {
    self.token = token
    self.secret = secret
    self.node = node
    self.request = request
  }

  /// Longest signing request that is looked at: one for P-256 has about 400 bytes.
  package static let requestLimit = 2_048

  /// The message's JSON.
  package var json: JSON {
    [
      "type": "join", "token": .string(token), "secret": .string(secret), "node": .string(node),
      "request": .string(request),
    ]
  }

  /// Reads a joiner's message.
  package init(json: JSON) throws(MessageError) {
    let reader = try MessageReader(json, "join")
    guard try reader.string("type") == "join" else { throw MessageError("join: the message is of another type") }
    self.init(
      token: try reader.optionalString("token") ?? "", secret: try reader.optionalString("secret") ?? "",
      node: try reader.string("node"), request: try reader.string("request"))
    guard request.utf8.count <= Self.requestLimit else {
      throw MessageError("join.request: more than \(Self.requestLimit) bytes")
    }
  }
}

/// Coordinator → joiner.
package enum JoinAnswer: Equatable, Sendable {
  /// Both PEM.
  case joined(certificate: String, authority: String, cluster: String)
  /// Why not, and what to do; when to ask again, where that may help.
  case refused(reason: String, retryMilliseconds: Int64?)

  /// The message's JSON.
  package var json: JSON {
    switch self {
    case .joined(let certificate, let authority, let cluster):
      return [
        "type": "joined", "certificate": .string(certificate), "authority": .string(authority),
        "cluster": .string(cluster),
      ]
    case .refused(let reason, let retry):
      var json: JSON = ["type": "refused", "reason": .string(reason)]
      json["retryMilliseconds"] = retry.map { .int($0) }
      return json
    }
  }

  /// Reads the coordinator's answer.
  package init(json: JSON) throws(MessageError) {
    let reader = try MessageReader(json, "answer")
    switch try reader.string("type") {
    case "joined":
      self = .joined(
        certificate: try reader.string("certificate"), authority: try reader.string("authority"),
        cluster: try reader.string("cluster"))
    case "refused":
      self = .refused(
        reason: try reader.string("reason"), retryMilliseconds: try reader.optionalInteger("retryMilliseconds"))
    case let type: throw MessageError("answer: unknown type \(type.prefix(64))")
    }
  }
}

/// Agent → coordinator, over its session: the next certificate, for its own key.
package struct RenewRequest: Equatable, Sendable {
  /// A signing request (PKCS #10, PEM), of which only the public key counts.
  package var request: String

  /// Takes the value as it stands.
  package init(request: String) { self.request = request }

  /// The message's JSON.
  package var json: JSON { ["type": "renew", "request": .string(request)] }

  /// Reads an agent's message.
  package init(json: JSON) throws(MessageError) {
    request = try MessageReader(json, "renew").string("request")
    guard request.utf8.count <= JoinRequest.requestLimit else {
      throw MessageError("renew.request: more than \(JoinRequest.requestLimit) bytes")
    }
  }
}

/// Coordinator → agent, over its session.
package enum RenewAnswer: Equatable, Sendable {
  /// Both PEM.
  case renewed(certificate: String, authority: String)
  case refused(reason: String)

  /// The message's JSON.
  package var json: JSON {
    switch self {
    case .renewed(let certificate, let authority):
      ["type": "renewed", "certificate": .string(certificate), "authority": .string(authority)]
    case .refused(let reason): ["type": "notRenewed", "reason": .string(reason)]
    }
  }

  /// nil: a message of another type.
  package init?(json: JSON) throws(MessageError) {
    switch json["type"]?.stringValue {
    case "renewed":
      let reader = try MessageReader(json, "renewed")
      self = .renewed(certificate: try reader.string("certificate"), authority: try reader.string("authority"))
    case "notRenewed": self = .refused(reason: try MessageReader(json, "notRenewed").string("reason"))
    default: return nil
    }
  }
}

/// Administrator → coordinator, about join tokens and node keys. Whoever makes a token draws its secret and sends the
/// digest alone.
package enum JoiningRequest: Equatable, Sendable {
  /// `uses` nil: any number; `node` empty: any name that is free.
  case createToken(id: String, digest: String, ttlSeconds: Int64, uses: Int64?, node: String)
  case listTokens
  case deleteToken(id: String)
  /// Ends the node's session and refuses its key from now on.
  case revokeNode(String)

  /// The request's JSON.
  package var json: JSON {
    switch self {
    case .createToken(let id, let digest, let ttl, let uses, let node):
      var json: JSON = [
        "do": "createToken", "id": .string(id), "digest": .string(digest), "ttlSeconds": .int(ttl),
        "node": .string(node),
      ]
      json["uses"] = uses.map { .int($0) }
      return json
    case .listTokens: return ["do": "listTokens"]
    case .deleteToken(let id): return ["do": "deleteToken", "id": .string(id)]
    case .revokeNode(let name): return ["do": "revokeNode", "node": .string(name)]
    }
  }

  /// Reads an administrator's request.
  package init(json: JSON) throws(MessageError) {
    let reader = try MessageReader(json, "joining.request")
    switch try reader.string("do") {
    case "createToken":
      self = .createToken(
        id: try reader.string("id"), digest: try reader.string("digest"), ttlSeconds: try reader.integer("ttlSeconds"),
        uses: try reader.optionalInteger("uses"), node: try reader.optionalString("node") ?? "")
    case "listTokens": self = .listTokens
    case "deleteToken": self = .deleteToken(id: try reader.string("id"))
    case "revokeNode": self = .revokeNode(try reader.string("node"))
    case let other: throw MessageError("joining.request.do: unknown value \(other.prefix(64))")
    }
  }
}
