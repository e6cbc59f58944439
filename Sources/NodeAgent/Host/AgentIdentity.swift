// Owns: the agent's identity while it runs: read anew for each connection, renewed over the session before it ends, and
// asked for by its key once it has ended; and exchanged where the cluster's authority is. Of a coordinator's directory
// at hand it takes another one only where the coordinator itself goes by it. It must not know what sessions are about.
// Pods notice nothing of it.

import AgentCore
import ClusterIO
import ClusterProto

/// Who the agent is, from one connection to the next.
final class AgentIdentity {
  typealias Use = (Result<TLSContext, Failure>) -> Void

  struct Failure: Error {
    let reason: String
    /// Trying again does not help.
    let isFinal: Bool
  }

  private enum Read: Sendable {
    case read(Int, Result<Identity, IOError>)
    case written(Result<Identity, IOError>)
    /// By the authority at hand, for the connection of that number.
    case issued(Int, Result<Identity, IOError>)
    /// The same, since the coordinator has told of an exchange.
    case offered(AuthorityNotice, Result<Identity, IOError>)
  }

  /// Sends to the coordinator, as long as there is a session.
  var send: (JSON) -> Void = { _ in }
  /// Another authority has given the certificate than the one before: only a new connection shows it.
  var onMoved: () -> Void = {}
  /// Digests of the authorities that are believed now.
  var believed: [KeyDigest] { current.map { Certificates.keyDigests(ofBundle: $0.identity.authority) } ?? [] }
  /// What connections are made with now.
  var tls: TLSContext? { candidate?.tls ?? current?.tls }

  private let loop: EventLoop
  private let names: NameResolver
  private let options: AgentOptions
  private let paths: NodePaths
  private let worker: PreparationWorker
  private let addresses: CoordinatorAddresses
  private let reads: Mailbox<Read>
  private var current: (identity: Identity, tls: TLSContext)?
  /// Of the authority at hand, while it is shown and nobody has taken it: it is written down nowhere yet.
  private var candidate: (identity: Identity, tls: TLSContext)?
  /// The next connections show that.
  private var isCandidatesTurn = false
  /// A coordinator would not have what was shown, since all addresses were tried last.
  private var wasNotWanted = false
  /// Nothing of the authority at hand was taken, since a session stood last.
  private var wasCandidateShown = false
  /// Of the token that was given, a coordinator has said for good that it does not serve.
  private var isTokenRefused = false
  private var told = ToldReasons()
  /// Of the latest connection that was asked for.
  private var number = 0
  private var waiting: Use?
  private var joiner: Joiner?
  private var renewal: CertificateRenewal?
  private lazy var timer = loop.makeTimer { [unowned self] in renewIfDue() }
  /// The wall clock may be set meanwhile.
  private static let longestWait: Int64 = 60_000
  /// However long the coordinator would have many agents take.
  private static let longestSpread: Int64 = 3_600_000

  init(
    loop: EventLoop, names: NameResolver, options: AgentOptions, paths: NodePaths, worker: PreparationWorker,
    addresses: CoordinatorAddresses
  ) throws(IOError) {
    self.loop = loop
    self.names = names
    self.options = options
    self.paths = paths
    self.worker = worker
    self.addresses = addresses
    reads = try Mailbox()
    try loop.attach(reads) { [unowned self] reads in for read in reads { handle(read) } }
  }

  /// Calls `use` with what a connection is made with, in this turn where it is known. It is read again for the next
  /// one, on a thread: it may have been replaced, and a disk that hangs costs only that.
  func use(_ use: @escaping Use) {
    number += 1
    waiting = nil
    candidate = nil
    if isCandidatesTurn, let authority = options.authority, let current {
      waiting = use
      return worker.issueIdentity(authority: authority, key: current.identity.own.key) { [reads, number] result in
        reads.post(.issued(number, result))
      }
    }
    if let current, !current.identity.hasEnded { use(.success(current.tls)) } else { waiting = use }
    worker.readIdentity(paths.identity, authority: options.authority) { [reads, number] result in
      reads.post(.read(number, result))
    }
  }

  /// A try to connect has failed. `isNotWanted`: the coordinator is of another authority, or does not take what was
  /// shown. Once all addresses have been tried so, the authority at hand has its turn; then the machine's own again.
  func failed(isNotWanted: Bool, isRoundOver: Bool) {
    if candidate != nil { wasCandidateShown = true }
    candidate = nil
    guard options.authority != nil else { return }
    wasNotWanted = wasNotWanted || isNotWanted
    guard isRoundOver else { return }
    isCandidatesTurn = wasNotWanted && !isCandidatesTurn
    wasNotWanted = false
  }

