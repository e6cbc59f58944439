// What `stint agent` is told by its flags. Data only; it must not know what becomes of it.

import AgentCore
import ClusterProto

/// Settings of `stint agent`.
package struct AgentOptions: Sendable {
  /// Addresses of the coordinator, HOST:PORT each, tried in turn.
  package var coordinators: [String]
  /// The node's name.
  package var name: String
  /// The agent's data directory.
  package var data: String
  /// The data directory of a coordinator on this machine, whose authority gives the agent its identity; nil: the one
  /// in `DATA/identity` is used.
  package var authority: String?
  /// How a machine without an identity gets one.
  package var join: JoinToken?
  /// Why the token that was given cannot be read; said where the machine does without.
  package var joinProblem: String?
  /// What the node offers; nil: what the machine has.
  package var cpuMillicores: Int64?
  /// What the node offers, in bytes; nil: what the machine has.
  package var memoryBytes: Int64?
  /// How many pods it takes at once.
  package var pods: Int64 = 110
  /// The most processes of a pod; nil: no bound.
  package var podProcesses: Int64?
  /// What is kept from pods; nil: nothing.
  package var reserved: NodeReserve?
  /// Extended resources that it hands out.
  package var devices: [DeviceOffer] = []
  /// The node's own labels.
  package var labels = StringMap()
  /// The node's address; nil: the one that the coordinator is reached from.
  package var nodeIP: String?
  /// The user that pods run as; nil: the agent's own.
  package var podUser: String?
  /// A frozen pod is killed after so many ms.
  package var frozenKillMilliseconds: Int64 = 600_000
  /// How little is too little, and how long there must be enough before the node says so.
  package var eviction = EvictionSettings()
  /// Bytes of log kept for a container; the oldest go beyond it.
  package var logLimit = LogFile.usualLimit
  /// What it does with images.
  package var images = ImageSettings()
  /// An agent whose data directory is not at its path for so long ends.
  package var lostDirectoryMilliseconds: Int64 = 10_000
  /// Called once its loop runs.
  package var onStart: @Sendable () -> Void = {}
  /// The agent's version.
  package var version = ""

  /// An agent of this name that works for the coordinator at those addresses (`HOST:PORT`).
  package init(coordinators: [String], name: String, data: String) {
    self.coordinators = coordinators
    self.name = name
    self.data = data
  }
}
