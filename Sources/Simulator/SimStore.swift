// The simulated disk of the coordinator: rows that are durable, and a commit that is or is not when the machine dies.

import ClusterProto
import CoordinatorCore

struct SimStore {
  private var rows: [StoreTable: [String: [UInt8]]] = [:]

  mutating func apply(_ writes: [StoreWrite]) {
    for write in writes { rows[write.table, default: [:]][write.key] = write.value }
  }

  /// For a planted fault: what CronJobs know of their runs is gone.
  mutating func loseRuns() {
    for (key, value) in rows[.objects] ?? [:] where key.hasPrefix("\(Kind.cronjobs.rawValue)/") {
      guard var json = try? JSON(parsing: value) else { continue }
      json["status"] = .object(JSONObject())
      rows[.objects]?[key] = json.bytes
    }
  }

  func value(_ table: StoreTable, _ key: String) -> [UInt8]? { rows[table]?[key] }

  /// All rows, in an order of no meaning but always the same.
  var all: [StoreRow] {
    var result: [StoreRow] = []
    for table in StoreTable.allCases {
      for (key, value) in (rows[table] ?? [:]).sorted(by: { $0.key < $1.key }) {
        result.append(StoreRow(table: table, key: key, value: value))
      }
    }
    return result
  }
}
