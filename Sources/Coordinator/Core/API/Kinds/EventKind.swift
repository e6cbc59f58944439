// Events: what the API does for them alone. Their other shape, that of events.k8s.io, is EventsGroup's. It must not
// know who writes them, nor when they go.

import ClusterProto

extension KindDescriptor {
  static let events = KindDescriptor(
    table: TableRules(
      columns: [
        TableColumn("Last Seen", "Time since the event was seen last."), TableColumn("Type", "Type of the event."),
        TableColumn("Reason", "Why the event happened."), TableColumn("Object", "What the event is about."),
        TableColumn("Subobject", "Part of the object that the event is about.", isWide: true),
        TableColumn("Source", "Component that reports the event.", isWide: true),
        TableColumn("Message", "What happened."),
        TableColumn("First Seen", "Time since the event was seen first.", isWide: true),
        TableColumn("Count", "How often the event was seen.", isWide: true), .wideName,
      ]
    ) { object, now in
      guard case .other(let event) = object else { return [] }
      return eventCells(event, now)
    },
    selection: SelectionRules(
      fields: [
        "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
        "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
        "reportingComponent", "type",
      ].map { SelectableField(path: $0) } + [
        SelectableField(name: "source") { object in
          guard case .other(let event) = object else { return "" }
          return eventSource(event.body)
        }
      ]),
    writes: WriteRules(
      defaults: { json in
        Defaults.set(&json, "source", .object(JSONObject()))
        Defaults.set(&json, "reportingComponent", "")
        Defaults.set(&json, "reportingInstance", "")
      }, validateNew: eventProblems, validateUpdate: { json, _, errors in eventProblems(json, into: &errors) }))

  private static func eventSource(_ body: JSONObject) -> String {
    let component = body["source"]?["component"]?.stringValue ?? ""
    return component.isEmpty ? body["reportingComponent"]?.stringValue ?? "" : component
  }

  private static func eventProblems(_ json: JSON, into errors: inout FieldErrors) {
    let namespace = json[path: ["metadata", "namespace"]]?.stringValue ?? ""
    let involved = json[path: ["involvedObject", "namespace"]]?.stringValue ?? ""
    // Events about cluster-scoped objects live in `default`.
    if involved.isEmpty ? !(namespace.isEmpty || namespace == "default") : involved != namespace {
      errors.invalid("involvedObject.namespace", involved, "does not match event.namespace")
    }
  }

  private static func eventCells(_ event: GenericObject, _ now: WallTime) -> [JSON] {
    let body = event.body
    func time(_ json: JSON?) -> WallTime? { json?.stringValue.flatMap { WallTime(rfc3339: $0) } }
    let micro = time(body["eventTime"])
    let first = time(body["firstTimestamp"]) ?? micro
    let last = time(body["series"]?["lastObservedTime"]) ?? time(body["lastTimestamp"]) ?? first
    let count = body["series"]?["count"]?.intValue ?? body["count"]?.intValue ?? 1
    let involved = body["involvedObject"] ?? .null
    let kind = (involved["kind"]?.stringValue ?? "").lowercased()
    let component = body["source"]?["component"]?.stringValue ?? ""
    let host = body["source"]?["host"]?.stringValue ?? ""
    let source = component.isEmpty ? body["reportingComponent"]?.stringValue ?? "" : component
    return [
      .string(Tables.age(last, now)), body["type"] ?? "", body["reason"] ?? "",
      .string("\(kind)/\(involved["name"]?.stringValue ?? "")"), involved["fieldPath"] ?? "",
      .string(host.isEmpty ? source : "\(source), \(host)"), .string(trimmed(body["message"]?.stringValue ?? "")),
      .string(Tables.age(first, now)), .int(count), .string(event.meta.name),
    ]
  }

  private static func trimmed(_ text: String) -> String {
    let isSpace: (Character) -> Bool = { $0 == " " || $0 == "\n" || $0 == "\t" || $0 == "\r" }
    let front = text.drop(while: isSpace)
    guard let end = front.lastIndex(where: { !isSpace($0) }) else { return "" }
    return String(front[...end])
  }
}
