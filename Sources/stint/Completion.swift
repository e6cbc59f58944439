// Owns: completion scripts, written from the command list; bash's and zsh's ask the cluster for names of objects. It
// must not know any command but `get` by name.

import ClusterProto

/// Scripts that complete commands, flags, their choices, kinds and files.
enum Completion {
  static let shells = ["bash", "zsh", "fish"]

  /// The script of `shell`, nil when there is none.
  static func script(_ shell: String, _ commands: [Command]) -> String? {
    let shown = commands.filter { !$0.hidden }
    switch shell {
    case "bash": return bash(shown)
    case "zsh": return zsh(shown)
    case "fish": return fish(shown)
    default: return nil
    }
  }

  /// The words that may stand where `command` takes no flag; names live in the cluster and are not looked up.
  static func words(for command: Command, _ commands: [Command]) -> [String] {
    switch command.operand {
    case .none, .node: []
    case .kindAndNames: Kind.allCases.map(\.plural)
    case .job, .pod: []
    case .command: commands.map(\.name)
    case .shell: shells
    case .words(let words): words
    }
  }

  /// All names of kinds: once one stands on the line, names follow it, and no other kind.
  private static let kinds = Kind.allCases.flatMap { [$0.plural, $0.singular] + $0.shortNames }

  private static func bash(_ commands: [Command]) -> String {
    var cases = ""
    var values = ""
    for command in commands {
      let flags = command.flags.flatMap { flag in ["--\(flag.name)"] + (flag.short.map { ["-\($0)"] } ?? []) }
      cases += "    \(command.name)) flags=\"\(flags.joined(separator: " "))\""
      cases += " words=\"\(words(for: command, commands).joined(separator: " "))\""
      cases += command.operand == .kindAndNames ? " kinds=\"$_stint_kinds\"" : ""
      cases += (named(by: command.operand).map { " named=\($0.plural)" } ?? "") + " ;;\n"
      for flag in command.flags where flag.takesValue {
        let names = ["\(command.name):--\(flag.name)"] + (flag.short.map { ["\(command.name):-\($0)"] } ?? [])
        values += "    \(names.joined(separator: "|"))) \(bashValue(flag)); return ;;\n"
      }
    }
    return """
      # bash completion of stint
      \(bashNames)_stint() {
        local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}"
        local command="" word flags="" words="" kinds="" named="" prefix=""
        for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
          case " $_stint_commands " in *" $word "*) command="$word"; break ;; esac
        done
        [ "$previous" = "=" ] && previous="${COMP_WORDS[COMP_CWORD-2]}"
        [ "$current" = "=" ] && current=""
        case "$command:$previous" in
      \(values)  esac
        case "$command" in
          "") words="$_stint_commands" flags="--help" ;;
      \(cases)  esac
        for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
          case " $kinds " in *" $word "*) words="" named="$word"; break ;; esac
        done
        case "$current" in
          -*) ;;
          */*) [ -n "$kinds$named" ] && prefix="${current%%/*}/" && words="$(_stint_names "${current%%/*}")" ;;
          *) [ -n "$named" ] && words="$(_stint_names "$named")" ;;
        esac
        case "$current" in
          -*) COMPREPLY=($(compgen -W "$flags" -- "$current")) ;;
          *) COMPREPLY=($(compgen -P "$prefix" -W "$words" -- "${current#"$prefix"}")) ;;
        esac
      }
      _stint_commands="\(commands.map(\.name).joined(separator: " "))"
      _stint_kinds="\(kinds.joined(separator: " "))"
      complete -F _stint stint

      """
  }

  /// Asks the cluster that the line names for the names of a kind; one that does not answer costs two seconds. Lines
  /// with other characters than names have are passed over: the shell would expand them.
  private static let bashNames = """
    _stint_names() {
      local word flag="" typed=() arguments=()
      read -ra typed <<< "${COMP_LINE:0:${COMP_POINT:-0}}"
      for word in "${typed[@]}"; do
        case "$flag" in -n|--namespace|-s|--server|--kubeconfig|--context) arguments+=("$flag" "$word") ;; esac
        case "$word" in --namespace=*|--server=*|--kubeconfig=*|--context=*) arguments+=("$word") ;; esac
        flag="$word"
      done
      timeout 2 "${COMP_WORDS[0]}" get "$1" -o name "${arguments[@]}" 2>/dev/null |
        sed -n 's|^[^/]*/\\([A-Za-z0-9._:-]*\\)$|\\1|p'
    }

    """

  /// The kind whose names stand where `operand` does, when it is always the same.
  private static func named(by operand: Operand) -> Kind? {
    switch operand {
    case .job: .jobs
    case .pod: .pods
    case .node: .nodes
    case .none, .kindAndNames, .command, .shell, .words: nil
    }
  }

  private static func bashValue(_ flag: Flag) -> String {
    switch flag.value {
    case .text where flag.name == CommandTable.namespace.name:
      "COMPREPLY=($(compgen -W \"$(_stint_names namespaces)\" -- \"$current\"))"
    case .choice(let choices), .suggested(_, let choices):
      "COMPREPLY=($(compgen -W \"\(choices.joined(separator: " "))\" -- \"$current\"))"
    case .file: "compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- \"$current\"))"
    case .directory: "compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- \"$current\"))"
    case .toggle, .text, .integer, .duration, .cpu, .bytes: "COMPREPLY=()"
    }
  }

