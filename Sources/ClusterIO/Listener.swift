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
  /// Given up to accept and drop a connection when descriptors run out: otherwise the loop would spin on it.
  private var spare = open("/dev/null", O_RDONLY | O_CLOEXEC)
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
    // What can fail here (no memory) leaves it as it was, which the next call may change.
    do throws(IOError) {
      try loop.modify(descriptor, accepting ? .readable : [])
    } catch {
      isAccepting = !accepting
    }
  }

  /// Stops listening; accepted connections live on.
  package func close() {
    guard isOpen else { return }
    isOpen = false
    loop.remove(descriptor)
    Glibc.close(descriptor)
    if spare >= 0 { Glibc.close(spare) }
    if case .unix(let path) = address { unlink(path) }
  }

  private func accept() {
    for _ in 0..<Listener.acceptsPerTurn where isOpen && isAccepting {
      let accepted = stint_accept(descriptor)
      if accepted < 0 {
        if errno == EMFILE || errno == ENFILE { dropOne() }
        if errno == ECONNABORTED || errno == EINTR { continue }
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

  private func dropOne() {
    if spare >= 0 { Glibc.close(spare) }
    let accepted = stint_accept(descriptor)
    if accepted >= 0 { Glibc.close(accepted) }
    spare = open("/dev/null", O_RDONLY | O_CLOEXEC)
    errno = EMFILE
  }
}
