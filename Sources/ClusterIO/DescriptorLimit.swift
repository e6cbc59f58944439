// Owns: how many files this process may have open. It must not know what they are.

import Glibc

/// RLIMIT_NOFILE of this process.
package enum DescriptorLimit {
  /// What a process asks for at the most: pods inherit it from their keeper, and programs that close every descriptor
  /// there could be would take their time with millions.
  private static let wanted: rlim_t = 65_536

  /// Raises the soft limit, 1,024 in most shells, to the hard one, or to 65,536 where that is less. Returns what holds
  /// then.
  @discardableResult
  package static func raise() -> Int {
    var limit = rlimit()
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    guard getrlimit(resource, &limit) == 0 else { return 1_024 }
    let before = limit.rlim_cur
    limit.rlim_cur = max(before, min(limit.rlim_max, wanted))
    if limit.rlim_cur != before, setrlimit(resource, &limit) != 0 { limit.rlim_cur = before }
    return Int(clamping: limit.rlim_cur)
  }
}