  /// Who does not want what was shown may want what the authority at hand gives.
  var hasAnother: Bool { options.authority != nil && !wasCandidateShown }

  /// The coordinator has proven who it is and goes on with what was shown.
  func taken() {
    (isCandidatesTurn, wasNotWanted, wasCandidateShown) = (false, false, false)
    guard let candidate, let authority = options.authority else { return }
    self.candidate = nil
    HostLog.line(
      "agent: the coordinator is of the authority in --authority \(authority), and of no other that this node's "
        + "identity knew: the identity is of that one now")
    do throws(IOError) {
      try set(candidate.identity)
      worker.setAuthority(candidate.identity.authority)
      write(candidate.identity)
    } catch {
      HostLog.error("agent: identity: \(error)")
    }
  }

  /// Nobody waits for a connection any more.
  func forget() { waiting = nil }

  /// The coordinator's answer to a renewal.
  func take(_ answer: RenewAnswer) {
    switch answer {
    case .refused(let reason): HostLog.error("agent: the certificate is not renewed: \(reason)")
    case .renewed(let certificate, let authority):
      guard let current else { return }
      let next = Identity(
        own: PEMIdentity(certificate: Array(certificate.utf8), key: current.identity.own.key),
        authority: Array(authority.utf8))
      guard Certificates.isUsable(next.own, authority: next.authority, inSeconds: 0) else {
        return HostLog.error("agent: the certificate that came is not for this machine's key, or not valid now")
      }
      write(next)
    }
  }

  /// The coordinator says whom the cluster believes.
  func take(_ notice: AuthorityNotice) {
    guard let identity = current?.identity else { return }
    let believed = Certificates.keyDigests(ofBundle: identity.authority)
    if believed == notice.authorities, identity.signer == notice.authorities.first { return }
    guard let authority = options.authority else { return hasten(notice) }
    // The authority that is at hand gives it at once, if it is the coordinator's and no copy that was left behind.
    worker.issueIdentity(authority: authority, key: identity.own.key) { [reads] in reads.post(.offered(notice, $0)) }
  }

  private func hasten(_ notice: AuthorityNotice) {
    HostLog.line("agent: the cluster's authorities are others than before: asking for the next certificate")
    let wait = Int64.random(in: 0...min(max(notice.withinMilliseconds, 0), Self.longestSpread))
    renewal?.hasten(to: now.adding(milliseconds: wait))
    armRenewal()
  }

  /// The coordinator is of no authority that is believed. By a token of another one the machine joins again, with the
  /// key that it has: whoever gave it the token knows of the exchange. Only then: a unit may name an old one for good.
  /// Whether it is about that.
  func distrusted() -> Bool {
    guard let identity = current?.identity, let token = options.join, !isTokenRefused,
      !Certificates.keyDigests(ofBundle: identity.authority).contains(token.authority)
    else { return false }
    if joiner != nil { return true }
    do throws(IOError) {
      tell("the coordinator is of another authority than this node's identity: joining again by \(token)")
      joiner = try Joiner(
        loop: loop, names: names, addresses: addresses.all, digests: [token.authority], token: token,
        node: options.name, key: identity.own.key
      ) { [unowned self] outcome in
        joiner = nil
        switch outcome {
        case .joined(let next, _):
          HostLog.line("agent: joined again by \(token), with the key that it has")
          isCandidatesTurn = false
          write(next)
        case .refused(let reason, let retry):
          isTokenRefused = retry == nil
          tell("not joined again: \(reason)", isError: true)
        case .unreachable(let reason, _): tell("not joined again: \(reason)", isError: true)
        }
      }
      return true
    } catch {
      HostLog.error("agent: identity: \(error)")
      return false
    }
  }

  /// What comes again with each try is said once.
  private func tell(_ text: String, isError: Bool = false) {
    guard told.isNews(text, at: BootTime(milliseconds: Clocks.boot() / 1_000_000)) else { return }
    if isError { HostLog.error("agent: \(text)") } else { HostLog.line("agent: \(text)") }
  }

