// get and list: one object, or any number in order, cut into turns. What a reader sees is in memory and goes out
// after what it shows
// is durable. Knows the answer's forms (object, Table, metadata) only by name.

import ClusterProto

/// An answer that goes on in later turns.
struct APIStream: Sendable {
  enum Purpose: Sendable { case list, deleteCollection }

  var purpose: Purpose
  var request: APIRequest
  var labels: LabelSelector
  var fields: FieldSelector
  /// Keys as they were at the start, in order.
  var keys: ArraySlice<ObjectKey>
  /// Items that may still be sent; nil: no limit.
  var room: Int64?
  var resourceVersion: Int64
  /// How objects among `keys` were when the list began, where they have changed since: it shows one moment.
  var past: [ObjectKey: APIObject] = [:]
  var last: ObjectKey?
  var warnings: [String] = []

  /// Whether it is a list that has yet to show this object.
  func concerns(_ kind: Kind, _ key: ObjectKey) -> Bool {
    purpose == .list && request.kind == kind && keys.holds(key)
  }
}

extension CoordinatorCore {
  func reference(_ request: APIRequest) -> ObjectReference {
    ObjectReference(kind: request.kind, key: ObjectKey(namespace: request.namespace, name: request.name))
  }

  func existing(_ request: APIRequest) throws(APIFailure) -> APIObject {
    guard let object = state[reference(request)] else { throw .notFound(request.kind, request.name) }
    return object
  }

  mutating func get(_ request: APIRequest, _ id: RequestID) throws(APIFailure) {
    _ = try namedVersion(request.options)
    let object = try existing(request)
    let cost = cost(object, request)
    // A large one waits for its turn as a list does.
    guard cost > 1, api.room <= 0 || !api.dueStreams.isEmpty else {
      if cost > 1 { api.room -= cost }
      return show(object, request, id)
    }
    api.reads[id] = request
    goOn(id)
  }

  /// Answers a read that has waited. Returns what it cost.
  mutating func advanceRead(_ id: RequestID, _ request: APIRequest) -> Int {
    api.reads[id] = nil
    api.held.remove(id)
    do throws(APIFailure) {
      let object = try existing(request)
      show(object, request, id)
      return cost(object, request)
    } catch {
      answer(id, failure: error, request)
      return 1
    }
  }

  private mutating func show(_ stored: APIObject, _ request: APIRequest, _ id: RequestID) {
    let object = asRead(stored)
    outputs.append(
      .shown(
        id, .done(code: 200, object: shown(object, request), warnings: []),
        resourceVersion: object.meta.resourceVersion))
  }

  /// One object in the form that the request asked for.
  func shown(_ object: APIObject, _ request: APIRequest) -> JSON {
    switch request.form {
    case .object: object.json
    case .metadata: Self.partialMetadata(object.meta)
    case .table:
      Tables.table(
        rows: [Tables.row(object, include: request.options.includeObject, now: now.wall)], of: request.kind,
        resourceVersion: object.meta.resourceVersion)
    }
  }

  static func partialMetadata(_ meta: ObjectMeta) -> JSON {
    ["kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": meta.json]
  }

  func selectors(_ request: APIRequest) throws(APIFailure) -> (LabelSelector, FieldSelector) {
    var labels = LabelSelector()
    var fields = FieldSelector()
    do {
      if let text = request.options.labelSelector, !text.isEmpty { labels = try LabelSelector(parsing: text) }
      if let text = request.options.fieldSelector, !text.isEmpty { fields = try FieldSelector(parsing: text) }
    } catch {
      throw .badRequest(error.message)
    }
    for term in fields.terms { try SelectableFields.check(term.field, kind: request.kind) }
    return (labels, fields)
  }

  mutating func list(_ request: APIRequest, _ id: RequestID) throws(APIFailure) {
    let (labels, fields) = try selectors(request)
    try checkListOptions(request.options)
    var keys = candidates(request, fields)
    var version = state.resourceVersion
    if let token = request.options.continueToken, !token.isEmpty {
      let page = try ContinueToken(parsing: token)
      version = page.resourceVersion
      keys = keys[keys.position(after: page.last)...]
    }
    if let limit = request.options.limit, limit < 0 { throw .badRequest("limit: must be greater than or equal to 0") }
    let room = request.options.limit.flatMap { $0 > 0 ? $0 : nil }
    api.streams[id] = APIStream(
      purpose: .list, request: request, labels: labels, fields: fields, keys: keys, room: room, resourceVersion: version
    )
    beginAnswer(id)
  }

