// A damaged page or a cut file under --accept-loss: the start goes on with every row that can be read, none that was
// deleted or replaced, says what is lost, and keeps the damaged file.

import ClusterIO
import ClusterProto
import CoordinatorCore
import Glibc
import Testing

@testable import Coordinator

/// A store whose tables have trees of two levels, long rows, and free pages that still hold former rows.
private final class Victim {
  let directory: TemporaryDirectory
  let rows: [String: [UInt8]]
  let bytes: [UInt8]
  let log: [UInt8]
  let mark: [UInt8]
  static let page = 4_096

  /// `isFolded`: nothing is in the log.
  init(isFolded: Bool = true) throws {
    directory = try TemporaryDirectory()
    let path = directory.path
    let store = try Store(directory: path)
    func write(_ table: StoreTable, _ key: String, _ size: Int, _ byte: UInt8) -> StoreWrite {
      StoreWrite(table: table, key: key, value: [0x22] + Array(repeating: byte, count: size) + [0x22])
    }
    for (round, byte) in [UInt8(0x61), 0x62].enumerated() {
      try commit(store, (0..<60).map { write(.objects, "jobs/default/\($0)", 700, byte) })
      try commit(store, (0..<3).map { write(.podspecs, "\($0)", 9_000, byte) })
      let others: [StoreTable] = [.facts, .attempts, .noderecords, .jobrecords]
      try commit(store, others.flatMap { table in (0..<5).map { write(table, "\($0)", 40, byte) } })
      // Freed pages keep what was on them.
      if round == 0 {
        try commit(store, (100..<160).map { write(.objects, "jobs/default/\($0)", 700, 0x63) })
        try commit(
          store, (100..<160).map { StoreWrite(table: .objects, key: "jobs/default/\($0)", value: nil) })
      }
    }
    rows = Victim.named(try store.load())
    if isFolded { store.close() }
    bytes = try Files.read("\(path)/stint.db")
    log = isFolded ? [] : try Files.read("\(path)/stint.db-wal")
    mark = try Files.read("\(path)/store.mark")
    if !isFolded { store.close() }
  }

  static func named(_ rows: [StoreRow]) -> [String: [UInt8]] {
    var named: [String: [UInt8]] = [:]
    for row in rows where row.key != CoordinatorCore.restoredFact {
      named["\(row.table.rawValue)/\(row.key)"] = row.value
    }
    return named
  }

  /// A directory with this file as the store's.
  func place(_ bytes: [UInt8]) throws -> TemporaryDirectory {
    let place = try TemporaryDirectory()
    try Files.writeAtomically("\(place.path)/stint.db", bytes)
    if !log.isEmpty { try Files.writeAtomically("\(place.path)/stint.db-wal", log) }
    try Files.writeAtomically("\(place.path)/store.mark", mark)
    try Files.writeAtomically("\(place.path)/coordinator.json", Array("{}".utf8))
    return place
  }

  func zeroed(_ number: Int) -> [UInt8] {
    var copy = bytes
    for place in (number - 1) * Self.page..<min(number * Self.page, copy.count) { copy[place] = 0 }
    return copy
  }

  /// A free page may hold anything.
  func isWhole(_ damaged: [UInt8]) throws -> Bool {
    let place = try place(damaged)
    guard let store = try? Store(directory: place.path, hasIdentity: true) else { return false }
    defer { store.close() }
    return try Victim.named(store.load()) == rows
  }

