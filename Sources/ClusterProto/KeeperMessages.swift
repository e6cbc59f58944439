// What an agent and its keeper say to each other on the unix socket. Same machine, same binary generation or one
// apart; times are CLOCK_BOOTTIME. The keeper owns processes, deadlines and terminal reports; the agent owns session,
// lease arithmetic (K2) and volumes.

/// Agent → keeper.
package enum KeeperRequest: Equatable, Sendable {
  /// First message; the keeper answers with `hello`, then its whole inventory as any number of `reports`, the last
  /// one empty.
  case hello(agentVersion: String)
  /// New lease end for the listed attempts, or for every attempt of the keeper when nil is given. Never moves an end
  /// backwards.
  case renew(leaseEnd: BootTime, attempts: [AttemptNumber]?)
  /// No attempt's lease ends after that, until a later word lengthens it (C2). The keeper answers `shortened` with the
  /// number.
  case shorten(leaseEnd: BootTime, number: Int64)
  /// Start, at most once an attempt, only before `leaseEnd`, only when `assignment.keeper` is this keeper (K1).
  /// Volumes are ready under `podDirectory`.
  case start(Assignment, plan: PodPlan, leaseEnd: BootTime)
  /// The agent could not prepare the attempt (volume, environment): the pod waits, with the reason shown on the named
  /// container; tried again by the agent.
  case unprepared(Assignment, container: String, reason: String, message: String, leaseEnd: BootTime)
  /// Start this container in the attempt's pod beside the others, at most once a name and never again, as long as the
  /// pod runs. One that waits for its target is started with that. A keeper of an older version does not know it.
  case add(AttemptNumber, PodPlan.Container)
  /// The agent cannot hand that container over yet: it waits, with the reason shown.
  case addWaits(AttemptNumber, container: String, image: String, reason: String, message: String)
  /// SIGTERM, then SIGKILL to everything after the grace (negative: the pod's own). An attempt that the keeper does
  /// not know gets a terminal report and will never start.
  case stop(AttemptNumber, graceMilliseconds: Int64)
  /// The coordinator said that a frozen attempt is still current.
  case thaw(AttemptNumber)
  /// Terminal reports that the coordinator holds durably.
  case acknowledge([AttemptNumber])
  /// Read what pods use; answered by `usage`. Only to a keeper that has said `limits`.
  case measure
  /// The node is short of something: one pod has to go. Only to a keeper that has said that it can.
  case relieve(Shortage)
  /// `stint agent --stop`: end every pod (grace), then exit.
  case shutDown(graceMilliseconds: Int64)
}

/// Keeper → agent.
package enum KeeperReply: Equatable, Sendable {
  /// `directory`: the mark of its data directory, empty from a keeper that knows none.
  case hello(
    keeper: String, directory: String, sweptKeepers: [String], highestAttempt: AttemptNumber, fencesFully: Bool,
    fencingDetail: String)
  /// After `hello`: what it can hold pods to. A keeper of an older version says nothing, and holds them to nothing.
  case limits(LimitAbilities)
  /// After `hello`: which ones of the node's extended resources its pods have.
  case devices([AttemptNumber: [String: [Int64]]])
  /// After `hello`, only from a keeper that has one: what it could not do at its start, for the node's people.
  case concern(String)
  /// After `hello`, only from a keeper that has one: the highest attempt that it was given with a proof.
  case proven(ProvenAttempt)
  case reports([AttemptReport])
  /// What happened to containers, for people. Sent once, and lost where no agent hears it.
  case events([PodFact])
  /// What each pod's running containers have used so far.
  case usage([AttemptUsage])
  /// Answers `relieve`: why no pod goes, in words for people; empty: one does. Only to an agent that wants to know.
  case relief(NodePressure, spared: String)
  /// The shorter leases hold in the keeper and its death timer; in each pod's init so many milliseconds from now.
  case shortened(number: Int64, settleMilliseconds: Int64)
}

