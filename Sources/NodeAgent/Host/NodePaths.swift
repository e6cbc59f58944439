// Where an agent and its keeper keep things under DATA. Names only; knows nothing of what is in the files.

import ClusterProto

/// Paths below one agent's data directory.
package struct NodePaths: Sendable {
  /// The data directory, absolute, without a slash at its end.
  package let data: String

  /// Paths below `data`.
  package init(data: String) { self.data = data }

  /// Held by the running agent.
  package var agentLock: String { data + "/agent.lock" }
  /// Held by the running keeper; it outlives agents.
  package var keeperLock: String { data + "/keeper.lock" }
  /// Where the keeper listens for its agent.
  package var keeperSocket: String { data + "/keeper.sock" }
  /// Where the keeper listens for who wants a process in a container.
  package var execSocket: String { data + "/exec.sock" }
  /// What the keeper did, for its successor.
  package var keeperJournal: String { data + "/keeper.journal" }
  /// Lines of the keeper's own log.
  package var keeperLog: String { data + "/keeper.log" }
  /// What the agent remembers across starts (highest incarnation, generated machine id).
  package var memory: String { data + "/agent.json" }
  /// Its certificate with its key, and the authority that it believes.
  package var identity: String { data + "/identity" }
  /// Where somebody said that the coordinator is, and it was: an address a line.
  package var coordinators: String { data + "/identity/coordinators" }
  /// Where the coordinator said last that it is: an address a line.
  package var toldCoordinators: String { data + "/identity/coordinators.told" }
  /// Written now and then, to see whether the disk answers.
  package var probe: String { data + "/probe" }
  /// Seccomp profiles that the node's people have put there, as kubelet has them.
  package var seccomp: String { data + "/seccomp" }
  /// Volumes of attempts, a directory each.
  package var pods: String { data + "/pods" }
  /// Volumes of claims that are directories of this node, one each. They outlive pods.
  package var claims: String { data + "/claims" }
  /// Where shares of NFS are mounted for pods, a directory each.
  package var shares: String { data + "/shares" }
  /// The usual volumes of tokens, a directory each, used by one attempt after the other.
  package var tokens: String { data + "/tokens" }
  /// Logs of attempts, a directory each.
  package var logs: String { data + "/logs" }

  /// Termination messages of running containers, a file each.
  package var messages: String { data + "/messages" }

  /// Images: layers, records of which are whole, and what is on its way.
  package var images: String { data + "/images" }
  /// What running containers of images have changed in their roots, a directory each.
  package var roots: String { data + "/roots" }
  /// Layers of images, a directory each.
  package var layers: String { data + "/images/layers" }

  /// Volumes of one attempt.
  package func pod(_ attempt: AttemptNumber) -> String { "\(pods)/\(attempt)" }
  /// Logs of one attempt.
  package func logs(_ attempt: AttemptNumber) -> String { "\(logs)/\(attempt)" }
  /// Logs of one container: `RESTART.log`, and `RESTART.log.1` for what was rotated out.
  package func logs(_ attempt: AttemptNumber, container: String) -> String { "\(logs(attempt))/\(container)" }
}
