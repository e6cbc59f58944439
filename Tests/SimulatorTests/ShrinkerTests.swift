// A failing seed is made small: over runs that the test decides, and over a planted fault in real ones.

import ClusterProto
import Testing

@testable import Simulator

@Suite("A failing seed is made small")
struct ShrinkerTests {
  private static func report(_ violations: [String], hours: Double = 1, tail: [String] = []) -> SimulationReport {
    SimulationReport(
      seed: 1, traceHash: "", steps: 1, simulated: Int64(hours * 3_600_000_000), jobs: 1, faults: 1, restores: 0,
      preemptions: 0, exchanges: 0, starts: 1, freezes: 0, pulls: 0, checks: 0, evictions: 0, debuggers: 0,
      violations: violations, tail: tail)
  }

  @Test("what the violation needs stays, all else goes, and the run ends where the promise breaks")
  func parts() {
    let needed: [WorldPart] = [.partition, .crons]
    var runs = 0
    var shrinker = Shrinker(hours: 2, failed: Self.report(["1800.0 s: H3: twice"], hours: 0.5), most: 200) { _, cut in
      runs += 1
      let breaks = needed.allSatisfy { cut.keeps($0) } && cut.nodes ?? 5 >= 2
      return breaks ? Self.report(["1700.5 s: H3: twice, otherwise told"], hours: 0.25) : Self.report([])
    }
    let small = shrinker.shrink()
    #expect(Set(WorldPart.allCases).subtracting(small.cut.parts) == Set(needed))
    #expect(small.cut.nodes == 2 && small.hours < 0.26 && small.hours > 0.25)
    #expect(small.runs == runs && runs < 80)
    #expect(SimulationCut(text: small.cut.text) == small.cut)
  }

  @Test("another promise that breaks is not taken for the same, and after so many runs it is enough")
  func others() {
    var shrinker = Shrinker(hours: 1, failed: Self.report(["3600.0 s: H3: twice"]), most: 9) { _, _ in
      Self.report(["5.0 s: H6: not terminal"])
    }
    let small = shrinker.shrink()
    #expect(small.runs == 9 && small.cut == SimulationCut() && small.hours == 1)
    var well = Shrinker(hours: 1, failed: Self.report([]), most: 9) { _, _ in Self.report([]) }
    #expect(well.shrink().runs == 0)
  }

  @Test("a promise is known by its number, else by its words without the numbers")
  func promises() {
    #expect(Shrinker.promise(of: Self.report(["1.5 s: H3: attempt 7 runs"])) == "H3")
    #expect(Shrinker.promise(of: Self.report(["1.5 s: invariant I8: pod x"])) == "invariant I8")
    let one = Shrinker.promise(of: Self.report(["1.5 s: the coordinator halts: node 3"]))
    let other = Shrinker.promise(of: Self.report(["20.5 s: the coordinator halts: node 4"]))
    #expect(one == other && !one.isEmpty)
    #expect(Shrinker.promise(of: Self.report([])).isEmpty)
  }

  @Test("what is left out is read as it is written, and nothing else is", arguments: ["", "crons,disk", "nodes>2"])
  func texts(text: String) {
    #expect(SimulationCut(text: text)?.text == text)
    #expect(SimulationCut(text: "weather") == nil && SimulationCut(text: "nodes>0") == nil)
    #expect(SimulationCut(text: "nodes>x") == nil)
  }

  @Test("a story has the lines of the nodes that it is about, of the coordinator, and no answers")
  func story() {
    let tail = [
      "1.0 s node 1 keeper starts", "1.5 s answer 3 to node 2 0abc", "2.0 s node 2 runs 7.0.0",
      "2.5 s coordinator crashes",
      "3.0 s node 4 runs 9.0.0", "3.5 s submit job-3", "3.6 s submit job-4", "4.0 s node 4 agent dies",
    ]
    let report = Self.report(["5.0 s: H3: attempt 7 of job-3 runs on node 2 and node 4"], tail: tail)
    #expect(report.story() == [tail[2], tail[3], tail[4], tail[5], tail[7]])
    #expect(report.story(lines: 2) == [tail[5], tail[7]])
    #expect(Self.report([], tail: tail).story().isEmpty)
  }

  @Test("a planted fault that needs little is told with little")
  func planted() throws {
    // The first seed of a few that finds it; each run costs a simulated hour or more of healing.
    let hours = 0.1
    func run(_ seed: UInt64, _ hours: Double, _ cut: SimulationCut) -> SimulationReport {
      var simulation = Simulation(seed: seed, hours: hours)
      simulation.forgerHasKey = true
      simulation.cut = cut
      return simulation.run()
    }
    let found = (1...12 as ClosedRange<UInt64>).lazy.map { run($0, hours, SimulationCut()) }
      .first { !$0.violations.isEmpty }
    let report = try #require(found)
    var shrinker = Shrinker(hours: hours, failed: report, most: 6) { run(report.seed, $0, $1) }
    let small = shrinker.shrink()
    #expect(!small.report.violations.isEmpty && small.hours <= hours && small.cut.parts.count > 1, "\(small.cut.text)")
    #expect(small.report.story().count <= 50 && !small.report.story().isEmpty)
  }
}
