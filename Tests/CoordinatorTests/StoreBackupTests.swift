// Backups of a store that is being written, and what becomes of them: the same rows and identities again, or a refusal
// that says what to do and leaves everything as it was.

import ClusterIO
import ClusterProto
import CoordinatorCore
import Glibc
import Synchronization
import Testing

@testable import Coordinator

@Suite("A backup")
struct StoreBackupTests {
  /// A data directory with some rows and identities, a backup of it, and where that may be restored.
  private final class Place {
    let directory: TemporaryDirectory
    var data: String { "\(directory.path)/data" }
    var file: String { "\(directory.path)/backup" }
    var target: String { "\(directory.path)/target" }

    init(rows: Int = 40) throws {
      directory = try TemporaryDirectory()
      let store = try Store(directory: data)
      try commit(store, [store.originRow, StoreBackupTests.fact("cluster", .string("c1"))])
      for index in 0..<rows { try commit(store, [StoreBackupTests.job(index)]) }
      store.close()
      try Files.makeDirectory("\(data)/pki")
      for name in ["authority.pem", "server.pem"] {
        try Files.writeAtomically("\(data)/pki/\(name)", Array("the \(name)".utf8))
      }
    }

    func backUp(_ file: String? = nil) throws {
      _ = try StoreBackup.make(of: data, at: file ?? self.file, program: "test")
    }

    func refusal(_ file: String? = nil, into target: String? = nil) -> String {
      do throws(StoreError) {
        _ = try StoreRestore.restore(file ?? self.file, into: target ?? self.target)
        return ""
      } catch { return error.description }
    }

    func backupRefusal(_ file: String? = nil) -> String {
      do throws(StoreError) {
        _ = try StoreBackup.make(of: data, at: file ?? self.file, program: "test")
        return ""
      } catch { return error.description }
    }
  }

  private static func fact(_ key: String, _ value: JSON) -> StoreWrite {
    StoreWrite(table: .facts, key: key, value: value.bytes)
  }

  private static func job(_ index: Int, _ text: String = "") -> StoreWrite {
    StoreWrite(table: .objects, key: "jobs/default/\(index)", value: Array("{\"number\":\(index)\(text)}".utf8))
  }

  /// The rows of a directory, as a start finds them; those that belong to the place aside.
  private static func rows(_ directory: String, isMoved: Bool = false) throws -> [String: [UInt8]] {
    let store = try Store(directory: directory, hasIdentity: true, isMoved: isMoved)
    defer { store.close() }
    var found: [String: [UInt8]] = [:]
    for row in try store.load() where row.key != StoreOrigin.fact { found["\(row.table)/\(row.key)"] = row.value }
    return found
  }

  @Test("is restored as what it was, under a name of its own, for one epoch, readable by its owner alone")
  func roundTrip() throws {
    let place = try Place()
    try place.backUp()
    #expect(try Files.status(place.file).mode & 0o777 == 0o600)
    let made = try StoreRestore.restore(place.file, into: place.target)
    #expect(made.cluster == "c1")
    #expect(try Files.list(place.target) == ["lock", "pki", "stint.db", "store.mark"])
    var restored = try Self.rows(place.target)
    #expect(restored.removeValue(forKey: "facts/\(CoordinatorCore.restoredFact)") != nil)
    #expect(try restored == Self.rows(place.data))
    for name in ["authority.pem", "server.pem"] {
      #expect(try Files.read("\(place.target)/pki/\(name)") == Array("the \(name)".utf8))
      #expect(try Files.status("\(place.target)/pki/\(name)").mode & 0o777 == 0o600)
    }
    let names = try [place.data, place.target].map { try StoreMark.read($0)?.store }
    #expect(names[0] != names[1])
    #expect(try Files.list(place.directory.path) == ["backup", "data", "target"])
  }

