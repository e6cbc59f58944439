// Owns: `logs`: which pods and containers are meant, and streaming their logs side by side.
// It must not know where logs are kept.

import ClusterIO
import ClusterProto
import Glibc

/// `stint logs`.
struct LogsCommand {
  private struct Source {
    let pod: String
    let container: String
  }

  private let context: Context
  private let cluster: Cluster
  private var arguments: Arguments { context.arguments }
  /// With a selector, pods without a `--tail` show this many lines.
  private static let selectorTail: Int64 = 10
  /// Streams at once; the coordinator allows more, a reader does not want them by accident.
  private static let streamLimit = 200

  @Sendable static func run(_ context: Context) throws -> Int32 {
    let command = LogsCommand(context: context, cluster: try context.cluster())
    if let job = try command.wholeJob() { return try command.follow(job) }
    let sources = try command.sources()
    return try command.isFollowing ? command.follow(sources) : command.print(sources)
  }

  private var isFollowing: Bool { arguments.isOn("follow") }

  // Which logs.

  private func sources() throws -> [Source] {
    let words = arguments.words
    if words.count == 2, !words[0].contains("/"), arguments.value("container") == nil {
      // `logs POD CONTAINER`, as kubectl takes it.
      return [Source(pod: try pod(words[0]).name, container: words[1])]
    }
    guard words.count == (arguments.has("selector") ? 0 : 1) else {
      throw arguments.problem("name a pod or job/NAME, or give --selector")
    }
    let pods: [JSON]
    if let selector = arguments.value("selector") {
      pods = try list(selector)
      if pods.isEmpty { context.console.note("No resources found in \(context.namespace) namespace.") }
    } else if words[0].contains("/") {
      let target = try Target.parse(words)[0]
      let name = target.name ?? ""
      switch KindPresentation.of(target.kind).running {
      case .itself: pods = [try pod(name).object]
      case .pods: pods = chosen(of: try podsOfJob(name).pods)
      case nil:
        throw CommandError("error: cannot get the logs from \(target.kind.qualifiedPlural): name a pod or a job")
      }
    } else {
      pods = [try pod(words[0]).object]
    }
    if isFollowing { for pod in pods { try waitForStart(pod) } }
    var sources: [Source] = []
    for pod in pods {
      for source in try containers(of: pod) {
        sources.append(source)
        if let why = Causes.ofStart(pod, source.container) {
          context.console.note("pod/\(source.pod): container \(source.container) did not start: \(why)")
        }
      }
    }
    guard sources.count <= LogsCommand.streamLimit else {
      throw CommandError("error: \(sources.count) logs at once are too many (at most \(LogsCommand.streamLimit))")
    }
    return sources
  }

  // A whole Job.

  /// The Job that `-f job/NAME` follows, with what keeps it from having pods said; nil: other logs are meant.
  private func wholeJob() throws -> JSON? {
    guard isFollowing, !arguments.isOn("previous"), !arguments.has("selector"), arguments.words.count == 1,
      arguments.words[0].contains("/"), let target = try Target.parse(arguments.words).first, let name = target.name,
      KindPresentation.of(target.kind).running == .pods
    else { return nil }
    let (job, pods) = try podsOfJob(name)
    if pods.allSatisfy({ $0[path: ["status", "phase"]]?.stringValue ?? "Pending" == "Pending" }) {
      for cause in Causes.ofPods(pods) { context.console.note("\(cause); waiting") }
    }
    return job
  }

  /// All its pods, those too that start later, until it has ended.
  private func follow(_ job: JSON) throws -> Int32 {
    var style = FollowStyle()
    style.tellsChanges = false
    style.showsTimes = arguments.isOn("timestamps")
    style.sinceSeconds = arguments.milliseconds("since").map { ($0 + 999) / 1_000 }
    style.tail = arguments.integer("tail").flatMap { $0 < 0 ? nil : $0 }
    if arguments.isOn("prefix") || arguments.isOn("all-pods") {
      style.prefix = .ofContainer
    } else if context.console.colours, job[path: ["spec", "completions"]]?.intValue != 1 {
      style.prefix = .ofPod
    }
    if !arguments.isOn("all-containers") {
      var pod: JSON = job[path: ["spec", "template"]] ?? .null
      pod[path: ["metadata", "name"]] = job[path: ["metadata", "name"]]
      style.container = try containers(of: pod).first?.container
    }
    _ = try JobFollower(job, cluster, context.console, style).follow(deadline: context.deadline())
    return 0
  }

  private func pod(_ name: String) throws -> (name: String, object: JSON) {
    do {
      return (name, try cluster.get(.pods, context.namespace, name))
    } catch let error as StatusError where error.isNotFound {
      throw notFound(error)
    }
  }

