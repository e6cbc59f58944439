// Owns: `get`: asking for tables or objects and printing them, once or as they change.
// It must not know what columns there are: the coordinator makes them.

import ClusterProto

/// `stint get`.
struct GetCommand {
  private let context: Context
  private let cluster: Cluster
  private let targets: [Target]
  private let output: String
  /// Of `-o jsonpath=`.
  private let template: JSONPath?
  /// Something that was asked for by name is not there.
  private var failed = false

  @Sendable static func run(_ context: Context) throws -> Int32 {
    let arguments = context.arguments
    let targets = try Target.parse(arguments.words)
    let named = targets.contains { $0.name != nil }
    if named, arguments.has("selector") || arguments.has("field-selector") {
      throw arguments.problem("name or selector, not both")
    }
    if named, context.isAllNamespaces {
      throw CommandError("error: a resource cannot be retrieved by name across all namespaces")
    }
    guard arguments.isOn("watch") || !arguments.has("timeout") else {
      throw arguments.problem("--timeout says when --watch stops; there is none")
    }
    if arguments.isOn("watch") {
      guard targets.count == 1 else { throw arguments.problem("--watch takes one kind, or one object") }
      return try WatchCommand(context: context, cluster: try context.cluster(), target: targets[0]).run()
    }
    var command = GetCommand(
      context: context, cluster: try context.cluster(), targets: targets, output: arguments.value("output") ?? "",
      template: try JSONPath(output: arguments.value("output")))
    return try command.run()
  }

  private init(context: Context, cluster: Cluster, targets: [Target], output: String, template: JSONPath?) {
    self.template = template
    self.context = context
    self.cluster = cluster
    self.targets = targets
    self.output = output
  }

  private mutating func run() throws -> Int32 {
    if template != nil || ["yaml", "json", "name"].contains(output) { try printObjects() } else { try printTables() }
    return failed ? 1 : 0
  }

  /// Kinds in the order of the command line, each with its names.
  private var groups: [(kind: Kind, names: [String])] {
    var groups: [(kind: Kind, names: [String])] = []
    for target in targets {
      if groups.last?.kind != target.kind { groups.append((target.kind, [])) }
      if let name = target.name { groups[groups.count - 1].names.append(name) }
    }
    return groups
  }

  private mutating func printTables() throws {
    var isFirst = true
    for group in groups {
      guard let table = try table(group.kind, group.names), table["rows"]?.arrayValue?.isEmpty == false else {
        continue
      }
      var style = TablePrinter.Style(
        wide: output == "wide", headers: !context.arguments.isOn("no-headers"),
        namespaces: context.isAllNamespaces && group.kind.isNamespaced, labels: context.arguments.isOn("show-labels"),
        colours: context.console.colours)
      if groups.count > 1 { style.namePrefix = "\(group.kind.qualifiedSingular)/" }
      if !isFirst { context.console.out("\n") }
      isFirst = false
      var printer = TablePrinter(style: style)
      context.console.out(printer.text(table))
    }
    if isFirst, !failed, targets.allSatisfy({ $0.name == nil }) { sayNothingFound() }
  }

  /// One Table for a kind: the whole list, or one row for each name that exists.
  private mutating func table(_ kind: Kind, _ names: [String]) throws -> JSON? {
    var request = APIRequest(verb: .list, kind: kind, namespace: context.listNamespace(kind), form: .table)
    let path = context.arguments.value("sort-by")
    if path != nil { request.options.includeObject = "Object" }
    var result: JSON?
    if names.isEmpty {
      request.options.labelSelector = context.arguments.value("selector")
      request.options.fieldSelector = context.arguments.value("field-selector")
      result = try cluster.send(request).object
    }
    for name in names {
      request.verb = .get
      request.name = name
      request.namespace = context.objectNamespace(kind)
      guard let table = try unlessMissing({ try $0.send(request).object }) else { continue }
      let rows = (result?["rows"]?.arrayValue ?? []) + (table["rows"]?.arrayValue ?? [])
      if result == nil { result = table }
      result?["rows"] = .array(rows)
    }
    if let path, let rows = result?["rows"]?.arrayValue {
      result?["rows"] = .array(try SortPath(path).sorted(rows) { $0["object"] })
    }
    return result
  }

  private mutating func printObjects() throws {
    var items: [JSON] = []
    var isSingle = targets.count == 1 && targets[0].name != nil
    for group in groups {
      if group.names.isEmpty {
        let list = try cluster.list(
          group.kind, context.listNamespace(group.kind), labels: context.arguments.value("selector"),
          fields: context.arguments.value("field-selector"))
        items += (list["items"]?.arrayValue ?? []).map { GetCommand.typed($0, group.kind) }
      }
      for name in group.names {
        let namespace = context.objectNamespace(group.kind)
        guard let object = try unlessMissing({ try $0.get(group.kind, namespace, name) }) else { continue }
        items.append(GetCommand.typed(object, group.kind))
      }
    }
    if let path = context.arguments.value("sort-by") { items = try SortPath(path).sorted(items) { $0 } }
    if items.isEmpty { isSingle = false }
    if items.isEmpty, failed || targets.contains(where: { $0.name != nil }) { return }
    switch output {
    case "name":
      for item in items { context.console.line(ObjectName.of(item)) }
    default:
      let list: JSON = [
        "apiVersion": "v1", "kind": "List", "metadata": ["resourceVersion": ""], "items": .array(items),
      ]
      let object = isSingle ? items[0] : list
      context.console.out(template?.text(of: object) ?? ObjectText.of(object, output, showsOwners: showsOwners))
    }
  }

