// Owns: what the rows of an earlier version's store are in this version. It must not know what this version's rows mean
// beyond what earlier versions wrote otherwise.

import ClusterProto
import CoordinatorCore

/// Reads stores of earlier schemas: 1 named pod specs by a 64-bit hash, 2 had no digests of rows.
enum StoreMigration {
  /// The rows of a store of that schema, as this version has them.
  static func rows(_ database: Database, of version: Int64) throws(StoreError) -> [StoreRow] {
    var rows: [StoreRow] = []
    for table in StoreTable.allCases {
      try database.rows("SELECT key, value FROM \(table.rawValue)") { row in
        rows.append(StoreRow(table: table, key: row.text(0), value: row.blob(1)))
      }
    }
    return version < 2 ? namedBySHA256(rows) : rows
  }

  /// Schema 1 named pod specs by 64 bits that anybody can find a second text for.
  private static func namedBySHA256(_ rows: [StoreRow]) -> [StoreRow] {
    var names: [String: String] = [:]
    for row in rows where row.table == .podspecs { names[row.key] = SHA256.hex(of: row.value) }
    return rows.map { row in
      var row = row
      if row.table == .podspecs, let name = names[row.key] { row.key = name }
      // What cannot be read stays as it is: the start says which row it is.
      if row.table == .objects, row.key.hasPrefix("\(Kind.pods.rawValue)/"),
        var json = try? JSON(parsing: row.value, limits: .stored),
        let name = json["spec"]?.stringValue.flatMap({ names[$0] })
      {
        json["spec"] = .string(name)
        row.value = json.bytes
      }
      return row
    }
  }
}
