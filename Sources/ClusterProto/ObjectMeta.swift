// metadata of every API object (meta/v1 ObjectMeta), typed where the coordinator reads it and kept whole where it does
// not. Knows nothing of kinds, storage or validation.

/// Name and namespace; `namespace` is empty for cluster-scoped kinds. Ordered as lists are: by namespace, then name.
package struct ObjectKey: Hashable, Comparable, Sendable, CustomStringConvertible {
  package var namespace: String
  package var name: String

  package init(namespace: String, name: String) {
    self.namespace = namespace
    self.name = name
  }

  package static func < (left: ObjectKey, right: ObjectKey) -> Bool {
    left.namespace == right.namespace ? left.name < right.name : left.namespace < right.namespace
  }

  package var description: String { namespace.isEmpty ? name : "\(namespace)/\(name)" }
}

/// An entry of metadata.ownerReferences; identity is the uid together with the coordinates.
package struct OwnerReference: Equatable, Hashable, Sendable {
  package var apiVersion: String
  package var kind: String
  package var name: String
  package var uid: String
  package var controller: Bool?
  package var blockOwnerDeletion: Bool?

  package init(
    apiVersion: String, kind: String, name: String, uid: String, controller: Bool? = nil,
    blockOwnerDeletion: Bool? = nil
  ) {
    self.apiVersion = apiVersion
    self.kind = kind
    self.name = name
    self.uid = uid
    self.controller = controller
    self.blockOwnerDeletion = blockOwnerDeletion
  }

  package init(json: JSON) {
    apiVersion = json["apiVersion"]?.stringValue ?? ""
    kind = json["kind"]?.stringValue ?? ""
    name = json["name"]?.stringValue ?? ""
    uid = json["uid"]?.stringValue ?? ""
    controller = json["controller"]?.boolValue
    blockOwnerDeletion = json["blockOwnerDeletion"]?.boolValue
  }

  package var json: JSON {
    var result: JSON = [
      "apiVersion": .string(apiVersion), "kind": .string(kind), "name": .string(name), "uid": .string(uid),
    ]
    if let controller { result["controller"] = .bool(controller) }
    if let blockOwnerDeletion { result["blockOwnerDeletion"] = .bool(blockOwnerDeletion) }
    return result
  }
}

/// metadata of one object. `resourceVersion` is the cluster-wide change number of its last write.
package struct ObjectMeta: Equatable, Sendable {
  package var name = ""
  package var namespace = ""
  package var uid = ""
  package var generateName: String?
  package var resourceVersion: Int64 = 0
  package var generation: Int64 = 0
  package var creationTimestamp = WallTime(nanoseconds: 0)
  package var deletionTimestamp: WallTime?
  package var deletionGracePeriodSeconds: Int64?
  package var labels = StringMap()
  package var annotations = StringMap()
  package var ownerReferences: [OwnerReference] = []
  package var finalizers: [String] = []
  /// Who wrote or applied which fields. Empty for what the coordinator made by itself.
  package var managedFields: [ManagedFieldsEntry] = []
  /// Members that the coordinator does not read (selfLink, …), kept for the round trip.
  package var others = JSONObject()

  package init() {}

  package var key: ObjectKey { ObjectKey(namespace: namespace, name: name) }

  /// The owner marked `controller: true`, if any.
  package var controllerReference: OwnerReference? { ownerReferences.first { $0.controller == true } }

  private static let typed: Set<String> = [
    "name", "namespace", "uid", "generateName", "resourceVersion", "generation", "creationTimestamp",
    "deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences", "finalizers",
    "managedFields",
  ]

  /// Reads a metadata tree that validation has accepted; members of a wrong type are left out.
  package init(json: JSON?) {
    guard let object = json?.objectValue else { return }
    name = object["name"]?.stringValue ?? ""
    namespace = object["namespace"]?.stringValue ?? ""
    uid = object["uid"]?.stringValue ?? ""
    generateName = object["generateName"]?.stringValue
    resourceVersion = object["resourceVersion"]?.stringValue.flatMap { Int64($0) } ?? 0
    generation = object["generation"]?.intValue ?? 0
    creationTimestamp =
      object["creationTimestamp"]?.stringValue.flatMap { WallTime(rfc3339: $0) } ?? WallTime(nanoseconds: 0)
    deletionTimestamp = object["deletionTimestamp"]?.stringValue.flatMap { WallTime(rfc3339: $0) }
    deletionGracePeriodSeconds = object["deletionGracePeriodSeconds"]?.intValue
    labels = StringMap(json: object["labels"])
    annotations = StringMap(json: object["annotations"])
    ownerReferences = (object["ownerReferences"]?.arrayValue ?? []).map { OwnerReference(json: $0) }
    finalizers = (object["finalizers"]?.arrayValue ?? []).compactMap(\.stringValue)
    managedFields = ManagedFieldsEntry.list(json: object["managedFields"]) ?? []
    for (key, value) in object where !Self.typed.contains(key) { others[key] = value }
  }

  package var json: JSON {
    var members: [(key: String, value: JSON)] = []
    members.reserveCapacity(15)
    if !annotations.isEmpty { members.append(("annotations", annotations.json)) }
    if creationTimestamp.nanoseconds != 0 {
      members.append(("creationTimestamp", .string(creationTimestamp.rfc3339)))
    }
    if let deletionGracePeriodSeconds {
      members.append(("deletionGracePeriodSeconds", .int(deletionGracePeriodSeconds)))
    }
    if let deletionTimestamp { members.append(("deletionTimestamp", .string(deletionTimestamp.rfc3339))) }
    if !finalizers.isEmpty { members.append(("finalizers", .array(finalizers.map { .string($0) }))) }
    if let generateName { members.append(("generateName", .string(generateName))) }
    if generation != 0 { members.append(("generation", .int(generation))) }
    if !labels.isEmpty { members.append(("labels", labels.json)) }
    if !managedFields.isEmpty { members.append(("managedFields", .array(managedFields.map(\.json)))) }
    members.append(("name", .string(name)))
    if !namespace.isEmpty { members.append(("namespace", .string(namespace))) }
    if !ownerReferences.isEmpty { members.append(("ownerReferences", .array(ownerReferences.map(\.json)))) }
    if resourceVersion != 0 { members.append(("resourceVersion", .string(String(resourceVersion)))) }
    if !uid.isEmpty { members.append(("uid", .string(uid))) }
    var object = JSONObject(ascending: members)
    for (key, value) in others where !object.contains(key) { object[key] = value }
    return .object(object)
  }
}
