// Owns: manual pages (man(7)), written from the command list: one of the program, one of each command. It must not know
// any command by name.

/// Pages in roff.
enum Manual {
  /// The page's file name and text, of the program first.
  static func pages(_ commands: [Command], version: String) -> [(name: String, text: String)] {
    let shown = commands.filter { !$0.hidden }
    return [("stint.1", overview(shown, version))]
      + shown.map { ("stint-\($0.name).1", page(of: $0, version)) }
  }

  private static func overview(_ commands: [Command], _ version: String) -> String {
    var text = head("STINT", version) + name("stint", "runs Kubernetes Jobs without Kubernetes")
    text += ".SH SYNOPSIS\n.B stint\n.I COMMAND\n.RI [ flags ]\n"
    text += ".SH DESCRIPTION\n"
    text += paragraph(
      "One binary: a coordinator on one machine, an agent on each machine that does work, and the commands. It takes "
        + "plain batch/v1 Job manifests and means by them what Kubernetes means. To begin: `stint up`.")
    text += ".SH COMMANDS\n"
    for command in commands { text += ".TP\n.BR \(literal("stint-\(command.name)")) (1)\n\(line(command.summary)).\n" }
    text += ".SH ENVIRONMENT\n"
    for (variable, use) in variables { text += ".TP\n.B \(literal(variable))\n\(line(use))\n" }
    return text
  }

  private static let variables = [
    ("KUBECONFIG", "Files with the cluster's address and who you are there, with colons between."),
    ("STINT_SERVER", "Address of the coordinator, HOST:PORT, instead of the kubeconfig's."),
    ("NO_COLOR", "Not empty: no colours on a terminal either."),
  ]

  private static func page(of command: Command, _ version: String) -> String {
    var text = head("STINT-\(command.name.uppercased())", version)
    text += name("stint-\(command.name)", command.summary.prefix(1).lowercased() + command.summary.dropFirst())
    let usage = command.usage.dropFirst("usage: ".count)
    text += ".SH SYNOPSIS\n.nf\n\(literal(String(usage)))\n.fi\n"
    if !command.details.isEmpty { text += ".SH DESCRIPTION\n" + paragraphs(command.details) }
    text += ".SH OPTIONS\n"
    for flag in command.flags { text += option(flag) }
    if !command.examples.isEmpty {
      text += ".SH EXAMPLES\n"
      for example in command.examples { text += ".TP\n\(line(example.does)):\n.nf\n\(literal(example.line))\n.fi\n" }
    }
    return text + ".SH SEE ALSO\n.BR stint (1)\n"
  }

  private static func head(_ title: String, _ version: String) -> String {
    // What has no place to be broken at, such as a list of values, would leave gaps.
    ".TH \(literal(title)) 1 \"\" \"stint \(literal(version))\" \"Stint\"\n.ad l\n.nh\n"
  }

  private static func name(_ name: String, _ what: String) -> String {
    ".SH NAME\n\(literal(name)) \\- \(line(what))\n"
  }

  private static func option(_ flag: Flag) -> String {
    let short = flag.short.map { "\\fB\\-\($0)\\fR, " } ?? ""
    var value = ""
    if flag.takesValue {
      let place = "\\fI\(literal(flag.value.placeholder))\\fR"
      value = flag.bare == nil ? " \(place)" : "[=\(place)]"
    }
    var help = flag.help
    if let initial = flag.initial { help += " (default: \(initial))" }
    return ".TP\n\(short)\\fB\\-\\-\(literal(flag.name))\\fR\(value)\n\(line(help))\n"
  }

  /// Blank lines divide; what stands further right stays on a line of its own.
  private static func paragraphs(_ text: String) -> String {
    var result = ""
    for part in text.split(separator: "\n", omittingEmptySubsequences: false) {
      result += part.isEmpty ? ".PP\n" : line(String(part)) + "\n"
    }
    return result
  }

  private static func paragraph(_ text: String) -> String { line(text) + "\n" }

  /// Text that may be filled: one line of roff that is no request.
  private static func line(_ text: String) -> String {
    // Lists without a space may be broken behind a comma.
    let escaped = literal(text).replacing(",", with: ",\\:")
    return [".", "'"].contains(escaped.first) ? "\\&" + escaped : escaped
  }

  /// Characters as they are, so that what is copied from the page can be typed.
  private static func literal(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": result += "\\e"
      case "-": result += "\\-"
      case "'": result += "\\(aq"
      case "`": result += "\\(ga"
      case "^": result += "\\(ha"
      case "~": result += "\\(ti"
      case "\"": result += "\\(dq"
      case "…": result += "..."
      case _ where scalar.isASCII: result.unicodeScalars.append(scalar)
      default: result += "\\[u" + padded(String(scalar.value, radix: 16, uppercase: true)) + "]"
      }
    }
    return result
  }

  private static func padded(_ digits: String) -> String {
    String(repeating: "0", count: max(0, 4 - digits.count)) + digits
  }
}
