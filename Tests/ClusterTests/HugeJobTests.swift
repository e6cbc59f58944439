// Jobs that ask for more than any cluster has: what they cost a real coordinator, and that it comes back.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite("Huge Jobs") struct HugeJobTests {
  private static func residentBytes(_ program: Program) throws -> Int64 {
    let pages = try Files.readLine("/proc/\(program.pid)/statm").split(separator: " ").dropFirst().first
    return (pages.flatMap { Int64($0) } ?? 0) * Int64(getpagesize())
  }

  /// Ten Jobs of two billion pods each come, have all the pods that may wait, and go; resident bytes with them.
  private static func round(_ cluster: TestCluster, _ coordinator: Program) throws -> Int64 {
    let huge: Int64 = 2_147_483_647
    for number in 0..<10 {
      try cluster.apply(cluster.manifest("huge-\(number)", completions: huge, parallelism: huge, .brief("0")))
    }
    try eventually("their pods wait", seconds: 120, every: 200) { try cluster.status("huge-9", "active") == 1_000 }
    let most = try residentBytes(coordinator)
    try cluster.must("delete", "jobs", "--all", "--timeout", "120s", within: 130)
    try eventually("no pod is left", seconds: 120, every: 200) { try cluster.pods().isEmpty }
    return most
  }

  @Test("ten Jobs of two billion pods take a bounded room in memory; much of it comes back, the next ten use the rest")
  func comesBack() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 0) { cluster in
        let coordinator = try found(cluster.coordinator, "coordinator")
        let before = try Self.residentBytes(coordinator)
        let first = try Self.round(cluster, coordinator)
        // What stays is the history that watchers resume from, which has its own bound.
        try eventually("a third is given back", seconds: 60, every: 200) {
          try Self.residentBytes(coordinator) - before < (first - before) / 3 * 2 + 4 << 20
        }
        let second = try Self.round(cluster, coordinator)
        try eventually("less stays than the first ten took", seconds: 60, every: 200) {
          try Self.residentBytes(coordinator) < first
        }
        print("resident MiB: \(before >> 20), with 10,000 pods \(first >> 20), with 10,000 others \(second >> 20)")
        try check(second - before < (first - before) * 2, "the second ten took more: \(second), not \(first)")
      }
    }
  }
}
