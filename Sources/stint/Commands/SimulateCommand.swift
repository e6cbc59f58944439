// Owns: `stint simulate`: seeds spread over the processors, progress, the verdict and how to replay a violation.
// It must not know what a simulation does.

import ClusterIO
import Glibc
import Simulator
import Synchronization

/// Runs simulated clusters: one seed twice (its trace must be the same), or a batch.
enum SimulateCommand {
  @Sendable static func run(_ context: Context) throws -> Int32 {
    let arguments = context.arguments
    let text = arguments.value("hours") ?? "1"
    guard let hours = Double(text), hours > 0, hours <= 10_000 else {
      throw arguments.problem("--hours: \"\(text)\" is not a number of hours above 0, at most 10000")
    }
    if let count = arguments.integer("mutations") {
      return try mutate(count, first: arguments.integer("first") ?? 1, context.console)
    }
    let without = arguments.value("without") ?? ""
    guard let cut = SimulationCut(text: without) else {
      throw arguments.problem(
        "--without: \"\(without)\" is not a list of \(WorldPart.allCases.map(\.rawValue).joined(separator: ", ")), "
          + "or nodes>N")
    }
    let paces: [String: @Sendable (UInt64) -> Pace] = [
      "busy": { _ in .busy }, "slow": { _ in .slow }, "calm": { _ in .calm }, "drawn": { .drawn(seed: $0) },
    ]
    let word = arguments.value("pace") ?? "busy"
    guard let pace = paces[word] else {
      throw arguments.problem("--pace: \"\(word)\" is none of busy, slow, calm and drawn")
    }
    if let text = arguments.value("seed"), let seed = UInt64(text) {
      return replay(seed, hours: hours, pace(seed), cut, showsTrace: arguments.isOn("trace"), context.console)
    }
    let count = arguments.integer("seeds") ?? 200
    let first = arguments.integer("first") ?? 1
    return try batch(
      UInt64(first)..<UInt64(first) + UInt64(count), hours: hours, pace,
      shrinks: arguments.isOn("shrink", byDefault: true),
      context.console)
  }

  private static func replay(
    _ seed: UInt64, hours: Double, _ pace: Pace, _ cut: SimulationCut, showsTrace: Bool, _ console: Console
  ) -> Int32 {
    var simulation = Simulation(seed: seed, hours: hours, pace: pace)
    simulation.cut = cut
    let first = simulation.run()
    let second = simulation.run()
    if showsTrace || !first.violations.isEmpty {
      for line in showsTrace ? first.tail : first.story() { console.line("  \(line)") }
    }
    console.line(
      "seed \(seed): trace \(first.traceHash), \(first.steps) events, \(first.jobs) Jobs, \(first.starts) container "
        + "starts, \(first.faults) faults, \(first.freezes) freezes")
    for violation in first.violations { console.line("violated: \(violation)") }
    guard first.traceHash == second.traceHash else {
      console.line("violated: H9: a second run of the same seed has trace \(second.traceHash)")
      return 1
    }
    return first.violations.isEmpty ? 0 : 1
  }

  private static func batch(
    _ seeds: Range<UInt64>, hours: Double, _ pace: @escaping @Sendable (UInt64) -> Pace, shrinks: Bool,
    _ console: Console
  ) throws -> Int32 {
    let processors = max(1, try MachineFacts.read(fallbackMachineID: "-").processors)
    let results = try Mailbox<SimulationReport>()
    let threads = try (0..<processors).map { index in try WorkerThread(name: "simulate-\(index)") }
    let queue = SeedQueue(seeds)
    for thread in threads {
      thread.post {
        while let seed = queue.next() { results.post(Simulation(seed: seed, hours: hours, pace: pace(seed)).run()) }
      }
    }
    let began = Clocks.boot()
    var reports: [SimulationReport] = []
    while reports.count < seeds.count {
      var waits = pollfd(fd: results.descriptor, events: Int16(POLLIN), revents: 0)
      poll(&waits, 1, 1_000)
      reports += results.drain()
      if console.redraws { console.err("\r\(reports.count)/\(seeds.count) seeds ") }
    }
    if console.redraws { console.err("\r") }
    for thread in threads { thread.stop() }
    return judge(
      reports, hours: hours, seconds: (Clocks.boot() - began) / 1_000_000_000, shrinks: shrinks, console)
  }

