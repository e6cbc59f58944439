// What the coordinator knows of nodes beyond the API objects: attempts, node records, sessions, pods that wait for
// a node. Data and its indexes only; what they mean is told beside the rules (Attempts, Fencing, NodeMonitor,
// Sessions, Scheduler).

import ClusterProto

/// One assignment of one pod that is not proven dead. Its row outlives pod, Job, node and namespace.
struct Attempt: Equatable, Sendable {
  var number: AttemptNumber
  var pod: ObjectKey
  var podUID: String
  /// nil: no Job controls the pod.
  var slot: Slot?
  var node: String
  /// K1: who may start it, and the session that it was assigned in.
  var keeper: String
  var session: SessionID
  /// Fixed with the attempt, so that the maximum of all tolerations ever sent for it is this one (C1); nil: without
  /// limit.
  var tolerationMilliseconds: Int64?
  var action: DesiredAction
  var cpuMillicores: Int64
  var memoryBytes: Int64
  var resources: [ResourceAmount] = []
  /// Its pod's.
  var priority: Int64 = 0
  /// Names of the claims that it may use, in its pod's namespace.
  var claims: [String] = []
}

/// What reports have said of an attempt; forgotten at a restart, and told again by the keeper.
struct AttemptView: Equatable, Sendable {
  var revision: Int64 = -1
  var frozen = false
}

/// Who holds a node name, as its registration said. Persisted; a successor is held against it (Succession).
struct NodeHolder: Equatable, Sendable {
  var keeper: String
  var machineID: String
  var bootID: String
  /// Empty: not known.
  var hardwareID: String
  var directory: String
}

/// What is known of a node name. `holder` is persisted.
struct NodeRecord: Sendable {
  var holder: NodeHolder
  /// False: it says of itself that no pod can be started there, so that none would be fenced. Persisted.
  var fencesFully: Bool

  var session: SessionID?
  /// Heartbeats come.
  var isReachable = false
  /// When it was marked unreachable; nil while it is reachable or not yet judged.
  var lostAt: BootTime?
  /// A person said that the machine is off for good (v); until it registers again. Persisted.
  var isDeclaredDead = false
  /// C6: its losses need not wait for the brake any more.
  var isReleased = false
  var lastHeartbeat: BootTime
  /// When it was last heard in this incarnation; nil: never.
  var heardAt: BootTime?
  /// The latest boot time that any lease given out on any session of this node can reach (C1): the maximum over the
  /// answers of time of sending + 1.05 × lease. A push between heartbeats echoes the last heartbeat and renews no
  /// further than from that (K2), so it counts from then. Later, shorter leases never lower it, only the keeper's
  /// word that it holds nothing longer (`settleLeases`).
  var leaseReach: BootTime
  /// C2: the lease of a polite stop, where an answer to this node may have carried it; durable before that answer is
  /// sent, and until no keeper can hold it any more. 0: none. Persisted.
  var longLease: Int64 = 0
  var conditionsWrittenAt: BootTime
  /// As its last heartbeat said; nil: none came yet.
  var isDiskStalled: Bool?
  /// The same: what it is short of.
  var pressures: Set<NodePressure>?
  /// And why no pod goes for that.
  var spared: [NodePressure: String] = [:]
  /// The same: what of ended pods is still there.
  var remains: String??

  var attempts = InsertionSet<AttemptNumber>()
  /// Digest of the desired set: the attempts addressed to the holder's keeper.
  var desiredDigest = SetDigest()
  /// Sum over `attempts`.
  var usage = NodeUsage()
  var attemptsOfJob: [String: Int] = [:]

  var keeper: String { holder.keeper }
  /// The node may be given work, if its taints allow it.
  var takesPods: Bool { isReachable && session != nil && fencesFully }
}

/// What a node's attempts ask for together. Wider than one amount: the sum of any number of them is exact, so taking
/// one away again leaves the others.
struct NodeUsage: Equatable, Sendable {
  var cpuMillicores: Int128 = 0
  var memoryBytes: Int128 = 0
  var pods: Int64 = 0
  /// Extended resources of which something is asked.
  var extended: [String: Int128] = [:]

  mutating func add(_ attempt: Attempt, sign: Int64) {
    add(attempt.cpuMillicores, attempt.memoryBytes, attempt.resources, sign: sign)
  }

