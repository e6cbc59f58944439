// Users' certificates: who was given one, for how long, and which are taken back for good. Permission to ask is
// `authorize`'s to give; what a user may do is in roles and bindings; signing is the shell's.

import ClusterProto

/// What is known of a key that has a user's certificate. Persisted.
struct UserKey: Equatable, Sendable {
  var name: String
  var groups: [String]
  var created: WallTime
  /// When the certificate ends.
  var until: WallTime
  /// Who had it made.
  var creator: String
  var revoked: WallTime?
  /// Digest of the authority that has signed it; empty: none was noted yet.
  var authority = ""
}

extension CoordinatorCore {
  static let userFact = "userkey."
  /// Of certificates that still count.
  static let userLimit = 10_000
  /// Of those that ended or were revoked: beyond it they are forgotten, the ended ones first. A key that is not known
  /// is refused as a revoked one is.
  static let endedUserLimit = 10_000
  private static let longestUserSeconds: Int64 = 366 * 86_400
  /// How long one is listed, and a revoked one refused by name, after its end; from its end on TLS refuses it anyway.
  private static let keptUserMilliseconds: Int64 = 30 * 86_400_000

  /// Why the certificate of `subject` does not count; nil: it does. A user's key must be known, or nobody could revoke
  /// it. Nodes' keys are judged where they register, masters' are made by hand of whoever has the authority.
  package func revocation(of subject: Subject) -> String? {
    let exchange = fleet.exchange
    if !exchange.current.isEmpty, !subject.authority.isEmpty, subject.authority != exchange.current,
      subject.authority != exchange.former
    {
      return "the certificate of \(JSON.string(subject.name).text) is of an authority that was exchanged: have another "
        + "one made"
    }
    guard !subject.key.isEmpty else { return nil }
    let user = fleet.users[subject.key]
    var name: String { JSON.string(subject.name).text }
    if let time = user?.revoked ?? fleet.joining.revoked[subject.key] {
      let advice = subject.node.map { ": \(Self.comeBack($0))" } ?? ""
      return "the certificate of \(name) was revoked at \(time.rfc3339)\(advice)"
    }
    guard user == nil, subject.kind == .user, !subject.mayAll else { return nil }
    return "the certificate of \(name) is not known here, as when it was made after the backup that was restored: "
      + "stint user create makes another"
  }

  /// What an administrator asks of users. `key`: the digest of the public key whose holder has signed the request for a
  /// certificate, as the shell has verified. Answered as a request is.
  mutating func handle(_ request: UserRequest, key: String, by subject: Subject, id: RequestID) {
    do throws(APIFailure) {
      if case .denied(let reason) = authorize(subject, request.access) {
        throw refusal(subject, request.access, reason)
      }
      switch request {
      case .create(let name, let groups, let ttl, let text):
        try createUser(name, groups, ttlSeconds: ttl, key: key, by: subject)
        audit(.user, "user \(name) created for \(ttl) s, groups \(groups), key \(key)", by: subject)
        let grant = UserGrant(name: name, groups: groups, request: text, seconds: ttl)
        outputs.append(.issueUser(id, grant))
      case .list:
        let items = fleet.users.keys.sorted().compactMap { key in fleet.users[key].map { shown($0, key) } }
        reply(id, ["kind": "UserList", "items": .array(items)])
      case .revoke(let name):
        let (keys, before) = try revokeUser(name)
        var message = "user \(name) was revoked already, at \(before?.rfc3339 ?? "")"
        if !keys.isEmpty {
          audit(.revoke, "user \(name) revoked, keys \(keys)", by: subject)
          message = "user \(name) revoked: \(keys.count) \(keys.count == 1 ? "certificate" : "certificates")"
        }
        reply(
          id, ["kind": "Status", "apiVersion": "v1", "status": "Success", "message": .string(message)])
        // Last: it may be the asker's own.
        outputs.append(.closeHolders(of: keys, reason: "the certificate of user \(name) was revoked"))
      }
    } catch {
      outputs.append(.reply(id, .done(code: error.code, object: error.status, warnings: [])))
    }
  }

  private mutating func reply(_ id: RequestID, _ object: JSON) {
    outputs.append(.reply(id, .done(code: 200, object: object, warnings: [])))
  }

  private mutating func createUser(
    _ name: String, _ groups: [String], ttlSeconds: Int64, key: String, by subject: Subject
  ) throws(APIFailure) {
    try refuseWhenDiskLow()
    if let problem = UserNames.problem(name) { throw .badRequest("user name \(problem)") }
    for group in groups { if let problem = UserNames.problem(group) { throw .badRequest("group \(problem)") } }
    guard (1...Self.longestUserSeconds).contains(ttlSeconds) else {
      throw .badRequest("a user's certificate lives from 1 s to \(Self.longestUserSeconds / 86_400) days")
    }
    guard Hexadecimal.bytes(key)?.count == 32 else { throw .badRequest("the signing request has no key") }
    // A key that two names share would be revoked with either.
    guard fleet.users[key] == nil, fleet.joining.names[key] == nil, fleet.joining.revoked[key] == nil else {
      throw APIFailure(
        code: 409, reason: "AlreadyExists", message: "this key has a certificate already: make another key")
    }
    dropOldUsers()
    guard fleet.users.values.count(where: { $0.revoked == nil && $0.until > now.wall }) < Self.userLimit else {
      throw APIFailure(
        code: 429, reason: "TooManyRequests",
        message: "there are \(Self.userLimit) certificates of users that count: revoke some (stint user list, stint "
          + "user revoke)")
    }
    setUser(
      UserKey(
        name: name, groups: groups, created: now.wall, until: now.wall.adding(milliseconds: ttlSeconds * 1_000),
        creator: subject.name, authority: fleet.exchange.current), key)
  }

