// What coordinator and agents say to each other after the hello (docs/protocol.md). Pure data; encoding lives in
// AgentMessages+JSON.swift. Numbers that must never be confused: `sequence` counts an agent's heartbeats within a
// session, `number` counts the coordinator's answers within a session, an attempt's number is also its fencing token.

/// One assignment of one pod; rises with every assignment, never reused; also the pod's fencing token.
package typealias AttemptNumber = Int64

/// What the coordinator wants of an attempt on a node.
package enum DesiredAction: Equatable, Hashable, Sendable {
  /// Keep it running; thaw it when it was frozen.
  case run
  /// SIGTERM, then SIGKILL after the grace (milliseconds; 0: at once).
  case stop(graceMilliseconds: Int64)
}

/// One line of a node's desired set.
package struct DesiredAttempt: Equatable, Hashable, Sendable {
  /// Number of the attempt.
  package var attempt: AttemptNumber
  /// What the node shall do with it.
  package var action: DesiredAction

  /// Takes each value as it stands.
  package init(attempt: AttemptNumber, action: DesiredAction) {
    self.attempt = attempt
    self.action = action
  }
}

/// An attempt with the coordinator's proof that it gave it out (C4), as the assignment had it.
package struct ProvenAttempt: Equatable, Sendable {
  /// Number of the attempt.
  package var attempt: AttemptNumber
  /// Nobody but the cluster's coordinators can make it.
  package var proof: String

  /// Takes each value as it stands.
  package init(attempt: AttemptNumber, proof: String) {
    self.attempt = attempt
    self.proof = proof
  }
}

/// Everything that a node needs to run an attempt. `keeper` and `session` as rule K1 says.
package struct Assignment: Equatable, Sendable {
  /// Number of the attempt.
  package var attempt: AttemptNumber
  /// The keeper that it is addressed to (K1).
  package var keeper: String
  /// The session that it was assigned in (K1).
  package var session: String
  /// Namespace of the pod.
  package var namespace: String
  /// Name of the pod.
  package var podName: String
  /// uid of the pod.
  package var podUID: String
  /// Labels: the pod's, or those that the node is registered with.
  package var labels: StringMap
  /// The pod's annotations.
  package var annotations: StringMap
  /// The pod's spec.
  package var spec: PodSpec
  /// The pod's own host name; nil: what the spec says.
  package var hostname: String?
  /// The ConfigMaps (and Secrets) that the spec names, by `configmaps/NAME` or `secrets/NAME`: name → {data,
  /// binaryData}. A missing optional one is absent.
  package var references: JSONObject
  /// Milliseconds that the pod tolerates an unreachable node (K3); nil: without limit.
  package var tolerationMilliseconds: Int64?
  /// The tokens of its volumes.
  package var tokens: [PodToken]
  /// Where its programs find the Kubernetes API; nil: it is not served.
  package var api: APIAddress?
  /// That this attempt was given out (`ProvenAttempt`); empty: of a coordinator that makes none.
  package var proof: String

  /// Takes each value as it stands.
  package init(
    attempt: AttemptNumber, keeper: String, session: String, namespace: String, podName: String, podUID: String,
    labels: StringMap, annotations: StringMap, spec: PodSpec, hostname: String? = nil, references: JSONObject,
    tolerationMilliseconds: Int64?, tokens: [PodToken] = [], api: APIAddress? = nil, proof: String = ""
  ) {
    self.attempt = attempt
    self.keeper = keeper
    self.session = session
    self.namespace = namespace
    self.podName = podName
    self.podUID = podUID
    self.labels = labels
    self.annotations = annotations
    self.spec = spec
    self.hostname = hostname
    self.references = references
    self.tolerationMilliseconds = tolerationMilliseconds
    self.tokens = tokens
    self.api = api
    self.proof = proof
  }
}

/// What a keeper says of one attempt. Reports of an attempt carry a rising `revision`; an older one never overwrites
/// a newer one.
package struct AttemptReport: Equatable, Sendable {
  /// Number of the attempt.
  package var attempt: AttemptNumber
  /// Rises with each change of the attempt's status at its keeper.
  package var revision: Int64
  /// Phase, reason, message, conditions (without PodScheduled), startTime and container statuses as the node sees
  /// them. Terminal phase: the attempt is proven dead.
  package var status: PodStatus
  /// The keeper holds it frozen (K3).
  package var frozen: Bool

  /// Takes each value as it stands.
  package init(attempt: AttemptNumber, revision: Int64, status: PodStatus, frozen: Bool = false) {
    self.attempt = attempt
    self.revision = revision
    self.status = status
    self.frozen = frozen
  }

  /// No process of the attempt is left and none will start.
  package var isTerminal: Bool { status.phase.isTerminal }
}

