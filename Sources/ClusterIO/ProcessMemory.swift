// Owns: giving memory back that only the start of a long-running program needed. It must not know the program.

import CLinux

/// Memory of this process.
package enum ProcessMemory {
  /// By then a program has met its peers, and what it still uses is what it will go on using.
  private static let settling: Int64 = 2_000_000_000

  /// Gives back, once the program has settled, free heap pages and the text that only its start has used.
  package static func releaseAfterStart(of loop: EventLoop) {
    loop.makeTimer { release() }.arm(at: Clocks.boot() + settling)
  }

  /// Gives back free heap pages and text that is not in use now. Costs some milliseconds with a large heap.
  package static func release() { stint_release_memory() }
}
