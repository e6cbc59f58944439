// Owns: how many bytes a tree holds whose names, depth and kinds of files somebody else chose, and changes meanwhile.
// Enters nothing that is mounted there and follows no link; a few descriptors are enough for any depth. It must not
// know whose tree it is.

import CLinux
import ClusterProto
import Glibc

/// What a tree holds.
package struct TreeUsage: Equatable, Sendable {
  /// Bytes on its disk.
  package var bytes: Int64 = 0
  /// Files and directories.
  package var inodes: Int64 = 0

  /// Takes both as they stand.
  package init(bytes: Int64 = 0, inodes: Int64 = 0) {
    self.bytes = bytes
    self.inodes = inodes
  }

  /// Both together with another's.
  package func adding(_ other: TreeUsage) -> TreeUsage {
    TreeUsage(bytes: bytes.addingSaturated(other.bytes), inodes: inodes.addingSaturated(other.inodes))
  }
}

extension Files {
  /// Bytes that files and directories below a path take on its disk, as `du` counts them: a file with several names
  /// once, holes not at all. nil: the disk does not tell. 0 where there is none. `entries`: what lies beyond so many is
  /// not counted, nor what is moved away while it is read.
  package static func usage(below path: String, entries: Int = 2_000_000) -> TreeUsage? {
    let root = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    guard root >= 0 else { return errno == ENOENT ? TreeUsage() : nil }
    var walk = TreeWalk(root, entries)
    return walk.run()
  }
}

private struct TreeWalk {
  typealias Name = [CChar]

  /// A directory that was entered.
  private struct Level {
    var device: dev_t
    var inode: ino_t
    /// Directories in it that were not entered yet.
    var directories: [Name]
  }

  private var current: Int32
  private var levels: [Level] = []
  private var usage = TreeUsage()
  private var left: Int
  /// Files with more names than one that were counted.
  private var seen: Set<ino_t> = []
  /// Names of directories that wait, in bytes: somebody else chose how many there are.
  private var nameBytes = 0
  private static let nameLimit = 16 << 20

  init(_ root: Int32, _ entries: Int) {
    current = root
    left = entries
  }

  mutating func run() -> TreeUsage? {
    defer { close(current) }
    guard enter(current) else { return nil }
    while let level = levels.last {
      if let name = level.directories.last {
        levels[levels.count - 1].directories.removeLast()
        nameBytes -= name.count
        let next = open(name)
        // Gone, mounted there, or closed to us.
        guard next >= 0 else { continue }
        close(current)
        current = next
        guard enter(next) else { return usage }
      } else {
        levels.removeLast()
        guard let above = levels.last else { break }
        let up = openat(current, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard up >= 0 else { return usage }
        close(current)
        current = up
        var facts = stat()
        guard fstat(up, &facts) == 0, facts.st_dev == above.device, facts.st_ino == above.inode else { return usage }
      }
    }
    return usage
  }

  /// Opens a directory of the current one. One of this process' own user that was closed to it, as a pod may close its
  /// own to hide what it keeps, is opened for good.
  private func open(_ name: Name) -> Int32 {
    let directory = stint_open_entry(current, name)
    var facts = stat()
    guard directory < 0, errno == EACCES, fstatat(current, name, &facts, AT_SYMLINK_NOFOLLOW) == 0,
      facts.st_mode & S_IFMT == S_IFDIR, facts.st_uid == geteuid(),
      fchmodat(current, name, facts.st_mode & 0o7777 | 0o700, 0) == 0
    else { return directory }
    return stint_open_entry(current, name)
  }

  /// Counts what is in the directory, and keeps the names of those in it.
  private mutating func enter(_ directory: Int32) -> Bool {
    var facts = stat()
    let copy = fcntl(directory, F_DUPFD_CLOEXEC, 3)
    guard fstat(directory, &facts) == 0, copy >= 0, let stream = fdopendir(copy) else {
      if copy >= 0 { close(copy) }
      return false
    }
    defer { closedir(stream) }
    if levels.isEmpty { usage = TreeUsage(bytes: Int64(facts.st_blocks) * 512, inodes: 1) }
    var level = Level(device: facts.st_dev, inode: facts.st_ino, directories: [])
    while left > 0 {
      errno = 0
      guard let entry = readdir(stream) else {
        if errno != 0 { return false }
        break
      }
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) { text in
          Name(UnsafeBufferPointer(start: text, count: strlen(text) + 1))
        }
      }
      if name == [46, 0] || name == [46, 46, 0] { continue }
      left -= 1
      var file = stat()
      guard fstatat(directory, name, &file, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
      guard file.st_dev == facts.st_dev else { continue }
      let isDirectory = file.st_mode & S_IFMT == S_IFDIR
      if isDirectory || file.st_nlink < 2 || seen.insert(file.st_ino).inserted {
        usage = usage.adding(TreeUsage(bytes: Int64(file.st_blocks) * 512, inodes: 1))
      }
      guard isDirectory, nameBytes < Self.nameLimit else { continue }
      level.directories.append(name)
      nameBytes += name.count
    }
    levels.append(level)
    return true
  }
}
