// Owns: aligning text in columns, by the elastic tab stops that kubectl's tables and descriptions use.
// It must not know what is in the cells. Colour escapes in a cell take no width.

/// Aligns tab-separated cells. A column runs over neighbouring lines that have a tab after the cell; the last cell of a
/// line is never padded.
struct TabWriter {
  let minimumWidth: Int
  let padding: Int
  /// Widths that earlier text reached, kept so that the rows of a watch stay under their header; nil: forget them.
  private var remembered: [Int]?

  init(minimumWidth: Int, padding: Int, remembers: Bool = false) {
    self.minimumWidth = minimumWidth
    self.padding = padding
    remembered = remembers ? [] : nil
  }

  /// As `kubectl get` prints.
  static func table(remembers: Bool = false) -> TabWriter {
    TabWriter(minimumWidth: 6, padding: 3, remembers: remembers)
  }

  /// As `kubectl describe` prints.
  static func description() -> TabWriter { TabWriter(minimumWidth: 0, padding: 2) }

  /// A table of its own: the columns' names and the rows, as `kubectl get` prints.
  static func table(_ names: [String], _ rows: [[String]]) -> String {
    var writer = table()
    return writer.format(([names] + rows).map { $0.joined(separator: "\t") + "\n" }.joined())
  }

  /// Lays out `text`, which is empty or whose last line ends with a newline.
  mutating func format(_ text: String) -> String {
    if text.isEmpty { return "" }
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
      .map { $0.split(separator: "\t", omittingEmptySubsequences: false) }
    if text.hasSuffix("\n") { lines.removeLast() }
    var widths: [Int] = []
    var output = ""
    formatBlock(lines, 0..<lines.count, &widths, &output)
    return output
  }

  private mutating func formatBlock(
    _ lines: [[Substring]], _ range: Range<Int>, _ widths: inout [Int], _ output: inout String
  ) {
    let column = widths.count
    var start = range.lowerBound
    var line = start
    while line < range.upperBound {
      guard column < lines[line].count - 1 else {
        line += 1
        continue
      }
      write(lines, start..<line, widths, &output)
      start = line
      var width = minimumWidth
      while line < range.upperBound, column < lines[line].count - 1 {
        width = max(width, TabWriter.width(lines[line][column]) + padding)
        line += 1
      }
      if let earlier = remembered {
        if column < earlier.count { width = max(width, earlier[column]) } else { remembered?.append(width) }
        remembered?[column] = width
      }
      widths.append(width)
      formatBlock(lines, start..<line, &widths, &output)
      widths.removeLast()
      start = line
    }
    write(lines, start..<range.upperBound, widths, &output)
  }

  private func write(_ lines: [[Substring]], _ range: Range<Int>, _ widths: [Int], _ output: inout String) {
    for line in range {
      for (column, cell) in lines[line].enumerated() {
        output += cell
        guard column < widths.count else { continue }
        output += String(repeating: " ", count: max(0, widths[column] - TabWriter.width(cell)))
      }
      output += "\n"
    }
  }

  /// Characters that a terminal shows for `cell`.
  static func width(_ cell: Substring) -> Int {
    var count = 0
    var isEscape = false
    for scalar in cell.unicodeScalars {
      if isEscape {
        isEscape = scalar != "m"
      } else if scalar == "\u{1b}" {
        isEscape = true
      } else {
        count += 1
      }
    }
    return count
  }
}
