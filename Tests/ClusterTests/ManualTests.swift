// Manual pages and the tarball: each command has a page that groff takes without a word, and the tarball starts.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import stint

@Suite("Manual pages and the tarball")
struct ManualTests {
  private static func command(_ details: String, help: String = "Help", name: String = "x") -> Command {
    Command(
      name: name, summary: "Do it", operands: "[A…]", flags: [Flag("flag", "f", .text("A\\B"), help)],
      details: details, examples: [("stint x -- 'a' \"b\"", "It's so")], run: { _ in 0 })
  }

  private static func page(_ command: Command) -> String { Manual.pages([command], version: "1").last?.text ?? "" }

  @Test("what a shell reads can be typed from the page, and no line of text is taken for a request")
  func escapes() {
    let text = Self.page(Self.command(".TH evil\n'br\n\na – b \\n", help: ".so /etc/passwd"))
    #expect(text.contains("\\&.TH evil\n\\(aqbr\n.PP\na \\[u2013] b \\en\n"), "\(text)")
    #expect(text.contains(".TP\n\\fB\\-f\\fR, \\fB\\-\\-flag\\fR \\fIA\\eB\\fR\n\\&.so /etc/passwd\n"), "\(text)")
    #expect(text.contains("stint x \\-\\- \\(aqa\\(aq \\(dqb\\(dq\n"))
    #expect(text.contains("stint x [A...] [flags]"))
  }

  @Test("each command that is shown has a page with each of its flags, and the program's page names it")
  func whole() {
    let pages = Manual.pages(CommandTable.all, version: "1")
    let shown = CommandTable.all.filter { !$0.hidden }
    #expect(pages.map(\.name) == ["stint.1"] + shown.map { "stint-\($0.name).1" })
    for (page, command) in zip(pages.dropFirst(), shown) {
      #expect(pages[0].text.contains("stint\\-\(command.name.replacing("-", with: "\\-")) (1)"))
      for flag in command.flags {
        #expect(
          page.text.contains("\\-\\-\(flag.name.replacing("-", with: "\\-"))\\fR"), "\(command.name) \(flag.name)")
      }
      #expect(page.text.utf8.allSatisfy { $0 < 0x80 })
    }
  }

  @Test(
    "groff takes every page without a warning",
    .enabled(if: Files.exists("/usr/bin/groff"), "there is no groff here"))
  func groff() async throws {
    try await Blocking.run {
      let directory = "/tmp/stint-man-\(getpid())-\(Hexadecimal.text(try Crypto.randomBytes(5)))"
      try Files.makeDirectory(directory)
      defer { try? Files.removeTree(directory) }
      let made = try Program(["man", "\(directory)/man1"], output: "\(directory)/made")
      try checkEqual(made.end(within: 30), 0, made.text)
      let line = "cd man1 && for page in *; do groff -man -ww -z -Tutf8 $page; done"
      let groff = try Program(["-c", line], path: "/bin/sh", output: "\(directory)/said", directory: directory)
      try checkEqual(groff.end(within: 60), 0, groff.text)
      try checkEqual(groff.text, "", "what groff says")
      let refused = try Program(["man", "\(directory)/made"], output: "\(directory)/refused")
      try check(refused.end(within: 30) == 1 && refused.text.hasPrefix("error: "), refused.text)
    }
  }

  @Test("the tarball has the binary, pages, completions and README, and a binary with odd libraries is refused")
  func tarball() async throws {
    try await Blocking.run {
      let root = "/" + "\(#filePath)".split(separator: "/").dropLast(3).joined(separator: "/")
      let directory = "/tmp/stint-dist-\(getpid())-\(Hexadecimal.text(try Crypto.randomBytes(5)))"
      try Files.makeDirectory(directory)
      defer { try? Files.removeTree(directory) }
      func dist(_ environment: [String]) throws -> (status: Int32, text: String) {
        let output = "\(directory)/said-\(environment.count)"
        let program = try Program(
          ["\(root)/compose/dist.sh", Processes.program, directory], path: "/bin/bash",
          environment: environment, output: output)
        return (try program.end(within: 120), program.text)
      }
      // A debug binary has libraries of its own.
      let refused = try dist([])
      try check(refused.status == 1 && refused.text.contains("asks for libraries that not every machine"), refused.text)
      let made = try dist(["STINT_DIST_ANY_LIBRARY=1"])
      try checkEqual(made.status, 0, made.text)
      let list = try Program(
        ["-c", "tar -tzf stint-*.tar.gz"], path: "/bin/sh", output: "\(directory)/list", directory: directory)
      try checkEqual(list.end(within: 60), 0, list.text)
      for file in [
        "/bin/stint", "/share/man/man1/stint-run.1", "/share/bash-completion/completions/stint", "/README.md",
        "/share/doc/stint/commands.md",
      ] {
        try check(list.text.split(separator: "\n").contains { $0.hasSuffix(file) }, "no \(file): \(list.text)")
      }
    }
  }
}
