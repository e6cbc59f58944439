// Owns: what binding remembers between turns, all of it made again from the objects and attempts, and its place in the
// turn: what changed is noted here and looked at by the files beside this one. It must not decide anything.

import ClusterProto

struct StorageState: Sendable {
  /// Volumes that are for nobody: what is known of them, their order, and their order host by host; and claims that
  /// wait for one.
  var freeFacts: [String: VolumeFacts] = [:]
  var free = SizedShelves<String>()
  var freeByHost = SizedShelves<String>()
  var unbound = SizedShelves<ObjectKey>()
  /// Volumes that were made for a claim that has not come yet or is not bound, by that claim.
  var reserved: [ObjectKey: [String]] = [:]
  var reservedFor: [String: ObjectKey] = [:]
  /// Claims that ask for a volume by its name and have not got it.
  var wanted: [String: InsertionSet<ObjectKey>] = [:]
  /// Claims that wait for their first pod, by class.
  var delayed: [String: InsertionSet<ObjectKey>] = [:]
  /// Claims without a volume, by class: they are looked at again when the class comes or changes.
  var classless: [String: InsertionSet<ObjectKey>] = [:]
  var classes: [String: StorageClassFacts] = [:]
  /// The class of claims that name none: of several the youngest, as in Kubernetes.
  var defaultClass: String?

  /// Pods that name a claim, those of them that have a node, and attempts that may still use it.
  var pods: [ObjectKey: InsertionSet<ObjectKey>] = [:]
  var assigned: [ObjectKey: Int] = [:]
  var attempts: [ObjectKey: InsertionSet<AttemptNumber>] = [:]
  /// Pods with claims that wait for a node: what their group was told of their claims; and by claim.
  var needs: [ObjectKey: StorageNeeds] = [:]
  var waiting: [ObjectKey: InsertionSet<ObjectKey>] = [:]
  /// Groups to be tried again when the claim, which one pod alone may use, is free, or a volume for it is there.
  var groups: [ObjectKey: InsertionSet<WaitingGroupKey>] = [:]

  /// Directories that have to be removed, by node.
  var removals: [String: InsertionSet<String>] = [:]
  var removalNodes: [String: String] = [:]
  /// Nodes that could not remove one, and pods whose claims were refused: tried again after a while.
  var failing = InsertionSet<String>()
  var refused = InsertionSet<ObjectKey>()
  /// Nodes that have to be told of one.
  var untold = WorkQueue<String>()

  var claims = WorkQueue<ObjectKey>()
  var volumes = WorkQueue<String>()
  /// Pods whose claims have changed while they wait.
  var restless = WorkQueue<ObjectKey>()
  /// Pods whose ephemeral claims have to be made, and pods that have started.
  var ephemeral = WorkQueue<ObjectKey>()
  var started = WorkQueue<ObjectKey>()
  /// What was said last of a claim that has no volume.
  var told: [ObjectKey: String] = [:]
  /// Claims and volumes that were looked at; for tests of what it costs.
  var looked = 0

  /// The volume is for nobody, and that is what it is; nil: it is not there, or for somebody.
  mutating func noteFree(_ name: String, _ facts: VolumeFacts?) {
    freeFacts[name] = facts
    guard let facts else {
      free.remove(name)
      return freeByHost.remove(name)
    }
    var shelf = StorageShelf(className: facts.className, modes: facts.modes)
    free.set(name, on: shelf, bytes: facts.bytes)
    shelf.host = facts.host
    freeByHost.set(name, on: shelf, bytes: facts.bytes)
  }
}

extension CoordinatorCore {
  func claim(_ key: ObjectKey) -> ClaimFacts? { state.other(.persistentvolumeclaims, key).map { ClaimFacts($0) } }

  func volume(_ name: String) -> VolumeFacts? {
    state.other(.persistentvolumes, ObjectKey(namespace: "", name: name)).map { VolumeFacts($0) }
  }

  /// Every object change passes here; also each row at start (then nothing is written or sent).
  mutating func storageObserve(_ change: ObjectChange) {
    if case .pod(let pod)? = change.subject {
      if !pod.spec.claims.isEmpty { observeUser(change) }
      return
    }
    guard case .other(let object)? = change.subject else { return }
    let before = change.before.flatMap(Self.other)
    let after = change.after.flatMap(Self.other)
    if object.kind == .persistentvolumes { observeVolume(object.meta.name, before, after) }
    if object.kind == .persistentvolumeclaims { observeClaim(object, after) }
    if object.kind == .storageclasses { observeStorageClass(object.meta.name, after) }
  }

  private static func other(_ object: APIObject) -> GenericObject? {
    if case .other(let other) = object { other } else { nil }
  }

  /// The claim, and pods that wait with it, are looked at again.
  private mutating func unsettle(_ claim: ObjectKey) {
    storage.claims.add(claim)
    for pod in storage.waiting[claim] ?? InsertionSet() { storage.restless.add(pod) }
  }

