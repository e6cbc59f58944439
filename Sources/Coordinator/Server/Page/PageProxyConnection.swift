// Owns: one connection of a browser to `stint ui`, and the one to the API server that belongs to it: whole requests go
// on with other credentials, answers come back as they are. It must not know what either means.

import ClusterIO
import ClusterProto

/// One connection of a browser.
final class PageProxyConnection {
  private unowned let proxy: PageProxy
  /// Those that came later have a higher one.
  let number: Int64
  /// It has shown the key.
  private(set) var isTrusted = false
  private let loop: EventLoop
  private let browser: Connection
  private var server: Connection?
  private var parser = HTTPParser()
  /// Addresses of the server that were not tried for the request that is open.
  private var untried: ArraySlice<SocketAddress> = []
  /// The request that the server has not begun to answer.
  private var open: [UInt8] = []
  /// It was sent on a connection that the server may have been about to close, and changes nothing.
  private var mayTryAgain = false
  private static let mark = 256 * 1024
  /// What of a request the server shall know. Cookies of other programs on this machine are not among it.
  private static let passed: Set<String> = [
    "accept", "accept-encoding", "content-type",
  ]

  init(_ proxy: PageProxy, _ loop: EventLoop, _ browser: Connection, number: Int64) {
    self.proxy = proxy
    self.number = number
    self.loop = loop
    self.browser = browser
    browser.onBytes = { [unowned self] bytes in take(bytes) }
    browser.onDrained = { [unowned self] in server?.setReading(true) }
    // The loop holds the connection, and this closure this: until it closes.
    browser.onClose = { [self] _ in
      server?.close()
      self.proxy.forget(self)
    }
  }

  func close() { browser.close() }

  private func take(_ bytes: [UInt8]) {
    parser.append(bytes)
    do throws(HTTPFailure) {
      while browser.isOpen, let event = try parser.next() {
        // A body comes at once or not at all: browsers do not wait for leave.
        if case .request(let request) = event { try serve(request) }
      }
    } catch {
      answer(error, close: true)
    }
  }

  private func serve(_ request: HTTPRequest) throws(HTTPFailure) {
    if let failure = proxy.refusal(request) { throw failure }
    if request.target == "\(PageFiles.root)session", request.method == "POST" {
      guard let key = proxy.redeem(request) else {
        return answer(HTTPFailure(401, "this address has been used: run `stint ui` again for another one"))
      }
      return answer(PageAnswer(code: 200, type: HTTPAnswer.jsonType, bytes: (["token": .string(key)] as JSON).bytes))
    }
    if let page = PageFiles.answer(request) { return answer(page, isHead: request.method == "HEAD") }
    guard proxy.isTrusted(request) else { return answer(HTTPFailure(401, "Unauthorized")) }
    isTrusted = true
    guard request.header("upgrade") == nil else { throw HTTPFailure(403, "this door changes no protocols") }
    try forward(request)
  }

  private func answer(_ failure: HTTPFailure, close: Bool = false) {
    let body = HTTPAnswer.status(failure).bytes
    answer(PageAnswer(code: failure.code, type: HTTPAnswer.jsonType, bytes: body), close: close)
  }

  private func answer(_ answer: PageAnswer, isHead: Bool = false, close: Bool = false) {
    let head = proxy.output.head(
      answer.code, type: answer.type, length: answer.code == 304 ? nil : answer.bytes.count, close: close,
      isGzip: answer.isGzip, lines: answer.lines)
    browser.send(isHead ? head : head + answer.bytes)
    if close { browser.close(afterFlush: true) }
  }

  // The way on.

  private func forward(_ request: HTTPRequest) throws(HTTPFailure) {
    guard request.target.hasPrefix("/") else { throw HTTPFailure(400, "a path begins with a slash") }
    // Browsers wait for an answer before they ask again on a connection.
    guard open.isEmpty else { throw HTTPFailure(400, "one request at a time") }
    let upstream = proxy.upstream
    var text = "\(request.method) \(upstream.prefix)\(request.target) HTTP/1.1\r\n"
    text += "Host: \(upstream.host)\r\nUser-Agent: stint-ui\r\n"
    for (name, value) in request.headers where Self.passed.contains(name) { text += "\(name): \(value)\r\n" }
    if !upstream.token.isEmpty { text += "Authorization: Bearer \(upstream.token)\r\n" }
    if !request.body.isEmpty || request.method == "POST" { text += "Content-Length: \(request.body.count)\r\n" }
    open = Array("\(text)\r\n".utf8) + request.body
    if let server, server.isOpen {
      mayTryAgain = request.method == "GET"
      return server.send(open)
    }
    untried = upstream.addresses[...]
    connect()
  }

  private func connect() {
    var reason = "there is no address"
    while let address = untried.popFirst() {
      do throws(IOError) {
        let made = try Connection.connect(loop: loop, to: address)
        try made.startTLS(proxy.upstream.tls, name: proxy.upstream.name)
        return attach(made)
      } catch {
        reason = error.description
      }
    }
    lost(reason)
  }

  private func attach(_ made: Connection) {
    server = made
    made.setKeepAlive(seconds: 60)
    made.onOpen = { [unowned self, unowned made] in
      untried = []
      made.send(open)
    }
    made.onBytes = { [unowned self, unowned made] bytes in
      open = []
      mayTryAgain = false
      browser.send(bytes)
      if browser.pendingOutput > Self.mark { made.setReading(false) }
    }
    made.onClose = { [weak self, unowned made] reason in
      guard let self, server === made else { return }
      server = nil
      if mayTryAgain, !open.isEmpty {
        mayTryAgain = false
        untried = proxy.upstream.addresses[...]
      }
      if !untried.isEmpty { return connect() }
      if open.isEmpty { return browser.close(afterFlush: true) }
      lost(made.tls?.clockProblem ?? reason.description)
    }
  }

  private func lost(_ reason: String) {
    open = []
    answer(HTTPFailure(502, "the API server at \(proxy.upstream.host) does not answer: \(reason)"), close: true)
  }
}
