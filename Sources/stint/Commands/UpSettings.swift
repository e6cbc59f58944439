// Owns: what `up` works out before it starts anything: each agent's share of the machine, the pauses before a restart,
// and which directories are its own to take away when it is refused. It must not start or end anything.

import ClusterIO
import ClusterProto
import Glibc

/// What each of several agents on one machine offers.
struct UpShare {
  /// `agent`'s flags for a share; none for the whole machine.
  static func flags(agents: Int, overcommit: Bool, _ machine: MachineFacts) -> [String] {
    guard agents > 1, !overcommit else { return [] }
    let processors = max(1, Int64(machine.processors) * 1_000 / Int64(agents))
    let memory = max(1, Int64(clamping: machine.memory) / Int64(agents))
    return ["--cpu", "\(processors)m", "--memory", "\(memory)"]
  }
}

/// When a program that ended by itself is started again: 1 s, 2 s, 4 s, … later; a while without an end forgives all.
struct RestartPacer {
  static let limit = 5
  static let forgiveness: Int64 = 60_000_000_000

  private(set) var count = 0
  private var startedAt: Int64

  init(startedAt: Int64) { self.startedAt = startedAt }

  /// It was started.
  mutating func started(at now: Int64) { startedAt = now }

  /// It ended: the pause before the next start, nanoseconds; nil: enough was tried.
  mutating func ended(at now: Int64) -> Int64? {
    if now - startedAt > Self.forgiveness { count = 0 }
    guard count < Self.limit else { return nil }
    count += 1
    return 1_000_000_000 << Int64(count - 1)
  }
}

/// What `up` makes in the file system before it knows that it may start.
struct UpDirectories {
  private let made: [String]
  private let lock: String?

  /// Looks, before anything is made, what of it is not there yet.
  init(data: String) {
    var missing: [String] = []
    var path = data
    while !Files.exists(path) {
      missing.append(path)
      let parent = PathText.split(path).parent
      if parent == path { break }
      path = parent
    }
    if !Files.exists("\(data)/logs") { missing.insert("\(data)/logs", at: 0) }
    made = missing
    lock = Files.exists("\(data)/up.lock") ? nil : "\(data)/up.lock"
  }

  /// Takes away what was made; what holds anything else by now stays.
  func undo() {
    if let lock { unlink(lock) }
    for path in made { rmdir(path) }
  }
}
