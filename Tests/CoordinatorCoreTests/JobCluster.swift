// A cluster for Kubernetes' own end-to-end cases about Jobs: requests go in at the API's door, and agents run pods
// whose container does what its case says. It must not look at what a Job is meant to come to.

import ClusterProto
import Testing

@testable import CoordinatorCore

final class JobCluster {
  /// What one run of a container does.
  enum Act {
    case ends(Int64)
    case runsOn
  }

  /// One run of a container: of which index, and how many runs of that index (or else of that Job) came before.
  struct Run {
    var index: Int64?
    var before: Int
  }

  /// What the containers of a Job do.
  typealias Behaviour = @Sendable (Run) -> Act

  static let allSucceed: Behaviour = { _ in .ends(0) }
  static let allFail: Behaviour = { _ in .ends(1) }
  static let notTerminate: Behaviour = { _ in .runsOn }
  static let failOddSucceedEven: Behaviour = { .ends(($0.index ?? 0) % 2) }
  /// The first run of each index, or of the Job, fails.
  static func failOnce(with code: Int64 = 1) -> Behaviour { { .ends($0.before == 0 ? code : 0) } }

  private struct Running {
    var job: String
    var act: Act
    var revision: Int64 = 1
    var restarts: Int64 = 0
    var stopsAt: Int64?
  }

  var fleet: FleetHarness
  /// How long a container takes to end after SIGTERM.
  var stopSeconds: Int64 = 0
  /// Names of all pods that were ever there, in the order of their creation.
  private(set) var created: [String] = []
  private var behaviours: [String: Behaviour] = [:]
  private var running: [AttemptNumber: Running] = [:]
  private var runs: [String: Int] = [:]
  private var lastRequest: RequestID = 1_000

  init(nodes: Int = 2, cpuMillicores: Int64 = 8_000) throws {
    fleet = try FleetHarness()
    for number in 0..<nodes {
      var agent = FakeAgent("node-\(number)")
      agent.labels = ["kubernetes.io/hostname": "node-\(number)"]
      agent.capacity = NodeCapacity(cpuMillicores: cpuMillicores, memoryBytes: 64 << 30, pods: 110)
      fleet.join(agent)
    }
  }

  // MARK: Requests

  @discardableResult
  func ask(_ request: APIRequest) -> RequestAnswer {
    lastRequest += 1
    let id = lastRequest
    fleet.effects = []
    fleet.step([.request(id, request)])
    var answer = RequestAnswer()
    for _ in 0..<100 where answer.code == nil {
      answer = Self.answer(id, fleet.effects)
      if answer.code == nil { fleet.step([.timer]) }
    }
    return answer
  }

  private static func answer(_ id: RequestID, _ effects: [CoordinatorEffect]) -> RequestAnswer {
    var answer = RequestAnswer()
    for effect in effects {
      let reply: APIReply
      switch effect {
      case .reply(id, let part), .shown(id, let part, _): reply = part
      default: continue
      }
      switch reply {
      case .items(let items): answer.items += items
      case .done(let code, let object, let warnings):
        answer.code = code
        answer.object = object
        answer.warnings = warnings
      default: break
      }
    }
    return answer
  }

  /// Creates a Job whose containers behave so.
  @discardableResult
  func create(
    _ name: String, _ behaviour: @escaping Behaviour, _ spec: JSON = ["parallelism": 2, "completions": 4],
    pod: JSON = .object(JSONObject()), _ change: (inout JSON) -> Void = { _ in }
  ) -> RequestAnswer {
    var manifest = Manifest.job(name, spec: spec, pod: pod)
    change(&manifest)
    behaviours[name] = behaviour
    let answer = ask(APIRequest(verb: .create, kind: .jobs, namespace: "default", body: manifest))
    #expect(answer.code == 201, "\(answer.message)")
    return answer
  }

  func job(_ name: String) -> RequestAnswer {
    ask(APIRequest(verb: .get, kind: .jobs, namespace: "default", name: name))
  }

  func pods(_ job: String) -> [JSON] {
    var options = APIOptions()
    options.labelSelector = "job-name=\(job)"
    return ask(APIRequest(verb: .list, kind: .pods, namespace: "default", options: options)).items
  }

  func pods(_ job: String, _ phase: String) -> [JSON] {
    pods(job).filter { $0[path: ["status", "phase"]]?.stringValue == phase }
  }

  @discardableResult
  func patch(_ kind: Kind, _ name: String, _ body: JSON, subresource: String = "") -> RequestAnswer {
    var options = APIOptions()
    options.patchKind = .merge
    return ask(
      APIRequest(
        verb: .patch, kind: kind, namespace: "default", name: name, subresource: subresource, options: options,
        body: body))
  }

  @discardableResult
  func delete(_ kind: Kind, _ name: String, _ body: JSON? = nil) -> RequestAnswer {
    ask(APIRequest(verb: .delete, kind: kind, namespace: "default", name: name, body: body))
  }

  // MARK: Waiting

  /// Lets the cluster work until the Job is as asked, and returns it.
  @discardableResult
  func wait(
    for name: String, _ what: String, seconds: Int = 300, until isReached: (JSON) -> Bool,
    at place: SourceLocation = #_sourceLocation
  ) throws -> JSON {
    for _ in 0..<seconds {
      let answer = job(name)
      if answer.code == 200, isReached(answer.object) { return answer.object }
      pass()
    }
    Issue.record("Job \(name) is not \(what): \(job(name).object["status"]?.text ?? "gone")", sourceLocation: place)
    return try #require(nil as JSON?, sourceLocation: place)
  }

