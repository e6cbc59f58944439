// The keeper core's input and output. The keeper process (NodeAgent/Host) and the simulator both speak only this.
// Effects are done in order and at once; none of them waits for another process or a disk: what does is answered by an
// event.

import ClusterProto

/// One run of one container: `slot` counts the plan's initContainers, then its containers, from 0; `restart` is 0 for
/// the first run.
package struct ContainerRun: Hashable, Sendable {
  /// The attempt.
  package var attempt: AttemptNumber
  /// The container's place in the pod, init containers first.
  package var slot: Int
  /// Which run of the container, from 0.
  package var restart: Int64

  /// Takes each value as it stands; without any, the defaults.
  package init(attempt: AttemptNumber, slot: Int, restart: Int64) {
    self.attempt = attempt
    self.slot = slot
    self.restart = restart
  }
}

/// Why a container's command did not run.
package struct StartFailure: Equatable, Sendable {
  /// What failed on the way to a running command.
  package enum Stage: String, Sendable { case mount, workingDirectory, execute, interpreter, other }

  /// What failed.
  package var stage: Stage
  /// Linux errno; 0 when the failure has none.
  package var errorNumber: Int32
  /// What failed, for people, for example the path that could not be mounted; may be empty for `execute`. For
  /// `interpreter` what a script's first line names; empty: a program's loader.
  package var detail: String

  /// Takes each value as it stands; without any, the defaults.
  package init(stage: Stage, errorNumber: Int32, detail: String) {
    self.stage = stage
    self.errorNumber = errorNumber
    self.detail = detail
  }
}

/// What the shell tells the keeper core.
package enum KeeperEvent: Equatable, Sendable {
  /// An agent has connected; a newer connection replaces an older one.
  case agentConnected
  /// The (newest) agent connection is closed.
  case agentDisconnected
  case request(KeeperRequest)
  /// The pod's init runs, answer to `startPod`.
  case podStarted(AttemptNumber)
  /// `startPod` failed and left no process.
  case podStartFailed(AttemptNumber, message: String)
  case containerStarted(ContainerRun)
  case containerStartFailed(ContainerRun, StartFailure)
  /// The container's first process ended. `signal` 0: it exited by itself. `message`: its termination log, or empty.
  /// `outOfMemory`: the kernel has ended some process of this run, this or another, at a limit of memory.
  case containerExited(ContainerRun, exitCode: Int64, signal: Int64, message: String, outOfMemory: Bool = false)
  /// The pod's init is reaped and its PID namespace empty: every process of the attempt is proven dead. Comes also
  /// unasked.
  case podGone(AttemptNumber)
  /// Answers to `freezePod` and `thawPod`. The first two also come unasked, when the pod's init stopped it at its own
  /// deadline (K4); never for what it did before a `thawPod`.
  case podFrozen(AttemptNumber)
  case freezeFailed(AttemptNumber, message: String)
  case podThawed(AttemptNumber)
  /// Answer to `journal`: its records and all before them are written. `error`: they could not be; they go with the
  /// next ones, and nothing may be done on their strength.
  case journaled(Int64, error: String?)
  /// What the start had left open is settled, or more of it: whose pods are proven dead by now, and what is left.
  case startSettled(sweptKeepers: [String], concern: String)
  /// Answer to `probeSandbox`: whether a pod can be started now, and how, or why not and what to do.
  case sandboxProbed(works: Bool, detail: String)
  /// A connection to the exec socket wants a process in a container.
  case exec(ExecNumber, ExecRequest)
  /// A connection to the exec socket wants the input of a container.
  case input(ExecNumber, InputRequest)
  /// It was closed by the other side.
  case execClosed(ExecNumber)
  /// Of a process that `startExec` asked for: `started` and then an end, or an end alone. None comes after `podGone`.
  case execTold(ExecNumber, ExecWord)
  /// Answer to `startCheck`, once for each, also behind `endCheck`; none comes after `podGone`.
  case checked(CheckNumber, ContainerRun, CheckAnswer)
  /// Answer to `measure`.
  case measured([AttemptUsage])
  /// Answer to `measureStorage`, once for each, also when the pod is gone; nil: the disk did not tell.
  case storageMeasured(AttemptNumber, StorageUsage?)
  /// The wake-up that the last `wake` effect asked for, or later.
  case timer
}

