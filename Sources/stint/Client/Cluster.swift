// Owns: what commands ask of a coordinator: one answer, a list, or streams that outlive a lost connection.
// It must not know the wire: `exchange` carries requests there and back (NativeClient; in tests a closure).

import ClusterIO
import ClusterProto

/// What a receiver wants after a part of an answer.
enum Flow { case more, enough }

/// How an exchange ended without an error.
enum ExchangeEnd: Equatable {
  /// Every request has its whole answer.
  case done
  /// The receiver had enough.
  case enough
  /// The deadline passed.
  case timedOut
  /// The connection broke before all was answered.
  case lost(String)
  /// No connection in time: nothing was sent.
  case unreachable(String)
}

/// Requests sent together, and the limits of their exchange.
struct Exchange {
  var requests: [APIRequest]
  /// Instead of them: a message of another type, by its number.
  var order: ((Int64) -> ClientMessage)?
  /// Give up connecting then, boot nanoseconds; nil: never.
  var connectBy: Int64?
  /// End then, boot nanoseconds; nil: never.
  var deadline: Int64?
  /// Called about every second while waiting.
  var tick: (() -> Flow)?
  /// Requests that have come up meanwhile; they are numbered on.
  var more: (() -> [APIRequest])?
}

/// A whole answer. A list's pieces are put together.
struct Answer: Equatable {
  var code: Int
  var object: JSON
  var warnings: [String]
}

/// A coordinator, as commands see it.
final class Cluster {
  typealias Carrier = (Exchange, (Int, APIReply) throws -> Flow) throws -> ExchangeEnd

  private let carrier: Carrier
  private let console: Console
  /// What the coordinator said of itself in the hello.
  let greeting: () throws -> HandshakeResult
  /// How long commands that do not wait try to reach a coordinator that is away.
  static let patience: Int64 = 5_000_000_000

  init(console: Console, greeting: @escaping () throws -> HandshakeResult, carrier: @escaping Carrier) {
    self.console = console
    self.greeting = greeting
    self.carrier = carrier
  }

  /// Sends one request and returns its answer; an error Status is thrown as `StatusError`. A request that only reads
  /// (or can be repeated without harm) is sent again when the connection breaks.
  func send(_ request: APIRequest, connectBy: Int64? = nil) throws -> Answer {
    let limit = connectBy ?? Clocks.boot() + Cluster.patience
    while true {
      var pieces: [JSON]?
      var answer: Answer?
      let exchange = Exchange(requests: [request], connectBy: limit)
      let end = try carrier(exchange) { _, reply in
        switch reply {
        case .items(let items): pieces = (pieces ?? []) + items
        case .done(let code, let object, let warnings):
          answer = Answer(code: code, object: object, warnings: warnings)
        case .event, .bytes: break
        }
        return .more
      }
      if var answer {
        for warning in answer.warnings { console.note("Warning: \(TerminalText.harmless(warning))") }
        guard answer.code < 400 else { throw StatusError(answer.object, code: answer.code) }
        if let pieces { Cluster.complete(&answer.object, pieces) }
        return answer
      }
      guard case .lost(let why) = end else { throw CommandError.away(end) }
      guard request.isRepeatable, Clocks.boot() < limit else {
        if request.isRepeatable { throw CommandError.away(end) }
        throw CommandError.unknownOutcome(why)
      }
    }
  }

  /// What a message that is no request of an object is answered, once: it is not repeated when the connection breaks.
  func ask(_ message: @escaping (Int64) -> ClientMessage) throws -> JSON {
    var answer: (code: Int, object: JSON)?
    let exchange = Exchange(requests: [], order: message, connectBy: Clocks.boot() + Cluster.patience)
    let end = try carrier(exchange) { _, reply in
      if case .done(let code, let object, _) = reply { answer = (code, object) }
      return .more
    }
    if let answer {
      guard answer.code < 400 else { throw StatusError(answer.object, code: answer.code) }
      return answer.object
    }
    guard case .lost(let why) = end else { throw CommandError.away(end) }
    throw CommandError.unknownOutcome(why)
  }

