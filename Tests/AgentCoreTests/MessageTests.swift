// Messages survive their JSON; broken ones give an error that names what is wrong, and never trap.

import ClusterProto
import Testing

/// Random messages from a seed.
struct MessageGenerator {
  var random: SplitMix64

  mutating func number() -> Int64 { random.below(4) == 0 ? Int64(bitPattern: random.next()) : Int64(random.below(100)) }
  /// What an int32 field of the API holds.
  mutating func small() -> Int64 { number().clampedToInt32 }
  mutating func flag() -> Bool { random.below(2) == 0 }
  mutating func text() -> String { ["", "a", "ü\n", "name-\(random.below(99))", "\"\\"][Int(random.below(5))] }
  mutating func maybe<Value>(_ make: (inout Self) -> Value) -> Value? { flag() ? make(&self) : nil }
  mutating func many<Value>(_ make: (inout Self) -> Value) -> [Value] { (0..<random.below(4)).map { _ in make(&self) } }
  /// Whole seconds, as statuses carry them.
  mutating func time() -> WallTime { WallTime(nanoseconds: Int64(1 + random.below(4_000_000_000)) * 1_000_000_000) }

  mutating func desired() -> DesiredAttempt {
    DesiredAttempt(attempt: number(), action: flag() ? .run : .stop(graceMilliseconds: number()))
  }

  mutating func entry() -> InventoryEntry {
    InventoryEntry(attempt: number(), revision: number(), terminal: flag(), frozen: flag())
  }

  mutating func condition() -> Condition {
    Condition(type: text(), status: "True", reason: text(), message: text(), lastTransition: time())
  }

  mutating func assignment() -> Assignment {
    Assignment(
      attempt: number(), keeper: text(), session: text(), namespace: text(), podName: text(), podUID: text(),
      labels: ["a": text()], annotations: ["b": text()],
      spec: PodSpec(json: ["restartPolicy": "Never", "containers": [["name": .string(text())]]]),
      hostname: maybe { $0.text() }, references: ["configmaps/x": ["data": ["k": .string(text())]]],
      tolerationMilliseconds: maybe { $0.number() }, proof: text())
  }

  mutating func state() -> ContainerState {
    switch random.below(3) {
    case 0: .waiting(reason: text(), message: text())
    case 1: .running(startedAt: time())
    default:
      .terminated(
        ContainerState.Termination(
          exitCode: small(), signal: small(), reason: text(), message: text(), startedAt: time(), finishedAt: time()))
    }
  }

  mutating func report() -> AttemptReport {
    var status = PodStatus()
    status.phase = [.pending, .running, .succeeded, .failed][Int(random.below(4))]
    status.reason = text()
    status.message = text()
    status.conditions = many { $0.condition() }
    status.hostIP = text()
    status.startTime = maybe { $0.time() }
    status.containers = many { generator in
      ContainerStatus(
        name: generator.text(), image: generator.text(), state: generator.state(), ready: generator.flag(),
        started: generator.maybe { $0.flag() }, restartCount: max(0, generator.small()))
    }
    status.fencingToken = maybe { $0.number() }
    return AttemptReport(attempt: number(), revision: number(), status: status, frozen: flag())
  }

  mutating func registration() -> Registration {
    Registration(
      node: text(), machineID: text(), bootID: text(), keeper: text(), sweptKeepers: many { $0.text() },
      capacity: NodeCapacity(cpuMillicores: number(), memoryBytes: number(), pods: number()), labels: ["l": text()],
      address: text(), info: ["kernelVersion": .string(text())], conditions: many { $0.condition() },
      fencesFully: flag(), highestIncarnation: number(), highestAttempt: number(), hardwareID: text(),
      directory: text(), uptimeMilliseconds: maybe { $0.number() }, incarnationMark: text(),
      rememberedCluster: text(), provenAttempt: maybe { ProvenAttempt(attempt: $0.number(), proof: $0.text()) })
  }

  mutating func agentMessage() -> AgentMessage {
    switch random.below(5) {
    case 0: .register(registration())
    case 1: .heartbeat(heartbeat())
    case 2: .reports(many { $0.report() })
    case 3: .fetch(many { $0.number() })
    default: .retained(many { $0.number() })
    }
  }

  private mutating func heartbeat() -> Heartbeat {
    var result = Heartbeat(
      sequence: number(), echo: number(), desiredDigest: SetDigest(random.next()),
      inventoryDigest: SetDigest(random.next()),
      inventory: maybe { $0.many { $0.entry() } }, pressures: Set(NodePressure.allCases.filter { _ in flag() }),
      leasesSettleMilliseconds: maybe { $0.number() })
    result.remains = maybe { $0.text() }
    for kind in NodePressure.allCases where flag() { result.spared[kind] = text() }
    return result
  }

