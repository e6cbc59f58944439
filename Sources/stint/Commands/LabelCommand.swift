// Owns: `label` and `annotate`: the words that set and remove, and the patch they come to. It must not know what a
// label means.

import ClusterProto

/// Changes of labels or annotations, as kubectl's words have them: `key=value` sets, `key-` removes.
struct KeyChanges: Equatable {
  var set: [(key: String, value: String)] = []
  var removed: [String] = []

  static func == (left: KeyChanges, right: KeyChanges) -> Bool {
    left.removed == right.removed && left.set.map(\.key) == right.set.map(\.key)
      && left.set.map(\.value) == right.set.map(\.value)
  }

  /// Parts the words of a line into those that name objects and these.
  static func parting(_ words: [String]) -> (objects: [String], changes: [String]) {
    let start = words.firstIndex { $0.contains("=") || $0.count > 1 && $0.hasSuffix("-") } ?? words.count
    return (Array(words[..<start]), Array(words[start...]))
  }

  /// `areLabels`: their values have a form. Errors are kubectl's.
  init(_ words: [String], areLabels: Bool) throws(CommandError) {
    for word in words {
      if let equals = word.firstIndex(of: "=") {
        let (key, value) = (String(word[..<equals]), String(word[word.index(after: equals)...]))
        if set.contains(where: { $0.key == key }) {
          throw CommandError("error: \(key) stands twice")
        }
        try Self.check(key, word)
        if areLabels, let error = Names.labelValueErrors(value).first {
          throw CommandError("error: invalid label value: \"\(word)\": \(error)")
        }
        set.append((key, value))
      } else if word.hasSuffix("-") {
        try Self.check(String(word.dropLast()), word)
        removed.append(String(word.dropLast()))
      } else {
        throw CommandError("error: unknown change \"\(word)\": it is key=value or key-")
      }
    }
    let noun = areLabels ? "label" : "annotation"
    if let both = removed.first(where: { key in set.contains { $0.key == key } }) {
      throw CommandError("error: cannot both modify and remove the \(noun) \"\(both)\" in the same command")
    }
    if set.isEmpty, removed.isEmpty { throw CommandError("error: at least one \(noun) update is required") }
  }

  private static func check(_ key: String, _ word: String) throws(CommandError) {
    if let error = Names.labelKeyErrors(key).first { throw CommandError("error: invalid key in \"\(word)\": \(error)") }
  }

  /// The first key that has another value already.
  func conflict(with present: StringMap) -> (key: String, value: String)? {
    for (key, value) in set {
      if let old = present[key], old != value { return (key, old) }
    }
    return nil
  }

  /// What the merge patch says; nil: everything is so already.
  func patch(of present: StringMap) -> JSON? {
    var patch = JSONObject()
    for (key, value) in set where present[key] != value { patch[key] = .string(value) }
    for key in removed where present[key] != nil { patch[key] = .null }
    return patch.isEmpty ? nil : .object(patch)
  }
}

/// `stint label` and `stint annotate`.
struct LabelCommand {
  private let context: Context
  private let cluster: Cluster
  private let areLabels: Bool
  private let changes: KeyChanges
  private var field: String { areLabels ? "labels" : "annotations" }

  @Sendable static func label(_ context: Context) throws -> Int32 { try run(context, areLabels: true) }
  @Sendable static func annotate(_ context: Context) throws -> Int32 { try run(context, areLabels: false) }

  private static func run(_ context: Context, areLabels: Bool) throws -> Int32 {
    let arguments = context.arguments
    let (objects, words) = KeyChanges.parting(arguments.words)
    guard !objects.isEmpty else { throw arguments.problem("name an object before the changes") }
    let changes = try KeyChanges(words, areLabels: areLabels)
    let targets = try Target.parse(objects)
    let command = LabelCommand(
      context: context, cluster: try context.cluster(), areLabels: areLabels, changes: changes)
    var status: Int32 = 0
    for target in targets {
      for object in try command.objects(target) {
        do {
          try command.change(target.kind, object)
        } catch let error as StatusError {
          context.console.note(error.text())
          status = 1
        } catch let error as CommandError {
          context.console.note(error.message)
          status = 1
        }
      }
    }
    return status
  }

  private func objects(_ target: Target) throws -> [JSON] {
    let arguments = context.arguments
    if let name = target.name { return [try cluster.get(target.kind, context.objectNamespace(target.kind), name)] }
    guard arguments.isOn("all") || arguments.has("selector") else {
      throw arguments.problem("name objects, or give --selector or --all")
    }
    let namespace = context.objectNamespace(target.kind)
    let list = try cluster.list(target.kind, namespace, labels: arguments.value("selector"))
    return list["items"]?.arrayValue ?? []
  }

  private func change(_ kind: Kind, _ object: JSON) throws {
    let name = object[path: ["metadata", "name"]]?.stringValue ?? ""
    let present = StringMap(json: object[path: ["metadata", field]])
    if !context.arguments.isOn("overwrite"), let (key, value) = changes.conflict(with: present) {
      throw CommandError(
        areLabels
          ? "error: '\(key)' already has a value (\(value)), and --overwrite is false"
          : "error: --overwrite is false but found the following declared annotation(s): '\(key)' already has a value "
            + "(\(value))")
    }
    if areLabels {
      for key in changes.removed where present[key] == nil { context.console.line("label \"\(key)\" not found.") }
    }
    var after = object
    let patch = changes.patch(of: present)
    let dryRun = context.arguments.value("dry-run") ?? "none"
    if let patch, dryRun != "client" {
      var request = APIRequest(
        verb: .patch, kind: kind, namespace: context.objectNamespace(kind), name: name,
        body: ["metadata": [field: patch]])
      request.options.patchKind = .merge
      request.options.fieldManager = areLabels ? "kubectl-label" : "kubectl-annotate"
      request.options.dryRun = dryRun == "server"
      after = try cluster.send(request).object
    } else if let patch {
      for (key, value) in patch.objectValue ?? JSONObject() {
        after[path: ["metadata", field, key]] = value.isNull ? nil : value
      }
    }
    report(kind, name, GetCommand.typed(after, kind), hasChanged: patch != nil, dryRun)
  }

  private func report(_ kind: Kind, _ name: String, _ object: JSON, hasChanged: Bool, _ dryRun: String) {
    let label = "\(kind.qualifiedSingular)/\(name)"
    let suffix = dryRun == "client" ? " (dry run)" : dryRun == "server" ? " (server dry run)" : ""
    switch context.arguments.value("output") {
    case "name": context.console.line(label)
    case let format?: context.console.out(ObjectText.of(object, format))
    case nil:
      let word =
        areLabels ? hasChanged ? changes.set.isEmpty ? "unlabeled" : "labeled" : "not labeled" : "annotated"
      context.console.line("\(label) \(word)\(suffix)")
    }
  }
}