  private var showsOwners: Bool { context.arguments.isOn("show-managed-fields") }

  /// Items of a list may lack apiVersion and kind, which whole objects have.
  static func typed(_ object: JSON, _ kind: Kind) -> JSON {
    var object = object
    object["apiVersion"] = .string(kind.apiVersion)
    object["kind"] = .string(kind.name)
    return object
  }

  private mutating func unlessMissing(_ ask: (Cluster) throws -> JSON) throws -> JSON? {
    do {
      return try ask(cluster)
    } catch let error as StatusError where error.isNotFound {
      if context.arguments.isOn("ignore-not-found") { return nil }
      context.console.note(error.text())
      failed = true
      return nil
    }
  }

  private func sayNothingFound() {
    if context.arguments.isOn("ignore-not-found") { return }
    let isScoped = !context.isAllNamespaces && targets.contains { $0.kind.isNamespaced }
    context.console.note(isScoped ? "No resources found in \(context.namespace) namespace." : "No resources found")
  }
}

/// `stint get --watch`.
struct WatchCommand {
  let context: Context
  let cluster: Cluster
  let target: Target

  func run() throws -> Int32 {
    let output = context.arguments.value("output") ?? ""
    let template = try JSONPath(output: output)
    let asObjects = template != nil || ["yaml", "json", "name"].contains(output)
    var request = APIRequest(
      verb: .list, kind: target.kind, namespace: context.listNamespace(target.kind), form: asObjects ? .object : .table)
    request.options.labelSelector = context.arguments.value("selector")
    request.options.fieldSelector = context.arguments.value("field-selector")
    if let name = target.name {
      // One that is not there is an error now, not a silent wait.
      _ = try cluster.get(target.kind, context.objectNamespace(target.kind), name)
      request.options.fieldSelector = "metadata.name=\(name)"
    }
    var printer = TablePrinter(
      style: TablePrinter.Style(
        wide: output == "wide", headers: !context.arguments.isOn("no-headers"),
        namespaces: context.isAllNamespaces && target.kind.isNamespaced, labels: context.arguments.isOn("show-labels"),
        colours: context.console.colours), remembersWidths: true)
    let deadline = context.deadline()

    func show(_ object: JSON) {
      if asObjects {
        let object = GetCommand.typed(object, target.kind)
        if output == "yaml" { context.console.line("---") }
        if let template { return context.console.out(template.text(of: object)) }
        let showsOwners = context.arguments.isOn("show-managed-fields")
        context.console.out(
          output == "name" ? ObjectName.of(object) + "\n" : ObjectText.of(object, output, showsOwners: showsOwners))
      } else {
        context.console.out(printer.text(object))
      }
    }
    func list() throws -> String {
      let answer = try cluster.send(request, connectBy: deadline)
      if asObjects { for item in answer.object["items"]?.arrayValue ?? [] { show(item) } } else { show(answer.object) }
      return answer.object[path: ["metadata", "resourceVersion"]]?.stringValue ?? "0"
    }

    request.options.resourceVersion = try list()
    let first = request
    _ = try cluster.watch(
      first, deadline: deadline,
      relist: {
        request.options.resourceVersion = nil; return try list()
      }
    ) { _, object in
      show(object)
      return .more
    }
    return 0
  }
}

/// Sorts by a dotted path such as `.metadata.creationTimestamp` or `{.status.succeeded}`.
struct SortPath {
  private let path: [String]

  init(_ text: String) {
    path = text.filter { $0 != "{" && $0 != "}" }.split(separator: ".").map(String.init)
  }

  /// `items` by the value at the path: absent first, numbers by size, all else by text; equals keep their order. A path
  /// that none of them has is an error, in kubectl's words.
  func sorted(_ items: [JSON], _ object: (JSON) -> JSON?) throws -> [JSON] {
    if !items.isEmpty, path.isEmpty || items.allSatisfy({ object($0)?[path: path] == nil }) {
      throw CommandError(
        "error: couldn't find any field with path \"{.\(path.joined(separator: "."))}\" in the list of objects")
    }
    return items.enumerated().map { (key: object($1)?[path: path], position: $0, item: $1) }
      .sorted { left, right in
        if let first = left.key?.doubleValue, let second = right.key?.doubleValue, first != second {
          return first < second
        }
        let first = left.key?.stringValue ?? left.key?.text ?? ""
        let second = right.key?.stringValue ?? right.key?.text ?? ""
        return first == second ? left.position < right.position : first < second
      }
      .map(\.item)
  }
}

/// How results name an object.
enum ObjectName {
  /// `job.batch/done`.
  static func of(_ object: JSON) -> String {
    let kind = object["kind"]?.stringValue ?? ""
    let group = (object["apiVersion"]?.stringValue ?? "").split(separator: "/")
    let name = object[path: ["metadata", "name"]]?.stringValue ?? ""
    return kind.lowercased() + (group.count > 1 ? ".\(group[0])" : "") + "/\(name)"
  }
}

/// Whole objects as text.
enum ObjectText {
  /// YAML or JSON with a newline at the end; without metadata.managedFields unless asked for, as kubectl shows it.
  static func of(_ object: JSON, _ format: String, showsOwners: Bool = false) -> String {
    let shown = showsOwners ? object : withoutOwners(object)
    return format == "json" ? shown.pretty() + "\n" : shown.yaml
  }

  private static func withoutOwners(_ object: JSON) -> JSON {
    var object = object
    object[path: ["metadata", "managedFields"]] = nil
    if let items = object["items"]?.arrayValue { object["items"] = .array(items.map(withoutOwners)) }
    return object
  }
}
