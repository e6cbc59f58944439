// Lines of the operator's log: what others put into them stays text.

import ClusterIO
import ClusterProto
import Testing

@Suite("Lines of the log")
struct LogLineTests {
  @Test(
    "no character that ends a line, steers a terminal, turns the direction of writing or is not seen stands as it is",
    arguments: [
      "\n", "\r", "\u{1B}[2J", "\u{7F}", "\u{85}", "\u{9B}31m", "\u{AD}", "\u{61C}", "\u{200B}", "\u{200F}", "\u{2028}",
      "\u{2029}", "\u{202A}", "\u{202E}", "\u{2066}", "\u{2069}", "\u{FEFF}", "\u{FFF9}", "\u{E0041}", "\u{E000}",
      "\u{3164}", "\u{115F}", "\u{1160}", "\u{FFA0}", "\u{034F}", "\u{17B4}", "\u{180B}", "\u{FE0F}", "\u{2800}",
    ])
  func escaped(evil: String) throws {
    let line = LogLine.text(time: "T", level: "audit", "a\(evil)b", [("who", "x\(evil)y"), ("from", "1.2.3.4:5")])
    for scalar in line.unicodeScalars {
      #expect(scalar.value >= 0x20 && scalar.value < 0x7F, "\(String(scalar.value, radix: 16)) in \(line)")
    }
    // Nothing is lost: it is JSON.
    let quoted = try #require(
      line.firstRange(of: " who=").map { line[..<$0.lowerBound].dropFirst("T level=audit msg=".count) })
    #expect(try JSON(parsing: Array(quoted.utf8)).stringValue == "a\(evil)b")
  }

  @Test("letters of any language stand as they are, and plain values without quotes")
  func letters() {
    let line = LogLine.text(time: "T", level: "info", "Größe 数 🐦", [("who", "zoë"), ("node", "a b"), ("empty", "")])
    #expect(line == "T level=info msg=\"Größe 数 🐦\" who=zoë node=\"a b\" empty=\"\"")
  }
}
