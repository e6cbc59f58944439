// The one place where a pod ends Failed without a word of its keeper: lost with its node, left without a Node object,
// or deleted before it ran. Nothing of such a pod may look alive afterwards. It must not decide when that is so.

import ClusterProto

extension CoordinatorCore {
  /// Ends a pod that nothing runs of any more and whose end nobody reports. A container that ran is terminated as
  /// Kubernetes shows one that it cannot find (137, ContainerStatusUnknown). `why` goes into the pod's message and,
  /// where a container ran, an Event.
  mutating func failUnreported(_ key: ObjectKey, podUID: String, why: String) {
    let wall = now.wall
    var didRun = false
    let pod = updatePod(key) { pod in
      guard pod.meta.uid == podUID, !pod.status.phase.isTerminal else { return }
      pod.status.phase = .failed
      if pod.status.message.isEmpty { pod.status.message = why }
      for type in ["Ready", "ContainersReady"] {
        guard var condition = pod.status.condition(type), condition.isTrue else { continue }
        condition.status = "False"
        condition.reason = "PodFailed"
        condition.lastTransition = wall
        pod.status.set(condition)
      }
      for position in pod.status.initContainers.indices where pod.status.initContainers[position].end(at: wall) {
        didRun = true
      }
      for position in pod.status.containers.indices where pod.status.containers[position].end(at: wall) {
        didRun = true
      }
    }
    guard let pod, didRun else { return }
    recordEvent(
      on: .pod(pod), type: .warning, reason: ContainerStatus.unknownReason, message: why,
      component: "stint-coordinator", host: pod.nodeName ?? "")
  }
}

extension ContainerStatus {
  static let unknownReason = "ContainerStatusUnknown"

  /// Terminates a running container, in kubelet's words; whether it was one.
  fileprivate mutating func end(at wall: WallTime) -> Bool {
    ready = false
    started = false
    guard case .running(let since) = state else { return false }
    state = .terminated(
      ContainerState.Termination(
        exitCode: 137, reason: Self.unknownReason,
        message: "The container could not be located when the pod was terminated", startedAt: since, finishedAt: wall))
    return true
  }
}