  /// The same of one that only reads and may be answered late: asked again when the connection breaks. nil: the time
  /// was up.
  func follow(
    deadline: Int64, tick: @escaping () -> Void, _ message: @escaping (Int64) -> ClientMessage
  ) throws -> JSON? {
    while Clocks.boot() < deadline {
      var answer: (code: Int, object: JSON)?
      var exchange = Exchange(requests: [], order: message, connectBy: deadline, deadline: deadline)
      exchange.tick = {
        tick()
        return .more
      }
      let end = try carrier(exchange) { _, reply in
        if case .done(let code, let object, _) = reply { answer = (code, object) }
        return .more
      }
      if let answer {
        guard answer.code < 400 else { throw StatusError(answer.object, code: answer.code) }
        return answer.object
      }
      guard case .lost = end else { return nil }
    }
    return nil
  }

  private static func complete(_ object: inout JSON, _ pieces: [JSON]) {
    let member = object["kind"]?.stringValue == "Table" ? "rows" : "items"
    object[member] = .array((object[member]?.arrayValue ?? []) + pieces)
  }

  /// The object, nil when there is none.
  func find(_ kind: Kind, _ namespace: String, _ name: String, connectBy: Int64? = nil) throws -> JSON? {
    do {
      return try get(kind, namespace, name, connectBy: connectBy)
    } catch let error as StatusError where error.isNotFound {
      return nil
    }
  }

  func get(_ kind: Kind, _ namespace: String, _ name: String, connectBy: Int64? = nil) throws -> JSON {
    try send(APIRequest(verb: .get, kind: kind, namespace: namespace, name: name), connectBy: connectBy).object
  }

  /// The list object, its items in `items`.
  func list(
    _ kind: Kind, _ namespace: String, labels: String? = nil, fields: String? = nil, connectBy: Int64? = nil
  ) throws -> JSON {
    var request = APIRequest(verb: .list, kind: kind, namespace: namespace)
    request.options.labelSelector = labels
    request.options.fieldSelector = fields
    return try send(request, connectBy: connectBy).object
  }

  /// A merge patch.
  func patch(_ kind: Kind, _ namespace: String, _ name: String, _ body: JSON) throws -> JSON {
    var request = APIRequest(verb: .patch, kind: kind, namespace: namespace, name: name, body: body)
    request.options.patchKind = .merge
    request.options.fieldManager = "stint"
    return try send(request).object
  }

  /// Streams once; what comes back says whether to go on.
  func stream(_ exchange: Exchange, _ receive: (Int, APIReply) throws -> Flow) throws -> ExchangeEnd {
    try carrier(exchange, receive)
  }

  /// Watches objects from `resourceVersion` on, over lost connections, until `receive` has enough (true) or the
  /// deadline passes (false). `relist` is asked when the coordinator no longer has the changes since then: it reports
  /// what it finds to whom it concerns and returns the version it saw, or nil for enough.
  func watch(
    _ request: APIRequest, deadline: Int64?, tick: (() -> Flow)? = nil, relist: () throws -> String?,
    receive: (String, JSON) throws -> Flow
  ) throws -> Bool {
    var request = request
    request.verb = .watch
    request.options.allowWatchBookmarks = true
    while true {
      var needsList = false
      let exchange = Exchange(requests: [request], connectBy: deadline, deadline: deadline, tick: tick)
      let end = try carrier(exchange) { _, reply in
        switch reply {
        case .event("ERROR", let object):
          guard object["code"]?.intValue == 410 else { throw StatusError(object, code: 500) }
          needsList = true
          return .enough
        case .event(let type, let object):
          if let version = Cluster.version(of: object) { request.options.resourceVersion = version }
          return type == "BOOKMARK" ? .more : try receive(type, object)
        case .done(let code, let object, _):
          if code == 410 { needsList = true } else if code >= 400 { throw StatusError(object, code: code) }
        case .items, .bytes: break
        }
        return .more
      }
      if needsList {
        guard let version = try relist() else { return true }
        request.options.resourceVersion = version
        continue
      }
      switch end {
      case .enough: return true
      case .timedOut: return false
      case .unreachable: return false
      case .done, .lost: break
      }
      if let deadline, Clocks.boot() >= deadline { return false }
    }
  }

