// Owns: what the tests of this target share: a scratch directory, and waiting for conditions with a deadline.

import ClusterIO
import ClusterProto
import Glibc
import Testing

/// A directory that goes away with its owner.
final class Scratch {
  let path: String

  init() throws {
    path = "/tmp/stint-io-\(Hexadecimal.text(try Crypto.randomBytes(6)))"
    try Files.makeDirectory(path, mode: 0o755)
  }

  deinit { try? Files.removeTree(path) }
}

/// Turns the loop until `condition` holds; whether it did before `seconds` were over.
func turn(_ loop: EventLoop, seconds: Int64 = 10, until condition: () -> Bool) throws -> Bool {
  let end = Clocks.boot() + seconds * 1_000_000_000
  while !condition() {
    if Clocks.boot() > end { return false }
    try loop.runOnce(timeoutMilliseconds: 20)
  }
  return true
}

/// Asks again every few milliseconds; whether `condition` held before `seconds` were over.
func eventually(seconds: Int64 = 10, _ condition: () -> Bool) -> Bool {
  let end = Clocks.boot() + seconds * 1_000_000_000
  while !condition() {
    if Clocks.boot() > end { return false }
    poll(nil, 0, 5)
  }
  return true
}
