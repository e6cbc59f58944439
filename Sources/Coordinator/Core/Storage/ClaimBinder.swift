// Owns: which volume a claim gets: the one that it names, one that was made for it, else the smallest free one that
// will do; what is said of a claim that gets none; and the claim's end. Kubernetes' rules and words. It must not know
// pods beyond that some use the claim.

import ClusterProto

/// What keeps claims and volumes while somebody uses them.
enum Protection {
  static let claim = "kubernetes.io/pvc-protection"
  static let volume = "kubernetes.io/pv-protection"
  /// The directory is still on its node.
  static let directory = "stint.dev/directory"
}

extension CoordinatorCore {
  static let bindingComponent = "persistentvolume-controller"
  private static let byController = "pv.kubernetes.io/bound-by-controller"

  /// Changes an object that has no type of its own.
  mutating func change(_ kind: Kind, _ key: ObjectKey, _ change: (inout GenericObject) -> Void) {
    update(ObjectReference(kind: kind, key: key)) { object in
      guard case .other(var other) = object else { return }
      change(&other)
      object = .other(other)
    }
  }

  /// What a volume has of its claim.
  static func reference(to claim: GenericObject) -> JSON {
    [
      "kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": .string(claim.meta.namespace),
      "name": .string(claim.meta.name), "uid": .string(claim.meta.uid),
      "resourceVersion": .string(String(claim.meta.resourceVersion)),
    ]
  }

  /// Whether a pod that has a node, or an attempt that may still run, uses it.
  func isUsed(_ claim: ObjectKey) -> Bool {
    storage.assigned[claim] != nil || storage.attempts[claim]?.isEmpty == false
  }

  mutating func syncClaim(_ key: ObjectKey) {
    guard let facts = claim(key) else {
      storage.told[key] = nil
      return
    }
    if facts.isDeleting, !isUsed(key) {
      change(.persistentvolumeclaims, key) { $0.meta.finalizers.removeAll { $0 == Protection.claim } }
      guard claim(key) != nil else { return }
    }
    forgetUnbound(key, facts)
    if facts.isBound { return checkBound(facts) }
    if facts.isDeleting { return }
    storage.classless[facts.className, default: InsertionSet()].insert(key)
    if !facts.volumeName.isEmpty { return bindNamed(facts) }
    for name in storage.reserved[key] ?? [] {
      guard let volume = volume(name), isReserved(volume, for: facts), facts.mismatch(volume) == nil else { continue }
      return bind(facts, to: volume)
    }
    let rules = storage.classes[facts.className]
    if rules?.waitsForPod == true {
      storage.delayed[facts.className, default: InsertionSet()].insert(key)
      return tell(facts, .normal, "WaitForFirstConsumer", "waiting for first consumer to be created before binding")
    }
    if let name = freeVolume(for: facts), let volume = volume(name) { return bind(facts, to: volume) }
    storage.unbound.set(key, on: StorageShelf(className: facts.className, modes: facts.modes), bytes: facts.bytes)
    if facts.className.isEmpty {
      tell(
        facts, .normal, "FailedBinding",
        "no persistent volumes available for this claim and no storage class is set")
    } else if let rules {
      let problem = "no volume plugin matched name: \(rules.provisioner)"
      tell(facts, .warning, "ProvisioningFailed", problem)
    } else {
      tell(
        facts, .warning, "ProvisioningFailed",
        "storageclass.storage.k8s.io \(JSON.string(facts.className).text) not found")
    }
  }

  /// The smallest free volume that will do; on a node where one is given.
  func freeVolume(for claim: ClaimFacts, on node: Node? = nil, but taken: [String] = []) -> String? {
    func suits(_ name: String) -> Bool {
      guard !taken.contains(name), let volume = storage.freeFacts[name] else { return false }
      if let selector = claim.selector, !selector.matches(volume.labels) { return false }
      return node.map { volume.isReachable(from: $0.meta.name, $0.meta.labels) } ?? true
    }
    guard let node else {
      return storage.free.smallest(claim.className, claim.modes, bytes: claim.bytes, where: suits)
    }
    // Those that no other host reaches, and those of no one host.
    let hosts: [String?] = (node.meta.labels[VolumeFacts.hostLabel].map { [$0] } ?? []) + [nil]
    return storage.freeByHost.smallest(
      claim.className, claim.modes, bytes: claim.bytes, hosts: hosts, where: suits)
  }

