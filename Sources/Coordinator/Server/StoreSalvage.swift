// Owns: what can still be read of a damaged store (--accept-loss), and the new store that is made of it beside: rows
// prove themselves by their digests, so no index and no count is needed. It must not know what rows mean.

import CSQLite
import ClusterIO
import ClusterProto
import CoordinatorCore
import Glibc

/// The rows of a damaged store.
struct StoreSalvage {
  /// Rows that are what was written.
  private(set) var rows: [StoreRow] = []
  /// What the ledger says that there must be; nil: its row is lost too.
  private(set) var ledger: StoreLedger?
  /// Pages of the tables that cannot be read.
  private(set) var damagedPages: [Int] = []
  /// Rows that may be former ones: on pages that no table leads to any more, or that were freed.
  private(set) var doubtful = 0
  /// Of what was read.
  private(set) var found = StoreLedger(store: "")

  private let pages: StorePages
  private var seen: Set<Int> = []
  private var places: Set<String> = []

  /// Every row is there.
  private var isWhole: Bool { ledger.map { $0.rows == found.rows && $0.digest == found.digest } ?? false }

  /// Reads the store at `path`; nil: it is not one of this version.
  init?(path: String) {
    pages = StorePages(path: path)
    defer { pages.close() }
    let header = pages.header
    if let header {
      guard header.applicationID == UInt32(Store.applicationID), header.version == UInt32(Store.schemaVersion) else {
        return nil
      }
    }
    let free = header.flatMap { freePages($0) }
    // Nothing of a tree leads to a free page, but a damaged one may.
    seen = free ?? []
    for root in roots() { walk(from: root) }
    // Below a bad page of a tree there may be whole ones, which nothing leads to.
    guard !damagedPages.isEmpty else { return }
    for number in 1...max(1, pages.count) where !seen.contains(number) {
      guard case .leaf(let records) = StoreTreePage(number, of: pages) else { continue }
      for record in records { take(record, isCertain: free != nil) }
    }
  }

  /// Of the tables, as the schema has them; or where a new store has them, if the schema cannot be read.
  private func roots() -> [Int] {
    let tables = StoreTable.allCases.map(\.rawValue) + ["ledger"]
    if pages.header != nil, case .leaf(let records) = StoreTreePage(1, of: pages) {
      let found = records.compactMap { record -> Int? in
        guard let record, record.count >= 4, record[0].text == "table", tables.contains(record[1].text ?? ""),
          case .number(let root) = record[3]
        else { return nil }
        return root
      }
      if !found.isEmpty { return found }
    }
    // Each table's index follows it.
    return tables.indices.map { 2 + 2 * $0 }
  }

  private mutating func walk(from root: Int) {
    var next = [root]
    while let number = next.popLast() {
      guard seen.insert(number).inserted else { continue }
      switch StoreTreePage(number, of: pages) {
      case .interior(let below): next += below.reversed()
      case .leaf(let records):
        var isBad = false
        for record in records where !take(record, isCertain: true) { isBad = true }
        if isBad { damagedPages.append(number) }
      case nil: damagedPages.append(number)
      }
    }
  }

  /// A row tells its table by its digest. False: it is none.
  @discardableResult
  private mutating func take(_ record: [StoreField]?, isCertain: Bool) -> Bool {
    guard let record, let key = record.first?.text else { return false }
    if record.count == 2 {
      guard key == "ledger", let text = record[1].bytes else { return false }
      if isCertain, ledger == nil { ledger = StoreLedger(row: text) }
      return true
    }
    guard record.count == 3, let value = record[1].bytes, let digest = record[2].bytes,
      let table = StoreTable.allCases.first(where: { StoreLedger.digest($0, key, value) == digest })
    else { return false }
    guard !places.contains("\(table.rawValue)/\(key)") else { return true }
    guard isCertain else {
      doubtful += 1
      return true
    }
    places.insert("\(table.rawValue)/\(key)")
    rows.append(StoreRow(table: table, key: key, value: value))
    found.digest.insert(hash: digest)
    found.rows += 1
    return true
  }

  /// What the list of free pages names; nil: it cannot be read to its end, so nobody knows which rows are former ones.
  private func freePages(_ header: StorePages.Header) -> Set<Int>? {
    var (free, trunk) = (Set<Int>(), header.firstFree)
    while trunk != 0 {
      guard free.insert(trunk).inserted, let page = pages[trunk] else { return nil }
      let bytes = StorePageBytes(page)
      guard let next = bytes.number(0, 4), let count = bytes.number(4, 4), count <= page.count / 4 - 2 else {
        return nil
      }
      for index in 0..<count { if let leaf = bytes.number(8 + 4 * index, 4) { free.insert(leaf) } }
      trunk = next
    }
    return free.count == header.freePages ? free : nil
  }

  // MARK: - The new store

  /// What was done, in words.
  struct Outcome {
    /// That a new store was made, and where the damaged one is.
    var report: String
    /// What is lost; empty: nothing.
    var losses: [String]
    /// What the mark has to say of the new one.
    var mark: StoreMark.Content
  }

  private static let finished = "salvaged"

  /// Replaces the store if SQLite cannot read all of it; nil: it can, or there is none.
  static func replaceIfDamaged(
    _ expected: StoreOpening.Expectation, isMoved: Bool
  ) throws(StoreError) -> Outcome? {
    let lock = try Store.contentLock(expected.directory)
    defer { lock?.release() }
    guard let reason = damage(expected.path) else { return nil }
    var expected = expected
    if !isMoved, Files.exists(expected.path) {
      do throws(IOError) {
        expected.origin = try StoreOrigin(directory: expected.directory, database: expected.path)
      } catch {
        throw StoreError("\(expected.path) cannot be used (\(error))")
      }
    }
    return try replace(expected, because: reason)
  }