/// One line of a node's inventory: the latest report's revision and state of each attempt that the keeper holds.
package struct InventoryEntry: Equatable, Hashable, Sendable {
  /// Number of the attempt.
  package var attempt: AttemptNumber
  /// Rises with each change of the attempt's status at its keeper.
  package var revision: Int64
  /// Whether the attempt has ended for good.
  package var terminal: Bool
  /// Whether it stands frozen past its deadline.
  package var frozen: Bool

  /// Takes each value as it stands.
  package init(attempt: AttemptNumber, revision: Int64, terminal: Bool, frozen: Bool) {
    self.attempt = attempt
    self.revision = revision
    self.terminal = terminal
    self.frozen = frozen
  }
}

extension SetDigest {
  /// The digest of these lines.
  package init(_ entries: [DesiredAttempt]) {
    self.init()
    for entry in entries { insert(entry) }
  }

  /// The digest of these lines.
  package init(_ entries: [InventoryEntry]) {
    self.init()
    for entry in entries { insert(entry) }
  }

  /// Takes a line of a desired set in.
  package mutating func insert(_ entry: DesiredAttempt) { insert(Self.member(entry)) }
  /// Takes a line of a desired set out.
  package mutating func remove(_ entry: DesiredAttempt) { remove(Self.member(entry)) }
  /// Takes a line of an inventory in.
  package mutating func insert(_ entry: InventoryEntry) { insert(Self.member(entry)) }
  /// Takes a line of an inventory out.
  package mutating func remove(_ entry: InventoryEntry) { remove(Self.member(entry)) }

  private static func member(_ entry: DesiredAttempt) -> [UInt8] {
    switch entry.action {
    case .run: member(UInt8(ascii: "r"), entry.attempt, 0)
    case .stop(let grace): member(UInt8(ascii: "s"), entry.attempt, grace)
    }
  }

  private static func member(_ entry: InventoryEntry) -> [UInt8] {
    let flags: UInt8 = (entry.terminal ? 1 : 0) | (entry.frozen ? 2 : 0)
    return member(UInt8(ascii: "0") + flags, entry.attempt, entry.revision)
  }

  /// Kind and both numbers, each at its place: 17 bytes.
  private static func member(_ kind: UInt8, _ first: Int64, _ second: Int64) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(17)
    bytes.append(kind)
    for number in [first, second] {
      for shift in stride(from: Int64(56), through: 0, by: -8) {
        bytes.append(UInt8(truncatingIfNeeded: number >> shift))
      }
    }
    return bytes
  }
}

/// First message of an agent session after the hello. What of it proves what is in docs/failure-model.md, "Evidence".
package struct Registration: Equatable, Sendable {
  /// The node's name.
  package var node: String
  /// The machine's id: a claim, which an image shares.
  package var machineID: String
  /// The kernel's boot id.
  package var bootID: String
  /// What the hardware itself says that it is (DMI product uuid); empty where it cannot be read.
  package var hardwareID: String
  /// The mark of the keeper's data directory, which no copy of it keeps (`KeeperRegister`); empty: it has none.
  package var directory: String
  /// How long the machine's kernel has run when this is sent; nil: not said.
  package var uptimeMilliseconds: Int64?
  /// The running keeper: random, new at each keeper start.
  package var keeper: String
  /// Keepers of this very data directory on this very kernel before it, whose pods it has proven dead (verified sweep).
  package var sweptKeepers: [String]
  /// What the node offers.
  package var capacity: NodeCapacity
  /// Labels: the pod's, or those that the node is registered with.
  package var labels: StringMap
  /// The address that the node is shown with.
  package var address: String
  /// status.nodeInfo.
  package var info: JSON
  /// Node conditions that the agent itself reports, for example that it cannot fence fully: type → (status, reason,
  /// message).
  package var conditions: [Condition]
  /// False when neither namespaces nor cgroups are there: outside promise 1.
  package var fencesFully: Bool
  /// C4: the highest that this node has ever seen.
  package var highestIncarnation: Int64
  /// The mark of that start, as `registered` brought it; empty: not known.
  package var incarnationMark: String
  /// The cluster whose numbers these are; empty: of an agent that did not write it down.
  package var rememberedCluster: String
  /// The highest attempt number that the node has seen (C4).
  package var highestAttempt: AttemptNumber
  /// The highest one that came with a proof; nil: none did.
  package var provenAttempt: ProvenAttempt?
  /// What of the machine is kept from pods; `capacity` is without it.
  package var reserved: NodeReserve?

  /// Takes each value as it stands.
  package init(
    node: String, machineID: String, bootID: String, keeper: String, sweptKeepers: [String], capacity: NodeCapacity,
    labels: StringMap, address: String, info: JSON, conditions: [Condition], fencesFully: Bool,
    highestIncarnation: Int64, highestAttempt: AttemptNumber, hardwareID: String = "", directory: String = "",
    uptimeMilliseconds: Int64? = nil, incarnationMark: String = "", rememberedCluster: String = "",
    provenAttempt: ProvenAttempt? = nil, reserved: NodeReserve? = nil
  ) {
    self.reserved = reserved
    self.node = node
    self.machineID = machineID
    self.bootID = bootID
    self.hardwareID = hardwareID
    self.directory = directory
    self.uptimeMilliseconds = uptimeMilliseconds
    self.keeper = keeper
    self.sweptKeepers = sweptKeepers
    self.capacity = capacity
    self.labels = labels
    self.address = address
    self.info = info
    self.conditions = conditions
    self.fencesFully = fencesFully
    self.highestIncarnation = highestIncarnation
    self.incarnationMark = incarnationMark
    self.rememberedCluster = rememberedCluster
    self.highestAttempt = highestAttempt
    self.provenAttempt = provenAttempt
  }
}

