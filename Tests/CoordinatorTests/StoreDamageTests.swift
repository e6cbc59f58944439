// Stores from which something was taken: what a killed coordinator leaves behind, damaged in every way, starts with all
// that was acknowledged or is refused with what to do. Never with less, in silence.

import ClusterIO
import ClusterProto
import CoordinatorCore
import Glibc
import Testing

@testable import Coordinator

/// The files of a killed coordinator's store, at an earlier time and at its end, with what was acknowledged by the end.
private final class Remains {
  static let names = ["stint.db", "stint.db-wal", "store.mark"]
  let directory: TemporaryDirectory
  let rows: [StoreRow]
  private let early: [String: [UInt8]]
  private let late: [String: [UInt8]]

  /// `padding`: bytes in each of the later rows, so that the log is checkpointed in between or not.
  init(padding: Int) throws {
    directory = try TemporaryDirectory()
    let store = try Store(directory: directory.path)
    let path = directory.path
    func copy() throws -> [String: [UInt8]] {
      var files: [String: [UInt8]] = [:]
      for name in Self.names { files[name] = try Files.read("\(path)/\(name)") }
      return files
    }
    for index in 0..<30 { try commit(store, [Self.write(index, padding: 10)]) }
    early = try copy()
    for index in 30..<60 { try commit(store, [Self.write(index, padding: padding)]) }
    try commit(store, [StoreWrite(table: .facts, key: "lmax", value: Array("5000".utf8))])
    rows = try store.load().sorted { ($0.table, $0.key) < ($1.table, $1.key) }
    late = try copy()
    store.close()
  }

  private static func write(_ index: Int, padding: Int) -> StoreWrite {
    StoreWrite(table: .objects, key: "jobs/default/\(index)", value: Array(repeating: 0x61, count: padding))
  }

  /// A file as it was at the end.
  func bytes(_ name: String) -> [UInt8] { late[name] ?? [] }

  /// A directory with these files of the end, and those of the earlier time.
  func place(early names: [String] = []) throws -> TemporaryDirectory {
    let place = try TemporaryDirectory()
    for name in Self.names {
      let bytes = names.contains(name) ? early[name] : late[name]
      try Files.writeAtomically("\(place.path)/\(name)", bytes ?? [])
    }
    try Files.writeAtomically("\(place.path)/coordinator.json", Array("{}".utf8))
    return place
  }

  /// All that a refusal must leave alone; the lock is made by who looks, the index of the log is nobody's memory.
  private static func files(_ place: TemporaryDirectory) -> [String: [UInt8]] {
    var files: [String: [UInt8]] = [:]
    for name in (try? Files.list(place.path)) ?? [] where name != "lock" && !name.hasSuffix("-shm") {
      files[name] = try? Files.read("\(place.path)/\(name)")
    }
    return files
  }

  /// Starts there; true: with everything. Less than everything is an issue; a refusal must say what to do.
  @discardableResult
  func start(_ place: TemporaryDirectory, _ what: String) -> Bool {
    let before = Remains.files(place)
    do throws(StoreError) {
      let store = try Store(directory: place.path, hasIdentity: true)
      let found = try store.load().sorted { ($0.table, $0.key) < ($1.table, $1.key) }
      store.close()
      #expect(found == rows, "\(what): \(found.count) rows of \(rows.count), in silence")
      return true
    } catch {
      let text = error.description
      #expect(
        text.contains("backup") || text.contains("give the coordinator another --data")
          || text.contains("check the disk"), "\(what): \(text)")
      #expect(Remains.files(place) == before, "\(what): a refusal leaves the files as they were")
      return false
    }
  }
}

@Suite("A damaged store starts with everything or not at all")
struct StoreDamageTests {
  private func truncate(_ place: TemporaryDirectory, _ name: String, to size: Int64) {
    #expect(Glibc.truncate("\(place.path)/\(name)", off_t(size)) == 0)
  }

  @Test("what looks like damage is the disk's where that fails, and then nobody is told to move the store away")
  func failingDisk() throws {
    let directory = "/tmp/stint-store-\(Hexadecimal.text(try Crypto.randomBytes(6)))"
    try Files.makeDirectory(directory)
    #expect(Database.diskFailure(at: "\(directory)/stint.db") == nil)
    try Files.removeTree(directory)
    #expect(Database.diskFailure(at: "\(directory)/stint.db")?.contains("No such file or directory") == true)
  }

  @Test("what a killed coordinator left is whole, also when its log was checkpointed", arguments: [10, 200_000])
  func undamaged(padding: Int) throws {
    let remains = try Remains(padding: padding)
    let place = try remains.place()
    #expect(remains.start(place, "nothing"))
    // And once more after the start before has folded the log in.
    #expect(remains.start(place, "a second start"))
  }

