// What DATA/keepers says: which directory it was written in, and which keepers that directory had. Decides whether a
// new keeper is the successor of those before it, or stands in a copy of their directory. Touches no file.

import ClusterProto

/// Where a keeper starts.
package struct KeeperPlace: Equatable, Sendable {
  /// Device, inode and whatever else tells the data directory from a copy of it; equal texts: the same directory.
  package var directory: String
  /// False where the file system keeps neither birth times nor generations: the text could come again once the
  /// directory is gone.
  package var isLasting: Bool
  /// The kernel's boot id.
  package var bootID: String
  /// Whose processes its sweep sees: PID namespace and user.
  package var sight: String

  /// A place as the host has found it.
  package init(directory: String, isLasting: Bool, bootID: String, sight: String) {
    self.directory = directory
    self.isLasting = isLasting
    self.bootID = bootID
    self.sight = sight
  }
}

/// The keepers of one data directory. A copy of the directory carries this file along, but not the directory's device,
/// inode and birth that the file names: there the register begins anew.
package struct KeeperRegister: Equatable, Sendable {
  /// What a new keeper may say of itself.
  package struct Entry: Equatable, Sendable {
    /// Random, the same for all keepers of this very directory.
    package var mark: String
    /// Keepers before it whose pods its sweep must have found, had one been alive: of this directory, on this kernel,
    /// in its sight.
    package var sweptKeepers: [String]
    /// The register was written in another directory: this one was moved or copied here.
    package var isForeign: Bool

    /// As given.
    package init(mark: String, sweptKeepers: [String], isForeign: Bool) {
      self.mark = mark
      self.sweptKeepers = sweptKeepers
      self.isForeign = isForeign
    }
  }

  private struct Former: Equatable, Sendable {
    var keeper: String
    var bootID: String
    var sight: String
  }

  private static let limit = 64

  private var mark = ""
  private var directory = ""
  private var keepers: [Former] = []

  /// A directory that has had no keeper.
  package init() {}

  /// As `json` gave it; anything else proves nothing and counts as empty.
  package init(json: JSON) {
    guard let mark = json["mark"]?.stringValue, let directory = json["directory"]?.stringValue,
      let list = json["keepers"]?.arrayValue
    else { return }
    var keepers: [Former] = []
    for entry in list {
      guard let keeper = entry["keeper"]?.stringValue, let boot = entry["bootID"]?.stringValue,
        let namespace = entry["sight"]?.stringValue
      else { return }
      keepers.append(Former(keeper: keeper, bootID: boot, sight: namespace))
    }
    self.mark = mark
    self.directory = directory
    self.keepers = keepers
  }

  /// For the file.
  package var json: JSON {
    [
      "mark": .string(mark), "directory": .string(directory),
      "keepers": .array(
        keepers.map { former in
          [
            "keeper": .string(former.keeper), "bootID": .string(former.bootID),
            "sight": .string(former.sight),
          ]
        }),
    ]
  }

  /// Enters a keeper that has swept `place` and starts now. `freshMark`: random, taken if this is another directory.
  package mutating func enter(_ keeper: String, at place: KeeperPlace, freshMark: String) -> Entry {
    // While a pod of one of them lives it holds the directory's inode, so no copy can have the same device and inode
    // on this kernel. Across boots only birth or generation can tell.
    let isSame = directory == place.directory && (place.isLasting || keepers.last?.bootID == place.bootID)
    let isForeign = !isSame && !directory.isEmpty
    if !isSame || mark.isEmpty {
      mark = freshMark
      directory = place.directory
      keepers = []
    }
    let seen = keepers.filter { $0.bootID == place.bootID && $0.sight == place.sight }
    keepers.append(Former(keeper: keeper, bootID: place.bootID, sight: place.sight))
    keepers.removeFirst(max(0, keepers.count - Self.limit))
    return Entry(mark: mark, sweptKeepers: seen.map(\.keeper), isForeign: isForeign)
  }
}
