// Owns: one asking for a node's certificate, by a token or by the key whose certificate has ended: the coordinator's
// addresses in turn, each believed by the digests of authorities' keys alone. It must not know when to ask again.

import ClusterIO
import ClusterProto

/// Asks each address once, until one answers.
final class Joiner {
  enum Outcome {
    case joined(Identity, cluster: String)
    /// The coordinator's word; when to ask again, where that may help.
    case refused(String, retryMilliseconds: Int64?)
    /// Nobody answered. `isFinal`: what answered was not the authority that is believed, at every address.
    case unreachable(String, isFinal: Bool)
  }

  private let loop: EventLoop
  private let names: NameResolver
  private let tls: TLSContext
  private let request: JoinRequest
  private let key: [UInt8]
  private let done: (Outcome) -> Void
  private var left: ArraySlice<SocketAddress>
  private var problems: [String] = []
  private var strangers = 0
  private var link: CoordinatorLink?
  private lazy var timer = loop.makeTimer { [unowned self] in fail("no answer in time") }
  private var address: SocketAddress?
  private static let patienceNanoseconds: Int64 = 6_000_000_000

  /// `digests`: of the public keys of the authorities that are believed. `token` nil: by the key (PEM) alone. `done` is
  /// called once, in a later turn.
  init(
    loop: EventLoop, names: NameResolver, addresses: [SocketAddress], digests: [String], token: JoinToken?,
    node: String,
    key: [UInt8],
    done: @escaping (Outcome) -> Void
  ) throws(IOError) {
    self.loop = loop
    self.names = names
    self.key = key
    self.done = done
    left = addresses[...]
    tls = try TLSContext(joining: digests)
    let text = try SigningRequests.make(name: Subject.nodeName(node), key: key)
    request = JoinRequest(
      token: token?.id ?? "", secret: token?.secret ?? "", node: node, request: String(decoding: text, as: UTF8.self))
    next()
  }

  private func next() {
    guard let address = left.popFirst() else {
      let isFinal = !problems.isEmpty && strangers == problems.count
      loop.atTurnEnd { [self] in done(.unreachable(problems.joined(separator: "; "), isFinal: isFinal)) }
      return loop.requestTurn()
    }
    self.address = address
    let link = CoordinatorLink(loop: loop, names: names, address: address, tls: tls, role: .join)
    self.link = link
    link.onOpen = { [self, unowned link] _ in link.send(request.json) }
    link.onMessage = { [self] message in receive(message) }
    link.onClosed = { [self, unowned link] reason in
      if link.distrust != nil { strangers += 1 }
      fail(link.distrust ?? reason)
    }
    timer.arm(at: Clocks.boot() + Self.patienceNanoseconds)
  }

  private func drop() {
    timer.arm(at: nil)
    link?.onClosed = nil
    link?.onMessage = nil
    link?.onOpen = nil
    link?.close()
    link = nil
  }

  private func fail(_ reason: String) {
    problems.append("\(address?.description ?? ""): \(reason)")
    drop()
    next()
  }

  private func receive(_ message: JSON) {
    let outcome: Outcome
    do {
      if let error = ProtocolError(json: message) { return fail(error.message) }
      switch try JoinAnswer(json: message) {
      case .refused(let reason, let retry): outcome = .refused(reason, retryMilliseconds: retry)
      case .joined(let certificate, let authority, let cluster):
        let identity = Identity(
          own: PEMIdentity(certificate: Array(certificate.utf8), key: key), authority: Array(authority.utf8))
        outcome = .joined(try checked(identity), cluster: cluster)
      }
    } catch {
      return fail("\(error)")
    }
    drop()
    done(outcome)
  }

  private func checked(_ identity: Identity) throws(IOError) -> Identity {
    guard Certificates.isUsable(identity.own, authority: identity.authority, inSeconds: 0) else {
      throw IOError(
        operation: "join", subject: address?.description ?? "",
        message: "the certificate that came is not for this machine's key, or not valid by this machine's clock, which "
          + "says \(WallTime(nanoseconds: Clocks.now().wall).rfc3339)")
    }
    return identity
  }
}
