// The one place where a pod ends Failed without a word of its keeper: lost with its node, left without a Node object,
// or deleted before it ran. Nothing of such a pod may look alive afterwards. It must not decide when that is so.

import ClusterProto

extension CoordinatorCore {
  /// Ends a pod that nothing runs of any more and whose end nobody reports. Its containers are terminated as kubelet
  /// does with those that it cannot find (137, ContainerStatusUnknown), one that waited too: none may look as if it
  /// would still start. `why` goes into the pod's message and, where a container ran, an Event.
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
      for position in pod.status.ephemeralContainers.indices {
        if pod.status.ephemeralContainers[position].end(at: wall) { didRun = true }
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

  /// Terminates a container that has not ended, in kubelet's words; whether it was running.
  fileprivate mutating func end(at wall: WallTime) -> Bool {
    ready = false
    started = false
    var since: WallTime?
    switch state {
    case .terminated: return false
    case .running(let start): since = start
    case .waiting: break
    }
    state = .terminated(
      ContainerState.Termination(
        exitCode: 137, reason: Self.unknownReason,
        message: "The container could not be located when the pod was terminated",
        startedAt: since ?? WallTime(nanoseconds: 0),
        finishedAt: since == nil ? WallTime(nanoseconds: 0) : wall))
    return since != nil
  }
}
