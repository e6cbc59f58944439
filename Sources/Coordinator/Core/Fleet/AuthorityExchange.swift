// The exchange of the cluster's authority: who still holds a certificate of the former one, whom that is said to, and
// when the former one is dropped. What is signed and shown to whom is the shell's; its files alone say which
// authorities there are, so that an exchange goes on over a restart. A node has moved once it was seen with a
// certificate of the new one: that one was sent to it does not say that it arrived.

import ClusterProto

/// Which authorities there are, as the shell has told, and who has not left the former one.
struct AuthorityExchange: Sendable {
  /// Work on files that the shell was asked for.
  enum Step: Equatable, Sendable { case none, beginning, dropping }

  /// Digest of the key of the authority that signs; empty: not told yet.
  var current = ""
  /// Of the one that is being left; empty: none.
  var former = ""
  /// When the one that signs was made.
  var since: WallTime?
  /// Of the certificates whose records name none: the authority that there was when records began to. Persisted.
  var first = ""
  var step = Step.none
  /// Who asked for the step.
  var asker: (request: RequestID, subject: Subject)?
  /// Node names whose key has no certificate of the new authority yet.
  var nodes: Set<String> = []
  /// Names of users who have none of it.
  var users: Set<String> = []
  /// The former one stays until then at least.
  var mayDropAt = BootTime(milliseconds: 0)
  /// Of what is shown about it.
  var revision: Int64 = 1
  /// Something that is shown, or decides, is another since the turn began.
  var isChanged = false
  /// Requests that are answered with the next revision, and when at the soonest: a thousand agents move one by one.
  var waiters = InsertionSet<RequestID>()
  var newsAt = BootTime(milliseconds: 0)

  var lasts: Bool { !former.isEmpty }
}

extension CoordinatorCore {
  static let authorityFact = "authority"
  /// Long enough for whoever began it to read the new kubeconfig.
  private static let shortestExchange: Int64 = 2_000
  /// Between looks at whose certificates have ended meanwhile.
  private static let longestLook: Int64 = 3_600_000
  private static let shortestLook: Int64 = 1_000
  private static let retryMilliseconds: Int64 = 30_000
  /// The agents renew one after the other, about: each costs a signature and a handshake.
  private static let millisecondsEach: Int64 = 20
  private static let longestSpread: Int64 = 300_000

  // MARK: - What the shell tells

  mutating func serveNative(_ point: JoinPoint) {
    let isMoved = fleet.joinPoint?.addresses != point.addresses
    fleet.joinPoint = point
    if isMoved {
      for session in fleet.sessions.keys.sorted() where fleet.sessions[session]?.node.isEmpty == false {
        tellCoordinators(session)
      }
    }
    let before = fleet.exchange
    guard before.current != point.authority || before.former != point.former else { return }
    fleet.exchange.current = point.authority
    fleet.exchange.former = point.former
    fleet.exchange.since = point.since
    fleet.exchange.step = .none
    fleet.exchange.isChanged = true
    if before.first.isEmpty {
      fleet.exchange.first = point.former.isEmpty ? point.authority : point.former
      writes.append(fact(Self.authorityFact, .string(fleet.exchange.first)))
    }
    findHolders()
    if before.current.isEmpty {
      if fleet.exchange.lasts { outputs.append(.log("the exchange of the cluster's authority goes on")) }
    } else if before.lasts, !fleet.exchange.lasts {
      dropped(before)
    } else {
      begun(before)
    }
  }

  private mutating func begun(_ before: AuthorityExchange) {
    let by = before.asker?.subject
    let what =
      "exchange of the authority begun: \(before.current) is left for \(fleet.exchange.current); "
      + "certificates of it are held by nodes: \(fleet.exchange.nodes.count), users: \(fleet.exchange.users.count)"
    audit(.authority, what, by: by ?? .itself)
    answerAsker()
    tellAuthorities()
  }

  private mutating func dropped(_ before: AuthorityExchange) {
    let left = before.nodes.count + before.users.count
    let names = (before.nodes.sorted() + before.users.sorted()).prefix(32).joined(separator: ", ")
    let what =
      "authority \(before.former) dropped"
      + (left == 0 ? ": nobody was left" : " with \(left) that were left: \(names)\(left > 32 ? ", …" : "")")
    audit(.authority, what, by: before.asker?.subject ?? .itself)
    answerAsker(lockedOut: before)
    tellWaiters(lockedOut: before)
    tellAuthorities()
    // Last: it may be the asker's own.
    outputs.append(
      .closeAuthority(before.former, reason: "the authority that signed this certificate was exchanged"))
  }

  /// The shell could not do what it was asked for.
  mutating func authorityFailed(_ reason: String) {
    fleet.exchange.step = .none
    outputs.append(.log("the cluster's authority is not exchanged: \(reason)"))
    fleet.timers.set(.exchange, at: now.boot + Self.retryMilliseconds)
    guard let asker = fleet.exchange.asker else { return }
    fleet.exchange.asker = nil
    let failure = APIFailure(code: 500, reason: "InternalError", message: reason)
    outputs.append(.reply(asker.request, .done(code: failure.code, object: failure.status, warnings: [])))
  }

  // MARK: - Who holds what

  /// What a record names, or was before records did.
  func authority(of named: String) -> String { named.isEmpty ? fleet.exchange.first : named }

  private func holdsFormer(_ key: NodeKey) -> Bool {
    guard !key.isFree, authority(of: key.authority) == fleet.exchange.former else { return false }
    // One that has ended may come back by its key, and then believes the former authority alone.
    return key.until.map { now.wall < $0.adding(milliseconds: CertificateRenewal.graceMilliseconds) } ?? true
  }

