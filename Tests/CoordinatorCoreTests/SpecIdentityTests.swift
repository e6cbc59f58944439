// A pod spec is shared by its digest: two specs that an attacker made for one 64-bit hash stay two, in memory, in the
// store and after a restart.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Identity of pod specs")
struct SpecIdentityTests {
  /// Found within minutes: their texts have the same 64-bit FNV-1a.
  private static func spec(_ line: String) -> JSON {
    ["restartPolicy": "Never", "containers": [["name": "c", "image": "x", "command": ["sh", "-c", .string(line)]]]]
  }
  private static let eve = spec("echo EVE #M0Rw7LMxFimv{")
  private static let alice = spec("echo ALICE #MO0lBTQCmsFY8")

  @Test("two specs with one 64-bit hash have two digests")
  func collision() {
    // What makes this test able to fail: the hash of before sees one text.
    let hashes = [Self.eve, Self.alice].map { StableHash.hex(of: $0.bytes) }
    #expect(hashes[0] == hashes[1])
    #expect(PodSpec(json: Self.eve).digest != PodSpec(json: Self.alice).digest)
  }

  @Test("the second user's pod runs its own command, and does so after a restart")
  func ownCommand() throws {
    var harness = try FleetHarness()
    let specs = [("eve", Self.eve), ("alice", Self.alice)]
    for (name, spec) in specs {
      var meta = ObjectMeta()
      meta.name = name
      meta.namespace = "default"
      harness.core.insert(.pod(Pod(meta: meta, spec: PodSpec(json: spec))))
      harness.step([])
    }
    for _ in 0..<2 {
      for (name, spec) in specs {
        let pod = try #require(harness.core.state.pods[ObjectKey(namespace: "default", name: name)])
        #expect(pod.spec.json == spec)
      }
      #expect(harness.rows.values.count { $0.table == .podspecs } == 2)
      try harness.restart()
    }
  }

  @Test("a row that holds another spec than its key says is refused at the start")
  func foreignSpec() {
    let row = StoreRow(table: .podspecs, key: PodSpec(json: Self.alice).digest, value: Self.eve.bytes)
    let error = #expect(throws: CoordinatorStartError.self) {
      try CoordinatorCore(
        configuration: CoordinatorConfiguration(), rows: [row], seed: 1,
        now: Now(boot: BootTime(milliseconds: 0), wall: WallTime(nanoseconds: 0)))
    }
    #expect(error?.message.contains("holds another spec") == true)
  }
}
