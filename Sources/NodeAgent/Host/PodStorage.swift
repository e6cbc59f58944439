// What containers leave on the node's disk, written and read on threads that the disk may hold up: their output, their
// termination messages, and what a start has to look up among the host's paths. Knows no states and no deadlines.

import AgentCore
import CLinux
import ClusterIO
import ClusterProto
import Glibc
import Synchronization

/// A keeper's disk. Nothing here makes the loop wait.
final class PodStorage: Sendable {
  /// What a thread says to the loop.
  enum Word: Sendable {
    /// A log whose queue was full has room.
    case room(ContainerRun)
    /// What a container's start needed is there.
    case prepared(ContainerRun, Preparation)
    /// The container cannot be started: the node's disk does not give what its start needs.
    case unprepared(ContainerRun, IOError)
    /// What a pod keeps on the disk.
    case measured(AttemptNumber, StorageUsage?)
    /// A run's log is closed; its termination message.
    case closed(ContainerRun, message: String)
  }

  struct Preparation: Sendable {
    var message: TerminationMessage
    var mounts: [MountOperation]
    /// Of a container with a profile of the node's.
    var filter: [UInt8]?
  }

  let paths: NodePaths
  let messages: TerminationFiles
  private let logLimit: Int64
  private let rootDirectory: String
  private let user: PodUser?
  private let roots: RootPool
  private let words: Mailbox<Word>
  /// All output goes to one disk: one thread.
  private let logs: WorkerThread
  private let owed: OwedLogs
  /// Mount sources may lie on many file systems: one that hangs must not hold up the others' starts, however many pods
  /// of a node want it.
  private let starts: WorkerPool
  private static let startThreads = 512
  /// Of the removal of roots that were several containers'.
  private static let oldRoots: AttemptNumber = -1
  /// Looks at what pods keep; a disk that hangs holds these up alone.
  private let looks: WorkerPool
  private static let lookThreads = 2
  /// Whether an account's token can be mounted at its usual place.
  private let hasTokenPath: Bool
  private let data: DirectoryPlace

  /// `rootDirectory`: an empty directory that a container's own root may be mounted on, privately. `user`: who pods run
  /// as, where that is not this process' own.
  init(paths: NodePaths, rootDirectory: String, user: PodUser?, logLimit: Int64) throws(IOError) {
    self.user = user
    self.paths = paths
    self.rootDirectory = rootDirectory
    self.logLimit = logLimit
    data = try DirectoryPlace(path: paths.data)
    messages = try TerminationFiles(paths)
    // Of a former keeper, whose pods are gone. What stays is no reason not to start: each root's place is looked at.
    Self.remove(paths.roots)
    // An empty directory of the machine's own, in memory as /run is: with a /run of its own each container would lose
    // the sockets in it.
    try? Files.makeDirectory(PodToken.usualPath, mode: 0o755)
    hasTokenPath = (try? Files.status(PodToken.usualPath))?.isDirectory ?? false
    if !hasTokenPath {
      HostLog.line(
        "keeper: pods get no token of their account mounted, as \(PodToken.usualPath) is not there and may not be made")
    }
    words = try Mailbox()
    logs = try WorkerThread(name: "stint-logs")
    owed = try OwedLogs(thread: logs)
    let starts = try WorkerPool(name: "stint-starts", limit: Self.startThreads)
    self.starts = starts
    roots = try RootPool(paths: paths, mountPoint: rootDirectory) { path in
      starts.post(key: Self.oldRoots) { Self.remove(path) }
    }
    looks = try WorkerPool(name: "stint-looks", limit: Self.lookThreads)
  }

  /// Hands what the threads say to `handler` on the loop.
  func attach(to loop: EventLoop, _ handler: @escaping (Word) -> Void) throws(IOError) {
    try loop.attach(words) { words in for word in words { handler(word) } }
    try owed.attach(to: loop)
  }

  /// Looks at what a pod keeps on the disk; `measured` follows.
  func measure(_ attempt: AttemptNumber, _ limits: StorageLimits, _ runs: [String: ContainerRun]) {
    looks.post(key: attempt) { [self] in
      let begun = Clocks.boot()
      var usage = StorageUsage()
      for volume in limits.volumes {
        guard let used = Files.usage(below: volume.path) else { return words.post(.measured(attempt, nil)) }
        usage.volumes[volume.name] = used.bytes
        usage.inodes = usage.inodes.addingSaturated(used.inodes)
      }
      for (name, run) in runs {
        guard let log = Files.usage(below: paths.logs(attempt, container: name)),
          let changes = Files.usage(below: "\(roots.place(of: run) ?? ownRoot(of: run))/upper")
        else { return words.post(.measured(attempt, nil)) }
        let used = log.adding(changes)
        usage.containers[name] = used.bytes
        usage.inodes = usage.inodes.addingSaturated(used.inodes)
      }
      usage.milliseconds = (Clocks.boot() - begun) / 1_000_000
      words.post(.measured(attempt, usage))
    }
  }

