// Owns: what a request to change protocols asks for, and the head that answers it: SPDY/3.1 as Kubernetes speaks it,
// and WebSocket (RFC 6455). It must not know what the new protocol is for.

import ClusterIO
import ClusterProto

/// What a connection is to speak from here on.
struct HTTPUpgrade: Equatable {
  enum Carrier: Equatable {
    case spdy
    case webSocket
  }

  var carrier: Carrier
  /// Kubernetes' protocol above it, as the client has named it: the first of ours that it offers.
  var name: String
  /// The head of the answer, whole.
  var head: [UInt8]

  /// What a command is spoken to by, the best first.
  static let commandOverSPDY = ["v4.channel.k8s.io"]
  static let commandOverWebSocket = ["v5.channel.k8s.io", "v4.channel.k8s.io"]
  static let portsOverSPDY = ["portforward.k8s.io"]
  static let portsOverWebSocket = ["SPDY/3.1+portforward.k8s.io"]

  private static let webSocketGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

  /// Reads the request's wish; what is served of both carriers stands in `spdy` and `webSocket`.
  init(_ request: HTTPRequest, spdy: [String], webSocket: [String]) throws(HTTPFailure) {
    let words = HTTPUpgrade.words(request, "connection").map { $0.lowercased() }
    let wanted = HTTPUpgrade.words(request, "upgrade").map { $0.lowercased() }
    guard words.contains("upgrade"), !wanted.isEmpty else { throw HTTPFailure(400, "Upgrade request required") }
    try HTTPUpgrade.checkOrigin(request)
    // What would follow could as well be the body.
    guard request.body.isEmpty else { throw HTTPFailure(400, "a request that changes protocols has no body") }
    if wanted.contains("spdy/3.1") {
      try self.init(spdy: request, spdy)
    } else if wanted.contains("websocket") {
      try self.init(webSocket: request, webSocket)
    } else {
      throw HTTPFailure(400, "unable to upgrade: SPDY/3.1 and websocket are spoken here")
    }
  }

  private init(spdy request: HTTPRequest, _ served: [String]) throws(HTTPFailure) {
    let offered = HTTPUpgrade.words(request, "x-stream-protocol-version")
    guard let name = served.first(where: { offered.contains($0) }) else { throw HTTPUpgrade.refusal(offered, served) }
    carrier = .spdy
    self.name = name
    head = Array(
      ("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
        + "X-Stream-Protocol-Version: \(name)\r\n\r\n").utf8)
  }

  private init(webSocket request: HTTPRequest, _ served: [String]) throws(HTTPFailure) {
    guard request.method == "GET", request.header("sec-websocket-version")?.trimmingSpaces == "13",
      let key = request.header("sec-websocket-key")?.trimmingSpaces, Base64.decode(key)?.count == 16
    else { throw HTTPFailure(400, "unable to upgrade: this is no WebSocket handshake of version 13") }
    let offered = HTTPUpgrade.words(request, "sec-websocket-protocol")
    guard let name = served.first(where: { offered.contains($0) }) else { throw HTTPUpgrade.refusal(offered, served) }
    carrier = .webSocket
    self.name = name
    let accept = Base64.encode(Crypto.sha1(Array((key + HTTPUpgrade.webSocketGUID).utf8)))
    head = Array(
      ("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        + "Sec-WebSocket-Accept: \(accept)\r\nSec-WebSocket-Protocol: \(name)\r\n\r\n").utf8)
  }

  private static func refusal(_ offered: [String], _ served: [String]) -> HTTPFailure {
    let theirs = offered.prefix(8).joined(separator: " ")
    return HTTPFailure(
      403,
      "unable to upgrade: unable to negotiate protocol: client supports [\(theirs)], server accepts "
        + "[\(served.joined(separator: " "))]")
  }

  /// A page of another site may open connections here with what its reader's browser knows: a certificate. Browsers say
  /// of which site it is; nobody else says anything.
  private static func checkOrigin(_ request: HTTPRequest) throws(HTTPFailure) {
    guard let origin = request.header("origin"), let host = request.header("host") else { return }
    guard origin.lowercased() == "https://\(host.lowercased())" else {
      throw HTTPFailure(403, "a page of another site may not open connections here")
    }
  }

  /// The words of all lines of a header.
  private static func words(_ request: HTTPRequest, _ name: String) -> [String] {
    request.headers.filter { $0.name == name }
      .flatMap { $0.value.split(separator: ",").map(\.trimmingSpaces) }.filter { !$0.isEmpty }
  }
}

/// What an HTTP connection speaks after its upgrade; it has one for its whole life then.
protocol UpgradedSession: AnyObject {
  /// Bytes of the other side, in any pieces.
  func receive(_ bytes: [UInt8])
  /// All output has gone.
  func drained()
  /// A word of the core on request `id`; false: it is an answer to the HTTP request itself.
  func take(_ reply: APIReply, of id: Int64) -> Bool
  /// Who takes the stream that request `id` has opened.
  func streamClient(of id: Int64) -> (any PodStreamClient)?
}