  private func handle(_ read: Read) {
    do throws(IOError) {
      switch read {
      case .read(let number, let result):
        let isAwaited = number == self.number
        let found = try result.get()
        try set(found)
        guard isAwaited, let use = waiting, let current else { return }
        if found.hasEnded { return try rejoin(found) }
        waiting = nil
        use(.success(current.tls))
      case .issued(let number, let result): if number == self.number { try show(result) }
      case .offered(let notice, let result):
        guard let made = try? result.get(), Certificates.keyDigests(ofBundle: made.authority) == notice.authorities
        else { return hasten(notice) }
        write(made)
      case .written(let result):
        let found = try result.get()
        try setMoved(found)
        let end = WallTime(nanoseconds: (Certificates.end(found.own.certificate) ?? 0) * 1_000_000_000).rfc3339
        HostLog.line("agent: the certificate is valid until \(end)")
        if let use = waiting, let current {
          waiting = nil
          use(.success(current.tls))
        }
      }
    } catch {
      fail(error.description)
    }
  }

  /// Of the authority at hand, if that is another one than the identity's; else there is nothing else to show.
  private func show(_ issued: Result<Identity, IOError>) throws(IOError) {
    guard let use = waiting, let current else { return }
    if let made = try? issued.get(), made.authority != current.identity.authority {
      let tls = try TLSContext(native: made)
      candidate = (made, tls)
      waiting = nil
      return use(.success(tls))
    }
    isCandidatesTurn = false
    wasCandidateShown = true
    if current.identity.hasEnded { return try rejoin(current.identity) }
    waiting = nil
    use(.success(current.tls))
  }

  private func fail(_ reason: String, isFinal: Bool = false) {
    guard let use = waiting else { return HostLog.error("agent: identity: \(reason)") }
    waiting = nil
    use(.failure(Failure(reason: reason, isFinal: isFinal)))
  }

  /// Sets what another authority may have given.
  private func setMoved(_ identity: Identity) throws(IOError) {
    let before = current?.identity
    try set(identity)
    guard let before, before.authority != identity.authority else { return }
    worker.setAuthority(identity.authority)
    // Session and pods need nothing of the old certificate; but it is the new one that has to be seen.
    if before.signer != identity.signer { onMoved() }
  }

  private func set(_ identity: Identity) throws(IOError) {
    if current?.identity == identity { return }
    current = (identity, try TLSContext(native: identity))
    guard let made = Certificates.made(identity.own.certificate), let end = Certificates.end(identity.own.certificate)
    else { return }
    let random = try Crypto.randomBytes(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    renewal = CertificateRenewal(
      start: WallTime(nanoseconds: made * 1_000_000_000), end: WallTime(nanoseconds: end * 1_000_000_000),
      random: random)
    armRenewal()
  }

  private func write(_ identity: Identity) {
    worker.writeIdentity(identity, paths.identity) { [reads] result in reads.post(.written(result)) }
  }

  // The next certificate.

  private var now: WallTime { WallTime(nanoseconds: Clocks.now().wall) }

  private func armRenewal() {
    guard let renewal else { return }
    let wait = min(max(renewal.due.milliseconds(since: now), 0), Self.longestWait)
    timer.arm(at: Clocks.boot() + wait * 1_000_000)
  }

  private func renewIfDue() {
    defer { armRenewal() }
    guard let current, renewal?.isDue(at: now) == true else { return }
    // Until an answer says otherwise it has failed.
    renewal?.failed(at: now)
    do throws(IOError) {
      let request = try SigningRequests.make(name: Subject.nodeName(options.name), key: current.identity.own.key)
      send(RenewRequest(request: String(decoding: request, as: UTF8.self)).json)
    } catch {
      HostLog.error("agent: identity: \(error)")
    }
  }

  /// The certificate has ended: by the key, while somebody waits for a connection. Without success the authority at
  /// hand has its turn.
  private func rejoin(_ identity: Identity) throws(IOError) {
    guard joiner == nil else { return }
    let digests = Certificates.keyDigests(ofBundle: identity.authority)
    joiner = try Joiner(
      loop: loop, names: names, addresses: addresses.all, digests: digests, token: nil, node: options.name,
      key: identity.own.key
    ) { [unowned self] outcome in
      joiner = nil
      let isLast = !hasAnother
      isCandidatesTurn = options.authority != nil
      switch outcome {
      case .joined(let next, _):
        isCandidatesTurn = false
        write(next)
      case .unreachable(let reason, isFinal: true):
        fail("\(reason): \(ForeignAuthority.advice(options))", isFinal: isLast)
      case .refused(let reason, let retry): fail(reason, isFinal: isLast && retry == nil)
      case .unreachable(let reason, isFinal: false): fail(reason)
      }
    }
  }
}