  /// Inputs with extreme numbers, in shares of their own seeds: three quarters to a coordinator, the rest to a node.
  private static func mutate(_ count: Int64, first: Int64, _ console: Console) throws -> Int32 {
    let share = 10_000
    let began = Clocks.boot()
    var report = FuzzReport()
    var seed = UInt64(clamping: first)
    while report.inputs < count {
      let inputs = min(share, Int(count) - report.inputs)
      if seed % 4 == 0 {
        var fuzz = NodeFuzz(seed: seed)
        report.add(fuzz.run(inputs: inputs))
      } else {
        var fuzz = try CoordinatorFuzz(seed: seed)
        report.add(fuzz.run(inputs: inputs))
      }
      seed &+= 1
      if console.redraws { console.err("\r\(report.inputs)/\(count) inputs ") }
    }
    if console.redraws { console.err("\r") }
    for fault in report.faults { console.line("violated: \(fault)") }
    console.line(
      "\(report.inputs) requests and messages with extreme numbers: \(report.accepted) were taken, "
        + "\(report.restarts) restarts, \(report.faults.count) violated, in "
        + "\((Clocks.boot() - began) / 1_000_000_000) s")
    return report.faults.isEmpty ? 0 : 1
  }

  private static func judge(
    _ reports: [SimulationReport], hours: Double, seconds: Int64, shrinks: Bool, _ console: Console
  ) -> Int32 {
    let failed = reports.filter { !$0.violations.isEmpty }.sorted { $0.seed < $1.seed }
    for report in failed {
      for violation in report.violations { console.line("seed \(report.seed): violated at \(violation)") }
      console.line("  replay: stint simulate --seed \(report.seed) --hours \(hours)")
    }
    if shrinks, let first = failed.first { tell(first, hours: hours, console) }
    func sum(_ value: (SimulationReport) -> Int) -> Int { reports.reduce(0) { $0 + value($1) } }
    // A batch in which nothing happened proves nothing.
    let isInteresting = sum(\.faults) > 0 && sum(\.starts) > 0 && sum(\.jobs) > 0
    if !isInteresting { console.line("violated: H10: no faults or no work in \(reports.count) seeds") }
    console.line(
      "\(reports.count) seeds of \(hours) h: \(failed.count) violated, \(sum(\.jobs)) Jobs, \(sum(\.starts)) container "
        + "starts, \(sum(\.preemptions)) preemptions, \(sum(\.evictions)) evictions, \(sum(\.faults)) faults, "
        + "\(sum(\.freezes)) freezes, in \(seconds) s"
    )
    let simulated = Double(reports.reduce(0) { $0 + $1.simulated }) / 3_600_000_000
    let perCPU = simulated / max(0.001, processorSeconds) * 3_600
    console.line(
      "\(Self.tenths(simulated)) simulated hours with what heals after the faults, \(Self.tenths(perCPU)) in an hour "
        + "of a processor: \(Self.tenths(perCPU / 8_766)) years")
    return failed.isEmpty && isInteresting ? 0 : 1
  }

  private static func tenths(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

  /// What this process has computed, all threads together.
  private static var processorSeconds: Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
      + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
  }

  /// The first failed seed made small, and what happened there in at most a page.
  private static func tell(_ report: SimulationReport, hours: Double, _ console: Console) {
    if console.redraws { console.err("making seed \(report.seed) small ") }
    var shrinker = Shrinker(seed: report.seed, hours: hours, failed: report)
    let small = shrinker.shrink()
    if console.redraws { console.err("\r") }
    let without = small.cut.text.isEmpty ? "" : " --without '\(small.cut.text)'"
    console.line(
      "  made small in \(small.runs) runs: stint simulate --seed \(report.seed) --hours \(small.hours)\(without)")
    for line in small.report.story() { console.line("    \(line)") }
    for violation in small.report.violations { console.line("    violated at \(violation)") }
  }
}

/// Seeds that nobody has taken yet: whoever is done takes the next, since they differ in what they cost.
private final class SeedQueue: Sendable {
  private let end: UInt64
  private let first: Mutex<UInt64>

  init(_ seeds: Range<UInt64>) {
    end = seeds.upperBound
    first = Mutex(seeds.lowerBound)
  }

  func next() -> UInt64? {
    first.withLock { first in
      guard first < end else { return nil }
      defer { first += 1 }
      return first
    }
  }
}
