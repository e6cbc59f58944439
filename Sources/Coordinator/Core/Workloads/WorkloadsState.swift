// What the workload controllers (Job, garbage collector, TTL, pod GC, namespaces) remember between turns, and their
// hooks into the turn. Everything here derives from the store's rows; nothing is a second truth. Knows nothing of
// sessions, leases or verbs.

import ClusterProto

/// Names of the controllers' timers.
enum WorkloadTimer: Hashable, Comparable, Sendable {
  /// A Job's recreation backoff or active deadline, by Job uid.
  case job(String)
  /// A finished Job's TTL, by Job uid.
  case expiry(String)
  /// The quarantine of a node that is gone, by node name: its pods are collected after it.
  case missingNode(String)
  /// The end of the time in which a pod must have started, by pod uid.
  case start(String)
  /// The next word about a namespace that is being deleted, by its name.
  case namespace(String)
  /// The oldest event's end.
  case events
}

struct WorkloadsState: Sendable {
  /// Pods of each Job, by Job uid, kept with every pod change: no sync scans a Job's pods.
  var tallies: [String: JobTally] = [:]
  /// What the API does not show of a Job, by Job uid.
  var memories: [String: JobMemory] = [:]
  /// Pods of all Jobs that are active and have no attempt.
  var unplaced = 0
  /// Jobs that want more pods than may exist without a node.
  var heldBack = InsertionSet<ObjectKey>()
  /// Gangs of which no pod exists until fewer wait.
  var heldGangs = InsertionSet<ObjectKey>()
  /// The disk is nearly full: no Job gets a new pod.
  var isDiskScarce = false
  var budgets = BudgetState()
  var quotas = QuotaState()
  /// Jobs that are tried because a quota has more room: the next one follows unless they are refused again.
  var quotaRetries = InsertionSet<ObjectKey>()
  /// The LimitRanges of each namespace that has some; and how often there were others.
  var limits: [String: NamespaceLimits] = [:]
  var limitsVersion = 0
  /// What pods without a class get.
  var defaultPriority = PodPriority()
  var waiters = DependencyIndex()
  var queues = JobQueues()
  /// Jobs whose pods are refused, by namespace: account or class is not there, or quotas and limits forbid them.
  var refused: [String: InsertionSet<ObjectKey>] = [:]
  /// Jobs that choose their own selector, by namespace: they may adopt pods.
  var manualJobs: [String: ManualJobs] = [:]
  /// Pods that no controller has, by namespace.
  var orphans: [String: InsertionSet<ObjectKey>] = [:]
  /// What is in each namespace that is not empty.
  var contents: [String: NamespaceContents] = [:]
  /// Namespaces that are being deleted.
  var endingNamespaces = InsertionSet<String>()
  /// Pods that ended, by their creation, for the pod collector.
  var terminated = TimerQueue<ObjectKey>()
  var terminatedCount = 0

  var jobs = WorkQueue<ObjectKey>()
  var crons = WorkQueue<ObjectKey>()
  /// When CronJobs are due, in milliseconds of the wall clock.
  var cronTimes = TimerQueue<ObjectKey>()
  /// CronJobs whose run waits for room on the disk.
  var heldCrons = InsertionSet<ObjectKey>()
  /// How often in a row the creation of a CronJob's run was refused, by uid.
  var cronFailures: [String: Int64] = [:]
  /// CronJobs of which it was told that their last due time lies in the future.
  var cronsAhead: Set<ObjectKey> = []
  /// Zones that were asked for, read.
  var zones: [String: ZoneTable] = [:]
  /// The next look at the wall clock while CronJobs wait.
  var cronLook = BootTime(milliseconds: 0)
  /// Pods and indexes that the Job controller has looked at; for tests of its cost.
  var looked = 0
  /// The Job whose sync writes its status now: any other change of a status is a client's.
  var synced: ObjectKey?
  /// Objects marked for deletion whose finalizers are gone.
  var removals = WorkQueue<ObjectReference>()
  /// Objects whose owners or dependents want a look from the garbage collector.
  var garbage = WorkQueue<ObjectReference>()
  /// Owners, by uid, whose dependents want one: each with how many are still to be looked at.
  var followed = WorkQueue<String>()
  var unfollowed: [String: Int] = [:]
  /// Pods with the tracking finalizer and no Job to take it away.
  var strays = WorkQueue<ObjectKey>()
  /// Pods whose labels may have changed hands.
  var adoptions = WorkQueue<ObjectKey>()
  /// Finished Jobs whose TTL is over, by uid, and pods of nodes that are gone.
  var expired = WorkQueue<String>()
  var abandoned = WorkQueue<ObjectKey>()
  /// Pods whose time to start is over, by uid.
  var lateStarts = WorkQueue<String>()
  /// Pods that are being deleted and never had a node.
  var unscheduled = WorkQueue<ObjectKey>()
  /// Contents of namespaces that are being deleted: what came late, and what was there.
  var doomed = WorkQueue<ObjectReference>()
  var dooms: [(kind: Kind, keys: ArraySlice<ObjectKey>)] = []
  var emptyNamespaces = WorkQueue<String>()
  /// Namespaces that may lack something of what every namespace has.
  var unfurnished = WorkQueue<String>()
  /// Where the Kubernetes API is served; nil: nowhere, or not yet.
  var apiEndpoint: APIEndpoint?
  var timers = TimerQueue<WorkloadTimer>()
  var events = EventIndex()
}