  /// What a start needs, where no file has to be looked at for it; else nil, and `prepared` follows.
  func prepare(_ run: ContainerRun, _ planned: PodPlan.Container, hostname: String) -> Preparation? {
    let container = planned.root == nil ? mountable(planned) : planned
    let spare = messages.spare(for: container)
    refill()
    let message = TerminationMessage(run, container, path: spare)
    let isReady = spare != nil || !messages.isUsable(container)
    if planned.root == nil, run.restart == 0, isReady, let known = tokenMounts(container) {
      if let mount = message.soleMount { return Preparation(message: message, mounts: [mount] + known) }
      if spare == nil, known.isEmpty { return Preparation(message: message, mounts: []) }
    }
    starts.post(key: run.attempt) { [self] in
      var message = message
      do throws(IOError) {
        if data.isLost { throw IOError(operation: "start", subject: container.name, message: data.words) }
        if spare == nil { message = TerminationMessage(run, container, path: try messages.take(for: container)) }
        LogFile.begin(directory: paths.logs(run.attempt, container: container.name), restart: run.restart)
        guard let root = container.root else {
          let mounts = MountPlan.operations(
            for: message.mounted, data: paths.data, user: user, rootDirectory: rootDirectory)
          return words.post(.prepared(run, Preparation(message: message, mounts: mounts)))
        }
        try prepare(run, root, message, hostname: hostname)
      } catch {
        words.post(.unprepared(run, error))
      }
    }
    return nil
  }

  /// What a container of an image needs; `prepared` or `unprepared` follows.
  private func prepare(
    _ run: ContainerRun, _ root: ContainerRoot, _ message: TerminationMessage, hostname: String
  ) throws(IOError) {
    guard geteuid() != 0 || stint_is_sealed() != 0 else {
      throw IOError(
        operation: "start", subject: message.mounted.name,
        message: "this kernel cannot keep the node's program from what a container does to it: images need Linux 5.12")
    }
    let parts = try RootPlan.parts(for: message.mounted, root, hostname: hostname, data: paths.data, user: user)
    let filter = try localFilter(root)
    guard let wanted = roots.wanted(root, parts) else {
      return makeRoot(run, root, parts, Preparation(message: message, mounts: [], filter: filter))
    }
    roots.take(run, wanted) { [self] first in
      if let first {
        let mounts = [first] + parts.own
        return words.post(.prepared(run, Preparation(message: message, mounts: mounts, filter: filter)))
      }
      starts.post(key: run.attempt) { [self] in
        makeRoot(run, root, parts, Preparation(message: message, mounts: [], filter: filter))
      }
    }
  }

  /// A root that is no other container's.
  private func makeRoot(
    _ run: ContainerRun, _ root: ContainerRoot, _ parts: RootPlan.Parts, _ preparation: Preparation
  ) {
    let place = ownRoot(of: run)
    do throws(IOError) {
      try Files.removeTree(place)
      try Files.makeDirectory(place)
      try RootLayers.claim(root.layers, for: place, in: ImageStore(directory: paths.images))
      var preparation = preparation
      preparation.mounts = parts.operations(root, layers: paths.layers, place: place)
      words.post(.prepared(run, preparation))
    } catch {
      removeRoot(of: run)
      words.post(.unprepared(run, error))
    }
  }

  private func localFilter(_ root: ContainerRoot) throws(IOError) -> [UInt8]? {
    guard case .localhost(let profile) = root.seccomp else { return nil }
    guard !PathText.climbs(profile) else {
      throw IOError(code: EINVAL, operation: "load seccomp profile", subject: profile)
    }
    return try SeccompProfiles.filter("\(paths.seccomp)/\(profile)")
  }

  private func ownRoot(of run: ContainerRun) -> String {
    "\(paths.roots)/\(run.attempt)-\(run.slot)-\(run.restart)"
  }

  /// What a run's container has changed in its root, once no process of it is left.
  func removeRoot(of run: ContainerRun) {
    if roots.giveBack(run) { return }
    let place = ownRoot(of: run)
    starts.post(key: run.attempt) { Self.remove(place) }
  }

  /// Removes roots that no container has.
  func dropFreeRoots() { roots.dropFree() }

  /// No pod is left and none comes.
  func stop() {
    roots.stop()
    _ = starts.finish(milliseconds: 2_000)
  }