  /// The version of a watched object, or of the one row of its table.
  private static func version(of object: JSON) -> String? {
    object[path: ["metadata", "resourceVersion"]]?.stringValue
      ?? object["rows"]?[0]?[path: ["object", "metadata", "resourceVersion"]]?.stringValue
  }
}

extension APIRequest {
  /// Sending it twice does what sending it once does.
  var isRepeatable: Bool {
    switch verb {
    case .get, .list, .watch, .log: true
    case .patch: options.patchKind == .merge && options.resourceVersion == nil
    case .create, .update, .delete, .deletecollection: options.dryRun
    // What it starts in a pod may have run.
    case .connect: false
    }
  }
}

/// A Status object that refuses a request, worded as kubectl words it.
struct StatusError: Error, Equatable {
  let status: JSON
  let code: Int

  init(_ status: JSON, code: Int) {
    self.status = status
    self.code = code
  }

  /// The refusal of a body over the limit, in Kubernetes' words.
  static func tooLarge(limit: Int) -> StatusError {
    let status: JSON = [
      "kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Failure", "reason": "RequestEntityTooLarge",
      "message": .string("Request entity too large: limit is \(limit)"), "code": 413,
    ]
    return StatusError(status, code: 413)
  }

  var reason: String { status["reason"]?.stringValue ?? "" }
  var message: String { status["message"]?.stringValue ?? "code \(code)" }
  var isNotFound: Bool { code == 404 }
  var isConflict: Bool { reason == "Conflict" }

  /// What goes to standard error. `doing` says what was tried: `error when creating "job.yaml"`.
  func text(doing: String? = nil) -> String { TerminalText.harmless(words(doing)) }

  private func words(_ doing: String?) -> String {
    if reason == "Invalid" {
      let details = status["details"]
      let kind = details?["kind"]?.stringValue ?? ""
      let name = details?["name"]?.stringValue ?? ""
      let subject = kind.isEmpty && name.isEmpty ? "The request" : "The \(kind) \"\(name)\""
      var causes: [String] = []
      for cause in details?["causes"]?.arrayValue ?? [] {
        let field = cause["field"]?.stringValue ?? ""
        let text = (field.isEmpty ? "" : "\(field): ") + (cause["message"]?.stringValue ?? "")
        if !causes.contains(text) { causes.append(text) }
      }
      if causes.isEmpty {
        let why = details?["explanation"]?.stringValue.map { " (\($0))" } ?? ""
        return "\(subject) is invalid" + (status["message"]?.stringValue.map { ": \($0)" } ?? "") + why
      }
      if causes.count == 1 { return "\(subject) is invalid: \(causes[0])" }
      return "\(subject) is invalid: \n" + causes.map { "* \($0)" }.joined(separator: "\n")
    }
    let what = doing.map { "\($0): " } ?? ""
    return reason.isEmpty ? "Error from server: \(what)\(message)" : "Error from server (\(reason)): \(what)\(message)"
  }
}

extension CommandError {
  /// Nobody knows whether it was done.
  static func unknownOutcome(_ why: String) -> CommandError {
    CommandError(
      """
      error: the connection to the coordinator was lost before it answered (\(why)).
      The change may have been made or not: look before you repeat it.
      """)
  }

  /// Nobody answered in time.
  static func away(_ end: ExchangeEnd) -> CommandError {
    var why = "no answer"
    switch end {
    case .lost(let reason), .unreachable(let reason): why = reason
    case .done, .enough, .timedOut: break
    }
    return CommandError(
      """
      error: cannot reach the coordinator (\(why)).
      Is it running, and can it be reached from here? What `stint kubeconfig` prints on its machine serves on others, by
      --kubeconfig or KUBECONFIG; an admin.kubeconfig serves its own machine alone. `stint up` starts a cluster here.
      """)
  }
}