  /// One pod that asks for so much.
  mutating func add(_ cpu: Int64, _ memory: Int64, _ resources: [ResourceAmount], sign: Int64) {
    cpuMillicores += Int128(sign) * Int128(cpu)
    memoryBytes += Int128(sign) * Int128(memory)
    pods += sign
    for resource in resources {
      let sum = (extended[resource.name] ?? 0) + Int128(sign) * Int128(resource.amount)
      extended[resource.name] = sum == 0 ? nil : sum
    }
  }
}

/// One connection of an agent after the hello.
struct FleetSession: Sendable {
  /// What the agent said of its node, and whether somebody else has written over it since.
  var registration: Registration?
  var factsAreOverwritten = false
  /// Whom the connection's certificate names; nil: no certificate named a node.
  var identity: NodeIdentity?
  /// The node whose agent its certificate says that it is.
  var provenNode: String?
  /// Empty until registered.
  var node = ""
  var keeper = ""
  /// The node's images, as it said last; nil: it has not.
  var images: [NodeImage]?
  /// How many Events it may still cause.
  var allowance = CoordinatorCore.factAllowance
  var openedAt: BootTime
  /// Highest heartbeat taken; 0: none yet.
  var sequence: Int64 = 0
  var lastHeartbeat: Heartbeat?
  /// When it came.
  var heardAt: BootTime
  /// Number of the last answer, and of the last one that had to wait for a commit.
  var number: Int64 = 0
  var orderedNumber: Int64 = 0
  /// As `leaseReach` of its node, of this session's answers alone.
  var reach = BootTime(milliseconds: 0)
  var echo: Int64 = 0
  /// Send times of the answers from `echo` on.
  var sent: [(number: Int64, at: BootTime)] = []
  /// Answers with assignments that were not echoed yet, and the heartbeats since that could have.
  var unacknowledged: [(number: Int64, at: BootTime, heartbeats: Int)] = []
  /// The node's inventory as this session has told it, with its digest.
  var inventory: [AttemptNumber: InventoryEntry] = [:]
  var inventoryDigest = SetDigest()
  /// The first whole inventory has come.
  var hasInventory = false

  // Collected during a turn, sent at its end.
  var answerDue = false
  var fullDue = false
  var inventoryWanted = false
  var changed = InsertionSet<AttemptNumber>()
  /// Attempts whose pods have got more containers.
  var grown = InsertionSet<AttemptNumber>()
  var assigned: [AttemptNumber] = []
  var acknowledged: [AttemptNumber] = []
  var purged: [AttemptNumber] = []
  /// Bodies that the agent asked for.
  var fetches = WorkQueue<AttemptNumber>()
  /// Attempts whose tokens it asked for.
  var tokenWants = WorkQueue<AttemptNumber>()
}

enum FleetTimer: Hashable, Comparable, Sendable {
  /// The node's heartbeat may be overdue.
  case monitor(String)
  /// A new node's agent should have said its first word.
  case firstStatus(String)
  /// The toleration of a NoExecute taint ends.
  case evict(AttemptNumber)
  /// R passes.
  case fence(AttemptNumber)
  /// C6: the next node may go.
  case brake
  /// Leases of the incarnation before have ended: the persisted Lmax may shrink.
  case shrinkLease
  /// What a newer store has started is over (C4).
  case endHold
  /// What waiting pods say is looked at again.
  case explain
  /// Classes that found nobody to take the place of look again.
  case preempt
  /// What failed of volumes is tried again.
  case storage
  /// Certificates of the authority that is being left may have ended, or it may be dropped now.
  case exchange
  /// Who waits for news of that is told.
  case exchangeNews
  /// A heartbeat's time has passed: see OwnPauses.
  case pulse
}

/// C6: many nodes went at once; their losses wait.
struct MassLossBrake: Sendable {
  var engagedAt: BootTime
  /// Those that went at once, or since, and are neither back nor let go.
  var nodes: InsertionSet<String>
  /// Enough of them came back: the others have until the timer to do so too.
  var isEnding = false
}

struct FleetState: Sendable {
  var attempts: [AttemptNumber: Attempt] = [:]
  var views: [AttemptNumber: AttemptView] = [:]
  var attemptOfPod: [String: AttemptNumber] = [:]
  var attemptsOfJob: [String: Int] = [:]
  /// The same for each index of Jobs that have some.
  var attemptsOfIndex: [Slot: Int] = [:]
  /// Highest attempt number ever given out, and as the store has it.
  var lastAttempt: AttemptNumber = 0
  var persistedAttempt: AttemptNumber = 0
  /// Tokens of the pods that exist: logs of others may go.
  var tokens: Set<AttemptNumber> = []

