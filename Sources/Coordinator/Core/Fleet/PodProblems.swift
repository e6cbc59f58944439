// What keeps a pod from running, as kubelet's Events, so that `kubectl describe pod` shows it: made of the changes in
// keepers' reports. A pod that starts and ends as it should causes none.

import ClusterProto

extension CoordinatorCore {
  private static let component = "kubelet"

  /// Compares what was shown before with what a report of `node` has made of it.
  mutating func recordProblems(of pod: Pod, before: PodStatus, node: String) {
    if pod.status.reason != before.reason { recordEnd(of: pod, node) }
    // A volume holds up every container and is told once.
    var isMountTold = false
    recordProblems(
      of: pod, "initContainers", pod.status.initContainers, before.initContainers, node, &isMountTold)
    recordProblems(of: pod, "containers", pod.status.containers, before.containers, node, &isMountTold)
    let (added, former) = (pod.status.ephemeralContainers, before.ephemeralContainers)
    if !added.isEmpty {
      recordStarts(of: pod, added, former, node)
      recordProblems(of: pod, "ephemeralContainers", added, former, node, &isMountTold)
    }
  }

  /// Somebody waits for a container that he has added: kubelet's words of its start.
  private mutating func recordStarts(
    of pod: Pod, _ added: [ContainerStatus], _ before: [ContainerStatus], _ node: String
  ) {
    for container in added where container.hasRun && before.first(where: { $0.name == container.name })?.hasRun != true
    {
      let path = "spec.ephemeralContainers{\(container.name)}"
      tell(pod, "Created", "Container created", node, path, type: .normal)
      tell(pod, "Started", "Container started", node, path, type: .normal)
    }
  }

  private mutating func recordProblems(
    of pod: Pod, _ list: String, _ containers: [ContainerStatus], _ before: [ContainerStatus], _ node: String,
    _ isMountTold: inout Bool
  ) {
    for (position, container) in containers.enumerated() {
      if position < before.count, before[position].state == container.state { continue }
      switch container.state {
      case .running: continue
      case .waiting(let reason, let message):
        switch reason {
        case "CreateContainerConfigError":
          tell(pod, "Failed", "Error: \(message)", node, "spec.\(list){\(container.name)}")
        case "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName":
          tellImage(pod, container, reason, message, node, "spec.\(list){\(container.name)}")
        case "CrashLoopBackOff":
          let name = "\(pod.meta.name)_\(pod.meta.namespace)(\(pod.meta.uid))"
          let text = "Back-off restarting failed container \(container.name) in pod \(name)"
          tell(pod, "BackOff", text, node, "spec.\(list){\(container.name)}")
        case "ContainerCreating", "PodInitializing", "FailedMount":
          if message.isEmpty || isMountTold { continue }
          isMountTold = true
          tell(pod, "FailedMount", message, node)
        default: continue
        }
      case .terminated(let end):
        guard end.reason == "ContainerCannotRun" || end.reason == "StartError" else { continue }
        tell(pod, "Failed", "Error: \(end.message)", node, "spec.\(list){\(container.name)}")
      }
    }
  }

  /// What the kubelet says of an image that cannot be had: what went wrong, then that the container waits for it.
  private mutating func tellImage(
    _ pod: Pod, _ container: ContainerStatus, _ reason: String, _ message: String, _ node: String, _ path: String
  ) {
    switch reason {
    case "ErrImagePull": tell(pod, "Failed", "Failed to pull image \"\(container.image)\": \(message)", node, path)
    case "ImagePullBackOff":
      tell(pod, "BackOff", "Back-off pulling image \"\(container.image)\"", node, path, type: .normal)
    case "ErrImageNeverPull": tell(pod, reason, message, node, path)
    default: tell(pod, "InspectFailed", message, node, path)
    }
    tell(pod, "Failed", "Error: \(reason)", node, path)
  }

  private mutating func recordEnd(of pod: Pod, _ node: String) {
    switch pod.status.reason {
    case "Evicted", "FailedCreatePodSandBox": tell(pod, pod.status.reason, pod.status.message, node)
    case "DeadlineExceeded": tell(pod, pod.status.reason, pod.status.message, node, type: .normal)
    default: break
    }
  }

  /// An Event of the pod by its node.
  mutating func tell(
    _ pod: Pod, _ reason: String, _ message: String, _ node: String, _ fieldPath: String = "",
    type: EventType = .warning
  ) {
    // An Event's message is bounded by the API.
    let text =
      message.utf8.count <= 1_024 ? message : String(decoding: message.utf8.prefix(1_021), as: UTF8.self) + "..."
    recordEvent(
      on: .pod(pod), type: type, reason: reason, message: text, component: Self.component, host: node,
      fieldPath: fieldPath)
  }
}

extension ContainerStatus {
  /// Its command has been reached.
  fileprivate var hasRun: Bool {
    switch state {
    case .waiting: false
    case .running: true
    case .terminated(let end): end.reason != "ContainerCannotRun" && end.reason != "StartError"
    }
  }
}
