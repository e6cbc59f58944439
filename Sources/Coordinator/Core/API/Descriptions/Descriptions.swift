// What the fields and types of the schema mean, for `kubectl explain` and the OpenAPI documents: reads the texts of
// the files beside it. Short, in our own words, true of this version. Knows nothing of how a document is built.

/// Descriptions by type and field.
enum Descriptions {
  /// The texts: a line `Type: text`, below it, two spaces in, its fields; four spaces in, a text goes on. A field that
  /// means the same in every type stands once, below the type `*`.
  private static let tables = [
    meta, jobs, pods, containers, volumes, storage, status, others, services, events, reviews, access,
  ]

  private static let texts: [String: String] = {
    var result: [String: String] = [:]
    var type = ""
    var last = ""
    for line in tables.flatMap({ $0.split(separator: "\n") }) {
      let text = line.drop { $0 == " " }
      let depth = line.count - text.count
      if depth >= 4 {
        result[last, default: ""] += " \(text)"
        continue
      }
      let halves = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      guard halves.count == 2 else { continue }
      if depth == 0 { type = String(halves[0]) }
      last = depth == 0 ? type : "\(type).\(halves[0])"
      result[last] = String(halves[1].drop { $0 == " " })
    }
    return result
  }()

  /// Types whose fields mean what those of another one do, where they have no text of their own.
  private static let likened = ["EphemeralContainer": "Container"]

  /// What a type is; nil for one without a text.
  static func text(type: String) -> String? { texts[type] }

  /// What a field is, and that it is kept without effect or refused.
  static func text(_ type: String, _ field: SchemaField) -> String? {
    let place = "\(type).\(field.name)"
    guard let text = texts[place] ?? likened[type].flatMap({ texts["\($0).\(field.name)"] }) ?? texts["*.\(field.name)"]
    else { return nil }
    switch field.honour {
    case .honoured: return text
    case .ignored: return "\(text) Kept and shown, without effect in this version."
    case .refused: return "\(text) Refused in this version."
    }
  }

  /// Every text's place, for a test that none is left over.
  static var places: [String] { texts.keys.sorted() }
}
