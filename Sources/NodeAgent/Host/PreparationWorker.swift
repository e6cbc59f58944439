// The agent's slow work on threads of its own: volumes, clean-up, logs' deletion. What hangs for one attempt (a dead
// network mount, say) holds up none of the others; results come back to the loop.

import AgentCore
import ClusterIO
import ClusterProto
import Synchronization

final class PreparationWorker {
  private let pool: WorkerPool
  /// As many pods as a node may have on one dead mount: each costs a thread, and none of the others.
  private static let threads = 512
  /// Of work for no attempt, and of the removal of claims' directories, which may be large.
  private static let noAttempt: Int64 = -1
  private static let claims: Int64 = -2

  private let results: Mailbox<AgentEvent>
  private let paths: NodePaths
  /// What all pods' places have in common.
  private var node: PodPlace
  /// podIP and hostIP of what is prepared from now on.
  var address: String {
    get { node.address }
    set { node.address = newValue }
  }
  /// Attempts with something under DATA/pods: the others cost no system call at the end.
  private var prepared: Set<AttemptNumber>
  /// Those of them that have the usual volume of their token alone: nothing has to be removed.
  private var bare: Set<AttemptNumber>
  private let slots: TokenSlots
  private let user: PodUser?
  private let data: DirectoryPlace
  /// The data directory was not at its path when it was looked at last: no new pod is begun.
  var isDisplaced = false
  /// Directories that a thread could not remove: tried again with the next ones.
  private let unremoved = Unremoved()
  /// Of those at once, so that a disk that stays broken costs each clean-up little.
  private static let retries = 4

  /// `user`: who pods run as, where that is not this process' own. `podProcesses`: as `PodPlace` has it.
  init(
    paths: NodePaths, node: String, address: String, capacity: NodeCapacity, user: PodUser? = nil,
    podProcesses: Int64? = nil
  ) throws(IOError) {
    self.paths = paths
    self.user = user
    data = try DirectoryPlace(path: paths.data)
    self.node = PodPlace(
      node: node, address: address, capacity: capacity, podDirectory: "", volumes: [:], podProcesses: podProcesses)
    pool = try WorkerPool(name: "stint-volumes", limit: Self.threads)
    results = try Mailbox()
    slots = try TokenSlots(directory: paths.tokens)
    prepared = Set(try Files.list(paths.pods).compactMap { Int64($0) })
    bare = Set(slots.owners).subtracting(prepared)
    prepared.formUnion(bare)
  }

  /// Hands results to `handler` on the loop.
  func attach(to loop: EventLoop, _ handler: @escaping (AgentEvent) -> Void) throws(IOError) {
    try loop.attach(results) { events in for event in events { handler(event) } }
  }

  /// Makes volumes and plan. A pod without volumes and images is planned at once and its event returned; else it
  /// follows by the handler. `images`: of its containers, by the manifest's names for them.
  func prepare(_ assignment: Assignment, number: Int64, images: [String: PlacedImage]) -> AgentEvent? {
    if isDisplaced { return Self.refusal(assignment, number, "", data.words) }
    let spec = assignment.spec
    if spec.volumes.isEmpty, images.isEmpty { return plan(assignment, number: number, volumes: [:]) }
    let isSlot = !spec.volumes.isEmpty && spec.volumes.allSatisfy { TokenSlots.serves($0, of: spec) }
    let isBare = isSlot && (images.isEmpty || !SharedMemory.isMade(for: spec))
    if prepared.insert(assignment.attempt).inserted, isBare { bare.insert(assignment.attempt) }
    let work = Preparation(paths: paths, node: node, slots: slots, user: user, images: images)
    pool.post(key: assignment.attempt) { [results, data] in
      let event =
        data.isLost
        ? Self.refusal(assignment, number, "", data.words) : work.run(assignment, number: number)
      results.post(event)
    }
    return nil
  }

  /// Plans a container that is added to an attempt that runs; its event follows by the handler.
  func prepareAddition(
    _ assignment: Assignment, _ container: String, number: Int64, images: [String: PlacedImage]
  ) {
    // What is made for it goes with the attempt.
    prepared.insert(assignment.attempt)
    bare.remove(assignment.attempt)
    let work = Preparation(paths: paths, node: node, slots: slots, user: user, images: images)
    pool.post(key: assignment.attempt) { [results, data] in
      let event =
        data.isLost
        ? Self.refusal(assignment, number, container, data.words)
        : work.runAddition(assignment, container, number: number)
      results.post(event)
    }
  }

  /// Of a data directory that is not where it was: the attempt waits.
  private static func refusal(
    _ assignment: Assignment, _ number: Int64, _ container: String, _ message: String
  ) -> AgentEvent {
    .preparationFailed(
      assignment.attempt, number: number, container: container, reason: "CreateContainerConfigError",
      message: message, retryable: true)
  }

