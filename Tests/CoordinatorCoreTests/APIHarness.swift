// A coordinator core driven through its API only: requests in, replies out, time by hand. For the API suites.

import ClusterProto
import Testing

@testable import CoordinatorCore

/// Everything that one request was answered with so far.
struct RequestAnswer: Equatable {
  var code: Int?
  var object: JSON = .null
  var warnings: [String] = []
  var items: [JSON] = []
  var events: [(type: String, object: JSON)] = []
  /// Steps in which pieces came.
  var pieces = 0

  static func == (left: RequestAnswer, right: RequestAnswer) -> Bool {
    left.code == right.code && left.object == right.object && left.items == right.items
  }

  var message: String { object["message"]?.stringValue ?? "" }
  var reason: String { object["reason"]?.stringValue ?? "" }
  var name: String { object[path: ["metadata", "name"]]?.stringValue ?? "" }
  var resourceVersion: String { object[path: ["metadata", "resourceVersion"]]?.stringValue ?? "" }
  var itemNames: [String] { items.map { $0[path: ["metadata", "name"]]?.stringValue ?? "" } }
}

final class APIHarness {
  var core: CoordinatorCore
  var now = Now(boot: BootTime(milliseconds: 1_000_000), wall: WallTime(rfc3339: "2026-11-23T10:00:00Z")!)
  private(set) var answers: [RequestID: RequestAnswer] = [:]
  private(set) var effects: [CoordinatorEffect] = []
  private var nextID: RequestID = 1
  private var rows: [String: StoreRow] = [:]

  init(seed: UInt64 = 7, _ change: (inout CoordinatorConfiguration) -> Void = { _ in }) throws {
    var configuration = CoordinatorConfiguration()
    change(&configuration)
    core = try CoordinatorCore(configuration: configuration, rows: [], seed: seed, now: now)
    step([])
  }

  /// One step; rows are kept, replies are gathered by request.
  @discardableResult
  func step(_ events: [CoordinatorEvent]) -> [CoordinatorEffect] {
    let effects = stepUnseen(events)
    for effect in effects {
      let (id, reply): (RequestID, APIReply)
      switch effect {
      case .reply(let request, let part), .shown(let request, let part, _): (id, reply) = (request, part)
      case .tell(let requests, let type, let object):
        for request in requests { answers[request, default: RequestAnswer()].events.append((type, object)) }
        continue
      default: continue
      }
      var answer = answers[id] ?? RequestAnswer()
      switch reply {
      case .items(let items):
        answer.items += items
        answer.pieces += 1
      case .event(let type, let object): answer.events.append((type, object))
      case .done(let code, let object, let warnings):
        #expect(answer.code == nil, "a request is answered once")
        answer.code = code
        answer.object = object
        answer.warnings = warnings
      case .bytes: break
      }
      answers[id] = answer
    }
    return effects
  }

  /// One step whose rows are kept and whose replies nobody gets, as when the process dies after a commit.
  @discardableResult
  func stepUnseen(_ events: [CoordinatorEvent]) -> [CoordinatorEffect] {
    effects = core.step(events.map(\.asMaster), at: now)
    for case .persist(let write) in effects {
      rows["\(write.table.rawValue) \(write.key)"] = write.value.map {
        StoreRow(table: write.table, key: write.key, value: $0)
      }
    }
    return effects
  }

  /// Changes the row of an object, as another version may have left it.
  func changeRow(_ kind: Kind, _ name: String, _ change: (inout JSON) -> Void) throws {
    let key = try #require(rows.keys.first { $0.hasPrefix("objects \(kind.rawValue)/") && $0.hasSuffix("/\(name)") })
    var row = try #require(rows[key])
    var json = try JSON(parsing: row.value)
    change(&json)
    row.value = json.bytes
    rows[key] = row
  }

  /// The process dies and the next one starts on the rows.
  func restart(_ configuration: CoordinatorConfiguration? = nil) throws {
    core = try CoordinatorCore(
      configuration: configuration ?? core.configuration, rows: rows.values.sorted { $0.key < $1.key },
      seed: UInt64(nextID), now: now)
    step([])
  }

  /// Sends a request and steps until it is answered, or (watches) once.
  @discardableResult
  func send(_ request: APIRequest) -> RequestID {
    let id = nextID
    nextID += 1
    step([.request(id, request)])
    return id
  }

  func answer(_ id: RequestID) -> RequestAnswer { answers[id] ?? RequestAnswer() }

