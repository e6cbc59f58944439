// Owns: listening sockets. It must not know what is spoken on the connections it accepts.

import CLinux
import Glibc

/// A listening TCP or unix socket on the loop. Close it with `close`; the loop keeps it alive until then.
package final class Listener {
  /// Where it listens, with the port the system chose when 0 was asked for.
  package let address: SocketAddress

  private let loop: EventLoop
  private let descriptor: Int32
  private let onAccept: (Connection) -> Void
  private var isOpen = true
  private var isAccepting = true
  /// Files or memory ran out: who waits stays in the kernel's queue for a moment, or the loop would spin on it.
  private var isResting = false
  private var restTimer: LoopTimer?
  /// When the last line said that they ran out: boot nanoseconds.
  private var toldAt = Int64.min / 2
  private static let restNanoseconds: Int64 = 100_000_000
  private static let tellNanoseconds: Int64 = 60_000_000_000
  /// The system's accept, and its errno; for tests.
  var acceptOne: (Int32) -> (descriptor: Int32, code: Int32) = { listening in
    let accepted = stint_accept(listening)
    return (accepted, errno)
  }
  private static let acceptsPerTurn = 64

  /// Binds and listens. A unix socket's old file is removed first (hold the directory's `FileLock`) and gets mode 0600.
  /// `onAccept` sets the connection's handlers before it returns.
  package init(
    loop: EventLoop, at address: SocketAddress, onAccept: @escaping (Connection) -> Void
  ) throws(IOError) {
    if case .unix(let path) = address { unlink(path) }
    var code: Int32 = 0
    let (descriptor, result) = try address.withSocket { descriptor, pointer, size in
      var on: Int32 = 1
      setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, 4)
      var result = bind(descriptor, pointer, size)
      // Nobody can connect between bind and listen, so the mode is right before the first connection.
      if result == 0, case .unix(let path) = address { result = chmod(path, 0o600) }
      if result == 0 { result = listen(descriptor, 4096) }
      code = errno
      return result
    }
    guard result == 0 else {
      Glibc.close(descriptor)
      throw IOError(code: code, operation: "listen on", subject: address.description)
    }
    self.loop = loop
    self.descriptor = descriptor
    self.onAccept = onAccept
    self.address = SocketAddress.read(descriptor, local: true) ?? address
    try loop.add(descriptor, .readable) { [self] _ in accept() }
  }

  /// Lets no more connections in, or lets them in again: until then they wait in the kernel's queue.
  package func setAccepting(_ accepting: Bool) {
    guard isOpen, accepting != isAccepting else { return }
    isAccepting = accepting
    if !listenOrNot() { isAccepting = !accepting }
  }

  /// What can fail here (no memory) leaves it as it was, which the next call may change.
  private func listenOrNot() -> Bool {
    do throws(IOError) {
      try loop.modify(descriptor, isAccepting && !isResting ? .readable : [])
      return true
    } catch {
      return false
    }
  }

  /// Stops listening; accepted connections live on.
  package func close() {
    guard isOpen else { return }
    isOpen = false
    loop.remove(descriptor)
    Glibc.close(descriptor)
    restTimer?.arm(at: nil)
    if case .unix(let path) = address { unlink(path) }
  }

  private func accept() {
    for _ in 0..<Listener.acceptsPerTurn where isOpen && isAccepting {
      let (accepted, code) = acceptOne(descriptor)
      if accepted < 0 {
        if [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(code) {
          return rest(IOError(code: code, operation: "accept", subject: address.description))
        }
        if code == ECONNABORTED || code == EINTR { continue }
        return
      }
      let peer = SocketAddress.read(accepted, local: false) ?? address
      do {
        onAccept(try Connection(loop: loop, descriptor: accepted, peer: peer.description))
      } catch {
        Glibc.close(accepted)
      }
    }
  }

  private func rest(_ error: IOError) {
    let now = Clocks.boot()
    isResting = true
    _ = listenOrNot()
    let timer =
      restTimer
      ?? loop.makeTimer { [unowned self] in
        isResting = false
        if isOpen { _ = listenOrNot() }
      }
    restTimer = timer
    timer.arm(at: now + Self.restNanoseconds)
    guard now - toldAt >= Self.tellNanoseconds else { return }
    toldAt = now
    LogLine.write(
      level: "error", "who connects waits: nothing is left to accept connections with",
      [("reason", error.description), ("files", "at most \(DescriptorLimit.raise())")])
  }
}
