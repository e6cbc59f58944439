// Who owns which fields of one object: how an update and an apply change it, conflicts, pruning, the cap on updaters.
// The rules are Kubernetes' field manager's. Knows nothing of verbs, storage or how a request names its manager.

import ClusterProto

/// A conflict of one applied field with one other manager.
struct FieldConflict: Equatable, Sendable {
  /// `"kubectl-client-side-apply" using batch/v1`
  var manager: String
  var path: String
}

/// The owners of one object's fields.
struct FieldOwnership: Equatable, Sendable {
  /// What tells owners apart. For appliers the version does not count.
  struct Identity: Equatable, Sendable {
    var manager: String
    var operation: String
    var apiVersion: String
    var subresource: String

    static func == (left: Identity, right: Identity) -> Bool {
      left.manager == right.manager && left.operation == right.operation && left.subresource == right.subresource
        && (left.operation == ManagedFieldsEntry.apply || left.apiVersion == right.apiVersion)
    }

    /// As conflicts name it.
    var text: String {
      var text = JSON.string(manager).text
      if !subresource.isEmpty { text += " with subresource \(JSON.string(subresource).text)" }
      return operation == ManagedFieldsEntry.update ? "\(text) using \(apiVersion)" : text
    }
  }

  struct Owner: Equatable, Sendable {
    var identity: Identity
    var set: FieldSet
    var time: WallTime?
  }

  /// Update entries that an object keeps; older ones are merged.
  static let updaterLimit = 10
  private static let mergedManager = "ancient-changes"
  /// Owns what was there when an object without owners is applied to first.
  private static let firstManager = "before-first-apply"

  /// Fields that nobody owns.
  private static let stripped = FieldSet(
    paths: [["apiVersion"], ["kind"], ["metadata"]]
      + [
        "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields",
        "resourceVersion",
      ].map { ["metadata", $0] })

  private(set) var owners: [Owner] = []

  var isEmpty: Bool { owners.isEmpty }

  init() {}

  init(entries: [ManagedFieldsEntry]) {
    for entry in entries {
      guard let set = FieldSet(json: entry.fields.json) else { continue }
      let identity = Identity(
        manager: entry.manager, operation: entry.operation, apiVersion: entry.apiVersion,
        subresource: entry.subresource)
      self[identity] = Owner(identity: identity, set: set, time: entry.time)
    }
  }

  private subscript(identity: Identity) -> Owner? {
    get { owners.first { $0.identity == identity } }
    set {
      let index = owners.firstIndex { $0.identity == identity }
      switch (index, newValue) {
      case (let index?, let value?): owners[index] = value
      case (let index?, nil): owners.remove(at: index)
      case (nil, let value?): owners.append(value)
      case (nil, nil): break
      }
    }
  }

  /// managedFields as the API shows them: appliers before updaters, then by time (whole seconds), then by name.
  func entries(sharing pool: inout FieldSetPool) -> [ManagedFieldsEntry] {
    var entries: [ManagedFieldsEntry] = []
    for owner in owners {
      entries.append(
        ManagedFieldsEntry(
          manager: owner.identity.manager, operation: owner.identity.operation, apiVersion: owner.identity.apiVersion,
          time: owner.time, fields: pool.shared(FieldsV1(json: owner.set.json)),
          subresource: owner.identity.subresource))
    }
    return entries.sorted { left, right in
      if left.operation != right.operation { return left.operation < right.operation }
      let (first, second) = (Self.seconds(left.time), Self.seconds(right.time))
      if first != second { return first < second }
      if left.manager != right.manager { return left.manager < right.manager }
      if left.apiVersion != right.apiVersion { return left.apiVersion < right.apiVersion }
      return left.subresource < right.subresource
    }
  }

  private static func seconds(_ time: WallTime?) -> Int64 { (time?.nanoseconds ?? 0) / 1_000_000_000 }

  /// A client's change from one state to another: it owns what it gave a value, and nobody owns what is gone.
  /// `visible`: the part of a set that this request may own.
  mutating func update(
    _ comparison: FieldComparison, by manager: Identity, at time: WallTime, visible: (FieldSet) -> FieldSet
  ) {
    let taken = comparison.taken
    release(taken, comparison.removed, except: nil)
    let own = visible(taken).subtracting(Self.stripped)
    if !own.isEmpty {
      let before = self[manager]?.set ?? FieldSet()
      self[manager] = Owner(identity: manager, set: before.union(own), time: time)
    }
    capUpdaters()
  }

