// Join tokens: made, listed, deleted, and whether one still counts. Of a secret only the digest is here. Whose name a
// joiner may have is Joining's to say.

import ClusterProto

/// What is kept of a join token. Persisted; for a week after its end, so that who uses it is told what became of it.
struct JoinTokenRecord: Equatable, Sendable {
  /// Of the secret.
  var digest: String
  /// The only name that it is good for; empty: any that is free.
  var node: String
  var created: WallTime
  var expires: WallTime
  /// nil: any number.
  var usesLeft: Int64?
  /// The node that joined by it last, and when.
  var lastNode = ""
  var lastUse: WallTime?
  var deleted: WallTime?
  /// Digest of the authority by which it has the coordinator believed; empty: none was noted yet.
  var authority = ""

  /// When it came to its end, as of `now`; nil: it still counts.
  func end(at now: WallTime) -> WallTime? {
    if let deleted { return deleted }
    if usesLeft == 0 { return lastUse ?? created }
    return expires <= now ? expires : nil
  }
}

extension CoordinatorCore {
  /// Of those that still count.
  static let tokenLimit = 1_000
  /// Of those that came to their end: beyond it the one that ended first is forgotten first.
  static let endedTokenLimit = 1_000
  private static let longestTTLSeconds: Int64 = 366 * 86_400
  private static let keptMilliseconds: Int64 = 7 * 86_400_000

  /// What an administrator asks of tokens and keys. Answered as a request is.
  mutating func handle(_ request: JoiningRequest, by subject: Subject, id: RequestID) {
    do throws(APIFailure) {
      if case .denied(let reason) = authorize(subject, request.access) {
        throw refusal(subject, request.access, reason)
      }
      let object = try perform(request)
      if let (deed, what) = request.deed { audit(deed, what, by: subject) }
      outputs.append(.reply(id, .done(code: 200, object: object, warnings: [])))
    } catch {
      outputs.append(.reply(id, .done(code: error.code, object: error.status, warnings: [])))
    }
  }

  private mutating func perform(_ request: JoiningRequest) throws(APIFailure) -> JSON {
    switch request {
    case .createToken(let id, let digest, let ttl, let uses, let node):
      try createToken(id: id, digest: digest, ttlSeconds: ttl, uses: uses, node: node)
    case .listTokens:
      [
        "kind": "JoinTokenList",
        "items": .array(
          fleet.joining.tokens.keys.sorted().compactMap { id in fleet.joining.tokens[id].map { shown(id, $0) } }),
      ]
    case .deleteToken(let id): try deleteToken(id)
    case .revokeNode(let name): try revoke(node: name)
    }
  }

  private mutating func createToken(
    id: String, digest: String, ttlSeconds: Int64, uses: Int64?, node: String
  ) throws(APIFailure) -> JSON {
    try refuseWhenDiskLow()
    guard JoinToken.isID(id), digest.utf8.count == 64, Hexadecimal.bytes(digest) != nil else {
      throw .badRequest("the token has no valid id, or no digest of a secret")
    }
    guard (1...Self.longestTTLSeconds).contains(ttlSeconds) else {
      throw .badRequest("a token lives from 1 s to \(Self.longestTTLSeconds / 86_400) days")
    }
    guard uses ?? 1 >= 1 else { throw .badRequest("a token has 1 use or more") }
    // Whoever joins by it is held to the same.
    if !node.isEmpty, let problem = Names.nodeProblem(node) { throw .badRequest("--node: \(problem)") }
    guard fleet.joining.tokens[id] == nil else {
      throw APIFailure(code: 409, reason: "AlreadyExists", message: "there is a token \(id) already")
    }
    dropOldTokens()
    guard fleet.joining.tokens.values.count(where: { $0.end(at: now.wall) == nil }) < Self.tokenLimit else {
      throw APIFailure(
        code: 429, reason: "TooManyRequests",
        message: "there are \(Self.tokenLimit) join tokens that count: delete some (stint token list, stint token "
          + "delete)")
    }
    let record = JoinTokenRecord(
      digest: digest.lowercased(), node: node, created: now.wall,
      expires: now.wall.adding(milliseconds: ttlSeconds * 1_000), usesLeft: uses, authority: fleet.exchange.current)
    setToken(record, id)
    var made = shown(id, record)
    if let point = fleet.joinPoint {
      made["addresses"] = .array(point.addresses.map { .string($0) })
      made["authority"] = .string(point.authority)
    }
    return made
  }

  private mutating func deleteToken(_ id: String) throws(APIFailure) -> JSON {
    guard var record = fleet.joining.tokens[id], record.deleted == nil else {
      throw APIFailure(
        code: 404, reason: "NotFound", message: "there is no join token \(id.prefix(64)): stint token list shows them")
    }
    record.deleted = now.wall
    setToken(record, id)
    return shown(id, record)
  }

