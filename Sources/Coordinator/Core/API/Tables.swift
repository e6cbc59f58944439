// Tables as kubectl asks for them (meta.k8s.io/v1 Table): frames and rows. The columns of a kind and their cells are
// its descriptor's.

import ClusterProto

struct TableColumn: Equatable, Sendable {
  var name: String
  var type = "string"
  var format = ""
  var description: String
  /// 1: shown with `-o wide` only.
  var priority: Int64 = 0

  init(_ name: String, _ description: String, type: String = "string", isWide: Bool = false) {
    self.name = name
    self.type = type
    self.description = description
    priority = isWide ? 1 : 0
  }

  var json: JSON {
    [
      "name": .string(name), "type": .string(type), "format": .string(format), "description": .string(description),
      "priority": .int(priority),
    ]
  }

  static let name = {
    var column = TableColumn(
      "Name",
      "Name must be unique within a namespace. Is required when creating resources, although some resources may "
        + "allow a client "
        + "to request the generation of an appropriate name automatically. Name is primarily intended for creation "
        + "idempotence "
        + "and configuration definition. Cannot be updated. More info: "
        + "https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names")
    column.format = "name"
    return column
  }()
  /// Where other columns say what people look for.
  static let wideName = {
    var column = name
    column.priority = 1
    return column
  }()
  static let age = TableColumn(
    "Age",
    "CreationTimestamp is a timestamp representing the server time when this object was created. It is not "
      + "guaranteed to be "
      + "set in happens-before order across separate operations. Clients may not set this value. It is represented "
      + "in RFC3339 "
      + "form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: "
      + "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata")
}

extension TableRules {
  /// Of a kind without a type of its own; its cells are given name and age.
  static func simple(
    _ columns: [TableColumn], _ cells: @escaping @Sendable (GenericObject, _ name: JSON, _ age: JSON) -> [JSON]
  ) -> TableRules {
    TableRules(columns: columns) { object, now in
      guard case .other(let other) = object else { return [] }
      return cells(other, .string(other.meta.name), .string(Tables.age(other.meta.creationTimestamp, now)))
    }
  }
}

extension GenericObject {
  /// A cell: how many entries these members have together.
  func count(_ members: String...) -> JSON {
    .string(String(members.reduce(0) { $0 + (body[$1]?.objectValue?.count ?? body[$1]?.arrayValue?.count ?? 0) }))
  }
}

enum Tables {
  /// A Table without rows; `meta` is a list's.
  static func frame(of kind: Kind, meta: JSON) -> JSON {
    [
      "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": meta,
      "columnDefinitions": .array(KindDescriptor.of(kind).table.columns.map(\.json)),
    ]
  }

  static func table(rows: [JSON], of kind: Kind, resourceVersion: Int64, withColumns: Bool = true) -> JSON {
    var table = frame(of: kind, meta: ["resourceVersion": .string(String(resourceVersion))])
    if !withColumns { table["columnDefinitions"] = .null }
    table["rows"] = .array(rows)
    return table
  }

  /// One row; `include`: `None`, `Metadata` (also nil; without managedFields, which no table shows) or `Object`.
  static func row(_ object: APIObject, include: String?, now: WallTime) -> JSON {
    var meta = object.meta
    meta.managedFields = []
    let shown: JSON =
      switch include {
      case "None": .null
      case "Object": object.json
      default: CoordinatorCore.partialMetadata(meta)
      }
    return ["cells": .array(KindDescriptor.of(object.kind).table.cells(object, now)), "object": shown]
  }

  static func age(_ time: WallTime?, _ now: WallTime) -> String {
    guard let time, time.nanoseconds != 0 else { return "<unknown>" }
    // Stamps hold whole seconds for whoever reads them, a Job's start among them: no AGE below its DURATION.
    return humanDuration(milliseconds: now.milliseconds - time.seconds * 1_000)
  }

  static func orNone(_ text: String?) -> JSON { .string(text.flatMap { $0.isEmpty ? nil : $0 } ?? "<none>") }
}
