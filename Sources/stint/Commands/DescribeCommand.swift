// Owns: `describe`: fetching an object, its events and what else its description needs. It must not lay out anything.

import ClusterIO
import ClusterProto

/// `stint describe`.
struct DescribeCommand {
  private let context: Context
  private let cluster: Cluster

  @Sendable static func run(_ context: Context) throws -> Int32 {
    let targets = try Target.parse(context.arguments.words)
    let command = DescribeCommand(context: context, cluster: try context.cluster())
    var failed = false
    var described = 0
    for target in targets {
      for object in try command.objects(target, &failed) {
        if described > 0 { context.console.out("\n\n") }
        described += 1
        context.console.out(try command.text(of: object, target.kind))
      }
    }
    if described == 0, !failed {
      let isScoped = !context.isAllNamespaces && targets.contains { $0.kind.isNamespaced }
      context.console.note(isScoped ? "No resources found in \(context.namespace) namespace." : "No resources found")
    }
    return failed ? 1 : 0
  }

  /// The named object, or those whose name begins so, or all that match.
  private func objects(_ target: Target, _ failed: inout Bool) throws -> [JSON] {
    let namespace = target.name == nil ? context.listNamespace(target.kind) : context.objectNamespace(target.kind)
    func list() throws -> [JSON] {
      let labels = context.arguments.value("selector")
      return try cluster.list(target.kind, namespace, labels: labels)["items"]?.arrayValue ?? []
    }
    guard let name = target.name else { return try list().map { GetCommand.typed($0, target.kind) } }
    do {
      return [GetCommand.typed(try cluster.get(target.kind, namespace, name), target.kind)]
    } catch let error as StatusError where error.isNotFound {
      let similar = try list().filter { $0[path: ["metadata", "name"]]?.stringValue?.hasPrefix(name) == true }
      if similar.isEmpty {
        context.console.note(error.text())
        failed = true
      }
      return similar.map { GetCommand.typed($0, target.kind) }
    }
  }

  private func text(of object: JSON, _ kind: Kind) throws -> String {
    var describer = Describer(now: WallTime(nanoseconds: Clocks.now().wall))
    let presentation = KindPresentation.of(kind)
    try presentation.describe(&describer, object, cluster)
    if let link = presentation.events { describer.events(try events(of: object, kind, link)) }
    return describer.laidOut()
  }

  private func events(of object: JSON, _ kind: Kind, _ link: KindPresentation.EventsLink) throws -> [JSON] {
    let name = object[path: ["metadata", "name"]]?.stringValue ?? ""
    var fields = "involvedObject.kind=\(kind.name),involvedObject.name=\(name)"
    let namespace = object[path: ["metadata", "namespace"]]?.stringValue ?? ""
    if !namespace.isEmpty { fields += ",involvedObject.namespace=\(namespace)" }
    if link == .uid, let uid = object[path: ["metadata", "uid"]]?.stringValue {
      fields += ",involvedObject.uid=\(uid)"
    }
    return try cluster.list(.events, namespace, fields: fields)["items"]?.arrayValue ?? []
  }
}