  private func counts(_ user: UserKey, of authority: String) -> Bool {
    user.revoked == nil && user.until > now.wall && self.authority(of: user.authority) == authority
  }

  /// All of them: once as it begins, and when the time of some is over.
  mutating func findHolders() {
    let before = fleet.exchange.nodes.count + fleet.exchange.users.count
    fleet.exchange.nodes = []
    fleet.exchange.users = []
    guard fleet.exchange.lasts else { return fleet.timers.cancel(.exchange) }
    var next: WallTime?
    for name in fleet.joining.keys.keys.sorted() {
      guard let key = fleet.joining.keys[name], holdsFormer(key) else { continue }
      fleet.exchange.nodes.insert(name)
      if let end = key.until?.adding(milliseconds: CertificateRenewal.graceMilliseconds) {
        next = min(next ?? end, end)
      }
    }
    var moved: Set<String> = []
    for key in fleet.users.keys.sorted() {
      guard let user = fleet.users[key] else { continue }
      if counts(user, of: fleet.exchange.current) { moved.insert(user.name) }
      guard counts(user, of: fleet.exchange.former) else { continue }
      fleet.exchange.users.insert(user.name)
      next = min(next ?? user.until, user.until)
    }
    fleet.exchange.users.subtract(moved)
    if before != fleet.exchange.nodes.count + fleet.exchange.users.count { fleet.exchange.isChanged = true }
    let wait = next.map { $0.milliseconds(since: now.wall) } ?? Self.longestLook
    // A second more: what ends at that moment has ended then.
    let look = min(max(wait.addingReportingOverflow(1_000).partialValue, Self.shortestLook), Self.longestLook)
    fleet.timers.set(.exchange, at: now.boot + look)
  }

  /// A node's key is another, or has another certificate.
  mutating func noteHolder(node name: String) {
    guard fleet.exchange.lasts else { return }
    let isHolder = fleet.joining.keys[name].map(holdsFormer) ?? false
    guard isHolder != fleet.exchange.nodes.contains(name) else { return }
    if isHolder { fleet.exchange.nodes.insert(name) } else { fleet.exchange.nodes.remove(name) }
    fleet.exchange.isChanged = true
  }

  /// A user got a certificate, or lost one.
  mutating func noteHolder(user name: String) {
    guard fleet.exchange.lasts else { return }
    var (holds, moved) = (false, false)
    for key in fleet.users.keys.sorted() {
      guard let user = fleet.users[key], user.name == name else { continue }
      if counts(user, of: fleet.exchange.former) { holds = true }
      if counts(user, of: fleet.exchange.current) { moved = true }
    }
    guard (holds && !moved) != fleet.exchange.users.contains(name) else { return }
    if moved || !holds { fleet.exchange.users.remove(name) } else { fleet.exchange.users.insert(name) }
    fleet.exchange.isChanged = true
  }

  // MARK: - What agents are told

  private var authorities: [String] {
    [fleet.exchange.current] + (fleet.exchange.lasts ? [fleet.exchange.former] : [])
  }

  private mutating func tellAuthorities() {
    let sessions = fleet.sessions.keys.sorted().filter { fleet.sessions[$0]?.node.isEmpty == false }
    let within = min(max(Int64(sessions.count) * Self.millisecondsEach, 1_000), Self.longestSpread)
    let notice = AuthorityNotice(authorities: authorities, withinMilliseconds: within)
    for session in sessions { outputs.append(.tellAuthorities(session, notice)) }
  }

  /// Where this coordinator is found, so that an agent follows when one of the addresses goes.
  mutating func tellCoordinators(_ session: SessionID) {
    guard let addresses = fleet.joinPoint?.addresses, !addresses.isEmpty else { return }
    outputs.append(.tellCoordinators(session, CoordinatorsNotice(addresses: addresses)))
  }

  /// A session has registered: it may have been away when the others were told. Its own certificate, and whom the last
  /// one that was sent here had it believe, say whether it has to be.
  mutating func tellAuthorities(_ session: SessionID, _ identity: NodeIdentity) {
    guard !fleet.exchange.current.isEmpty, !identity.authority.isEmpty else { return }
    let believed = fleet.joining.keys[identity.node]?.former ?? ""
    guard identity.authority != fleet.exchange.current || believed != fleet.exchange.former else { return }
    let nodes = Int64(fleet.exchange.nodes.count)
    let within = min(max(nodes * Self.millisecondsEach, 1_000), Self.longestSpread)
    outputs.append(
      .tellAuthorities(session, AuthorityNotice(authorities: authorities, withinMilliseconds: within)))
  }

  // MARK: - The end of a turn

  /// Drops the former authority once nobody is left, and answers who waits for news.
  mutating func finishExchangeTurn() {
    guard fleet.exchange.isChanged else { return }
    fleet.exchange.isChanged = false
    fleet.exchange.revision += 1
    if !fleet.exchange.waiters.isEmpty { tellInTime() }
    dropIfLeft()
  }

  private mutating func dropIfLeft() {
    let exchange = fleet.exchange
    guard exchange.lasts, exchange.step == .none, exchange.nodes.isEmpty, exchange.users.isEmpty, !fleet.isStopping
    else { return }
    guard now.boot >= exchange.mayDropAt else { return fleet.timers.set(.exchange, at: exchange.mayDropAt) }
    fleet.exchange.step = .dropping
    outputs.append(.dropAuthority)
  }

  /// The timer.
  mutating func lookAtExchange() {
    findHolders()
    fleet.exchange.isChanged = true
  }

  mutating func keepExchange() { fleet.exchange.mayDropAt = now.boot + Self.shortestExchange }
}

extension Subject {
  /// The coordinator, in the audit.
  fileprivate static var itself: Subject { Subject(name: "the coordinator", groups: [], door: .native) }
}
