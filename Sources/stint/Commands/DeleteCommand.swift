// Owns: `delete`: which objects go, how, and waiting until they are gone.
// It must not know what deletion does beyond its options: collector and agents are the coordinator's.

import ClusterIO
import ClusterProto

/// `stint delete`.
struct DeleteCommand {
  private struct Victim {
    let kind: Kind
    let namespace: String
    let name: String
  }

  private let context: Context
  private let cluster: Cluster
  private var arguments: Arguments { context.arguments }

  @Sendable static func run(_ context: Context) throws -> Int32 {
    let arguments = context.arguments
    let paths = arguments.values("filename")
    guard paths.isEmpty != arguments.words.isEmpty else {
      throw arguments.problem(paths.isEmpty ? "name objects, or give -f" : "name objects or give -f, not both")
    }
    let command = DeleteCommand(context: context, cluster: try context.cluster())
    var failed = false
    var victims: [Victim] = []
    if paths.isEmpty {
      victims = try command.selected(try Target.parse(arguments.words))
    } else {
      let manifests = Manifests(paths: paths, namespace: context.namespace, insists: arguments.has("namespace"))
      for message in manifests.warnings + manifests.errors { context.console.note(message) }
      failed = !manifests.errors.isEmpty
      victims = manifests.objects.map { Victim(kind: $0.kind, namespace: $0.namespace, name: $0.name) }
    }
    return try command.delete(victims) && !failed ? 0 : 1
  }

  private func selected(_ targets: [Target]) throws -> [Victim] {
    let isSelecting = arguments.isOn("all") || arguments.has("selector") || arguments.has("field-selector")
    var victims: [Victim] = []
    for target in targets {
      if let name = target.name {
        if isSelecting { throw arguments.problem("name objects, or select them, not both") }
        if context.isAllNamespaces {
          throw CommandError("error: a resource cannot be retrieved by name across all namespaces")
        }
        victims.append(Victim(kind: target.kind, namespace: context.objectNamespace(target.kind), name: name))
        continue
      }
      guard isSelecting else { throw arguments.problem("name the \(target.kind.plural), or give --selector or --all") }
      let list = try cluster.list(
        target.kind, context.listNamespace(target.kind), labels: arguments.value("selector"),
        fields: arguments.value("field-selector"))
      for item in list["items"]?.arrayValue ?? [] {
        let meta = item["metadata"]
        victims.append(
          Victim(
            kind: target.kind, namespace: meta?["namespace"]?.stringValue ?? "", name: meta?["name"]?.stringValue ?? "")
        )
      }
    }
    if victims.isEmpty { context.console.note("No resources found") }
    return victims
  }

  private func delete(_ victims: [Victim]) throws -> Bool {
    let isForced = arguments.isOn("force")
    if isForced {
      context.console.note(
        "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. "
          + "The resource may continue to run on the cluster indefinitely.")
    }
    var deleted: [(victim: Victim, uid: String?)] = []
    var succeeded = true
    for victim in victims {
      do {
        deleted.append((victim, try request(victim, isForced)))
        if arguments.value("output") == "name" {
          context.console.line("\(victim.kind.qualifiedSingular)/\(victim.name)")
        } else {
          context.console.line(
            "\(victim.kind.qualifiedSingular) \"\(victim.name)\" \(isForced ? "force deleted" : "deleted")")
        }
      } catch let error as StatusError {
        if error.isNotFound, arguments.isOn("ignore-not-found") { continue }
        context.console.note(error.text())
        succeeded = false
      }
    }
    guard arguments.isOn("wait", byDefault: true) else { return succeeded }
    let deadline = arguments.milliseconds("timeout").flatMap { $0 <= 0 ? nil : Clocks.boot() + $0 * 1_000_000 }
    for entry in deleted {
      let victim = entry.victim
      let isGone = try cluster.waitUntilGone(
        victim.kind, victim.namespace, victim.name, uid: entry.uid, deadline: deadline)
      if !isGone {
        context.console.note("error: timed out waiting for the condition on \(victim.kind.plural)/\(victim.name)")
        succeeded = false
      }
    }
    return succeeded
  }

  /// Deletes one object; the result is its uid, nil when it is gone at once.
  private func request(_ victim: Victim, _ isForced: Bool) throws -> String? {
    var request = APIRequest(verb: .delete, kind: victim.kind, namespace: victim.namespace, name: victim.name)
    switch arguments.value("cascade") ?? "background" {
    case "foreground": request.options.propagationPolicy = "Foreground"
    case "orphan": request.options.propagationPolicy = "Orphan"
    default: request.options.propagationPolicy = "Background"
    }
    request.options.gracePeriodSeconds = arguments.grace ?? (isForced ? 0 : nil)
    let answer = try cluster.send(request).object
    return answer[path: ["metadata", "uid"]]?.stringValue ?? answer[path: ["details", "uid"]]?.stringValue
  }
}

extension Cluster {
  /// Waits until the object is gone, or another has its name; false when the time is up first.
  func waitUntilGone(
    _ kind: Kind, _ namespace: String, _ name: String, uid: String?, deadline: Int64?
  ) throws -> Bool {
    var request = APIRequest(verb: .watch, kind: kind, namespace: namespace)
    request.options.fieldSelector = "metadata.name=\(name)"
    func isOther(_ object: JSON) -> Bool {
      guard let uid, let seen = object[path: ["metadata", "uid"]]?.stringValue else { return false }
      return uid != seen
    }
    func version() throws -> String? {
      let list = try self.list(kind, namespace, fields: "metadata.name=\(name)", connectBy: deadline ?? Int64.max)
      guard let object = list["items"]?[0], !isOther(object) else { return nil }
      return list[path: ["metadata", "resourceVersion"]]?.stringValue ?? "0"
    }
    guard let start = try version() else { return true }
    request.options.resourceVersion = start
    return try watch(request, deadline: deadline, relist: version) { type, object in
      type == "DELETED" || isOther(object) ? .enough : .more
    }
  }
}
