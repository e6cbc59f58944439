// Owns: a relay between an agent and its coordinator whose directions can be held up one by one, as a broken network
// does: held bytes are not lost, they come late. It must not know what the bytes say.

import ClusterIO
import Dispatch
import Synchronization

final class Proxy: Sendable {
  struct Held: Sendable {
    var toCoordinator = false
    var toAgent = false
  }

  private struct State {
    var held = Held()
    var address: String?
    var isOver = false
  }

  private let state = Mutex(State())
  private let ended = DispatchSemaphore(value: 0)

  /// `HOST:PORT` to connect to.
  var address: String { state.withLock { $0.address ?? "" } }

  init(to server: String) throws {
    DispatchQueue(label: "proxy").async { [self] in
      do { try relay(to: server) } catch { print("proxy: \(error)") }
      ended.signal()
    }
    try eventually("the proxy listens") { state.withLock { $0.address != nil } }
  }

  func hold(_ held: Held) { state.withLock { $0.held = held } }

  func end() {
    state.withLock { $0.isOver = true }
    ended.wait()
  }

  private func relay(to server: String) throws {
    let loop = try EventLoop()
    guard let target = SocketAddress(parsing: server) else { throw Failure("\(server) is no address") }
    var pairs: [(agent: Connection, coordinator: Connection)] = []
    let listener = try Listener(loop: loop, at: .tcp(host: "127.0.0.1", port: 0)) { agent in
      guard let coordinator = try? Connection.connect(loop: loop, to: target) else { return agent.close() }
      agent.onBytes = { coordinator.send($0) }
      coordinator.onBytes = { agent.send($0) }
      agent.onClose = { _ in coordinator.close() }
      coordinator.onClose = { _ in agent.close() }
      pairs.append((agent, coordinator))
    }
    state.withLock { $0.address = listener.address.description }
    while !state.withLock({ $0.isOver }) {
      let held = state.withLock { $0.held }
      pairs.removeAll { !$0.agent.isOpen || !$0.coordinator.isOpen }
      for pair in pairs {
        pair.agent.setReading(!held.toCoordinator)
        pair.coordinator.setReading(!held.toAgent)
      }
      try loop.runOnce(timeoutMilliseconds: 10)
    }
    for pair in pairs { pair.agent.close() }
    listener.close()
    try loop.runOnce(timeoutMilliseconds: 1)
  }
}
