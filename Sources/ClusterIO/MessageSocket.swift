// Owns: unix sockets that keep messages apart and can pass descriptors with them. It must not know what is said.

import CLinux
import Glibc

/// One end of such a connection, on the loop, which keeps it alive until it is closed.
package final class MessageSocket {
  /// A message, with the descriptors that came with it: they are the handler's. It gets at most `limit` bytes.
  package var onMessage: ((_ bytes: ArraySlice<UInt8>, _ descriptors: [Int32]) -> Void)?
  /// The other side closed it, or it failed. Not called after `close`.
  package var onClose: (() -> Void)?

  private let loop: EventLoop
  private let descriptor: Int32
  private let limit: Int
  private var isOpen = true

  /// Takes over a connected socket of that kind.
  private init(loop: EventLoop, descriptor: Int32, limit: Int) throws(IOError) {
    self.loop = loop
    self.descriptor = descriptor
    self.limit = limit
    do throws(IOError) {
      try loop.add(descriptor, .readable) { [self] _ in receive() }
    } catch {
      Glibc.close(descriptor)
      throw error
    }
  }

  /// Connects to the one that listens at `path`.
  package static func connect(loop: EventLoop, path: String, limit: Int) throws(IOError) -> MessageSocket {
    let descriptor = stint_message_socket(path, 0)
    guard descriptor >= 0 else { throw IOError.last("connect", path) }
    return try MessageSocket(loop: loop, descriptor: descriptor, limit: limit)
  }

  /// Listens at `path`, with mode 0600, as long as the process lives. `onAccept` sets the handlers before it returns.
  package static func listen(
    loop: EventLoop, path: String, limit: Int, onAccept: @escaping (MessageSocket) -> Void
  ) throws(IOError) {
    let listening = stint_message_socket(path, 1)
    guard listening >= 0 else { throw IOError.last("listen on", path) }
    try loop.add(listening, .readable) { _ in
      let accepted = stint_accept(listening)
      guard accepted >= 0, let socket = try? MessageSocket(loop: loop, descriptor: accepted, limit: limit) else {
        return
      }
      onAccept(socket)
    }
  }

  /// Sends a message, with at most three descriptors, which stay the caller's. A side that takes none is closed.
  package func send(_ bytes: [UInt8], passing descriptors: [Int32] = []) {
    guard isOpen else { return }
    var header = stint_message()
    let sent = bytes.withUnsafeBytes {
      stint_message_send(descriptor, &header, $0.baseAddress, $0.count, descriptors, Int32(descriptors.count))
    }
    if sent < 0 { loop.atTurnEnd { [self] in ended() } }
  }

  /// Closes it; what was sent arrives.
  package func close() {
    guard isOpen else { return }
    isOpen = false
    loop.remove(descriptor)
    Glibc.close(descriptor)
    onMessage = nil
    onClose = nil
  }

  private func receive() {
    var buffer = [UInt8](repeating: 0, count: limit)
    var passed = [Int32](repeating: -1, count: Int(STINT_STREAMS))
    var header = stint_message()
    let size = buffer.withUnsafeMutableBytes {
      stint_message_receive(descriptor, &header, $0.baseAddress, $0.count, &passed)
    }
    if size < 0 {
      if errno != EAGAIN, errno != EINTR { ended() }
      return
    }
    let descriptors = passed.filter { $0 >= 0 }
    guard let onMessage else {
      for descriptor in descriptors { Glibc.close(descriptor) }
      return
    }
    onMessage(buffer.prefix(size), descriptors)
  }

  private func ended() {
    let handler = onClose
    close()
    handler?()
  }
}
