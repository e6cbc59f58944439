// Who gets a certificate: by a token, by the key whose certificate has ended, or over a session for the next one. A
// use is counted in the turn's commit, before the certificate leaves. It must not know how requests are signed.

import ClusterProto

/// Why somebody gets no certificate.
private struct JoinRefusal: Error {
  var reason: String
  var retryMilliseconds: Int64?

  init(_ reason: String, retryMilliseconds: Int64? = nil) {
    self.reason = reason
    self.retryMilliseconds = retryMilliseconds
  }
}

extension CoordinatorCore {
  private static let longestWait: Int64 = 10_000

  mutating func join(_ request: JoinRequest, key: String, id: RequestID) {
    let by = request.token.isEmpty ? "its key" : "join token \(request.token.prefix(32))"
    // Each line before the answer, after which the connection is not known any more.
    do throws(JoinRefusal) {
      try checkAsked(request, key)
      if request.token.isEmpty { try checkEnded(request, key) } else { try useToken(request, key) }
      let what = "node \(request.node) joined by \(by), key \(key)"
      outputs.append(.audit(AuditEntry(.join, what, who: Subject.nodeName(request.node), from: .request(id))))
      issue(.joiner(id), node: request.node, key: key, token: request.token, request: request.request)
    } catch {
      let what = "node \(request.node.prefix(253)) may not join by \(by): \(error.reason)"
      outputs.append(.audit(AuditEntry(.refusal, what, who: Subject.anonymous.name, from: .request(id))))
      outputs.append(
        .issueRefused(.joiner(id), reason: error.reason, retryMilliseconds: error.retryMilliseconds))
    }
  }

  /// The next certificate, for the session's own node and key.
  mutating func renew(_ session: SessionID, key: String, request: String) {
    guard let known = fleet.sessions[session] else { return }
    guard let identity = known.identity, known.node == identity.node, identity.key == key,
      fleet.joining.keys[identity.node]?.key == key
    else {
      outputs.append(
        .issueRefused(
          .session(session), reason: "a session renews the certificate of its own node and key alone",
          retryMilliseconds: nil))
      return
    }
    let token = fleet.joining.keys[identity.node]?.token ?? ""
    issue(.session(session), node: identity.node, key: key, token: token, request: request)
  }

  private mutating func issue(_ target: IssueTarget, node: String, key: String, token: String, request: String) {
    let milliseconds = configuration.nodeCertificateMilliseconds
    var record = fleet.joining.keys[node] ?? NodeKey(key: key)
    if record.key != key { record = NodeKey(key: key) }
    // Of a key that has one already only what it shows counts: the answer may be lost.
    if fleet.joining.keys[node]?.key != key { record.authority = fleet.exchange.current }
    record.former = fleet.exchange.former
    record.token = token
    record.until = now.wall.adding(milliseconds: milliseconds)
    record.isFree = false
    setKey(record, of: node)
    outputs.append(.issue(target, node: node, request: request, milliseconds: milliseconds))
  }

  // MARK: - What counts

  private func checkAsked(_ request: JoinRequest, _ key: String) throws(JoinRefusal) {
    if let error = Names.subdomainErrors(request.node).first {
      throw JoinRefusal("node name \"\(request.node.prefix(253))\" is not valid: \(error)")
    }
    if let time = fleet.joining.revoked[key] {
      throw JoinRefusal(
        "this machine's key was revoked at \(time.rfc3339): \(Self.comeBack(request.node))")
    }
    if let name = fleet.joining.names[key], name != request.node {
      throw JoinRefusal(
        "this machine's key is node \(name)'s, and \(request.node) was asked for: a copied data directory needs a key "
          + "of its own (delete its directory identity and join with a token)")
    }
  }

