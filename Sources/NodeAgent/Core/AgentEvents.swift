// The agent core's input and output. The shell (NodeAgent/Host) and the simulator both speak only this.
// Effects are done in order. Connections are numbered by the core, so that a word from an old one changes nothing.

import ClusterProto

/// One connection (to the coordinator or to the keeper) that the core asked for; rises, never reused in one agent.
package typealias ConnectionNumber = Int64

/// What the shell tells the agent core.
package enum AgentEvent: Equatable, Sendable {
  /// First event, once: begin to work.
  case started
  /// The keeper's socket is open (the core says hello on it).
  case keeperConnected(ConnectionNumber)
  case keeper(ConnectionNumber, KeeperReply)
  /// The keeper could not be started or reached, or its socket closed.
  case keeperLost(ConnectionNumber, reason: String)
  /// The node's address, as the coordinator is reached from it; comes before `coordinatorOpened` and may change.
  case addressFound(String)
  /// Which cluster the connection that opens next leads to.
  case clusterFound(String)
  /// The coordinator connection is open and both sides have proven the token (the core registers on it).
  case coordinatorOpened(ConnectionNumber)
  case coordinator(ConnectionNumber, CoordinatorMessage)
  /// The connection could not be made, or is closed. `isFinal`: whoever is there answers so at each try, until somebody
  /// does something about it.
  case coordinatorClosed(ConnectionNumber, isFinal: Bool = false)
  /// The worker has made the volumes; `number` is that of the `prepare` effect.
  case prepared(AttemptNumber, number: Int64, PodPlan)
  /// Answer to `prepareAddition` of that number.
  case additionPrepared(AttemptNumber, number: Int64, PodPlan.Container)
  /// The worker could not. `container` is empty when the fault is the whole pod's (a volume). Not retryable: only a
  /// changed body helps.
  case preparationFailed(
    AttemptNumber, number: Int64, container: String, reason: String, message: String, retryable: Bool)
  /// The images that are whole on the node: before the first pod can be prepared, and after each change that no
  /// `imagePulled` told.
  case images([ImageRecord])
  /// Answers to `pullImage`. The image is whole; how long that took, and how many bytes its registry says that it has.
  case imagePulled(PullNumber, ImageRecord, milliseconds: Int64, bytes: Int64)
  /// It could not be had; why, in the fetcher's words.
  case imagePullFailed(PullNumber, message: String)
  /// Answer to `removeVolumes`: those that are gone, and why others are not.
  case volumesRemoved([String], failed: [VolumeProblem])
  /// What of ended pods could not be removed, in words for people, when that changes; empty: nothing is left.
  case leftBehind(String)
  /// Answer to `probeDisk` of that number: the disk of the data directory answers, and has so much room; nil: it did
  /// not say.
  case diskAnswered(Int64, room: DiskRoom? = nil)
  /// Answer to `measureNode`: nil: the machine does not tell.
  case nodeMeasured(Usage?)
  /// Answer to `readMachine`; nil: the machine does not tell.
  case machineRead(MachineRoom?)
  /// The wake-up that the last `wake` effect asked for, or later.
  case timer
  /// SIGTERM: leave keeper and pods running and go.
  case stopRequested
  /// `stint agent --stop` and the end of `stint up`: end every pod, then the keeper, then the agent.
  case shutDownRequested(graceMilliseconds: Int64)
}

/// What the agent core asks of the shell, in order.
package enum AgentEffect: Equatable, Sendable {
  /// Connect to the running keeper of this data directory, or start one; answer `keeperConnected` or `keeperLost`.
  /// Ends the connection before.
  case connectKeeper(ConnectionNumber)
  /// The same, but none is started.
  case findKeeper(ConnectionNumber)
  /// To the keeper's latest connection.
  case keeper(KeeperRequest)
  /// Connect to the coordinator and do the hello; answer `coordinatorOpened` or `coordinatorClosed`. Ends the
  /// connection before.
  case connectCoordinator(ConnectionNumber)
  /// Close the latest coordinator connection; no `coordinatorClosed` needs to follow. `failure`: how it has failed;
  /// nil: it has not, or that is told.
  case disconnectCoordinator(failure: String?)
  /// To the coordinator's latest connection.
  case send(AgentMessage)
  /// Let the worker make the volumes and the plan (PodPlanner) of this attempt; answer `prepared` or
  /// `preparationFailed` with `number`. `images`: by the manifest's words for them; a container whose image is not
  /// among them runs the host's programs.
  case prepare(Assignment, number: Int64, images: [String: ImageRecord])
  /// The same for one container that was added to an attempt that runs, whose volumes are there: answer
  /// `additionPrepared` or `preparationFailed`.
  case prepareAddition(Assignment, container: String, number: Int64, images: [String: ImageRecord])
  /// Fetch and unpack this image, whatever is there of it, with one of these credentials after the other, or without
  /// any when there are none; answer `imagePulled` or `imagePullFailed` with that number. An image whose digest is on
  /// the node already is not fetched again.
  case pullImage(PullNumber, ImageReference, [RegistryCredential])
  /// Nobody waits for it any more: end it. No answer is needed.
  case cancelPull(PullNumber)
  /// Remove the image with this id; `images` follows. One that is pulled again meanwhile is there afterwards.
  case removeImage(String)
  /// Put these tokens in the place of those that the attempt's volumes have.
  case writeTokens(AttemptNumber, [PodToken])
  /// Drop the volumes of this attempt, after stopping a preparation of it that still goes on. Logs stay. A later
  /// `prepare` of it comes after.
  case cleanUp(AttemptNumber)
  /// A keeper's inventory is complete: the same as `cleanUp` for every attempt that is not listed here, whoever made
  /// its volumes.
  case cleanUpExcept([AttemptNumber])
  /// The pods are gone: delete these attempts' log directories.
  case deleteLogs([AttemptNumber])
  /// Remove the directories of these volumes, which no pod uses; answer `volumesRemoved`.
  case removeVolumes([String])
  /// Answer this on a connection of its own.
  case serveLogs(LogRequest)
  /// Open this on a connection of its own.
  case serveStream(PodStreamRequest)
  /// Write the highest incarnation seen, and its mark, to the data directory (C4); no sync needed.
  case remember(incarnation: Int64, mark: String)
  /// Write what the node is short of to the data directory, for the next agent; no sync needed.
  case rememberPressures(Set<NodePressure>)
  /// Write a few bytes to the data directory's disk and look how much room it has, on a thread that it may hold up;
  /// answer `diskAnswered` with that number once it is done, also when it failed at once. At most one is under way.
  case probeDisk(Int64)
  /// Read what the machine has used; answer `nodeMeasured`.
  case measureNode
  /// Read how much memory and how many processes the machine has left; answer `machineRead`.
  case readMachine
  /// A line for the operator's log.
  case log(String)
  /// Call `timer` at this time of the boot clock; replaces the one before. nil: no wake needed.
  case wake(at: BootTime?)
  /// Leave the process.
  case exit
}

