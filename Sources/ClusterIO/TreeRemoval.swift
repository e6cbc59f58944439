// Owns: removing a tree whose names, depth, kinds of files and marks somebody else chose. Names are bytes; each is
// looked up in the open directory that holds it, no link followed; a few descriptors are enough for any depth. It must
// not know whose tree it is.

import CLinux
import Glibc

extension Files {
  /// Removes a file, or a directory with all below it; what is marked immutable or append only too, where we may. Never
  /// follows a symbolic link, opens nothing but directories and marked files, and enters nothing that is mounted there.
  /// One that is absent is fine. What cannot be removed is left, the rest goes; the error is the first.
  package static func removeTree(_ path: String) throws(IOError) {
    let (parent, name) = split(path)
    guard !["", ".", "..", "/"].contains(name) else {
      throw IOError(code: EINVAL, operation: "remove", subject: path)
    }
    let base = stint_open_directory(parent)
    if base < 0, errno == ENOENT { return }
    guard base >= 0 else { throw IOError.last("remove", path) }
    defer { close(base) }
    var removal = TreeRemoval(base: base, path: path)
    try removal.run(name.utf8CString.map { $0 })
  }

  /// Takes the marks "immutable" and "append only" off a file or directory that somebody else may have put there.
  /// False: it may have them still, or is something that has none. Follows no link in its last place, opens no device
  /// and waits for no pipe's other end.
  @discardableResult
  package static func unmark(_ path: String) -> Bool { unmark(stint_open_handle(AT_FDCWD, path)) }

  /// The same by a handle, which is closed.
  fileprivate static func unmark(_ handle: Int32) -> Bool {
    guard handle >= 0 else { return false }
    defer { close(handle) }
    var facts = stat()
    guard fstat(handle, &facts) == 0, [S_IFREG, S_IFDIR].contains(facts.st_mode & S_IFMT) else { return false }
    // By the handle: the name may be another file's by now.
    let descriptor = open("/proc/self/fd/\(handle)", O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    return stint_clear_marks(descriptor) == 0
  }
}

private struct TreeRemoval {
  /// A name's bytes and a NUL.
  typealias Name = [CChar]

  /// A directory that was entered.
  private struct Level {
    var name: Name
    var device: dev_t
    var inode: ino_t
    /// Directories in it that are still there.
    var directories: [Name]
  }

  /// Looks at a directory again that got new names meanwhile, in all.
  private static let rescanLimit = 100

  private let base: Int32
  private let path: String
  private var levels: [Level] = []
  /// The innermost level's directory; `base` before the first.
  private var current: Int32
  private var failure: IOError?
  private var rescans = 0

  init(base: Int32, path: String) {
    self.base = base
    self.path = path
    current = base
  }

  mutating func run(_ name: Name) throws(IOError) {
    defer { if current != base { close(current) } }
    remove(name)
    while !levels.isEmpty {
      if let next = levels[levels.count - 1].directories.popLast() { remove(next) } else { try leave() }
    }
    if let failure { throw failure }
  }

  /// unlinkat; what a mark forbids, on the name or on the directory that was entered, once more without it. 0, or why
  /// it is still there.
  private func unlink(_ name: Name, _ flags: Int32) -> Int32 {
    if unlinkat(current, name, flags) == 0 || errno == ENOENT { return 0 }
    guard errno == EPERM else { return errno }
    // What is above the tree is not the pod's to have marked.
    if current != base { _ = stint_clear_marks(current) }
    _ = Files.unmark(stint_open_handle(current, name))
    return unlinkat(current, name, flags) == 0 || errno == ENOENT ? 0 : errno
  }

  private mutating func remove(_ name: Name) {
    let code = unlink(name, 0)
    if code == 0 { return }
    // Linux says EISDIR, POSIX EPERM, which an immutable file gets too.
    guard code == EISDIR || code == EPERM else { return note(code, name) }
    enter(name, code)
  }