  mutating func coordinatorMessage() -> CoordinatorMessage {
    switch random.below(6) {
    case 0:
      .registered(
        session: text(), incarnation: number(), heartbeatMilliseconds: number(), leaseMilliseconds: number(),
        mark: text())
    case 1: .refused(reason: text(), retryMilliseconds: maybe { $0.number() })
    case 2:
      .answer(
        Answer(
          number: number(), sequence: number(), leaseMilliseconds: number(), desiredDigest: SetDigest(random.next()),
          changes: many { $0.desired() }, removed: many { $0.number() }, full: maybe { $0.many { $0.desired() } },
          acknowledged: many { $0.number() }, wantsInventory: flag(), assignments: many { $0.assignment() }))
    case 3: .assignments(many { $0.assignment() })
    case 4:
      .logs(
        LogRequest(
          stream: text(), attempt: number(), container: text(), follow: flag(), previous: flag(),
          tailLines: maybe { $0.number() }, sinceSeconds: maybe { $0.number() }, sinceTime: maybe { $0.time() },
          timestamps: flag(), limitBytes: maybe { $0.number() }))
    default: .purge(many { $0.number() })
    }
  }

  mutating func container() -> PodPlan.Container {
    var result = PodPlan.Container(
      name: text(), image: text(), arguments: many { $0.text() }, environment: many { $0.text() },
      workingDirectory: text(),
      mounts: many { generator in
        PodPlan.Mount(
          source: generator.text(), subPath: generator.maybe { $0.text() }, path: generator.text(),
          readOnly: generator.flag())
      }, isSidecar: flag())
    if flag() { result.care = care() }
    (result.input.isOpen, result.input.isOnce, result.input.isTerminal) = (flag(), flag(), flag())
    return result
  }

  mutating func port() -> CareAction.Port { flag() ? .number(number()) : .name("p\(text())") }

  mutating func action() -> CareAction {
    switch random.below(4) {
    case 0: .exec(many { $0.text() })
    case 1: .connect(host: text(), port: port())
    case 2: .pause(seconds: max(0, number()))
    default:
      .get(
        CareAction.Get(
          isSecure: flag(), host: text(), port: port(), path: text(),
          headers: many { CareAction.Header(name: $0.text(), value: $0.text()) }))
    }
  }

  mutating func probe() -> ProbeSpec {
    func bounded(_ number: Int64) -> Int64 { max(1, min(number, Int64(Int32.max))) }
    return ProbeSpec(
      action: action(), initialDelaySeconds: bounded(number()), timeoutSeconds: bounded(number()),
      periodSeconds: bounded(number()), successThreshold: bounded(number()), failureThreshold: bounded(number()),
      terminationGracePeriodSeconds: maybe { bounded($0.number()) })
  }

  mutating func care() -> ContainerCare {
    var care = ContainerCare()
    care.startup = maybe { $0.probe() }
    care.liveness = maybe { $0.probe() }
    care.readiness = maybe { $0.probe() }
    care.postStart = maybe { $0.action() }
    care.preStop = maybe { $0.action() }
    care.podAddress = text()
    return care
  }

  mutating func plan() -> PodPlan {
    var plan = PodPlan(
      initContainers: many { $0.container() }, containers: many { $0.container() }, restartPolicy: .onFailure,
      terminationGraceMilliseconds: number(), activeDeadlineMilliseconds: maybe { $0.number() }, hostname: text(),
      podDirectory: text())
    plan.rank = maybe {
      EvictionRank(
        priority: $0.number(), memory: [$0.text(): $0.number()], storage: [$0.text(): 1], podStorage: $0.number())
    }
    return plan
  }

  mutating func keeperRequest() -> KeeperRequest {
    let end = BootTime(milliseconds: number())
    switch random.below(11) {
    case 8: return .measure
    case 9:
      let kinds = NodePressure.allCases
      return .relieve(
        Shortage(of: kinds[Int(random.below(UInt64(kinds.count)))], threshold: number(), available: number()))
    case 0: return .hello(agentVersion: text())
    case 1: return .renew(leaseEnd: end, attempts: maybe { $0.many { $0.number() } })
    case 2: return .start(assignment(), plan: plan(), leaseEnd: end)
    case 3:
      return .unprepared(assignment(), container: text(), reason: text(), message: text(), leaseEnd: end)
    case 4: return .stop(number(), graceMilliseconds: number())
    case 5: return .thaw(number())
    case 6: return .acknowledge(many { $0.number() })
    case 7: return .shorten(leaseEnd: end, number: number())
    default: return .shutDown(graceMilliseconds: number())
    }
  }

