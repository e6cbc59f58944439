// Owns: a data directory whose program is started again and again, each time with something else wrong in it, as a user
// without rights where that can be. It must not know what is wrong, nor what has to be said of it.

import ClusterIO
import ClusterProto
import Glibc

@testable import stint

/// What becomes of one file before a start.
enum Damage: String, CaseIterable {
  case empty, half, random, directory, unreadable, huge, loop, pipe
}

final class StartPlace {
  /// Runs as nobody where the test is root: root reads everything.
  private static let user = geteuid() == 0 && Files.exists("/usr/bin/setpriv") ? uid_t(65_534) : geteuid()

  /// Programs run as somebody else than the test.
  var isOther: Bool { Self.user != geteuid() }

  let directory: String
  private var runs = 0

  init() throws {
    directory = "/tmp/stint-start-\(getpid())-\(Hexadecimal.text(try Crypto.randomBytes(5)))"
    for path in [directory, "\(directory).logs"] { try Files.makeDirectory(path) }
    try giveAway(directory)
  }

  deinit { for path in [directory, "\(directory).logs"] { try? Files.removeTree(path) } }

  /// Starts the program with its output in a file of its own.
  func start(_ words: [String], environment: [String] = []) throws -> Program {
    runs += 1
    let output = "\(directory).logs/\(runs)"
    guard Self.user != geteuid() else { return try Program(words, environment: environment, output: output) }
    let identity = ["--reuid=\(Self.user)", "--regid=\(Self.user)", "--clear-groups", "--no-new-privs"]
    return try Program(
      identity + [Processes.program] + words, path: "/usr/bin/setpriv", environment: environment, output: output)
  }

  /// Gives the user what the test has made.
  func giveAway(_ path: String) throws {
    guard lchown(path, Self.user, Self.user) == 0 else { throw IOError.last("chown", path) }
  }

  /// Damages `name` for as long as `body` runs; afterwards it is the same file again.
  func with(_ damage: Damage, of name: String, _ body: () throws -> Void) throws {
    let path = "\(directory)/\(name)"
    let aside = "\(directory).aside"
    guard rename(path, aside) == 0 else { throw IOError.last("rename", path) }
    defer {
      try? Files.removeTree(path)
      rename(aside, path)
    }
    let whole = (try? Files.read(aside, limit: 64 << 20)) ?? []
    switch damage {
    case .empty, .huge, .unreadable: try Files.writeAtomically(path, damage == .unreadable ? whole : [])
    case .half: try Files.writeAtomically(path, Array(whole.prefix(whole.count / 2)))
    case .random: try Files.writeAtomically(path, try Crypto.randomBytes(max(whole.count, 64)))
    case .directory: try Files.makeDirectory(path)
    case .pipe: guard mkfifo(path, 0o600) == 0 else { throw IOError.last("make pipe", path) }
    case .loop: guard symlink(path, path) == 0 else { throw IOError.last("link", path) }
    }
    if damage == .huge { truncate(path, 1 << 30) }
    if damage == .unreadable { chmod(path, 0) }
    try giveAway(path)
    try body()
  }
}
