// Owns: what binding reads of claims, volumes and classes. Reads trees that validation has let through. It must not
// know the state, nor which volume a claim gets.

import ClusterProto

/// How a volume may be used.
struct AccessModes: OptionSet, Hashable, Sendable {
  var rawValue: UInt8

  static let readWriteOnce = AccessModes(rawValue: 1)
  static let readOnlyMany = AccessModes(rawValue: 2)
  static let readWriteMany = AccessModes(rawValue: 4)
  static let readWriteOncePod = AccessModes(rawValue: 8)

  /// In the order in which Kubernetes prints them.
  private static let all: [(mode: AccessModes, name: String, short: String)] = [
    (readWriteOnce, "ReadWriteOnce", "RWO"), (readOnlyMany, "ReadOnlyMany", "ROX"),
    (readWriteMany, "ReadWriteMany", "RWX"), (readWriteOncePod, "ReadWriteOncePod", "RWOP"),
  ]
  static let names = all.map(\.name).sorted()

  init(rawValue: UInt8) { self.rawValue = rawValue }

  init(_ json: JSON?) {
    self = []
    for mode in json?.arrayValue ?? [] {
      if let known = Self.all.first(where: { $0.name == mode.stringValue }) { insert(known.mode) }
    }
  }

  /// `RWO,ROX`.
  var short: String { Self.all.filter { contains($0.mode) }.map(\.short).joined(separator: ",") }
}

/// Whom a volume is for.
struct ClaimReference: Equatable, Sendable {
  var key: ObjectKey
  /// Empty: the claim of that name, whichever it will be.
  var uid: String
}

/// A PersistentVolume.
struct VolumeFacts: Equatable, Sendable {
  var name: String
  var bytes: Int64
  var modes: AccessModes
  var className: String
  var labels: StringMap
  /// One of these has to hold of a node that mounts it; nil: every node may.
  var nodes: [NodeTerm]?
  var claim: ClaimReference?
  var phase: String
  var policy: String
  var isDeleting: Bool
  /// A directory of our own on a node; nil: it is not.
  var directory: LocalDirectory?

  init(_ object: GenericObject) {
    let spec = object.body["spec"] ?? .null
    name = object.meta.name
    bytes = max(0, Self.bytes(spec[path: ["capacity", "storage"]]))
    modes = AccessModes(spec["accessModes"])
    className = spec["storageClassName"]?.stringValue ?? ""
    labels = object.meta.labels
    nodes = spec[path: ["nodeAffinity", "required"]].map { selector in
      (selector["nodeSelectorTerms"]?.arrayValue ?? []).map { NodeTerm(json: $0) }
    }
    if let reference = spec["claimRef"], let claim = reference["name"]?.stringValue, !claim.isEmpty {
      self.claim = ClaimReference(
        key: ObjectKey(namespace: reference["namespace"]?.stringValue ?? "", name: claim),
        uid: reference["uid"]?.stringValue ?? "")
    }
    phase = object.body["status"]?["phase"]?.stringValue ?? ""
    policy = spec["persistentVolumeReclaimPolicy"]?.stringValue ?? ""
    isDeleting = object.meta.deletionTimestamp != nil
    directory = LocalDirectory(object)
  }

  /// The one host that reaches it, by the label that names hosts, as local volumes have it; nil: not by that alone.
  var host: String? {
    guard let nodes, nodes.count == 1 else { return nil }
    let rule = nodes[0].labels.requirements.first { $0.key == Self.hostLabel && $0.operation == .in }
    guard let rule, rule.values.count == 1 else { return nil }
    return rule.values[0]
  }

  static let hostLabel = "kubernetes.io/hostname"

  static func bytes(_ quantity: JSON?) -> Int64 {
    quantity.flatMap { Quantity.parseBytes($0.stringValue ?? $0.text) } ?? 0
  }

  /// Whether a node of that name and those labels may mount it.
  func isReachable(from name: String, _ labels: StringMap) -> Bool {
    nodes.map { terms in terms.contains { $0.matches(name: name, labels: labels) } } ?? true
  }
}

/// A PersistentVolumeClaim.
struct ClaimFacts: Sendable {
  var key: ObjectKey
  var uid: String
  var bytes: Int64
  var modes: AccessModes
  var className: String
  /// nil: any volume will do.
  var selector: LabelSelector?
  /// Empty: not bound, and none is asked for by name.
  var volumeName: String
  /// It was bound once; it never becomes unbound again.
  var isBound: Bool
  var phase: String
  var isDeleting: Bool

  static let boundAnnotation = "pv.kubernetes.io/bind-completed"

  init(_ object: GenericObject) {
    let spec = object.body["spec"] ?? .null
    key = object.meta.key
    uid = object.meta.uid
    bytes = max(0, VolumeFacts.bytes(spec[path: ["resources", "requests", "storage"]]))
    modes = AccessModes(spec["accessModes"])
    className = spec["storageClassName"]?.stringValue ?? ""
    selector = spec["selector"].map { LabelSelector(json: $0) }
    volumeName = spec["volumeName"]?.stringValue ?? ""
    isBound = object.meta.annotations[Self.boundAnnotation] != nil
    phase = object.body["status"]?["phase"]?.stringValue ?? ""
    isDeleting = object.meta.deletionTimestamp != nil
  }

  /// Only one pod at a time may use it.
  var isExclusive: Bool { modes == .readWriteOncePod }

  /// Why that volume is not for it, in Kubernetes' words; nil: it is.
  func mismatch(_ volume: VolumeFacts) -> String? {
    if volume.bytes < bytes { return "requested PV is too small" }
    if volume.className != className { return "storageClassName does not match" }
    if !modes.isSubset(of: volume.modes) { return "incompatible accessMode" }
    return nil
  }
}

/// A StorageClass.
struct StorageClassFacts: Equatable, Sendable {
  var provisioner: String
  var waitsForPod: Bool
  var policy: String

  static let defaultAnnotation = "storageclass.kubernetes.io/is-default-class"

  init(_ object: GenericObject) {
    provisioner = object.body["provisioner"]?.stringValue ?? ""
    waitsForPod = object.body["volumeBindingMode"]?.stringValue == "WaitForFirstConsumer"
    policy = object.body["reclaimPolicy"]?.stringValue ?? "Delete"
  }

  /// Directories on nodes are made for it.
  var isLocal: Bool { provisioner == LocalDirectory.provisioner }
}
