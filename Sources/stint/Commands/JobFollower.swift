// Owns: following a Job to its end: its pods' logs side by side, those that start later too, and what changes, over
// lost connections. It must not know who wants that, nor word what changes (PodStory).

import ClusterIO
import ClusterProto
import Glibc

/// How following ended.
enum FollowEnd {
  /// The Job has ended so.
  case ended(JSON)
  case deleted
  case timedOut
  /// The tick wanted no more.
  case left
}

/// What a follower shows.
struct FollowStyle {
  enum Prefix { case none, ofPod, ofContainer }

  var prefix = Prefix.none
  /// Says on standard error what changes, and draws a bar there where that is a terminal.
  var tellsChanges = true
  /// Of pods that have several containers; nil: each.
  var container: String?
  var showsTimes = false
  var tail: Int64?
  var sinceSeconds: Int64?
}

/// One Job that is being followed.
final class JobFollower {
  private struct LogKey: Hashable {
    let uid: String
    let container: String
    let restarts: Int64
  }

  private struct Log {
    let pod: String
    var text: LogText
    var isOver = false
    var awaySince: Int64?
    /// Not before then, boot nanoseconds.
    var askAt: Int64 = 0
  }

  private let cluster: Cluster
  private let console: Console
  private let namespace: String
  private let name: String
  private let uid: String
  private let selector: String
  private let style: FollowStyle
  private let progress: Progress
  private(set) var job: JSON {
    didSet { hasEnded = WaitGoal.end(of: job) != nil }
  }
  private var hasEnded: Bool
  private(set) var story = PodStory()
  private var logs: [LogKey: Log] = [:]
  /// Logs that are not over: asked for and waiting to be.
  private var openCount = 0
  private var waiting: [LogKey] = []
  /// Which log each request after the two watches is for.
  private var asked: [LogKey] = []
  private var colours: [String: Int] = [:]
  private var hasLooked = false
  /// What keeps the Job from having pods, as it was told.
  private var hold = ""

  private static let awayCodes = [500, 503, 504]
  private static let patience: Int64 = 60_000_000_000
  private static let pause: Int64 = 300_000_000

  init(_ job: JSON, _ cluster: Cluster, _ console: Console, _ style: FollowStyle) {
    self.job = GetCommand.typed(job, .jobs)
    hasEnded = WaitGoal.end(of: self.job) != nil
    self.cluster = cluster
    self.console = console
    self.style = style
    name = job[path: ["metadata", "name"]]?.stringValue ?? ""
    namespace = job[path: ["metadata", "namespace"]]?.stringValue ?? "default"
    uid = job[path: ["metadata", "uid"]]?.stringValue ?? ""
    selector = LabelText.selector(job[path: ["spec", "selector"]])
    progress = Progress(
      label: "job.batch/\(name)", console: console, isQuiet: !style.tellsChanges || !console.redraws)
  }

  /// Until the Job has ended and all that its pods wrote has been shown. `tick` is asked some times a second.
  func follow(deadline: Int64? = nil, tick: @escaping () -> Flow = { .more }) throws -> FollowEnd {
    defer { progress.finish() }
    progress.show(job)
    while true {
      if isOver, hasLooked { return .ended(job) }
      if isOver {
        // The last pod may have been seen by the Job's watch alone.
        hasLooked = true
        for pod in try cluster.list(.pods, namespace, labels: selector)["items"]?.arrayValue ?? [] { see(pod) }
        continue
      }
      var hasLeft = false
      var isGone = false
      asked = []
      var exchange = Exchange(requests: watches, connectBy: deadline, deadline: deadline)
      exchange.more = { [self] in nextLogs() }
      exchange.tick = { [self] in
        progress.tick()
        hasLeft = tick() == .enough
        return hasLeft ? .enough : .more
      }
      let end = try cluster.stream(exchange) { [self] index, reply in
        switch index {
        case 0: isGone = try takeJob(reply)
        case 1: if try takePod(reply) { return .enough }
        default: takeLog(asked[index - 2], reply)
        }
        if case .done = reply, index < 2 { return .enough }
        return isGone || isOver ? .enough : .more
      }
      for key in asked where !waiting.contains(key) && logs[key]?.isOver == false {
        logs[key]?.text.resume()
        waiting.append(key)
      }
      if hasLeft { return .left }
      if isGone { return .deleted }
      if end == .timedOut { return .timedOut }
      if case .unreachable = end { return .timedOut }
      if !isOver, try hasVanished(deadline) { return .deleted }
    }
  }

  /// The Job has ended, and no log is left to show.
  private var isOver: Bool { openCount == 0 && hasEnded }

  /// A watch that begins anew is told nothing of what is gone.
  private func hasVanished(_ deadline: Int64?) throws -> Bool {
    do {
      let now = try cluster.get(.jobs, namespace, name, connectBy: deadline ?? Int64.max)
      if now[path: ["metadata", "uid"]]?.stringValue != uid { return true }
      job = GetCommand.typed(now, .jobs)
      return false
    } catch let error as StatusError where error.isNotFound {
      return true
    }
  }

  private var watches: [APIRequest] {
    var ofJob = APIRequest(verb: .watch, kind: .jobs, namespace: namespace)
    ofJob.options.fieldSelector = "metadata.name=\(name)"
    var ofPods = APIRequest(verb: .watch, kind: .pods, namespace: namespace)
    ofPods.options.labelSelector = selector
    // What is there comes first.
    ofJob.options.resourceVersion = "0"
    ofPods.options.resourceVersion = "0"
    return [ofJob, ofPods]
  }

