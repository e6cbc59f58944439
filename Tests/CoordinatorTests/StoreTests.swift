// The store on real files: what survives, what is refused, and what happens when the disk does not play along.

import ClusterIO
import ClusterProto
import Coordinator
import CoordinatorCore
import Glibc
import Synchronization
import Testing

@Suite("Store")
struct StoreTests {
  private func row(_ key: String, _ value: String, _ table: StoreTable = .objects) -> StoreWrite {
    StoreWrite(table: table, key: key, value: Array(value.utf8))
  }

  @Test("rows survive a restart, deleted ones do not, nor does a failed transaction's half")
  func restart() throws {
    let directory = try TemporaryDirectory()
    var store = try Store(directory: directory.path)
    #expect(try store.load() == [])
    try commit(store, [row("a", "1"), row("b", "2"), row("", ""), row("n", "3", .facts)])
    try commit(store, [row("a", "4"), StoreWrite(table: .objects, key: "b", value: nil)])
    store.close()
    store = try Store(directory: directory.path)
    let rows = try store.load().sorted { ($0.table, $0.key) < ($1.table, $1.key) }
    #expect(
      rows.map { "\($0.table) \($0.key)=\(String(decoding: $0.value, as: UTF8.self))" } == [
        "facts n=3", "objects =", "objects a=4",
      ])
    store.close()
  }

  @Test("data directory, database, kubeconfig and address are their owner's alone")
  func modes() throws {
    let directory = try TemporaryDirectory()
    let store = try Store(directory: "\(directory.path)/new/data")
    defer { store.close() }
    let data = DataDirectory(path: "\(directory.path)/new/data")
    let pki = try PKI(directory: data.path, host: "localhost")
    #expect(try PKI(directory: data.path, host: "localhost").authority == pki.authority)
    try data.announce(address: .tcp(host: "127.0.0.1", port: 7), pid: 5, cluster: "c")
    try data.writeKubeconfig(cluster: "c", native: .tcp(host: "127.0.0.1", port: 7), server: "")
    #expect(try Files.status(data.path).mode & 0o777 == 0o700)
    for name in ["stint.db", "stint.db-wal", "store.mark", "admin.kubeconfig", "coordinator.json", "lock"] {
      #expect(try Files.status("\(data.path)/\(name)").mode & 0o777 == 0o600, "\(name)")
    }
  }

  @Test("a second coordinator on the directory is refused and told whose it is")
  func secondCoordinator() throws {
    let directory = try TemporaryDirectory()
    let store = try Store(directory: directory.path)
    let error = try #require(throws: StoreError.self) { try Store(directory: directory.path) }
    #expect(error.description.hasPrefix("another coordinator is using \(directory.path) (held by process \(getpid()))"))
    store.close()
    try Store(directory: directory.path).close()
  }

  @Test("a second coordinator is refused although the file of the lock, or the store, was taken out of the directory")
  func removedLock() throws {
    let directory = try TemporaryDirectory()
    let store = try Store(directory: directory.path)
    try DataDirectory(path: directory.path).announce(
      address: .tcp(host: "127.0.0.1", port: 1), pid: getpid(), cluster: "c")
    try Files.removeTree("\(directory.path)/lock")
    let error = try #require(throws: StoreError.self) { try Store(directory: directory.path, hasIdentity: true) }
    #expect(error.description.hasPrefix("another coordinator is using \(directory.path) (held by process \(getpid()))"))
    let other = try TemporaryDirectory()
    for name in try Files.list(directory.path) where name != "lock" {
      try #require(rename("\(directory.path)/\(name)", "\(other.path)/\(name)") == 0)
    }
    for isMoved in [false, true] {
      let error = try #require(throws: StoreError.self) {
        try Store(directory: other.path, acceptsLoss: true, isMoved: isMoved)
      }
      #expect(error.description.hasPrefix("another coordinator is using \(other.path)"), "\(error)")
    }
    store.close()
    try Store(directory: other.path, isMoved: true).close()
  }

  @Test("a store of a newer schema is refused, and left as it was")
  func downgrade() throws {
    let directory = try TemporaryDirectory()
    try Store(directory: directory.path).close()
    // user_version stands big-endian at byte 60 of the file.
    try directory.overwrite("stint.db", at: 60, [0, 0, 0, 9])
    let before = try Files.read("\(directory.path)/stint.db")
    let error = try #require(throws: StoreError.self) { try Store(directory: directory.path) }
    #expect(
      error.description.contains("was written by a newer stint (schema 9, this one knows \(Store.schemaVersion))"))
    #expect(try Files.read("\(directory.path)/stint.db") == before)
  }

  @Test("another program's database, and a file that is none, are refused")
  func foreignFiles() throws {
    let directory = try TemporaryDirectory()
    try Store(directory: directory.path).close()
    try directory.overwrite("stint.db", at: 68, [1, 2, 3, 4])
    var error = try #require(throws: StoreError.self) { try Store(directory: directory.path) }
    #expect(error.description.contains("is not a coordinator's store"))
    try Files.writeAtomically("\(directory.path)/stint.db", Array(repeating: 0x41, count: 8_192))
    error = try #require(throws: StoreError.self) { try Store(directory: directory.path) }
    #expect(error.description.contains("stint.db is damaged"))
  }

  @Test("a damaged page is found at the start, with what to do")
  func damage() throws {
    let directory = try TemporaryDirectory()
    let store = try Store(directory: directory.path)
    try commit(store, (0..<2_000).map { row("key\($0)", String(repeating: "v", count: 200)) })
    store.close()
    let size = try Files.status("\(directory.path)/stint.db").size
    for page in stride(from: Int64(4_096 * 20), to: size, by: 4_096 * 8) {
      try directory.overwrite("stint.db", at: page, Array(repeating: 0xa5, count: 64))
    }
    let error = try #require(throws: StoreError.self) { try Store(directory: directory.path) }
    #expect(error.description.contains("stint.db is damaged"))
    #expect(error.description.contains("restore a backup (stint restore FILE --data"))
  }

  @Test("a path that cannot be a directory is refused with its reason")
  func unusable() throws {
    let directory = try TemporaryDirectory()
    try Files.writeAtomically("\(directory.path)/file", [1])
    let error = try #require(throws: StoreError.self) { try Store(directory: "\(directory.path)/file/data") }
    #expect(error.description.contains("cannot be used"))
    #expect(error.description.contains("Not a directory"))
  }

  @Test("a read-only directory is refused with its reason", .enabled(if: Filesystem.canMount))
  func readOnly() throws {
    let directory = try TemporaryDirectory()
    let mounted = try Filesystem(at: directory.path, size: "1m")
    defer { mounted.unmount() }
    try Store(directory: directory.path).close()
    try mounted.makeReadOnly()
    let error = try #require(throws: StoreError.self) { try Store(directory: directory.path) }
    #expect(error.description.contains("Read-only file system"))
    #expect(error.description.contains("a directory that it may write to"))
  }

  @Test("a full disk fails the commit, says so, and leaves nothing of it", .enabled(if: Filesystem.canMount))
  func fullDisk() throws {
    let directory = try TemporaryDirectory()
    let mounted = try Filesystem(at: directory.path, size: "1m")
    defer { mounted.unmount() }
    let store = try Store(directory: directory.path)
    try commit(store, [row("first", "kept")])
    let error = try #require(throws: StoreError.self) {
      try commit(store, (0..<5_000).map { row("key\($0)", String(repeating: "v", count: 500)) })
    }
    #expect(error.description.contains("is full: free some space"))
    store.close()
    let again = try Store(directory: directory.path)
    #expect(try again.load().map(\.key) == ["first"])
    again.close()
  }

  @Test(
    "a full disk costs the reserve and the commit holds; with room again there is a reserve again",
    .enabled(if: Filesystem.canMount))
  func reserve() throws {
    let directory = try TemporaryDirectory()
    let mounted = try Filesystem(at: directory.path, size: "8m")
    defer { mounted.unmount() }
    let store = try Store(directory: directory.path)
    let reserve = "\(directory.path)/reserve"
    #expect(try Files.status(reserve).size == 512 << 10)
    try commit(store, [row("first", "kept")])
    try mounted.fill()
    #expect(try Files.space(directory.path).available == 0)
    var batches = 0
    while Files.exists(reserve), batches < 100 {
      try commit(store, (0..<100).map { row("key\(batches)/\($0)", String(repeating: "v", count: 500)) })
      batches += 1
    }
    #expect(!Files.exists(reserve))
    #expect(store.reserveUses.drain().count == 1)
    try mounted.empty()
    store.restoreReserve()
    try commit(store, [row("last", "kept")])
    #expect(Files.exists(reserve))
    store.close()
    let again = try Store(directory: directory.path)
    #expect(try again.load().count == 2 + batches * 100)
    again.close()
  }

  @Test(
    "a start on a full disk serves deletes, also when the reserve is used up", .enabled(if: Filesystem.canMount))
  func startOnFullDisk() throws {
    let directory = try TemporaryDirectory()
    let mounted = try Filesystem(at: directory.path, size: "32m")
    defer { mounted.unmount() }
    let first = try Store(directory: directory.path)
    for page in 0..<20 {
      try commit(first, (0..<50).map { row("key\(page * 50 + $0)", String(repeating: "v", count: 900)) })
    }
    try mounted.fill()
    #expect(unlink("\(directory.path)/reserve") == 0)
    try commit(first, [row("more", "in the log's own blocks")])
    first.close()
    try mounted.fill("filler-again")
    #expect(try Files.space(directory.path).available == 0)
    let second = try Store(directory: directory.path)
    for number in 0..<200 { try commit(second, [StoreWrite(table: .objects, key: "key\(number)", value: nil)]) }
    #expect(try second.load().count == 801)
    second.close()
  }

  @Test("what was not committed when the process dies is not there, what was is")
  func crash() throws {
    let directory = try TemporaryDirectory()
    let other = try TemporaryDirectory()
    let store = try Store(directory: directory.path)
    try commit(store, [row("a", "1")])
    // A copy of the files at this instant is what a crash would leave.
    for name in ["stint.db", "stint.db-wal", "store.mark"] {
      try Files.writeAtomically("\(other.path)/\(name)", try Files.read("\(directory.path)/\(name)"))
    }
    try commit(store, [row("b", "2")])
    store.close()
    let restarted = try Store(directory: other.path)
    #expect(try restarted.load().map(\.key) == ["a"])
    restarted.close()
  }

  @Test("how fast rows are written and read")
  func speed() throws {
    let directory = try TemporaryDirectory()
    let store = try Store(directory: directory.path)
    let clock = ContinuousClock()
    let value = String(repeating: "v", count: 1_500)
    let one = try clock.measure { for index in 0..<300 { try commit(store, [row("one\(index)", value)]) } }
    let before = cpuTime()
    let many = try clock.measure {
      for batch in 0..<100 { try commit(store, (0..<100).map { row("many\(batch)/\($0)", value) }) }
    }
    let perRow = (cpuTime() - before) / 10_000
    store.close()
    var count = 0
    let load = try clock.measure {
      let again = try Store(directory: directory.path)
      count = try again.load().count
      again.close()
    }
    #expect(count == 10_300)
    print(
      "store: 300 commits of 1 row \(one), 100 of 100 rows \(many), start with 10,300 rows \(load), "
        + "\(perRow) ns of CPU a row")
  }
}

/// CPU time of this process so far, in nanoseconds.
private func cpuTime() -> Int64 {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}