/// Sent every heartbeat interval, and at once when the agent wants a full answer.
package struct Heartbeat: Equatable, Sendable {
  /// Rises with each heartbeat of a session; answers echo it (K2).
  package var sequence: Int64
  /// Number of the last answer seen in this session; 0: none yet.
  package var echo: Int64
  /// Digest of the desired set that the agent holds; the coordinator sends the whole set when it differs from its own.
  package var desiredDigest: SetDigest
  /// Digest of what the keeper holds.
  package var inventoryDigest: SetDigest
  /// The whole inventory: on connect, when asked for, and every 30 s.
  package var inventory: [InventoryEntry]?
  /// For how long the disk of the agent's data directory has not answered, once that is too long; nil: it answers.
  package var diskStalledMilliseconds: Int64?
  /// What the node has too little of for more pods, or had not long ago.
  package var pressures: Set<NodePressure>
  /// Why no pod goes for what the node is short of, in words for people, where that is so.
  package var spared: [NodePressure: String] = [:]
  /// What of ended pods could not be removed from the node, in words for people; nil: nothing is left.
  package var remains: String?
  /// C2: nothing on the node holds a later lease end than this session's answers gave, once so much time has passed
  /// since this was sent; nil: longer ones of earlier sessions may hold.
  package var leasesSettleMilliseconds: Int64?

  /// Takes each value as it stands.
  package init(
    sequence: Int64, echo: Int64, desiredDigest: SetDigest, inventoryDigest: SetDigest,
    inventory: [InventoryEntry]? = nil, diskStalledMilliseconds: Int64? = nil, pressures: Set<NodePressure> = [],
    leasesSettleMilliseconds: Int64? = nil
  ) {
    self.sequence = sequence
    self.echo = echo
    self.desiredDigest = desiredDigest
    self.inventoryDigest = inventoryDigest
    self.inventory = inventory
    self.diskStalledMilliseconds = diskStalledMilliseconds
    self.pressures = pressures
    self.leasesSettleMilliseconds = leasesSettleMilliseconds
  }
}

/// Why a volume's directory is still there.
package struct VolumeProblem: Equatable, Sendable {
  /// The volume's name.
  package var volume: String
  /// What stands in the way, for people.
  package var message: String

  /// Takes each value as it stands.
  package init(volume: String, message: String) {
    self.volume = volume
    self.message = message
  }

  init(json: JSON, _ message: String) throws(MessageError) {
    let reader = try MessageReader(json, message)
    volume = try reader.string("volume")
    self.message = try reader.string("message")
  }

  var json: JSON { ["volume": .string(volume), "message": .string(message)] }
}

/// Agent → coordinator.
package enum AgentMessage: Equatable, Sendable {
  case register(Registration)
  case heartbeat(Heartbeat)
  /// Level-triggered status; terminal ones are repeated until acknowledged.
  case reports([AttemptReport])
  /// Asks for the bodies of desired attempts that the agent does not hold.
  case fetch([AttemptNumber])
  /// Attempts whose logs the agent keeps, in pages, after registering; the coordinator answers `purge` for those
  /// whose pod is gone.
  case retained([AttemptNumber])
  /// Asks for fresh tokens of attempts that run here; the coordinator answers `tokens`.
  case tokens([AttemptNumber])
  /// What happened to pods, for people; of a node that runs images. What is lost is lost.
  case events([PodFact])
  /// The images of a node that runs them, the largest ones; replaces what was said before.
  case images([NodeImage])
  /// What pods and node use, while `measure` asks for it.
  case usage(UsageReport)
  /// Volumes of `removeVolumes` that are not here any more, and those that could not be removed.
  case volumesRemoved([String], failed: [VolumeProblem])
}

