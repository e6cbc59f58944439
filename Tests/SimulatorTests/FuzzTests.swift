// Numbers at the ends of their ranges, in every request and message: no core traps, and what was stored starts again.

import ClusterProto
import Testing

@testable import Simulator

@Suite("extreme numbers") struct FuzzTests {
  @Test("a coordinator goes on whatever numbers its clients and agents say", arguments: [1, 2, 3] as [UInt64])
  func coordinator(seed: UInt64) throws {
    var fuzz = try CoordinatorFuzz(seed: seed)
    let report = fuzz.run(inputs: 4_000)
    #expect(report.faults == [])
    // Inputs that are all refused at the door try nothing.
    #expect(report.accepted > report.inputs / 5, "\(report)")
    #expect(report.restarts > 5)
  }

  @Test(
    "agent and keeper go on whatever numbers a forged coordinator and a forged agent say",
    arguments: [1, 2] as [UInt64])
  func node(seed: UInt64) {
    var fuzz = NodeFuzz(seed: seed)
    let report = fuzz.run(inputs: 8_000)
    #expect(report.faults == [])
    #expect(report.accepted > report.inputs / 2, "\(report)")
  }
}
