// Cells of a pod's row: READY, STATUS, RESTARTS exactly as Kubernetes' printPod computes them.

import ClusterProto

enum PodCells {
  static func cells(_ pod: Pod, _ now: WallTime) -> [JSON] {
    let summary = Summary(pod)
    var restarts = "\(summary.restarts)"
    if summary.restarts > 0, let last = summary.lastRestart {
      restarts += " (\(humanDuration(milliseconds: now.milliseconds(since: last))) ago)"
    }
    let gates = pod.spec.json["readinessGates"]?.arrayValue ?? []
    let met = gates.filter { pod.status.condition($0["conditionType"]?.stringValue ?? "")?.isTrue == true }.count
    return [
      .string(pod.meta.name), .string("\(summary.ready)/\(summary.total)"), .string(summary.reason), .string(restarts),
      .string(Tables.age(pod.meta.creationTimestamp, now)), Tables.orNone(pod.status.podIP),
      Tables.orNone(pod.nodeName),
      Tables.orNone(pod.status.nominatedNodeName), .string(gates.isEmpty ? "<none>" : "\(met)/\(gates.count)"),
    ]
  }

  /// What printPod gathers from a pod's containers.
  struct Summary: Equatable, Sendable {
    var reason: String
    var ready = 0
    var total: Int
    var restarts: Int64 = 0
    var lastRestart: WallTime?

    init(_ pod: Pod) {
      let sidecars = pod.spec.initContainers.filter(\.isSidecar)
      total = pod.spec.containers.count + sidecars.count
      reason = pod.status.reason.isEmpty ? pod.status.phase.rawValue : pod.status.reason
      if pod.status.condition("PodScheduled")?.reason == "SchedulingGated" { reason = "SchedulingGated" }
      let sidecarNames = sidecars.map(\.name)
      let isInitializing = initContainers(pod, sidecarNames)
      if !isInitializing || pod.status.condition("Initialized")?.isTrue == true {
        containers(pod, sidecarNames)
      }
      if pod.meta.deletionTimestamp != nil {
        if pod.status.reason == "NodeLost" {
          reason = "Unknown"
        } else if !pod.status.phase.isTerminal {
          reason = "Terminating"
        }
      }
    }

    private mutating func noteRestart(_ status: ContainerStatus) {
      guard let finished = status.lastTermination?.finishedAt, finished.nanoseconds != 0 else { return }
      lastRestart = max(lastRestart ?? finished, finished)
    }

    /// The first init container that is not done decides; true while there is one.
    private mutating func initContainers(_ pod: Pod, _ sidecars: [String]) -> Bool {
      for (index, status) in pod.status.initContainers.enumerated() {
        restarts = restarts.addingSaturated(status.restartCount)
        noteRestart(status)
        let isSidecar = sidecars.contains(status.name)
        switch status.state {
        case .terminated(let end) where end.exitCode == 0: continue
        case .terminated(let end):
          if !end.reason.isEmpty {
            reason = "Init:\(end.reason)"
          } else if end.signal != 0 {
            reason = "Init:Signal:\(end.signal)"
          } else {
            reason = "Init:ExitCode:\(end.exitCode)"
          }
        case _ where isSidecar && status.started == true:
          if status.ready { ready += 1 }
          continue
        case .waiting(let why, _) where !why.isEmpty && why != "PodInitializing": reason = "Init:\(why)"
        default: reason = "Init:\(index)/\(pod.spec.initContainers.count)"
        }
        return true
      }
      return false
    }

    private mutating func containers(_ pod: Pod, _ sidecars: [String]) {
      // After initialisation the restarts of plain init containers no longer count.
      restarts = 0
      lastRestart = nil
      for status in pod.status.initContainers where sidecars.contains(status.name) {
        restarts = restarts.addingSaturated(status.restartCount)
        noteRestart(status)
      }
      var hasRunning = false
      var failure: String?
      for status in pod.status.containers.reversed() {
        restarts = restarts.addingSaturated(status.restartCount)
        noteRestart(status)
        switch status.state {
        case .waiting(let why, _): if !why.isEmpty { reason = why }
        case .terminated(let end):
          if !end.reason.isEmpty {
            reason = end.reason
          } else if end.signal != 0 {
            reason = "Signal:\(end.signal)"
          } else {
            reason = "ExitCode:\(end.exitCode)"
          }
          if end.exitCode != 0 || end.signal != 0 { failure = reason }
        case .running:
          if status.ready {
            hasRunning = true
            ready += 1
          }
        }
      }
      guard reason == "Completed" else { return }
      if hasRunning {
        reason = pod.status.isReady ? "Running" : "NotReady"
      } else if let failure {
        // Since 1.36 a failed sibling shows through the last container's success.
        reason = failure
      }
    }
  }
}
