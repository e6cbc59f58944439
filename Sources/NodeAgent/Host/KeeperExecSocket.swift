// The keeper's end of DATA/exec.sock: one connection is one process in a container, or asks for a container's input.
// Holds the streams that came with a request until the process is started, and answers. Reads and writes no stream.
// Decides nothing.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc

/// The connections of who wants processes in containers, or their inputs.
final class KeeperExecSocket {
  private var connections: [ExecNumber: MessageSocket] = [:]
  private var streams: [ExecNumber: [Int32]] = [:]
  private var latest: ExecNumber = 0
  private let tell: (KeeperEvent) -> Void

  /// Listens there for as long as the keeper lives.
  init(loop: EventLoop, path: String, tell: @escaping (KeeperEvent) -> Void) throws(IOError) {
    self.tell = tell
    try MessageSocket.listen(loop: loop, path: path, limit: ExecRequest.limit) { [unowned self] socket in
      accept(socket)
    }
  }

  /// The streams that came with the request; they are the caller's from here on.
  func takeStreams(of number: ExecNumber) -> [Int32] { streams.removeValue(forKey: number) ?? [] }

  /// `descriptor` goes along, and is closed here; -1: none.
  func answer(_ number: ExecNumber, _ reply: ExecReply, passing descriptor: Int32 = -1) {
    connections[number]?.send(Array(reply.json.text.utf8), passing: descriptor < 0 ? [] : [descriptor])
    if descriptor >= 0 { close(descriptor) }
    if reply != .started { forget(number) }
  }

  private func accept(_ socket: MessageSocket) {
    latest += 1
    let number = latest
    connections[number] = socket
    socket.onMessage = { [unowned self] bytes, descriptors in take(number, bytes, descriptors) }
    socket.onClose = { [unowned self] in
      forget(number)
      tell(.execClosed(number))
    }
  }

  private func take(_ number: ExecNumber, _ bytes: ArraySlice<UInt8>, _ descriptors: [Int32]) {
    guard streams[number] == nil else {
      for descriptor in descriptors { close(descriptor) }
      return
    }
    streams[number] = descriptors
    do throws(MessageError) {
      guard let json = try? JSON(parsing: bytes) else { throw MessageError("exec request: no JSON, or too long") }
      if let request = try InputRequest(json: json) { return tell(.input(number, request)) }
      let request = try ExecRequest(json: json)
      guard descriptors.count == (request.terminal == nil ? 3 : 1) else {
        throw MessageError("exec request: \(descriptors.count) descriptors came with it")
      }
      tell(.exec(number, request))
    } catch {
      answer(number, .ended(.refused(.invalid, message: error.description)))
    }
  }

  private func forget(_ number: ExecNumber) {
    connections.removeValue(forKey: number)?.close()
    for descriptor in takeStreams(of: number) { close(descriptor) }
  }
}
