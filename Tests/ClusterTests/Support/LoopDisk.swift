// Owns: a disk of a test's own that can be made to hang: an ext4 file system in a file, mounted by a loop device, which
// `fsfreeze` stops. It must not know what lies on it. Whatever happens, `end` lets it go on and takes it away.

import ClusterIO
import Glibc

final class LoopDisk {
  /// Whether this machine can have one: root, a loop device and the tools (which Debian has in every installation).
  static let isPossible =
    geteuid() == 0 && access("/dev/loop-control", R_OK | W_OK) == 0
    && ["/usr/sbin/mkfs.ext4", "/usr/sbin/fsfreeze", "/bin/mount", "/bin/umount"].allSatisfy { (path: String) in
      access(path, X_OK) == 0
    }

  let path: String
  private let image: String
  private var isMounted = true
  private var isFrozen = false

  /// Makes it and mounts it on `path`.
  init(at path: String, image: String) throws {
    self.path = path
    self.image = image
    try Files.makeDirectory(path)
    let file = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard file >= 0, ftruncate(file, 64 << 20) == 0 else { throw IOError.last("make", image) }
    close(file)
    try Self.run("/usr/sbin/mkfs.ext4", "-q", "-F", "-E", "nodiscard", image)
    try Self.run("/bin/mount", "-o", "loop", image, path)
  }

  deinit { end() }

  /// From here on whoever writes to it stands in the kernel and takes no signal.
  func freeze() throws {
    isFrozen = true
    try Self.run("/usr/sbin/fsfreeze", "-f", path)
  }

  /// It answers again.
  func thaw() {
    guard isFrozen else { return }
    isFrozen = false
    _ = try? Self.run("/usr/sbin/fsfreeze", "-u", path)
  }

  /// Thaws it and takes it from its place; its last user frees it.
  func end() {
    guard isMounted else { return }
    thaw()
    isMounted = false
    _ = try? Self.run("/bin/umount", "-l", path)
    unlink(image)
  }

  private static func run(_ words: String...) throws {
    let child = try Child(Child.Options(path: words[0], arguments: words, environment: ["PATH=/usr/sbin:/sbin:/bin"]))
    let deadline = Clocks.boot() + 30_000_000_000
    var entry = pollfd(fd: child.descriptor, events: Int16(POLLIN), revents: 0)
    while child.reap() == nil, Clocks.boot() < deadline { poll(&entry, 1, 100) }
    guard child.status == .exited(code: 0) else {
      throw IOError(operation: "run", subject: words.joined(separator: " "), message: "it failed")
    }
  }
}
