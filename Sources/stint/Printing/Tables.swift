// Owns: printing Kubernetes Table objects as `kubectl get` does. The coordinator made columns and cells.
// It must not know what any column means, except that a STATUS may be coloured.

import ClusterProto

/// Prints the tables of one kind; a watch goes on with the same one, so that its columns stay put.
struct TablePrinter {
  struct Style: Equatable {
    var wide = false
    var headers = true
    var namespaces = false
    var labels = false
    var colours = false
    /// Before each name, as with several kinds: `job.batch/`.
    var namePrefix = ""
  }

  let style: Style
  private var columns: [(index: Int, name: String)] = []
  private var writer: TabWriter
  private var didPrintHeaders = false

  init(style: Style, remembersWidths: Bool = false) {
    self.style = style
    writer = .table(remembers: remembersWidths)
  }

  /// The text of a Table. Column definitions may be missing after the first one, as in watch events.
  mutating func text(_ table: JSON) -> String {
    let definitions = table["columnDefinitions"]?.arrayValue ?? []
    if !definitions.isEmpty {
      columns = definitions.enumerated().compactMap { index, column in
        let isShown = (column["priority"]?.intValue ?? 0) == 0 || style.wide
        return isShown ? (index, column["name"]?.stringValue?.uppercased() ?? "") : nil
      }
    }
    var lines = ""
    let rows = table["rows"]?.arrayValue ?? []
    if style.headers, !didPrintHeaders, !rows.isEmpty {
      didPrintHeaders = true
      var names = columns.map(\.name)
      if style.namespaces { names.insert("NAMESPACE", at: 0) }
      if style.labels { names.append("LABELS") }
      lines += names.joined(separator: "\t") + "\n"
    }
    for row in rows { lines += line(row) + "\n" }
    return writer.format(lines)
  }

  private func line(_ row: JSON) -> String {
    let values = row["cells"]?.arrayValue ?? []
    let meta = row[path: ["object", "metadata"]]
    var cells = columns.map { column in
      var text = column.index < values.count ? TablePrinter.cell(values[column.index]) : "<none>"
      if column.name == "NAME", !style.namePrefix.isEmpty { text = style.namePrefix + text }
      return style.colours && (column.name == "STATUS" || column.name == "TYPE") ? Colour.status(text) : text
    }
    if style.namespaces { cells.insert(meta?["namespace"]?.stringValue ?? "", at: 0) }
    if style.labels { cells.append(TerminalText.harmless(LabelText.oneLine(meta?["labels"]))) }
    return cells.joined(separator: "\t")
  }

  /// A cell's text: one line, without tabs and without what would steer a terminal.
  static func cell(_ value: JSON) -> String {
    var text: String
    switch value {
    case .string(let string): text = string
    case .null: text = "<none>"
    default: text = value.text
    }
    if let end = text.firstIndex(where: \.isNewline) { text = text[..<end] + "..." }
    return TerminalText.harmless(text.replacing("\t", with: " "))
  }
}

/// Labels in words.
enum LabelText {
  /// `a=b,c=d`, or `<none>`.
  static func oneLine(_ labels: JSON?) -> String {
    let map = StringMap(json: labels)
    return map.isEmpty ? "<none>" : map.map { "\($0.key)=\($0.value)" }.joined(separator: ",")
  }

  /// A LabelSelector as kubectl writes it: `app=quiz,tier in (a,b),!legacy`.
  static func selector(_ selector: JSON?) -> String {
    var parts = StringMap(json: selector?["matchLabels"]).map { (key: $0.key, text: "\($0.key)=\($0.value)") }
    for expression in selector?["matchExpressions"]?.arrayValue ?? [] {
      let key = expression["key"]?.stringValue ?? ""
      let values = (expression["values"]?.arrayValue ?? []).compactMap(\.stringValue).sorted().joined(separator: ",")
      switch expression["operator"]?.stringValue {
      case "In": parts.append((key, "\(key) in (\(values))"))
      case "NotIn": parts.append((key, "\(key) notin (\(values))"))
      case "Exists": parts.append((key, key))
      case "DoesNotExist": parts.append((key, "!\(key)"))
      default: break
      }
    }
    parts.sort { $0.key < $1.key }
    return parts.isEmpty ? "<none>" : parts.map(\.text).joined(separator: ",")
  }
}
