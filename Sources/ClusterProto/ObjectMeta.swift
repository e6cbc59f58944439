// metadata of every API object (meta/v1 ObjectMeta), typed where the coordinator reads it and kept whole where it does
// not. Knows nothing of kinds, storage or validation.

/// Name and namespace; `namespace` is empty for cluster-scoped kinds. Ordered as lists are: by namespace, then name.
package struct ObjectKey: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The namespace; empty for what lies in none.
  package var namespace: String
  /// The name.
  package var name: String

  /// Takes each value as it stands.
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
  /// Group and version of the owner.
  package var apiVersion: String
  /// Kind of the owner, as `Job`.
  package var kind: String
  /// The name.
  package var name: String
  /// The uid: what is made again under the name has another.
  package var uid: String
  /// Whether the owner is the one that manages the object.
  package var controller: Bool?
  /// Whether a foreground deletion of the owner waits for the object.
  package var blockOwnerDeletion: Bool?

  /// Takes each value as it stands.
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

  /// Takes each value as it stands.
  package init(json: JSON) {
    apiVersion = json["apiVersion"]?.stringValue ?? ""
    kind = json["kind"]?.stringValue ?? ""
    name = json["name"]?.stringValue ?? ""
    uid = json["uid"]?.stringValue ?? ""
    controller = json["controller"]?.boolValue
    blockOwnerDeletion = json["blockOwnerDeletion"]?.boolValue
  }

  /// As manifests have it.
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
  /// The name.
  package var name = ""
  /// The namespace; empty for what lies in none.
  package var namespace = ""
  /// The uid: what is made again under the name has another.
  package var uid = ""
  /// The prefix that the name was made from.
  package var generateName: String?
  /// The number of the object's latest change.
  package var resourceVersion: Int64 = 0
  /// Rises with each change of the spec.
  package var generation: Int64 = 0
  /// When it was made, in whole seconds.
  package var creationTimestamp = WallTime(nanoseconds: 0)
  /// When its grace ends; nil while it is not being deleted.
  package var deletionTimestamp: WallTime?
  /// The grace of its deletion, in seconds.
  package var deletionGracePeriodSeconds: Int64?
  /// Labels, sorted by key.
  package var labels = StringMap()
  /// Annotations, sorted by key.
  package var annotations = StringMap()
  /// The owners, as written.
  package var ownerReferences: [OwnerReference] = []
  /// What has to be taken away before it goes.
  package var finalizers: [String] = []
  /// Who wrote or applied which fields. Empty for what the coordinator made by itself.
  package var managedFields: [ManagedFieldsEntry] = []
  /// Members that the coordinator does not read (selfLink, …), kept for the round trip.
  package var others = JSONObject()

  /// Takes each value as it stands.
  package init() {}

  /// Namespace and name.
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

  /// As manifests have it.
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