  /// Those that ended a month ago, and of many that do not count any more those that ended first.
  private mutating func dropOldUsers() {
    let ended = usersInOrder().filter { $0.user.revoked != nil || $0.user.until <= now.wall }
      .sorted { ($0.user.until.nanoseconds, $0.key) < ($1.user.until.nanoseconds, $1.key) }
    for (place, (key, user)) in ended.enumerated() {
      guard
        ended.count - place > Self.endedUserLimit
          || now.wall.milliseconds(since: user.until) > Self.keptUserMilliseconds
      else { break }
      fleet.users[key] = nil
      writes.append(StoreWrite(table: .facts, key: Self.userFact + key, value: nil))
    }
  }

  /// The keys that are refused from now on, and when the last of the others was revoked.
  private mutating func revokeUser(_ name: String) throws(APIFailure) -> (keys: [String], before: WallTime?) {
    let owned = usersInOrder().filter { $0.user.name == name }
    guard !owned.isEmpty else {
      if name == UserNames.administrator {
        throw APIFailure(
          code: 404, reason: "NotFound",
          message: "the administrator's certificate has no record: another authority (stint ca rotate, then stint ca "
            + "rotate --force) refuses all that were made so far")
      }
      throw APIFailure(
        code: 404, reason: "NotFound",
        message: "no certificate was made for a user \"\(name.prefix(253))\": stint user list shows those that were")
    }
    let valid = owned.filter { $0.user.revoked == nil }
    for (key, user) in valid {
      var user = user
      user.revoked = now.wall
      setUser(user, key)
    }
    return (valid.map(\.key), owned.compactMap(\.user.revoked).max())
  }

  private func usersInOrder() -> [(key: String, user: UserKey)] {
    fleet.users.keys.sorted().compactMap { key in fleet.users[key].map { (key, $0) } }
  }

  private mutating func setUser(_ user: UserKey, _ key: String) {
    fleet.users[key] = user
    writes.append(fact(Self.userFact + key, user.row))
    noteHolder(user: user.name)
  }

  private func shown(_ user: UserKey, _ key: String) -> JSON {
    var json: JSON = [
      "kind": "UserCertificate", "name": .string(user.name), "groups": .array(user.groups.map { .string($0) }),
      "created": .string(user.created.rfc3339), "expires": .string(user.until.rfc3339),
      "creator": .string(user.creator), "key": .string(key),
      "status": .string(status(of: user)),
    ]
    json["revoked"] = user.revoked.map { .string($0.rfc3339) }
    return json
  }

  private func status(of user: UserKey) -> String {
    if user.revoked != nil { return "Revoked" }
    if user.until <= now.wall { return "Expired" }
    return [fleet.exchange.current, fleet.exchange.former].contains(authority(of: user.authority))
      ? "Valid" : "Outdated"
  }

  mutating func restoreUser(_ fact: String, _ value: JSON) throws(CoordinatorStartError) {
    guard let user = UserKey(row: value) else {
      throw CoordinatorStartError(message: "the store's row facts/\(fact) is incomplete; restore a backup")
    }
    fleet.users[String(fact.dropFirst(Self.userFact.count))] = user
  }
}

/// What users and their groups may be called.
enum UserNames {
  /// In the administrator's own certificate.
  static let administrator = "admin"

  /// What is wrong with a name of a user or a group; nil: nothing. Only ASCII: nobody can look like somebody else. No
  /// name of the system's own, which have meanings of their own: `system:masters`, `system:node:…`.
  static func problem(_ name: String) -> String? {
    let shown = JSON.string(String(name.prefix(64))).text
    guard (1...128).contains(name.utf8.count), name.utf8.allSatisfy(isAllowed) else {
      return "\(shown) is not 1 to 128 of letters, digits and - _ . @ + :"
    }
    if name.lowercased().hasPrefix("system:") {
      return "\(shown) begins with system:, which the cluster keeps for itself"
    }
    return name == administrator ? "\(shown) is the cluster's own administrator's" : nil
  }

  private static func isAllowed(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
    default: "-_.@+:".utf8.contains(byte)
    }
  }
}

extension UserRequest {
  /// What it needs.
  package var access: AccessAttributes {
    switch self {
    case .create(let name, _, _, _): AccessAttributes(verb: "create", group: "stint", resource: "users", name: name)
    case .list: AccessAttributes(verb: "list", group: "stint", resource: "users")
    case .revoke(let name): AccessAttributes(verb: "delete", group: "stint", resource: "users", name: name)
    }
  }
}

extension UserKey {
  fileprivate var row: JSON {
    var row: JSON = [
      "name": .string(name), "groups": .array(groups.map { .string($0) }), "created": .int(created.nanoseconds),
      "until": .int(until.nanoseconds), "creator": .string(creator),
    ]
    row["revoked"] = revoked.map { .int($0.nanoseconds) }
    if !authority.isEmpty { row["authority"] = .string(authority) }
    return row
  }

  fileprivate init?(row: JSON) {
    guard let name = row["name"]?.stringValue, let created = row["created"]?.intValue,
      let until = row["until"]?.intValue
    else { return nil }
    self.init(
      name: name, groups: (row["groups"]?.arrayValue ?? []).compactMap(\.stringValue),
      created: WallTime(nanoseconds: created), until: WallTime(nanoseconds: until),
      creator: row["creator"]?.stringValue ?? "", revoked: row["revoked"]?.intValue.map { WallTime(nanoseconds: $0) },
      authority: row["authority"]?.stringValue ?? "")
  }
}
