// Owns: a file system of its own in a file, which can be frozen: who writes to it then sleeps until it is thawed.
// Whatever happens to the test, it is thawed again. It must not know what lies on it.

import ClusterIO
import Glibc

final class FrozenDisk {
  /// Why a test cannot have one; nil: it can.
  static let obstacle: String? = {
    let tools = ["/usr/sbin/fsfreeze", "/usr/sbin/mkfs.ext4", "/usr/bin/mount", "/usr/bin/umount"]
    if let missing = tools.first(where: { !Files.exists($0) }) { return "needs \(missing)" }
    return geteuid() == 0 ? nil : "needs root"
  }()

  private let image: String
  private let path: String
  private let log: String
  /// Thaws by itself, should the test hang or die.
  private var guardian: Program?

  /// Makes it and mounts it on `path`, a directory below the cluster's.
  init(_ cluster: TestCluster, at path: String) throws {
    self.path = path
    log = "\(cluster.directory)/logs/client-disk"
    image = "\(cluster.directory)/disk-\(Files.split(path).name).img"
    try Files.makeDirectory(path)
    let descriptor = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0, ftruncate(descriptor, 96 << 20) == 0 else { throw IOError.last("make", image) }
    close(descriptor)
    try must("/usr/sbin/mkfs.ext4", "-q", "-F", "-m", "0", image)
    try must("/usr/bin/mount", "-o", "loop", image, path)
  }

  func freeze() throws {
    let word = "\(log)-frozen"
    unlink(word)
    guardian = try Program(
      ["-c", "/usr/sbin/fsfreeze -f \(path) && touch \(word) && sleep 90; /usr/sbin/fsfreeze -u \(path)"],
      path: "/bin/sh", output: log)
    try eventually("\(path) is frozen", every: 10) { Files.exists(word) }
  }

  func thaw() throws {
    try guardian?.killAndReap()
    guardian = nil
    try must("/usr/sbin/fsfreeze", "-u", path)
  }

  /// Thaws and unmounts, whoever still uses it.
  func end() {
    _ = try? guardian?.killAndReap()
    _ = try? run("/usr/sbin/fsfreeze", "-u", path)
    _ = try? run("/usr/bin/umount", "-l", path)
  }

  private func run(_ words: String...) throws -> Int32 {
    try Program(Array(words.dropFirst()), path: words[0], output: log).end(within: 30)
  }

  private func must(_ words: String...) throws {
    let program = try Program(Array(words.dropFirst()), path: words[0], output: log)
    try check(try program.end(within: 30) == 0, "\(words.joined(separator: " ")): \(program.text)")
  }
}
