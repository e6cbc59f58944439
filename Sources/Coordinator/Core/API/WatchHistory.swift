// The last changes, for watches that resume. One ring for each kind under one limit, so that a busy kind does not push
// the quiet ones out. After a restart the objects of the store stand for the changes that made them so.
// Objects are kept as values and rendered when somebody is shown them. Knows nothing of requests.

import ClusterProto

/// A change as watches see it. A class, so that ring and waiting watches share one.
final class WatchChange: Sendable {
  let resourceVersion: Int64
  /// The object after the change, or as it was last.
  let object: APIObject
  /// How it was before, where a selector could tell the difference.
  let previous: APIObject?
  let isNew: Bool
  let isGone: Bool
  /// Set where the change was read from the store: the version at which the object was created. What happened to it
  /// between the two is forgotten.
  let created: Int64?

  init(_ change: ObjectChange, subject: APIObject, resourceVersion: Int64) {
    self.resourceVersion = resourceVersion
    object = subject
    isNew = change.before == nil
    isGone = change.after == nil
    created = nil
    if let before = change.before, let after = change.after, SelectableFields.differ(before, after) {
      previous = before
    } else {
      previous = nil
    }
  }

  /// The latest change of an object that was read from the store.
  init(restored object: APIObject, created: Int64, isNew: Bool = false) {
    resourceVersion = object.meta.resourceVersion
    self.object = object
    previous = nil
    self.isNew = isNew
    isGone = false
    self.created = created
  }

  /// The change as it looks to one who knows everything up to `version`.
  func seen(from version: Int64) -> WatchChange {
    guard let created, created > version else { return self }
    return WatchChange(restored: object, created: created, isNew: true)
  }

  /// Whether the object was there before, in a state that nobody remembers.
  var hidesPast: Bool { created != nil && !isNew }
}

/// Changes in order, for each kind, bounded by one limit for all together.
struct WatchHistory: Sendable {
  private struct Ring: Sendable {
    /// Places before `head` are empty.
    private var places: [WatchChange?] = []
    private var head = 0
    /// Every change of the kind after this version is held.
    var floor: Int64 = 0
    /// Versions that were shown before a crash but whose changes may be lost.
    var doubtful: ClosedRange<Int64>?

    var count: Int { places.count - head }

    mutating func append(_ change: WatchChange) { places.append(change) }

    mutating func removeFirst() {
      guard head < places.count else { return }
      floor = max(floor, places[head]?.resourceVersion ?? 0)
      places[head] = nil
      head += 1
      if head > 64, head * 2 > places.count {
        places.removeFirst(head)
        head = 0
      }
    }

    /// The changes after `version`, oldest first.
    func changes(after version: Int64) -> ArraySlice<WatchChange?> {
      var low = head
      var high = places.count
      while low < high {
        let middle = (low + high) / 2
        if (places[middle]?.resourceVersion ?? 0) <= version { low = middle + 1 } else { high = middle }
      }
      return places[low...]
    }
  }

  private let limit: Int
  private var count = 0
  private var rings = Kind.allCases.map { _ in Ring() }
  private static let positions = Dictionary(
    uniqueKeysWithValues: Kind.allCases.enumerated().map { ($0.element, $0.offset) })

  init(limit: Int) { self.limit = max(1, limit) }

  private func position(_ kind: Kind) -> Int { Self.positions[kind] ?? 0 }

  mutating func append(_ change: WatchChange) {
    if count == limit, let largest = rings.indices.max(by: { rings[$0].count < rings[$1].count }) {
      rings[largest].removeFirst()
      count -= 1
    }
    rings[position(change.object.kind)].append(change)
    count += 1
  }

  /// Changes of the kind up to `version` are not (all) held.
  mutating func forget(_ kind: Kind, upTo version: Int64) {
    rings[position(kind)].floor = max(rings[position(kind)].floor, version)
  }

  /// Who saw one of these versions may have seen changes of the kind that a crash undid.
  mutating func doubt(_ kind: Kind, _ versions: ClosedRange<Int64>) { rings[position(kind)].doubtful = versions }

  /// The version from which a watch can go on, where it cannot from `version`; nil: it can.
  func oldest(_ kind: Kind, insteadOf version: Int64) -> Int64? {
    let ring = rings[position(kind)]
    if version < ring.floor { return ring.floor }
    if let doubtful = ring.doubtful, doubtful.contains(version) { return doubtful.upperBound + 1 }
    return nil
  }

  /// The changes in `scope` after `version`, oldest first, as they look to one who knows everything before.
  func changes(in scope: WatchScope, after version: Int64) -> [WatchChange] {
    rings[position(scope.kind)].changes(after: version).compactMap { change in
      guard let change, scope.contains(change.object) else { return nil }
      return change.seen(from: version)
    }
  }
}

extension CoordinatorCore {
  /// Makes the history of what the rows hold: each object's latest change, and of deletions that there were some.
  mutating func restoreHistory() {
    api.history = WatchHistory(limit: configuration.watchHistoryLimit)
    var loaded: [(version: Int64, reference: ObjectReference)] = []
    var durable: Int64 = 0
    for kind in Kind.allCases {
      if let version = state.deletions[kind] {
        api.history.forget(kind, upTo: version)
        durable = max(durable, version)
      }
      for key in state.keys(of: kind) {
        let reference = ObjectReference(kind: kind, key: key)
        if let object = state[reference] { loaded.append((object.meta.resourceVersion, reference)) }
      }
    }
    loaded.sort { $0.version < $1.version }
    durable = max(durable, loaded.last?.version ?? 0)
    for (version, reference) in loaded.dropLast(configuration.watchHistoryLimit) {
      api.history.forget(reference.kind, upTo: version)
    }
    for (version, reference) in loaded.suffix(max(1, configuration.watchHistoryLimit)) {
      guard let object = state[reference] else { continue }
      api.history.append(WatchChange(restored: object, created: state.created(reference) ?? version))
    }
    // Events ride along with other rows: those after the last commit were shown and are gone.
    if durable < state.resourceVersion { api.history.doubt(.events, durable + 1...state.resourceVersion) }
  }
}
