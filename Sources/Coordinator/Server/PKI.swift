// Owns: the certificates of a data directory, `PATH/pki`: authority, server, administrator; made at the first start and
// renewed when they end soon or another authority signs. It must not know how certificates are made or checked in
// connections, nor when an authority is exchanged.

import ClusterIO
import ClusterProto

/// What HTTPS needs, as read from or made in the data directory. Every file holds a certificate and its key (0600).
package struct PKI: Sendable {
  /// Signs the other two.
  package let authority: PEMIdentity
  /// Whom the cluster believes: that, and the one before it while it is being exchanged.
  package let authorities: Authorities
  /// The coordinator's own.
  package let server: PEMIdentity
  /// The administrator's, for the kubeconfig.
  package let administrator: PEMIdentity

  /// User name and group of the administrator, Kubernetes' own words.
  package static let administratorName = "admin"
  /// The group that may do everything.
  package static let administratorGroup = Subject.masters

  /// What the server shows: its certificate and, during an exchange, what leads from the former authority to it.
  package var shownServer: PEMIdentity {
    guard let former = authorities.former else { return server }
    return PEMIdentity(certificate: server.certificate + former.cross + former.root, key: server.key)
  }

  private static let day = 24 * 3600
  /// Renewed when less is left.
  private static let renewal = 30 * day

  /// Reads the certificates below `directory`, or makes those that are missing; the server's and the administrator's
  /// also where they are damaged or end within 30 days. The authority is in every kubeconfig, so one that is there is
  /// never replaced: it is used or refused. The server's names this machine's loopback addresses, `host` and `others`,
  /// and is made again when it names anything else. `known`: the authorities that the
  /// cluster has, one of which must be there; nil: whichever is there, and a new one where none is.
  package init(
    directory: String, host: String, others: [String] = [], known: AuthorityRecord? = nil
  ) throws(IOError) {
    let path = "\(directory)/pki"
    try Files.makeDirectory(path, mode: 0o700)
    try known?.check(path)
    authority = try PKI.authority("\(path)/authority.pem")
    authorities = try Authorities(current: authority, below: path)
    // What a crash has left of an exchange that did not begin.
    if authorities.former == nil { try Authorities.drop(below: path) }
    let issuer = authority
    let hosts = ServerNames.distinct(ServerNames.loopback + [host] + others)
    server = try PKI.identity(
      "\(path)/server.pem",
      isUsable: { PKI.isUsable($0, issuer) && Certificates.namesExactly($0.certificate, hosts: hosts) }
    ) { () throws(IOError) in
      try Certificates.make(name: "stint-coordinator", .server(hosts: hosts), issuer: issuer, seconds: 365 * PKI.day)
    }
    administrator = try PKI.identity("\(path)/admin.pem", isUsable: { PKI.isUsable($0, issuer) }) {
      () throws(IOError) in
      try Certificates.make(
        name: PKI.administratorName, .client(group: PKI.administratorGroup), issuer: issuer, seconds: 365 * PKI.day)
    }
  }

  private static func authority(_ path: String) throws(IOError) -> PEMIdentity {
    guard Files.exists(path) else {
      return try identity(path, isUsable: { _ in true }) { () throws(IOError) in try Authorities.make() }
    }
    let anew =
      "delete \(path) and start once with --new-authority: a new authority is made, and every kubeconfig, user's "
      + "certificate and agent's identity must then be made anew"
    let (read, reason) = try readable(path)
    guard let found = read, let end = Certificates.end(found.certificate) else {
      throw IOError(
        operation: "read", subject: path,
        message: "the cluster's authority is damaged\(reason): put it back from a backup of the data directory, or "
          + anew)
    }
    guard !Certificates.isUsable(found, authority: found.certificate, inSeconds: 0) else { return found }
    let now = Clocks.now().wall
    let clock = "this machine's clock says \(WallTime(nanoseconds: now).rfc3339)"
    if let begin = Certificates.begin(found.certificate), begin > now / 1_000_000_000 {
      // What else is wrong shows once the clock is right; nothing may be thrown away for a clock.
      throw IOError(
        operation: "read", subject: path,
        message: "the cluster's authority begins at \(WallTime(nanoseconds: begin * 1_000_000_000).rfc3339), and "
          + "\(clock): set the clock right and start again")
    }
    guard end <= now / 1_000_000_000 else {
      throw IOError(
        operation: "read", subject: path,
        message: "the cluster's authority and its key do not belong together: put the file back from a backup of the "
          + "data directory, or \(anew)")
    }
    throw IOError(
      operation: "read", subject: path,
      message: "the cluster's authority ended at \(WallTime(nanoseconds: end * 1_000_000_000).rfc3339), and "
        + "\(clock): set the clock right if it is wrong; if it is right, \(anew)")
  }

  /// Whether it ends so soon that it is to be made again.
  static func isDue(_ identity: PEMIdentity) -> Bool {
    guard let end = Certificates.end(identity.certificate) else { return true }
    return end - Clocks.now().wall / 1_000_000_000 <= Int64(renewal)
  }

  private static func isUsable(_ identity: PEMIdentity, _ authority: PEMIdentity) -> Bool {
    Certificates.isUsable(identity, authority: authority.certificate, inSeconds: renewal)
  }

  private static func identity(
    _ path: String, isUsable: (PEMIdentity) -> Bool, make: () throws(IOError) -> PEMIdentity
  ) throws(IOError) -> PEMIdentity {
    if Files.exists(path), let found = try readable(path).found, isUsable(found) { return found }
    let made = try make()
    do throws(IOError) {
      try Files.writeAtomically(path, made.file, mode: 0o600)
    } catch {
      throw error.advising("\(path) is to be made anew: move away what is there in its place")
    }
    return made
  }

  /// What is in a file, or why that cannot be read; one that others may use is refused.
  private static func readable(_ path: String) throws(IOError) -> (found: PEMIdentity?, reason: String) {
    do throws(IOError) {
      return (try PEMIdentity(file: path), "")
    } catch {
      if error.code == PrivateFiles.refusal { throw error }
      return (nil, " (\(error.message))")
    }
  }

  /// A kubeconfig for `server` (`https://HOST:PORT`) and the native protocol's address `native`, from the certificates
  /// of a coordinator's data directory.
  package static func kubeconfig(
    directory: String, cluster: String, server: String, native: String
  ) throws(IOError) -> String {
    let path = "\(directory)/pki"
    let authorities = try Authorities(below: path)
    guard let administrator = try readable("\(path)/admin.pem").found else {
      throw IOError(
        operation: "read", subject: "\(path)/admin.pem",
        message: "is damaged: start the coordinator again, which makes it anew")
    }
    return KubeconfigText(
      server: server, native: native, authority: authorities.bundle,
      cluster: KubeconfigText.name(ofCluster: cluster), user: "admin", identity: administrator
    ).text
  }
}