  /// A log can be followed once its pod has begun; one that is about to begin gets a while.
  private func waitForStart(_ pod: JSON) throws {
    func isPending(_ pod: JSON) -> Bool { (pod[path: ["status", "phase"]]?.stringValue ?? "Pending") == "Pending" }
    guard isPending(pod) else { return }
    var request = APIRequest(verb: .watch, kind: .pods, namespace: context.namespace)
    request.options.fieldSelector = "metadata.name=\(LogsCommand.name(pod))"
    request.options.resourceVersion = "0"
    // What keeps it is told at once, not only when the time is up.
    var told: [String] = []
    func tell(_ pod: JSON) {
      let causes = Causes.ofPods([pod])
      for cause in causes where causes != told { context.console.note("\(cause); waiting") }
      told = causes
    }
    tell(pod)
    _ = try cluster.watch(request, deadline: startDeadline, relist: { "0" }) { type, pod in
      guard type != "DELETED", isPending(pod) else { return .enough }
      tell(pod)
      return .more
    }
  }

  private var startDeadline: Int64 {
    Clocks.boot() + (arguments.milliseconds("pod-running-timeout") ?? 20_000) * 1_000_000
  }

  private func notFound(_ error: StatusError) -> CommandError {
    CommandError("error: error from server (NotFound): \(error.message) in namespace \"\(context.namespace)\"")
  }

  private func list(_ selector: String) throws -> [JSON] {
    try cluster.list(.pods, context.namespace, labels: selector)["items"]?.arrayValue ?? []
  }

  /// A Job and its pods; waits a while for the first one.
  private func podsOfJob(_ name: String) throws -> (job: JSON, pods: [JSON]) {
    let job: JSON
    do {
      job = try cluster.get(.jobs, context.namespace, name)
    } catch let error as StatusError where error.isNotFound {
      throw notFound(error)
    }
    let selector = LabelText.selector(job[path: ["spec", "selector"]])
    var pods = try list(selector)
    // None will come by itself.
    if pods.isEmpty, let why = Causes.ofJob(GetCommand.typed(job, .jobs)) {
      throw CommandError("error: job/\(name) has no pods: \(why)")
    }
    if pods.isEmpty {
      var request = APIRequest(verb: .watch, kind: .pods, namespace: context.namespace)
      request.options.labelSelector = selector
      request.options.resourceVersion = "0"
      let found = try cluster.watch(request, deadline: startDeadline, relist: { "0" }) { _, _ in .enough }
      pods = try list(selector)
      guard found, !pods.isEmpty else {
        let why = Causes.ofJob(job).map { "job/\(name): \($0)" } ?? "job/\(name) has no pods yet"
        throw CommandError("error: timed out waiting for the condition: \(why)")
      }
    }
    return (job, pods)
  }

  /// The pod that tells most, or all of them.
  private func chosen(of pods: [JSON]) -> [JSON] {
    let sorted = pods.enumerated().map { (rank: LogsCommand.rank($1), position: $0, pod: $1) }
      .sorted { ($0.rank, $0.position) < ($1.rank, $1.position) }.map(\.pod)
    if arguments.isOn("all-pods") || sorted.count == 1 { return sorted }
    let chosen = sorted[0]
    context.console.note("Found \(pods.count) pods, using pod/\(LogsCommand.name(chosen))")
    return [chosen]
  }

  /// Running pods first, then those that have not begun, then those that ended.
  private static func rank(_ pod: JSON) -> Int {
    switch pod[path: ["status", "phase"]]?.stringValue {
    case "Running": 0
    case "Succeeded", "Failed": 2
    default: 1
    }
  }

  private static func name(_ object: JSON) -> String { object[path: ["metadata", "name"]]?.stringValue ?? "" }

  private func containers(of pod: JSON) throws -> [Source] {
    let name = LogsCommand.name(pod)
    func names(_ list: String) -> [String] {
      (pod[path: ["spec", list]]?.arrayValue ?? []).compactMap { $0["name"]?.stringValue }
    }
    let initial = names("initContainers")
    let regular = names("containers")
    let all = initial + regular + names("ephemeralContainers")
    if arguments.isOn("all-containers") { return all.map { Source(pod: name, container: $0) } }
    if let container = arguments.value("container") {
      guard all.contains(container) else {
        throw CommandError("error: container \(container) is not valid for pod \(name)")
      }
      return [Source(pod: name, container: container)]
    }
    let marked = pod[path: ["metadata", "annotations", "kubectl.kubernetes.io/default-container"]]?.stringValue
    let chosen = marked.flatMap { regular.contains($0) ? $0 : nil } ?? regular.first ?? ""
    if regular.count + initial.count > 1, marked == nil {
      let shown = regular + initial.map { "\($0) (init)" }
      context.console.note("Defaulted container \"\(chosen)\" out of: \(shown.joined(separator: ", "))")
    }
    return [Source(pod: name, container: chosen)]
  }

