// Owns: SQLite's C interface: one connection, prepared statements, errors with their codes. One thread at a time uses
// it. It must not know which tables there are.

import CSQLite
import ClusterIO
import ClusterProto

/// Why the store cannot go on, in words that say what to do.
package struct StoreError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Primary result code of SQLite; 0 when it was not SQLite that failed.
  package var code: Int32
  /// The whole sentence for the operator.
  package var description: String

  /// An error with this text.
  package init(code: Int32 = 0, _ description: String) {
    self.code = code
    self.description = description
  }
}

/// One connection to one SQLite file.
final class Database {
  private let handle: OpaquePointer
  private let path: String
  private var statements: [String: OpaquePointer] = [:]
  private static let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

  /// Opens or makes the file; `isReadOnly`: opens it and changes nothing. Reads nothing of it yet.
  init(path: String, isReadOnly: Bool = false) throws(StoreError) {
    self.path = path
    var opened: OpaquePointer?
    let access = isReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
    let flags = access | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE
    let result = sqlite3_open_v2(path, &opened, flags, nil)
    guard result == SQLITE_OK, let opened else {
      sqlite3_close_v2(opened)
      throw Database.error(result, path: path, detail: String(cString: sqlite3_errstr(result)))
    }
    handle = opened
    pages.initialize(to: 0)
    // Closing would fold the write-ahead log in and delete it, also one that a refusal must leave alone.
    stint_sqlite_keep_log(handle)
    sqlite3_wal_hook(
      handle,
      { pages, _, _, count in
        pages?.storeBytes(of: count, as: Int32.self)
        return SQLITE_OK
      }, pages)
  }

  deinit {
    close()
    pages.deallocate()
  }

  /// Pages in the write-ahead log after the last transaction. Nobody checkpoints but our own word: whoever does knows
  /// that the log began anew.
  var logPages: Int32 { pages.pointee }
  private let pages = UnsafeMutablePointer<Int32>.allocate(capacity: 1)

  private var isOpen = true

  /// Finishes all statements and closes the file.
  func close() {
    guard isOpen else { return }
    isOpen = false
    for statement in statements.values { sqlite3_finalize(statement) }
    statements = [:]
    sqlite3_close_v2(handle)
  }

  /// Runs one statement without parameters, dropping its rows.
  func execute(_ sql: String) throws(StoreError) { try rows(sql) { _ in } }

  /// The first column of the first row, or nil.
  func text(_ sql: String) throws(StoreError) -> String? {
    var result: String?
    try rows(sql) { row in if result == nil { result = row.text(0) } }
    return result
  }

  /// The first column of the first row as a number, 0 without a row.
  func number(_ sql: String) throws(StoreError) -> Int64 {
    var result: Int64 = 0
    try rows(sql) { row in result = row.number(0) }
    return result
  }

  /// The first column of every row.
  func texts(_ sql: String) throws(StoreError) -> [String] {
    var result: [String] = []
    try rows(sql) { row in result.append(row.text(0)) }
    return result
  }

  /// The first column of the row that the statement finds by its one parameter; nil: no row.
  func blob(_ sql: String, key: String) throws(StoreError) -> [UInt8]? {
    let statement = try prepare(sql)
    defer { sqlite3_reset(statement) }
    try bind(key, to: statement)
    let result = sqlite3_step(statement)
    if result == SQLITE_DONE { return nil }
    guard result == SQLITE_ROW else { throw failure(result) }
    return Row(statement: statement).blob(0)
  }

  /// Runs `work` in one transaction: all of it or nothing.
  func transaction(_ work: () throws(StoreError) -> Void) throws(StoreError) {
    do throws(StoreError) {
      try execute("BEGIN IMMEDIATE")
      try work()
      try execute("COMMIT")
    } catch {
      // An error can have rolled it back already.
      if sqlite3_get_autocommit(handle) == 0 { try? execute("ROLLBACK") }
      throw error
    }
  }

  /// Hands each row to `each` as it is read.
  func rows(_ sql: String, _ each: (Row) -> Void) throws(StoreError) {
    let statement = try prepare(sql)
    defer { sqlite3_reset(statement) }
    while true {
      let result = sqlite3_step(statement)
      if result == SQLITE_DONE { return }
      guard result == SQLITE_ROW else { throw failure(result) }
      each(Row(statement: statement))
    }
  }

