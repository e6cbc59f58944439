// What an administrator asks of the exchange of the cluster's authority, and what is shown of it. Permission to ask is
// `authorize`'s to give; who has moved is AuthorityExchange's to know.

import ClusterProto

extension CoordinatorCore {
  /// Names that are shown; there may be thousands.
  private static let shownNames = 1_000
  private static let newsMilliseconds: Int64 = 250

  /// Answered as a request is.
  mutating func handle(_ request: AuthorityRequest, by subject: Subject, id: RequestID) {
    do throws(APIFailure) {
      if case .denied(let reason) = authorize(subject, request.access) {
        throw refusal(subject, request.access, reason)
      }
      guard !fleet.exchange.current.isEmpty else {
        throw APIFailure(code: 503, reason: "ServiceUnavailable", message: "the coordinator is starting: try again")
      }
      switch request {
      case .rotate: try beginExchange(id, subject)
      case .drop: try forceDrop(id, subject)
      case .status(let after):
        if let after {
          fleet.exchange.waiters.insert(id)
          if after != fleet.exchange.revision { tellInTime() }
        } else {
          outputs.append(.reply(id, .done(code: 200, object: shownExchange(to: subject), warnings: [])))
        }
      }
    } catch {
      outputs.append(.reply(id, .done(code: error.code, object: error.status, warnings: [])))
    }
  }

  private mutating func beginExchange(_ id: RequestID, _ subject: Subject) throws(APIFailure) {
    if fleet.exchange.step == .beginning { throw Self.conflict("an exchange of the authority is beginning already") }
    if fleet.exchange.lasts {
      let since = fleet.exchange.since.map { " since \($0.rfc3339)" } ?? ""
      throw Self.conflict(
        "an exchange of the authority lasts\(since): \(count(fleet.exchange.nodes.count, "node")) and "
          + "\(count(fleet.exchange.users.count, "user")) still hold certificates of the former one. stint ca status "
          + "names them; stint ca rotate --force drops it now")
    }
    guard !fleet.isStopping else { throw Self.conflict("the coordinator is stopping: try again once it is back") }
    fleet.exchange.step = .beginning
    fleet.exchange.asker = (id, subject)
    keepExchange()
    outputs.append(.exchangeAuthority)
  }

  private mutating func forceDrop(_ id: RequestID, _ subject: Subject) throws(APIFailure) {
    guard fleet.exchange.lasts else {
      throw Self.conflict("no exchange of the authority lasts: there is no former one to drop")
    }
    guard fleet.exchange.asker == nil else { throw Self.conflict("the former authority is being dropped already") }
    fleet.exchange.asker = (id, subject)
    guard fleet.exchange.step == .none else { return }
    fleet.exchange.step = .dropping
    outputs.append(.dropAuthority)
  }

  private static func conflict(_ message: String) -> APIFailure {
    APIFailure(code: 409, reason: "Conflict", message: message)
  }

  private func count(_ number: Int, _ what: String) -> String { "\(number) \(what)\(number == 1 ? "" : "s")" }

  // MARK: - What is shown

  /// To who asked for the step that is over.
  mutating func answerAsker(lockedOut: AuthorityExchange? = nil) {
    guard let asker = fleet.exchange.asker else { return }
    fleet.exchange.asker = nil
    let object = shownExchange(to: asker.subject, dropped: lockedOut)
    outputs.append(.reply(asker.request, .done(code: 200, object: object, warnings: [])))
  }

  /// Now, or once the last news are old enough.
  mutating func tellInTime() {
    guard now.boot < fleet.exchange.newsAt else { return tellWaiters() }
    fleet.timers.set(.exchangeNews, at: fleet.exchange.newsAt)
  }

  mutating func tellWaiters(lockedOut: AuthorityExchange? = nil) {
    fleet.timers.cancel(.exchangeNews)
    guard !fleet.exchange.waiters.isEmpty else { return }
    fleet.exchange.newsAt = now.boot + Self.newsMilliseconds
    let object = shownExchange(to: nil, dropped: lockedOut)
    for id in fleet.exchange.waiters { outputs.append(.reply(id, .done(code: 200, object: object, warnings: []))) }
    fleet.exchange.waiters.removeAll()
  }

  /// `dropped`: an exchange that has ended just now.
  private func shownExchange(to subject: Subject?, dropped: AuthorityExchange? = nil) -> JSON {
    let exchange = fleet.exchange
    let total = fleet.joining.keys.values.count { !$0.isFree }
    var json: JSON = [
      "kind": "AuthorityStatus", "authority": .string(exchange.current), "revision": .int(exchange.revision),
      "nodes": [
        "total": .int(Int64(total)), "left": .int(Int64(exchange.nodes.count)),
        "names": .array(exchange.nodes.sorted().prefix(Self.shownNames).map(shownNode)),
      ],
      "users": [
        "left": .int(Int64(exchange.users.count)),
        "names": .array(exchange.users.sorted().prefix(Self.shownNames).map(shownUser)),
      ],
    ]
    json["since"] = exchange.since.map { .string($0.rfc3339) }
    if exchange.lasts { json["former"] = .string(exchange.former) }
    if let dropped {
      json["lockedOut"] = .object([
        "nodes": .array(dropped.nodes.sorted().prefix(Self.shownNames).map { .string($0) }),
        "users": .array(dropped.users.sorted().prefix(Self.shownNames).map { .string($0) }),
      ])
    }
    let old = dropped?.former ?? exchange.former
    if let subject, !old.isEmpty, subject.authority == old { json["askerHoldsFormer"] = true }
    return json
  }

  private func shownNode(_ name: String) -> JSON {
    let isConnected = fleet.nodes[name]?.session != nil
    var json: JSON = ["name": .string(name), "connected": .bool(isConnected)]
    json["expires"] = fleet.joining.keys[name]?.until.map { .string($0.rfc3339) }
    return json
  }

  private func shownUser(_ name: String) -> JSON {
    var last: WallTime?
    for key in fleet.users.keys.sorted() {
      guard let user = fleet.users[key], user.name == name, user.revoked == nil else { continue }
      last = max(last ?? user.until, user.until)
    }
    var json: JSON = ["name": .string(name)]
    json["expires"] = last.map { .string($0.rfc3339) }
    return json
  }
}

extension AuthorityRequest {
  fileprivate var access: AccessAttributes {
    switch self {
    case .rotate: AccessAttributes(verb: "create", group: "stint", resource: "authorities")
    case .status: AccessAttributes(verb: "get", group: "stint", resource: "authorities")
    case .drop: AccessAttributes(verb: "delete", group: "stint", resource: "authorities")
    }
  }
}