  @discardableResult
  func ask(_ request: APIRequest) -> RequestAnswer {
    let id = send(request)
    var steps = 0
    while answer(id).code == nil, steps < 5_000 {
      step([.timer])
      steps += 1
    }
    return answer(id)
  }

  /// Lets time pass.
  func wait(milliseconds: Int64) {
    now.boot = now.boot + milliseconds
    now.wall = now.wall.adding(milliseconds: milliseconds)
    step([.timer])
  }

  @discardableResult
  func create(
    _ kind: Kind, _ body: JSON, namespace: String = "default", _ change: (inout APIOptions) -> Void = { _ in }
  ) -> RequestAnswer {
    var options = APIOptions()
    change(&options)
    return ask(APIRequest(verb: .create, kind: kind, namespace: namespace, options: options, body: body))
  }

  func get(_ kind: Kind, _ name: String, namespace: String = "default") -> RequestAnswer {
    ask(APIRequest(verb: .get, kind: kind, namespace: namespace, name: name))
  }

  @discardableResult
  func list(_ kind: Kind, namespace: String = "default", _ change: (inout APIOptions) -> Void = { _ in })
    -> RequestAnswer
  {
    var options = APIOptions()
    change(&options)
    return ask(APIRequest(verb: .list, kind: kind, namespace: namespace, options: options))
  }

  @discardableResult
  func update(_ kind: Kind, _ name: String, _ body: JSON, subresource: String = "") -> RequestAnswer {
    ask(
      APIRequest(verb: .update, kind: kind, namespace: "default", name: name, subresource: subresource, body: body))
  }

  @discardableResult
  func patch(
    _ kind: Kind, _ name: String, _ patchKind: PatchKind?, _ body: JSON, subresource: String = "",
    _ change: (inout APIOptions) -> Void = { _ in }
  ) -> RequestAnswer {
    var options = APIOptions()
    options.patchKind = patchKind
    change(&options)
    return ask(
      APIRequest(
        verb: .patch, kind: kind, namespace: "default", name: name, subresource: subresource, options: options,
        body: body))
  }

  @discardableResult
  func delete(_ kind: Kind, _ name: String, _ change: (inout APIOptions) -> Void = { _ in }) -> RequestAnswer {
    var options = APIOptions()
    change(&options)
    return ask(APIRequest(verb: .delete, kind: kind, namespace: "default", name: name, options: options))
  }

  func watch(
    _ kind: Kind, namespace: String = "default", form: AnswerForm = .object,
    _ change: (inout APIOptions) -> Void = { _ in }
  ) -> RequestID {
    var options = APIOptions()
    change(&options)
    return send(APIRequest(verb: .watch, kind: kind, namespace: namespace, options: options, form: form))
  }
}

enum Manifest {
  static func json(_ text: String) -> JSON {
    do {
      return try JSON(parsing: text)
    } catch {
      Issue.record("a test's own manifest is no JSON: \(error)")
      return .null
    }
  }

  /// A Job like the reference's, with `spec` members laid over it.
  static func job(_ name: String, spec: JSON = .object(JSONObject()), pod: JSON = .object(JSONObject())) -> JSON {
    var job = json(
      """
      {"apiVersion":"batch/v1","kind":"Job","metadata":{},"spec":{"template":{"spec":{"restartPolicy":"Never",
      "containers":[{"name":"main","image":"busybox","command":["sh","-c","true"]}]}}}}
      """)
    if !name.isEmpty { job[path: ["metadata", "name"]] = .string(name) }
    for (key, value) in spec.objectValue ?? JSONObject() { job[path: ["spec", key]] = value }
    for (key, value) in pod.objectValue ?? JSONObject() { job[path: ["spec", "template", "spec", key]] = value }
    return job
  }

  static func pod(_ name: String, spec: JSON = .object(JSONObject())) -> JSON {
    var pod = json(
      """
      {"apiVersion":"v1","kind":"Pod","metadata":{},"spec":{"containers":[{"name":"c","image":"busybox:1",
      "command":["true"]}]}}
      """)
    pod[path: ["metadata", "name"]] = .string(name)
    for (key, value) in spec.objectValue ?? JSONObject() { pod[path: ["spec", key]] = value }
    return pod
  }

  static func configMap(_ name: String, _ data: JSON = ["a": "b"], labels: JSON? = nil) -> JSON {
    var map: JSON = ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name)], "data": data]
    if let labels { map[path: ["metadata", "labels"]] = labels }
    return map
  }
}
