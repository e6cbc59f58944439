// Owns: tests of removing what a pod left behind: names that are not text, any depth, pipes, links, rights taken away.

import ClusterIO
import Glibc
import Testing

@Suite struct TreeRemovalTests {
  /// Makes `depth` directories, each in the one before, and a file in the last; no path of it is ever spelled out.
  private func nest(_ depth: Int, in directory: String) {
    var current = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    for _ in 0..<depth where current >= 0 {
      mkdirat(current, "directory", 0o755)
      let next = openat(current, "directory", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      close(current)
      current = next
    }
    #expect(current >= 0)
    close(openat(current, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600))
    close(current)
  }

  @Test("names that are not UTF-8 go, files and directories, and only they")
  func bytes() throws {
    let scratch = try Scratch()
    let tree = "\(scratch.path)/tree"
    try Files.makeDirectory(tree)
    let at = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    defer { close(at) }
    let (file, directory): ([CChar], [CChar]) = ([0x66, -1, -2, 0], [-61, 40, 0])
    close(openat(at, file, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600))
    #expect(mkdirat(at, directory, 0o755) == 0)
    let inner = openat(at, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    close(openat(inner, file, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600))
    close(inner)
    try Files.removeTree(tree)
    #expect(try Files.list(scratch.path) == [])
  }

  @Test("6,000 nested directories go, with a handful of descriptors and no deep stack")
  func depth() throws {
    let scratch = try Scratch()
    try Files.makeDirectory("\(scratch.path)/tree")
    nest(6_000, in: "\(scratch.path)/tree")
    try Files.removeTree("\(scratch.path)/tree")
    #expect(try Files.list(scratch.path) == [])
  }

  @Test("pipes, sockets and links go without being opened; what a link points to stays")
  func kinds() throws {
    let scratch = try Scratch()
    try Files.makeDirectory("\(scratch.path)/tree/inner")
    try Files.makeDirectory("\(scratch.path)/kept")
    try Files.writeAtomically("\(scratch.path)/kept/file", [1])
    #expect(mkfifo("\(scratch.path)/tree/pipe", 0o600) == 0)
    #expect(mknod("\(scratch.path)/tree/inner/socket", S_IFSOCK | 0o600, 0) == 0)
    symlink("../kept", "\(scratch.path)/tree/link")
    symlink("loop", "\(scratch.path)/tree/loop")
    try Files.removeTree("\(scratch.path)/tree")
    symlink("kept", "\(scratch.path)/link")
    try Files.removeTree("\(scratch.path)/link")
    #expect(try Files.list(scratch.path) == ["kept"])
    #expect(try Files.list("\(scratch.path)/kept") == ["file"])
  }

  @Test("a directory that forbids its owner to look into it, or to change it, goes too")
  func rights() throws {
    let scratch = try Scratch()
    try Files.makeDirectory("\(scratch.path)/tree/closed/inner")
    try Files.makeDirectory("\(scratch.path)/tree/fixed/inner")
    chmod("\(scratch.path)/tree/closed", 0)
    chmod("\(scratch.path)/tree/fixed", 0o555)
    try Files.removeTree("\(scratch.path)/tree")
    #expect(try Files.list(scratch.path) == [])
  }

  /// chattr's marks, `FS_IMMUTABLE_FL` and `FS_APPEND_FL`, by `FS_IOC_SETFLAGS`. False: the file system has none, or we
  /// may not set them.
  private func mark(_ path: String, _ marks: Int32) -> Bool {
    let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    defer { close(descriptor) }
    var flags: Int32 = 0
    guard ioctl(descriptor, 0x8008_6601, &flags) == 0 else { return false }
    flags |= marks
    return ioctl(descriptor, 0x4008_6602, &flags) == 0
  }

  private static let (immutable, appendOnly): (Int32, Int32) = (0x10, 0x20)

  @Test("what is marked as immutable or append only goes too; what a link points to keeps its mark")
  func marks() throws {
    let scratch = try Scratch()
    let tree = "\(scratch.path)/tree"
    try Files.makeDirectory("\(tree)/fixed/inner")
    try Files.makeDirectory("\(tree)/growing")
    for path in ["\(tree)/file", "\(tree)/log", "\(tree)/fixed/file", "\(tree)/growing/file", "\(scratch.path)/kept"] {
      try Files.writeAtomically(path, [1])
    }
    symlink("../kept", "\(tree)/fixed/link")
    let marked = [
      ("kept", Self.immutable), ("tree/file", Self.immutable), ("tree/log", Self.appendOnly),
      ("tree/fixed/file", Self.immutable), ("tree/fixed/inner", Self.appendOnly), ("tree/fixed", Self.immutable),
      ("tree/growing", Self.appendOnly), ("tree", Self.immutable),
    ]
    for (path, marks) in marked where !mark("\(scratch.path)/\(path)", marks) { return }
    try Files.removeTree(tree)
    #expect(try Files.list(scratch.path) == ["kept"])
    #expect(unlink("\(scratch.path)/kept") != 0 && errno == EPERM, "it is not the tree's")
    #expect(Files.unmark("\(scratch.path)/kept") && unlink("\(scratch.path)/kept") == 0)
    #expect(mkfifo("\(scratch.path)/pipe", 0o600) == 0)
    #expect(!Files.unmark("\(scratch.path)/pipe"), "nobody waits for its other end")
  }

  @Test("the directory that holds the tree keeps its mark: it is not the tree's to have made it")
  func markedAbove() throws {
    let scratch = try Scratch()
    try Files.makeDirectory("\(scratch.path)/above/tree/inner")
    guard mark("\(scratch.path)/above", Self.immutable) else { return }
    let error = #expect(throws: IOError.self) { try Files.removeTree("\(scratch.path)/above/tree") }
    #expect(error?.code == EPERM && Files.exists("\(scratch.path)/above/tree"))
    Files.unmark("\(scratch.path)/above")
  }

  @Test("what is no name of its own is refused: the root, a directory by `.` or `..`")
  func refusals() {
    for path in ["/", "/tmp/.", "/tmp/..", ""] {
      #expect(throws: IOError(code: EINVAL, operation: "remove", subject: path)) { try Files.removeTree(path) }
    }
  }

  @Test("the end of a file that somebody else put there: a pipe, a link and a directory are none, and nobody waits")
  func fileEnds() throws {
    let scratch = try Scratch()
    try Files.writeAtomically("\(scratch.path)/file", Array("0123456789".utf8))
    #expect(mkfifo("\(scratch.path)/pipe", 0o600) == 0)
    symlink("file", "\(scratch.path)/link")
    #expect(Files.readEnd("\(scratch.path)/file", limit: 4) == Array("6789".utf8))
    #expect(Files.readEnd("\(scratch.path)/file", limit: 40) == Array("0123456789".utf8))
    for name in ["pipe", "link", ".", "none"] { #expect(Files.readEnd("\(scratch.path)/\(name)", limit: 4) == nil) }
  }
}