  /// Starts on it with --accept-loss, twice without; the rows that came.
  func accept(_ damaged: [UInt8], _ what: String) throws -> (rows: [String: [UInt8]], losses: [String]) {
    let place = try place(damaged)
    let refusal = #expect(throws: StoreError.self, "\(what)") { try Store(directory: place.path, hasIdentity: true) }
    #expect(refusal?.description.contains("--accept-loss") == true, "\(what)")
    var store = try Store(directory: place.path, hasIdentity: true, acceptsLoss: true)
    let losses = store.losses
    let all = try store.load()
    let found = Victim.named(all)
    for (key, value) in found { #expect(rows[key] == value, "\(what): \(key) is not what was last written") }
    #expect(!losses.isEmpty || found.count == rows.count, "\(what): \(found.count) of \(rows.count): \(losses)")
    // C4: whoever lost something may have given out what it does not know of.
    let restored = all.contains { $0.table == .facts && $0.key == CoordinatorCore.restoredFact }
    #expect(restored == !losses.isEmpty, "\(what): \(losses)")
    #expect(store.repair?.contains("\(place.path)/stint.db.damaged-1") == true, "\(what)")
    #expect(try Files.read("\(place.path)/stint.db.damaged-1") == damaged, "\(what)")
    store.close()
    // The flag was for once.
    store = try Store(directory: place.path, hasIdentity: true)
    #expect(Victim.named(try store.load()) == found, "\(what)")
    #expect(store.losses == [] && store.repair == nil)
    store.close()
    return (found, losses)
  }
}

@Suite("A damaged store goes on with what can be read of it, if the operator says so")
struct StoreSalvageTests {
  /// Row by row what the damage of a page may cost: its own rows, or the one that it is a part of.
  @Test("of each page that is damaged only its own rows are lost: an index, an inner page or a root costs none")
  func pages() throws {
    let victim = try Victim()
    let count = victim.bytes.count / Victim.page
    var (whole, partial) = (0, 0)
    for number in 1...count {
      if try victim.isWhole(victim.zeroed(number)) { continue }
      let (found, _) = try victim.accept(victim.zeroed(number), "page \(number)")
      if found.count == victim.rows.count { whole += 1 } else { partial += 1 }
      #expect(found.count >= victim.rows.count - 6, "page \(number): \(found.count) of \(victim.rows.count)")
    }
    // Tables' leaves and long rows are the minority beside indexes, inner pages and free ones.
    #expect(whole >= 8 && partial >= 12, "\(whole) whole, \(partial) partial of \(count)")
  }

  @Test("a cut file costs what was behind the cut")
  func cut() throws {
    let victim = try Victim()
    let count = victim.bytes.count / Victim.page
    var last = -1
    for pages in [count / 4, count / 2, count - 1] {
      let (found, _) = try victim.accept(Array(victim.bytes.prefix(pages * Victim.page)), "cut to \(pages)")
      #expect(found.count >= last)
      last = found.count
    }
    #expect(last > 50)
  }

