// Owns: `ca`: the exchange of the cluster's authority begun, shown, ended by force. It must not know who may ask, nor
// how an authority is exchanged.

import ClusterIO
import ClusterProto

/// `stint ca rotate`, `status`.
struct AuthorityCommand {
  private let context: Context
  private let cluster: Cluster
  private let deadline: Int64
  private static let usualTimeout: Int64 = 300_000

  @Sendable static func run(_ context: Context) throws -> Int32 {
    let arguments = context.arguments
    let milliseconds = max(arguments.milliseconds("timeout") ?? usualTimeout, 0)
    let wait = milliseconds.multipliedReportingOverflow(by: 1_000_000)
    let end = Clocks.boot().addingReportingOverflow(wait.overflow ? Int64.max : wait.partialValue)
    let command = AuthorityCommand(
      context: context, cluster: try context.cluster(), deadline: end.overflow ? Int64.max : end.partialValue)
    switch arguments.words.first {
    case "rotate": return try arguments.isOn("force") ? command.drop() : command.rotate()
    case "status": return try command.status()
    default: throw arguments.problem("\"\(arguments.words.first ?? "")\" is neither rotate nor status")
    }
  }

  private var console: Console { context.console }

  private func rotate() throws -> Int32 {
    let begun = try cluster.ask { .authority(id: $0, .rotate) }
    console.line("another authority signs now: \(Self.short(begun["authority"]))")
    console.line(
      "the one before it, \(Self.short(begun["former"])), is believed until nobody holds a certificate of it any more")
    if begun["askerHoldsFormer"] == true {
      console.note(
        "Note: this command came with a certificate of the former authority. DATA/admin.kubeconfig is written anew by "
          + "the coordinator; copies of it, and kubeconfigs of users, work until then: make them anew (stint "
          + "kubeconfig, stint user create)")
    }
    guard context.arguments.isOn("wait", byDefault: true) else { return 0 }
    return try follow(begun)
  }

  private func drop() throws -> Int32 {
    let dropped = try cluster.ask { .authority(id: $0, .drop) }
    return told(dropped)
  }

  private func told(_ dropped: JSON) -> Int32 {
    let isForced =
      !Self.names(dropped["lockedOut"]?["nodes"]).isEmpty || !Self.names(dropped["lockedOut"]?["users"]).isEmpty
    console.line(
      "the former authority is dropped: "
        + (isForced
          ? "\(Self.short(dropped["authority"])) alone is believed" : "nobody holds a certificate of it any more"))
    let nodes = Self.names(dropped["lockedOut"]?["nodes"])
    let users = Self.names(dropped["lockedOut"]?["users"])
    for node in nodes { console.line("locked out: node \(node): stint token create --node \(node) lets it join again") }
    for user in users { console.line("locked out: user \(user): stint user create \(user) makes another kubeconfig") }
    if dropped["askerHoldsFormer"] == true {
      console.note("Note: this kubeconfig is of the former authority: it is refused from now on")
    }
    return 0
  }

  private func status() throws -> Int32 {
    let found = try cluster.ask { .authority(id: $0, .status(after: nil)) }
    if context.arguments.isOn("watch") { return try follow(found) }
    if context.arguments.value("output") == "json" {
      console.out(found.pretty() + "\n")
      return 0
    }
    console.line(
      "authority: \(Self.short(found["authority"])), made at \(found["since"]?.stringValue ?? "an unknown time")")
    guard let former = found["former"] else {
      console.line("no exchange lasts: stint ca rotate begins one")
      return 0
    }
    console.line("former:    \(Self.short(former)), believed until the last has moved")
    console.line("moved:     \(Self.counts(found))")
    let rows = Self.rows(found)
    if !rows.isEmpty { console.out(TabWriter.table(["LEFT", "NAME", "STATE", "CERTIFICATE-ENDS"], rows)) }
    return 0
  }

  /// Until the former authority is dropped.
  private func follow(_ first: JSON) throws -> Int32 {
    let progress = Progress(label: "authority", console: console, isQuiet: false)
    defer { progress.finish() }
    var found = first
    while found["former"] != nil {
      progress.show(Self.counts(found) + Self.few(found), Self.share(found))
      let after = found["revision"]?.intValue ?? 0
      let next = try cluster.follow(deadline: deadline, tick: progress.tick) {
        .authority(id: $0, .status(after: after))
      }
      guard let next else {
        progress.finish()
        return tooLate(found)
      }
      found = next
    }
    progress.finish()
    return told(found)
  }

  private func tooLate(_ found: JSON) -> Int32 {
    console.note("error: timed out; the exchange goes on. Moved: \(Self.counts(found)). Left:")
    console.err(TabWriter.table(["LEFT", "NAME", "STATE", "CERTIFICATE-ENDS"], Self.rows(found)))
    console.note("stint ca status shows it again; stint ca rotate --force drops the former authority without them")
    return WaitCommand.timedOutStatus
  }

  // What is shown.

  /// As much of a digest as tells two apart.
  private static func short(_ digest: JSON?) -> String { String((digest?.stringValue ?? "unknown").prefix(16)) }

  private static func names(_ list: JSON?) -> [String] { (list?.arrayValue ?? []).compactMap(\.stringValue) }

  private static func numbers(_ found: JSON) -> (nodes: Int64, left: Int64, users: Int64) {
    (
      found["nodes"]?["total"]?.intValue ?? 0, found["nodes"]?["left"]?.intValue ?? 0,
      found["users"]?["left"]?.intValue ?? 0
    )
  }

  static func counts(_ found: JSON) -> String {
    let (nodes, left, users) = numbers(found)
    return "\(max(nodes - left, 0))/\(nodes) nodes" + (users > 0 ? ", \(users) user\(users == 1 ? "" : "s") left" : "")
  }

  /// Who is left, where that fits a line.
  static func few(_ found: JSON) -> String {
    let names = rows(found).map { $0[1] }.joined(separator: ", ")
    return (1...24).contains(names.utf8.count) ? " (left: \(names))" : ""
  }

  private static func share(_ found: JSON) -> Double? {
    let (nodes, left, _) = numbers(found)
    return nodes > 0 ? Double(max(nodes - left, 0)) / Double(nodes) : nil
  }

  private static func rows(_ found: JSON) -> [[String]] {
    func row(_ kind: String, _ item: JSON, _ state: String) -> [String] {
      [kind, item["name"]?.stringValue ?? "", state, item["expires"]?.stringValue ?? "<unknown>"]
    }
    let nodes = (found["nodes"]?["names"]?.arrayValue ?? []).map { item in
      row("node", item, item["connected"] == true ? "moving" : "away")
    }
    let users = (found["users"]?["names"]?.arrayValue ?? []).map { row("user", $0, "needs a new kubeconfig") }
    return nodes + users
  }
}