  private mutating func observeVolume(_ name: String, _ before: GenericObject?, _ object: GenericObject?) {
    storage.volumes.add(name)
    if let claim = before.flatMap({ VolumeFacts($0).claim }) { unsettle(claim.key) }
    if let key = storage.reservedFor.removeValue(forKey: name) {
      storage.reserved[key]?.removeAll { $0 == name }
      if storage.reserved[key]?.isEmpty == true { storage.reserved[key] = nil }
      storage.claims.add(key)
    }
    let facts = object.map { VolumeFacts($0) }
    storage.noteFree(name, facts.flatMap { $0.isDeleting || $0.claim != nil ? nil : $0 })
    if let claim = facts?.claim, facts?.isDeleting == false {
      storage.reserved[claim.key, default: []].append(name)
      storage.reserved[claim.key]?.sort()
      storage.reservedFor[name] = claim.key
      unsettle(claim.key)
    }
    for key in storage.wanted[name] ?? InsertionSet() { storage.claims.add(key) }
  }

  private mutating func observeClaim(_ object: GenericObject, _ after: GenericObject?) {
    let key = object.meta.key
    unsettle(key)
    let before = ClaimFacts(object)
    for name in storage.reserved[key] ?? [] { storage.volumes.add(name) }
    if !before.volumeName.isEmpty { storage.volumes.add(before.volumeName) }
    guard after == nil else { return }
    forgetUnbound(key, before)
  }

  /// It is in no place of those that wait.
  mutating func forgetUnbound(_ key: ObjectKey, _ facts: ClaimFacts) {
    storage.unbound.remove(key)
    if !facts.volumeName.isEmpty { storage.wanted.take(key, of: facts.volumeName) }
    storage.delayed.take(key, of: facts.className)
    storage.classless.take(key, of: facts.className)
  }

  private mutating func observeStorageClass(_ name: String, _ after: GenericObject?) {
    storage.classes[name] = after.map { StorageClassFacts($0) }
    for key in storage.classless[name] ?? InsertionSet() {
      unsettle(key)
    }
    var youngest: (name: String, made: WallTime)?
    // There are few.
    for name in storage.classes.keys.sorted() {
      guard let meta = state.other(.storageclasses, ObjectKey(namespace: "", name: name))?.meta,
        meta.annotations[StorageClassFacts.defaultAnnotation] == "true"
      else { continue }
      if youngest.map({ $0.made < meta.creationTimestamp }) ?? true { youngest = (name, meta.creationTimestamp) }
    }
    storage.defaultClass = youngest?.name
  }

  private mutating func observeUser(_ change: ObjectChange) {
    func pod(_ object: APIObject?) -> Pod? { if case .pod(let pod)? = object { pod } else { nil } }
    let (before, after) = (pod(change.before), pod(change.after))
    guard let pod = after ?? before else { return }
    let had = before?.nodeName != nil
    let has = after?.nodeName != nil
    for (key, _) in claims(of: pod) {
      if before == nil { storage.pods[key, default: InsertionSet()].insert(pod.meta.key) }
      if after == nil { storage.pods.take(pod.meta.key, of: key) }
      if had != has || after == nil {
        let count = (storage.assigned[key] ?? 0) + (has ? 1 : 0) - (had ? 1 : 0)
        storage.assigned[key] = count > 0 ? count : nil
      }
      if after == nil || had != has { storage.claims.add(key) }
    }
    guard let after else { return }
    if before == nil { storage.ephemeral.add(after.meta.key) }
    // A pod may have begun and failed before it was seen running.
    let hasBegun =
      [.running, .succeeded].contains(after.status.phase)
      || after.status.phase == .failed && !after.status.containers.isEmpty
    if hasBegun, before?.status.phase != after.status.phase {
      storage.started.add(after.meta.key)
    }
  }

  /// An attempt that may use claims came, or is proven dead.
  mutating func noteClaims(of attempt: Attempt, isGone: Bool) {
    for name in attempt.claims {
      let key = ObjectKey(namespace: attempt.pod.namespace, name: name)
      if !isGone {
        storage.attempts[key, default: InsertionSet()].insert(attempt.number)
        continue
      }
      storage.attempts.take(attempt.number, of: key)
      storage.claims.add(key)
      if let volume = claim(key)?.volumeName { storage.volumes.add(volume) }
      for volume in storage.reserved[key] ?? [] { storage.volumes.add(volume) }
      wakeGroups(of: key)
    }
  }

  /// The claims of a pod, with the volumes of its spec.
  func claims(of pod: Pod) -> [(key: ObjectKey, volume: VolumeSpec)] {
    pod.spec.claims.compactMap { volume in
      volume.claimName(ofPod: pod.meta.name).map {
        (ObjectKey(namespace: pod.meta.namespace, name: $0), volume)
      }
    }
  }

  /// Runs due work on at most `limit` objects; returns how many it touched.
  mutating func runStorage(limit: Int) -> Int {
    var left = limit
    while left > 0, let key = storage.ephemeral.next() { left -= makeEphemeralClaims(key) }
    while left > 0, let key = storage.claims.next() {
      syncClaim(key)
      left -= 1
    }
    while left > 0, let name = storage.volumes.next() {
      syncVolume(name)
      left -= 1
    }
    while left > 0, let key = storage.started.next() { left -= noteMade(by: key) }
    while left > 0, let key = storage.restless.next() {
      if let pod = state.pods[key] { settleNeeds(of: pod) }
      left -= 1
    }
    while left > 0, let node = storage.untold.next() {
      tellRemovals(node)
      left -= 1
    }
    storage.looked += limit - left
    return limit - left
  }
}

extension Dictionary {
  /// Takes a member out of the set that stands under the key.
  mutating func take<Member>(_ member: Member, of key: Key) where Value == InsertionSet<Member> {
    self[key]?.remove(member)
    if self[key]?.isEmpty == true { self[key] = nil }
  }
}
