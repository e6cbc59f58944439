// Owns: the processes of a test: starting the built program, and finding in /proc what belongs to a test's directory.
// It must not know what the processes do.

import ClusterIO
import Glibc

/// A process as /proc shows it; pid and start time together are never reused.
struct ProcessIdentity: Hashable, Comparable {
  let pid: Int32
  /// Clock ticks after boot.
  let started: Int64

  static func < (left: Self, right: Self) -> Bool { left.pid < right.pid }
}

enum Processes {
  /// The program that was built with these tests.
  static let program = "\(Files.split(CommandLine.arguments[0]).parent)/stint"

  /// Every process that has `text` in its command line or environment.
  static func mentioning(_ text: String) -> [ProcessIdentity] {
    let wanted = Array(text.utf8)
    return all().filter { pid in
      ["cmdline", "environ"].contains { contains(wanted, in: "/proc/\(pid)/\($0)") }
    }.compactMap(identity)
  }

  /// The shells of pods that carry `variable` (`NAME=value`) in their environment; not what one of them has forked and
  /// what is about to become another program.
  static func shells(with variable: String) -> Set<ProcessIdentity> {
    let wanted = Array(variable.utf8)
    let shells = all().filter { pid in
      guard let line = try? Files.read("/proc/\(pid)/cmdline") else { return false }
      return line.starts(with: Array("sh\0-c\0".utf8)) && contains(wanted, in: "/proc/\(pid)/environ")
    }
    return Set(shells.filter { pid in parent(of: pid).map { !shells.contains($0) } ?? false }.compactMap(identity))
  }

  private static func parent(of pid: Int32) -> Int32? {
    let text = (try? Files.read("/proc/\(pid)/stat")).map { String(decoding: $0, as: UTF8.self) }
    let fields = text?.split(separator: ")").last?.split(separator: " ") ?? []
    return fields.count > 1 ? Int32(fields[1]) : nil
  }

  static func identity(_ pid: Int32) -> ProcessIdentity? {
    guard let bytes = try? Files.read("/proc/\(pid)/stat") else { return nil }
    // The name in parentheses may hold spaces: fields are counted after it; state is the first of them.
    let fields = String(decoding: bytes, as: UTF8.self).split(separator: ")").last?.split(separator: " ") ?? []
    guard fields.count > 19, fields[0] != "Z", let started = Int64(fields[19]) else { return nil }
    return ProcessIdentity(pid: pid, started: started)
  }

  static func isAlive(_ process: ProcessIdentity) -> Bool { identity(process.pid) == process }

  /// Whether a thread of it is in uninterruptible sleep (D), as one that waits for a disk is.
  static func hasThreadInKernel(_ process: ProcessIdentity) -> Bool {
    let threads = (try? Files.list("/proc/\(process.pid)/task")) ?? []
    return threads.contains { thread in
      guard let bytes = try? Files.read("/proc/\(process.pid)/task/\(thread)/stat") else { return false }
      return String(decoding: bytes, as: UTF8.self).split(separator: ")").last?.hasPrefix(" D") == true
    }
  }

  private static func all() -> [Int32] {
    let own = getpid()
    return ((try? Files.list("/proc")) ?? []).compactMap { Int32($0) }.filter { $0 != own }
  }

  private static func contains(_ wanted: [UInt8], in path: String) -> Bool {
    guard let bytes = try? Files.read(path) else { return false }
    return !wanted.isEmpty && bytes.indices.contains { bytes[$0...].starts(with: wanted) }
  }
}

/// The built program, started with words of a command line; its output goes to a file.
final class Program {
  let child: Child
  let output: String

  init(
    _ words: [String], path: String = Processes.program, environment: [String] = [], output: String,
    directory: String? = nil
  ) throws {
    self.output = output
    let file = open(output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard file >= 0 else { throw IOError.last("open", output) }
    defer { close(file) }
    var options = Child.Options(
      path: path, arguments: [Files.split(path).name] + words,
      environment: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"] + environment)
    options.descriptors = [1: file, 2: file]
    options.directory = directory
    child = try Child(options)
  }

  var pid: Int32 { child.pid }
  var isRunning: Bool { child.reap() == nil }
  var text: String { ((try? Files.read(output)).map { String(decoding: $0, as: UTF8.self) }) ?? "" }

  /// Its exit status once it has ended, 128 + N for signal N.
  func end(within seconds: Int64, line: UInt = #line) throws -> Int32 {
    var entry = pollfd(fd: child.descriptor, events: Int16(POLLIN), revents: 0)
    let deadline = Clocks.boot() + seconds * 1_000_000_000
    while true {
      if let status = child.reap() { return status.shellCode }
      let left = (deadline - Clocks.boot()) / 1_000_000
      if left <= 0 { break }
      poll(&entry, 1, Int32(clamping: left))
    }
    throw Failure("line \(line): it does not end within \(seconds) s; it printed: \(text.suffix(2_000))")
  }

  func killAndReap(_ signal: Int32 = SIGKILL, within seconds: Int64 = 20, line: UInt = #line) throws {
    child.signal(signal)
    _ = try end(within: seconds, line: line)
  }
}
