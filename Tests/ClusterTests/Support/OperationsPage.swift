// Owns: the commands of docs/operations.md and how they are typed on machines. It must not know what they do.
// In a fenced block a line `MACHINE$ COMMAND` is a command; lines behind it are what it prints, up to the next one.

import ClusterIO

struct OperationsPage {
  struct Step {
    let machine: String
    let command: String
    var output: [String] = []
  }

  private(set) var steps: [Step] = []
  /// In the order in which they appear.
  private(set) var machines: [String] = []

  init(_ text: String) {
    var isInBlock = false
    var isAfterCommand = false
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      if line.hasPrefix("```") {
        isInBlock.toggle()
        isAfterCommand = false
        continue
      }
      guard isInBlock else { continue }
      if let prompt = line.firstIndex(of: "$"), line[line.index(after: prompt)...].hasPrefix(" "),
        !line[..<prompt].isEmpty, line[..<prompt].allSatisfy({ $0.isLetter || $0.isNumber || $0 == "-" })
      {
        let machine = String(line[..<prompt])
        if !machines.contains(machine) { machines.append(machine) }
        isAfterCommand = true
        steps.append(Step(machine: machine, command: String(line[prompt...].dropFirst(2))))
      } else if isAfterCommand, !line.isEmpty {
        steps[steps.count - 1].output.append(String(line))
      }
    }
  }
}

/// Types a page's commands.
final class OperationsTypist {
  private let machines: Machines
  /// `export` commands of each machine so far: its shell goes on.
  private var exports: [String: [String]] = [:]
  private var started = 0

  init(_ machines: Machines) { self.machines = machines }

  func type(_ step: OperationsPage.Step) throws {
    if step.command.hasPrefix("export ") {
      exports[step.machine, default: []].append(step.command)
    } else if step.command.hasSuffix(" &") {
      started += 1
      _ = try machines.start(
        on: step.machine, ["bash", "-c", script(step, "exec \(step.command.dropLast(2))")],
        log: "\(step.machine)-background-\(started)")
    } else if step.command.hasPrefix("scp ") {
      try copy(step)
    } else if step.command.contains(" get ") {
      // What is asked for may take a moment to be so.
      var seen = ""
      try eventually(step.command, seconds: 30, every: 200, seen: { seen }) {
        let (status, text) = try machines.run(on: step.machine, "bash", "-c", script(step, step.command))
        seen = text
        return status == 0 && Self.isAsShown(text, step)
      }
    } else {
      let text = try machines.must(on: step.machine, "bash", "-c", script(step, step.command), within: 90)
      try check(Self.isAsShown(text, step), "\(step.machine)$ \(step.command) printed \(text), the page \(step.output)")
    }
  }

  private func script(_ step: OperationsPage.Step, _ command: String) -> String {
    (exports[step.machine, default: []] + [command]).joined(separator: "\n")
  }

  /// `scp MACHINE:FILE .`, both in the home directory: there is no ssh between these machines.
  private func copy(_ step: OperationsPage.Step) throws {
    let words = step.command.split(separator: " ")
    let source = words.count == 3 ? words[1].split(separator: ":").map(String.init) : []
    try check(source.count == 2 && words[2] == ".", "a copy that is not understood: \(step.command)")
    let name = source[1]
    try Files.writeAtomically("\(machines.shared)/\(name)", Files.read(machines.path(source[0], "/root/\(name)")))
    try machines.must(on: step.machine, "install", "-m", "600", "/mnt/shared/\(name)", name)
  }

  /// Whether each line of the page was printed. Of a table's rows the first two columns count: ages and names differ.
  private static func isAsShown(_ text: String, _ step: OperationsPage.Step) -> Bool {
    let isTable = step.output.first?.hasPrefix("NAME ") == true
    func key(_ line: some StringProtocol) -> [Substring] {
      let words = Substring(line).split(separator: " ")
      return isTable ? Array(words.prefix(2)) : words
    }
    let seen = text.split(separator: "\n").map { key($0) }
    return step.output.allSatisfy { seen.contains(key($0)) }
  }
}
