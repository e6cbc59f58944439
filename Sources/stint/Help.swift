// Owns: help texts, written from the command list. It must not know any command by name.

/// `stint help`, `stint --help` and `stint COMMAND --help`.
enum Help {
  /// All commands, a line each.
  static func overview(_ commands: [Command], bold: (String) -> String = { $0 }) -> String {
    let shown = commands.filter { !$0.hidden }
    let width = (shown.map(\.name.count).max() ?? 0) + 2
    var text = "Stint runs Kubernetes Jobs without Kubernetes.\n\n\(bold("Usage:")) stint COMMAND [flags]\n\n"
    text += bold("Commands:") + "\n"
    for command in shown { text += "  " + padded(command.name, width) + command.summary + "\n" }
    text += "\n`stint COMMAND --help` shows its flags and examples. To begin: `stint up`.\n"
    return text
  }

  /// One command: what it does, its flags and examples.
  static func of(_ command: Command, bold: (String) -> String = { $0 }) -> String {
    var text = command.summary + ".\n\n"
    text += bold("Usage:") + command.usage.dropFirst("usage:".count) + "\n"
    if !command.details.isEmpty { text += "\n\(command.details)\n" }
    if !command.examples.isEmpty {
      text += "\n" + bold("Examples:") + "\n"
      for example in command.examples { text += "  # \(example.does)\n  \(example.line)\n" }
    }
    let lines = command.flags.map { (left: heading(of: $0), flag: $0) }
    let width = min(36, (lines.map(\.left.count).max() ?? 0) + 2)
    text += "\n" + bold("Flags:") + "\n"
    for line in lines {
      let initial = line.flag.initial.map { " (default: \($0))" } ?? ""
      if line.left.count + 2 > width {
        text += "  \(line.left)\n  \(String(repeating: " ", count: width))\(line.flag.help)\(initial)\n"
      } else {
        text += "  \(padded(line.left, width))\(line.flag.help)\(initial)\n"
      }
    }
    return text
  }

  private static func heading(of flag: Flag) -> String {
    let short = flag.short.map { "-\($0), " } ?? "    "
    return "\(short)--\(flag.name)" + Help.value(of: flag)
  }

  private static func value(of flag: Flag) -> String {
    if !flag.takesValue { return "" }
    return flag.bare == nil ? " \(flag.value.placeholder)" : "[=\(flag.value.placeholder)]"
  }

  private static func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(1, width - text.count))
  }
}
