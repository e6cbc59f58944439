// Owns: `version`, and this program's version. It must not fail where only this program is asked for.

import ClusterProto

/// The version that this program was built as.
enum Version {
  static let current = "0.1.0"
}

/// `stint version`.
enum VersionCommand {
  @Sendable static func run(_ context: Context) throws -> Int32 {
    var facts: JSON = ["client": ["version": .string(Version.current)]]
    var lines = ["Client Version: \(Version.current)"]
    var failure: CommandError?
    if !context.arguments.isOn("client") {
      do {
        let server = try context.cluster().greeting()
        facts["server"] = [
          "protocol": .int(server.version), "cluster": .string(server.cluster),
          "incarnation": .int(server.incarnation),
        ]
        if !server.program.isEmpty {
          facts[path: ["server", "version"]] = .string(server.program)
          lines.append("Server Version: \(server.program)")
        }
        lines.append(
          "Server: cluster \(server.cluster), protocol \(server.version), incarnation \(server.incarnation)")
      } catch let error as CommandError {
        failure = error
      }
    }
    if let format = context.arguments.value("output") {
      context.console.out(ObjectText.of(facts, format))
    } else {
      for line in lines { context.console.line(line) }
    }
    if let failure { throw failure }
    return 0
  }
}