  /// The keys that can match: one where the name is given, else all of the namespace.
  private mutating func candidates(_ request: APIRequest, _ fields: FieldSelector) -> ArraySlice<ObjectKey> {
    let named = fields.terms.first { $0.field == "metadata.name" && !$0.isNegative }
    if let named, !request.namespace.isEmpty || !request.kind.isNamespaced {
      let key = ObjectKey(namespace: request.namespace, name: named.value)
      return state[ObjectReference(kind: request.kind, key: key)] == nil ? [] : [key]
    }
    return state.keys(of: request.kind, in: request.namespace)
  }

  /// Takes a stream on until what it has shown costs `limit` (or eight times as many were looked at). Returns the cost.
  mutating func advance(_ id: RequestID, limit: Int) -> Int {
    guard var stream = api.streams.removeValue(forKey: id) else { return 0 }
    var items: [JSON] = []
    var looked = 0
    var cost = 0
    while cost < limit, looked < limit * 8, stream.room != 0, let key = stream.keys.popFirst() {
      looked += 1
      let reference = ObjectReference(kind: stream.request.kind, key: key)
      guard let object = stream.past.removeValue(forKey: key) ?? state[reference],
        stream.labels.matches(object.meta.labels),
        stream.fields.matches({ SelectableFields.value($0, of: object) })
      else { continue }
      cost += self.cost(object, stream.request)
      guard let item = item(object, &stream) else { continue }
      items.append(item)
      stream.last = key
      if let room = stream.room { stream.room = room - 1 }
    }
    if !items.isEmpty { reply(id, .items(items)) }
    if stream.keys.isEmpty || stream.room == 0 {
      api.held.remove(id)
      reply(id, .done(code: 200, object: frame(stream), warnings: stream.warnings))
    } else {
      api.streams[id] = stream
      goOn(id)
    }
    return max(cost, looked / 8, 1)
  }

  /// Keeps for lists that are under way how an object was before it changes.
  mutating func keepPast(_ object: APIObject) {
    let key = object.meta.key
    for position in api.streams.indices where api.streams.values[position].concerns(object.kind, key) {
      if api.streams.values[position].past[key] == nil { api.streams.values[position].past[key] = object }
    }
  }

  /// nil: there is nothing to show of it.
  private mutating func item(_ object: APIObject, _ stream: inout APIStream) -> JSON? {
    if stream.purpose == .deleteCollection { return deleteOne(object, &stream) }
    if stream.request.isAboutUsage { return metrics(of: object, stream.request.form) }
    switch stream.request.form {
    case .object: return asRead(object).json
    case .metadata: return Self.partialMetadata(object.meta)
    case .table: return Tables.row(object, include: stream.request.options.includeObject, now: now.wall)
    }
  }

  /// The list object without its items.
  private func frame(_ stream: APIStream) -> JSON {
    var meta: JSON = ["resourceVersion": .string(String(stream.resourceVersion))]
    if stream.room == 0, !stream.keys.isEmpty, let last = stream.last {
      meta["continue"] = .string(ContinueToken(resourceVersion: stream.resourceVersion, last: last).text)
      // Counted only where every remaining key is an item, as Kubernetes does.
      if stream.labels.requirements.isEmpty, stream.fields.terms.isEmpty {
        meta["remainingItemCount"] = .int(Int64(stream.keys.count))
      }
    }
    if stream.request.isAboutUsage { return MetricsGroup.frame(stream.request, meta) }
    switch stream.request.form {
    case .table: return Tables.frame(of: stream.request.kind, meta: meta)
    case .metadata: return ["kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": meta]
    case .object:
      return [
        "kind": .string(stream.request.kind.name + "List"), "apiVersion": .string(stream.request.kind.apiVersion),
        "metadata": meta,
      ]
    }
  }
}

extension ArraySlice<ObjectKey> {
  /// Of keys in order: the place of the first that is behind `key`.
  func position(after key: ObjectKey) -> Int {
    var low = startIndex
    var high = endIndex
    while low < high {
      let middle = (low + high) / 2
      if self[middle] <= key { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// Whether `key` is among them.
  func holds(_ key: ObjectKey) -> Bool {
    let place = position(after: key)
    return place > startIndex && self[place - 1] == key
  }
}

/// Where a list goes on: the version it shows and the last key it gave.
struct ContinueToken: Equatable, Sendable {
  var resourceVersion: Int64
  var last: ObjectKey

  init(resourceVersion: Int64, last: ObjectKey) {
    self.resourceVersion = resourceVersion
    self.last = last
  }

  var text: String { "v1.\(resourceVersion).\(last.namespace)/\(last.name)" }

  init(parsing text: String) throws(APIFailure) {
    let parts = text.split(separator: ".", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0] == "v1", let version = Int64(parts[1]), version >= 0,
      let slash = parts[2].firstIndex(of: "/")
    else { throw .badRequest("continue key is not valid: \(text.prefix(100))") }
    resourceVersion = version
    last = ObjectKey(namespace: String(parts[2][..<slash]), name: String(parts[2][parts[2].index(after: slash)...]))
  }
}
