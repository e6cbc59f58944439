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
  package static let schemaVersion: Int64 = 2
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

  /// The connection, for whichever thread uses it: the loop's at start and end, the worker's between.
  private final class Shared: Sendable {
    let database: Mutex<Database>
    init(_ database: sending Database) { self.database = Mutex(database) }
  }

  /// Opens the store of `directory` (made with mode 0700 if absent): takes the lock, checks version and integrity,
  /// checkpoints and syncs. `beforeCommit` runs on the store's thread ahead of each transaction, so that a test can
  /// hold it. Errors say what to do.
  package init(directory: String, beforeCommit: @escaping @Sendable () -> Void = {}) throws(StoreError) {
    path = "\(directory)/stint.db"
    self.beforeCommit = beforeCommit
    lock = try Store.lock(directory)
    do throws(IOError) {
      // SQLite gives its other files the mode of this one.
      let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
      guard descriptor >= 0 else { throw IOError.last("open", path) }
      Glibc.close(descriptor)
      outcomes = try Mailbox<Outcome>()
      worker = try WorkerThread(name: "stint-store")
    } catch {
      throw Store.unusable(directory, error)
    }
    reserve = StoreReserve(directory: directory)
    let opened = try Database(path: path)
    let file = path
    try Store.withReserve(reserve, atStart: true) { () throws(StoreError) in try Store.prepare(opened, path: file) }
    reserve.make()
    do throws(IOError) { try Files.syncDirectory(directory) } catch { throw Store.unusable(directory, error) }
    shared = Shared(opened)
  }

  /// All rows, table by table.
  package func load() throws(StoreError) -> [StoreRow] {
    let result = shared.database.withLock { database -> Result<[StoreRow], StoreError> in
      var rows: [StoreRow] = []
      do throws(StoreError) {
        for table in StoreTable.allCases {
          try database.rows("SELECT key, value FROM \(table.rawValue)") { row in
            rows.append(StoreRow(table: table, key: row.text(0), value: row.blob(1)))
          }
        }
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
      let outcome = shared.database.withLock { database -> Outcome in
        do throws(StoreError) {
          try Store.withReserve(reserve) { () throws(StoreError) in try Store.writeOrFold(writes, database) }
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

  /// Waits for what was posted, folds the write-ahead log into the file and gives the lock up.
  package func close() {
    worker.stop()
    shared.database.withLock { database in
      // Closing folds the log in by itself; what fails here will be done at the next start.
      try? database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
      database.close()
    }
    lock.release()
  }

  /// Where the log finds no room to grow, folds it into the file and begins it anew: deletes need no more than that.
  private static func writeOrFold(_ writes: [StoreWrite], _ database: Database) throws(StoreError) {
    do throws(StoreError) {
      try write(writes, database)
    } catch {
      guard error.code == SQLITE_FULL else { throw error }
      // Folding may find no room either; then the write says so again.
      try? database.execute("PRAGMA wal_checkpoint(RESTART)")
      try write(writes, database)
    }
  }

  private static func write(_ writes: [StoreWrite], _ database: Database) throws(StoreError) {
    do throws(StoreError) {
      try database.execute("BEGIN IMMEDIATE")
      for write in writes {
        if let value = write.value {
          try database.run(
            "INSERT INTO \(write.table.rawValue) (key, value) VALUES (?1, ?2) "
              + "ON CONFLICT (key) DO UPDATE SET value = excluded.value", key: write.key, value: value)
        } else {
          try database.run("DELETE FROM \(write.table.rawValue) WHERE key = ?1", key: write.key, value: nil)
        }
      }
      try database.execute("COMMIT")
    } catch {
      if database.isInTransaction { try? database.execute("ROLLBACK") }
      throw error
    }
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

  /// Version and integrity, then the settings and tables, then everything of an earlier run onto the disk.
  private static func prepare(_ database: Database, path: String) throws(StoreError) {
    // New is also a file that a crash left between its first page and its tables.
    let owner = try database.number("PRAGMA application_id")
    let tables = try database.number("SELECT count(*) FROM sqlite_schema")
    let isNew = owner == 0 && tables == 0
    if !isNew { try check(database, path: path) }
    guard try database.text("PRAGMA journal_mode = WAL") == "wal" else {
      throw StoreError("the file system of \(path) cannot hold a write-ahead log: put --data on a local disk")
    }
    try database.execute("PRAGMA journal_size_limit = 67108864")
    try database.execute("PRAGMA synchronous = FULL")
    try database.execute("PRAGMA cell_size_check = ON")
    // Else a delete writes zeros over all that it frees, and so needs as much space as it gives.
    try database.execute("PRAGMA secure_delete = FAST")
    try database.execute("BEGIN IMMEDIATE")
    for table in StoreTable.allCases {
      try database.execute(
        "CREATE TABLE IF NOT EXISTS \(table.rawValue) (key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL)")
    }
    if isNew {
      try database.execute("PRAGMA application_id = \(applicationID)")
    } else {
      try StoreMigration.run(database, from: try database.number("PRAGMA user_version"))
    }
    try database.execute("PRAGMA user_version = \(schemaVersion)")
    try database.execute("COMMIT")
    try database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
  }

  private static func check(_ database: Database, path: String) throws(StoreError) {
    guard try database.number("PRAGMA application_id") == applicationID else {
      throw StoreError("\(path) is not a coordinator's store: give the coordinator another --data")
    }
    let version = try database.number("PRAGMA user_version")
    guard version <= schemaVersion else {
      throw StoreError(
        "\(path) was written by a newer stint (schema \(version), this one knows \(schemaVersion)): "
          + "run that version again, or restore a backup made before the upgrade")
    }
    let verdict = try database.text("PRAGMA quick_check(1)") ?? "no answer"
    guard verdict == "ok" else { throw Database.damaged(path: path, detail: verdict) }
  }
}
