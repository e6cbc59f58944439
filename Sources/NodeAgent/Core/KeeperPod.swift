// One attempt in the keeper: its identity, lease and deadlines, its containers, and how far it has come.
// State and questions about it; what happens next is decided in KeeperLifecycle and KeeperDeadlines.

import ClusterProto

/// An attempt that the keeper holds and that has not ended.
struct KeeperPod {
  enum Stage: Equatable {
    /// Known, but never started: the agent could not prepare it yet.
    case waiting
    /// To be started once the journal says so. No process of it exists.
    case recording
    /// Its init was asked for.
    case starting
    case running
    /// Proven dead; only its terminal report is left to make.
    case gone
  }

  /// K3. A freeze is asked for, holds, or is being taken back.
  enum Freeze: Equatable { case none, freezing(since: BootTime), frozen(since: BootTime), thawing }

  /// Why a pod is on its way out.
  enum EndCause: Equatable {
    /// Its containers are done, or an init container failed for good.
    case finished
    /// The coordinator's word, or the agent's for an attempt that nobody wants.
    case stopped
    case deadlineExceeded
    /// The lease was over: killed at D, or frozen for too long.
    case leaseLost
    case shutDown
    /// It kept more on the node's disk than it may; or it had to go for the node's sake, which is no fault of its own.
    case evicted(message: String, isNodes: Bool)
    /// Its processes went without our doing.
    case vanished
    /// The init could not be made.
    case unstartable(message: String)
  }

  struct Ending: Equatable {
    var cause: EndCause
    /// SIGKILL to everything.
    var killAt: BootTime
    /// What the hooks before its containers' ends have left of the grace may be nothing: so long it goes on then. Never
    /// more than two seconds behind `killAt`, since no hook outlives that.
    var leavesUntil: BootTime?

    var dueAt: BootTime { max(killAt, leavesUntil ?? killAt) }

    init(cause: EndCause, killAt: BootTime) {
      self.cause = cause
      self.killAt = killAt
    }
  }

  let attempt: AttemptNumber
  let namespace: String
  let name: String
  let uid: String
  let killsAtLeaseEnd: Bool
  let tolerationMilliseconds: Int64?
  let restartPolicy: RestartPolicy
  let graceMilliseconds: Int64
  /// Counted from when the keeper first held the attempt, frozen time included, as kubelet counts from startTime.
  let activeDeadline: BootTime?
  let acceptedAt: Now
  let initCount: Int
  /// How many containers it has without those that are added to it.
  let ownCount: Int

  var leaseEnd: BootTime
  var plan: PodPlan?
  /// Its init was asked for, once and for all (K1).
  var hasBegun = false
  var slots: [ContainerSlot]
  var stage = Stage.waiting
  var freeze = Freeze.none
  var ending: Ending?
  /// SIGKILL to everything was asked for; no instruction of it runs after that.
  var killed = false
  /// Every init container is done, every sidecar was up once.
  var initialized = false
  var revision: Int64 = 0
  var reported: AttemptReport?
  var conditions: [Condition] = []
  /// Checks of probes that have neither been answered nor given up.
  var probesUnderWay: Set<CheckNumber> = []
  /// Some probe is due and waits until fewer are under way.
  var awaitsChecks = false
  /// The agent asks again for what was done: report it even when nothing changed.
  var isUnannounced = false

  init(assignment: Assignment, leaseEnd: BootTime, now: Now) {
    let spec = assignment.spec
    attempt = assignment.attempt
    namespace = assignment.namespace
    name = assignment.podName
    uid = assignment.podUID
    killsAtLeaseEnd = assignment.annotations[JobAnnotation.onLeaseEnd] == "kill"
    tolerationMilliseconds = assignment.tolerationMilliseconds.map { max(0, $0) }
    restartPolicy = spec.restartPolicy
    graceMilliseconds = Self.milliseconds(seconds: spec.terminationGracePeriodSeconds)
    activeDeadline = spec.activeDeadlineSeconds.map { now.boot + Self.milliseconds(seconds: $0) }
    acceptedAt = now
    initCount = spec.initContainers.count
    ownCount = spec.initContainers.count + spec.containers.count
    self.leaseEnd = leaseEnd
    slots = Self.slots(of: spec)
  }

  private static func slots(of spec: PodSpec) -> [ContainerSlot] {
    func slots(_ list: String, _ containers: [ContainerSpec], isInit: Bool) -> [ContainerSlot] {
      zip(containers, spec.json[list]?.arrayValue ?? []).map { container, json in
        var slot = ContainerSlot(
          name: container.name, image: container.image, isInit: isInit, isSidecar: isInit && container.isSidecar,
          ownPolicy: json["restartPolicy"]?.stringValue.flatMap { RestartPolicy(rawValue: $0) })
        slot.rules = (json["restartPolicyRules"]?.arrayValue ?? []).compactMap(RestartRule.init)
        return slot
      }
    }
    return slots("initContainers", spec.initContainers, isInit: true)
      + slots("containers", spec.containers, isInit: false)
  }

  /// Takes the plan; false when it does not have the spec's containers.
  mutating func adopt(_ plan: PodPlan) -> Bool {
    let planned = plan.initContainers + plan.containers
    guard planned.count == ownCount, plan.initContainers.count == initCount,
      zip(planned, slots).allSatisfy({ $0.name == $1.name })
    else { return false }
    for position in planned.indices {
      slots[position].container = planned[position]
      slots[position].care.spec = planned[position].care
      slots[position].waiting = nil
    }
    self.plan = plan
    return true
  }

  /// D of K3; nil: an unlimited toleration means never replaced without a person, so nothing has to end.
  var deadline: BootTime? { tolerationMilliseconds.map { leaseEnd + $0 } }

  /// Some process of it may run.
  var mayRun: Bool { stage == .starting || stage == .running }

  /// No process of it was ever asked for.
  var isUnstarted: Bool { stage == .waiting || stage == .recording }

  /// NAME_NAMESPACE(UID), as kubelet's messages name pods.
  var fullName: String { "\(name)_\(namespace)(\(uid))" }

  var mainIndices: Range<Int> { initCount..<ownCount }

  /// The slot of a run that is the latest one; nil: the word is stale.
  func index(of run: ContainerRun) -> Int? {
    guard slots.indices.contains(run.slot), slots[run.slot].restarts == run.restart, slots[run.slot].isAlive else {
      return nil
    }
    return run.slot
  }

  private static func milliseconds(seconds: Int64) -> Int64 {
    max(0, min(seconds, Int64.max / 1000)) * 1000
  }
}
