// The OpenAPI v3 documents of what is served, one a group, made from the schema table: for `kubectl explain` and for
// clients that ask whether fields are validated. Knows nothing of HTTP.

import ClusterProto

/// Makes OpenAPI v3 documents.
package enum OpenAPI {
  /// The document of the resources of one API group; empty: the core group.
  package static func document(group: String) -> JSON {
    let kinds = ServedResource.all.filter { $0.group == group }
    var paths: [(String, JSON)] = []
    var names: [String] = []
    for kind in kinds {
      let base = group.isEmpty ? "/api/v1" : "/apis/\(group)/v1"
      let place = kind.isNamespaced ? "\(base)/namespaces/{namespace}/\(kind.plural)" : "\(base)/\(kind.plural)"
      paths.append((place, collection(kind)))
      if kind.verbs.contains("get") { paths.append(("\(place)/{name}", item(kind))) }
      collect(kind.schema, into: &names)
    }
    var schemas: [(String, JSON)] = names.compactMap { name in
      Schema.structs[name].map { (fullName(name), schema($0, kinds)) }
    }
    schemas.append((quantity, ["type": "string", "description": "A number with a suffix: 500m, 1.5, 64Mi."]))
    schemas.append(
      (intOrString, ["oneOf": [["type": "integer"], ["type": "string"]], "format": "int-or-string"]))
    for kind in ServedResource.empty where kind.group == group {
      let prefix = group.isEmpty ? "/api/v1" : "/apis/\(group)/v1"
      let place = kind.isNamespaced ? "\(prefix)/namespaces/{namespace}/\(kind.plural)" : "\(prefix)/\(kind.plural)"
      let type = fullName(kind.kind, group)
      paths.append((place, ["get": emptyList(kind, type)]))
      schemas.append(
        (
          type,
          [
            "type": "object", "x-kubernetes-group-version-kind": [groupVersionKind(kind)],
            "description": .string(
              "\(kind.kind) is not served by this version: there are none, and none can be made. It can be listed, for "
                + "programs that do so without asking."),
          ]
        ))
    }
    return [
      "openapi": "3.0.0", "info": ["title": "Stint", "version": .string("v1")],
      "paths": .object(JSONObject(entries: paths)),
      "components": ["schemas": .object(JSONObject(entries: schemas))],
    ]
  }

  private static let quantity = "io.k8s.apimachinery.pkg.api.resource.Quantity"
  private static let intOrString = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"

  private static func groupVersionKind(_ kind: ServedResource) -> JSON {
    ["group": .string(kind.group), "version": "v1", "kind": .string(kind.kind)]
  }

  /// The list of a kind of which there are none.
  private static func emptyList(_ kind: ServedResource, _ type: String) -> JSON {
    let schema: JSON = ["$ref": .string("#/components/schemas/\(type)")]
    return [
      "x-kubernetes-action": "list", "x-kubernetes-group-version-kind": groupVersionKind(kind),
      "responses": ["200": ["description": "OK", "content": ["application/json": ["schema": schema]]]],
    ]
  }

  private static func fullName(_ kind: String, _ group: String) -> String {
    let package = group.split(separator: ".").first.map(String.init) ?? "core"
    return "io.k8s.api.\(package).v1.\(kind)"
  }

  private static func operation(_ action: String, _ kind: ServedResource, writes: Bool = false) -> JSON {
    let media: JSON = ["application/json": ["schema": reference(kind.schema)]]
    var result: JSON = [
      "x-kubernetes-action": .string(action), "x-kubernetes-group-version-kind": groupVersionKind(kind),
      "responses": ["200": ["description": "OK", "content": media]],
    ]
    if writes {
      var parameters: [JSON] = ["dryRun", "fieldManager", "fieldValidation"].map { name in
        ["name": .string(name), "in": "query", "schema": ["type": "string", "uniqueItems": true]]
      }
      if action == "patch" {
        parameters.append(["name": "force", "in": "query", "schema": ["type": "boolean", "uniqueItems": true]])
      }
      result["parameters"] = .array(parameters)
      if action != "patch" { result["requestBody"] = ["content": media] }
    }
    return result
  }

  private static func collection(_ kind: ServedResource) -> JSON {
    var result: JSON = ["post": operation("post", kind, writes: true)]
    if kind.verbs.contains("list") { result["get"] = operation("list", kind) }
    return result
  }

  private static func item(_ kind: ServedResource) -> JSON {
    // Clients look for the options of writes under `patch`, also where a resource has none.
    [
      "get": operation("get", kind), "put": operation("put", kind, writes: true),
      "patch": operation("patch", kind, writes: true), "delete": operation("delete", kind),
    ]
  }

  // Schemas.

  private static func schema(_ type: SchemaStruct, _ kinds: [ServedResource]) -> JSON {
    var properties: [(String, JSON)] = []
    for name in type.fieldNames {
      guard let field = type[name] else { continue }
      var property = self.type(field.type)
      if let text = Descriptions.text(type.name, field) {
        if property["$ref"] != nil { property = ["allOf": [property]] }
        property["description"] = .string(text)
      }
      for (key, value) in MergeRules.extensions("\(type.name).\(name)", field.type) { property[key] = value }
      properties.append((name, property))
    }
    var result: JSON = ["type": "object", "properties": .object(JSONObject(entries: properties))]
    if let names = requiredFields[type.name] { result["required"] = .array(names.map { .string($0) }) }
    if let text = Descriptions.text(type: type.name) { result["description"] = .string(text) }
    if MergeRules.atomicStructs.contains(type.name) { result["x-kubernetes-map-type"] = "atomic" }
    if let kind = kinds.first(where: { $0.schema == type.name }) {
      result["x-kubernetes-group-version-kind"] = [groupVersionKind(kind)]
    }
    return result
  }

  private static func type(_ type: SchemaType) -> JSON {
    switch type {
    case .string: ["type": "string"]
    case .bytes: ["type": "string", "format": "byte"]
    case .time: ["type": "string", "format": "date-time"]
    case .int32: ["type": "integer", "format": "int32"]
    case .int64: ["type": "integer", "format": "int64"]
    case .bool: ["type": "boolean"]
    case .quantity: ["$ref": .string("#/components/schemas/\(quantity)")]
    case .intOrString: ["$ref": .string("#/components/schemas/\(intOrString)")]
    case .any: ["type": "object"]
    case .list(let element): ["type": "array", "items": self.type(element)]
    case .map(let value): ["type": "object", "additionalProperties": self.type(value)]
    case .named(let name): reference(name)
    }
  }

  private static func reference(_ name: String) -> JSON { ["$ref": .string("#/components/schemas/\(fullName(name))")] }

  /// The type and all that its fields name, each once.
  private static func collect(_ name: String, into names: inout [String]) {
    guard !names.contains(name), let type = Schema.structs[name] else { return }
    names.append(name)
    for field in type.fieldNames {
      var inner = type[field]?.type
      while true {
        switch inner {
        case .list(let element)?: inner = element
        case .map(let value)?: inner = value
        case .named(let next)?:
          collect(next, into: &names)
          inner = nil
        default: inner = nil
        }
        if inner == nil { break }
      }
    }
  }

  private static let metaNames: Set<String> = [
    "ObjectMeta", "OwnerReference", "ManagedFieldsEntry", "LabelSelector", "LabelSelectorRequirement", "Condition",
  ]

  /// Kubernetes' name of a type, by which clients know it.
  private static func fullName(_ name: String) -> String {
    if metaNames.contains(name) { return "io.k8s.apimachinery.pkg.apis.meta.v1.\(name)" }
    switch name {
    case "Lease", "LeaseSpec": return "io.k8s.api.coordination.v1.\(name)"
    case "StorageClass": return "io.k8s.api.storage.v1.\(name)"
    case "PriorityClass": return "io.k8s.api.scheduling.v1.\(name)"
    case "Queue", "QueueSpec", "QueueStatus": return "dev.stint.v1.\(name)"
    case _ where name.hasPrefix("PodDisruptionBudget"): return "io.k8s.api.policy.v1.\(name)"
    case EventsGroup.schema: return "io.k8s.api.events.v1.Event"
    case "SelfSubjectReview", "SelfSubjectReviewStatus", "UserInfo", "BoundObjectReference",
      _ where name.hasPrefix("TokenRe"):
      return "io.k8s.api.authentication.v1.\(name)"
    case "ResourceAttributes", "NonResourceAttributes", "ResourceRule", "NonResourceRule":
      return "io.k8s.api.authorization.v1.\(name)"
    case "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding", "PolicyRule", "AggregationRule", "RoleRef",
      "Subject":
      return "io.k8s.api.rbac.v1.\(name)"
    case _ where name.hasPrefix("SelfSubject") || name.hasPrefix("Subject") || name.hasPrefix("LocalSubject"):
      return "io.k8s.api.authorization.v1.\(name)"
    default: break
    }
    let isBatch =
      name.hasPrefix("Job") || name.hasPrefix("PodFailurePolicy") || name.hasPrefix("SuccessPolicy")
      || name == "UncountedTerminatedPods"
    return "io.k8s.api.\(isBatch ? "batch" : "core").v1.\(name)"
  }

  /// What a manifest must say; `kubectl explain` marks it.
  private static let requiredFields: [String: [String]] = [
    "JobSpec": ["template"], "PodSpec": ["containers"], "Container": ["name"], "ContainerPort": ["containerPort"],
    "EnvVar": ["name"], "ObjectFieldSelector": ["fieldPath"], "ConfigMapKeySelector": ["key"],
    "SecretKeySelector": ["key"], "Volume": ["name"], "VolumeMount": ["name", "mountPath"],
    "KeyToPath": ["key", "path"], "LabelSelectorRequirement": ["key", "operator"],
    "OwnerReference": ["apiVersion", "kind", "name", "uid"], "PodFailurePolicy": ["rules"],
    "PodFailurePolicyRule": ["action"], "PodFailurePolicyOnExitCodesRequirement": ["operator", "values"],
    "PodFailurePolicyOnPodConditionsPattern": ["type", "status"], "SuccessPolicy": ["rules"],
    "PolicyRule": ["verbs"], "RoleBinding": ["roleRef"], "ClusterRoleBinding": ["roleRef"],
    "RoleRef": ["apiGroup", "kind", "name"], "Subject": ["kind", "name"], "Taint": ["key", "effect"],
    "StorageClass": ["provisioner"], "PersistentVolumeClaimVolumeSource": ["claimName"],
    "PersistentVolumeClaimTemplate": ["spec"], "LocalVolumeSource": ["path"], "NFSVolumeSource": ["server", "path"],
    "PriorityClass": ["value"], "LimitRangeSpec": ["limits"], "LimitRangeItem": ["type"],
    "ScopedResourceSelectorRequirement": ["scopeName", "operator"], "JobCondition": ["type", "status"],
  ]
}
