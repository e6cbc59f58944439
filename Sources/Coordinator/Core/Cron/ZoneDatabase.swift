// The zones that a coordinator knows: what it read from the system at its start. Pure data; it must not read a disk.

import ClusterProto

/// Files of zones by name, as they are.
package struct ZoneDatabase: Equatable, Sendable {
  private var files: [String: [UInt8]] = [:]
  private var localFile: [UInt8] = []

  /// UTC alone.
  package init() {}

  /// Files by name, and the one of the machine's own zone; none: UTC.
  package init(files: [String: [UInt8]], local: [UInt8] = []) {
    self.files = files
    localFile = local
  }

  /// A zone by its name; nil: unknown.
  func table(_ name: String) -> ZoneTable? {
    name == "UTC" ? .utc : files[name].flatMap { ZoneTable(file: $0) }
  }

  /// The machine's own.
  var local: ZoneTable { ZoneTable(file: localFile) ?? .utc }
}