/// What the keeper core asks of the shell, in order.
package enum KeeperEffect: Equatable, Sendable {
  /// Append to the keeper's journal, on a thread that a disk may hold up; answer `journaled` with `number`, which
  /// rises. It has to outlive the keeper, not the kernel: write, no sync. A crash loses what is not yet answered, or
  /// not: the journal is a prefix of what was asked for.
  case journal([KeeperRecord], number: Int64)
  /// Replace the journal by these records (write a new file, rename), in order with `journal`; no answer.
  case rewriteJournal([KeeperRecord])
  /// Make the pod's cgroup, PID namespace and init, which holds this deadline by itself; answer `podStarted` or
  /// `podStartFailed`.
  case startPod(AttemptNumber, PodPlan, deadline: BootTime)
  /// K4: what these pods' own inits hold from here on. Comes before every other effect of its step, so that a thawed
  /// pod does not meet its old deadline. Those that it does not name keep theirs.
  case moveDeadlines([AttemptNumber: BootTime])
  /// Answer `containerStarted` or `containerStartFailed`, later `containerExited`.
  case startContainer(ContainerRun, PodPlan.Container)
  /// To the run's first process; nothing when it has ended.
  case signal(ContainerRun, Int32)
  /// SIGKILL to everything of the pod, frozen or not, its init included, also when it is still being started; answer
  /// `podGone`.
  case killPod(AttemptNumber)
  /// Answer `podFrozen` once every process stands still, or `freezeFailed`.
  case freezePod(AttemptNumber)
  /// Answer `podThawed`.
  case thawPod(AttemptNumber)
  /// Start a process in that run of a container, with the streams that its connection brought; answer `execTold`.
  case startExec(ExecNumber, ContainerRun, arguments: [String], terminal: TerminalSize?)
  /// SIGKILL to that process alone; nothing when it has ended.
  case killExec(ExecNumber, AttemptNumber)
  /// Carry out a probe or a hook on that run of a container; answer `checked`, however long it takes.
  case startCheck(CheckNumber, ContainerRun, Check)
  /// Its answer is not waited for: SIGKILL to its process, its connection is closed; answer `checked` all the same.
  case endCheck(CheckNumber, AttemptNumber)
  /// To its connection, which is closed behind an end.
  case answerExec(ExecNumber, ExecReply)
  /// Answer its connection with this and what that run of a container reads from, and close it.
  case giveInput(ExecNumber, ContainerRun, ContainerInput)
  /// To the agent's newest connection.
  case reply(KeeperReply)
  /// End the agent's connection: it comes back, and the next hello says what is another than before.
  case endAgentConnection
  /// Read what the pods' running containers have used; answer `measured`.
  case measure
  /// Look at what a pod keeps on the node's disk, on a thread that it may hold up: its volumes, and the present run of
  /// each container that has begun, by its name; answer `storageMeasured`.
  case measureStorage(AttemptNumber, StorageLimits, [String: ContainerRun])
  /// Try whether an empty pod can be started, and how; answer `sandboxProbed`.
  case probeSandbox
  /// K4: (re)arm the kernel timer that kills the keeper itself at this time; nil: disarm.
  case armDeathTimer(at: BootTime?)
  /// A line for the operator's log.
  case log(String)
  /// Call `timer` at this time of the boot clock; replaces the one before. nil: no wake needed.
  case wake(at: BootTime?)
  /// Leave the process: nothing of it runs any more.
  case exit
}

extension BootTime {
  /// A deadline that never comes.
  package static let never = BootTime(milliseconds: Int64.max)
}

/// One record of a keeper's journal; the next keeper of the data directory reads them back in order.
package enum KeeperRecord: Equatable, Sendable {
  /// The attempt may have processes from here on. Also what is remembered of the highest attempt.
  case started(AttemptNumber)
  /// Its terminal report (also that of an attempt that was never started and never will be): proven dead, not yet
  /// acknowledged.
  case ended(AttemptReport)
  case acknowledged([AttemptNumber])
  /// An attempt that was started, with the coordinator's proof of it. Only the highest is remembered.
  case proven(ProvenAttempt)
}

/// Settings of a keeper; defaults are the design's. Milliseconds.
package struct KeeperConfiguration: Equatable, Sendable {
  /// K3: a frozen attempt is killed after this.
  package var frozenKillMilliseconds: Int64 = 600_000
  /// A freeze that is not confirmed by then becomes a kill; below the 500 of the death timer.
  package var freezeConfirmMilliseconds: Int64 = 250
  /// K4: how often each pod's init reads its deadline. One that has come nearer holds after that; further ones at once.
  package var initLookMilliseconds: Int64 = 10_000
  /// K4: the death timer stands this long after the earliest deadline.
  package var deathTimerMarginMilliseconds: Int64 = 500
  /// The first pause before a restart, in ms; it doubles.
  package var crashLoopMilliseconds: Int64 = 10_000
  /// The longest pause before a restart, in ms.
  package var crashLoopCapMilliseconds: Int64 = 300_000
  /// A container that ran this long starts its backoff anew.
  package var crashLoopResetMilliseconds: Int64 = 600_000
  /// Probes under way at once, of all pods and of one: further ones wait.
  package var probesAtOnce = 64
  /// See `probesAtOnce`.
  package var probesAtOnceInPod = 8
  /// A keeper with no agent, no pods and no unacknowledged reports exits after this.
  package var idleExitMilliseconds: Int64 = 60_000
  /// After `shutDown`: how long ended attempts wait for their acknowledgement before the keeper exits.
  package var shutDownLingerMilliseconds: Int64 = 2_000

  /// Takes each value as it stands; without any, the defaults.
  package init() {}
}

/// What a keeper knows at its start.
package struct KeeperStart: Equatable, Sendable {
  /// Random, new at each start.
  package var keeper: String
  /// The mark of its data directory (`KeeperRegister`).
  package var directory: String
  /// Earlier keepers of this data directory whose pods the host's sweep has proven dead.
  package var sweptKeepers: [String]
  /// False: no pod can be started (K4), `fencingDetail` says why. Tried again later.
  package var fencesFully: Bool
  /// How pods are isolated here, for the node's condition.
  package var fencingDetail: String
  /// The earlier keepers' journal, read after the sweep.
  package var records: [KeeperRecord]
  /// What it could not do at its start; empty: nothing.
  package var concern: String
  /// What it can hold pods to; nil: it does not say.
  package var limits: LimitAbilities?

  /// Takes each value as it stands; without any, the defaults.
  package init(
    keeper: String, directory: String = "", sweptKeepers: [String] = [], fencesFully: Bool = true,
    fencingDetail: String = "", records: [KeeperRecord] = [], concern: String = "",
    limits: LimitAbilities? = nil
  ) {
    self.limits = limits
    self.keeper = keeper
    self.directory = directory
    self.sweptKeepers = sweptKeepers
    self.fencesFully = fencesFully
    self.fencingDetail = fencingDetail
    self.records = records
    self.concern = concern
  }
}
