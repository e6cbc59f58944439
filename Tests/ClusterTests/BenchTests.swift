// What the bench makes of its measurements, and what it asks of a cluster. Its figures are not looked at: they say what
// a machine is like.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import stint

@Suite("The bench reads and counts what it measures")
struct BenchTests {
  @Test("medians, the slowest of a hundred, and ratios of pairs")
  func spreads() {
    let odd = Spread([3, 1, 2])
    #expect(odd.median == 2 && odd.least == 1 && odd.most == 3 && odd.p99 == 3)
    #expect(Spread([4, 1, 2, 3]).median == 2.5)
    #expect(Spread((1...200).map(Double.init)).p99 == 199)
    // Nothing was measured: that meets no bound.
    #expect(Spread([]).median == .infinity && Spread([]).most == .infinity && Spread([]).p99 == .infinity)
    // A machine that got slower by half in between slowed both: the ratio does not see it.
    #expect(Spread(of: [90, 45, 92], over: [100, 50, 100]).median == 0.9)
  }

  @Test("what another build's bench tells of Jobs is read from its table, whatever its columns' widths")
  func table() {
    let table = """
      2 processors, 23 GiB, root
      FIGURE                                      MEASURED                                  REACH     MET
      submit -> Complete, single-pod Job, p50 of 200   4.8 ms                               <= 10 ms  yes
      one Job of 5000 x /bin/true, parallelism 128     456 pods/s, 43 % of the limit        >= 50 %   no
      CPU a pod, everything counted                    2.65 ms (coordinator 0.39, agents 0.14)  about  yes
      1000 single-pod Jobs submitted at once           3.25 s, 308 Jobs/s

      """
    #expect(BesideBench.Reading(table: table) == BesideBench.Reading(pods: 456, jobs: 308, cpu: 2.65))
    // A bench that failed on its way, or of a time without one of the figures.
    #expect(BesideBench.Reading(table: "") == nil)
    #expect(BesideBench.Reading(table: table.split(separator: "\n").dropLast().joined(separator: "\n")) == nil)
  }

  @Test("what this build's bench prints can be read beside another one's")
  func ownTable() {
    let rows = [
      ["one Job of 1000 x /bin/true, parallelism 128", "7 pods/s, 1 % of the limit", ">= 50 %", "no"],
      ["CPU a pod, everything counted", "2.00 ms (coordinator 0.39)", "about 2.7 ms", "yes"],
      ["200 single-pod Jobs submitted at once", "1.00 s, 200 Jobs/s", "", ""],
    ]
    let table = TabWriter.table(["FIGURE", "MEASURED", "REACH", "MET"], rows)
    #expect(BesideBench.Reading(table: table) == BesideBench.Reading(pods: 7, jobs: 200, cpu: 2))
  }

  @Test("a share of the other build's rate is the median of the rounds, and met from its bound on")
  func shares() {
    let met = BesideBench.figure("x", "pods/s", [92, 50, 100], [100, 100, 100], least: 0.92)
    #expect(met.isMet == true && met.reach == ">= 92 %", "\(met)")
    #expect(met.value == "92 and 100 pods/s: 92.0 % (50.0-100.0)", "\(met)")
    #expect(BesideBench.figure("x", "pods/s", [91, 91], [100, 100], least: 0.92).isMet == false)
    #expect(BesideBench.figure("x", "ms", [1], [2], least: nil).isMet == nil)
  }

  @Test("a build that fails in a round is tried again, and that is said; one that goes on failing ends the bench")
  func retries() throws {
    var left = 2
    var told: [String] = []
    let value = try BesideBench.again(3, saying: { told.append($0) }) {
      left -= 1
      if left >= 0 { throw CommandError("error: too many open requests on this connection") }
      return 7
    }
    #expect(value == 7 && told.count == 2 && told.allSatisfy { $0.contains("too many open requests") }, "\(told)")
    #expect(throws: CommandError.self) {
      try BesideBench.again(3, saying: { _ in }) { throw CommandError("error: it never works") }
    }
  }

  @Test("GETs by a user's role are measured on a cluster that knows the user")
  func accessBench() throws {
    let directory = "/tmp/stint-bench-access-\(getpid())"
    try Files.makeDirectory(directory)
    defer { try? Files.removeTree(directory) }
    var bench = BenchContext(
      console: Console(out: { _ in }, err: { _ in }), environment: [:], isQuick: true, directory: directory)
    bench.program = Processes.program
    bench.rounds = 1
    let figures = try AccessBench.run(bench)
    #expect(figures.count == 1 && figures.allSatisfy { $0.value.hasSuffix("2 rounds)") }, "\(figures)")
  }

  @Test("an agent of a crowd that is sent away waits as a real one: longer each time, to two seconds")
  func pauses() {
    for attempts in [0, 1, 5, 63, .max] {
      let most: Int64 = [0: 100_000_000, 1: 200_000_000][attempts] ?? 2_000_000_000
      let pause = SimulatedAgent.pause(attempts: attempts)
      #expect((most / 2...most).contains(pause), "\(attempts): \(pause)")
    }
  }

  @Test("--beside wants a program, --rounds a number that makes sense")
  func flags() {
    func run(_ line: [String]) -> (Int32, String) {
      var err = ""
      let console = Console(out: { _ in }, err: { err += $0 })
      return (Stint.run(line, environment: [:], console: console), err)
    }
    let (status, err) = run(["bench", "--beside", "/no/such/program"])
    #expect(status == 2 && err.hasPrefix("stint: bench: --beside: /no/such/program is no program"), "\(err)")
    let refusal = "stint: bench: --rounds: \"0\" is not a whole number from 1 to 100"
    #expect(run(["bench", "--rounds", "0"]).1.hasPrefix(refusal))
  }

  @Test("more requests than a connection may have open are sent as answers come, and all are answered")
  func manyRequests() throws {
    let directory = "/tmp/stint-bench-many-\(getpid())"
    try Files.makeDirectory(directory)
    defer { try? Files.removeTree(directory) }
    var bench = BenchContext(
      console: Console(out: { _ in }, err: { _ in }), environment: [:], isQuick: true, directory: directory)
    bench.program = Processes.program
    let cluster = try BenchCluster(bench, name: "c", agents: 0)
    defer { cluster.stop() }
    let request = APIRequest(verb: .list, kind: .jobs, namespace: "default")
    var codes: [Int: Int] = [:]
    let requests = Array(repeating: request, count: 700)
    let end = try cluster.makeClient().stream(Exchange(requests: requests)) { position, reply in
      if case .done(let code, _, _) = reply { codes[position] = code }
      return .more
    }
    guard case .done = end else { throw CommandError("\(end)") }
    #expect(codes.count == 700 && codes.values.allSatisfy { $0 == 200 })
  }
}