  /// Runs a statement with a text and as many blobs as it has other parameters.
  func run(_ sql: String, key: String, _ values: [UInt8]...) throws(StoreError) {
    let statement = try prepare(sql)
    defer { sqlite3_reset(statement) }
    try bind(key, to: statement)
    for (index, value) in values.enumerated() {
      // An empty array has no address, and a blob without one would be NULL.
      let result =
        value.isEmpty
        ? sqlite3_bind_zeroblob(statement, Int32(index + 2), 0)
        : sqlite3_bind_blob64(statement, Int32(index + 2), value, UInt64(value.count), Database.transient)
      guard result == SQLITE_OK else { throw failure(result) }
    }
    let stepped = sqlite3_step(statement)
    guard stepped == SQLITE_DONE else { throw failure(stepped) }
  }

  private func bind(_ key: String, to statement: OpaquePointer) throws(StoreError) {
    let result = sqlite3_bind_text(statement, 1, key, Int32(key.utf8.count), Database.transient)
    guard result == SQLITE_OK else { throw failure(result) }
  }

  private func prepare(_ sql: String) throws(StoreError) -> OpaquePointer {
    if let statement = statements[sql] { return statement }
    var statement: OpaquePointer?
    let result = sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil)
    guard result == SQLITE_OK, let statement else { throw failure(result) }
    statements[sql] = statement
    return statement
  }

  private func failure(_ result: Int32) -> StoreError {
    Database.error(result, path: path, detail: String(cString: sqlite3_errmsg(handle)))
  }

  /// SQLite's code in the operator's words.
  private static func error(_ result: Int32, path: String, detail: String) -> StoreError {
    // The index of the write-ahead log cannot be sized for want of space alone.
    let isSharedMemorySize = result == SQLITE_IOERR | (19 << 8)
    let code = isSharedMemorySize ? SQLITE_FULL : result & 0xff
    switch code {
    case SQLITE_FULL:
      return StoreError(
        code: code, "the disk that holds \(path) is full: free some space, then try again")
    case SQLITE_CORRUPT, SQLITE_NOTADB:
      if let failure = diskFailure(at: path) {
        return StoreError(
          code: SQLITE_IOERR,
          "the disk that holds \(path) fails (\(failure)), so what was read of it says nothing: check the disk and the "
            + "kernel's log, then start again before you move or restore anything")
      }
      return damaged(path: path, detail: detail, code: code)
    case SQLITE_READONLY, SQLITE_CANTOPEN, SQLITE_PERM, SQLITE_AUTH:
      return StoreError(
        code: code,
        "\(path) cannot be written (\(detail)): give the coordinator a data directory that it may write to")
    case SQLITE_IOERR:
      return StoreError(
        code: code,
        "writing or reading \(path) failed (\(detail), code \(result)): check the disk and the kernel's log, "
          + "then try again")
    case SQLITE_BUSY, SQLITE_LOCKED:
      return StoreError(code: code, "\(path) is in use by another program: close it, then try again")
    default: return StoreError(code: code, "\(path): \(detail) (SQLite code \(result))")
    }
  }

  /// Why the disk below a file cannot be believed; nil: it answers. What SQLite gets from one that fails looks like
  /// damage to it. By the directory: whoever opens and closes the file itself takes SQLite's locks from it.
  static func diskFailure(at path: String) -> String? {
    do throws(IOError) {
      let (parent, _) = Files.split(path)
      try Files.syncDirectory(parent.isEmpty ? "." : parent)
      return nil
    } catch { return "\(error)" }
  }

  /// The error of a file that is no intact database.
  static func damaged(path: String, detail: String, code: Int32 = SQLITE_CORRUPT) -> StoreError {
    StoreError(
      code: code,
      "\(path) is damaged (\(detail)): stop here, move the data directory away, and restore a backup (stint restore "
        + "FILE --data DIRECTORY); without one a new cluster has to begin in an empty directory")
  }

  /// A row while it is current.
  struct Row {
    fileprivate let statement: OpaquePointer

    func text(_ column: Int32) -> String {
      guard let pointer = sqlite3_column_text(statement, column) else { return "" }
      let count = Int(sqlite3_column_bytes(statement, column))
      return String(decoding: UnsafeBufferPointer(start: pointer, count: count), as: UTF8.self)
    }

    func number(_ column: Int32) -> Int64 { sqlite3_column_int64(statement, column) }

    func blob(_ column: Int32) -> [UInt8] {
      guard let pointer = sqlite3_column_blob(statement, column) else { return [] }
      let count = Int(sqlite3_column_bytes(statement, column))
      return Array(UnsafeRawBufferPointer(start: pointer, count: count))
    }
  }
}
