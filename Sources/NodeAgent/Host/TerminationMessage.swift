// What a container leaves for its end: a file of the node's at its terminationMessagePath, read when the run is over;
// or the end of its log. kubelet's rules and sizes. Knows nothing of states and restarts.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc
import Synchronization

/// The keeper's files for termination messages, an empty one for each run. They are used again: nearly all runs leave
/// no message, and making a file for each would cost a pod more than its mount. Some are made ahead, so that a start
/// usually needs none made.
final class TerminationFiles: Sendable {
  static let usualPath = "/dev/termination-log"
  private static let spares = 32

  private struct State {
    var free: [String] = []
    var count = 0
    var isRefilling = false
  }

  private let directory: String
  private let state = Mutex(State())
  /// Whether the usual path can be mounted on.
  private let hasUsualPath: Bool

  /// For a keeper's start, when no pod of a former one lives: none of its files stays. Makes an empty file at the usual
  /// path where it may; /dev is in memory, so that it does not outlive the machine's run, and a container that writes
  /// there would make the very same one.
  init(_ paths: NodePaths) throws(IOError) {
    directory = paths.messages
    do throws(IOError) { try Files.removeTree(directory) } catch { HostLog.line("keeper: \(error)") }
    try Files.makeDirectory(directory)
    let descriptor = open(Self.usualPath, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o644)
    if descriptor >= 0 { close(descriptor) }
    let facts = try? Files.status(Self.usualPath, followLinks: false)
    hasUsualPath = facts.map { $0.mode & UInt32(S_IFMT) == UInt32(S_IFREG) } ?? false
    refill()
  }

  /// Whether a file can be mounted where the container wants to leave its message. Without root the usual path may be
  /// missing: a /dev of the container's own for it alone would cost more than it gives.
  func isUsable(_ container: PodPlan.Container) -> Bool {
    let target = container.terminationMessagePath
    return target.hasPrefix("/") && (container.root != nil || target != Self.usualPath || hasUsualPath)
  }

  /// An empty file that was made ahead; nil: there is none, or none is wanted. Looks at no disk.
  func spare(for container: PodPlan.Container) -> String? {
    isUsable(container) ? state.withLock { $0.free.popLast() } : nil
  }

  /// An empty file that whoever the pod runs as may write; nil when none is wanted.
  func take(for container: PodPlan.Container) throws(IOError) -> String? {
    guard isUsable(container) else { return nil }
    if let spare = spare(for: container) { return spare }
    return try make()
  }

  /// Takes back a file that no process has any more; one that was written goes, and one that its container has marked
  /// so that the next could not write there.
  func giveBack(_ path: String, isEmpty: Bool) {
    if isEmpty, Files.unmark(path) { return state.withLock { $0.free.append(path) } }
    do throws(IOError) { try Files.removeTree(path) } catch { HostLog.line("keeper: \(error)") }
  }

  /// Whether files have to be made ahead; said once until that is done.
  func isShort() -> Bool {
    state.withLock { state in
      guard state.free.count < Self.spares / 2, !state.isRefilling else { return false }
      state.isRefilling = true
      return true
    }
  }

  func refill() {
    while state.withLock({ $0.free.count }) < Self.spares, let path = try? make() {
      giveBack(path, isEmpty: true)
    }
    state.withLock { $0.isRefilling = false }
  }

  private func make() throws(IOError) -> String {
    var path = ""
    var descriptor: Int32 = -1
    // A former keeper's that could not be removed has its number.
    repeat {
      let number = state.withLock { state in
        state.count += 1
        return state.count
      }
      path = "\(directory)/\(number)"
      descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o666)
    } while descriptor < 0 && errno == EEXIST
    guard descriptor >= 0 else { throw IOError.last("make the termination message's file", path) }
    fchmod(descriptor, 0o666)
    close(descriptor)
    return path
  }
}

/// The termination message of one run.
struct TerminationMessage: Sendable {
  private static let limit = 4_096
  /// Of all containers of a pod together.
  private static let podLimit = 12 * 1_024
  private static let logLimit = 2_048
  private static let logLines: Int64 = 80

  let run: ContainerRun
  private let container: PodPlan.Container
  private let path: String?

  /// `path`: a file of `TerminationFiles`; nil: the container leaves no message there.
  init(_ run: ContainerRun, _ container: PodPlan.Container, path: String?) {
    self.run = run
    self.container = container
    self.path = path
  }

  /// The container with the message's file among its mounts.
  var mounted: PodPlan.Container {
    guard let path else { return container }
    var result = container
    result.mounts.append(
      PodPlan.Mount(source: path, subPath: nil, path: container.terminationMessagePath, readOnly: false))
    return result
  }

  /// The one mount of a container that has no others, which needs no look at the host; nil: MountPlan decides.
  var soleMount: MountOperation? {
    guard let path, container.terminationMessagePath == TerminationFiles.usualPath,
      container.workingDirectory == "/" || (try? Files.status(container.workingDirectory))?.isDirectory == true
    else { return nil }
    return .bind(source: path, below: "", destination: TerminationFiles.usualPath, readOnly: false)
  }

  /// Reads the message of a run whose processes are gone, and gives the file back. May wait for the disk. `containers`:
  /// of the pod.
  func read(failed: Bool, containers: Int, files: TerminationFiles, paths: NodePaths) -> String {
    var bytes: [UInt8] = []
    if let path {
      bytes = Files.readEnd(path, limit: Self.limit) ?? []
      files.giveBack(path, isEmpty: bytes.isEmpty)
    }
    if bytes.isEmpty, failed, container.fallsBackToLogs { bytes = logEnd(paths) }
    return String(decoding: bytes.prefix(Self.podLimit / max(1, containers)), as: UTF8.self)
  }

  private func logEnd(_ paths: NodePaths) -> [UInt8] {
    let request = LogRequest(stream: "", attempt: run.attempt, container: container.name, tailLines: Self.logLines)
    guard let log = try? LogReader(request, paths: paths, now: WallTime(nanoseconds: Clocks.now().wall)),
      log.restart == run.restart
    else { return [] }
    var bytes: [UInt8] = []
    while true {
      let next = log.next()
      if next.isEmpty { return bytes }
      bytes = (bytes + next).suffix(Self.logLimit)
    }
  }
}
