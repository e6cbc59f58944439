// Owns: the agent's identity while it runs: read anew for each connection, renewed over the session before it ends, and
// asked for by its key once it has ended; and exchanged where the cluster's authority is. It must not know what
// sessions are about. Pods notice nothing of it.

import ClusterIO
import ClusterProto

/// Who the agent is, from one connection to the next.
final class AgentIdentity {
  typealias Use = (Result<TLSContext, IOError>) -> Void

  private enum Read: Sendable {
    case read(Int, Result<Identity, IOError>)
    case written(Result<Identity, IOError>)
    /// Looked at again without anybody waiting for it.
    case looked(Result<Identity, IOError>)
  }

  /// Sends to the coordinator, as long as there is a session.
  var send: (JSON) -> Void = { _ in }
  /// Another authority has given the certificate than the one before: only a new connection shows it.
  var onMoved: () -> Void = {}
  /// Digests of the authorities that are believed now.
  var believed: [KeyDigest] { current.map { Certificates.keyDigests(ofBundle: $0.identity.authority) } ?? [] }
  /// What connections are made with now.
  var tls: TLSContext? { current?.tls }

  private let loop: EventLoop
  private let names: NameResolver
  private let options: AgentOptions
  private let paths: NodePaths
  private let worker: PreparationWorker
  private let addresses: CoordinatorAddresses
  private let reads: Mailbox<Read>
  private var current: (identity: Identity, tls: TLSContext)?
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
    if let current, !hasEnded(current.identity) { use(.success(current.tls)) } else { waiting = use }
    worker.readIdentity(paths.identity, authority: options.authority) { [reads, number] result in
      reads.post(.read(number, result))
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
    guard options.authority == nil else {
      // The authority that is at hand gives it at once.
      return worker.readIdentity(paths.identity, authority: options.authority) { [reads] in reads.post(.looked($0)) }
    }
    HostLog.line("agent: the cluster's authorities are others than before: asking for the next certificate")
    let wait = Int64.random(in: 0...min(notice.withinMilliseconds, Self.longestSpread))
    renewal?.hasten(to: now.adding(milliseconds: wait))
    armRenewal()
  }

  /// The coordinator is of no authority that is believed. By a token of another one the machine joins again, with the
  /// key that it has: whoever gave it the token knows of the exchange. Only then: a unit may name an old one for good.
  func distrusted() {
    guard let identity = current?.identity, let token = options.join, joiner == nil,
      !Certificates.keyDigests(ofBundle: identity.authority).contains(token.authority)
    else { return }
    do throws(IOError) {
      joiner = try Joiner(
        loop: loop, names: names, addresses: addresses.all, digests: [token.authority], token: token,
        node: options.name,
        key: identity.own.key
      ) { [unowned self] outcome in
        joiner = nil
        switch outcome {
        case .joined(let next, _):
          HostLog.line("agent: joined again by \(token), with the key that it has")
          write(next)
        case .refused(let reason, _), .unreachable(let reason, _): HostLog.error("agent: not joined again: \(reason)")
        }
      }
    } catch {
      HostLog.error("agent: identity: \(error)")
    }
  }

  private func handle(_ read: Read) {
    do throws(IOError) {
      switch read {
      case .read(let number, let result):
        let isAwaited = number == self.number
        let found = try result.get()
        try set(found)
        guard isAwaited, let use = waiting, let current else { return }
        if hasEnded(found) { return try rejoin(found) }
        waiting = nil
        use(.success(current.tls))
      case .looked(let result): try setMoved(try result.get())
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
      fail(error)
    }
  }

  private func fail(_ error: IOError) {
    guard let use = waiting else { return HostLog.error("agent: identity: \(error)") }
    waiting = nil
    use(.failure(error))
  }

  /// One that the authority at hand gives anew needs nothing else.
  private func hasEnded(_ identity: Identity) -> Bool { options.authority == nil && identity.hasEnded }

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

  /// The certificate has ended: by the key, while somebody waits for a connection.
  private func rejoin(_ identity: Identity) throws(IOError) {
    guard joiner == nil else { return }
    let digests = Certificates.keyDigests(ofBundle: identity.authority)
    joiner = try Joiner(
      loop: loop, names: names, addresses: addresses.all, digests: digests, token: nil, node: options.name,
      key: identity.own.key
    ) { [unowned self] outcome in
      joiner = nil
      switch outcome {
      case .joined(let next, _): write(next)
      case .unreachable(let reason, isFinal: true):
        let advice = ForeignAuthority.advice(options.name)
        fail(IOError(operation: "join", subject: options.name, message: "\(reason): \(advice)"))
      case .refused(let reason, _), .unreachable(let reason, isFinal: false):
        fail(IOError(operation: "join", subject: options.name, message: reason))
      }
    }
  }
}
