// Which nodes are told that a pod of theirs has got more containers (pods/ephemeralcontainers). Level-triggered: what
// is lost with a session is told again by the first answer of the next. It must not know how such containers are
// started.

import ClusterProto

extension CoordinatorCore {
  /// A pod has changed: where it has more containers than before its node is told, once that is durable.
  mutating func noteGrowth(_ before: Pod?, _ after: Pod) {
    guard !after.spec.ephemeralContainers.isEmpty,
      before?.spec.ephemeralContainers.count != after.spec.ephemeralContainers.count,
      let number = fleet.attemptOfPod[after.meta.uid], let node = fleet.attempts[number]?.node,
      let session = fleet.nodes[node]?.session
    else { return }
    fleet.sessions[session]?.grown.insert(number)
    fleet.touched.insert(session)
  }

  /// Whether this session's keeper has containers to add to the attempt, or had them before.
  func isGrown(_ number: AttemptNumber, _ id: SessionID) -> Bool {
    ownPod(of: number, id)?.spec.ephemeralContainers.isEmpty == false
  }
}
