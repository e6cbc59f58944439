// Owns: what a waiting pod's claims ask of the scheduler: why no node will do, which nodes reach its volumes, claims
// that one pod alone may use, and volumes that are chosen or made with the node. It must not choose nodes.

import ClusterProto

/// Pods of which these are equal, and all else, are one group of the scheduler.
struct StorageNeeds: Hashable, Sendable {
  /// Why no node will do as things are, in Kubernetes' words.
  var obstacle: String?
  /// What each bound volume asks of a node: one of each list has to hold.
  var bound: [[NodeTerm]] = []
  /// Claims that get a volume with the node, which has to be there already.
  var unbound: [ObjectKey] = []
  /// Claims that only one pod at a time may use.
  var exclusive: [ObjectKey] = []
  /// Some volume is made with the node.
  var makesVolumes = false

  /// The next pod of the group is not as free as this one.
  var isChanging: Bool { !unbound.isEmpty || !exclusive.isEmpty || makesVolumes }
}

extension CoordinatorCore {
  private static let affinityText = "node(s) didn't match PersistentVolume's node affinity"
  private static let noVolumeText = "node(s) didn't find available persistent volumes to bind"
  private static let exclusiveText =
    "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"

  /// What the pod's claims ask for now; nil: it has none.
  func needs(of pod: Pod) -> StorageNeeds? {
    guard !pod.spec.claims.isEmpty else { return nil }
    var needs = StorageNeeds()
    var isImmediate = false
    for (key, volume) in claims(of: pod) {
      let name = JSON.string(key.name).text
      guard let object = state.other(.persistentvolumeclaims, key) else {
        if case .ephemeral = volume.source {
          needs.obstacle = "waiting for ephemeral volume controller to create the persistentvolumeclaim \(name)"
        } else {
          needs.obstacle = "persistentvolumeclaim \(name) not found"
        }
        return needs
      }
      if case .ephemeral = volume.source, !Self.isMade(object, for: pod) {
        needs.obstacle =
          "PVC \(key) was not created for pod \(pod.meta.key) (pod is not the owner)"
        return needs
      }
      let claim = ClaimFacts(object)
      if claim.isDeleting {
        needs.obstacle = "persistentvolumeclaim \(name) is being deleted"
        return needs
      }
      if claim.isExclusive { needs.exclusive.append(key) }
      if claim.isBound {
        guard claim.phase != "Lost", let bound = self.volume(claim.volumeName) else {
          needs.obstacle =
            "persistentvolumeclaim \(name) bound to non-existent persistentvolume \(JSON.string(claim.volumeName).text)"
          return needs
        }
        if let terms = bound.nodes { needs.bound.append(terms) }
        continue
      }
      guard claim.volumeName.isEmpty, let rules = storage.classes[claim.className], rules.waitsForPod else {
        isImmediate = true
        continue
      }
      if rules.isLocal { needs.makesVolumes = true } else { needs.unbound.append(key) }
    }
    if isImmediate { needs.obstacle = "pod has unbound immediate PersistentVolumeClaims" }
    return needs
  }

  /// Why the node will not do for pods with these needs; nil: it does, or they have none.
  func storageRefusal(_ needs: StorageNeeds?, by node: Node) -> NodeRefusal? {
    guard let needs else { return nil }
    if let obstacle = needs.obstacle { return NodeRefusal([obstacle], isHopeless: true) }
    if needs.exclusive.contains(where: { storage.attempts[$0] != nil }) {
      return NodeRefusal([Self.exclusiveText], isHopeless: false)
    }
    let (name, labels) = (node.meta.name, node.meta.labels)
    if !needs.bound.allSatisfy({ terms in terms.contains { $0.matches(name: name, labels: labels) } }) {
      return NodeRefusal([Self.affinityText], isHopeless: true)
    }
    if !needs.unbound.isEmpty, volumes(for: needs.unbound, on: node) == nil {
      return NodeRefusal([Self.noVolumeText], isHopeless: true)
    }
    return nil
  }

  /// A free volume for each of the claims; nil: there are not as many.
  private func volumes(for claims: [ObjectKey], on node: Node) -> [String]? {
    var taken: [String] = []
    for key in claims {
      guard let claim = claim(key), let found = freeVolume(for: claim, on: node, but: taken) else { return nil }
      taken.append(found)
    }
    return taken
  }

