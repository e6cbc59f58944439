// How lists and maps of the API merge: the one table that strategic merge patches (patchMergeKey) and server-side apply
// (list-type, list-map-keys, map-type) read. It must not know how a merge is done.

import ClusterProto

/// How a list merges; what has no rule is replaced whole by either.
struct ListRule: Equatable, Sendable {
  enum Applied: Equatable, Sendable {
    /// Owned and replaced as one value.
    case atomic
    /// Plain values, each owned by itself.
    case set
    /// Elements by the values of these members.
    case map([String])
  }

  /// patchMergeKey of a strategic merge patch; nil: replaced whole, or a set when `isPatchedSet`.
  var patchKey: String?
  var isPatchedSet = false
  /// A patched element keeps only the members that the patch names beside its directive (patchStrategy retainKeys).
  var retainsKeys = false
  var applied = Applied.atomic

  static func key(_ key: String) -> ListRule { ListRule(patchKey: key, applied: .map([key])) }
  static func key(_ key: String, applied: Applied) -> ListRule { ListRule(patchKey: key, applied: applied) }
  static let set = ListRule(isPatchedSet: true, applied: .set)
  /// A set for server-side apply only.
  static let appliedSet = ListRule(applied: .set)
}

enum MergeRules {
  /// Rules by owner and field.
  static let lists: [String: ListRule] = [
    "ObjectMeta.ownerReferences": .key("uid"), "ObjectMeta.finalizers": .set,
    "PodSpec.volumes": ListRule(patchKey: "name", retainsKeys: true, applied: .map(["name"])),
    "PodSpec.initContainers": .key("name"), "PodSpec.containers": .key("name"),
    "PodSpec.ephemeralContainers": .key("name"), "PodSpec.imagePullSecrets": .key("name"),
    "PodSpec.hostAliases": .key("ip"), "PodSpec.schedulingGates": .key("name"),
    "PodSpec.resourceClaims": ListRule(patchKey: "name", retainsKeys: true, applied: .map(["name"])),
    "PodSpec.topologySpreadConstraints": .key("topologyKey", applied: .map(["topologyKey", "whenUnsatisfiable"])),
    "Container.ports": .key("containerPort", applied: .map(["containerPort", "protocol"])),
    "Container.env": .key("name"), "Container.volumeMounts": .key("mountPath"),
    "Container.volumeDevices": .key("devicePath"),
    "EphemeralContainer.ports": .key("containerPort", applied: .map(["containerPort", "protocol"])),
    "EphemeralContainer.env": .key("name"), "EphemeralContainer.volumeMounts": .key("mountPath"),
    "EphemeralContainer.volumeDevices": .key("devicePath"),
    "ResourceRequirements.claims": ListRule(applied: .map(["name"])),
    "JobStatus.conditions": .key("type", applied: .atomic), "UncountedTerminatedPods.succeeded": .appliedSet,
    "UncountedTerminatedPods.failed": .appliedSet, "PodStatus.conditions": .key("type"),
    "PodStatus.podIPs": .key("ip"), "PodStatus.hostIPs": .key("ip", applied: .atomic),
    "PodStatus.resourceClaimStatuses": .key("name"),
    "NodeSpec.podCIDRs": .set, "NodeStatus.conditions": .key("type"), "NodeStatus.addresses": .key("type"),
    "NamespaceStatus.conditions": .key("type"), "ServiceAccount.secrets": .key("name"),
    "ServiceSpec.ports": .key("port", applied: .map(["port", "protocol"])), "ServiceStatus.conditions": .key("type"),
  ]

  /// Structs that are owned as one value (map-type atomic).
  static let atomicStructs: Set<String> = [
    "OwnerReference", "LabelSelector", "LocalObjectReference", "ObjectReference", "ObjectFieldSelector",
    "ResourceFieldSelector", "ConfigMapKeySelector", "SecretKeySelector", "FileKeySelector", "NodeSelector",
    "NodeSelectorTerm", "RoleRef", "Subject",
  ]

  /// Maps that are owned as one value, by owner and field.
  static let atomicMaps: Set<String> = ["PodSpec.nodeSelector", "ServiceSpec.selector"]