  @Test("a file that is deleted, emptied or cut is noticed", arguments: [10, 200_000])
  func files(padding: Int) throws {
    let remains = try Remains(padding: padding)
    for name in Remains.names {
      for (what, size) in [("deleted", nil), ("emptied", 0), ("halved", 2), ("cut by a byte", 1)] as [(String, Int64?)]
      {
        let place = try remains.place()
        let path = "\(place.path)/\(name)"
        let full = try Files.status(path).size
        switch size {
        case nil: #expect(unlink(path) == 0)
        case 0: truncate(place, name, to: 0)
        case 2: truncate(place, name, to: full / 2)
        default: truncate(place, name, to: full - 1)
        }
        let whole = remains.start(place, "\(name) \(what)")
        // A log that began anew has remains of the one before at its end; a database's last page may be in the log too.
        let mayBeWhole = name == "stint.db" ? size == 1 : name == "stint.db-wal" && padding > 10 && size != 0
        #expect(!whole || size != nil && mayBeWhole, "\(name) \(what) was not noticed")
        // A refusal leaves the files alone: put back, they are whole.
        try Files.writeAtomically(path, remains.bytes(name))
        if !whole { #expect(remains.start(place, "\(name) \(what), put back")) }
      }
    }
    let place = try remains.place()
    for name in Remains.names { #expect(unlink("\(place.path)/\(name)") == 0) }
    #expect(!remains.start(place, "all of the store deleted beside the other files"))
  }

  @Test("older copies of one file or two are noticed, or together hold everything", arguments: [10, 200_000])
  func olderCopies(padding: Int) throws {
    let remains = try Remains(padding: padding)
    for choice in 1..<7 {
      let names = Remains.names.indices.filter { choice & 1 << $0 != 0 }.map { Remains.names[$0] }
      // Log and mark of one day hold all of that day: a backup, which only agents can tell from the present (C4).
      if names.contains("stint.db-wal"), names.contains("store.mark") { continue }
      let whole = remains.start(try remains.place(early: names), "older \(names)")
      if names.contains("stint.db-wal") { #expect(!whole, "older \(names) was not noticed") }
    }
    let other = try Remains(padding: padding + 1)
    let place = try remains.place()
    try Files.writeAtomically(
      "\(place.path)/stint.db-wal", other.bytes("stint.db-wal"))
    #expect(!remains.start(place, "another store's log"))
    for name in ["stint.db", "stint.db-wal"] {
      try Files.writeAtomically("\(place.path)/\(name)", other.bytes(name))
    }
    #expect(!remains.start(place, "another store"))
  }

  @Test(
    "a row that holds null, a row or a table that is gone is noticed",
    arguments: [
      "UPDATE objects SET value = 'null' WHERE key = 'jobs/default/7'", "DELETE FROM objects WHERE key LIKE '%/7'",
      "DELETE FROM facts", "DROP TABLE facts", "DROP TABLE ledger", "DELETE FROM ledger", "DROP TABLE jobrecords",
      "UPDATE objects SET key = 'jobs/default/x' WHERE key = 'jobs/default/7'", "PRAGMA user_version = 2",
      "UPDATE objects SET digest = x'00'",
      "INSERT INTO jobrecords (key, value, digest) SELECT key, value, digest FROM objects LIMIT 1",
    ])
  func content(statement: String) throws {
    let remains = try Remains(padding: 10)
    let place = try remains.place()
    let database = try Database(path: "\(place.path)/stint.db")
    try database.execute(statement)
    database.close()
    #expect(!remains.start(place, statement))
  }

  @Test("of bits that flip anywhere in the files each is noticed or harmless", arguments: [false, true])
  func bits(isFolded: Bool) throws {
    let remains = try Remains(padding: 300)
    var random = SplitMix64(seed: isFolded ? 3 : 4)
    let origin = try remains.place()
    if isFolded { #expect(remains.start(origin, "the start that folds the log in")) }
    var noticed = 0
    for _ in 0..<150 {
      let place = try TemporaryDirectory()
      let sizes = try Remains.names.map { UInt64(try Files.status("\(origin.path)/\($0)").size) }
      var position = random.below(sizes.reduce(0, +))
      for (name, size) in zip(Remains.names, sizes) {
        var bytes = try Files.read("\(origin.path)/\(name)")
        if position < size {
          bytes[Int(position)] ^= 1 << UInt8(random.below(8))
          position = .max
        } else if position != .max {
          position -= size
        }
        try Files.writeAtomically("\(place.path)/\(name)", bytes)
      }
      if !remains.start(place, "a bit") { noticed += 1 }
    }
    #expect(noticed > 20)
  }

  @Test("with --accept-loss a store starts with the rows that are whole, and says what was lost")
  func acceptedLoss() throws {
    let remains = try Remains(padding: 10)
    for (statement, count) in [
      ("UPDATE objects SET value = 'null' WHERE key = 'jobs/default/7'", 60), ("DROP TABLE facts", 60),
    ] {
      let place = try remains.place()
      let database = try Database(path: "\(place.path)/stint.db")
      try database.execute(statement)
      database.close()
      var store = try Store(directory: place.path, hasIdentity: true, acceptsLoss: true)
      #expect(store.losses.count >= 1)
      #expect(try store.load().count == count)
      try commit(store, [StoreWrite(table: .objects, key: "jobs/default/new", value: [1])])
      store.close()
      // The flag was for once.
      store = try Store(directory: place.path, hasIdentity: true)
      #expect(store.losses == [])
      #expect(try store.load().count == count + 1)
      store.close()
    }
  }

  @Test("with --accept-loss a lost log costs what it held, and a lost store begins anew")
  func acceptedAge() throws {
    let remains = try Remains(padding: 10)
    for (name, count) in [("stint.db-wal", 0), ("stint.db", 0), ("store.mark", 61)] {
      let place = try remains.place()
      #expect(unlink("\(place.path)/\(name)") == 0)
      let store = try Store(directory: place.path, hasIdentity: true, acceptsLoss: true)
      #expect(store.losses.count == 1, "\(name): \(store.losses)")
      #expect(try store.load().count == count)
      store.close()
      try Store(directory: place.path, hasIdentity: true).close()
    }
  }

  @Test("a first start that crashed before it had an authority is no loss")
  func firstStart() throws {
    let directory = try TemporaryDirectory()
    try Store(directory: directory.path).close()
    #expect(unlink("\(directory.path)/store.mark") == 0)
    try Store(directory: directory.path).close()
    #expect(unlink("\(directory.path)/store.mark") == 0)
    #expect(Glibc.truncate("\(directory.path)/stint.db", 0) == 0)
    try Store(directory: directory.path).close()
  }
}
