// Owns: this build beside another one: both run their own bench of real Jobs in turn, round by round. Each build starts
// its cluster and speaks its protocol in its own way, so it must not know how either does.

import ClusterIO
import Glibc

/// Rates of Jobs as a share of another build's.
enum BesideBench {
  /// What one run of `bench --only jobs` told.
  struct Reading: Equatable {
    /// Pods a second of one big Job.
    var pods: Double
    /// Single-pod Jobs a second, submitted at once.
    var jobs: Double
    /// Milliseconds of processor time a pod of the big Job cost in all.
    var cpu: Double

    init(pods: Double, jobs: Double, cpu: Double) {
      self.pods = pods
      self.jobs = jobs
      self.cpu = cpu
    }

    /// Reads a bench's table; nil where a line of the three is missing.
    init?(table: String) {
      guard let pods = Self.number(table, figure: "one Job of ", unit: "pods/s"),
        let jobs = Self.number(table, figure: " single-pod Jobs submitted at once", unit: "Jobs/s"),
        let cpu = Self.number(table, figure: "CPU a pod, everything counted", unit: "ms")
      else { return nil }
      self.init(pods: pods, jobs: jobs, cpu: cpu)
    }

    /// The number before `unit` in the line of the figure whose name contains `figure`.
    private static func number(_ table: String, figure: String, unit: String) -> Double? {
      for line in table.split(separator: "\n") {
        // Columns are two spaces apart at least, and no name or value has two in a row.
        let bytes = Array(line.utf8)
        guard let gap = bytes.indices.first(where: { bytes[$0...].starts(with: [32, 32]) }),
          contains(bytes[..<gap], Array(figure.utf8))
        else { continue }
        let words = String(decoding: bytes[gap...], as: UTF8.self).split(whereSeparator: { $0 == " " || $0 == "," })
        for (value, after) in zip(words, words.dropFirst()) where after == unit { return Double(value) }
      }
      return nil
    }

    private static func contains(_ bytes: ArraySlice<UInt8>, _ wanted: [UInt8]) -> Bool {
      bytes.indices.contains { bytes[$0...].starts(with: wanted) }
    }
  }

  /// How often a build may fail in a round before the bench gives up.
  private static let tries = 3
  /// The least share of the other build's rate.
  private static let share = 0.92

  @Sendable static func run(_ bench: BenchContext) throws -> [BenchFigure] {
    guard let other = bench.beside else { return [] }
    var these: [Reading] = []
    var others: [Reading] = []
    for round in 0..<bench.rounds {
      // Who goes first changes, so that a machine that gets slower or faster favours neither.
      for isOwn in round % 2 == 0 ? [true, false] : [false, true] {
        bench.progress("round \(round + 1) of \(bench.rounds): \(isOwn ? "this build" : "the other build")")
        let reading = try again(tries, saying: bench.progress) { try measure(bench, isOwn ? bench.program : other) }
        if isOwn { these.append(reading) } else { others.append(reading) }
      }
    }
    let pods = bench.size(5_000, quick: 1_000)
    let jobs = bench.size(1_000, quick: 200)
    return [
      figure("one Job of \(pods) pods", "pods/s", these.map(\.pods), others.map(\.pods), least: share),
      figure("\(jobs) single-pod Jobs at once", "Jobs/s", these.map(\.jobs), others.map(\.jobs), least: share),
      figure("CPU a pod", "ms", these.map(\.cpu), others.map(\.cpu), least: nil),
    ]
  }

  /// What `measure` gives at last: an older build may have faults that newer ones have not, and a round that it fails
  /// says nothing of its speed. Each failure is told.
  static func again<Value>(
    _ tries: Int, saying tell: (String) -> Void, _ measure: () throws -> Value
  ) throws -> Value {
    for attempt in 1..<max(tries, 1) {
      do {
        return try measure()
      } catch {
        tell("failure \(attempt) of at most \(tries), once more: \(error)")
      }
    }
    return try measure()
  }

  /// Medians of both, and of the ratios round by round.
  static func figure(
    _ name: String, _ unit: String, _ these: [Double], _ others: [Double], least: Double?
  ) -> BenchFigure {
    let text = BenchCommand.text
    let ratio = Spread(of: these, over: others)
    let digits = unit == "ms" ? 2 : 0
    return BenchFigure(
      name: "\(name), this build and the other, \(these.count) rounds",
      value: "\(text(Spread(these).median, digits)) and \(text(Spread(others).median, digits)) \(unit): "
        + "\(text(ratio.median * 100, 1)) % (\(text(ratio.least * 100, 1))-\(text(ratio.most * 100, 1)))",
      reach: least.map { ">= \(text($0 * 100, 0)) %" } ?? "", isMet: least.map { ratio.median >= $0 })
  }

  private static func measure(_ bench: BenchContext, _ program: String) throws -> Reading {
    let path = "\(bench.directory)/beside"
    let output = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard output >= 0 else { throw IOError.last("open", path) }
    defer { close(output) }
    var options = Child.Options(
      path: program, arguments: ["stint", "bench", "--only", "jobs"] + (bench.isQuick ? ["--quick"] : []),
      environment: bench.environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" })
    options.descriptors = [1: output, 2: 2]
    // In our session, so that Ctrl-C reaches it too.
    options.newSession = false
    let child = try Child(options)
    var waits = pollfd(fd: child.descriptor, events: Int16(POLLIN), revents: 0)
    while child.reap() == nil { poll(&waits, 1, -1) }
    let table = String(decoding: try Files.read(path, limit: 1 << 20), as: UTF8.self)
    guard child.status == .exited(code: 0), let reading = Reading(table: table) else {
      throw CommandError("error: \(program) bench --only jobs told no figures of Jobs:\n\(table)")
    }
    return reading
  }
}