  /// The pod gets that node: the claims that waited for it get their volumes. False: one of them cannot; those
  /// before it may have theirs, which stay bound as they do in Kubernetes, and the pod waits on.
  mutating func bindClaims(of pod: Pod, on name: String) -> Bool {
    guard !pod.spec.claims.isEmpty else { return true }
    guard let needs = needs(of: pod), let node = state.nodes[ObjectKey(namespace: "", name: name)],
      storageRefusal(needs, by: node) == nil, let chosen = volumes(for: needs.unbound, on: node)
    else { return false }
    for (key, name) in zip(needs.unbound, chosen) {
      if let claim = claim(key), let volume = volume(name) { bind(claim, to: volume) }
    }
    guard needs.makesVolumes else { return true }
    for (key, _) in claims(of: pod) {
      guard let claim = claim(key), !claim.isBound, let rules = storage.classes[claim.className] else { continue }
      change(.persistentvolumeclaims, key) { $0.meta.annotations["volume.kubernetes.io/selected-node"] = name }
      let found = freeVolume(for: claim, on: node) ?? makeVolume(for: claim, on: name, rules)
      guard let found, let volume = volume(found) else { return false }
      bind(claim, to: volume)
    }
    return true
  }

  // MARK: - Waiting pods

  /// Remembers what the pod's group is told of its claims.
  mutating func enterNeeds(of pod: Pod) {
    guard let needs = needs(of: pod) else { return }
    storage.needs[pod.meta.key] = needs
    for (key, _) in claims(of: pod) { storage.waiting[key, default: InsertionSet()].insert(pod.meta.key) }
    let group = groupKey(pod)
    for key in needs.exclusive + needs.unbound { storage.groups[key, default: InsertionSet()].insert(group) }
  }

  mutating func leaveNeeds(of pod: Pod) {
    guard !pod.spec.claims.isEmpty else { return }
    storage.needs[pod.meta.key] = nil
    for (key, _) in claims(of: pod) { storage.waiting.take(pod.meta.key, of: key) }
  }

  mutating func forgetNeeds(of group: WaitingGroupKey) {
    guard let needs = group.storage else { return }
    for key in needs.exclusive + needs.unbound { storage.groups.take(group, of: key) }
  }

  /// Moves a waiting pod to the group that it belongs to now; true: it was moved.
  @discardableResult
  mutating func settleNeeds(of pod: Pod) -> Bool {
    guard !pod.spec.claims.isEmpty, Self.waitsForNode(pod), let known = storage.needs[pod.meta.key],
      known != needs(of: pod)
    else { return false }
    stopWaiting(pod)
    startWaiting(pod)
    return true
  }

  /// The claim is free, or there may be a volume for it: who waits for that is tried again.
  mutating func wakeGroups(of claim: ObjectKey) {
    for group in storage.groups[claim] ?? InsertionSet() { wake(group) }
  }

  /// Where a node finds the volumes of a pod's claims, by the names of its volumes. Of claims in its own namespace
  /// alone; one that is not bound is left out, and the node waits for it.
  func sources(of pod: Pod) -> [(key: String, source: JSON)] {
    claims(of: pod).compactMap { key, volume in
      guard let object = state.other(.persistentvolumeclaims, key) else { return nil }
      if case .ephemeral = volume.source, !Self.isMade(object, for: pod) { return nil }
      let claim = ClaimFacts(object)
      guard claim.isBound, claim.phase == "Bound",
        let bound = state.other(.persistentvolumes, ObjectKey(namespace: "", name: claim.volumeName)),
        let spec = bound.body["spec"], spec[path: ["claimRef", "uid"]]?.stringValue == claim.uid
      else { return nil }
      var source: JSON = ["volume": .string(claim.volumeName)]
      if let directory = LocalDirectory(bound) {
        source["stored"] = true
        source["make"] = .bool(!directory.isMade)
      } else if let share = spec["nfs"] {
        source["nfs"] = share
        source["options"] = spec["mountOptions"]
      } else if let host = spec["hostPath"] {
        source["hostPath"] = host
      } else if let local = spec["local"] {
        source["hostPath"] = ["path": local["path"] ?? "", "type": "Directory"]
      } else {
        return nil
      }
      return ("volumes/\(volume.name)", source)
    }
  }
}