  /// As bash's: the names of a kind, by the cluster that the line names; and those of the kind on the line.
  private static let zshNames = """
    _stint_names() {
      local word flag="" ; local -a arguments names
      for word in "${(@)words[2,CURRENT-1]}"; do
        case "$flag" in -n|--namespace|-s|--server|--kubeconfig|--context) arguments+=("$flag" "$word") ;; esac
        case "$word" in --namespace=*|--server=*|--kubeconfig=*|--context=*) arguments+=("$word") ;; esac
        flag="$word"
      done
      names=(${(f)"$(timeout 2 stint get "$1" -o name "${arguments[@]}" 2>/dev/null |
        sed -n 's|^[^/]*/\\([A-Za-z0-9._:-]*\\)$|\\1|p')"})
      compadd -a names
    }
    _stint_named() {
      local word kind
      if [[ "$PREFIX" == */* ]]; then
        kind="${PREFIX%%/*}"
        compset -P '*/' && _stint_names "$kind"
        return
      fi
      for word in "${(@)words[2,CURRENT-1]}"; do
        case " $_stint_kinds " in *" $word "*) _stint_names "$word"; return ;; esac
      done
      compadd -- ${=1}
    }

    """

  private static func zsh(_ commands: [Command]) -> String {
    var text = "#compdef stint\n# zsh completion of stint\n_stint_kinds='\(kinds.joined(separator: " "))'\n\(zshNames)"
    text += "_stint() {\n  local -a commands\n  commands=(\n"
    for command in commands { text += "    '\(command.name):\(escaped(command.summary))'\n" }
    text += "  )\n  local curcontext=\"$curcontext\" state line\n"
    text += "  _arguments -C '1:command:->command' '*::argument:->argument'\n"
    text += "  case $state in\n  command) _describe command commands ;;\n  argument)\n    case $line[1] in\n"
    for command in commands {
      text += "    \(command.name)) _arguments"
      for flag in command.flags {
        let argument = zshValue(flag)
        let help = "[\(escaped(flag.help).replacing("[", with: "\\[").replacing("]", with: "\\]"))]"
        text += " \\\n      '\(flag.repeats ? "*" : "")--\(flag.name)\(flag.takesValue ? "=" : "")\(help)\(argument)'"
        if let short = flag.short {
          text += " \\\n      '\(flag.repeats ? "*" : "")-\(short)\(flag.takesValue ? "+" : "")\(help)\(argument)'"
        }
      }
      text += " \\\n      '*: :\(zshOperand(command, commands))' ;;\n"
    }
    return text + "    esac ;;\n  esac\n}\ncompdef _stint stint\n"
  }

  private static func zshOperand(_ command: Command, _ commands: [Command]) -> String {
    let operands = words(for: command, commands).joined(separator: " ")
    if command.operand == .kindAndNames { return "{_stint_named \"\(operands)\"}" }
    if let kind = named(by: command.operand) { return "{_stint_names \(kind.plural)}" }
    return operands.isEmpty ? "" : "(\(operands))"
  }

  private static func zshValue(_ flag: Flag) -> String {
    switch flag.value {
    case .text where flag.name == CommandTable.namespace.name: ":\(flag.name):{_stint_names namespaces}"
    case .toggle: ""
    case .choice(let choices), .suggested(_, let choices): ":\(flag.name):(\(choices.joined(separator: " ")))"
    case .file: ":file:_files"
    case .directory: ":directory:_files -/"
    case .text, .integer, .duration, .cpu, .bytes: ":\(flag.name): "
    }
  }

  private static func fish(_ commands: [Command]) -> String {
    var text = "# fish completion of stint\ncomplete -c stint -f\n"
    for command in commands {
      text += "complete -c stint -n __fish_use_subcommand -a \(command.name) -d '\(fishText(command.summary))'\n"
      let when = "complete -c stint -n '__fish_seen_subcommand_from \(command.name)'"
      for flag in command.flags {
        text += "\(when) -l \(flag.name)" + (flag.short.map { " -s \($0)" } ?? "")
        switch flag.value {
        case .toggle: break
        case .choice(let choices), .suggested(_, let choices):
          text += " -x -a '\(choices.joined(separator: " "))'"
        case .file: text += " -r -F"
        case .directory: text += " -x -a '(__fish_complete_directories)'"
        case .text, .integer, .duration, .cpu, .bytes: text += " -x"
        }
        text += " -d '\(fishText(flag.help))'\n"
      }
      let operands = words(for: command, commands)
      if command.operand == .kindAndNames {
        let yet = "not __fish_seen_subcommand_from \(kinds.joined(separator: " "))"
        text += "complete -c stint -n '__fish_seen_subcommand_from \(command.name); and \(yet)'"
        text += " -a '\(operands.joined(separator: " "))'\n"
      } else if !operands.isEmpty {
        text += "\(when) -a '\(operands.joined(separator: " "))'\n"
      }
    }
    return text
  }

  /// For zsh inside single quotes, where a colon ends a field.
  private static func escaped(_ text: String) -> String {
    text.replacing("'", with: "'\\''").replacing(":", with: "\\:")
  }

  /// For fish inside single quotes.
  private static func fishText(_ text: String) -> String {
    text.replacing("\\", with: "\\\\").replacing("'", with: "\\'")
  }
}
