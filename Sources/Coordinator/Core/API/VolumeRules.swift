// Validation of PersistentVolumes, claims and StorageClasses with Kubernetes' messages; and what this version says of
// those that it cannot serve. Runs on defaulted trees whose types are right.

import ClusterProto

enum VolumeRules {
  /// What a volume may be made of here.
  private static let sources = ["hostPath", "local", "nfs"]
  /// Kubernetes' provisioner of classes whose volumes are made by hand.
  private static let nobody = "kubernetes.io/no-provisioner"

  // MARK: Volumes

  /// ValidatePersistentVolumeSpec.
  static func volume(_ spec: JSON, into errors: inout FieldErrors) {
    modes(spec, "spec.accessModes", into: &errors)
    let capacity = spec["capacity"]?.objectValue ?? JSONObject()
    if capacity.isEmpty {
      errors.required("spec.capacity")
    } else if capacity["storage"] == nil || capacity.count > 1 {
      errors.unsupported("spec.capacity", shown: GoText.strings(capacity.keys.sorted()), ["storage"])
    }
    for (name, value) in capacity { size(value, "spec.capacity[\(name)]", into: &errors) }
    let policy = spec["persistentVolumeReclaimPolicy"]?.stringValue ?? ""
    if !["Delete", "Recycle", "Retain"].contains(policy) {
      errors.unsupported("spec.persistentVolumeReclaimPolicy", policy, ["Delete", "Recycle", "Retain"])
    }
    nodes(spec, into: &errors)
    source(spec, into: &errors)
    className(spec, "spec", into: &errors)
    mode(spec, "spec", into: &errors)
  }

  private static func source(_ spec: JSON, into errors: inout FieldErrors) {
    let known = Schema.structs["PersistentVolumeSpec"]
    // Those that are refused by name are told of elsewhere.
    let given = (spec.objectValue?.keys ?? []).filter { sources.contains($0) || known?[$0]?.honour == .refused }
      .filter { $0 != "volumeAttributesClassName" }
    if given.isEmpty { errors.required("spec", "must specify a volume type") }
    for extra in given.dropFirst() { errors.forbidden("spec.\(extra)", "may not specify more than 1 volume type") }
    if let host = spec["hostPath"] {
      var rules = VolumeValidation()
      rules.hostPath(host, "spec.hostPath")
      errors.append(rules.errors)
    }
    if let local = spec["local"] {
      let path = local["path"]?.stringValue ?? ""
      if path.isEmpty { errors.required("spec.local.path") }
      if PathText.climbs(path) { errors.invalid("spec.local.path", path, "must not contain '..'") }
      VolumeValidation.whole(path, "spec.local.path", into: &errors)
      VolumeValidation.fits(path, "spec.local.path", into: &errors)
      if spec["nodeAffinity"] == nil { errors.required("spec.nodeAffinity", "Local volume requires node affinity") }
    }
    if let share = spec["nfs"] { self.share(share, spec["mountOptions"], into: &errors) }
  }

  /// Kubernetes takes any text, and the mount fails, or does something else, on the node.
  private static func share(_ share: JSON, _ options: JSON?, into errors: inout FieldErrors) {
    let server = share["server"]?.stringValue ?? ""
    if server.isEmpty {
      errors.required("spec.nfs.server")
    } else if let problem = ShareText.serverProblem(server) {
      errors.invalid("spec.nfs.server", server, problem)
    }
    let path = share["path"]?.stringValue ?? ""
    if path.isEmpty {
      errors.required("spec.nfs.path")
    } else if let problem = ShareText.pathProblem(path) {
      errors.invalid("spec.nfs.path", path, problem)
    }
    for (index, option) in (options?.arrayValue ?? []).enumerated() {
      let text = option.stringValue ?? ""
      if let problem = ShareText.optionProblem(text) { errors.invalid("spec.mountOptions[\(index)]", text, problem) }
    }
  }

  private static func nodes(_ spec: JSON, into errors: inout FieldErrors) {
    guard let affinity = spec["nodeAffinity"] else { return }
    guard let required = affinity["required"] else {
      return errors.required("spec.nodeAffinity.required", "must specify required node constraints")
    }
    var rules = SchedulingValidation()
    rules.nodeSelector(required, "spec.nodeAffinity.required")
    errors.append(rules.errors)
  }

  /// What of a volume stays as it was made.
  static func volumeUpdate(_ new: JSON, _ old: JSON, into errors: inout FieldErrors) {
    if sources.contains(where: { new[$0] != old[$0] }) {
      errors.forbidden("spec.persistentvolumesource", "spec.persistentvolumesource is immutable after creation")
    }
    if new["volumeMode"] != old["volumeMode"] {
      errors.invalid("spec.volumeMode", new["volumeMode"] ?? .null, "field is immutable")
    }
    if let before = old["nodeAffinity"], before != new["nodeAffinity"] {
      errors.invalid("spec.nodeAffinity", new["nodeAffinity"] ?? .null, "field is immutable")
    }
  }

  // MARK: Claims

