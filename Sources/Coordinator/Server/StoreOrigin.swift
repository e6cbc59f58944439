// Owns: from which directory and file the store was served last, so that a copy of it is known before anything follows
// from its rows. It must not know what a copy would do.

import ClusterIO
import ClusterProto
import CoordinatorCore

/// Where a store lies. Held against the row that the last start wrote.
package struct StoreOrigin: Equatable, Sendable {
  static let fact = "origin"
  private static let advice =
    "Two coordinators of one cluster would run its work twice: start the one with the newest store. If there is no "
    + "newer one (this one was moved, or restored from a backup after a loss), start it once with --moved: it then "
    + "gives out no work for about ten minutes, until whatever a newer one has started is over"

  private var folder: DirectoryIdentity
  private var database: DirectoryIdentity
  private var boot: String

  /// Of the store at `database` in `directory`.
  init(directory: String, database: String) throws(IOError) {
    folder = try DirectoryIdentity(path: directory)
    self.database = try DirectoryIdentity(path: database)
    boot = (try? Files.readLine("/proc/sys/kernel/random/boot_id")) ?? ""
  }

  /// The row that says that it is served from here; a file system that keeps no identities gives none.
  var row: StoreWrite {
    let isLasting = folder.isLasting && database.isLasting
    let json: JSON =
      isLasting
      ? ["directory": folder.json, "database": database.json, "boot": .string(boot)] : .object(JSONObject())
    return StoreWrite(table: .facts, key: Self.fact, value: json.bytes)
  }

  /// Refuses a store whose rows say that it was served from elsewhere. One that was just restored was served nowhere.
  func check(_ rows: [StoreRow], path: String) throws(StoreError) {
    guard folder.isLasting, database.isLasting,
      !rows.contains(where: { $0.table == .facts && $0.key == CoordinatorCore.restoredFact }),
      let row = rows.first(where: { $0.table == .facts && $0.key == Self.fact }),
      let json = try? JSON(parsing: row.value)
    else { return }
    let isSameBoot = json["boot"]?.stringValue == boot
    if let last = json["directory"], !folder.isSame(as: last, isSameBoot: isSameBoot) {
      throw StoreError(
        "\(path) was last served from another directory (this one is a copy, was restored, or was moved to another "
          + "file system). \(Self.advice)")
    }
    if let last = json["database"], !database.isSame(as: last, isSameBoot: isSameBoot) {
      throw StoreError(
        "\(path) is not the file that was last served, but a copy that was put in its place. \(Self.advice)")
    }
  }
}

extension DirectoryIdentity {
  fileprivate var json: JSON { ["device": .string(device), "file": .string(file)] }

  /// A device may bear another number after a boot. Within one, another number is a snapshot or the copy of a disk.
  fileprivate func isSame(as json: JSON, isSameBoot: Bool) -> Bool {
    json["file"]?.stringValue == file && (!isSameBoot || json["device"]?.stringValue == device)
  }
}