  // Their text.

  /// The node's agent is not there, went away in the middle, or took too long: it may be restarting.
  private static let awayCodes = [500, 503, 504]
  /// Without --timeout: an agent that is away for longer has lost its pods by then.
  private static let agentPatience: Int64 = 60_000_000_000
  private static let agentPause: Int32 = 300

  private func request(_ source: Source) -> APIRequest {
    var request = APIRequest(
      verb: .log, kind: .pods, namespace: context.namespace, name: source.pod, subresource: "log")
    request.options.container = source.container
    request.options.previous = arguments.isOn("previous")
    request.options.timestamps = arguments.isOn("timestamps")
    request.options.sinceSeconds = arguments.milliseconds("since").map { ($0 + 999) / 1_000 }
    let tail = arguments.integer("tail") ?? (arguments.has("selector") ? LogsCommand.selectorTail : nil)
    request.options.tailLines = tail.flatMap { $0 < 0 ? nil : $0 }
    return request
  }

  private func text(_ source: Source) -> LogText {
    let prefix =
      arguments.isOn("prefix") || arguments.isOn("all-pods") ? "[pod/\(source.pod)/\(source.container)] " : ""
    return LogText(
      prefix: prefix, hasTimes: isFollowing || arguments.isOn("timestamps"), showsTimes: arguments.isOn("timestamps"))
  }

  /// One after the other; a log that cannot be had does not hide the others.
  private func print(_ sources: [Source]) throws -> Int32 {
    var status: Int32 = 0
    for source in sources {
      var text = text(source)
      var lost = 0
      var isOver = false
      while !isOver {
        let exchange = Exchange(requests: [request(source)], connectBy: Clocks.boot() + Cluster.patience)
        var didPrint = false
        let end = try cluster.stream(exchange) { _, reply in
          switch reply {
          case .bytes(let bytes):
            didPrint = true
            Console.writeRaw(text.take(bytes))
          case .done(let code, let object, _):
            if code >= 400 {
              context.console.note(StatusError(object, code: code).text())
              status = 1
            }
          case .items, .event: break
          }
          return .more
        }
        lost += 1
        isOver = end == .done
        // A log that broke in the middle would come twice.
        if !isOver, didPrint || lost > 3 { throw CommandError.away(end) }
        if case .unreachable = end { throw CommandError.away(end) }
      }
      Console.writeRaw(text.finish())
    }
    return status
  }

  /// Side by side until each has ended, over lost connections and restarts of agents.
  private func follow(_ sources: [Source]) throws -> Int32 {
    let deadline = context.deadline()
    var texts = sources.map { text($0) }
    var open = Array(sources.indices)
    var status: Int32 = 0
    var awaySince: Int64?
    while !open.isEmpty {
      let positions = open
      let requests = positions.map { followRequest(sources[$0], after: texts[$0].lastTime) }
      let exchange = Exchange(requests: requests, connectBy: deadline, deadline: deadline)
      var isAway = false
      let end = try cluster.stream(exchange) { index, reply in
        let position = positions[index]
        switch reply {
        case .bytes(let bytes):
          awaySince = nil
          Console.writeRaw(texts[position].take(bytes))
        case .done(let code, let object, _):
          let since = awaySince ?? Clocks.boot()
          if LogsCommand.awayCodes.contains(code), Clocks.boot() < deadline ?? since + LogsCommand.agentPatience {
            if awaySince == nil { context.console.note("\(StatusError(object, code: code).message); trying again") }
            awaySince = since
            isAway = true
            return .enough
          }
          Console.writeRaw(texts[position].finish())
          open.removeAll { $0 == position }
          if code >= 400 {
            context.console.note(StatusError(object, code: code).text())
            status = 1
          }
        case .items, .event: break
        }
        return .more
      }
      if end == .timedOut { break }
      if case .unreachable = end { break }
      for position in open { texts[position].resume() }
      if isAway { poll(nil, 0, LogsCommand.agentPause) }
    }
    return status
  }

  private func followRequest(_ source: Source, after last: String?) -> APIRequest {
    var request = request(source)
    request.options.follow = true
    request.options.timestamps = true
    if let last {
      request.options.tailLines = nil
      request.options.sinceSeconds = nil
      request.options.sinceTime = WallTime(rfc3339: last)
    }
    return request
  }
}
