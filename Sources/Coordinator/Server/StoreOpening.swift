// Owns: what is checked before a store is used: version, integrity, that all rows are there and none is older than what
// was acknowledged. Nothing is written before that, so that whoever is refused finds the files as they were. It must
// not know what rows mean.

import ClusterIO
import ClusterProto
import CoordinatorCore

/// A store that was found whole, or was made so.
struct StoreOpening {
  var ledger: StoreLedger
  var rows: [StoreRow]
  /// What was lost with the operator's consent.
  var losses: [String]
  /// What the mark says at least from now on.
  var mark: StoreMark.Content { StoreMark.Content(store: ledger.store, commits: ledger.commits) }

  /// What the directory must hold.
  struct Expectation {
    var directory: String
    /// The mark beside the store; nil: none.
    var mark: StoreMark.Content?
    /// Something else of a cluster is there.
    var hasIdentity: Bool
    /// Where the store lies; nil: that does not matter.
    var origin: StoreOrigin?
    /// Start with less, if it must be.
    var acceptsLoss: Bool

    var path: String { "\(directory)/stint.db" }

    /// The store is not there, though the directory has been a coordinator's.
    func refuseNothing() throws(StoreError) {
      guard mark != nil || hasIdentity, !acceptsLoss else { return }
      throw StoreError(
        "\(directory) belongs to a cluster (\(mark != nil ? "its store.mark" : "something else of it") is there), "
          + "but \(path) is missing or empty: put it back, with stint.db-wal and store.mark, from where it went, or "
          + "move the directory away and restore a backup (stint restore FILE --data \(directory)). To begin anew "
          + "with an empty cluster start the coordinator once with --accept-loss")
    }
  }