  var nodes: [String: NodeRecord] = [:]
  var sessions: [SessionID: FleetSession] = [:]
  /// The longest lease that may be in use on every node, durable before it is used (C2). Milliseconds.
  var longestLease: Int64 = 0
  /// The lease that answers carry now, but those of a polite stop.
  var lease: Int64 = 0
  /// C4: for how long pods of a newer store may run after the start, persisted, and until when. 0: none may.
  var holdMilliseconds: Int64 = 0
  var holdUntil: BootTime?
  /// This start opens an epoch, and the last attempt that was given out before the epoch began, persisted.
  var opensEpoch = false
  /// C4: what proves the numbers that were given out; the key is persisted, and new with this start.
  var proofs = NumberProofs()
  var proofKey = ""
  var proofKeyIsNew = false
  var beforeEpoch: AttemptNumber = 0
  var isStopping = false
  var saysStopped = false
  var brake: MassLossBrake?
  var pauses = OwnPauses()
  var standings = NodeStandings()

  var timers = TimerQueue<FleetTimer>()
  var touched = InsertionSet<SessionID>()
  var dirtyAttempts = InsertionSet<AttemptNumber>()
  var dirtyNodes = InsertionSet<String>()

  /// Nodes whose heartbeat may be overdue.
  var overdue = WorkQueue<String>()
  var evictions = WorkQueue<AttemptNumber>()
  var fences = WorkQueue<AttemptNumber>()
  /// Nodes whose taints or cordon have to be looked at.
  var changedNodes = WorkQueue<String>()
  /// Pods that scheduling gates hold back and that do not say so yet.
  var gatedPods = WorkQueue<ObjectKey>()
  /// Pods of lost nodes whose Ready has to become False.
  var unreadyPods = WorkQueue<ObjectKey>()
  var fetching = WorkQueue<SessionID>()
  /// Sessions that asked for tokens.
  var wantingTokens = WorkQueue<SessionID>()
  var scheduler = SchedulerState()
  var preemption = PreemptionState()
  var topology = PodTopology()
  /// Which nodes run images. Derives from the Nodes' labels.
  var imageNodes = ImageNodes()
  var limitNodes = LimitNodes()
  var usage = FleetUsage()
  var joining = JoiningState()
  /// Where joiners are sent. Not persisted.
  var joinPoint: JoinPoint?
  /// Users' certificates, by the digest of their key.
  var users: [String: UserKey] = [:]
  /// Which authorities there are. Not persisted, but for one fact.
  var exchange = AuthorityExchange()
}

extension CoordinatorCore {
  /// Every object change passes here; also each row at start (then nothing is written or sent).
  mutating func fleetObserve(_ change: ObjectChange) {
    switch (change.before, change.after) {
    case (.pod(let before)?, .pod(let after)?): observePod(before, after)
    case (.pod(let before)?, nil): observePod(before, nil)
    case (nil, .pod(let after)?): observePod(nil, after)
    case (.node(let before)?, .node(let after)?): observeNode(before, after)
    case (nil, .node(let after)?): observeNode(nil, after)
    case (.node(let before)?, nil):
      fleet.imageNodes.note(before.meta.labels, nil)
      fleet.limitNodes.note(before, nil)
      forgetUsage(ofNode: before.meta.name)
      observeTopology(node: before.meta.name, nil)
      freeName(before.meta.name)
      nodeErased(before.meta.name)
    case (.job(let before)?, nil): fleet.scheduler.failedOn[before.meta.uid] = nil
    case (.job(let before)?, .job?): reconsiderGated(before.meta.uid)
    case (_, .other(let after)?) where after.kind == .namespaces:
      observeTopology(namespace: after.meta.name, after.meta.labels)
    case (.other(let before)?, nil) where before.kind == .namespaces:
      observeTopology(namespace: before.meta.name, nil)
    default: break
    }
  }