  @Test("what only the log has is read from it, also beside a file that is damaged, cut to nothing or gone")
  func log() throws {
    let victim = try Victim(isFolded: false)
    #expect(!victim.log.isEmpty)
    for number in 1...victim.bytes.count / Victim.page {
      let place = try victim.place(victim.zeroed(number))
      let store = try Store(directory: place.path, hasIdentity: true, acceptsLoss: true)
      #expect(Victim.named(try store.load()) == victim.rows, "page \(number)")
      store.close()
    }
    for isGone in [false, true] {
      let place = try victim.place([])
      if isGone { #expect(unlink("\(place.path)/stint.db") == 0) }
      let store = try Store(directory: place.path, hasIdentity: true, acceptsLoss: true)
      #expect(Victim.named(try store.load()) == victim.rows)
      store.close()
    }
  }

  @Test("two damaged pages, one of them of the free ones' list, bring no former row back")
  func former() throws {
    let victim = try Victim()
    let trunk = StorePageBytes(victim.bytes).number(32, 4) ?? 0
    try #require(trunk > 0)
    for number in 2...victim.bytes.count / Victim.page where number != trunk {
      var bytes = victim.zeroed(number)
      for place in (trunk - 1) * Victim.page..<trunk * Victim.page { bytes[place] = 0 }
      let place = try victim.place(bytes)
      let store = try Store(directory: place.path, hasIdentity: true, acceptsLoss: true)
      for (key, value) in Victim.named(try store.load()) { #expect(victim.rows[key] == value, "\(number): \(key)") }
      store.close()
    }
  }

  @Test("bytes that are changed at random end in rows that were written, or in words")
  func random() throws {
    let victim = try Victim()
    var random = SplitMix64(seed: 11)
    for round in 0..<150 {
      var bytes = victim.bytes
      for _ in 0...random.below(40) { bytes[Int(random.below(UInt64(bytes.count)))] = UInt8(random.below(256)) }
      let place = try victim.place(bytes)
      do throws(StoreError) {
        let store = try Store(directory: place.path, hasIdentity: true, acceptsLoss: true)
        for (key, value) in Victim.named(try store.load()) { #expect(victim.rows[key] == value, "\(round): \(key)") }
        store.close()
      } catch {
        #expect(error.description.contains("move the data directory away") || error.description.contains("--data"))
      }
    }
  }

  @Test("where nothing can be read no empty cluster begins, and the files stay as they were")
  func nothing() throws {
    let victim = try Victim()
    for bytes in [[UInt8](repeating: 0, count: 40_960), Array("no database".utf8), []] {
      let place = try victim.place(bytes)
      let refusal = #expect(throws: StoreError.self) {
        try Store(directory: place.path, hasIdentity: true, acceptsLoss: true)
      }
      #expect(refusal?.description.contains("stint restore FILE --data \(place.path)") == true)
      #expect(try Files.read("\(place.path)/stint.db") == bytes)
      #expect(!Files.exists("\(place.path)/stint.db.damaged-1"))
    }
    // As `sqlite3 stint.db .recover | sqlite3 NEW` left it where that failed: tables without rows.
    let place = try victim.place([])
    #expect(unlink("\(place.path)/store.mark") == 0 && unlink("\(place.path)/coordinator.json") == 0)
    try Store(directory: place.path).close()
    try Files.writeAtomically("\(place.path)/store.mark", victim.mark)
    #expect(throws: StoreError.self) { try Store(directory: place.path, hasIdentity: true, acceptsLoss: true) }
  }

  @Test("a crash between the new store's being whole and its being in place is made good, at any step")
  func crash() throws {
    let victim = try Victim()
    for moved in 0...2 {
      let place = try victim.place(victim.zeroed(7))
      try Files.writeAtomically("\(place.path)/stint.db-wal", [])
      for name in ["stint.db-wal", "stint.db"].prefix(moved) {
        let number = name == "stint.db" ? "" : "-wal"
        #expect(rename("\(place.path)/\(name)", "\(place.path)/stint.db.damaged-1\(number)") == 0)
      }
      try Files.writeAtomically("\(place.path)/stint.db.salvaged", victim.bytes)
      let store = try Store(directory: place.path, hasIdentity: true)
      #expect(Victim.named(try store.load()) == victim.rows)
      store.close()
      #expect(try Files.read("\(place.path)/stint.db.damaged-1") == victim.zeroed(7))
      #expect(!Files.exists("\(place.path)/stint.db.salvaged"))
    }
  }

  @Test("a store that is served is not replaced, also where its lock file is gone")
  func served() throws {
    let place = try TemporaryDirectory()
    let store = try Store(directory: place.path)
    defer { store.close() }
    #expect(unlink("\(place.path)/lock") == 0)
    let refusal = #expect(throws: StoreError.self) { try Store(directory: place.path, acceptsLoss: true) }
    #expect(refusal?.description.contains("another coordinator is using") == true)
  }

  @Test("a copy of a damaged directory is no way around --moved")
  func copied() throws {
    let victim = try Victim()
    let place = try victim.place(victim.bytes)
    let store = try Store(directory: place.path, hasIdentity: true)
    try commit(store, [store.originRow])
    store.close()
    let copy = try victim.place(try Files.read("\(place.path)/stint.db").enumerated().map { $0 / 4_096 == 6 ? 0 : $1 })
    try Files.writeAtomically("\(copy.path)/store.mark", try Files.read("\(place.path)/store.mark"))
    let refusal = #expect(throws: StoreError.self) {
      try Store(directory: copy.path, hasIdentity: true, acceptsLoss: true)
    }
    #expect(refusal?.description.contains("--moved") == true)
    try Store(directory: copy.path, hasIdentity: true, acceptsLoss: true, isMoved: true).close()
  }
}