extension CoordinatorCore {
  /// Called for every object change, also for each row at start (then nothing may be written or sent).
  mutating func workloadsObserve(_ change: ObjectChange) {
    guard let subject = change.subject else { return }
    countContents(change, of: subject)
    countForQuotas(change)
    observeFurniture(change, of: subject)
    switch subject {
    case .pod:
      observePod(change)
      observeUnscheduled(change)
      observeStart(change)
      countForBudgets(change)
    case .job:
      observeQueueing(change)
      observeDependencies(change)
      observeJob(change)
      observeRun(change)
    case .node: observeNode(change)
    case .other(let other):
      observeBudget(change)
      observeQuota(change)
      observeLimitRange(change)
      observePriorityClass(change)
      if other.kind == .events { observeEvent(change) }
      if other.kind == .queues { observeQueue(change) }
      if other.kind == .cronjobs { observeCronJob(change) }
      if other.kind == .namespaces {
        observeNamespace(change)
        observePodSecurity(change)
      }
      if other.kind == .serviceaccounts, change.before == nil { refusalMayBeOver(in: other.meta.namespace) }
    }
    observeOwnership(change)
    if let meta = change.after?.meta, meta.deletionTimestamp != nil, meta.finalizers.isEmpty,
      subject.kind != .namespaces
    {
      workloads.removals.add(subject.reference)
    }
  }

  mutating func restoreWorkloadsAfterRows() {
    findGarbageAfterRows()
    findMissingNodes()
  }

  mutating func beginWorkloads() {
    for name in Self.standardNamespaces { workloads.unfurnished.add(name) }
    beginPriorities()
  }

  /// Runs due work on at most `limit` objects; returns how many it touched.
  mutating func runWorkloads(limit: Int) -> Int {
    var budget = limit
    while budget > 0 {
      let before = budget
      wakeHeldGang()
      budget -= syncBudgets(limit: budget)
      budget -= syncQuotas(limit: budget)
      budget -= retryInQuotas(limit: budget)
      budget -= removeDeleted(limit: budget)
      // Adopted first: what is not counted yet keeps its finalizer.
      budget -= adoptPods(limit: budget)
      budget -= stripStrays(limit: budget)
      if budget > 0, let key = workloads.jobs.next() { budget -= max(1, syncJob(key, limit: budget)) }
      // When the Jobs are looked at: what ends lets others enter the queue whose room it leaves. A part of the turn is
      // the queues' in any case.
      if workloads.jobs.isEmpty || budget <= limit / 4 { budget -= syncQueues(limit: budget) }
      budget -= syncCronJobs(limit: budget)
      // Much may have to go; the others have their part of the turn.
      budget -= collectGarbage(limit: (budget + 1) / 2)
      budget -= emptyNamespaces(limit: (budget + 1) / 2)
      budget -= furnishNamespaces(limit: budget)
      budget -= collectTerminated(limit: budget)
      budget -= expireJobs(limit: budget)
      budget -= collectAbandoned(limit: budget)
      budget -= endUnscheduled(limit: budget)
      budget -= failLateStarts(limit: budget)
      if budget == before { break }
    }
    writeQueueStatuses()
    return limit - budget
  }

  mutating func fireWorkloadTimers() {
    fireCronTimes()
    while let timer = workloads.timers.popDue(at: now.boot) {
      switch timer {
      case .start(let uid): workloads.lateStarts.add(uid)
      case .job(let uid): if let job = jobReference(uid: uid) { workloads.jobs.add(job) }
      case .expiry(let uid): workloads.expired.add(uid)
      case .missingNode(let name): abandonPods(ofMissingNode: name)
      case .namespace(let name): reportNamespace(name)
      case .events: expireEvents()
      }
    }
  }

  mutating func nextWorkloadTimer() -> BootTime? {
    [workloads.timers.earliest(), nextCronTime()].compactMap { $0 }.min()
  }

  /// The Job with that uid, if it is there.
  func jobReference(uid: String) -> ObjectKey? {
    guard let reference = state.references[uid], reference.kind == .jobs else { return nil }
    return reference.key
  }

  /// Now in whole seconds, as the API and the store keep times: what memory holds is what a restart reads.
  var stamp: WallTime { WallTime(nanoseconds: now.wall.seconds * 1_000_000_000) }

  /// Seconds of a manifest in milliseconds, clamped instead of trapping.
  static func milliseconds(seconds: Int64) -> Int64 { max(0, min(seconds, 1_000_000_000_000)) * 1000 }
}
