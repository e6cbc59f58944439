// The agent's writes to its data directory, whether the disk takes them and how much room it has: on a thread that it
// may hold up for as long as it likes. Decides nothing: the core judges how long an answer may take, and how much is
// enough.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc
import Synchronization

/// The data directory's disk, for the agent.
final class DiskProbe: Sendable {
  typealias Answer = (number: Int64, room: DiskRoom?)

  private let path: String
  private let directory: String
  private let thread: WorkerThread
  private let answers: Mailbox<Answer>
  private let memory: Mutex<AgentMemory>

  init(paths: NodePaths, memory: AgentMemory) throws(IOError) {
    path = paths.probe
    directory = paths.data
    thread = try WorkerThread(name: "stint-disk")
    answers = try Mailbox()
    self.memory = Mutex(memory)
  }

  /// Hands the answers to probes to `handler` on the loop.
  func attach(to loop: EventLoop, _ handler: @escaping (Answer) -> Void) throws(IOError) {
    try loop.attach(answers) { answers in for answer in answers { handler(answer) } }
  }

  /// Between two tries of a disk that fails.
  private static let pauseMicroseconds: UInt32 = 200_000

  /// Writes a byte; not synced: what is asked is whether who writes is held up. Then looks how much room there is. A
  /// disk that fails or takes no writes any more has not answered: it is asked again until it does.
  func probe(_ number: Int64) {
    thread.post { [weak self] in self?.ask(number) }
  }

  private func ask(_ number: Int64) {
    guard Self.takesWrites(path) else {
      usleep(Self.pauseMicroseconds)
      return probe(number)
    }
    answers.post((number, Self.room(directory)))
  }

  /// False: it fails, is read-only (as a file system makes itself after an error) or gone. That it is full is the
  /// room's to say, that the directory is gone somebody else's.
  static func takesWrites(_ path: String) -> Bool {
    var code: Int32 = 0
    do throws(IOError) {
      let descriptor = try Files.openToWrite(path, O_WRONLY | O_CREAT | O_NOFOLLOW)
      defer { close(descriptor) }
      var byte: UInt8 = 10
      if pwrite(descriptor, &byte, 1, 0) < 0 { code = errno }
    } catch { code = error.code }
    return ![EIO, EROFS, ENODEV, ENXIO, ESHUTDOWN].contains(code)
  }

  static func room(_ directory: String) -> DiskRoom? {
    guard let space = try? Files.space(directory) else { return nil }
    let inodes = (try? Files.inodes(directory)) ?? (available: 0, total: 0)
    return DiskRoom(
      availableBytes: space.available, totalBytes: space.total, availableInodes: inodes.available,
      totalInodes: inodes.total)
  }

  func remember(pressures: Set<NodePressure>) {
    thread.post { [self] in memory.withLock { $0.remember(pressures: pressures) } }
  }

  func remember(incarnation: Int64, mark: String, cluster: String) {
    thread.post { [self] in
      memory.withLock { $0.remember(incarnation: incarnation, mark: mark, cluster: cluster) }
    }
  }
}
