// Owns: `why`: what is asked of the cluster for it, and how the answer is laid out. It must not know what follows from
// what (WhyText).

import ClusterIO
import ClusterProto
import Glibc

/// `stint why JOB|POD`.
struct WhyCommand {
  private let context: Context
  private let cluster: Cluster
  /// So many pods are looked at.
  private static let podLimit: Int64 = 5_000
  private static let lastLines: Int64 = 5
  private static let width = 100

  @Sendable static func run(_ context: Context) throws -> Int32 {
    let command = WhyCommand(context: context, cluster: try context.cluster())
    guard let target = try command.target() else {
      let name = context.arguments.words.last ?? ""
      throw CommandError(
        "error: there is no job and no pod \"\(name)\" in namespace \"\(context.namespace)\": "
          + "`stint get jobs,pods` lists them")
    }
    switch KindPresentation.of(target.kind).running {
    case .pods: command.show(command.why(job: target.object), job: target.object)
    case .itself: command.show(command.why(pod: target.object), job: nil)
    case nil: throw context.arguments.problem("name a Job or a pod")
    }
    return 0
  }

  /// A bare name is a Job's, else a pod's.
  private func target() throws -> (kind: Kind, object: JSON)? {
    let words = context.arguments.words
    if words.count == 1, !words[0].contains("/") {
      // Jobs come last there.
      for kind in KindPresentation.all.reversed() {
        if let object = try cluster.find(kind, context.namespace, words[0]) { return (kind, object) }
      }
      return nil
    }
    guard let target = try Target.parse(words).first, let name = target.name else {
      throw context.arguments.problem("name a Job or a pod")
    }
    return (target.kind, try cluster.get(target.kind, context.namespace, name))
  }

  private var now: WallTime { WallTime(nanoseconds: Clocks.now().wall) }

  private func why(job: JSON) -> WhyAnswer {
    var request = APIRequest(verb: .list, kind: .pods, namespace: context.namespace)
    request.options.labelSelector = LabelText.selector(job[path: ["spec", "selector"]])
    request.options.fieldSelector = "status.phase!=Succeeded"
    request.options.limit = WhyCommand.podLimit
    let pods = (try? cluster.send(request))?.object["items"]?.arrayValue ?? []
    let fields = "involvedObject.kind=Job,involvedObject.uid=\(job[path: ["metadata", "uid"]]?.stringValue ?? "")"
    let events = (try? cluster.list(.events, context.namespace, fields: fields))?["items"]?.arrayValue ?? []
    return WhyJob.answer(
      WhyFacts(job: job, pods: pods, events: EventText.sorted(events), awayNodes: awayNodes(pods), now: now))
  }

  private func why(pod: JSON) -> WhyAnswer { WhyPod.answer(pod, awayNodes: awayNodes([pod]), now: now) }

  /// Who may not read nodes is told nothing of them.
  private func awayNodes(_ pods: [JSON]) -> Set<String> {
    guard pods.contains(where: { $0[path: ["status", "phase"]]?.stringValue == "Running" }) else { return [] }
    let nodes = (try? cluster.list(.nodes, ""))?["items"]?.arrayValue ?? []
    let away = nodes.filter { node in
      (node[path: ["status", "conditions"]]?.arrayValue ?? []).contains {
        $0["type"]?.stringValue == "Ready" && $0["status"]?.stringValue != "True"
      }
    }
    return Set(away.compactMap { $0[path: ["metadata", "name"]]?.stringValue })
  }

  private func show(_ answer: WhyAnswer, job: JSON?) {
    let text = TerminalText.harmless(Why.wrapped(answer.sentences, width: WhyCommand.width))
    context.console.line(text)
    if let pod = answer.example { showLines(of: pod, job: job) }
    if !answer.next.isEmpty { context.console.line("\nNext:") }
    for line in answer.next { context.console.line("  \(line)") }
  }

  /// The last lines of the container that failed, else what its end left as message.
  private func showLines(of name: String, job: JSON?) {
    guard let pod = try? cluster.find(.pods, context.namespace, name) else { return }
    let index = PodFacts.index(of: pod)
    var lines = log(pod, name)
    if lines.isEmpty { lines = message(pod) }
    if lines.isEmpty {
      context.console.line("\nIt wrote nothing.")
      return
    }
    let item = index.flatMap { self.item($0, job) }
    let whose = index.map { " of index \($0)" + (item.map { " (\($0))" } ?? "") } ?? ""
    context.console.line("\nThe last lines\(TerminalText.harmless(whose)), pod/\(name):")
    for line in lines { context.console.line("  \(TerminalText.harmless(line))") }
  }

  private func failedContainer(_ pod: JSON) -> JSON? {
    let all = ["initContainerStatuses", "containerStatuses"].flatMap { pod[path: ["status", $0]]?.arrayValue ?? [] }
    return all.first { ($0[path: ["state", "terminated", "exitCode"]]?.intValue ?? 0) != 0 }
  }

  private func log(_ pod: JSON, _ name: String) -> [String] {
    guard let container = failedContainer(pod)?["name"]?.stringValue else { return [] }
    var request = APIRequest(verb: .log, kind: .pods, namespace: context.namespace, name: name, subresource: "log")
    request.options.container = container
    request.options.tailLines = WhyCommand.lastLines
    var bytes: [UInt8] = []
    var isThere = true
    _ = try? cluster.stream(Exchange(requests: [request], connectBy: Clocks.boot() + Cluster.patience)) { _, reply in
      switch reply {
      case .bytes(let more): bytes += more.prefix(max(0, 65_536 - bytes.count))
      case .done(let code, _, _): isThere = code < 400
      case .items, .event: break
      }
      return .more
    }
    return isThere ? Self.lines(String(decoding: bytes, as: UTF8.self)) : []
  }

  private func message(_ pod: JSON) -> [String] {
    Self.lines(failedContainer(pod)?[path: ["state", "terminated", "message"]]?.stringValue ?? "")
  }

  private static func lines(_ text: String) -> [String] {
    text.split(whereSeparator: \.isNewline).suffix(Int(lastLines)).map { line in
      line.count > 400 ? String(line.prefix(400)) + "…" : String(line)
    }
  }

  /// What the index worked on, where `stint run --each` gave it a line.
  private func item(_ index: Int64, _ job: JSON?) -> String? {
    for volume in job?[path: ["spec", "template", "spec", "volumes"]]?.arrayValue ?? []
    where volume["name"]?.stringValue == "items" {
      guard let name = volume[path: ["configMap", "name"]]?.stringValue,
        let map = try? cluster.find(.configmaps, context.namespace, name),
        let block = map[path: ["data", "items-\(index / Int64(RunItems.blockLength))"]]?.stringValue
      else { return nil }
      let lines = block.split(separator: "\n", omittingEmptySubsequences: false)
      let position = Int(index) % RunItems.blockLength
      return lines.indices.contains(position) ? String(lines[position].prefix(200)) : nil
    }
    return nil
  }
}
