// The coordinator core's input and output. The shell (Coordinator/Server) and the simulator both speak only this.
// Order law: everything in a step's effects that is not `immediate` leaves only after the step's `persist` effects are
// durable.

import ClusterProto

/// One connection of one agent, named by the shell at random; never reused.
package typealias SessionID = String
/// One request of one client connection, numbered by the shell; never reused within an incarnation.
package typealias RequestID = Int64

/// What the shell tells the core. A step takes a batch of them.
package enum CoordinatorEvent: Equatable, Sendable {
  /// An agent connection has passed the hello, which has proven who opens it.
  case sessionOpened(SessionID, by: Subject)
  case sessionClosed(SessionID)
  case agent(SessionID, AgentMessage)
  case request(RequestID, APIRequest)
  /// A machine without a certificate asks for one. `key`: the digest of the public key whose holder has signed its
  /// request, as the shell has verified.
  case join(RequestID, JoinRequest, key: String)
  /// The agent of a session asks for the next certificate; `key` as in `join`.
  case renew(SessionID, key: String, request: String)
  /// An administrator's word about join tokens and node keys.
  case joining(RequestID, by: Subject, JoiningRequest)
  /// An administrator's word about users. `key`: for a new certificate as in `join`, else empty.
  case users(RequestID, by: Subject, UserRequest, key: String)
  /// An administrator's word about the cluster's authority.
  case authority(RequestID, by: Subject, AuthorityRequest)
  /// What `exchangeAuthority` or `dropAuthority` asked for could not be done; else `nativeServed` tells of it.
  case authorityFailed(String)
  /// The client of a watch or a log has gone.
  case requestCancelled(RequestID)
  /// The client of a request is behind (true): what its answer still lacks waits, until it has caught up (false).
  case requestHeld(RequestID, Bool)
  /// The wake-up that the last `wake` effect asked for, or later.
  case timer
  /// Free space fell below (true) or rose above (false) the mark: client writes are refused while true.
  case diskLow(Bool)
  /// The same with a higher mark: the coordinator's own creations stop first.
  case diskScarce(Bool)
  /// A commit has been on its way for so many ms, longer than `pauseMilliseconds`, and is not durable yet.
  case storeStalls(milliseconds: Int64)
  /// That commit is durable, so many ms after it began; comes once after each `storeStalls`.
  case storeAnswered(milliseconds: Int64)
  /// The Kubernetes API is served; comes once, after the first step.
  case apiServed(APIEndpoint)
  /// Agents and joiners are served; comes once after the first step, and again when it changes.
  case nativeServed(JoinPoint)
  /// The process is to stop politely: extend the leases (C2) and say so to every agent.
  case stopRequested
}

extension CoordinatorEvent {
  /// The request that begins with it, for somebody who waits for the answer.
  package var openedRequest: RequestID? {
    switch self {
    case .request(let id, _), .join(let id, _, _), .joining(let id, _, _), .users(let id, _, _, _),
      .authority(let id, _, _):
      id
    default: nil
    }
  }
}

/// What a join token tells a machine beside its secret.
package struct JoinPoint: Equatable, Sendable {
  /// Where the coordinator is reached, best first, each `HOST:PORT` or `[V6]:PORT`.
  package var addresses: [String]
  /// Digest of the authority's public key.
  package var authority: String
  /// Of the authority that is being left; empty: none.
  package var former: String
  /// When the authority was made.
  package var since: WallTime?

  /// Takes each value as it stands.
  package init(addresses: [String], authority: String, former: String = "", since: WallTime? = nil) {
    self.addresses = addresses
    self.authority = authority
    self.former = former
    self.since = since
  }
}

