// Owns: the memory that a keeper shares with its pod inits: one word a pod, the time at which the init stops its pod by
// itself (rule K4). A renewal is one store, without a system call. It must not know leases, tolerations or pods.

import CLinux
import Glibc

/// The deadlines of one keeper's pods. Only its inits have it mapped; no container does.
package final class DeadlineTable {
  /// Pods at once; a pod costs its keeper several descriptors, of which it may have as many.
  private static let capacity = 65_536

  /// The memory file, for an init that does not inherit our memory (bubblewrap).
  let descriptor: Int32
  private let words: UnsafeMutablePointer<Int64>
  private var free: [Int] = []
  private var used = 0

  /// Makes an empty table.
  package init() throws(IOError) {
    descriptor = stint_deadlines_make(UInt32(Self.capacity))
    guard descriptor >= 0 else { throw IOError.last("memfd_create", "deadlines") }
    guard let words = stint_deadlines_map(descriptor, UInt32(Self.capacity)) else {
      let error = IOError.last("map", "deadlines")
      close(descriptor)
      throw error
    }
    self.words = words
  }

  deinit {
    munmap(words, Self.capacity * MemoryLayout<Int64>.size)
    close(descriptor)
  }

  /// A word for a new pod that may run until `nanoseconds` of the boot clock; Int64.max: no deadline ends it.
  package func take(until nanoseconds: Int64) throws(IOError) -> PodDeadline {
    guard let index = free.popLast() ?? (used < Self.capacity ? used : nil) else {
      throw IOError(code: ENOSPC, operation: "start pod", subject: "the table of deadlines is full")
    }
    if index == used { used += 1 }
    let deadline = PodDeadline(table: self, index: index, word: words + index)
    deadline.move(to: nanoseconds)
    return deadline
  }

  fileprivate func giveBack(_ index: Int) { free.append(index) }
}

/// One pod's deadline. It must live until the pod's init is dead: then its place is given to another pod.
package final class PodDeadline {
  /// Within this time of a move the init has read it.
  package static let lookMilliseconds = Int64(STINT_DEADLINE_LOOK_MS)

  let table: DeadlineTable
  let index: Int
  let word: UnsafeMutablePointer<Int64>

  fileprivate init(table: DeadlineTable, index: Int, word: UnsafeMutablePointer<Int64>) {
    self.table = table
    self.index = index
    self.word = word
  }

  deinit { table.giveBack(index) }

  /// Moves it to that time of the boot clock; Int64.max: none. A nearer one holds once the init has looked
  /// (STINT_DEADLINE_LOOK_MS); to come back from none it needs an order to the pod after it.
  package func move(to nanoseconds: Int64) { stint_deadline_set(word, nanoseconds) }
}
