// log: which pod, container and attempt a log is of, or Kubernetes' words for why there is none. The bytes go past
// the core.

import ClusterProto

extension CoordinatorCore {
  mutating func log(_ request: APIRequest, _ id: RequestID) throws(APIFailure) {
    guard request.kind == .pods else { throw .noSuchResource }
    guard case .pod(let pod)? = state[reference(request)] else { throw .notFound(.pods, request.name) }
    let options = request.options
    try checkLogOptions(options)
    let container = try containerName(options.container, pod)
    try checkLogState(pod, container, previous: options.previous)
    switch logTarget(forPod: pod.meta.key) {
    case .unreachable(let why):
      // Without a node it is the request that is wrong; an agent that is away is the server's fault.
      if pod.nodeName == nil || pod.status.fencingToken == nil { throw .badRequest(why) }
      throw APIFailure(
        code: 500, reason: "InternalError", message: why, details: ["causes": [["message": .string(why)]]])
    case .agent(let session, let attempt):
      outputs.append(
        .startLogs(
          id, session,
          LogRequest(
            stream: String(id), attempt: attempt, container: container, follow: options.follow,
            previous: options.previous, tailLines: options.tailLines, sinceSeconds: options.sinceSeconds,
            sinceTime: options.sinceTime, timestamps: options.timestamps, limitBytes: options.limitBytes)))
    }
  }

  private func checkLogOptions(_ options: APIOptions) throws(APIFailure) {
    var errors = FieldErrors()
    if let lines = options.tailLines, lines < 0 {
      errors.invalid("tailLines", .int(lines), JobValidation.notNegative)
    }
    if let bytes = options.limitBytes, bytes < 1 {
      errors.invalid("limitBytes", .int(bytes), "must be greater than 0")
    }
    if options.sinceSeconds != nil, options.sinceTime != nil {
      errors.forbidden("", "at most one of `sinceTime` or `sinceSeconds` may be specified")
    } else if let seconds = options.sinceSeconds, seconds < 1 {
      errors.invalid("sinceSeconds", .int(seconds), "must be greater than 0")
    }
    if errors.isEmpty { return }
    let texts = errors.all.map(\.text)
    let list = texts.count == 1 ? texts[0] : "[\(texts.joined(separator: ", "))]"
    throw APIFailure(
      code: 422, reason: "Invalid", message: "PodLogOptions \"\" is invalid: \(list)",
      details: ["kind": "PodLogOptions", "causes": .array(errors.all.map(\.cause))])
  }

  /// The container that a request means, in Kubernetes' words where it is not clear.
  func containerName(_ given: String?, _ pod: Pod) throws(APIFailure) -> String {
    let names = pod.spec.containers.map(\.name)
    let initial = pod.spec.initContainers.map(\.name)
    if let given, !given.isEmpty {
      let added = pod.spec.ephemeralContainers
      if names.contains(given) || initial.contains(given) || added.contains(where: { $0.name == given }) {
        return given
      }
      throw .badRequest("container \(given) is not valid for pod \(pod.meta.name)")
    }
    if let marked = pod.meta.annotations["kubectl.kubernetes.io/default-container"], names.contains(marked) {
      return marked
    }
    if names.count == 1, let only = names.first { return only }
    var message =
      "a container name must be specified for pod \(pod.meta.name), choose one of: [\(names.joined(separator: " "))]"
    if !initial.isEmpty { message += " or one of the init containers: [\(initial.joined(separator: " "))]" }
    throw .badRequest(message)
  }

  private func checkLogState(_ pod: Pod, _ container: String, previous: Bool) throws(APIFailure) {
    let status = pod.status.allContainers.first { $0.name == container }
    if previous {
      if status?.lastTermination == nil {
        throw .badRequest("previous terminated container \"\(container)\" in pod \"\(pod.meta.name)\" not found")
      }
      return
    }
    if pod.nodeName == nil, pod.status.phase == .pending {
      let why = pod.status.condition("PodScheduled")?.message ?? ""
      throw .badRequest("pod \"\(pod.meta.name)\" has no node yet\(why.isEmpty ? "" : ": \(why)")")
    }
    let waiting: (reason: String, message: String)? =
      switch status?.state {
      case .waiting(let reason, let message)?: status?.lastTermination == nil ? (reason, message) : nil
      case nil: pod.status.phase == .pending ? ("", "") : nil
      default: nil
      }
    if let waiting {
      let because =
        (waiting.reason.isEmpty ? "ContainerCreating" : waiting.reason)
        + (waiting.message.isEmpty ? "" : ": \(waiting.message)")
      throw .badRequest(
        "container \"\(container)\" in pod \"\(pod.meta.name)\" is waiting to start: \(because)")
    }
  }
}
