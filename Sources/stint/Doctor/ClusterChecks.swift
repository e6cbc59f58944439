// Owns: what is wrong with a cluster as it was found, and what to do about it. Pure. It must not ask for anything by
// itself (ClusterSurvey).

import ClusterProto

/// Judges a `ClusterSurvey`.
enum ClusterChecks {
  /// Between two clocks of one cluster; HTTP's Date has whole seconds.
  private static let skewMilliseconds: Int64 = 5_000
  private static let farMilliseconds: Int64 = 60_000
  /// A pod that waits so long, or that does not end so long after its grace, is told of.
  private static let pendingMilliseconds: Int64 = 300_000
  private static let endingMilliseconds: Int64 = 60_000
  /// So many nodes are named one by one.
  private static let named = 10

  static func all(_ survey: ClusterSurvey) -> [Diagnosis] {
    var findings = coordinator(survey) + certificates(survey)
    guard survey.hello.value != nil else { return findings }
    findings += nodes(survey) + pods(survey)
    return findings
  }

  private static func coordinator(_ survey: ClusterSurvey) -> [Diagnosis] {
    var findings: [Diagnosis] = []
    switch survey.hello {
    case .value(let hello):
      let version = hello.program.isEmpty ? "" : "version \(hello.program), "
      findings.append(.ok("coordinator", "answers: \(version)incarnation \(hello.incarnation)"))
      if !hello.program.isEmpty, hello.program != Version.current {
        findings.append(
          .warning(
            "versions", "this program is \(Version.current), the coordinator \(hello.program)",
            "install the same one here; the coordinator goes first in an upgrade"))
      }
    case .refused(let why):
      findings.append(
        .problem(
          "coordinator", why, "on its machine: stint doctor, systemctl status stint-coordinator; or: stint up"))
    }
    switch survey.ready {
    case nil: findings.append(.skipped("API", "the kubeconfig names no server of the Kubernetes API"))
    case .refused(let why)?:
      findings.append(
        .problem("API", "/readyz does not answer: \(why)", "kubectl needs it: the coordinator's --api says where it is")
      )
    case .value(let answer)?:
      findings.append(
        answer.code == 200
          ? .ok("API", "/readyz: ok")
          : .problem("API", "/readyz: \(answer.code) \(answer.body)", "the coordinator's log says more"))
      if let date = answer.date { findings.append(skew(survey.asked.milliseconds(since: date))) }
    }
    return findings
  }

  /// `ahead`: this machine's clock before the coordinator's, whose time has lost its part of a second.
  private static func skew(_ ahead: Int64) -> Diagnosis {
    let amount = humanDuration(milliseconds: abs(ahead))
    let text = "this machine is \(amount) \(ahead < 0 ? "behind" : "ahead of") the coordinator"
    let advice = "let NTP keep both (chrony): certificates and times go by them; leases do not"
    if abs(ahead) >= farMilliseconds { return .problem("clocks", text, advice) }
    if abs(ahead) >= skewMilliseconds { return .warning("clocks", text, advice) }
    return .ok("clocks", "this machine and the coordinator agree, to within some seconds")
  }

  private static func certificates(_ survey: ClusterSurvey) -> [Diagnosis] {
    var findings: [Diagnosis] = []
    for (what, end) in survey.ends {
      let advice =
        what.hasPrefix("your")
        ? "an administrator makes another one: stint user create NAME; admin.kubeconfig: restart the coordinator"
        : "stint ca rotate"
      findings.append(MachineChecks.certificate(what, end, isRenewed: false, advice, now: survey.now))
    }
    for exposure in survey.exposures { findings.append(.warning("kubeconfig", exposure, "as it says")) }
    return findings
  }

  // Nodes.

  private static func name(_ object: JSON) -> String { object[path: ["metadata", "name"]]?.stringValue ?? "" }

  private static func condition(_ type: String, _ node: JSON) -> JSON? {
    (node[path: ["status", "conditions"]]?.arrayValue ?? []).first { $0["type"]?.stringValue == type }
  }