  /// By the key alone: its certificate is there, or ended not long ago.
  private func checkEnded(_ request: JoinRequest, _ key: String) throws(JoinRefusal) {
    guard let known = fleet.joining.keys[request.node], known.key == key, let until = known.until else {
      throw JoinRefusal("this machine's key is not known here as node \(request.node)'s: join with a token")
    }
    let last = until.adding(milliseconds: CertificateRenewal.graceMilliseconds)
    guard now.wall < last else {
      throw JoinRefusal(
        "this machine's certificate ended at \(until.rfc3339), more than 30 days ago: join with a token, made by "
          + "stint token create --node \(request.node)")
    }
  }

  private mutating func useToken(_ request: JoinRequest, _ key: String) throws(JoinRefusal) {
    let id = request.token
    let unknown = "is not known here: it was deleted or ended more than a week ago, or is another cluster's"
    guard JoinToken.isID(id) else { throw JoinRefusal("the join token has no valid id") }
    // What became of a token is told to who knows its secret.
    guard var token = fleet.joining.tokens[id] else { throw JoinRefusal("join token \(id) \(unknown)") }
    guard JoinToken.matches(secret: request.secret, digest: token.digest) else {
      throw JoinRefusal("the secret of join token \(id) is wrong: paste the whole line that made it")
    }
    if let deleted = token.deleted {
      throw JoinRefusal("join token \(id) was deleted at \(deleted.rfc3339): stint token create makes another")
    }
    if token.expires <= now.wall {
      throw JoinRefusal(
        "join token \(id) expired at \(token.expires.rfc3339), and it is \(now.wall.rfc3339): stint token create makes "
          + "another")
    }
    let made = authority(of: token.authority)
    if !made.isEmpty, made != fleet.exchange.current, made != fleet.exchange.former {
      throw JoinRefusal(
        "join token \(id) was made before the cluster's authority was exchanged: stint token create makes another")
    }
    if !token.node.isEmpty, token.node != request.node {
      throw JoinRefusal("join token \(id) is for node \(token.node) and not for node \(request.node)")
    }
    // The same machine asks again, as when the answer was lost: the certificate is of use to its key alone.
    let known = fleet.joining.keys[request.node]
    if let known, known.key == key, known.token == id { return }
    if token.usesLeft == 0 {
      throw JoinRefusal(
        "join token \(id) is used up: node \(token.lastNode) joined by it at "
          + "\(token.lastUse?.rfc3339 ?? "an unknown time"). stint token create makes another")
    }
    try checkName(request.node, key, isTokens: !token.node.isEmpty)
    if let left = token.usesLeft { token.usesLeft = left - 1 }
    token.lastNode = request.node
    token.lastUse = now.wall
    setToken(token, id)
  }

  /// Whether a key that has not borne the name may have it. `isTokens`: the token is for this name, which is an
  /// administrator's word that the machine was exchanged.
  private func checkName(_ name: String, _ key: String, isTokens: Bool) throws(JoinRefusal) {
    let known = fleet.joining.keys[name]
    if known?.key == key { return }
    let isNode = state.nodes[ObjectKey(namespace: "", name: name)] != nil
    let isTaken = known.map { !$0.isFree } ?? isNode
    if isTaken, !isTokens {
      throw JoinRefusal("node name \"\(name)\" belongs to another machine's key: \(remedy(name))")
    }
    // C3: who has the name may still run its pods.
    guard let record = fleet.nodes[name] else { return }
    let taken = "node name \"\(name)\" is held by another machine"
    guard let free = takeOverTime(record) else {
      throw JoinRefusal(
        "\(taken), and its pods tolerate its absence without limit: declare it dead if it is off for good (stint node "
          + "declare-dead \(name))", retryMilliseconds: Self.longestWait)
    }
    let wait = free - now.boot
    if wait > 0 {
      throw JoinRefusal(
        "\(taken) until its lease and its pods' tolerations are over, in \((wait + 999) / 1_000) s at the soonest",
        retryMilliseconds: min(wait, Self.longestWait))
    }
  }
}
