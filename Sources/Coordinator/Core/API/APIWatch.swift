// watch: from a version, or from the objects that there are; selector transitions, bookmarks, time limits, 410 for
// what is too old.
// Delivery is per change to the watches concerned; a beginning or a backlog longer than a turn goes on in the next.

import ClusterProto

extension CoordinatorCore {
  static let bookmarkMilliseconds: Int64 = 60_000

  mutating func watch(_ request: APIRequest, _ id: RequestID) throws(APIFailure) {
    let (labels, fields) = try selectors(request)
    let options = request.options
    let named = fields.terms.first { $0.field == "metadata.name" && !$0.isNegative }?.value
    let scope = WatchScope(kind: request.kind, namespace: request.namespace, name: named ?? request.name)
    var watch = Watch(request: request, scope: scope, labels: labels, fields: fields)
    try checkWatchOptions(options)
    // Without a version it begins with the objects that there are.
    let version = try namedVersion(options)
    let beginsWithObjects = options.sendInitialEvents ?? (version == nil)
    if beginsWithObjects {
      watch.initial = watchKeys(scope)
      watch.owesInitialBookmark = options.sendInitialEvents == true && options.allowWatchBookmarks
    } else if let version {
      var oldest = api.history.oldest(scope.kind, insteadOf: version)
      if oldest == nil {
        watch.waiting = api.history.changes(in: scope, after: version)
        // Whether a selector had this object in view before, nobody remembers.
        if !watch.selectsByName { oldest = watch.waiting.last { $0.hidesPast }?.resourceVersion }
      }
      if let oldest {
        let failure = APIFailure.expired("too old resource version: \(version) (\(oldest))")
        reply(id, .event(type: "ERROR", object: failure.status))
        reply(id, .done(code: 200, object: .null, warnings: []))
        return
      }
    }
    if let seconds = options.timeoutSeconds, seconds > 0 {
      api.timers.set(WatchTimer(id: id, purpose: .end), at: now.boot + min(seconds, 1_000_000_000) * 1000)
    }
    if options.allowWatchBookmarks {
      api.timers.set(WatchTimer(id: id, purpose: .bookmark), at: now.boot + Self.bookmarkMilliseconds)
    }
    api.watches.add(watch, id)
    beginAnswer(id)
  }

  private mutating func watchKeys(_ scope: WatchScope) -> ArraySlice<ObjectKey> {
    if !scope.name.isEmpty, !scope.namespace.isEmpty || !scope.kind.isNamespaced {
      let key = ObjectKey(namespace: scope.namespace, name: scope.name)
      return state[ObjectReference(kind: scope.kind, key: key)] == nil ? [] : [key]
    }
    return state.keys(of: scope.kind, in: scope.namespace)
  }

  mutating func endWatch(_ id: RequestID) {
    api.watches.remove(id)
    api.dueStreams.remove(id)
    api.held.remove(id)
    api.timers.cancel(WatchTimer(id: id, purpose: .end))
    api.timers.cancel(WatchTimer(id: id, purpose: .bookmark))
  }

  /// Called for every change of every object.
  mutating func apiObserve(_ change: ObjectChange, resourceVersion: Int64) {
    guard let subject = change.subject else { return }
    if !api.streams.isEmpty, let before = change.before { keepPast(before) }
    let entry = WatchChange(change, subject: subject, resourceVersion: resourceVersion)
    api.history.append(entry)
    var audiences: [Audience] = []
    for id in api.watches.concerned(by: subject.reference) {
      guard let watch = api.watches[id] else { continue }
      if !watch.isCaughtUp {
        wait(entry, id, watch)
      } else if let type = watch.type(of: entry) {
        let key = Audience(type: type, watch)
        let position = audiences.firstIndex { $0.isLike(key) } ?? audiences.endIndex
        if position == audiences.endIndex { audiences.append(key) }
        audiences[position].requests.append(id)
        noteColumns(id, watch)
      }
    }
    // Written once for all that see it alike.
    for audience in audiences {
      outputs.append(.tell(audience.requests, type: audience.type, object: shown(entry, to: audience)))
    }
  }

  /// Keeps a change for a watch that has older ones to show; one that keeps too many lists again.
  private mutating func wait(_ entry: WatchChange, _ id: RequestID, _ watch: Watch) {
    // A watch may begin with the whole history.
    guard watch.waiting.count - watch.position >= 2 * configuration.watchHistoryLimit else {
      return api.watches.modify(id) { $0.waiting.append(entry) }
    }
    endWatch(id)
    let failure = APIFailure.expired("too old resource version: the watcher did not keep up")
    reply(id, .event(type: "ERROR", object: failure.status))
    reply(id, .done(code: 200, object: .null, warnings: []))
  }

