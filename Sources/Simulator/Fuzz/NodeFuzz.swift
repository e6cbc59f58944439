// A forged coordinator before a real agent core, and a forged agent before a real keeper core: whatever numbers they
// say, both go on. Knows no meaning of any field.

import AgentCore
import ClusterProto

/// One seeded run against the two cores of a node.
package struct NodeFuzz {
  /// Inputs between two new pairs of cores.
  private static let life = 300

  private var numbers: NumberMutator
  private var agent: AgentCore
  private var keeper: KeeperCore
  private var now = Now(
    boot: BootTime(milliseconds: 1_000_000), wall: WallTime(nanoseconds: 1_795_000_000_000_000_000))
  private var coordinatorConnection: ConnectionNumber = 0
  private var keeperConnection: ConnectionNumber = 0
  private var sequence: Int64 = 0
  private var answerNumber: Int64 = 0
  private var report = FuzzReport()

  /// Begins from the seed.
  package init(seed: UInt64) {
    numbers = NumberMutator(seed: seed)
    agent = Self.agent(seed)
    keeper = Self.keeper()
  }

  private static func agent(_ seed: UInt64) -> AgentCore {
    AgentCore(
      configuration: AgentConfiguration(
        node: "n", machineID: "m", bootID: "b", agentVersion: "1",
        capacity: NodeCapacity(cpuMillicores: 4_000, memoryBytes: 8 << 30, pods: 110), address: "127.0.0.1",
        info: .object(JSONObject())), seed: seed)
  }

  private static func keeper() -> KeeperCore {
    KeeperCore(KeeperStart(keeper: "keeper"), configuration: KeeperConfiguration())
  }

  /// Gives that many inputs.
  package mutating func run(inputs: Int) -> FuzzReport {
    begin()
    for number in 1...max(1, inputs) {
      if number % Self.life == 0 { begin() }
      if numbers.oneIn(3) { now.boot = now.boot + Int64(numbers.random.below(3_000)) }
      report.inputs += 1
      if numbers.oneIn(2) { tellAgent() } else { tellKeeper() }
    }
    return report
  }

  private mutating func begin() {
    agent = Self.agent(numbers.random.next())
    keeper = Self.keeper()
    toKeeper(.timer)
    toKeeper(.agentConnected)
    toAgent(.started)
  }

  // MARK: - The forged coordinator

  private mutating func tellAgent() {
    guard coordinatorConnection > 0 else {
      toAgent(.timer)
      return
    }
    let whole = coordinatorMessage()
    let json = numbers.oneIn(3) ? whole : numbers.mutate(whole, most: 3)
    guard let message = try? CoordinatorMessage(json: json) else { return }
    report.accepted += 1
    toAgent(.coordinator(coordinatorConnection, message))
    if numbers.oneIn(4) { toAgent(.timer) }
    if numbers.oneIn(60) { toAgent(.coordinatorClosed(coordinatorConnection)) }
  }

  private mutating func coordinatorMessage() -> JSON {
    let attempt = Int64(numbers.random.below(12) + 1)
    switch numbers.random.below(8) {
    case 0:
      return CoordinatorMessage.registered(
        session: "s", incarnation: 1, heartbeatMilliseconds: 1_000, leaseMilliseconds: 5_000
      ).json
    case 1, 2, 3:
      answerNumber += 1
      var answer = Answer(
        number: answerNumber, sequence: sequence, leaseMilliseconds: 5_000,
        desiredDigest: SetDigest(numbers.random.next()))
      answer.changes = [DesiredAttempt(attempt: attempt, action: numbers.oneIn(3) ? .stop(graceMilliseconds: 9) : .run)]
      answer.removed = numbers.oneIn(3) ? [attempt + 1] : []
      answer.full = numbers.oneIn(4) ? answer.changes : nil
      answer.acknowledged = numbers.oneIn(3) ? [attempt] : []
      answer.wantsInventory = numbers.oneIn(4)
      answer.grown = numbers.oneIn(3) ? [attempt, attempt + 1] : []
      var json = CoordinatorMessage.answer(answer).json
      json["assignments"] = .array([FuzzBodies.assignment(attempt, keeper: "keeper", session: "s")])
      return json
    case 4, 5:
      let body = numbers.mutate(FuzzBodies.assignment(attempt, keeper: "keeper", session: "s"), most: 3)
      return ["type": "assignments", "assignments": .array([body])]
    case 6: return ["type": "purge", "attempts": .integers([attempt, numbers.integer()])]
    default: return ["type": "refused", "reason": "r", "retryMilliseconds": .int(numbers.integer())]
    }
  }

  private mutating func toAgent(_ event: AgentEvent) {
    for effect in agent.step(event, at: now) {
      switch effect {
      case .connectKeeper(let number), .findKeeper(let number):
        keeperConnection = number
        toAgent(.keeperConnected(number))
      case .keeper(let request): toKeeper(.request(request))
      case .connectCoordinator(let number):
        coordinatorConnection = number
        answerNumber = 0
        toAgent(.coordinatorOpened(number))
      case .send(.heartbeat(let heartbeat)): sequence = heartbeat.sequence
      case .prepare(let assignment, let number, _): prepare(assignment, number)
      case .prepareAddition(let assignment, let name, let number, _):
        let place = place()
        guard let container = try? PodPlanner.addition(name, to: assignment, place: place) else { break }
        toAgent(.additionPrepared(assignment.attempt, number: number, container))
      default: break
      }
    }
  }

  private mutating func place() -> PodPlace {
    PodPlace(
      node: "n", address: "127.0.0.1",
      capacity: NodeCapacity(
        cpuMillicores: numbers.integer(), memoryBytes: numbers.integer(), pods: numbers.integer()),
      podDirectory: "/pods/1", volumes: [:])
  }

  private mutating func prepare(_ assignment: Assignment, _ number: Int64) {
    let place = place()
    do {
      let plan = try PodPlanner.plan(assignment, place: place)
      toAgent(.prepared(assignment.attempt, number: number, plan))
    } catch {
      toAgent(
        .preparationFailed(
          assignment.attempt, number: number, container: error.container, reason: error.reason, message: error.message,
          retryable: true))
    }
  }

  // MARK: - The forged agent

  private mutating func tellKeeper() {
    let whole = keeperRequest()
    let json = numbers.oneIn(3) ? whole : numbers.mutate(whole, most: 3)
    guard let request = try? KeeperRequest(json: json) else { return }
    report.accepted += 1
    toKeeper(.request(request))
    if numbers.oneIn(3) { tellExec() }
    if numbers.oneIn(3) { toKeeper(.timer) }
  }

  private mutating func tellExec() {
    let number = Int64(numbers.random.below(20))
    let whole = ExecRequest(
      attempt: Int64(numbers.random.below(12) + 1), container: numbers.oneIn(5) ? "none" : "main",
      arguments: ["/bin/true"], terminal: numbers.oneIn(2) ? nil : TerminalSize(columns: 80, rows: 24)
    ).json
    let json = numbers.oneIn(3) ? whole : numbers.mutate(whole, most: 2)
    if let request = try? ExecRequest(json: json) { toKeeper(.exec(number, request)) }
    let input = numbers.mutate(InputRequest(attempt: whole["attempt"]?.intValue ?? 1, container: "main").json, most: 1)
    if let request = try? InputRequest(json: input) { toKeeper(.input(number, request)) }
    if numbers.oneIn(3) { toKeeper(.execClosed(number)) }
    if numbers.oneIn(3) { toKeeper(.execTold(number, .exited(code: numbers.integer()))) }
  }

  private mutating func keeperRequest() -> JSON {
    let attempt = Int64(numbers.random.below(12) + 1)
    let end = now.boot + 5_000
    switch numbers.random.below(11) {
    case 0, 1, 2, 3:
      guard
        let assignment = try? Assignment(
          json: FuzzBodies.assignment(attempt, keeper: "keeper", session: "s"), "assignment")
      else { return .null }
      let container = PodPlan.Container(
        name: "main", image: "i", arguments: ["/bin/true"], environment: [], workingDirectory: "/", mounts: [],
        isSidecar: false)
      let plan = PodPlan(
        initContainers: [], containers: [container], restartPolicy: .onFailure, terminationGraceMilliseconds: 3_000,
        activeDeadlineMilliseconds: 50_000, hostname: "h", podDirectory: "/pods/1")
      return KeeperRequest.start(assignment, plan: plan, leaseEnd: end).json
    case 4: return KeeperRequest.renew(leaseEnd: end, attempts: numbers.oneIn(2) ? nil : [attempt]).json
    case 5: return KeeperRequest.stop(attempt, graceMilliseconds: numbers.integer()).json
    case 6: return KeeperRequest.thaw(attempt).json
    case 8:
      var container = PodPlan.Container(
        name: "debug-\(numbers.random.below(3))", image: "i", arguments: ["/bin/true"], environment: [],
        workingDirectory: "/", mounts: [], isSidecar: false)
      container.target = numbers.oneIn(2) ? "main" : nil
      return KeeperRequest.add(attempt, container).json
    case 9:
      return KeeperRequest.addWaits(
        attempt, container: "debug-0", image: "i", reason: "ErrImagePull", message: "m"
      ).json
    case 7: return KeeperRequest.acknowledge([attempt, numbers.integer()]).json
    default: return KeeperRequest.hello(agentVersion: "1").json
    }
  }

  private mutating func toKeeper(_ event: KeeperEvent) {
    for effect in keeper.step(event, at: now) {
      switch effect {
      case .startPod(let attempt, _, _): toKeeper(.podStarted(attempt))
      case .startContainer(let run, _):
        toKeeper(.containerStarted(run))
        if numbers.oneIn(2) {
          toKeeper(
            .containerExited(
              run, exitCode: numbers.integer(), signal: numbers.integer(), message: "",
              outOfMemory: numbers.oneIn(3)))
        }
      case .journal(_, let number):
        toKeeper(.journaled(number, error: numbers.oneIn(20) ? "no space left on device" : nil))
      case .killPod(let attempt): toKeeper(.podGone(attempt))
      case .freezePod(let attempt): toKeeper(.podFrozen(attempt))
      case .startExec(let number, _, _, _): if numbers.oneIn(2) { toKeeper(.execTold(number, .started)) }
      case .killExec(let number, _): toKeeper(.execTold(number, .exited(code: 137)))
      case .thawPod(let attempt): toKeeper(.podThawed(attempt))
      case .reply(let reply): toAgent(.keeper(keeperConnection, reply))
      case .exit: keeper = Self.keeper()
      default: break
      }
    }
  }
}