  /// The OpenAPI extensions by which clients learn how a list or a map merges.
  static func extensions(_ place: String, _ type: SchemaType) -> [(String, JSON)] {
    if case .map = type { return atomicMaps.contains(place) ? [("x-kubernetes-map-type", "atomic")] : [] }
    guard case .list = type else { return [] }
    let rule = lists[place] ?? ListRule()
    var result: [(String, JSON)] = []
    switch rule.applied {
    case .atomic: result.append(("x-kubernetes-list-type", "atomic"))
    case .set: result.append(("x-kubernetes-list-type", "set"))
    case .map(let keys):
      result.append(("x-kubernetes-list-type", "map"))
      result.append(("x-kubernetes-list-map-keys", .array(keys.map { .string($0) })))
    }
    if let key = rule.patchKey { result.append(("x-kubernetes-patch-merge-key", .string(key))) }
    if rule.patchKey != nil || rule.isPatchedSet {
      result.append(("x-kubernetes-patch-strategy", rule.retainsKeys ? "merge,retainKeys" : "merge"))
    }
    return result
  }

  /// What a key of a list's element is when the element leaves it out.
  static let keyDefaults: [String: JSON] = ["protocol": "TCP"]
}

/// A field's type as ownership sees it: a leaf, or what has fields or elements of its own.
indirect enum FieldForm: Sendable {
  /// A plain value; `nil` type accepts any.
  case scalar(SchemaType)
  /// A list, struct or map that is owned whole.
  case atomic(SchemaType)
  /// The members of a struct of the schema.
  case fields(String)
  case map(FieldForm)
  case set(FieldForm)
  /// A list whose elements are known by these members.
  case list(FieldForm, keys: [String])
  /// No type is known: what the value looks like decides.
  case untyped

  /// Every struct's members, compiled once from the schema and the rules.
  private static let structs: [String: [String: FieldForm]] = Schema.structs.mapValues { type in
    var members: [String: FieldForm] = [:]
    for name in type.fieldNames {
      if let field = type[name] { members[name] = FieldForm(field.type, at: "\(type.name).\(name)") }
    }
    return members
  }

  static func root(_ kind: Kind) -> FieldForm { .fields(kind.name) }

  init(_ type: SchemaType, at place: String = "") {
    switch type {
    case .any: self = .untyped
    case .named(let name):
      self = MergeRules.atomicStructs.contains(name) ? .atomic(type) : .fields(name)
    case .map(let element): self = MergeRules.atomicMaps.contains(place) ? .atomic(type) : .map(FieldForm(element))
    case .list(let element):
      switch MergeRules.lists[place]?.applied ?? .atomic {
      case .atomic: self = .atomic(type)
      case .set: self = .set(FieldForm(element))
      case .map(let keys): self = .list(FieldForm(element), keys: keys)
      }
    default: self = .scalar(type)
    }
  }

  /// The form of a member, and whether the schema names it (a struct's field, not a map's key).
  func member(_ name: String) -> (form: FieldForm, isNamed: Bool) {
    switch self {
    case .fields(let type):
      guard let form = Self.structs[type]?[name] else { return (.untyped, false) }
      return (form, true)
    case .map(let element): return (element, false)
    default: return (.untyped, false)
    }
  }

  /// The form of an element.
  var element: FieldForm {
    switch self {
    case .set(let element), .list(let element, _): element
    default: .untyped
    }
  }

  /// What an untyped field is by its values: a map when one is an object and none something else, otherwise a leaf.
  func resolved(_ left: JSON?, _ right: JSON? = nil) -> FieldForm {
    guard case .untyped = self else { return self }
    let values = [left, right].compactMap { $0 }.filter { !$0.isNull }
    let isMap = !values.isEmpty && values.allSatisfy { $0.objectValue != nil }
    return isMap ? .map(.untyped) : .atomic(.any)
  }

  /// Whether values of this form are compared and owned whole.
  var isLeaf: Bool {
    switch self {
    case .scalar, .atomic, .untyped: true
    default: false
    }
  }

  /// The name of a list's element in a set: by its keys or its value; nil when it lacks a key.
  func elementKey(_ value: JSON) -> String? {
    switch self {
    case .set: return "v:" + value.text
    case .list(_, let keys):
      var members: [(String, JSON)] = []
      for key in keys {
        guard let part = value[key] ?? MergeRules.keyDefaults[key] else { return nil }
        members.append((key, part))
      }
      return "k:" + JSON.object(JSONObject(entries: members)).text
    default: return nil
    }
  }
}
