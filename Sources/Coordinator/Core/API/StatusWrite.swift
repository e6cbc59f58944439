// Writes of the status subresource: status is the body's, the spec the stored object's. Metadata is the body's too, as
// in Kubernetes: that is settled with every other write, not here.

import ClusterProto

enum StatusWrite {
  static func apply(_ json: JSON, over before: APIObject) throws(APIFailure) -> APIObject {
    switch before {
    case .job(var job):
      job.status = try jobStatus(JobStatus(json: json["status"]), job)
      return .job(job)
    case .pod(var pod):
      var status = PodStatus(json: json["status"])
      // The fencing token is the coordinator's, not a client's.
      status.fencingToken = pod.status.fencingToken
      pod.status = status
      return .pod(pod)
    case .node(let node):
      var tree = node.json
      tree["status"] = json["status"] ?? .object(JSONObject())
      var errors = FieldErrors()
      OtherValidation.node(tree, into: &errors)
      if !errors.isEmpty { throw .invalid(.nodes, node.meta.name, errors.all) }
      return .node(Node(json: tree))
    case .other(let object):
      if object.kind == .namespaces { try namespaceStatus(json["status"], object) }
      var tree = object.json
      tree["status"] = json["status"]
      return .other(GenericObject(kind: object.kind, json: tree))
    }
  }

  /// What the client gave and this version's typed statuses do not keep, each named in a Warning.
  static func dropped(_ given: JSON, _ after: APIObject) -> [String] {
    guard let status = given["status"], let type = Schema.structs[after.kind.name]?["status"]?.type else { return [] }
    return DroppedFields.paths(status, after.json["status"], type, "status").map { "\($0): \(DroppedFields.text)" }
  }

  /// ValidateNamespaceStatusUpdate: the phase follows from the deletion, nobody may end a namespace by its status.
  private static func namespaceStatus(_ status: JSON?, _ object: GenericObject) throws(APIFailure) {
    let isEnding = object.meta.deletionTimestamp != nil
    let (phase, expected) = (status?["phase"]?.stringValue ?? "", isEnding ? "Terminating" : "Active")
    if phase == expected { return }
    var errors = FieldErrors()
    errors.invalid(
      "status.Phase", phase,
      isEnding
        ? "may only be 'Terminating' if `deletionTimestamp` is not empty"
        : "may only be 'Active' if `deletionTimestamp` is empty")
    throw .invalid(.namespaces, object.meta.name, errors.all)
  }

  /// The rules of validateJobStatus that protect the counters.
  private static func jobStatus(_ new: JobStatus, _ job: Job) throws(APIFailure) -> JobStatus {
    var errors = FieldErrors()
    let counters = [
      ("active", new.active), ("ready", new.ready), ("terminating", new.terminating), ("succeeded", new.succeeded),
      ("failed", new.failed),
    ]
    for (name, value) in counters where value < 0 {
      errors.invalid("status.\(name)", .int(value), JobValidation.notNegative)
    }
    if new.ready > new.active {
      errors.invalid("status.ready", .int(new.ready), "cannot set more ready pods than active")
    }
    if new.failed < job.status.failed {
      errors.invalid("status.failed", .int(new.failed), "cannot decrease the number of failed pods")
    }
    if new.succeeded < job.status.succeeded {
      errors.invalid("status.succeeded", .int(new.succeeded), "cannot decrease the number of succeeded pods")
    }
    for type in ["Complete", "Failed"] where job.status.condition(type)?.isTrue == true {
      if new.condition(type)?.isTrue != true {
        errors.invalid(
          "status.conditions", .array(new.conditions.map { $0.json() }),
          "cannot disable the terminal condition \(type)=True")
      }
    }
    if !errors.isEmpty { throw .invalid(.jobs, job.meta.name, errors.all) }
    return new
  }
}