/// Where the Kubernetes API is served, for the objects by which clients find it.
package struct APIEndpoint: Equatable, Sendable {
  /// An address, without brackets.
  package var host: String
  /// The port.
  package var port: Int64
  /// The certificates of the authorities that are believed: PEM.
  package var authority: String
  /// The port of the native protocol on the same host.
  package var native: Int64?

  /// Takes each value as it stands; without any, the defaults.
  package init(host: String, port: Int64, authority: String, native: Int64? = nil) {
    self.host = host
    self.port = port
    self.authority = authority
    self.native = native
  }
}

/// What the core asks of the shell, in order.
package enum CoordinatorEffect: Equatable, Sendable {
  /// One row of the store, written in the step's transaction.
  case persist(StoreWrite)
  /// To an agent. `immediate`: a pure lease renewal, which waits for no commit.
  case send(SessionID, CoordinatorMessage, immediate: Bool)
  /// After what was sent before it.
  case closeSession(SessionID, reason: String)
  /// To a client; ends with `done`.
  case reply(RequestID, APIReply)
  /// To a client: one object as it was written at this version. Depends on no other write.
  case shown(RequestID, APIReply, resourceVersion: Int64)
  /// The same watch event to each of these requests.
  case tell([RequestID], type: String, object: JSON)
  /// Sign this request for node `node`, valid for so long, and send the certificate.
  case issue(IssueTarget, node: String, request: String, milliseconds: Int64)
  /// No certificate: why, and when asking again may help.
  case issueRefused(IssueTarget, reason: String, retryMilliseconds: Int64?)
  /// Sign a certificate for a user, and answer the request with it.
  case issueUser(RequestID, UserGrant)
  /// Close every connection, of either door, whose certificate has one of these keys (digests).
  case closeHolders(of: [String], reason: String)
  /// The same for every certificate that the authority with this digest has signed.
  case closeAuthority(String, reason: String)
  /// Make another authority that signs from then on, and let the one before be believed beside it.
  case exchangeAuthority
  /// Let the one before be believed no more.
  case dropAuthority
  /// To an agent: whom the cluster believes.
  case tellAuthorities(SessionID, AuthorityNotice)
  /// To an agent: by which addresses the coordinator can be reached.
  case tellCoordinators(SessionID, CoordinatorsNotice)
  /// Sign these claims, put the token into `answer` as `status.token`, and answer the client with it.
  case signToken(RequestID, claims: JSON, answer: JSON, warnings: [String])
  /// Ask that agent session for a container log, and pass the bytes to the request's client until either ends. The
  /// shell answers the client's `done`.
  case startLogs(RequestID, SessionID, LogRequest)
  /// The same of a stream into a pod, whose bytes go both ways.
  case startStream(RequestID, SessionID, PodStreamRequest)
  /// Call `timer` at this time of the boot clock; replaces the one before. nil: no wake needed.
  case wake(at: BootTime?)
  /// A line for the operator's log.
  case log(String)
  /// A line of the audit, once what it tells is durable.
  case audit(AuditEntry)
  /// Polite stop is complete: every lease extension was handed to the sessions.
  case stopped
  /// An invariant is broken or the disk is from another world (C4): stop the process with this message, answer nobody.
  case halt(String)
}

/// Who waits for a certificate.
package enum IssueTarget: Equatable, Sendable {
  case joiner(RequestID)
  case session(SessionID)
}

/// A user's certificate that the core has decided to give.
package struct UserGrant: Equatable, Sendable {
  /// The user's name.
  package var name: String
  /// The groups.
  package var groups: [String]
  /// The signing request.
  package var request: String
  /// How long it is valid.
  package var seconds: Int64
}