  /// Takes new values and removed fields from all owners but one; who owns nothing is no owner.
  private mutating func release(_ taken: FieldSet, _ removed: FieldSet, except: Identity?) {
    for index in owners.indices where owners[index].identity != except {
      owners[index].set = owners[index].set.subtracting(taken).subtracting(removed)
    }
    owners.removeAll { $0.set.isEmpty }
  }

  /// What an apply leads to.
  enum Outcome {
    case applied(JSON)
    case conflicts([FieldConflict])
  }

  /// Lays a configuration over the live state: merges, removes what the manager applied before, names no more and
  /// nobody else owns, and enters the manager as owner of all that it names.
  mutating func apply(
    _ config: JSON, to live: JSON, _ form: FieldForm, by manager: Identity, at time: WallTime, force: Bool,
    visible: (FieldSet) -> FieldSet
  ) -> Outcome {
    let set = visible(FieldMerge.fieldSet(config, form))
    let last = self[manager]?.set
    self[manager] = Owner(identity: manager, set: set, time: time)
    let merged = FieldMerge.merge(live, config, form) ?? live
    let new = prune(merged, form, last: last ?? FieldSet())
    let comparison = FieldComparison(live, new, form)
    let taken = visible(comparison.taken)
    if !force {
      var conflicts: [FieldConflict] = []
      for owner in owners.sorted(by: { $0.identity.text < $1.identity.text }) where owner.identity != manager {
        let both = owner.set.intersection(taken)
        conflicts += both.paths.map { FieldConflict(manager: owner.identity.text, path: $0) }
      }
      if !conflicts.isEmpty { return .conflicts(conflicts) }
    }
    release(taken, comparison.removed, except: manager)
    let own = set.subtracting(Self.stripped)
    self[manager] = own.isEmpty ? nil : Owner(identity: manager, set: own, time: time)
    capUpdaters()
    return .applied(new)
  }

  /// Makes the first applier meet an owner of what is there already.
  mutating func enterFirstManager(
    _ everything: FieldComparison, apiVersion: String, at time: WallTime,
    visible: (FieldSet) -> FieldSet
  ) {
    let identity = Identity(
      manager: Self.firstManager, operation: ManagedFieldsEntry.update, apiVersion: apiVersion, subresource: "")
    update(everything, by: identity, at: time, visible: visible)
  }

  /// Removes what was applied last time, then adds back what anybody owns now and what was never the applier's.
  private func prune(_ merged: JSON, _ form: FieldForm, last: FieldSet) -> JSON {
    if last.isEmpty { return merged }
    let named = { (set: FieldSet) in set.namingFields(form) }
    let lastNamed = named(last)
    let all = named(FieldMerge.fieldSet(merged, form))
    let owned = named(Self.union(owners.map(\.set)[...]))
    var pruned = FieldMerge.remove(lastNamed, from: merged, form)
    let left = named(FieldMerge.fieldSet(pruned, form))
    pruned = FieldMerge.remove(all.subtracting(left.union(owned)), from: merged, form)
    let kept = named(FieldMerge.fieldSet(pruned, form))
    return FieldMerge.remove(all.subtracting(kept).intersection(lastNamed), from: merged, form)
  }

  /// Halves first: so no set is walked once for each of the others.
  private static func union(_ sets: ArraySlice<FieldSet>) -> FieldSet {
    if sets.count <= 1 { return sets.first ?? FieldSet() }
    let middle = sets.startIndex + sets.count / 2
    return union(sets[..<middle]).union(union(sets[middle...]))
  }

  /// Merges the oldest updaters of one version until there are few enough.
  private mutating func capUpdaters() {
    var updaters = owners.filter { $0.identity.operation == ManagedFieldsEntry.update }
    guard updaters.count > Self.updaterLimit else { return }
    updaters.sort { left, right in
      let (first, second) = (Self.seconds(left.time), Self.seconds(right.time))
      return first == second ? left.identity.text < right.identity.text : first < second
    }
    var count = updaters.count
    var firsts: [Owner] = []
    for updater in updaters where count > Self.updaterLimit {
      let version = updater.identity.apiVersion
      guard let first = firsts.first(where: { $0.identity.apiVersion == version }) else {
        firsts.append(updater)
        continue
      }
      let bucket = Identity(
        manager: Self.mergedManager, operation: ManagedFieldsEntry.update, apiVersion: version, subresource: "")
      var merged = self[bucket] ?? Owner(identity: bucket, set: FieldSet(), time: nil)
      if let oldest = self[first.identity], first.identity != bucket {
        merged.set = merged.set.union(oldest.set)
        self[first.identity] = nil
      }
      merged.set = merged.set.union(updater.set)
      merged.time = updater.time
      if updater.identity != bucket { self[updater.identity] = nil }
      self[bucket] = merged
      count -= 1
    }
  }
}
