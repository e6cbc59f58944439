// Owns: one GET or connection of a probe or hook: where it goes, what it asks, where a redirect leads, what of the
// answer is read. kubelet's rules and words. It must not count time, and never waits for a name or a server.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc

/// What the checks of one keeper share.
final class CheckNetwork {
  let loop: EventLoop
  /// Made at the first use: few pods have a use for them.
  private(set) lazy var names = try? NameResolver(loop: loop)
  private(set) lazy var unverified = try? TLSContext.unverified()

  init(loop: EventLoop) { self.loop = loop }
}

/// One of them. `done` is called once, never behind `cancel`.
final class NetworkCheck {
  /// Go's, of both kinds of clients.
  private static let redirectLimit = 10
  /// Of an answer's head and its body.
  private static let headLimit = 64 * 1_024
  private static let bodyLimit = 10 * 1_024

  private let check: Check
  private let podAddress: String
  private let network: CheckNetwork
  private var done: ((CheckAnswer) -> Void)?
  private var connection: Connection?
  private var lookUp: Int?
  /// Addresses of the name that were not tried yet.
  private var others: ArraySlice<SocketAddress> = []
  /// Where it is at: the first, or where it was led to.
  private var get: CareAction.Get?
  private var redirects = 0
  private var received: [UInt8] = []
  /// The head of the answer, once all of it is there.
  private var head: HTTPCheckText.Head?

  init(_ check: Check, podAddress: String, network: CheckNetwork, done: @escaping (CheckAnswer) -> Void) {
    self.check = check
    self.podAddress = podAddress
    self.network = network
    self.done = done
  }

  func begin() {
    switch check.action {
    case .get(let get): go(get)
    case .connect(let host, let port): connect(host, port, isSecure: false)
    case .exec, .pause: finish(.passed)
    }
  }

  func cancel() {
    done = nil
    leave()
  }

  private func finish(_ answer: CheckAnswer) {
    let done = done
    cancel()
    done?(answer)
  }

  private func leave() {
    if let lookUp { network.names?.cancel(lookUp) }
    lookUp = nil
    others = []
    connection?.onOpen = nil
    connection?.onBytes = nil
    connection?.onClose = nil
    connection?.close()
    connection = nil
  }

  /// As Go puts it: what was asked for, and what came of it.
  private func fail(_ why: String) {
    finish(.failed(get.map { "Get \(DownwardAPI.quoted($0.url)): \(why)" } ?? why))
  }

  // MARK: - The way

  private func go(_ next: CareAction.Get) {
    leave()
    get = next
    received = []
    head = nil
    if let header = next.headers.first(where: { !HTTPCheckText.isField($0) }) {
      return fail("net/http: invalid header field value for \(DownwardAPI.quoted(header.name))")
    }
    connect(next.host, next.port, isSecure: next.isSecure)
  }

  private func connect(_ host: String, _ port: CareAction.Port, isSecure: Bool) {
    guard case .number(let number) = port, let port = UInt16(exactly: number) else { return fail("invalid port") }
    var address = SocketAddress.tcp(host: host, port: port)
    // A pod's address may be one that only others reach it by, or have gone since: this node is meant all the same.
    if host == podAddress, address.isNumeric, !address.isOwn { address = .tcp(host: "127.0.0.1", port: port) }
    guard !address.isNumeric else { return open(address, isSecure: isSecure) }
    guard let names = network.names else { return fail("dial tcp: lookup \(host): no thread to look names up on") }
    lookUp = names.lookUp(address) { [unowned self] outcome in
      lookUp = nil
      others = ((try? outcome.get()) ?? [])[...]
      guard let first = others.popFirst() else { return fail("dial tcp: lookup \(host): no such host") }
      open(first, isSecure: isSecure)
    }
  }

  private func open(_ address: SocketAddress, isSecure: Bool) {
    let failed = { [unowned self] (error: IOError) in
      if let next = others.popFirst() { return open(next, isSecure: isSecure) }
      let text = error.code == 0 ? error.message : IOError.text(error.code).lowercased()
      fail("dial tcp \(address): connect: \(text)")
    }
    do throws(IOError) {
      let connection = try Connection.connect(loop: network.loop, to: address)
      self.connection = connection
      if isSecure {
        guard let context = network.unverified else { return fail("TLS is not to be had") }
        try connection.startTLS(context)
      }
      var isOpen = false
      connection.onOpen = { [unowned self] in
        isOpen = true
        opened()
      }
      connection.onBytes = { [unowned self] in take($0) }
      connection.onClose = { [unowned self] reason in
        self.connection = nil
        if !isOpen, case .failed(let error) = reason { return failed(error) }
        closed(reason)
      }
    } catch {
      failed(error)
    }
  }

  private func opened() {
    guard let get else { return finish(.passed) }
    connection?.send(HTTPCheckText.request(get, agent: check.isHook ? "kube-lifecycle" : "kube-probe"))
  }

  // MARK: - The answer

  private func take(_ bytes: [UInt8]) {
    guard get != nil else { return }
    let before = received.count
    received += bytes.prefix(max(0, Self.headLimit + Self.bodyLimit - before))
    // A long head is read when its end comes, and not with each piece of it.
    let end = received[max(0, before - 3)...]
    let mayEnd = before < Self.shortHead || received.count >= Self.headLimit || Self.hasEmptyLine(end)
    if head != nil || mayEnd { consider(isClosed: false) }
  }

  private static let shortHead = 2_048

  private static func hasEmptyLine(_ bytes: ArraySlice<UInt8>) -> Bool {
    bytes.indices.contains { at in
      guard bytes[at] == 10, at + 1 < bytes.endIndex else { return false }
      return bytes[at + 1] == 10 || bytes[at + 1] == 13 && at + 2 < bytes.endIndex && bytes[at + 2] == 10
    }
  }

  private func closed(_ reason: Connection.CloseReason) {
    guard get != nil else { return finish(.failed("EOF")) }
    consider(isClosed: true)
    guard done != nil else { return }
    if case .failed(let error) = reason {
      fail(error.code == 0 ? error.message : "read tcp: \(IOError.text(error.code).lowercased())")
    } else {
      fail("EOF")
    }
  }

  private func consider(isClosed: Bool) {
    head = head ?? HTTPCheckText.Head(received)
    guard let answer = head else {
      if let line = HTTPCheckText.malformed(received) {
        fail("net/http: HTTP/1.x transport connection broken: malformed HTTP response \(DownwardAPI.quoted(line))")
      } else if received.count >= Self.headLimit {
        fail("net/http: server response headers exceeded \(Self.headLimit) bytes; aborted")
      }
      return
    }
    let body = received[answer.end...].prefix(Self.bodyLimit)
    guard isClosed || body.count >= Self.bodyLimit || answer.isWhole(body) else { return }
    judge(answer, body: String(decoding: body, as: UTF8.self))
  }

  private func judge(_ answer: HTTPCheckText.Head, body: String) {
    if answer.isRedirect, let location = answer.location, let get,
      let next = HTTPCheckText.redirect(get, to: location), next.host.lowercased() == get.host.lowercased()
    {
      redirects += 1
      guard redirects < Self.redirectLimit else { return fail("stopped after \(Self.redirectLimit) redirects") }
      return go(next)
    }
    switch answer.status {
    case _ where check.isHook: finish(.passed)
    case 200..<300: finish(.passed)
    case 300..<400: finish(.warned("Probe terminated redirects, Response body: \(body)"))
    default: finish(.failed("HTTP probe failed with statuscode: \(answer.status)"))
    }
  }
}
