// The systemd units: systemd's own verdict, and what an agent's stop must leave. Knows nothing of a running systemd.

import Foundation
import Testing

@Suite("The systemd units") struct UnitFileTests {
  private static let folder = TidyTests.root.appending(path: "compose/systemd")
  private static let analyze = "/usr/bin/systemd-analyze"
  private static var canAnalyze: Bool { FileManager.default.isExecutableFile(atPath: analyze) }
  private static let units = ["stint-agent.service", "stint-coordinator.service"]

  private static func text(_ unit: String) throws -> String {
    try String(contentsOf: folder.appending(path: unit), encoding: .utf8)
  }

  @Test(
    "systemd-analyze verify has nothing to say about a unit",
    .enabled(if: canAnalyze, "there is no systemd-analyze here"), arguments: units)
  func verified(_ unit: String) throws {
    let scratch = FileManager.default.temporaryDirectory.appending(path: "stint-units-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: scratch, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: scratch) }
    // The program need not be installed where the tests run, nor its manual.
    let copy = try Self.text(unit).replacing("/usr/bin/stint", with: "/bin/true")
      .replacing("Documentation=man:stint(1)\n", with: "")
    let path = scratch.appending(path: unit)
    try copy.write(to: path, atomically: true, encoding: .utf8)
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(filePath: Self.analyze)
    process.arguments = ["verify", path.path(percentEncoded: false)]
    process.standardOutput = output
    process.standardError = output
    try process.run()
    let said = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationStatus == 0, "\(said)")
    // It also speaks of units of the machine; only what it says of ours counts.
    #expect(!said.contains(unit), "\(said)")
  }

  @Test("a stop of the agent's unit leaves keeper and pods, and a pod's end by lack of memory leaves the unit")
  func agentLeavesPods() throws {
    let lines = try Set(Self.text("stint-agent.service").split(separator: "\n").map(String.init))
    for line in ["KillMode=process", "Delegate=yes", "OOMPolicy=continue"] { #expect(lines.contains(line), "\(line)") }
  }

  @Test("nothing in the agent's unit takes from pods what a shell on the machine has")
  func agentTakesNothing() throws {
    let keys = try Self.text("stint-agent.service").split(separator: "\n").compactMap {
      $0.split(separator: "=").first.map(String.init)
    }
    let inherited = keys.filter { key in
      ["Protect", "Private", "Restrict", "Capability", "NoNewPrivileges", "SystemCall", "ReadOnly", "Inaccessible"]
        .contains { key.hasPrefix($0) } && key != "Restart" && key != "RestartSec"
    }
    #expect(inherited == [])
  }
}
