// What the coordinator knows of nodes beyond the API objects: sessions, keepers, leases, attempts.

import ClusterProto

struct FleetState: Sendable {
}

extension CoordinatorCore {
  mutating func fleetObserve(_ change: ObjectChange) {}
  mutating func restoreFleet(_ table: StoreTable, key: String, value: JSON) throws(CoordinatorStartError) {}
  mutating func restoreFleetAfterRows() {}
  mutating func beginFleet() {}
  mutating func sessionOpened(_ session: SessionID) {}
  mutating func sessionClosed(_ session: SessionID) {}
  mutating func receive(_ message: AgentMessage, from session: SessionID) {}
  mutating func beginPoliteStop() {}
  mutating func runFleet(limit: Int) -> Int { 0 }
  mutating func fireFleetTimers() {}
  func isPossiblyLive(podUID: String) -> Bool { false }
  func possiblyLiveCount(jobUID: String) -> Int { 0 }
  mutating func stopAttempt(podUID: String, graceMilliseconds: Int64) {}
  mutating func finishFleetTurn() {}
  mutating func nextFleetTimer() -> BootTime? { nil }
}

/// Where a pod's log can be asked for.
enum LogTarget: Equatable, Sendable {
  case agent(SessionID, AttemptNumber)
  case unreachable(String)
}

extension CoordinatorCore {
  func logTarget(forPod key: ObjectKey) -> LogTarget { .unreachable("the pod's node is not connected") }
}
