// Owns: `stint bench`: which figures are measured, in which order, and the table that says what was reached.
// It must not know how a figure is measured.

import ClusterIO
import Glibc

/// One line of the table.
struct BenchFigure {
  /// What was measured, with its sizes.
  let name: String
  /// What came out.
  let value: String
  /// What to reach.
  var reach = ""
  /// Whether it was reached; nil where there is nothing to reach.
  var isMet: Bool?
}

/// What all figures share.
struct BenchContext {
  let console: Console
  let environment: [String: String]
  /// Smaller sizes, for a look while working.
  let isQuick: Bool
  /// Another build's program, and how often each is measured beside it.
  var beside: String?
  var rounds = 5
  /// This build's program, which clusters run.
  var program = "/proc/self/exe"
  /// A directory of its own for each cluster, under a temporary one.
  let directory: String

  func size(_ full: Int, quick: Int) -> Int { isQuick ? quick : full }

  /// Says on standard error what goes on.
  func progress(_ text: String) { console.note("bench: \(text)") }
}

/// `stint bench`.
enum BenchCommand {
  /// A group of figures that share a cluster.
  struct Group: Sendable {
    let name: String
    let measure: @Sendable (BenchContext) throws -> [BenchFigure]
  }

  static let groups = [
    Group(name: "idle", measure: IdleBench.run), Group(name: "jobs", measure: JobBench.run),
    Group(name: "fleet", measure: FleetBench.run), Group(name: "history", measure: HistoryBench.run),
    Group(name: "indexes", measure: IndexBench.run), Group(name: "queues", measure: QueueBench.run),
    Group(name: "api", measure: APIBench.run), Group(name: "crowd", measure: CrowdBench.run),
    Group(name: "access", measure: AccessBench.run), Group(name: "mount", measure: MountBench.run),
    Group(name: "images", measure: ImageBench.run),
  ]

  /// What is measured of this build and of another one in turn.
  static let besideGroups = [
    Group(name: "jobs", measure: BesideBench.run), Group(name: "access", measure: AccessBench.run),
  ]

  @Sendable static func run(_ context: Context) throws -> Int32 {
    let only = context.arguments.values("only")
    let template = "\(context.environment["TMPDIR"] ?? "/tmp")/stint-bench-" + String(repeating: "X", count: 6)
    var name = Array(template.utf8CString)
    guard mkdtemp(&name) != nil else { throw IOError.last("make a directory", template) }
    let directory = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer { try? Files.removeTree(directory) }
    var bench = BenchContext(
      console: context.console, environment: context.environment, isQuick: context.arguments.isOn("quick"),
      directory: directory)
    bench.rounds = Int(clamping: context.arguments.integer("rounds") ?? 5)
    if let program = context.arguments.value("beside") {
      guard access(program, X_OK) == 0 else { throw context.arguments.problem("--beside: \(program) is no program") }
      bench.beside = program
    }
    let facts = try MachineFacts.read(fallbackMachineID: "-")
    context.console.line(
      "\(facts.processors) processors, \(facts.memory >> 30) GiB, \(geteuid() == 0 ? "root" : "not root")"
        + (bench.isQuick ? ", quick sizes" : ""))
    var figures: [BenchFigure] = []
    for group in bench.beside == nil ? groups : besideGroups where only.isEmpty || only.contains(group.name) {
      figures += try group.measure(bench)
    }
    print(figures, context.console)
    return 0
  }

  private static func print(_ figures: [BenchFigure], _ console: Console) {
    let rows = figures.map { [$0.name, $0.value, $0.reach, $0.isMet.map { $0 ? "yes" : "no" } ?? ""] }
    console.out(TabWriter.table(["FIGURE", "MEASURED", "REACH", "MET"], rows))
  }

  /// `value` with so many digits after the point.
  static func text(_ value: Double, _ digits: Int = 1) -> String {
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let whole = Int64((value * scale).rounded())
    guard digits > 0 else { return String(whole) }
    let fraction = String(whole.magnitude % UInt64(scale))
    return (whole < 0 ? "-" : "") + String(whole.magnitude / UInt64(scale)) + "."
      + String(repeating: "0", count: digits - fraction.utf8.count) + fraction
  }
}
