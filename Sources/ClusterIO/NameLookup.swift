// Owns: looking up the name of a coordinator, which may take seconds: at once for commands that somebody waits for, on
// a thread for loops that others wait for. It must not know who connects, nor what for.

import Glibc

/// The system's resolver.
package enum NameLookup {
  /// Why a name stands for nothing.
  package struct Failure: Error, Equatable {
    /// In words.
    package let message: String
    /// Asking again may help.
    package let isTemporary: Bool
  }

  /// What an address with a name stands for, in the resolver's order; one without stands for itself. It may wait for as
  /// long as the system's resolver does.
  package static func addresses(of address: SocketAddress) throws(Failure) -> [SocketAddress] {
    guard case .tcp(let host, let port) = address, !address.isNumeric else { return [address] }
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var found: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(host, nil, &hints, &found)
    defer { freeaddrinfo(found) }
    guard code == 0 else {
      throw Failure(
        message: "the name \(host) of the coordinator cannot be looked up: \(String(cString: gai_strerror(code)))",
        isTemporary: code == EAI_AGAIN)
    }
    var result: [SocketAddress] = []
    var next = found
    while let entry = next {
      next = entry.pointee.ai_next
      var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
      let numeric = getnameinfo(
        entry.pointee.ai_addr, entry.pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
      guard numeric == 0 else { continue }
      let host = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      let known = SocketAddress.tcp(host: host, port: port)
      if known.isNumeric, !result.contains(known) { result.append(known) }
    }
    guard !result.isEmpty else {
      throw Failure(message: "the name \(host) of the coordinator has no address", isTemporary: false)
    }
    return result
  }
}

/// Looks names up for a loop, on threads, so that one whose servers are dead holds up no other: anew for each
/// connection, since what a name stands for may change.
package final class NameResolver {
  /// What a look-up came to.
  package typealias Outcome = Result<[SocketAddress], NameLookup.Failure>

  private struct Waiting {
    var address: SocketAddress
    var done: (Outcome) -> Void
  }

  private let look: @Sendable (SocketAddress) -> Outcome
  private let threads: WorkerPool
  private static let threadLimit = 8
  private let answers: Mailbox<(SocketAddress, Outcome)>
  private var lastNumber = 0
  private var waiting: [Int: Waiting] = [:]
  /// Of which the threads have been asked: each once, however many wait for it.
  private var underWay: Set<SocketAddress> = []
  /// How often each was tried in vain since it answered last.
  private var failures: [SocketAddress: Int] = [:]
  private static let failureLimit = 64

  /// For `loop`, which must not outlive it. `look`: the system's resolver, but for tests.
  package init(
    loop: EventLoop,
    look: @escaping @Sendable (SocketAddress) -> Outcome = { address in
      do throws(NameLookup.Failure) {
        return .success(try NameLookup.addresses(of: address))
      } catch {
        return .failure(error)
      }
    }
  ) throws(IOError) {
    self.look = look
    threads = try WorkerPool(name: "stint-names", limit: Self.threadLimit)
    answers = try Mailbox()
    try loop.attach(answers) { [unowned self] answers in
      for (address, outcome) in answers { take(address, outcome) }
    }
  }

  /// Calls `done` in a later turn with what the name stands for, the address that answered last first. The number is
  /// for `cancel`.
  package func lookUp(_ address: SocketAddress, _ done: @escaping (Outcome) -> Void) -> Int {
    lastNumber += 1
    waiting[lastNumber] = Waiting(address: address, done: done)
    if underWay.insert(address).inserted {
      threads.post(key: Int64(lastNumber)) { [answers, look] in answers.post((address, look(address))) }
    }
    return lastNumber
  }

  /// Nobody waits for it any more.
  package func cancel(_ number: Int) { waiting[number] = nil }

  /// Whether a connection to one of the addresses came about.
  package func note(_ address: SocketAddress, works: Bool) {
    if works {
      failures[address] = nil
    } else {
      if failures.count >= Self.failureLimit { failures = [:] }
      failures[address, default: 0] += 1
    }
  }

  private func take(_ address: SocketAddress, _ outcome: Outcome) {
    underWay.remove(address)
    let ordered = outcome.map { found in
      // Stable: the resolver's own order is kept among equals.
      found.enumerated().sorted { left, right in
        let (one, other) = (failures[left.element] ?? 0, failures[right.element] ?? 0)
        return one == other ? left.offset < right.offset : one < other
      }.map(\.element)
    }
    for number in waiting.filter({ $0.value.address == address }).keys.sorted() {
      waiting.removeValue(forKey: number)?.done(ordered)
    }
  }
}