  private static func isReady(_ node: JSON) -> Bool { condition("Ready", node)?["status"]?.stringValue == "True" }

  private static func nodes(_ survey: ClusterSurvey) -> [Diagnosis] {
    guard case .value(let nodes) = survey.nodes else {
      return [.skipped("nodes", reason(survey.nodes), "an administrator sees more")]
    }
    guard !nodes.isEmpty else {
      return [.problem("nodes", "there are none, so no pod can run", "stint token create prints the line to join by")]
    }
    let away = nodes.filter { !isReady($0) }
    var findings: [Diagnosis] = []
    if away.count < nodes.count { findings.append(.ok("nodes", "\(nodes.count - away.count) of \(nodes.count) Ready")) }
    findings += limited(away.map { missing($0, survey.now) }, "more nodes are not Ready")
    var others: [Diagnosis] = []
    for node in nodes where isReady(node) { others += troubles(node) }
    findings += limited(others, "more such nodes")
    findings += unlimited(nodes.filter(isReady))
    if case .value(let hello) = survey.hello, !hello.program.isEmpty { findings += versions(nodes, hello.program) }
    return findings
  }

  private static func missing(_ node: JSON, _ now: WallTime) -> Diagnosis {
    let ready = condition("Ready", node)
    let since = (ready?["lastTransitionTime"]?.stringValue).flatMap { WallTime(rfc3339: $0) }
    let span = since.map { " for \(humanDuration(milliseconds: max(0, now.milliseconds(since: $0))))" } ?? ""
    let why = [ready?["reason"]?.stringValue, ready?["message"]?.stringValue].compactMap { $0 }
      .filter { !$0.isEmpty }.joined(separator: ": ")
    return .problem(
      "node \(name(node))", "not Ready\(span)\(why.isEmpty ? "" : ": \(why)")",
      "on it: stint doctor, its agent's log; surely off: stint node declare-dead \(name(node)); gone for good: "
        + "stint delete node \(name(node))")
  }

  private static func troubles(_ node: JSON) -> [Diagnosis] {
    var findings: [Diagnosis] = []
    for condition in node[path: ["status", "conditions"]]?.arrayValue ?? [] {
      let type = condition["type"]?.stringValue ?? ""
      // All others tell of something that is not as it should be.
      guard !["Ready", LimitAbilities.condition].contains(type), condition["status"]?.stringValue == "True" else {
        continue
      }
      findings.append(
        .warning(
          "node \(name(node))", "\(type): \(condition["message"]?.stringValue ?? "")",
          type.hasSuffix("Pressure")
            ? "it takes no pods until it has had enough for 5 minutes: make room there" : "stint doctor on that node"))
    }
    if node[path: ["spec", "unschedulable"]]?.boolValue == true {
      findings.append(
        .warning("node \(name(node))", "cordoned: it takes no pods", "when it may again: stint uncordon \(name(node))"))
    }
    return findings
  }

  /// Nodes that hold pods to no limits, in one line: they mostly are all of them.
  private static func unlimited(_ nodes: [JSON]) -> [Diagnosis] {
    let found = nodes.filter { condition(LimitAbilities.condition, $0)?["status"]?.stringValue == "False" }
    guard let first = found.first else { return [] }
    let why = condition(LimitAbilities.condition, first)?["message"]?.stringValue ?? ""
    return [
      .warning(
        "limits", "\(words(found.map(name))): \(why)", "where limits have to hold, run the agent as root (stint doctor)"
      )
    ]
  }

  private static func versions(_ nodes: [JSON], _ version: String) -> [Diagnosis] {
    let others = nodes.filter { node in
      let own = node[path: ["status", "nodeInfo", "kubeletVersion"]]?.stringValue ?? ""
      return !own.isEmpty && own != version
    }
    guard !others.isEmpty else { return [] }
    return [
      .warning(
        "versions",
        "\(words(others.map(name))) \(others.count == 1 ? "is" : "are") not \(version), as the coordinator is",
        "install the same one there and restart the agent; its pods run on")
    ]
  }

  // Pods.