  /// The same for a condition that is True, with its reason.
  @discardableResult
  func wait(
    for name: String, _ condition: String, reason: String, at place: SourceLocation = #_sourceLocation
  ) throws -> JSON {
    try wait(for: name, "\(condition) for \(reason)", until: { $0.reason(of: condition) == reason }, at: place)
  }

  func wait(_ what: String, at place: SourceLocation = #_sourceLocation, until isReached: (JobCluster) -> Bool)
    throws
  {
    for _ in 0..<300 {
      if isReached(self) { return }
      pass()
    }
    try #require(Bool(false), "\(what) did not come", sourceLocation: place)
  }

  /// Lets the cluster work until so many pods of the Job run.
  func waitRunning(_ name: String, _ count: Int, at place: SourceLocation = #_sourceLocation) throws {
    try wait("\(count) running pods of \(name)", at: place) { $0.pods(name, "Running").count == count }
  }

  /// A second in which agents do what they were told.
  func pass() {
    let names = fleet.agents.keys.sorted()
    fleet.pass(1_000, beating: names)
    for name in names { play(name) }
    noteCreated()
  }

  private func noteCreated() {
    for pod in fleet.core.state.keys(of: .pods, in: "default") where !created.contains(pod.name) {
      created.append(pod.name)
    }
  }

  // MARK: Agents

  private func play(_ name: String) {
    guard let agent = fleet.agents[name] else { return }
    for number in agent.desired.keys.sorted() {
      guard let body = agent.bodies[number], agent.held[number]?.terminal != true else { continue }
      if running[number] == nil { begin(number, body) }
      guard var one = running[number] else { continue }
      var code: Int64?
      switch agent.desired[number] {
      case .stop(let grace):
        let end = one.stopsAt ?? fleet.boot + min(grace, stopSeconds * 1_000)
        one.stopsAt = end
        if end <= fleet.boot { code = 143 }
      default:
        if case .ends(let end) = one.act, one.revision > 1 { code = end }
      }
      if let end = code, end != 0, end != 143, restartsOnFailure(body.spec) {
        one.restarts += 1
        one.act = act(of: body, one.job)
        code = nil
      }
      running[number] = one
      report(name, number, body, code)
    }
  }

  /// The container's own policy goes before the pod's.
  private func restartsOnFailure(_ spec: PodSpec) -> Bool {
    let own = spec.json["containers"]?[0]?["restartPolicy"]?.stringValue
    return (own ?? spec.restartPolicy.rawValue) == RestartPolicy.onFailure.rawValue
  }

  private func begin(_ number: AttemptNumber, _ body: Assignment) {
    let job = body.labels["job-name"] ?? ""
    running[number] = Running(job: job, act: act(of: body, job))
  }

  private func act(of body: Assignment, _ job: String) -> Act {
    let index = body.annotations[Slot.indexAnnotation].flatMap { Int64($0) }
    let key = index.map { "\(job)/\($0)" } ?? job
    let before = runs[key] ?? 0
    runs[key] = before + 1
    return behaviours[job]?(Run(index: index, before: before)) ?? .runsOn
  }

  private func report(_ name: String, _ number: AttemptNumber, _ body: Assignment, _ code: Int64?) {
    guard let session = fleet.agents[name]?.session, let one = running[number] else { return }
    let wall = fleet.now.wall
    var status = PodStatus()
    status.phase = code.map { $0 == 0 ? .succeeded : .failed } ?? .running
    status.conditions = [Condition(type: "Ready", status: code == nil ? "True" : "False", lastTransition: wall)]
    let state: ContainerState =
      code.map {
        .terminated(
          ContainerState.Termination(
            exitCode: $0, reason: $0 == 0 ? "Completed" : "Error", startedAt: wall, finishedAt: wall))
      } ?? .running(startedAt: wall)
    status.containers = [
      ContainerStatus(name: "main", image: "busybox", state: state, ready: code == nil, restartCount: one.restarts)
    ]
    running[number]?.revision += 1
    fleet.agents[name]?.held[number] = InventoryEntry(
      attempt: number, revision: one.revision, terminal: code != nil, frozen: false)
    fleet.step([
      .agent(
        session,
        .reports([AttemptReport(attempt: number, revision: one.revision, status: status, frozen: false)]))
    ])
  }
}

extension JSON {
  /// The reason of a Job's condition that is True.
  func reason(of condition: String) -> String? {
    self[path: ["status", "conditions"]]?.arrayValue?.first {
      $0["type"]?.stringValue == condition && $0["status"]?.stringValue == "True"
    }?["reason"]?.stringValue
  }

  /// A counter of a Job's status; absent ones are 0, as for Kubernetes' clients.
  func count(_ name: String) -> Int64 { self[path: ["status", name]]?.intValue ?? 0 }
  func text(_ name: String) -> String? { self[path: ["status", name]]?.stringValue }
  var name: String { self[path: ["metadata", "name"]]?.stringValue ?? "" }
  /// Nothing active, ready or terminating is left.
  var isAtRest: Bool { count("active") == 0 && count("ready") == 0 && count("terminating") == 0 }
}
