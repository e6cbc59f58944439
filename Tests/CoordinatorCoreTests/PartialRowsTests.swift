// A store that has lost rows (--accept-loss): whichever it is, the coordinator starts, nothing names what is gone, and
// the Job's work goes on after the time that a restored store waits.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("A store that has lost rows")
struct PartialRowsTests {
  private static func job(_ name: String, _ id: RequestID) -> CoordinatorEvent {
    var body = Manifest.job(name, spec: ["parallelism": 2, "completions": 2])
    body[path: ["metadata", "namespace"]] = "default"
    return .request(id, APIRequest(verb: .create, kind: .jobs, namespace: "default", body: body))
  }

  /// Two nodes at work on two Jobs.
  private static func harness() throws -> FleetHarness {
    var harness = try FleetHarness.joined(["a", "b"])
    harness.step([job("one", 500), job("two", 501)])
    harness.pass(3_000, beating: ["a", "b"])
    #expect(harness.core.fleet.attempts.count == 4)
    return harness
  }

  private static func stored(_ harness: FleetHarness) -> [StoreRow] {
    harness.rows.keys.sorted().compactMap { harness.rows[$0] }
  }

  @Test("starts without any one of them, or without a whole table, and opens an epoch")
  func each() throws {
    let before = try Self.harness()
    var cuts: [(String, (StoreRow) -> Bool)] = before.rows.keys.sorted().map { key in
      (key, { "\($0.table.rawValue)|\($0.key)" != key })
    }
    #expect(cuts.count > 10)
    for table in StoreTable.allCases { cuts.append((table.rawValue, { $0.table != table })) }
    for (name, isKept) in cuts {
      var harness = before
      var rows = Self.stored(before).filter(isKept)
      let said = CoordinatorCore.completePartial(&rows)
      if name == "podspecs" || name == "attempts" { #expect(said.first?.contains("(4)") == true, "\(said)") }
      #expect(CoordinatorCore.completePartial(&rows) == [], "\(name): once is enough")
      harness.rows = [:]
      for row in rows { harness.rows["\(row.table.rawValue)|\(row.key)"] = row }
      harness.agents = [:]
      try harness.restart()
      #expect(harness.core.isHolding, "\(name)")
      #expect(harness.problems() == [], "\(name)")
      // No pod stands there for ever that nothing runs.
      for key in harness.core.state.keys(of: .pods) {
        guard let pod = harness.core.state.pods[key], pod.nodeName != nil, !pod.status.phase.isTerminal else {
          continue
        }
        #expect(harness.core.fleet.attemptOfPod[pod.meta.uid] != nil, "\(name): \(key.name)")
      }
      harness.pass(700_000)
      #expect(harness.problems() == [], "\(name)")
      #expect(!harness.core.isHolding, "\(name)")
    }
  }
}