  /// Why SQLite cannot read all of the store at `path`; nil: it can, or there is none.
  private static func damage(_ path: String) -> StoreError? {
    // Beside a file that is empty or gone SQLite would delete the log.
    guard let size = try? Files.status(path).size, size > 0 else {
      let hasLog = ((try? Files.status("\(path)-wal").size) ?? 0) > 0
      return hasLog ? Database.damaged(path: path, detail: "it is empty beside a log") : nil
    }
    do throws(StoreError) {
      let database = try Database(path: path)
      defer { database.close() }
      let verdict = try database.text("PRAGMA integrity_check(1)") ?? "no answer"
      return verdict == "ok" ? nil : Database.damaged(path: path, detail: verdict)
    } catch {
      // What else is wrong is for the start itself to say.
      return [SQLITE_CORRUPT, SQLITE_NOTADB, SQLITE_IOERR].contains(error.code) ? error : nil
    }
  }

  /// Makes a store of what can be read, in the place of the damaged one, which stays beside under another name.
  private static func replace(
    _ expected: StoreOpening.Expectation, because reason: StoreError
  ) throws(StoreError) -> Outcome {
    let path = expected.path
    guard let salvage = StoreSalvage(path: path) else { throw reason }
    guard !salvage.rows.isEmpty else {
      throw StoreError(
        code: reason.code,
        "nothing can be read of \(path), so --accept-loss has nothing to go on with: move the data directory away (mv "
          + "\(expected.directory) \(expected.directory).old), and restore a backup (stint restore FILE --data "
          + "\(expected.directory)) or begin a new cluster there. (\(reason.description))")
    }
    try expected.origin?.check(salvage.rows, path: path)
    var losses = salvage.losses(expected.mark)
    // Another file: where the old one was served from says nothing about it.
    var rows = salvage.rows.filter { $0.table != .facts || $0.key != StoreOrigin.fact }
    if !losses.isEmpty { losses += CoordinatorCore.completePartial(&rows) }
    let commits = max(salvage.ledger?.commits ?? 0, expected.mark?.commits ?? 0) + 1
    let store = expected.mark?.store ?? salvage.ledger?.store ?? ""
    let name = store.isEmpty ? try StoreOpening.newName(path) : store
    try StoreRestore.write(rows, StoreLedger(store: name, commits: commits), at: "\(path).\(finished).new")
    guard rename("\(path).\(finished).new", "\(path).\(finished)") == 0 else { throw failed(path, "rename") }
    let kept = try moveIntoPlace(expected.directory)
    return Outcome(
      report:
        "a new store was made of \(salvage.found.rows) rows of \(salvage.ledger.map { "\($0.rows)" } ?? "?"); the "
        + "damaged one is \(kept)", losses: losses, mark: StoreMark.Content(store: name, commits: commits))
  }

  private func losses(_ mark: StoreMark.Content?) -> [String] {
    let isNewest = mark.map { $0.store == ledger?.store && $0.commits <= ledger?.commits ?? -1 } ?? false
    guard !isWhole || !isNewest else { return [] }
    var losses: [String] = []
    if !isWhole {
      let all = ledger.map { " of \($0.rows)" } ?? ", of how many cannot be read"
      losses.append("\(found.rows) rows\(all) could be read")
    }
    if !damagedPages.isEmpty {
      let some = damagedPages.prefix(10).map(String.init).joined(separator: ", ")
      losses.append("pages of the tables that are damaged: \(some)\(damagedPages.count > 10 ? ", …" : "")")
    }
    if doubtful > 0 {
      losses.append(
        "\(doubtful) rows were left out, since they may be former ones: which pages are free cannot be read")
    }
    if let ledger, let mark, mark.store == ledger.store, mark.commits > ledger.commits {
      losses.append("transaction \(mark.commits) was acknowledged, the last one found is \(ledger.commits)")
    }
    return losses.isEmpty ? ["that nothing newer was acknowledged cannot be told"] : losses
  }

  /// Makes good a crash between a new store's being whole and its being in place.
  static func finish(_ directory: String) throws(StoreError) {
    guard Files.exists("\(directory)/stint.db.\(finished)") else { return }
    let lock = try Store.contentLock(directory)
    defer { lock?.release() }
    _ = try moveIntoPlace(directory)
  }

  /// Puts the store that was made into its place. Where the damaged one is now.
  private static func moveIntoPlace(_ directory: String) throws(StoreError) -> String {
    let path = "\(directory)/stint.db"
    var number = 1
    while Files.exists("\(path).damaged-\(number)") { number += 1 }
    // The log first: beside the new file it would be taken for that one's.
    for suffix in ["-wal", "", "-shm"] where Files.exists(path + suffix) {
      guard rename(path + suffix, "\(path).damaged-\(number)\(suffix)") == 0 else { throw failed(path, "rename") }
    }
    guard rename("\(path).\(finished)", path) == 0 else { throw failed(path, "rename") }
    do throws(IOError) {
      try Files.syncDirectory(directory)
    } catch {
      throw StoreError("\(path) was made anew, but \(error): check the disk, then start again")
    }
    return "\(path).damaged-\(number)"
  }

  private static func failed(_ path: String, _ what: String) -> StoreError {
    StoreError("\(path) cannot be made anew (\(IOError.last(what, path))): mend that and start again")
  }
}