/// The answer to a heartbeat, or a push between heartbeats (then `sequence` is the last heartbeat's again).
package struct Answer: Equatable, Sendable {
  /// Rises with each answer of the session, from 1.
  package var number: Int64
  /// The heartbeat that this answers; the lease counts from its sending (K2).
  package var sequence: Int64
  /// How long the lease lasts from the sending of the echoed heartbeat, in ms (K2).
  package var leaseMilliseconds: Int64
  /// Digest of the whole desired set after `changes` or `full` were applied.
  package var desiredDigest: SetDigest
  /// Entries to add or replace; with `removed`, the change since the last answer. Ignored when `full` is there.
  package var changes: [DesiredAttempt]
  /// Attempts whose logs and volumes may go.
  package var removed: [AttemptNumber]
  /// The whole desired set: on connect and on a digest mismatch.
  package var full: [DesiredAttempt]?
  /// Terminal reports that are durable at the coordinator: agent and keeper may forget them.
  package var acknowledged: [AttemptNumber]
  /// The coordinator's view of the inventory differs: send the whole one, and every report.
  package var wantsInventory: Bool
  /// Bodies of newly assigned attempts, in the push that makes them desired.
  package var assignments: [Assignment]
  /// Attempts whose pods have got more containers: their bodies, to be asked for, have those. With `full`, all that
  /// have any. An agent of an older version does not read it.
  package var grown: [AttemptNumber]

  /// Takes each value as it stands.
  package init(
    number: Int64, sequence: Int64, leaseMilliseconds: Int64, desiredDigest: SetDigest, changes: [DesiredAttempt] = [],
    removed: [AttemptNumber] = [], full: [DesiredAttempt]? = nil, acknowledged: [AttemptNumber] = [],
    wantsInventory: Bool = false, assignments: [Assignment] = [], grown: [AttemptNumber] = []
  ) {
    self.grown = grown
    self.number = number
    self.sequence = sequence
    self.leaseMilliseconds = leaseMilliseconds
    self.desiredDigest = desiredDigest
    self.changes = changes
    self.removed = removed
    self.full = full
    self.acknowledged = acknowledged
    self.wantsInventory = wantsInventory
    self.assignments = assignments
  }
}

/// A request for a container's log, answered on a connection of its own that the agent opens with `stream` in its
/// hello.
package struct LogRequest: Equatable, Sendable {
  /// Name of the log stream that the request opens.
  package var stream: String
  /// Number of the attempt.
  package var attempt: AttemptNumber
  /// Whose log it is.
  package var container: String
  /// Goes on while the container runs.
  package var follow: Bool
  /// Of the run before the last restart.
  package var previous: Bool
  /// At most so many lines from the end; nil: all.
  package var tailLines: Int64?
  /// What is younger than so many seconds; nil: all.
  package var sinceSeconds: Int64?
  /// What is younger than this time; nil: all.
  package var sinceTime: WallTime?
  /// Each line begins with its time.
  package var timestamps: Bool
  /// At most so many bytes; nil: all.
  package var limitBytes: Int64?

  /// Takes each value as it stands.
  package init(
    stream: String, attempt: AttemptNumber, container: String, follow: Bool = false, previous: Bool = false,
    tailLines: Int64? = nil, sinceSeconds: Int64? = nil, sinceTime: WallTime? = nil, timestamps: Bool = false,
    limitBytes: Int64? = nil
  ) {
    self.stream = stream
    self.attempt = attempt
    self.container = container
    self.follow = follow
    self.previous = previous
    self.tailLines = tailLines
    self.sinceSeconds = sinceSeconds
    self.sinceTime = sinceTime
    self.timestamps = timestamps
    self.limitBytes = limitBytes
  }
}

/// Coordinator → agent.
package enum CoordinatorMessage: Equatable, Sendable {
  /// `mark`: of this start of the coordinator, random and with a proof; empty: it is of a version that has none (C4).
  case registered(
    session: String, incarnation: Int64, heartbeatMilliseconds: Int64, leaseMilliseconds: Int64, mark: String = "")
  /// The session will not be; `retryMilliseconds` nil: do not come back with this identity.
  case refused(reason: String, retryMilliseconds: Int64?)
  case answer(Answer)
  case assignments([Assignment])
  /// Tell what pods and node use, from now on for so long. Only to an agent that has said what limits it enforces.
  case measure(milliseconds: Int64)
  /// Fresh tokens, as they were asked for.
  case tokens([AttemptTokens])
  case logs(LogRequest)
  /// Open a stream into a pod on a connection of its own.
  case stream(PodStreamRequest)
  /// The directories of these volumes have to go; no attempt uses them.
  case removeVolumes([String])
  /// The pods of these attempts are gone: delete their logs.
  case purge([AttemptNumber])
}