  /// Checks the store and brings it to this version's schema.
  static func open(_ database: Database, _ expected: Expectation) throws(StoreError) -> StoreOpening {
    let owner = try database.number("PRAGMA application_id")
    let tables = try database.texts("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    // New is also a file that a crash left between its first page and its tables.
    let isNew = owner == 0 && tables.isEmpty
    if isNew {
      try expected.refuseNothing()
    } else {
      guard owner == Store.applicationID else {
        throw StoreError("\(expected.path) is not a coordinator's store: give the coordinator another --data")
      }
    }
    let version = try database.number("PRAGMA user_version")
    guard version <= Store.schemaVersion else {
      throw StoreError(
        "\(expected.path) was written by a newer stint (schema \(version), this one knows \(Store.schemaVersion)): "
          + "run that version again, or move the directory away and restore a backup made before the upgrade (stint "
          + "restore FILE --data \(expected.directory))")
    }
    if !isNew {
      // All of it: an index that misses a row would let it be written twice.
      let verdict = try database.text("PRAGMA integrity_check(1)") ?? "no answer"
      guard verdict == "ok" else { throw Database.damaged(path: expected.path, detail: verdict) }
    }
    guard !isNew, version == Store.schemaVersion else {
      return try convert(database, expected, version: version, tables: tables, isNew: isNew)
    }
    return try verify(database, expected, tables: tables)
  }

  private static func verify(
    _ database: Database, _ expected: Expectation, tables: [String]
  ) throws(StoreError) -> StoreOpening {
    var losses: [String] = []
    let missing = (StoreTable.allCases.map(\.rawValue) + ["ledger"]).filter { !tables.contains($0) }
    losses += missing.map { "the table \($0) is gone" }
    if !losses.isEmpty, !expected.acceptsLoss { throw Database.damaged(path: expected.path, detail: losses[0]) }
    try createTables(database, missing)
    let stored = try StoreLedger.load(database)
    if stored == nil, missing.isEmpty { losses.append("the ledger's row is gone") }
    var (rows, found, problems) = try StoreLedger.readRows(database, expecting: stored)
    try expected.origin?.check(rows, path: expected.path)
    losses += problems
    if let first = losses.first, !expected.acceptsLoss {
      let more = losses.count > 1 ? ", and \(losses.count - 1) more" : ""
      throw Database.damaged(path: expected.path, detail: first + more)
    }
    if let problem = age(found, expected.mark) {
      guard expected.acceptsLoss else {
        throw StoreError(
          "\(expected.path) holds less than was acknowledged (\(problem)): stop here; the newest stint.db, "
            + "stint.db-wal and store.mark belong together, put them back from where they went, or move the directory "
            + "away and restore a backup (stint restore FILE --data \(expected.directory)). "
            + "To go on with what is there start the coordinator once with --accept-loss")
      }
      losses.append(problem)
      found.commits = max(found.commits, expected.mark?.commits ?? 0)
      if found.store.isEmpty { found.store = expected.mark?.store ?? "" }
    }
    guard losses.isEmpty else {
      if found.store.isEmpty { found.store = try newName(expected.path) }
      found = try rebuild(database, rows, StoreLedger(store: found.store, commits: found.commits + 1))
      return StoreOpening(ledger: found, rows: rows, losses: losses)
    }
    return StoreOpening(ledger: found, rows: rows, losses: [])
  }

  /// Why the store cannot be the newest one; nil: it can. It may be ahead of its mark, which may lag.
  private static func age(_ found: StoreLedger, _ mark: StoreMark.Content?) -> String? {
    guard let mark else {
      // A crash may have come between the first transaction and the mark.
      return found.commits > 0 ? "store.mark, which says what it must hold, is missing" : nil
    }
    if mark.store != found.store { return "store.mark belongs to another store" }
    if mark.commits > found.commits {
      return "transaction \(mark.commits) was acknowledged, its last one is \(found.commits)"
    }
    return nil
  }

  /// A new store, or one of an earlier schema.
  private static func convert(
    _ database: Database, _ expected: Expectation, version: Int64, tables: [String], isNew: Bool
  ) throws(StoreError) -> StoreOpening {
    guard isNew || expected.mark == nil || expected.acceptsLoss else {
      throw StoreError(
        "\(expected.path) is of schema \(version), older than its store.mark: it is an old copy. Put the newest "
          + "one back from where it went, or move the directory away and restore a backup (stint restore FILE --data "
          + "\(expected.directory)), or start the coordinator once with --accept-loss")
    }
    let rows = isNew ? [] : try StoreMigration.rows(database, of: version)
    let ledger = StoreLedger(store: try newName(expected.path), commits: isNew ? 0 : (expected.mark?.commits ?? 0))
    let lost = expected.mark != nil || expected.hasIdentity && isNew
    return StoreOpening(
      ledger: try rebuild(database, rows, ledger), rows: rows,
      losses: lost
        ? [isNew ? "the store was missing or empty: an empty cluster begins" : "the store is an old copy"] : [])
  }

  /// Makes the tables anew with these rows, in one transaction.
  static func rebuild(
    _ database: Database, _ rows: [StoreRow], _ ledger: StoreLedger
  ) throws(StoreError) -> StoreLedger {
    var ledger = ledger
    guard try database.text("PRAGMA journal_mode = WAL") == "wal" else {
      throw StoreError(
        "the file system of the data directory cannot hold a write-ahead log: put --data on a local disk")
    }
    try database.transaction { () throws(StoreError) in
      for table in StoreTable.allCases { try database.execute("DROP TABLE IF EXISTS \(table.rawValue)") }
      try database.execute("DROP TABLE IF EXISTS ledger")
      try createTables(database, StoreTable.allCases.map(\.rawValue) + ["ledger"])
      for row in rows {
        try ledger.apply(StoreWrite(table: row.table, key: row.key, value: row.value), to: database)
      }
      try ledger.save(database)
      try database.execute("PRAGMA application_id = \(Store.applicationID)")
      try database.execute("PRAGMA user_version = \(Store.schemaVersion)")
    }
    return ledger
  }

  private static func createTables(_ database: Database, _ names: [String]) throws(StoreError) {
    for name in names {
      try database.execute(
        name == "ledger"
          ? StoreLedger.table
          : "CREATE TABLE \(name) (key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL, digest BLOB NOT NULL)")
    }
  }

  /// Of the store at `path`, never drawn before.
  static func newName(_ path: String) throws(StoreError) -> String {
    do throws(IOError) {
      return Hexadecimal.text(try Crypto.randomBytes(16))
    } catch {
      throw StoreError("\(path) cannot be made: \(error)")
    }
  }
}
