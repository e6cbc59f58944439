// Owns: the settings of a coordinator's process, with their defaults. It must not know what is done with them.

import ClusterIO
import ClusterProto
import CoordinatorCore

/// Settings of the process around the core.
package struct ServerOptions {
  /// The data directory.
  package var directory: String
  /// Loopback only; port 0 lets the system choose.
  package var listen = SocketAddress.tcp(host: "127.0.0.1", port: 7420)
  /// Where the Kubernetes API is served over HTTPS; port 0 lets the system choose; nil: nowhere.
  package var api: SocketAddress?
  /// Names and addresses by which others reach this machine, the best first, beside those that it has itself.
  package var advertise: [String] = []
  /// Both doors.
  var listeners: [SocketAddress] { [listen] + (api.map { [$0] } ?? []) }
  /// When the port of `api` is taken the system chooses another.
  package var apiMayMove = false
  /// Of the core; `clusterID` is filled in from the store.
  package var configuration = CoordinatorConfiguration()
  /// Client writes are refused while the disk has fewer free bytes, or an eighth of it where that is less.
  package var freeSpaceMark: UInt64 = 64 << 20
  /// Start with less than was acknowledged, if the store is damaged, old or gone.
  package var acceptsLoss = false
  /// Start, once, with a store that was not served from this directory last, or that was put back into it (C4).
  package var isMoved = false
  /// Start, once, with whichever authority is in the directory, or make one, though the cluster had another.
  package var acceptsNewAuthority = false
  /// Bytes of watch events that may wait for slow clients of the Kubernetes API, those that are shared counted once.
  package var watchBacklogLimit = 128 << 20
  /// Bytes of all other answers that may wait, over both doors: beyond it who is furthest behind is closed.
  package var answerBacklogLimit = 128 << 20
  /// Connections whose hello takes longer are closed.
  package var helloMilliseconds = Handshake.timeoutMilliseconds
  /// SIGTERM, SIGINT and SIGHUP (its terminal is gone) stop it politely. False in tests, where signals are the test's.
  package var handlesSignals = true
  /// A polite stop takes no longer, whatever disk and clients do.
  package var stopMilliseconds: Int64 = 5_000
  /// Files that the process may have open, for tests; nil: what the system says.
  var descriptorLimit: Int?
  /// Runs on the store's thread before each transaction: lets a test hold it.
  package var beforeCommit: @Sendable () -> Void = {}

  /// The defaults for a data directory.
  package init(directory: String) { self.directory = directory }
}
