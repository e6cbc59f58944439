// Owns: tests of what a real keeper reads of its pods: busy and idle containers apart, with and without cgroups.

import ClusterIO
import ClusterProto
import Testing

@testable import NodeAgent

@Suite struct KeeperUsageTests {
  private static let busy = "x=$(head -c 20000000 /dev/zero | tr '\\0' x); echo up; while :; do :; done"

  /// The keeper's word about an attempt, once `isEnough` holds of it.
  private func usage(
    _ keeper: TestKeeper, _ attempt: AttemptNumber, _ isEnough: ([String: Usage]) -> Bool
  ) -> [String: Usage] {
    var last: [String: Usage] = [:]
    _ = eventually {
      keeper.usage = nil
      keeper.send(.measure)
      _ = keeper.wait { keeper.usage != nil }
      last = keeper.usage?.first { $0.attempt == attempt }?.containers ?? [:]
      return isEnough(last)
    }
    return last
  }

  private func check(_ keeper: TestKeeper, more: JSON = [:]) throws {
    let spec: JSON = [
      "restartPolicy": "Never",
      "containers": [shell("busy", Self.busy, more: more), shell("calm", "exec sleep 600", more: more)],
    ]
    try keeper.start(keeper.assignment(1, spec))
    let found = usage(keeper, 1) { ($0["busy"]?.cpu ?? 0) > 300_000_000 && ($0["busy"]?.memory ?? 0) > 15_000_000 }
    #expect(found.keys.sorted() == ["busy", "calm"])
    #expect((found["busy"]?.cpu ?? 0) > 300_000_000 && (found["busy"]?.memory ?? 0) > 15_000_000, "\(found)")
    #expect((found["calm"]?.cpu ?? Int64.max) < 200_000_000 && (found["calm"]?.memory ?? Int64.max) < 15_000_000)
  }

  @Test("processor time and memory of each container, by its processes")
  func byProcesses() throws { try check(try TestKeeper()) }

  @Test("the same for who is not root", .enabled(if: isRoot, "needs root, to be another user"))
  func rootless() throws { try check(try TestKeeper(KeeperSetting(asNobody: true))) }

  @Test("the same by its cgroup, where it has limits")
  func byCgroup() throws {
    try check(try TestKeeper(), more: ["resources": ["limits": ["cpu": "1", "memory": "256Mi"]]])
  }

  @Test("a pod of one container, and one that has ended")
  func single() throws {
    let keeper = try TestKeeper()
    try keeper.start(1, script: Self.busy)
    try keeper.start(2, script: "true")
    #expect(keeper.waitForEnd(2) != nil)
    let found = usage(keeper, 1) { ($0["main"]?.cpu ?? 0) > 100_000_000 }
    #expect((found["main"]?.cpu ?? 0) > 100_000_000)
    #expect(keeper.usage?.map(\.attempt) == [1])
  }

  @Test("the machine tells of itself")
  func machine() {
    let first = UsageReader.machine()
    #expect((first?.memory ?? 0) > 0)
    #expect(eventually { (UsageReader.machine()?.cpu ?? 0) > (first?.cpu ?? Int64.max) })
  }
}
