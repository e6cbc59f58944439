// Owns: `help`, `completion` and `man`. It must not know the commands that it explains.

import ClusterIO

/// Texts made from the command list.
enum HelpCommand {
  static func overview(_ console: Console) -> String { Help.overview(CommandTable.all, bold: bold(console)) }

  static func text(of command: Command, _ console: Console) -> String { Help.of(command, bold: bold(console)) }

  @Sendable static func help(_ context: Context) throws -> Int32 {
    guard let name = context.arguments.words.first else {
      context.console.out(overview(context.console))
      return 0
    }
    guard let command = CommandTable.all.first(where: { $0.name == name }) else {
      let hint = NearMiss.suggestion(for: name, among: CommandTable.all.map(\.name))
      throw UsageError(message: "unknown command \"\(name)\"" + (hint.map { "; did you mean \"\($0)\"?" } ?? ""))
    }
    context.console.out(text(of: command, context.console))
    return 0
  }

  @Sendable static func completion(_ context: Context) throws -> Int32 {
    let shell = context.arguments.words[0]
    guard let script = Completion.script(shell, CommandTable.all) else {
      throw context.arguments.problem(
        "no completion for \"\(shell)\"; there is one for " + Completion.shells.joined(separator: ", "))
    }
    context.console.out(script)
    return 0
  }

  @Sendable static func man(_ context: Context) throws -> Int32 {
    let folder = ServeCommand.absolute(context.arguments.words[0])
    try Files.makeDirectory(folder, mode: 0o755)
    let pages = Manual.pages(CommandTable.all, version: Version.current)
    for page in pages { try Files.writeAtomically("\(folder)/\(page.name)", Array(page.text.utf8), mode: 0o644) }
    context.console.line("\(pages.count) manual pages written to \(folder); man -l \(folder)/stint.1 shows the first")
    return 0
  }

  private static func bold(_ console: Console) -> (String) -> String {
    console.colours ? { Colour.bold($0) } : { $0 }
  }
}
