// What the API layer remembers between turns: watches, their history, streams that are cut into turns.

import ClusterProto

struct APIState: Sendable {
  /// Below the free-space mark: client writes are refused, reports and deletes still taken.
  var diskLow = false
}

extension CoordinatorCore {
  mutating func apiObserve(_ change: ObjectChange, resourceVersion: Int64) {}
  mutating func beginAPI() {}
  mutating func handle(_ request: APIRequest, id: RequestID) {}
  mutating func cancelRequest(_ id: RequestID) {}
  mutating func runAPI(limit: Int) -> Int { 0 }
  mutating func fireAPITimers() {}
  mutating func finishAPITurn() {}
  mutating func nextAPITimer() -> BootTime? { nil }
}
