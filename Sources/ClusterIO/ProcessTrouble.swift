// Owns: why a process that somebody waits for does not end or answer, as /proc shows it: it was killed and is held in
// the kernel, or a thread of it waits there for a disk. Reads only; it must not know what the process is for.

import Glibc
import Synchronization

/// What keeps a process.
package struct ProcessTrouble: Equatable, Sendable {
  /// A thread that waits in the kernel as no signal ends it (state D).
  package struct Wait: Equatable, Sendable {
    /// The thread's id.
    package let thread: Int32
    /// Its name.
    package let name: String
    /// The kernel's function in which it waits; empty where that is not ours to read.
    package let place: String
  }

  /// It was killed, or is on its way out: no instruction of its program runs any more.
  package let isDying: Bool
  /// Threads that wait for a disk, the first few.
  package let waits: [Wait]

  /// What to do about a disk that holds a process.
  package static let advice =
    "let that disk or mount answer again (thaw it, bring its server back, umount -f), or restart the machine"

  private static let named = 3
  private static let looked = 1_024

  /// Looks; nil where nothing is wrong with it, or there is no such process.
  package static func read(pid: Int32) -> ProcessTrouble? {
    guard pid > 0, let fields = ProcessIdentity.fields(pid: pid) else { return nil }
    let isDying = isDying(pid, fields)
    var waits: [Wait] = []
    for entry in ((try? Files.list("/proc/\(pid)/task")) ?? []).prefix(looked) where waits.count < named {
      guard let thread = Int32(entry), let wait = wait(pid, thread) else { continue }
      waits.append(wait)
    }
    return isDying || !waits.isEmpty ? ProcessTrouble(isDying: isDying, waits: waits) : nil
  }

  /// Whether that very process has ended, or was killed and will do nothing more, though its threads may be left.
  package static func isOver(_ process: ProcessIdentity) -> Bool {
    guard process.isAlive, let fields = ProcessIdentity.fields(pid: process.pid) else { return true }
    return isDying(process.pid, fields)
  }

  /// The calling process' first thread, where it waits for a disk.
  package static func ownWait() -> Wait? { wait(getpid(), getpid()) }

  /// Behind the name of the process.
  package var words: String {
    guard let first = waits.first else { return "was killed and is not gone yet" }
    let place = first.place.isEmpty ? "" : ", in \(first.place)"
    let more = waits.count > 1 ? ", and others of it" : ""
    let wait =
      "its thread \(first.thread) (\(first.name)) waits in the kernel (state D\(place))\(more), as for a disk or mount "
      + "that does not answer"
    return isDying ? "was killed but cannot end: \(wait)" : "does not get on: \(wait)"
  }

  private static func wait(_ pid: Int32, _ thread: Int32) -> Wait? {
    let path = "/proc/\(pid)/task/\(thread)"
    guard let text = try? Files.readLine("\(path)/stat"), let end = text.lastIndex(of: ")"),
      text[text.index(after: end)...].split(separator: " ").first == "D"
    else { return nil }
    let place = (try? Files.readLine("\(path)/wchan")) ?? ""
    return Wait(thread: thread, name: (try? Files.readLine("\(path)/comm")) ?? "", place: place == "0" ? "" : place)
  }

  /// A first thread that has ended while others are left, one on its way out (PF_EXITING), or SIGKILL on its way to it.
  private static func isDying(_ pid: Int32, _ fields: [Substring]) -> Bool {
    guard fields.count > 6 else { return true }
    if fields[0] == "Z" || fields[0] == "X" { return true }
    if let flags = UInt64(fields[6]), flags & 0x4 != 0 { return true }
    guard let status = try? Files.readLine("/proc/\(pid)/status") else { return false }
    return status.split(separator: "\n").contains { line in
      guard line.hasPrefix("SigPnd:") || line.hasPrefix("ShdPnd:") else { return false }
      let digits = line.dropFirst(7).drop(while: \.isWhitespace)
      return UInt64(digits, radix: 16).map { $0 & 1 << UInt64(SIGKILL - 1) != 0 } ?? false
    }
  }
}

/// Says what is waited for while the process' first thread stands in the kernel for longer than a few seconds: whoever
/// touches a disk that does not answer says nothing by itself.
package final class DiskNotice: Sendable {
  private let thread: WorkerThread?
  private let isOver = Mutex(false)
  private static let lookMilliseconds: Int32 = 250
  private static let patienceMilliseconds: Int64 = 3_000
  private static let repeatMilliseconds: Int64 = 60_000

  /// Begins to look. `say` is called on a thread of its own, with what stands behind "waiting".
  package init(say: @escaping @Sendable (String) -> Void) {
    thread = try? WorkerThread(name: "stint-notice")
    thread?.post { [weak self] in
      var since: Int64?
      var said: Int64?
      while let self, !self.isOver.withLock({ $0 }) {
        poll(nil, 0, Self.lookMilliseconds)
        guard let wait = ProcessTrouble.ownWait() else {
          since = nil
          continue
        }
        let now = Clocks.boot() / 1_000_000
        let first = since ?? now
        since = first
        guard now - first >= Self.patienceMilliseconds, said.map({ now - $0 >= Self.repeatMilliseconds }) ?? true else {
          continue
        }
        said = now
        let place = wait.place.isEmpty ? "" : ", in \(wait.place)"
        say("for \((now - first) / 1_000) s in the kernel (state D\(place)), where no signal ends it")
      }
    }
  }

  /// What may take long is over.
  package func end() { isOver.withLock { $0 = true } }
}
