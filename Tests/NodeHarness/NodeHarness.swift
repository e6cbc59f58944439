// Owns: a node's processes for the tests: the keeper and the agent as `stint` would run them.
// It must not know the command line's details: each option is one argument.

import ClusterIO
import Glibc
import NodeAgent

@main
struct NodeHarness {
  /// `keeper --data DIR [--pod-user NAME] [--frozen-kill MS] [--idle-exit MS] [--lost-directory MS]
  /// [--no-cgroups]`, or
  /// `agent --data DIR --coordinator HOST:PORT [--lost-directory MS]`, or
  /// `rate --data DIR PODS AT-ONCE`.
  static func main() {
    let arguments = Array(CommandLine.arguments.dropFirst())
    func value(_ name: String) -> String? {
      guard let position = arguments.firstIndex(of: name), position + 1 < arguments.count else { return nil }
      return arguments[position + 1]
    }
    // The agent writes durations as `600000ms`.
    func milliseconds(_ name: String) -> Int64? { value(name).flatMap { Int64($0.prefix { $0.isNumber }) } }
    guard let data = value("--data") else { exit(2) }
    switch arguments.first {
    case "keeper":
      var options = KeeperOptions(data: data)
      options.podUser = value("--pod-user")
      options.frozenKillMilliseconds = milliseconds("--frozen-kill") ?? options.frozenKillMilliseconds
      options.idleExitMilliseconds = milliseconds("--idle-exit") ?? options.idleExitMilliseconds
      options.logLimit = value("--log-limit").flatMap { Int64($0) } ?? options.logLimit
      options.lostDirectoryMilliseconds = milliseconds("--lost-directory") ?? options.lostDirectoryMilliseconds
      options.usesCgroups = !arguments.contains("--no-cgroups")
      exit(KeeperHost.run(options))
    case "agent":
      var options = AgentOptions(coordinators: [value("--coordinator") ?? ""], name: "node", data: data)
      options.lostDirectoryMilliseconds = milliseconds("--lost-directory") ?? options.lostDirectoryMilliseconds
      exit(AgentHost.run(options))
    case "rate":
      let numbers = arguments.compactMap { Int64($0) }
      do {
        try Rate(data: data, total: numbers.first ?? 2000, atOnce: numbers.last ?? 64).run()
      } catch {
        try? Files.writeAll(2, Array("NodeHarness: \(error)\n".utf8), path: "stderr")
        exit(1)
      }
    default: exit(2)
    }
  }
}
