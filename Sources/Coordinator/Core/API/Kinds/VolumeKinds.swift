// PersistentVolumes, PersistentVolumeClaims and StorageClasses: what the API does for them alone. Which volume a claim
// gets, and what becomes of both, is Storage's.

import ClusterProto

extension KindDescriptor {
  static let persistentVolumes = KindDescriptor(
    served: ServedRules(subresources: [.status], tier: .cluster),
    table: .simple([
      .name, TableColumn("Capacity", "How much the volume holds."),
      TableColumn("Access Modes", "How the volume may be used."),
      TableColumn("Reclaim Policy", "What becomes of the volume when its claim is gone."),
      TableColumn("Status", "Whether the volume is free, bound or released."),
      TableColumn("Claim", "The claim that the volume is bound to."),
      TableColumn("StorageClass", "The class of the volume."),
      TableColumn("VolumeAttributesClass", "Never set in this version."),
      TableColumn("Reason", "Why the volume is in its state."), .age,
      TableColumn("VolumeMode", "Filesystem.", isWide: true),
    ]) { object, name, age in
      let facts = VolumeFacts(object)
      let spec = object.body["spec"]
      return [
        name, spec?[path: ["capacity", "storage"]] ?? "", .string(facts.modes.short), .string(facts.policy),
        .string(facts.isDeleting ? "Terminating" : facts.phase),
        .string(facts.claim.map { "\($0.key.namespace)/\($0.key.name)" } ?? ""), .string(facts.className), "<unset>",
        object.body["status"]?["reason"] ?? "", age, spec?["volumeMode"] ?? "<unset>",
      ]
    },
    writes: WriteRules(
      skeleton: ["metadata": [:], "spec": [:], "status": [:]],
      defaults: { json in
        Defaults.within(&json, "spec") { spec in
          Defaults.set(&spec, "persistentVolumeReclaimPolicy", "Retain")
          Defaults.set(&spec, "volumeMode", "Filesystem")
          Defaults.within(&spec, "hostPath") { Defaults.set(&$0, "type", "") }
          Defaults.within(&spec, "claimRef") { claim in
            Defaults.set(&claim, "kind", "PersistentVolumeClaim")
            Defaults.set(&claim, "apiVersion", "v1")
          }
        }
      },
      complete: { json, _ in
        protect(&json, Protection.volume)
        json["status"] = ["phase": "Pending"]
      },
      settle: { json, before, _, _ in json["status"] = before.json["status"] },
      validateNew: { json, errors in VolumeRules.volume(json["spec"] ?? .null, into: &errors) },
      validateUpdate: { json, before, errors in
        VolumeRules.volume(json["spec"] ?? .null, into: &errors)
        VolumeRules.volumeUpdate(json["spec"] ?? .null, before.json["spec"] ?? .null, into: &errors)
      },
      honesty: { honesty, _, final in honesty.volume(final["spec"] ?? .null) }),
    status: .asWritten(.persistentvolumes))