  private func isReserved(_ volume: VolumeFacts, for claim: ClaimFacts) -> Bool {
    guard let reference = volume.claim, !volume.isDeleting else { return false }
    return reference.key == claim.key && (reference.uid.isEmpty || reference.uid == claim.uid)
  }

  private mutating func bindNamed(_ facts: ClaimFacts) {
    storage.wanted[facts.volumeName, default: InsertionSet()].insert(facts.key)
    guard let volume = volume(facts.volumeName), !volume.isDeleting else { return }
    guard volume.claim == nil || isReserved(volume, for: facts) else {
      return tell(
        facts, .warning, "FailedBinding",
        "volume \(JSON.string(volume.name).text) already bound to a different claim.")
    }
    if let problem = facts.mismatch(volume) {
      return tell(
        facts, .warning, "VolumeMismatch",
        "Cannot bind to requested volume \(JSON.string(volume.name).text): \(problem)")
    }
    bind(facts, to: volume)
  }

  /// Both say it in one step.
  mutating func bind(_ facts: ClaimFacts, to volume: VolumeFacts) {
    guard let object = state.other(.persistentvolumeclaims, facts.key) else { return }
    let reference = Self.reference(to: object)
    let stamp = JSON.string(now.wall.rfc3339)
    var capacity: JSON = .null
    var modes: JSON = .null
    change(.persistentvolumes, ObjectKey(namespace: "", name: volume.name)) { volume in
      var spec = volume.body["spec"] ?? .object(JSONObject())
      if spec["claimRef"] == nil { volume.meta.annotations[Self.byController] = "yes" }
      if spec[path: ["claimRef", "uid"]] != reference["uid"] { spec["claimRef"] = reference }
      capacity = spec["capacity"] ?? .null
      modes = spec["accessModes"] ?? .null
      volume.body["spec"] = spec
      if volume.body["status"]?["phase"]?.stringValue != "Bound" {
        volume.body["status"] = ["phase": "Bound", "lastPhaseTransitionTime": stamp]
      }
    }
    forgetUnbound(facts.key, facts)
    storage.told[facts.key] = nil
    change(.persistentvolumeclaims, facts.key) { claim in
      var spec = claim.body["spec"] ?? .object(JSONObject())
      if facts.volumeName.isEmpty { claim.meta.annotations[Self.byController] = "yes" }
      claim.meta.annotations[ClaimFacts.boundAnnotation] = "yes"
      spec["volumeName"] = .string(volume.name)
      claim.body["spec"] = spec
      claim.body["status"] = ["phase": "Bound", "accessModes": modes, "capacity": capacity]
    }
  }

  /// A claim that was bound: its volume may be gone.
  private mutating func checkBound(_ facts: ClaimFacts) {
    let volume = volume(facts.volumeName)
    let isFree = volume.map { $0.claim == nil && !$0.isDeleting && facts.mismatch($0) == nil } ?? false
    if let volume, isFree || isReserved(volume, for: facts) {
      if facts.phase != "Bound" || volume.claim?.uid != facts.uid { bind(facts, to: volume) }
      return
    }
    if volume?.claim?.key == facts.key, volume?.claim?.uid == facts.uid { return }
    guard facts.phase != "Lost" else { return }
    change(.persistentvolumeclaims, facts.key) { $0.body["status"] = ["phase": "Lost"] }
    let (reason, text) =
      facts.volumeName.isEmpty
      ? ("ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!")
      : volume == nil
        ? ("ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!")
        : ("ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")
    tell(facts, .warning, reason, text)
  }

  /// Once, and again when it is another word.
  private mutating func tell(_ facts: ClaimFacts, _ type: EventType, _ reason: String, _ message: String) {
    guard storage.told[facts.key] != message, let object = state.other(.persistentvolumeclaims, facts.key) else {
      return
    }
    storage.told[facts.key] = message
    recordEvent(
      on: .other(object), type: type, reason: reason, message: message, component: Self.bindingComponent)
  }
}
