// Owns: the machine's own limit: how fast one thread starts a program and waits for it. It must not know of pods.

import ClusterIO
import Glibc

/// Plain posix_spawn and waitpid in a row.
struct SpawnRate {
  let perSecond: Double
  /// Processor time of parent and child, milliseconds each.
  let cpuMilliseconds: Double

  /// Runs `arguments` (a path first) `count` times; nil when it cannot be started or fails.
  init?(_ arguments: [String], count: Int) {
    var words = arguments.map { strdup($0) } + [nil]
    var environment: [UnsafeMutablePointer<CChar>?] = [nil]
    defer { for word in words { free(word) } }
    let start = Clocks.boot()
    let before = SpawnRate.used()
    for _ in 0..<count {
      var pid: pid_t = 0
      var status: Int32 = 0
      guard posix_spawn(&pid, arguments[0], nil, nil, &words, &environment) == 0, waitpid(pid, &status, 0) == pid,
        status == 0
      else { return nil }
    }
    perSecond = Double(count) * 1e9 / Double(Clocks.boot() - start)
    cpuMilliseconds = (SpawnRate.used() - before) * 1_000 / Double(count)
  }

  /// Seconds of processor time of this process and its children that were waited for.
  private static func used() -> Double {
    func seconds(_ who: __rusage_who) -> Double {
      var usage = rusage()
      getrusage(__rusage_who_t(who.rawValue), &usage)
      let whole = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec
      return Double(whole) + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
    }
    return seconds(RUSAGE_SELF) + seconds(RUSAGE_CHILDREN)
  }

  /// `/bin/true` as it is.
  static func plain(_ bench: BenchContext) -> SpawnRate? {
    SpawnRate(["/bin/true"], count: bench.size(2_000, quick: 500))
  }

  /// `/bin/true` under bubblewrap with a PID namespace; nil without a usable bubblewrap.
  static func bubblewrap(_ bench: BenchContext) -> SpawnRate? {
    SpawnRate(
      ["/usr/bin/bwrap", "--dev-bind", "/", "/", "--unshare-pid", "--proc", "/proc", "--", "/bin/true"],
      count: bench.size(200, quick: 50))
  }
}
