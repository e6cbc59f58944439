// Owns: the port of the Kubernetes API where the wanted one may be taken. It must not know what is served on it.

import ClusterIO
import Glibc

extension Listener {
  /// Below those that the system gives to clients: a client could hold such a port when the coordinator comes back, and
  /// its kubeconfigs would be wrong.
  private static let otherPorts: ClosedRange<UInt16> = 20_000...32_000

  /// At the wanted address, or where it may move and that is taken, at another port.
  static func forAPI(
    _ loop: EventLoop, at wanted: SocketAddress, host: String, mayMove: Bool, _ accept: @escaping (Connection) -> Void
  ) throws(IOError) -> Listener {
    var address = wanted
    for _ in 0..<32 {
      if mayMove, address == .tcp(host: host, port: 0) {
        address = .tcp(host: host, port: .random(in: otherPorts))
      }
      do throws(IOError) {
        return try Listener(loop: loop, at: address, onAccept: accept)
      } catch {
        guard mayMove, error.code == EADDRINUSE else { throw error }
        ServerLog.info("the Kubernetes API's port is taken: another one is chosen", ("api", address.description))
        address = .tcp(host: host, port: 0)
      }
    }
    return try Listener(loop: loop, at: address, onAccept: accept)
  }
}
