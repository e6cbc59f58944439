// Owns: what a running coordinator does when its certificates or its authority are others: its doors take them, the
// core and the files for clients are told. It must not know how they are made, nor when an authority is exchanged.

import ClusterIO
import ClusterProto
import CoordinatorCore

extension CoordinatorServer {
  /// From now on the certificate follows the machine's addresses, and the authority can be exchanged.
  func watchCertificates(
    _ announce: @escaping @Sendable (ServerNames) throws(IOError) -> Void
  ) throws(IOError) {
    let (listeners, advertise) = (options.listeners, options.advertise)
    let watch = try CertificateWatch(
      directory: options.directory, current: ServerCertificate(names: names, pki: pki),
      namesNow: { () throws(ServerError) in try ServerNames(listen: listeners, advertise: advertise) },
      announce: announce)
    certificates = watch
    try loop.attach(watch.changes) { [unowned self] changes in
      for change in changes {
        switch change {
        case .renewed(let renewed): take(renewed)
        case .authorityFailed(let reason): queue.append(.authorityFailed(reason), from: nil)
        }
      }
    }
  }

  /// An authority lasts ten years: whoever has forgotten it is told half a year before it ends, at each start.
  func warnOfAuthority() {
    guard let end = Certificates.end(pki.authority.certificate) else { return }
    let time = WallTime(nanoseconds: end * 1_000_000_000)
    guard time.milliseconds(since: WallTime(nanoseconds: Clocks.now().wall)) < Self.authorityWarning else { return }
    ServerLog.error(
      "the cluster's authority ends: exchange it, work goes on", ("at", time.rfc3339), ("command", "stint ca rotate"))
  }

  /// Says which nodes cannot come back. `nodes`: all that are known.
  func warnOfUnreached(_ nodes: [(name: String, address: String)]) {
    let elsewhere = Self.unreached(nodes, by: address)
    guard let first = elsewhere.first else { return }
    ServerLog.error(
      "nodes of other machines cannot reach this address: start the coordinator with --listen as before",
      ("address", address.description), ("nodes", String(elsewhere.count)), ("first", first))
  }

  /// The nodes of other machines, where only this one reaches what is listened on.
  static func unreached(_ nodes: [(name: String, address: String)], by address: SocketAddress) -> [String] {
    guard address.isLoopback else { return [] }
    return nodes.filter { !$0.address.isEmpty && !SocketAddress.tcp(host: $0.address, port: 0).isLoopback }.map(\.name)
  }

  /// The row that names the cluster is the shell's own; it is made at the first start, with the first commit.
  static func clusterID(_ rows: inout [StoreRow], _ queue: inout EventQueue) throws -> String {
    if let position = rows.firstIndex(where: { $0.table == .facts && $0.key == "cluster" }) {
      let row = rows.remove(at: position)
      guard let name = (try? JSON(parsing: row.value))?.stringValue else {
        throw ServerError("the store's row facts/cluster is damaged: restore a backup")
      }
      return name
    }
    let name = Hexadecimal.text(try Crypto.randomBytes(16))
    queue.firstWrites = [StoreWrite(table: .facts, key: "cluster", value: JSON.string(name).bytes)]
    return name
  }

  private static var authorityWarning: Int64 { 180 * 86_400_000 }

  private func take(_ renewed: ServerCertificate) {
    let isExchanged = renewed.pki.authorities != pki.authorities
    names = renewed.names
    pki = renewed.pki
    door.renew(pki)
    httpDoor?.renew(pki, names: names.all)
    // With the transaction of what follows: an authority is dropped only after that.
    if isExchanged { queue.firstWrites.append(AuthorityRecord(pki.authorities).row) }
    tellOfAPI()
    do throws(IOError) {
      try tellOfNative()
    } catch {
      ServerLog.error("the authority's certificate cannot be read", ("reason", error.description))
    }
    // Only now: who reads the new files finds a server that takes what is in them.
    if isExchanged { certificates?.announceAgain() }
  }

  /// What join tokens tell, and which authorities there are. Ahead of what waits: the doors go by it already.
  func tellOfNative() throws(IOError) {
    let certificate = pki.authority.certificate
    let former = try pki.authorities.former.map { former throws(IOError) in
      try SigningRequests.keyDigest(ofCertificate: former.root)
    }
    let point = JoinPoint(
      addresses: names.joinable(at: address).map(\.description),
      authority: try SigningRequests.keyDigest(ofCertificate: certificate), former: former ?? "",
      since: Certificates.made(certificate).map { WallTime(nanoseconds: $0 * 1_000_000_000) })
    queue.putFirst(.nativeServed(point))
  }

  /// Signs, and says where what it signs is of use.
  var issuer: Issuer {
    Issuer(
      authorities: pki.authorities, cluster: cluster, tokens: tokens, native: names.reached(at: address).description,
      api: apiAddress.map { "https://\(names.reached(at: $0))" } ?? "")
  }

  /// What clients read of where the API is.
  func tellOfAPI() {
    guard let address = apiAddress, case .tcp(let host, let port) = names.address(of: address) else { return }
    let authority = String(decoding: pki.authorities.bundle, as: UTF8.self)
    var native: Int64?
    if case .tcp(_, let port) = self.address { native = Int64(port) }
    let endpoint = APIEndpoint(host: host, port: Int64(port), authority: authority, native: native)
    queue.append(.apiServed(endpoint), from: nil)
  }

  /// The core's word on the authority.
  func performOnAuthority(_ effect: CoordinatorEffect) {
    switch effect {
    case .exchangeAuthority: certificates?.changeAuthority(exchanges: true)
    case .dropAuthority: certificates?.changeAuthority(exchanges: false)
    case .tellAuthorities(let session, let notice): door.send(notice.json, to: session)
    case .closeAuthority(let authority, let reason):
      door.close(authority: authority, reason: reason)
      httpDoor?.close(authority: authority)
    default: break
    }
  }
}