  /// Fresh tokens into the files of an attempt.
  func write(_ tokens: [PodToken], of attempt: AttemptNumber) {
    guard prepared.contains(attempt) else { return }
    let directory = paths.pod(attempt)
    pool.post(key: attempt) { [slots] in
      do throws(IOError) {
        for token in tokens {
          try Volumes.write(token, below: directory, usual: slots.path(of: attempt))
        }
      } catch {
        HostLog.line("agent: a token of attempt \(attempt) is not renewed: \(error)")
      }
    }
  }

  func cleanUp(_ attempt: AttemptNumber) {
    guard prepared.remove(attempt) != nil else { return }
    let isBare = bare.remove(attempt) != nil
    // Behind what is still being made of it.
    if pool.isFree(attempt) {
      slots.giveBack(attempt)
    } else {
      pool.post(key: attempt) { [slots] in slots.giveBack(attempt) }
    }
    if isBare { return }
    pool.post(key: attempt) { [paths] in Shares(paths: paths).release(attempt) }
    remove(paths.pod(attempt), of: attempt)
  }

  /// And some of those that could not be removed before.
  private func remove(_ path: String, of attempt: AttemptNumber) {
    for (path, attempt) in [(path, attempt)] + unremoved.oldest(Self.retries) {
      pool.post(key: attempt) { [unremoved, results] in
        let error = Self.remove(path)
        if let words = unremoved.note(path, of: attempt, error) { results.post(.leftBehind(words)) }
      }
    }
  }

  /// Drops the volumes of every attempt but these.
  func cleanUpExcept(_ attempts: [AttemptNumber]) {
    for attempt in prepared.subtracting(attempts).sorted() { cleanUp(attempt) }
    // Of an attempt that an earlier agent prepared there may be nothing else.
    let kept = Set(attempts)
    pool.post(key: Self.noAttempt) { [paths] in Shares(paths: paths).releaseExcept(kept) }
  }

  func deleteLogs(_ attempts: [AttemptNumber]) {
    let directories = attempts.map { paths.logs($0) }
    pool.post(key: Self.noAttempt) { [unremoved, results] in
      for directory in directories {
        let error = Self.remove(directory)
        if let words = unremoved.note(directory, of: Self.noAttempt, error) { results.post(.leftBehind(words)) }
      }
    }
  }

  /// Removes the directories of claims.
  func removeVolumes(_ names: [String]) {
    let volumes = ClaimVolumes(paths: paths, user: user)
    pool.post(key: Self.claims) { [results] in
      let (gone, failed) = volumes.remove(names)
      results.post(.volumesRemoved(gone, failed: failed))
    }
  }

  /// Waits a while for what is under way; the next agent removes what is left.
  func stop() { _ = pool.finish(milliseconds: 5_000) }

  /// Reads the agent's identity; `authority`: the coordinator's data directory whose authority makes one where there is
  /// none, see `Identity.local`. `done` is called on the thread.
  func readIdentity(
    _ directory: String, authority: String?, _ done: @escaping @Sendable (Result<Identity, IOError>) -> Void
  ) {
    pool.post(key: Self.noAttempt) { [node] in
      do throws(IOError) {
        if let authority {
          done(.success(try Identity.local(directory: directory, node: node.node, coordinator: authority)))
        } else {
          done(.success(try Identity(directory: directory)))
        }
      } catch {
        done(.failure(error))
      }
    }
  }

  /// Has the authority of the coordinator's data directory `authority` make an identity for `key`, and writes it
  /// nowhere. `done` is called on the thread.
  func issueIdentity(
    authority: String, key: [UInt8], _ done: @escaping @Sendable (Result<Identity, IOError>) -> Void
  ) {
    pool.post(key: Self.noAttempt) { [node] in
      do throws(IOError) {
        done(.success(try Identity.issue(node: node.node, coordinator: authority, key: key)))
      } catch {
        done(.failure(error))
      }
    }
  }

  /// Puts an identity in the place of the one before; `done` is called on the thread, with it or why not.
  func writeIdentity(
    _ identity: Identity, _ directory: String, _ done: @escaping @Sendable (Result<Identity, IOError>) -> Void
  ) {
    pool.post(key: Self.noAttempt) {
      do throws(IOError) {
        try identity.write(directory: directory)
        done(.success(identity))
      } catch {
        done(.failure(error))
      }
    }
  }

  /// Puts a small text in the place of a file's; a failure is logged.
  func write(_ text: String, to path: String) {
    pool.post(key: Self.noAttempt) {
      do throws(IOError) {
        try Files.writeAtomically(path, Array(text.utf8))
      } catch {
        HostLog.error("agent: \(error)")
      }
    }
  }

  /// Pods that run find it in the usual place by which they are told whom to believe.
  func setAuthority(_ bundle: [UInt8]) {
    pool.post(key: Self.noAttempt) { [slots] in slots.setAuthority(bundle) }
  }

  private func plan(_ assignment: Assignment, number: Int64, volumes: [String: String]) -> AgentEvent {
    Preparation(paths: paths, node: node, slots: slots, user: user)
      .plan(assignment, number: number, volumes: volumes)
  }

