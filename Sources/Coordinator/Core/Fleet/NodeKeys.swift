// A node name belongs to a key: which key bears which name, which keys are refused for good, and what a session's
// certificate must be to register. Who gets a certificate is Joining's to say; who may follow a keeper Succession's.

import ClusterProto

/// Whom a verified certificate names.
struct NodeIdentity: Equatable, Sendable {
  var node: String
  /// Digest of its public key.
  var key: String
  /// Of the authority that has signed it; empty: not known.
  var authority: String

  /// nil: the subject is no node with a certificate of its own.
  init?(_ subject: Subject) {
    guard let node = subject.node, !subject.key.isEmpty else { return nil }
    self.node = node
    key = subject.key
    authority = subject.authority
  }
}

/// What is known of a node name's key. Persisted.
struct NodeKey: Equatable, Sendable {
  var key: String
  /// The token that it joined by; empty: none.
  var token = ""
  /// Of the machine that registered with it first; empty: none has.
  var machineID = ""
  /// When its last certificate ends; nil: not known, since another hand than the coordinator's issued it.
  var until: WallTime?
  /// The Node object was deleted, or the key revoked: another key may have the name, under rule C3.
  var isFree = false
  /// Digest of the authority whose certificate it has shown last; empty: none was noted yet.
  var authority = ""
  /// Of the former authority that came with the last certificate that was sent; empty: none.
  var former = ""
}

/// Tokens, keys and what is refused. Persisted, each a row of `facts`.
struct JoiningState: Equatable, Sendable {
  var tokens: [String: JoinTokenRecord] = [:]
  var keys: [String: NodeKey] = [:]
  /// Names by key.
  var names: [String: String] = [:]
  /// When each was revoked. Kept for good: it is a line a machine.
  var revoked: [String: WallTime] = [:]
}

extension CoordinatorCore {
  static let tokenFact = "jointoken."
  private static let keyFact = "nodekey."
  private static let revokedFact = "revokedkey."

  /// What keeps a certificate's holder from a session; nil: nothing.
  func keyProblem(_ identity: NodeIdentity) -> String? {
    if let time = fleet.joining.revoked[identity.key] {
      return "the key of node \(identity.node) was revoked at \(time.rfc3339): \(Self.comeBack(identity.node))"
    }
    if let name = fleet.joining.names[identity.key], name != identity.node {
      return "this certificate is for node \(identity.node), and its key is node \(name)'s"
    }
    guard let known = fleet.joining.keys[identity.node], known.key != identity.key, !known.isFree else { return nil }
    return "node name \"\(identity.node)\" belongs to another key than this certificate's: \(remedy(identity.node))"
  }

  /// How a machine whose key was revoked becomes a node again.
  static func comeBack(_ node: String) -> String {
    "if its machine may come back, make a token where the coordinator runs (stint token create --node \(node)); there "
      + "delete the directory identity in the agent's data directory (rm -r /var/lib/stint-agent/identity) and start "
      + "the agent with the token (stint agent --join-file FILE)"
  }

  /// When the last certificate ends that a node's own key was given; nil: none was, or the key is another's.
  package func certificateEnd(of subject: Subject) -> WallTime? {
    guard let identity = NodeIdentity(subject), let known = fleet.joining.keys[identity.node],
      known.key == identity.key, fleet.joining.revoked[identity.key] == nil
    else { return nil }
    return known.until
  }

  /// The same of what its agent says of itself.
  func keyProblem(_ identity: NodeIdentity, _ registration: Registration) -> String? {
    if registration.node != identity.node {
      return "this certificate is node \(identity.node)'s and not node \(registration.node)'s"
    }
    if let problem = keyProblem(identity) { return problem }
    guard let known = fleet.joining.keys[identity.node], known.key == identity.key, !known.machineID.isEmpty,
      known.machineID != registration.machineID
    else { return nil }
    return "node \(identity.node)'s key is on another machine than the one that it first registered from: a copied "
      + "data directory is no second machine. Delete its directory identity and join with a token; if the first "
      + "machine is gone, free its name first: kubectl delete node \(identity.node)"
  }

  /// Its certificate was verified and its registration taken: the key has the name.
  mutating func enroll(_ identity: NodeIdentity, _ registration: Registration) {
    var key = fleet.joining.keys[identity.node] ?? NodeKey(key: identity.key)
    if key.key != identity.key { key = NodeKey(key: identity.key) }
    key.machineID = registration.machineID
    key.isFree = false
    if !identity.authority.isEmpty { key.authority = identity.authority }
    setKey(key, of: identity.node)
  }

