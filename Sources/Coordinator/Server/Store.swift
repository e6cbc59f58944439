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
  /// What became of one `commit`, in order; with the room that the disk had after it, where that can be told.
  package typealias Outcome = Result<DiskSpace?, StoreError>

  /// Schema written by this version; files with a higher one are refused.
  package static let schemaVersion: Int64 = 3
  /// SQLite's application_id of our files: "Stnt".
  package static let applicationID: Int64 = 0x5374_6e74

  /// Outcomes for the loop, one a `commit`.
  package let outcomes: Mailbox<Outcome>
  /// The disk is full and the reserve was given up, said before the transaction that needs it is over.
  package let reserveUses: Mailbox<Void>
  /// The SQLite file.
  package let path: String

  private let lock: FileLock
  /// Of the database itself, which does not go when somebody removes the file that is there for the lock alone.
  /// SQLite's own locks are of another kind (fcntl), between its connections.
  private let content: FileLock
  private let worker: WorkerThread
  private let shared: Shared
  private let reserve: StoreReserve
  private let directory: String
  private let beforeCommit: @Sendable () -> Void

  /// Says that the store is served from here; for the first transaction.
  package let originRow: StoreWrite

  /// What was lost with the operator's consent at this start, for the log.
  package let losses: [String]

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
    /// Apart, so that whoever asks waits for no transaction.
    let reusable: Mutex<UInt64>
    init(_ files: sending Open) {
      reusable = Mutex(Store.reusable(files.database))
      self.files = Mutex(files)
    }
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
    self.directory = directory
    self.beforeCommit = beforeCommit
    lock = try Store.lock(directory)
    try StoreRestore.refuseHalfDone(directory)
    var expected = StoreOpening.Expectation(
      directory: directory, mark: acceptsLoss ? try? StoreMark.read(directory) : try StoreMark.read(directory),
      hasIdentity: hasIdentity, acceptsLoss: acceptsLoss)
    // Before SQLite looks: beside an empty file it deletes the log.
    if (try? Files.status(path).size) ?? 0 == 0 { try expected.refuseNothing() }
    do throws(IOError) {
      // SQLite gives its other files the mode of this one.
      content = try FileLock(path: path) { DataDirectory(path: directory).announcedPID() ?? "" }
      let origin = try StoreOrigin(directory: directory, database: path)
      originRow = origin.row
      if !isMoved { expected.origin = origin }
      outcomes = try Mailbox<Outcome>()
      reserveUses = try Mailbox<Void>()
      worker = try WorkerThread(name: "stint-store")
    } catch {
      throw error.code == EWOULDBLOCK ? Store.used(directory, error) : Store.unusable(directory, error)
    }
    reserve = StoreReserve(directory: directory)
    let (database, opening) = try Store.openChecked(path, expected, reserve)
    reserve.make()
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
    worker.post { [shared, outcomes, reserveUses, beforeCommit, reserve, directory] in
      beforeCommit()
      let outcome = shared.files.withLock { files -> Outcome in
        files.rows = nil
        do throws(StoreError) {
          try Store.withReserve(reserve, uses: reserveUses) { () throws(StoreError) in
            try Store.writeOrFold(writes, &files)
          }
          Store.foldIfLong(&files, reserve, reserveUses)
          let reusable = Store.reusable(files.database)
          shared.reusable.withLock { $0 = reusable }
          return .success(DiskSpace.look(directory))
        } catch {
          return .failure(error)
        }
      }
      outcomes.post(outcome)
    }
  }

  /// Bytes within the file that hold no row, after the last commit: new rows go there first.
  var reusableBytes: UInt64 { shared.reusable.withLock { $0 } }

  /// Of pages that are wholly free.
  private static func reusable(_ database: Database) -> UInt64 {
    guard let pages = try? database.number("PRAGMA freelist_count"), let size = try? database.number("PRAGMA page_size")
    else { return 0 }
    return UInt64(clamping: pages.multipliedReportingOverflow(by: size).partialValue)
  }

  /// Sets the reserve aside again, where it was given up and the disk has room: on the store's thread.
  package func restoreReserve() { worker.post { [reserve] in reserve.make() } }

  /// Opens the file, checks it and folds the log in. A refusal leaves the files as they were: SQLite makes a log and
  /// its index beside a store that has lost them.
  private static func openChecked(
    _ path: String, _ expected: StoreOpening.Expectation, _ reserve: StoreReserve
  ) throws(StoreError) -> (Database, StoreOpening) {
    let absent = ["\(path)-wal", "\(path)-shm"].filter { !Files.exists($0) }
    let database = try Database(path: path)
    do throws(StoreError) {
      var opening: StoreOpening?
      try withReserve(reserve, uses: nil) { () throws(StoreError) in
        opening = try StoreOpening.open(database, expected)
        try configure(database, path: path)
      }
      try foldAtStart(database, reserve)
      guard let opening else { throw StoreError("\(path) was not opened") }
      return (database, opening)
    } catch {
      database.close()
      for file in absent where file.hasSuffix("-shm") || (try? Files.status(file).size) == 0 { unlink(file) }
      throw error
    }
  }

  /// Everything of an earlier run onto the disk. Where folding the log finds no room even on the reserve's space, it
  /// stays as it is, synced, and goes on in the blocks that its file has: a start on a full disk must serve deletes.
  private static func foldAtStart(_ database: Database, _ reserve: StoreReserve) throws(StoreError) {
    do throws(StoreError) {
      try withReserve(reserve, uses: nil) { () throws(StoreError) in
        try database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
      }
      reserve.keepLog()
    } catch {
      guard error.code == SQLITE_FULL, reserve.syncLog() else { throw error }
    }
  }

  /// Runs `work`; where the disk is full, again on the reserve's space, which `uses` hears of at once. At a start there
  /// is nobody to hear it, and the start's own reserve follows the other one.
  private static func withReserve(
    _ reserve: StoreReserve, uses: Mailbox<Void>?, _ work: () throws(StoreError) -> Void
  ) throws(StoreError) {
    while true {
      do throws(StoreError) {
        return try work()
      } catch {
        guard error.code == SQLITE_FULL, reserve.giveUp(atStart: uses == nil) else { throw error }
        uses?.post(())
      }
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
        reserve.keepLog()
        try? files.mark.write(files.content, isDurable: true)
      }
      files.database.close()
    }
    content.release()
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

  /// Keeps the log as short as a start on a full disk can take. A fold that fails is tried again after the next
  /// transaction; nothing depends on it.
  private static func foldIfLong(
    _ files: inout Open, _ reserve: StoreReserve, _ uses: Mailbox<Void>
  ) {
    let database = files.database
    guard database.logPages >= reserve.logPages else { return }
    try? withReserve(reserve, uses: uses) { () throws(StoreError) in
      try database.execute("PRAGMA wal_checkpoint(PASSIVE)")
    }
    files.isFolded = true
  }

  /// One transaction, then the mark, before anybody hears of it.
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
  }

  /// For whoever writes the store of `directory`, which is made with mode 0700 if it is not there.
  static func lock(_ directory: String) throws(StoreError) -> FileLock {
    do throws(IOError) {
      try Files.makeDirectory(directory, mode: 0o700)
      return try FileLock(path: "\(directory)/lock")
    } catch {
      throw error.code == EWOULDBLOCK ? used(directory, error) : unusable(directory, error)
    }
  }

  private static func used(_ directory: String, _ error: IOError) -> StoreError {
    StoreError(
      "another coordinator is using \(directory) (\(error.message)): stop it first, or give this one another --data")
  }

  private static func unusable(_ directory: String, _ error: IOError) -> StoreError {
    let full = error.code == ENOSPC || error.code == EDQUOT
    return StoreError(
      "the data directory \(directory) cannot be used (\(error)): "
        + (full ? "the disk is full, free some space" : "give the coordinator a directory that it may write to"))
  }

  /// The settings.
  private static func configure(_ database: Database, path: String) throws(StoreError) {
    guard try database.text("PRAGMA journal_mode = WAL") == "wal" else {
      throw StoreError("the file system of \(path) cannot hold a write-ahead log: put --data on a local disk")
    }
    try database.execute("PRAGMA journal_size_limit = 67108864")
    try database.execute("PRAGMA synchronous = FULL")
    try database.execute("PRAGMA cell_size_check = ON")
    // Else a delete writes zeros over all that it frees, and so needs as much space as it gives.
    try database.execute("PRAGMA secure_delete = FAST")
  }
}
