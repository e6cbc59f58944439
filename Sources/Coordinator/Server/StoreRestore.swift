// Owns: how a backup becomes a data directory (C4): what is checked of the file before anything is written, and an
// order of writing in which a crash leaves nothing that a coordinator would start on. It must not know what rows mean,
// but for the one that has the next start open an epoch.

import CSQLite
import ClusterIO
import ClusterProto
import CoordinatorCore
import Glibc

/// Makes a data directory of a backup.
package enum StoreRestore {
  /// Is there while a restore is under way.
  static let sign = "restoring"
  /// The same before its name is durable.
  private static let signs = [sign, "\(sign).new"]
  private static let remains = ["stint.db.restoring", "stint.db", "store.mark.new"]
  /// What may be in a directory that counts as empty: a lock that a start has left, and what a file system has.
  private static let nothing: Set<String> = ["lock", "lost+found"]

  /// Why no coordinator may start there: a restore was cut short. What it has begun is as good as a mark that the
  /// directory is a cluster's, from its first file on.
  static func refuseHalfDone(_ directory: String) throws(StoreError) {
    guard signs.contains(where: { Files.exists("\(directory)/\($0)") }), !Files.exists(StoreMark.path(directory)) else {
      return
    }
    throw StoreError(
      "a restore into \(directory) was cut short: run it again (stint restore FILE --data \(directory)). To begin with "
        + "an empty cluster instead, move the directory away (mv \(directory) \(directory).old)")
  }

  private struct Content {
    var rows: [StoreRow]
    var identities: [StoreBackup.Identity]
    var summary: BackupSummary
  }

  /// Writes the backup `file` into `directory`, which must be empty or not be there. The next start on it opens an
  /// epoch above all numbers.
  package static func restore(_ file: String, into directory: String) throws(StoreError) -> BackupSummary {
    let content = try read(file)
    if let reason = obstacle(directory) { throw StoreError(reason) }
    // Before the lock: a directory that holds a lock alone is one to begin a new cluster in.
    do throws(IOError) {
      try begin(directory)
    } catch {
      throw failed(directory, error)
    }
    let lock = try Store.lock(directory)
    defer { lock.release() }
    // Somebody may have come between.
    if let reason = obstacle(directory) { throw StoreError(reason) }
    let written: Result<Void, StoreError>
    do throws(IOError) {
      written = try write(content, into: directory)
    } catch {
      throw failed(directory, error)
    }
    if case .failure(let error) = written, error.code == SQLITE_FULL {
      throw StoreError(
        code: error.code,
        "restoring into \(directory) failed (the disk is full): free some space, or name a directory on another disk, "
          + "and run it again. No coordinator starts on what is there")
    }
    try written.get()
    return content.summary
  }

  private static func begin(_ directory: String) throws(IOError) {
    try Files.makeDirectory(directory, mode: 0o700)
    try Files.writeAtomically("\(directory)/\(sign)", [])
  }

  private static func failed(_ directory: String, _ error: IOError) -> StoreError {
    StoreError("restoring into \(directory) failed (\(error)): mend that and restore again")
  }

  /// Why nothing may be restored there; nil: it may. What an earlier restore has left half done does not count.
  private static func obstacle(_ directory: String) -> String? {
    guard Files.exists(directory) else { return nil }
    guard let names = try? Files.list(directory) else { return "\(directory) is no directory that can be read" }
    if names.contains(where: signs.contains), !names.contains("store.mark") { return nil }
    let found = names.filter { !nothing.contains($0) }
    guard !found.isEmpty else { return nil }
    let more = found.count > 3 ? ", …" : ""
    return
      "\(directory) is not empty (\(found.prefix(3).joined(separator: ", "))\(more)): a restore overwrites nothing. "
      + "Stop the coordinator that uses it and move it away (mv \(directory) \(directory).old), or name another --data"
  }

  // MARK: - The file

  private static func read(_ file: String) throws(StoreError) -> Content {
    let start: [UInt8]
    do throws(IOError) {
      start = try Files.status(file).isDirectory ? [] : try head(file)
    } catch {
      guard error.code == ENOENT || error.code == ENOTDIR else {
        throw StoreError("the backup cannot be read (\(error))")
      }
      throw StoreError("there is no backup \(file)")
    }
    guard start == Array("SQLite format 3\0".utf8) else {
      throw StoreError("\(file) is no backup: stint backup makes one")
    }
    do throws(StoreError) {
      let database = try Database(path: file, isReadOnly: true)
      defer { database.close() }
      return try read(database, file)
    } catch {
      guard [SQLITE_CORRUPT, SQLITE_NOTADB, SQLITE_ERROR].contains(error.code) else { throw error }
      throw damaged(file, "SQLite cannot read it")
    }
  }

  private static func head(_ file: String) throws(IOError) -> [UInt8] {
    let descriptor = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw IOError.last("open", file) }
    defer { close(descriptor) }
    return [UInt8](unsafeUninitializedCapacity: 16) { buffer, count in
      count = max(0, Glibc.read(descriptor, buffer.baseAddress, 16))
    }
  }

  private static func read(_ database: Database, _ file: String) throws(StoreError) -> Content {
    let owner = try database.number("PRAGMA application_id")
    guard owner == StoreBackup.applicationID else {
      throw StoreError(
        owner == Store.applicationID
          ? "\(file) is a coordinator's store and no backup: put it into a directory with the stint.db-wal and "
            + "store.mark that belong to it, and start the coordinator on that once with --moved"
          : "\(file) is no backup: stint backup makes one")
    }
    let facts = try database.text("SELECT value FROM backup").flatMap { try? JSON(parsing: Array($0.utf8)) }
    let version = try database.number("PRAGMA user_version")
    if version > Store.schemaVersion || (facts?["format"]?.intValue ?? 0) > StoreBackup.format {
      throw StoreError(
        "\(file) was made by a newer stint (\(facts?["program"]?.stringValue ?? "unknown"), schema \(version); this "
          + "one knows \(Store.schemaVersion)): restore it with that version or a later one")
    }
    guard let facts, let time = facts["nanoseconds"]?.intValue, version == Store.schemaVersion else {
      throw damaged(file, "what it says of itself is incomplete")
    }
    let verdict = try database.text("PRAGMA integrity_check(1)") ?? "no answer"
    guard verdict == "ok" else { throw damaged(file, verdict) }
    guard let ledger = try StoreLedger.load(database) else { throw damaged(file, "the ledger's row is gone") }
    let (rows, _, problems) = try StoreLedger.readRows(database, expecting: ledger)
    if let problem = problems.first { throw damaged(file, problem) }
    let identities = try identities(database, file)
    guard Int64(identities.count) == facts["identities"]?.intValue else { throw damaged(file, "identities are gone") }
    return Content(
      rows: rows, identities: identities,
      summary: BackupSummary(
        cluster: StoreBackup.cluster(rows), rows: rows.count, time: WallTime(nanoseconds: time)))
  }

  private static func identities(_ database: Database, _ file: String) throws(StoreError) -> [StoreBackup.Identity] {
    var found: [StoreBackup.Identity] = []
    var problem: String?
    try database.rows("SELECT name, value, digest FROM identities ORDER BY name") { row in
      let identity = StoreBackup.Identity(name: row.text(0), bytes: row.blob(1))
      let isName = !identity.name.isEmpty && !identity.name.hasPrefix(".") && !identity.name.contains("/")
      if !isName || row.blob(2) != identity.digest { problem = "the identity \(identity.name) is not what was written" }
      found.append(identity)
    }
    if let problem { throw damaged(file, problem) }
    return found
  }

  private static func damaged(_ file: String, _ detail: String) -> StoreError {
    StoreError("\(file) is damaged (\(detail)): take another backup. Nothing was restored")
  }

  // MARK: - The directory

  /// The sign first and last: what lies between two of them is nobody's store. The store's file before its mark, so
  /// that no coordinator starts on one without the other.
  private static func write(_ content: Content, into directory: String) throws(IOError) -> Result<Void, StoreError> {
    for name in remains { unlink("\(directory)/\(name)") }
    // Another one may have been here meanwhile.
    try begin(directory)
    let pki = "\(directory)/\(StoreBackup.identities)"
    try Files.makeDirectory(pki, mode: 0o700)
    for identity in content.identities { try Files.writeAtomically("\(pki)/\(identity.name)", identity.bytes) }
    let path = "\(directory)/stint.db"
    let made: StoreLedger
    do throws(StoreError) {
      made = try makeStore(content, at: "\(path).restoring", directory)
    } catch {
      return .failure(error)
    }
    guard rename("\(path).restoring", path) == 0 else { throw IOError.last("rename", "\(path).restoring") }
    try Files.syncDirectory(directory)
    _ = try StoreMark(directory: directory, StoreMark.Content(store: made.store, commits: made.commits))
    guard unlink("\(directory)/\(sign)") == 0 else { throw IOError.last("remove", "\(directory)/\(sign)") }
    try Files.syncDirectory(directory)
    return .success(())
  }

  private static func makeStore(
    _ content: Content, at path: String, _ directory: String
  ) throws(StoreError) -> StoreLedger {
    // It was served from elsewhere, by a start that is not its last one.
    var rows = content.rows.filter { $0.table != .facts || $0.key != StoreOrigin.fact }
    let time = JSON.int(content.summary.time.nanoseconds)
    rows.append(
      StoreRow(table: .facts, key: CoordinatorCore.restoredFact, value: JSON.object(["backup": time]).bytes))
    // A name of its own: no mark of another store counts for it.
    return try write(rows, StoreLedger(store: try StoreOpening.newName(path), commits: 1), at: path)
  }

  /// Makes a store of these rows, durably; its log is folded in.
  @discardableResult
  static func write(
    _ rows: [StoreRow], _ ledger: StoreLedger, at path: String
  ) throws(StoreError) -> StoreLedger {
    let descriptor = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { throw StoreError("\(path) cannot be made (\(IOError.last("create", path)))") }
    defer { close(descriptor) }
    let database = try Database(path: path)
    defer {
      database.close()
      for suffix in ["-wal", "-shm"] { unlink(path + suffix) }
    }
    let made = try StoreOpening.rebuild(database, rows, ledger)
    try database.execute("PRAGMA synchronous = FULL")
    try database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    guard fsync(descriptor) == 0 else { throw StoreError("\(path) cannot be written (\(IOError.last("fsync", path)))") }
    return made
  }
}
