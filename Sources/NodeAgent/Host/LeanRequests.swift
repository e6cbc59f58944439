// Owns: what a keeper is told of an assignment: a plan that holds commands, environments and mounts already, and little
// else. It must not know connections.

import ClusterProto

extension KeeperRequest {
  /// The same with only what a keeper reads: its plan holds the commands, environments and mounts already, so that
  /// ConfigMaps and specs need not pass the socket a second time.
  func lean(_ spec: inout LeanSpec) -> KeeperRequest {
    switch self {
    case .start(let assignment, let plan, let leaseEnd):
      .start(assignment.lean(&spec), plan: plan, leaseEnd: leaseEnd)
    case .unprepared(let assignment, let container, let reason, let message, let leaseEnd):
      .unprepared(
        assignment.lean(&spec), container: container, reason: reason, message: message, leaseEnd: leaseEnd)
    case .hello, .renew, .shorten, .add, .addWaits, .stop, .thaw, .acknowledge, .measure, .relieve, .shutDown: self
    }
  }
}

extension Assignment {
  /// Without what a keeper does not read.
  var lean: Assignment {
    var spec = LeanSpec()
    return lean(&spec)
  }

  /// The same, with the spec as it was made lean for the one before where that is the same.
  func lean(_ spec: inout LeanSpec) -> Assignment {
    var result = self
    result.references = JSONObject()
    result.tokens = []
    result.api = nil
    result.labels = StringMap()
    result.spec = spec.of(self.spec)
    return result
  }
}

/// What a keeper reads of the spec that was asked for last: a Job's pods share one.
struct LeanSpec {
  private var last: (whole: PodSpec, lean: PodSpec)?

  mutating func of(_ whole: PodSpec) -> PodSpec {
    if let last, last.whole === whole { return last.lean }
    let lean = PodSpec(json: whole.json.lean)
    last = (whole, lean)
    return lean
  }
}

extension JSON {
  /// A pod spec with its containers' names, images and rules of restart, and the scalars.
  fileprivate var lean: JSON {
    var result = self
    let unread = ["volumes", "tolerations", "affinity", "nodeSelector", "securityContext", "ephemeralContainers"]
    for member in unread { result[member] = nil }
    for member in ["initContainers", "containers"] {
      guard let containers = self[member]?.arrayValue else { continue }
      result[member] = .array(
        containers.map { container in
          var short: JSON = [:]
          for name in ["name", "image", "restartPolicy", "restartPolicyRules"] { short[name] = container[name] }
          return short
        })
    }
    return result
  }
}