/// Facts and settings of one agent, given at its start.
package struct AgentConfiguration: Equatable, Sendable {
  /// The node's name.
  package var node: String
  /// The machine's id: a claim, which an image shares.
  package var machineID: String
  /// The kernel's boot id.
  package var bootID: String
  /// DMI product uuid; empty where it cannot be read.
  package var hardwareID = ""
  /// The agent's version.
  package var agentVersion: String
  /// What the node offers.
  package var capacity: NodeCapacity
  /// The node's own labels.
  package var labels: StringMap
  /// podIP and hostIP of its pods; empty until it is found.
  package var address: String
  /// status.nodeInfo.
  package var info: JSON
  /// Conditions that the agent itself reports; the one about fencing is added by the core from the keeper's hello.
  package var conditions: [Condition] = []
  /// As remembered by an earlier agent of this data directory; 0: none (C4).
  package var highestIncarnation: Int64 = 0
  /// The mark of that start; empty: it had none.
  package var incarnationMark = ""
  /// The cluster whose numbers these are; empty: not written down.
  package var rememberedCluster = ""
  /// Attempts whose log directories are on disk at the start.
  package var retainedLogs: [AttemptNumber] = []
  /// Reconnection: first delay, and the most (before jitter, which takes off up to half).
  package var reconnectMilliseconds: Int64 = 100
  /// The longest pause between two tries to connect, in ms (C7).
  package var reconnectCapMilliseconds: Int64 = 2_000
  /// A keeper that was connected for less counts as a failed connection, in ms.
  package var keeperStayMilliseconds: Int64 = 5_000
  /// Pause after a refusal without a retry time, doubled with each one that follows.
  package var refusedMilliseconds: Int64 = 10_000
  /// The longest of these pauses, in ms: who has mended the cause may have to wait for so long.
  package var refusedCapMilliseconds: Int64 = 120_000
  /// An open connection that brings no `registered` (or a connection attempt without a result) is given up after this.
  package var handshakeMilliseconds: Int64 = 5_000
  /// How often a heartbeat carries the whole inventory, in ms.
  package var wholeInventoryMilliseconds: Int64 = 30_000
  /// A failed preparation asks for the body again after this.
  package var preparationRetryMilliseconds: Int64 = 2_000
  /// A disk that does not answer for this long, or for two fifths of a lease where that is longer, is stalled.
  package var diskStallMilliseconds: Int64 = 1_000
  /// How often the machine is read, in ms (kubelet's housekeeping).
  package var machineLookMilliseconds: Int64 = 10_000
  /// How little is too little.
  package var eviction = EvictionSettings()
  /// What it does with images.
  package var images = ImageSettings()
  /// The extended resources that it offers; `capacity` has their numbers.
  package var devices: [DeviceOffer] = []
  /// What of the machine is kept from pods; `capacity` is without it.
  package var reserved: NodeReserve?
  /// What the node was short of when an agent of this data directory and boot was there last.
  package var pressures: Set<NodePressure> = []
  /// Of the disk of the data directory, as the agent began; nil: it did not say.
  package var diskRoom: DiskRoom?

  /// Takes each value as it stands.
  package init(
    node: String, machineID: String, bootID: String, agentVersion: String, capacity: NodeCapacity,
    labels: StringMap = StringMap(), address: String, info: JSON
  ) {
    self.node = node
    self.machineID = machineID
    self.bootID = bootID
    self.agentVersion = agentVersion
    self.capacity = capacity
    self.labels = labels
    self.address = address
    self.info = info
  }
}
