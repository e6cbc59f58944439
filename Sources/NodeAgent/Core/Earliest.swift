// The one sum of times that both cores need beside BootTime's own: the earlier of two that may be missing.

import ClusterProto

/// The earlier of two times where nil means never.
func earliest(_ left: BootTime?, _ right: BootTime?) -> BootTime? {
  guard let left else { return right }
  guard let right else { return left }
  return min(left, right)
}