  /// Shows a change to one watch, if its selectors concern it.
  private mutating func deliver(_ change: WatchChange, to id: RequestID) {
    guard let watch = api.watches[id], let type = watch.type(of: change) else { return }
    reply(id, .event(type: type, object: shown(change, to: Audience(type: type, watch))))
    noteColumns(id, watch)
  }

  private mutating func noteColumns(_ id: RequestID, _ watch: Watch) {
    if watch.request.form == .table, !watch.hasSentColumns { api.watches.modify(id) { $0.hasSentColumns = true } }
  }

  private func shown(_ change: WatchChange, to audience: Audience) -> JSON {
    guard audience.type == "DELETED" else { return shown(change.object, to: audience) }
    // What leaves is shown as the selector last saw it, at the version of its leaving.
    var object = change.previous ?? change.object
    object.meta.resourceVersion = change.resourceVersion
    return shown(object, to: audience)
  }

  private func shown(_ object: APIObject, to audience: Audience) -> JSON {
    switch audience.form {
    case .object: return object.json
    case .metadata: return Self.partialMetadata(object.meta)
    case .table:
      let row = Tables.row(object, include: audience.include, now: now.wall)
      return Tables.table(
        rows: [row], of: object.kind, resourceVersion: object.meta.resourceVersion,
        withColumns: audience.wantsColumns)
    }
  }

  /// Shows what waits until that costs `limit`. Returns what it cost.
  ///
  /// Changes go before further objects of the beginning, whose state may be newer than those changes: a client that
  /// goes on from the version that it saw last, or from the closing bookmark's, has then missed nothing before it.
  private mutating func advanceWatch(_ id: RequestID, limit: Int) -> Int {
    var cost = 0
    while cost < limit, let watch = api.watches[id] {
      if watch.position < watch.waiting.count {
        let change = watch.waiting[watch.position]
        api.watches.modify(id) { $0.position += 1 }
        // What is still to be shown will be shown as it is then, or not at all.
        if !watch.initial.holds(change.object.meta.key) {
          deliver(change, to: id)
          cost += self.cost(change.object, watch.request) - 1
        }
      } else if let key = watch.initial.first {
        api.watches.modify(id) { $0.initial.removeFirst() }
        if let object = state[ObjectReference(kind: watch.request.kind, key: key)], watch.matches(object) {
          reply(id, .event(type: "ADDED", object: shown(object, to: Audience(type: "ADDED", watch))))
          noteColumns(id, watch)
          cost += self.cost(object, watch.request) - 1
        }
      } else {
        break
      }
      cost += 1
    }
    guard let watch = api.watches[id] else { return cost }
    if watch.position == watch.waiting.count {
      api.watches.modify(id) { watch in
        watch.waiting = []
        watch.position = 0
      }
      if watch.initial.isEmpty, watch.owesInitialBookmark {
        api.watches.modify(id) { $0.owesInitialBookmark = false }
        bookmark(id, endsBeginning: true)
      }
    }
    if api.watches[id]?.isCaughtUp == false { goOn(id) }
    return cost
  }

  private mutating func bookmark(_ id: RequestID, endsBeginning: Bool = false) {
    guard let watch = api.watches[id] else { return }
    var meta: JSON = ["resourceVersion": .string(String(state.resourceVersion)), "creationTimestamp": .null]
    if endsBeginning { meta["annotations"] = ["k8s.io/initial-events-end": "true"] }
    let object: JSON
    switch watch.request.form {
    case .object:
      object = [
        "kind": .string(watch.request.kind.name), "apiVersion": .string(watch.request.kind.apiVersion),
        "metadata": meta,
      ]
    case .metadata: object = ["kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": meta]
    case .table: object = ["kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": meta, "rows": []]
    }
    reply(id, .event(type: "BOOKMARK", object: object))
  }

  /// Takes a list, a collection or a watch on. Returns what it cost.
  mutating func advanceDue(_ id: RequestID, limit: Int) -> Int {
    if let request = api.reads[id] { return advanceRead(id, request) }
    return api.watches[id] == nil ? advance(id, limit: limit) : advanceWatch(id, limit: limit)
  }

  mutating func fireAPITimers() {
    while let timer = api.timers.popDue(at: now.boot) {
      if timer.purpose == .usage { answerMetrics(waiting: [timer.id]) }
      guard let watch = api.watches[timer.id] else { continue }
      switch timer.purpose {
      case .end:
        endWatch(timer.id)
        reply(timer.id, .done(code: 200, object: .null, warnings: []))
      case .bookmark:
        if watch.isCaughtUp { bookmark(timer.id) }
        api.timers.set(timer, at: now.boot + Self.bookmarkMilliseconds)
      case .usage: break
      }
    }
  }
}
