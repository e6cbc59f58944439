// Owns: where this process' own cgroups are, in either version, and which controllers may be used below them.
// It must not know what is made there.

import Glibc

/// What a cgroup may bound.
package enum CgroupController: String, CaseIterable, Sendable { case cpu, memory, pids }

/// Directories of this process' own cgroups.
enum CgroupPlaces {
  /// In the v2 hierarchy, also where v1 is mounted beside it; ENOENT where none is mounted.
  static func unified() throws(IOError) -> String { try place(of: nil).directory }

  /// In the v1 hierarchy of a controller; nil where it has none.
  static func legacy(_ controller: CgroupController) -> String? { try? place(of: controller).directory }

  /// The nearest directory of the v2 hierarchy, from this process' own upwards, whose children may have all controllers
  /// that the machine has there, and which these are; nil: there is none, since a cgroup with processes may not hand
  /// its controllers on.
  static func delegated() -> (directory: String, controllers: Set<CgroupController>)? {
    guard let own = try? place(of: nil) else { return nil }
    let available = controllers(in: "\(own.mount)/cgroup.controllers")
    guard !available.isEmpty else { return nil }
    for directory in upwards(from: own.directory, to: own.mount)
    where hands(available, onFrom: directory) { return (directory, available) }
    return nil
  }

  /// All directories that `unified` and `delegated` may have named for a process in this one's cgroup.
  static func unifiedCandidates() -> [String] {
    guard let own = try? place(of: nil) else { return [] }
    return upwards(from: own.directory, to: own.mount)
  }

  /// Whether children of the directory have these controllers; asks for it where they have not.
  static func hands(_ wanted: Set<CgroupController>, onFrom directory: String) -> Bool {
    guard controllers(in: "\(directory)/cgroup.controllers").isSuperset(of: wanted) else { return false }
    let file = "\(directory)/cgroup.subtree_control"
    if controllers(in: file).isSuperset(of: wanted) { return true }
    let words = wanted.map { "+\($0.rawValue)" }.sorted().joined(separator: " ")
    return (try? CgroupFiles.write(file, words)) != nil
  }

  private static func controllers(in file: String) -> Set<CgroupController> {
    let words = (try? Files.readLine(file))?.split(whereSeparator: { $0 == " " || $0 == "\n" }) ?? []
    return Set(words.compactMap { CgroupController(rawValue: String($0)) })
  }

  private static func upwards(from directory: String, to mount: String) -> [String] {
    var result = [directory]
    while let last = result.last, last != mount, last.hasPrefix(mount), let slash = last.lastIndex(of: "/") {
      result.append(String(last[..<slash]))
    }
    return result
  }

  /// `controller` nil: the v2 hierarchy.
  private static func place(of controller: CgroupController?) throws(IOError) -> (directory: String, mount: String) {
    let mounts = String(decoding: try Files.read("/proc/self/mountinfo"), as: UTF8.self)
    var mount: (root: String, point: String)?
    for line in mounts.split(separator: "\n") where line.contains(controller == nil ? " - cgroup2 " : " - cgroup ") {
      let fields = line.split(separator: " ")
      guard fields.count > 4 else { continue }
      if let controller, fields.last?.split(separator: ",").contains(Substring(controller.rawValue)) != true {
        continue
      }
      mount = (String(fields[3]), String(fields[4]))
    }
    guard let mount else {
      throw IOError(
        code: ENOENT, operation: "cgroup",
        subject: controller.map { "no cgroup v1 of \($0.rawValue) is mounted" } ?? "no cgroup v2 is mounted")
    }
    var own = "/"
    for line in try Files.readLine("/proc/self/cgroup").split(separator: "\n") {
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      let isIt =
        controller.map { fields[1].split(separator: ",").contains(Substring($0.rawValue)) } ?? (fields[0] == "0")
      if isIt { own = String(fields[2]) }
    }
    if mount.root != "/", own.hasPrefix(mount.root) { own = String(own.dropFirst(mount.root.count)) }
    return (own == "/" || own.isEmpty ? mount.point : mount.point + own, mount.point)
  }
}

/// The kernel's files in a cgroup's directory: never a disk.
enum CgroupFiles {
  static func write(_ path: String, _ text: String) throws(IOError) {
    let file = open(path, O_WRONLY | O_CLOEXEC)
    guard file >= 0 else { throw IOError.last("open", path) }
    defer { close(file) }
    try Files.writeAll(file, Array(text.utf8), path: path)
  }

  /// The number behind a word that begins a line, as in `memory.events`; nil where it is not.
  static func number(_ word: String, in path: String) -> Int64? {
    guard let bytes = try? Files.read(path, limit: 65_536) else { return nil }
    for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") where line.hasPrefix("\(word) ") {
      return Int64(line.dropFirst(word.utf8.count + 1))
    }
    return nil
  }
}
