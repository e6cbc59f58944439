// Owns: a volume's phase, what becomes of it when its claim is gone, and its end. A directory on a node is removed by
// that node, once nothing that may still run uses it; while the node is away, that waits. It must not choose volumes.

import ClusterProto

extension CoordinatorCore {
  /// After a removal failed it is asked for again.
  static let removalRetryMilliseconds: Int64 = 30_000
  private static let removalPage = 256

  mutating func syncVolume(_ name: String) {
    guard let facts = volume(name) else { return forgetRemoval(name) }
    guard let reference = facts.claim, !reference.uid.isEmpty else {
      // Somebody has taken it back before its directory was removed.
      forgetRemoval(name)
      if facts.isDeleting { return releaseVolume(facts) }
      setPhase(of: name, "Available")
      if facts.claim == nil { offer(facts) }
      return
    }
    if let claim = claim(reference.key), claim.uid == reference.uid {
      forgetRemoval(name)
      if claim.volumeName == name { setPhase(of: name, "Bound") }
      if facts.isDeleting, claim.volumeName != name { releaseVolume(facts) }
      return
    }
    if facts.phase != "Failed" { setPhase(of: name, "Released") }
    reclaim(facts, of: reference.key)
    if facts.isDeleting { releaseVolume(facts) }
  }

  /// A volume that is for nobody goes to who waits for one like it.
  private mutating func offer(_ facts: VolumeFacts) {
    guard storage.free.contains(facts.name) else { return }
    let key = storage.unbound.largest(facts.className, facts.modes, bytes: facts.bytes) { key in
      claim(key)?.selector.map { $0.matches(facts.labels) } ?? true
    }
    if let key, let claim = claim(key) { return bind(claim, to: facts) }
    guard !storage.groups.isEmpty else { return }
    for key in storage.delayed[facts.className] ?? InsertionSet() { wakeGroups(of: key) }
  }

  private mutating func setPhase(of name: String, _ phase: String, message: String = "") {
    let stamp = JSON.string(now.wall.rfc3339)
    change(.persistentvolumes, ObjectKey(namespace: "", name: name)) { volume in
      let status = volume.body["status"]
      guard status?["phase"]?.stringValue != phase || status?["message"]?.stringValue ?? "" != message else { return }
      volume.body["status"] = ["phase": .string(phase), "lastPhaseTransitionTime": stamp]
      if !message.isEmpty { volume.body["status"]?["message"] = .string(message) }
    }
  }

  private mutating func reclaim(_ facts: VolumeFacts, of claim: ObjectKey) {
    guard facts.policy == "Delete" else { return forgetRemoval(facts.name) }
    if let directory = facts.directory {
      guard storage.attempts[claim] == nil else { return }
      if storage.removals[directory.node, default: InsertionSet()].insert(facts.name) {
        storage.removalNodes[facts.name] = directory.node
        storage.untold.add(directory.node)
      }
      return
    }
    if facts.isDeleting || facts.phase == "Failed" { return }
    fail(
      facts.name,
      "error getting deleter volume plugin for volume \(JSON.string(facts.name).text): no deletable volume plugin "
        + "matched"
    )
  }

  private mutating func fail(_ name: String, _ message: String) {
    setPhase(of: name, "Failed", message: message)
    guard let object = state.other(.persistentvolumes, ObjectKey(namespace: "", name: name)) else { return }
    recordEvent(
      on: .other(object), type: .warning, reason: "VolumeFailedDelete", message: message,
      component: Self.bindingComponent)
  }

  /// It is to go, and no claim holds it. A directory that is to be kept is nobody's to wait for.
  private mutating func releaseVolume(_ facts: VolumeFacts) {
    change(.persistentvolumes, ObjectKey(namespace: "", name: facts.name)) { volume in
      volume.meta.finalizers.removeAll { finalizer in
        finalizer == Protection.volume
          || finalizer == Protection.directory && (facts.policy != "Delete" || facts.directory == nil)
      }
    }
  }

  private mutating func forgetRemoval(_ name: String) {
    guard let node = storage.removalNodes.removeValue(forKey: name) else { return }
    storage.removals.take(name, of: node)
  }

  // MARK: - Nodes

  /// Tells the node, if it is there, which directories have to go.
  mutating func tellRemovals(_ node: String) {
    guard let names = storage.removals[node], let session = session(ofNode: node) else { return }
    // What does not fit follows what is done.
    outputs.append(.send(session, .removeVolumes(Array(names.prefix(Self.removalPage))), immediate: false))
  }

  /// A node's word about directories that it was to remove.
  mutating func take(removed: [String], failed: [VolumeProblem], from session: SessionID) {
    guard let node = node(of: session) else { return }
    for name in removed where storage.removals[node]?.contains(name) == true {
      erase(ObjectReference(kind: .persistentvolumes, key: ObjectKey(namespace: "", name: name)))
      forgetRemoval(name)
    }
    for problem in failed where storage.removals[node]?.contains(problem.volume) == true {
      fail(problem.volume, Excerpt.of(problem.message, limit: 512))
    }
    if failed.isEmpty {
      if storage.removals[node] != nil { storage.untold.add(node) }
    } else {
      storage.failing.insert(node)
      retryStorage(after: Self.removalRetryMilliseconds)
    }
  }

  /// The time has come to try again what failed.
  mutating func retryStorage() {
    while let node = storage.failing.popFirst() { storage.untold.add(node) }
    while let pod = storage.refused.popFirst() { storage.ephemeral.add(pod) }
  }
}
