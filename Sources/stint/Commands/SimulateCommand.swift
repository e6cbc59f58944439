// Owns: `simulate`: running seeds and telling what each showed. It must not know what is simulated.

import ClusterIO
import Simulator

/// `stint simulate`.
enum SimulateCommand {
  @Sendable static func run(_ context: Context) throws -> Int32 {
    let arguments = context.arguments
    let first = arguments.integer("seed") ?? 1
    let count = arguments.integer("seeds") ?? 1
    guard first >= 0, count >= 1 else { throw arguments.problem("seeds count from 0, and --seeds from 1") }
    guard let hours = Double(arguments.value("hours") ?? "1"), hours > 0, hours <= 10_000 else {
      throw arguments.problem("--hours: \"\(arguments.value("hours") ?? "")\" is no number of hours")
    }
    var failures: [UInt64] = []
    let start = Clocks.boot()
    for offset in 0..<count {
      let report = Simulation(seed: UInt64(first) &+ UInt64(offset), hours: hours).run()
      tell(report, context.console)
      if !report.violations.isEmpty { failures.append(report.seed) }
    }
    let seconds = Double((Clocks.boot() - start) / 1_000_000) / 1_000
    if count > 1 { context.console.line("\(count) seeds, \(failures.count) failed, \(seconds) s") }
    return failures.isEmpty ? 0 : 1
  }

  private static func tell(_ report: SimulationReport, _ console: Console) {
    console.line(
      "seed \(report.seed): \(report.violations.isEmpty ? "clean" : "VIOLATED"), trace \(report.traceHash), "
        + "\(report.steps) steps, \(report.jobs) jobs, \(report.faults) faults, \(report.starts) starts, "
        + "\(report.freezes) freezes")
    guard !report.violations.isEmpty else { return }
    for line in report.tail { console.line("  | \(line)") }
    for violation in report.violations { console.line("  \(violation)") }
  }
}