  static let persistentVolumeClaims = KindDescriptor(
    served: ServedRules(subresources: [.status]),
    table: .simple([
      .name, TableColumn("Status", "Whether the claim has a volume."),
      TableColumn("Volume", "The volume that the claim is bound to."),
      TableColumn("Capacity", "How much the volume holds."),
      TableColumn("Access Modes", "How the volume may be used."),
      TableColumn("StorageClass", "The class of the claim."),
      TableColumn("VolumeAttributesClass", "Never set in this version."), .age,
      TableColumn("VolumeMode", "Filesystem.", isWide: true),
    ]) { object, name, age in
      let facts = ClaimFacts(object)
      let status = object.body["status"]
      let isBound = !facts.volumeName.isEmpty
      return [
        name, .string(facts.isDeleting ? "Terminating" : facts.phase), .string(facts.volumeName),
        isBound ? status?[path: ["capacity", "storage"]] ?? "0" : "",
        .string(isBound ? AccessModes(status?["accessModes"]).short : ""), .string(facts.className), "<unset>", age,
        object.body["spec"]?["volumeMode"] ?? "<unset>",
      ]
    },
    writes: WriteRules(
      skeleton: ["metadata": [:], "spec": ["resources": [:]], "status": [:]],
      defaults: { json in Defaults.within(&json, "spec") { Defaults.set(&$0, "volumeMode", "Filesystem") } },
      complete: { json, _ in
        protect(&json, Protection.claim)
        json["status"] = ["phase": "Pending"]
      },
      admit: { (json, core) throws(APIFailure) in core.admitClaim(&json) },
      settle: { json, before, _, _ in
        json["status"] = before.json["status"]
        // A manifest applied again does not carry what admission and binding added.
        for member in ["storageClassName", "volumeName"] where json["spec"]?[member] == nil {
          json["spec"]?[member] = before.json[path: ["spec", member]]
        }
      },
      validateNew: { json, errors in VolumeRules.claim(json["spec"] ?? .null, "spec", into: &errors) },
      validateUpdate: { json, before, errors in
        VolumeRules.claim(json["spec"] ?? .null, "spec", into: &errors)
        VolumeRules.claimUpdate(json["spec"] ?? .null, before.json["spec"] ?? .null, into: &errors)
      },
      honesty: { honesty, _, final in honesty.claim(final["spec"] ?? .null, "spec") }, isHonestAtUpdates: false),
    status: .asWritten(.persistentvolumeclaims))

  static let storageClasses = KindDescriptor(
    served: ServedRules(tier: .cluster),
    table: .simple([
      .name, TableColumn("Provisioner", "Who makes volumes of the class."),
      TableColumn("ReclaimPolicy", "What becomes of volumes of the class when their claims are gone."),
      TableColumn("VolumeBindingMode", "When claims of the class get their volumes."),
      TableColumn("AllowVolumeExpansion", "Whether claims may grow later."), .age,
    ]) { object, name, age in
      let isDefault = object.meta.annotations[StorageClassFacts.defaultAnnotation] == "true"
      return [
        isDefault ? .string("\(object.meta.name) (default)") : name, object.body["provisioner"] ?? "",
        object.body["reclaimPolicy"] ?? "Delete", object.body["volumeBindingMode"] ?? "Immediate",
        .bool(object.body["allowVolumeExpansion"]?.boolValue ?? false), age,
      ]
    },
    writes: WriteRules(
      defaults: { json in
        Defaults.set(&json, "reclaimPolicy", "Delete")
        Defaults.set(&json, "volumeBindingMode", "Immediate")
      },
      validateNew: VolumeRules.storageClass,
      validateUpdate: { json, before, errors in
        for member in ["parameters", "provisioner", "reclaimPolicy"] where json[member] != before.json[member] {
          errors.forbidden(member, "updates to \(member) are forbidden.")
        }
        if json["volumeBindingMode"] != before.json["volumeBindingMode"] {
          errors.invalid("volumeBindingMode", json["volumeBindingMode"] ?? .null, "field is immutable")
        }
        VolumeRules.storageClass(json, into: &errors)
      }))

  /// What Kubernetes' admission adds, so that nothing goes while it is used.
  private static func protect(_ json: inout JSON, _ finalizer: String) {
    var finalizers = json[path: ["metadata", "finalizers"]]?.arrayValue ?? []
    if !finalizers.contains(.string(finalizer)) { finalizers.append(.string(finalizer)) }
    json[path: ["metadata", "finalizers"]] = .array(finalizers)
  }
}

extension StatusRules {
  /// Kept as it is given.
  fileprivate static func asWritten(_ kind: Kind) -> StatusRules {
    StatusRules { json, before throws(APIFailure) in
      guard case .other(let old) = before else { return before }
      var tree = old.json
      tree["status"] = json ?? .object(JSONObject())
      return .other(GenericObject(kind: kind, json: tree))
    }
  }
}

extension CoordinatorCore {
  /// DefaultStorageClass: a claim that says nothing of a class gets the one for all, where there is one.
  func admitClaim(_ json: inout JSON) {
    guard json[path: ["spec", "storageClassName"]] == nil, json["spec"]?.objectValue != nil,
      let name = storage.defaultClass
    else { return }
    json[path: ["spec", "storageClassName"]] = .string(name)
  }
}
