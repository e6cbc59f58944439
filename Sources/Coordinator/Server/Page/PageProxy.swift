// Owns: `stint ui`: a door on this machine's loopback that serves the page and hands its requests on to a Kubernetes
// API with the user's own credentials. Who may use it is who has its key, which nobody gets but by a code that works
// once. It must not know what requests mean, nor where the credentials come from.

import ClusterIO
import ClusterProto

/// Where requests go on to, and as whom.
package struct PageUpstream {
  /// The API server's addresses; the next one is tried where one does not answer.
  package var addresses: [SocketAddress]
  /// What its certificate must name, and what Host says.
  package var name: String
  /// Host, with the port.
  package var host: String
  /// What stands before each path, without a slash at its end; mostly nothing.
  package var prefix: String
  /// Whom it believes, and the certificate that it shows.
  package var tls: TLSContext
  /// A bearer token to show; empty: none.
  package var token: String

  /// An API server.
  package init(
    addresses: [SocketAddress], name: String, host: String, prefix: String, tls: TLSContext, token: String
  ) {
    self.addresses = addresses
    self.name = name
    self.host = host
    self.prefix = prefix
    self.tls = tls
    self.token = token
  }
}

/// The door. Used on its loop's thread.
package final class PageProxy {
  private let loop: EventLoop
  let upstream: PageUpstream
  /// What every request for the API must bear.
  private let key: String
  /// What gives the key away, once.
  private var code: String?
  private var listener: Listener?
  /// In any order: each is closed by itself.
  private var clients: [ObjectIdentifier: PageProxyConnection] = [:]
  /// A browser has six connections to a place, a person some tabs.
  static let connectionLimit = 128
  /// How many came.
  private var arrivals: Int64 = 0
  let output: HTTPOutput

  /// Listens on 127.0.0.1; port 0: any that is free.
  package init(loop: EventLoop, port: UInt16, upstream: PageUpstream) throws(IOError) {
    self.loop = loop
    self.upstream = upstream
    key = Hexadecimal.text(try Crypto.randomBytes(32))
    code = Hexadecimal.text(try Crypto.randomBytes(16))
    output = HTTPOutput(answers: AnswerBacklog(loop: loop), turns: WorkTurns())
    listener = try Listener(loop: loop, at: .tcp(host: "127.0.0.1", port: port)) { [unowned self] in accept($0) }
  }

  /// `127.0.0.1:PORT`.
  package var host: String { listener?.address.description ?? "" }

  /// What a browser opens: it works once. The code stands behind `#`, so it is in no request and no log.
  package var address: String { "http://\(host)\(PageFiles.root)#code=\(code ?? "")" }

  /// Ends all connections.
  package func close() {
    listener?.close()
    for client in clients.values { client.close() }
  }

  private func accept(_ connection: Connection) {
    guard clients.count < Self.connectionLimit || makeRoom() else { return connection.close() }
    arrivals += 1
    let client = PageProxyConnection(self, loop, connection, number: arrivals)
    clients[ObjectIdentifier(client)] = client
  }

  /// Whoever has never shown the key goes, the oldest first: other users of this machine may hold connections for
  /// nothing.
  private func makeRoom() -> Bool {
    let strangers = clients.values.filter { !$0.isTrusted }
    guard let oldest = strangers.min(by: { $0.number < $1.number }) else { return false }
    forget(oldest)
    oldest.close()
    return true
  }

  func forget(_ client: PageProxyConnection) { clients[ObjectIdentifier(client)] = nil }

  /// Why a request is not for this door at all; nil: it is. A page of another site may reach this port by a name of its
  /// own that leads here (DNS rebinding), or by its address: the browser says so in Host, Origin and Sec-Fetch-Site.
  func refusal(_ request: HTTPRequest) -> HTTPFailure? {
    let port = host.drop { $0 != ":" }
    guard let named = request.header("host")?.lowercased(), named == host || named == "localhost\(port)" else {
      return HTTPFailure(403, "this door answers only to \(host)")
    }
    if let origin = request.header("origin"), origin.lowercased() != "http://\(named)" {
      return HTTPFailure(403, "a page of another site may not ask here")
    }
    let site = request.header("sec-fetch-site") ?? "same-origin"
    guard site == "same-origin" || site == "none" else {
      return HTTPFailure(403, "a page of another site may not ask here")
    }
    return nil
  }

  /// Whether a request for the API bears the key.
  func isTrusted(_ request: HTTPRequest) -> Bool {
    guard let token = HTTPTokens.bearer(request) else { return false }
    return Crypto.equal(Array(token.utf8), Array(key.utf8))
  }

  /// The key, for who brings the code: the first time only.
  func redeem(_ request: HTTPRequest) -> String? {
    guard let code, let token = HTTPTokens.bearer(request), Crypto.equal(Array(token.utf8), Array(code.utf8)) else {
      return nil
    }
    self.code = nil
    return key
  }
}
