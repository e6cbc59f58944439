// A directory that a layer is unpacked into, and the way from an entry's path to the directory that it lies in: one
// name after the other from an open directory, so that no link, no `..` and no absolute path of an image leads out of
// it. Knows no archive and no meaning of an entry. Nobody else writes in the directory.

import CLinux
import ClusterIO
import Glibc

/// The bytes of one name of a path; never empty, no slash.
typealias FileName = [UInt8]

extension [UInt8] {
  /// For a system call.
  var terminated: [CChar] { map { CChar(bitPattern: $0) } + [0] }
}

/// The root of one layer.
final class LayerDirectory {
  /// The root itself, open.
  let root: Int32
  /// Where it is, for errors.
  let path: String
  /// Directories that were made because something lies in them, by the way from the root; the archive has not named
  /// them so far.
  private(set) var implied: Set<[FileName]> = []
  /// The directory that was found last: entries come directory by directory.
  private var last: (asked: [FileName], found: [FileName], descriptor: Int32)?

  private static let longestPath = 4095
  private static let mostLinks = 40

  /// Opens a directory that is there.
  init(path: String) throws(IOError) {
    self.path = path
    root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard root >= 0 else { throw IOError.last("open", path) }
  }

  deinit {
    forget()
    close(root)
  }

  /// The names of an entry's path. Slashes at its beginning count as none, as for containerd; `..` is refused.
  static func names(_ path: [UInt8]) throws(IOError) -> [FileName] {
    guard path.count <= longestPath else { throw refusal(path, "its path has more than \(longestPath) bytes") }
    var names: [FileName] = []
    for part in path.split(separator: UInt8(ascii: "/")) where !part.elementsEqual(".".utf8) {
      guard !part.elementsEqual("..".utf8) else { throw refusal(path, "its path leads upwards (..)") }
      guard part.count <= Int(NAME_MAX) else { throw refusal(path, "a name in it has more than \(NAME_MAX) bytes") }
      names.append(Array(part))
    }
    return names
  }

  /// An error about an entry.
  static func refusal(_ path: [UInt8], _ message: String, code: Int32 = 0) -> IOError {
    let text = String(decoding: path.prefix(200), as: UTF8.self)
    return IOError(operation: "layer entry", subject: text, message: message, code: code)
  }

  /// The directory with these names, made where it is missing. Links on the way are followed as if the layer were the
  /// root of all files. The descriptor is this object's, good until the next call.
  func directory(_ names: [FileName]) throws(IOError) -> (descriptor: Int32, names: [FileName]) {
    if let last, last.asked == names { return (last.descriptor, last.found) }
    forget()
    var walk = Walk(current: try copy(root), found: [], pending: names.reversed())
    do throws(IOError) {
      while let name = walk.pending.popLast() { try step(&walk, name, of: names) }
    } catch {
      close(walk.current)
      throw error
    }
    last = (names, walk.found, walk.current)
    return (walk.current, walk.found)
  }

  /// The directory with these names, where it is one without a link on the way; nil: it is not. The caller closes it.
  func plainDirectory(_ names: [FileName]) -> Int32? {
    guard var current = try? copy(root) else { return nil }
    for name in names {
      let next = openat(current, name.terminated, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
      close(current)
      guard next >= 0 else { return nil }
      current = next
    }
    return current
  }

  /// After something was removed: what was found may be gone.
  func forget() {
    if let last { close(last.descriptor) }
    last = nil
  }

  /// The archive names a directory.
  func named(_ names: [FileName]) { implied.remove(names) }

  private struct Walk {
    var current: Int32
    /// The way to it from the root.
    var found: [FileName]
    /// What is still to be gone, the next one last.
    var pending: [FileName]
    var links = 0
  }

  private func step(_ walk: inout Walk, _ name: FileName, of whole: [FileName]) throws(IOError) {
    if name == [UInt8](".".utf8) { return }
    if name == [UInt8]("..".utf8) {
      // From a link: at the root it stays there.
      guard walk.found.popLast() != nil else { return }
      return try move(&walk, to: openat(walk.current, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC), whole)
    }
    let text = name.terminated
    var next = openat(walk.current, text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    if next < 0 {
      let code = errno
      if code == ENOTDIR || code == ELOOP, try follow(&walk, name, whole) { return }
      guard code == ENOENT || code == ENOTDIR else { throw Self.refusal(Self.path(whole), IOError.text(code)) }
      let isReplaced = LayerEntry.isWhiteout(walk.current, text)
      if isReplaced { unlinkat(walk.current, text, 0) }
      guard mkdirat(walk.current, text, 0o755) == 0 else {
        throw Self.refusal(Self.path(whole), errno == EEXIST ? "a file stands in its way" : IOError.text(errno))
      }
      next = openat(walk.current, text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
      if next >= 0, isReplaced { try LayerEntry.setOpaque(next) }
      implied.insert(walk.found + [name])
    }
    walk.found.append(name)
    try move(&walk, to: next, whole)
  }

  private func move(_ walk: inout Walk, to next: Int32, _ whole: [FileName]) throws(IOError) {
    guard next >= 0 else { throw Self.refusal(Self.path(whole), IOError.text(errno)) }
    close(walk.current)
    walk.current = next
  }

  /// Whether it is a link: then its target is what is gone next.
  private func follow(_ walk: inout Walk, _ name: FileName, _ whole: [FileName]) throws(IOError) -> Bool {
    var room = [CChar](repeating: 0, count: Self.longestPath + 1)
    let count = readlinkat(walk.current, name.terminated, &room, room.count)
    guard count >= 0 else { return false }
    walk.links += 1
    guard walk.links <= Self.mostLinks else { throw Self.refusal(Self.path(whole), "too many links on its way") }
    let target = room[..<count].map { UInt8(bitPattern: $0) }
    let names = target.split(separator: UInt8(ascii: "/")).map { FileName($0) }
    walk.pending.append(contentsOf: names.reversed())
    guard walk.pending.count <= Self.longestPath else {
      throw Self.refusal(Self.path(whole), "the links on its way make it too long")
    }
    if target.first == UInt8(ascii: "/") {
      walk.found = []
      try move(&walk, to: try copy(root), whole)
    }
    return true
  }

  private func copy(_ descriptor: Int32) throws(IOError) -> Int32 {
    let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 3)
    guard copy >= 0 else { throw IOError.last("dup", path) }
    return copy
  }

  /// Names as a path, for errors.
  static func path(_ names: [FileName]) -> [UInt8] { Array(names.joined(separator: [UInt8(ascii: "/")])) }
}