  /// The Node object is gone: another key may have the name. The old one may come back until then.
  mutating func freeName(_ name: String) {
    guard var key = fleet.joining.keys[name], !key.isFree else { return }
    key.isFree = true
    key.machineID = ""
    setKey(key, of: name)
  }

  mutating func setKey(_ key: NodeKey, of name: String) {
    let before = fleet.joining.keys[name]
    guard before != key else { return }
    if let before, before.key != key.key { fleet.joining.names[before.key] = nil }
    fleet.joining.keys[name] = key
    fleet.joining.names[key.key] = name
    writes.append(fact(Self.keyFact + name, key.row))
    noteHolder(node: name)
  }

  /// `stint node revoke`.
  mutating func revoke(node name: String) throws(APIFailure) -> JSON {
    guard var key = fleet.joining.keys[name] else {
      let why =
        state.nodes[ObjectKey(namespace: "", name: name)] == nil
        ? "there is no node \"\(name.prefix(253))\"" : "node \"\(name)\" has no key of its own yet"
      throw APIFailure(code: 404, reason: "NotFound", message: "\(why): stint get nodes lists them")
    }
    let before = fleet.joining.revoked[key.key]
    if before == nil {
      fleet.joining.revoked[key.key] = now.wall
      writes.append(fact(Self.revokedFact + key.key, ["nanoseconds": .int(now.wall.nanoseconds)]))
    }
    let digest = key.key
    key.isFree = true
    setKey(key, of: name)
    for session in fleet.sessions.keys.sorted() where fleet.sessions[session]?.identity?.key == digest {
      close(session, reason: "the key of node \(name) was revoked")
    }
    outputs.append(.closeHolders(of: [digest], reason: "the key of node \(name) was revoked"))
    return [
      "kind": "Status", "apiVersion": "v1", "status": "Success",
      "message": .string(
        before.map { "node \(name)'s key was revoked already, at \($0.rfc3339)" }
          ?? "node \(name)'s key was revoked; its pods end as those of a lost node"),
    ]
  }

  /// What resolves that a name is taken.
  func remedy(_ name: String) -> String {
    guard state.nodes[ObjectKey(namespace: "", name: name)] != nil else {
      return "make a token for it: stint token create --node \(name)"
    }
    return "if that machine is gone or was installed anew, free the name: kubectl delete node \(name)"
  }

  mutating func restoreJoining(_ fact: String, _ value: JSON) throws(CoordinatorStartError) {
    let damaged = CoordinatorStartError(message: "the store's row facts/\(fact) is incomplete; restore a backup")
    if fact == Self.authorityFact {
      guard let first = value.stringValue else { throw damaged }
      fleet.exchange.first = first
    }
    if fact.hasPrefix(Self.keyFact) {
      guard let key = NodeKey(row: value) else { throw damaged }
      let name = String(fact.dropFirst(Self.keyFact.count))
      fleet.joining.keys[name] = key
      fleet.joining.names[key.key] = name
    } else if fact.hasPrefix(Self.revokedFact) {
      guard let time = value["nanoseconds"]?.intValue else { throw damaged }
      fleet.joining.revoked[String(fact.dropFirst(Self.revokedFact.count))] = WallTime(nanoseconds: time)
    } else if fact.hasPrefix(Self.tokenFact) {
      guard let token = JoinTokenRecord(row: value) else { throw damaged }
      fleet.joining.tokens[String(fact.dropFirst(Self.tokenFact.count))] = token
    }
  }
}

extension NodeKey {
  fileprivate var row: JSON {
    var row: JSON = [
      "key": .string(key), "token": .string(token), "machine": .string(machineID), "free": .bool(isFree),
    ]
    row["until"] = until.map { .int($0.nanoseconds) }
    if !authority.isEmpty { row["authority"] = .string(authority) }
    if !former.isEmpty { row["former"] = .string(former) }
    return row
  }

  fileprivate init?(row: JSON) {
    guard let key = row["key"]?.stringValue, let isFree = row["free"]?.boolValue else { return nil }
    self.init(
      key: key, token: row["token"]?.stringValue ?? "", machineID: row["machine"]?.stringValue ?? "",
      until: row["until"]?.intValue.map { WallTime(nanoseconds: $0) }, isFree: isFree,
      authority: row["authority"]?.stringValue ?? "", former: row["former"]?.stringValue ?? "")
  }
}