  private static func pods(_ survey: ClusterSurvey) -> [Diagnosis] {
    guard case .value(let pods) = survey.pods else { return [.skipped("pods", reason(survey.pods))] }
    let ready = Set((survey.nodes.value ?? []).filter(isReady).map(name))
    func age(_ pod: JSON, _ field: String) -> Int64 {
      let time = (pod[path: ["metadata", field]]?.stringValue).flatMap { WallTime(rfc3339: $0) }
      return time.map { survey.now.milliseconds(since: $0) } ?? 0
    }
    let ending = pods.filter {
      $0[path: ["metadata", "deletionTimestamp"]] != nil && age($0, "deletionTimestamp") > endingMilliseconds
    }
    let waiting = pods.filter {
      $0[path: ["metadata", "deletionTimestamp"]] == nil && $0[path: ["status", "phase"]]?.stringValue == "Pending"
    }
    let held = waiting.filter(isHeld)
    let old = waiting.filter { !isHeld($0) && age($0, "creationTimestamp") > pendingMilliseconds }
    var findings: [Diagnosis] = []
    for (node, count) in counts(ending.map { $0[path: ["spec", "nodeName"]]?.stringValue ?? "" }) {
      let isAway = !node.isEmpty && survey.nodes.value != nil && !ready.contains(node)
      findings.append(
        .problem(
          "pods", "\(plural(count)) should have ended over a minute ago\(node.isEmpty ? "" : " on \(node)")",
          isAway
            ? "\(node) is not Ready: bring it back; or, if it is surely off: stint node declare-dead \(node)"
            : "stint get pods -A; the log of that node's keeper says what holds them"))
    }
    if !held.isEmpty {
      findings.append(
        .warning(
          "pods", "\(plural(held.count)) wait until an earlier attempt is proven to have ended",
          "that is promise 1, and ends by itself; sooner where a machine is surely off: stint node declare-dead NODE"))
    }
    for line in Causes.ofPods(old) {
      findings.append(.warning("pods", "pending for over 5 minutes: \(line)", advice(forPending: line)))
    }
    if findings.isEmpty {
      let place = survey.namespace.map { " in namespace \($0), which is what you may see" } ?? ""
      let some = pods.isEmpty ? "none" : plural(pods.count)
      findings.append(.ok("pods", "\(some) at work or on the way\(place)\(pods.isEmpty ? "" : ", none of them stuck")"))
    }
    return findings
  }

  private static func isHeld(_ pod: JSON) -> Bool {
    (pod[path: ["status", "conditions"]]?.arrayValue ?? []).contains {
      $0["type"]?.stringValue == "PodScheduled" && $0["reason"]?.stringValue == "PredecessorMayRun"
    }
  }

  private static func advice(forPending line: String) -> String {
    let name = line.split(separator: "/").dropFirst().first?.prefix { $0 != " " && $0 != ":" } ?? ""
    return "stint why pod/\(name) (with its -n NAMESPACE)"
  }

  // Words.

  private static func reason<Value>(_ found: ClusterSurvey.Found<Value>) -> String {
    if case .refused(let why) = found { why } else { "" }
  }

  private static func plural(_ count: Int) -> String { "\(count) pod\(count == 1 ? "" : "s")" }

  private static func words(_ names: [String]) -> String {
    let shown = names.prefix(named).joined(separator: ", ")
    return names.count > named ? "\(shown) and \(names.count - named) more" : shown
  }

  private static func limited(_ findings: [Diagnosis], _ rest: String) -> [Diagnosis] {
    guard findings.count > named, let first = findings.first else { return findings }
    let more = Diagnosis(
      level: first.level, subject: "nodes", text: "\(findings.count - named) \(rest)", advice: "stint get nodes")
    return findings.prefix(named) + [more]
  }

  /// How often each stands there, in the order of their first coming.
  private static func counts(_ names: [String]) -> [(String, Int)] {
    var result: [(name: String, count: Int)] = []
    for name in names {
      if let position = result.firstIndex(where: { $0.name == name }) {
        result[position].count += 1
      } else {
        result.append((name, 1))
      }
    }
    return result.map { ($0.name, $0.count) }
  }
}
