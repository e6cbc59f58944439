// Owns: that a running coordinator's certificate names the addresses that its machine has now, and does not end; and
// the exchange of its authority. Files are looked at and written on a thread of its own, since they may hang. It must
// not know connections, nor when an authority is exchanged.

import ClusterIO
import Synchronization

/// The names of the server and the certificate that has them.
struct ServerCertificate: Sendable {
  let names: ServerNames
  let pki: PKI
}

/// What comes of work on certificates.
enum CertificateChange: Sendable {
  /// These take the place of the ones before.
  case renewed(ServerCertificate)
  /// The authority is as it was.
  case authorityFailed(String)
}

/// Looks whether the certificate is still right, and makes it again when it is not.
final class CertificateWatch: Sendable {
  private struct State {
    var current: ServerNames
    var server: PEMIdentity
    /// Whom the files must hold.
    var known: AuthorityRecord
    var isLooking = false
    /// The authority is another on the disk than in use: what was to follow has failed.
    var isUnfinished = false
    /// Said once, not at each look.
    var failure = ""
  }

  let changes: Mailbox<CertificateChange>
  private let directory: String
  private let thread: WorkerThread
  private let namesNow: @Sendable () throws(ServerError) -> ServerNames
  /// Writes down where clients find the server, by these names.
  private let announce: @Sendable (ServerNames) throws(IOError) -> Void
  private let state: Mutex<State>

  init(
    directory: String, current: ServerCertificate,
    namesNow: @escaping @Sendable () throws(ServerError) -> ServerNames,
    announce: @escaping @Sendable (ServerNames) throws(IOError) -> Void
  ) throws(IOError) {
    self.directory = directory
    self.namesNow = namesNow
    self.announce = announce
    state = Mutex(
      State(
        current: current.names, server: current.pki.server, known: AuthorityRecord(current.pki.authorities)))
    changes = try Mailbox()
    thread = try WorkerThread(name: "stint-pki")
  }

  /// Looks, unless a look is under way; what comes of it is posted to `changes`.
  func look() {
    let isFree = state.withLock { state in
      defer { state.isLooking = true }
      return !state.isLooking
    }
    guard isFree else { return }
    thread.post { [self] in
      var failure = ""
      do {
        if let renewed = try renew() { changes.post(.renewed(renewed)) }
      } catch {
        failure = "\(error)"
      }
      let isNews = state.withLock { state in
        defer { state.failure = failure }
        state.isLooking = false
        return !failure.isEmpty && failure != state.failure
      }
      if isNews { ServerLog.error("the server's certificate cannot be renewed", ("reason", failure)) }
    }
  }

  /// Makes another authority (true), or drops the former one (false). One that was made already, before a crash or by a
  /// try that failed later, is gone on with.
  func changeAuthority(exchanges: Bool) {
    let step: @Sendable (String) throws(IOError) -> Void =
      exchanges ? Authorities.exchange(below:) : Authorities.drop(below:)
    thread.post { [self] in
      do throws(IOError) {
        // Else somebody else's authority would be vouched for.
        try state.withLock { $0.known }.check("\(directory)/pki")
        try step("\(directory)/pki")
        state.withLock { $0.isUnfinished = true }
        changes.post(.renewed(try made(state.withLock { $0.current })))
      } catch {
        changes.post(.authorityFailed("\(error)"))
      }
    }
  }

  /// Writes down, again, where clients find the server and whom they believe.
  func announceAgain() {
    thread.post { [self] in
      do throws(IOError) {
        try announce(state.withLock { $0.current })
      } catch {
        ServerLog.error("the kubeconfig is not written anew: the next start does it", ("reason", error.description))
      }
    }
  }

  private func made(_ names: ServerNames) throws(IOError) -> ServerCertificate {
    let known = state.withLock { $0.known }
    let pki = try PKI(directory: directory, host: "localhost", others: names.all, known: known)
    state.withLock { state in
      state.current = names
      state.server = pki.server
      state.known = AuthorityRecord(pki.authorities)
      state.isUnfinished = false
    }
    return ServerCertificate(names: names, pki: pki)
  }

  private func renew() throws -> ServerCertificate? {
    let names = try namesNow()
    let (known, server, isUnfinished) = state.withLock { ($0.current.all, $0.server, $0.isUnfinished) }
    guard names.all != known || PKI.isDue(server) || isUnfinished else { return nil }
    let renewed = try made(names)
    try announce(names)
    ServerLog.info("the server's certificate is made again", ("names", names.all.joined(separator: " ")))
    return renewed
  }
}
