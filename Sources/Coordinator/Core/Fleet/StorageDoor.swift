// Owns: what Storage asks of the fleet: whose session a node has, that something is tried again later, that waiting
// pods are tried again. It must not know claims or volumes.

import ClusterProto

extension CoordinatorCore {
  /// The session of a node; nil: it is away.
  func session(ofNode name: String) -> SessionID? { fleet.nodes[name]?.session }

  /// The node that speaks in the session; nil: the session is over, or none of a node.
  func node(of session: SessionID) -> String? {
    guard let name = fleet.sessions[session]?.node, fleet.nodes[name]?.session == session else { return nil }
    return name
  }

  /// Attempts that may use the claim, sorted: a look at all of them, for checks.
  func fleetAttempts(using claim: ObjectKey) -> [AttemptNumber] {
    fleet.attempts.values.filter { $0.pod.namespace == claim.namespace && $0.claims.contains(claim.name) }
      .map(\.number).sorted()
  }

  /// `retryStorage` follows after so many milliseconds.
  mutating func retryStorage(after milliseconds: Int64) {
    fleet.timers.set(.storage, at: now.boot + milliseconds)
  }

  /// What kept the group's pods from every node may be over.
  mutating func wake(_ group: WaitingGroupKey) {
    guard let id = fleet.scheduler.groups[group]?.classID else { return }
    fleet.scheduler.classes.openAll(id)
    fleet.scheduler.classes.wake(id, anywhere: true)
  }
}
