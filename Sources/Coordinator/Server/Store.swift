// Owns: the coordinator's durable rows: one SQLite file in the data directory, one transaction at a time on a thread
// of its own. It must not know what rows mean, nor when the loop may send what depends on them (TurnQueue).

import CSQLite
import ClusterIO
import ClusterProto
import CoordinatorCore
import Glibc
import Synchronization

/// The store of one coordinator. Opening takes the directory's lock; `close` or the end of the process gives it up.
package final class Store {
  /// What became of one `commit`, in order.
  package typealias Outcome = Result<Void, StoreError>

  /// Schema written by this version; files with a higher one are refused.
  package static let schemaVersion: Int64 = 3
  /// SQLite's application_id of our files: "Stnt".
  package static let applicationID: Int64 = 0x5374_6e74

  /// Outcomes for the loop, one a `commit`.
  package let outcomes: Mailbox<Outcome>
  /// The SQLite file.
  package let path: String

  private let lock: FileLock
  private let worker: WorkerThread
  private let shared: Shared
  private let reserve: StoreReserve
  private let beforeCommit: @Sendable () -> Void

  /// Says that the store is served from here; for the first transaction.
  package let originRow: StoreWrite

  /// What was lost with the operator's consent at this start, for the log.
  package let losses: [String]

  /// A checkpoint is made when the log has so many pages.
  private static let checkpointPages: Int32 = 1_000

  /// What a transaction needs, for whichever thread uses it: the loop's at start and end, the worker's between.
  private struct Open {
    let database: Database
    let mark: StoreMark
    var ledger: StoreLedger
    /// Of the start, until somebody takes them.
    var rows: [StoreRow]?
    /// Nothing acknowledged is in the write-ahead log alone.
    var isFolded = true

    /// What the mark has to say.
    var content: StoreMark.Content { StoreMark.Content(store: ledger.store, commits: ledger.commits) }
  }

  private final class Shared: Sendable {
    let files: Mutex<Open>
    init(_ files: sending Open) { self.files = Mutex(files) }
  }

  /// Opens the store of `directory` (made with mode 0700 if absent): takes the lock, checks version, integrity and
  /// that nothing acknowledged is missing, checkpoints and syncs. `hasIdentity`: the directory holds something else
  /// of a cluster, so a store must be there. `acceptsLoss`: start with less if it must be. `isMoved`: also where it
  /// was not served from last. `beforeCommit` runs on the
  /// store's thread ahead of each transaction, so that a test can hold it. Errors say what to do.
  package init(
    directory: String, hasIdentity: Bool = false, acceptsLoss: Bool = false, isMoved: Bool = false,
    beforeCommit: @escaping @Sendable () -> Void = {}
  ) throws(StoreError) {
    let path = "\(directory)/stint.db"
    self.path = path
    self.beforeCommit = beforeCommit
    lock = try Store.lock(directory)
    var expected = StoreOpening.Expectation(
      directory: directory, mark: acceptsLoss ? try? StoreMark.read(directory) : try StoreMark.read(directory),
      hasIdentity: hasIdentity, acceptsLoss: acceptsLoss)
    // Before SQLite looks: beside an empty file it deletes the log.
    if (try? Files.status(path).size) ?? 0 == 0 { try expected.refuseNothing() }
    do throws(IOError) {
      // SQLite gives its other files the mode of this one.
      let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
      guard descriptor >= 0 else { throw IOError.last("open", path) }
      Glibc.close(descriptor)
      let origin = try StoreOrigin(directory: directory, database: path)
      originRow = origin.row
      if !isMoved { expected.origin = origin }
      outcomes = try Mailbox<Outcome>()
      worker = try WorkerThread(name: "stint-store")
    } catch {
      throw Store.unusable(directory, error)
    }
    reserve = StoreReserve(directory: directory)
    let database = try Database(path: path)
    var opening: StoreOpening?
    try Store.withReserve(reserve, atStart: true) { () throws(StoreError) in
      opening = try StoreOpening.open(database, expected)
      try Store.configure(database, path: path)
    }
    guard let opening else { throw StoreError("\(path) was not opened") }
    reserve.make()
    // A start that found no use for its own reserve leaves it to the deletes that come.
    if !Files.exists(reserve.path) { _ = reserve.giveUp(atStart: true) }
    let mark: StoreMark
    do throws(IOError) {
      mark = try StoreMark(directory: directory, opening.mark)
      try Files.syncDirectory(directory)
    } catch {
      throw Store.unusable(directory, error)
    }
    losses = opening.losses
    shared = Shared(Open(database: database, mark: mark, ledger: opening.ledger, rows: opening.rows))
  }

  /// All rows, table by table.
  package func load() throws(StoreError) -> [StoreRow] {
    let path = path
    let result = shared.files.withLock { files -> Result<[StoreRow], StoreError> in
      if let rows = files.rows {
        files.rows = nil
        return .success(rows)
      }
      do throws(StoreError) {
        let (rows, _, problems) = try StoreLedger.readRows(files.database, expecting: files.ledger)
        if let problem = problems.first { throw Database.damaged(path: path, detail: problem) }
        return .success(rows)
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  /// Writes all of `writes` or none, durably, on the store's thread; the outcome is posted to `outcomes`. A full disk
  /// costs the reserve first. After a failure the process must stop: what memory says is ahead of the disk.
  package func commit(_ writes: [StoreWrite]) {
    worker.post { [shared, outcomes, beforeCommit, reserve] in
      beforeCommit()
      let outcome = shared.files.withLock { files -> Outcome in
        files.rows = nil
        do throws(StoreError) {
          try Store.withReserve(reserve) { () throws(StoreError) in try Store.writeOrFold(writes, &files) }
          return .success(())
        } catch {
          return .failure(error)
        }
      }
      outcomes.post(outcome)
    }
  }

  /// Sets the reserve aside again, where it was given up and the disk has room: on the store's thread.
  package func restoreReserve() { worker.post { [reserve] in reserve.make() } }

  /// Runs `work`; where the disk is full, once more on the reserve's space.
  private static func withReserve(
    _ reserve: StoreReserve, atStart: Bool = false, _ work: () throws(StoreError) -> Void
  ) throws(StoreError) {
    do throws(StoreError) {
      try work()
    } catch {
      guard error.code == SQLITE_FULL, reserve.giveUp(atStart: atStart) else { throw error }
      try work()
    }
  }

  /// Waits for what was posted, but not longer than that, folds the write-ahead log into the file, gives the lock up.
  /// False: the disk still holds a transaction up, and everything is left as it is.
  @discardableResult
  package func close(milliseconds: Int64 = 60_000) -> Bool {
    guard worker.stop(milliseconds: milliseconds) else { return false }
    shared.files.withLock { files in
      // What fails here will be done at the next start.
      if (try? files.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")) != nil {
        try? files.mark.write(files.content, isDurable: true)
      }
      files.database.close()
    }
    lock.release()
    return true
  }

  /// Where the log finds no room to grow, folds it into the file and begins it anew: deletes need no more than that.
  private static func writeOrFold(_ writes: [StoreWrite], _ files: inout Open) throws(StoreError) {
    do throws(StoreError) {
      try write(writes, &files)
    } catch {
      guard error.code == SQLITE_FULL else { throw error }
      // Folding may find no room either; then the write says so again.
      try? files.database.execute("PRAGMA wal_checkpoint(RESTART)")
      files.isFolded = true
      try write(writes, &files)
    }
  }

  /// One transaction, then the mark, before anybody hears of it; and a checkpoint when the log is long.
  private static func write(_ writes: [StoreWrite], _ files: inout Open) throws(StoreError) {
    var ledger = files.ledger
    ledger.commits += 1
    let database = files.database
    try database.transaction { () throws(StoreError) in
      for write in writes { try ledger.apply(write, to: database) }
      try ledger.save(database)
    }
    files.ledger = ledger
    do throws(IOError) {
      try files.mark.write(files.content, isDurable: files.isFolded)
    } catch {
      throw StoreError("writing the mark beside the store failed (\(error)): check the disk, then start again")
    }
    files.isFolded = false
    guard database.logPages >= checkpointPages else { return }
    // One that fails is tried again after the next transaction; nothing depends on it.
    try? database.execute("PRAGMA wal_checkpoint(PASSIVE)")
    files.isFolded = true
  }

  private static func lock(_ directory: String) throws(StoreError) -> FileLock {
    do throws(IOError) {
      try Files.makeDirectory(directory, mode: 0o700)
      return try FileLock(path: "\(directory)/lock")
    } catch {
      guard error.code == EWOULDBLOCK else { throw unusable(directory, error) }
      throw StoreError(
        "another coordinator is using \(directory) (\(error.message)): stop it first, or give this one another --data")
    }
  }

  private static func unusable(_ directory: String, _ error: IOError) -> StoreError {
    let full = error.code == ENOSPC || error.code == EDQUOT
    return StoreError(
      "the data directory \(directory) cannot be used (\(error)): "
        + (full ? "the disk is full, free some space" : "give the coordinator a directory that it may write to"))
  }

  /// The settings, then everything of an earlier run onto the disk.
  private static func configure(_ database: Database, path: String) throws(StoreError) {
    guard try database.text("PRAGMA journal_mode = WAL") == "wal" else {
      throw StoreError("the file system of \(path) cannot hold a write-ahead log: put --data on a local disk")
    }
    try database.execute("PRAGMA journal_size_limit = 67108864")
    try database.execute("PRAGMA synchronous = FULL")
    try database.execute("PRAGMA cell_size_check = ON")
    // Else a delete writes zeros over all that it frees, and so needs as much space as it gives.
    try database.execute("PRAGMA secure_delete = FAST")
    try database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
  }
}
