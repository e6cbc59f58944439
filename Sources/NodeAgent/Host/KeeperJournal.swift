// The keeper's journal on disk: what its successor must know. A line of JSON a record. Written, not synced: it has to
// outlive the keeper, not the kernel; after a reboot nothing that it names can be alive.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc
import Synchronization

final class KeeperJournal {
  private let path: String
  private var file: AppendFile
  /// Bytes of whole lines in the file.
  private var length: Int64
  /// Records that a full disk refused; they go before the next ones.
  private var waiting: [UInt8] = []

  /// Opens the journal for appending, after what `records` (as `read` gave them) says: a torn end is cut off, so that
  /// what follows can be read.
  init(path: String, keeping records: [KeeperRecord]) throws(IOError) {
    self.path = path
    let known = Self.lines(records)
    do throws(IOError) {
      // What was too long or not to be read was not read before either.
      if Files.exists(path), (try? Files.read(path, limit: Self.limit)) != known { try Self.replace(path, known) }
      file = try AppendFile(path: path)
    } catch {
      throw error.advising(IOError.clearance)
    }
    length = file.size
  }

  /// A node's pods with the longest plans, several times.
  private static let limit = 256 << 20

  /// Appends; what cannot be written is kept and tried again with the next records. Gives the error, if any.
  func append(_ records: [KeeperRecord]) -> IOError? {
    let bytes = waiting + Self.lines(records)
    do throws(IOError) {
      try file.append(bytes)
      length += Int64(bytes.count)
      waiting = []
      return nil
    } catch {
      // A torn line would hide all that follows it.
      truncate(path, off_t(length))
      waiting = bytes
      return error
    }
  }

  /// Replaces the whole journal; the old one stays when that fails.
  func rewrite(_ records: [KeeperRecord]) throws(IOError) {
    try Self.replace(path, Self.lines(records))
    file.close()
    file = try AppendFile(path: path)
    length = file.size
    waiting = []
  }

  /// The records of an earlier keeper; a line that is torn or not understood ends them. All but a torn end is told.
  static func read(path: String) -> [KeeperRecord] {
    guard (try? Files.status(path, followLinks: false)) != nil else { return [] }
    let lost = "the ends of pods that it knew and that were not reported are forgotten, and those pods run again"
    let bytes: [UInt8]
    do throws(IOError) {
      bytes = try Files.read(path, limit: limit)
    } catch {
      HostLog.error("keeper: the journal cannot be used (\(error)): \(lost)")
      return []
    }
    var records: [KeeperRecord] = []
    let lines = bytes.split(separator: 10)
    for line in lines {
      guard let json = try? JSON(parsing: Array(line)), let record = try? KeeperRecord(json: json) else { break }
      records.append(record)
    }
    if records.count + 1 < lines.count || records.count < lines.count && bytes.last == 10 {
      HostLog.error("keeper: \(path) is damaged in line \(records.count + 1): from there on \(lost)")
    }
    return records
  }

  /// Whole or not at all for a reader after our death; not synced, as the rest of the journal.
  private static func replace(_ path: String, _ bytes: [UInt8]) throws(IOError) {
    let temporary = path + ".new"
    unlink(temporary)
    let file = try AppendFile(path: temporary)
    try file.append(bytes)
    file.close()
    guard rename(temporary, path) == 0 else { throw IOError.last("rename", temporary) }
  }

  private static func lines(_ records: [KeeperRecord]) -> [UInt8] {
    var bytes: [UInt8] = []
    for record in records {
      record.json.write(into: &bytes)
      bytes.append(10)
    }
    return bytes
  }
}

/// The journal on a thread of its own, which the disk may hold up for as long as it likes.
final class JournalWriter: Sendable {
  /// The outcome of one `append`.
  struct Outcome: Sendable {
    var number: Int64
    var error: String?
  }

  private let journal: Mutex<KeeperJournal>
  private let thread: WorkerThread
  private let outcomes: Mailbox<Outcome>

  init(_ journal: sending KeeperJournal) throws(IOError) {
    self.journal = Mutex(journal)
    thread = try WorkerThread(name: "stint-journal")
    outcomes = try Mailbox()
  }

  /// Hands outcomes to `handler` on the loop, in order.
  func attach(to loop: EventLoop, _ handler: @escaping (Outcome) -> Void) throws(IOError) {
    try loop.attach(outcomes) { outcomes in for outcome in outcomes { handler(outcome) } }
  }

  func append(_ records: [KeeperRecord], number: Int64) {
    thread.post { [self] in
      let error = journal.withLock { $0.append(records) }
      outcomes.post(Outcome(number: number, error: error?.description))
    }
  }

  func rewrite(_ records: [KeeperRecord]) {
    thread.post { [self] in
      let error = journal.withLock { journal -> IOError? in
        do throws(IOError) {
          try journal.rewrite(records)
          return nil
        } catch {
          return error
        }
      }
      if let error { HostLog.line("keeper: the journal cannot be shortened: \(error)") }
    }
  }

  /// Answers with `number` when all before is written, or never.
  func reach(_ number: Int64) { thread.post { [outcomes] in outcomes.post(Outcome(number: number)) } }
}
