// The last changes, for watches that resume, and the table of watches with its index. A change costs only the watches
// of its kind and
// namespace. Objects are kept as values and rendered when somebody is shown them.

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

  init(_ change: ObjectChange, subject: APIObject, resourceVersion: Int64) {
    self.resourceVersion = resourceVersion
    object = subject
    isNew = change.before == nil
    isGone = change.after == nil
    if let before = change.before, let after = change.after, SelectableFields.differ(before, after) {
      previous = before
    } else {
      previous = nil
    }
  }

  /// An object that was there when the watch began.
  init(initial object: APIObject) {
    resourceVersion = object.meta.resourceVersion
    self.object = object
    previous = nil
    isNew = true
    isGone = false
  }
}

/// A bounded ring of changes in order.
struct WatchHistory: Sendable {
  var limit = 1
  private var entries: [WatchChange] = []
  private var head = 0
  /// Every change after this version is held.
  private var floor: Int64?

  mutating func append(_ change: WatchChange) {
    if floor == nil { floor = change.resourceVersion - 1 }
    if entries.count < limit {
      entries.append(change)
      return
    }
    floor = entries[head].resourceVersion
    entries[head] = change
    head = (head + 1) % entries.count
  }

  /// The oldest version from which a watch can go on; `current` where nothing has changed yet.
  func oldest(current: Int64) -> Int64 { floor ?? current }

  private subscript(position: Int) -> WatchChange { entries[(head + position) % entries.count] }

  /// The changes after `version`, oldest first.
  func changes(after version: Int64) -> [WatchChange] {
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if self[middle].resourceVersion <= version { low = middle + 1 } else { high = middle }
    }
    return (low..<entries.count).map { self[$0] }
  }
}

/// Which changes a watch can concern; empty namespace or name: all.
struct WatchScope: Hashable, Sendable {
  var kind: Kind
  var namespace: String
  var name: String
}

struct WatchTimer: Hashable, Comparable, Sendable {
  enum Purpose: Int, Sendable { case end, bookmark }
  var id: RequestID
  var purpose: Purpose

  static func < (left: WatchTimer, right: WatchTimer) -> Bool {
    left.id == right.id ? left.purpose.rawValue < right.purpose.rawValue : left.id < right.id
  }
}

struct Watch: Sendable {
  var request: APIRequest
  var scope: WatchScope
  var labels: LabelSelector
  var fields: FieldSelector
  /// Changes that wait their turn; while there are any, new ones queue behind them.
  var waiting: [WatchChange] = []
  var position = 0
  /// Objects of the beginning, by key, shown before `waiting`.
  var initial: ArraySlice<ObjectKey> = []
  /// The bookmark that says the beginning is over is still to come.
  var owesInitialBookmark = false
  /// A Table's columns go with the first event only.
  var hasSentColumns = false

  var isCaughtUp: Bool { initial.isEmpty && position == waiting.count && !owesInitialBookmark }

  func matches(_ object: APIObject) -> Bool {
    labels.matches(object.meta.labels) && fields.matches { SelectableFields.value($0, of: object) }
  }
}

struct WatchTable: Sendable {
  private var watches: [RequestID: Watch] = [:]
  private var index: [WatchScope: InsertionSet<RequestID>] = [:]

  var count: Int { watches.count }

  subscript(id: RequestID) -> Watch? { watches[id] }

  mutating func add(_ watch: Watch, _ id: RequestID) {
    watches[id] = watch
    index[watch.scope, default: InsertionSet()].insert(id)
  }

  /// Changes a watch in place.
  mutating func modify(_ id: RequestID, _ change: (inout Watch) -> Void) {
    guard let position = watches.index(forKey: id) else { return }
    change(&watches.values[position])
  }

  mutating func remove(_ id: RequestID) {
    guard let watch = watches.removeValue(forKey: id) else { return }
    index[watch.scope]?.remove(id)
    if index[watch.scope]?.isEmpty == true { index[watch.scope] = nil }
  }

  /// The watches that a change of this object can concern, oldest first.
  func concerned(by reference: ObjectReference) -> [RequestID] {
    if index.isEmpty { return [] }
    let key = reference.key
    var result: [RequestID] = []
    var scopes = [
      WatchScope(kind: reference.kind, namespace: "", name: ""),
      WatchScope(kind: reference.kind, namespace: "", name: key.name),
    ]
    if !key.namespace.isEmpty {
      scopes.append(WatchScope(kind: reference.kind, namespace: key.namespace, name: ""))
      scopes.append(WatchScope(kind: reference.kind, namespace: key.namespace, name: key.name))
    }
    for scope in scopes { if let ids = index[scope] { result.append(contentsOf: ids) } }
    return result
  }
}