  // Objects.

  /// Whether the Job is gone.
  private func takeJob(_ reply: APIReply) throws -> Bool {
    guard let (type, object) = try event(reply) else { return false }
    guard object[path: ["metadata", "uid"]]?.stringValue == uid else { return type != "DELETED" }
    if type == "DELETED" { return WaitGoal.end(of: job) == nil }
    let wasSuspended = isSuspended
    job = GetCommand.typed(object, .jobs)
    if isSuspended, !wasSuspended, !StopMark.isOn(job) {
      tell("the Job is suspended: nothing of it runs until `stint resume \(name)`")
    }
    tellHold()
    progress.show(job)
    return false
  }

  /// A queue, or other Jobs: its place there is only in what is read, so it is told once a reason.
  private func tellHold() {
    for condition in job[path: ["status", "conditions"]]?.arrayValue ?? []
    where condition["type"]?.stringValue == JobAdmission.condition {
      let message = condition["status"]?.stringValue == "False" ? Why.cell(condition["message"]) : ""
      if !message.isEmpty, message != hold { tell(TerminalText.harmless(message)) }
      hold = message
    }
  }

  private var isSuspended: Bool { job[path: ["spec", "suspend"]]?.boolValue == true }

  /// Whether the watch has to begin anew.
  private func takePod(_ reply: APIReply) throws -> Bool {
    guard let (type, object) = try event(reply) else {
      if case .event("ERROR", _) = reply { return true }
      return false
    }
    if type == "DELETED" {
      for line in story.lose(object) { tell(line) }
    } else {
      see(object)
    }
    return false
  }

  private func event(_ reply: APIReply) throws -> (type: String, object: JSON)? {
    switch reply {
    case .event("BOOKMARK", _): return nil
    case .event("ERROR", let object):
      guard object["code"]?.intValue == 410 else { throw StatusError(object, code: 500) }
      return nil
    case .event(let type, let object): return (type, object)
    case .done(let code, let object, _):
      if code >= 400, code != 410 { throw StatusError(object, code: code) }
      return nil
    case .items, .bytes: return nil
    }
  }

  private func see(_ pod: JSON) {
    for line in story.see(pod) { tell(line) }
    let facts = PodFacts(pod)
    for container in facts.begun where style.container == nil || style.container == container.name {
      let key = LogKey(uid: facts.uid, container: container.name, restarts: container.restarts)
      guard logs[key] == nil else { continue }
      waiting.append(key)
      openCount += 1
      logs[key] = Log(pod: facts.name, text: text(facts, container.name))
    }
  }

  private func tell(_ line: String) {
    guard style.tellsChanges else { return }
    progress.finish()
    console.note("stint: \(line)")
  }

  // Logs.

  private func text(_ pod: PodFacts, _ container: String) -> LogText {
    var prefix = ""
    switch style.prefix {
    case .none: break
    case .ofPod: prefix = "[\(pod.label)] "
    case .ofContainer: prefix = "[pod/\(pod.name)/\(container)] "
    }
    if !prefix.isEmpty, console.colours {
      let number = colours[pod.label] ?? pod.index.map { Int($0) } ?? colours.count
      colours[pod.label] = number
      prefix = Colour.distinct(prefix, number)
    }
    return LogText(prefix: prefix, hasTimes: true, showsTimes: style.showsTimes)
  }

  /// What is to be asked for now.
  private func nextLogs() -> [APIRequest] {
    if waiting.isEmpty { return [] }
    let now = Clocks.boot()
    var requests: [APIRequest] = []
    var later: [LogKey] = []
    for key in waiting {
      guard let log = logs[key], log.askAt <= now else {
        later.append(key)
        continue
      }
      asked.append(key)
      var request = APIRequest(verb: .log, kind: .pods, namespace: namespace, name: log.pod, subresource: "log")
      request.options.container = key.container
      request.options.follow = true
      request.options.timestamps = true
      if let last = log.text.lastTime {
        request.options.sinceTime = WallTime(rfc3339: last)
      } else {
        request.options.tailLines = style.tail
        request.options.sinceSeconds = style.sinceSeconds
      }
      requests.append(request)
    }
    waiting = later
    return requests
  }

  private func takeLog(_ key: LogKey, _ reply: APIReply) {
    guard var log = logs[key], !log.isOver else { return }
    // Only one owner: the text behind it grows in place.
    logs[key] = nil
    switch reply {
    case .bytes(let bytes):
      log.awaySince = nil
      show(log.text.take(bytes))
    case .done(let code, let object, _):
      let now = Clocks.boot()
      let since = log.awaySince ?? now
      let isGone = story.pods[key.uid] == nil
      if JobFollower.awayCodes.contains(code), !isGone, now < since + JobFollower.patience {
        (log.awaySince, log.askAt) = (since, now + JobFollower.pause)
        log.text.resume()
        waiting.append(key)
        break
      }
      show(closed(log.text.finish()))
      log.isOver = true
      openCount -= 1
      if code >= 400, !isGone, code != 400, code != 404 { tell(StatusError(object, code: code).text()) }
    case .items, .event: break
    }
    logs[key] = log
  }

  /// A last line that does not end would run into another pod's.
  private func closed(_ bytes: [UInt8]) -> [UInt8] {
    guard style.prefix != .none, let last = bytes.last, last != 0x0A else { return bytes }
    return bytes + [0x0A]
  }

  private func show(_ bytes: [UInt8]) {
    if bytes.isEmpty { return }
    progress.finish()
    console.raw(bytes)
  }
}
