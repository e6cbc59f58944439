// Owns: the claims of pods' ephemeral volumes: each is made for its pod, named after it, and goes with it by the
// garbage collector. It must not know how claims are bound.

import ClusterProto

extension CoordinatorCore {
  /// Whether the claim is the one that was made for that pod.
  static func isMade(_ claim: GenericObject, for pod: Pod) -> Bool {
    claim.meta.ownerReferences.contains { $0.uid == pod.meta.uid && $0.controller == true }
  }

  /// Makes the claims that a pod lacks; returns how many objects it looked at.
  mutating func makeEphemeralClaims(_ key: ObjectKey) -> Int {
    guard let pod = state.pods[key], pod.meta.deletionTimestamp == nil, !pod.status.phase.isTerminal else { return 1 }
    var touched = 1
    for (claim, volume) in claims(of: pod) {
      guard case .ephemeral(let template) = volume.source, state.other(.persistentvolumeclaims, claim) == nil else {
        continue
      }
      touched += 1
      do throws(APIFailure) {
        try makeClaim(claim, of: pod, template)
      } catch {
        recordEvent(
          on: .pod(pod), type: .warning, reason: "FailedCreate", message: Excerpt.of(error.message, limit: 1_000),
          component: "ephemeral-volume-controller")
        storage.refused.insert(key)
        retryStorage(after: Self.removalRetryMilliseconds)
      }
    }
    return touched
  }

  private mutating func makeClaim(_ key: ObjectKey, of pod: Pod, _ template: JSON) throws(APIFailure) {
    var meta = template["metadata"] ?? .object(JSONObject())
    meta["name"] = .string(key.name)
    meta["namespace"] = .string(key.namespace)
    meta["uid"] = .string(newUID())
    meta["ownerReferences"] = [
      [
        "apiVersion": "v1", "kind": "Pod", "name": .string(pod.meta.name), "uid": .string(pod.meta.uid),
        "controller": true, "blockOwnerDeletion": true,
      ]
    ]
    let kind = Kind.persistentvolumeclaims
    let json: JSON = [
      "apiVersion": .string(kind.apiVersion), "kind": .string(kind.name), "metadata": meta,
      "spec": template["spec"] ?? .object(JSONObject()),
    ]
    let made = try admitted(json, try SchemaDecoder.decode(json, as: kind), kind)
    if let problem = admissionProblem(made.object) { throw .forbidden(kind, key.name, problem) }
    insert(made.object)
  }
}
