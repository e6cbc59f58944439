// The table of watches with its index: a change costs only the watches of its kind, namespace and name.

import ClusterProto

/// Which changes a watch can concern; empty namespace or name: all.
struct WatchScope: Hashable, Sendable {
  var kind: Kind
  var namespace: String
  var name: String

  func contains(_ object: APIObject) -> Bool {
    let meta = object.meta
    return object.kind == kind && (namespace.isEmpty || namespace == meta.namespace)
      && (name.isEmpty || name == meta.name)
  }
}

struct WatchTimer: Hashable, Comparable, Sendable {
  enum Purpose: Int, Sendable { case end, bookmark, usage }
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
  /// Objects of the beginning that are yet to be shown, in order.
  var initial: ArraySlice<ObjectKey> = []
  /// The bookmark that says the beginning is over is still to come.
  var owesInitialBookmark = false
  /// A Table's columns go with the first event only.
  var hasSentColumns = false

  var isCaughtUp: Bool { initial.isEmpty && position == waiting.count && !owesInitialBookmark }

  /// Whether it can never matter to the selectors how an object was before.
  var selectsByName: Bool {
    labels.requirements.isEmpty
      && fields.terms.allSatisfy { $0.field == "metadata.name" || $0.field == "metadata.namespace" }
  }

  func matches(_ object: APIObject) -> Bool {
    labels.matches(object.meta.labels) && fields.matches { SelectableFields.value($0, of: object) }
  }

  /// What the change is to this watch: ADDED, MODIFIED, DELETED, or nil for nothing.
  func type(of change: WatchChange) -> String? {
    guard request.kind == change.object.kind else { return nil }
    let isNow = !change.isGone && matches(change.object)
    let was = !change.isNew && matches(change.previous ?? change.object)
    switch (was, isNow) {
    case (false, false): return nil
    case (false, true): return "ADDED"
    case (true, true): return "MODIFIED"
    case (true, false): return "DELETED"
    }
  }
}

/// Watches that see one change alike.
struct Audience {
  let type: String
  let form: AnswerForm
  let include: String?
  /// A Table's first event carries its columns.
  let wantsColumns: Bool
  var requests: [RequestID] = []

  init(type: String, _ watch: Watch) {
    self.type = type
    form = watch.request.form
    include = watch.request.options.includeObject
    wantsColumns = !watch.hasSentColumns
  }

  func isLike(_ other: Audience) -> Bool {
    type == other.type && form == other.form
      && (form != .table || include == other.include && wantsColumns == other.wantsColumns)
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