  private mutating func observePod(_ before: Pod?, _ after: Pod?) {
    if before?.status.fencingToken != after?.status.fencingToken {
      if let token = before?.status.fencingToken { fleet.tokens.remove(token) }
      if let token = after?.status.fencingToken { fleet.tokens.insert(token) }
    }
    if let after { observeQuestions(after) }
    let waited = before.map(Self.waitsForNode) ?? false
    let waits = after.map(Self.waitsForNode) ?? false
    // A waiting pod that changes hands changes its group too.
    let isMoved = waited && waits && before.map { groupKey($0) } != after.map { groupKey($0) }
    if waited, !waits || isMoved, let before { stopWaiting(before) }
    if waits, !waited || isMoved, let after { startWaiting(after) }
    observeNomination(before, after)
    if let before, let after, before.spec.tolerations != after.spec.tolerations,
      let number = fleet.attemptOfPod[after.meta.uid], let attempt = fleet.attempts[number]
    {
      fleet.changedNodes.add(attempt.node)
    }
    if let key = (after ?? before)?.meta.key { observePlacement(key, after) }
    if let after { noteGrowth(before, after) }
    if after == nil, let before { podErased(before) }
    if let after, !after.spec.scheduling.gates.isEmpty, after.status.condition("PodScheduled") == nil {
      fleet.gatedPods.add(after.meta.key)
    }
  }

  private mutating func podErased(_ pod: Pod) {
    // Whoever removed the object, its processes are not wanted any more; what they prove is the keeper's to say.
    stopAttempt(podUID: pod.meta.uid, graceMilliseconds: 0)
    guard let token = pod.status.fencingToken, fleet.attempts[token] == nil, let name = pod.nodeName else { return }
    purgeLogs(of: token, on: name)
  }

  private mutating func observeNode(_ before: Node?, _ after: Node) {
    if before == nil { awaitFirstStatus(after) }
    fleet.limitNodes.note(before, after)
    if before?.taints != after.taints || before?.unschedulable != after.unschedulable {
      fleet.changedNodes.add(after.meta.name)
    }
    let isRelevant =
      before?.taints != after.taints || before?.unschedulable != after.unschedulable
      || before?.meta.labels != after.meta.labels || before?.capacity != after.capacity
      || before?.isReady != after.isReady || before?.pressures != after.pressures
    guard isRelevant else { return }
    fleet.imageNodes.note(before?.meta.labels, after.meta.labels)
    if before?.meta.labels != after.meta.labels { observeTopology(node: after.meta.name, after.meta.labels) }
    nodeOpened(after.meta.name)
    noteNodesChanged()
  }

  /// Runs due work on at most `limit` objects; returns how many it touched.
  mutating func runFleet(limit: Int) -> Int {
    var left = limit
    while left > 0, let name = fleet.overdue.next() {
      left -= 1 + (fleet.nodes[name]?.attempts.count ?? 0) / 8
      monitorNode(name)
    }
    while left > 0, let name = fleet.changedNodes.next() {
      nodeChanged(name)
      left -= 1
    }
    while left > 0, let number = fleet.fences.next() {
      fenceIfDue(number)
      left -= 1
    }
    while left > 0, let number = fleet.evictions.next() {
      evictIfDue(number)
      left -= 1
    }
    while left > 0, let key = fleet.gatedPods.next() {
      markGated(key)
      left -= 1
    }
    while left > 0, let key = fleet.unreadyPods.next() {
      markUnready(key)
      left -= 1
    }
    if left > 0, !isHolding { left -= answerFetches(limit: left) }
    if left > 0 { left -= answerTokenWants(limit: left) }
    // While the store stalls a node would only be told of a pod later, and have no lease until then.
    if left > 0, !fleet.pauses.storeStalls { left -= runScheduler(limit: left) }
    return limit - left
  }

  mutating func fireFleetTimers() {
    while let timer = fleet.timers.popDue(at: now.boot) {
      switch timer {
      case .monitor(let name): fleet.overdue.add(name)
      case .firstStatus(let name): noteNeverPosted(name)
      case .evict(let number): fleet.evictions.add(number)
      case .fence(let number): fleet.fences.add(number)
      case .brake: releaseNextNode()
      case .shrinkLease: shrinkLongestLease()
      case .endHold: endHold()
      case .explain: explainStale()
      case .preempt: lookForVictimsAgain()
      case .storage: retryStorage()
      case .exchange: lookAtExchange()
      case .exchangeNews: tellWaiters()
      case .pulse: break
      }
    }
  }

  mutating func nextFleetTimer() -> BootTime? { fleet.timers.earliest() }
}
