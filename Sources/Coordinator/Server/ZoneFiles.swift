// Owns: reading the system's zones, once, before anybody is served. It must not know what is in them.

import ClusterIO
import CoordinatorCore
import Glibc

/// The zone files of this machine.
package enum ZoneFiles {
  private static let directory = "/usr/share/zoneinfo"
  /// Beyond it something is no zone.
  private static let fileLimit = 1 << 16

  /// All of them, and the one that this process stands in: $TZ, else /etc/localtime. What is not there is unknown.
  package static func read() -> ZoneDatabase {
    var files: [String: [UInt8]] = [:]
    gather("", depth: 0, &files)
    let own = getenv("TZ").map { String(cString: $0) }
    var local: [UInt8]?
    if let own, !own.isEmpty {
      let name = own.hasPrefix(":") ? String(own.dropFirst()) : own
      local = name.hasPrefix("/") ? file(name) : files[name]
    } else if own == nil {
      local = file("/etc/localtime")
    }
    return ZoneDatabase(files: files, local: local ?? [])
  }

  private static func gather(_ folder: String, depth: Int, _ files: inout [String: [UInt8]]) {
    guard let names = try? Files.list("\(directory)/\(folder)") else { return }
    for name in names where !["posix", "right"].contains(name) {
      let path = folder.isEmpty ? name : "\(folder)/\(name)"
      if let bytes = file("\(directory)/\(path)") {
        files[path] = bytes
      } else if depth < 3 {
        gather(path, depth: depth + 1, &files)
      }
    }
  }

  private static func file(_ path: String) -> [UInt8]? {
    guard let bytes = try? Files.read(path, limit: fileLimit), bytes.starts(with: Array("TZif".utf8)) else {
      return nil
    }
    return bytes
  }
}
