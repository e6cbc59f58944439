// What the tests of this target share: directories that go away, and small file systems.

import ClusterIO
import ClusterProto
import Coordinator
import CoordinatorCore
import Glibc
import Synchronization
import Testing

/// A directory below /tmp that is removed with its last user.
final class TemporaryDirectory: Sendable {
  let path: String

  init() throws {
    path = "/tmp/stint-test-\(getpid())-\(Hexadecimal.text(try Crypto.randomBytes(6)))"
    try Files.makeDirectory(path)
  }

  deinit { try? Files.removeTree(path) }

  func overwrite(_ name: String, at offset: Int64, _ bytes: [UInt8]) throws {
    let descriptor = open("\(path)/\(name)", O_WRONLY)
    guard descriptor >= 0 else { throw IOError.last("open", name) }
    defer { close(descriptor) }
    guard pwrite(descriptor, bytes, bytes.count, off_t(offset)) == bytes.count else {
      throw IOError.last("write", name)
    }
  }
}

/// A small tmpfs, for tests as root.
struct Filesystem {
  let path: String

  /// Whether this process may mount.
  static let canMount: Bool = {
    guard geteuid() == 0, let directory = try? TemporaryDirectory() else { return false }
    guard let mounted = try? Filesystem(at: directory.path, size: "64k") else { return false }
    mounted.unmount()
    return true
  }()

  init(at path: String, size: String) throws {
    self.path = path
    guard mount("tmpfs", path, "tmpfs", 0, "mode=700,size=\(size)") == 0 else { throw IOError.last("mount", path) }
  }

  func makeReadOnly() throws { try remount(UInt(MS_REMOUNT | MS_RDONLY), nil) }

  func grow(to size: String) throws { try remount(UInt(MS_REMOUNT), "size=\(size)") }

  private func remount(_ flags: UInt, _ options: String?) throws {
    guard mount("tmpfs", path, "tmpfs", flags, options) == 0 else { throw IOError.last("remount", path) }
  }

  /// Takes all space that is left.
  func fill(_ name: String = "filler") throws {
    let descriptor = open("\(path)/\(name)", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw IOError.last("create", path) }
    defer { close(descriptor) }
    let zeros = [UInt8](repeating: 0, count: 4_096)
    while write(descriptor, zeros, zeros.count) > 0 {}
  }

  /// Gives back what `fill` took.
  func empty() throws { try Files.removeTree("\(path)/filler") }

  func unmount() { umount2(path, Int32(MNT_DETACH)) }
}

/// Holds the store's thread ahead of a commit while shut.
final class Gate: Sendable {
  private let state = Mutex((isOpen: true, isHolding: false))
  private let descriptors: (read: Int32, write: Int32)

  init() {
    var ends: [Int32] = [0, 0]
    pipe(&ends)
    descriptors = (ends[0], ends[1])
  }

  deinit {
    close(descriptors.read)
    close(descriptors.write)
  }

  /// A commit waits at it.
  var isHolding: Bool { state.withLock { $0.isHolding } }

  func shut() { state.withLock { $0.isOpen = false } }

  func open() {
    state.withLock { $0.isOpen = true }
    var byte: UInt8 = 0
    _ = write(descriptors.write, &byte, 1)
  }

  func pass() {
    let mustWait = state.withLock { state in
      state.isHolding = !state.isOpen
      return state.isHolding
    }
    guard mustWait else { return }
    var byte: UInt8 = 0
    _ = read(descriptors.read, &byte, 1)
    state.withLock { $0.isHolding = false }
  }
}

/// Commits and waits for the outcome.
func commit(_ store: Store, _ writes: [StoreWrite]) throws {
  store.commit(writes)
  var watched = pollfd(fd: store.outcomes.descriptor, events: Int16(POLLIN), revents: 0)
  #expect(poll(&watched, 1, 20_000) == 1)
  for outcome in store.outcomes.drain() { _ = try outcome.get() }
}