/// Tables of the store. Raw values are table names in SQLite.
package enum StoreTable: String, CaseIterable, Sendable, Comparable {
  /// Facts: `incarnation`, `lmax`, `resourceVersion` (none above it was shown), `deleted.KIND` (the version of its
  /// latest deletion), `attempt`, `cluster`, `clock`, `marks`, `hold` and `proofkey` (C4), `origin` (the shell's),
  /// `jointoken.ID`, `nodekey.NAME`, `revokedkey.DIGEST`, `userkey.DIGEST`, `authority`.
  case facts
  /// Pod spec texts by digest; rows of `pods` name the digest.
  case podspecs
  /// API objects by `KIND/NAMESPACE/NAME`; text is the object's JSON (pods without their spec).
  case objects
  /// Attempts possibly live, by number.
  case attempts
  /// What the coordinator remembers of nodes beyond the Node object (keeper, machine, last lease), by node name.
  case noderecords
  /// Controller memory that the API does not show (recreation backoff …), by Job uid.
  case jobrecords

  package static func < (left: StoreTable, right: StoreTable) -> Bool { left.rawValue < right.rawValue }
}

/// Writes (or with nil deletes) one row.
package struct StoreWrite: Equatable, Sendable {
  /// Which table of the store.
  package var table: StoreTable
  /// The row's key in its table.
  package var key: String
  /// UTF-8 JSON.
  package var value: [UInt8]?

  /// Takes each value as it stands; without any, the defaults.
  package init(table: StoreTable, key: String, value: [UInt8]?) {
    self.table = table
    self.key = key
    self.value = value
  }
}

/// A row as read at start.
package struct StoreRow: Equatable, Sendable {
  /// Which table of the store.
  package var table: StoreTable
  /// The row's key in its table.
  package var key: String
  /// The row's text.
  package var value: [UInt8]

  /// Takes each value as it stands; without any, the defaults.
  package init(table: StoreTable, key: String, value: [UInt8]) {
    self.table = table
    self.key = key
    self.value = value
  }
}

/// Settings of a coordinator; defaults are the design's.
package struct CoordinatorConfiguration: Equatable, Sendable {
  /// How often agents send heartbeats, in ms.
  package var heartbeatMilliseconds: Int64 = 1_000
  /// How long a lease lasts, in ms.
  package var leaseMilliseconds: Int64 = 5_000
  /// How long the certificate of a node is valid, in ms.
  package var nodeCertificateMilliseconds = CertificateRenewal.lifetimeMilliseconds
  /// tolerationSeconds given to pods that name none for node.kubernetes.io/unreachable and not-ready.
  package var defaultTolerationSeconds: Int64 = 10
  /// C2: the lease given at a polite stop.
  package var politeStopLeaseMilliseconds: Int64 = 600_000
  /// C5: count fenced attempts as Kubernetes does.
  package var chargeLostAttempts = false
  /// C6 hold and pace.
  package var massLossHoldMilliseconds: Int64 = 120_000
  /// One lost node is let go each so many ms after a mass loss (C6).
  package var massLossPaceMilliseconds: Int64 = 10_000
  /// The cluster's id.
  package var clusterID = ""
  /// Random, of this start; nobody can guess it. Empty: none.
  package var startMark = ""
  /// Random: proves numbers that were given out (C4), where the store has no such key yet. Empty: none.
  package var proofKey = ""
  /// C4: the store was moved or restored.
  package var opensEpoch = false
  /// The machine's boot: while it is the same, boot time tells how long the coordinator was away. Empty: not known.
  package var bootID = ""
  /// The zones of the machine, as they were at the start.
  package var zones = ZoneDatabase()
  /// The coordinator's version.
  package var version = ""
  /// How long Event objects are kept, in ms.
  package var eventTTLMilliseconds: Int64 = 3_600_000
  /// Watch events kept in memory for resumption.
  package var watchHistoryLimit = 20_000
  /// Finished pods kept before the oldest are collected (Kubernetes' terminated-pod-gc-threshold).
  package var terminatedPodLimit = 12_500
  /// Pods of one Job, and of all Jobs together, that may exist without a node. More are made as these are placed.
  package var waitingPodsOfJob = 1_000
  /// At most so many pods that wait for a node, of all Jobs.
  package var waitingPodLimit = 20_000

  /// Takes each value as it stands; without any, the defaults.
  package init() {}
}