/// How to run one pod on this host, made by the agent from assignment and node facts: nothing in it needs another
/// look-up.
package struct PodPlan: Equatable, Sendable {
  /// One container with its final environment and mounts.
  package struct Container: Equatable, Sendable {
    /// The container's name.
    package var name: String
    /// The image as the manifest names it.
    package var image: String
    /// What its status says of the image that it runs in; nil: it runs in none.
    package var shownImage: ShownImage?
    /// Empty: the image's entry point would be needed; the container waits with CreateContainerConfigError.
    package var arguments: [String]
    /// The whole environment, `NAME=value` each.
    package var environment: [String]
    /// Absolute path that the command starts in.
    package var workingDirectory: String
    /// What is mounted where in the container, in this order.
    package var mounts: [Mount]
    /// An init container that goes on beside the others.
    package var isSidecar: Bool
    /// Where the container may leave a message for its end; empty: nowhere.
    package var terminationMessagePath: String
    /// A failed run without a message shows its log's end.
    package var fallsBackToLogs: Bool
    /// The image's root that it runs in; nil: a program of the host's.
    package var root: ContainerRoot?
    /// What its processes are held to beside the pod's others; nil: nothing.
    package var limits: ResourceLimits?
    /// Its `oom_score_adj`; nil: of an agent that says none.
    package var oomScore: Int64?
    /// Of one that was added: the container whose processes it sees; nil: none.
    package var target: String?
    /// Its probes and hooks, with hosts and ports filled in. Of an agent that says none: none.
    package var care = ContainerCare()
    /// Its input, and whether it has a terminal.
    package var input = ContainerInput()

    /// Takes each value as it stands.
    package init(
      name: String, image: String, arguments: [String], environment: [String], workingDirectory: String,
      mounts: [Mount], isSidecar: Bool, terminationMessagePath: String = "", fallsBackToLogs: Bool = false,
      root: ContainerRoot? = nil
    ) {
      self.name = name
      self.image = image
      self.arguments = arguments
      self.environment = environment
      self.workingDirectory = workingDirectory
      self.mounts = mounts
      self.isSidecar = isSidecar
      self.terminationMessagePath = terminationMessagePath
      self.fallsBackToLogs = fallsBackToLogs
      self.root = root
    }
  }

  /// An image as a container's status shows it.
  package struct ShownImage: Equatable, Sendable {
    /// Its complete name.
    package var name: String
    /// Its name with a digest, or its own id.
    package var id: String

    /// Takes both as they stand.
    package init(name: String, id: String) {
      self.name = name
      self.id = id
    }
  }

  /// `source` (a path of the host) appears at `path` inside; `subPath` is resolved inside `source` without leaving it.
  package struct Mount: Equatable, Sendable {
    /// Path on the host.
    package var source: String
    /// Path below the source that is mounted instead of it.
    package var subPath: String?
    /// Path in the container.
    package var path: String
    /// Whether the container may not write there.
    package var readOnly: Bool

    /// Takes each value as it stands.
    package init(source: String, subPath: String?, path: String, readOnly: Bool) {
      self.source = source
      self.subPath = subPath
      self.path = path
      self.readOnly = readOnly
    }
  }

  /// Run one after the other before the containers.
  package var initContainers: [Container]
  /// Run beside each other.
  package var containers: [Container]
  /// When an ended container is started again.
  package var restartPolicy: RestartPolicy
  /// From SIGTERM to SIGKILL, in ms.
  package var terminationGraceMilliseconds: Int64
  /// The pod fails after so many ms; nil: never.
  package var activeDeadlineMilliseconds: Int64?
  /// The host name that the containers are told.
  package var hostname: String
  /// Directory of this attempt on the node: volumes and logs. Keepers of an older version still read it.
  package var podDirectory: String
  /// Which ones of the node's extended resources it has, by their names.
  package var devices: [String: [Int64]] = [:]
  /// What all its containers together are held to; nil: nothing, so no cgroup is made for it.
  package var limits: ResourceLimits?
  /// What it may keep on the node's disk, and where; nil: as much as there is, and it has no volumes there.
  package var storage: StorageLimits?
  /// Its place among the pods of a node that is short of something; nil: of an agent that says none.
  package var rank: EvictionRank?

  /// The container of a slot; init containers come first.
  package func container(in slot: Int) -> Container? {
    let position = slot - initContainers.count
    if initContainers.indices.contains(slot) { return initContainers[slot] }
    return containers.indices.contains(position) ? containers[position] : nil
  }

  /// The slot of the container of that name.
  package func slot(of name: String) -> Int? { (initContainers + containers).firstIndex { $0.name == name } }

  /// Takes each value as it stands.
  package init(
    initContainers: [Container], containers: [Container], restartPolicy: RestartPolicy,
    terminationGraceMilliseconds: Int64, activeDeadlineMilliseconds: Int64?, hostname: String, podDirectory: String
  ) {
    self.initContainers = initContainers
    self.containers = containers
    self.restartPolicy = restartPolicy
    self.terminationGraceMilliseconds = terminationGraceMilliseconds
    self.activeDeadlineMilliseconds = activeDeadlineMilliseconds
    self.hostname = hostname
    self.podDirectory = podDirectory
  }
}
