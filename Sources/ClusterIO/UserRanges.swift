// Owns: which of the machine's user and group ids are given to pods that have users of their own, so that no two living
// pods share one, of whichever keeper of the machine they are. It must not know what a pod is.

import CLinux
import Glibc

/// The ids that one process gives out; others on the machine give out others. For one thread.
package final class UserRanges {
  /// Ids of a range; user and group ids alike.
  package static let size = UInt32(STINT_USER_COUNT)
  /// Above what systemd and /etc/subuid give out, and below 2^31, which some programs take for a sign.
  private static let first: UInt32 = 0x7000_0000
  private static let count = 4094
  /// In memory, and gone with it, as all pods are. Byte N is locked by who has range N.
  package static let usualFile = "/run/stint-user-ranges"

  /// F_OFD_SETLK, which the C library's module does not show: a lock of the open file, not of the process.
  private static let setLock: Int32 = 37

  private let path: String
  private let descriptor: Int32
  private let obstacle: Int32
  private var used: Set<Int> = []
  private var next: Int

  /// Nothing is tried before the first range is wanted but to open the file. `start`: which range is the first one.
  package init(file: String = UserRanges.usualFile, start: Int = 0) {
    path = file
    descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    obstacle = descriptor < 0 ? errno : 0
    next = start % Self.count
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// A range that no living pod has. Throws where there is none, or others could not be told.
  package func take() throws(IOError) -> UserRange {
    guard descriptor >= 0 else { throw IOError(code: obstacle, operation: "keep users of pods apart", subject: path) }
    // Round and round, so that one is not given again at once.
    for _ in 0..<Self.count {
      let index = next
      next = (next + 1) % Self.count
      guard !used.contains(index), lock(index, F_WRLCK) else { continue }
      used.insert(index)
      return UserRange(ranges: self, index: index, first: Self.first + UInt32(index) * Self.size)
    }
    throw IOError(
      code: ENOSPC, operation: "start pod", subject: "all \(Self.count) ranges of users for pods (hostUsers: false)")
  }

  /// The kernel keeps it for as long as this file is open: it ends with the process.
  private func lock(_ index: Int, _ type: Int32) -> Bool {
    var range = flock()
    range.l_type = Int16(type)
    range.l_whence = Int16(SEEK_SET)
    range.l_start = off_t(index)
    range.l_len = 1
    return fcntl(descriptor, Self.setLock, &range) == 0
  }

  fileprivate func giveBack(_ index: Int) {
    used.remove(index)
    _ = lock(index, F_UNLCK)
  }
}

/// One pod's ids. It must live until the pod's last process is dead: then they are given to another pod.
package final class UserRange {
  private let ranges: UserRanges
  private let index: Int
  /// The host's id of the pod's 0; the next `UserRanges.size` - 1 follow.
  package let first: UInt32

  fileprivate init(ranges: UserRanges, index: Int, first: UInt32) {
    self.ranges = ranges
    self.index = index
    self.first = first
  }

  deinit { ranges.giveBack(index) }
}