  mutating func setToken(_ record: JoinTokenRecord, _ id: String) {
    fleet.joining.tokens[id] = record
    writes.append(fact(Self.tokenFact + id, record.row))
  }

  /// Those that came to their end a week ago, and the oldest of many that did.
  private mutating func dropOldTokens() {
    let ended = fleet.joining.tokens.keys.sorted().compactMap { id in
      fleet.joining.tokens[id]?.end(at: now.wall).map { (id: id, nanoseconds: $0.nanoseconds, end: $0) }
    }.sorted { ($0.nanoseconds, $0.id) < ($1.nanoseconds, $1.id) }
    for (place, (id, _, end)) in ended.enumerated() {
      guard ended.count - place > Self.endedTokenLimit || now.wall.milliseconds(since: end) > Self.keptMilliseconds
      else { break }
      fleet.joining.tokens[id] = nil
      writes.append(StoreWrite(table: .facts, key: Self.tokenFact + id, value: nil))
    }
  }

  private func shown(_ id: String, _ record: JoinTokenRecord) -> JSON {
    var status = "Valid"
    if record.deleted != nil {
      status = "Deleted"
    } else if record.usesLeft == 0 {
      status = "Used"
    } else if record.expires <= now.wall {
      status = "Expired"
    } else if ![fleet.exchange.current, fleet.exchange.former].contains(authority(of: record.authority)) {
      status = "Outdated"
    }
    var json: JSON = [
      "kind": "JoinToken", "id": .string(id), "node": .string(record.node), "created": .string(record.created.rfc3339),
      "expires": .string(record.expires.rfc3339), "status": .string(status), "lastNode": .string(record.lastNode),
    ]
    json["usesLeft"] = record.usesLeft.map { .int($0) }
    return json
  }
}

extension Names {
  /// What keeps a text from being a node's name; nil: nothing. Shorter than Kubernetes' own, since it is the label
  /// kubernetes.io/hostname too.
  package static func nodeProblem(_ text: String) -> String? {
    if text.utf8.count <= 63, subdomainErrors(text).isEmpty { return nil }
    return "\"\(text.prefix(253))\" is no node name: at most 63 lower-case letters, digits, '-' and '.', which begins "
      + "and ends with a letter or a digit"
  }
}

extension JoiningRequest {
  fileprivate var access: AccessAttributes {
    switch self {
    case .createToken: AccessAttributes(verb: "create", group: "stint", resource: "jointokens")
    case .listTokens: AccessAttributes(verb: "list", group: "stint", resource: "jointokens")
    case .deleteToken(let id):
      AccessAttributes(verb: "delete", group: "stint", resource: "jointokens", name: id)
    case .revokeNode(let name):
      AccessAttributes(verb: "delete", group: "stint", resource: "nodekeys", name: name)
    }
  }

  /// For the audit; without what is secret.
  fileprivate var deed: (AuditEntry.Deed, String)? {
    switch self {
    case .createToken(let id, _, let ttl, let uses, let node):
      (
        .token,
        "join token \(id) created for \(ttl) s, \(uses.map { "\($0) uses" } ?? "any number of uses")"
          + (node.isEmpty ? "" : ", node \(node)")
      )
    case .listTokens: nil
    case .deleteToken(let id): (.token, "join token \(id) deleted")
    case .revokeNode(let name): (.revoke, "key of node \(name) revoked")
    }
  }
}

extension JoinTokenRecord {
  fileprivate var row: JSON {
    var row: JSON = [
      "digest": .string(digest), "node": .string(node), "created": .int(created.nanoseconds),
      "expires": .int(expires.nanoseconds), "lastNode": .string(lastNode),
    ]
    row["usesLeft"] = usesLeft.map { .int($0) }
    row["lastUse"] = lastUse.map { .int($0.nanoseconds) }
    row["deleted"] = deleted.map { .int($0.nanoseconds) }
    if !authority.isEmpty { row["authority"] = .string(authority) }
    return row
  }

  init?(row: JSON) {
    guard let digest = row["digest"]?.stringValue, let node = row["node"]?.stringValue,
      let created = row["created"]?.intValue, let expires = row["expires"]?.intValue
    else { return nil }
    self.init(
      digest: digest, node: node, created: WallTime(nanoseconds: created), expires: WallTime(nanoseconds: expires),
      usesLeft: row["usesLeft"]?.intValue, lastNode: row["lastNode"]?.stringValue ?? "",
      lastUse: row["lastUse"]?.intValue.map { WallTime(nanoseconds: $0) },
      deleted: row["deleted"]?.intValue.map { WallTime(nanoseconds: $0) },
      authority: row["authority"]?.stringValue ?? "")
  }
}
