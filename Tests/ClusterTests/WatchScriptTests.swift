// Tests/watch.sh, which ends a test run that hangs: it must name what hung, and pass everything else on.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite("A test run that hangs is ended")
struct WatchScriptTests {
  private static let script = "\(Files.split(Files.split(Files.split(#filePath).parent).parent).parent)/Tests/watch.sh"

  /// Runs the script over a shell that prints `lines` and then does `after`.
  private func watch(_ lines: [String], after: String, limits: [String] = []) throws -> (status: Int32, text: String) {
    let directory = "/tmp/stint-watch-\(Hexadecimal.text(try Crypto.randomBytes(5)))"
    try Files.makeDirectory(directory)
    defer { try? Files.removeTree(directory) }
    try Files.writeAtomically("\(directory)/lines", Array((lines.joined(separator: "\n") + "\n").utf8))
    let program = try Program(
      ["bash", "-c", "cat '\(directory)/lines'; \(after)"], path: Self.script, environment: limits,
      output: "\(directory)/out")
    let status = try program.end(within: 60)
    return (status, program.text)
  }

  private let lines = [
    "◇ Test run started.", "◇ Test \"one $x [1]\" started.", "◇ Test many(of:) started.", "◇ Test \"two\" started.",
    "◇ Test case passing 1 argument n → 1 to many(of:) started.",
    "✔ Test \"one $x [1]\" passed after 0.1 seconds.", "✔ Test many(of:) with 8 test cases passed after 0.1 seconds.",
  ]

  @Test("a test over its limit is named, alone, and its process is ended", arguments: ["TEST_LIMIT=1", "RUN_LIMIT=1"])
  func hangs(limit: String) async throws {
    try await Blocking.run(isBusy: false) {
      let result = try watch(lines, after: "read < <(tail -f /dev/null)", limits: [limit])
      try checkEqual(result.status, 124, "status")
      try check(result.text.contains("Begun and not ended:\n  \"two\" (for "), result.text)
      try check(!result.text.contains("  case passing"), result.text)
      try check(!result.text.contains("  \"one") && !result.text.contains("  many"), result.text)
    }
  }

  @Test("what made itself a process group is ended too")
  func ownGroup() async throws {
    try await Blocking.run(isBusy: false) {
      let name = "stint-watched-\(Hexadecimal.text(try Crypto.randomBytes(5)))"
      let result = try watch(
        lines, after: "set -m; (exec -a \(name) tail -f /dev/null) & wait", limits: ["TEST_LIMIT=1"])
      try checkEqual(result.status, 124, "status")
      try check(Processes.mentioning(name).isEmpty, "\(name) lives")
    }
  }

  @Test("a run that ends has its own status, all of its output, and its failures once more at the end")
  func ends() async throws {
    try await Blocking.run(isBusy: false) {
      let more = lines + ["✘ Test \"two\" failed after 0.1 seconds with 1 issue."]
      let result = try watch(more, after: "exit 3")
      try checkEqual(result.status, 3, "status")
      try checkEqual(result.text, more.joined(separator: "\n") + "\n\nFailed:\n  \"two\"\n", "output")
      try checkEqual(try watch(lines, after: "exit 0").status, 0, "status")
    }
  }
}
