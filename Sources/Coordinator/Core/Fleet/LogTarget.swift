// Where a pod's log can be read now. The log's bytes never pass through the core.

import ClusterProto

/// The agent session and attempt that hold a pod's logs, or why there is none, in Kubernetes' words.
enum LogTarget: Equatable, Sendable {
  case agent(SessionID, AttemptNumber)
  case unreachable(String)
}

extension CoordinatorCore {
  /// Logs stay on the node that ran the attempt, also after its end, until the pod object goes.
  func logTarget(forPod key: ObjectKey) -> LogTarget {
    guard let pod = state.pods[key], let name = pod.nodeName, let attempt = pod.status.fencingToken else {
      return .unreachable("pod \(key.name) does not have a host assigned")
    }
    guard let session = fleet.nodes[name]?.session else {
      return .unreachable(
        "pod \(key.name) and its log are on node \(name): no agent of node \(name) is connected")
    }
    return .agent(session, attempt)
  }
}
