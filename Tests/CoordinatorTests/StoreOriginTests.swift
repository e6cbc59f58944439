// A store in another place than where it was served last: a rename is free, a copy is refused with what to do (C4).

import ClusterIO
import ClusterProto
import CoordinatorCore
import Glibc
import Testing

@testable import Coordinator

@Suite("A store is served where it was served last, or by the operator's word")
struct StoreOriginTests {
  private static let names = ["stint.db", "store.mark"]

  /// Opens and commits, as a start does; throws what a refusal says.
  private static func start(_ directory: String, isMoved: Bool = false) throws {
    let store = try Store(directory: directory, isMoved: isMoved)
    try commit(store, [store.originRow])
    store.close()
  }

  private static func refusal(_ directory: String) throws -> String {
    let before = try names.map { try Files.read("\(directory)/\($0)") }
    var said = ""
    do { try start(directory) } catch let error as StoreError { said = error.description }
    #expect(try names.map { try Files.read("\(directory)/\($0)") } == before, "a refusal changed the files")
    return said
  }

  private static func copy(_ from: String, _ to: String, _ names: [String] = names) throws {
    for name in names { try Files.writeAtomically("\(to)/\(name)", try Files.read("\(from)/\(name)")) }
  }

  @Test("renamed it starts; copied it is refused until it is said to be moved, and then it is the place")
  func copiedAndRenamed() throws {
    let place = try TemporaryDirectory()
    let old = "\(place.path)/old"
    let new = "\(place.path)/new"
    let copied = "\(place.path)/copied"
    for path in [old, copied] { try Files.makeDirectory(path) }
    try Self.start(old)
    #expect(rename(old, new) == 0)
    try Self.start(new)
    try Self.copy(new, copied)
    let said = try Self.refusal(copied)
    #expect(said.contains("last served from another directory") && said.contains("--moved"))
    try Self.start(copied, isMoved: true)
    try Self.start(copied)
    try Self.start(new)
  }

  @Test("files put back into the directory are refused")
  func restoredFiles() throws {
    let place = try TemporaryDirectory()
    try Self.start(place.path)
    let backup = try TemporaryDirectory()
    try Self.copy(place.path, backup.path)
    try Self.start(place.path)
    try Self.copy(backup.path, place.path)
    let said = try Self.refusal(place.path)
    #expect(said.contains("is not the file that was last served") && said.contains("--moved"))
  }

  @Test("another device number refuses within one boot, and a boot may change it")
  func devices() throws {
    let place = try TemporaryDirectory()
    try Self.start(place.path)
    let path = "\(place.path)/stint.db"
    let origin = try StoreOrigin(directory: place.path, database: path)
    func row(boot: String?) throws -> [StoreRow] {
      var json = try JSON(parsing: origin.row.value ?? [])
      json[path: ["directory", "device"]] = "none"
      if let boot { json["boot"] = .string(boot) }
      return [StoreRow(table: .facts, key: StoreOrigin.fact, value: json.bytes)]
    }
    #expect(throws: StoreError.self) { try origin.check(try row(boot: nil), path: path) }
    try origin.check(try row(boot: "another"), path: path)
    try origin.check([], path: path)
    try origin.check([StoreRow(table: .facts, key: StoreOrigin.fact, value: Array("{}".utf8))], path: path)
  }
}
