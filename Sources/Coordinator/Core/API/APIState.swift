// What the API layer remembers between turns: watches and their index, the history for resumption, answers that are
// cut into turns.
// Also the frame's hooks. Knows nothing of sessions or of the store.

import ClusterProto

struct APIState: Sendable {
  /// Below the free-space mark: client writes are refused, reports and deletes still taken.
  var diskLow = false
  var watches = WatchTable()
  var history = WatchHistory(limit: 1)
  /// Lists and collections that go on in the next turn.
  var streams: [RequestID: APIStream] = [:]
  /// Reads of one large object that wait until a step has room for it.
  var reads: [RequestID: APIRequest] = [:]
  /// Lists, collections, watches and reads of large objects that go on, in the lanes of who asked: his many do not hold
  /// up another's few.
  var dueStreams = FairWorkQueue<RequestID>()
  /// Requests whose clients are behind: their streams and watches' beginnings are not due.
  var held: Set<RequestID> = []
  /// Objects that lists and beginnings of watches may still show in this step; a large one counts as several
  /// (`ObjectWeights`).
  var room = 0
  var timers = TimerQueue<WatchTimer>()
  /// Sets of managedFields that objects share.
  var fieldSets = FieldSetPool()
}

extension CoordinatorCore {
  mutating func handle(_ request: APIRequest, id: RequestID) {
    do {
      try serve(request, id)
      audit(request)
    } catch {
      answer(id, failure: error, request)
    }
  }

  mutating func answer(_ id: RequestID, failure: APIFailure, _ request: APIRequest) {
    let warnings = failure.code == 403 ? [] : deletionWarnings(request)
    reply(id, .done(code: failure.code, object: failure.status, warnings: warnings))
  }

  mutating func reply(_ id: RequestID, _ reply: APIReply) {
    guard case .done(let code, let object, let warnings) = reply, !warnings.isEmpty else {
      outputs.append(.reply(id, reply))
      return
    }
    outputs.append(.reply(id, .done(code: code, object: object, warnings: WarningList.bounded(warnings))))
  }

  private mutating func serve(_ request: APIRequest, _ id: RequestID) throws(APIFailure) {
    var request = request
    if !request.kind.isNamespaced { request.namespace = "" }
    // The native protocol has no groups.
    if request.subresource == MetricsGroup.part {
      request.group = MetricsGroup.name
      request.subresource = ""
    }
    do throws(APIFailure) {
      try checkAccess(request)
    } catch {
      audit(.refusal, error.message, by: request.subject)
      throw error
    }
    if request.isAboutUsage { return try metrics(request, id) }
    try checkSubresource(request)
    // Nothing is kept of a token.
    if request.subresource == "token" { return try requestToken(request, id) }
    // An eviction frees what it takes.
    if request.subresource == "eviction" { return try evict(request, id) }
    if [.create, .update, .patch].contains(request.verb) { try refuseWhenDiskLow() }
    switch request.verb {
    case .get: try get(request, id)
    case .list: try list(request, id)
    case .watch: try watch(request, id)
    case .create: try create(request, id)
    case .update: try replace(request, id)
    case .patch: try patch(request, id)
    case .delete: try delete(request, id)
    case .deletecollection: try deleteCollection(request, id)
    case .log: try log(request, id)
    case .connect: try connect(request, id)
    }
  }

  /// What a client would have written beside what is there.
  func refuseWhenDiskLow() throws(APIFailure) {
    guard api.diskLow else { return }
    throw APIFailure(
      code: 507, reason: "InsufficientStorage",
      message: "the coordinator's disk is almost full: writes are refused until space is freed (deletes and "
        + "revocations still work)",
      details: .object(JSONObject()))
  }

  private func checkSubresource(_ request: APIRequest) throws(APIFailure) {
    if request.subresource.isEmpty { return }
    let served = KindDescriptor.of(request.kind).served.subresources.first { $0.name == request.subresource }
    guard let served else {
      guard let why = ServedResource.refusal(request.kind, subresource: request.subresource) else {
        throw .noSuchResource
      }
      throw .methodNotAllowed(why)
    }
    // A log is read by a verb of its own, and so is a pod entered.
    if served.name == "log" || served.isEntrance {
      if request.verb == (served.isEntrance ? .connect : .log) { return }
      throw .noSuchResource
    }
    if served.verbs.contains(request.verb.rawValue) { return }
    throw .methodNotAllowed("the server does not allow this method on the requested resource")
  }

  mutating func cancelRequest(_ id: RequestID) {
    api.streams[id] = nil
    api.reads[id] = nil
    takeAwaiting(id)
    endWatch(id)
  }

  /// The client of a list or a watch takes no more, or takes more again.
  mutating func holdRequest(_ id: RequestID, _ isHeld: Bool) {
    // A collection's deletion does not wait for whoever asked for it.
    guard api.streams[id].map({ $0.purpose == .list }) ?? (api.reads[id] != nil || api.watches[id] != nil) else {
      return
    }
    if isHeld {
      api.held.insert(id)
      api.dueStreams.remove(id)
    } else if api.held.remove(id) != nil {
      goOn(id)
    }
  }

  /// A short answer goes out at once, unless others have used up the step's room: then it waits in their order.
  mutating func beginAnswer(_ id: RequestID) {
    guard api.room > 0, api.dueStreams.isEmpty else { return wait(id) }
    api.room -= advanceDue(id, limit: api.room)
  }

  /// More of an answer is to come: in the next turn, or when its client has caught up.
  mutating func goOn(_ id: RequestID) { if !api.held.contains(id) { wait(id) } }

  private mutating func wait(_ id: RequestID) {
    let request = api.streams[id]?.request ?? api.reads[id] ?? api.watches[id]?.request
    api.dueStreams.add(id, lane: request?.subject.name ?? "")
  }

  /// Streams advance in `finishAPITurn`, once a turn, so that busy controllers cannot starve a list.
  mutating func runAPI(limit: Int) -> Int { 0 }

  mutating func finishAPITurn() {
    // Each once a turn: what one leaves unfinished goes behind the others.
    var left = api.dueStreams.count
    while api.room > 0, left > 0, let id = api.dueStreams.next() {
      left -= 1
      api.room -= advanceDue(id, limit: api.room)
    }
  }

  /// Lists, collections and watches whose answers go on in the next turn.
  var hasMoreToAnswer: Bool { !api.dueStreams.isEmpty }

  mutating func nextAPITimer() -> BootTime? { api.timers.earliest() }
}
