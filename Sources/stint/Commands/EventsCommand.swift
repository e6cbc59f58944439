// Owns: `events`: events by the time they were last seen, once or as they come. It must not know what they mean.

import ClusterIO
import ClusterProto

/// `stint events`.
struct EventsCommand {
  @Sendable static func run(_ context: Context) throws -> Int32 {
    let arguments = context.arguments
    var request = APIRequest(verb: .list, kind: .events, namespace: context.isAllNamespaces ? "" : context.namespace)
    if let word = arguments.value("for") {
      guard let target = try Target.parse([word]).first, let name = target.name else {
        throw arguments.problem("--for takes KIND/NAME")
      }
      request.options.fieldSelector =
        "involvedObject.kind=\(target.kind.name),involvedObject.apiVersion=\(target.kind.apiVersion)"
        + ",involvedObject.name=\(name)"
      if !target.kind.isNamespaced { request.namespace = "" }
    }
    let types = arguments.value("types")?.split(separator: ",").map { $0.lowercased() }
    guard types?.allSatisfy({ ["normal", "warning"].contains($0) }) ?? true else {
      throw arguments.problem("--types: \"\(arguments.value("types") ?? "")\": valid types are Normal and Warning")
    }
    func isWanted(_ event: JSON) -> Bool { types?.contains(event["type"]?.stringValue?.lowercased() ?? "") ?? true }

    var rows = EventRows(
      namespaces: context.isAllNamespaces, headers: !arguments.isOn("no-headers"), colours: context.console.colours)
    let cluster = try context.cluster()
    let isWatching = arguments.isOn("watch")
    let deadline = context.deadline()
    var seen: Set<String> = []

    func list() throws -> String {
      let object = try cluster.send(request, connectBy: isWatching ? deadline : nil).object
      let events = EventText.sorted((object["items"]?.arrayValue ?? []).filter(isWanted))
      let fresh = events.filter { seen.insert(EventsCommand.identity($0)).inserted }
      if !fresh.isEmpty { context.console.out(rows.text(fresh, now: WallTime(nanoseconds: Clocks.now().wall))) }
      return object[path: ["metadata", "resourceVersion"]]?.stringValue ?? "0"
    }
    let version = try list()
    guard isWatching else {
      if seen.isEmpty {
        context.console.note(
          context.isAllNamespaces ? "No events found." : "No events found in \(context.namespace) namespace.")
      }
      return 0
    }
    var watch = request
    watch.options.resourceVersion = version
    _ = try cluster.watch(watch, deadline: deadline, relist: list) { type, event in
      if type != "DELETED", isWanted(event), seen.insert(identity(event)).inserted {
        context.console.out(rows.text([event], now: WallTime(nanoseconds: Clocks.now().wall)))
      }
      return .more
    }
    return 0
  }

  /// One sighting of one event.
  private static func identity(_ event: JSON) -> String {
    let meta = event["metadata"]
    return (meta?["uid"]?.stringValue ?? "") + "/" + (meta?["resourceVersion"]?.stringValue ?? "")
  }
}

/// Events as `kubectl events` prints them.
struct EventRows {
  private let namespaces: Bool
  private let colours: Bool
  private var needsHeader: Bool
  private var writer = TabWriter.table(remembers: true)

  init(namespaces: Bool, headers: Bool, colours: Bool) {
    self.namespaces = namespaces
    self.colours = colours
    needsHeader = headers
  }

  mutating func text(_ events: [JSON], now: WallTime) -> String {
    var lines = ""
    if needsHeader {
      lines = (namespaces ? "NAMESPACE\t" : "") + "LAST SEEN\tTYPE\tREASON\tOBJECT\tMESSAGE\n"
      needsHeader = false
    }
    for event in events {
      let about = event["involvedObject"]
      let type = TablePrinter.cell(event["type"] ?? "")
      var cells = [
        EventText.age(event, now: now), colours && type == "Warning" ? Colour.status(type) : type,
        TablePrinter.cell(event["reason"] ?? ""),
        TablePrinter.cell(.string("\(about?["kind"]?.stringValue ?? "")/\(about?["name"]?.stringValue ?? "")")),
        TablePrinter.cell(.string(EventText.message(event))),
      ]
      if namespaces { cells.insert(event[path: ["metadata", "namespace"]]?.stringValue ?? "", at: 0) }
      lines += cells.joined(separator: "\t") + "\n"
    }
    return writer.format(lines)
  }
}
