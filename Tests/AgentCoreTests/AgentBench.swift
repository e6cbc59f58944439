// An agent core with a clock, a coordinator and a keeper played by the test.

import AgentCore
import ClusterProto
import Testing

struct AgentBench {
  var core: AgentCore
  var now: Int64 = 1_000
  var all: [AgentEffect] = []
  var wake: BootTime?
  var keeperConnection: ConnectionNumber = 0
  var connection: ConnectionNumber = 0
  var answers: Int64 = 0
  /// Of the latest heartbeat.
  var lastSequence: Int64 = 0
  var session = "session-a"
  /// What the played coordinator wants.
  var desired: [AttemptNumber: DesiredAction] = [:]
  /// The disk answers each probe at once; turned off to see what happens when it hangs.
  var diskAnswers = true

  static var configuration: AgentConfiguration {
    var configuration = AgentConfiguration(
      node: "node-1", machineID: "machine", bootID: "boot", agentVersion: "1",
      capacity: NodeCapacity(cpuMillicores: 4000, memoryBytes: 8 << 30, pods: 110), address: "127.0.0.1",
      info: .object(JSONObject()))
    // Whoever is not about that wakes for other things alone.
    configuration.machineLookMilliseconds = 1 << 40
    return configuration
  }

  /// What the disk says when it answers.
  var room: DiskRoom?

  init(_ configuration: AgentConfiguration = AgentBench.configuration, seed: UInt64 = 1) {
    core = AgentCore(configuration: configuration, seed: seed)
  }

  /// Connected to a coordinator that has answered, and to a keeper that can do these things.
  static func connected(_ configuration: AgentConfiguration, keeper: LimitAbilities) -> AgentBench {
    var bench = AgentBench(configuration)
    bench.begin()
    bench.send(.keeper(bench.keeperConnection, .limits(keeper)))
    bench.answer()
    return bench
  }

  @discardableResult
  mutating func send(_ event: AgentEvent) -> [AgentEffect] {
    var effects = core.step(event, at: at(now))
    all += effects
    for effect in effects {
      switch effect {
      case .wake(let time): wake = time
      case .connectKeeper(let number), .findKeeper(let number): keeperConnection = number
      case .connectCoordinator(let number): connection = number
      case .send(.heartbeat(let beat)): lastSequence = beat.sequence
      default: break
      }
    }
    for case .probeDisk(let number) in effects where diskAnswers {
      effects += send(.diskAnswered(number, room: room))
    }
    return effects
  }

  @discardableResult
  mutating func hear(_ message: CoordinatorMessage) -> [AgentEffect] { send(.coordinator(connection, message)) }

  @discardableResult
  mutating func keeper(_ reports: [AttemptReport]) -> [AgentEffect] {
    send(.keeper(keeperConnection, .reports(reports)))
  }

  /// Connects the keeper, with this inventory.
  @discardableResult
  mutating func connectKeeper(_ name: String = "keeper-a", inventory: [AttemptReport] = []) -> [AgentEffect] {
    var effects = send(.keeperConnected(keeperConnection))
    let hello = KeeperReply.hello(
      keeper: name, directory: "mark-\(name)", sweptKeepers: [], highestAttempt: 3, fencesFully: true, fencingDetail: ""
    )
    effects += send(.keeper(keeperConnection, hello))
    if !inventory.isEmpty { effects += keeper(inventory) }
    return effects + keeper([])
  }

  @discardableResult
  mutating func register(incarnation: Int64 = 1, mark: String = "") -> [AgentEffect] {
    answers = 0
    let opened = send(.coordinatorOpened(connection))
    return opened
      + hear(
        .registered(
          session: session, incarnation: incarnation, heartbeatMilliseconds: 1_000, leaseMilliseconds: 5_000,
          mark: mark))
  }

  /// Keeper and coordinator connected, session registered, first heartbeat sent.
  mutating func begin(inventory: [AttemptReport] = []) {
    send(.started)
    connectKeeper(inventory: inventory)
    register()
  }

  /// Answers the latest heartbeat with the whole desired set and the right digest.
  @discardableResult
  mutating func answer(
    sequence: Int64? = nil, lease: Int64 = 5_000, acknowledged: [AttemptNumber] = [], wantsInventory: Bool = false,
    assignments: [Assignment] = []
  ) -> [AgentEffect] {
    answers += 1
    let full = desired.keys.sorted().map { DesiredAttempt(attempt: $0, action: desired[$0] ?? .run) }
    return hear(
      .answer(
        Answer(
          number: answers, sequence: sequence ?? lastSequence, leaseMilliseconds: lease,
          desiredDigest: SetDigest(full), full: full, acknowledged: acknowledged, wantsInventory: wantsInventory,
          assignments: assignments)))
  }

  /// Lets so many milliseconds pass, with a timer event at each wake on the way.
  @discardableResult
  mutating func pass(_ milliseconds: Int64) -> [AgentEffect] {
    let end = now + milliseconds
    var effects: [AgentEffect] = []
    while let next = wake, next.milliseconds <= end {
      now = max(now, next.milliseconds)
      wake = nil
      effects += send(.timer)
    }
    now = end
    return effects
  }

  /// Passes time second by second and answers each heartbeat.
  mutating func live(seconds: Int) {
    for _ in 0..<seconds {
      pass(1_000)
      answer()
    }
  }

  /// The number of the latest preparation of an attempt.
  func preparation(_ attempt: AttemptNumber) throws -> Int64 {
    try #require(all.preparations.last { $0.attempt == attempt }).number
  }
}

extension [AgentEffect] {
  var sent: [AgentMessage] { compactMap { if case .send(let message) = $0 { message } else { nil } } }
  var requests: [KeeperRequest] { compactMap { if case .keeper(let request) = $0 { request } else { nil } } }
  /// What the keeper is asked to relieve the node of.
  var shortages: [Shortage] { requests.compactMap { if case .relieve(let shortage) = $0 { shortage } else { nil } } }
  var heartbeats: [Heartbeat] { sent.compactMap { if case .heartbeat(let beat) = $0 { beat } else { nil } } }
  var reports: [AttemptReport] {
    sent.flatMap { message -> [AttemptReport] in if case .reports(let reports) = message { reports } else { [] } }
  }
  var fetched: [AttemptNumber] {
    sent.flatMap { message -> [AttemptNumber] in if case .fetch(let attempts) = message { attempts } else { [] } }
  }
  var preparations: [(attempt: AttemptNumber, number: Int64)] {
    compactMap { if case .prepare(let body, let number, _) = $0 { (body.attempt, number) } else { nil } }
  }
  var renewed: [AttemptNumber]? {
    requests.compactMap { if case .renew(_, let attempts) = $0 { attempts } else { nil } }.last
  }
  var leaseEnd: BootTime? {
    requests.compactMap { if case .renew(let end, _) = $0 { end } else { nil } }.last
  }
  /// The last word that takes longer leases back.
  var shortened: (end: BootTime, number: Int64)? {
    requests.compactMap { if case .shorten(let end, let number) = $0 { (end: end, number: number) } else { nil } }.last
  }
  var starts: [AttemptNumber] {
    requests.compactMap { if case .start(let body, _, _) = $0 { body.attempt } else { nil } }
  }
  var disconnects: Bool { contains { if case .disconnectCoordinator = $0 { true } else { false } } }
  var connects: Bool { contains { if case .connectCoordinator = $0 { true } else { false } } }
}
