// pods/eviction: the polite deletion that `kubectl drain` asks for. A pod's disruption budget may refuse it; how many
// pods may go is counted in DisruptionBudgets. What deletion does is the workload controllers'.

import ClusterProto

extension CoordinatorCore {
  static let evictionType = "Eviction"

  /// Deletes the pod with the Eviction's deleteOptions; the answer is a Status, as Kubernetes gives it.
  mutating func evict(_ request: APIRequest, _ id: RequestID) throws(APIFailure) {
    guard request.verb == .create else {
      throw .methodNotAllowed("the server does not allow this method on the requested resource")
    }
    guard let body = request.body, body.objectValue != nil else {
      throw .badRequest("the object provided is unrecognized (must be of type Eviction)")
    }
    let version = body["apiVersion"]?.stringValue ?? "policy/v1"
    guard version == "policy/v1", body["kind"]?.stringValue ?? Self.evictionType == Self.evictionType else {
      throw .badRequest(
        "\(body["kind"]?.stringValue ?? "") in version \(JSON.string(version).text) cannot be handled as a Eviction of "
          + "\"policy/v1\"")
    }
    let tree = try SchemaDecoder.decode(body, as: Self.evictionType)
    let warnings = try unknownFields(tree, request)
    let name = tree.json[path: ["metadata", "name"]]?.stringValue ?? ""
    if name != request.name { throw .badRequest("name in URL does not match name in Eviction object") }
    var deletion = request
    deletion.subresource = ""
    deletion.body = tree.json["deleteOptions"]
    let options = try DeleteOptions(deletion)
    guard case .pod(let pod) = try existing(deletion) else { throw .notFound(.pods, request.name) }
    try Self.checkPreconditions(options, .pod(pod))
    try checkBudget(of: pod)
    if !options.dryRun { markEvicted(pod) }
    // The condition that was just written does not break a precondition that held before it.
    _ = performDelete(try existing(deletion), options)
    let status: JSON = [
      "kind": "Status", "apiVersion": "v1", "metadata": .object(JSONObject()), "status": "Success", "code": 201,
    ]
    reply(id, .done(code: 201, object: status, warnings: warnings))
  }

  /// As in Kubernetes every pod is marked, whether it runs or waits, has ended or is on its way out: what a failure
  /// policy says of DisruptionTarget is meant for one that was still starting, too.
  private mutating func markEvicted(_ pod: Pod) {
    let wall = now.wall
    updatePod(pod.meta.key) { pod in
      pod.status.set(
        Condition(
          type: "DisruptionTarget", status: "True", reason: "EvictionByEvictionAPI", message: "Eviction API: evicting",
          lastTransition: wall))
    }
  }

  /// A pod that runs goes only where its budget has room; one that does not run, or is going already, always may.
  private func checkBudget(of pod: Pod) throws(APIFailure) {
    guard !pod.status.phase.isTerminal, pod.status.phase != .pending, pod.meta.deletionTimestamp == nil else { return }
    let keys = budgets(of: pod)
    guard let key = keys.first else { return }
    if keys.count > 1 {
      throw APIFailure(
        code: 500, reason: "",
        message: "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.")
    }
    let verdict = verdict(of: key)
    if !pod.status.isReady {
      let policy = state.other(.poddisruptionbudgets, key)?.body["spec"]?["unhealthyPodEvictionPolicy"]?.stringValue
      if policy == "AlwaysAllow" || verdict.failure == nil && verdict.desired > 0 && verdict.healthy >= verdict.desired
      {
        return
      }
    }
    guard verdict.allowed == 0 else { return }
    throw APIFailure(
      code: 429, reason: "TooManyRequests",
      message: "Cannot evict pod as it would violate the pod's disruption budget.",
      details: ["causes": [["reason": "DisruptionBudget", "message": .string(Self.refusal(by: key.name, verdict))]]])
  }

  private static func refusal(by name: String, _ verdict: BudgetVerdict) -> String {
    let refuses = "The disruption budget \(name) does not allow evicting pods currently"
    if let failure = verdict.failure { return "\(refuses) because it failed sync: \(failure)" }
    // More than enough may be healthy where none are expected: pods that nothing controls, under maxUnavailable.
    guard verdict.healthy <= verdict.desired else { return refuses }
    return "The disruption budget \(name) needs \(verdict.desired) healthy pods and has \(verdict.healthy) currently"
  }
}
