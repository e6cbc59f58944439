// Owns: the answers for kinds that can be listed and of which there are none. It must not know which kinds these are.

import ClusterProto
import CoordinatorCore

enum HTTPEmptyLists {
  /// What a path asks of such a kind: nil for every other path.
  static func access(
    _ path: HTTPResource.Path, method: String
  ) -> (resource: ServedResource, access: AccessAttributes)? {
    guard path.version == "v1", path.rest.count <= 1,
      let resource = ServedResource.empty.first(where: { $0.group == path.group && $0.plural == path.plural })
    else { return nil }
    let name = path.rest.first ?? ""
    let verbs = [
      "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": name.isEmpty ? "deletecollection" : "delete",
    ]
    let access = AccessAttributes(
      verb: verbs[method] ?? (name.isEmpty ? "list" : "get"), group: path.group, resource: path.plural,
      namespace: path.namespace, name: name)
    return (resource, access)
  }

  /// The answer to who may ask.
  static func answer(
    _ resource: ServedResource, _ access: AccessAttributes, _ form: AnswerForm, isWatch: Bool
  ) throws(HTTPFailure) -> JSON {
    guard ["get", "list"].contains(access.verb), !isWatch else {
      throw HTTPFailure(
        405, "\(resource.qualifiedPlural) is not served by this version: there are none, and their list is empty")
    }
    if access.verb == "get" {
      var status = HTTPAnswer.status(404, "\(resource.qualifiedPlural) \"\(access.name)\" not found")
      status["details"] = [
        "name": .string(access.name), "group": .string(resource.group), "kind": .string(resource.plural),
      ]
      throw HTTPFailure(404, "", status: status)
    }
    // Nothing is ever added to it: any version of it is the latest.
    let metadata: JSON = ["resourceVersion": "1"]
    switch form {
    case .table:
      let column: JSON = [
        "name": "Name", "type": "string", "format": "name", "description": "Name of the object.", "priority": 0,
      ]
      return [
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": [column],
        "rows": [],
      ]
    case .metadata:
      return ["kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": []]
    case .object:
      let version = resource.group.isEmpty ? "v1" : "\(resource.group)/v1"
      return [
        "kind": .string("\(resource.kind)List"), "apiVersion": .string(version), "metadata": metadata, "items": [],
      ]
    }
  }
}
