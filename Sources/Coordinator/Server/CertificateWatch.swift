// Owns: that a running coordinator's certificate names the addresses that its machine has now, and does not end: looks
// and renewals on a thread of its own, since files may hang. It must not know connections.

import ClusterIO
import Synchronization

/// The names of the server and the certificate that has them.
struct ServerCertificate: Sendable {
  let names: ServerNames
  let pki: PKI
}

/// Looks whether the certificate is still right, and makes it again when it is not.
final class CertificateWatch: Sendable {
  private struct State {
    var names: [String]
    var server: PEMIdentity
    var isLooking = false
    /// Said once, not at each look.
    var failure = ""
  }

  /// Certificates that take the place of the one before.
  let renewals: Mailbox<ServerCertificate>
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
    state = Mutex(State(names: current.names.all, server: current.pki.server))
    renewals = try Mailbox()
    thread = try WorkerThread(name: "stint-pki")
  }

  /// Looks, unless a look is under way; what comes of it is posted to `renewals`.
  func look() {
    let isFree = state.withLock { state in
      defer { state.isLooking = true }
      return !state.isLooking
    }
    guard isFree else { return }
    thread.post { [self] in
      var failure = ""
      do {
        if let renewed = try renew() { renewals.post(renewed) }
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

  private func renew() throws -> ServerCertificate? {
    let names = try namesNow()
    let (known, server) = state.withLock { ($0.names, $0.server) }
    guard names.all != known || PKI.isDue(server) else { return nil }
    let pki = try PKI(directory: directory, host: "localhost", others: names.all)
    try announce(names)
    state.withLock { state in
      state.names = names.all
      state.server = pki.server
    }
    ServerLog.info("the server's certificate is made again", ("names", names.all.joined(separator: " ")))
    return ServerCertificate(names: names, pki: pki)
  }
}