  @Test("a directory that cannot be looked into is told as that, not as one without a store")
  func closedDirectory() throws {
    let place = try TemporaryDirectory()
    // To root no directory is closed: a link to itself is.
    #expect(symlink("loop", "\(place.path)/loop") == 0)
    let refusal = #expect(throws: StoreError.self) {
      try StoreBackup.make(of: "\(place.path)/loop", at: "\(place.path)/backup", program: "test")
    }
    #expect(refusal?.description.contains("cannot be looked into") == true, "\(refusal?.description ?? "")")
    #expect(refusal?.description.contains("as root") == true)
    let none = #expect(throws: StoreError.self) {
      try StoreBackup.make(of: "\(place.path)/none", at: "\(place.path)/backup", program: "test")
    }
    #expect(none?.description.contains("holds no coordinator's store") == true)
    let unread = #expect(throws: StoreError.self) {
      try StoreRestore.restore("\(place.path)/loop", into: "\(place.path)/new")
    }
    #expect(unread?.description.contains("cannot be read") == true)
  }

  @Test("restored onto a full disk it says what to run again", .enabled(if: Filesystem.canMount))
  func fullDisk() throws {
    let place = try Place(rows: 2_000)
    try place.backUp()
    let small = try TemporaryDirectory()
    let mounted = try Filesystem(at: small.path, size: "256k")
    defer { mounted.unmount() }
    let refusal = place.refusal(into: "\(small.path)/target")
    #expect(refusal.contains("the disk is full") && refusal.contains("run it again"), "\(refusal)")
    #expect(!refusal.contains("start the coordinator again"))
  }

  @Test("made again and again while transactions are written is each time one state, and no commit waits for it")
  func consistent() throws {
    let place = try Place(rows: 0)
    let store = try Store(directory: place.data)
    var round = 0
    // Two rows that are always equal, among enough others that a copy takes longer than a commit.
    try commit(store, (0..<3_000).map { Self.job(100 + $0, ",\"text\":\"\(String(repeating: "x", count: 400))\"") })
    let isDone = Atomic<Bool>(false)
    let copies = Mutex<Int>(0)
    let writer = try WorkerThread(name: "backups")
    let (data, folder) = (place.data, place.directory.path)
    writer.post {
      for number in 0..<6 {
        guard (try? StoreBackup.make(of: data, at: "\(folder)/copy-\(number)", program: "test")) != nil else { break }
        copies.withLock { $0 += 1 }
      }
      isDone.store(true, ordering: .releasing)
    }
    while !isDone.load(ordering: .acquiring) {
      round += 1
      try commit(store, [Self.fact("one", .int(Int64(round))), Self.fact("two", .int(Int64(round)))])
    }
    #expect(writer.stop(milliseconds: 60_000))
    store.close()
    #expect(copies.withLock { $0 } == 6)
    #expect(round > 6)
    for number in 0..<6 {
      let target = "\(folder)/target-\(number)"
      _ = try StoreRestore.restore("\(folder)/copy-\(number)", into: target)
      let rows = try Self.rows(target)
      #expect(rows["facts/one"] == rows["facts/two"])
      #expect(rows.count >= 3_000)
    }
  }

  @Test("holds what was acknowledged before it began, also what stands in the log alone")
  func holdsAcknowledged() throws {
    let place = try Place(rows: 0)
    let store = try Store(directory: place.data)
    for index in 0..<5 {
      try commit(store, [Self.job(index)])
      try place.backUp()
      _ = try StoreRestore.restore(place.file, into: "\(place.target)-\(index)")
      #expect(try Self.rows("\(place.target)-\(index)")["objects/jobs/default/\(index)"] != nil)
    }
    store.close()
  }

  @Test("goes into no directory that holds anything, and what is there stays")
  func nonEmpty() throws {
    let place = try Place()
    try place.backUp()
    for name in ["notes", "stint.db", "pki", "coordinator.json"] {
      let target = "\(place.target)-\(name)"
      try Files.makeDirectory(target)
      try Files.writeAtomically("\(target)/\(name)", [1])
      let said = place.refusal(into: target)
      #expect(said.contains("is not empty (\(name))") && said.contains("mv \(target) \(target).old"), "\(said)")
      #expect(try Files.list(target) == [name])
    }
    let store = try Store(directory: place.data)
    #expect(place.refusal(into: place.data).contains("is not empty"))
    store.close()
    // What a first start that was killed has left is nothing, and a file system's own folder.
    try Files.makeDirectory("\(place.target)/lost+found")
    try Files.writeAtomically("\(place.target)/lock", [])
    #expect(place.refusal() == "")
  }

  @Test("that lost or changed any byte is refused, or was restored as what it was")
  func damaged() throws {
    let place = try Place(rows: 10)
    try place.backUp()
    let whole = try Files.read(place.file)
    _ = try StoreRestore.restore(place.file, into: place.target)
    let expected = try Self.rows(place.target)
    let torn = "\(place.directory.path)/torn"
    var refused = 0
    func hold(_ bytes: [UInt8], _ what: String) throws {
      let target = "\(place.directory.path)/torn-target"
      try? Files.removeTree(target)
      try Files.writeAtomically(torn, bytes)
      let said = place.refusal(torn, into: target)
      if said.isEmpty { return #expect(try Self.rows(target) == expected, "\(what) was restored as something else") }
      refused += 1
      #expect(!Files.exists(target), "\(what)")
      #expect(
        said.contains("take another backup") || said.contains("stint backup makes one") || said.contains("newer stint")
          || said.contains("--moved"), "\(what): \(said)")
    }
    for cut in [0, 10, 100, 4_096, whole.count / 2, whole.count - 1] {
      try hold(Array(whole.prefix(cut)), "cut at \(cut)")
    }
    for place in stride(from: 0, to: whole.count, by: 2_053) {
      var bytes = whole
      bytes[place] ^= 0x55
      try hold(bytes, "byte \(place)")
    }
    #expect(refused > 6)
  }

  @Test("of a newer version, another file, and a store in a backup's place are refused in their own words")
  func otherFiles() throws {
    let place = try Place()
    try place.backUp()
    func edited(_ sql: String) throws -> String {
      let path = "\(place.directory.path)/edited"
      try Files.writeAtomically(path, try Files.read(place.file))
      let database = try Database(path: path)
      try database.execute(sql)
      database.close()
      return place.refusal(path)
    }
    for sql in [
      "PRAGMA user_version = \(Store.schemaVersion + 1)",
      "UPDATE backup SET value = replace(value, '\"format\":1', '\"format\":2')",
    ] {
      let said = try edited(sql)
      #expect(said.contains("made by a newer stint (test") && said.contains("restore it with that version"), "\(said)")
    }
    #expect(try edited("DELETE FROM identities WHERE name = 'server.pem'").contains("identities are gone"))
    #expect(try edited("DELETE FROM facts").contains("is damaged"))
    let store = place.refusal("\(place.data)/stint.db")
    #expect(store.contains("is a coordinator's store and no backup") && store.contains("--moved"))
    #expect(place.refusal("/etc/passwd").contains("is no backup: stint backup makes one"))
    #expect(place.refusal(place.data).contains("is no backup"))
    #expect(place.refusal("\(place.directory.path)/none").contains("there is no backup"))
    #expect(!Files.exists(place.target))
  }

  @Test("half restored is no store to start on, and is begun again; once whole it is not begun again")
  func interrupted() throws {
    let place = try Place()
    try place.backUp()
    _ = try StoreRestore.restore(place.file, into: place.target)
    let expected = try Self.rows(place.target)
    // As a crash leaves it at each step.
    for kept in [[], ["pki"], ["pki", "stint.db"]] {
      let half = "\(place.target)-\(kept.count)"
      try Files.makeDirectory("\(half)/pki")
      try Files.writeAtomically("\(half)/restoring", [])
      if kept.contains("pki") { try Files.writeAtomically("\(half)/pki/authority.pem", [1]) }
      if kept.contains("stint.db") {
        try Files.writeAtomically("\(half)/stint.db", try Files.read("\(place.target)/stint.db"))
      }
      #expect(throws: StoreError.self) { try Store(directory: half, hasIdentity: true) }
      #expect(place.refusal(into: half) == "")
      #expect(try Self.rows(half) == expected)
    }
    try Files.writeAtomically("\(place.target)/restoring", [])
    #expect(place.refusal(into: place.target).contains("is not empty"))
    #expect(try Self.rows(place.target) == expected)
  }

  @Test("a restore that was killed at any moment is no place for a new cluster: it is to be run again, and can be")
  func cutShort() throws {
    let place = try Place()
    try place.backUp()
    _ = try StoreRestore.restore(place.file, into: place.target)
    let store = try Files.read("\(place.target)/stint.db")
    let expected = try Self.rows(place.target)
    let steps = ["restoring.new", "restoring", "pki/authority.pem", "stint.db.restoring", "stint.db", "store.mark.new"]
    for count in 1...steps.count {
      let half = "\(place.target)-\(count)"
      try Files.makeDirectory("\(half)/pki")
      try Files.writeAtomically("\(half)/lock", [])
      for name in steps.prefix(count) where name != "restoring.new" || count == 1 {
        try Files.writeAtomically("\(half)/\(name)", name.hasPrefix("stint.db") ? store : [])
      }
      let before = try Files.list(half)
      for acceptsLoss in [false, true] {
        let identity = DataDirectory(path: half).hasIdentity
        let error = #expect(throws: StoreError.self) {
          try Store(directory: half, hasIdentity: identity, acceptsLoss: acceptsLoss)
        }
        #expect(error?.description.contains("was cut short: run it again (stint restore FILE --data \(half))") == true)
      }
      #expect(try Files.list(half) == before)
      #expect(place.refusal(into: half) == "")
      #expect(try Self.rows(half) == expected)
    }
  }

  @Test("a restore says that it is under way before it does anything else, the lock included")
  func signFirst() throws {
    let place = try Place()
    try place.backUp()
    let lock = try Store.lock(place.target)
    #expect(place.refusal().contains("another coordinator is using"))
    lock.release()
    // As if it had been killed there.
    #expect(try Files.list(place.target) == ["lock", "restoring"])
    let error = #expect(throws: StoreError.self) { try Store(directory: place.target) }
    #expect(error?.description.contains("was cut short: run it again") == true)
    #expect(place.refusal() == "")
  }

  @Test("that is made while the authority is exchanged again and again holds the authority that its store knows")
  func exchanges() throws {
    let place = try Place(rows: 0)
    let pki = "\(place.data)/pki"
    try Files.writeAtomically("\(pki)/authority.pem", try Authorities.make().file)
    let store = try Store(directory: place.data)
    func record() throws { try commit(store, [AuthorityRecord(try Authorities(below: pki)).row]) }
    try record()
    // A copy that takes longer than an exchange.
    try commit(store, (0..<2_000).map { Self.job(100 + $0, ",\"text\":\"\(String(repeating: "x", count: 400))\"") })
    let wanted = 5
    let (data, folder) = (place.data, place.directory.path)
    let copies = Mutex<Int>(0)
    let isDone = Atomic<Bool>(false)
    let writer = try WorkerThread(name: "backups")
    writer.post {
      let end = Clocks.boot() + 60_000_000_000
      var count = 0
      // One that finds the identities changed each time it looks again says so, and is made again.
      while count < wanted, Clocks.boot() < end {
        if (try? StoreBackup.make(of: data, at: "\(folder)/copy-\(count)", program: "test")) != nil { count += 1 }
      }
      copies.withLock { $0 = count }
      isDone.store(true, ordering: .releasing)
    }
    // Each step on the files, then what the store says of it, as the coordinator does it; then a rest, so that some
    // copies come through.
    var exchanges = 0
    while !isDone.load(ordering: .acquiring) {
      for _ in 0..<3 {
        try Authorities.exchange(below: pki)
        try record()
        try Authorities.drop(below: pki)
        try record()
      }
      exchanges += 3
      for _ in 0..<20 where !isDone.load(ordering: .acquiring) { try commit(store, [Self.fact("rest", .int(1))]) }
    }
    #expect(writer.stop(milliseconds: 60_000))
    store.close()
    #expect(copies.withLock { $0 } == wanted && exchanges > wanted)
    for number in 0..<wanted {
      let target = "\(folder)/target-\(number)"
      _ = try StoreRestore.restore("\(folder)/copy-\(number)", into: target)
      let restored = try Store(directory: target, hasIdentity: true)
      defer { restored.close() }
      var rows = try restored.load()
      let known = AuthorityRecord(takenFrom: &rows, isNew: false)
      try known?.check("\(target)/pki")
      #expect(known != nil)
    }
  }

  @Test("takes no pipe's and no link's place, and no stream's: what is there stays what it is")
  func otherPlaces() throws {
    let place = try Place()
    let folder = place.directory.path
    #expect(mkfifo("\(folder)/pipe", 0o600) == 0)
    let links = [("to-pipe", "pipe"), ("to-nothing", "nothing"), ("to-folder", "data"), ("to-file", "real")]
    for (name, target) in links { #expect(symlink(target, "\(folder)/\(name)") == 0) }
    #expect(place.backupRefusal("\(folder)/pipe").contains("a pipe or a socket and stays as it is"))
    #expect(place.backupRefusal("\(folder)/to-pipe").contains("a pipe or a socket and stays as it is"))
    #expect(place.backupRefusal("\(folder)/to-nothing").contains("leads nowhere"))
    #expect(place.backupRefusal("\(folder)/to-folder").contains("is a directory"))
    for stream in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
      #expect(place.backupRefusal(stream).contains("not written to a stream"))
    }
    try Files.writeAtomically("\(folder)/real", [1])
    #expect(place.backupRefusal("\(folder)/to-file") == "")
    for (name, _) in links { #expect(try Files.status("\(folder)/\(name)", followLinks: false).isSymbolicLink) }
    #expect(try Files.status("\(folder)/pipe").mode & UInt32(S_IFMT) == UInt32(S_IFIFO))
    #expect(place.refusal("\(folder)/real") == "")
  }

  @Test("removes what killed backups of the same file have left, and nothing of others or of one that runs")
  func remains() throws {
    let place = try Place()
    // Above what the kernel ever gives out.
    let dead = 1 << 30
    let kept = [".backup.\(getppid()).partial", ".other.\(dead).partial", ".backup.partial", ".backup.x.partial"]
    for name in kept + [".backup.\(dead).partial", ".backup.\(dead).partial-journal"] {
      try Files.writeAtomically("\(place.directory.path)/\(name)", [])
    }
    try place.backUp()
    #expect(try Files.list(place.directory.path) == (kept + ["backup", "data"]).sorted())
  }

  @Test("is not made of a damaged store, nor where it would be lost with it, and an older one stays until then")
  func notMade() throws {
    let place = try Place()
    try place.backUp()
    let before = try Files.read(place.file)
    #expect(place.backupRefusal("\(place.data)/backup").contains("would be lost with it"))
    #expect(place.backupRefusal(place.directory.path).contains("is a directory"))
    #expect(place.backupRefusal("\(place.directory.path)/no/such").contains("make it first"))
    let database = try Database(path: "\(place.data)/stint.db")
    try database.execute("UPDATE objects SET value = 'other' WHERE key = 'jobs/default/7'")
    database.close()
    #expect(place.backupRefusal().contains("jobs/default/7 is not what was written"))
    #expect(try Files.read(place.file) == before)
    try Files.writeAtomically("\(place.data)/stint.db", [])
    #expect(place.backupRefusal().contains("is not a coordinator's store"))
    unlink("\(place.data)/stint.db")
    #expect(place.backupRefusal().contains("name its data directory with --data"))
    #expect(try Files.list(place.directory.path) == ["backup", "data"])
  }
}
