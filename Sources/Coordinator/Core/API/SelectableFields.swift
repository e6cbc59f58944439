// Field selectors: which fields of which kind can be selected by, their values, and Kubernetes' refusals for the
// others.

import ClusterProto

enum SelectableFields {
  private static let pod = [
    "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
    "status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName",
  ]
  private static let event = [
    "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
    "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
    "reportingComponent", "source", "type",
  ]

  static func fields(of kind: Kind) -> [String] {
    let own: [String] =
      switch kind {
      case .pods: pod
      case .jobs: ["status.successful"]
      case .nodes: ["spec.unschedulable"]
      case .namespaces: ["status.phase"]
      case .events: event
      case .secrets: ["type"]
      default: []
      }
    return ["metadata.name", "metadata.namespace"] + own
  }

  static func check(_ field: String, kind: Kind) throws(APIFailure) {
    if fields(of: kind).contains(field) { return }
    switch kind {
    case .jobs: throw .badRequest("field label \"\(field)\" not supported for Job")
    case .pods, .nodes, .events, .namespaces, .secrets: throw .badRequest("field label not supported: \(field)")
    default:
      throw .badRequest("\"\(field)\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
    }
  }

  /// The text that a selector compares; empty where the object has none.
  static func value(_ field: String, of object: APIObject) -> String? {
    switch field {
    case "metadata.name": return object.meta.name
    case "metadata.namespace": return object.meta.namespace
    default: break
    }
    switch object {
    case .pod(let pod): return value(field, of: pod)
    case .job(let job): return field == "status.successful" ? String(job.status.succeeded) : nil
    case .node(let node): return field == "spec.unschedulable" ? String(node.unschedulable) : nil
    case .other(let other): return value(field, of: other)
    }
  }

  private static func value(_ field: String, of pod: Pod) -> String? {
    switch field {
    case "spec.nodeName": pod.nodeName ?? ""
    case "spec.restartPolicy": pod.spec.restartPolicy.rawValue
    case "spec.schedulerName": pod.spec.json["schedulerName"]?.stringValue ?? ""
    case "spec.serviceAccountName": pod.spec.json["serviceAccountName"]?.stringValue ?? ""
    case "spec.hostNetwork": String(pod.spec.json["hostNetwork"]?.boolValue ?? false)
    case "status.phase": pod.status.phase.rawValue
    case "status.podIP": pod.status.podIP
    // Known, and of no value: so it is in Kubernetes, too.
    case "status.podIPs", "status.nominatedNodeName": ""
    default: nil
    }
  }

  private static func value(_ field: String, of object: GenericObject) -> String? {
    if field == "source" {
      let component = object.body["source"]?["component"]?.stringValue ?? ""
      return component.isEmpty ? object.body["reportingComponent"]?.stringValue ?? "" : component
    }
    let path = field.split(separator: ".").map(String.init)
    return JSON.object(object.body)[path: path]?.stringValue ?? ""
  }

  /// Whether a change can matter to any selector: then a watch needs to know how the object was before.
  static func differ(_ before: APIObject, _ after: APIObject) -> Bool {
    before.meta.labels != after.meta.labels
      || fields(of: after.kind).contains { value($0, of: before) != value($0, of: after) }
  }
}
