// The agent's writes to its data directory, and whether the disk takes them: on a thread that it may hold up for as
// long as it likes. Decides nothing: the core judges how long an answer may take.

import AgentCore
import ClusterIO
import Glibc
import Synchronization

/// The data directory's disk, for the agent.
final class DiskProbe: Sendable {
  private let path: String
  private let thread: WorkerThread
  private let answers: Mailbox<Int64>
  private let memory: Mutex<AgentMemory>

  init(paths: NodePaths, memory: AgentMemory) throws(IOError) {
    path = paths.probe
    thread = try WorkerThread(name: "stint-disk")
    answers = try Mailbox()
    self.memory = Mutex(memory)
  }

  /// Hands the numbers of answered probes to `handler` on the loop.
  func attach(to loop: EventLoop, _ handler: @escaping (Int64) -> Void) throws(IOError) {
    try loop.attach(answers) { numbers in for number in numbers { handler(number) } }
  }

  /// Writes a byte; not synced: what is asked is whether who writes is held up.
  func probe(_ number: Int64) {
    thread.post { [path, answers] in
      let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
      if descriptor >= 0 {
        var byte: UInt8 = 10
        _ = pwrite(descriptor, &byte, 1, 0)
        close(descriptor)
      }
      answers.post(number)
    }
  }

  func remember(incarnation: Int64, mark: String, cluster: String) {
    thread.post { [self] in
      memory.withLock { $0.remember(incarnation: incarnation, mark: mark, cluster: cluster) }
    }
  }
}
