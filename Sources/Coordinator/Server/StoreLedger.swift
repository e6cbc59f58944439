// Owns: what makes a store notice that something of it is missing: a digest in each row, and one row over all of them.
// It must not know what rows mean, nor the files.

import ClusterProto
import CoordinatorCore

/// The store's row about itself: how many rows there are, the sum of their digests, and how many transactions made
/// them. Written with each transaction.
struct StoreLedger: Equatable {
  /// Drawn when the store was made: two stores never have one name.
  var store: String
  var commits: Int64 = 0
  var rows: Int64 = 0
  var digest = SetDigest()

  static let table = "CREATE TABLE ledger (key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL)"

  /// Digest of one row with its place.
  static func digest(_ table: StoreTable, _ key: String, _ value: [UInt8]) -> [UInt8] {
    var bytes = Array(table.rawValue.utf8)
    bytes.reserveCapacity(bytes.count + key.utf8.count + value.count + 2)
    bytes.append(0)
    bytes += key.utf8
    bytes.append(0)
    bytes += value
    return SHA256.of(bytes)
  }

  /// Makes one write in the open transaction, and counts it.
  mutating func apply(_ write: StoreWrite, to database: Database) throws(StoreError) {
    let table = write.table.rawValue
    let old = try database.blob("SELECT digest FROM \(table) WHERE key = ?1", key: write.key)
    if let old {
      digest.remove(hash: old)
      rows -= 1
    }
    guard let value = write.value else {
      if old != nil { try database.run("DELETE FROM \(table) WHERE key = ?1", key: write.key) }
      return
    }
    let new = StoreLedger.digest(write.table, write.key, value)
    digest.insert(hash: new)
    rows += 1
    try database.run(
      "INSERT INTO \(table) (key, value, digest) VALUES (?1, ?2, ?3) "
        + "ON CONFLICT (key) DO UPDATE SET value = excluded.value, digest = excluded.digest",
      key: write.key, value, new)
  }

  /// Writes the row itself.
  func save(_ database: Database) throws(StoreError) {
    let json: JSON = [
      "store": .string(store), "commits": .int(commits), "rows": .int(rows), "digest": .string(digest.hex),
    ]
    try database.run(
      "INSERT INTO ledger (key, value) VALUES ('ledger', ?1) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
      key: json.text)
  }

  /// The ledger of a store; nil: its row is not there or cannot be read.
  static func load(_ database: Database) throws(StoreError) -> StoreLedger? {
    guard let text = try database.text("SELECT value FROM ledger"), let json = try? JSON(parsing: Array(text.utf8)),
      let store = json["store"]?.stringValue, let commits = json["commits"]?.intValue,
      let rows = json["rows"]?.intValue, let digest = json["digest"]?.stringValue.flatMap({ SetDigest(hex: $0) })
    else { return nil }
    return StoreLedger(store: store, commits: commits, rows: rows, digest: digest)
  }

  /// All rows, each checked; with what is wrong, in words: rows that are not what was written, and rows that are gone.
  static func readRows(
    _ database: Database, expecting ledger: StoreLedger?
  ) throws(StoreError) -> (rows: [StoreRow], found: StoreLedger, problems: [String]) {
    var result: [StoreRow] = []
    var found = StoreLedger(store: ledger?.store ?? "", commits: ledger?.commits ?? 0)
    var problems: [String] = []
    for table in StoreTable.allCases {
      try database.rows("SELECT key, value, digest FROM \(table.rawValue)") { row in
        let (key, value, digest) = (row.text(0), row.blob(1), row.blob(2))
        guard digest == StoreLedger.digest(table, key, value) else {
          problems.append("the row \(table.rawValue)/\(key) is not what was written")
          return
        }
        found.digest.insert(hash: digest)
        found.rows += 1
        result.append(StoreRow(table: table, key: key, value: value))
      }
    }
    if let ledger, problems.isEmpty, found != ledger {
      problems.append(
        found.rows == ledger.rows
          ? "its rows are not those of its last transaction" : "it holds \(found.rows) rows of \(ledger.rows)")
    }
    return (result, found, problems)
  }
}
