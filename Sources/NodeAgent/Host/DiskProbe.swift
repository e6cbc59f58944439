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

  /// Writes a byte; not synced: what is asked is whether who writes is held up. Then looks how much room there is.
  func probe(_ number: Int64) {
    thread.post { [path, directory, answers] in
      if let descriptor = try? Files.openToWrite(path, O_WRONLY | O_CREAT | O_NOFOLLOW) {
        var byte: UInt8 = 10
        _ = pwrite(descriptor, &byte, 1, 0)
        close(descriptor)
      }
      answers.post((number, Self.room(directory)))
    }
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