  private static func remove(_ path: String) {
    do throws(IOError) {
      try Files.removeTree(path)
    } catch {
      HostLog.line("keeper: \(error)")
    }
  }

  /// Without the mount that nobody asked for where it cannot be.
  private func mountable(_ planned: PodPlan.Container) -> PodPlan.Container {
    if hasTokenPath { return planned }
    var container = planned
    container.mounts.removeAll { $0.path == PodToken.usualPath && PathText.isBelow($0.source, paths.tokens) }
    return container
  }

  /// The mounts of a container that has none but the usual one of its token, or none at all: they need no look at the
  /// host. nil: it has others.
  private func tokenMounts(_ container: PodPlan.Container) -> [MountOperation]? {
    if container.mounts.isEmpty { return [] }
    guard hasTokenPath, container.mounts.count == 1, let mount = container.mounts.first,
      mount.path == PodToken.usualPath,
      mount.subPath == nil, mount.readOnly, PathText.isBelow(mount.source, paths.tokens)
    else { return nil }
    return [.bind(source: mount.source, below: "", destination: mount.path, readOnly: true)]
  }

  /// The log of one run.
  func log(_ run: ContainerRun, _ container: String) -> LogQueue {
    let directory = paths.logs(run.attempt, container: container)
    return LogQueue(
      file: LogFile(directory: directory, restart: run.restart, limit: logLimit), thread: logs,
      room: { [words] in words.post(.room(run)) })
  }

  /// Closes the log and reads the termination message; `closed` follows. `containers`: of the pod.
  func close(_ log: LogQueue, _ message: TerminationMessage, failed: Bool, containers: Int) {
    log.close { [self] isWhole in
      if !isWhole { owed.add(log) }
      let text = message.read(failed: failed, containers: containers, files: messages, paths: paths)
      words.post(.closed(message.run, message: text))
    }
  }

  /// What was prepared for a pod that is gone meanwhile.
  func discard(_ preparation: Preparation) {
    removeRoot(of: preparation.message.run)
    logs.post { [self] in _ = preparation.message.read(failed: false, containers: 1, files: messages, paths: paths) }
  }

  private func refill() {
    guard messages.isShort() else { return }
    logs.post { [messages] in messages.refill() }
  }
}

/// One run's output between the loop, which must not wait, and the disk, which may: a bounded queue.
final class LogQueue: Sendable {
  /// Bytes that may wait; a reader of the pipe pauses then.
  static let limit = 256 << 10
  private static let lossReason = "the node's disk did not take them in time"

  private struct State {
    var batch = LogBatch()
    var dropped: Int64 = 0
    var isBusy = false
    /// Somebody waits for room.
    var isFull = false
  }

  private let state = Mutex(State())
  private let file: Mutex<LogFile>
  private let thread: WorkerThread
  private let room: @Sendable () -> Void

  /// `room` is called on the thread, after `append` has said that there is none.
  init(file: sending LogFile, thread: WorkerThread, room: @escaping @Sendable () -> Void) {
    self.file = Mutex(file)
    self.thread = thread
    self.room = room
  }

  var hasRoom: Bool { state.withLock { $0.batch.bytes.count < Self.limit } }

  /// Takes bytes from the pipe, stamped `wall` (nanoseconds since 1970); false: there is no room for more.
  func append(_ bytes: UnsafeRawBufferPointer, wall: Int64) -> Bool {
    state.withLock { state in
      state.batch.add(bytes, wall: wall)
      begin(&state)
      state.isFull = state.batch.bytes.count >= Self.limit
      return !state.isFull
    }
  }

  /// Counts bytes that found no room for too long; a note in the log tells of them.
  func drop(_ count: Int64) {
    state.withLock { state in
      state.dropped += count
      begin(&state)
    }
  }

  /// Writes what waits and closes the file, then calls `then` on the thread; with false where the disk did not take all
  /// of it, or of the note of what is lost.
  func close(_ then: @escaping @Sendable (Bool) -> Void) { thread.post { [self] in then(settle()) } }

  /// The same, on the thread.
  func settle() -> Bool { file.withLock { $0.close() } }

  private func begin(_ state: inout State) {
    guard !state.isBusy else { return }
    state.isBusy = true
    thread.post { [self] in writeOut() }
  }

  private func writeOut() {
    let (batch, dropped, wasFull) = state.withLock { state -> (LogBatch, Int64, Bool) in
      defer { state = State() }
      return (state.batch, state.dropped, state.isFull)
    }
    if wasFull { room() }
    file.withLock { file in
      if !batch.isEmpty { file.write(batch) }
      if dropped > 0 { file.lose(dropped, Self.lossReason) }
    }
  }
}
