// The items of `stint run` and the words that pods execute: what is refused first, then real shells.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import stint

@Suite("Items of stint run")
struct RunItemsTests {
  @Test(
    "an array that means nothing is refused, and says why",
    arguments: [
      ("", "is not like"), ("5-1", "\"5-1\" ends before it begins"), ("-1", "is not like"), ("1-", "is not like"),
      ("a", "is not like"), ("1-2-3", "is not like"), ("1-9:0", "the step of \"1-9:0\" is 0"), ("1-9:", "is not like"),
      ("1:2:3", "is not like"), ("1,,2", "is not like"), ("0x1-5", "is not like"), ("1-3,2", "2 stands twice"),
      ("1-100001", "more than 100000 items"), ("0-9223372036854775807", "more than 100000 items"),
      ("1-60000,100000-150000", "more than 100000 items"), ("1-99999999999999999999", "is not like"),
      ("1 - 5", "is not like"), ("٣-٥", "is not like"),
    ])
  func badArrays(text: String, why: String) {
    do throws(RunItems.Problem) {
      let items = try RunItems(array: text)
      Issue.record("\(items)")
    } catch {
      #expect(error.text.contains(why), "\(error.text)")
    }
  }

  @Test("a range is its numbers, a list its numbers in order")
  func arrays() throws {
    #expect(try RunItems(array: "1-100") == .numbers(first: 1, step: 1, count: 100))
    #expect(try RunItems(array: "0-95:10") == .numbers(first: 0, step: 10, count: 10))
    #expect(try RunItems(array: "7") == .numbers(first: 7, step: 1, count: 1))
    #expect(try RunItems(array: "9,1-3") == .lines(["9", "1", "2", "3"]))
    #expect(try RunItems(array: "1-100000").count == 100_000)
    #expect(
      try RunItems(array: "9223372036854775806-9223372036854775807")
        == .numbers(first: Int64.max - 1, step: 1, count: 2))
  }

  @Test(
    "a file that gives no items is refused, and says where",
    arguments: [
      ([], "f has no lines"), (Array("\n\r\n\n".utf8), "f has no lines"),
      (Array("a\n".utf8) + [0x62, 0xFF, 0x0A], "line 2 of f is not UTF-8"),
      ([0x61, 0x0A, 0x0A, 0x62, 0, 0x63], "line 3 of f has a NUL byte"),
      (Array(repeating: 0x78, count: 100_001), "line 1 of f has 100001 bytes"),
      (Array(repeating: [0x78, 0x0A], count: 100_001).flatMap { $0 }, "more than 100000 lines"),
      (Array(repeating: Array(repeating: 0x78, count: 999) + [0x0A], count: 1_100).flatMap { $0 }, "1100000 bytes"),
    ] as [([UInt8], String)])
  func badFiles(bytes: [UInt8], why: String) {
    do throws(RunItems.Problem) {
      let items = try RunItems(lines: bytes, of: "f")
      Issue.record("\(items.count)")
    } catch {
      #expect(error.text.contains(why), "\(error.text)")
    }
  }

  @Test("lines come as they are, without their ends; empty ones are left out; a thousand make a block")
  func lines() throws {
    let text = " a b \r\n\n$HOME \"x\" 'y'\nlast {}"
    #expect(try RunItems(lines: Array(text.utf8), of: "f") == .lines([" a b ", "$HOME \"x\" 'y'", "last {}"]))
    let many = (0..<2_500).map { "i\($0)" }.joined(separator: "\n")
    let blocks = try RunItems(lines: Array(many.utf8), of: "f").blocks
    #expect(blocks.map(\.key) == ["items-0", "items-1", "items-2"])
    #expect(blocks[1].value.hasPrefix("i1000\ni1001\n") && blocks[2].value.hasSuffix("i2499\n"))
  }

  @Test(
    "Kubernetes' expansion gives back what was typed",
    arguments: ["", "$", "$$", "$$$", "$(HOME)", "$$(HOME)", "$$$(A)$", "a$b", "echo $$; $(date)", "${A}", "$($(A))"])
  func escapes(text: String) throws {
    let given = try VariableExpansion.expand(RunScript.escaped(text), limit: 1_000) { _ in "EXPANDED" }
    #expect(given == text)
    if !text.contains("$(") && !text.contains("$$") { #expect(RunScript.escaped(text) == text) }
  }

  /// What `words` print with these items at `index`, in the shell that is `sh` here and in busybox's.
  private func printed(_ words: [String], _ items: RunItems, index: Int) throws -> [String] {
    let folder = "/tmp/stint-items-\(getpid())-\(index)-\(Hexadecimal.text(try Crypto.randomBytes(4)))"
    try Files.makeDirectory(folder)
    defer { try? Files.removeTree(folder) }
    for block in items.blocks { try Files.writeAtomically("\(folder)/\(block.key)", Array(block.value.utf8)) }
    var command = try RunScript.command(words, items: items).map {
      try VariableExpansion.expand($0, limit: 1 << 20) { _ in "EXPANDED" }
    }
    command[2] = command[2].replacing(RunScript.itemsPath, with: folder)
    let shells = [["/bin/sh"], ["/bin/bash", "--posix"], ["/bin/busybox", "sh"]].filter { access($0[0], X_OK) == 0 }
    return try shells.enumerated().map { number, shell in
      let program = try Program(
        Array(shell.dropFirst()) + command.dropFirst(), path: shell[0],
        environment: ["JOB_COMPLETION_INDEX=\(index)"], output: "\(folder)/out-\(number)")
      let status = try program.end(within: 20)
      return "\(status) \(program.text)"
    }
  }

  @Test("each word gets the item where {} stands, whatever shell and whatever characters")
  func substitution() throws {
    let hard = [
      "plain", "two words", " lead and trail ", "it's \"quoted\"", "$HOME $(id) `id` \\n \\", "* ? [a-z] ~", "{} {}{}",
      "-n", "ü€😀", "a=b;c&d|e>f<g#h!", "%s%d",
    ]
    let items = RunItems.lines(hard)
    for (index, item) in hard.enumerated() {
      let words = ["printf", "<%s>", "a{}b{}", "{}", "", "no mark", "$HOME", "'{}'"]
      let expected = "0 <a\(item)b\(item)><\(item)><><no mark><$HOME><'\(item)'>"
      for text in try printed(words, items, index: index) { #expect(text == expected) }
    }
  }

  @Test("the item of a number and of a line in a later block; the variable has it where no {} stands")
  func itemsOfIndexes() throws {
    let words = ["sh", "-c", "echo $STINT_ITEM $JOB_COMPLETION_INDEX \"$@\"", "sh", "{}"]
    for (items, index, expected) in [
      (.numbers(first: 0, step: 1, count: 9), 3, "3"), (.numbers(first: 7, step: 10, count: 9), 2, "27"),
      (.lines((0..<2_345).map { "line-\($0)" }), 0, "line-0"),
      (.lines((0..<2_345).map { "line-\($0)" }), 999, "line-999"),
      (.lines((0..<2_345).map { "line-\($0)" }), 1_000, "line-1000"),
      (.lines((0..<2_345).map { "line-\($0)" }), 2_344, "line-2344"),
    ] as [(RunItems, Int, String)] {
      for text in try printed(words, items, index: index) { #expect(text == "0 \(expected) \(index) \(expected)\n") }
      let plain = try printed(Array(words.dropLast()), items, index: index)
      for text in plain { #expect(text == "0 \(expected) \(index)\n") }
    }
  }

  @Test("an index that has no line runs nothing")
  func noLine() throws {
    for text in try printed(["echo", "ran"], .lines(["a", "b"]), index: 2) {
      #expect(text == "125 stint: no item for index 2\n")
    }
  }

  @Test("a command without items needs no shell")
  func plain() {
    #expect(RunScript.command(["find", "{}", "-x"], items: nil) == ["find", "{}", "-x"])
  }
}
