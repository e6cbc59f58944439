// The way into a container's own standard input or terminal as the agent holds it for one client: the keeper hands it
// over (DATA/exec.sock), and bytes go in here directly. At most `limit` bytes wait for the container. Knows nothing of
// who is attached.

import CLinux
import ClusterIO
import ClusterProto
import Glibc

/// One client's way in. The loop keeps it alive until `close`.
final class AttachedInput {
  /// Once: what the container has, or why nobody can be attached to it.
  var onAnswer: ((ExecReply) -> Void)?
  /// Everything that was written to it has been taken, or is for nobody any more.
  var onDrained: (() -> Void)?

  /// Bytes that wait for the container to read them.
  var pending: Int { queue.count }
  /// Most of them: what is written beyond is refused.
  static let limit = 1 << 20

  /// What the container has, once that is known.
  private(set) var terms = ContainerInput()
  private let loop: EventLoop
  private var socket: MessageSocket?
  private let queue = ByteQueue()
  /// The terminal's other side or the input's writing end; -1: there is none, or none any more.
  private var descriptor: Int32 = -1
  private var isWatched = false
  private var isClosing = false

  /// Asks the keeper of that data directory. Throws where it cannot be asked.
  init(loop: EventLoop, paths: NodePaths, request: InputRequest) throws(IOError) {
    self.loop = loop
    let socket = try MessageSocket.connect(loop: loop, path: paths.execSocket, limit: ExecRequest.limit)
    self.socket = socket
    socket.onMessage = { [self] bytes, descriptors in take(bytes, descriptors) }
    socket.onClose = { [self] in answer(.ended(.gone)) }
    socket.send(Array(request.json.text.utf8))
  }

  private func take(_ bytes: ArraySlice<UInt8>, _ descriptors: [Int32]) {
    for surplus in descriptors.dropFirst() { Glibc.close(surplus) }
    descriptor = descriptors.first ?? -1
    let json = try? JSON(parsing: bytes)
    answer(json.flatMap { try? ExecReply(json: $0) } ?? .ended(.refused(.invalid, message: "no answer")))
  }

  private func answer(_ reply: ExecReply) {
    socket?.close()
    socket = nil
    if case .input(let terms) = reply { self.terms = terms }
    let handler = onAnswer
    onAnswer = nil
    handler?(reply)
  }

  /// False: more wait than may, and these are not taken. What is for nobody counts as taken.
  func write(_ bytes: [UInt8]) -> Bool {
    guard pending + bytes.count <= Self.limit else { return false }
    guard descriptor >= 0, terms.isOpen, !isClosing else { return true }
    queue.append(bytes)
    flush()
    return true
  }

  /// Gives the terminal another size.
  func resize(columns: UInt16, rows: UInt16) {
    if terms.isTerminal, descriptor >= 0 { _ = stint_terminal_resize(descriptor, columns, rows) }
  }

  /// Lets go of it when what waits has been read: an input that ends with its first client ends there. `onDrained`
  /// follows, now or later.
  func finish() {
    isClosing = true
    flush()
  }

  /// Lets go of it now; nothing is told any more.
  func close() {
    onAnswer = nil
    onDrained = nil
    socket?.close()
    socket = nil
    queue.removeAll()
    release()
  }

  private func flush() {
    while descriptor >= 0, pending > 0 {
      let written = queue.take { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if written < 0, errno == EINTR { continue }
      if written < 0 {
        if errno == EAGAIN { break }
        // Nobody reads it any more: the rest is for nobody.
        queue.removeAll()
        release()
      }
    }
    watch()
    guard pending == 0 else { return }
    if isClosing { release() }
    onDrained?()
  }

  /// Watched while something waits alone: the keeper reads a terminal's other side.
  private func watch() {
    let wanted = pending > 0 && descriptor >= 0
    guard wanted != isWatched else { return }
    isWatched = wanted
    if wanted {
      try? loop.add(descriptor, .writable) { [self] _ in flush() }
    } else {
      loop.remove(descriptor)
    }
  }

  private func release() {
    guard descriptor >= 0 else { return }
    if isWatched { loop.remove(descriptor) }
    isWatched = false
    Glibc.close(descriptor)
    descriptor = -1
  }
}
