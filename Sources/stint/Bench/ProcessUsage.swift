// Owns: what a process has used: processor time and memory, from /proc. It must not know what the process is.

import ClusterIO
import Glibc

/// Processor time and memory of one process.
struct ProcessUsage {
  /// User and system time in seconds, without children.
  var cpuSeconds = 0.0
  /// The same of its children that ended and were waited for, and of theirs.
  var childrenSeconds = 0.0
  /// Resident bytes, of which files (the program's own text above all) may be shared with other processes.
  var resident: Int64 = 0
  /// Resident bytes, those shared divided among the sharers.
  var proportional: Int64 = 0
  /// Resident bytes that belong to it alone: heap and stacks.
  var anonymous: Int64 = 0

  var totalSeconds: Double { cpuSeconds + childrenSeconds }

  /// Nothing.
  init() {}

  /// Reads /proc/PID; a process that has ended has used nothing.
  init(_ pid: Int32) {
    // After the program's name, which may hold anything up to the last parenthesis.
    if let stat = try? Files.readLine("/proc/\(pid)/stat"), let end = stat.lastIndex(of: ")") {
      let fields = stat[end...].split(separator: " ").dropFirst().compactMap { Int64($0) }
      // The state letter is no number: utime is the 14th field of the line, the 11th number after the name.
      let ticks = Double(sysconf(Int32(_SC_CLK_TCK)))
      if fields.count > 13 {
        cpuSeconds = Double(fields[10] + fields[11]) / ticks
        childrenSeconds = Double(fields[12] + fields[13]) / ticks
      }
    }
    let rollup = (try? Files.read("/proc/\(pid)/smaps_rollup")).map { String(decoding: $0, as: UTF8.self) } ?? ""
    for line in rollup.split(separator: "\n") {
      let parts = line.split(separator: " ")
      guard parts.count >= 2, let kilobytes = Int64(parts[1]) else { continue }
      switch parts[0] {
      case "Rss:": resident = kilobytes * 1024
      case "Pss:": proportional = kilobytes * 1024
      case "Anonymous:": anonymous = kilobytes * 1024
      default: break
      }
    }
  }

  /// Resident, proportional and anonymous megabytes in words.
  var memoryText: String {
    func megabytes(_ bytes: Int64) -> String { BenchCommand.text(Double(bytes) / 1_048_576) }
    return "\(megabytes(resident)) MB resident (\(megabytes(anonymous)) own, \(megabytes(proportional)) proportional)"
  }
}

extension ProcessUsage {
  /// Processor time that each process used between two looks at the same ones.
  static func difference(_ before: [ProcessUsage], _ after: [ProcessUsage]) throws -> [ProcessUsage] {
    try combined(after, before) { $0 - $1 }
  }

  static func sum(_ one: [ProcessUsage], _ other: [ProcessUsage]) throws -> [ProcessUsage] {
    try combined(one, other) { $0 + $1 }
  }

  private static func combined(
    _ one: [ProcessUsage], _ other: [ProcessUsage], _ result: (Double, Double) -> Double
  ) throws -> [ProcessUsage] {
    guard one.count == other.count else { throw CommandError("error: a process of the measured cluster ended") }
    return zip(one, other).map { one, other in
      var usage = ProcessUsage()
      usage.cpuSeconds = result(one.cpuSeconds, other.cpuSeconds)
      usage.childrenSeconds = result(one.childrenSeconds, other.childrenSeconds)
      return usage
    }
  }

  /// Processor seconds of a process' living threads as the scheduler counts them: to the nanosecond, where
  /// `cpuSeconds` has hundredths.
  static func exactSeconds(_ pid: Int32) -> Double {
    let threads = (try? Files.list("/proc/\(pid)/task")) ?? []
    let nanoseconds = threads.reduce(Int64(0)) { sum, thread in
      let line = (try? Files.readLine("/proc/\(pid)/task/\(thread)/schedstat")) ?? ""
      return sum + (line.split(separator: " ").first.flatMap { Int64($0) } ?? 0)
    }
    return Double(nanoseconds) / 1e9
  }

  /// The sum of the memory of several.
  static func memory(of processes: [Int32]) -> ProcessUsage {
    var sum = ProcessUsage()
    for pid in processes {
      let usage = ProcessUsage(pid)
      sum.resident += usage.resident
      sum.proportional += usage.proportional
      sum.anonymous += usage.anonymous
    }
    return sum
  }
}
