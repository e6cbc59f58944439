// Boot-time sums that never trap: durations come from the network and from manifests.
// Also Go's way to write a duration, for messages that Kubernetes users know.

import ClusterProto

extension BootTime {
  /// This time and so many milliseconds, held at the largest number instead of overflowing. Negative durations count as zero.
  func after(_ milliseconds: Int64) -> BootTime {
    let (sum, overflow) = self.milliseconds.addingReportingOverflow(max(0, milliseconds))
    return BootTime(milliseconds: overflow ? Int64.max : sum)
  }

  /// Milliseconds since `earlier`; zero when it is later.
  func elapsed(since earlier: BootTime) -> Int64 {
    let (difference, overflow) = milliseconds.subtractingReportingOverflow(earlier.milliseconds)
    return overflow ? 0 : max(0, difference)
  }
}

/// The earlier of two times where nil means never.
func earliest(_ left: BootTime?, _ right: BootTime?) -> BootTime? {
  guard let left else { return right }
  guard let right else { return left }
  return min(left, right)
}

/// Milliseconds as Go's time.Duration writes whole seconds: 10s, 1m20s, 5m0s, 1h0m0s.
func goDuration(milliseconds: Int64) -> String {
  let seconds = max(0, milliseconds) / 1000
  if seconds < 60 { return "\(seconds)s" }
  if seconds < 3600 { return "\(seconds / 60)m\(seconds % 60)s" }
  return "\(seconds / 3600)h\(seconds % 3600 / 60)m\(seconds % 60)s"
}