  mutating func keeperReply() -> KeeperReply {
    switch random.below(6) {
    case 4:
      .events(many { PodFact(attempt: $0.number(), container: $0.text(), reason: $0.text(), message: $0.text()) })
    case 0: .reports(many { $0.report() })
    case 2: .concern(text())
    case 3: .proven(ProvenAttempt(attempt: number(), proof: text()))
    case 1: .shortened(number: number(), settleMilliseconds: number())
    default:
      .hello(
        keeper: text(), directory: text(), sweptKeepers: many { $0.text() }, highestAttempt: number(),
        fencesFully: flag(), fencingDetail: text())
    }
  }
}

@Suite struct MessageTests {
  @Test("every message equals itself after its JSON", arguments: 1...300 as ClosedRange<UInt64>)
  func roundTrip(seed: UInt64) throws {
    var generator = MessageGenerator(random: SplitMix64(seed: seed))
    func text(_ json: JSON) throws -> JSON { try JSON(parsing: json.text) }
    let agent = generator.agentMessage()
    #expect(try AgentMessage(json: text(agent.json)) == agent)
    let coordinator = generator.coordinatorMessage()
    #expect(try CoordinatorMessage(json: text(coordinator.json)) == coordinator)
    let request = generator.keeperRequest()
    #expect(try KeeperRequest(json: text(request.json)) == request)
    let reply = generator.keeperReply()
    #expect(try KeeperReply(json: text(reply.json)) == reply)
  }

  @Test("pods of one message whose specs are alike share one, those whose specs differ do not")
  func sharedSpecs() throws {
    var generator = MessageGenerator(random: SplitMix64(seed: 7))
    let first = generator.assignment()
    var second = first
    second.attempt = 2
    second.spec = PodSpec(json: first.spec.json)
    var third = first
    third.spec = PodSpec(json: ["restartPolicy": "OnFailure", "containers": [["name": "other"]]])
    let sent = [first, second, third, second]
    guard case .assignments(let read) = try CoordinatorMessage(json: CoordinatorMessage.assignments(sent).json) else {
      Issue.record("another message")
      return
    }
    #expect(read == sent)
    #expect(read[0].spec === read[1].spec && read[1].spec !== read[2].spec && read[2].spec !== read[3].spec)
  }

  @Test("an unknown member is ignored, an unknown type is an error that names it")
  func unknown() throws {
    var json = AgentMessage.fetch([1]).json
    json["later"] = ["x": 1]
    #expect(try AgentMessage(json: json) == .fetch([1]))
    let strange: JSON = ["type": "dance"]
    #expect(throws: MessageError("unknown agent message type \"dance\"")) { try AgentMessage(json: strange) }
    #expect(throws: MessageError("unknown coordinator message type \"dance\"")) {
      try CoordinatorMessage(json: strange)
    }
    #expect(throws: MessageError.self) { try KeeperRequest(json: strange) }
    #expect(throws: MessageError.self) { try KeeperReply(json: strange) }
  }

  @Test("errors name message, member and type")
  func errors() throws {
    #expect(throws: MessageError("agent message: expected object, got array")) { try AgentMessage(json: []) }
    #expect(throws: MessageError("agent message.type: missing")) { try AgentMessage(json: [:]) }
    #expect(throws: MessageError("fetch.attempts[1]: expected whole number, got string")) {
      try AgentMessage(json: ["type": "fetch", "attempts": [1, "x"]])
    }
    #expect(throws: MessageError("stop.attempt: expected whole number, got bool")) {
      try KeeperRequest(json: ["type": "stop", "attempt": true, "graceMilliseconds": 0])
    }
    #expect(throws: MessageError("reports.reports[0].status.phase: expected a pod phase")) {
      try KeeperReply(json: ["type": "reports", "reports": [["attempt": 1, "revision": 1, "status": [:]]]])
    }
  }

  @Test(
    "taking any member out of a message, or changing its type, is an error or a default, never a trap",
    arguments: 1...120 as ClosedRange<UInt64>)
  func mutations(seed: UInt64) throws {
    var generator = MessageGenerator(random: SplitMix64(seed: seed))
    for json in [
      generator.agentMessage().json, generator.coordinatorMessage().json, generator.keeperRequest().json,
      generator.keeperReply().json,
    ] {
      for key in json.objectValue?.keys ?? [] {
        for value in [nil, JSON.null, .bool(true), .int(-1), .string("x"), .array([.null]), .object(["a": 1])] {
          var broken = json
          broken[key] = value
          _ = try? AgentMessage(json: broken)
          _ = try? CoordinatorMessage(json: broken)
          _ = try? KeeperRequest(json: broken)
          _ = try? KeeperReply(json: broken)
        }
      }
      var untyped = json
      untyped["type"] = nil
      #expect(throws: MessageError.self) { try AgentMessage(json: untyped) }
    }
  }
}
