// Owns: the way in: the command line becomes a command, its errors become messages and an exit status.
// It must not know any command by name.

import Glibc

@main
enum Stint {
  static func main() {
    // Standard streams may be closed; a socket that took their place would receive our messages.
    for descriptor in Int32(0)...2 where fcntl(descriptor, F_GETFD) < 0 { _ = open("/dev/null", O_RDWR) }
    let environment = readEnvironment()
    let console = Console.standard(environment: environment)
    exit(run(Array(CommandLine.arguments.dropFirst()), environment: environment, console: console))
  }

  /// Runs one command line; the result is the exit status.
  static func run(
    _ line: [String], environment: [String: String], console: Console,
    makeCluster: @escaping (Context) throws -> Cluster = NativeClient.makeCluster
  ) -> Int32 {
    do {
      if line.isEmpty || ["--help", "-h"].contains(line[0]) && line.count == 1 {
        console.out(HelpCommand.overview(console))
        return line.isEmpty ? 2 : 0
      }
      if line == ["--version"] {
        console.line("stint \(Version.current)")
        return 0
      }
      let arguments = try Arguments.parse(line, commands: CommandTable.all)
      if arguments.isOn("help") {
        console.out(HelpCommand.text(of: arguments.command, console))
        return 0
      }
      let context = Context(
        arguments: arguments, environment: environment, console: console, makeCluster: makeCluster)
      return try arguments.command.run(context)
    } catch {
      return report(error, console)
    }
  }

  /// Words an error on standard error and gives the exit status for it.
  static func report(_ error: any Error, _ console: Console) -> Int32 {
    switch error {
    case let error as UsageError:
      console.note("stint: \(error.message)")
      if let usage = error.usage { console.note(usage) }
      console.note("`stint \(error.command.map { "\($0) " } ?? "")--help` tells more.")
      return 2
    case let error as CommandError:
      console.note(error.message)
      return error.exitStatus
    case let error as StatusError:
      console.note(error.text())
      return 1
    default:
      console.note("error: \(error)")
      return 1
    }
  }

  private static func readEnvironment() -> [String: String] {
    var result: [String: String] = [:]
    var entry = environ
    while let pointer = entry.pointee {
      let text = String(cString: pointer)
      if let equals = text.firstIndex(of: "=") {
        result[String(text[..<equals])] = String(text[text.index(after: equals)...])
      }
      entry += 1
    }
    return result
  }
}
