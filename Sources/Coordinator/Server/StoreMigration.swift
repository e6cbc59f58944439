// Owns: how the store of an earlier version becomes one of this version, inside one transaction. It must not know what
// this version's rows mean beyond what earlier versions wrote otherwise.

import ClusterProto
import CoordinatorCore

/// The steps from one schema to the next.
enum StoreMigration {
  /// Runs every step from `version` on. The caller holds the transaction.
  static func run(_ database: Database, from version: Int64) throws(StoreError) {
    if version < 2 { try nameSpecsBySHA256(database) }
  }

  /// Schema 1 named pod specs by 64 bits that anybody can find a second text for.
  private static func nameSpecsBySHA256(_ database: Database) throws(StoreError) {
    var specs: [(key: String, value: [UInt8])] = []
    try database.rows("SELECT key, value FROM podspecs") { row in specs.append((row.text(0), row.blob(1))) }
    var names: [String: String] = [:]
    for (key, value) in specs {
      let name = SHA256.hex(of: value)
      names[key] = name
      try database.run("DELETE FROM podspecs WHERE key = ?1", key: key, value: nil)
      try database.run("INSERT OR REPLACE INTO podspecs (key, value) VALUES (?1, ?2)", key: name, value: value)
    }
    var pods: [(key: String, value: [UInt8])] = []
    try database.rows("SELECT key, value FROM objects WHERE key LIKE 'pods/%'") { row in
      pods.append((row.text(0), row.blob(1)))
    }
    for (key, value) in pods {
      // What cannot be read stays as it is: the start says which row it is.
      guard var json = try? JSON(parsing: value), let old = json["spec"]?.stringValue, let name = names[old] else {
        continue
      }
      json["spec"] = .string(name)
      try database.run("UPDATE objects SET value = ?2 WHERE key = ?1", key: key, value: json.bytes)
    }
  }
}
