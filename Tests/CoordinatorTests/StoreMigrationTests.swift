// Stores of the versions before: what they held is there, under the names of this version.

import ClusterIO
import ClusterProto
import CoordinatorCore
import Testing

@testable import Coordinator

@Suite("Store migration")
struct StoreMigrationTests {
  /// What version 1 wrote: a spec under a 64-bit name, and pods that name it.
  static func makeVersion1(_ directory: String, spec: JSON) throws {
    let database = try Database(path: "\(directory)/stint.db")
    try database.execute("PRAGMA journal_mode = WAL")
    for table in ["facts", "objects", "podspecs", "attempts", "noderecords", "jobrecords"] {
      try database.execute("CREATE TABLE \(table) (key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL)")
    }
    try database.execute("PRAGMA application_id = \(Store.applicationID)")
    try database.execute("PRAGMA user_version = 1")
    func put(_ table: String, _ key: String, _ value: JSON) throws {
      try database.run("INSERT INTO \(table) (key, value) VALUES (?1, ?2)", key: key, value.bytes)
    }
    let old = StableHash.hex(of: spec.bytes)
    try put("podspecs", old, spec)
    for name in ["a", "b"] {
      try put(
        "objects", "pods/default/\(name)",
        [
          "metadata": ["name": .string(name), "namespace": "default", "uid": .string(name), "resourceVersion": "5"],
          "spec": .string(old), "status": ["phase": "Pending"],
        ])
    }
    try put("facts", "incarnation", 3)
    database.close()
  }

  @Test("a store of schema 1 starts with all that it held, its pods' specs under their SHA-256")
  func schema1() throws {
    let directory = try TemporaryDirectory()
    let spec: JSON = ["containers": [["name": "c", "image": "x"]], "restartPolicy": "Never"]
    try Self.makeVersion1(directory.path, spec: spec)
    for _ in 0..<2 {
      let store = try Store(directory: directory.path)
      let rows = try store.load()
      #expect(rows.count == 4)
      #expect(rows.filter { $0.table == .podspecs }.map(\.key) == [SHA256.hex(of: spec.bytes)])
      let core = try CoordinatorCore(
        configuration: CoordinatorConfiguration(), rows: rows, seed: 1,
        now: Now(boot: BootTime(milliseconds: 0), wall: WallTime(nanoseconds: 1_795_000_000_000_000_000)))
      #expect(core.incarnation == 4)
      store.close()
    }
  }

  @Test("a store of before CronJobs takes one, which runs; a version that does not know a kind says what to do")
  func kinds() throws {
    let directory = try TemporaryDirectory()
    let spec: JSON = ["containers": [["name": "c", "image": "x"]], "restartPolicy": "Never"]
    try Self.makeVersion1(directory.path, spec: spec)
    let cron: JSON = [
      "metadata": ["name": "tick", "namespace": "default", "uid": "u", "resourceVersion": "6"],
      "spec": ["schedule": "* * * * *", "jobTemplate": ["spec": ["template": ["spec": spec]]]],
      "createdNanoseconds": 1_795_000_000_000_000_000,
    ]
    var store = try Store(directory: directory.path)
    let now = Now(boot: BootTime(milliseconds: 0), wall: WallTime(nanoseconds: 1_795_000_100_000_000_000))
    try commit(store, [StoreWrite(table: .objects, key: "cronjobs/default/tick", value: cron.bytes)])
    store.close()
    store = try Store(directory: directory.path)
    defer { store.close() }
    let rows = try store.load()
    var core = try CoordinatorCore(configuration: CoordinatorConfiguration(), rows: rows, seed: 1, now: now)
    let runs = core.step([], at: now).compactMap { effect in
      if case .persist(let write) = effect, write.key.hasPrefix("jobs/default/tick-") { write.key } else { nil }
    }
    #expect(runs == ["jobs/default/tick-29916668"])
    let newer = StoreRow(table: .objects, key: "sprockets/default/a", value: Array("{}".utf8))
    let error = try #require(throws: CoordinatorStartError.self) {
      try CoordinatorCore(configuration: CoordinatorConfiguration(), rows: rows + [newer], seed: 1, now: now)
    }
    #expect(error.message.hasPrefix("the store holds sprockets/default/a, which this version does not know: a newer"))
    #expect(error.message.contains("restore a backup made before the upgrade"))
  }
}
