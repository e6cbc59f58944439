// Owns: reading the two clocks of the design. Boot time counts intervals (suspend included), wall time stamps.

import Glibc

/// The machine's clocks.
package enum Clocks {
  /// Nanoseconds since boot (CLOCK_BOOTTIME, counts suspend) and since 1970 (CLOCK_REALTIME).
  package static func now() -> (boot: Int64, wall: Int64) {
    (read(CLOCK_BOOTTIME), read(CLOCK_REALTIME))
  }

  /// Nanoseconds since boot (CLOCK_BOOTTIME).
  package static func boot() -> Int64 { read(CLOCK_BOOTTIME) }

  private static func read(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    // Neither clock can fail on a kernel that has it; both are older than anything else used here.
    clock_gettime(clock, &time)
    // 64 bits of nanoseconds end in the year 2262, clocks do not.
    return min(max(Int64(time.tv_sec), -9_000_000_000), 9_000_000_000) * 1_000_000_000 + Int64(time.tv_nsec)
  }
}