  private mutating func enter(_ name: Name, _ unlinkCode: Int32) {
    var next = stint_open_entry(current, name)
    if next < 0, errno == EACCES, permit(name) { next = stint_open_entry(current, name) }
    guard next >= 0 else { return note(errno == ENOTDIR || errno == ELOOP ? unlinkCode : errno, name) }
    var facts = stat()
    guard fstat(next, &facts) == 0 else {
      note(errno, name)
      close(next)
      return
    }
    // A pod may have taken its own rights away, and without root they are ours.
    if facts.st_uid == geteuid(), facts.st_mode & 0o700 != 0o700 { fchmod(next, 0o700) }
    if current != base { close(current) }
    current = next
    levels.append(Level(name: name, device: facts.st_dev, inode: facts.st_ino, directories: []))
    scan()
  }

  /// Lets us read a directory of our own that says we may not.
  private func permit(_ name: Name) -> Bool {
    let handle = stint_open_handle(current, name)
    guard handle >= 0 else { return false }
    defer { close(handle) }
    return chmod("/proc/self/fd/\(handle)", 0o700) == 0
  }

  /// Removes the current directory's files, and keeps the names of its directories.
  private mutating func scan() {
    let copy = fcntl(current, F_DUPFD_CLOEXEC, 3)
    guard copy >= 0, let directory = fdopendir(copy) else {
      note(errno, nil)
      if copy >= 0 { close(copy) }
      return
    }
    defer { closedir(directory) }
    rewinddir(directory)
    var directories: [Name] = []
    errno = 0
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) { text in
          Name(UnsafeBufferPointer(start: text, count: strlen(text) + 1))
        }
      }
      if !Self.isDot(name) {
        if entry.pointee.d_type == UInt8(DT_DIR) {
          directories.append(name)
        } else if unlinkat(current, name, 0) != 0, errno != ENOENT {
          if errno == EISDIR || errno == EPERM { directories.append(name) } else { note(errno, name) }
        }
      }
      errno = 0
    }
    if errno != 0 { note(errno, nil) }
    levels[levels.count - 1].directories = directories
  }

  private static func isDot(_ name: Name) -> Bool {
    let dot = CChar(UInt8(ascii: "."))
    return name == [dot, 0] || name == [dot, dot, 0]
  }

  /// Goes back up and removes the directory that is empty now.
  private mutating func leave() throws(IOError) {
    let done = levels.removeLast()
    if let above = levels.last {
      let up = openat(current, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      var facts = stat()
      let isKnown =
        up >= 0 && fstat(up, &facts) == 0 && facts.st_dev == above.device && facts.st_ino == above.inode
      guard isKnown else {
        let code = up < 0 ? errno : ESTALE
        if up >= 0 { close(up) }
        // Somebody moves directories while we walk: what is above is not what we came from.
        throw failure ?? IOError(code: code, operation: "remove", subject: subject(done.name))
      }
      close(current)
      current = up
    } else {
      close(current)
      current = base
    }
    let code = unlink(done.name, AT_REMOVEDIR)
    if code == 0 { return }
    guard code == ENOTEMPTY, failure == nil, rescans < Self.rescanLimit else { return note(code, done.name) }
    rescans += 1
    enter(done.name, code)
  }

  /// `name` nil: the current directory.
  private mutating func note(_ code: Int32, _ name: Name?) {
    if failure == nil { failure = IOError(code: code, operation: "remove", subject: subject(name)) }
  }

  /// For people: broken UTF-8 is repaired, a long way is cut.
  private func subject(_ name: Name?) -> String {
    let names = levels.dropFirst().map { $0.name } + (levels.isEmpty ? [] : [name].compactMap { $0 })
    let shown = names.suffix(4).map { Files.string($0) }
    return ([path] + (names.count > shown.count ? ["…"] : []) + shown).joined(separator: "/")
  }
}