  /// ValidatePersistentVolumeClaimSpec. `path`: of the spec.
  static func claim(_ spec: JSON, _ path: String, into errors: inout FieldErrors) {
    modes(spec, "\(path).accessModes", into: &errors)
    if let selector = spec["selector"] { MetaValidation.selector(selector, "\(path).selector", into: &errors) }
    let requests = spec[path: ["resources", "requests"]]
    if let asked = requests?["storage"] {
      size(asked, "\(path).resources[storage]", into: &errors)
    } else {
      errors.required("\(path).resources[storage]")
    }
    className(spec, path, into: &errors)
    mode(spec, path, into: &errors)
    if let volume = spec["volumeName"]?.stringValue, !volume.isEmpty {
      for problem in Names.subdomainErrors(volume) { errors.invalid("\(path).volumeName", volume, problem) }
    }
  }

  /// A claim without a volume may ask for one by name later.
  static func claimUpdate(_ new: JSON, _ old: JSON, into errors: inout FieldErrors) {
    var before = old
    if (old["volumeName"]?.stringValue ?? "").isEmpty { before["volumeName"] = new["volumeName"] }
    guard new != before else { return }
    errors.forbidden(
      "spec",
      "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims; and "
        + "this version resizes no volume")
  }

  // MARK: Classes

  /// ValidateStorageClass.
  static func storageClass(_ json: JSON, into errors: inout FieldErrors) {
    let provisioner = json["provisioner"]?.stringValue ?? ""
    let binding = json["volumeBindingMode"]?.stringValue ?? ""
    if provisioner.isEmpty {
      errors.required("provisioner")
    } else if provisioner == LocalDirectory.provisioner {
      if binding == "Immediate" {
        errors.forbidden(
          "volumeBindingMode",
          "a volume of \(provisioner) is made on the node of the first pod: it must be WaitForFirstConsumer")
      }
    } else if provisioner != nobody {
      errors.forbidden(
        "provisioner",
        "\(Honesty.notSupported): there are no storage drivers; it is \(LocalDirectory.provisioner), or \(nobody) for "
          + "volumes that are made by hand")
    }
    let policy = json["reclaimPolicy"]?.stringValue ?? ""
    if !["Delete", "Retain"].contains(policy) { errors.unsupported("reclaimPolicy", policy, ["Delete", "Retain"]) }
    if !["Immediate", "WaitForFirstConsumer"].contains(binding) {
      errors.unsupported("volumeBindingMode", binding, ["Immediate", "WaitForFirstConsumer"])
    }
  }

  // MARK: Parts

  private static func modes(_ spec: JSON, _ path: String, into errors: inout FieldErrors) {
    let given = spec["accessModes"]?.arrayValue ?? []
    if given.isEmpty { errors.required(path, "at least 1 access mode is required") }
    for mode in given where !AccessModes.names.contains(mode.stringValue ?? "") {
      errors.unsupported(path, mode.stringValue ?? "", AccessModes.names)
    }
    let all = AccessModes(spec["accessModes"])
    if all.contains(.readWriteOncePod), all != .readWriteOncePod {
      errors.forbidden(path, "may not use ReadWriteOncePod with other access modes")
    }
  }

  private static func size(_ value: JSON, _ path: String, into errors: inout FieldErrors) {
    if VolumeFacts.bytes(value) <= 0 { errors.invalid(path, value, "must be greater than zero") }
  }

  private static func className(_ spec: JSON, _ path: String, into errors: inout FieldErrors) {
    guard let name = spec["storageClassName"]?.stringValue, !name.isEmpty else { return }
    for problem in Names.subdomainErrors(name) { errors.invalid("\(path).storageClassName", name, problem) }
  }

  private static func mode(_ spec: JSON, _ path: String, into errors: inout FieldErrors) {
    let mode = spec["volumeMode"]?.stringValue ?? ""
    if !["Block", "Filesystem"].contains(mode) {
      errors.unsupported("\(path).volumeMode", mode, ["Block", "Filesystem"])
    }
  }
}

extension Honesty {
  mutating func volume(_ spec: JSON) {
    if spec["volumeMode"]?.stringValue == "Block" { refuse("spec.volumeMode", "Block is \(Self.notSupported)") }
    if spec["persistentVolumeReclaimPolicy"]?.stringValue == "Recycle" {
      refuse("spec.persistentVolumeReclaimPolicy", "Recycle is \(Self.notSupported); Kubernetes has given it up too")
    }
    if spec["nfs"] == nil, !(spec["mountOptions"]?.arrayValue ?? []).isEmpty { warn("spec.mountOptions") }
  }

  /// `path`: of the spec.
  mutating func claim(_ spec: JSON, _ path: String) {
    if spec["volumeMode"]?.stringValue == "Block" { refuse("\(path).volumeMode", "Block is \(Self.notSupported)") }
    let modes = AccessModes(spec["accessModes"])
    guard spec["storageClassName"]?.stringValue == LocalDirectory.className,
      !modes.isDisjoint(with: [.readWriteMany, .readOnlyMany])
    else { return }
    warn(
      "\(path).accessModes", "a volume of class \(LocalDirectory.className) lies on one node: its pods all run there")
  }
}
