// Owns: the backup file: one SQLite file with all of the store's tables and the directory's identities, made beside the
// coordinator that serves the store. It must not know what rows mean, nor how a backup becomes a data directory
// (StoreRestore).

import CSQLite
import ClusterIO
import ClusterProto
import CoordinatorCore
import Glibc

/// What a backup holds, for the operator.
package struct BackupSummary: Equatable, Sendable {
  /// The cluster's identity.
  package var cluster: String
  /// Rows of the store.
  package var rows: Int
  /// When it was made.
  package var time: WallTime
}

/// Makes backups of a data directory.
package enum StoreBackup {
  /// SQLite's application_id of a backup: "StnB".
  static let applicationID: Int64 = 0x5374_6e42
  /// Of what is added to the store's tables; files with a higher one are refused.
  static let format: Int64 = 1
  static let tables = [
    "CREATE TABLE backup (key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL)",
    "CREATE TABLE identities (name TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL, digest BLOB NOT NULL)",
  ]
  /// Certificates and keys below the data directory.
  static let identities = "pki"
  private static let identityLimit = 1 << 20
  private static let attempts = 5

  /// Copies the store of `directory` and its identities into `file`, whether a coordinator serves them or not: it reads
  /// as a second connection, so no commit waits for it. The file is readable by its owner alone and is in its place
  /// only when it is whole and durable. `program`: the version that says so in the file.
  package static func make(
    of directory: String, at file: String, program: String
  ) throws(StoreError) -> BackupSummary {
    do throws(IOError) {
      _ = try Files.status("\(directory)/stint.db")
    } catch {
      guard error.code == ENOENT || error.code == ENOTDIR else {
        throw StoreError(
          "\(directory) cannot be looked into (\(error.message)): run this as the user that the coordinator runs as, "
            + "or as root")
      }
      throw StoreError("\(directory) holds no coordinator's store: name its data directory with --data")
    }
    let file = try BackupPlace.destination(file)
    let (parent, name) = Files.split(file)
    guard let place = try? Files.status(parent), place.isDirectory else {
      throw StoreError("there is no directory \(parent) for the backup: make it first")
    }
    if let own = try? Files.status(directory), (own.device, own.inode) == (place.device, place.inode) {
      throw StoreError("a backup in the data directory would be lost with it: name a file elsewhere")
    }
    BackupPlace.removeRemains(of: name, in: parent)
    let partial = BackupPlace.partial(name, in: parent, process: getpid())
    defer { for suffix in BackupPlace.suffixes { unlink(partial + suffix) } }
    let written: Result<BackupSummary, StoreError>
    do throws(IOError) {
      written = try write(directory, to: partial, program)
      if case .success = written { try put(partial, at: file, parent) }
    } catch {
      throw StoreError("the backup \(file) was not made (\(error))")
    }
    return try written.get()
  }

  private static func put(_ partial: String, at file: String, _ parent: String) throws(IOError) {
    let descriptor = open(partial, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw IOError.last("open", partial) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw IOError.last("fsync", partial) }
    guard rename(partial, file) == 0 else { throw IOError.last("rename", partial) }
    try Files.syncDirectory(parent)
  }

  /// The identities that go with the store: those that were there before it was copied and after.
  private static func write(
    _ directory: String, to partial: String, _ program: String
  ) throws(IOError) -> Result<BackupSummary, StoreError> {
    var before = try files(directory)
    for _ in 0..<attempts {
      let made = try copy(directory, to: partial, program, before)
      let after = try files(directory)
      if after == before { return made }
      before = after
    }
    throw IOError(operation: "read", subject: "\(directory)/\(identities)", message: "changes again and again")
  }

  private static func copy(
    _ directory: String, to partial: String, _ program: String, _ identities: [Identity]
  ) throws(IOError) -> Result<BackupSummary, StoreError> {
    // SQLite keeps the mode of a file that it finds.
    let descriptor = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { throw IOError.last("create", partial) }
    let isOurs = fchmod(descriptor, 0o600) == 0
    close(descriptor)
    guard isOurs else { throw IOError.last("chmod", partial) }
    do throws(StoreError) {
      // Before the copy, so that it says what the copy must hold at least.
      let mark = try StoreMark.read(directory)
      try copyStore("\(directory)/stint.db", to: partial)
      return .success(try complete(partial, of: directory, mark, program, identities))
    } catch {
      guard error.code == SQLITE_FULL else { return .failure(error) }
      throw IOError(code: ENOSPC, operation: "write", subject: partial)
    }
  }

  private static func copyStore(_ path: String, to partial: String) throws(StoreError) {
    let source = try Database(path: path)
    defer { source.close() }
    // A coordinator that starts or ends at this moment holds it for as long as folding its log takes.
    try source.execute("PRAGMA busy_timeout = 30000")
    guard try source.number("PRAGMA application_id") == Store.applicationID else {
      throw StoreError("\(path) is not a coordinator's store: name its data directory with --data")
    }
    let version = try source.number("PRAGMA user_version")
    guard version == Store.schemaVersion else {
      throw StoreError(
        "\(path) is of schema \(version), and this stint makes backups of schema \(Store.schemaVersion): use the "
          + "version that serves it")
    }
    try source.run("VACUUM INTO ?1", key: partial)
  }

  /// Checks what was copied, as a start would, and adds what is not in the store.
  private static func complete(
    _ partial: String, of directory: String, _ mark: StoreMark.Content?, _ program: String, _ identities: [Identity]
  ) throws(StoreError) -> BackupSummary {
    let database = try Database(path: partial)
    defer { database.close() }
    let rows = try whole(database, path: "\(directory)/stint.db", mark)
    let time = WallTime(nanoseconds: Clocks.now().wall)
    let summary = BackupSummary(cluster: cluster(rows), rows: rows.count, time: time)
    _ = try database.text("PRAGMA journal_mode = DELETE")
    try database.execute("PRAGMA synchronous = FULL")
    try database.transaction { () throws(StoreError) in
      for table in tables { try database.execute(table) }
      for identity in identities {
        try database.run(
          "INSERT INTO identities (name, value, digest) VALUES (?1, ?2, ?3)", key: identity.name, identity.bytes,
          identity.digest)
      }
      let facts: JSON = [
        "format": .int(format), "program": .string(program), "nanoseconds": .int(time.nanoseconds),
        "cluster": .string(summary.cluster), "identities": .int(Int64(identities.count)),
      ]
      try database.run("INSERT INTO backup (key, value) VALUES ('facts', ?1)", key: facts.text)
      try database.execute("PRAGMA application_id = \(applicationID)")
    }
    return summary
  }

  private static func whole(
    _ database: Database, path: String, _ mark: StoreMark.Content?
  ) throws(StoreError) -> [StoreRow] {
    let verdict = try database.text("PRAGMA integrity_check(1)") ?? "no answer"
    guard verdict == "ok" else { throw Database.damaged(path: path, detail: verdict) }
    let ledger = try StoreLedger.load(database)
    let (rows, found, problems) = try StoreLedger.readRows(database, expecting: ledger)
    if let problem = problems.first ?? (ledger == nil ? "the ledger's row is gone" : nil) {
      throw Database.damaged(path: path, detail: problem)
    }
    guard let mark, mark.store != found.store || mark.commits > found.commits else { return rows }
    throw Database.damaged(path: path, detail: "it holds less than was acknowledged")
  }

  static func cluster(_ rows: [StoreRow]) -> String {
    let row = rows.first { $0.table == .facts && $0.key == "cluster" }
    return row.flatMap { try? JSON(parsing: $0.value) }?.stringValue ?? ""
  }

  /// A file with a key or a certificate.
  struct Identity: Equatable {
    var name: String
    var bytes: [UInt8]

    /// Of the file with its place.
    var digest: [UInt8] { SHA256.of(Array(name.utf8) + [0] + bytes) }
  }

  private static func files(_ directory: String) throws(IOError) -> [Identity] {
    let path = "\(directory)/\(identities)"
    guard Files.exists(path) else { return [] }
    var found: [Identity] = []
    // What is being written has its name not yet.
    for name in try Files.list(path) where !name.hasSuffix(".new") {
      guard let status = try? Files.status("\(path)/\(name)"), !status.isDirectory else { continue }
      do throws(IOError) {
        found.append(Identity(name: name, bytes: try Files.read("\(path)/\(name)", limit: identityLimit)))
      } catch {
        // Gone meanwhile, as the former authority is when it is dropped: the next look sees the same or differs.
        if error.code != ENOENT { throw error }
      }
    }
    return found
  }
}