  /// Why it is not gone, which is logged; nil: it is.
  private static func remove(_ path: String) -> IOError? {
    // Nothing that is mounted is entered: volumes in memory come off once they are in the way.
    if (try? Files.removeTree(path)) != nil { return nil }
    MemoryVolumes.unmount(below: path)
    do throws(IOError) {
      try Files.removeTree(path)
      return nil
    } catch {
      HostLog.line("agent: \(error)")
      return error
    }
  }
}

/// Directories that are still there, which threads and loop tell each other of.
private final class Unremoved: Sendable {
  private struct Remainder {
    var attempt: AttemptNumber
    var error: String
  }

  private struct State {
    var remainders: [String: Remainder] = [:]
    var words = ""
  }

  private let state = Mutex(State())

  /// `error` nil: it is gone. What there is to say of all of them now, if that is news; empty: nothing is left.
  func note(_ path: String, of attempt: AttemptNumber, _ error: IOError?) -> String? {
    state.withLock { state in
      state.remainders[path] = error.map { Remainder(attempt: attempt, error: "\($0)") }
      var words = ""
      if let first = state.remainders.min(by: { ($0.value.attempt, $0.key) < ($1.value.attempt, $1.key) }) {
        let count = state.remainders.count
        let what = count == 1 ? "directory" : "directories"
        words = "\(count) \(what) of ended pods could not be removed: \(first.value.error)"
      }
      if words == state.words { return nil }
      state.words = words
      return words
    }
  }

  /// Those to try again.
  func oldest(_ count: Int) -> [(String, AttemptNumber)] {
    state.withLock { state in
      let sorted = state.remainders.sorted { ($0.value.attempt, $0.key) < ($1.value.attempt, $1.key) }
      return sorted.prefix(count).map { ($0.key, $0.value.attempt) }
    }
  }
}

/// One preparation; safe to run on any thread.
private struct Preparation: Sendable {
  var paths: NodePaths
  var node: PodPlace
  var slots: TokenSlots
  var user: PodUser?
  var images: [String: PlacedImage] = [:]

  func run(_ assignment: Assignment, number: Int64) -> AgentEvent {
    do throws(VolumeError) {
      let volumes = try Volumes.make(
        assignment, paths: paths, place: place(of: assignment, volumes: [:]), slots: slots, user: user)
      if !images.isEmpty { try writeNetworkFiles(assignment) }
      return plan(assignment, number: number, volumes: volumes)
    } catch {
      return .preparationFailed(
        assignment.attempt, number: number, container: "", reason: error.reason, message: error.message,
        retryable: error.retryable)
    }
  }

  func runAddition(_ assignment: Assignment, _ name: String, number: Int64) -> AgentEvent {
    func failed(_ reason: String, _ message: String) -> AgentEvent {
      .preparationFailed(
        assignment.attempt, number: number, container: name, reason: reason, message: message, retryable: true)
    }
    let mounts = assignment.spec.ephemeralContainers.first { $0.name == name }?.mounts ?? []
    var volumes: [String: String] = [:]
    do throws(VolumeError) {
      for mount in mounts {
        volumes[mount.name] = try Volumes.find(mount.name, of: assignment, paths: paths, slots: slots, user: user)
      }
      // A pod of host programs alone has none yet.
      let network = "\(paths.pod(assignment.attempt))/\(NetworkFiles.directory)"
      if !images.isEmpty, slots.networkPath(of: assignment.attempt) == nil, !Files.exists(network) {
        try writeNetworkFiles(assignment)
      }
    } catch {
      return failed(error.reason, error.message)
    }
    do throws(PlanningError) {
      let container = try PodPlanner.addition(name, to: assignment, place: place(of: assignment, volumes: volumes))
      return .additionPrepared(assignment.attempt, number: number, container)
    } catch {
      return failed(error.reason, error.message)
    }
  }

  func plan(_ assignment: Assignment, number: Int64, volumes: [String: String]) -> AgentEvent {
    do throws(PlanningError) {
      let plan = try PodPlanner.plan(assignment, place: place(of: assignment, volumes: volumes))
      return .prepared(assignment.attempt, number: number, plan)
    } catch {
      return .preparationFailed(
        assignment.attempt, number: number, container: error.container, reason: error.reason, message: error.message,
        retryable: true)
    }
  }

  private func writeNetworkFiles(_ assignment: Assignment) throws(VolumeError) {
    do throws(IOError) {
      let isWritten = try slots.writeNetwork(assignment.attempt, namespace: assignment.namespace) {
        (path, isKnown) throws(IOError) in
        try NetworkFileWriter.write(assignment, address: node.address, into: path, isKnown: isKnown)
      }
      if !isWritten { try NetworkFileWriter.write(assignment, address: node.address, paths: paths) }
    } catch {
      throw VolumeError(reason: "CreateContainerConfigError", message: "\(error)", retryable: true)
    }
  }

  private func place(of assignment: Assignment, volumes: [String: String]) -> PodPlace {
    var place = node
    place.podDirectory = paths.pod(assignment.attempt)
    place.networkDirectory = slots.networkPath(of: assignment.attempt)
    place.volumes = volumes
    place.images = images
    place.hasMemoryVolumes = MemoryVolumes.isPossible
    return place
  }
}
